//! `veo generate --batch`: many requests from one file, each sent once however often the command is run.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use veo_core::{Client, Offer, VideoRequest};

use crate::about::hex;
use crate::args::{Save, Target, Who, check_target, free, place};
use crate::budget::{Budget, Cost, Leave};
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure, in_full, look};
use crate::interrupt::Interrupts;
use crate::jobs::{address, is_here};
use crate::making::{Known, Making, label, possible, summary};
use crate::output::{Event, Output};
use crate::store::{Entry, Event as Happened, Store};

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
    #[arg(long, value_name = "CREDITS")]
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
        match given.into_iter().find(|(given, _)| *given && self.batch.is_none()) {
            Some((_, option)) => Err(Failure::usage(format!("{option} is for a batch; name its file with --batch"))),
            None => Ok(()),
        }
    }
}

/// The ledger of a batch.
pub(crate) fn ledger_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".ledger");
    name.into()
}

/// A line of the file.
struct Line {
    number: usize,
    request: VideoRequest,
    /// Where its video goes, if it says so.
    output: Option<PathBuf>,
    /// What tells it from other lines, wherever it stands.
    key: String,
}

/// What there is to do for a line.
enum Step {
    Send(Box<Offer>, PathBuf),
    Wait(Box<Entry>),
    /// It is not to be touched.
    Leave(Failure),
    Done(Value),
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
    let text = text.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let lines = read(file, &text)?;
    let own = [place(file), place(&ledger_of(file))];
    if let Some(receipts) = batch.receipts.as_ref().filter(|receipts| own.contains(&place(receipts))) {
        let message = format!("{} is the batch or its ledger; choose another file with --receipts", receipts.display());
        return Err(Failure::usage(message));
    }
    let setting = who.setting().await?;
    let client = setting.config.client(&setting.providers, timeout)?;
    let store = if setting.is_simulated() { Store::temporary()? } else { Store::open_alone(ledger_of(file))? };
    let all = store.whole()?;
    for entry in &all {
        check_place(&setting.config, entry)?;
    }
    let entries: HashMap<_, _> = all.iter().filter_map(|entry| Some((entry.key.clone()?, entry.clone()))).collect();

    let others = if setting.is_simulated() { Vec::new() } else { Store::of_no_batch()? };
    let others: Vec<_> = others.iter().filter(|_| !save.force).chain(&all).collect();
    let reserved = own.into_iter().chain(batch.receipts.as_deref().map(place)).collect();
    let outputs = Outputs { reserved, ..Outputs::new(file, &lines, &entries, &others) };
    let steps = steps(&lines, &entries, outputs, &client, &store, batch.retry_failed, save.force)
        .await
        .map_err(|problems| unusable(file, &problems))?;
    let budget = match batch.max_credits {
        Some(cap) => {
            let chosen =
                if setting.providers.is_empty() { setting.config.with_keys() } else { setting.providers.clone() };
            let [provider] = chosen[..] else {
                return Err(Failure::usage("--max-credits goes with one provider; choose it with --provider"));
            };
            Some(budget(&client, provider, cap, &all).await?)
        }
        None => None,
    };
    let mut receipts = Receipts::open(batch.receipts.as_deref(), output)?;

    let interrupts = Interrupts::new();
    let making = Making { client: &client, config: &setting.config, store: &store, interrupts: &interrupts, output };
    let total = output.bars.add(ProgressBar::new(lines.len() as u64));
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {pos} of {len} lines{msg} ({elapsed})") {
        total.set_style(style.progress_chars("=> "));
    }
    total.tick();

    let (mut waiting, mut rest) = (Vec::new(), Vec::new());
    for step in lines.iter().zip(steps) {
        if matches!(step.1, Step::Wait(_)) { waiting.push(step) } else { rest.push(step) }
    }
    // What is paid for comes first.
    let steps = waiting.into_iter().chain(rest);
    let work = |(line, step)| {
        let (making, budget) = (&making, budget.as_ref());
        async move { (line, take(line, step, making, budget).await) }
    };
    let mut results = stream::iter(steps).map(work).buffer_unordered(batch.concurrency.unwrap_or(4).max(1));
    let (mut done, mut failures) = (0, Vec::new());
    while let Some((line, result)) = results.next().await {
        match result {
            Ok(receipt) => {
                done += 1;
                output.bars.suspend(|| receipts.write(&receipt));
            }
            Err(mut failure) => {
                // The command itself was right.
                if failure.exit == Exit::Usage {
                    failure.exit = if failure.told.job.is_some() { Exit::Unfinished } else { Exit::Rejected };
                }
                let text = format!("line {}: {}", line.number, in_full(&failure.told));
                output.progress(&text, &Event::Failed { line: line.number, error: &failure.told });
                failures.push(failure);
            }
        }
        total.inc(1);
        if let Some(budget) = &budget {
            total.set_message(format!(", {} credits", budget.spent()));
        }
    }
    total.finish_and_clear();
    let ended = summarize(&lines, done, &failures, output);
    match (receipts.end(), ended) {
        (Ok(()), ended) => ended,
        (Err(unwritten), Ok(())) => Err(unwritten),
        (Err(unwritten), Err(failure)) => {
            output.report(&unwritten);
            let message = failure.told.message.clone();
            Err(Failure::of_several(message, &[unwritten, failure]).with_next(AGAIN))
        }
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
        let name = path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        let sink: Option<Box<dyn Write>> = match path {
            Some(path) => Some(Box::new(
                File::create(path)
                    .map_err(|error| Failure::usage(format!("{name} cannot be written: {error}; nothing was sent")))?,
            )),
            None if output.is_json() => None,
            None => Some(Box::new(io::stdout())),
        };
        Ok(Self { name, sink, error: None })
    }

    fn write(&mut self, receipt: &Value) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.error.is_none()) else { return };
        self.error = writeln!(sink, "{receipt}").and_then(|()| sink.flush()).err();
    }

    /// Whether all are written. Whoever stops reading them has seen enough.
    fn end(self) -> Result<(), Failure> {
        let Some(error) = self.error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe) else { return Ok(()) };
        let mut failure = Failure::failed(format!("the receipts cannot be written to {}: {error}", self.name))
            .with_next("The ledger has them all: the same command writes them again, and sends nothing twice.");
        (failure.told.charged, failure.told.resend) = ("yes".to_owned(), "never".to_owned());
        Err(failure)
    }
}

/// What to do when a batch has ended before its end.
const AGAIN: &str = "The same command goes on, and sends nothing twice.";

fn summarize(lines: &[Line], done: usize, failures: &[Failure], output: &Output) -> Result<(), Failure> {
    let count = |exits: &[Exit]| failures.iter().filter(|failure| exits.contains(&failure.exit)).count();
    let (failed, rejected) = (count(&[Exit::Failed]), count(&[Exit::Rejected]));
    let (unknown, unfinished) = (count(&[Exit::Unknown]), count(&[Exit::Unfinished, Exit::Interrupted]));
    let mut text = format!("{done} of {} lines done", lines.len());
    for (number, word) in [
        (failed, "failed"),
        (rejected, "not taken"),
        (unknown, "with an unknown outcome"),
        (unfinished, "not finished"),
    ] {
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    output.progress(&text, &Event::Batch { done, failed, rejected, unknown, unfinished });
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} lines have no video", failures.len(), lines.len());
    Err(Failure::of_several(message, failures).with_next(AGAIN))
}

/// Does for a line what is to be done, and gives its receipt.
async fn take(line: &Line, step: Step, making: &Making<'_>, budget: Option<&Budget<'_>>) -> Result<Value, Failure> {
    let number = Some(line.number);
    let (id, job, path, leave) = match step {
        Step::Leave(failure) => return Err(failure),
        Step::Done(receipt) => {
            if making.output.is_json() {
                making.output.progress("", &Event::Done { line: line.number, receipt: &receipt });
            }
            return Ok(receipt);
        }
        Step::Wait(entry) => {
            let Some(job) = entry.job else { return Err(Failure::unknown("its job is not known")) };
            (entry.id, job, entry.output, None)
        }
        Step::Send(..) if making.interrupts.any() => return Err(Failure::interrupted_before()),
        Step::Send(offer, path) => {
            let leave = match budget {
                Some(budget) => Some((budget, budget.admit(&offer).await?)),
                None => None,
            };
            if making.interrupts.any() {
                return Err(Failure::interrupted_before());
            }
            let ready = match making.prepare(&line.request, &Target::Given(path), Some(&line.key), number).await {
                Ok(ready) => ready,
                Err(failure) => {
                    if let Some((budget, leave)) = leave {
                        budget.settle(leave, Cost::Nothing).await;
                    }
                    return Err(failure);
                }
            };
            match making.submit(&ready, number).await {
                Ok(job) => (ready.id, job, ready.path, leave),
                Err(failure) => {
                    let cost = if failure.exit == Exit::Unknown { Cost::Perhaps(None) } else { Cost::Nothing };
                    settle(making, &ready.id, leave, cost).await;
                    return Err(failure);
                }
            }
        }
    };
    let label = label(number);
    let known = Known { reference: &job.reference, record: Some((&id, &job)), line: number, label: &label };
    let made = making.finish(&known, &path).await;
    let credits = made.as_ref().ok().and_then(|made| made.receipt.as_ref()?.credits);
    settle(making, &id, leave, Cost::Perhaps(credits)).await;
    let made = made?;
    let text = format!("{label}{}: {}", summary(&made.saved), made.saved.path.display());
    let (saved, receipt) = (&made.saved, made.receipt.as_ref());
    making.output.progress(&text, &Event::Saved { line: number, job: &job.reference, saved, receipt });
    // Its types have nothing that JSON cannot say.
    Ok(serde_json::to_value(&made.receipt).unwrap_or_default())
}

/// Takes up what a request has cost. The next run starts with what this one has found out.
async fn settle(making: &Making<'_>, id: &str, leave: Option<(&Budget<'_>, Leave<'_>)>, cost: Cost) {
    let Some((budget, leave)) = leave else { return };
    if let Some(credits) = budget.settle(leave, cost).await {
        making.record(id, Happened::Cost { credits });
    }
}

/// All requests of the file, or everything that is wrong with it.
fn read(file: &Path, text: &str) -> Result<Vec<Line>, Failure> {
    let (mut lines, mut problems, mut seen) = (Vec::new(), Vec::new(), HashMap::<String, usize>::new());
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let (request, output) = match read_line(text) {
            Ok(line) => line,
            Err(problem) => {
                problems.push(format!("line {number}: {problem}"));
                continue;
            }
        };
        // The same line twice means two videos.
        let hash = hex(&Sha256::digest(serde_json::to_vec(&(&request, &output)).unwrap_or_default()));
        let times = seen.entry(hash.clone()).and_modify(|times| *times += 1).or_insert(1);
        let key = format!("{hash}-{times}");
        lines.push(Line { number, request, output, key });
    }
    if problems.is_empty() { Ok(lines) } else { Err(unusable(file, &problems)) }
}

/// Everything that is wrong with the file.
fn unusable(file: &Path, problems: &[String]) -> Failure {
    Failure::usage(format!("{} cannot be used, and nothing was sent:\n{}", file.display(), problems.join("\n")))
}

fn read_line(text: &str) -> Result<(VideoRequest, Option<PathBuf>), String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let output = match value.as_object_mut().and_then(|object| object.remove("output")) {
        None => None,
        Some(Value::String(output)) => Some(PathBuf::from(output)),
        Some(other) => return Err(format!("output: {other} is no path of a file")),
    };
    let request = VideoRequest::deserialize(value).map_err(|error| format!("it is no request: {error}"))?;
    Ok((request, output))
}

/// Refuses to go on elsewhere than where the batch was begun. What is done at a simulator is not done at the provider.
fn check_place(config: &Config, entry: &Entry) -> Result<(), Failure> {
    let Some(job) = entry.job.as_ref().map(|job| &job.reference) else { return Ok(()) };
    if is_here(config, entry) {
        return Ok(());
    }
    let (there, here) = (entry.base_url.as_deref(), config.base_url(ProviderName::of(&job.provider)?));
    let (there, here) = (address(there), address(here));
    let message = format!("the batch was begun elsewhere: {job} lives at {there}, and {here} is set");
    let next = "Correct the base URL, or give the file another name to begin anew; nothing was sent.";
    Err(Failure::usage(message).with_next(next))
}

/// What there is to do for each line, or everything that stands against the new ones.
async fn steps(
    lines: &[Line],
    entries: &HashMap<String, Entry>,
    mut outputs: Outputs,
    client: &Client,
    store: &Store,
    retry_failed: bool,
    force: bool,
) -> Result<Vec<Step>, Vec<String>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for line in lines {
        let entry = entries.get(&line.key);
        let step = match entry.map(|entry| (&entry.last, entry)) {
            Some((Happened::Saved { receipt }, _)) => Step::Done(receipt.clone()),
            Some((Happened::Accepted { .. }, entry)) => Step::Wait(Box::new(entry.clone())),
            // A cost is never the last that happened.
            Some((Happened::Intent { .. } | Happened::Unknown { .. } | Happened::Cost { .. }, entry)) => {
                Step::Leave(unknown(entry, store))
            }
            Some((Happened::Failed { error }, _)) if !retry_failed => {
                let failure = Failure { exit: Exit::Failed, told: error.clone() };
                Step::Leave(failure.with_next("It is not sent again, unless you say so with --retry-failed."))
            }
            Some((Happened::Failed { .. } | Happened::Refused { .. }, _)) | None => {
                match begin(line, &mut outputs, client, force).await {
                    Ok(step) => steps.extend(step),
                    Err(failure) => {
                        problems.push(format!("line {}: {}", line.number, failure.told.message.replace('\n', "; ")))
                    }
                }
                continue;
            }
        };
        steps.push(step);
    }
    if problems.is_empty() { Ok(steps) } else { Err(problems) }
}

/// What there is to do for a line that is to be sent, if nothing stands against it.
async fn begin(line: &Line, outputs: &mut Outputs, client: &Client, force: bool) -> Result<Option<Step>, Failure> {
    let plan = possible(client.plan(&line.request))?;
    for image in line.request.images() {
        image.check().await?;
    }
    let path = outputs.of(line, force)?;
    check_target(&path, "\"output\"", force)?;
    Ok(plan.offers.into_iter().next().map(|offer| Step::Send(Box::new(offer), path)))
}

/// Which files are spoken for.
struct Outputs {
    /// The start of the names that nobody has given.
    stem: String,
    /// By the batch itself: its file, its ledger and its receipts.
    reserved: Vec<PathBuf>,
    /// By a line or a job, whose file nobody else may name.
    claimed: HashMap<PathBuf, String>,
    /// By a video that is or may come there. A name that nobody has given is another one.
    used: HashSet<PathBuf>,
}

impl Outputs {
    /// Those of the lines, of what the ledger knows, and of the jobs that are in no batch.
    fn new(file: &Path, lines: &[Line], ledger: &HashMap<String, Entry>, others: &[&Entry]) -> Self {
        let jobs =
            others.iter().filter_map(|entry| Some((place(&entry.output), entry.unfinished()?.reference.to_string())));
        let mut claimed: HashMap<_, _> = jobs.collect();
        let keeps = |entry: &&Entry| entry.is_open() || matches!(entry.last, Happened::Saved { .. });
        let kept = |line: &Line| ledger.get(&line.key).filter(keeps).map(|entry| &entry.output);
        for line in lines {
            if let Some(path) = kept(line) {
                claimed.insert(place(path), name(line));
            }
        }
        for line in lines.iter().filter(|line| kept(line).is_none()) {
            if let Some(path) = &line.output {
                claimed.entry(place(path)).or_insert_with(|| name(line));
            }
        }
        let used = others.iter().copied().chain(ledger.values()).filter(keeps).map(|entry| place(&entry.output));
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { stem, reserved: Vec::new(), claimed, used: used.collect() }
    }

    /// That of a line that is to be sent.
    fn of(&mut self, line: &Line, force: bool) -> Result<PathBuf, Failure> {
        if let Some(path) = &line.output {
            if self.reserved.contains(&place(path)) {
                let message = format!("{} is the batch, its ledger or its receipts", path.display());
                return Err(Failure::usage(message));
            }
            return match self.claimed.get(&place(path)) {
                Some(whose) if *whose != name(line) => {
                    Err(Failure::usage(format!("{} is the output of {whose} as well", path.display())))
                }
                _ => Ok(path.clone()),
            };
        }
        let like = PathBuf::from(format!("{}-{}.mp4", self.stem, line.number));
        let is_taken = |path: &Path| {
            let place = place(path);
            self.claimed.contains_key(&place) || self.used.contains(&place) || (!force && path.exists())
        };
        let path = free(&like, is_taken);
        self.claimed.insert(place(&path), name(line));
        Ok(path)
    }
}

fn name(line: &Line) -> String {
    format!("line {}", line.number)
}

fn unknown(entry: &Entry, store: &Store) -> Failure {
    let message = match &entry.last {
        Happened::Unknown { error } => error.message.clone(),
        _ => "the program ended while it was being sent".to_owned(),
    };
    Failure::unknown(message).with_next(look(&entry.id, store.batch().as_deref()))
}

/// A cap, with what earlier runs have spent of it: also on lines that are gone, and on jobs that have failed.
async fn budget<'a>(
    client: &'a Client,
    provider: ProviderName,
    cap: f64,
    entries: &[Entry],
) -> Result<Budget<'a>, Failure> {
    let budget = Budget::new(client, provider.name(), cap).await?;
    let mut open = Vec::new();
    for entry in entries.iter().filter(|entry| !matches!(entry.last, Happened::Refused { .. })) {
        let planned = || client.plan(&entry.request).offers.into_iter().next();
        let Some(offer) = entry.job.as_ref().map(|job| job.offer.clone()).or_else(planned) else { continue };
        if offer.provider != provider.name() {
            continue;
        }
        let told = match &entry.last {
            Happened::Saved { receipt } => receipt["credits"].as_f64(),
            _ => None,
        };
        budget.has_sent(&offer, told.or(entry.credits));
        if !matches!(entry.last, Happened::Saved { .. } | Happened::Failed { .. }) {
            open.push(offer);
        }
    }
    open.iter().for_each(|offer| budget.is_open(offer));
    Ok(budget)
}
