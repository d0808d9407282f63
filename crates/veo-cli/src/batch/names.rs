//! The names of the batches of this machine, so that one that is a hard link to another is not paid for again.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::store::{ledger_of, state_folder, unreadable};

/// A batch, by its path and by what its file is to the file system.
#[derive(Deserialize, PartialEq, Serialize)]
struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Refuses a file that has another name, under which it was begun as a batch; and keeps this one.
pub(crate) fn check(file: &Path) -> Result<(), Failure> {
    let (Some(name), Some(folder)) = (name_of(file)?, state_folder()) else {
        return Ok(());
    };
    let list = folder.join("batches.jsonl");
    let known = fs::read_to_string(&list).unwrap_or_default();
    let known: Vec<Name> = known
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let is_other = |other: &&Name| {
        (other.device, other.inode) == (name.device, name.inode) && other.path != name.path
    };
    if let Some(other) = known.iter().find(is_other)
        // The numbers of a file that is gone are given again.
        && name_of(&other.path).ok().flatten().as_ref() == Some(other)
        && ledger_of(&other.path).is_ok_and(|ledger| ledger.exists())
    {
        let (this, other) = (file.display(), other.path.display());
        let message = format!(
            "{this} is the same file as {other}, which has a record; use that name, or make a copy"
        );
        return Err(Failure::usage(message));
    }
    if known.contains(&name) {
        return Ok(());
    }
    let unwritten = |error| {
        Failure::failed(format!(
            "{} cannot be written: {error}; nothing was sent",
            list.display()
        ))
    };
    fs::create_dir_all(&folder).map_err(unwritten)?;
    let mut line = serde_json::to_string(&name).unwrap_or_default();
    line.push('\n');
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let written = options
        .open(&list)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(unwritten)
}

/// What a file is to the file system, where that can be told.
fn name_of(file: &Path) -> Result<Option<Name>, Failure> {
    let path = file
        .canonicalize()
        .map_err(|error| unreadable(file, &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(&path).map_err(|error| unreadable(file, &error))?;
        Ok(Some(Name {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        }))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(None)
    }
}
