//! Makes some videos in one of three ways, and compares the charges with the ledger.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use veo_core::ledger::{Entry, EntryState, FileLedger, Ledger as _, Which};
use veo_core::{Access, Client, JobRef, Kie, Settlement, UniAll};
use veo_sim::{Charge, Pace, Sim};

use crate::disk::Disk;
use crate::faults::{WEBHOOK_KEY, scenario};
use crate::program;

/// The way in which the videos are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Library,
    Batch,
    Server,
}

/// Some videos that are made in one way, with one ledger.
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) way: Way,
    pub(crate) provider: &'static str,
    pub(crate) jobs: usize,
}

/// The outcome of the jobs of a round.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    pub(crate) full_disks: usize,
    pub(crate) charges: usize,
    /// The number of charges that the ledger had by itself, and the number that had to be settled.
    pub(crate) known: usize,
    pub(crate) settled: usize,
    /// The number of jobs that have failed, and the number of requests that were rejected in the end.
    pub(crate) failed: usize,
    pub(crate) rejected: usize,
    /// The sum of the prices that the ledger knows, in hundredths of a credit.
    pub(crate) cents: i64,
}

/// A simulator, and a program that is started again and again.
struct Setup {
    folder: TempDir,
    disk: Disk,
    sim: Sim,
    way: Way,
    provider: &'static str,
    jobs: usize,
    /// The address of the web backend. It stays the same, since callbacks are sent to it.
    address: SocketAddr,
    web: reqwest::Client,
}

/// A library that shows a program another time. Where this library is not installed, the clock is always right.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

impl Round {
    /// Makes a round that depends on the seed alone, with at most `most` videos.
    pub(crate) fn new(seed: u64, most: usize) -> Self {
        let mut chance = Rng::with_seed(seed);
        // The program and the server keep kie.ai's limit of 20 requests in 10 seconds, so their rounds are small there.
        let (way, provider, jobs) = match chance.u32(0..10) {
            0 => (Way::Server, "kie", 15),
            1 => (Way::Batch, "kie", 15),
            2 => (Way::Batch, "kie+jobs", 15),
            3..=5 => (Way::Batch, "uniall", 150),
            6 => (Way::Library, "kie", 250),
            7 => (Way::Library, "kie+jobs", 250),
            _ => (Way::Library, "uniall", 250),
        };
        Self {
            seed,
            way,
            provider,
            jobs: jobs.min(most),
        }
    }

    /// Makes the videos, and compares the charges with the ledger.
    pub(crate) fn run(&self) -> Tally {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut chance = Rng::with_seed(self.seed ^ 1);
            let setup = Setup::new(self, &mut chance).await;
            let mut tally = Tally::default();
            for _ in 0..chance.usize(2..=6) {
                setup.interrupt(&mut chance, &mut tally).await;
            }
            setup.finish(&mut chance).await;
            setup.compare(tally, self.seed).await
        })
    }
}

impl Setup {
    async fn new(round: &Round, chance: &mut Rng) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(&folder.path().join("disk"));
        fs::create_dir(folder.path().join("videos")).unwrap();
        let pace = match round.way {
            Way::Server => Pace::Scale(1000.0),
            _ => Pace::Polls(1),
        };
        let scenario = scenario(chance, round.jobs, pace);
        let sim = Sim::builder().scenario(scenario).start().await.unwrap();
        let setup = Self {
            disk,
            sim,
            way: round.way,
            provider: round.provider,
            jobs: round.jobs,
            address: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap(),
            web: reqwest::Client::builder().no_proxy().build().unwrap(),
            folder,
        };
        setup.write_batch();
        setup
    }

    /// Starts the program, sometimes with a full disk, and kills it.
    async fn interrupt(&self, chance: &mut Rng, tally: &mut Tally) {
        let is_full_first = chance.u32(0..6) == 0 && self.disk.fill();
        let child = self.start(chance);
        let moment = Duration::from_millis(chance.u64(0..1500));
        let is_full_later = !is_full_first && chance.u32(0..3) == 0;
        let killing = async {
            sleep(moment / 2).await;
            let is_full = is_full_first || is_full_later && self.disk.fill();
            tally.full_disks += usize::from(is_full);
            sleep(moment / 2).await;
        };
        tokio::select! { () = killing => {}, () = self.ask() => {} }
        end(child);
        tally.kills += 1;
        self.disk.free();
    }

    /// Runs the program until each entry has ended or is unknown, at most thirty times.
    async fn finish(&self, chance: &mut Rng) {
        for _ in 0..30 {
            let mut child = self.start(chance);
            let deadline = Instant::now() + self.patience();
            let until_it_ends = async {
                while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! { () = until_it_ends => {}, () = self.ask() => {} }
            end(child);
            let entries = self.entries().await;
            let is_over = |entry: &Entry| !needs_work(entry.state);
            if entries.len() == self.jobs && entries.iter().all(is_over) {
                return;
            }
        }
    }

    /// The longest time of a run. A server never ends by itself, and asks about its jobs at once after a start.
    fn patience(&self) -> Duration {
        Duration::from_secs(if self.way == Way::Server { 4 } else { 40 })
    }

    fn start(&self, chance: &mut Rng) -> Child {
        let mut command = match self.way {
            Way::Library => self.library(),
            Way::Batch => self.batch(),
            Way::Server => self.server(),
        };
        // With a clock that is wrong by more than five minutes, the server would refuse every callback.
        let most = if self.way == Way::Server {
            200
        } else {
            100_000
        };
        if Path::new(CLOCK).exists() && chance.bool() {
            let off = chance.i64(-most..=most);
            command
                .env("LD_PRELOAD", CLOCK)
                .env("FAKETIME", format!("{off:+}"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn library(&self) -> Command {
        let mut command = bare(program("examples/chaos_worker"));
        command
            .env("URL", self.sim.url())
            .arg(self.ledger())
            .arg(self.path("videos"))
            .args([self.provider, &self.jobs.to_string()]);
        command
    }

    fn batch(&self) -> Command {
        let name = self.provider.trim_end_matches("+jobs");
        let form = if name == self.provider {
            "old"
        } else {
            "current"
        };
        let variable = name.to_uppercase();
        let mut command = bare(program("veo"));
        command
            .env(format!("{variable}_API_KEY"), "any key")
            .env(format!("{variable}_BASE_URL"), self.sim.url())
            .env("HOME", self.folder.path());
        if name == "kie" {
            command.env("KIE_FORM", form);
        }
        command
            .args(["generate", "--concurrency", "64", "--batch"])
            .arg(self.disk.path("batch.jsonl"))
            .args(["--provider", name]);
        command
    }

    fn server(&self) -> Command {
        let mut command = bare(program("examples/server"));
        command
            .env("KIE_API_KEY", "any key")
            .env("KIE_BASE_URL", self.sim.url())
            .env("KIE_WEBHOOK_KEY", WEBHOOK_KEY)
            .env("ADDRESS", self.address.to_string())
            .env("LEDGER", self.ledger())
            .env("VIDEOS", self.path("videos"));
        command
    }

    /// Requests all videos from the server, again and again. The other programs know the videos from their arguments.
    async fn ask(&self) {
        if self.way != Way::Server {
            std::future::pending::<()>().await;
        }
        loop {
            for number in 0..self.jobs {
                let url = format!("http://{}/videos", self.address);
                let request = self
                    .web
                    .post(url)
                    .header("Idempotency-Key", format!("order-{number}"));
                let body = json!({ "prompt": prompt(number) });
                let _ = request.json(&body).send().await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn write_batch(&self) {
        let mut lines = String::new();
        for number in 0..self.jobs {
            let output = self.path("videos").join(format!("{number}.mp4"));
            let line = json!({ "prompt": prompt(number), "output": output });
            lines += &format!("{line}\n");
        }
        fs::write(self.disk.path("batch.jsonl"), lines).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        match self.way {
            Way::Batch => self.disk.path("batch.jsonl.ledger"),
            _ => self.disk.path("jobs.ledger"),
        }
    }

    /// Returns all entries of the ledger, while no process has it open.
    async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let Some(ledger) = FileLedger::open_existing(self.ledger()).await.unwrap() else {
            return entries;
        };
        assert_eq!(ledger.problems().await, [""; 0]);
        for listed in ledger.list(Which::All).await.unwrap() {
            entries.push(ledger.entry(&listed.key).await.unwrap().unwrap());
        }
        entries
    }

    /// Settles the unknown outcomes, and compares the charges with the ledger.
    async fn compare(&self, mut tally: Tally, seed: u64) -> Tally {
        let charges = self.charges();
        tally.charges = charges.values().map(Vec::len).sum();
        for (prompt, charges) in &charges {
            assert_eq!(charges.len(), 1, "seed {seed}: {prompt} was paid twice");
        }
        for entry in self.entries().await {
            let charge = charges.get(prompt_of(&entry)).map(|all| &all[0]);
            if entry.state == EntryState::Unknown {
                tally.settled += usize::from(charge.is_some());
                self.settle(&entry, charge).await;
            }
        }
        let entries = self.entries().await;
        for entry in &entries {
            let charge = charges.get(prompt_of(entry)).map(|all| &all[0]);
            let task = entry.reference().map(|job| job.task.as_str());
            let charged = charge.map(|charge| charge.task.as_str());
            assert_eq!(task, charged, "seed {seed}: {entry:?}");
            tally.failed += usize::from(entry.state == EntryState::Failed);
            tally.rejected += usize::from(task.is_none());
            let credits = entry.attempts.last().and_then(|attempt| attempt.credits);
            if let (Some(credits), Some(charge)) = (credits, charge) {
                assert_eq!(
                    cents(credits),
                    cents(charge.credits),
                    "seed {seed}: {entry:?}"
                );
                tally.cents += cents(credits);
            }
        }
        // A wish without an entry was never sent.
        let has_entry = |prompt: &String| entries.iter().any(|entry| prompt_of(entry) == prompt);
        assert!(
            charges.keys().all(has_entry),
            "seed {seed}: the ledger has no entry of a charge"
        );
        tally.known = tally.charges - tally.settled;
        tally
    }

    /// The charges for each prompt.
    fn charges(&self) -> BTreeMap<String, Vec<Charge>> {
        let mut prompts = BTreeMap::new();
        for call in self.sim.calls() {
            let body = call.body.unwrap_or_default();
            let prompt = [&body["prompt"], &body["input"]["prompt"]]
                .into_iter()
                .find_map(Value::as_str);
            prompts.extend(prompt.map(|prompt| (call.number, prompt.to_owned())));
        }
        let mut charges = BTreeMap::<String, Vec<Charge>>::new();
        for charge in self.sim.charges() {
            let prompt = prompts[&charge.call].clone();
            charges.entry(prompt).or_default().push(charge);
        }
        charges
    }

    /// Settles an entry like a person who has looked at the provider's list of tasks. A fault can make this fail at
    /// first.
    async fn settle(&self, entry: &Entry, charge: Option<&Charge>) {
        let access = Access::new("any key").base_url(self.sim.url());
        let (name, client) = match self.provider {
            "uniall" => ("uniall", Client::new(UniAll::new(access).unwrap())),
            _ => ("kie", Client::new(Kie::new(access).unwrap())),
        };
        let ledger = FileLedger::open(self.ledger()).await.unwrap();
        let client = client.unwrap().with_ledger(ledger);
        let found = match charge {
            Some(charge) => Settlement::Accepted(JobRef::new(name, &charge.task)),
            None => Settlement::NotTaken,
        };
        let mut result = Ok(());
        for _ in 0..20 {
            let settled = client.settle(&entry.key, found.clone()).await;
            result = settled.map(drop);
            if result.is_ok() {
                return;
            }
        }
        panic!("{result:?}: {entry:?}");
    }
}

/// Returns whether a program that runs again has something to do for an entry.
fn needs_work(state: EntryState) -> bool {
    !matches!(
        state,
        EntryState::Done | EntryState::Failed | EntryState::Unknown
    )
}

fn prompt(number: usize) -> String {
    format!("Video {number}")
}

fn prompt_of(entry: &Entry) -> &str {
    let request = entry.wish.asked();
    request.map_or("", |request| request.prompt.as_str())
}

/// Returns a command that gets none of this machine's environment.
fn bare(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/dev/null");
    command
}

/// Ends a program at once, as a power failure does.
fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn cents(credits: f64) -> i64 {
    (credits * 100.0).round() as i64
}
