//! `veo jobs`

use std::borrow::Cow;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use console::{Alignment, measure_text_width, pad_str, style};
use veo_core::ledger::{EntryState, Which};

use crate::failure::{Failure, look};
use crate::listing::Listing;
use crate::output::{Event, Output, json, visible};
use crate::paths::current_folder;
use crate::store::Store;

#[derive(Args)]
#[command(after_help = "Examples:\n  veo jobs\n  veo jobs --json\n  veo jobs --batch jobs.jsonl")]
pub(crate) struct Jobs {
    /// List those of a batch, which are kept beside its file.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) async fn run(arguments: &Jobs, output: &Output) -> Result<(), Failure> {
    let store = match &arguments.batch {
        Some(file) => Some(Store::look_at_batch(file).await?),
        None => Store::open_existing().await?,
    };
    let Some(store) = store else {
        if !output.is_json() {
            output.note("There are no jobs yet.");
        }
        return Ok(());
    };
    let listings = listings(&store, output.is_json()).await?;
    if output.is_json() {
        let lines = listings.iter().map(|listing| json(&Event::Job(listing)));
        output.write_all(lines);
    } else if listings.is_empty() {
        output.note("There are no jobs yet.");
    } else {
        output.write_all(table(&listings));
        explain_unknown(&listings, arguments.batch.as_deref(), output);
    }
    store.check().await
}

/// All jobs, with their errors if these are wanted.
async fn listings(store: &Store, with_errors: bool) -> Result<Vec<Listing>, Failure> {
    let here = current_folder();
    let mut listings = Vec::new();
    for listed in store.list(Which::WithPrompts).await? {
        let has_error = matches!(
            listed.state,
            EntryState::Rejected | EntryState::Unknown | EntryState::Failed
        );
        let mut entry = None;
        if has_error && with_errors {
            entry = store.entry(&listed.key).await?;
        }
        listings.push(match entry {
            Some(entry) => Listing::of(&entry),
            None => Listing::without_error(listed, &here),
        });
    }
    Ok(listings)
}

/// Says what to do about the jobs with an unknown outcome.
fn explain_unknown(listings: &[Listing], batch: Option<&Path>, output: &Output) {
    let unknown: Vec<_> = listings
        .iter()
        .filter(|listing| listing.state == EntryState::Unknown)
        .collect();
    let key = match unknown[..] {
        [] => return,
        [only] => &only.key,
        _ => "KEY",
    };
    output.note(&format!(
        "{} with an unknown outcome. {}",
        unknown.len(),
        look(key, batch)
    ));
}

/// A line for each job, after one with the titles of the columns.
fn table(listings: &[Listing]) -> impl Iterator<Item = String> {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    // Ages grow, and the rest need not move for that.
    let mut widths = [0, 8, 0, 0];
    for row in rows(listings, now) {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = measure_text_width(cell).max(*width);
        }
    }
    rows(listings, now).map(move |row| line(&row, widths))
}

fn rows(listings: &[Listing], now: u64) -> impl Iterator<Item = [Cow<'_, str>; 5]> {
    let titles = ["STATE", "AGE", "JOB", "VIDEO", "PROMPT"].map(Cow::from);
    iter::once(titles).chain(listings.iter().map(move |listing| cells(listing, now)))
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
        visible(job).into(),
        visible(&output.unwrap_or("-".into())).into(),
        visible(&prompt[..cut.unwrap_or(prompt.len())]).into(),
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

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
