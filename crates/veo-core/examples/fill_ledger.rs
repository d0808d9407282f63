//! Fills a ledger with jobs that are done, for measurements: `cargo run -p veo-core --example fill_ledger -- PATH
//! COUNT`. Existing entries of the ledger stay.
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::error::Error;
use std::path::PathBuf;

use veo_core::ledger::{Entry, FileLedger, Ledger as _, Which};

/// Makes the entry of a job that is done, as the library would write it.
fn done(number: usize, base_url: Option<&str>) -> Result<Entry, serde_json::Error> {
    let at = 1_700_000_000 + number;
    let sha256 = format!("{number:064x}");
    serde_json::from_value(serde_json::json!({
        "key": format!("filled-{number}"),
        "state": "done",
        "at": at,
        "wish": { "request": { "request": { "prompt": format!("Dog number {number}, playing in a park with a ball") } } },
        "target": format!("/srv/videos/filled-{number}.mp4"),
        "attempts": [{
            "sent": {
                "provider": "kie", "account": "kie", "model": "veo3_lite", "operation": "generate",
                "base_url": base_url, "body": { "prompt": format!("Dog number {number}, playing in a park with a ball"), "model": "veo3_lite",
                          "generationType": "TEXT_2_VIDEO", "aspectRatio": "16:9", "resolution": "720p", "duration": 8 },
            },
            "at": at,
            "credits": 60.0,
            "outcome": { "accepted": { "job": format!("kie:filled{number:026}"), "at": at } },
        }],
        "ended_at": at + 90,
        "delivered": {
            "saved": {
                "path": format!("/srv/videos/filled-{number}.mp4"), "bytes": 4_000_000 + number, "sha256": sha256,
                "media": { "width": 1280, "height": 720, "seconds": 8.0, "fps": 24.0, "has_audio": true },
            },
            "made_at": at + 95, "resolution": "720p", "credits": 60.0, "seeds": [10000 + number % 90000],
        },
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(count)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err("Give the path of a ledger and how many jobs to fill it with.".into());
    };
    let mut entries = Vec::new();
    if let Some(ledger) = FileLedger::open_existing(&path).await? {
        for listed in ledger.list(Which::All).await? {
            entries.extend(ledger.entry(&listed.key).await?);
        }
        drop(ledger);
        std::fs::remove_file(&path)?;
    }
    // The new jobs have the address of the existing ones.
    let base_url = entries.iter().find_map(Entry::base_url).map(str::to_owned);
    for number in 1..=count.parse()? {
        entries.push(done(number, base_url.as_deref())?);
    }
    println!("{} has {} entries", path.display(), entries.len());
    Ok(FileLedger::create(&path, entries)?)
}

#[cfg(test)]
#[test]
fn what_it_writes_is_an_entry() {
    let entry = done(7, None).unwrap();
    assert_eq!(
        entry.reference().unwrap().to_string(),
        "kie:filled00000000000000000000000007"
    );
    assert!(entry.receipt().is_some());
}
