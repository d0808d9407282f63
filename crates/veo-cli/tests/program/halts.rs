//! A fault of the account or of the network stops a whole batch. It is printed once, and the same command continues.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Mutex;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox};
use crate::server::{Server, VIDEO, accepted, prompt, record, refused, task, video_of, whole};

const LINES: usize = 8;
/// A picture of one grey pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\x0aIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82";

/// The answer to the paid request with this number, from 1 on. `None` accepts the request.
type Answer = fn(usize) -> Option<String>;

/// Returns the server, and the number of accepted requests for each prompt.
fn kie(answer: Answer) -> (Server, std::sync::Arc<Mutex<BTreeMap<String, usize>>>) {
    let counts = std::sync::Arc::new(Mutex::new(BTreeMap::new()));
    let server_counts = counts.clone();
    let arrived = Mutex::new(0);
    let server = Server::start(move |line, body| {
        let Some(prompt) = prompt(body) else {
            return Some(record(task(line), 1, &video_of(task(line))));
        };
        let mut arrived = arrived.lock().unwrap();
        *arrived += 1;
        if let Some(refusal) = answer(*arrived) {
            return Some(refusal);
        }
        *server_counts.lock().unwrap().entry(prompt).or_default() += 1;
        Some(accepted(&format!("t{arrived}")))
    });
    (server, counts)
}

fn batch(sandbox: &Sandbox, concurrency: usize, options: &[&str]) -> Run {
    let lines = (1..=LINES).map(|number| format!("{{\"prompt\":\"Dog {number}\"}}\n"));
    sandbox.write("jobs.jsonl", &lines.collect::<String>());
    let concurrency = concurrency.to_string();
    let command = [
        "generate",
        "--batch",
        "jobs.jsonl",
        "--concurrency",
        &concurrency,
    ];
    sandbox.run(&[&command, options].concat())
}

/// A refusal for too many requests, with the pause that the provider asks for.
fn busy(retry_after: &str) -> String {
    let header = format!("retry-after: {retry_after}\r\n");
    whole("200 OK", &header, &refused(429, "Too many requests"))
}

/// Checks that the end is printed once, and returns the number of lines that were not accepted.
fn not_taken(run: &Run, words: &str) -> usize {
    assert_eq!(run.err.matches(words).count(), 1, "{}", run.err);
    let (before, _) = run.err.split_once(" not accepted\n").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_fault_of_the_account_ends_the_sending() {
    let table: [(&str, usize, Answer); 6] = [
        ("You do not have access permissions", 0, |_| {
            Some(refused(401, "You do not have access permissions"))
        }),
        ("Insufficient credits", 0, |_| {
            Some(refused(402, "Insufficient credits"))
        }),
        ("Insufficient credits", 2, |number| {
            (number > 2).then(|| refused(402, "Insufficient credits"))
        }),
        ("IP not in whitelist", 0, |_| {
            Some(refused(403, "IP not in whitelist"))
        }),
        ("account banned", 2, |number| {
            (number > 2).then(|| refused(403, "account banned"))
        }),
        ("under maintenance", 0, |_| {
            Some(refused(455, "The service is under maintenance"))
        }),
    ];
    for (words, videos, answer) in table {
        for concurrency in [1, 4] {
            let (server, counts) = kie(answer);
            let sandbox = Sandbox::new().at("kie", server.url());
            let run = batch(&sandbox, concurrency, &[]);
            let context = format!("{words}, {concurrency} at a time: {}", run.err);
            assert_eq!(run.code, 3, "{context}");
            assert_eq!(not_taken(&run, words), LINES - videos, "{context}");
            assert_eq!(run.out.lines().count(), videos, "{context}");
            let sent = server.count("POST");
            assert!(
                sent <= videos + concurrency,
                "{sent} lines were sent; {context}"
            );
            assert_eq!(counts.lock().unwrap().len(), videos, "{context}");

            // Once the account is in order, the same command sends the rest.
            let (server, counts) = kie(|_| None);
            let sandbox = sandbox.at("kie", server.url());
            let run = batch(&sandbox, concurrency, &["--timeout", "20s"]);
            if videos == 0 {
                assert_eq!(run.code, 0, "{}", run.err);
                assert_eq!(counts.lock().unwrap().len(), LINES);
            }
        }
    }
}

#[test]
fn the_summary_counts_the_lines_that_were_not_accepted() {
    let (server, _) = kie(|_| Some(refused(401, "no")));
    let sandbox = Sandbox::new().at("kie", server.url());
    let run = batch(&sandbox, 1, &["--json"]);
    let events: Vec<Value> = run
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.last().unwrap()["not_taken"], LINES, "{events:?}");
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(
        (&error["kind"], &error["charged"]),
        (&"unauthorized".into(), &"no".into())
    );
}

#[test]
fn all_lines_pause_after_too_many_requests() {
    for concurrency in [1, 4] {
        let (server, counts) = kie(|number| (number <= 2).then(|| busy("2")));
        let sandbox = Sandbox::new().at("kie", server.url());
        let run = batch(&sandbox, concurrency, &[]);
        assert_eq!(run.code, 0, "{}", run.err);
        let counts = counts.lock().unwrap();
        assert!(
            counts.len() == LINES && counts.values().all(|times| *times == 1),
            "{counts:?}"
        );
        assert_eq!(server.count("POST"), LINES + 2, "{}", run.err);
    }
}

/// The provider asks for a pause, and the user allows a time.
#[test]
fn a_provider_that_stays_busy_ends_the_batch_in_time() {
    let table: [(&str, &str, Answer); 5] = [
        ("2s", "again in 1 s", |_| Some(busy("1"))),
        ("2s", "again in 3600 s, but only 2 s are left", |_| {
            Some(busy("3600"))
        }),
        ("20m", "again in 86400 s, but only 1200 s are left", |_| {
            Some(busy("86400"))
        }),
        (
            "5000000000000000h",
            "again in 18446744073709551615 s",
            |_| Some(busy("18446744073709551615")),
        ),
        ("5h", "but only 18000 s are left", |_| {
            Some(busy("Fri, 01 Jan 2100 00:00:00 GMT"))
        }),
    ];
    for (timeout, words, answer) in table {
        for concurrency in [1, 4] {
            let (server, _) = kie(answer);
            let sandbox = Sandbox::new().at("kie", server.url());
            let run = batch(&sandbox, concurrency, &["--timeout", timeout]);
            assert_eq!(run.code, 3, "{timeout}: {}", run.err);
            assert_eq!(not_taken(&run, "not accepted: "), LINES, "{}", run.err);
            assert!(run.err.contains(words), "{timeout}: {}", run.err);
        }
    }
}

/// The ledger stores the pause that the provider asked another command for.
#[test]
fn a_pause_beyond_the_timeout_ends_the_next_command_too() {
    let (server, counts) = kie(|number| (number <= 2).then(|| busy("3600")));
    let sandbox = Sandbox::new().at("kie", server.url());
    let generate = ["generate", "A dog", "--timeout", "2s"].as_slice();
    let command = ["generate", "--batch", "jobs.jsonl", "--timeout", "2s"].as_slice();
    sandbox.write("jobs.jsonl", "{\"prompt\":\"Dog\"}\n");
    for command in [generate, command] {
        assert_eq!(sandbox.run(command).code, 3);
        let run = sandbox.run(command);
        assert_eq!(run.code, 3, "{command:?}: {}", run.err);
        let words = "kie wants no request for another";
        assert!(run.err.contains(words), "{command:?}: {}", run.err);
    }
    assert_eq!(server.count("POST"), 2);
    assert!(counts.lock().unwrap().is_empty());
}

#[test]
fn a_network_failure_is_retried_and_reported_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for (concurrency, timeout, pauses) in [(1, "20m", 4), (4, "20m", 4), (4, "1s", 1)] {
        let sandbox = Sandbox::new().at("kie", &url);
        let run = batch(&sandbox, concurrency, &["--timeout", timeout]);
        assert_eq!(run.code, 3, "{}", run.err);
        assert_eq!(not_taken(&run, "not accepted: "), LINES, "{}", run.err);
        let printed = run.err.matches("all lines pause").count();
        assert_eq!(printed, pauses, "{}", run.err);
    }
}

#[test]
fn an_unusable_second_account_rejects_no_other_line() {
    let (kie, _) = kie(|number| (number == 1).then(|| refused(400, "Content rejected")));
    let uniall = Server::start(|_, _| {
        let body = r#"{"error":{"message":"no","type":"new_api_error","code":"invalid_api_key"}}"#;
        Some(whole(
            "401 Unauthorized",
            "content-type: application/json\r\n",
            body,
        ))
    });
    let sandbox = Sandbox::new()
        .at("kie", kie.url())
        .at("uniall", uniall.url());
    let run = batch(&sandbox, 1, &["--provider", "kie", "--provider", "uniall"]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert_eq!(run.out.lines().count(), LINES - 1, "{}", run.err);
}

#[test]
fn an_upload_is_tried_again() {
    let times = Mutex::new(0);
    let server = Server::start(move |line, body| {
        if line.contains("upload") {
            *times.lock().unwrap() += 1;
            if *times.lock().unwrap() <= 2 {
                return None;
            }
            let data = r#"{"fileUrl":"https://media.example.net/a.png","downloadUrl":"https://media.example.net/a.png"}"#;
            return Some(format!(
                r#"{{"success":true,"code":200,"msg":"ok","data":{data}}}"#
            ));
        }
        Some(match prompt(body) {
            Some(_) => accepted("t1"),
            None => record(task(line), 1, VIDEO),
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    std::fs::write(sandbox.path("a.png"), PNG).unwrap();
    let run = sandbox.run(&["generate", "It rains", "--image", "a.png"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(server.count("upload"), 3, "{}", run.err);
}
