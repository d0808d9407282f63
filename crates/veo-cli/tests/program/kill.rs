//! A kill -9 at any moment loses no accepted job, and never makes the program pay twice.
//!
//! The server counts the payments, and `veo jobs` lists what the ledger knows of them. The tests do not depend on the
//! format of the ledger. `scripts/kills.sh` kills many more programs than a usual run.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chance::{Chance, number_of_cases};
use crate::sandbox::Sandbox;
use crate::server::{Server, VIDEO, accepted, prompt, record, refused, task};

/// The most requests in a sandbox. So few requests never wait for kie.ai's limit of an account.
const SENT: usize = 12;

/// The requests that a provider has accepted.
#[derive(Default)]
struct Paid {
    /// The tasks of each prompt.
    tasks: Mutex<HashMap<String, Vec<String>>>,
    /// The number of calls for each upgrade, by its job.
    upgrades: Mutex<BTreeMap<String, usize>>,
}

impl Paid {
    fn has(&self, what: &str) -> bool {
        self.tasks.lock().unwrap().contains_key(what)
            || self.upgrades.lock().unwrap().contains_key(what)
    }

    fn tasks_of(&self, group: usize) -> HashMap<String, Vec<String>> {
        let mut tasks = self.tasks.lock().unwrap().clone();
        tasks.retain(|prompt, _| prompt.ends_with(&format!("of {group}")));
        tasks
    }
}

/// A provider that counts, and answers slowly, so that a program can be killed before the reply.
fn provider() -> (Server, Arc<Paid>) {
    let paid = Arc::<Paid>::default();
    let server_paid = paid.clone();
    let count = AtomicUsize::new(0);
    let call = move |job: String| {
        let mut upgrades = server_paid.upgrades.lock().unwrap();
        let calls = upgrades.entry(job).or_default();
        *calls += 1;
        *calls
    };
    let server_paid = paid.clone();
    let server = Server::start(move |line, body| {
        let reply = if let Some(prompt) = prompt(body) {
            let task = format!("t{}", count.fetch_add(1, Ordering::Relaxed));
            server_paid
                .tasks
                .lock()
                .unwrap()
                .entry(prompt)
                .or_default()
                .push(task.clone());
            accepted(&task)
        } else if line.contains("/get-1080p-video") {
            // In the old form, the call for an upgrade also asks for its progress.
            match call(format!("kie:{}:1080p", task(line))) {
                1 => r#"{"code":200,"msg":"success","data":null}"#.to_owned(),
                2 => refused(
                    400,
                    "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
                ),
                _ => format!(r#"{{"code":200,"msg":"success","data":{{"resultUrl":"{VIDEO}"}}}}"#),
            }
        } else if line.contains("/get-4k-video") {
            let small = serde_json::from_str::<Value>(body).unwrap()["taskId"]
                .as_str()
                .unwrap()
                .to_owned();
            let own = format!(r#"{{"taskId":"{small}-4k","resultUrls":null}}"#);
            match call(format!("kie:{small}:4k")) {
                1 => format!(r#"{{"code":200,"msg":"success","data":{own}}}"#),
                2 => format!(
                    r#"{{"code":422,"msg":"4k is processing. Please check back shortly.","data":{own}}}"#
                ),
                _ => {
                    let words = "The video has been generated successfully";
                    let data = own.replace("null", &format!("[\"{VIDEO}\"]"));
                    format!(r#"{{"code":422,"msg":"{words}","data":{data}}}"#)
                }
            }
        } else {
            let resolution = if task(line).ends_with("-4k") {
                "4k"
            } else {
                "720p"
            };
            return Some(record(task(line), 1, VIDEO).replace(
                r#""resultUrls""#,
                &format!(r#""resolution":"{resolution}","resultUrls""#),
            ));
        };
        // The delay gives the test time to kill the program before the reply.
        thread::sleep(Duration::from_millis(10));
        Some(reply)
    });
    (server, paid)
}

/// The moment at which a program is killed.
struct Moment {
    /// The request after which the time begins. Without one, the time begins with the program.
    after_request: Option<String>,
    delay: Duration,
}

impl Moment {
    /// Half of the moments are anywhere in a run. The others follow the payment, when a kill can lose most.
    fn new(chance: &mut Chance, whole: Duration, paid: impl Into<String>) -> Self {
        let micros = |time: Duration| usize::try_from(time.as_micros()).unwrap();
        let after_request = (chance.below(2) == 0).then(|| paid.into());
        let span = if after_request.is_some() {
            Duration::from_millis(30)
        } else {
            whole
        };
        Self {
            after_request,
            delay: Duration::from_micros(u64::try_from(chance.below(micros(span))).unwrap()),
        }
    }
}

/// Starts a command, and kills it at the moment. The command can end before.
fn start_and_kill(sandbox: &Sandbox, arguments: &[&str], paid: &Paid, moment: &Moment) {
    let mut command = sandbox.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut start = moment.after_request.is_none().then(Instant::now);
    while start.is_none_or(|start| start.elapsed() < moment.delay)
        && child.try_wait().unwrap().is_none()
    {
        if start.is_none()
            && moment
                .after_request
                .as_ref()
                .is_some_and(|what| paid.has(what))
        {
            start = Some(Instant::now());
        }
        thread::sleep(Duration::from_micros(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The number of paid requests, and how many of them the ledger has with a known and with an unknown outcome.
#[derive(Default)]
struct Ends {
    paid: usize,
    known: usize,
    unknown: usize,
}

impl Ends {
    fn add(&mut self, other: &Self) {
        self.paid += other.paid;
        self.known += other.known;
        self.unknown += other.unknown;
    }

    fn show(&self, what: &str) {
        let Self {
            paid,
            known,
            unknown,
        } = self;
        println!("{what}: {paid} were paid for, {known} are known and {unknown} unknown");
    }
}

/// Compares the payments with the list of jobs.
fn check(tasks: &HashMap<String, Vec<String>>, sandbox: &Sandbox, list: &[&str]) -> Ends {
    let listed = sandbox.listed(list);
    let is = |entry: &Value, states: &[&str]| states.contains(&entry["state"].as_str().unwrap());
    for (prompt, tasks) in tasks {
        assert_eq!(tasks.len(), 1, "{prompt} was paid for more than once");
        let job = format!("kie:{}", tasks[0]);
        let mut entries = listed.iter().filter(|entry| entry["prompt"] == **prompt);
        let is_stored = entries
            .clone()
            .any(|entry| entry["job"] == job || is(entry, &["unknown"]));
        assert!(
            is_stored,
            "{job} was paid for, and is not in the ledger: {:?}",
            entries.next()
        );
    }
    for entry in &listed {
        assert!(
            !is(entry, &["rejected", "failed"]),
            "the provider has refused nothing: {entry}"
        );
        if is(entry, &["saved", "done"]) {
            let file = entry["output"].as_str().unwrap();
            assert!(sandbox.path(file).exists(), "{file} is not there: {entry}");
        }
    }
    let known = listed
        .iter()
        .filter(|entry| is(entry, &["accepted", "finished", "saved", "done"]))
        .count();
    let unknown = listed
        .iter()
        .filter(|entry| is(entry, &["unknown"]))
        .count();
    Ends {
        paid: tasks.len(),
        known,
        unknown,
    }
}

/// Returns the time that a whole run takes on this machine now.
fn whole(sandbox: &Sandbox, arguments: &[&str]) -> Duration {
    let start = Instant::now();
    let run = sandbox.run(arguments);
    assert_eq!(run.code, 0, "{}", run.err);
    start.elapsed()
}

/// Returns the number of kills for one kind of command, as `part` percent of all.
fn kills(part: usize) -> usize {
    number_of_cases("VEO_TEST_KILLS", 200) * part / 100
}

#[test]
fn killed_requests_are_stored_and_paid_for_once() {
    let mut chance = Chance::new();
    let (server, paid) = provider();
    let mut ends = Ends::default();
    // New videos and longer ones are made, each with and without the wait.
    for group in 0..kills(50).div_ceil(SENT) {
        let sandbox = Sandbox::new().at("kie", server.url());
        // The time of a run depends on the load of the machine, so it is measured for each group.
        let sent = whole(
            &sandbox,
            &["generate", &format!("Dog 0 of {group}"), "--no-wait"],
        );
        let made = whole(&sandbox, &["wait"]) + sent;
        let first = sandbox.listed(&[])[0]["job"].as_str().unwrap().to_owned();
        let runs: Vec<_> = (1..SENT)
            .map(|run| {
                let prompt = format!("Dog {run} of {group}");
                let (start, wait) = (
                    if run % 2 == 0 { "generate" } else { "extend" },
                    run % 4 < 2,
                );
                let mut command = vec![start.to_owned(), prompt.clone()];
                if start == "extend" {
                    command.insert(1, first.clone());
                }
                command.extend((!wait).then(|| "--no-wait".to_owned()));
                // Four programs at a time make each one slower.
                let moment = Moment::new(&mut chance, if wait { made } else { sent } * 4, prompt);
                (command, moment)
            })
            .collect();
        thread::scope(|scope| {
            for part in runs.chunks(SENT.div_ceil(4)) {
                let (sandbox, paid) = (&sandbox, &paid);
                scope.spawn(move || {
                    for (command, moment) in part {
                        let command: Vec<_> = command.iter().map(String::as_str).collect();
                        start_and_kill(sandbox, &command, paid, moment);
                    }
                });
            }
        });
        ends.add(&check(&paid.tasks_of(group), &sandbox, &[]));
    }
    ends.show("requests");
    assert!(ends.known > 0);
}

#[test]
fn killed_batches_continue_until_lines_are_done_or_unknown() {
    const LINES: usize = 8;
    let mut chance = Chance::new();
    let (server, paid) = provider();
    let command = ["generate", "--batch", "jobs.jsonl", "--concurrency", "3"];
    let batches: Vec<_> = (0..kills(30).div_ceil(15))
        .map(|batch| {
            let sandbox = Sandbox::new().at("kie", server.url());
            let requests = (1..=LINES)
                .map(|dog| format!("{{\"prompt\":\"Dog {dog} of {batch}\",\"seconds\":4}}\n"));
            sandbox.write("jobs.jsonl", &requests.collect::<String>());
            let moments = (0..15).map(|number| {
                // Most moments are early, where there is more to lose.
                let dog = 1 + number * LINES / 15;
                Moment::new(
                    &mut chance,
                    Duration::from_millis(150),
                    format!("Dog {dog} of {batch}"),
                )
            });
            (sandbox, moments.collect::<Vec<_>>())
        })
        .collect();
    let mut ends = Ends::default();
    for (number, batches) in batches.chunks(4).enumerate() {
        thread::scope(|scope| {
            for (sandbox, moments) in batches {
                let paid = &paid;
                scope.spawn(move || {
                    moments
                        .iter()
                        .for_each(|moment| start_and_kill(sandbox, &command, paid, moment))
                });
            }
        });
        for (batch, (sandbox, _)) in (number * 4..).zip(batches) {
            let last = sandbox.run(&command);
            let found = check(&paid.tasks_of(batch), sandbox, &["--batch", "jobs.jsonl"]);
            // At the end every line is done, or its outcome is unknown.
            let code = if found.unknown > 0 { 4 } else { 0 };
            assert_eq!(
                (found.known + found.unknown, last.code),
                (LINES, code),
                "{}",
                last.err
            );
            ends.add(&found);
        }
    }
    ends.show("lines of batches");
}

#[test]
fn killed_upgrades_are_stored_and_called_at_most_twice() {
    let mut chance = Chance::new();
    let (server, paid) = provider();
    let (mut ends, mut repeated, mut wrong) = (Ends::default(), 0, Vec::new());
    for group in 0..kills(20).div_ceil(16) {
        let sandbox = Sandbox::new().at("kie", server.url());
        for dog in 0..2 {
            whole(
                &sandbox,
                &[
                    "generate",
                    &format!("Dog {dog} of {group}"),
                    "--duration",
                    "4",
                ],
            );
        }
        let jobs: Vec<_> = sandbox
            .listed(&[])
            .iter()
            .map(|job| job["job"].as_str().unwrap().to_owned())
            .collect();
        let wishes = jobs.iter().flat_map(|job| [(job, "1080p"), (job, "4k")]);
        let wishes: Vec<_> = wishes
            .map(|(job, size)| {
                let name = format!("{job}:{size}");
                let moments = (0..4)
                    .map(|_| Moment::new(&mut chance, Duration::from_millis(1500), name.clone()));
                (job, size, name.clone(), moments.collect::<Vec<_>>())
            })
            .collect();
        thread::scope(|scope| {
            for (job, size, _, moments) in &wishes {
                let (sandbox, paid) = (&sandbox, &paid);
                scope.spawn(move || {
                    // A file that no entry names may be replaced.
                    let command = ["upgrade", job, "--resolution", size, "--force"];
                    moments
                        .iter()
                        .for_each(|moment| start_and_kill(sandbox, &command, paid, moment));
                    let run = sandbox.run(&command);
                    // Code 4: a person has to settle a call whose reply was lost. Code 6: the server's only video is
                    // smaller than requested.
                    assert!([6, 4].contains(&run.code), "{} {}", run.code, run.err);
                });
            }
        });
        let listed = sandbox.listed(&[]);
        for (job, size, name, _) in &wishes {
            let Some(calls) = paid.upgrades.lock().unwrap().get(name).copied() else {
                continue;
            };
            let prompt = &listed.iter().find(|entry| entry["job"] == ***job).unwrap()["prompt"];
            let is_upgrade = |entry: &&Value| {
                let is_unknown = entry["state"] == "unknown" && entry["prompt"] == *prompt;
                entry["job"] == **name || is_unknown || entry["key"] == **name
            };
            let Some(entry) = listed.iter().find(is_upgrade) else {
                panic!("{name} was requested, and is not in the ledger: {listed:?}")
            };
            let is_unknown = entry["state"] == "unknown";
            ends.add(&Ends {
                paid: 1,
                known: usize::from(!is_unknown),
                unknown: usize::from(is_unknown),
            });
            repeated += usize::from(*size == "4k" && calls > 1);
            // For 1080p, only the same call asks for the progress, so it may be repeated.
            if *size == "4k" && calls > 2 {
                wrong.push(format!("{name} was asked for {calls} times"));
            }
        }
    }
    ends.show("upgrades");
    println!(
        "of the upgrades to 4K, {repeated} were asked for again and {} more often",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kills come at the two most important moments, and not by chance.
#[test]
fn a_kill_while_sending_leaves_an_unknown_outcome() {
    let (arrival_sender, arrival) = channel();
    let arrival_sender = Mutex::new(arrival_sender);
    let held = AtomicUsize::new(0);
    let server = Server::start(move |line, _| {
        if !line.contains("POST") {
            // The job never ends.
            return Some(record("t1", 0, ""));
        }
        // The first two requests get no answer while their program lives.
        if held.fetch_add(1, Ordering::Relaxed) < 2 {
            arrival_sender.lock().unwrap().send(()).unwrap();
            loop {
                thread::park();
            }
        }
        Some(accepted("t1"))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", "{\"prompt\":\"A dog\"}\n");
    let (single, batch) = (
        ["generate", "A dog"].as_slice(),
        ["generate", "--batch", "jobs.jsonl"].as_slice(),
    );

    for (command, list) in [(single, [].as_slice()), (batch, &["--batch", "jobs.jsonl"])] {
        let mut child = sandbox.command(command).spawn().unwrap();
        arrival.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = sandbox.listed(list);
        assert_eq!(
            (listed.len(), listed[0]["state"].as_str()),
            (1, Some("unknown"))
        );
    }
    let run = sandbox.run(&[batch, &["--timeout", "1s"]].concat());
    assert!(
        run.code == 4
            && run
                .err
                .contains("the process ended while the request was being sent"),
        "{}",
        run.err
    );
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
