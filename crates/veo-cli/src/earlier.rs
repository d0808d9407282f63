//! Converts records of earlier versions, which had no ledgers. Each is read once into a ledger and stays beside it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use veo_core::ledger::{Entry, FileLedger};
use veo_core::{Error, ErrorKind, JobRef, VideoRequest};

use crate::failure::Failure;

#[derive(Deserialize)]
struct EarlierLine {
    id: String,
    /// The time in seconds since 1970.
    at: u64,
    event: String,
    #[serde(flatten)]
    rest: Value,
}

#[derive(Default)]
struct EarlierRequest {
    at: u64,
    request: Value,
    output: PathBuf,
    key: Option<String>,
    job: Option<Value>,
    base_url: Option<String>,
    credits: Option<f64>,
    /// The last event, which decides the state of the entry.
    last: String,
    error: Option<Value>,
    receipt: Option<Value>,
}

/// All events of an earlier record. A line with any other event is refused, since it could mean a paid request.
const EVENTS: [&str; 7] = [
    "intent", "accepted", "refused", "unknown", "failed", "saved", "cost",
];

/// The byte order mark, which some editors put before a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Converts an earlier record into a ledger, if there is one. `key_of` finds the key that a request of a batch has now.
pub(crate) fn read(
    path: &Path,
    key_of: impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<(), Failure> {
    if !is_earlier(path) {
        return Ok(());
    }
    // Two commands can come here at once. The second waits for the lock, and then finds the ledger of the first.
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
            "{path} is a ledger of an earlier version of veo, and {problem}; nothing was sent"
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
    // The copy comes first, and the rename replaces the record in one step. A crash at any point leaves the record or
    // the ledger in its place, so a paid request never counts as a new one.
    fs::copy(path, kept).map_err(unwritten)?;
    fs::rename(new, path).map_err(unwritten)?;
    drop(file);
    Ok(())
}

fn unlocked(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::failed(format!(
        "{path} is a ledger of an earlier version of veo and cannot be locked: {error}; nothing was sent"
    ))
}

/// Returns whether a file begins as an earlier record does. Only its start is read, since a ledger can be long.
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

/// Converts all requests into entries. A line that is not understood is an error, since it could be a paid request.
fn entries(
    text: &[u8],
    mut key_of: impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<Vec<Entry>, String> {
    let mut order = Vec::new();
    let mut known = HashMap::<String, EarlierRequest>::new();
    let is_torn = !text.ends_with(b"\n");
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n')).peekable();
    while let Some((number, line)) = lines.next() {
        let is_last = lines.peek().is_none();
        if line.trim_ascii().is_empty() || line.ends_with(b" (torn off)") {
            continue;
        }
        let line: EarlierLine = match serde_json::from_slice(line) {
            Ok(line) => line,
            // The program ended while it wrote this line, and before its next step. A torn intent was never sent, and a
            // torn outcome leaves its request unknown.
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
                EarlierRequest {
                    at: line.at,
                    ..EarlierRequest::default()
                },
            );
        }
        let Some(earlier) = known.get_mut(&line.id) else {
            return Err(format!(
                "its line {number} names a request that no earlier line has"
            ));
        };
        apply(earlier, line)
            .map_err(|problem| format!("its line {number} is not understood: {problem}"))?;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for id in order {
        let Some(earlier) = known.remove(&id) else {
            continue;
        };
        let entry = entry(&id, earlier, &mut key_of)
            .map_err(|problem| format!("{id} is not understood: {problem}"))?;
        // The last of several attempts under one key decides the state.
        entries.retain(|other| other.key != entry.key);
        entries.push(entry);
    }
    Ok(entries)
}

fn apply(earlier: &mut EarlierRequest, line: EarlierLine) -> Result<(), String> {
    let rest = &line.rest;
    match line.event.as_str() {
        "intent" => {
            earlier.request = part(rest, "request").ok_or("it has no request")?;
            earlier.output = text(rest, "output").ok_or("it has no output")?.into();
            earlier.key = text(rest, "key");
        }
        "accepted" => {
            earlier.job = part(rest, "job");
            earlier.base_url = text(rest, "base_url");
        }
        "saved" => earlier.receipt = part(rest, "receipt"),
        "cost" => {
            earlier.credits = rest["credits"].as_f64();
            return Ok(());
        }
        _ => earlier.error = part(rest, "error"),
    }
    earlier.last = line.event;
    Ok(())
}

fn part(value: &Value, name: &str) -> Option<Value> {
    let part = value.get(name)?;
    (!part.is_null()).then(|| part.clone())
}

fn text(value: &Value, name: &str) -> Option<String> {
    Some(value.get(name)?.as_str()?.to_owned())
}

fn entry(
    id: &str,
    earlier: EarlierRequest,
    key_of: &mut impl FnMut(&VideoRequest, &Path) -> Option<String>,
) -> Result<Entry, String> {
    let request = VideoRequest::deserialize(&earlier.request).map_err(|error| error.to_string())?;
    // The key of an upgrade was the job of the upgrade.
    let upgrade = match &earlier.key {
        Some(key) => key.parse::<JobRef>().ok(),
        None => None,
    };
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
        // Nobody knows what the images and links contained, so they are not compared with those of a new request.
        None => json!({ "request": { "request": earlier.request, "redacted": true } }),
    };
    let state = match earlier.last.as_str() {
        "accepted" => "accepted",
        "refused" => "rejected",
        "failed" => "failed",
        "saved" => "done",
        // After any other last event, such as an intent without an outcome, the request may have been paid for.
        _ => "unknown",
    };
    let error = earlier.error.as_ref().map(error_of);
    let receipt = earlier.receipt.unwrap_or_default();
    let job = earlier
        .job
        .or_else(|| receipt.get("job").cloned())
        .unwrap_or_default();
    let attempt = json!({
        "sent": sent(&job["offer"], earlier.base_url.as_deref()),
        "at": earlier.at,
        "credits": receipt["credits"].as_f64().or(earlier.credits),
        "outcome": outcome(state, &job, error.as_ref(), earlier.at),
    });
    let entry = json!({
        "key": key,
        "state": state,
        "at": earlier.at,
        "wish": wish,
        "target": earlier.output,
        "attempts": [attempt],
        "error": error.filter(|_| state == "failed"),
        "delivered": delivered(receipt, earlier.at),
    });
    Entry::deserialize(entry).map_err(|error| error.to_string())
}

fn sent(offer: &Value, base_url: Option<&str>) -> Value {
    let provider = offer["provider"].as_str().unwrap_or("kie");
    let operation = match offer["operation"].as_str() {
        Some("extend") => "extend",
        Some("upgrade") => "upgrade",
        _ => "generate",
    };
    json!({
        "provider": provider,
        "account": provider,
        "base_url": base_url,
        "model": offer["model"].as_str().unwrap_or("unknown"),
        "operation": operation,
        "body": offer["body"],
    })
}

fn outcome(state: &str, job: &Value, error: Option<&Error>, at: u64) -> Value {
    if state == "rejected" {
        return json!({ "rejected": { "error": error } });
    }
    match (job["reference"].as_str(), error) {
        (Some(reference), _) => {
            let at = job["accepted_at"].as_u64().unwrap_or(at);
            json!({ "accepted": { "job": reference, "at": at } })
        }
        (None, Some(error)) => json!({ "unknown": { "error": error } }),
        (None, None) => Value::Null,
    }
}

/// The delivered video of a receipt.
fn delivered(mut receipt: Value, at: u64) -> Option<Value> {
    receipt.get("saved")?;
    // If another machine sent the job, the receipt of an upgrade has only the file.
    let made_at = receipt["made_at"].as_u64().unwrap_or(at);
    receipt["made_at"] = json!(made_at);
    Some(receipt)
}

/// Converts an error of an earlier version into an error with a kind of this version.
fn error_of(told: &Value) -> Error {
    let kind = match told["kind"].as_str() {
        Some("rejected") => ErrorKind::Refused,
        Some("usage") => ErrorKind::InvalidRequest,
        Some("not_taken") => ErrorKind::NotSent,
        Some("interrupted") => ErrorKind::Stopped,
        _ => ErrorKind::deserialize(&told["kind"]).unwrap_or(ErrorKind::OutcomeUnknown),
    };
    // The message began with the job, which the new error adds itself.
    let job: Option<JobRef> = text(told, "job").and_then(|job| job.parse().ok());
    let message = text(told, "message").unwrap_or_default();
    let message = match &job {
        Some(job) => message
            .strip_prefix(&format!("{job}: "))
            .unwrap_or(&message)
            .to_owned(),
        None => message,
    };
    let error = Error::new(kind, message)
        .with_provider(text(told, "provider_code"), text(told, "provider_words"));
    match job {
        Some(job) => error.with_job(&job),
        None => error,
    }
}
