//! Ctrl-C at the worst moments.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::sandbox::{Sandbox, lines};
use crate::server::{Server, accepted, record};

const NOTE: &str = "Ctrl-C again gives up";

/// A server that tells when it has a paid request, and takes it when it is told to.
fn hesitant() -> (Server, std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (arrived, arrival) = channel();
    let (release, released) = channel();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let server = Server::start(move |line, _| {
        if !line.contains("/veo/generate") {
            return Some(record("t1", 0, ""));
        }
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        Some(accepted("t1"))
    });
    (server, arrival, release)
}

#[test]
fn while_waiting_it_ends_and_says_how_to_go_on() {
    let server = Server::start(|line, _| {
        Some(if line.contains("/veo/generate") { accepted("t1") } else { record("t1", 0, "") })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut program = sandbox.start(&["generate", "A dog"]);
    program.until("Making the video");
    program.interrupt();
    let run = program.end();
    assert_eq!((run.code, run.out.as_str()), (130, ""), "{}", run.err);
    let wanted = "error: kie:t1: interrupted; the job goes on\n  Wait for it again with: veo wait kie:t1\n";
    assert!(run.err.ends_with(wanted), "{}", run.err);
    assert_eq!(sandbox.listed(&[])[0]["state"], "accepted");
}

#[test]
fn while_sending_it_waits_for_the_outcome() {
    let (server, arrival, release) = hesitant();
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut program = sandbox.start(&["generate", "A dog"]);
    arrival.recv().unwrap();
    program.interrupt();
    program.until(NOTE);
    release.send(()).unwrap();
    let run = program.end();
    assert!(run.code == 130 && run.err.contains("veo wait kie:t1"), "{} {}", run.code, run.err);
    assert_eq!((server.count("POST"), sandbox.listed(&[])[0]["job"].as_str()), (1, Some("kie:t1")));
}

#[test]
fn twice_while_sending_it_gives_up_and_keeps_that_nobody_knows() {
    let (server, arrival, _release) = hesitant();
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut program = sandbox.start(&["generate", "A dog"]);
    arrival.recv().unwrap();
    program.interrupt();
    program.until(NOTE);
    program.interrupt();
    let run = program.end();
    assert!(run.code == 4 && run.err.contains("It may have been charged"), "{} {}", run.code, run.err);
    assert_eq!((server.count("POST"), sandbox.listed(&[])[0]["state"].as_str()), (1, Some("unknown")));
    assert_eq!(lines(&sandbox.store()).last().unwrap()["event"], "unknown");
}

#[test]
fn a_batch_starts_nothing_new_and_goes_on_later() {
    let open = Arc::new(Mutex::new(true));
    let is_open = open.clone();
    let server = Server::start(move |line, body| {
        let name = ["one", "two", "three", "four"].into_iter().find(|name| body.contains(name));
        if let Some(name) = name {
            return Some(accepted(name));
        }
        // Jobs go on until they are told to fail.
        Some(record("t", if *is_open.lock().unwrap() { 0 } else { 3 }, line))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let requests = ["one", "two", "three", "four"].map(|name| format!("{{\"prompt\":\"{name}\"}}"));
    sandbox.write("jobs.jsonl", &requests.join("\n"));
    let command = ["generate", "--batch", "jobs.jsonl", "--concurrency", "2"];
    let mut program = sandbox.start(&command);
    program.until("line 1: Making the video");
    program.until("line 2: Making the video");
    program.interrupt();
    let run = program.end();
    assert_eq!(run.code, 130, "{}", run.err);
    assert!(run.err.contains("line 3: interrupted; nothing was sent"), "{}", run.err);
    assert_eq!(server.count("POST"), 2);

    *open.lock().unwrap() = false;
    let run = sandbox.run(&command);
    assert_eq!((run.code, server.count("POST")), (1, 4), "{}", run.err);
    assert!(run.err.contains("0 of 4 lines done, 4 failed"), "{}", run.err);
}
