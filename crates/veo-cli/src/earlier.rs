//! Records of the program as it was before it had ledgers. They are read once, into a ledger, and kept beside it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use veo_core::ledger::{Entry, FileLedger};
use veo_core::{Error, ErrorKind, JobRef, VideoRequest};

use crate::failure::Failure;

/// A line of an earlier record.
#[derive(Deserialize)]
struct Line {
    id: String,
    /// Seconds since 1970.
    at: u64,
    event: String,
    #[serde(flatten)]
    rest: Value,
}

/// A request of an earlier record.
#[derive(Default)]
struct Earlier {
    at: u64,
    request: Value,
    output: PathBuf,
    key: Option<String>,
    job: Option<Value>,
    base_url: Option<String>,
    credits: Option<f64>,
    /// The last that happened.
    last: String,
    error: Option<Value>,
    receipt: Option<Value>,
}

/// All that can happen to a request.
const EVENTS: [&str; 7] = [
    "intent", "accepted", "refused", "unknown", "failed", "saved", "cost",
];

/// What some editors put before a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Turns an earlier record into a ledger, if there is one. `key_of` says which key a request of a batch has now.
pub(crate) fn read(
    path: &Path,
    key_of: impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<(), Failure> {
    if !is_earlier(path) {
        return Ok(());
    }
    // Of two commands one turns it, and the other finds a ledger.
    let file = File::open(path).and_then(|file| file.lock().map(|()| file));
    let file = file.map_err(|error| unlocked(path, &error))?;
    if !is_earlier(path) {
        return Ok(());
    }
    let Ok(text) = fs::read(path) else {
        return Ok(());
    };
    let text = text.strip_prefix(MARK).unwrap_or(&text);
    let entries = entries(text, key_of).map_err(|problem| {
        let path = path.display();
        let message = format!(
            "{path} is a record of an earlier version of veo, and {problem}; nothing was sent"
        );
        Failure::from(Error::new(ErrorKind::LedgerDamaged, message))
    })?;
    let kept = sibling(path, "earlier");
    let new = sibling(path, "new");
    let unwritten = |error: std::io::Error| {
        Failure::failed(format!(
            "{} cannot be turned into a ledger: {error}; nothing was sent",
            path.display()
        ))
    };
    let _ = fs::remove_file(&new);
    FileLedger::create(&new, entries)?;
    // The earlier one stays under another name, and there is no moment without a record.
    fs::copy(path, kept).map_err(unwritten)?;
    fs::rename(new, path).map_err(unwritten)?;
    drop(file);
    Ok(())
}

fn unlocked(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::failed(format!(
        "{path} is a record of an earlier version of veo and cannot be locked: {error}; nothing was sent"
    ))
}

/// Whether a file begins as an earlier record does. Most do not, and are long.
fn is_earlier(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    read.is_ok()
        && start
            .strip_prefix(MARK)
            .unwrap_or(&start)
            .starts_with(b"{\"id\":")
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// All requests as entries, or what is wrong with a line.
fn entries(
    text: &[u8],
    mut key_of: impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<Vec<Entry>, String> {
    let (mut order, mut known) = (Vec::new(), HashMap::<String, Earlier>::new());
    let is_torn = !text.ends_with(b"\n");
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n')).peekable();
    while let Some((number, line)) = lines.next() {
        let is_last = lines.peek().is_none();
        if line.trim_ascii().is_empty() || line.ends_with(b" (torn off)") {
            continue;
        }
        let line: Line = match serde_json::from_slice(line) {
            Ok(line) => line,
            // Its program has ended before it was whole, and before the next step was taken.
            Err(_) if is_torn && is_last => continue,
            Err(error) => return Err(format!("its line {number} is not understood: {error}")),
        };
        if !EVENTS.contains(&line.event.as_str()) {
            return Err(format!(
                "its line {number} is not understood: {} is no event",
                line.event
            ));
        }
        if line.event == "intent" {
            order.push(line.id.clone());
            known.insert(
                line.id.clone(),
                Earlier {
                    at: line.at,
                    ..Earlier::default()
                },
            );
        }
        let Some(earlier) = known.get_mut(&line.id) else {
            return Err(format!(
                "its line {number} is about something that no line before it says"
            ));
        };
        take(earlier, line)
            .map_err(|problem| format!("its line {number} is not understood: {problem}"))?;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for id in order {
        let Some(earlier) = known.remove(&id) else {
            continue;
        };
        let entry = entry(&id, earlier, &mut key_of)
            .map_err(|problem| format!("{id} is not understood: {problem}"))?;
        // Of several tries for one thing, the last is what became of it.
        entries.retain(|other| other.key != entry.key);
        entries.push(entry);
    }
    Ok(entries)
}

fn take(earlier: &mut Earlier, line: Line) -> Result<(), String> {
    let mut rest = line.rest;
    let mut part = |name: &str| {
        rest.get_mut(name)
            .map(Value::take)
            .filter(|value| !value.is_null())
    };
    match line.event.as_str() {
        "intent" => {
            earlier.request = part("request").ok_or("it has no request")?;
            earlier.output = part("output")
                .and_then(|path| Some(path.as_str()?.into()))
                .ok_or("it has no output")?;
            earlier.key = part("key").and_then(|key| Some(key.as_str()?.to_owned()));
        }
        "accepted" => {
            earlier.job = part("job");
            earlier.base_url = part("base_url").and_then(|url| Some(url.as_str()?.to_owned()));
        }
        "saved" => earlier.receipt = part("receipt"),
        "cost" => {
            earlier.credits = part("credits").and_then(|credits| credits.as_f64());
            return Ok(());
        }
        _ => earlier.error = part("error"),
    }
    earlier.last = line.event;
    Ok(())
}

fn entry(
    id: &str,
    earlier: Earlier,
    key_of: &mut impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<Entry, String> {
    let request = VideoRequest::deserialize(&earlier.request).map_err(|error| error.to_string())?;
    let upgrade = earlier
        .key
        .as_deref()
        .and_then(|key| key.parse::<JobRef>().ok());
    let key = match (&upgrade, &earlier.key) {
        (Some(job), _) => job.to_string(),
        (None, Some(_)) => {
            key_of(&request, &earlier.output).unwrap_or_else(|| format!("earlier-{id}"))
        }
        (None, None) => id.to_owned(),
    };
    let asked = Some(&earlier.request).filter(|_| !request.prompt.is_empty());
    let wish = match &upgrade {
        Some(job) => json!({ "upgrade": { "job": job, "request": asked } }),
        // Images and links are not compared: nobody knows what was in them.
        None => json!({ "request": { "request": earlier.request, "redacted": true } }),
    };
    let state = match earlier.last.as_str() {
        "accepted" => "accepted",
        "refused" => "rejected",
        "failed" => "failed",
        "saved" => "done",
        _ => "unknown",
    };
    let error = earlier.error.as_ref().map(error_of);
    let receipt = earlier.receipt.unwrap_or_default();
    let job = earlier
        .job
        .or_else(|| receipt.get("job").cloned())
        .unwrap_or_default();
    let offer = &job["offer"];
    let provider = offer["provider"].as_str().unwrap_or("kie");
    let outcome = match (state, job["reference"].as_str()) {
        ("rejected", _) => json!({ "rejected": { "error": error } }),
        (_, Some(reference)) => {
            json!({ "accepted": { "job": reference, "at": job["accepted_at"].as_u64().unwrap_or(earlier.at) } })
        }
        _ => match &error {
            Some(error) => json!({ "unknown": { "error": error } }),
            None => Value::Null,
        },
    };
    let operation = match offer["operation"].as_str() {
        Some("extend") => "extend",
        Some("upgrade") => "upgrade",
        _ => "generate",
    };
    let credits = receipt["credits"].as_f64().or(earlier.credits);
    let mut delivered = receipt.get("saved").map(|_| receipt.clone());
    if let Some(delivered) = &mut delivered {
        // That of an upgrade of another machine's job has the file alone.
        let made_at = delivered["made_at"].as_u64().unwrap_or(earlier.at);
        delivered["made_at"] = json!(made_at);
    }
    let entry = json!({
        "key": key,
        "state": state,
        "at": earlier.at,
        "wish": wish,
        "target": earlier.output,
        "attempts": [{
            "sent": {
                "provider": provider, "account": provider, "base_url": earlier.base_url,
                "model": offer["model"].as_str().unwrap_or("unknown"), "operation": operation, "body": offer["body"],
            },
            "at": earlier.at,
            "credits": credits,
            "outcome": outcome,
        }],
        "error": error.filter(|_| state == "failed"),
        "delivered": delivered,
    });
    Entry::deserialize(entry).map_err(|error| error.to_string())
}

/// An error as it is told now.
fn error_of(told: &Value) -> Error {
    let kind = match told["kind"].as_str() {
        Some("rejected") => ErrorKind::Refused,
        Some("usage") => ErrorKind::InvalidRequest,
        Some("not_taken") => ErrorKind::NotSent,
        Some("interrupted") => ErrorKind::Stopped,
        _ => ErrorKind::deserialize(&told["kind"]).unwrap_or(ErrorKind::OutcomeUnknown),
    };
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    // The message of an error about a job begins with the job.
    let job: Option<JobRef> = text("job").and_then(|job| job.parse().ok());
    let message = text("message").unwrap_or_default();
    let message = match &job {
        Some(job) => message
            .strip_prefix(&format!("{job}: "))
            .unwrap_or(&message)
            .to_owned(),
        None => message,
    };
    let error =
        Error::new(kind, message).with_provider(text("provider_code"), text("provider_words"));
    match job {
        Some(job) => error.with_job(&job),
        None => error,
    }
}
