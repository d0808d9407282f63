//! What this machine has asked for: JSON lines, each on the disk before the next step is taken.
//!
//! A paid request is written down before it is sent, and what became of it after. So whatever ends the program, the
//! file says what may have been paid: an intent without an end has an unknown outcome, and is not sent again.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use veo_core::{Job, JobRef, Operation, VideoRequest};

use crate::args::{free, place};
use crate::failure::{Failure, Told};

/// A file of jobs.
pub(crate) struct Store {
    /// Nothing for the jobs of a simulator that ends with the program.
    path: Option<PathBuf>,
    file: File,
    /// Whether no other process can write to it until this one ends.
    alone: bool,
}

/// Ends a line that was torn off, so that it is not taken for one that somebody has damaged.
const TORN: &[u8] = b" (torn off)";

/// What happened to a request, in the order in which it happens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It is about to be sent. `key` tells the line of a batch, or the job that an upgrade becomes.
    Intent { request: Box<VideoRequest>, output: PathBuf, key: Option<String> },
    /// It was taken. `base_url` is where, if that is not the provider's own address.
    Accepted { job: Box<Job>, base_url: Option<String> },
    /// It was not taken, and costs nothing.
    Refused { error: Box<Told> },
    /// Nobody knows whether it was taken.
    Unknown { error: Box<Told> },
    /// The job has ended without a video.
    Failed { error: Box<Told> },
    /// The video is here.
    Saved { receipt: Value },
    /// What it cost, which the balance told and the provider did not.
    Cost { credits: f64 },
}

#[derive(Deserialize, Serialize)]
struct Line {
    id: String,
    /// Seconds since 1970.
    at: u64,
    #[serde(flatten)]
    event: Event,
}

/// A request, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// When it was to be sent, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) request: VideoRequest,
    /// Where the video is, or is to go.
    pub(crate) output: PathBuf,
    pub(crate) key: Option<String>,
    /// The job, once it was accepted.
    pub(crate) job: Option<Job>,
    pub(crate) base_url: Option<String>,
    /// What it cost, if the balance told.
    pub(crate) credits: Option<f64>,
    /// The last that happened, but for the cost.
    pub(crate) last: Event,
}

/// A request as it is listed.
#[derive(Serialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    /// `unknown`, `accepted`, `rejected`, `failed` or `saved`.
    pub(crate) state: &'static str,
    pub(crate) job: Option<JobRef>,
    pub(crate) at: u64,
    pub(crate) prompt: String,
    pub(crate) output: PathBuf,
    base_url: Option<String>,
    pub(crate) error: Option<Box<Told>>,
}

impl Store {
    /// The file of all jobs that are in no batch.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::at(path_of_all().ok_or_else(|| {
            Failure::usage("there is no place to keep jobs in, and none is sent without; set HOME or XDG_STATE_HOME")
        })?)
    }

    /// The ledger of a batch, for this process alone.
    pub(crate) fn open_alone(path: PathBuf) -> Result<Self, Failure> {
        let mut store = Self::at(path.clone())?;
        match store.file.try_lock() {
            Ok(()) => store.alone = true,
            Err(TryLockError::WouldBlock) => {
                let message = format!("another veo is at this batch and has {}; wait for its end", path.display());
                return Err(Failure::usage(message));
            }
            Err(TryLockError::Error(error)) => return Err(store.unusable(&error)),
        }
        Ok(store)
    }

    /// A file that goes with the program, for jobs that do.
    pub(crate) fn temporary() -> Result<Self, Failure> {
        let file = tempfile::tempfile();
        let file = file.map_err(|error| Failure::failed(format!("there is no place for temporary files: {error}")))?;
        Ok(Self { path: None, file, alone: true })
    }

    /// What is known of the jobs that are in no batch, if there are any.
    pub(crate) fn of_no_batch() -> Result<Vec<Entry>, Failure> {
        match path_of_all() {
            Some(path) if path.exists() => Self::at(path)?.entries(),
            _ => Ok(Vec::new()),
        }
    }

    /// A file of jobs, which is made if it is not there.
    pub(crate) fn at(path: PathBuf) -> Result<Self, Failure> {
        let opened = open(&path);
        let unusable = |error| Failure::failed(format!("{} cannot be used: {error}; nothing was sent", path.display()));
        Ok(Self { file: opened.map_err(unusable)?, path: Some(path), alone: false })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The file of the batch, if this is the ledger of one.
    pub(crate) fn batch(&self) -> Option<PathBuf> {
        let ledger = self.path.as_ref().filter(|path| path.extension().is_some_and(|extension| extension == "ledger"));
        ledger.map(|ledger| ledger.with_extension(""))
    }

    /// Writes down that a request is about to be sent, and gives the name under which the rest is written.
    pub(crate) fn intend(&self, request: &VideoRequest, output: &Path, key: Option<&str>) -> Result<String, Failure> {
        let (id, intent) = intent(request, output, key);
        self.record(&id, intent)?;
        Ok(id)
    }

    /// The same for a video whose file nobody has named: it gets the next name that is free, also from those who do this
    /// at the same time.
    pub(crate) fn intend_like(
        &self,
        request: &VideoRequest,
        like: &Path,
        replace: bool,
    ) -> Result<(String, PathBuf), Failure> {
        let chosen = self.locked(|| {
            let entries = self.entries()?;
            let taken: Vec<_> =
                entries.iter().filter(|entry| entry.is_open()).map(|entry| place(&entry.output)).collect();
            let is_there = |path: &Path| if replace { path.is_dir() } else { path.exists() };
            let output = free(like, |path| taken.contains(&place(path)) || is_there(path));
            let (id, intent) = intent(request, &output, None);
            self.append_locked(&Line::now(&id, intent)).map_err(|error| self.unusable(&error))?;
            Ok((id, output))
        });
        chosen.map_err(|error| self.unusable(&error))?
    }

    /// Writes down what happened; it is on the disk when this returns.
    pub(crate) fn record(&self, id: &str, event: Event) -> Result<(), Failure> {
        let written = self.locked(|| self.append_locked(&Line::now(id, event))).and_then(|written| written);
        written.map_err(|error| self.unusable(&error))
    }

    /// All requests, in the order in which they were to be sent. What is torn or not understood is passed over.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Failure> {
        Ok(self.understood()?.0)
    }

    /// All requests, if every line is understood. What is not can stand for a request that was paid, which would be
    /// sent again.
    pub(crate) fn whole(&self) -> Result<Vec<Entry>, Failure> {
        let (entries, problems) = self.understood()?;
        if problems.is_empty() {
            return Ok(entries);
        }
        let path = self.path.as_deref().unwrap_or(Path::new("a temporary file")).display();
        let message = format!("{path} is damaged, and nothing was sent:\n{}", problems.join("\n"));
        let next = "Each of these lines can stand for a paid video. Put back what was there, or take the line out if \
                    nothing was paid for it: what no line stands for is sent.";
        Err(Failure::usage(message).with_next(next))
    }

    /// All requests, and what is wrong with the lines that are not understood.
    fn understood(&self) -> Result<(Vec<Entry>, Vec<String>), Failure> {
        let bytes = self.read().map_err(|error| self.unusable(&error))?;
        // An editor can put a mark before the text.
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let is_torn = !text.ends_with(b"\n");

        let here = env::current_dir().unwrap_or_default();
        let (mut entries, mut problems) = (Vec::<Entry>::new(), Vec::new());
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut lines = (1..).zip(text.split(|byte| *byte == b'\n')).peekable();
        while let Some((number, line)) = lines.next() {
            let Line { id, at, event } = match serde_json::from_slice(line) {
                Ok(line) => line,
                Err(_) if line.trim_ascii().is_empty() || line.ends_with(TORN) => continue,
                // Its program has ended before it was whole, and before the next step was taken.
                Err(error) if error.is_eof() || is_torn && lines.peek().is_none() => continue,
                Err(error) => {
                    let error = error.to_string().replace(" line 1 column", " character");
                    problems.push(format!("line {number}: {error}"));
                    continue;
                }
            };
            match (event, places.get(&id).and_then(|place| entries.get_mut(*place))) {
                (Event::Intent { request, output, key }, None) => {
                    places.insert(id.clone(), entries.len());
                    let output = relative(&output, &here);
                    let last = Event::Intent { request: request.clone(), output: output.clone(), key: key.clone() };
                    entries.push(Entry {
                        id,
                        at,
                        request: *request,
                        output,
                        key,
                        job: None,
                        base_url: None,
                        credits: None,
                        last,
                    });
                }
                (Event::Cost { credits }, Some(entry)) => entry.credits = Some(credits),
                (event, Some(entry)) => {
                    match &event {
                        Event::Accepted { job, base_url } => {
                            (entry.job, entry.base_url) = (Some((**job).clone()), base_url.clone());
                        }
                        // It can be elsewhere than it was to go.
                        Event::Saved { receipt } => {
                            let path = receipt["saved"]["path"].as_str().map(Path::new);
                            entry.output = path.map_or(entry.output.clone(), |path| relative(path, &here));
                        }
                        _ => {}
                    }
                    entry.last = event;
                }
                (event, None) => {
                    problems.push(format!("line {number}: no line before it says what was to be sent as {id}"));
                    if let Some(entry) = Entry::of_job(&id, at, event) {
                        places.insert(id, entries.len());
                        entries.push(entry);
                    }
                }
            }
        }
        Ok((entries, problems))
    }

    /// The last request that became this job. Without a size, it is also the job as it was sent with one.
    pub(crate) fn find(&self, job: &JobRef) -> Result<Option<Entry>, Failure> {
        let entries = self.entries()?;
        let is = |entry: &Entry, is_it: &dyn Fn(&JobRef) -> bool| {
            entry.job.as_ref().is_some_and(|found| is_it(&found.reference))
        };
        let exact = entries.iter().rfind(|entry| is(entry, &|found| found == job));
        // What was sent comes before its upgrades.
        let same_task = |found: &JobRef| (&found.provider, &found.task) == (&job.provider, &job.task);
        let sent = |entry: &&Entry| !entry.is_upgrade() && is(entry, &same_task);
        let first = || entries.iter().filter(|_| job.resolution.is_none()).find(sent);
        Ok(exact.or_else(first).cloned())
    }

    /// Does something while nobody else writes.
    fn locked<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        if !self.alone {
            self.file.lock()?;
        }
        let done = work();
        if !self.alone {
            self.file.unlock()?;
        }
        Ok(done)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let (mut bytes, mut file) = (Vec::new(), &self.file);
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append_locked(&self, line: &Line) -> io::Result<()> {
        let (mut text, mut file) = (serde_json::to_vec(line)?, &self.file);
        text.push(b'\n');
        // A line that was torn off by the end of its program must not swallow this one.
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                let bytes = self.read()?;
                let torn = bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                let end = if serde_json::from_slice::<Value>(torn).is_ok() { b"".as_slice() } else { TORN };
                text.splice(0..0, [end, b"\n"].concat());
            }
        }
        file.write_all(&text)?;
        file.sync_data()
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        let path = self.path.as_deref().unwrap_or(Path::new("a temporary file"));
        Failure::failed(format!("{} cannot be used: {error}", path.display()))
    }
}

/// A path as one would write it here.
pub(crate) fn relative(path: &Path, here: &Path) -> PathBuf {
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

impl Line {
    fn now(id: &str, event: Event) -> Self {
        let at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        Self { id: id.to_owned(), at, event }
    }
}

/// A request that is about to be sent, with a new name.
fn intent(request: &VideoRequest, output: &Path, key: Option<&str>) -> (String, Event) {
    // The standard library keys every hasher anew, which is random enough for a name.
    let id = format!("{:016x}", RandomState::new().hash_one(()));
    // It has to mean the same to whoever goes on from another folder.
    let output = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
    (id, Event::Intent { request: Box::new(request.clone()), output, key: key.map(str::to_owned) })
}

/// Where the video of a job goes if nobody has said where.
pub(crate) fn named_after(job: &JobRef) -> PathBuf {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    PathBuf::from(format!("{}-{}.mp4", job.provider, job.task.replace(odd, "-")))
}

fn path_of_all() -> Option<PathBuf> {
    let folder = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    Some(folder.or_else(|| Some(env::home_dir()?.join(".local/state")))?.join("veo").join("jobs.jsonl"))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        // Prompts are nobody else's business.
        options.mode(0o600);
        folders.mode(0o700);
    }
    folders.create(folder)?;
    let file = options.open(path)?;
    // A new file is there after a power failure only if its folder says so. Not every file system can do this.
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(file)
}

impl Entry {
    /// A request of which only a later line is there, which has its job. What is paid for is not lost.
    fn of_job(id: &str, at: u64, event: Event) -> Option<Self> {
        let (job, base_url, path) = match &event {
            Event::Accepted { job, base_url } => ((**job).clone(), base_url.clone(), None),
            Event::Saved { receipt } => {
                let path = receipt["saved"]["path"].as_str().map(PathBuf::from);
                (Job::deserialize(&receipt["job"]).ok()?, None, path)
            }
            _ => return None,
        };
        Some(Self {
            id: id.to_owned(),
            at,
            request: job.offer.request.clone(),
            output: path.unwrap_or_else(|| named_after(&job.reference)),
            key: None,
            job: Some(job),
            base_url,
            credits: None,
            last: event,
        })
    }

    /// Whether there may be a video of it that is not here yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.last, Event::Intent { .. } | Event::Unknown { .. } | Event::Accepted { .. })
    }

    /// Whether it makes the video of another job larger.
    pub(crate) fn is_upgrade(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.offer.operation == Operation::Upgrade)
    }

    /// The job, if it has not ended.
    pub(crate) fn unfinished(&self) -> Option<&Job> {
        self.job.as_ref().filter(|_| matches!(self.last, Event::Accepted { .. }))
    }
}

impl From<Entry> for Listed {
    fn from(entry: Entry) -> Self {
        let (state, error) = match entry.last {
            Event::Intent { .. } | Event::Cost { .. } => ("unknown", None),
            Event::Accepted { .. } => ("accepted", None),
            Event::Refused { error } => ("rejected", Some(error)),
            Event::Unknown { error } => ("unknown", Some(error)),
            Event::Failed { error } => ("failed", Some(error)),
            Event::Saved { .. } => ("saved", None),
        };
        Self {
            id: entry.id,
            state,
            job: entry.job.map(|job| job.reference),
            at: entry.at,
            prompt: entry.request.prompt,
            output: entry.output,
            base_url: entry.base_url,
            error,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    fn refused() -> Event {
        Event::Refused { error: Failure::usage("no").told }
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/jobs.jsonl");
        let store = Store::at(path.clone()).unwrap();
        let first = store.intend(&VideoRequest::text("A dog"), Path::new("dog.mp4"), None).unwrap();
        let whole = fs::read(&path).unwrap();
        store.record(&first, refused()).unwrap();
        let both = fs::read(&path).unwrap();

        // Torn after any byte of the second line, the first is there and a third can be added.
        for end in whole.len()..both.len() {
            fs::write(&path, &both[..end]).unwrap();
            let store = Store::at(path.clone()).unwrap();
            let entries = store.whole().unwrap();
            // A line that lacks nothing but its end is whole.
            let unsettled = matches!(entries[0].last, Event::Intent { .. });
            assert_eq!((entries.len(), unsettled), (1, end < both.len() - 1), "torn at {end} of {}", both.len());

            store.intend(&VideoRequest::text("A cat"), Path::new("cat.mp4"), Some("k")).unwrap();
            // That stays so when more comes after it, and is no damage.
            let entries = store.whole().unwrap();
            assert_eq!(matches!(entries[0].last, Event::Intent { .. }), unsettled, "torn at {end}");
            let prompts: Vec<_> = entries.into_iter().map(|entry| entry.request.prompt).collect();
            assert_eq!(prompts, ["A dog", "A cat"], "torn at {end}");
        }
    }

    #[test]
    fn lines_of_many_writers_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.jsonl");
        let write = || {
            for _ in 0..25 {
                let store = Store::at(path.clone()).unwrap();
                let id = store.intend(&VideoRequest::text("A dog"), Path::new("dog.mp4"), None).unwrap();
                store.record(&id, refused()).unwrap();
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(write))));
        let entries = Store::at(path.clone()).unwrap().entries().unwrap();
        assert_eq!(entries.len(), 100);
        assert!(entries.iter().all(|entry| matches!(entry.last, Event::Refused { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 200);
    }

    #[test]
    fn a_name_that_nobody_has_given_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, like) = (folder.path().join("jobs.jsonl"), folder.path().join("video.mp4"));
        let intend = || {
            let store = Store::at(path.clone()).unwrap();
            (0..25)
                .map(|_| store.intend_like(&VideoRequest::text("A dog"), &like, false).unwrap().1)
                .collect::<Vec<_>>()
        };
        let names: Vec<PathBuf> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(intend)).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!((names.len(), different.len()), (100, 100));
    }

    /// Also on a file system on which the lines of two writers could mix.
    #[test]
    fn a_line_waits_until_another_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.jsonl");
        let store = Store::at(path.clone()).unwrap();
        store.intend(&VideoRequest::text("A dog"), Path::new("dog.mp4"), None).unwrap();
        let line = fs::read(&path).unwrap();

        let mut other = open(&path).unwrap();
        other.lock().unwrap();
        let (about_to, ready) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                about_to.send(()).unwrap();
                store.intend(&VideoRequest::text("A cat"), Path::new("cat.mp4"), None).unwrap();
            });
            ready.recv().unwrap();
            for byte in &line {
                other.write_all(&[*byte]).unwrap();
                other.sync_data().unwrap();
            }
            other.unlock().unwrap();
        });
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        assert_eq!(lines[2]["request"]["prompt"], "A cat");
    }

    #[test]
    fn a_batch_belongs_to_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.jsonl.ledger");
        let first = Store::open_alone(path.clone()).unwrap();
        let refusal = Store::open_alone(path.clone()).err().unwrap();
        assert!(refusal.told.message.starts_with("another veo is at this batch"), "{}", refusal.told.message);
        drop(first);
        assert!(Store::open_alone(path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("veo/jobs.jsonl");
        Store::at(path.clone()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}
