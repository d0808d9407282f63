//! Where the program keeps its ledgers: one for the jobs of this machine, and one beside the file of each batch.

use std::env;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use veo_core::ledger::{Entry, FileLedger, Find, Ledger as _, Listed, Which};
use veo_core::{Error, ErrorKind, JobRef, VideoRequest};

use crate::earlier;
use crate::failure::Failure;

/// Says which key a request has, whose images are named from a folder.
type KeyOf<'a> = dyn FnMut(&VideoRequest, &Path) -> Option<String> + 'a;

/// A ledger, and where it belongs.
pub(crate) struct Store {
    ledger: FileLedger,
    /// The file of the batch, if it is the ledger of one.
    batch: Option<PathBuf>,
    /// The file of the batch, locked for this process alone.
    _alone: Option<File>,
    /// The folder of a ledger that goes with the program, as the jobs of its simulator do.
    temporary: Option<TempDir>,
}

impl Store {
    /// The ledger of all jobs that are in no batch.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let path = path_of_all().ok_or_else(|| {
            Failure::usage("there is no place to keep jobs in, and none is sent without; set HOME or XDG_STATE_HOME")
        })?;
        earlier::read(&path, |_, _| None)?;
        Ok(Self {
            ledger: FileLedger::open(path).await?,
            batch: None,
            _alone: None,
            temporary: None,
        })
    }

    /// The same if there is one.
    pub(crate) async fn of_no_batch() -> Result<Option<Self>, Failure> {
        let Some(path) = path_of_all() else {
            return Ok(None);
        };
        earlier::read(&path, |_, _| None)?;
        let ledger = FileLedger::open_existing(path).await?;
        Ok(ledger.map(|ledger| Self {
            ledger,
            batch: None,
            _alone: None,
            temporary: None,
        }))
    }

    /// The ledger of a batch, for this process alone. The lock is on the file of the batch, so that whoever names it in
    /// another way meets it too.
    /// `key_of` says which key a request of an earlier record of it has now. Without it, such a record is refused, since its
    /// requests would not be known again, and so is a batch that was not begun.
    pub(crate) async fn open_batch(
        file: &Path,
        key_of: Option<&mut KeyOf<'_>>,
    ) -> Result<Self, Failure> {
        let busy = || {
            let message = format!(
                "another veo is at this batch and has {}; wait for its end",
                file.display()
            );
            Failure::usage(message)
        };
        let locked = File::open(file).map_err(|error| match key_of {
            Some(_) => unreadable(file, &error),
            None => not_begun(file),
        })?;
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => {
                let message = format!(
                    "{} cannot be locked; put a copy of it on another file system",
                    file.display()
                );
                return Err(Error::new(ErrorKind::Ledger, message)
                    .with_source(error)
                    .into());
            }
        }
        let path = ledger_of(file)?;
        let ledger = match key_of {
            Some(key_of) => {
                earlier::read(&path, key_of)?;
                FileLedger::open(path).await?
            }
            None => FileLedger::open_existing(path)
                .await?
                .ok_or_else(|| not_begun(file))?,
        };
        Ok(Self {
            ledger,
            batch: Some(file.to_owned()),
            _alone: Some(locked),
            temporary: None,
        })
    }

    /// The ledger of a batch, to look at, if the batch was begun.
    pub(crate) async fn of_batch(file: &Path) -> Result<Self, Failure> {
        // A batch that is not there has no ledger that could be found.
        let path = ledger_of(file).map_err(|_| not_begun(file))?;
        let ledger = FileLedger::open_existing(path)
            .await?
            .ok_or_else(|| not_begun(file))?;
        Ok(Self {
            ledger,
            batch: Some(file.to_owned()),
            _alone: None,
            temporary: None,
        })
    }

    /// A ledger that goes with the program, for jobs that do.
    pub(crate) async fn temporary() -> Result<Self, Failure> {
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|error| {
            Failure::failed(format!("there is no place for temporary files: {error}"))
        })?;
        let ledger = FileLedger::open(folder.path().join("jobs.jsonl")).await?;
        Ok(Self {
            ledger,
            batch: None,
            _alone: None,
            temporary: Some(folder),
        })
    }

    pub(crate) fn ledger(&self) -> &FileLedger {
        &self.ledger
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

    /// The open entry whose video is to be saved in a place.
    pub(crate) async fn at(&self, target: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.ledger.find(Find::Target(target)).await?)
    }

    pub(crate) async fn list(&self, which: Which) -> Result<Vec<Listed>, Failure> {
        Ok(self.ledger.list(which).await?)
    }

    /// Why the program has to end with a failure although it did what it was to do: the ledger is damaged.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let problems = self.ledger.problems().await;
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} is damaged:\n{}",
            self.ledger.path().display(),
            problems.join("\n")
        );
        Err(Error::new(ErrorKind::LedgerDamaged, message).into())
    }
}

fn not_begun(file: &Path) -> Failure {
    Failure::usage(format!(
        "{} has not been begun; there is no ledger beside it",
        file.display()
    ))
}

/// The ledger of a batch, by the file itself and not by a link to it.
pub(crate) fn ledger_of(file: &Path) -> Result<PathBuf, Failure> {
    let file = file
        .canonicalize()
        .map_err(|error| unreadable(file, &error))?;
    let mut name = file.into_os_string();
    name.push(".ledger");
    Ok(name.into())
}

pub(crate) fn path_of_all() -> Option<PathBuf> {
    Some(state_folder()?.join("jobs.jsonl"))
}

/// The folder in which the program keeps what it has to know later.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let folder = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute());
    Some(
        folder
            .or_else(|| Some(env::home_dir()?.join(".local/state")))?
            .join("veo"),
    )
}

pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", file.display()))
}
