//! The cap on the cost of a batch holds for every value of the option, and for every cost that a provider reports.

use std::sync::{Arc, Mutex};

use crate::sandbox::Sandbox;
use crate::server::{Server, VIDEO, accepted, prompt, record, task};

const LINES: usize = 8;

/// A provider whose balance falls by `price` for each request. It reports the cost `reported` for a job, or none.
fn provider(price: i64, reported: &'static str) -> (Server, Arc<Mutex<usize>>) {
    let sent = Arc::new(Mutex::new(0));
    let count = sent.clone();
    let server = Server::start(move |line, body| {
        if line.contains("/chat/credit") {
            let left = 1000 - price * i64::try_from(*count.lock().unwrap()).unwrap();
            return Some(format!(r#"{{"code":200,"msg":"success","data":{left}}}"#));
        }
        if prompt(body).is_none() {
            let cost = format!(r#""successFlag":1,"creditsConsumed":{reported},"#);
            return Some(record(task(line), 1, VIDEO).replace(r#""successFlag":1,"#, &cost));
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        Some(accepted(&format!("t{count}")))
    });
    (server, sent)
}

fn sandbox(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new().at("kie", server.url());
    let lines = (1..=LINES).map(|dog| format!("{{\"prompt\":\"Dog {dog}\",\"seconds\":4}}\n"));
    sandbox.write("jobs.jsonl", &lines.collect::<String>());
    sandbox
}

/// Even the question for the balance is not sent.
#[test]
fn an_invalid_cap_is_refused_before_any_request() {
    let (server, _) = provider(60, "60");
    let sandbox = sandbox(&server);
    let (files, mut wrong) = (sandbox.files(), Vec::new());
    let caps = [
        "nan", "NaN", "-nan", "inf", "Infinity", "-inf", "1e400", "-1e400", "-1", "-0", "-0.0",
        "-1e-400", "ten", "",
    ];
    for cap in caps {
        let cap = format!("--max-credits={cap}");
        let run = sandbox.run(&["generate", "--batch", "jobs.jsonl", "--timeout", "1s", &cap]);
        // The message tells a user who wants no cap to leave the option out.
        let is_infinite = cap.contains("=inf") || cap.contains("=Inf") || cap.contains("=1e400");
        let is_explained = !is_infinite || run.err.contains("leave");
        if (run.code, server.count("")) != (2, 0) || !is_explained {
            wrong.push(format!(
                "{cap}: {}, {} requests: {}",
                run.code,
                server.count(""),
                run.err.lines().last().unwrap_or_default()
            ));
        }
        sandbox.restore(&files);
        server.forget();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The reported cost and the fall of the balance can differ. The larger one counts as the cost of a job.
#[test]
fn a_wrong_cost_of_a_job_does_not_raise_the_cap() {
    // The fall of the balance for each job, the reported cost, the concurrency, and the jobs that fit into 100.
    let table = [
        (60, "0", "1", 1),
        (60, "-60", "1", 1),
        (60, "1", "1", 1),
        (60, "59.5", "1", 1),
        (60, "null", "1", 1),
        (60, "60", "1", 1),
        (1, "60", "1", 1),
        // Two jobs fit here, and the reported cost of the second job is wrong too.
        (40, "0", "1", 2),
        (40, "-40", "4", 2),
        (40, "1", "4", 2),
    ];
    let mut wrong = Vec::new();
    for (price, reported, concurrency, made) in table {
        let (server, sent) = provider(price, reported);
        let sandbox = sandbox(&server);
        let command = [
            "generate",
            "--batch",
            "jobs.jsonl",
            "--max-credits",
            "100",
            "--concurrency",
            concurrency,
        ];
        // The second run counts the cost of the first run.
        for run in 1..=2 {
            let ended = sandbox.run(&command);
            let sent = *sent.lock().unwrap();
            let summary = format!("{made} of {LINES} lines done, {} rejected", LINES - made);
            if (ended.code, sent) != (3, made) || !ended.err.contains(&summary) {
                let last = ended
                    .err
                    .lines()
                    .find(|line| line.contains("lines done"))
                    .unwrap_or(&ended.err);
                wrong.push(format!(
                    "{price}, reported {reported}, {concurrency} at a time, run {run}: {sent} sent, {}: {last}",
                    ended.code
                ));
            }
        }
    }
    println!("{} runs of {} are wrong", wrong.len(), table.len() * 2);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
