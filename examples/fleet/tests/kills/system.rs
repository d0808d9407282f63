//! One of the two systems that are compared: its replicas, its database and its simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, interval, sleep};
use veo_postgres::tokio_postgres;
use veo_sim::{Callbacks, Pace, Scenario, Sim};

use crate::load::{Database, Sums};

pub const REPLICAS: usize = 4;
/// The number of paid requests that kie.ai accepts in ten seconds.
pub const LIMIT: usize = 20;
/// The longest time from the start of a call to its written outcome, if no process is killed.
const ON_THE_WIRE: Duration = Duration::from_secs(5);
/// The longest wait for the callback of a task. The callback is sent when the task ends, after 90 seconds.
const CALLBACK: Duration = Duration::from_secs(150);
const READ_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Kind {
    Fleet,
    Plain,
}

pub struct System {
    pub kind: Kind,
    pub database: Database,
    sim: Sim,
    starts: Arc<Mutex<Vec<Instant>>>,
    folder: TempDir,
    replicas: Vec<Replica>,
    /// The prompts of the calls that started a video, by their numbers.
    prompts: BTreeMap<usize, String>,
    /// The keys that were unknown at some time, with the times of their calls.
    unknown: BTreeMap<String, SystemTime>,
    unknown_now: BTreeSet<String>,
    /// The times at which a process was killed, was restarted, or ended by itself.
    disturbed: Vec<SystemTime>,
    open: usize,
    saved: usize,
    begun: Instant,
    changed: Instant,
    read: Instant,
    sums: Sums,
}

/// The outcome of all jobs.
pub struct Outcome {
    pub seconds: f64,
    pub saved: usize,
    pub open: usize,
    pub lost: usize,
    pub twice: usize,
    pub payments: usize,
    pub refused: usize,
    pub unknown: usize,
    pub settled: usize,
    /// The keys that became unknown, and whose call was sent when nothing was killed.
    pub strange: Vec<String>,
    pub most: usize,
    pub transactions: f64,
    pub log: f64,
    pub database: f64,
    pub replicas: f64,
}

struct Replica {
    address: String,
    child: Child,
}

/// A client that orders videos from a system.
pub struct Orders {
    kind: Kind,
    database: Database,
    addresses: Vec<String>,
    web: reqwest::Client,
}

impl System {
    pub async fn start(kind: Kind, database: Database) -> Self {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let seen = starts.clone();
        let callbacks = Callbacks {
            key: Some("test_webhook_hmac_key".to_owned()),
            ..Callbacks::default()
        };
        let scenario = Scenario::new("busy", "The videos of a fleet.")
            .pace(Pace::Scale(1.0))
            .limit(LIMIT)
            .credits(1e9)
            .callbacks(callbacks);
        let sim = Sim::builder()
            .scenario(scenario)
            .on_call(move |line| {
                if line.contains(" generate ") {
                    seen.lock().unwrap().push(Instant::now());
                }
            })
            .start()
            .await
            .unwrap();
        let mut system = Self {
            kind,
            database,
            sim,
            starts,
            folder: tempfile::tempdir().unwrap(),
            replicas: Vec::new(),
            prompts: BTreeMap::new(),
            unknown: BTreeMap::new(),
            unknown_now: BTreeSet::new(),
            disturbed: Vec::new(),
            open: 0,
            saved: 0,
            begun: Instant::now(),
            changed: Instant::now(),
            read: Instant::now(),
            sums: Sums::default(),
        };
        // The earlier load of the database does not count.
        system.database.add_to(&mut system.sums).await.unwrap();
        system.sums.forget();
        for _ in 0..REPLICAS {
            let address = free_address();
            let child = system.spawn(&address);
            system.replicas.push(Replica { address, child });
        }
        system
    }

    pub fn orders(&self) -> Orders {
        Orders {
            kind: self.kind,
            database: self.database.clone(),
            addresses: self.addresses(),
            web: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Kills a replica, and starts it again.
    pub fn kill(&mut self, number: usize) {
        let number = number % REPLICAS;
        let sums = &mut self.sums;
        let replica = &mut self.replicas[number];
        sums.count_process("replicas", replica.child.id());
        replica.child.kill().unwrap();
        self.start_again(number);
    }

    pub async fn restart_database(&mut self, mode: &str) {
        self.add_load().await;
        self.disturbed.push(SystemTime::now());
        self.database.restart(mode);
        self.disturbed.push(SystemTime::now());
    }

    /// Reads the progress, and restarts each replica that has ended by itself, as a supervisor does. A replica ends if
    /// it is without its database for long.
    pub async fn look(&mut self) {
        for number in 0..self.replicas.len() {
            if self.replicas[number].child.try_wait().unwrap().is_some() {
                self.start_again(number);
            }
        }
        if self.read.elapsed() > READ_EVERY {
            self.read_calls();
        }
        self.add_load().await;
        let before = (self.saved, self.unknown_now.clone());
        self.saved = count_videos(&self.folder.path().join("videos"));
        if let Err(error) = self.ask().await {
            println!("{}: {error}", self.name());
        }
        if before != (self.saved, self.unknown_now.clone()) {
            self.changed = Instant::now();
        }
    }

    /// Returns whether all orders have ended, or nothing has changed for this time.
    pub fn has_ended(&self, patience: Duration) -> bool {
        let silent = self.changed.elapsed();
        let is_still = self.open == 0 && (self.unknown_now.is_empty() || silent > CALLBACK);
        is_still || silent > patience
    }

    /// The progress, in words.
    pub fn told(&self) -> String {
        let (open, saved) = (self.open, self.saved);
        let (unknown, ever) = (self.unknown_now.len(), self.unknown.len());
        let charges = self.sim.charges().len();
        format!(
            "{}: {saved} saved, {open} open, {unknown} of {ever} unknown, {charges} charges",
            self.name()
        )
    }

    pub fn end(mut self, jobs: usize) -> Outcome {
        for replica in &mut self.replicas {
            self.sums.count_process("replicas", replica.child.id());
            replica.child.kill().unwrap();
            replica.child.wait().unwrap();
        }
        self.read_calls();
        let mut paid = BTreeMap::<&str, usize>::new();
        let charges = self.sim.charges();
        for charge in &charges {
            let prompt = self.prompts.get(&charge.call);
            *paid.entry(prompt.map_or("", |prompt| prompt)).or_default() += 1;
        }
        let starts = self.starts.lock().unwrap();
        Outcome {
            seconds: (self.changed - self.begun).as_secs_f64(),
            saved: self.saved,
            open: self.open,
            lost: jobs.saturating_sub(self.saved + self.open + self.unknown_now.len()),
            twice: paid.values().filter(|times| **times > 1).count(),
            payments: charges.len(),
            refused: starts.len().saturating_sub(charges.len()),
            unknown: self.unknown_now.len(),
            settled: self.unknown.len() - self.unknown_now.len(),
            strange: self.strange(),
            most: most_in_ten_seconds(&starts),
            transactions: self.sums.sum("transactions"),
            log: self.sums.sum("log"),
            database: self.sums.sum("database"),
            replicas: self.sums.sum("replicas"),
        }
    }

    /// Copies the calls from the simulator, which forgets its earliest ones.
    fn read_calls(&mut self) {
        self.read = Instant::now();
        for call in self.sim.calls() {
            if let (Some("generate"), Some(body)) = (call.operation, &call.body) {
                self.prompts.insert(call.number, body["prompt"].to_string());
            }
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Fleet => "fleet",
            Kind::Plain => "engine alone",
        }
    }

    fn addresses(&self) -> Vec<String> {
        let replicas = self.replicas.iter();
        replicas.map(|replica| replica.address.clone()).collect()
    }

    fn start_again(&mut self, number: usize) {
        self.disturbed.push(SystemTime::now());
        self.replicas[number].child.wait().unwrap();
        let address = self.replicas[number].address.clone();
        self.replicas[number].child = self.spawn(&address);
    }

    fn spawn(&self, address: &str) -> Child {
        let fleet = Path::new(env!("CARGO_BIN_EXE_fleet"));
        let (program, workers) = match self.kind {
            Kind::Fleet => (fleet.to_owned(), "8"),
            // Each order keeps a worker busy for as long as its video takes.
            Kind::Plain => (example(fleet), "100"),
        };
        let first = self.replicas.first();
        let public = first.map_or(address, |replica| &replica.address);
        Command::new(program)
            .env_clear()
            .env("DATABASE_URL", &self.database.address)
            .env("KIE_API_KEY", "busy")
            .env("KIE_BASE_URL", self.sim.url())
            .env("KIE_WEBHOOK_KEY", "test_webhook_hmac_key")
            .env("PUBLIC_URL", format!("http://{public}"))
            .env("ADDRESS", address)
            .env("WORKERS", workers)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn ask(&mut self) -> Result<(), tokio_postgres::Error> {
        let client = self.database.connect().await?;
        let open = match self.kind {
            Kind::Fleet => {
                "SELECT count(*) FROM veo_jobs WHERE state NOT IN ('done', 'failed', 'unknown')"
            }
            Kind::Plain => {
                "SELECT count(*) FROM graphile_worker.jobs WHERE attempts < max_attempts"
            }
        };
        let open: i64 = client.query_one(open, &[]).await?.get(0);
        self.open = open as usize;
        if self.kind == Kind::Fleet {
            let query = "SELECT key, sent_at FROM veo_unknown";
            self.unknown_now.clear();
            for row in client.query(query, &[]).await? {
                self.unknown_now.insert(row.get(0));
                self.unknown.insert(row.get(0), row.get(1));
            }
        }
        Ok(())
    }

    async fn add_load(&mut self) {
        for replica in &self.replicas {
            self.sums.count_process("replicas", replica.child.id());
        }
        if let Err(error) = self.database.add_to(&mut self.sums).await {
            println!("{}: {error}", self.name());
        }
    }

    fn strange(&self) -> Vec<String> {
        let mut strange = Vec::new();
        for (key, sent_at) in &self.unknown {
            let is_disturbed = self.disturbed.iter().any(|at| {
                let earliest = *at - ON_THE_WIRE;
                (earliest..*at + ON_THE_WIRE).contains(sent_at)
            });
            if !is_disturbed {
                strange.push(key.clone());
            }
        }
        strange
    }
}

impl Orders {
    /// Orders two videos a second, which is the limit of the provider. It repeats each order until it is accepted.
    pub async fn order(self, jobs: usize) {
        let mut half_seconds = interval(Duration::from_millis(500));
        for number in 0..jobs {
            half_seconds.tick().await;
            let mut tries = 0;
            while !self.is_taken(number, tries).await {
                tries += 1;
                sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn is_taken(&self, number: usize, tries: usize) -> bool {
        match self.kind {
            Kind::Fleet => self.is_taken_by_fleet(number, tries).await,
            Kind::Plain => self.is_taken_by_engine(number).await.is_ok(),
        }
    }

    /// Sends each order and each repetition to the next replica, as a load balancer does.
    async fn is_taken_by_fleet(&self, number: usize, tries: usize) -> bool {
        let address = &self.addresses[(number + tries) % REPLICAS];
        let body = json!({ "prompt": format!("Kite {number}"), "seconds": 4 });
        let sent = self
            .web
            .post(format!("http://{address}/videos"))
            .header("Idempotency-Key", format!("order-{number}"))
            .header("Content-Type", "application/json")
            .timeout(Duration::from_secs(10))
            .body(body.to_string())
            .send()
            .await;
        sent.is_ok_and(|reply| reply.status() == 202)
    }

    async fn is_taken_by_engine(&self, number: usize) -> Result<(), tokio_postgres::Error> {
        let call = format!(
            "SELECT graphile_worker.add_job('make_video', json_build_object('number', {number}),
             job_key => 'order-{number}', job_key_mode => 'unsafe_dedupe')"
        );
        self.database.connect().await?.batch_execute(&call).await
    }
}

/// Returns the path of the example `plain`, of the same build as the program.
fn example(program: &Path) -> PathBuf {
    program.with_file_name("examples").join("plain")
}

fn count_videos(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|ending| ending == "mp4")
        })
        .count()
}

fn most_in_ten_seconds(starts: &[Instant]) -> usize {
    let window = Duration::from_secs(10);
    let ends = starts.iter().enumerate();
    ends.map(|(number, end)| {
        let earlier = starts[..=number].iter().rev();
        earlier
            .take_while(|start| end.duration_since(**start) < window)
            .count()
    })
    .max()
    .unwrap_or_default()
}

/// Returns an address that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
