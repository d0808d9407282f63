//! Tests of `-o -`, which writes the video, and nothing else, to standard output.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::thread;

use crate::sandbox::{Run, Running, Sandbox, files_in};
use crate::server::{Server, VIDEO, accepted, prompt, record, task};
use crate::terminal::Terminal;

/// Runs a command line whose standard output goes to out.mp4.
fn redirected(sandbox: &Sandbox, line: &str) -> Run {
    sandbox.run_line(&format!("{line} > out.mp4"))
}

/// The latest job, its state and its file, as `veo jobs` lists them.
fn latest(sandbox: &Sandbox) -> (String, String, Option<String>) {
    let listed = sandbox.listed(&[]).pop().unwrap();
    let text = |field: &str| listed[field].as_str().map(str::to_owned);
    (text("job").unwrap(), text("state").unwrap(), text("output"))
}

/// Checks that only out.mp4 is left, and that no ledger names `-` or a temporary file.
fn check_left(sandbox: &Sandbox, line: &str) {
    let folder = sandbox.path("");
    let names: Vec<_> = files_in(&folder).into_keys().collect();
    assert_eq!(names, [sandbox.path("out.mp4")], "{line}");
    // Temporary files would be in the home folder.
    let left = files_in(&folder.join("../home"));
    assert!(left.is_empty(), "{line}: {:?}", left.keys());
    for (path, bytes) in files_in(&sandbox.state()) {
        let text = String::from_utf8_lossy(&bytes);
        for hidden in [r#":"-""#, "/-\"", "/home/"] {
            assert!(!text.contains(hidden), "{line}, {}: {text}", path.display());
        }
    }
}

#[test]
fn only_the_video_goes_to_standard_output() {
    let table = [
        "veo generate A_dog -o -",
        "veo generate A_dog -o - -v",
        "veo generate A_dog --output=- --provider uniall",
        "veo extend JOB more -o -",
        "veo upgrade JOB --resolution 1080p -o -",
        "veo wait JOB -o -",
        "veo download JOB -o -",
    ];
    thread::scope(|scope| {
        for line in table {
            scope.spawn(|| check_line(line));
        }
    });
}

fn check_line(line: &str) {
    let sandbox = Sandbox::with_sim();
    let mut line = line.to_owned();
    if line.contains("JOB") {
        let run = redirected(&sandbox, "veo generate First --provider kie -o -");
        assert_eq!(run.code, 0, "{}", run.err);
        line = line.replace("JOB", &latest(&sandbox).0);
    }
    let run = redirected(&sandbox, &line);
    assert_eq!(run.code, 0, "{line}: {}", run.err);
    check_left(&sandbox, &line);
    let (job, state, output) = latest(&sandbox);
    assert_eq!((state.as_str(), output), ("done", None), "{line}");

    // The same video is now saved to a file, and `veo jobs` then lists this file.
    let streamed = fs::read(sandbox.path("out.mp4")).unwrap();
    let again = sandbox.run(&["wait", &job, "-o", "again.mp4"]);
    assert_eq!(again.code, 0, "{line}: {}", again.err);
    let is_same = fs::read(sandbox.path("again.mp4")).unwrap() == streamed;
    assert!(is_same, "{line}: {} bytes", streamed.len());
    let (_, _, output) = latest(&sandbox);
    assert_eq!(output.as_deref(), Some("again.mp4"), "{line}");
}

#[test]
fn a_file_that_has_the_video_stays_in_the_ledger() {
    let sandbox = Sandbox::with_sim();
    assert_eq!(sandbox.run(&["generate", "A dog", "-o", "dog.mp4"]).code, 0);
    let (job, ..) = latest(&sandbox);
    let run = redirected(&sandbox, &format!("veo download {job} -o -"));
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(latest(&sandbox).2.as_deref(), Some("dog.mp4"));
}

#[test]
fn a_receipt_of_a_video_on_standard_output_has_no_path() {
    let sandbox = Sandbox::with_sim();
    let run = redirected(&sandbox, "veo generate A_dog -o - --receipt r.json");
    assert_eq!(run.code, 0, "{}", run.err);
    let receipt = fs::read_to_string(sandbox.path("r.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(receipt["saved"]["path"], "");
    let run = sandbox.run(&["inspect", "r.json"]);
    assert!(run.out.contains("went to standard output"), "{}", run.out);
}

#[test]
fn a_file_can_be_named_with_a_dash() {
    let sandbox = Sandbox::with_sim();
    let run = sandbox.run(&["generate", "A dog", "-o", "./-"]);
    assert_eq!((run.code, run.out.as_str()), (0, "./-\n"), "{}", run.err);
    assert!(sandbox.path("-").is_file());
    let (job, _, output) = latest(&sandbox);
    assert_eq!(output.as_deref(), Some("./-"));
    let run = sandbox.run(&["wait", &job]);
    assert_eq!((run.code, run.out.as_str()), (0, "./-\n"), "{}", run.err);
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"A\",\"output\":\"./--\"}\n{\"prompt\":\"B\"}\n",
    );
    assert_eq!(sandbox.run(&["generate", "--batch", "jobs.jsonl"]).code, 0);
    assert!(sandbox.path("--").is_file());
}

#[test]
fn standard_output_is_checked_before_anything_is_sent() {
    let sandbox = Sandbox::with_sim();
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"A\"}\n{\"prompt\":\"B\",\"output\":\"-\"}\n",
    );
    let table: [(&[&str], &str); 5] = [
        (&["generate", "A", "-o", "-", "--json"], "leave out --json"),
        (&["wait", "kie:t1", "-o", "-", "--json"], "leave out --json"),
        (
            &[
                "upgrade",
                "kie:t1",
                "--resolution",
                "4k",
                "-o",
                "-",
                "--json",
            ],
            "leave out --json",
        ),
        (
            &["generate", "A", "-o", "-", "--no-wait"],
            "no video yet for standard output",
        ),
        (
            &["generate", "--batch", "jobs.jsonl"],
            "line 2: a line of a batch needs a file of its own",
        ),
    ];
    for (command, words) in table {
        let run = sandbox.run(command);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{command:?}");
        assert!(run.err.contains(words), "{command:?}: {}", run.err);
    }
    let (drawn, code) = Terminal::start(&sandbox, "veo generate A -o -").end();
    let drawn = String::from_utf8_lossy(&drawn);
    assert!(code == 2 && drawn.contains("is a terminal"), "{drawn}");
    assert_eq!(sandbox.paid(), 0);
}

/// The video is paid for, so another command can still save it.
#[test]
fn a_video_that_fails_on_standard_output_is_not_lost() {
    let full = || -> Stdio {
        let mut options = fs::OpenOptions::new();
        options.write(true).open("/dev/full").unwrap().into()
    };
    let closed = || -> Stdio {
        let (_, writer) = std::io::pipe().unwrap();
        writer.into()
    };
    for (what, stdout) in [("full", full()), ("closed", closed())] {
        let server = Server::start(|line, body| {
            Some(match prompt(body) {
                Some(_) => accepted("t1"),
                None => record(task(line), 1, VIDEO),
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let mut command = sandbox.command(&["generate", "A dog", "-o", "-"]);
        let output = command.stdout(stdout).output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{what}: {printed}");
        let next = "veo download kie:t1 -o FILE";
        assert!(printed.contains(next), "{what}: {printed}");
        assert_eq!(latest(&sandbox).1, "finished", "{what}");
        let run = sandbox.run_line(&next.replace("FILE", "dog.mp4"));
        assert_eq!(run.code, 0, "{what}: {}", run.err);
        assert_eq!(latest(&sandbox).1, "done", "{what}");
        assert_eq!(server.count("POST"), 1, "{what}");
    }
}

/// Ctrl-C ends the program even if the reader of its standard output has stopped reading.
#[test]
fn ctrl_c_ends_writing_to_standard_output() {
    let sandbox = Sandbox::with_sim();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = sandbox.command(&["generate", "A dog", "--resolution", "4k", "-o", "-"]);
    let program = Running::start(command.stdout(writer));
    drop(command);
    reader.read_exact(&mut [0]).unwrap();
    program.interrupt();
    let run = program.end();
    drop(reader);
    assert_eq!(run.code, 130, "{}", run.err);
    assert_ne!(latest(&sandbox).1, "done");
}
