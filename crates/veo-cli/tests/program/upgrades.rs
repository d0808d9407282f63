//! Upgrades in kie.ai's old form. Each paid call is in the ledger before it is sent, and no call is made without need.

use std::sync::{Arc, Mutex};

use crate::sandbox::{Sandbox, files_in};
use crate::server::{Server, VIDEO, accepted, prompt, record, refused, task};

/// The exit code of a saved upgrade. The server has only one video, which is smaller than requested.
const SAVED: i32 = 6;

/// The requests that a provider has received.
#[derive(Default)]
struct Counts {
    /// The number of calls for an upgrade.
    calls: usize,
    /// The number of questions about the task of the upgrade.
    questions: usize,
}

/// A provider that has made the job t1. `call` answers the calls for an upgrade, and `state` the questions about
/// its task. Both get the number of the request, from 1 on.
fn provider(
    call: impl Fn(usize) -> Option<String> + Send + Sync + 'static,
    state: impl Fn(usize) -> String + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Counts>>) {
    let counts = Arc::<Mutex<Counts>>::default();
    let server_counts = counts.clone();
    let server = Server::start(move |line, body| {
        if prompt(body).is_some() {
            return Some(accepted("t1"));
        }
        let mut counts = server_counts.lock().unwrap();
        if line.contains("/get-") {
            counts.calls += 1;
            return call(counts.calls);
        }
        if task(line) == "t1" {
            return Some(made("t1", "720p"));
        }
        counts.questions += 1;
        Some(state(counts.questions))
    });
    (server, counts)
}

fn made(task: &str, resolution: &str) -> String {
    record(task, 1, VIDEO).replace(
        r#""resultUrls""#,
        &format!(r#""resolution":"{resolution}","resultUrls""#),
    )
}

/// The replies to a call for 4K: accepted as this task, not ready, and done.
fn upgrade_accepted(task: &str) -> String {
    format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"{task}","resultUrls":null}}}}"#)
}

fn not_yet(task: &str) -> String {
    let data = format!(r#"{{"taskId":"{task}","resultUrls":null}}"#);
    let words = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.";
    format!(r#"{{"code":422,"msg":"{words}","data":{data}}}"#)
}

fn done(task: &str) -> String {
    let data = format!(r#"{{"taskId":"{task}","resultUrls":["{VIDEO}"]}}"#);
    format!(r#"{{"code":422,"msg":"The video has been generated successfully","data":{data}}}"#)
}

fn larger() -> String {
    format!(r#"{{"code":200,"msg":"success","data":{{"resultUrl":"{VIDEO}"}}}}"#)
}

const NOT_READY: &str =
    "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.";

/// Returns a sandbox in which the job t1 is done.
fn sandbox(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new().at("kie", server.url());
    let run = sandbox.run(&["generate", "A dog", "--duration", "4"]);
    assert_eq!(run.code, 0, "{}", run.err);
    sandbox
}

fn upgrade(size: &str) -> [&str; 6] {
    ["upgrade", "kie:t1", "--resolution", size, "--timeout", "8s"]
}

/// Only another call can return the task of the upgrade, and it is made once.
#[test]
fn a_lost_reply_to_a_call_for_4k_is_followed_by_one_more_call() {
    let call = |number| (number > 1).then(|| not_yet("t1-4k"));
    let (server, counts) = provider(call, |number| {
        if number > 2 {
            made("t1-4k", "4k")
        } else {
            record("t1-4k", 0, "")
        }
    });
    let sandbox = sandbox(&server);
    let run = sandbox.run(&upgrade("4k"));
    let counts = counts.lock().unwrap();
    assert!(
        run.code == SAVED && counts.calls == 2 && counts.questions >= 3,
        "{}, {} calls, {} questions: {}",
        run.code,
        counts.calls,
        counts.questions,
        run.err
    );
}

#[test]
fn a_lost_reply_for_1080p_is_unknown_and_not_repeated() {
    let (server, counts) = provider(
        |number| (number > 1).then(larger),
        |_| record("none", 0, ""),
    );
    let sandbox = sandbox(&server);
    let run = sandbox.run(&upgrade("1080p"));
    assert_eq!(
        (run.code, counts.lock().unwrap().calls),
        (4, 1),
        "{}",
        run.err
    );
    // There is no job to wait for, so `veo wait` makes no call.
    sandbox.run(&["wait"]);
    assert_eq!(counts.lock().unwrap().calls, 1);
    assert!(
        sandbox
            .listed(&[])
            .iter()
            .any(|job| job["state"] == "unknown")
    );
}

#[test]
fn the_progress_of_an_upgrade_is_asked_as_documented() {
    // For 4K, the program asks about the task of the upgrade. For 1080p, only the call itself returns the progress.
    for (size, calls) in [("4k", 1), ("1080p", 9)] {
        let call = move |number| {
            Some(match (size, number) {
                ("4k", 1) => upgrade_accepted("t1-4k"),
                ("4k", 9..) => done("t1-4k"),
                ("4k", _) => not_yet("t1-4k"),
                (_, 9..) => larger(),
                _ => refused(400, NOT_READY),
            })
        };
        let state = |number| {
            if number > 8 {
                made("t1-4k", "4k")
            } else {
                record("t1-4k", 0, "")
            }
        };
        let (server, counts) = provider(call, state);
        let run = sandbox(&server).run(&upgrade(size));
        assert_eq!(
            (run.code, counts.lock().unwrap().calls),
            (SAVED, calls),
            "{size}: {}",
            run.err
        );
    }
}

/// Then the upgrade has the task of the smaller video, which is finished already.
#[test]
fn a_4k_upgrade_with_the_id_of_its_video_ends_in_4k() {
    let call = |number| {
        Some(if number == 1 {
            upgrade_accepted("t1")
        } else if number < 4 {
            not_yet("t1")
        } else {
            done("t1")
        })
    };
    let (server, counts) = provider(call, |_| record("none", 0, ""));
    let run = sandbox(&server).run(&upgrade("4k"));
    let calls = counts.lock().unwrap().calls;
    assert!(
        run.code != 0 || calls >= 4,
        "the smaller video was reported as 4K after {calls} calls: {}",
        run.err
    );
}

/// The video is smaller than requested, so the command that waits begins the upgrade.
#[test]
fn an_automatic_upgrade_is_in_the_ledger_before_its_call() {
    for start in [
        &["generate", "A particular dog", "--resolution", "1080p"][..],
        &["wait"],
    ] {
        let sandbox = Sandbox::new();
        let state = sandbox.state();
        // The ledger at each question about the job, and at the call for the upgrade.
        let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let server_seen = seen.clone();
        let server = Server::start(move |line, body| {
            if prompt(body).is_some() {
                return Some(accepted("t1"));
            }
            let files = files_in(&state).into_values();
            let ledger = files
                .filter(|bytes| String::from_utf8_lossy(bytes).contains("A particular dog"))
                .collect::<Vec<_>>();
            let mut seen = server_seen.lock().unwrap();
            if line.contains("/get-1080p-video") {
                seen.1.push(ledger);
                return Some(larger());
            }
            seen.0.push(ledger);
            Some(made("t1", "720p"))
        });
        let sandbox = sandbox.at("kie", server.url());
        if start == ["wait"] {
            sandbox.run(&[
                "generate",
                "A particular dog",
                "--resolution",
                "1080p",
                "--no-wait",
            ]);
        }
        let run = sandbox.run(start);
        let (asked, called) = &*seen.lock().unwrap();
        assert!(
            !called.is_empty(),
            "{start:?}: no call for an upgrade was made: {}",
            run.err
        );
        // The files are only compared, since the test does not depend on their format.
        assert!(
            asked.last() != called.first(),
            "{start:?}: the call was made before it was in the ledger"
        );
    }
}

#[test]
fn an_upgrade_is_reported_as_accepted_before_the_wait() {
    let (server, _) = provider(
        |number| {
            Some(if number == 1 {
                upgrade_accepted("t1-4k")
            } else {
                done("t1-4k")
            })
        },
        |_| made("t1-4k", "4k"),
    );
    let sandbox = sandbox(&server);
    let run = sandbox.run(&upgrade("4k"));
    let at = |words: &str| run.err.find(words).unwrap_or_else(|| panic!("{}", run.err));
    assert!(at("Accepted as kie:t1:4k") < at("Waiting"), "{}", run.err);
}
