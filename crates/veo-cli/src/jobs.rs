//! What can be done with jobs that were accepted before: `status`, `wait`, `download`, `upgrade` and `jobs`.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use console::{Alignment, measure_text_width, pad_str, style};
use futures_util::future::join_all;
use serde_json::Value;
use veo_core::{Client, Job, JobRef, Offer, Operation, Resolution, State, VideoRequest};

use crate::about::hashed;
use crate::args::{Patience, Save, check_target, place, word};
use crate::batch::ledger_of;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure, look};
use crate::generate::tell_saved;
use crate::interrupt::Interrupts;
use crate::making::{Known, Made, Making, keep_receipt};
use crate::output::{Event, Output};
use crate::progress::Progress;
use crate::store::{Entry, Event as Happened, Listed, Store, named_after};

#[derive(Args)]
#[command(after_help = "Examples:\n  veo status kie:0f1e2d3c\n  veo status kie:0f1e2d3c --json")]
pub(crate) struct Status {
    /// The job, as it was printed when it was accepted.
    job: JobRef,
}

const WAIT_EXAMPLES: &str = "\
Examples:
  veo wait                                  the latest job that has not ended
  veo wait kie:0f1e2d3c -o dog.mp4
  veo wait kie:0f1e2d3c uniall:task_42      both at once

The video is saved where `generate` was to save it, if this machine has sent the
request.";

#[derive(Args)]
#[command(after_help = WAIT_EXAMPLES)]
pub(crate) struct Wait {
    /// The jobs; the latest of this machine that has not ended if not given.
    job: Vec<JobRef>,
    #[command(flatten)]
    save: Save,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  veo download kie:0f1e2d3c\n  veo download kie:0f1e2d3c -o again.mp4")]
pub(crate) struct Download {
    /// The job, which has to have ended.
    job: JobRef,
    #[command(flatten)]
    save: Save,
}

const UPGRADE_EXAMPLES: &str = "\
Examples:
  veo upgrade kie:0f1e2d3c --resolution 1080p
  veo upgrade kie:0f1e2d3c --resolution 4k -o large.mp4

The same command again goes on with the same upgrade, and so does `veo wait`. To
have a new video large from the start, give --resolution to `veo generate`.";

#[derive(Args)]
#[command(after_help = UPGRADE_EXAMPLES)]
pub(crate) struct Upgrade {
    /// The job, which has to have ended.
    job: JobRef,
    /// The size to make.
    #[arg(long, value_name = "SIZE", ignore_case = true, value_parser = word::<Resolution>(&["1080p", "4k"]))]
    resolution: Resolution,
    /// Where to save the video [default: the name of the smaller one, with the size].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  veo jobs\n  veo jobs --json\n  veo jobs --batch jobs.jsonl")]
pub(crate) struct List {
    /// List those of a batch, which are kept beside its file.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) async fn status(arguments: Status, output: &Output) -> Result<(), Failure> {
    let Status { job } = arguments;
    let config = Config::load()?;
    let store = Store::open()?;
    check_place(&config, &store, &job)?;
    // To ask the provider how far an upgrade is can be to pay for it.
    if let Some(upgrade) = store.find(&job)?.filter(Entry::is_upgrade) {
        let listed = Listed::from(upgrade);
        output.result(listed.state, &Event::Job(&listed));
        return Ok(());
    }
    let client = config.client(&[ProviderName::of(&job.provider)?], None)?;
    let told = |state, percent| Event::State { line: None, job: &job, state, percent };
    match client.state(&job).await? {
        State::Finished(video) => {
            let event = Event::Finished { line: None, job: &job, video: &video };
            output.result(&format!("finished\n{}", video.urls.join("\n")), &event);
        }
        State::Running { percent: Some(percent) } => {
            output.result(&format!("running {percent}%"), &told("running", Some(percent)));
        }
        State::Running { percent: None } => output.result("running", &told("running", None)),
        State::Failed(error) => return Err(Failure::from(*error)),
        _ => output.result("pending", &told("pending", None)),
    }
    Ok(())
}

pub(crate) async fn wait(arguments: Wait, output: &Output) -> Result<(), Failure> {
    let Wait { job: mut jobs, save, patience } = arguments;
    let (config, store) = (Config::load()?, Store::open()?);
    if jobs.is_empty() {
        let here = |entry: &Entry| {
            let job = entry.unfinished()?;
            is_here(&config, entry).then(|| job.reference.clone())
        };
        let Some(latest) = store.entries()?.iter().rev().find_map(here) else {
            output.note("There is no job to wait for; `veo jobs` lists those of this machine.");
            return Ok(());
        };
        output.note(&format!("The latest is {latest}"));
        jobs.push(latest);
    }
    if jobs.len() > 1 && (save.output.is_some() || save.receipt.is_some()) {
        return Err(Failure::usage(
            "--output and --receipt are for one job; leave them out, or wait for one at a time",
        ));
    }
    let mut providers = Vec::new();
    for job in &jobs {
        check_place(&config, &store, job)?;
        providers.push(ProviderName::of(&job.provider)?);
    }
    refuse_one_file_for_two(&jobs, &store)?;
    let client = config.resuming(&providers, patience.timeout)?;
    let interrupts = Interrupts::new();
    let making = Making { client: &client, config: &config, store: &store, interrupts: &interrupts, output };
    let label = |job| if jobs.len() > 1 { format!("{job}: ") } else { String::new() };
    let fetch = async |job| fetch(&making, job, &label(job), &save).await;
    let results = join_all(jobs.iter().map(fetch)).await;

    let mut failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    if failures.len() < 2 {
        return failures.pop().map_or(Ok(()), Err);
    }
    for failure in &failures {
        output.report(failure);
    }
    let message = format!("{} of {} jobs have no video here", failures.len(), jobs.len());
    Err(Failure::of_several(message, &failures))
}

pub(crate) async fn download(arguments: Download, output: &Output) -> Result<(), Failure> {
    let Download { job, save } = arguments;
    let (config, store) = (Config::load()?, Store::open()?);
    check_place(&config, &store, &job)?;
    let client = config.resuming(&[ProviderName::of(&job.provider)?], None)?;
    let upgrade = store.find(&job)?.filter(Entry::is_upgrade);
    let is_open = upgrade.as_ref().is_some_and(|upgrade| !matches!(upgrade.last, Happened::Saved { .. }));
    let state = if is_open { State::Pending } else { client.state(&job).await? };
    match state {
        State::Finished(_) => {}
        State::Failed(error) => return Err(Failure::from(*error)),
        _ => {
            return Err(Failure::after_payment(&job, format!("{job}: it has not ended yet"))
                .with_exit(Exit::Unfinished)
                .with_next(format!("Wait for it with: veo wait {job}")));
        }
    }
    let interrupts = Interrupts::new();
    let making = Making { client: &client, config: &config, store: &store, interrupts: &interrupts, output };
    fetch(&making, &job, "", &save).await
}

pub(crate) async fn upgrade(arguments: Upgrade, output: &Output) -> Result<(), Failure> {
    let Upgrade { job, resolution, output: path, force, patience } = arguments;
    let (config, store) = (Config::load()?, Store::open()?);
    check_place(&config, &store, &job)?;
    let small = store.find(&without_size(&job))?;
    let named = || {
        let small = path_of(&job, small.as_ref());
        let stem = small.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        small.with_file_name(format!("{stem}-{resolution}.mp4"))
    };
    let path = path.unwrap_or_else(named);
    check_target(&path, "--output", force)?;
    let client = config.client(&[ProviderName::of(&job.provider)?], patience.timeout)?;
    let upgrade = larger(&client, &job, small.and_then(|entry| entry.job), resolution)?;
    let interrupts = Interrupts::new();
    let making = Making { client: &client, config: &config, store: &store, interrupts: &interrupts, output };

    // To ask for it again is to go on with it.
    let key = upgrade.reference.to_string();
    let has_ended = |entry: &Entry| matches!(entry.last, Happened::Refused { .. } | Happened::Failed { .. });
    let is_it = |entry: &Entry| entry.key.as_ref() == Some(&key) && !has_ended(entry);
    let (id, asked) = match store.entries()?.into_iter().rfind(is_it) {
        Some(entry) if entry.job.is_some() => (entry.id, Asked::Taken),
        Some(entry) => (entry.id, Asked::Perhaps),
        None => (store.intend(&upgrade.offer.request, &path, Some(&key))?, Asked::Never),
    };
    let made = enlarge(&making, (&id, &upgrade), asked, "", &path).await?;
    tell_saved(&upgrade.reference, &made, None, output)
}

/// An upgrade as a job, which is like the one whose video it makes larger.
fn larger(client: &Client, job: &JobRef, small: Option<Job>, to: Resolution) -> Result<Job, Failure> {
    let mut offer = match (small, client.models().next()) {
        (Some(small), _) => small.offer,
        // Another machine has sent it, and knows with which words and to which model.
        (None, Some(model)) => {
            let mut offer = Offer::new(model, &VideoRequest::text(""), Operation::Upgrade, Value::Null);
            offer.model = "unknown".to_owned();
            offer
        }
        (None, None) => return Err(Failure::usage("there is no provider")),
    };
    offer.request.resolution = Some(to);
    // With which words it is asked for is the library's to know.
    (offer.operation, offer.body, offer.warnings) = (Operation::Upgrade, Value::Null, Vec::new());
    Ok(Job::new(&offer, &*job.task))
}

/// Whether a provider has been asked for an upgrade before.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Never,
    /// It was, and nobody knows whether it has taken it.
    Perhaps,
    Taken,
}

/// Makes a video larger and saves it, with a record of each step. Whoever asks for an upgrade is answered how far it is, so
/// the first answer says that it was taken.
async fn enlarge(
    making: &Making<'_>,
    (id, job): (&str, &Job),
    asked: Asked,
    label: &str,
    path: &Path,
) -> Result<Made, Failure> {
    let (reference, to) = (&job.reference, job.offer.resolution());
    let known = Known { reference, record: Some((id, job)), line: None, label };
    let is_accepted = Cell::new(asked == Asked::Taken);
    let enlarge_and_save = async {
        let progress = Progress::start(making.output, reference, None, label);
        let on_state = |state: &State| {
            if !is_accepted.replace(true) {
                making.accepted(id, job, None);
            }
            progress.state(state);
        };
        let video = making.client.upgrade(reference, to, on_state).await;
        let failure = |error| match is_accepted.get() {
            true => Failure::from(error),
            false => Failure::of_upgrade(&error, asked == Asked::Perhaps),
        };
        making.save(&known, &video.map_err(failure)?, path, progress).await
    };
    let made = tokio::select! {
        made = enlarge_and_save => made,
        () = making.interrupts.first() => Err(if is_accepted.get() {
            Failure::interrupted(reference)
        } else {
            Failure::unknown(format!("{reference}: interrupted while it was asked for")).with_exit(Exit::Interrupted)
        }),
    };
    made.map_err(|failure| {
        let is_open = !matches!(failure.exit, Exit::Rejected | Exit::Usage | Exit::Failed);
        if is_open && is_accepted.get() {
            return failure;
        }
        let small = without_size(reference);
        let again =
            format!("It may have been charged. Go on with the same command: veo upgrade {small} --resolution {to}");
        let failure = match failure.exit {
            Exit::Rejected | Exit::Usage => failure,
            Exit::Failed => failure.with_next("The smaller video is there all the same."),
            _ => failure.with_next(again),
        };
        let error = failure.told.clone();
        making.record(
            id,
            match failure.exit {
                Exit::Rejected | Exit::Usage => Happened::Refused { error },
                Exit::Failed => Happened::Failed { error },
                _ => Happened::Unknown { error },
            },
        );
        failure
    })
}

pub(crate) fn list(arguments: &List, output: &Output) -> Result<(), Failure> {
    let store = match &arguments.batch {
        Some(file) if !ledger_of(file).exists() => return Err(not_started(file)),
        Some(file) => Store::at(ledger_of(file))?,
        None => Store::open()?,
    };
    let listed: Vec<Listed> = store.entries()?.into_iter().map(Listed::from).collect();
    if output.is_json() {
        listed.iter().for_each(|entry| output.result("", &Event::Job(entry)));
        return Ok(());
    }
    if listed.is_empty() {
        output.note("There are no jobs yet.");
        return Ok(());
    }
    table(&listed).iter().for_each(|line| output.print(line));
    let unknown: Vec<_> = listed.iter().filter(|entry| entry.state == "unknown").collect();
    let id = if let [only] = unknown[..] { &only.id } else { "ID" };
    if !unknown.is_empty() {
        let look = look(id, arguments.batch.as_deref());
        output.note(&format!("{} with an unknown outcome. {look}", unknown.len()));
    }
    Ok(())
}

/// A batch of which there is no record.
pub(crate) fn not_started(file: &Path) -> Failure {
    Failure::usage(format!("{} has not been started; there is no ledger beside it", file.display()))
}

/// A line for each job, after one that says what stands in its columns.
fn table(listed: &[Listed]) -> Vec<String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let row = |entry: &Listed| {
        let job = match (&entry.job, entry.state) {
            (Some(job), _) => job.to_string(),
            // By this name it is settled.
            (None, "unknown") => entry.id.clone(),
            (None, _) => "-".to_owned(),
        };
        let prompt: String = entry.prompt.lines().next().unwrap_or_default().chars().take(40).collect();
        let age = age(now.saturating_sub(entry.at));
        [entry.state.to_owned(), age, job, entry.output.display().to_string(), prompt]
    };
    let head = ["STATE", "AGE", "JOB", "VIDEO", "PROMPT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(listed.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or_default();
    // Ages grow, and the rest need not move for that.
    let widths = [width(0), width(1).max(8), width(2), width(3)];
    let line = |[state, age, job, video, prompt]: &[String; 5]| {
        let pad = |text, column: usize, side| pad_str(text, widths[column], side, None);
        let left = pad(state, 0, Alignment::Left);
        let state = match &**state {
            "STATE" => style(left),
            "saved" => style(left).green(),
            "accepted" => style(left).cyan(),
            "unknown" => style(left).yellow(),
            _ => style(left).red(),
        };
        let (age, job) = (pad(age, 1, Alignment::Right), pad(job, 2, Alignment::Left));
        format!("{state}  {age}  {job}  {}  {prompt}", pad(video, 3, Alignment::Left))
    };
    rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
}

/// Waits for a job, saves its video and tells it.
async fn fetch(making: &Making<'_>, job: &JobRef, label: &str, save: &Save) -> Result<(), Failure> {
    let entry = making.store.find(job)?;
    let small = without_size(job);
    if let (None, Some(to)) = (&entry, job.resolution)
        && making.store.find(&small)?.is_some()
    {
        let message = format!("{small} was not asked for in {to}; to have it larger, which costs extra, run: ");
        return Err(Failure::usage(format!("{message}veo upgrade {small} --resolution {to}")));
    }
    if let Some(entry) = &entry
        && let Happened::Saved { receipt } = &entry.last
        && save.output.is_none()
        && !save.force
        && hashed(&entry.output).is_ok_and(|(sha256, _)| receipt["saved"]["sha256"] == sha256)
    {
        if let Some(path) = &save.receipt {
            check_target(path, "--receipt", false)?;
        }
        making.output.note(&format!("{job} is saved already"));
        making.output.result(&entry.output.display().to_string(), &Event::Job(&entry.clone().into()));
        let receipt = Some(receipt).filter(|receipt| receipt["job"].is_object());
        return keep_receipt(save.receipt.as_deref(), job, receipt, making.output);
    }
    let path = save.path(path_of(job, entry.as_ref()))?;
    let record = entry.as_ref().and_then(|entry| Some((entry.id.as_str(), entry.job.as_ref()?)));
    let made = match record {
        Some((id, job)) if job.offer.operation == Operation::Upgrade => {
            enlarge(making, (id, job), Asked::Taken, label, &path).await?
        }
        _ => {
            let reference = record.map_or(job, |(_, job)| &job.reference);
            making.finish(&Known { reference, record, line: None, label }, &path).await?
        }
    };
    tell_saved(job, &made, save.receipt.as_deref(), making.output)
}

/// The job of a task as it is named without saying how large it is to be.
fn without_size(job: &JobRef) -> JobRef {
    let mut job = job.clone();
    job.resolution = None;
    job
}

/// Where the video of a job goes if nobody says where.
fn path_of(job: &JobRef, entry: Option<&Entry>) -> PathBuf {
    entry.map_or_else(|| named_after(job), |entry| entry.output.clone())
}

/// The second would replace the first.
fn refuse_one_file_for_two(jobs: &[JobRef], store: &Store) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for job in jobs {
        let path = path_of(job, store.find(job)?.as_ref());
        if let Some(other) = seen.insert(place(&path), job) {
            let path = path.display();
            let message =
                format!("{other} and {job} are both to be saved as {path}; wait for one at a time, with --output");
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

/// Whether a job lives where its provider is asked now. A simulator's would not be found at the provider.
pub(crate) fn is_here(config: &Config, entry: &Entry) -> bool {
    let provider = entry.job.as_ref().and_then(|job| ProviderName::of(&job.reference.provider).ok());
    provider.is_some_and(|provider| entry.base_url.as_deref() == config.base_url(provider))
}

/// Where a job lives, in words.
pub(crate) fn address(base_url: Option<&str>) -> &str {
    base_url.unwrap_or("the provider's own address")
}

/// Refuses to ask for a job in a place where it does not live.
pub(crate) fn check_place(config: &Config, store: &Store, job: &JobRef) -> Result<(), Failure> {
    let found = match store.find(job)? {
        Some(found) => Some(found),
        None => store.find(&without_size(job))?,
    };
    match found {
        Some(entry) if !is_here(config, &entry) => {
            let place = address(entry.base_url.as_deref());
            Err(Failure::usage(format!("{job} lives at {place}, and another address is set; correct the base URL")))
        }
        _ => Ok(()),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
