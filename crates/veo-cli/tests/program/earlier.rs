//! Records as the program wrote them before it had ledgers.

use std::fs;
use std::path::Path;

use crate::sandbox::Sandbox;
use crate::server::{Server, accepted, record};

/// Writes an earlier ledger as if the program had written it on this machine.
fn write(sandbox: &Sandbox, path: &Path, ledger: &str, origin: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let work = sandbox.path("").display().to_string();
    let ledger = ledger
        .replace("{work}", work.trim_end_matches('/'))
        .replace("{origin}", origin);
    fs::write(path, ledger).unwrap();
}

fn server() -> Server {
    Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("new")
        } else {
            record("t", 0, "")
        })
    })
}

#[test]
fn jobs_of_an_earlier_ledger_are_listed_and_continued() {
    let server = server();
    let sandbox = Sandbox::new().at("kie", server.url());
    write(
        &sandbox,
        &sandbox.store(),
        include_str!("earlier/jobs.jsonl"),
        server.url(),
    );
    let shown: Vec<_> = sandbox
        .listed(&[])
        .iter()
        .map(|job| {
            ["state", "output", "prompt"]
                .map(|field| job[field].as_str().unwrap().to_owned())
                .join(" ")
        })
        .collect();
    let wanted = [
        "done a.mp4 A dog",
        "accepted video.mp4 A cat",
        "rejected fox.mp4 A fox",
        "unknown cow.mp4 A cow",
        "done a-1080p.mp4 A dog",
    ];
    assert_eq!(shown, wanted);
    // The earlier ledger is kept.
    assert!(sandbox.store().with_extension("jsonl.earlier").exists());

    let run = sandbox.run(&["wait", "--timeout", "1s"]);
    let cat = sandbox.listed(&[])[1]["job"].as_str().unwrap().to_owned();
    assert!(
        run.code == 5 && run.err.starts_with(&format!("The latest is {cat}\n")),
        "{} {}",
        run.code,
        run.err
    );
    // An upgrade that was paid for is not paid for again.
    let dog = sandbox.listed(&[])[0]["job"].as_str().unwrap().to_owned();
    let run = sandbox.run(&["wait", &format!("{dog}:1080p"), "--timeout", "1s"]);
    assert_eq!(run.code, 5, "{}", run.err);
    assert_eq!(sandbox.run(&["generate", "A bird", "--no-wait"]).code, 0);
    assert_eq!(server.count("POST"), 1);
}

/// The lines of an earlier batch are recognised by their requests.
#[test]
fn an_earlier_batch_is_not_paid_for_again() {
    let server = server();
    let sandbox = Sandbox::new().at("kie", server.url());
    let earlier = include_str!("earlier/jobs.jsonl.ledger");
    let ledger = sandbox.path("jobs.jsonl.ledger");
    write(&sandbox, &ledger, earlier, server.url());
    let lines = [
        "{\"prompt\":\"One\"}\n",
        "{\"prompt\":\"Two\",\"output\":\"two.mp4\"}\n",
        "{\"prompt\":\"One\"}\n",
    ];
    sandbox.write("jobs.jsonl", &lines.concat());
    // `settle` does not read the batch, so it cannot convert the ledger.
    let run = sandbox.run(&["settle", "0123", "--not-taken", "--batch", "jobs.jsonl"]);
    assert!(
        run.code == 2 && run.err.contains("is a ledger of an earlier version"),
        "{}",
        run.err
    );
    let batch = ["generate", "--batch", "jobs.jsonl", "--force"];
    let run = sandbox.run(&batch);
    assert_eq!(
        (run.code, run.out.lines().count(), server.count("POST")),
        (0, 3, 0),
        "{}",
        run.err
    );
    // A third line with the same request is another video.
    sandbox.write("jobs.jsonl", &[&lines.concat(), lines[0]].concat());
    let run = sandbox.run(&[&batch, ["--timeout", "1s"].as_slice()].concat());
    assert_eq!((run.code, server.count("POST")), (5, 1), "{}", run.err);

    // A ledger with an unknown part is refused, and nothing is guessed.
    for damaged in [
        earlier.replacen("\"intent\"", "\"intend\"", 1),
        earlier.replacen("\"prompt\":\"One\"", "\"prompt\":7", 1),
    ] {
        write(&sandbox, &ledger, &damaged, server.url());
        let run = sandbox.run(&batch);
        assert!(
            run.code == 2 && run.err.contains("is not understood"),
            "{} {}",
            run.code,
            run.err
        );
        assert!(
            fs::read_to_string(&ledger).unwrap().starts_with("{\"id\":"),
            "the earlier ledger stays unchanged"
        );
    }
    assert_eq!(server.count("POST"), 1);
}
