//! The names of the batches of this machine. Without them, a hard link to a batch would be paid for again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::store::{ledger_of, state_folder};

/// A batch by its path, and by the numbers of its file in the file system.
#[derive(Deserialize, PartialEq, Serialize)]
struct Name {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Refuses a file that was begun as a batch under another name. Otherwise stores the name of the file.
pub(super) fn refuse_second_name(file: &Path) -> Result<(), Failure> {
    let (Some(name), Some(folder)) = (name_of(file)?, state_folder()) else {
        return Ok(());
    };
    let list = folder.join("batches.jsonl");
    let known = read(&list);
    if let Some(other) = known.iter().find(|other| other.is_other_name_of(&name))
        && other.is_current()
        && ledger_of(&other.path).is_ok_and(|ledger| ledger.exists())
    {
        return Err(Failure::usage(format!(
            "{} is the same file as {}, which has a ledger; use that name, or make a copy",
            file.display(),
            other.path.display()
        )));
    }
    if known.contains(&name) {
        return Ok(());
    }
    add(&list, &name).map_err(|error| {
        Failure::failed(format!(
            "{} cannot be written: {error}; nothing was sent",
            list.display()
        ))
    })
}

impl Name {
    fn is_other_name_of(&self, name: &Self) -> bool {
        self.device == name.device && self.inode == name.inode && self.path != name.path
    }

    /// Returns whether the path still leads to this file. The file system reuses the numbers of a removed file.
    fn is_current(&self) -> bool {
        name_of(&self.path).is_ok_and(|name| name.as_ref() == Some(self))
    }
}

fn read(list: &Path) -> Vec<Name> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let names = text.lines().map(serde_json::from_str);
    names.filter_map(Result::ok).collect()
}

fn add(list: &Path, name: &Name) -> io::Result<()> {
    if let Some(folder) = list.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut line = serde_json::to_string(name)?;
    line.push('\n');
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(list)?.write_all(line.as_bytes())
}

/// The name of a file, or `None` on a system that does not number files.
fn name_of(file: &Path) -> Result<Option<Name>, Failure> {
    let path = file
        .canonicalize()
        .map_err(|error| Failure::unreadable(file, &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(&path).map_err(|error| Failure::unreadable(file, &error))?;
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
