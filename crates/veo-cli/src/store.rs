//! The ledgers: one for the jobs of this machine and one beside the file of each batch, or one that machines share.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use veo_core::ledger::{Entry, FileLedger, Find, Ledger, Listed, Which};
use veo_core::{Error, ErrorKind, JobRef, VideoRequest};

use crate::earlier;
use crate::failure::Failure;
use crate::ledgers::Ledgers;
use crate::paths::own_folder;
use crate::read;

/// Finds the key for a request of an earlier record, from the request and the file of its video.
type KeyOf<'a> = dyn FnMut(&VideoRequest, &Path) -> Option<String> + 'a;

/// A ledger, and the batch that it belongs to.
pub(crate) struct Store {
    ledger: Arc<dyn Ledger>,
    /// The same ledger, if it is in a file.
    file: Option<FileLedger>,
    batch: Option<PathBuf>,
    /// The file of the batch. Its lock keeps a second process from sending the same lines at the same time.
    _lock: Option<File>,
    /// The folder of a temporary ledger. It is removed at the end, when the jobs of its simulator end too.
    temporary: Option<TempDir>,
}

impl Store {
    /// Opens the ledger of all jobs that are in no batch, and creates it if there is none.
    pub(crate) async fn open(ledgers: &Ledgers) -> Result<Self, Failure> {
        if let Some(store) = Self::open_shared(ledgers).await? {
            return Ok(store);
        }
        let Some(path) = path_of_all() else {
            return Err(Failure::usage(
                "there is no folder for the ledger, so nothing was sent; set HOME or XDG_STATE_HOME",
            ));
        };
        earlier::read(&path, |_, _| None)?;
        Ok(Self::of(FileLedger::open(path).await?))
    }

    /// Opens the ledger of all jobs that are in no batch, if there is one.
    pub(crate) async fn open_existing(ledgers: &Ledgers) -> Result<Option<Self>, Failure> {
        if let Some(store) = Self::open_shared(ledgers).await? {
            return Ok(Some(store));
        }
        let Some(path) = path_of_all() else {
            return Ok(None);
        };
        earlier::read(&path, |_, _| None)?;
        let ledger = FileLedger::open_existing(path).await?;
        Ok(ledger.map(Self::of))
    }

    /// Opens the ledger that machines share, if there is one.
    pub(crate) async fn open_shared(ledgers: &Ledgers) -> Result<Option<Self>, Failure> {
        let ledger = ledgers.shared().await?;
        Ok(ledger.map(Self::of_all_machines))
    }

    /// Opens the ledger of a batch for this process alone, and creates it if there is none. The lock is on the file of
    /// the batch, so that it also stops a process that names the file by a link.
    ///
    /// `key_of` finds the key that a request of an earlier record has now.
    pub(crate) async fn open_batch(file: &Path, key_of: &mut KeyOf<'_>) -> Result<Self, Failure> {
        let lock = read::open(file).map_err(|error| Failure::unreadable(file, &error))?;
        lock_alone(file, &lock)?;
        let path = ledger_of(file)?;
        // The record is converted before anything is sent. Otherwise its paid lines would count as new.
        earlier::read(&path, key_of)?;
        let mut store = Self::of(FileLedger::open(path).await?);
        store.batch = Some(file.to_owned());
        store._lock = Some(lock);
        Ok(store)
    }

    /// Opens the ledger of a batch that was begun, for this process alone. Refuses an earlier record, since only the
    /// lines of the batch can give its requests their keys.
    pub(crate) async fn open_begun_batch(file: &Path, ledgers: &Ledgers) -> Result<Self, Failure> {
        let lock = read::open(file).map_err(|_| not_begun(file))?;
        lock_alone(file, &lock)?;
        let mut store = Self::look_at_batch(file, ledgers).await?;
        store._lock = Some(lock);
        Ok(store)
    }

    /// Opens the ledger of a batch that was begun, without a lock, to read it.
    pub(crate) async fn look_at_batch(file: &Path, ledgers: &Ledgers) -> Result<Self, Failure> {
        if ledgers.are_shared()? {
            return Err(Failure::usage(
                "the ledger that machines share has the jobs of all batches together; leave out --batch",
            ));
        }
        // The ledger is beside the file, so a missing file means that no batch was begun.
        let path = ledger_of(file).map_err(|_| not_begun(file))?;
        let Some(ledger) = FileLedger::open_existing(path).await? else {
            return Err(not_begun(file));
        };
        let mut store = Self::of(ledger);
        store.batch = Some(file.to_owned());
        Ok(store)
    }

    /// Creates a ledger in a temporary folder, for jobs that end with the program.
    pub(crate) async fn temporary() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::failed(format!("there is no place for temporary files: {error}"))
        })?;
        let ledger = FileLedger::open(folder.path().join("jobs.jsonl")).await?;
        let mut store = Self::of(ledger);
        store.temporary = Some(folder);
        Ok(store)
    }

    fn of(ledger: FileLedger) -> Self {
        Self {
            ledger: Arc::new(ledger.clone()),
            file: Some(ledger),
            batch: None,
            _lock: None,
            temporary: None,
        }
    }

    fn of_all_machines(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            file: None,
            batch: None,
            _lock: None,
            temporary: None,
        }
    }

    pub(crate) fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Returns whether other machines send from this ledger too.
    pub(crate) fn is_shared(&self) -> bool {
        self.file.is_none()
    }

    /// Returns whether this process created the ledger, so that the ledger has no earlier request.
    pub(crate) async fn is_new(&self) -> bool {
        match &self.file {
            Some(file) => file.is_new().await,
            None => false,
        }
    }

    /// The file of the batch, if this is the ledger of one.
    pub(crate) fn batch(&self) -> Option<&Path> {
        self.batch.as_deref()
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    pub(crate) async fn entry(&self, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.ledger.entry(key).await?)
    }

    pub(crate) async fn find(&self, job: &JobRef) -> Result<Option<Entry>, Failure> {
        Ok(self.ledger.find(Find::Job(job)).await?)
    }

    /// The open entry whose video is to be saved at a target.
    pub(crate) async fn entry_with_target(&self, target: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.ledger.find(Find::Target(target)).await?)
    }

    pub(crate) async fn list(&self, which: Which) -> Result<Vec<Listed>, Failure> {
        Ok(self.ledger.list(which).await?)
    }

    /// Removes the ledger if it was made just now and has no entry. The lock keeps other processes away meanwhile.
    pub(crate) async fn remove_if_unused(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let entries = self.list(Which::All).await;
        let is_empty = entries.is_ok_and(|entries| entries.is_empty());
        if is_empty && file.is_new().await {
            // A failure leaves an empty ledger, which does no harm.
            let _ = fs::remove_file(file.path());
        }
    }

    /// Fails if the ledger is damaged, since each damaged line can be about a paid video.
    pub(crate) async fn fail_if_damaged(&self) -> Result<(), Failure> {
        // A database checks its own integrity.
        let Some(file) = &self.file else {
            return Ok(());
        };
        let problems = file.problems().await;
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} is damaged:\n{}",
            file.path().display(),
            problems.join("\n")
        );
        Err(Error::new(ErrorKind::LedgerDamaged, message).into())
    }
}

/// Locks the file of a batch for this process alone. Without the lock nothing is sent.
fn lock_alone(file: &Path, lock: &File) -> Result<(), Failure> {
    let shown = file.display();
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Failure::usage(format!(
            "another veo process is running this batch, {shown}; wait for its end"
        ))),
        Err(TryLockError::Error(error)) => {
            let message =
                format!("{shown} cannot be locked; put a copy of it on another file system");
            Err(Error::new(ErrorKind::Ledger, message)
                .with_source(error)
                .into())
        }
    }
}

fn not_begun(file: &Path) -> Failure {
    Failure::usage(format!(
        "{} has not been begun; there is no ledger beside it",
        file.display()
    ))
}

/// The path of the ledger of a batch. Links are resolved first, so that two links to one file do not get two ledgers.
pub(crate) fn ledger_of(file: &Path) -> Result<PathBuf, Failure> {
    let file = file
        .canonicalize()
        .map_err(|error| Failure::unreadable(file, &error))?;
    let mut name = file.into_os_string();
    name.push(".ledger");
    Ok(name.into())
}

/// The folder for the files that the program needs in later runs.
pub(crate) fn state_folder() -> Option<PathBuf> {
    own_folder("XDG_STATE_HOME", ".local/state")
}

fn path_of_all() -> Option<PathBuf> {
    Some(state_folder()?.join("jobs.jsonl"))
}
