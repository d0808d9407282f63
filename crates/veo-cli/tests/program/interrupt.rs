//! Ctrl-C at the worst moments.

use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use crate::sandbox::{PICTURE, Running, Sandbox};
use crate::server::{Server, accepted, record, refused};

const NOTE: &str = "Ctrl-C again gives up";

/// A server that reports the arrival of a paid request, and accepts it when the test says so.
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

/// A signal to end and the hangup of a terminal have the same effect as Ctrl-C.
#[test]
fn a_signal_while_waiting_says_how_to_continue() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let server = Server::start(|line, _| {
            Some(if line.contains("/veo/generate") {
                accepted("t1")
            } else {
                record("t1", 0, "")
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let mut program = sandbox.start(&["generate", "A dog"]);
        program.until("Making the video");
        program.signal(signal);
        let run = program.end();
        assert_eq!(
            (run.code, run.out.as_str()),
            (130, ""),
            "{signal}: {}",
            run.err
        );
        let wanted = "error: kie:t1: interrupted; the job continues\n  Wait for it again with: veo wait kie:t1\n";
        assert!(run.err.ends_with(wanted), "{signal}: {}", run.err);
        assert_eq!(sandbox.listed(&[])[0]["state"], "accepted");
    }
}

#[test]
fn with_nohup_a_closed_terminal_does_not_end_the_program() {
    let open = Arc::new(Mutex::new(true));
    let is_open = open.clone();
    let server = Server::start(move |line, _| {
        let flag = if *is_open.lock().unwrap() { 0 } else { 3 };
        Some(if line.contains("/veo/generate") {
            accepted("t1")
        } else {
            record("t1", flag, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let veo = sandbox.command(&["generate", "A dog"]);
    let mut nohup = Command::new("nohup");
    nohup
        .arg(veo.get_program())
        .args(veo.get_args())
        .current_dir(sandbox.path(""));
    nohup
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    nohup.envs(
        veo.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    nohup
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut program = Running::start(&mut nohup);
    program.until("Making the video");
    program.signal("-HUP");
    *open.lock().unwrap() = false;
    let run = program.end();
    assert!(
        run.code == 1 && run.err.contains("the model gave up"),
        "{} {}",
        run.code,
        run.err
    );
}

/// Ctrl-C or kill -9 comes while an image is uploaded for the provider.
#[test]
fn an_end_while_uploading_sends_and_stores_nothing() {
    let (arrived, arrival) = channel();
    let (release, released) = channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let server = Server::start(move |line, _| {
        if line.contains("/veo/generate") {
            return Some(accepted("t1"));
        }
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        Some(r#"{"success":true,"code":200,"data":{"downloadUrl":"https://img.example.net/dog.png"}}"#.to_owned())
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    std::fs::write(sandbox.path("dog.png"), PICTURE).unwrap();
    sandbox.write(
        "jobs.jsonl",
        r#"{"prompt":"A dog","input":{"type":"image","image":{"file":"dog.png"}}}"#,
    );
    let single = ["generate", "A dog", "--image", "dog.png"].as_slice();
    for (command, list) in [
        (single, [].as_slice()),
        (
            &["generate", "--batch", "jobs.jsonl"],
            &["--batch", "jobs.jsonl"],
        ),
    ] {
        let program = sandbox.start(command);
        arrival.recv().unwrap();
        program.interrupt();
        let run = program.end();
        assert_eq!(run.code, 130, "{}", run.err);
        assert!(
            run.err.contains("interrupted; nothing was sent") && !run.err.contains(NOTE),
            "{}",
            run.err
        );

        let program = sandbox.start(command);
        arrival.recv().unwrap();
        program.kill();
        assert!(sandbox.listed(list).is_empty());
    }
    drop(release);
    assert_eq!(server.count("/veo/generate"), 0);
}

/// kie.ai accepts twenty requests in ten seconds, so the next one waits in the program.
#[test]
fn ctrl_c_while_waiting_for_the_limit_sends_no_more() {
    let server = Server::start(|line, _| {
        Some(if line.contains("/veo/generate") {
            accepted("t1")
        } else {
            record("t1", 0, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let requests: Vec<_> = (1..=21)
        .map(|number| format!("{{\"prompt\":\"Dog {number}\"}}"))
        .collect();
    sandbox.write("jobs.jsonl", &requests.join("\n"));
    let mut program = sandbox.start(&["generate", "--batch", "jobs.jsonl", "--concurrency", "21"]);
    for number in 1..=20 {
        program.until(&format!("line {number}: Making the video"));
    }
    program.interrupt();
    let run = program.end();
    assert_eq!(
        (run.code, server.count("/veo/generate")),
        (130, 20),
        "{}",
        run.err
    );
    assert!(
        !run.err.contains(NOTE) && run.err.contains("line 21: stopped before a paid request"),
        "{}",
        run.err
    );
    let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
    // A request that has not left has no entry, so nothing is unknown.
    assert!(
        listed.len() == 20 && listed.iter().all(|job| job["state"] == "accepted"),
        "{listed:?}"
    );
}

#[test]
fn no_other_provider_is_asked_after_ctrl_c() {
    let (arrived, arrival) = channel();
    let (release, released) = channel();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let refusing = Server::start(move |_, _| {
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        Some(refused(402, "Insufficient credits"))
    });
    let other = Server::start(|_, _| None);
    let sandbox = Sandbox::new()
        .at("kie", refusing.url())
        .at("uniall", other.url());
    let mut program = sandbox.start(&[
        "generate",
        "A dog",
        "--provider",
        "kie",
        "--provider",
        "uniall",
    ]);
    arrival.recv().unwrap();
    program.interrupt();
    program.until(NOTE);
    release.send(()).unwrap();
    let run = program.end();
    assert_eq!(
        (run.code, refusing.count("POST"), other.count("POST")),
        (130, 1, 0),
        "{}",
        run.err
    );
    assert!(run.err.contains("Insufficient credits"), "{}", run.err);
    assert_eq!(sandbox.listed(&[])[0]["state"], "rejected");
}

#[test]
fn ctrl_c_while_sending_waits_for_the_outcome() {
    let (server, arrival, release) = hesitant();
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut program = sandbox.start(&["generate", "A dog"]);
    arrival.recv().unwrap();
    program.interrupt();
    program.until(NOTE);
    release.send(()).unwrap();
    let run = program.end();
    assert!(
        run.code == 130 && run.err.contains("veo wait kie:t1"),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(
        (server.count("POST"), sandbox.listed(&[])[0]["job"].as_str()),
        (1, Some("kie:t1"))
    );
}

#[test]
fn a_second_ctrl_c_while_sending_stores_an_unknown_outcome() {
    let (server, arrival, _release) = hesitant();
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut program = sandbox.start(&["generate", "A dog"]);
    arrival.recv().unwrap();
    program.interrupt();
    program.until(NOTE);
    program.interrupt();
    let run = program.end();
    assert!(
        run.code == 4 && run.err.contains("The request may have been charged"),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(
        (
            server.count("POST"),
            sandbox.listed(&[])[0]["state"].as_str()
        ),
        (1, Some("unknown"))
    );
}

#[test]
fn a_batch_sends_no_new_line_after_ctrl_c() {
    let open = Arc::new(Mutex::new(true));
    let is_open = open.clone();
    let server = Server::start(move |line, body| {
        let name = ["one", "two", "three", "four"]
            .into_iter()
            .find(|name| body.contains(name));
        if let Some(name) = name {
            return Some(accepted(name));
        }
        // Jobs run until the test lets them fail.
        Some(record(
            "t",
            if *is_open.lock().unwrap() { 0 } else { 3 },
            line,
        ))
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
    assert!(
        run.err.contains("line 3: interrupted; nothing was sent"),
        "{}",
        run.err
    );
    assert_eq!(server.count("POST"), 2);

    *open.lock().unwrap() = false;
    let run = sandbox.run(&command);
    assert_eq!((run.code, server.count("POST")), (1, 4), "{}", run.err);
    assert!(
        run.err.contains("0 of 4 lines done, 4 failed"),
        "{}",
        run.err
    );
}
