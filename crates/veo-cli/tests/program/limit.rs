//! kie.ai accepts twenty requests in any ten seconds. A request that waits for its turn was never sent, and a request
//! whose turn has come arrives within the limit.
//!
//! Tests that need ten seconds and more run with `scripts/kills.sh` only.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::{Chance, number_of_cases};
use crate::sandbox::Sandbox;
use crate::server::{Server, accepted, prompt, record, refused, task};

const REQUESTS: usize = 20;
const SPAN: Duration = Duration::from_secs(10);

/// Returns whether tests that take a minute are run.
fn has_time() -> bool {
    let has_time = number_of_cases("VEO_TEST_LONG", 0) > 0;
    if !has_time {
        println!("skipped, since it takes a minute; scripts/kills.sh runs it");
    }
    has_time
}

/// A provider that counts, with the limit of kie.ai.
#[derive(Default)]
struct Provider {
    /// The times of the accepted requests that count for the limit.
    window: Mutex<VecDeque<Instant>>,
    /// The times of all accepted requests.
    accepted: Mutex<Vec<Instant>>,
    prompts: Mutex<HashMap<String, usize>>,
    /// The number of requests that have arrived and are not answered yet.
    on_the_wire: AtomicUsize,
    refused: AtomicUsize,
}

impl Provider {
    /// Starts the provider. A request takes a random time up to `way` to arrive, and up to `answer` to be answered. A
    /// job ends at once without a video.
    fn start(way: Duration, answer: Duration) -> (Server, Arc<Self>) {
        let provider = Arc::<Self>::default();
        let server_provider = provider.clone();
        let chance = Mutex::new(Chance::new());
        let wait = move |most: Duration| {
            let most = usize::try_from(most.as_micros()).unwrap();
            let micros = chance.lock().unwrap().below(most);
            thread::sleep(Duration::from_micros(u64::try_from(micros).unwrap()));
        };
        let server = Server::start(move |line, body| {
            let Some(prompt) = prompt(body) else {
                return Some(record(task(line), 3, ""));
            };
            server_provider.on_the_wire.fetch_add(1, Ordering::SeqCst);
            wait(way);
            let reply = server_provider.answer(prompt);
            wait(answer);
            server_provider.on_the_wire.fetch_sub(1, Ordering::SeqCst);
            Some(reply)
        });
        (server, provider)
    }

    fn answer(&self, prompt: String) -> String {
        let now = Instant::now();
        let mut window = self.window.lock().unwrap();
        while window.front().is_some_and(|first| now - *first >= SPAN) {
            window.pop_front();
        }
        if window.len() >= REQUESTS {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return refused(429, "Too many requests");
        }
        window.push_back(now);
        let mut times = self.accepted.lock().unwrap();
        times.push(now);
        *self.prompts.lock().unwrap().entry(prompt).or_default() += 1;
        accepted(&format!("t{}", times.len()))
    }
}

fn write(sandbox: &Sandbox, lines: usize) {
    let requests = (1..=lines).map(|number| format!("{{\"prompt\":\"Dog {number}\"}}\n"));
    sandbox.write("jobs.jsonl", &requests.collect::<String>());
}

fn count(sandbox: &Sandbox, state: &str) -> usize {
    sandbox
        .listed(&["--batch", "jobs.jsonl"])
        .iter()
        .filter(|job| job["state"] == state)
        .count()
}

/// The last lines, which have the summary.
fn summary(text: &str) -> &str {
    text.rmatch_indices('\n')
        .nth(4)
        .map_or(text, |(at, _)| &text[at..])
}

/// Two requests are held at the provider, and four wait for their turn.
#[test]
fn a_kill_leaves_waiting_requests_wanted() {
    let counts = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let server_counts = counts.clone();
    let server = Server::start(move |line, body| {
        let Some(prompt) = prompt(body) else {
            return Some(record(task(line), 0, ""));
        };
        let arrived = {
            let mut counts = server_counts.lock().unwrap();
            *counts.entry(prompt).or_default() += 1;
            counts.values().sum::<usize>()
        };
        if [7, 13].contains(&arrived) {
            loop {
                thread::park();
            }
        }
        Some(accepted(&format!("t{arrived}")))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    write(&sandbox, REQUESTS + 4);
    let command = [
        "generate",
        "--batch",
        "jobs.jsonl",
        "--concurrency",
        "30",
        "--timeout",
        "1s",
    ];
    let mut program = sandbox.start(&command);
    // By now the accepted requests are in the ledger.
    program.until_times("Accepted as", REQUESTS - 2);
    program.kill();
    let (unknown, sent) = (count(&sandbox, "unknown"), server.count("POST"));
    println!(
        "{sent} of {} lines were sent, and {unknown} are unknown",
        REQUESTS + 4
    );
    assert!(sent <= REQUESTS, "{sent} requests were sent at once");
    assert!(unknown <= 2, "{unknown} are unknown, and 2 were on the way");

    let run = sandbox.run(&command);
    let counts = counts.lock().unwrap();
    assert!(
        counts.len() == REQUESTS + 4 && counts.values().all(|count| *count == 1),
        "{counts:?}: {}",
        summary(&run.err)
    );
    assert_eq!(
        (run.code, count(&sandbox, "unknown")),
        (4, 2),
        "{}",
        summary(&run.err)
    );
}

/// A request that was on its way at the kill is unknown, and the same command sends the rest.
#[test]
fn a_killed_batch_leaves_only_sent_requests_unknown() {
    if !has_time() {
        return;
    }
    let mut wrong = Vec::new();
    for (lines, concurrency, seconds) in [(100, "60", 3), (64, "64", 2)] {
        let (server, provider) = Provider::start(Duration::ZERO, Duration::from_secs(5));
        let sandbox = Sandbox::new().at("kie", server.url());
        write(&sandbox, lines);
        let command = [
            "generate",
            "--batch",
            "jobs.jsonl",
            "--concurrency",
            concurrency,
        ];
        let program = sandbox.start(&command);
        // The case needs a kill at this moment.
        thread::sleep(Duration::from_secs(seconds));
        // A reply may have left and not be in the ledger yet, so the requests of a moment ago count too.
        let before = provider.on_the_wire.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        let on_the_wire = before.max(provider.on_the_wire.load(Ordering::SeqCst));
        program.kill();
        let unknown = count(&sandbox, "unknown");
        println!("{lines} lines: {on_the_wire} were on the way, and {unknown} are unknown");
        if unknown > on_the_wire {
            wrong.push(format!(
                "{unknown} of {lines} lines are unknown, and {on_the_wire} were on the way"
            ));
            continue;
        }
        let mut last = sandbox.run(&command);
        // The limit has refused some lines, and the same command sends them.
        for _ in 0..lines {
            if provider.prompts.lock().unwrap().len() == lines {
                break;
            }
            thread::sleep(Duration::from_secs(1));
            last = sandbox.run(&command);
        }
        let prompts = provider.prompts.lock().unwrap();
        assert!(prompts.values().all(|count| *count == 1), "{prompts:?}");
        assert_eq!(
            prompts.len(),
            lines,
            "some lines were never sent: {}",
            summary(&last.err)
        );
        assert_eq!(
            (count(&sandbox, "unknown"), count(&sandbox, "failed")),
            (unknown, lines - unknown),
            "{}",
            summary(&last.err)
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Requests take different times to arrive, so the distance between two can shrink on the way.
#[test]
fn the_limit_is_used_fully_and_never_exceeded() {
    if !has_time() {
        return;
    }
    let lines = number_of_cases("VEO_TEST_LINES", 120);
    let (server, provider) = Provider::start(Duration::from_millis(250), Duration::ZERO);
    let sandbox = Sandbox::new().at("kie", server.url());
    write(&sandbox, lines);
    let run = sandbox.run(&["generate", "--batch", "jobs.jsonl", "--concurrency", "60"]);
    let times = provider.accepted.lock().unwrap();
    let refused = provider.refused.load(Ordering::Relaxed);
    let first = *times.iter().min().unwrap();
    let last = times.iter().max().unwrap().duration_since(first);
    // The first twenty requests can leave at once.
    let least = SPAN.as_secs_f64() * ((lines - REQUESTS) as f64 / REQUESTS as f64);
    let rate = least / last.as_secs_f64() * 100.0;
    println!(
        "{} of {lines} accepted and {refused} refused; the last after {last:.1?}, {rate:.1} % of the rate",
        times.len()
    );
    assert_eq!((refused, times.len()), (0, lines), "{}", summary(&run.err));
    assert!(rate >= 97.0, "only {rate:.1} % of the rate");
}
