//! The file of a ledger with any content.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use veo_core::ledger::{
    Begin, Begun, Budget, EntryState, Event, FileLedger, Ledger as _, Listed, Outcome, Want, Which,
    Wish,
};
use veo_core::{Client, Error, ErrorKind, JobRef, Kie, Offer, VideoRequest};

thread_local! {
    static DESK: Desk = Desk::new();
}

/// The folder and the offer with which ledgers are tried.
struct Desk {
    runtime: Runtime,
    folder: TempDir,
    offer: Offer,
}

impl Desk {
    fn new() -> Self {
        let client = Client::new(Kie::new("a key for nobody").unwrap()).unwrap();
        let mut offers = client.plan(&VideoRequest::text("A red kite")).offers;
        Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            folder: tempfile::tempdir_in(super::mp4::folder()).unwrap(),
            offer: offers.remove(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.ledger")
    }
}

/// Tries the file as it is.
pub(super) fn run(input: &[u8]) {
    DESK.with(|desk| {
        fs::write(desk.path(), input).unwrap();
        desk.runtime.block_on(check(desk, input));
    });
}

/// Tries the file with right checksums, so that the content of its lines matters.
pub(super) fn run_mended(input: &[u8]) {
    run(&mended(input));
}

/// A ledger with an entry in each state.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    DESK.with(|desk| desk.runtime.block_on(written(desk)))
}

async fn check(desk: &Desk, input: &[u8]) {
    let Ok(Some(ledger)) = FileLedger::open_existing(desk.path()).await else {
        return;
    };
    let Ok(listed) = ledger.list(Which::WithPrompts).await else {
        return;
    };
    for key in stated_keys(input) {
        let is_there = listed.iter().any(|entry| *entry.key == *key);
        assert!(is_there, "{key:?} is forgotten");
    }
    for Listed { key, state, .. } in listed.iter().take(4) {
        let _ = ledger.entry(key).await;
        if matches!(state, EntryState::Wanted | EntryState::Rejected) {
            continue;
        }
        let begun = ledger.begin(begin(desk, key).await).await;
        assert!(!matches!(begun, Ok(Begun::Yours)), "{key:?} is sent again");
    }
    if !ledger.problems().await.is_empty() {
        let begun = ledger.begin(begin(desk, "another").await).await;
        let kind = begun.map_err(|error| error.kind()).err();
        assert_eq!(kind, Some(ErrorKind::LedgerDamaged));
    }
}

async fn begin(desk: &Desk, key: &str) -> Begin {
    let wish = Wish::request(&desk.offer.request).await;
    Begin::new(Want::new(key, wish), desk.offer.clone())
}

/// Returns the keys in whole lines, up to the end that the first line states, or to the end of the file if it is
/// damaged.
fn stated_keys(file: &[u8]) -> Vec<String> {
    let end = end_of(file).unwrap_or(file.len());
    let mut keys = Vec::new();
    let mut at = HEAD;
    for line in file
        .get(HEAD..)
        .unwrap_or_default()
        .split_inclusive(|byte| *byte == b'\n')
    {
        at += line.len();
        let is_whole = line.starts_with(b"{\"crc\":\"")
            && line.ends_with(b"\n")
            && line.get(8..16) == Some(&crc_of(line)[..]);
        if at > end || !is_whole {
            continue;
        }
        let Ok(json) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        // A ledger may refuse a line that no ledger has written in this form.
        let is_written =
            line[16..].starts_with(b"\",\"short\":") && format!("{json}\n").as_bytes() == line;
        let short = &json["short"];
        if let (true, Some(key)) = (is_written && is_of_entry(short), short["key"].as_str()) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// Returns whether the short form of an event is about an entry, and each of its fields has a value of the right type.
fn is_of_entry(short: &Value) -> bool {
    const STATES: [&str; 8] = [
        "wanted",
        "on_its_way",
        "accepted",
        "rejected",
        "unknown",
        "finished",
        "failed",
        "done",
    ];
    let Some(fields) = short.as_object() else {
        return false;
    };
    let is_typed = |(name, value): (&String, &Value)| match name.as_str() {
        "n" | "at" | "pause" => value.is_u64(),
        "first" | "links" => value.is_boolean(),
        "reserved" | "credits" => value.is_number(),
        "state" => STATES.iter().any(|state| value == state),
        "fall" => false,
        _ => value.is_string(),
    };
    fields.contains_key("n") && fields.iter().all(is_typed)
}

/// The length of the first line in bytes.
const HEAD: usize = 192;

/// Returns where the last line ends, if the first line is whole and states it.
fn end_of(file: &[u8]) -> Option<usize> {
    let head = file.get(..HEAD)?;
    if mended_head(head)? != head {
        return None;
    }
    let head: Value = serde_json::from_slice(head).ok()?;
    usize::try_from(head["end"].as_u64()?).ok()
}

/// Returns the file with the checksums that its lines should have.
fn mended(file: &[u8]) -> Vec<u8> {
    let (head, lines) = file.split_at(file.len().min(HEAD));
    let mut mended = mended_head(head).unwrap_or_else(|| head.to_vec());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let crc = crc_of(line);
        let start = mended.len();
        mended.extend_from_slice(line);
        if let Some(place) = mended.get_mut(start + 8..start + 16) {
            place.copy_from_slice(&crc);
        }
    }
    mended
}

/// Returns the first line with the right checksum, which is that of the object without it.
fn mended_head(head: &[u8]) -> Option<Vec<u8>> {
    const NAME: &str = ",\"crc\":\"";
    let text = std::str::from_utf8(head).ok()?;
    let (object, _) = text.rsplit_once(NAME)?;
    let crc = crc32fast::hash(format!("{object}}}").as_bytes());
    let line = format!("{object}{NAME}{crc:08x}\"}}");
    Some(format!("{line:width$}\n", width = HEAD - 1).into_bytes())
}

/// Returns the checksum of a line. It covers everything after the checksum.
fn crc_of(line: &[u8]) -> [u8; 8] {
    let crc = crc32fast::hash(line.get(16..).unwrap_or_default());
    let mut digits = [0; 8];
    digits.copy_from_slice(format!("{crc:08x}").as_bytes());
    digits
}

/// Returns the file after each kind of event, and the rewritten file.
async fn written(desk: &Desk) -> Vec<Vec<u8>> {
    let path = desk.path();
    let _ = fs::remove_file(&path);
    let ledger = FileLedger::open(&path).await.unwrap();
    let mut files = vec![fs::read(&path).unwrap()];
    let lost = Error::new(ErrorKind::OutcomeUnknown, "the reply was lost");
    let refused = Error::new(ErrorKind::RateLimited, "too many");
    let failed = Error::new(ErrorKind::JobFailed, "it failed");
    let accepted = Outcome::Accepted {
        job: JobRef::new("kie", "0f1e2d3c"),
        task: None,
        at: SystemTime::UNIX_EPOCH,
        refusals: vec!["uniall: no".to_owned()],
    };
    let ended = |outcome| Event::Ended { outcome };
    let credits = 60.5;
    // After a refusal the ledger pauses the account for a while, so the refusal comes last.
    let events = [
        ("lost", ended(Outcome::Unknown { error: lost })),
        ("made", ended(accepted)),
        (
            "made",
            Event::Finished {
                credits: Some(credits),
            },
        ),
        ("made", Event::Failed { error: failed }),
        ("june", Event::Fall { credits }),
        ("refused", ended(Outcome::rejected(refused))),
    ];
    let budget = Budget::new("june", "kie", 500.0).unwrap();
    let budget = budget.price(credits).unwrap();
    for (key, event) in events {
        if matches!(event, Event::Ended { .. }) {
            let mut begin = begin(desk, key).await;
            begin.marker = Some(format!("marker{key}"));
            begin.budget = Some(budget.clone());
            begin.want.target = Some(format!("/srv/{key}.mp4"));
            ledger.begin(begin).await.unwrap();
            files.push(fs::read(&path).unwrap());
        }
        ledger.record(key, event).await.unwrap();
        files.push(fs::read(&path).unwrap());
    }
    let mut entries = Vec::new();
    for listed in ledger.list(Which::All).await.unwrap() {
        entries.extend(ledger.entry(&listed.key).await.unwrap());
    }
    drop(ledger);
    fs::remove_file(&path).unwrap();
    FileLedger::create(&path, entries).unwrap();
    let whole = fs::read(&path).unwrap();
    // If the first line is damaged, the lines after a blank line still count.
    let mut with_blank = whole.clone();
    with_blank.insert(HEAD, b'\n');
    with_blank[HEAD / 2] ^= 1;
    files.extend([whole, with_blank]);
    files
}
