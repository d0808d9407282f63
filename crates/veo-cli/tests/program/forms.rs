//! kie.ai's old form is switched off while the program runs, and the current form is used. Each video is paid for once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::json;
use veo_core::ledger::{Entry, FileLedger, Ledger as _, Which};
use veo_sim::{Fault, Pace, Scenario, Sim};

use crate::sandbox::{Run, Sandbox};
use crate::server::{self, Server, VIDEO, accepted, refused, task};

const LINES: usize = 6;

/// The ways in which kie.ai can say that the old form accepts no videos any more.
fn ways() -> [(&'static str, Fault); 6] {
    [
        ("HTTP 404", Fault::status(404)),
        ("HTTP 405", Fault::status(405)),
        ("HTTP 410", Fault::status(410)),
        ("code 404", Fault::code(404)),
        ("code 405", Fault::code(405)),
        ("code 505", Fault::code(505)),
    ]
}

fn old_form(name: &str) -> Scenario {
    Scenario::new(name, "The old form of kie.ai is not as it was.").pace(Pace::AtOnce)
}

/// Returns a sandbox with the lines of a batch.
fn sandbox(scenario: Scenario) -> Sandbox {
    let sandbox = Sandbox::with_scenario(scenario);
    let line = |number| json!({ "prompt": format!("Dog {number}"), "seconds": 4 }).to_string();
    let lines: Vec<_> = (1..=LINES).map(line).collect();
    sandbox.write("jobs.jsonl", &lines.join("\n"));
    sandbox
}

fn batch(sandbox: &Sandbox, concurrency: &str) -> Run {
    let command = ["generate", "--batch", "jobs.jsonl", "--provider", "kie"];
    sandbox.run(&[&command[..], &["--concurrency", concurrency]].concat())
}

/// The number of payments for each prompt.
fn paid(sim: &Sim) -> BTreeMap<String, usize> {
    let calls = sim.calls();
    let mut paid = BTreeMap::new();
    for charge in sim.charges() {
        let body = calls[charge.call - 1].body.as_ref().unwrap();
        let prompt = body["input"]["prompt"].as_str().or(body["prompt"].as_str());
        *paid.entry(prompt.unwrap().to_owned()).or_default() += 1;
    }
    paid
}

/// The numbers of requests for a video in the old and in the current form.
fn asked(sim: &Sim) -> (usize, usize) {
    let calls = sim.calls();
    let count = |operation| {
        let asked = calls
            .iter()
            .filter(|call| call.operation == Some(operation));
        asked.count()
    };
    (count("generate"), count("create_task"))
}

fn entries(sandbox: &Sandbox) -> Vec<Entry> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let path = sandbox.path("jobs.jsonl.ledger");
        let ledger = FileLedger::open(path).await.unwrap();
        let mut entries = Vec::new();
        for listed in ledger.list(Which::All).await.unwrap() {
            entries.push(ledger.entry(&listed.key).await.unwrap().unwrap());
        }
        entries
    })
}

/// The attempts of an entry: the form, and whether the attempt was rejected.
fn attempts(entry: &Entry) -> Vec<(Option<&str>, bool)> {
    let attempts = entry.attempts.iter();
    attempts
        .map(|attempt| {
            let is_rejected = attempt.rejection().is_some();
            (attempt.sent.form.as_deref(), is_rejected)
        })
        .collect()
}

#[test]
fn a_batch_continues_in_the_current_form() {
    for (way, fault) in ways() {
        for concurrency in ["1", "4"] {
            let scenario = old_form("switched-off").fault("generate", 3.., fault.clone());
            let sandbox = sandbox(scenario);
            let run = batch(&sandbox, concurrency);
            let case = format!("{way}, {concurrency} at a time");
            assert_eq!(run.code, 0, "{case}: {}", run.err);
            let sim = sandbox.sim();
            let paid = paid(sim);
            assert!(
                paid.len() == LINES && paid.values().all(|times| *times == 1),
                "{case}: {paid:?}\n{}",
                sim.report()
            );
            // Requests that were on their way at the first refusal are refused too.
            let (old, current) = asked(sim);
            assert_eq!(current, LINES - 2, "{case}\n{}", sim.report());
            let refused = old - 2;
            let most: usize = concurrency.parse().unwrap();
            assert!((1..=most).contains(&refused), "{case}\n{}", sim.report());

            let entries = entries(&sandbox);
            let entries_with = |wanted: &[(Option<&str>, bool)]| {
                let entries = entries.iter().filter(|entry| attempts(entry) == wanted);
                entries.count()
            };
            let counts = [
                entries_with(&[(None, false)]),
                entries_with(&[(None, true), (Some("jobs"), false)]),
                entries_with(&[(Some("jobs"), false)]),
            ];
            assert_eq!(
                counts,
                [2, refused, LINES - 2 - refused],
                "{case}: {entries:?}"
            );

            let before = sim.calls().len();
            let again = batch(&sandbox, concurrency);
            assert_eq!(again.code, 0, "{case}: {}", again.err);
            assert_eq!(sim.calls().len(), before, "{case}: nothing is sent again");
            let sorted = |text: &str| {
                let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines.sort_unstable();
                lines
            };
            assert_eq!(sorted(&again.out), sorted(&run.out), "{case}");
        }
    }
}

/// A failure that says nothing about the form must not lead to a payment in the other form.
#[test]
fn other_failures_never_lead_to_the_current_form() {
    let page = Fault::Reply {
        status: 404,
        body: "<html>404 Not Found</html>".to_owned(),
        content_type: None,
        accepted: false,
    };
    let named = |name: &str| {
        let scenario = Scenario::named(name).unwrap();
        (name.to_owned(), scenario)
    };
    // Each row has the scenario, and the exit code of the batch.
    let table = [
        (named("old-form-404-page"), 3),
        (named("old-form-404-of-a-model"), 3),
        (
            (
                "every one a page".to_owned(),
                old_form("pages").fault("generate", 1.., page),
            ),
            3,
        ),
        (
            (
                "lost replies".to_owned(),
                old_form("lost").fault("generate", 1.., Fault::Drop),
            ),
            4,
        ),
        (
            (
                "lost requests".to_owned(),
                old_form("lost").fault("generate", 1.., Fault::DropBeforeReading),
            ),
            4,
        ),
    ];
    for ((case, scenario), code) in table {
        for concurrency in ["1", "4"] {
            let sandbox = sandbox(scenario.clone());
            let first = batch(&sandbox, concurrency);
            assert_eq!(first.code, code, "{case}: {}", first.err);
            // Even a second run of the batch does not lead to the other form.
            batch(&sandbox, concurrency);
            let sim = sandbox.sim();
            assert_eq!(asked(sim).1, 0, "{case}\n{}", sim.report());
            let paid = paid(sim);
            assert!(paid.values().all(|times| *times == 1), "{case}: {paid:?}");
        }
    }
}

/// The first reply is lost, and then the old form is gone. The first video stays unknown, and the others are made.
#[test]
fn an_unknown_outcome_is_not_sent_in_the_other_form() {
    for (way, fault) in ways() {
        let scenario = old_form("lost-and-gone")
            .fault("generate", 1..=1, Fault::Drop)
            .fault("generate", 2.., fault);
        let sandbox = sandbox(scenario);
        for _ in 0..2 {
            let run = batch(&sandbox, "1");
            assert_eq!(run.code, 4, "{way}: {}", run.err);
        }
        let sim = sandbox.sim();
        let paid = paid(sim);
        assert!(
            paid.len() == LINES && paid.values().all(|times| *times == 1),
            "{way}: {paid:?}\n{}",
            sim.report()
        );
        let unknown: Vec<_> = entries(&sandbox)
            .iter()
            .filter(|entry| entry.unknown().is_some())
            .map(|entry| attempts(entry).len())
            .collect();
        assert_eq!(unknown, [1], "{way}");
    }
}

/// The records disappear with the old form, so the state of open jobs is unknown. No job is paid for again.
#[test]
fn jobs_whose_records_are_gone_are_not_sent_again() {
    let is_gone = |status| {
        let scenario = old_form("gone-with-its-records");
        let scenario = scenario.fault("generate", 4.., Fault::status(status));
        scenario.fault("record_info", 2.., Fault::status(status))
    };
    for status in [404, 405, 410] {
        let sandbox = sandbox(is_gone(status));
        let command = ["generate", "--batch", "jobs.jsonl", "--provider", "kie"];
        let command = [&command[..], &["--timeout", "1s", "--retry-failed"]].concat();
        for _ in 0..2 {
            let run = sandbox.run(&command);
            assert_eq!(run.code, 5, "HTTP {status}: {}", run.err);
        }
        let paid = paid(sandbox.sim());
        assert!(
            paid.len() == LINES && paid.values().all(|times| *times == 1),
            "HTTP {status}: {paid:?}\n{}",
            sandbox.sim().report()
        );
        let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
        let count = |state: &str| listed.iter().filter(|job| job["state"] == state).count();
        assert_eq!((count("done"), count("accepted")), (LINES - 2, 2));
    }
}

/// A batch that is killed during a request in the current form does not know its outcome.
#[test]
fn a_line_killed_in_the_current_form_is_unknown() {
    let (arrived, arrival) = channel();
    let arrived = Mutex::new(arrived);
    let server = Server::start(move |line, _| {
        if line.contains("createTask") {
            arrived.lock().unwrap().send(()).unwrap();
            loop {
                thread::park();
            }
        }
        Some(refused(404, "Not Found"))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", r#"{"prompt": "A dog"}"#);
    let command = ["generate", "--batch", "jobs.jsonl"];
    let program = sandbox.start(&command);
    arrival.recv().unwrap();
    program.kill();
    for _ in 0..2 {
        let run = sandbox.run(&command);
        assert_eq!(run.code, 4, "{}", run.err);
    }
    let entries = entries(&sandbox);
    let found: Vec<_> = entries.iter().map(attempts).collect();
    assert_eq!(found, [[(None, true), (Some("jobs"), false)]]);
    assert_eq!(
        (server.count("generate"), server.count("createTask")),
        (1, 1)
    );
}

#[test]
fn each_command_accepts_a_job_of_the_current_form() {
    let sandbox = Sandbox::with_sim().with("KIE_FORM", "current");
    let run = sandbox.run(&["generate", "A dog", "--provider", "kie", "--no-wait"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let job = format!("kie+jobs:{}", sandbox.last_task());
    assert!(run.out.contains(&job), "{}", run.out);
    let large = format!("{job}:1080p");
    // The job continues whatever the form for new videos is.
    let sandbox = sandbox.with("KIE_FORM", "old");
    let ok = |arguments: &[&str]| {
        let run = sandbox.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
        run.out
    };
    assert_eq!(ok(&["status", &job]).lines().next(), Some("pending"));
    ok(&["wait", &job, "-o", "dog.mp4"]);
    assert!(ok(&["status", &job]).starts_with("finished"));
    ok(&["download", &job, "-o", "again.mp4"]);
    let (dog, again) = (sandbox.path("dog.mp4"), sandbox.path("again.mp4"));
    assert_eq!(std::fs::read(dog).unwrap(), std::fs::read(again).unwrap());

    assert_eq!(sandbox.paid(), 1);
    for _ in 0..2 {
        ok(&[
            "upgrade",
            &job,
            "--resolution",
            "1080p",
            "-o",
            "large.mp4",
            "--force",
        ]);
        assert_eq!(sandbox.paid(), 2, "{}", sandbox.sim().report());
    }
    ok(&["wait", &large]);
    ok(&["download", &large, "-o", "large-again.mp4"]);
    assert_eq!(ok(&["status", &large]).trim(), "done");
    let listed = sandbox.listed(&[]);
    let mut jobs: Vec<_> = listed
        .iter()
        .map(|listed| {
            (
                listed["job"].as_str().unwrap(),
                listed["state"].as_str().unwrap(),
            )
        })
        .collect();
    jobs.sort_unstable();
    assert_eq!(jobs, [(job.as_str(), "done"), (large.as_str(), "done")]);
    assert_eq!(sandbox.paid(), 2, "{}", sandbox.sim().report());
}

/// The record of a task of the current form.
fn record(task: &str, state: &str) -> String {
    let result = match state {
        "success" => json!({ "resultUrls": [VIDEO] }).to_string(),
        _ => String::new(),
    };
    let data = json!({ "taskId": task, "state": state, "resultJson": result });
    json!({ "code": 200, "msg": "success", "data": data }).to_string()
}

const UPGRADE: [&str; 6] = [
    "upgrade",
    "kie+jobs:t1",
    "--resolution",
    "4k",
    "--timeout",
    "8s",
];
const LARGE: &str = "kie+jobs:t1:4k";

/// The program is killed before the reply. Then the outcome of the upgrade is unknown, and no command sends it again.
/// Once a person has found its task, the program asks about that task.
#[test]
fn an_upgrade_killed_before_its_reply_is_not_sent_again() {
    let (arrived, arrival) = channel();
    let arrived = Mutex::new(arrived);
    let server = Server::start(move |line, _| {
        if line.contains("POST") {
            arrived.lock().unwrap().send(()).unwrap();
            loop {
                thread::park();
            }
        }
        Some(record(task(line), "success"))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let program = sandbox.start(&UPGRADE);
    arrival.recv().unwrap();
    program.kill();
    for command in [
        &UPGRADE[..],
        &["wait", LARGE],
        &["wait"],
        &["download", LARGE],
        &["status", LARGE],
    ] {
        sandbox.run(command);
        assert_eq!(sandbox.listed(&[])[0]["state"], "unknown", "{command:?}");
        assert_eq!(server.count("POST"), 1, "{command:?}");
    }
    assert_eq!(sandbox.run(&UPGRADE).code, 4);
    let settled = sandbox.run(&["settle", LARGE, "--job", "kie+jobs:large"]);
    assert_eq!(settled.code, 0, "{}", settled.err);
    let run = sandbox.run(&["wait", LARGE, "-o", "large.mp4"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.count("POST"), 1);
    assert!(server.count("taskId=large") > 0);
}

/// The program is killed again and again while it waits for the task of the upgrade.
#[test]
fn an_upgrade_killed_after_its_reply_is_continued() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |line, _| {
        if line.contains("POST") {
            return Some(accepted("large"));
        }
        let is_done = asked.fetch_add(1, Ordering::Relaxed) > 5;
        let state = if is_done { "success" } else { "waiting" };
        Some(record(task(line), state))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    for command in [&UPGRADE[..], &["wait", LARGE], &["wait"], &UPGRADE[..]] {
        let mut program = sandbox.start(command);
        program.until("Waiting");
        program.kill();
        assert_eq!(sandbox.listed(&[])[0]["job"], LARGE, "{command:?}");
    }
    let run = sandbox.run(&["wait", LARGE, "-o", "large.mp4"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.count("POST"), 1);
    assert_eq!(
        server.count("taskId=t1 "),
        0,
        "the program asked about the smaller video"
    );
}

/// The simulator loses the reply to an upgrade of either size.
#[test]
fn an_upgrade_whose_reply_was_lost_is_paid_once() {
    for size in ["1080p", "4k"] {
        let sandbox = Sandbox::with_sim()
            .with("KIE_API_KEY", "lost-upgrade")
            .with("KIE_FORM", "current");
        let run = sandbox.run(&["generate", "A dog", "--provider", "kie", "--duration", "4"]);
        assert_eq!(run.code, 0, "{}", run.err);
        let job = format!("kie+jobs:{}", sandbox.last_task());
        let large = format!("{job}:{size}");
        let upgrade = ["upgrade", &job, "--resolution", size, "-o", "large.mp4"];
        for _ in 0..3 {
            let run = sandbox.run(&upgrade);
            assert_eq!(run.code, 4, "{}", run.err);
            // The advice is another command, since this one could not find the outcome.
            let next = format!("veo settle {large} --job");
            assert!(run.err.contains(&next), "{}", run.err);
        }
        let sim = sandbox.sim();
        assert_eq!(sim.charges().len(), 2, "{}", sim.report());
        let own = format!("kie+jobs:{}", sandbox.last_task());
        // The smaller video is not the upgrade.
        let wrong = sandbox.run(&["settle", &large, "--job", &job]);
        assert_ne!(wrong.code, 0);
        let settled = sandbox.run(&["settle", &large, "--job", &own]);
        assert_eq!(settled.code, 0, "{}", settled.err);
        // The advice names the upgrade and not its task, since only the upgrade leads to the file.
        let next = format!("veo wait {large}\n");
        assert!(settled.err.ends_with(&next), "{}", settled.err);
        let run = sandbox.run(&upgrade);
        assert_eq!(run.code, 0, "{}", run.err);
        assert_eq!(sim.charges().len(), 2, "{}", sim.report());
    }
}

/// kie.ai charges nothing for an upgrade that it refuses for now, and the same command makes the call again.
#[test]
fn a_passing_refusal_of_an_upgrade_leaves_it_wanted() {
    for (form, operation) in [("old", "get_1080p_video"), ("current", "create_task")] {
        let sandbox = Sandbox::with_sim().with("KIE_FORM", form);
        let run = sandbox.run(&["generate", "A dog", "--provider", "kie", "--duration", "4"]);
        assert_eq!(run.code, 0, "{}", run.err);
        let (sim, job) = (sandbox.sim(), &sandbox.listed(&[])[0]["job"]);
        sim.fault(operation, 1.., Fault::status(429)).unwrap();
        let job = job.as_str().unwrap();
        let upgrade = ["upgrade", job, "--resolution", "1080p", "--timeout", "1s"];
        for times in [1, 2] {
            let run = sandbox.run(&upgrade);
            assert_eq!(run.code, 3, "{form}: {}", run.err);
            let calls = sim.calls();
            let refused = calls.iter().filter(|call| call.status == Some(429)).count();
            assert!(refused >= times, "{form}\n{}", sim.report());
        }
        assert_eq!(sim.charges().len(), 1, "{form}\n{}", sim.report());
        let states: Vec<_> = sandbox
            .listed(&[])
            .iter()
            .map(|it| it["state"].clone())
            .collect();
        assert_eq!(states, ["done", "wanted"], "{form}");
    }
}

/// Each warning is printed once, before or after the request.
#[test]
fn the_warnings_of_the_used_form_are_printed_once() {
    let warning = "tier: kie.ai's current form has no word for the tier of an extension";
    // Each row says whether the old form is gone, which form is set, and how often the warning is printed.
    let table = [(false, "auto", 0), (true, "auto", 1), (false, "current", 1)];
    for (is_gone, form, times) in table {
        let server = Server::start(move |line, _| {
            Some(if !line.starts_with("POST") {
                server::record("t1", 1, VIDEO)
            } else if is_gone && line.contains("/veo/extend") {
                server::whole("404 Not Found", "", &refused(404, "Not Found"))
            } else {
                accepted("t2")
            })
        });
        let sandbox = Sandbox::new()
            .at("kie", server.url())
            .with("KIE_FORM", form);
        let run = sandbox.run(&["extend", "kie:t1", "It runs", "--no-wait"]);
        assert_eq!(run.code, 0, "{}", run.err);
        let printed = run.err.matches(warning).count();
        assert_eq!(printed, times, "{is_gone} {form}: {}", run.err);
    }
}
