//! The ledger in a file: one key is paid for once, even if the caller drops its future or the file is damaged. Tests
//! for all kinds of ledgers are in tests/ledgers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use veo_core::ledger::{Budget, Entry, EntryState, Event, FileLedger, Find, Ledger, Which};
use veo_core::{
    Access, Client, Downloads, ErrorKind, Job, Kie, Poll, Receipt, Resolution, Step, Submission,
    UniAll, VideoRequest,
};
use veo_sim::{Scenario, Sim};

struct Place {
    sim: Sim,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let rich = Scenario::new("rich", "There is enough for every test.").credits(1_000_000.0);
        Self::with(rich).await
    }

    async fn with(scenario: Scenario) -> Self {
        let sim = Sim::builder().scenario(scenario).start().await.unwrap();
        Self {
            sim,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.ledger")
    }

    fn kie(&self, key: &str) -> Kie {
        Kie::new(Access::new(key).base_url(self.sim.url())).unwrap()
    }

    /// Makes a client with its own ledger, as another process would.
    async fn client(&self) -> Client {
        self.client_with("key").await
    }

    /// Opens the ledger as another process would, two minutes after the last line was written. A file with newer lines is
    /// not rewritten, since these count for the limit of the account.
    async fn reopened_later(&self) -> FileLedger {
        let options = std::fs::File::options().write(true).open(self.path());
        let earlier = SystemTime::now() - Duration::from_secs(120);
        options.unwrap().set_modified(earlier).unwrap();
        FileLedger::open(self.path()).await.unwrap()
    }

    async fn client_with(&self, key: &str) -> Client {
        eager(Client::new(self.kie(key)).unwrap())
            .with_ledger(FileLedger::open(self.path()).await.unwrap())
    }
}

fn eager(client: Client) -> Client {
    let none = Duration::ZERO;
    let client = client.with_poll(Poll::default().first(none).every(none).every_upgrade(none));
    client
        .with_downloads(Downloads::default().allow_loopback(true))
        .unwrap()
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog playing in a park").seconds(4)
}

fn accepted(submission: Submission) -> Job {
    match submission {
        Submission::Accepted(job) => job,
        other => panic!("{other:?}"),
    }
}

/// A caller that drops the future of the request loses no job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_that_is_dropped_is_recorded() {
    let place = Place::new().await;
    let client = place.client().await;
    let start = Instant::now();
    accepted(client.submit_once("first", &dog()).await);
    let whole = start.elapsed();
    let drops = 40;
    for number in 0..drops {
        let (key, moment) = (format!("drop {number}"), whole * number / drops);
        // kie.ai accepts 20 requests in 10 seconds for an account, so each request has another account.
        let client = eager(
            Client::new(place.kie(&format!("key {number}")))
                .unwrap()
                .or(uniall(&place)),
        )
        .with_ledger(
            FileLedger::open(place.folder.path().join(format!("{number}")))
                .await
                .unwrap(),
        );
        let _ = tokio::time::timeout(moment, client.submit_once(&key, &dog())).await;
        client.drain().await;
        let ledger = FileLedger::open(place.folder.path().join(format!("{number}")))
            .await
            .unwrap();
        let listed = ledger.list(Which::All).await.unwrap();
        assert!(
            listed
                .iter()
                .all(|entry| entry.state == EntryState::Accepted),
            "{listed:?}"
        );
        let jobs: Vec<_> = listed.into_iter().filter_map(|entry| entry.job).collect();
        let paid: Vec<_> = place
            .sim
            .charges()
            .into_iter()
            .skip(1)
            .map(|charge| format!("kie:{}", charge.task))
            .collect();
        assert!(
            jobs.iter()
                .all(|job| paid.iter().any(|paid| **paid == **job)),
            "{jobs:?} of {paid:?}"
        );
    }
    let recorded = place.sim.submits() - 1;
    println!("of {drops} dropped submits {recorded} were paid for, and all of them are on record");
    assert!(recorded > 0);
}

fn uniall(place: &Place) -> UniAll {
    UniAll::new(Access::new("key").base_url(place.sim.url())).unwrap()
}

#[tokio::test]
async fn a_rewritten_ledger_has_the_same_entries() {
    let place = Place::new().await;
    let client = place.client().await;
    client
        .want(
            "wanted",
            &VideoRequest::image("It rains", "https://img.example.net/a.png?signature=needed"),
        )
        .await
        .unwrap();
    let job = accepted(client.submit_once("done", &dog()).await);
    let video = client.wait(&job).await.unwrap();
    let saved = client
        .download(&video, place.folder.path().join("dog.mp4"))
        .await
        .unwrap();
    client
        .done("done", &Receipt::new(&job, &video, &saved))
        .await
        .unwrap();
    let _ = place
        .client_with("no-credits")
        .await
        .submit_once("rejected", &dog())
        .await;
    let _ = place
        .client_with("lost-reply")
        .await
        .submit_once("unknown", &dog())
        .await;
    let _ = client.upgrade(&job, Resolution::P1080).await;
    drop(client);

    let entries = async |path: &Path| -> Vec<Entry> {
        let ledger = FileLedger::open(path).await.unwrap();
        assert_eq!(ledger.problems().await, [""; 0]);
        let mut entries = Vec::new();
        for listed in ledger.list(Which::All).await.unwrap() {
            entries.push(ledger.entry(&listed.key).await.unwrap().unwrap());
        }
        entries
    };
    let before = entries(&place.path()).await;
    let copy = place.folder.path().join("copy.ledger");
    FileLedger::create(&copy, before.clone()).unwrap();
    assert_eq!(entries(&copy).await, before);
    let (long, short) = (
        std::fs::metadata(place.path()).unwrap().len(),
        std::fs::metadata(&copy).unwrap().len(),
    );
    assert!(short < long, "{short} and {long}");
    assert!(
        FileLedger::create(&copy, before).is_err(),
        "nothing is written over a ledger"
    );

    // The copy continues the ledger.
    let client = eager(Client::new(place.kie("key")).unwrap())
        .with_ledger(FileLedger::open(&copy).await.unwrap());
    let sent = place.sim.submits();
    assert_eq!(
        accepted(client.submit_once("done", &dog()).await).reference,
        job.reference
    );
    assert!(matches!(
        client.submit_once("unknown", &dog()).await,
        Submission::Unknown(_)
    ));
    assert_eq!(place.sim.submits(), sent);
    assert!(matches!(
        client.step("wanted").await.unwrap(),
        Step::AgainAfter(_)
    ));
    let found = FileLedger::open(&copy)
        .await
        .unwrap()
        .find(Find::Job(&job.reference))
        .await
        .unwrap();
    assert_eq!(found.unwrap().key, "done");
}

/// The balance can fall by more than the known prices of a budget's calls, and the rewritten file still says so.
#[tokio::test]
async fn a_rewritten_ledger_keeps_what_a_budget_has_spent() {
    let place = Place::new().await;
    let budget = Budget::new("june", "kie", 1000.0).unwrap();
    let client = place.client().await.with_budget(budget);
    accepted(client.submit_once("a", &dog()).await);
    drop(client);
    let ledger = place.reopened_later().await;
    let known = ledger.spent("june").await.unwrap();
    let fall = Event::Fall { credits: 300.0 };
    ledger.record("june", fall).await.unwrap();
    let lines = || {
        std::fs::read_to_string(place.path())
            .unwrap()
            .lines()
            .count()
    };
    let before = lines();
    drop(ledger);
    for rewrites in 0..2 {
        let ledger = place.reopened_later().await;
        ledger.compact().await.unwrap();
        assert!(lines() < before, "{rewrites}");
        assert_eq!(
            ledger.spent("june").await.unwrap(),
            known + 300.0,
            "{rewrites}"
        );
        assert_eq!(ledger.spent("july").await.unwrap(), 0.0, "{rewrites}");
    }
}

/// A link with a signature is stored only until the request with the link was sent. Until then a rewritten file has it.
#[tokio::test]
async fn signed_links_are_removed_after_their_request_was_sent() {
    let link = "https://img.example.net/a.png?signature=hidden";
    for is_rewritten in [false, true] {
        let place = Place::new().await;
        let client = place.client().await;
        let request = VideoRequest::image("It rains", link);
        client.want("k", &request).await.unwrap();
        drop(client);
        let ledger = place.reopened_later().await;
        if is_rewritten {
            ledger.compact().await.unwrap();
        }
        let text = || std::fs::read_to_string(place.path()).unwrap();
        assert!(text().contains("hidden"));
        let client = place.client().await;
        let step = client.step("k").await.unwrap();
        assert!(matches!(step, Step::AgainAfter(_)), "{step:?}");
        let sent = place.sim.calls().last().unwrap().body.clone();
        assert!(sent.unwrap().to_string().contains("hidden"));
        drop(client);
        let ledger = place.reopened_later().await;
        assert!(!text().contains("hidden"), "{is_rewritten}");
        let entry = ledger.entry("k").await.unwrap().unwrap();
        assert_eq!(entry.state, EntryState::Accepted);
    }
}

/// With a damaged file, the ledger may refuse a request, but must never permit one that may have been sent before.
#[tokio::test]
async fn a_damaged_file_never_sends_a_request_twice() {
    let place = Place::new().await;
    let client = place.client().await;
    accepted(client.submit_once("a", &dog()).await);
    let _ = place
        .client_with("no-credits")
        .await
        .submit_once("r", &dog())
        .await;
    let _ = place
        .client_with("lost-reply")
        .await
        .submit_once("u", &dog())
        .await;
    let whole = std::fs::read(place.path()).unwrap();
    let sent = place.sim.submits();

    let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        damages.push((format!("a bit of byte {at}"), bytes));
    }
    for end in (0..whole.len()).step_by(3) {
        damages.push((
            format!("cut at {end} of {}", whole.len()),
            whole[..end].to_vec(),
        ));
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for number in 0..lines.len() {
        let without: Vec<u8> = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != number)
            .flat_map(|(_, line)| line.to_vec())
            .collect();
        damages.push((format!("without line {}", number + 1), without));
    }
    let (mut refused, mut known) = (0, 0);
    for (what, bytes) in damages {
        let path = place.folder.path().join("damaged.ledger");
        std::fs::write(&path, bytes).unwrap();
        let Ok(ledger) = FileLedger::open(&path).await else {
            refused += 1;
            continue;
        };
        let client = client.clone().with_ledger(ledger);
        for key in ["a", "u"] {
            match client.submit_once(key, &dog()).await {
                Submission::Rejected(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::LedgerDamaged | ErrorKind::Ledger),
                        "{what}: {error}"
                    );
                    refused += 1;
                }
                Submission::Accepted(_) | Submission::Unknown(_) => known += 1,
            }
        }
        assert_eq!(place.sim.submits(), sent, "{what}");
    }
    println!("{refused} refused and {known} known");
    assert!(refused > 1000 && known > 100, "{refused} {known}");
}
