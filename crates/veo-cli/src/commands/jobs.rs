//! What can be done with jobs that were accepted before: `status`, `wait`, `download`, `upgrade` and `jobs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use console::{Alignment, measure_text_width, pad_str, style};
use futures_util::future::join_all;
use serde::Serialize;
use veo_core::ledger::{Entry, EntryState, Listed, Which, Wish};
use veo_core::{Error, JobRef, Resolution, State};

use crate::args::{Patience, Save, check_target, place, word};
use crate::commands::generate::tell_saved;
use crate::commands::inspect::hashed;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure, look};
use crate::interrupt::Interrupts;
use crate::output::{Event, Output, json};
use crate::run::{Known, Making, keep_receipt};
use crate::store::{Store, current_folder, named_after, relative, relative_to};

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
#[command(
    after_help = "Examples:\n  veo download kie:0f1e2d3c\n  veo download kie:0f1e2d3c -o again.mp4"
)]
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

/// A job as it is listed.
#[derive(Serialize)]
pub(crate) struct Listing {
    pub(crate) key: String,
    pub(crate) state: EntryState,
    pub(crate) job: Option<String>,
    /// When it was first written down, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) prompt: String,
    /// Where the video is, or is to go.
    pub(crate) output: Option<PathBuf>,
    pub(crate) error: Option<Error>,
}

impl Listing {
    pub(crate) fn of(entry: &Entry) -> Self {
        let at = entry
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self {
            key: entry.key.clone(),
            state: entry.state,
            job: entry.reference().map(ToString::to_string),
            at,
            prompt: entry
                .wish
                .asked()
                .map(|request| request.prompt.clone())
                .unwrap_or_default(),
            output: path_in(entry),
            error: entry.why().cloned(),
        }
    }

    /// The same without the error. Paths are told from the current folder.
    fn in_short(listed: Listed, here: &Path) -> Self {
        Self {
            key: listed.key,
            state: listed.state,
            job: listed.job,
            at: listed.at,
            prompt: listed.prompt,
            output: listed.target.map(|target| relative_to(here, target.into())),
            error: None,
        }
    }
}

pub(crate) async fn status(arguments: Status, output: &Output) -> Result<(), Failure> {
    let Status { job } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    // To ask the provider how far an upgrade is can be to pay for it.
    if let Some(upgrade) = store
        .find(&job)
        .await?
        .filter(|entry| entry.upgrade().is_some())
    {
        output.result(
            &upgrade.state.to_string(),
            &Event::Job(&Listing::of(&upgrade)),
        );
        return store.check().await;
    }
    let client = config
        .client(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone());
    check_place(&client, &store, &job).await?;
    let told = |state, percent| Event::State {
        line: None,
        job: &job,
        state,
        percent,
    };
    match client.state(&job).await? {
        State::Finished(video) => {
            let event = Event::Finished {
                line: None,
                job: &job,
                video: &video,
            };
            output.result(&format!("finished\n{}", video.urls.join("\n")), &event);
        }
        State::Running {
            percent: Some(percent),
        } => {
            output.result(
                &format!("running {percent}%"),
                &told("running", Some(percent)),
            );
        }
        State::Running { percent: None } => output.result("running", &told("running", None)),
        State::Failed(error) => return Err(Failure::from(*error)),
        _ => output.result("pending", &told("pending", None)),
    }
    store.check().await
}

pub(crate) async fn wait(arguments: Wait, output: &Output) -> Result<(), Failure> {
    let Wait {
        job: mut jobs,
        save,
        patience,
    } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    if jobs.is_empty() {
        let Some(latest) = latest(&config, &store).await? else {
            output.note("There is no job to wait for; `veo jobs` lists those of this machine.");
            return store.check().await;
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
        providers.push(ProviderName::of(&job.provider)?);
    }
    refuse_one_file_for_two(&jobs, &store).await?;
    let client = config
        .resuming(&providers, patience.timeout)?
        .with_ledger(store.ledger().clone());
    let client = client.with_replacing(save.force);
    for job in &jobs {
        check_place(&client, &store, job).await?;
    }
    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    let label = |job| {
        if jobs.len() > 1 {
            format!("{job}: ")
        } else {
            String::new()
        }
    };
    let fetch = async |job| fetch(&making, job, &label(job), &save).await;
    let results = join_all(jobs.iter().map(fetch)).await;

    let mut failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    if failures.len() < 2 {
        return match failures.pop() {
            Some(failure) => Err(failure),
            None => store.check().await,
        };
    }
    for failure in &failures {
        output.report(failure);
    }
    let message = format!(
        "{} of {} jobs have no video here",
        failures.len(),
        jobs.len()
    );
    Err(Failure::of_several(message, &failures))
}

pub(crate) async fn download(arguments: Download, output: &Output) -> Result<(), Failure> {
    let Download { job, save } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    let client = config
        .resuming(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone());
    let client = client.with_replacing(save.force);
    check_place(&client, &store, &job).await?;
    let upgrade = store
        .find(&job)
        .await?
        .filter(|entry| entry.upgrade().is_some());
    let is_open = upgrade
        .as_ref()
        .is_some_and(|upgrade| upgrade.state != EntryState::Done);
    let state = match upgrade {
        Some(_) if is_open => Some(State::Pending),
        Some(_) => None,
        None => Some(client.state(&job).await?),
    };
    match state {
        None | Some(State::Finished(_)) => {}
        Some(State::Failed(error)) => return Err(Failure::from(*error)),
        Some(_) => {
            return Err(Failure::after_payment(&job, "it has not ended yet")
                .with_exit(Exit::Unfinished)
                .with_next(format!("Wait for it with: veo wait {job}")));
        }
    }
    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    fetch(&making, &job, "", &save).await?;
    store.check().await
}

pub(crate) async fn upgrade(arguments: Upgrade, output: &Output) -> Result<(), Failure> {
    let Upgrade {
        job,
        resolution,
        output: path,
        force,
        patience,
    } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    let small = without_size(&job);
    let larger = with_size(&job, resolution);
    let entry = store.find(&small).await?;
    let named = || {
        let small = path_of(&job, entry.as_ref());
        let stem = small
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        small.with_file_name(format!("{stem}-{resolution}.mp4"))
    };
    let path = path.unwrap_or_else(named);
    check_target(&path, "--output", force)?;
    let client = config.client(&[ProviderName::of(&job.provider)?], patience.timeout)?;
    let client = client.with_ledger(store.ledger().clone());
    let client = client.with_replacing(force);
    check_place(&client, &store, &job).await?;
    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    let key = larger.to_string();
    client
        .want_upgrade(
            &small,
            resolution,
            Some(&place(&path).display().to_string()),
        )
        .await?;
    let known = Known {
        reference: &larger,
        key: Some(&key),
        job: None,
        line: None,
        label: "",
    };
    let made = making.enlarge(&small, resolution, &known, &path).await?;
    tell_saved(&larger, &made, None, output)?;
    store.check().await
}

pub(crate) async fn list(arguments: &List, output: &Output) -> Result<(), Failure> {
    let store = match &arguments.batch {
        Some(file) => Some(Store::of_batch(file).await?),
        None => Store::of_no_batch().await?,
    };
    let Some(store) = store else {
        if !output.is_json() {
            output.note("There are no jobs yet.");
        }
        return Ok(());
    };
    let (listed, here) = (store.list(Which::WithPrompts).await?, current_folder());
    let mut listings = Vec::with_capacity(listed.len());
    for listed in listed {
        let has_error = matches!(
            listed.state,
            EntryState::Rejected | EntryState::Unknown | EntryState::Failed
        );
        // An error is told in JSON only, and what is listed says all else.
        let entry = match has_error && output.is_json() {
            true => store.entry(&listed.key).await?,
            false => None,
        };
        listings.push(match entry {
            Some(entry) => Listing::of(&entry),
            None => Listing::in_short(listed, &here),
        });
    }
    if output.is_json() {
        let lines = listings.iter().map(|listing| json(&Event::Job(listing)));
        output.print_all(lines);
        return store.check().await;
    }
    if listings.is_empty() {
        output.note("There are no jobs yet.");
        return store.check().await;
    }
    output.print_all(table(&listings));
    let unknown: Vec<_> = listings
        .iter()
        .filter(|entry| entry.state == EntryState::Unknown)
        .collect();
    let key = if let [only] = unknown[..] {
        &only.key
    } else {
        "KEY"
    };
    if !unknown.is_empty() {
        let look = look(key, arguments.batch.as_deref());
        output.note(&format!(
            "{} with an unknown outcome. {look}",
            unknown.len()
        ));
    }
    store.check().await
}

/// A line for each job, after one that says what stands in its columns.
fn table(listings: &[Listing]) -> impl Iterator<Item = String> {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    let rows = move || {
        let head = ["STATE", "AGE", "JOB", "VIDEO", "PROMPT"].map(Cow::from);
        iter::once(head).chain(listings.iter().map(move |listing| cells(listing, now)))
    };
    // Ages grow, and the rest need not move for that.
    let mut widths = [0, 8, 0, 0];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = measure_text_width(cell).max(*width);
        }
    }
    rows().map(move |row| line(&row, widths))
}

/// State, age, job, video and prompt.
fn cells(listing: &Listing, now: u64) -> [Cow<'_, str>; 5] {
    let job = match (&listing.job, listing.state) {
        (Some(job), _) => job.as_str(),
        // By this name it is settled.
        (None, EntryState::Unknown) => listing.key.as_str(),
        (None, _) => "-",
    };
    let output = listing.output.as_deref().map(Path::to_string_lossy);
    let prompt = listing.prompt.lines().next().unwrap_or_default();
    let cut = prompt.char_indices().nth(40).map(|(at, _)| at);
    [
        listing.state.to_string().into(),
        age(now.saturating_sub(listing.at)).into(),
        job.into(),
        output.unwrap_or("-".into()),
        prompt[..cut.unwrap_or(prompt.len())].into(),
    ]
}

fn line([state, age, job, video, prompt]: &[Cow<'_, str>; 5], widths: [usize; 4]) -> String {
    let padded = pad_str(state, widths[0], Alignment::Left, None);
    let colored = match &**state {
        "STATE" => style(padded),
        "done" | "finished" => style(padded).green(),
        "accepted" | "on its way" | "wanted" => style(padded).cyan(),
        "unknown" => style(padded).yellow(),
        _ => style(padded).red(),
    };
    let age = pad_str(age, widths[1], Alignment::Right, None);
    let job = pad_str(job, widths[2], Alignment::Left, None);
    let video = pad_str(video, widths[3], Alignment::Left, None);
    let mut line = format!("{colored}  {age}  {job}  {video}  {prompt}");
    line.truncate(line.trim_end().len());
    line
}

/// Waits for a job, saves its video and tells it.
async fn fetch(making: &Making<'_>, job: &JobRef, label: &str, save: &Save) -> Result<(), Failure> {
    let entry = making.store.find(job).await?;
    let small = without_size(job);
    if let (None, Some(to)) = (&entry, job.resolution)
        && making.store.find(&small).await?.is_some()
    {
        let message = format!(
            "{small} was not asked for in {to}; to have it larger, which costs extra, run: "
        );
        return Err(Failure::usage(format!(
            "{message}veo upgrade {small} --resolution {to}"
        )));
    }
    if let Some(entry) = &entry
        && let Some(delivered) = &entry.delivered
        && save.output.is_none()
        && !save.force
        && hashed(&delivered.saved.path).is_ok_and(|(sha256, _)| delivered.saved.sha256 == sha256)
    {
        if let Some(path) = &save.receipt {
            check_target(path, "--receipt", false)?;
        }
        making.output.note(&format!("{job} is saved already"));
        let path = relative(&delivered.saved.path);
        making.output.result(
            &path.display().to_string(),
            &Event::Job(&Listing::of(entry)),
        );
        return keep_receipt(
            save.receipt.as_deref(),
            job,
            entry.receipt().as_ref(),
            making.output,
        );
    }
    let path = save.path(path_of(job, entry.as_ref()))?;
    let (key, sent) = (
        entry.as_ref().map(|entry| entry.key.as_str()),
        entry.as_ref().and_then(Entry::job),
    );
    let reference = sent.as_ref().map_or(job, |job| &job.reference);
    let made = match entry.as_ref().and_then(Entry::upgrade) {
        Some(to) => {
            let known = Known {
                reference: job,
                key,
                job: None,
                line: None,
                label,
            };
            making.enlarge(&small, to, &known, &path).await?
        }
        None => {
            let known = Known {
                reference,
                key,
                job: sent.as_ref(),
                line: None,
                label,
            };
            making.finish(&known, &path).await?
        }
    };
    tell_saved(job, &made, save.receipt.as_deref(), making.output)
}

/// The latest job that has not ended and lives where its provider is asked now.
async fn latest(config: &Config, store: &Store) -> Result<Option<JobRef>, Failure> {
    let open = store.list(Which::Open).await?;
    for listed in open
        .into_iter()
        .rev()
        .filter(|listed| listed.state != EntryState::Unknown)
    {
        let Some(job) = listed.job.and_then(|job| job.parse::<JobRef>().ok()) else {
            continue;
        };
        let here = ProviderName::of(&job.provider)
            .ok()
            .and_then(|provider| config.base_url(provider));
        if listed.base_url.as_deref() == here {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// The job of a task as it is named without saying how large it is to be.
fn without_size(job: &JobRef) -> JobRef {
    let mut job = job.clone();
    job.resolution = None;
    job
}

fn with_size(job: &JobRef, size: Resolution) -> JobRef {
    let mut job = job.clone();
    job.resolution = Some(size);
    job
}

/// Where the video of an entry is, or is to go.
fn path_in(entry: &Entry) -> Option<PathBuf> {
    let saved = entry
        .delivered
        .as_ref()
        .map(|delivered| delivered.saved.path.as_path());
    saved
        .or(entry.target.as_deref().map(Path::new))
        .map(relative)
}

/// Where the video of a job goes if nobody says where.
fn path_of(job: &JobRef, entry: Option<&Entry>) -> PathBuf {
    entry.and_then(path_in).unwrap_or_else(|| named_after(job))
}

/// The second would replace the first.
async fn refuse_one_file_for_two(jobs: &[JobRef], store: &Store) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for job in jobs {
        let path = path_of(job, store.find(job).await?.as_ref());
        if let Some(other) = seen.insert(place(&path), job) {
            let path = path.display();
            let message = format!(
                "{other} and {job} are both to be saved as {path}; wait for one at a time, with --output"
            );
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

/// Refuses to ask for a job in a place where it does not live.
pub(crate) async fn check_place(
    client: &veo_core::Client,
    store: &Store,
    job: &JobRef,
) -> Result<(), Failure> {
    let found = match store.find(job).await? {
        Some(found) => Some(found),
        None => store.find(&without_size(job)).await?,
    };
    match found {
        // Nobody knows where an entry was sent whose line is damaged.
        Some(entry) if !matches!(entry.wish, Wish::Lost) && !entry.attempts.is_empty() => {
            Ok(client.check_place(job, entry.base_url())?)
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
