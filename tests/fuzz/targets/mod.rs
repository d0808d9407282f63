//! The targets of fuzzing. Each target takes any bytes, and panics if the result is wrong.

mod batch;
mod config;
mod job;
mod ledger;
mod mp4;
mod replies;
mod spec;
mod texts;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A part of the code that reads input from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads the bytes, and panics if the result is wrong.
    pub run: fn(&[u8]),
    /// Returns the inputs with which fuzzing begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("job", job::run, job::seeds),
    target("texts", texts::run, texts::seeds),
    target("batch", batch::run, batch::seeds),
    target("config", config::run, config::seeds),
    target("webhook", webhook::run, webhook::seeds),
    target("kie_generate", replies::kie_generate, || {
        replies("kie/generate")
    }),
    target("kie_extend", replies::kie_extend, || replies("kie/extend")),
    target("kie_create_task", replies::kie_create_task, || {
        replies("kie/create_task")
    }),
    target("kie_record_info", replies::kie_record_info, || {
        replies("kie/record_info")
    }),
    target("kie_get_task", replies::kie_get_task, || {
        replies("kie/get_task")
    }),
    target("kie_upgrade", replies::kie_upgrade, || {
        [replies("kie/get_1080p_video"), replies("kie/get_4k_video")].concat()
    }),
    target("kie_free", replies::kie_free, || {
        let operations = [
            "kie/account_credits",
            "kie/download_url",
            "kie/upload_stream",
        ];
        operations.map(replies).concat()
    }),
    target("uniall_create_video", replies::uniall_create_video, || {
        replies("uniall/create_video")
    }),
    target("uniall_query_video", replies::uniall_query_video, || {
        replies("uniall/query_video")
    }),
    target("ledger", ledger::run, ledger::seeds),
    target("ledger_lines", ledger::run_mended, ledger::seeds),
    target("mp4", mp4::run, mp4::seeds),
    target("spec", spec::run, spec::seeds),
];

/// Returns the target with a name, already when the program is built.
pub const fn target_named(name: &str) -> Target {
    let mut at = 0;
    while at < TARGETS.len() {
        if is_same(TARGETS[at].name.as_bytes(), name.as_bytes()) {
            return TARGETS[at];
        }
        at += 1;
    }
    panic!("there is no target with this name")
}

const fn is_same(text: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() && at < other.len() && text[at] == other[at] {
        at += 1;
    }
    at == text.len() && at == other.len()
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Returns the replies of the fixtures for an operation, from its files and from the rows of a table.
fn replies(operation: &str) -> Vec<Vec<u8>> {
    let mut replies = files(&format!("tests/fixtures/{operation}"));
    for row in text(&file("tests/fixtures/replies.jsonl")).lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let of = |name: &str| row[name].as_str().unwrap_or_default();
        if operation == format!("{}/{}", of("provider"), of("operation")) {
            let (status, body) = (&row["http"], of("body"));
            let head = format!("HTTP/1.1 {status}\ncontent-type: application/json");
            replies.push(format!("{head}\n\n{body}").into_bytes());
        }
    }
    // A reply can repeat the API key, and be no JSON because of the backslash before it.
    let with_key = |reply: &Vec<u8>| text(reply).replacen(":\"", ":\"\\{key}", 1).into_bytes();
    let repeated: Vec<_> = replies.iter().map(with_key).collect();
    replies.extend(repeated);
    replies
}

/// Returns all files below a folder of the repository.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    read_files(&repository().join(folder), &mut found);
    found
}

fn read_files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_files(&path, found);
        } else {
            found.push(fs::read(&path).unwrap());
        }
    }
}

/// Returns a file of the repository.
fn file(path: &str) -> Vec<u8> {
    fs::read(repository().join(path)).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the input as text, without bytes that are not UTF-8.
fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}
