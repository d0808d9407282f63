//! The SHA-256 of files.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::read;

/// Returns the SHA-256 of a file and its size in bytes. Refuses a pipe or a device, since reading it can last for ever.
pub(crate) fn of_file(path: &Path) -> io::Result<(String, u64)> {
    let mut file = read::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(
            "it is a folder, a pipe or a device and not a file",
        ));
    }
    let mut hasher = HashWriter(Sha256::new());
    let bytes = io::copy(&mut file, &mut hasher)?;
    Ok((hex(&hasher.0.finalize()), bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
