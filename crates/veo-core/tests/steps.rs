//! The work on the open entries of a ledger: single steps, and runs that continue until they are stopped.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};
use veo_core::ledger::{Delivered, EntryState, Event, FileLedger, Ledger as _, Outcome};
use veo_core::{
    Access, BoxFuture, Capabilities, Client, Delivery, Error, ErrorKind, Job, JobRef, Kie, Model,
    Offer, Operation, Poll, Provider, Reason, Receipt, Settlement, State, Step, Submission, UniAll,
    Video, VideoRequest, Webhooks,
};
use veo_sim::Sim;

/// A provider without a network, so that a test can skip time.
#[derive(Clone, Debug)]
struct Hat {
    models: Vec<Model>,
    sent: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    is_done: Arc<AtomicBool>,
    loses_replies: bool,
    panics: bool,
}

impl Hat {
    fn new() -> Self {
        let mut model = Kie::new("a key").unwrap().models()[0].clone();
        model.provider = "hat";
        let (sent, asked, is_done) = Default::default();
        Self {
            models: vec![model],
            sent,
            asked,
            is_done,
            loses_replies: false,
            panics: false,
        }
    }

    fn done(self) -> Self {
        self.is_done.store(true, Ordering::Relaxed);
        self
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
        assert!(!self.panics, "this is what a provider must not do");
        let submission = if self.loses_replies {
            let error = Error::new(ErrorKind::OutcomeUnknown, "the reply was lost");
            Submission::of_error(error, offer, SystemTime::now())
        } else {
            Submission::Accepted(Job::new(offer, format!("rabbit{number}")))
        };
        Box::pin(std::future::ready(submission))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let video = Video::new(
            job.clone(),
            vec!["https://hat.example.net/rabbit.mp4".to_owned()],
        );
        let is_done = self.is_done.load(Ordering::Relaxed);
        let state = if is_done {
            State::Finished(Box::new(video))
        } else {
            State::Pending
        };
        Box::pin(std::future::ready(Ok(state)))
    }
}

async fn ledger(folder: &Path) -> FileLedger {
    FileLedger::open(folder.join("jobs.ledger")).await.unwrap()
}

/// Makes a client that asks about a job once an hour.
fn patient(provider: impl Provider + 'static) -> Client {
    let hour = Duration::from_secs(3600);
    Client::new(provider)
        .unwrap()
        .with_poll(Poll::default().first(hour).every(hour))
}

async fn client(hat: &Hat, folder: &Path) -> Client {
    patient(hat.clone()).with_ledger(ledger(folder).await)
}

fn kie(sim: &Sim, key: &str) -> Kie {
    Kie::new(Access::new(key).base_url(sim.url())).unwrap()
}

fn uniall(sim: &Sim, key: &str) -> UniAll {
    UniAll::new(Access::new(key).base_url(sim.url())).unwrap()
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog")
}

/// Starts a run that continues until the end of the test, and returns a stream of its steps.
fn serve(client: &Client) -> UnboundedReceiver<(String, Step)> {
    let (sender, handed) = unbounded_channel();
    let client = client.clone();
    tokio::spawn(async move {
        let hand_on = |key, step| {
            // The send fails only at the end of the test.
            let _ = sender.send((key, step));
            std::future::ready(())
        };
        client
            .run_until(std::future::pending(), hand_on)
            .await
            .unwrap();
    });
    handed
}

async fn next(handed: &mut UnboundedReceiver<(String, Step)>) -> (String, Step) {
    timeout(Duration::from_secs(4000), handed.recv())
        .await
        .unwrap()
        .unwrap()
}

async fn until(client: &Client, key: &str, state: EntryState) {
    while client
        .entry(key)
        .await
        .unwrap()
        .is_none_or(|entry| entry.state != state)
    {
        sleep(Duration::from_millis(1)).await;
    }
}

fn settled(job: &str) -> Settlement {
    Settlement::Accepted(job.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_up_the_wishes_of_other_processes() {
    let (folder, mut hat) = (tempfile::tempdir().unwrap(), Hat::new().done());
    hat.loses_replies = true;
    let mut handed = serve(&client(&hat, folder.path()).await);
    sleep(Duration::from_secs(10)).await;

    let other = client(&hat, folder.path()).await;
    other.want("order 17", &dog()).await.unwrap();
    let (key, step) = next(&mut handed).await;
    assert!(
        key == "order 17" && matches!(step, Step::LookAtIt(_)),
        "{step:?}"
    );
    sleep(Duration::from_secs(600)).await;
    assert!(handed.try_recv().is_err(), "it is said once");

    other
        .settle("order 17", settled("hat:rabbit1"))
        .await
        .unwrap();
    let (key, step) = next(&mut handed).await;
    assert!(
        key == "order 17" && matches!(step, Step::Video(_)),
        "{step:?}"
    );
    assert_eq!(hat.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_continues_an_entry_that_is_settled_meanwhile() {
    let (folder, mut hat) = (tempfile::tempdir().unwrap(), Hat::new().done());
    hat.loses_replies = true;
    let client = client(&hat, folder.path()).await;
    for key in ["order 17", "order 18"] {
        client.want(key, &dog()).await.unwrap();
    }
    let videos = Mutex::new(Vec::new());
    let run = client.run(|key, step| {
        let (client, videos) = (&client, &videos);
        async move {
            match step {
                Step::LookAtIt(_) if key == "order 17" => {
                    client.settle(&key, settled("hat:rabbit1")).await.unwrap();
                }
                Step::LookAtIt(_) => {}
                step => videos.lock().unwrap().push((key, step)),
            }
        }
    });
    timeout(Duration::from_secs(10), run)
        .await
        .unwrap()
        .unwrap();
    let videos = videos.into_inner().unwrap();
    assert!(
        matches!(&*videos, [(key, Step::Video(_))] if key == "order 17"),
        "{videos:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unsaved_video_is_handed_on_again_after_a_minute() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new().done());
    let client = client(&hat, folder.path()).await;
    let Submission::Accepted(job) = client.submit_once("order 17", &dog()).await else {
        panic!("it is accepted")
    };
    let mut handed = serve(&client);
    let (_, step) = next(&mut handed).await;
    let start = Instant::now();
    assert_eq!(next(&mut handed).await.1, step);
    assert!(
        (59..63).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );

    let saved = serde_json::json!({
        "path": "dog.mp4", "bytes": 1, "sha256": "00",
        "media": { "width": 1280, "height": 720, "seconds": 8.0, "fps": 24.0, "has_audio": true },
    });
    let Step::Video(video) = step else {
        panic!("{step:?}")
    };
    let receipt = Receipt::new(&job, &video, &serde_json::from_value(saved).unwrap());
    client.done("order 17", &receipt).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(handed.try_recv().is_err(), "it is done");
}

#[tokio::test(start_paused = true)]
async fn a_run_steps_more_entries_than_it_takes_at_a_time() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new());
    let client = client(&hat, folder.path()).await;
    for number in 0..100 {
        client
            .want(&format!("order {number}"), &dog())
            .await
            .unwrap();
    }
    let mut handed = serve(&client);
    for number in 0..100 {
        until(&client, &format!("order {number}"), EntryState::Accepted).await;
    }
    assert_eq!((hat.sent(), hat.asked.load(Ordering::Relaxed)), (100, 0));
    let hat = hat.done();
    for _ in 0..100 {
        let (_, step) = next(&mut handed).await;
        assert!(matches!(step, Step::Video(_)), "{step:?}");
    }
    assert_eq!(hat.sent(), 100);
}

#[tokio::test]
async fn a_webhook_about_a_known_job_makes_a_run_ask_at_once() {
    let (folder, sim) = (tempfile::tempdir().unwrap(), Sim::start().await.unwrap());
    let client = patient(kie(&sim, "at-once")).with_ledger(ledger(folder.path()).await);
    let mut handed = serve(&client);
    client.want("order 17", &dog()).await.unwrap();
    until(&client, "order 17", EntryState::Accepted).await;
    let job = client
        .entry("order 17")
        .await
        .unwrap()
        .unwrap()
        .job()
        .unwrap()
        .reference;

    let webhooks = Webhooks::new("a key".into()).unwrap();
    let headers = webhooks.sign(&job.task, SystemTime::now()).unwrap();
    let body = format!(r#"{{"data":{{"taskId":"{}"}}}}"#, job.task);
    let Ok(Delivery::First(notice)) = webhooks.verify("/webhook", &headers, body.as_bytes()) else {
        panic!("it is the first");
    };
    assert_eq!(
        client.settle_by(&notice).await.unwrap().unwrap().key,
        "order 17"
    );
    let (key, step) = timeout(Duration::from_secs(30), handed.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        key == "order 17" && matches!(step, Step::Video(_)),
        "{step:?}"
    );
}

#[tokio::test]
async fn a_wish_with_a_passing_refusal_is_open_after_a_crash() {
    let (folder, sim) = (tempfile::tempdir().unwrap(), Sim::start().await.unwrap());
    let client = patient(kie(&sim, "busy")).with_ledger(ledger(folder.path()).await);
    client.want("order 17", &dog()).await.unwrap();
    let step = client.step("order 17").await.unwrap();
    assert!(matches!(step, Step::AgainAfter(_)), "{step:?}");
    assert_eq!(sim.submits(), 1);

    let after = patient(kie(&sim, "any key")).with_ledger(ledger(folder.path()).await);
    let entry = after.entry("order 17").await.unwrap().unwrap();
    assert_eq!((entry.state, entry.attempts.len()), (EntryState::Wanted, 1));
}

#[tokio::test]
async fn a_rejected_wish_is_sent_again_only_when_wanted_again() {
    let (folder, sim) = (tempfile::tempdir().unwrap(), Sim::start().await.unwrap());
    let ledger = ledger(folder.path()).await;
    let poor = patient(kie(&sim, "no-credits")).with_ledger(ledger.clone());
    poor.want("order 17", &dog()).await.unwrap();
    for _ in 0..2 {
        let step = poor.step("order 17").await.unwrap();
        assert!(matches!(step, Step::Failed(_)), "{step:?}");
    }
    assert_eq!(sim.submits(), 1);

    let rich = patient(kie(&sim, "any key")).with_ledger(ledger);
    let error = rich
        .want("order 17", &VideoRequest::text("A cat"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyReused);
    assert_eq!(
        rich.want("order 17", &dog()).await.unwrap().state,
        EntryState::Wanted
    );
    rich.step("order 17").await.unwrap();
    let entry = rich.want("order 17", &dog()).await.unwrap();
    assert_eq!(
        (entry.state, entry.attempts.len()),
        (EntryState::Accepted, 2)
    );
    assert_eq!(sim.charges().len(), 1);
}

#[tokio::test]
async fn a_step_asks_each_provider_once() {
    let (folder, sim) = (tempfile::tempdir().unwrap(), Sim::start().await.unwrap());
    let ledger = ledger(folder.path()).await;
    let client = patient(kie(&sim, "no-credits"))
        .or(uniall(&sim, "any key"))
        .with_ledger(ledger.clone());
    client.want("order 17", &dog()).await.unwrap();
    assert_eq!(
        client.step("order 17").await.unwrap(),
        Step::AgainAfter(Duration::ZERO)
    );
    client.step("order 17").await.unwrap();
    let entry = client.entry("order 17").await.unwrap().unwrap();
    assert_eq!(entry.reference().map(|job| &*job.provider), Some("uniall"));

    let poor = patient(kie(&sim, "no-credits/2"))
        .or(uniall(&sim, "no-credits/2"))
        .with_ledger(ledger);
    poor.want("order 18", &dog()).await.unwrap();
    while poor.step("order 18").await.unwrap() == Step::AgainAfter(Duration::ZERO) {}
    let entry = poor.entry("order 18").await.unwrap().unwrap();
    assert_eq!(
        (entry.state, entry.attempts.len()),
        (EntryState::Rejected, 2)
    );
}

#[tokio::test]
async fn a_panic_of_a_provider_makes_the_outcome_unknown() {
    let (folder, mut hat) = (tempfile::tempdir().unwrap(), Hat::new());
    hat.panics = true;
    for has_ledger in [false, true] {
        let mut asked = patient(hat.clone()).or(Kie::new("a key").unwrap());
        if has_ledger {
            asked = asked.with_ledger(ledger(folder.path()).await);
        }
        let Submission::Unknown(unknown) = asked.submit(&dog()).await else {
            panic!("it may have been sent")
        };
        assert_eq!(unknown.error.kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(unknown.key.is_some(), has_ledger);
        if let Some(key) = unknown.key {
            assert_eq!(
                asked.entry(&key).await.unwrap().unwrap().state,
                EntryState::Unknown
            );
        }
    }
    assert_eq!(hat.sent(), 2, "nobody is asked again");
}

#[tokio::test]
async fn a_late_outcome_never_replaces_a_certain_one() {
    let (folder, hat) = (tempfile::tempdir().unwrap(), Hat::new().done());
    let client = client(&hat, folder.path()).await;
    let ledger = ledger(folder.path()).await;
    let Submission::Accepted(job) = client.submit_once("order 17", &dog()).await else {
        panic!("it is accepted")
    };
    let error = Error::new(ErrorKind::OutcomeUnknown, "the reply was lost");
    let unknown = Event::Ended {
        outcome: Outcome::Unknown {
            error: error.clone(),
        },
    };
    let rejected = Event::Ended {
        outcome: Outcome::rejected(error),
    };
    let (task, refusals) = (None, Vec::new());
    let reference = "hat:another".parse().unwrap();
    let another = Outcome::Accepted {
        job: reference,
        task,
        at: SystemTime::now(),
        refusals,
    };
    let late = [unknown, rejected, Event::Ended { outcome: another }];
    for event in &late {
        let entry = ledger.record("order 17", event.clone()).await.unwrap();
        assert_eq!(
            (entry.state, entry.reference()),
            (EntryState::Accepted, Some(&job.reference)),
            "{event:?}"
        );
    }
    let delivered = serde_json::json!({
        "saved": {
            "path": "dog.mp4", "bytes": 1, "sha256": "00",
            "media": { "width": 1280, "height": 720, "seconds": 8.0, "fps": 24.0, "has_audio": true },
        },
        "made_at": 1, "seeds": [],
    });
    let delivered = Box::new(serde_json::from_value::<Delivered>(delivered).unwrap());
    ledger
        .record("order 17", Event::Done { delivered })
        .await
        .unwrap();
    for event in late.into_iter().chain([Event::Finished { credits: None }]) {
        let entry = ledger.record("order 17", event.clone()).await.unwrap();
        assert_eq!(entry.state, EntryState::Done, "{event:?}");
    }
}

#[tokio::test]
async fn steps_need_a_ledger() {
    let client = patient(Hat::new());
    let nothing = |_, _| std::future::ready(());
    let refused = [
        client.want("order 17", &dog()).await.map(drop),
        client.step("order 17").await.map(drop),
        client.run(nothing).await,
        client.run_until(std::future::pending(), nothing).await,
        client
            .settle("order 17", Settlement::NotTaken)
            .await
            .map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
