//! Each line of a batch is sent once, however often the command is run.

use std::fs;
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use insta::assert_snapshot;
use serde_json::Value;

use crate::sandbox::{PICTURE, Sandbox, files_in, lines};
use crate::server::{Server, accepted, record, refused};

const BATCH: [&str; 3] = ["generate", "--batch", "jobs.jsonl"];

/// Returns a video of eight seconds, which is made once for all tests.
pub(crate) fn video() -> &'static [u8] {
    static VIDEO: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let sandbox = Sandbox::new();
        let run = sandbox.run(&["generate", "--sim", "kie", "A dog", "-o", "clip.mp4"]);
        assert_eq!(run.code, 0, "{}", run.err);
        fs::read(sandbox.path("clip.mp4")).unwrap()
    });
    &VIDEO
}

/// Returns the video as a link, so that no media host is needed.
pub(crate) fn clip() -> String {
    data_url(video())
}

pub(crate) fn data_url(video: &[u8]) -> String {
    format!("data:video/mp4;base64,{}", BASE64.encode(video))
}

fn write(sandbox: &Sandbox, requests: &[&str]) {
    sandbox.write("jobs.jsonl", &(requests.join("\n") + "\n"));
}

#[test]
fn a_finished_line_is_not_sent_again() {
    let sandbox = Sandbox::with_sim();
    let dogs = r#"{"prompt": "Two dogs", "seconds": 4, "output": "dogs.mp4"}"#;
    write(
        &sandbox,
        &[
            r#"{"prompt": "A dog", "seconds": 4}"#,
            "",
            dogs,
            r#"{"prompt": "A dog", "seconds": 4}"#,
        ],
    );
    let first = sandbox.run(&BATCH);
    assert_eq!((first.code, sandbox.paid()), (0, 3), "{}", first.err);
    let receipts: Vec<Value> = first
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut files: Vec<_> = receipts
        .iter()
        .map(|receipt| receipt["saved"]["path"].as_str().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(
        files,
        ["dogs.mp4", "jobs-1.mp4", "jobs-4.mp4"]
            .map(|file| sandbox.path(file).display().to_string())
    );

    // The same command again prints the same receipts and sends nothing.
    let again = sandbox.run(&BATCH);
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(
        (again.code, sandbox.paid(), sorted(&again.out)),
        (0, 3, sorted(&first.out)),
        "{}",
        again.err
    );

    // The order of lines does not matter. Only the new line is sent.
    write(
        &sandbox,
        &[dogs, r#"{"prompt": "A cat", "output": "cat.mp4"}"#],
    );
    let more = sandbox.run(
        &[
            &BATCH,
            ["--receipts", "receipts.jsonl", "--json"].as_slice(),
        ]
        .concat(),
    );
    assert_eq!((more.code, sandbox.paid()), (0, 4), "{}", more.err);
    assert_eq!(lines(&sandbox.path("receipts.jsonl")).len(), 2);
    let mut shown: Vec<_> = more.out.lines().map(str::to_owned).collect();
    shown.sort_unstable();
    assert_snapshot!(sandbox.shown(
        &BATCH,
        &crate::sandbox::Run {
            out: shown.join("\n"),
            ..more
        }
    ));

    let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
    assert!(
        listed.len() == 4 && listed.iter().all(|job| job["state"] == "done"),
        "{listed:?}"
    );
}

#[test]
fn a_faulty_batch_file_is_refused_before_anything_is_sent() {
    let sandbox = Sandbox::with_sim();
    sandbox.write("there.mp4", "");
    let table: [&[&str]; 3] = [
        &[
            r#"{"prompt": "A dog"}"#,
            r#"{"prompt": "A dog""#,
            r#"{"prompt": "A dog", "length": 3}"#,
            r#"["A dog"]"#,
            r#"{"prompt": "A dog", "output": 7}"#,
        ],
        &[
            r#"{"prompt": "A dog"}"#,
            r#"{"prompt": ""}"#,
            r#"{"prompt": "A dog", "seconds": 5}"#,
            r#"{"prompt": "A dog", "output": "there.mp4"}"#,
            r#"{"prompt": "A dog", "output": "no/dog.mp4"}"#,
            r#"{"prompt": "A dog", "input": {"type": "image", "image": {"file": "nothing.png"}}}"#,
            r#"{"prompt": "A dog", "input": {"type": "image", "image": {"file": "there.mp4"}}}"#,
            r#"{"prompt": "A dog", "output": "same.mp4"}"#,
            r#"{"prompt": "A dog", "output": "./same.mp4"}"#,
            r#"{"prompt": "A dog", "output": "../work/same.mp4"}"#,
        ],
        &[],
    ];
    let mut shown = String::new();
    for requests in table {
        write(&sandbox, requests);
        shown += &(sandbox.shown(&BATCH, &sandbox.run(&BATCH)) + "\n");
    }
    for arguments in [
        ["generate", "--batch", "nothing.jsonl"].as_slice(),
        &["generate", "A dog", "--batch", "jobs.jsonl"],
        &["generate", "--batch", "jobs.jsonl", "--tier", "fast"],
        &["generate", "A dog", "--max-credits", "5"],
        &["generate", "--batch", "jobs.jsonl", "--max-credits", "5"],
        &[
            "generate",
            "--batch",
            "jobs.jsonl",
            "--max-credits",
            "5",
            "--provider",
            "uniall",
        ],
        &["jobs", "--batch", "nothing.jsonl"],
    ] {
        shown += &(sandbox.shown(arguments, &sandbox.run(arguments)) + "\n");
    }
    assert_snapshot!(shown);
    assert_eq!(sandbox.paid(), 0);
}

#[test]
fn a_batch_that_is_refused_leaves_no_ledger() {
    let table: [(&str, &[&str]); 4] = [
        (r#"{"prompt":"A","output":"no/a.mp4"}"#, &[]),
        (
            r#"{"prompt":"A","negative_prompt":"blur"}"#,
            &["--provider", "kie"],
        ),
        (r#"{"prompt":"A"}"#, &["--receipts", "no/r.jsonl"]),
        (r#"{"prompt":"A"}"#, &["--max-credits", "5"]),
    ];
    for (line, options) in table {
        let sandbox = Sandbox::with_sim();
        sandbox.write("jobs.jsonl", line);
        let run = sandbox.run(&[&["generate", "--batch", "jobs.jsonl"], options].concat());
        assert_eq!(run.code, 2, "{line} {options:?}: {}", run.err);
        let files: Vec<_> = files_in(&sandbox.path("")).into_keys().collect();
        assert_eq!(files, [sandbox.path("jobs.jsonl")], "{line} {options:?}");
    }
}

#[test]
fn a_refused_line_is_sent_again_and_an_unknown_one_is_not() {
    let video = clip();
    let good = Mutex::new(false);
    let server = Server::start(move |line, body| match body {
        _ if !line.contains("POST") => Some(record("t1", 1, &video)),
        _ if body.contains("lost") => None,
        // The first request is refused because the credits do not suffice.
        _ if body.contains("refused") && !std::mem::replace(&mut *good.lock().unwrap(), true) => {
            Some(refused(402, "Insufficient credits"))
        }
        _ => Some(accepted("t1")),
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    write(
        &sandbox,
        &[
            r#"{"prompt": "lost"}"#,
            r#"{"prompt": "refused"}"#,
            r#"{"prompt": "good"}"#,
        ],
    );

    let run = sandbox.run(&BATCH);
    assert_eq!((run.code, server.count("POST")), (4, 3), "{}", run.err);
    let run = sandbox.run(&BATCH);
    assert_eq!((run.code, server.count("POST")), (4, 4), "{}", run.err);
    let run = sandbox.run(&BATCH);
    assert_eq!((run.code, server.count("POST")), (4, 4), "{}", run.err);

    // The operator has found no task, and settles the line with the command in the message.
    let (_, advice) = run.err.split_once("if not: veo ").unwrap();
    let command: Vec<_> = advice.lines().next().unwrap().split(' ').collect();
    assert_eq!(sandbox.run(&command).code, 0, "{command:?}");
    let run = sandbox.run(&BATCH);
    assert_eq!((run.code, server.count("POST")), (4, 5), "{}", run.err);
}

#[test]
fn a_failed_job_is_sent_again_only_when_asked_for() {
    let server = Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 3, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    write(&sandbox, &[r#"{"prompt": "A dog"}"#]);
    for (options, sent) in [
        ([].as_slice(), 1),
        (&[], 1),
        (&["--retry-failed"], 2),
        (&[], 2),
    ] {
        let run = sandbox.run(&[&BATCH, options].concat());
        assert_eq!((run.code, server.count("POST")), (1, sent), "{}", run.err);
    }
}

#[test]
fn a_second_program_cannot_run_the_same_batch() {
    let server = Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 0, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    write(
        &sandbox,
        &[r#"{"prompt": "A dog"}"#, r#"{"prompt": "A cat"}"#],
    );
    let mut first = sandbox.start(&BATCH);
    first.until("line 1: Making the video");
    let second = sandbox.run(&[&BATCH, ["--timeout", "1s"].as_slice()].concat());
    assert!(
        second.code == 2
            && second
                .err
                .contains("another veo process is running this batch"),
        "{}",
        second.err
    );
    // A list can be printed while the batch runs.
    assert!(!sandbox.listed(&["--batch", "jobs.jsonl"]).is_empty());
    first.interrupt();
    assert_eq!(first.end().code, 130);
}

#[test]
fn a_batch_sends_nothing_beyond_its_cap() {
    let video = clip();
    // Each video costs 60 of 1000 credits. In the second round the provider does not report this cost.
    for is_reported in [true, false] {
        let (video, spent) = (video.clone(), std::sync::Arc::new(Mutex::new(0)));
        let server_spent = spent.clone();
        let server = Server::start(move |line, _| {
            if line.contains("/chat/credit") {
                return Some(format!(
                    r#"{{"code":200,"msg":"success","data":{}}}"#,
                    1000 - *server_spent.lock().unwrap()
                ));
            }
            if line.contains("POST") {
                *server_spent.lock().unwrap() += 60;
                return Some(accepted("t1"));
            }
            let cost = if is_reported {
                r#""successFlag":1,"creditsConsumed":60,"#
            } else {
                r#""successFlag":1,"#
            };
            Some(record("t1", 1, &video).replace(r#""successFlag":1,"#, cost))
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let requests: Vec<_> = (1..=6)
            .map(|number| format!("{{\"prompt\":\"Dog {number}\",\"seconds\":4}}"))
            .collect();
        sandbox.write("jobs.jsonl", &requests.join("\n"));

        let capped = |cap: &str| {
            sandbox.run(
                &[
                    &BATCH,
                    ["--max-credits", cap, "--concurrency", "3"].as_slice(),
                ]
                .concat(),
            )
        };
        // Three videos cost 180, and a fourth would make it 240.
        let run = capped("200");
        assert_eq!((run.code, *spent.lock().unwrap()), (3, 180), "{}", run.err);
        assert!(
            run.err.contains("3 of 6 lines done, 3 rejected"),
            "{}",
            run.err
        );
        // The cap includes what earlier runs have spent.
        let run = capped("250");
        assert_eq!((run.code, *spent.lock().unwrap()), (3, 240), "{}", run.err);
        // A line of unknown price is not sent if the known price of another line would exceed the cap.
        sandbox.write(
            "jobs.jsonl",
            &[
                requests.join("\n"),
                r#"{"prompt":"Dog","seconds":8}"#.to_owned(),
            ]
            .join("\n"),
        );
        let run = capped("250");
        assert_eq!((run.code, *spent.lock().unwrap()), (3, 240), "{}", run.err);
    }
}

#[test]
fn a_new_line_never_gets_the_file_of_another_line() {
    let sandbox = Sandbox::with_sim();
    let (dog, cat) = (
        r#"{"prompt": "A dog", "seconds": 4}"#,
        r#"{"prompt": "A cat", "seconds": 4}"#,
    );
    // A file name that the program has chosen is changed if a file has it, even with --force.
    let fox = r#"{"prompt": "A fox", "seconds": 4}"#;
    let forced = ["--force"].as_slice();
    let table: [(&[&str], &[&str]); 4] = [
        (&[dog], &[]),
        (&[cat, dog], &[]),
        (&[dog, dog, cat], forced),
        (&[fox], forced),
    ];
    for (requests, options) in table {
        write(&sandbox, requests);
        let run = sandbox.run(&[&BATCH, options].concat());
        assert_eq!(run.code, 0, "{}", run.err);
    }
    let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
    let outputs: Vec<_> = listed
        .iter()
        .map(|job| job["output"].as_str().unwrap())
        .collect();
    assert_eq!(
        outputs,
        ["jobs-1.mp4", "jobs-1-2.mp4", "jobs-2.mp4", "jobs-1-3.mp4"]
    );

    // A file name that the user has chosen is never changed. It is refused, even with --force.
    write(
        &sandbox,
        &[
            dog,
            r#"{"prompt": "A fox", "output": "../work/jobs-1.mp4"}"#,
        ],
    );
    let run = sandbox.run(&[&BATCH, ["--force"].as_slice()].concat());
    let wanted = "line 2: ../work/jobs-1.mp4 is the output of line 1 as well\n";
    assert!(run.code == 2 && run.err.ends_with(wanted), "{}", run.err);
    assert_eq!(sandbox.paid(), 4);
}

#[test]
fn a_new_line_never_gets_the_file_of_an_open_job() {
    let server = Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 0, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let dog = r#"{"prompt": "A dog", "output": "dog.mp4"}"#;
    write(&sandbox, &[dog]);
    let batch = [&BATCH, ["--timeout", "1s"].as_slice()].concat();
    assert_eq!(sandbox.run(&batch).code, 5);
    assert_eq!(
        sandbox
            .run(&["generate", "A cat", "--no-wait", "-o", "cat.mp4"])
            .code,
        0
    );
    let table = [
        (
            vec![dog, r#"{"prompt": "A fox", "output": "./dog.mp4"}"#],
            "line 2: ./dog.mp4 is the output of line 1 as well",
        ),
        (
            vec![r#"{"prompt": "A fox", "output": "dog.mp4"}"#],
            "line 1: dog.mp4 is the output of kie:t1 as well",
        ),
        (
            vec![r#"{"prompt": "A fox", "output": "cat.mp4"}"#],
            "line 1: cat.mp4 is the output of kie:t1 as well",
        ),
    ];
    for (requests, wanted) in table {
        write(&sandbox, &requests);
        let run = sandbox.run(&batch);
        assert!(
            (run.code, server.count("POST")) == (2, 2) && run.err.contains(wanted),
            "{wanted}: {}",
            run.err
        );
    }
}

/// The exit code is that of a failed line, and not that of a wrong command.
#[test]
fn a_line_with_a_deleted_image_is_rejected_by_itself() {
    let sandbox = Sandbox::new();
    let image = sandbox.path("dog.png");
    let gone = image.clone();
    let server = Server::start(move |line, _| {
        // The image is deleted while the first line is paid for.
        let _ = fs::remove_file(&gone);
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 3, "")
        })
    });
    let sandbox = sandbox.at("kie", server.url());
    fs::write(image, PICTURE).unwrap();
    let second = r#"{"prompt": "2", "input": {"type": "image", "image": {"file": "dog.png"}}}"#;
    let retried = [&BATCH, ["--concurrency", "1"].as_slice()].concat();
    write(&sandbox, &[r#"{"prompt": "1"}"#, second]);
    let run = sandbox.run(&retried);
    assert_eq!((run.code, server.count("POST")), (1, 1), "{}", run.err);
    assert!(
        run.err.contains("line 2: input: dog.png cannot be read") && run.err.contains("1 rejected"),
        "{}",
        run.err
    );
}

#[test]
fn a_batch_with_jobs_of_another_address_is_refused() {
    let sandbox = Sandbox::with_sim();
    write(&sandbox, &[r#"{"prompt": "A dog", "seconds": 4}"#]);
    assert_eq!(sandbox.run(&BATCH).code, 0);
    let elsewhere = Server::start(|_, _| Some(accepted("t1")));
    let sandbox = sandbox.at("kie", elsewhere.url());
    // The batch is refused even if its line was edited.
    for requests in [
        r#"{"prompt": "A dog", "seconds": 4}"#,
        r#"{"prompt": "A cat"}"#,
    ] {
        write(&sandbox, &[requests]);
        let run = sandbox.run(&BATCH);
        assert_eq!((run.code, elsewhere.count("")), (2, 0), "{}", run.err);
        assert!(
            run.err.contains("was sent to http://127.0.0.1:")
                && run
                    .err
                    .contains(&format!("this client uses {}", elsewhere.url())),
            "{}",
            run.err
        );
    }
}

/// A full disk for the receipts stops no job.
#[test]
fn unwritable_receipts_stop_no_job() {
    let stdout = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for options in [["--receipts", "/dev/full"].as_slice(), &[]] {
        let sandbox = Sandbox::with_sim();
        let requests: Vec<_> = (1..=4)
            .map(|dog| format!("{{\"prompt\":\"Dog {dog}\",\"seconds\":4}}"))
            .collect();
        sandbox.write("jobs.jsonl", &requests.join("\n"));
        let mut command = sandbox.command(&[&BATCH, options].concat());
        let output = command
            .stdout(stdout())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), sandbox.paid()),
            (Some(1), 4),
            "{err}"
        );
        let name = options.last().unwrap_or(&"standard output");
        let wanted = format!(
            "4 of 4 lines done\nerror: the receipts cannot be written to {name}: No space left"
        );
        assert!(err.contains(&wanted), "{err}");
        assert!(
            sandbox
                .listed(&["--batch", "jobs.jsonl"])
                .iter()
                .all(|job| job["state"] == "done")
        );
        // The same command prints the receipts now, as the message says.
        let run = sandbox.run(&BATCH);
        assert_eq!(
            (run.code, run.out.lines().count(), sandbox.paid()),
            (0, 4, 4),
            "{}",
            run.err
        );
    }
    // Other failures are reported too, and the most severe failure decides the exit code.
    let sandbox = Sandbox::with_sim();
    write(
        &sandbox,
        &[
            r#"{"prompt": "Dog 1", "seconds": 4}"#,
            r#"{"prompt": "Dog 2", "seconds": 4}"#,
        ],
    );
    let capped = [
        "--receipts",
        "/dev/full",
        "--max-credits",
        "1",
        "--provider",
        "kie",
        "--json",
    ];
    let run = sandbox.run(&[&BATCH, capped.as_slice()].concat());
    assert_eq!((run.code, sandbox.paid()), (1, 1), "{}", run.err);
    let errors: Vec<Value> = run
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [unwritten, lines] = errors.as_slice() else {
        panic!("{}", run.err)
    };
    assert!(
        unwritten["message"].as_str().unwrap().contains("/dev/full"),
        "{unwritten}"
    );
    assert_eq!(
        (&unwritten["charged"], &unwritten["resend"]),
        (&"yes".into(), &"never".into())
    );
    assert_eq!(lines["message"], "1 of 2 lines have no video");
}

/// A receipt or a video must not replace the ledger, which says what was paid for.
#[test]
fn the_batch_and_its_ledger_are_never_overwritten() {
    let sandbox = Sandbox::with_sim();
    write(
        &sandbox,
        &[r#"{"prompt": "A dog", "seconds": 4, "output": "dog.mp4"}"#],
    );
    assert_eq!(sandbox.run(&BATCH).code, 0);
    let names = ["jobs.jsonl", "jobs.jsonl.ledger"];
    let all = || names.map(|name| fs::read_to_string(sandbox.path(name)).unwrap());
    let before = all();
    for name in names {
        let run = sandbox.run(&[&BATCH, ["--receipts", name, "--force"].as_slice()].concat());
        assert_eq!(run.code, 2, "{}", run.err);
        let text = format!(
            "{{\"prompt\": \"A cat\", \"output\": \"{}\"}}\n",
            sandbox.path(name).display()
        );
        sandbox.write("more.jsonl", &text.replace("jobs.jsonl", "more.jsonl"));
        let run = sandbox.run(&["generate", "--batch", "more.jsonl", "--force"]);
        assert!(
            run.code == 2 && run.err.contains("is the batch, its ledger or its receipts"),
            "{}",
            run.err
        );
    }
    let run = sandbox.run(&[
        "generate",
        "A dog",
        "-o",
        "new.mp4",
        "--receipt",
        "./new.mp4",
    ]);
    assert!(
        run.code == 2 && run.err.contains("cannot be both the video and its receipt"),
        "{}",
        run.err
    );
    assert_eq!((all(), sandbox.paid()), (before, 1));
}

/// A job that has failed, is late or has an unknown outcome may have been paid for.
#[test]
fn a_job_without_a_video_counts_for_the_cap() {
    let failing = |_: &str| Some(record("t1", 3, ""));
    let endless = |_: &str| Some(record("t1", 0, ""));
    let lost = |line: &str| (!line.contains("POST")).then(|| record("t1", 0, ""));
    type Answer = fn(&str) -> Option<String>;
    // The job, its price in the balance, the cap, the number of lines, and the requests after each of three runs.
    type Row = (&'static str, Answer, u32, &'static str, usize, [usize; 3]);
    let table: [Row; 6] = [
        ("failing", failing, 60, "70", 6, [1, 1, 1]),
        ("endless", endless, 60, "70", 6, [1, 1, 1]),
        ("lost", lost, 60, "70", 6, [1, 1, 1]),
        // Each attempt counts.
        ("failing", failing, 60, "130", 1, [1, 2, 2]),
        // A request whose cost the balance does not show yet can still be charged later.
        ("failing", failing, 0, "70", 6, [1, 1, 1]),
        ("endless", endless, 0, "70", 6, [1, 1, 1]),
    ];
    for (what, answer, price, cap, count, sent) in table {
        let spent = Mutex::new(0);
        let server = Server::start(move |line, _| {
            if line.contains("/chat/credit") {
                return Some(format!(
                    r#"{{"code":200,"msg":"success","data":{}}}"#,
                    1000 - *spent.lock().unwrap()
                ));
            }
            if line.contains("POST") {
                *spent.lock().unwrap() += price;
            }
            answer(line).map(|reply| {
                if line.contains("POST") {
                    accepted("t1")
                } else {
                    reply
                }
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let requests: Vec<_> = (1..=6)
            .map(|number| format!("{{\"prompt\":\"Dog {number}\",\"seconds\":4}}"))
            .collect();
        let capped = [
            "--max-credits",
            cap,
            "--concurrency",
            "3",
            "--timeout",
            "1s",
            "--retry-failed",
        ];
        for (run, sent) in (1..).zip(sent) {
            // A deleted line still counts, since it was paid for.
            sandbox.write(
                "jobs.jsonl",
                &requests[usize::from(run == 3 && count > 1)..count].join("\n"),
            );
            let ended = sandbox.run(&[&BATCH, capped.as_slice()].concat());
            assert_eq!(
                server.count("POST"),
                sent,
                "{what}, {price}, run {run}: {}",
                ended.err
            );
        }
    }
}

#[test]
fn a_line_that_names_no_file_is_refused_before_it_is_sent() {
    let sandbox = Sandbox::with_sim();
    for output in [r#""""#, r#"" ""#, r#""a\u0000b.mp4""#] {
        let line = format!("{{\"prompt\":\"A dog\",\"output\":{output}}}\n");
        sandbox.write("jobs.jsonl", &line);
        let run = sandbox.run(&["generate", "--batch", "jobs.jsonl"]);
        assert_eq!(run.code, 2, "{}", run.err);
        assert!(run.err.contains("it names no file"), "{}", run.err);
    }
    assert_eq!(sandbox.paid(), 0);
}
