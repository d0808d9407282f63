//! The record of what was paid, as an application meets it: one key is paid once, whatever happens to the caller, the process
//! or the file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use veo_core::ledger::{Budget, Entry, EntryState, FileLedger, Find, Ledger, Which};
use veo_core::{
    Access, Client, Downloads, ErrorKind, Image, Job, Kie, Limit, Poll, Receipt, Resolution,
    Settlement, Step, Submission, UniAll, VideoRequest,
};
use veo_sim::{Scenario, Sim};

/// A folder with a ledger in it, and a simulated kie.ai.
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

    /// A client as another process would have it.
    async fn client(&self) -> Client {
        self.client_with("key").await
    }

    async fn client_with(&self, key: &str) -> Client {
        eager(Client::new(self.kie(key)).unwrap())
            .with_ledger(FileLedger::open(self.path()).await.unwrap())
    }

    async fn state(&self, key: &str) -> EntryState {
        let ledger = FileLedger::open(self.path()).await.unwrap();
        ledger.entry(key).await.unwrap().unwrap().state
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

fn rejected(submission: Submission) -> ErrorKind {
    match submission {
        Submission::Rejected(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_key_is_paid_once() {
    let place = Place::new().await;
    let client = place.client().await;
    let job = accepted(client.submit_once("order 17", &dog()).await);
    // Again, in another process, and by many at the same time.
    assert_eq!(accepted(client.submit_once("order 17", &dog()).await), job);
    assert_eq!(
        accepted(place.client().await.submit_once("order 17", &dog()).await),
        job
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let client = if number % 2 == 0 {
            client.clone()
        } else {
            place.client().await
        };
        tasks
            .spawn(async move { accepted(client.submit_once("order 18", &dog()).await).reference });
    }
    let jobs = tasks.join_all().await;
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
    assert_eq!(place.sim.submits(), 2, "{}", place.sim.report());

    // The same wish under other keys is another video each time, and another wish under the same key is none.
    accepted(client.submit(&dog()).await);
    accepted(client.submit(&dog()).await);
    assert_eq!(place.sim.submits(), 4);
    let other = dog().resolution(Resolution::P720);
    assert_eq!(
        rejected(client.submit_once("order 17", &other).await),
        ErrorKind::KeyReused,
        "said, and not left out"
    );
    assert_eq!(place.sim.submits(), 4);
}

/// An image is known by its content, whatever it is called.
#[tokio::test]
async fn a_wish_is_known_again_by_the_content_of_its_images() {
    let place = Place::new().await;
    let client = place.client().await;
    let file = |name: &str, content: &[u8]| {
        let path = place.folder.path().join(name);
        std::fs::write(
            &path,
            [include_bytes!("../../../tests/media/kite.png"), content].concat(),
        )
        .unwrap();
        path
    };
    let of = |image: PathBuf| VideoRequest::image("It rains", image);
    let (park, copy, lake) = (
        file("park.png", b"park"),
        file("copy.png", b"park"),
        file("lake.png", b"lake"),
    );
    accepted(client.submit_once("k", &of(park.clone())).await);
    accepted(client.submit_once("k", &of(copy)).await);
    assert_eq!(
        rejected(client.submit_once("k", &of(lake)).await),
        ErrorKind::KeyReused
    );
    let bytes = Image::from(std::fs::read(&park).unwrap());
    accepted(
        client
            .submit_once("k", &VideoRequest::image("It rains", bytes))
            .await,
    );
    // One that is gone is known by its path.
    std::fs::remove_file(&park).unwrap();
    accepted(client.submit_once("k", &of(park)).await);
    assert_eq!(place.sim.submits(), 1);

    // A link is not kept with its signature, and is known again with it.
    let signed = |text: &str| {
        VideoRequest::image(
            "It rains",
            format!("https://img.example.net/park.png?{text}"),
        )
    };
    accepted(client.submit_once("l", &signed("signature=hidden")).await);
    accepted(client.submit_once("l", &signed("signature=hidden")).await);
    assert_eq!(
        rejected(client.submit_once("l", &signed("signature=other")).await),
        ErrorKind::KeyReused
    );
    assert!(
        !std::fs::read_to_string(place.path())
            .unwrap()
            .contains("hidden")
    );
}

/// Whoever goes away while a request is on its way loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_submit_is_on_record() {
    let place = Place::new().await;
    let client = place.client().await;
    let start = Instant::now();
    accepted(client.submit_once("first", &dog()).await);
    let whole = start.elapsed();
    let drops = 40;
    for number in 0..drops {
        let (key, moment) = (format!("drop {number}"), whole * number / drops);
        // kie.ai takes 20 in 10 seconds; each of these has an account of its own.
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
async fn what_was_rejected_begins_again_and_what_is_unknown_does_not() {
    let place = Place::new().await;
    let poor = place.client_with("no-credits").await;
    assert_eq!(
        rejected(poor.submit_once("k", &dog()).await),
        ErrorKind::InsufficientCredits
    );
    assert_eq!(place.state("k").await, EntryState::Rejected);
    // Somebody has paid.
    let client = place.client().await;
    accepted(client.submit_once("k", &dog()).await);
    let entry = client.entry("k").await.unwrap().unwrap();
    let refused: Vec<_> = entry
        .attempts
        .iter()
        .map(|attempt| attempt.rejection().is_some())
        .collect();
    assert_eq!(
        (entry.state, refused.as_slice()),
        (EntryState::Accepted, [true, false].as_slice())
    );

    let unlucky = place.client_with("lost-reply").await;
    for _ in 0..3 {
        let Submission::Unknown(unknown) = unlucky.submit_once("l", &dog()).await else {
            panic!("it is unknown")
        };
        assert_eq!(unknown.key.as_deref(), Some("l"));
    }
    assert_eq!(
        (place.state("l").await, place.sim.submits()),
        (EntryState::Unknown, 3)
    );

    // Somebody has looked.
    unlucky.settle("l", Settlement::NotTaken).await.unwrap();
    assert_eq!(place.state("l").await, EntryState::Rejected);
    let task = place.sim.charges().last().unwrap().task.clone();
    let job = veo_core::JobRef::new("kie", task);
    // That can be taken back, with a task that the provider knows.
    assert!(
        client
            .settle(
                "l",
                Settlement::Accepted(veo_core::JobRef::new("kie", "nobody"))
            )
            .await
            .is_err()
    );
    assert_eq!(place.state("l").await, EntryState::Rejected);
    let key = "lost-reply";
    place
        .client_with(key)
        .await
        .settle("l", Settlement::Accepted(job.clone()))
        .await
        .unwrap();
    assert_eq!(place.state("l").await, EntryState::Accepted);
    let error = client.settle("l", Settlement::NotTaken).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("l is accepted, and only what is unknown can be settled"),
        "{error}"
    );
    assert_eq!(
        accepted(unlucky.submit_once("l", &dog()).await).reference,
        job
    );
    assert_eq!(place.sim.submits(), 3);
}

/// A process that has ended while it was sending leaves an unknown outcome, and one that goes on leaves none.
#[tokio::test]
async fn what_is_on_its_way_is_unknown_once_its_process_has_gone() {
    let place =
        Place::with(Scenario::named("slow").unwrap_or_else(|| Scenario::new("plain", "Nothing.")))
            .await;
    // A server that takes the request and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent =
        Kie::new(Access::new("key").base_url(format!("http://{}", listener.local_addr().unwrap())))
            .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let ledger = FileLedger::open(place.path()).await.unwrap();
    let client = Client::new(silent).unwrap().with_ledger(ledger.clone());
    let sending = runtime.spawn(async move { client.submit_once("k", &dog()).await });
    let (_socket, _) = listener.accept().await.unwrap();

    let other = place.client().await;
    let state = || async { other.entry("k").await.unwrap().map(|entry| entry.state) };
    assert_eq!(state().await, Some(EntryState::OnItsWay));
    assert_eq!(
        other.step("k").await.unwrap(),
        Step::AgainAfter(Duration::from_secs(1)),
        "nobody else sends it"
    );
    // The process ends.
    runtime.shutdown_background();
    let _ = sending.await;
    drop(ledger);
    while state().await == Some(EntryState::OnItsWay) {
        tokio::task::yield_now().await;
    }
    assert_eq!(state().await, Some(EntryState::Unknown));
    assert!(matches!(
        other.submit_once("k", &dog()).await,
        Submission::Unknown(_)
    ));
    assert!(matches!(other.step("k").await.unwrap(), Step::LookAtIt(_)));
    assert_eq!(place.sim.submits(), 0);
}

#[tokio::test]
async fn a_wish_goes_step_by_step_to_a_video_that_is_done() {
    let place = Place::new().await;
    let client = place.client().await;
    client.want("k", &dog()).await.unwrap();
    client.want("k", &dog()).await.unwrap();
    assert_eq!(
        client
            .want("k", &VideoRequest::text("A cat"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::KeyReused
    );
    assert_eq!(
        (place.sim.submits(), place.state("k").await),
        (0, EntryState::Wanted)
    );

    let client = place.client().await;
    let mut steps = 0;
    let video = loop {
        steps += 1;
        match client.step("k").await.unwrap() {
            Step::AgainAfter(_) => {}
            Step::Video(video) => break video,
            other => panic!("{other:?}"),
        }
    };
    assert!(
        steps > 2 && place.state("k").await == EntryState::Finished,
        "{steps}"
    );
    // It is handed over until it is done.
    assert!(matches!(client.step("k").await.unwrap(), Step::Video(_)));
    let saved = client
        .download(&video, place.folder.path().join("dog.mp4"))
        .await
        .unwrap();
    let job = client.entry("k").await.unwrap().unwrap().job().unwrap();
    let receipt = Receipt::new(&job, &video, &saved);
    client.done("k", &receipt).await.unwrap();
    let Step::Done(Some(kept)) = client.step("k").await.unwrap() else {
        panic!("it is done")
    };
    assert_eq!(
        (&kept.saved, &kept.job.reference),
        (&receipt.saved, &receipt.job.reference)
    );
    assert_eq!(place.sim.submits(), 1);
    assert_eq!(
        client.step("nothing").await.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

#[tokio::test]
async fn a_run_drives_everything_that_is_open() {
    let place = Place::new().await;
    let client = place.client().await;
    for number in 0..10 {
        client
            .want(&format!("order {number}"), &dog())
            .await
            .unwrap();
    }
    let lost = place.client_with("lost-reply").await;
    let _ = lost.submit_once("lost", &dog()).await;
    let folder = place.folder.path().to_owned();
    let handled = std::cell::RefCell::new(Vec::new());
    let save = |key: String, step: Step| {
        let (client, folder, handled) = (&client, &folder, &handled);
        async move {
            if let Step::Video(video) = step {
                let saved = client.download(&video, folder.join(&key)).await.unwrap();
                let job = client.entry(&key).await.unwrap().unwrap().job().unwrap();
                client
                    .done(&key, &Receipt::new(&job, &video, &saved))
                    .await
                    .unwrap();
                // More may be wanted while it runs.
                if key == "order 3" {
                    client.want("order 10", &dog()).await.unwrap();
                }
            }
            handled.borrow_mut().push(key);
        }
    };
    client.run(save).await.unwrap();
    assert_eq!(handled.borrow().len(), 11, "{handled:?}");
    let listed = FileLedger::open(place.path())
        .await
        .unwrap()
        .list(Which::Open)
        .await
        .unwrap();
    assert_eq!(
        listed.iter().map(|entry| &*entry.key).collect::<Vec<_>>(),
        ["lost"]
    );
    assert_eq!(place.sim.submits(), 12);
}

#[tokio::test]
async fn two_open_entries_are_never_saved_in_the_same_place() {
    let place = Place::new().await;
    let client = place.client().await;
    let prepared = async || client.prepare(&dog()).await.unwrap().target("/srv/dog.mp4");
    accepted(client.send(prepared().await.key("k")).await);
    assert_eq!(
        rejected(client.send(prepared().await.key("l")).await),
        ErrorKind::TargetTaken
    );
    accepted(client.send(prepared().await.key("k")).await);
    assert_eq!(place.sim.submits(), 1);
}

#[tokio::test]
async fn a_budget_is_kept_whatever_is_told() {
    let place = Place::new().await;
    let client = place.client().await;
    // One call costs so much.
    let price = {
        accepted(client.submit(&dog()).await);
        place.sim.charges()[0].credits
    };
    let budget = |cap: f64| Budget::new("june", "kie", cap).unwrap();
    let capped = client.clone().with_budget(budget(price * 3.0));
    let mut ends = Vec::new();
    for number in 0..5 {
        ends.push(
            match capped.submit_once(&format!("order {number}"), &dog()).await {
                Submission::Accepted(_) => "accepted".to_owned(),
                Submission::Rejected(error) => format!("{:?}", error.kind()),
                Submission::Unknown(_) => "unknown".to_owned(),
            },
        );
    }
    assert_eq!(
        ends,
        [
            "accepted",
            "accepted",
            "accepted",
            "OverBudget",
            "OverBudget"
        ]
    );
    // The cap is for all that use its name, and for nobody else's account.
    let more = place.client().await.with_budget(budget(price * 4.0));
    accepted(more.submit_once("one more", &dog()).await);
    assert_eq!(
        rejected(more.submit_once("and one", &dog()).await),
        ErrorKind::OverBudget
    );
    let elsewhere = eager(Client::new(uniall(&place)).unwrap())
        .with_ledger(FileLedger::open(place.path()).await.unwrap())
        .with_budget(budget(1e9));
    let Submission::Rejected(error) = elsewhere.submit(&dog()).await else {
        panic!("it is not sent")
    };
    assert!(
        error
            .to_string()
            .contains("the budget june is for kie and not for uniall"),
        "{error}"
    );
    for cap in [f64::NAN, f64::INFINITY, -1.0, -0.0] {
        assert_eq!(
            Budget::new("june", "kie", cap).unwrap_err().kind(),
            ErrorKind::InvalidRequest,
            "{cap}"
        );
    }
}

#[tokio::test]
async fn a_rewritten_ledger_says_the_same() {
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

    // It goes on from there.
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

/// A link with a signature is kept for as long as it is needed to send the wish.
#[tokio::test]
async fn links_go_once_nothing_is_to_be_sent_any_more() {
    let place = Place::new().await;
    let client = place.client().await;
    client
        .want(
            "k",
            &VideoRequest::image("It rains", "https://img.example.net/a.png?signature=hidden"),
        )
        .await
        .unwrap();
    let text = || std::fs::read_to_string(place.path()).unwrap();
    let reopened = async || {
        // What was written a moment ago is left alone: the limit of the account counts it.
        let file = std::fs::File::options()
            .write(true)
            .open(place.path())
            .unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(120))
            .unwrap();
        FileLedger::open(place.path()).await.unwrap()
    };
    drop(client);
    drop(reopened().await);
    assert!(text().contains("hidden"));
    let client = place.client().await;
    assert!(matches!(
        client.step("k").await.unwrap(),
        Step::AgainAfter(_)
    ));
    assert!(
        place
            .sim
            .calls()
            .last()
            .unwrap()
            .body
            .as_ref()
            .unwrap()
            .to_string()
            .contains("hidden")
    );
    drop(client);
    let ledger = reopened().await;
    assert!(!text().contains("hidden"));
    assert_eq!(
        ledger.entry("k").await.unwrap().unwrap().state,
        EntryState::Accepted
    );
}

/// The address that kie.ai calls has a word in it by which its call is known again, and the task is asked then.
#[tokio::test]
async fn a_callback_settles_what_is_unknown() {
    let place = Place::new().await;
    let client = place.client_with("lost-reply").await;
    let request = dog().callback_url("https://app.example.net/hook?user=7#part");
    let Submission::Unknown(unknown) = client.submit_once("k", &request).await else {
        panic!("its reply is lost")
    };
    assert_eq!(unknown.key.as_deref(), Some("k"));
    let sent = place.sim.calls().last().unwrap().body.clone().unwrap()["callBackUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let (start, rest) = sent.split_once("&veo=").unwrap();
    let (marker, end) = rest.split_once('#').unwrap();
    assert_eq!(
        (start, marker.len(), end),
        ("https://app.example.net/hook?user=7", 32, "part"),
        "{sent}"
    );

    let webhooks = veo_core::Webhooks::new("a key for tests".into()).unwrap();
    let notice = |task: &str, target: &str| {
        let headers = webhooks.sign(task, std::time::SystemTime::now()).unwrap();
        let body = format!(r#"{{"code":200,"data":{{"taskId":"{task}"}}}}"#);
        match webhooks.verify(target, &headers, body.as_bytes()).unwrap() {
            veo_core::Delivery::First(notice) | veo_core::Delivery::Repeated(notice) => notice,
        }
    };
    let task = place.sim.charges()[0].task.clone();
    let target = format!("/hook?user=7&veo={marker}");
    // Without its marker, and for a task that kie.ai does not know, it settles nothing.
    assert_eq!(
        client
            .settle_by(&notice(&task, "/hook?user=7"))
            .await
            .unwrap(),
        None
    );
    assert!(client.settle_by(&notice("another", &target)).await.is_err());
    // Nor does another task that is there.
    let elsewhere = Client::new(place.kie("lost-reply")).unwrap();
    let cat = accepted(
        elsewhere
            .submit(&VideoRequest::text("A cat").seconds(4))
            .await,
    )
    .reference
    .task;
    let error = client.settle_by(&notice(&cat, &target)).await.unwrap_err();
    assert!(
        error.to_string().contains("has another prompt than k"),
        "{error}"
    );
    assert_eq!(place.state("k").await, EntryState::Unknown);
    let entry = client
        .settle_by(&notice(&task, &target))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (entry.state, entry.reference().unwrap().task.as_str()),
        (EntryState::Accepted, &*task)
    );
    // The marker is no part of the wish.
    accepted(client.submit_once("k", &request).await);
}

/// No change of the file makes a paid request leave that may have left before.
#[tokio::test]
async fn whatever_happens_to_the_file_nothing_is_sent_twice() {
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

/// The sum of all processes keeps to the limit of the account.
#[tokio::test]
async fn processes_share_the_limit_of_an_account() {
    let place = Place::new().await;
    let (accepted, count) = tokio::sync::watch::channel(0);
    let accepted = std::sync::Arc::new(accepted);
    let mut tasks = tokio::task::JoinSet::new();
    // So long that no machine is too slow for it.
    let limit = Limit::new(20, Duration::from_secs(3600));
    for number in 0..30 {
        let ledger = FileLedger::open(place.path()).await.unwrap();
        let kie = place.kie("key").limit(limit);
        let client = eager(Client::new(kie).unwrap()).with_ledger(ledger);
        let (accepted, mut count) = (accepted.clone(), count.clone());
        tasks.spawn(async move {
            let prepared = client
                .prepare(&dog())
                .await
                .unwrap()
                .key(format!("order {number}"));
            // Those that have to wait give up once there are as many as may be sent.
            let all_sent = async move { drop(count.wait_for(|count| *count == 20).await) };
            let sent = client.send_until(prepared, all_sent).await;
            let is_accepted = matches!(sent, Submission::Accepted(_));
            accepted.send_modify(|count| *count += usize::from(is_accepted));
            is_accepted
        });
    }
    let taken = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|taken| *taken)
        .count();
    assert_eq!(
        (taken, place.sim.submits()),
        (20, 20),
        "{}",
        place.sim.report()
    );
    // Those that waited are in no doubt: nothing is known of them.
    let listed = FileLedger::open(place.path())
        .await
        .unwrap()
        .list(Which::All)
        .await
        .unwrap();
    assert_eq!(listed.len(), 20);
}

#[tokio::test]
async fn whoever_asks_and_does_something_else_keeps_the_file_from_nobody() {
    let place = Place::new().await;
    let ledger = FileLedger::open(place.path()).await.unwrap();
    let mut half: Vec<_> = (0..3).map(|_| ledger.entry("order 17")).collect();
    for question in &mut half {
        std::future::poll_fn(|context| {
            let _ = question.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    let asked = tokio::time::timeout(Duration::from_secs(5), ledger.entry("order 18")).await;
    assert_eq!(asked.unwrap().unwrap(), None);
}
