//! `veo generate --batch`: many requests from one file, each sent once however often the command is run.

mod names;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use veo_core::ledger::{Budget, Entry, EntryState, Ledger as _, Listed, Which};
use veo_core::{Charged, Client, ErrorKind, JobRef, Receipt, Resend, VideoRequest};

use crate::args::{Save, Who};
use crate::failure::{Exit, Failure, look};
use crate::hash::hex;
use crate::interrupt::Interrupts;
use crate::output::{Event, Output};
use crate::paths::{check_target, free, named_after, place, relative};
use crate::run::{Known, Making, label, possible};
use crate::saved::summary;
use crate::setting::Setting;
use crate::store::{Store, ledger_of};

#[derive(Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct Batch {
    /// Make the videos of a file: each line is a request as `veo schema` describes it, with an "output" besides if you
    /// like. What happens is kept beside the file, in FILE.ledger. The same command goes on after any end: what is done
    /// is not done again, what was accepted is waited for, and what may have been sent is not sent again. Receipts go
    /// to standard output, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Prompt", "Options", "output", "receipt", "no_wait"])]
    pub(crate) batch: Option<PathBuf>,
    /// How many videos are under way at a time [default: 4].
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Send no more once the next video could cost more than this, over all runs of the batch. The price of a kind of
    /// video is not known before one was made, so the first of each kind is made alone and can go over; so can a price
    /// that rises meanwhile. Jobs that fail or are not here in time count as well. What others spend from the account
    /// at that moment is taken for the price. Needs a provider that tells its balance.
    #[arg(long, value_name = "CREDITS", allow_negative_numbers = true)]
    max_credits: Option<f64>,
    /// Where to save the receipts, instead of printing them.
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Send the lines again whose jobs have failed, as new jobs with a new price.
    #[arg(long)]
    retry_failed: bool,
}

impl Batch {
    /// Refuses what has a meaning only for a batch. A cap on nothing would be a trap.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let given = [
            (self.concurrency.is_some(), "--concurrency"),
            (self.max_credits.is_some(), "--max-credits"),
            (self.receipts.is_some(), "--receipts"),
            (self.retry_failed, "--retry-failed"),
        ];
        if let Some((_, option)) = given
            .into_iter()
            .find(|(given, _)| *given && self.batch.is_none())
        {
            return Err(Failure::usage(format!(
                "{option} is for a batch; name its file with --batch"
            )));
        }
        match self.max_credits {
            // It is checked before anybody is asked for a balance.
            Some(cap) => Ok(Budget::new(BUDGET, "any", cap).map(drop)?),
            None => Ok(()),
        }
    }
}

/// The name of the cap of a batch in its ledger.
const BUDGET: &str = "--max-credits";

/// A line of the file.
struct Line {
    number: usize,
    request: VideoRequest,
    /// Where its video goes, if it says so.
    output: Option<PathBuf>,
    /// Its own fields as they are written, and which of several such lines it is.
    key: String,
}

/// What there is to do for a line.
enum Step {
    Send {
        key: String,
        path: PathBuf,
    },
    Wait(Box<Entry>),
    /// It is not to be touched.
    Leave(Box<Failure>),
    Done(Box<Entry>),
}

pub(crate) async fn run(
    file: &Path,
    batch: &Batch,
    who: &Who,
    save: &Save,
    timeout: Option<Duration>,
    output: &Output,
) -> Result<(), Failure> {
    let text = fs::read_to_string(file);
    let text = text
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let lines = read(file, &text)?;
    let own = [place(file), ledger_of(file)?];
    check_receipts(batch.receipts.as_deref(), &own)?;
    let setting = Setting::of(who).await?;
    let client = setting
        .config
        .client(&setting.providers, timeout)?
        .with_replacing(save.force);
    let store = if setting.is_simulated() {
        Store::temporary().await?
    } else {
        names::check(file)?;
        Store::open_batch(file, Some(&mut keys_of(&lines))).await?
    };
    // Nothing is sent from a ledger that cannot be trusted, and nothing is begun that could not go on.
    store
        .check()
        .await
        .map_err(|failure| failure.with_next(DAMAGED))?;
    if store.ledger().is_new().await && !setting.is_simulated() {
        output.note(&format!(
            "{} has no record yet, so all of its lines are new.",
            file.display()
        ));
    }
    let client = client.with_ledger(store.ledger().clone());
    let known = Ledger::of(&store, &client).await?;
    let mut others = Vec::new();
    if !setting.is_simulated()
        && !save.force
        && let Some(store) = Store::of_no_batch().await?
    {
        others = store.list(Which::Open).await?;
    }
    let reserved = own
        .into_iter()
        .chain(batch.receipts.as_deref().map(place))
        .collect();
    let outputs = Outputs::new(file, &lines, &known, &others, reserved);
    let steps = steps(
        &lines,
        &known,
        outputs,
        &client,
        &store,
        batch.retry_failed,
        save.force,
    )
    .await
    .map_err(|problems| unusable(file, &problems))?;
    let client = match batch.max_credits {
        Some(cap) => {
            let chosen = if setting.providers.is_empty() {
                setting.config.with_keys()
            } else {
                setting.providers.clone()
            };
            let [provider] = chosen[..] else {
                return Err(Failure::usage(
                    "--max-credits goes with one provider; choose it with --provider",
                ));
            };
            // Who does not tell a balance tells no price.
            client.credits(provider.name()).await?;
            client.with_budget(Budget::new(BUDGET, provider.name(), cap)?)
        }
        None => client,
    };
    let receipts = Receipts::open(batch.receipts.as_deref(), output)?;

    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    let run = Running {
        making,
        is_capped: batch.max_credits.is_some(),
        halted: RefCell::default(),
    };
    run.all(
        &lines,
        steps,
        batch.concurrency.unwrap_or(4).max(1),
        receipts,
    )
    .await
}

/// A batch that is under way.
struct Running<'a> {
    making: Making<'a>,
    is_capped: bool,
    /// Why no further line is sent, if that is so.
    halted: RefCell<Option<String>>,
}

impl Running<'_> {
    async fn all(
        &self,
        lines: &[Line],
        steps: Vec<Step>,
        concurrency: usize,
        mut receipts: Receipts,
    ) -> Result<(), Failure> {
        let output = self.making.output;
        let total = output.bars.add(ProgressBar::new(lines.len() as u64));
        if let Ok(style) =
            ProgressStyle::with_template("[{bar:30}] {pos} of {len} lines{msg} ({elapsed})")
        {
            total.set_style(style.progress_chars("=> "));
        }
        total.tick();
        let (waiting, rest): (Vec<_>, Vec<_>) = lines
            .iter()
            .zip(steps)
            .partition(|(_, step)| matches!(step, Step::Wait(_)));
        // What is paid for comes first.
        let steps = waiting.into_iter().chain(rest);
        let work = |(line, step)| async move { (line, self.take(line, step).await) };
        let mut results = stream::iter(steps).map(work).buffer_unordered(concurrency);
        let (mut done, mut failures) = (0, Vec::new());
        while let Some((line, result)) = results.next().await {
            match result {
                Ok(receipt) => {
                    done += 1;
                    output.bars.suspend(|| receipts.write(receipt.as_deref()));
                }
                Err(mut failure) => {
                    // The command itself was right.
                    if failure.exit == Exit::Usage {
                        let is_paid = failure.error.job().is_some();
                        failure.exit = if is_paid {
                            Exit::Unfinished
                        } else {
                            Exit::Rejected
                        };
                    }
                    let text = format!("line {}: {}", line.number, failure.in_full());
                    output.progress(
                        &text,
                        &Event::Failed {
                            line: line.number,
                            error: failure.told(),
                        },
                    );
                    failures.push(failure);
                }
            }
            total.inc(1);
            if self.is_capped
                && let Ok(spent) = self.making.store.ledger().spent(BUDGET).await
            {
                total.set_message(format!(", {spent} credits"));
            }
        }
        total.finish_and_clear();
        let ended = match summarize(lines, done, &failures, output) {
            Ok(()) => self.making.store.check().await,
            ended => ended,
        };
        match (receipts.end(), ended) {
            (Ok(()), ended) => ended,
            (Err(unwritten), Ok(())) => Err(unwritten),
            (Err(unwritten), Err(failure)) => {
                output.report(&unwritten);
                let message = failure.message();
                Err(Failure::of_several(message, &[unwritten, failure]).with_next(AGAIN))
            }
        }
    }

    /// Does for a line what is to be done, and gives its receipt.
    async fn take(&self, line: &Line, step: Step) -> Result<Option<Box<Receipt>>, Failure> {
        let (making, number) = (&self.making, Some(line.number));
        let (key, job, path) = match step {
            Step::Leave(failure) => return Err(*failure),
            Step::Done(entry) => {
                let receipt = entry.receipt().map(Box::new);
                if making.output.is_json() {
                    let event = Event::Done {
                        line: line.number,
                        receipt: receipt.as_deref(),
                    };
                    making.output.progress("", &event);
                }
                return Ok(receipt);
            }
            Step::Wait(entry) => {
                let Some(job) = entry.job() else {
                    return Err(Failure::failed(format!(
                        "the record of {} has no job",
                        entry.key
                    )));
                };
                let target = entry.target.as_deref().map(PathBuf::from);
                let path = target.unwrap_or_else(|| named_after(&job.reference));
                (entry.key, job, relative(&path))
            }
            Step::Send { key, path } => {
                let job = self.send(line, &key, &path).await?;
                (key, job, path)
            }
        };
        let label = label(number);
        let known = Known {
            reference: &job.reference,
            key: Some(&key),
            job: Some(&job),
            line: number,
            label: &label,
        };
        let made = making.finish(&known, &path).await?;
        let text = format!(
            "{label}{}: {}",
            summary(&made.saved),
            made.saved.path.display()
        );
        let (saved, receipt) = (&made.saved, made.receipt.as_ref());
        making.output.progress(
            &text,
            &Event::Saved {
                line: number,
                job: &job.reference,
                saved,
                receipt,
            },
        );
        Ok(made.receipt.map(Box::new))
    }

    /// Sends a line. What the provider takes later is sent later.
    async fn send(&self, line: &Line, key: &str, path: &Path) -> Result<veo_core::Job, Failure> {
        let (making, number) = (&self.making, Some(line.number));
        loop {
            if making.interrupts.any() {
                return Err(Failure::interrupted_before());
            }
            if let Some(why) = &*self.halted.borrow() {
                let message = format!("not sent: {why}");
                return Err(
                    Failure::from(veo_core::Error::new(ErrorKind::Ledger, message))
                        .with_exit(Exit::Rejected),
                );
            }
            let prepared = making.prepare(&line.request, number).await?.key(key);
            let failure = match making.submit(prepared, path, number).await {
                Ok(job) => {
                    if job.unrecorded.is_some() {
                        let why = "a job before it could not be written down; correct that first";
                        *self.halted.borrow_mut() = Some(why.to_owned());
                    }
                    return Ok(job);
                }
                Err(failure) => failure,
            };
            match failure.error.resend() {
                Resend::After(pause) if failure.error.kind() == ErrorKind::RateLimited => {
                    making
                        .output
                        .note(&format!("{}{}", label(number), failure.message()));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = making.interrupts.first() => return Err(Failure::interrupted_before()),
                    }
                }
                _ => return Err(failure),
            }
        }
    }
}

/// What the ledger of a batch knows.
struct Ledger {
    entries: HashMap<String, Listed>,
}

impl Ledger {
    /// All of it, if it was begun where the providers are now. What is done at a simulator is not done at the provider.
    async fn of(store: &Store, client: &Client) -> Result<Self, Failure> {
        let listed = store.list(Which::All).await?;
        let mut checked = HashSet::new();
        for listed in &listed {
            let (account, base_url) = (
                listed.job.as_ref().and_then(|job| job.split(':').next()),
                listed.base_url.as_deref(),
            );
            if !checked.insert((account, base_url)) {
                continue;
            }
            let Some(Ok(job)) = listed.job.as_ref().map(|job| job.parse::<JobRef>()) else {
                continue;
            };
            if let Err(error) = client.check_place(&job, base_url) {
                let next = "Correct the base URL, or give the file another name to begin anew; nothing was sent.";
                let failure = Failure::usage(format!("the batch was begun elsewhere: {error}"));
                return Err(failure.with_next(next));
            }
        }
        drop(checked);
        let mut entries = HashMap::with_capacity(listed.len());
        for listed in listed {
            entries.insert(listed.key.clone(), listed);
        }
        Ok(Self { entries })
    }

    /// The entry of a line, or the last of its further tries.
    fn of_line(&self, line: &Line) -> Option<&Listed> {
        let tries = (2..).map_while(|number| self.entries.get(&format!("{}/{number}", line.key)));
        tries.last().or_else(|| self.entries.get(&line.key))
    }
}

/// Where the receipts go. That one cannot be written is no reason to leave jobs alone that are under way.
struct Receipts {
    name: String,
    /// With JSON the events have them, and nothing else is printed.
    sink: Option<Box<dyn Write>>,
    error: Option<io::Error>,
}

impl Receipts {
    fn open(path: Option<&Path>, output: &Output) -> Result<Self, Failure> {
        let name = path.map_or_else(
            || "standard output".to_owned(),
            |path| path.display().to_string(),
        );
        let sink: Option<Box<dyn Write>> = match path {
            Some(path) => Some(Box::new(File::create(path).map_err(|error| {
                Failure::usage(format!(
                    "{name} cannot be written: {error}; nothing was sent"
                ))
            })?)),
            None if output.is_json() => None,
            None => Some(Box::new(io::stdout())),
        };
        Ok(Self {
            name,
            sink,
            error: None,
        })
    }

    fn write(&mut self, receipt: Option<&Receipt>) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.error.is_none()) else {
            return;
        };
        // Its types have nothing that JSON cannot say.
        let text = serde_json::to_string(&receipt).unwrap_or_default();
        self.error = writeln!(sink, "{text}").and_then(|()| sink.flush()).err();
    }

    /// Whether all are written. Whoever stops reading them has seen enough.
    fn end(self) -> Result<(), Failure> {
        let Some(error) = self
            .error
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
        else {
            return Ok(());
        };
        let message = format!("the receipts cannot be written to {}: {error}", self.name);
        let error = veo_core::Error::new(ErrorKind::Local, message).with_charged(Charged::Yes);
        let next =
            "The ledger has them all: the same command writes them again, and sends nothing twice.";
        Err(Failure::from(error).with_next(next))
    }
}

/// Refuses to write receipts over anything but receipts.
fn check_receipts(path: Option<&Path>, own: &[PathBuf]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    if own.contains(&place(path)) {
        let message = format!(
            "{} is the batch or its ledger; choose another file with --receipts",
            path.display()
        );
        return Err(Failure::usage(message));
    }
    let Ok(file) = File::open(path) else {
        return Ok(());
    };
    if !file
        .metadata()
        .is_ok_and(|file| file.is_file() && file.len() > 0)
    {
        return Ok(());
    }
    let mut first = Vec::new();
    let read = io::Read::take(BufReader::new(file), 16 << 20).read_until(b'\n', &mut first);
    let is_receipt = read.is_ok() && serde_json::from_slice::<Option<Receipt>>(&first).is_ok();
    if is_receipt {
        return Ok(());
    }
    let message = format!(
        "{} holds something else than receipts; choose another file with --receipts",
        path.display()
    );
    Err(Failure::usage(message))
}

/// What to do when a batch has ended before its end.
const AGAIN: &str = "The same command goes on, and sends nothing twice.";
/// What to do about a damaged ledger.
const DAMAGED: &str = "Each of these lines can stand for a paid video, so nothing was sent. Put back what was there. What can be \
                       read is listed by veo jobs --batch, and veo wait goes on with its jobs.";

fn summarize(
    lines: &[Line],
    done: usize,
    failures: &[Failure],
    output: &Output,
) -> Result<(), Failure> {
    let count = |exits: &[Exit]| {
        failures
            .iter()
            .filter(|failure| exits.contains(&failure.exit))
            .count()
    };
    let (failed, rejected) = (count(&[Exit::Failed]), count(&[Exit::Rejected]));
    let (unknown, unfinished) = (
        count(&[Exit::Unknown]),
        count(&[Exit::Unfinished, Exit::Interrupted]),
    );
    let mut text = format!("{done} of {} lines done", lines.len());
    for (number, word) in [
        (failed, "failed"),
        (rejected, "rejected"),
        (unknown, "with an unknown outcome"),
        (unfinished, "not finished"),
    ] {
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    output.progress(
        &text,
        &Event::Batch {
            done,
            failed,
            rejected,
            unknown,
            unfinished,
        },
    );
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} lines have no video", failures.len(), lines.len());
    Err(Failure::of_several(message, failures).with_next(AGAIN))
}

/// All requests of the file, or everything that is wrong with it.
fn read(file: &Path, text: &str) -> Result<Vec<Line>, Failure> {
    let (mut lines, mut problems, mut seen) =
        (Vec::new(), Vec::new(), HashMap::<String, usize>::new());
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match read_line(text) {
            Ok((fields, request, output)) => {
                // The same line twice means two videos.
                let times = seen
                    .entry(fields.clone())
                    .and_modify(|times| *times += 1)
                    .or_insert(1);
                let key = if *times > 1 {
                    format!("{fields}-{times}")
                } else {
                    fields
                };
                lines.push(Line {
                    number,
                    request,
                    output,
                    key,
                });
            }
            Err(problem) => problems.push(format!("line {number}: {problem}")),
        }
    }
    if problems.is_empty() {
        Ok(lines)
    } else {
        Err(unusable(file, &problems))
    }
}

/// Which key a request has that was sent by an earlier version: that of the line which says the same.
fn keys_of(lines: &[Line]) -> impl FnMut(&VideoRequest, &Path) -> Option<String> {
    let mut left: Vec<&Line> = lines.iter().collect();
    move |request, output| {
        // A line that names no file was given one, so it is known by the request alone.
        let same = |line: &&Line| {
            line.request == *request
                && line
                    .output
                    .as_ref()
                    .is_none_or(|named| place(named) == place(output))
        };
        let at = left.iter().position(same)?;
        Some(left.remove(at).key.clone())
    }
}

/// Everything that is wrong with the file.
fn unusable(file: &Path, problems: &[String]) -> Failure {
    Failure::usage(format!(
        "{} cannot be used, and nothing was sent:\n{}",
        file.display(),
        problems.join("\n")
    ))
}

/// What stands for the fields of a line as they are written, the request, and where the video goes.
fn read_line(text: &str) -> Result<(String, VideoRequest, Option<PathBuf>), String> {
    let mut value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    // A later version that knows more fields finds the same ones in this line.
    value.sort_all_objects();
    let fields = hex(&Sha256::digest(value.to_string().as_bytes())[..8]);
    let output = match value
        .as_object_mut()
        .and_then(|object| object.remove("output"))
    {
        None => None,
        Some(Value::String(output)) => Some(PathBuf::from(output)),
        Some(other) => return Err(format!("output: {other} is no path of a file")),
    };
    let request =
        VideoRequest::deserialize(value).map_err(|error| format!("it is no request: {error}"))?;
    Ok((fields, request, output))
}

/// What there is to do for each line, or everything that stands against the new ones.
async fn steps(
    lines: &[Line],
    known: &Ledger,
    mut outputs: Outputs<'_>,
    client: &Client,
    store: &Store,
    retry_failed: bool,
    force: bool,
) -> Result<Vec<Step>, Vec<String>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for line in lines {
        let listed = known.of_line(line);
        let entry = match listed {
            Some(listed) => store
                .entry(&listed.key)
                .await
                .map_err(|failure| vec![failure.message()])?,
            None => None,
        };
        let key = entry
            .as_ref()
            .map_or(line.key.clone(), |entry| entry.key.clone());
        let (state, key) = match entry.as_ref().map(|entry| entry.state) {
            // A failed job ends its key, and a further try has one of its own.
            Some(EntryState::Failed) if retry_failed => (None, next_try(&key)),
            state => (state, key),
        };
        let step = match (state, entry) {
            (Some(EntryState::Done), Some(entry)) => Step::Done(Box::new(entry)),
            (Some(EntryState::Accepted | EntryState::Finished), Some(entry)) => {
                Step::Wait(Box::new(entry))
            }
            (Some(EntryState::Unknown | EntryState::OnItsWay), Some(entry)) => {
                Step::Leave(Box::new(unknown(&entry, store)))
            }
            (Some(EntryState::Failed), Some(entry)) => {
                let why = entry.why().cloned();
                let why = why.unwrap_or_else(|| {
                    veo_core::Error::new(ErrorKind::JobFailed, "the job has failed")
                });
                let next = "It is not sent again, unless you say so with --retry-failed.";
                Step::Leave(Box::new(
                    Failure::from(why).with_exit(Exit::Failed).with_next(next),
                ))
            }
            _ => match begin(line, &mut outputs, client, force).await {
                Ok(path) => Step::Send { key, path },
                Err(failure) => {
                    problems.push(format!(
                        "line {}: {}",
                        line.number,
                        failure.message().replace('\n', "; ")
                    ));
                    continue;
                }
            },
        };
        steps.push(step);
    }
    if problems.is_empty() {
        Ok(steps)
    } else {
        Err(problems)
    }
}

/// The key after one whose job has failed: `KEY/2` and so on.
fn next_try(key: &str) -> String {
    match key.split_once('/') {
        Some((key, number)) => format!("{key}/{}", number.parse::<u32>().unwrap_or(1) + 1),
        None => format!("{key}/2"),
    }
}

/// Where the video of a line goes that is to be sent, if it can be sent.
async fn begin(
    line: &Line,
    outputs: &mut Outputs<'_>,
    client: &Client,
    force: bool,
) -> Result<PathBuf, Failure> {
    possible(client.plan(&line.request))?;
    for image in line.request.images() {
        image.check().await?;
    }
    let path = outputs.of(line, force)?;
    check_target(&path, "\"output\"", force)?;
    Ok(path)
}

/// Where the videos of a batch go.
struct Outputs<'a> {
    /// The start of the names that nobody has given.
    stem: String,
    /// By the batch itself: its file, its ledger and its receipts.
    reserved: Vec<PathBuf>,
    /// By a line or a job, whose file nobody else may name.
    claimed: HashMap<PathBuf, String>,
    /// By a video that is or may come there. A name that nobody has given is another one.
    used: HashSet<&'a Path>,
}

impl<'a> Outputs<'a> {
    /// Those of the lines, of what the ledger knows, and of the open jobs that are in no batch.
    fn new(
        file: &Path,
        lines: &[Line],
        known: &'a Ledger,
        others: &'a [Listed],
        reserved: Vec<PathBuf>,
    ) -> Self {
        let keeps = |listed: &&Listed| listed.state.is_open() || listed.state == EntryState::Done;
        let mut claimed = HashMap::new();
        let open = others.iter().chain(
            known
                .entries
                .values()
                .filter(|listed| listed.state.is_open()),
        );
        for listed in open {
            if let (Some(path), Some(job)) = (target(listed), &listed.job) {
                claimed.insert(path.to_owned(), job.clone());
            }
        }
        let kept = |line: &Line| known.of_line(line).filter(keeps).and_then(target);
        for line in lines {
            if let Some(path) = kept(line) {
                claimed.insert(path.to_owned(), name(line));
            }
        }
        for line in lines.iter().filter(|line| kept(line).is_none()) {
            if let Some(path) = &line.output {
                claimed.entry(place(path)).or_insert_with(|| name(line));
            }
        }
        let used = others
            .iter()
            .chain(known.entries.values())
            .filter(keeps)
            .filter_map(target)
            .collect();
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            stem,
            reserved,
            claimed,
            used,
        }
    }

    /// That of a line that is to be sent.
    fn of(&mut self, line: &Line, force: bool) -> Result<PathBuf, Failure> {
        if let Some(path) = &line.output {
            if self.reserved.contains(&place(path)) {
                let message = format!(
                    "{} is the batch, its ledger or its receipts",
                    path.display()
                );
                return Err(Failure::usage(message));
            }
            return match self.claimed.get(&place(path)) {
                Some(whose) if *whose != name(line) => Err(Failure::usage(format!(
                    "{} is the output of {whose} as well",
                    path.display()
                ))),
                _ => Ok(path.clone()),
            };
        }
        let like = PathBuf::from(format!("{}-{}.mp4", self.stem, line.number));
        let is_taken = |path: &Path| {
            let place = place(path);
            self.claimed.contains_key(&place)
                || self.used.contains(place.as_path())
                || (!force && path.exists())
        };
        let path = free(&like, is_taken);
        self.claimed.insert(place(&path), name(line));
        Ok(path)
    }
}

/// Where the video of an entry is, or is to go.
fn target(listed: &Listed) -> Option<&Path> {
    listed.target.as_deref().map(Path::new)
}

fn name(line: &Line) -> String {
    format!("line {}", line.number)
}

fn unknown(entry: &Entry, store: &Store) -> Failure {
    let failure = match entry.unknown() {
        Some(unknown) => Failure::from(unknown.error),
        None => {
            let message = "another process is sending it, or its record is damaged";
            Failure::from(veo_core::Error::new(ErrorKind::OutcomeUnknown, message))
        }
    };
    failure
        .with_exit(Exit::Unknown)
        .with_next(look(&entry.key, store.batch()))
}
