//! A ledger in a file of JSON lines.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::book::{Book, Row, Short, kind};
use super::line::{
    HEAD, Head, START, VERSION, head_line, is_room, is_room_only, line, prompt_in, read_at,
    read_head, short_of, split,
};
use super::{
    Attempt, Begin, Begun, Entry, EntryState, Event, Find, Ledger, Listed, Outcome, Want, Which,
    key_reused, target_taken,
};
use crate::runtime::runtime;
use crate::text::{folder_of, hex, random};
use crate::{BoxFuture, Error, ErrorKind};

/// A ledger in a file, which processes of one machine can share.
///
/// The file has a line for each thing that happened, in JSON and with a checksum. Its first line says how far it reaches, so
/// that a file that was cut is told from one that is whole. Whatever of it is damaged, no paid call is made from it, while
/// waiting and saving go on; [`problems`](Self::problems) says which lines it is about.
///
/// The file system has to have locks and has to be able to write a file through to the disk. While a process may send from
/// the file, a file beside it, whose name starts with a dot, is locked to say so.
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
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    path: Arc<Path>,
    file: Arc<File>,
    head: Head,
    book: Book,
    /// The end of the last line that was read.
    read_to: u64,
    problems: Vec<String>,
    /// The key of the entry whose last line was torn off, until that is written down.
    torn: Option<String>,
    /// The mark of this process, once it may send.
    mark: Option<Mark>,
    /// Whether those marks are there whose processes are alive.
    alive: HashMap<Box<str>, bool>,
    is_read_only: bool,
    /// Something could not be written through to the disk.
    is_unsynced: bool,
    is_new: bool,
}

/// A ledger whose file no other process has; also if what is done with it panics, it is let go.
struct Locked(OwnedMutexGuard<Inner>);

/// A file that is locked for as long as this process lives.
#[derive(Debug)]
struct Mark {
    id: String,
    path: PathBuf,
    _file: File,
}

/// Reads prompts. The lines of a file are mostly asked for one after the other, so it is read as a whole.
struct Prompts<'a> {
    file: BufReader<&'a File>,
    /// Where it has been read to.
    at: u64,
    line: Vec<u8>,
}

/// The number of lines of a file whose first line cannot be read.
const UNKNOWN: u64 = u64::MAX;
/// What the key of an entry starts with of which only the digest of the key is known.
const TORN: &str = "torn-";
/// How much is kept free on the disk for the outcome of each call under way, in bytes.
const ROOM: u64 = 8 << 10;
/// For how many calls at most there is room. Those whose process has ended are among them.
const MOST_ROOM: usize = 256;
/// The longest line. There are images of the caller in the longest ones; what comes from outside has been cut to less before.
const LONGEST: usize = 128 << 20;
/// For how long nothing has to be written before the file is rewritten. It is longer than the span of any limit.
const QUIET: Duration = Duration::from_secs(60);
/// How many lines there have to be more than entries before the file is rewritten by itself.
const SPARE_LINES: u64 = 1000;
/// How long to wait for another process to have written its line.
const PATIENCE: Duration = Duration::from_secs(10);
impl FileLedger {
    /// Opens a ledger, and makes it if it is not there. A file that can only be read is opened for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if there can be no such file, and [`ErrorKind::LedgerDamaged`] if it is something else.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = absolute(path.as_ref())?;
        let opened = path.clone();
        let inner = blocking(&path, move || Inner::open(&opened, true)).await?;
        Ok(Self {
            path: inner.path.clone(),
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// As [`open`](Self::open), but gives nothing instead of making a file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let path = absolute(path.as_ref())?;
        if !path.try_exists().map_err(|error| unusable(&path, error))? {
            return Ok(None);
        }
        let opened = path.clone();
        let inner = blocking(&path, move || Inner::open(&opened, false)).await?;
        Ok(Some(Self {
            path: inner.path.clone(),
            inner: Arc::new(Mutex::new(inner)),
        }))
    }

    /// Writes a ledger of entries that come from elsewhere. There must be no file yet. This blocks until it is on the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if it cannot be written.
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

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with the file, with the numbers of its lines; nothing if all is well.
    pub async fn problems(&self) -> Vec<String> {
        self.inner.lock().await.problems.clone()
    }

    /// Whether the file was not there when it was opened.
    pub async fn is_new(&self) -> bool {
        self.inner.lock().await.is_new
    }

    /// Rewrites the file with one line for each entry, if nothing is under way and it was not written to for a minute. A process that
    /// ends meanwhile leaves the file as it was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if it cannot be written, and [`ErrorKind::LedgerDamaged`] if not all of it is understood.
    pub async fn compact(&self) -> Result<(), Error> {
        self.locked(Inner::compact).await
    }

    /// Does something with the file while no other process writes, and sees what others have written before.
    async fn locked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T, Error> + Send + 'static,
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

    /// The same for what has to be on the disk before it counts. The file is let go while it is written through, so that
    /// those who write at the same time are written through together. What could not be written through is taken back.
    async fn written<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<T, Error> + Send + 'static,
        counts: impl FnOnce(&T) -> bool + Send + 'static,
        take_back: impl FnOnce(&mut Inner) -> Result<(), Error> + Send + 'static,
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
                if is_written && let Err(error) = file.sync_data() {
                    let mut inner = shared.blocking_lock();
                    inner.is_unsynced = true;
                    if counts(&done) {
                        // The caller is told why, whether this can be written or not.
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

    /// Lets something go on while the caller does something else: whoever has the file and is not asked to go on, in a branch
    /// of a `select!` for example, would keep it from all others. It ends with the caller.
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
            None => Err(unusable(&self.path, io::Error::other("it was not asked"))),
        }
    }

    /// The file, locked. Whoever stops waiting leaves nothing behind.
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
                        "{} is in use by another process and stays so; try again",
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
            let withdraw = move |inner: &mut Inner| {
                let why = "the record could not be written through to the disk, so it was not sent";
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
            let find = move |inner: &mut Inner| {
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

impl Inner {
    fn open(path: &Path, create: bool) -> Result<Self, Error> {
        let is_new = create && !path.exists();
        if is_new {
            make_folder(folder_of(path)).map_err(|error| unusable(path, error))?;
            match write_whole(path, &random::<8>(), std::iter::empty(), Vec::new(), false) {
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => written.map_err(|error| unusable(path, error))?,
            }
        }
        // A link to it is replaced by nothing, and all who use the file see the same names beside it.
        let path: Arc<Path> = fs::canonicalize(path)
            .map_err(|error| unusable(path, error))?
            .into();
        let (file, is_read_only) = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => (file, false),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                (
                    File::open(&path).map_err(|error| unusable(&path, error))?,
                    true,
                )
            }
            Err(error) => return Err(unusable(&path, error)),
        };
        let file = Arc::new(file);
        if !file
            .metadata()
            .map_err(|error| unusable(&path, error))?
            .is_file()
        {
            return Err(unusable(&path, io::Error::other("it is no file")));
        }
        let head = Head {
            version: VERSION,
            id: String::new(),
            lines: 0,
            end: 0,
            last: String::new(),
        };
        let mut inner = Self {
            path,
            file,
            head,
            book: Book::default(),
            read_to: HEAD,
            problems: Vec::new(),
            torn: None,
            mark: None,
            alive: HashMap::new(),
            is_read_only,
            is_unsynced: false,
            is_new,
        };
        if !inner.is_read_only {
            inner.lock_first()?;
        }
        let loaded = inner.load().and_then(|()| {
            let spare = inner
                .head
                .lines
                .saturating_sub(inner.book.rows.len() as u64 * 2);
            let is_sound = inner.problems.is_empty() && !inner.is_read_only;
            let is_long = spare > SPARE_LINES || inner.book.has_spent_links();
            if is_sound && is_long {
                inner.compact()
            } else {
                Ok(())
            }
        });
        inner.unlock();
        loaded.map(|()| inner)
    }

    /// Locks the file to which the path leads now. Another process can have rewritten it since it was opened.
    fn lock_first(&mut self) -> Result<(), Error> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            match self.file.try_lock() {
                Ok(()) if is_in_place(&self.path, &self.file) => return Ok(()),
                Ok(()) => {
                    self.unlock();
                    let file = OpenOptions::new().read(true).write(true).open(&self.path);
                    self.file = Arc::new(file.map_err(|error| unusable(&self.path, error))?);
                }
                Err(TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(unlockable(
                        &self.path,
                        io::Error::other("another process has it and keeps it"),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(unlockable(&self.path, error)),
            }
        }
    }

    fn unlock(&self) {
        if !self.is_read_only {
            // It is unlocked at the end of the process in any case.
            let _ = self.file.unlock();
        }
    }

    /// Reads all of the file anew.
    fn load(&mut self) -> Result<(), Error> {
        (self.book, self.read_to, self.torn) = (Book::default(), HEAD, None);
        self.problems.clear();
        self.alive.clear();
        self.head.lines = 0;
        match read_head(&self.file).map_err(|error| unusable(&self.path, error))? {
            Some(head) if head.version > VERSION => {
                let path = self.path.display();
                let message =
                    format!("{path} was written by a later version of veo; use that version");
                Err(Error::new(ErrorKind::LedgerDamaged, message))
            }
            Some(head) => self.read_lines(head),
            None => {
                let mut start = Vec::new();
                let read = (&*self.file)
                    .seek(SeekFrom::Start(0))
                    .and_then(|_| (&*self.file).take(512).read_to_end(&mut start));
                read.map_err(|error| unusable(&self.path, error))?;
                // The first line can be damaged, and the second then shows whose file it is.
                let second = start
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(&[][..], |end| &start[end + 1..]);
                let is_ledger = start.starts_with(b"{\"veo-ledger\"") || second.starts_with(START);
                if !is_ledger && !start.iter().all(u8::is_ascii_whitespace) {
                    let path = self.path.display();
                    let old = start.starts_with(b"{\"id\":");
                    let what = if old {
                        "is a record of an earlier version of veo"
                    } else {
                        "is no ledger of veo"
                    };
                    let message = format!(
                        "{path} {what}; nothing was sent, and it stays as it is. Move it away to begin anew"
                    );
                    return Err(Error::new(ErrorKind::LedgerDamaged, message));
                }
                self.problems.push(
                    "line 1: it is changed, and does not say how far the file reaches".to_owned(),
                );
                // What there is can still be waited for.
                let end = self
                    .file
                    .metadata()
                    .map_err(|error| unusable(&self.path, error))?
                    .len();
                let head = Head {
                    version: VERSION,
                    id: String::new(),
                    lines: UNKNOWN,
                    end,
                    last: String::new(),
                };
                self.read_lines(head)
            }
        }
    }

    /// Sees what other processes have written, and whether the file is still the one that was opened.
    fn caught_up(&mut self) -> Result<(), Error> {
        if !self.is_read_only && !is_in_place(&self.path, &self.file) {
            self.reopen()?;
        }
        match read_head(&self.file).map_err(|error| unusable(&self.path, error))? {
            Some(head) if head == self.head => Ok(()),
            Some(head)
                if head.id == self.head.id
                    && head.end >= self.read_to
                    && self.problems.is_empty() =>
            {
                self.read_lines(head)
            }
            _ => self.load(),
        }
    }

    /// Goes on with the file that another process has rewritten.
    fn reopen(&mut self) -> Result<(), Error> {
        let gone = |_| {
            let message = format!(
                "{} was removed or replaced meanwhile, so nothing more is sent",
                self.path.display()
            );
            Error::new(ErrorKind::Ledger, message)
        };
        let file = loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&self.path)
                .map_err(gone)?;
            file.lock().map_err(|error| unlockable(&self.path, error))?;
            // It can be rewritten once more until it is locked.
            if is_in_place(&self.path, &file) {
                break file;
            }
        };
        let head = read_head(&file).map_err(|error| unusable(&self.path, error))?;
        if head.is_none_or(|head| head.id != self.head.id) {
            return Err(gone(io::Error::other("another file")));
        }
        self.unlock();
        self.file = Arc::new(file);
        self.load()
    }

    /// Reads the lines after those that were read before.
    fn read_lines(&mut self, head: Head) -> Result<(), Error> {
        let unreadable = |path: &Path, error| unusable(path, error);
        let file = self.file.clone();
        let mut reader = BufReader::with_capacity(1 << 20, &*file);
        reader
            .seek(SeekFrom::Start(self.read_to))
            .map_err(|error| unreadable(&self.path, error))?;
        let (mut at, mut number, mut bytes) = (self.read_to, self.head.lines, Vec::new());
        let mut is_damaged = false;
        while at < head.end {
            bytes.clear();
            let longest = (head.end - at).min(LONGEST as u64);
            let read = reader.by_ref().take(longest).read_until(b'\n', &mut bytes);
            let length = read.map_err(|error| unreadable(&self.path, error))? as u64;
            // The end of the file comes before the end that its first line names.
            // Or the disk has the room for the line and not the line, as after a power failure.
            let is_room =
                at + length == head.end && bytes.last().is_some_and(|byte| is_room(*byte));
            let is_cut = length < longest && !bytes.ends_with(b"\n") || is_room;
            let is_last = number.saturating_add(1) == head.lines && !is_damaged;
            if length == 0 || is_cut && is_last && short_of(&bytes).is_err() {
                break;
            }
            number = number.saturating_add(1);
            // The first line of the file counts too.
            let line = number.saturating_add(1);
            match short_of(&bytes) {
                Ok(short) => {
                    if short.n != number {
                        is_damaged = true;
                        self.problems.push(format!(
                            "line {line}: it says that it is line {}",
                            short.n.saturating_add(1)
                        ));
                        number = short.n;
                    }
                    if !self
                        .book
                        .apply(&short, (at, u32::try_from(length).unwrap_or(u32::MAX)))
                    {
                        self.problems.push(format!(
                            "line {line}: no line before it says what {:?} is",
                            short.key
                        ));
                    }
                }
                // There is room at the end, and nothing says where it begins.
                Err(_) if head.lines == UNKNOWN && bytes.iter().all(u8::is_ascii_whitespace) => {
                    break;
                }
                Err(problem) => {
                    is_damaged = true;
                    self.problems.push(format!("line {line}: {problem}"));
                }
            }
            at += length;
        }
        if head.lines == UNKNOWN {
            (self.read_to, self.head) = (at, head);
            return Ok(());
        }
        if at < head.end && number.saturating_add(1) == head.lines && !is_damaged {
            let key = format!("{TORN}{}", head.last);
            let torn = Short {
                at: milliseconds(),
                key: key.as_str().into(),
                state: Some(EntryState::Unknown),
                first: true,
                ..Short::default()
            };
            self.book.apply(&torn, (0, 0));
            self.torn = Some(key);
        } else if at < head.end && self.problems.is_empty() {
            let missing = head.lines.saturating_sub(number);
            self.problems.push(format!(
                "line {}: it is not there any more, and neither are {missing} in all",
                number.saturating_add(2)
            ));
        } else if number != head.lines && self.problems.is_empty() {
            self.problems.push(format!(
                "line 1: it says {} lines, and there are {number}",
                head.lines
            ));
        }
        self.read_to = at;
        self.check_room(at, number)?;
        self.head = head;
        Ok(())
    }

    /// What stands after the last line is room for the next ones, or one whose process has ended before it counted.
    fn check_room(&mut self, from: u64, number: u64) -> Result<(), Error> {
        let mut room = Vec::new();
        let mut file = &*self.file;
        let read = file
            .seek(SeekFrom::Start(from))
            .and_then(|_| file.take(16 << 20).read_to_end(&mut room));
        read.map_err(|error| unusable(&self.path, error))?;
        let is_begun = room.starts_with(&START[..room.len().min(START.len())]);
        if self.torn.is_none() && !is_begun && !is_room_only(&room) {
            let line = number.saturating_add(1);
            self.problems.push(format!(
                "line {line}: something follows it, where there should be nothing yet"
            ));
        }
        Ok(())
    }

    /// Refuses to send from a file that cannot be trusted.
    fn trusted(&self) -> Result<(), Error> {
        if !self.problems.is_empty() {
            let message = format!(
                "{} is damaged, and nothing is sent from it:\n{}",
                self.path.display(),
                self.problems.join("\n")
            );
            return Err(Error::new(ErrorKind::LedgerDamaged, message));
        }
        if self.is_unsynced {
            // The system tells that once, and then forgets it.
            let message = format!(
                "{} could not be written through to the disk, so nothing more is sent; open it again",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Ledger, message));
        }
        if has_other_names(&self.file) {
            let message = format!(
                "{} is a file with two names, so nothing is sent; remove one of them",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Ledger, message));
        }
        if self.is_read_only {
            let message = format!(
                "{} can only be read, so nothing is sent; make it writable",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Ledger, message));
        }
        Ok(())
    }

    fn want(&mut self, want: Want) -> Result<Entry, Error> {
        self.trusted()?;
        let known = self.entry(&want.key)?;
        if let Some(entry) = &known {
            if !want.wish.is_same(&entry.wish) {
                return Err(key_reused(&want.key));
            }
            if entry.state != EntryState::Rejected {
                return Ok(entry.clone());
            }
        }
        if let Some(row) = want
            .target
            .as_deref()
            .and_then(|target| self.book.by_target(target))
            && *row.key != *want.key
        {
            return Err(target_taken(
                want.target.as_deref().unwrap_or_default(),
                &row.key,
            ));
        }
        // What is stored whole need not be stored again.
        let wish = Some(want.wish).filter(|wish| known.is_none_or(|entry| entry.wish != *wish));
        let event = Event::Wanted {
            wish,
            target: want.target,
        };
        self.append(&want.key, &event, None)?;
        let entry = self.entry(&want.key)?;
        entry.ok_or_else(|| {
            unusable(
                &self.path,
                io::Error::other("what was written cannot be read"),
            )
        })
    }

    fn begin(&mut self, begin: Begin) -> Result<Begun, Error> {
        self.trusted()?;
        let key = begin.want.key.clone();
        let known = self.entry(&key)?;
        if let Some(entry) = &known {
            if !begin.want.wish.is_same(&entry.wish) {
                return Ok(Begun::KeyReused);
            }
            if !matches!(entry.state, EntryState::Wanted | EntryState::Rejected) {
                return Ok(Begun::Known(Box::new(entry.clone())));
            }
        }
        // Its line was torn off, and may have said that it was sent.
        let torn = self.entry(&format!("{TORN}{}", digest(&key)))?;
        if let Some(entry) = torn.filter(|entry| entry.state != EntryState::Rejected) {
            return Ok(Begun::Known(Box::new(entry)));
        }
        let now = milliseconds();
        let reserved = match self.book.admit(&begin, now) {
            Ok(reserved) => reserved,
            Err(answer) => return Ok(answer),
        };
        let mut attempt = Attempt::new(&begin.offer, at(now));
        (attempt.marker, attempt.reserved) = (begin.marker, reserved);
        attempt.budget = begin.budget.map(|budget| budget.name);
        let wish = known.is_none().then(|| begin.want.wish.redacted());
        let event = Event::Begun {
            wish,
            target: begin.want.target,
            attempt: Box::new(attempt),
        };
        self.append(&key, &event, Some(kind(&begin.offer)))?;
        Ok(Begun::Yours)
    }

    fn record(&mut self, key: &str, event: &Event) -> Result<Entry, Error> {
        match event {
            Event::CalledAgain { calls } => self.check_call(key, *calls)?,
            Event::Settled { outcome, attempts } => {
                self.check_settlement(key, outcome, *attempts)?
            }
            _ => {}
        }
        let is_fall = matches!(event, Event::Fall { .. });
        if !is_fall && self.book.get(key).is_none() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("there is no {key:?} in {}", self.path.display()),
            ));
        }
        if let Some(entry) = self.entry(key)?.filter(|entry| event.is_late(entry.state)) {
            return Ok(entry);
        }
        self.append(key, event, None)?;
        if is_fall {
            // It belongs to no entry.
            return Ok(Entry::lost(key, SystemTime::now()));
        }
        let entry = self.entry(key)?;
        entry.ok_or_else(|| {
            unusable(
                &self.path,
                io::Error::other("what was written cannot be read"),
            )
        })
    }

    /// Refuses to repeat a paid call that somebody else repeats, or has repeated.
    fn check_call(&mut self, key: &str, calls: u32) -> Result<(), Error> {
        self.trusted()?;
        let Some(entry) = self.entry(key)? else {
            return Ok(());
        };
        let made = entry.attempts.last().map_or(0, |attempt| attempt.calls);
        if entry.state == EntryState::OnItsWay || made.saturating_add(1) != calls {
            let message =
                format!("another task or process calls for {key}; ask again for what became of it");
            return Err(Error::new(ErrorKind::OnItsWay, message));
        }
        Ok(())
    }

    /// Refuses to settle what is not as it was when somebody looked.
    fn check_settlement(
        &mut self,
        key: &str,
        outcome: &Outcome,
        attempts: usize,
    ) -> Result<(), Error> {
        let refuse = |message| Err(Error::new(ErrorKind::InvalidRequest, message));
        let Some(entry) = self.entry(key)? else {
            return Ok(());
        };
        if !entry.can_be_settled() || entry.attempts.len() != attempts {
            return refuse(format!(
                "{key} is {} now; look again before it is settled",
                entry.state
            ));
        }
        if let Outcome::Accepted { job, .. } = outcome
            && let Some(other) = self.book.by_job(job).filter(|row| *row.key != *key)
        {
            return refuse(format!("{job} is the job of {}", other.key));
        }
        Ok(())
    }

    fn entry(&mut self, key: &str) -> Result<Option<Entry>, Error> {
        let Some(row) = self.book.get(key) else {
            return Ok(None);
        };
        let mut entry: Option<Entry> = None;
        for (offset, length) in std::iter::once(&row.first_line).chain(&row.more_lines) {
            if *length == 0 {
                // What was torn off is not in the file.
                continue;
            }
            let (at, event) = self.read_event(*offset, *length)?;
            match &mut entry {
                Some(entry) => entry.apply(at, event),
                None => entry = Some(Entry::first(key, at, event)),
            }
        }
        let mut entry = entry.unwrap_or_else(|| Entry::lost(key, at(row.at)));
        let (state, owner) = (row.state, row.owner.clone());
        entry.state = self.state(state, owner.as_deref());
        Ok(Some(entry))
    }

    /// The state, where it depends on whether whoever sends it is still there.
    fn state(&mut self, state: EntryState, owner: Option<&str>) -> EntryState {
        match (state, owner) {
            (EntryState::OnItsWay, Some(owner)) if self.is_alive(owner) => EntryState::OnItsWay,
            (EntryState::OnItsWay, _) => EntryState::Unknown,
            (state, _) => state,
        }
    }

    fn is_alive(&mut self, owner: &str) -> bool {
        if self.mark.as_ref().is_some_and(|mark| mark.id == owner) {
            return true;
        }
        // Whoever has gone does not come back.
        if self.alive.get(owner) == Some(&false) {
            return false;
        }
        let alive = match File::open(mark_path(&self.path, owner)) {
            Ok(file) => file.try_lock_shared().is_err(),
            // Whatever keeps it from being opened says nothing of the process.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        self.alive.insert(owner.into(), alive);
        alive
    }

    fn list(&mut self, which: Which) -> Result<Vec<Listed>, Error> {
        let rows = self.book.rows.iter();
        let kept: Vec<_> = rows.map(|row| (row.state, row.owner.clone())).collect();
        let mut states = Vec::with_capacity(kept.len());
        for (state, owner) in kept {
            states.push(self.state(state, owner.as_deref()));
        }
        let mut prompts = Prompts::of(&self.file);
        let mut listed = Vec::new();
        for (row, state) in self.book.rows.iter().zip(states) {
            if which == Which::Open && !state.is_open() {
                continue;
            }
            let mut prompt = String::new();
            if which == Which::WithPrompts {
                let read = prompts.read(row);
                prompt = read.map_err(|error| unusable(&self.path, error))?;
            }
            listed.push(Listed {
                key: row.key.to_string(),
                state,
                job: row.job.as_deref().map(str::to_owned),
                base_url: self.book.base_url(row).map(str::to_owned),
                at: row.at / 1000,
                prompt,
                target: row.target.as_deref().map(str::to_owned),
            });
        }
        Ok(listed)
    }

    fn read_event(&self, offset: u64, length: u32) -> Result<(SystemTime, Event), Error> {
        let bytes = self.read_line(offset, length)?;
        let unread = |what: String| unusable(&self.path, io::Error::other(what));
        let (short, event) =
            split(&bytes).ok_or_else(|| unread("a line has changed".to_owned()))?;
        let short: Short =
            serde_json::from_slice(short).map_err(|error| unread(error.to_string()))?;
        let event = serde_json::from_slice(event).map_err(|error| unread(error.to_string()))?;
        Ok((at(short.at), event))
    }

    fn read_line(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length as usize];
        let read = read_at(&self.file, &mut bytes, offset);
        read.map_err(|error| unusable(&self.path, error))?;
        Ok(bytes)
    }

    /// Writes a line and then, in the first line, that it counts.
    fn append(&mut self, key: &str, event: &Event, kind: Option<String>) -> Result<(), Error> {
        let is_begun = matches!(event, Event::Begun { .. });
        let mut short = Short::of(key, milliseconds(), event);
        short.kind = kind.map(Into::into).or(short.kind);
        let is_known = |state| self.book.get(key).is_some_and(|row| row.state == state);
        if let Event::CalledAgain { .. } = event
            && (is_known(EntryState::Unknown) || is_known(EntryState::OnItsWay))
        {
            short.state = Some(EntryState::OnItsWay);
        }
        if short.state == Some(EntryState::OnItsWay) {
            short.owner = Some(self.marked()?.into());
        }
        if let Event::Ended { .. } = event {
            let begun = self
                .entry(key)?
                .and_then(|entry| Some(entry.attempts.last()?.sent.account.clone()));
            short.account = short.pause.and(begun).map(Into::into);
        }
        if let Some(torn) = self.torn.take() {
            // From here on there is a line for it, in the place of the one that was torn off.
            self.head.lines -= 1;
            self.append(&torn, &Event::Torn, None)?;
        }
        short.n = self.head.lines.saturating_add(1);
        let line = line(&short, event).map_err(|error| unusable(&self.path, error))?;
        if line.len() > LONGEST {
            let message = format!(
                "{key:?} has too many bytes of images for a ledger; give links or files instead"
            );
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let length = line.len() as u64;
        let end = self.read_to + length;
        let is_over = short.state.is_some()
            && self
                .book
                .get(key)
                .is_some_and(|row| row.state == EntryState::OnItsWay);
        let under_way =
            (self.book.on_their_way + usize::from(is_begun)).saturating_sub(usize::from(is_over));
        let room = ROOM * under_way.min(MOST_ROOM) as u64;
        let head = Head {
            lines: short.n,
            end,
            last: digest(key),
            ..self.head.clone()
        };
        let before = self
            .file
            .metadata()
            .map_err(|error| unusable(&self.path, error))?
            .len();
        let written = self.write_room(before, end + room).and_then(|()| {
            write_at(&self.file, &line, self.read_to)?;
            // Where the first line is damaged it stays so, for everybody to see.
            if self.head.lines == UNKNOWN {
                Ok(())
            } else {
                write_at(&self.file, &head_line(&head), 0)
            }
        });
        if let Err(error) = written {
            // Half a line does no harm, but its room may be wanted.
            let _ = self.file.set_len(before);
            return Err(unusable(&self.path, error));
        }
        if before > end + room {
            let _ = self.file.set_len(end + room);
        }
        self.book.apply(
            &short,
            (self.read_to, u32::try_from(length).unwrap_or(u32::MAX)),
        );
        self.read_to = end;
        if self.head.lines != UNKNOWN {
            self.head = head;
        }
        Ok(())
    }

    /// Makes the file at least so long, so that what is written there finds its place on a full disk too.
    fn write_room(&self, from: u64, to: u64) -> io::Result<()> {
        let missing = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
        write_at(&self.file, &vec![b' '; missing], from)
    }

    /// The mark of this process, which others can see.
    fn marked(&mut self) -> Result<String, Error> {
        if let Some(mark) = &self.mark {
            return Ok(mark.id.clone());
        }
        self.remove_old_marks();
        let id = random::<8>();
        let path = mark_path(&self.path, &id);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        let file = options
            .open(&path)
            .map_err(|error| unusable(&path, error))?;
        file.try_lock()
            .map_err(|error| unlockable(&path, error.into()))?;
        self.mark = Some(Mark {
            id: id.clone(),
            path,
            _file: file,
        });
        Ok(id)
    }

    /// Removes the marks of processes that have ended.
    fn remove_old_marks(&self) {
        let prefix = mark_path(&self.path, "");
        let prefix = prefix
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for entry in fs::read_dir(folder_of(&self.path))
            .into_iter()
            .flatten()
            .flatten()
        {
            let is_mark = entry
                .file_name()
                .to_string_lossy()
                .strip_prefix(&prefix)
                .is_some_and(|id| id.len() == 16);
            if is_mark && File::open(entry.path()).is_ok_and(|file| file.try_lock_shared().is_ok())
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Rewrites the file, unless something is being sent from it or was sent a moment ago: what counts for the limit of an
    /// account would be forgotten.
    fn compact(&mut self) -> Result<(), Error> {
        self.trusted()?;
        let mut owners = Vec::new();
        for row in &self.book.rows {
            if row.state == EntryState::OnItsWay {
                owners.extend(row.owner.clone());
            }
        }
        let is_under_way = owners.iter().any(|owner| self.is_alive(owner));
        let last_write = self
            .file
            .metadata()
            .and_then(|file| file.modified())
            .map_err(|error| unusable(&self.path, error))?;
        if is_under_way || last_write.elapsed().is_ok_and(|since| since < QUIET) {
            return Ok(());
        }
        let keys: Vec<_> = self
            .book
            .rows
            .iter()
            .map(|row| row.key.to_string())
            .collect();
        let (path, id, falls) = (self.path.clone(), self.head.id.clone(), self.book.falls());
        let entries = keys.iter().map(|key| self.compacted(key));
        write_whole(&path, &id, entries, falls, true).map_err(|error| unusable(&path, error))?;
        self.reopen()
    }

    fn compacted(&mut self, key: &str) -> io::Result<Entry> {
        let entry = self.entry(key).map_err(io::Error::other)?;
        let mut entry =
            entry.ok_or_else(|| io::Error::other(format!("{key} is not there any more")))?;
        if !matches!(entry.state, EntryState::Wanted | EntryState::Rejected) {
            // Nothing is to be sent any more, so no link has to work.
            entry.wish = entry.wish.redacted();
        }
        Ok(entry)
    }
}

impl<'a> Prompts<'a> {
    fn of(file: &'a File) -> Self {
        Self {
            file: BufReader::with_capacity(1 << 20, file),
            // It stands anywhere, so the first one is sought from the start.
            at: u64::MAX,
            line: Vec::new(),
        }
    }

    fn read(&mut self, row: &Row) -> io::Result<String> {
        let (offset, length) = row.first_line;
        if length == 0 {
            return Ok(String::new());
        }
        if self.at == u64::MAX {
            self.file.seek(SeekFrom::Start(offset))?;
        } else {
            let distance = offset.wrapping_sub(self.at).cast_signed();
            self.file.seek_relative(distance)?;
        }
        self.line.resize(length as usize, 0);
        self.file.read_exact(&mut self.line)?;
        self.at = offset + u64::from(length);
        Ok(prompt_in(&self.line).unwrap_or_default())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a ledger of whole entries to a new file, which is all there or not at all.
fn write_whole(
    path: &Path,
    id: &str,
    entries: impl Iterator<Item = Result<Entry, io::Error>>,
    falls: Vec<(String, f64)>,
    replace: bool,
) -> io::Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix(".veo-")
        .suffix(".ledger")
        .tempfile_in(folder_of(path))?;
    let mut head = Head {
        version: VERSION,
        id: id.to_owned(),
        lines: 0,
        end: HEAD,
        last: digest(""),
    };
    {
        let mut writer = io::BufWriter::new(temporary.as_file());
        writer.write_all(&head_line(&head))?;
        for entry in entries {
            let entry = entry?;
            let key = entry.key.clone();
            let seconds = entry
                .at
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis();
            let event = Event::Entry {
                entry: Box::new(entry),
            };
            let mut short = Short::of(&key, u64::try_from(seconds).unwrap_or_default(), &event);
            short.n = head.lines + 1;
            let line = line(&short, &event)?;
            writer.write_all(&line)?;
            (head.lines, head.end, head.last) =
                (short.n, head.end + line.len() as u64, digest(&key));
        }
        for (budget, credits) in falls {
            let event = Event::Fall { credits };
            let short = Short {
                n: head.lines + 1,
                ..Short::of(&budget, milliseconds(), &event)
            };
            let line = line(&short, &event)?;
            writer.write_all(&line)?;
            (head.lines, head.end, head.last) =
                (short.n, head.end + line.len() as u64, digest(&budget));
        }
        writer.flush()?;
    }
    write_at(temporary.as_file(), &head_line(&head), 0)?;
    temporary.as_file().sync_all()?;
    if replace {
        temporary.persist(path).map_err(|error| error.error)?;
    } else {
        temporary
            .persist_noclobber(path)
            .map_err(|error| error.error)?;
    }
    // A new file is there after a power failure only if its folder says so. Not every file system can do this.
    #[cfg(unix)]
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    Ok(())
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

fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut folders = DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        folders.mode(0o700);
    }
    folders.create(folder)
}

/// For its owner only: prompts are nobody else's business.
fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options;
}

/// Whether a path leads to a file.
fn is_in_place(path: &Path, file: &File) -> bool {
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

/// Whether a file has another name, by which others can use it without seeing what stands beside it.
fn has_other_names(file: &File) -> bool {
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

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| unusable(path, error))
}

/// The file that says that a process is alive, beside the ledger.
fn mark_path(ledger: &Path, id: &str) -> PathBuf {
    let name = ledger.file_name().unwrap_or_default().to_string_lossy();
    ledger.with_file_name(format!(".{name}.{id}"))
}

/// The start of the SHA-256 of a key.
fn digest(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes())[..8])
}

/// Milliseconds since 1970.
fn milliseconds() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time of whole seconds, so that it is the same after JSON.
fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(milliseconds / 1000)
}

fn unusable(path: &Path, error: io::Error) -> Error {
    let message = format!("{} cannot be read or written as a ledger", path.display());
    Error::new(ErrorKind::Ledger, message).with_source(error)
}

fn unlockable(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} cannot be locked, so it cannot be a ledger; keep it on another file system",
        path.display()
    );
    Error::new(ErrorKind::Ledger, message).with_source(error)
}

fn unsynced(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} cannot be written through to the disk, as a ledger has to be; keep it on another file system",
        path.display()
    );
    Error::new(ErrorKind::Ledger, message).with_source(error)
}
