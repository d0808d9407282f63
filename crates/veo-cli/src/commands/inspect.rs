//! `veo inspect`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use veo_core::ledger::{Delivered, Entry, EntryState, Which};
use veo_core::{JobRef, Media, Receipt};

use crate::failure::Failure;
use crate::hash::hashed;
use crate::output::{Event, Output};
use crate::paths::{place, relative};
use crate::saved::picture;
use crate::store::Store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo inspect receipt.json\n  veo inspect dog.mp4\n\nOf a receipt it tells whether the \
                        video it names is still the same file; of a video, what it says about itself, and which job of \
                        this machine made it."
)]
pub(crate) struct Inspect {
    /// A receipt or a video.
    file: PathBuf,
}

pub(crate) async fn run(arguments: &Inspect, output: &Output) -> Result<(), Failure> {
    let path = &arguments.file;
    let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let file = path.display().to_string();
    let (sha256, bytes) = hashed(path).map_err(unreadable)?;
    // What is that large is no receipt.
    let receipt = if bytes < 64 << 20 {
        fs::read(path).map_err(unreadable)?
    } else {
        Vec::new()
    };
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(&receipt) {
        let is_same = match hashed(&receipt.saved.path) {
            Ok((found, _)) if receipt.saved.sha256 == found => "the same file",
            Ok(_) => "another file now",
            Err(_) => "not there",
        };
        let text = format!(
            "{file}: a receipt\n{}\n  {:13}  {is_same}",
            described(&receipt),
            "now"
        );
        let content = json!({ "receipt": receipt, "video": is_same });
        output.result(
            &text,
            &Event::Inspected {
                file: &file,
                kind: "receipt",
                content,
            },
        );
        return Ok(());
    }
    let entry = made_it(path, &sha256).await?;
    let told = entry.as_ref().map(described_entry);
    let told = told.unwrap_or_else(|| {
        format!(
            "  {:13}  {sha256}\n  no job of this machine made it",
            "sha256"
        )
    });
    let receipt = entry.as_ref().and_then(Entry::receipt);
    let media = Media::of_file(path);
    let (kind, what) = match &media {
        Ok(media) => ("video", picture(media)),
        Err(error) => ("file", error.to_string()),
    };
    let text = format!("{file}: {bytes} bytes\n  {kind:13}  {what}\n{told}");
    let content =
        json!({ "bytes": bytes, "sha256": sha256, "media": media.ok(), "receipt": receipt });
    output.result(
        &text,
        &Event::Inspected {
            file: &file,
            kind,
            content,
        },
    );
    Ok(())
}

/// The entry whose video a file is: by the place where it was saved, and else by its content.
async fn made_it(path: &Path, sha256: &str) -> Result<Option<Entry>, Failure> {
    let Some(store) = Store::of_no_batch().await? else {
        return Ok(None);
    };
    let is_it = |entry: &Entry| {
        entry
            .delivered
            .as_ref()
            .is_some_and(|delivered| delivered.saved.sha256 == sha256)
    };
    let place = place(path).display().to_string();
    let done = store
        .list(Which::All)
        .await?
        .into_iter()
        .rev()
        .filter(|listed| listed.state == EntryState::Done);
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        done.partition(|listed| listed.target.as_deref() == Some(&*place));
    for listed in here.into_iter().chain(elsewhere) {
        if let Some(entry) = store.entry(&listed.key).await?.filter(is_it) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The main things in a receipt.
fn described(receipt: &Receipt) -> String {
    let request = &receipt.job.offer.request;
    rows(
        &receipt.job.reference,
        Some(&receipt.job.offer.model),
        Some(&request.prompt),
        &Delivered::new(receipt),
    )
}

/// The same of an entry, which can lack what was asked for.
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
    let Delivered {
        saved,
        credits,
        discrepancies,
        ..
    } = delivered;
    let media = &saved.media;
    let told = |text: Option<String>| text.unwrap_or_else(|| "not told".to_owned());
    let rows = [
        ("job", job.to_string()),
        ("model", told(model.map(str::to_owned))),
        ("prompt", told(prompt.map(str::to_owned))),
        ("credits", told(credits.map(|credits| credits.to_string()))),
        ("video", relative(&saved.path).display().to_string()),
        (
            "picture",
            format!("{}x{}, {:?} s", media.width, media.height, media.seconds),
        ),
        (
            "sound",
            if media.has_audio { "yes" } else { "no" }.to_owned(),
        ),
        ("sha256", saved.sha256.clone()),
    ];
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(name, value)| format!("  {name:13}  {value}"))
        .collect();
    lines.extend(
        discrepancies
            .iter()
            .map(|discrepancy| format!("  {:13}  {discrepancy}", "not as asked")),
    );
    lines.join("\n")
}
