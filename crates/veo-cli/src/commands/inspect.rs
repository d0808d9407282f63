//! `veo inspect`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use veo_core::ledger::{Delivered, Entry, EntryState, Which};
use veo_core::{JobRef, Media, Receipt};

use crate::failure::Failure;
use crate::hash;
use crate::ledgers::Ledgers;
use crate::output::{Event, Output};
use crate::paths::{canonical, relative};
use crate::saved::picture_and_sound;
use crate::store::Store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo inspect receipt.json\n  veo inspect dog.mp4\n\nFor a receipt, the command prints \
                        whether the file of its video is unchanged. For a video, it prints the size, the length and the \
                        sound, and the job of this machine that made the video."
)]
pub(crate) struct Inspect {
    /// A receipt or a video.
    file: PathBuf,
}

pub(crate) async fn run(
    arguments: &Inspect,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let path = &arguments.file;
    let unreadable = |error| Failure::unreadable(path, &error);
    let (sha256, bytes) = hash::of_file(path).map_err(unreadable)?;
    // A larger file is no receipt, and is not read into memory.
    if bytes < 64 << 20 {
        let content = fs::read(path).map_err(unreadable)?;
        if let Ok(receipt) = serde_json::from_slice::<Receipt>(&content) {
            tell_receipt(path, &receipt, output);
            return Ok(());
        }
    }
    let entry = entry_of(path, &sha256, ledgers).await?;
    let origin = match &entry {
        Some(entry) => described_entry(entry),
        None => format!(
            "  {:13}  {sha256}\n  no job of this machine made it",
            "sha256"
        ),
    };
    let media = Media::of_file(path);
    let (kind, description) = match &media {
        Ok(media) => ("video", picture_and_sound(media)),
        Err(error) => ("file", error.to_string()),
    };
    let file = path.display().to_string();
    let text = format!("{file}: {bytes} bytes\n  {kind:13}  {description}\n{origin}");
    let event = Event::Inspected {
        file: &file,
        kind,
        content: json!({
            "bytes": bytes,
            "sha256": sha256,
            "media": media.ok(),
            "receipt": entry.as_ref().and_then(Entry::receipt),
        }),
    };
    output.result(&text, &event);
    Ok(())
}

/// Prints a receipt, and whether its video is still the same file.
fn tell_receipt(path: &Path, receipt: &Receipt, output: &Output) {
    let is_same = match hash::of_file(&receipt.saved.path) {
        Ok((found, _)) if receipt.saved.sha256 == found => "the same file",
        Ok(_) => "another file now",
        Err(_) => "not there",
    };
    let file = path.display().to_string();
    let text = format!(
        "{file}: a receipt\n{}\n  {:13}  {is_same}",
        described(receipt),
        "now"
    );
    let event = Event::Inspected {
        file: &file,
        kind: "receipt",
        content: json!({ "receipt": receipt, "video": is_same }),
    };
    output.result(&text, &event);
}

/// Finds the entry whose video has the content of a file. An entry with the path of this file comes first.
async fn entry_of(path: &Path, sha256: &str, ledgers: &Ledgers) -> Result<Option<Entry>, Failure> {
    let Some(store) = Store::open_existing(ledgers).await? else {
        return Ok(None);
    };
    let place = canonical(path).display().to_string();
    let mut done = store.list(Which::All).await?;
    done.retain(|listed| listed.state == EntryState::Done);
    done.reverse();
    // The sort is stable, so the latest entries stay first.
    done.sort_by_key(|listed| listed.target.as_deref() != Some(&*place));
    for listed in done {
        if let Some(entry) = store.entry(&listed.key).await?
            && let Some(delivered) = &entry.delivered
            && delivered.saved.sha256 == sha256
        {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

fn described(receipt: &Receipt) -> String {
    let request = &receipt.job.offer.request;
    rows(
        &receipt.job.reference,
        Some(&receipt.job.offer.model),
        Some(&request.prompt),
        &Delivered::new(receipt),
    )
}

/// The rows that describe an entry, which can lack the request.
fn described_entry(entry: &Entry) -> String {
    let asked = entry.wish.asked().map(|request| request.prompt.as_str());
    let model = entry
        .attempts
        .last()
        .map(|attempt| attempt.sent.model.as_str());
    match (entry.reference(), &entry.delivered) {
        (Some(job), Some(delivered)) => rows(job, model, asked, delivered),
        _ => String::new(),
    }
}

fn rows(job: &JobRef, model: Option<&str>, prompt: Option<&str>, delivered: &Delivered) -> String {
    let saved = &delivered.saved;
    let media = &saved.media;
    let credits = match delivered.credits {
        Some(credits) => credits.to_string(),
        None => NOT_TOLD.to_owned(),
    };
    let picture = format!("{}x{}, {:?} s", media.width, media.height, media.seconds);
    let sound = if media.has_audio { "yes" } else { "no" };
    let video = match &saved.path {
        path if path.as_os_str().is_empty() => "went to standard output".to_owned(),
        path => relative(path).display().to_string(),
    };
    let mut rows = vec![
        ("job", job.to_string()),
        ("model", model.unwrap_or(NOT_TOLD).to_owned()),
        ("prompt", prompt.unwrap_or(NOT_TOLD).to_owned()),
        ("credits", credits),
        ("video", video),
        ("picture", picture),
        ("sound", sound.to_owned()),
        ("sha256", saved.sha256.clone()),
    ];
    for discrepancy in &delivered.discrepancies {
        rows.push(("not as asked", discrepancy.to_string()));
    }
    let lines: Vec<_> = rows
        .iter()
        .map(|(name, value)| format!("  {name:13}  {value}"))
        .collect();
    lines.join("\n")
}

const NOT_TOLD: &str = "not told";
