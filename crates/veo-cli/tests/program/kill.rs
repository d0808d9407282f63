//! kill -9 at random moments: no accepted job is lost, and none is paid for twice.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::batch::clip;
use crate::sandbox::{Sandbox, lines};
use crate::server::{Server, accepted, record};

/// Small numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

/// The seed of a run, from `VEO_TEST_SEED` or by chance. It is printed, which a failing test shows.
fn seed() -> u64 {
    let given = std::env::var("VEO_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()) | 1);
    println!("to see the same moments again: VEO_TEST_SEED={seed}");
    seed
}

/// The tasks that were paid for, by their prompt.
type Paid = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// A provider that takes its time to answer, so that a program can be killed meanwhile, and counts.
fn provider(video: String) -> (Server, Paid) {
    let paid = Paid::default();
    let taken = paid.clone();
    let server = Server::start(move |line, body| {
        if !line.contains("POST") {
            return Some(record("t", 1, &video));
        }
        let prompt = serde_json::from_str::<Value>(body).unwrap()["prompt"].as_str().unwrap().to_owned();
        let task = {
            let mut taken = taken.lock().unwrap();
            let tasks: usize = taken.values().map(Vec::len).sum();
            let task = format!("t{tasks}");
            taken.entry(prompt).or_default().push(task.clone());
            task
        };
        // Not for something to happen meanwhile, but for there to be a meanwhile.
        thread::sleep(Duration::from_millis(10));
        Some(accepted(&task))
    });
    (server, paid)
}

/// Starts a command and kills it after a while, if it has not ended.
fn start_and_kill(sandbox: &Sandbox, arguments: &[&str], after: Duration) {
    let mut child = sandbox
        .command(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < after && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Compares what was paid for with what is on the disk, and gives how many requests are accepted and unknown there.
fn check(paid: &HashMap<String, Vec<String>>, listed: &[Value], raw: &[Value], at_most: usize) -> (usize, usize) {
    let is = |state: &str| listed.iter().filter(|entry| entry["state"] == state).count();
    for (prompt, tasks) in paid {
        assert!(tasks.len() <= at_most, "{prompt} was paid for {} times", tasks.len());
        let intents = raw.iter().filter(|line| line["event"] == "intent" && line["request"]["prompt"] == **prompt);
        assert!(intents.count() >= tasks.len(), "{prompt} was sent before it was written down");
        for task in tasks {
            let job = format!("kie:{task}");
            let entries: Vec<_> = listed.iter().filter(|entry| entry["prompt"] == **prompt).collect();
            let kept = entries.iter().any(|entry| entry["job"] == job || entry["state"] == "unknown");
            assert!(kept, "{job} was paid for, and is not kept: {entries:?}");
        }
    }
    assert_eq!(is("rejected") + is("failed"), 0, "{listed:?}");
    (is("accepted") + is("saved"), is("unknown"))
}

#[test]
fn a_killed_program_loses_no_job_and_pays_for_none_twice() {
    let mut chance = Chance(seed());
    let (server, paid) = provider(clip());

    // How long a whole run takes on this machine now, so that the moments are spread over all of it.
    let sandbox = Sandbox::new().at("kie", server.url());
    let start = Instant::now();
    assert_eq!(sandbox.run(&["generate", "Dog 0", "--no-wait"]).code, 0);
    let whole = u64::try_from(start.elapsed().as_micros()).unwrap();

    // Single requests: a hundred, into one store, four at a time, which makes each slower.
    let moments: Vec<_> = (1..=100).map(|run| (run, Duration::from_micros(chance.below(whole * 4)))).collect();
    thread::scope(|scope| {
        for part in moments.chunks(25) {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for (run, moment) in part {
                    start_and_kill(sandbox, &["generate", &format!("Dog {run}"), "--no-wait"], *moment);
                }
            });
        }
    });
    let listed = sandbox.listed(&[]);
    let (accepted, unknown) = check(&paid.lock().unwrap(), &listed, &lines(&sandbox.store()), 1);
    let sent = paid.lock().unwrap().len();
    assert_eq!(listed.len(), lines(&sandbox.store()).iter().filter(|line| line["event"] == "intent").count());
    println!("of 101 single runs {sent} were paid for, {accepted} are accepted and {unknown} unknown on the disk");
    assert!(accepted > 0);
    paid.lock().unwrap().clear();

    // Batches: four, each started and killed 25 times with the same command.
    let command = ["generate", "--batch", "jobs.jsonl", "--concurrency", "3"];
    let batches: Vec<_> = (0..4)
        .map(|batch| {
            let sandbox = Sandbox::new().at("kie", server.url());
            let requests = (1..=8).map(|dog| format!("{{\"prompt\":\"Dog {dog} of {batch}\",\"seconds\":4}}\n"));
            sandbox.write("jobs.jsonl", &requests.collect::<String>());
            // Early on most of the time, where there is more to lose.
            let moments: Vec<_> = (0..25).map(|_| Duration::from_micros(chance.below(whole * 4))).collect();
            (sandbox, moments)
        })
        .collect();
    thread::scope(|scope| {
        for (sandbox, moments) in &batches {
            scope.spawn(move || moments.iter().for_each(|moment| start_and_kill(sandbox, &command, *moment)));
        }
    });
    let mut ends = (0, 0);
    for (batch, (sandbox, _)) in batches.iter().enumerate() {
        let last = sandbox.run(&command);
        let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
        let mut mine = paid.lock().unwrap().clone();
        mine.retain(|prompt, _| prompt.ends_with(&format!("of {batch}")));
        let (done, unknown) = check(&mine, &listed, &lines(&sandbox.path("jobs.jsonl.ledger")), 1);
        // At the end every line is done, or it is not known whether it was sent.
        assert_eq!((done + unknown, last.code), (8, if unknown > 0 { 4 } else { 0 }), "{}", last.err);
        ends = (ends.0 + done, ends.1 + unknown);
    }
    println!("of 32 lines {} are done and {} unknown", ends.0, ends.1);
}

/// The two moments that count most, without chance.
#[test]
fn a_program_killed_while_it_sends_leaves_an_unknown_outcome_and_after_it_a_job() {
    let (arrived, arrival) = channel();
    let arrived = Mutex::new(arrived);
    let held = AtomicUsize::new(0);
    let server = Server::start(move |line, _| {
        if !line.contains("POST") {
            // The job goes on for ever.
            return Some(record("t1", 0, ""));
        }
        // The first two get no answer for as long as they live.
        if held.fetch_add(1, Ordering::Relaxed) < 2 {
            arrived.lock().unwrap().send(()).unwrap();
            loop {
                thread::park();
            }
        }
        Some(accepted("t1"))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", "{\"prompt\":\"A dog\"}\n");
    let (single, batch) = (["generate", "A dog"].as_slice(), ["generate", "--batch", "jobs.jsonl"].as_slice());

    for (command, list) in [(single, [].as_slice()), (batch, &["--batch", "jobs.jsonl"])] {
        let mut child = sandbox.command(command).spawn().unwrap();
        arrival.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = sandbox.listed(list);
        assert_eq!((listed.len(), listed[0]["state"].as_str()), (1, Some("unknown")));
    }
    let run = sandbox.run(&[batch, &["--timeout", "1s"]].concat());
    assert!(run.code == 4 && run.err.contains("the program ended while it was being sent"), "{}", run.err);
    assert_eq!(server.count("POST"), 2);

    let mut program = sandbox.start(single);
    program.until("Waiting");
    program.kill();
    assert_eq!(sandbox.listed(&[])[1]["job"], "kie:t1");
    let mut program = sandbox.start(&["wait"]);
    program.until("The latest is kie:t1");
    program.kill();
    assert_eq!(server.count("POST"), 3);
}
