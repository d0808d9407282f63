//! Several processes use one ledger file, or a power failure damages it. Tests for all ledgers are in tests/ledgers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use veo_core::ledger::{EntryState, Event, FileLedger, Ledger as _, Which};
use veo_core::{
    AspectRatio, BoxFuture, Capabilities, Client, Error, ErrorKind, Job, JobRef, Mode, Model,
    Offer, Operation, Poll, Provider, Reason, Resolution, Settlement, State, Submission, Tier,
    Video, VideoRequest,
};

/// A provider without a network that accepts every request. It can refuse questions about a task for a while.
#[derive(Clone, Debug)]
struct Hat {
    models: Vec<Model>,
    sent: Arc<AtomicUsize>,
    is_busy: Arc<AtomicBool>,
}

impl Hat {
    fn new() -> Self {
        let model = Model::new("hat", "m", Tier::Lite)
            .modes(&[Mode::Text])
            .resolutions(&[Resolution::P720])
            .aspect_ratios(&[AspectRatio::Landscape])
            .seconds(&[8]);
        Self {
            models: vec![model],
            sent: Arc::default(),
            is_busy: Arc::default(),
        }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Provider for Hat {
    fn name(&self) -> &'static str {
        "hat"
    }

    fn models(&self) -> &[Model] {
        &self.models
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Ok(Offer::new(
            model,
            request,
            Operation::Generate,
            serde_json::json!({ "text": request.prompt }),
        ))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Job::new(offer, format!("rabbit{number}"));
        Box::pin(std::future::ready(Submission::Accepted(job)))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async move {
            if self.is_busy.load(Ordering::Relaxed) {
                let never = Duration::from_secs(u64::MAX);
                return Err(
                    Error::new(ErrorKind::Unavailable, "busy").with_retry_after(Some(never))
                );
            }
            let urls = vec!["https://hat.example.net/rabbit.mp4".to_owned()];
            let video = Video::new(job.clone(), urls);
            Ok(State::Finished(Box::new(video)))
        })
    }
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog")
}

/// Makes a client with its own ledger, as another process would.
async fn client(hat: &Hat, path: &Path) -> Client {
    let every = Duration::from_millis(1);
    let poll = Poll::default().first(Duration::ZERO).every(every);
    Client::new(hat.clone())
        .unwrap()
        .with_poll(poll)
        .with_ledger(FileLedger::open(path).await.unwrap())
}

async fn accepted(client: &Client, key: &str) -> Job {
    let Submission::Accepted(job) = client.submit_once(key, &dog()).await else {
        panic!("it is accepted")
    };
    job
}

/// Makes a ledger file that the next process rewrites: it is old, and has links that are not needed any more.
async fn rewritten_next(hat: &Hat, path: &Path) -> File {
    let before = client(hat, path).await;
    let mut linked = dog();
    let link = serde_json::json!("https://shop.example.com/music?secret=1");
    linked
        .extra
        .entry("hat".to_owned())
        .or_default()
        .insert("music".to_owned(), link);
    before.want("linked", &linked).await.unwrap();
    before.step("linked").await.unwrap();
    drop(before);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(600))
        .unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_two_processes_rewrite_loses_nothing() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let path = folder.path().join("jobs.ledger");
    let file = rewritten_next(&hat, &path).await;
    let before = hat.sent();
    file.lock().unwrap();
    let mut tasks = JoinSet::new();
    for key in ["order 17", "order 18"] {
        let (hat, path) = (hat.clone(), path.clone());
        tasks.spawn(async move { accepted(&client(&hat, &path).await, key).await });
    }
    // After this time both tasks have opened the file, and wait for the lock.
    sleep(Duration::from_millis(100)).await;
    file.unlock().unwrap();
    let _ = tasks.join_all().await;
    let client = client(&hat, &path).await;
    for key in ["order 17", "order 18"] {
        let _ = accepted(&client, key).await;
    }
    assert_eq!(hat.sent() - before, 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_ledger_is_the_same_ledger() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let (path, link) = (
        folder.path().join("jobs.ledger"),
        folder.path().join("link"),
    );
    rewritten_next(&hat, &path).await;
    let before = hat.sent();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let _ = accepted(&client(&hat, &link).await, "order 17").await;
    assert!(
        fs::symlink_metadata(&link).unwrap().is_symlink(),
        "the file was rewritten, and not the link"
    );
    let _ = accepted(&client(&hat, &path).await, "order 17").await;
    assert_eq!(hat.sent() - before, 1);

    fs::hard_link(&path, folder.path().join("hard")).unwrap();
    let Submission::Rejected(error) = client(&hat, &path)
        .await
        .submit_once("order 18", &dog())
        .await
    else {
        panic!("the other name would have marks of its own")
    };
    assert_eq!(error.kind(), ErrorKind::Ledger);
    assert_eq!(hat.sent() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endless_pause_does_not_end_a_run() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let client = client(&hat, &folder.path().join("jobs.ledger")).await;
    let _ = accepted(&client, "order 17").await;
    hat.is_busy.store(true, Ordering::Relaxed);
    let run = timeout(
        Duration::from_secs(3600),
        client.run(|_, _| std::future::ready(())),
    );
    assert!(run.await.is_err(), "it waits");
}

#[tokio::test]
async fn a_line_of_zeros_is_one_unknown_entry() {
    for (name, keeps_half, byte) in [
        ("spaces", false, b' '),
        ("half a line", true, b' '),
        ("zeros", false, b'\0'),
    ] {
        let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
        let path = folder.path().join("jobs.ledger");
        let client = client(&hat, &path).await;
        client.want("order 17", &dog()).await.unwrap();
        client.want("order 18", &dog()).await.unwrap();
        drop(client);
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len();
        let start = bytes[..end - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        bytes[if keeps_half {
            usize::midpoint(start, end)
        } else {
            start
        }..]
            .fill(byte);
        fs::write(&path, &bytes).unwrap();
        let ledger = FileLedger::open(&path).await.unwrap();
        assert_eq!(ledger.problems().await, [] as [String; 0], "{name}");
        let listed = ledger.list(Which::Open).await.unwrap();
        let states: Vec<_> = listed.iter().map(|listed| listed.state).collect();
        assert_eq!(states, [EntryState::Wanted, EntryState::Unknown], "{name}");
    }
}

#[tokio::test]
async fn zeros_after_the_last_line_are_ignored() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let path = folder.path().join("jobs.ledger");
    client(&hat, &path)
        .await
        .want("order 17", &dog())
        .await
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0; 100]);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        FileLedger::open(&path).await.unwrap().problems().await,
        [] as [String; 0]
    );
}

#[tokio::test]
async fn a_torn_request_can_be_settled_either_way() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let path = folder.path().join("jobs.ledger");
    client(&hat, &path)
        .await
        .want("order 17", &dog())
        .await
        .unwrap();
    let mut torn = fs::read(&path).unwrap();
    torn.truncate(torn.len() - 10);
    fs::write(&path, &torn).unwrap();
    let client = client(&hat, &path).await;
    let Submission::Unknown(unknown) = client.submit_once("order 17", &dog()).await else {
        panic!("it is torn")
    };
    let key = unknown.key.unwrap();
    client
        .settle(&key, Settlement::Accepted("hat:rabbit1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        accepted(&client, "order 17").await.reference.to_string(),
        "hat:rabbit1"
    );
    assert_eq!(hat.sent(), 0);
}

#[tokio::test]
async fn a_wish_too_long_for_a_line_is_refused_without_damage() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let path = folder.path().join("jobs.ledger");
    let client = client(&hat, &path).await;
    let mut request = dog();
    request
        .extra
        .entry("hat".to_owned())
        .or_default()
        .insert("text".to_owned(), "x".repeat(129 << 20).into());
    let error = client.want("order 17", &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    client.want("order 18", &dog()).await.unwrap();
    let ledger = FileLedger::open(&path).await.unwrap();
    assert_eq!(ledger.problems().await, [] as [String; 0]);
}

#[tokio::test]
async fn a_damaged_head_stops_new_requests_and_keeps_paid_jobs() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let path = folder.path().join("jobs.ledger");
    let _ = accepted(&client(&hat, &path).await, "order 17").await;
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..3 {
        let ledger = FileLedger::open(&path).await.unwrap();
        let cost = Event::Cost { credits: 60.0 };
        assert_eq!(
            ledger.record("order 17", cost).await.unwrap().state,
            EntryState::Accepted
        );
        let Submission::Rejected(error) = client(&hat, &path)
            .await
            .submit_once("order 18", &dog())
            .await
        else {
            panic!("nothing is sent from it")
        };
        assert_eq!(error.kind(), ErrorKind::LedgerDamaged);
    }
}
