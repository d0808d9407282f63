//! `veo jobs`

use std::borrow::Cow;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use console::{measure_text_width, style};
use veo_core::ledger::{EntryState, Which};

use crate::failure::{Failure, settle_advice};
use crate::ledgers::Ledgers;
use crate::listing::Listing;
use crate::output::{Event, Output, json, visible};
use crate::paths::current_folder;
use crate::store::Store;

#[derive(Args)]
#[command(after_help = "Examples:\n  veo jobs\n  veo jobs --json\n  veo jobs --batch jobs.jsonl")]
pub(crate) struct Jobs {
    /// List the jobs of a batch, whose ledger is beside its file.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) async fn run(
    arguments: &Jobs,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let store = match &arguments.batch {
        Some(file) => Some(Store::look_at_batch(file, ledgers).await?),
        None => Store::open_existing(ledgers).await?,
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
    store.fail_if_damaged().await
}

/// Lists all jobs, with their errors if `with_errors` is set.
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

/// Prints the advice for the jobs with an unknown outcome.
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
        settle_advice(key, batch)
    ));
}

/// The lines of the table: the titles of the columns, and a line for each job.
fn table(listings: &[Listing]) -> impl Iterator<Item = String> {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    let titles = ["STATE", "AGE", "JOB", "VIDEO", "PROMPT"].map(Cow::from);
    let mut rows = vec![titles];
    rows.extend(listings.iter().map(|listing| cells(listing, now)));
    // Ages get longer with time. A width of eight from the start keeps the other columns in place.
    let mut widths = [0, 8, 0, 0];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    rows.into_iter().map(move |row| line(&row, widths))
}

/// The cells of a job: state, age, job, video and prompt.
fn cells(listing: &Listing, now: u64) -> [Cow<'_, str>; 5] {
    let job = match (&listing.job, listing.state) {
        (Some(job), _) => &**job,
        // A user needs the key for `veo settle`.
        (None, EntryState::Unknown) => &*listing.key,
        (None, _) => "-",
    };
    let video = listing.output.as_deref().map(Path::to_string_lossy);
    let prompt = listing.prompt.lines().next().unwrap_or_default();
    let cut = prompt.char_indices().nth(40).map(|(at, _)| at);
    [
        listing.state.as_str().into(),
        age(now.saturating_sub(listing.at)).into(),
        visible(job),
        visible(video.unwrap_or("-".into())),
        visible(&prompt[..cut.unwrap_or(prompt.len())]),
    ]
}

fn line([state, age, job, video, prompt]: &[Cow<'_, str>; 5], widths: [usize; 4]) -> String {
    let blanks = |cell: &str, column: usize| widths[column].saturating_sub(width(cell));
    let colored = match &**state {
        "STATE" => style(state),
        "done" | "finished" => style(state).green(),
        "accepted" | "on its way" | "wanted" => style(state).cyan(),
        "unknown" => style(state).yellow(),
        _ => style(state).red(),
    };
    let mut line = colored.to_string();
    line.reserve(widths.iter().sum::<usize>() + prompt.len() + 8);
    let between = [
        (blanks(state, 0) + 2 + blanks(age, 1), age),
        (2, job),
        (blanks(job, 2) + 2, video),
        (blanks(video, 3) + 2, prompt),
    ];
    for (blanks, cell) in between {
        line.extend(iter::repeat_n(' ', blanks));
        line += cell;
    }
    line.truncate(line.trim_end().len());
    line
}

/// The number of terminal columns that a text fills.
fn width(text: &str) -> usize {
    // This check is quick, and there can be a hundred thousand lines.
    if text.is_ascii() {
        text.len()
    } else {
        measure_text_width(text)
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
