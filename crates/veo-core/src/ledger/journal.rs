//! Reads the lines of a ledger file, and writes a further line.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memchr::memmem::Finder;
use sha2::{Digest as _, Sha256};

use super::alive::Processes;
use super::book::{Book, EntrySummary, EventSummary};
use super::disk::{
    has_other_names, is_in_place, make_folder, read_at, unlockable, unusable, write_at,
};
use super::line::{
    HEAD, Head, START, VERSION, head_line, is_room, is_room_only, line, prompt_finder, prompt_in,
    read_head, short_of, split,
};
use super::{Begin, Begun, Entry, EntryState, Event, Listed, Want, Which, rules, target_taken};
use crate::text::{folder_of, hex, random};
use crate::{Error, ErrorKind};

/// The file of a ledger, and all that was read from it. A process locks the file before it writes.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) path: Arc<Path>,
    pub(super) file: Arc<File>,
    head: Head,
    pub(super) book: Book,
    /// The end of the last line that was read.
    pub(super) read_to: u64,
    pub(super) problems: Vec<String>,
    /// The key of an entry whose last line was torn off, until the event [`Torn`](Event::Torn) is written for the key.
    torn: Option<String>,
    processes: Processes,
    pub(super) is_read_only: bool,
    /// True if a line could not be synced to the disk.
    pub(super) is_unsynced: bool,
    pub(super) is_new: bool,
}

/// A reader of lines. It copies a line only if the whole line is not in its buffer.
struct Lines<'a> {
    file: BufReader<&'a File>,
    /// The length of the last line in the buffer, in bytes.
    taken: usize,
    long: Vec<u8>,
}

/// A reader of prompts. It reads ahead in the file, since most lines are asked for in their order.
struct Prompts<'a> {
    file: BufReader<&'a File>,
    at: u64,
    finder: Finder<'static>,
}

struct Read {
    /// The offset of the next line.
    at: u64,
    /// The number of lines that were read, without the first line of the file.
    number: u64,
    is_damaged: bool,
}

/// The number of lines of a file whose first line cannot be read.
const UNKNOWN: u64 = u64::MAX;
/// The start of a key that is not known. The digest of the real key follows it.
const TORN: &str = "torn-";
/// The bytes that the file reserves on the disk for the outcome of each call under way.
const ROOM: u64 = 8 << 10;
/// The most calls for which room is reserved, including calls whose process has ended.
const MOST_ROOM: usize = 256;
/// The longest line in bytes. Only images of the caller make a line that long, since other texts were cut before.
const LONGEST: usize = 128 << 20;
/// The time without a write before the file may be rewritten. It is longer than the span of the limit of any provider.
const QUIET: Duration = Duration::from_secs(60);
/// A file is rewritten when it is opened, if it has two lines for each entry and more than this many lines besides.
const SPARE_LINES: u64 = 1000;
/// The longest time to wait until another process has written its line.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

impl Journal {
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, Error> {
        let is_new = create && !path.exists();
        if is_new {
            make(path)?;
        }
        // A rewrite has to replace the file itself, and not a symbolic link to it. All processes look for the locked
        // files of other processes beside the file itself.
        let path: Arc<Path> = fs::canonicalize(path)
            .map_err(|error| unusable(path, error))?
            .into();
        let (file, is_read_only) = open_file(&path)?;
        let mut journal = Self {
            processes: Processes::of(path.clone()),
            path,
            file: Arc::new(file),
            head: Head::default(),
            book: Book::default(),
            read_to: HEAD,
            problems: Vec::new(),
            torn: None,
            is_read_only,
            is_unsynced: false,
            is_new,
        };
        if !journal.is_read_only {
            journal.lock_first()?;
        }
        let loaded = journal.load().and_then(|()| journal.compact_if_long());
        journal.unlock();
        loaded.map(|()| journal)
    }

    /// Rewrites a file that has many more lines than entries, or whole links that no later call needs.
    fn compact_if_long(&mut self) -> Result<(), Error> {
        let entries = self.book.rows.len() as u64;
        let spare = self.head.lines.saturating_sub(entries * 2);
        let is_sound = self.problems.is_empty() && !self.is_read_only;
        let is_long = spare > SPARE_LINES || self.book.has_spent_links();
        if is_sound && is_long {
            self.compact()
        } else {
            Ok(())
        }
    }

    /// Locks the file to which the path leads now. Another process can have replaced the file since it was opened.
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
                        io::Error::other("another process keeps it locked"),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(unlockable(&self.path, error)),
            }
        }
    }

    pub(super) fn unlock(&self) {
        if !self.is_read_only {
            // If this fails, the lock is released when the process ends.
            let _ = self.file.unlock();
        }
    }

    fn load(&mut self) -> Result<(), Error> {
        (self.book, self.read_to, self.torn) = (Book::default(), HEAD, None);
        self.problems.clear();
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
                // If the first line is damaged, the second line still shows whether this is a ledger.
                let second = start
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(&[][..], |end| &start[end + 1..]);
                let is_ledger = start.starts_with(b"{\"veo-ledger\"") || second.starts_with(START);
                if !is_ledger && !start.iter().all(u8::is_ascii_whitespace) {
                    let path = self.path.display();
                    let old = start.starts_with(b"{\"id\":");
                    let what = if old {
                        "is a ledger of an earlier version of veo"
                    } else {
                        "is no ledger of veo"
                    };
                    let message = format!(
                        "{path} {what}; nothing was sent, and it stays as it is. Move it away to start a new ledger"
                    );
                    return Err(Error::new(ErrorKind::LedgerDamaged, message));
                }
                self.problems.push(
                    "line 1: this line is damaged, so the end of the file is not known".to_owned(),
                );
                // Nothing is sent from this file, but its jobs can still be waited for.
                let end = self
                    .file
                    .metadata()
                    .map_err(|error| unusable(&self.path, error))?
                    .len();
                let head = Head {
                    lines: UNKNOWN,
                    end,
                    ..Head::default()
                };
                self.read_lines(head)
            }
        }
    }

    /// Reads the lines that other processes have written. If the file was replaced, continues with the new file.
    pub(super) fn caught_up(&mut self) -> Result<(), Error> {
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
            // A file that has changed in any other way is read and checked from its start.
            _ => self.load(),
        }
    }

    /// Continues with the file by which another process has replaced this one.
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
            // Another process can replace the file once more before it is locked.
            if is_in_place(&self.path, &file) {
                break file;
            }
        };
        let head = read_head(&file).map_err(|error| unusable(&self.path, error))?;
        // Another ledger does not have the calls of this one, so sending from it could pay twice.
        if head.is_none_or(|head| head.id != self.head.id) {
            return Err(gone(io::Error::other("another file")));
        }
        self.unlock();
        self.file = Arc::new(file);
        self.load()
    }

    /// Reads the lines that follow the lines that were read before.
    fn read_lines(&mut self, head: Head) -> Result<(), Error> {
        let file = self.file.clone();
        let mut lines =
            Lines::of(&file, self.read_to).map_err(|error| unusable(&self.path, error))?;
        let mut read = Read {
            at: self.read_to,
            number: self.head.lines,
            is_damaged: false,
        };
        while read.at < head.end {
            let longest = (head.end - read.at).min(LONGEST as u64);
            let bytes = lines
                .next(longest)
                .map_err(|error| unusable(&self.path, error))?;
            let length = bytes.len() as u64;
            // The file can be shorter than its first line says. A power failure can leave room in the place of a line.
            let is_at_the_end = read.at + length == head.end;
            let ends_in_room = is_at_the_end && bytes.last().is_some_and(|byte| is_room(*byte));
            let is_cut = length < longest && !bytes.ends_with(b"\n") || ends_in_room;
            // A crash can tear only the last line. After any other damage nothing is sent from the file.
            let is_last = read.number.saturating_add(1) == head.lines && !read.is_damaged;
            let is_torn = is_cut && is_last && short_of(bytes).is_err();
            // If the first line is damaged, nothing says where the lines end. Bytes of room without a line break are
            // the end. A blank line is not, since lines can follow it.
            let is_blank = head.lines == UNKNOWN && bytes.iter().all(|byte| is_room(*byte));
            if length == 0 || is_torn || is_blank {
                break;
            }
            self.take_line(bytes, &mut read);
            read.at += length;
        }
        self.read_to = read.at;
        if head.lines != UNKNOWN {
            self.check_end(&head, &read);
            self.check_room(&read)?;
        }
        self.head = head;
        Ok(())
    }

    /// Applies a line to the book, or reports what is wrong with the line.
    fn take_line(&mut self, bytes: &[u8], read: &mut Read) {
        read.number = read.number.saturating_add(1);
        // In the messages, the first line of the file counts as line 1.
        let line = read.number.saturating_add(1);
        let short = match short_of(bytes) {
            Ok(short) => short,
            Err(problem) => {
                read.is_damaged = true;
                self.problems.push(format!("line {line}: {problem}"));
                return;
            }
        };
        if short.n != read.number {
            read.is_damaged = true;
            let said = short.n.saturating_add(1);
            let problem = format!("line {line}: this line has the number {said}");
            self.problems.push(problem);
            read.number = short.n;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !self.book.apply(&short, (read.at, length)) {
            let problem = format!(
                "line {line}: the first line of {:?} is missing",
                &*short.key
            );
            self.problems.push(problem);
        }
    }

    /// Compares the lines that were read with the first line. A torn line may have begun a call: its entry is unknown.
    fn check_end(&mut self, head: &Head, read: &Read) {
        let is_short = read.at < head.end;
        if is_short && read.number.saturating_add(1) == head.lines && !read.is_damaged {
            let key = format!("{TORN}{}", head.last);
            let torn = EventSummary {
                at: milliseconds(),
                key: key.as_str().into(),
                state: Some(EntryState::Unknown),
                first: true,
                ..EventSummary::default()
            };
            self.book.apply(&torn, (0, 0));
            self.torn = Some(key);
        } else if is_short && self.problems.is_empty() {
            let missing = head.lines.saturating_sub(read.number);
            self.problems.push(format!(
                "line {}: lines from here on are missing, {missing} in all",
                read.number.saturating_add(2)
            ));
        } else if read.number != head.lines && self.problems.is_empty() {
            self.problems.push(format!(
                "line 1: the file should have {} lines, and has {}",
                head.lines, read.number
            ));
        }
    }

    /// Checks the bytes after the last line. They are room, or a line that the first line does not count since its
    /// process ended before. The call of such a line was not sent.
    fn check_room(&mut self, read: &Read) -> Result<(), Error> {
        let mut room = Vec::new();
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(read.at))
            .and_then(|_| file.take(16 << 20).read_to_end(&mut room))
            .map_err(|error| unusable(&self.path, error))?;
        let is_begun = room.starts_with(&START[..room.len().min(START.len())]);
        if self.torn.is_none() && !is_begun && !is_room_only(&room) {
            let line = read.number.saturating_add(1);
            self.problems.push(format!(
                "line {line}: there are unexpected bytes after this line"
            ));
        }
        Ok(())
    }

    /// Returns an error if nothing may be sent from the file.
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
            // The system reports a failed sync only once. Afterwards a line could be lost although a sync succeeds.
            let message = format!(
                "{} could not be written through to the disk, so nothing more is sent; open it again",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Ledger, message));
        }
        // A rewrite replaces one name of the file only. Both names would then be ledgers that could pay for one key.
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

    pub(super) fn want(&mut self, want: Want) -> Result<Entry, Error> {
        self.trusted()?;
        let key = want.key.clone();
        let known = self.entry(&key)?;
        let target = rules::target(&want, known.as_ref()).map(str::to_owned);
        let event = match (rules::wanted(want, known.as_ref())?, known) {
            (Some(event), _) => event,
            (None, Some(entry)) => return Ok(entry),
            (None, None) => return Err(self.unreadable()),
        };
        if let Some(target) = target
            && let Some(row) = self.book.by_target(&target)
            && *row.key != *key
        {
            return Err(target_taken(&target, &row.key));
        }
        self.append(&key, &event, None)?;
        self.entry(&key)?.ok_or_else(|| self.unreadable())
    }

    pub(super) fn begin(&mut self, begin: Begin) -> Result<Begun, Error> {
        self.trusted()?;
        let key = begin.want.key.clone();
        let known = self.entry(&key)?;
        if let Some(answer) = rules::answer_for_used_key(&begin.want, known.as_ref()) {
            return Ok(answer);
        }
        // The call of a line that was torn off may have been sent, so nothing is sent until it is settled.
        let torn = self.entry(&format!("{TORN}{}", digest(&key)))?;
        if let Some(entry) = torn.filter(|entry| entry.state != EntryState::Rejected) {
            return Ok(Begun::Known(Box::new(entry)));
        }
        let now = milliseconds();
        let reserved = match self.book.admit(&begin, known.as_ref(), now) {
            Ok(reserved) => reserved,
            Err(answer) => return Ok(answer),
        };
        let kind = rules::price_kind(&begin.offer);
        let event = rules::begun(begin, known.as_ref(), at(now), reserved);
        // A crash after this line leaves the attempt open, and an open attempt is never sent again.
        self.append(&key, &event, Some(kind))?;
        Ok(Begun::Yours)
    }

    pub(super) fn record(&mut self, key: &str, event: &Event) -> Result<Entry, Error> {
        // A repeated call can cost money, so the file has to be sound. An outcome is written even to a damaged file.
        if let Event::CalledAgain { .. } = event {
            self.trusted()?;
        }
        let known = self.entry(key)?;
        if let Some(entry) = &known {
            let owner = event.settled_as().and_then(|job| self.book.by_job(job));
            rules::check(event, entry, owner.map(|row| &*row.key))?;
        }
        let is_fall = matches!(event, Event::Fall { .. });
        if !is_fall && known.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("there is no {key:?} in {}", self.path.display()),
            ));
        }
        if let Some(entry) = known.filter(|entry| event.is_late(entry.state)) {
            return Ok(entry);
        }
        self.append(key, event, None)?;
        if is_fall {
            // A fall belongs to no entry, so there is none to return.
            return Ok(Entry::lost(key, SystemTime::now()));
        }
        self.entry(key)?.ok_or_else(|| self.unreadable())
    }

    fn unreadable(&self) -> Error {
        let error = io::Error::other("the line that was written cannot be read");
        unusable(&self.path, error)
    }

    pub(super) fn entry(&mut self, key: &str) -> Result<Option<Entry>, Error> {
        let Some(row) = self.book.get(key) else {
            return Ok(None);
        };
        let mut entry: Option<Entry> = None;
        for (offset, length) in std::iter::once(&row.first_line).chain(&row.more_lines) {
            if *length == 0 {
                // A line that was torn off is not in the file.
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

    /// Returns the current state: an entry on its way becomes unknown as soon as its process has ended.
    fn state(&mut self, state: EntryState, owner: Option<&str>) -> EntryState {
        match (state, owner) {
            (EntryState::OnItsWay, Some(owner)) if self.processes.is_alive(owner) => {
                EntryState::OnItsWay
            }
            (EntryState::OnItsWay, _) => EntryState::Unknown,
            (state, _) => state,
        }
    }

    pub(super) fn list(&mut self, which: Which) -> Result<Vec<Listed>, Error> {
        let rows = self.book.rows.iter();
        let kept: Vec<_> = rows.map(|row| (row.state, row.owner.clone())).collect();
        let mut states = Vec::with_capacity(kept.len());
        for (state, owner) in kept {
            states.push(self.state(state, owner.as_deref()));
        }
        let mut prompts = Prompts::of(&self.file).map_err(|error| unusable(&self.path, error))?;
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
                key: row.key.clone(),
                state,
                job: row.job.clone(),
                base_url: self.book.base_url(row),
                at: row.at / 1000,
                prompt,
                target: row.target.clone(),
            });
        }
        Ok(listed)
    }

    fn read_event(&self, offset: u64, length: u32) -> Result<(SystemTime, Event), Error> {
        let mut bytes = vec![0; length as usize];
        let read = read_at(&self.file, &mut bytes, offset);
        read.map_err(|error| unusable(&self.path, error))?;
        let unread = |what: String| unusable(&self.path, io::Error::other(what));
        let (short, event) =
            split(&bytes).ok_or_else(|| unread("a line has changed".to_owned()))?;
        let short: EventSummary =
            serde_json::from_slice(short).map_err(|error| unread(error.to_string()))?;
        let event = serde_json::from_slice(event).map_err(|error| unread(error.to_string()))?;
        Ok((at(short.at), event))
    }

    /// Writes a line, and then the first line of the file. Only then does the new line count.
    pub(super) fn append(
        &mut self,
        key: &str,
        event: &Event,
        kind: Option<String>,
    ) -> Result<(), Error> {
        let state = self.book.get(key).map(|row| row.state);
        let mut short = EventSummary::of(key, milliseconds(), event);
        short.kind = kind.map(Into::into).or(short.kind);
        if let Event::CalledAgain { .. } = event
            && let Some(EntryState::Unknown | EntryState::OnItsWay) = state
        {
            short.state = Some(EntryState::OnItsWay);
        }
        // The lock of this process comes before the line. Without the lock, other processes would read the call as
        // unknown while it is being sent.
        if short.state == Some(EntryState::OnItsWay) {
            short.owner = Some(self.processes.own_id()?.into());
        }
        // A pause that the provider has asked for applies to the whole account.
        if let Event::Ended { .. } = event
            && short.pause.is_some()
        {
            let entry = self.entry(key)?;
            let begun = entry.and_then(|entry| Some(entry.attempts.last()?.sent.account.clone()));
            short.account = begun.map(Into::into);
        }
        if let Some(torn) = self.torn.take() {
            // This event takes the place and the number of the line that was torn off.
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
        // Each call under way has room for its outcome, so a full disk does not lose the id of a paid task.
        let mut under_way = self.book.on_their_way.len();
        under_way += usize::from(matches!(event, Event::Begun { .. }));
        let has_ended = short.state.is_some() && state == Some(EntryState::OnItsWay);
        under_way = under_way.saturating_sub(usize::from(has_ended));
        let head = Head {
            lines: short.n,
            end: self.read_to + line.len() as u64,
            last: digest(key),
            ..self.head.clone()
        };
        self.write(&line, &head, ROOM * under_way.min(MOST_ROOM) as u64)?;
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        self.book.apply(&short, (self.read_to, length));
        self.read_to = head.end;
        if self.head.lines != UNKNOWN {
            self.head = head;
        }
        Ok(())
    }

    /// Makes room after the end, writes a line after the last one, and then writes the first line. `room` is in bytes.
    fn write(&self, line: &[u8], head: &Head, room: u64) -> Result<(), Error> {
        let metadata = self.file.metadata();
        let before = metadata.map_err(|error| unusable(&self.path, error))?.len();
        let written = self.write_room(before, head.end + room).and_then(|()| {
            // A crash between these two writes leaves a line that does not count. The call of that line was not sent.
            write_at(&self.file, line, self.read_to)?;
            // A damaged first line stays as it is, so that every process sees the damage.
            if self.head.lines == UNKNOWN {
                Ok(())
            } else {
                write_at(&self.file, &head_line(head), 0)
            }
        });
        if let Err(error) = written {
            // Half a line does not count. The file gets its old length again.
            let _ = self.file.set_len(before);
            return Err(unusable(&self.path, error));
        }
        if before > head.end + room {
            let _ = self.file.set_len(head.end + room);
        }
        Ok(())
    }

    /// Lengthens the file with spaces, so that a later line has its place even on a full disk.
    fn write_room(&self, from: u64, to: u64) -> io::Result<()> {
        let missing = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
        write_at(&self.file, &vec![b' '; missing], from)
    }

    /// Rewrites the file with one line for each entry. Does nothing if a call is under way, or if the last write was
    /// less than a minute ago: the times of the calls, which a limit needs, would be lost.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        self.trusted()?;
        let mut owners = Vec::new();
        for row in &self.book.rows {
            if row.state == EntryState::OnItsWay {
                owners.extend(row.owner.clone());
            }
        }
        let is_under_way = owners.iter().any(|owner| self.processes.is_alive(owner));
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
        entry.wish = rules::kept_wish(&entry);
        Ok(entry)
    }
}

impl<'a> Lines<'a> {
    fn of(file: &'a File, from: u64) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 20, file);
        file.seek(SeekFrom::Start(from))?;
        Ok(Self {
            file,
            taken: 0,
            long: Vec::new(),
        })
    }

    /// Returns the next line with its line break, or as much of it as the file has. It is empty at the end of the file.
    fn next(&mut self, longest: u64) -> io::Result<&[u8]> {
        self.file.consume(std::mem::take(&mut self.taken));
        let buffer = self.file.fill_buf()?;
        let end = memchr::memchr(b'\n', buffer).filter(|end| (*end as u64) < longest);
        if let Some(end) = end {
            self.taken = end + 1;
            return Ok(&self.file.buffer()[..=end]);
        }
        self.long.clear();
        let mut file = self.file.by_ref().take(longest);
        file.read_until(b'\n', &mut self.long)?;
        Ok(&self.long)
    }
}

impl<'a> Prompts<'a> {
    fn of(file: &'a File) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 20, file);
        file.seek(SeekFrom::Start(0))?;
        Ok(Self {
            file,
            at: 0,
            finder: prompt_finder(),
        })
    }

    fn read(&mut self, row: &EntrySummary) -> io::Result<String> {
        let (offset, length) = row.first_line;
        if length == 0 {
            return Ok(String::new());
        }
        let distance = offset.wrapping_sub(self.at).cast_signed();
        self.file.seek_relative(distance)?;
        self.at = offset;
        let buffer = self.file.fill_buf()?;
        if let Some(line) = buffer.get(..length as usize) {
            return Ok(prompt_in(line, &self.finder).unwrap_or_default());
        }
        let mut line = vec![0; length as usize];
        self.file.read_exact(&mut line)?;
        self.at = offset + u64::from(length);
        Ok(prompt_in(&line, &self.finder).unwrap_or_default())
    }
}

/// Writes a ledger of whole entries to a new file. After a crash the path has the whole new file, or is as before.
pub(super) fn write_whole(
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
        id: id.to_owned(),
        end: HEAD,
        last: digest(""),
        ..Head::default()
    };
    let mut writer = io::BufWriter::new(temporary.as_file());
    writer.write_all(&head_line(&head))?;
    let mut write = |key: &str, at: u64, event: Event| {
        let mut short = EventSummary::of(key, at, &event);
        short.n = head.lines + 1;
        let line = line(&short, &event)?;
        head.lines = short.n;
        head.end += line.len() as u64;
        head.last = digest(key);
        writer.write_all(&line)
    };
    for entry in entries {
        let entry = Box::new(entry?);
        let key = entry.key.clone();
        write(&key, milliseconds_of(entry.at), Event::Entry { entry })?;
    }
    for (budget, credits) in falls {
        write(&budget, milliseconds(), Event::Fall { credits })?;
    }
    writer.flush()?;
    drop(writer);
    write_at(temporary.as_file(), &head_line(&head), 0)?;
    temporary.as_file().sync_all()?;
    if replace {
        temporary.persist(path).map_err(|error| error.error)?;
    } else {
        temporary
            .persist_noclobber(path)
            .map_err(|error| error.error)?;
    }
    // A power failure can lose a new file whose folder was not synced. Not every file system can do that.
    #[cfg(unix)]
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

fn make(path: &Path) -> Result<(), Error> {
    make_folder(folder_of(path)).map_err(|error| unusable(path, error))?;
    match write_whole(path, &random::<8>(), std::iter::empty(), Vec::new(), false) {
        // Another process has made the file meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written.map_err(|error| unusable(path, error)),
    }
}

/// Opens a file for writing, or for reading if writing is not allowed. Returns whether the file can only be read.
fn open_file(path: &Path) -> Result<(File, bool), Error> {
    let for_writing = OpenOptions::new().read(true).write(true).open(path);
    let (opened, is_read_only) = match for_writing {
        Err(error) if is_forbidden(&error) => (File::open(path), true),
        opened => (opened, false),
    };
    let file = opened.map_err(|error| unusable(path, error))?;
    let metadata = file.metadata().map_err(|error| unusable(path, error))?;
    if !metadata.is_file() {
        return Err(unusable(path, io::Error::other("it is not a file")));
    }
    Ok((file, is_read_only))
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn digest(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes())[..8])
}

fn milliseconds() -> u64 {
    milliseconds_of(SystemTime::now())
}

fn milliseconds_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}

/// Returns a time of whole seconds, which JSON does not change.
fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(milliseconds / 1000)
}
