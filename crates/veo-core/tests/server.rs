//! The example of a web backend, run as a separate process: its answers, and its ledger after the process was killed.
//!
//! `cargo test` builds the example. `cargo test --test server` uses the example that was built last. `VEO_TEST_KILLS`
//! is the number of kills. A run with the same `VEO_TEST_SEED` chooses the same moments.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use veo_core::ledger::{EntryState, FileLedger, Ledger as _, Which};
use veo_sim::{Callbacks, Fault, Pace, Scenario, Sim};

const WEBHOOK_KEY: &str = "test_webhook_hmac_key";

/// Returns the path of the example that `cargo test` has built beside this test.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples")
        .join("server");
    assert!(
        path.exists(),
        "{} is not there; run cargo build -p veo-core --example server",
        path.display()
    );
    path
}

/// A backend with its folder and its address. Its process may be running or not.
struct Backend {
    folder: TempDir,
    address: SocketAddr,
    base_url: String,
    key: String,
    web: reqwest::Client,
    child: Option<Child>,
}

impl Backend {
    fn new(sim: &Sim, key: &str) -> Self {
        // The port was free a moment ago. It stays the same after each start, since kie.ai sends the callbacks to it.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let web = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let (folder, base_url) = (tempfile::tempdir().unwrap(), sim.url());
        Self {
            folder,
            address,
            base_url,
            key: key.to_owned(),
            web,
            child: None,
        }
    }

    async fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut command = Command::new(example());
        command
            .env_clear()
            .env("KIE_API_KEY", &self.key)
            .env("KIE_BASE_URL", &self.base_url);
        command
            .env("KIE_WEBHOOK_KEY", WEBHOOK_KEY)
            .env("ADDRESS", self.address.to_string());
        command
            .env("LEDGER", self.ledger())
            .env("VIDEOS", self.videos())
            .env("ADMIN_KEY", "the key of the operator");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_secs(20),
                "{ended:?}: {}",
                self.log()
            );
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends the process at once, as a power failure would.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("videos.ledger")
    }

    fn videos(&self) -> PathBuf {
        self.folder.path().join("videos")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Orders a video, and returns the status and the body of the answer.
    async fn post(&self, key: Option<&str>, body: Value) -> Result<(u16, Value), reqwest::Error> {
        let mut request = self
            .web
            .post(format!("http://{}/videos", self.address))
            .json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answer(request).await
    }

    async fn get(&self, key: &str) -> (u16, Value) {
        answer(
            self.web
                .get(format!("http://{}/videos/{key}", self.address)),
        )
        .await
        .unwrap()
    }

    async fn settle(&self, key: &str, admin: &str, found: Value) -> (u16, Value) {
        let url = format!("http://{}/videos/{key}/settle", self.address);
        answer(self.web.post(url).bearer_auth(admin).json(&found))
            .await
            .unwrap()
    }

    async fn until(&self, key: &str, states: &[&str]) -> Value {
        let start = Instant::now();
        loop {
            let (_, told) = self.get(key).await;
            if states.contains(&told["state"].as_str().unwrap_or_default()) {
                return told;
            }
            assert!(
                start.elapsed() < Duration::from_secs(100),
                "{key} stays {told}: {}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let reply = request.send().await?;
    let status = reply.status().as_u16();
    let text = reply.text().await?;
    Ok((
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    ))
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
async fn a_video_is_made_once_for_a_key_and_saved_when_kie_ai_calls() {
    let sim = Sim::start().await.unwrap();
    let mut backend = Backend::new(&sim, "signed-callbacks");
    backend.start().await;
    let dog = json!({ "prompt": "A dog", "seconds": 4 });

    for key in [None, Some(""), Some("../../etc/passwd"), Some("order 17")] {
        let (status, told) = backend.post(key, dog.clone()).await.unwrap();
        assert_eq!(status, 400, "{told}");
        assert!(
            told["error"]
                .as_str()
                .unwrap()
                .starts_with("Give the header Idempotency-Key"),
            "{told}"
        );
    }
    let (status, told) = backend.post(Some("order-17"), dog.clone()).await.unwrap();
    assert_eq!(
        (status, &told["key"], &told["state"]),
        (202, &json!("order-17"), &json!("wanted"))
    );
    let (status, told) = backend
        .post(Some("order-17"), json!({ "prompt": "A cat" }))
        .await
        .unwrap();
    assert_eq!((status, told["error"].is_string()), (422, true), "{told}");
    let (status, _) = backend
        .post(Some("order-18"), json!({ "prompt": "A dog", "seconds": 5 }))
        .await
        .unwrap();
    assert_eq!((status, backend.get("order-18").await.0), (400, 404));

    // Without a callback, the backend would ask kie.ai for the first time after a minute.
    let told = backend.until("order-17", &["done"]).await;
    assert_eq!(told["video"], "order-17.mp4", "{told}");
    assert!(
        std::fs::metadata(backend.videos().join("order-17.mp4"))
            .unwrap()
            .len()
            > 1000
    );
    let (status, again) = backend.post(Some("order-17"), dog).await.unwrap();
    assert_eq!((status, again), (202, told));
    assert_eq!(
        (sim.submits(), sim.charges().len()),
        (1, 1),
        "{}",
        sim.report()
    );

    let webhook = backend
        .web
        .post(format!("http://{}/webhook", backend.address))
        .body("{}");
    assert_eq!(answer(webhook).await.unwrap().0, 400);
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_an_operator() {
    let lost = |fault| {
        Scenario::new("lost", "")
            .pace(Pace::AtOnce)
            .fault("submit", 1..=1, fault)
    };
    let sim = Sim::builder()
        .scenario(lost(Fault::Drop))
        .start()
        .await
        .unwrap();
    let mut backend = Backend::new(&sim, "any key");
    backend.start().await;
    backend
        .post(Some("order-17"), json!({ "prompt": "A dog" }))
        .await
        .unwrap();
    let told = backend.until("order-17", &["unknown"]).await;
    assert!(
        told["error"].as_str().unwrap().contains("no whole reply"),
        "{told}"
    );

    let found = json!({ "job": format!("kie:{}", sim.charges()[0].task) });
    assert_eq!(
        backend.settle("order-17", "a guess", found.clone()).await.0,
        401
    );
    let (status, told) = backend
        .settle("order-17", "the key of the operator", found.clone())
        .await;
    assert_eq!((status, &told["job"]), (200, &found["job"]));
    backend.until("order-17", &["done"]).await;
    assert_eq!(sim.submits(), 1);

    // The provider closes the next connection before it reads the request.
    let sim = Sim::builder()
        .scenario(lost(Fault::DropBeforeReading))
        .start()
        .await
        .unwrap();
    let mut backend = Backend::new(&sim, "any key");
    backend.start().await;
    backend
        .post(Some("order-17"), json!({ "prompt": "A dog" }))
        .await
        .unwrap();
    backend.until("order-17", &["unknown"]).await;
    let (status, _) = backend
        .settle("order-17", "the key of the operator", json!("not_taken"))
        .await;
    assert_eq!(status, 200);
    backend
        .until("order-17", &["accepted", "finished", "done"])
        .await;
    assert_eq!((sim.submits(), sim.charges().len()), (2, 1));
}

#[tokio::test]
async fn a_stopped_backend_continues_its_jobs_after_a_start() {
    // A video takes two seconds.
    let scenario = Scenario::new("slow", "")
        .pace(Pace::Scale(45.0))
        .callbacks(signed());
    let sim = Sim::builder().scenario(scenario).start().await.unwrap();
    let mut backend = Backend::new(&sim, "any key");
    backend.start().await;
    backend
        .post(Some("order-17"), json!({ "prompt": "A dog" }))
        .await
        .unwrap();
    backend.until("order-17", &["accepted"]).await;

    let mut child = backend.child.take().unwrap();
    let told = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "it does not end: {}",
            backend.log()
        );
        sleep(Duration::from_millis(10)).await;
    };
    assert!(status.success(), "{status}: {}", backend.log());

    backend.start().await;
    backend.until("order-17", &["done"]).await;
    assert_eq!(sim.submits(), 1);
}

fn signed() -> Callbacks {
    Callbacks {
        key: Some(WEBHOOK_KEY.to_owned()),
        ..Callbacks::default()
    }
}

/// Reads the states of all keys. No process may have the ledger open.
async fn states(backend: &Backend) -> BTreeMap<String, EntryState> {
    let Some(ledger) = FileLedger::open_existing(backend.ledger()).await.unwrap() else {
        return BTreeMap::new();
    };
    assert_eq!(ledger.problems().await, [""; 0]);
    ledger
        .list(Which::All)
        .await
        .unwrap()
        .into_iter()
        .map(|listed| (listed.key.to_string(), listed.state))
        .collect()
}

#[tokio::test]
async fn a_backend_killed_at_any_moment_pays_once() {
    let kills = number("VEO_TEST_KILLS").unwrap_or(20);
    let seed = number("VEO_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("to see the same choices again: VEO_TEST_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    // A video takes 90 ms. Its callback comes after one or two further starts of the backend.
    let callbacks = Callbacks {
        late: 500,
        ..signed()
    };
    let scenario = Scenario::new("kills", "")
        .pace(Pace::Scale(1000.0))
        .callbacks(callbacks)
        .credits(1_000_000.0);
    let sim = Sim::builder().scenario(scenario).start().await.unwrap();
    let mut backend = Backend::new(&sim, "any key");
    let prompt = |key: &str| json!({ "prompt": format!("The video of {key}") });

    let (mut keys, mut were_unknown) = (Vec::new(), BTreeSet::new());
    for kill in 0..kills {
        backend.start().await;
        let (submits, start) = (sim.submits(), Instant::now());
        keys.extend((0..chance.usize(1..=2)).map(|number| format!("order-{kill}-{number}")));
        // Half of the kills are at any moment, and half right after a payment, when a lost line would cost most.
        let is_anywhere = chance.bool();
        let moment =
            Duration::from_micros(chance.u64(0..if is_anywhere { 400_000 } else { 4_000 }));
        let patience = Duration::from_secs(2);
        let killing = async {
            while !is_anywhere && sim.submits() == submits && start.elapsed() < patience {
                sleep(Duration::from_micros(300)).await;
            }
            sleep(moment).await;
        };
        // A user without an answer repeats the order with the same key. Some users repeat it even after an answer.
        let posting = async {
            for key in keys.iter().rev().take(4) {
                if let Ok((status, told)) = backend.post(Some(key), prompt(key)).await {
                    assert_eq!(status, 202, "{told}");
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! { () = killing => {}, () = posting => {} }
        backend.kill();
        let states = states(&backend).await;
        were_unknown.extend(
            states
                .into_iter()
                .filter(|(_, state)| *state == EntryState::Unknown)
                .map(|(key, _)| key),
        );
    }

    backend.start().await;
    for key in &keys {
        let (status, told) = backend.post(Some(key), prompt(key)).await.unwrap();
        assert_eq!(status, 202, "{told}");
    }
    for key in &keys {
        backend.until(key, &["done", "unknown"]).await;
    }
    // A callback may still be on its way.
    sleep(Duration::from_secs(1)).await;
    for key in &keys {
        backend.until(key, &["done", "unknown"]).await;
    }
    backend.kill();

    let calls: BTreeMap<_, _> = sim
        .calls()
        .into_iter()
        .map(|call| (call.number, call))
        .collect();
    let mut paid = BTreeMap::<String, Vec<String>>::new();
    for charge in sim.charges() {
        let prompt = calls[&charge.call].body.as_ref().unwrap()["prompt"]
            .as_str()
            .unwrap();
        paid.entry(prompt.trim_start_matches("The video of ").to_owned())
            .or_default()
            .push(charge.task);
    }
    let ledger = FileLedger::open_existing(backend.ledger())
        .await
        .unwrap()
        .unwrap();
    let callbacks = sim.callbacks();
    let has_come = |task: &String| {
        callbacks
            .iter()
            .any(|sent| sent.task == *task && sent.result == Ok(200))
    };
    let (mut known, mut settled, mut unknown, mut unheard) = (0, 0, 0, 0);
    let (mut lost, mut twice, mut unsettled) = (Vec::new(), Vec::new(), Vec::new());
    for key in &keys {
        let entry = ledger.entry(key).await.unwrap().unwrap();
        let tasks = paid.get(key).cloned().unwrap_or_default();
        if tasks.len() > 1 {
            twice.push(key);
        }
        if entry.state == EntryState::Unknown {
            unknown += 1;
            unheard += tasks.len();
            if tasks.iter().any(has_come) {
                unsettled.push(key);
            }
            continue;
        }
        assert_eq!(entry.state, EntryState::Done, "{key}");
        assert!(
            backend.videos().join(format!("{key}.mp4")).exists(),
            "{key} is done and not saved"
        );
        known += 1;
        settled += usize::from(were_unknown.contains(key));
        if entry.reference().map(|job| &job.task) != tasks.first() {
            lost.push(key);
        }
    }
    println!(
        "{kills} kills, {} videos: {} paid, {known} known, of which {settled} were unknown and settled by a callback, \
         {unknown} unknown, of which {unheard} are paid and the callback found nobody; {} lost, {} twice",
        keys.len(),
        paid.len(),
        lost.len(),
        twice.len(),
    );
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(twice.is_empty(), "paid twice: {twice:?}\n{}", sim.report());
    assert!(
        unsettled.is_empty(),
        "a callback has come, and they are unknown: {unsettled:?}\n{}",
        backend.log()
    );
    assert!(paid.keys().all(|key| keys.contains(key)));
    assert!(known > 0);
}
