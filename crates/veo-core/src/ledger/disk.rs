//! The calls of the file system that a ledger needs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::{Error, ErrorKind};

pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut folders = DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        folders.mode(0o700);
    }
    folders.create(folder)
}

/// Lets only the owner read the file, since prompts are private.
pub(super) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options;
}

/// Returns whether a path still leads to this open file.
pub(super) fn is_in_place(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        fs::metadata(path).ok().map(place) == file.metadata().ok().map(place)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// Returns whether a file has a second name, a hard link.
pub(super) fn has_other_names(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        file.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}

pub(super) fn unusable(path: &Path, error: io::Error) -> Error {
    let message = format!("{} cannot be read or written as a ledger", path.display());
    Error::new(ErrorKind::Ledger, message).with_source(error)
}

pub(super) fn unlockable(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} cannot be locked, so it cannot be a ledger; keep it on another file system",
        path.display()
    );
    Error::new(ErrorKind::Ledger, message).with_source(error)
}

pub(super) fn unsynced(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} cannot be synced to the disk; keep the ledger on another file system",
        path.display()
    );
    Error::new(ErrorKind::Ledger, message).with_source(error)
}
