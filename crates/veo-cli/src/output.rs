//! All output of the program: results go to standard output, and everything else to standard error.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::env;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use console::{set_colors_enabled, set_colors_enabled_stderr, style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use veo_core::{JobRef, Model, Plan, Receipt, Saved, Video};

use crate::failure::{Exit, Failure, FailureJson};
use crate::listing::Listing;

/// A line of standard output with `--json`, as `json.md` of the guides describes it. `line` numbers a line of a batch.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// A provider has accepted a request. The job is paid for.
    Accepted {
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        job: &'a JobRef,
        model: &'a str,
        warnings: &'a [String],
        /// The reasons of the providers that were asked before and refused.
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        refusals: &'a [String],
    },
    /// The progress of a job, which is `pending`, `running` or `downloading`.
    State {
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        job: &'a JobRef,
        state: &'a str,
        percent: Option<u8>,
    },
    /// A job has ended with a video.
    Finished {
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        job: &'a JobRef,
        video: &'a Video,
    },
    /// A video is saved. There is no receipt for a job that another machine sent.
    Saved {
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        job: &'a JobRef,
        saved: &'a Saved,
        receipt: Option<&'a Receipt>,
    },
    /// A line of a batch whose video was saved before.
    Done {
        line: usize,
        receipt: Option<&'a Receipt>,
    },
    /// A line of a batch that has no video.
    Failed { line: usize, error: FailureJson<'a> },
    /// A batch has ended. The numbers count its lines.
    Batch {
        done: usize,
        failed: usize,
        rejected: usize,
        unknown: usize,
        unfinished: usize,
        not_taken: usize,
    },
    /// A job from the ledger.
    Job(&'a Listing),
    /// The plan for a request.
    Plan(&'a Plan),
    /// The abilities of a model.
    Model(&'a Model),
    /// The credits that are left on an account.
    Credits { provider: &'a str, credits: f64 },
    /// An image was uploaded to this URL.
    Uploaded { file: &'a str, url: &'a str },
    /// A file that was inspected.
    Inspected {
        file: &'a str,
        kind: &'a str,
        content: serde_json::Value,
    },
    /// An API key was written to this file.
    Kept { provider: &'a str, file: &'a str },
    /// The simulator runs.
    Serving {
        url: &'a str,
        /// The id of its process, if it stays after the command.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    /// A scenario that the simulator has.
    Scenario { name: &'a str, description: &'a str },
    /// A text that was asked for, such as completions.
    Text { text: &'a str },
    /// A message for people.
    Note { message: &'a str },
}

/// The writer of both streams. Everything that the program prints goes through it.
pub(crate) struct Output {
    json: bool,
    /// The bars on the terminal. They are cleared while a line is printed, and are hidden where there is no terminal.
    pub(crate) bars: MultiProgress,
    /// The first error of printing a result.
    unwritten: RefCell<Option<io::Error>>,
    /// True if a video is less than was asked for.
    is_less: Cell<bool>,
}

impl Output {
    pub(crate) fn new(json: bool, verbose: bool) -> Self {
        // NO_COLOR wins over every other setting.
        if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            set_colors_enabled(false);
            set_colors_enabled_stderr(false);
        }
        let bars = if json || verbose {
            // Bars would be drawn over the lines that --verbose prints.
            MultiProgress::with_draw_target(ProgressDrawTarget::hidden())
        } else {
            MultiProgress::new()
        };
        if verbose {
            let lines = tracing_subscriber::fmt::layer()
                .without_time()
                .with_ansi(false)
                .with_writer(|| VisibleErrors);
            let targets = Targets::new()
                .with_target("veo::wire", LevelFilter::DEBUG)
                .with_target("veo_core", LevelFilter::WARN);
            // This fails only if the process has another subscriber, and it has none.
            let _ = tracing_subscriber::util::SubscriberInitExt::try_init(
                tracing_subscriber::registry().with(lines).with(targets),
            );
        }
        Self {
            json,
            bars,
            unwritten: RefCell::default(),
            is_less: Cell::default(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result as a line of text, or as an event.
    pub(crate) fn result(&self, text: &str, event: &Event) {
        let line = if self.json {
            json(event)
        } else {
            text.to_owned()
        };
        self.print(&line);
    }

    pub(crate) fn print(&self, line: &str) {
        self.write_all([visible(line)]);
    }

    /// Prints a text for another program, such as completions. The text is ours, so nothing in it is escaped.
    pub(crate) fn text(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if self.json {
            self.print(&json(&Event::Text { text: &text }));
        } else {
            self.write_all([text.trim_end()]);
        }
    }

    /// Prints many lines on standard output at once. They can contain our own colours and are not escaped here, so the
    /// caller passes the words of others through [`visible`].
    pub(crate) fn write_all(&self, lines: impl IntoIterator<Item = impl Display>) {
        self.bars.suspend(|| {
            if let Err(error) = write_lines(lines) {
                self.unwritten.borrow_mut().get_or_insert(error);
            }
        });
    }

    /// Fails if a result could not be printed.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.unwritten.take() {
            Some(error) => unwritten(error),
            None => Ok(()),
        }
    }

    /// Remembers that a video is less than was asked for.
    pub(crate) fn note_shortfall(&self) {
        self.is_less.set(true);
    }

    /// The exit code of a command that has succeeded.
    pub(crate) fn code(&self) -> ExitCode {
        if self.is_less.get() {
            ExitCode::from(Exit::Shortfall as u8)
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Reports the progress: people get a line on standard error, and programs an event.
    pub(crate) fn progress(&self, text: &str, event: &Event) {
        if self.json {
            self.print(&json(event))
        } else {
            self.tell(text)
        }
    }

    /// Prints a message that is no result.
    pub(crate) fn note(&self, message: &str) {
        self.progress(message, &Event::Note { message });
    }

    pub(crate) fn warn(&self, message: &str) {
        if self.json {
            self.note(message);
        } else {
            let word = style("warning").yellow().bold().for_stderr();
            self.tell_after(&word, message);
        }
    }

    /// Prints an error, and returns the exit code.
    pub(crate) fn report(&self, failure: &Failure) -> ExitCode {
        if self.json {
            self.tell(&json(&failure.as_json()));
        } else {
            let word = style("error").red().bold().for_stderr();
            self.tell_after(&word, &failure.in_full());
        }
        ExitCode::from(failure.exit as u8)
    }

    /// Prints a line on standard error.
    pub(crate) fn tell(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr(), "{}", visible(line));
        });
    }

    /// Prints a line on standard error after a word of the program, which can have a colour.
    fn tell_after(&self, word: &dyn Display, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr(), "{word}: {}", visible(line));
        });
    }
}

/// Replaces characters that control a terminal, reorder letters or are invisible by their JSON escapes. All text that
/// can contain words of others passes through this function.
pub(crate) fn visible<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    // Nearly all texts are plain, so a scan of all bytes is quicker than one that can stop early.
    let is_plain = |byte| matches!(byte, b'\n' | b' '..=b'~');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.clone().next();
        if is_hidden(c) && !is_part_of_sign(before, c, after) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown += &format!("\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
        before = Some(c);
        if c == BLACK_FLAG
            && let Some(flag) = FLAGS.iter().find(|flag| rest.as_str().starts_with(**flag))
        {
            shown += flag;
            rest = rest.as_str()[flag.len()..].chars();
        }
    }
    shown.into()
}

/// Does the same as [`visible`] for a text of others that has to stay on one line.
pub(crate) fn in_one_line(text: &str) -> String {
    visible(text).replace('\n', "\\u000a")
}

/// Returns whether a character controls the output instead of being seen.
fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    turns || ends_line || is_invisible(c) || c.is_control() && c != '\n'
}

/// Returns whether a character has no picture and no width. Unicode calls these characters default ignorable.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether a hidden character is part of a visible sign: an emoji of several characters, or joined letters.
fn is_part_of_sign(before: Option<char>, c: char, after: Option<char>) -> bool {
    let is_sign = |c: char| !c.is_ascii() && !is_hidden(c);
    match (before, c, after) {
        (Some('0'..='9' | '#' | '*'), '\u{fe0f}', Some('\u{20e3}')) => true,
        (Some(before), '\u{fe0e}' | '\u{fe0f}', _) => is_sign(before),
        (Some(before), '\u{200c}' | '\u{200d}', Some(after)) => {
            (is_sign(before) || before == '\u{fe0f}') && is_sign(after)
        }
        _ => false,
    }
}

const BLACK_FLAG: char = '🏴';
/// The tags that turn [`BLACK_FLAG`] into the flag of England, Scotland or Wales.
const FLAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// Standard error for the lines of `--verbose`, which go through [`visible`].
struct VisibleErrors;

impl Write for VisibleErrors {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = visible(String::from_utf8_lossy(bytes));
        io::stderr().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn write_lines(lines: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}

/// Returns the failure for a result that cannot be printed. A paid video is saved even then.
pub(crate) fn unwritten(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        // A reader such as `head` stops when it has seen enough.
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::unprinted(format!(
            "standard output cannot be written: {error}; what the command did before stays done"
        ))),
    }
}

pub(crate) fn json(value: &impl Serialize) -> String {
    // None of the types can fail to serialize. Hidden characters occur only in JSON strings, where escapes are valid.
    visible(serde_json::to_string(value).unwrap_or_default()).into_owned()
}
