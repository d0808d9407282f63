//! The ledger in a file of JSON lines, which Tokio tasks and processes share.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::disk::{unlockable, unsynced, unusable};
use super::journal::{Journal, PATIENCE, write_whole};
use super::{Begin, Begun, Entry, Event, Find, Ledger, Listed, Outcome, Want, Which};
use crate::runtime::runtime;
use crate::text::random;
use crate::{BoxFuture, Error, ErrorKind};

/// A ledger in a file, which processes of one machine can share.
///
/// The file has a line of JSON with a checksum for each event. Its first line stores the length of the file, so that
/// missing lines are noticed. No paid call is made from a damaged file, but its jobs can be waited for and saved.
/// [`problems`](Self::problems) names the damaged lines.
///
/// The file system has to support locks, and has to sync a file to the disk. While a process may send from the ledger,
/// it keeps a second file locked beside the ledger. The name of the second file starts with a dot.
///
/// ```
/// use veo_core::ledger::FileLedger;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), veo_core::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("jobs.ledger");
/// let ledger = FileLedger::open(&path).await?;
/// assert!(ledger.problems().await.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FileLedger {
    path: Arc<Path>,
    inner: Arc<Mutex<Journal>>,
}

/// A ledger file that no other process uses. Dropping this value unlocks the file, even in a panic.
struct Locked(OwnedMutexGuard<Journal>);

impl FileLedger {
    /// Opens a ledger, and makes the file if it does not exist. A file that cannot be written is opened for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the file cannot be made or read, and [`ErrorKind::LedgerDamaged`] if it is no ledger.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = absolute(path.as_ref())?;
        let opened = path.clone();
        let inner = blocking(&path, move || Journal::open(&opened, true)).await?;
        Ok(Self {
            path: inner.path.clone(),
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// Opens a ledger, or returns nothing if the file does not exist.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Self::open).
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let path = absolute(path.as_ref())?;
        if !path.try_exists().map_err(|error| unusable(&path, error))? {
            return Ok(None);
        }
        let opened = path.clone();
        let inner = blocking(&path, move || Journal::open(&opened, false)).await?;
        Ok(Some(Self {
            path: inner.path.clone(),
            inner: Arc::new(Mutex::new(inner)),
        }))
    }

    /// Writes a new ledger with the given entries. The file must not exist yet. This blocks until it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the file cannot be written.
    pub fn create(
        path: impl AsRef<Path>,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let written = write_whole(
            path,
            &random::<8>(),
            entries.into_iter().map(Ok),
            Vec::new(),
            false,
        );
        written.map_err(|error| unusable(path, error))
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the problems of the file, with the numbers of its lines. The list is empty if the file is whole.
    pub async fn problems(&self) -> Vec<String> {
        self.inner.lock().await.problems.clone()
    }

    /// Returns whether the file was made when it was opened.
    pub async fn is_new(&self) -> bool {
        self.inner.lock().await.is_new
    }

    /// Rewrites the file with one line for each entry, if no call is under way and nothing was written for a minute. If
    /// the process ends meanwhile, the file stays as it was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the file cannot be written, and [`ErrorKind::LedgerDamaged`] if the file is damaged.
    pub async fn compact(&self) -> Result<(), Error> {
        self.locked(Journal::compact).await
    }

    /// Locks the file, reads the lines that other processes have written, and then does the work.
    async fn locked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ledger = self.clone();
        self.in_a_task(async move {
            let inner = ledger.lock().await?;
            blocking(&ledger.path, move || {
                let Locked(inner) = &mut { inner };
                inner.caught_up().and_then(|()| work(inner))
            })
            .await
        })
        .await
    }

    /// Does the work like [`locked`](Self::locked), and returns when the new line is on the disk. The file is unlocked
    /// before it is synced, so that one sync serves several processes. If the sync fails, `take_back` withdraws a line
    /// that `counts` as a permission to send.
    async fn written<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, Error> + Send + 'static,
        counts: impl FnOnce(&T) -> bool + Send + 'static,
        take_back: impl FnOnce(&mut Journal) -> Result<(), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ledger = self.clone();
        let write = async move {
            let (inner, shared) = (ledger.lock().await?, ledger.inner.clone());
            blocking(&ledger.path, move || {
                let mut locked = inner;
                let Locked(inner) = &mut locked;
                let mut is_written = false;
                let done = inner.caught_up().and_then(|()| {
                    let before = inner.read_to;
                    let done = work(inner);
                    is_written = inner.read_to != before;
                    done
                });
                let (path, file) = (inner.path.clone(), inner.file.clone());
                drop(locked);
                let done = done?;
                // A power failure would lose a line that is not on the disk, and its call could be sent a second time.
                if is_written && let Err(error) = file.sync_data() {
                    let mut inner = shared.blocking_lock();
                    inner.is_unsynced = true;
                    // After this error the call is not sent, so its line is withdrawn. Otherwise its key stays unknown.
                    if counts(&done) {
                        // The caller gets the error of the disk, even if the withdrawal fails too.
                        let _ = inner.file.lock();
                        let _ = inner.caught_up().and_then(|()| take_back(&mut inner));
                        inner.unlock();
                    }
                    return Err(unsynced(&path, error));
                }
                Ok(done)
            })
            .await
        };
        self.in_a_task(write).await
    }

    /// Runs work in a separate Tokio task, which is aborted when the caller drops its future. Otherwise a caller that
    /// stops polling, for example in a branch of `select!`, would keep the file locked.
    async fn in_a_task<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        runtime()?;
        let mut task = JoinSet::new();
        task.spawn(work);
        match task.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => Err(unusable(&self.path, io::Error::other(error))),
            None => Err(unusable(
                &self.path,
                io::Error::other("the task of the ledger did not start"),
            )),
        }
    }

    /// Locks the file. A caller that drops this future leaves no lock behind.
    async fn lock(&self) -> Result<Locked, Error> {
        let deadline = Instant::now() + PATIENCE;
        let inner = self.inner.clone().lock_owned().await;
        loop {
            if inner.is_read_only {
                return Ok(Locked(inner));
            }
            match inner.file.try_lock() {
                Ok(()) => return Ok(Locked(inner)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(5)).await
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!(
                        "another process keeps {} in use; try again later",
                        self.path.display()
                    );
                    return Err(Error::new(ErrorKind::Ledger, message));
                }
                Err(TryLockError::Error(error)) => return Err(unlockable(&self.path, error)),
            }
        }
    }
}

impl Ledger for FileLedger {
    fn want(&self, want: Want) -> BoxFuture<'_, Result<Entry, Error>> {
        Box::pin(self.written(move |inner| inner.want(want), |_| false, |_| Ok(())))
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>> {
        Box::pin(async move {
            let key = begin.want.key.clone();
            let withdraw = move |inner: &mut Journal| {
                let why = "the ledger could not be synced to the disk, so the request was not sent";
                let outcome = Outcome::rejected(Error::new(ErrorKind::Ledger, why));
                inner.append(&key, &Event::Ended { outcome }, None)
            };
            self.written(
                move |inner| inner.begin(begin),
                |begun| matches!(begun, Begun::Yours),
                withdraw,
            )
            .await
        })
    }

    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        let key = key.to_owned();
        Box::pin(self.written(
            move |inner| inner.record(&key, &event),
            |_| false,
            |_| Ok(()),
        ))
    }

    fn entry<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        let key = key.to_owned();
        Box::pin(self.locked(move |inner| inner.entry(&key)))
    }

    fn find<'a>(&'a self, find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async move {
            let (job, text) = match find {
                Find::Job(job) => (Some(job.clone()), String::new()),
                Find::Marker(text) | Find::Target(text) => (None, text.to_owned()),
            };
            let by_marker = matches!(find, Find::Marker(_));
            let find = move |inner: &mut Journal| {
                let row = match &job {
                    Some(job) => inner.book.by_job(job),
                    None if by_marker => inner.book.by_marker(&text),
                    None => inner.book.by_target(&text),
                };
                let key = row.map(|row| row.key.to_string());
                key.map_or(Ok(None), |key| inner.entry(&key))
            };
            self.locked(find).await
        })
    }

    fn list(&self, which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>> {
        Box::pin(self.locked(move |inner| inner.list(which)))
    }

    fn spent<'a>(&'a self, budget: &'a str) -> BoxFuture<'a, Result<f64, Error>> {
        let budget = budget.to_owned();
        Box::pin(self.locked(move |inner| Ok(inner.book.spent(&budget))))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    runtime()?;
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(unusable(path, io::Error::other(error))))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| unusable(path, error))
}
