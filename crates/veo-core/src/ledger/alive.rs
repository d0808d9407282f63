//! Finds the processes that may send from a ledger and are still alive. Each such process keeps a file of its own
//! locked beside the ledger while it lives.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{private, unlockable, unusable};
use crate::Error;
use crate::text::{folder_of, random};

/// The processes that may send from a ledger, or could do so before.
#[derive(Debug)]
pub(super) struct Processes {
    ledger: Arc<Path>,
    /// The file of this process, as soon as the process may send.
    own: Option<OwnFile>,
    /// The results of earlier checks: true for a process that was alive.
    known: HashMap<Box<str>, bool>,
}

/// The file of this process. It is locked while this value lives.
#[derive(Debug)]
struct OwnFile {
    id: String,
    path: PathBuf,
    _file: File,
}

impl Processes {
    pub(super) fn of(ledger: Arc<Path>) -> Self {
        Self {
            ledger,
            own: None,
            known: HashMap::new(),
        }
    }

    /// Returns the id of this process. From here on other processes see its locked file.
    pub(super) fn own_id(&mut self) -> Result<String, Error> {
        if let Some(own) = &self.own {
            return Ok(own.id.clone());
        }
        self.remove_ended();
        let id = random::<8>();
        let path = path_of(&self.ledger, &id);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        let file = options
            .open(&path)
            .map_err(|error| unusable(&path, error))?;
        file.try_lock()
            .map_err(|error| unlockable(&path, error.into()))?;
        self.own = Some(OwnFile {
            id: id.clone(),
            path,
            _file: file,
        });
        Ok(id)
    }

    pub(super) fn is_alive(&mut self, id: &str) -> bool {
        if self.own.as_ref().is_some_and(|own| own.id == id) {
            return true;
        }
        // A process that has ended stays ended, since its id is random.
        if self.known.get(id) == Some(&false) {
            return false;
        }
        let is_alive = match File::open(path_of(&self.ledger, id)) {
            Ok(file) => file.try_lock_shared().is_err(),
            // Another error does not show that the process has ended. A live one must not be settled while it sends.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        self.known.insert(id.into(), is_alive);
        is_alive
    }

    fn remove_ended(&self) {
        let prefix = path_of(&self.ledger, "");
        let prefix = prefix.file_name().unwrap_or_default().to_string_lossy();
        let Ok(files) = fs::read_dir(folder_of(&self.ledger)) else {
            return;
        };
        for file in files.flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let id = name.strip_prefix(&*prefix);
            if id.is_none_or(|id| id.len() != 16) {
                continue;
            }
            let has_ended =
                File::open(file.path()).is_ok_and(|file| file.try_lock_shared().is_ok());
            if has_ended {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the file beside the ledger that shows that a process is alive.
fn path_of(ledger: &Path, id: &str) -> PathBuf {
    let name = ledger.file_name().unwrap_or_default().to_string_lossy();
    ledger.with_file_name(format!(".{name}.{id}"))
}
