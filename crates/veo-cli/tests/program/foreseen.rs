//! A fault that is visible before the payment is reported before it, and nothing is sent.

use crate::sandbox::Sandbox;
use crate::server::{Server, VIDEO, accepted, prompt, record, task};

#[test]
fn unusable_files_are_refused_before_anything_is_sent() {
    let long = "v".repeat(300) + ".mp4";
    let long_receipt = "r".repeat(300) + ".json";
    let too_long = format!("{}.jsonl", "b".repeat(225));
    let table: [(&[&str], &str); 19] = [
        (
            &["generate", "--batch", "jobs.jsonl", "--concurrency", "0"],
            "invalid value '0' for '--concurrency <N>'",
        ),
        // Only regular files can be replaced, and a name that ends with a slash is a folder.
        (
            &["generate", "A dog", "--force", "-o", "pipe"],
            "pipe is not a regular file",
        ),
        (
            &["generate", "--batch", "pipe.jsonl", "--force"],
            "pipe is not a regular file",
        ),
        (&["generate", "A dog", "-o", "new/"], "new/ is a folder"),
        (
            &["generate", "A dog", "-o", "new.mp4/."],
            "new.mp4/. is a folder",
        ),
        (&["generate", "--batch", "folder.jsonl"], "new/ is a folder"),
        // No user can make a file in this folder.
        (
            &["generate", "A dog", "-o", "/proc/v.mp4"],
            "no file can be made in the folder /proc",
        ),
        (
            &["generate", "A dog", "--receipt", "/proc/r.json"],
            "no file can be made in the folder /proc",
        ),
        (
            &[
                "generate",
                "--batch",
                "jobs.jsonl",
                "--receipts",
                "/proc/r.jsonl",
            ],
            "/proc/r.jsonl cannot be written",
        ),
        (
            &["generate", "--batch", "proc.jsonl"],
            "no file can be made in the folder /proc",
        ),
        (
            &["generate", "A dog", "-o", &long],
            "a name of 304 bytes is too long",
        ),
        (
            &["generate", "A dog", "--receipt", &long_receipt],
            "a name of 305 bytes is too long",
        ),
        (
            &["generate", "A dog", "-o", &"v".repeat(246)],
            "choose a name of up to 245 bytes with --output",
        ),
        (
            &["generate", "--batch", &too_long],
            "a name of 231 bytes is too long",
        ),
        (
            &["generate", "--batch", "link.jsonl"],
            "choose a name of up to 230 bytes with --batch",
        ),
        (
            &["generate", "--batch", "output.jsonl"],
            "choose a name of up to 245 bytes with \"output\"",
        ),
        (
            &["generate", "A dog", "--receipt", "-"],
            "a receipt goes to a file",
        ),
        (
            &[
                "upgrade",
                "kie:t1",
                "--resolution",
                "4k",
                "-o",
                "/proc/v.mp4",
            ],
            "no file can be made",
        ),
        (
            &[
                "generate",
                "A dog",
                "--provider",
                "kie",
                "--negative-prompt",
                "blur",
            ],
            "(uniall can)",
        ),
    ];
    let server = Server::start(|_, _| None);
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", "{\"prompt\":\"A dog\"}\n");
    sandbox.write(
        "proc.jsonl",
        "{\"prompt\":\"A dog\",\"output\":\"/proc/v.mp4\"}\n",
    );
    sandbox.write(
        "folder.jsonl",
        "{\"prompt\":\"A dog\",\"output\":\"new/\"}\n",
    );
    sandbox.write("pipe.jsonl", "{\"prompt\":\"A dog\",\"output\":\"pipe\"}\n");
    sandbox.write(&too_long, "{\"prompt\":\"A dog\"}\n");
    let output = "v".repeat(246);
    let line = format!("{{\"prompt\":\"A dog\",\"output\":\"{output}\"}}\n");
    sandbox.write("output.jsonl", &line);
    let made = sandbox.run_line(&format!("mkfifo pipe; ln -s {too_long} link.jsonl"));
    assert_eq!(made.code, 0, "{}", made.err);
    for (command, words) in table {
        let run = sandbox.run(command);
        assert_eq!(run.code, 2, "{command:?}: {}", run.err);
        assert!(run.err.contains(words), "{command:?}: {}", run.err);
    }
    assert_eq!(server.count(""), 0);
}

/// The longest allowed names leave room for the files that are kept beside them.
#[test]
fn the_longest_file_names_work() {
    let sandbox = Sandbox::with_sim();
    let batch = "b".repeat(230);
    let output = "v".repeat(245);
    let line = format!("{{\"prompt\":\"A dog\",\"output\":\"{output}\"}}\n");
    sandbox.write(&batch, &line);
    let run = sandbox.run(&["generate", "--batch", &batch, "--receipts", "-"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    assert!(sandbox.path(&output).is_file());
}

#[test]
fn a_refusal_names_a_provider_that_can_make_the_video() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"A dog\",\"negative_prompt\":\"blur\"}\n",
    );
    for command in [
        [
            "generate",
            "--sim",
            "kie",
            "A dog",
            "--negative-prompt",
            "blur",
        ]
        .as_slice(),
        &["generate", "--sim", "kie", "--batch", "jobs.jsonl"],
        &[
            "plan",
            "--provider",
            "kie",
            "A dog",
            "--negative-prompt",
            "blur",
        ],
    ] {
        let run = sandbox.run(command);
        assert_eq!(run.code, 2, "{command:?}: {}", run.err);
        assert!(run.err.contains("(uniall can)"), "{command:?}: {}", run.err);
    }
}

#[test]
fn a_smaller_video_than_asked_for_has_its_own_exit_code() {
    let table: [(&[&str], i32); 6] = [
        (&["generate", "A dog"], 0),
        (&["generate", "A dog", "--resolution", "1080p"], 6),
        (&["generate", "A dog", "--audio"], 0),
        // A video that is longer than requested is not a shortfall.
        (&["generate", "A dog", "--duration", "4"], 0),
        (&["generate", "--batch", "less.jsonl"], 6),
        // The second run has nothing left to do, so a loop that runs the batch until it succeeds ends.
        (&["generate", "--batch", "less.jsonl"], 0),
    ];
    let server = Server::start(|line, body| {
        Some(match prompt(body) {
            Some(_) => accepted("t1"),
            None => record(task(line), 1, VIDEO),
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write(
        "less.jsonl",
        "{\"prompt\":\"A dog\",\"resolution\":\"1080p\"}\n",
    );
    for (command, code) in table {
        let run = sandbox.run(command);
        assert_eq!(run.code, code, "{command:?}: {}", run.err);
    }
}

#[test]
fn a_new_simulator_knows_no_earlier_job() {
    let extension = r#"{"prompt":"more","input":{"type":"extension","source":{"job":"kie:abc"}}}"#;
    let table: [&[&str]; 4] = [
        &["extend", "--sim", "kie", "kie:abc", "more"],
        &["extend", "--sim", "uniall", "uniall:abc", "more"],
        &["generate", "--sim", "kie", "--request", "extension.json"],
        &["generate", "--sim", "kie", "--batch", "extension.json"],
    ];
    for command in table {
        let sandbox = Sandbox::new();
        sandbox.write("extension.json", extension);
        let run = sandbox.run(command);
        assert_eq!(run.code, 2, "{command:?}: {}", run.err);
        for words in [
            "abc is not there",
            "has no earlier job",
            "`veo sim` in another terminal",
        ] {
            assert!(run.err.contains(words), "{command:?}: {}", run.err);
        }
    }
}
