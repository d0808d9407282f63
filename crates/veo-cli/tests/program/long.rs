//! Jobs whose task ids are very long.

use crate::sandbox::{Sandbox, files_in};
use crate::server::{Server, VIDEO, accepted, prompt, record};

/// The longest line of the output and the longest line of a ledger, in bytes.
const SHOWN: usize = 1 << 10;
const STORED: usize = 64 << 10;

#[test]
fn all_commands_work_with_a_long_id() {
    let id = "t".repeat(330);
    let job = format!("kie:{id}");
    let server = Server::start(move |_, body| {
        Some(match prompt(body) {
            Some(_) => accepted(&id),
            None => record(&id, 1, VIDEO),
        })
    });
    let table: [&[&str]; 8] = [
        &["generate", "A dog", "-o", "dog.mp4"],
        &["generate", "A cat", "-o", "cat.mp4", "--no-wait"],
        &["wait", &job],
        &["wait", &job, "-o", "again.mp4"],
        &["status", &job],
        &["download", &job, "-o", "once-more.mp4"],
        &["generate", "A fox", "-o", "fox.mp4"],
        &["jobs"],
    ];
    let sandbox = Sandbox::new().at("kie", server.url());
    for command in table {
        let run = sandbox.run(command);
        assert_eq!(run.code, 0, "{command:?}: {}", run.err);
    }
    // The columns begin at the same place in each line, and no line is broken.
    let shown = sandbox.run(&["jobs"]).out;
    let titles = shown.lines().next().unwrap();
    let video = titles.find("VIDEO").unwrap();
    assert_eq!(shown.lines().count(), 4, "{shown}");
    for line in shown.lines().skip(1) {
        let job = line.find("kie:t").unwrap();
        let space = line[job..].find(' ').unwrap();
        assert_eq!(space, 334, "{shown}");
        assert_eq!(job + space + 2, video, "{shown}");
    }
    // A file that is named after the job gets a shorter name.
    let elsewhere = Sandbox::new().at("kie", server.url());
    let run = elsewhere.run(&["download", &job]);
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn a_too_long_task_id_makes_a_short_unknown_entry() {
    let id = "t".repeat(1 << 20);
    let server = Server::start(move |line, body| {
        let is_kie = line.contains("/api/v1/");
        Some(match prompt(body) {
            Some(prompt) if prompt == "First" => accepted("t1"),
            Some(_) if is_kie => accepted(&id),
            Some(_) => format!(r#"{{"id":"{id}","status":"queued"}}"#),
            None if line.contains("/get-4k") => accepted(&id),
            None => record("t1", 1, VIDEO),
        })
    });
    let upgrade = ["upgrade", "kie:t1", "--resolution", "4k"];
    let table: [(&[&str], i32, &str); 4] = [
        (&["generate", "A dog", "--provider", "kie"], 4, "unknown"),
        (&["generate", "A dog", "--provider", "uniall"], 4, "unknown"),
        (&["extend", "kie:t1", "more"], 4, "unknown"),
        (&upgrade, 4, "unknown"),
    ];
    for (command, code, state) in table {
        let sandbox = Sandbox::new()
            .at("kie", server.url())
            .at("uniall", server.url());
        let first = ["generate", "First", "--provider", "kie", "--duration", "4"];
        assert_eq!(sandbox.run(&first).code, 0);
        let timeout = ["--timeout", "3s"];
        let run = sandbox.run(&[command, &timeout].concat());
        assert_eq!(run.code, code, "{command:?}: {}", run.err);
        let listed = sandbox.listed(&[]).pop().unwrap();
        assert_eq!(listed["state"], state, "{command:?}");

        let further = [["jobs"].as_slice(), &["wait", "--timeout", "1s"]];
        let mut shown = run.out + &run.err;
        for command in further {
            let run = sandbox.run(command);
            shown += &(run.out + &run.err);
        }
        check_lines(command, shown.as_bytes(), SHOWN);
        for ledger in files_in(&sandbox.state()).values() {
            check_lines(command, ledger, STORED);
        }
    }
}

fn check_lines(command: &[&str], text: &[u8], longest: usize) {
    for line in text.split(|byte| *byte == b'\n') {
        let start = String::from_utf8_lossy(&line[..line.len().min(200)]);
        let length = line.len();
        assert!(length <= longest, "{command:?}: {length} bytes: {start}");
    }
}
