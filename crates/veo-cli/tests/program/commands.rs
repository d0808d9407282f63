//! Every command on both streams, for people and as JSON.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::batch::clip;
use crate::sandbox::{PICTURE, Run, Running, Sandbox, lines};
use crate::server::{Server, accepted, record, refused};

/// Runs the commands one after the other, and returns what they printed.
fn session(sandbox: &Sandbox, commands: &[&[&str]]) -> String {
    let shown = commands
        .iter()
        .map(|arguments| sandbox.shown(arguments, &sandbox.run(arguments)));
    shown.collect::<Vec<_>>().join("\n")
}

/// The job that was accepted last.
fn latest(sandbox: &Sandbox) -> String {
    sandbox.listed(&[]).last().unwrap()["job"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_video_is_made_without_an_api_key() {
    let sandbox = Sandbox::new();
    let table: [&[&str]; 5] = [
        &[
            "generate",
            "--sim",
            "kie",
            "A dog",
            "-o",
            "dog.mp4",
            "--receipt",
            "dog.json",
        ],
        &[
            "generate", "--sim", "uniall", "A dog", "--output", "dog2.mp4",
        ],
        &[
            "generate",
            "--sim",
            "kie",
            "A dog",
            "--aspect-ratio",
            "9:16",
            "--duration",
            "4",
            "--tier",
            "quality",
        ],
        &[
            "generate",
            "--sim",
            "uniall",
            "A dog",
            "--image",
            "https://img.example.net/a.png",
            "--force",
            "--duration",
            "6",
        ],
        &[
            "generate", "--sim", "kie", "A dog", "--json", "-o", "dog3.mp4",
        ],
    ];
    assert_snapshot!(session(&sandbox, &table));
    // The jobs of a simulator end with it, so the program stores no ledger.
    assert!(!sandbox.store().exists());
}

#[test]
fn a_job_goes_through_all_commands() {
    let sandbox = Sandbox::with_sim();
    let mut shown = session(
        &sandbox,
        &[
            &["generate", "A dog", "--no-wait"],
            &["jobs"],
            &["jobs", "--json"],
        ],
    );
    let job = latest(&sandbox);
    shown += &session(
        &sandbox,
        &[
            &["download", &job],
            &["wait"],
            &["status", &job],
            &["download", &job, "-o", "again.mp4", "--json"],
            &["wait", &job],
            &["wait"],
            &["jobs"],
            // kie.ai does not extend an upgraded video.
            &["extend", &job, "The dog finds a ball", "-o", "longer.mp4"],
            &["upgrade", &job, "--resolution", "1080p"],
            &[
                "upgrade",
                &job,
                "--resolution",
                "4K",
                "-o",
                "large.mp4",
                "--json",
            ],
            &[
                "extend",
                "https://media.example.net/dog.mp4",
                "The dog finds a ball",
                "-o",
                "long.mp4",
                "--json",
            ],
            &["credits"],
            &["credits", "--json"],
            &["credits", "--provider", "uniall"],
        ],
    );
    assert_snapshot!(shown);
    assert_eq!(sandbox.paid(), 3);
    for file in [
        "video.mp4",
        "again.mp4",
        "again-1080p.mp4",
        "large.mp4",
        "longer.mp4",
        "long.mp4",
    ] {
        assert!(sandbox.path(file).exists(), "{file}");
    }
}

#[test]
fn jobs_are_listed_in_columns_only_for_people() {
    let server = Server::start(|line, body| match body {
        _ if body.contains("dear") => Some(refused(402, "Insufficient credits")),
        _ if body.contains("lost") => None,
        _ => Some(accepted(
            if line.contains("POST") && body.contains("long") {
                "a-longer-one"
            } else {
                "t1"
            },
        )),
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    for (prompt, file) in [
        ("A dear cat", "c.mp4"),
        ("A lost dog", "dog.mp4"),
        ("A fox", "f.mp4"),
        ("A long fox", "x.mp4"),
    ] {
        sandbox.run(&["generate", prompt, "--no-wait", "-o", file]);
    }
    let table = sandbox.run(&["jobs"]).out;
    let column = |word: &str| {
        table
            .lines()
            .filter_map(|line| line.find(word))
            .collect::<Vec<_>>()
    };
    let starts = ["STATE", "JOB", "VIDEO", "PROMPT"].map(|word| column(word)[0]);
    let words = [
        ["rejected", "unknown", "accepted"].as_slice(),
        &["kie:t1", "kie:a-longer-one"],
        &["c.mp4", "dog.mp4"],
        &["A dear", "A fox"],
    ];
    for (start, words) in starts.into_iter().zip(words) {
        words
            .iter()
            .for_each(|word| assert_eq!(column(word)[0], start, "{word}: {table}"));
    }
    assert_eq!((table.lines().count(), sandbox.listed(&[]).len()), (5, 4));
}

#[test]
fn several_jobs_are_waited_for_at_once() {
    let sandbox = Sandbox::with_sim();
    for (provider, file) in [("kie", "a.mp4"), ("uniall", "b.mp4")] {
        let run = sandbox.run(&[
            "generate",
            "A dog",
            "--provider",
            provider,
            "--no-wait",
            "-o",
            file,
        ]);
        assert_eq!(run.code, 0, "{}", run.err);
    }
    let jobs: Vec<String> = sandbox
        .listed(&[])
        .iter()
        .map(|job| job["job"].as_str().unwrap().to_owned())
        .collect();
    let run = sandbox.run(&["wait", &jobs[0], &jobs[1]]);
    let mut files: Vec<_> = run.out.lines().collect();
    files.sort_unstable();
    assert_eq!(
        (run.code, files.as_slice()),
        (0, ["a.mp4", "b.mp4"].as_slice()),
        "{}",
        run.err
    );
    assert!(
        run.err.contains(&format!("{}: Making the video", jobs[1])),
        "{}",
        run.err
    );

    // A second wait prints both files again, since a program can use the printed paths in the same way.
    let again = sandbox.run(&["wait", &jobs[0], &jobs[1]]);
    assert_eq!((again.code, again.out.lines().count()), (0, 2));
    for line in run.err.lines().chain(again.err.lines()) {
        let is_named = jobs.iter().any(|job| line.contains(job));
        assert!(is_named, "{line}");
    }

    let refused = sandbox.run(&["wait", &jobs[0], &jobs[1], "-o", "c.mp4"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}

/// An upgrade has its own price, so it is in the ledger from the start.
#[test]
fn an_upgrade_is_stored_as_a_job_of_its_own() {
    let sandbox = Sandbox::with_sim();
    assert_eq!(
        sandbox.run(&["generate", "A dog", "--duration", "4"]).code,
        0
    );
    let small = latest(&sandbox);
    let large = format!("{small}:1080p");
    // An upgrade is paid for only if the user asks for it.
    let balance = || sandbox.run(&["credits", "--provider", "kie"]).out;
    let before = balance();
    let refused = sandbox.run(&["wait", &large]);
    assert!(
        refused.code == 2 && refused.err.contains("veo upgrade"),
        "{}",
        refused.err
    );
    assert_eq!(balance(), before);

    let run = sandbox.run(&["upgrade", &small, "--resolution", "1080p", "--json"]);
    let saved: Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    let receipt = &saved["receipt"];
    assert_eq!(
        (
            run.code,
            &receipt["discrepancies"],
            &receipt["job"]["reference"]
        ),
        (0, &json!([]), &json!(large))
    );
    assert_eq!(
        receipt["job"]["offer"]["request"],
        json!({"prompt": "A dog", "seconds": 4, "resolution": "1080p"})
    );
    let listed = sandbox.listed(&[]);
    assert_eq!(
        (&listed[1]["state"], &listed[1]["job"]),
        (&json!("done"), &json!(large)),
        "{listed:?}"
    );
    for (job, file) in [(&small, "video.mp4"), (&large, "video-1080p.mp4")] {
        let run = sandbox.run(&["wait", job]);
        assert_eq!((run.code, run.out), (0, format!("{file}\n")), "{}", run.err);
        let run = sandbox.run(&["inspect", file]);
        assert!(
            run.out.contains(&format!("  job            {job}\n")),
            "{}",
            run.out
        );
    }
    assert_ne!(balance(), before);

    // The ledger has no entry for the smaller video any more, so the request cannot be compared with the result.
    fs::remove_file(sandbox.store()).unwrap();
    let run = sandbox.run(&[
        "upgrade",
        &small,
        "--resolution",
        "4k",
        "-o",
        "huge.mp4",
        "--json",
    ]);
    let saved: Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (run.code, &saved["receipt"]),
        (0, &Value::Null),
        "{}",
        run.err
    );
    let run = sandbox.run(&["wait", &format!("{small}:4k"), "--receipt", "late.json"]);
    assert!(
        run.code == 0 && run.err.contains("there is no receipt"),
        "{}",
        run.err
    );
    assert_eq!(run.out, "huge.mp4\n");
}

#[test]
fn an_upgrade_is_on_disk_first_and_survives_a_kill() {
    let (ready, video) = (Arc::new(Mutex::new(false)), clip());
    let is_ready = ready.clone();
    let sandbox = Sandbox::new();
    let store = sandbox.store();
    let server = Server::start(move |line, _| {
        if line.contains("POST") {
            return Some(accepted("t1"));
        }
        if !line.contains("1080p") {
            return Some(record("t1", 1, &video));
        }
        assert!(
            lines(&store)
                .iter()
                .any(|line| line["short"]["key"] == "kie:t1:1080p"),
            "the call was sent before it was in the ledger"
        );
        let url = if *is_ready.lock().unwrap() {
            &*video
        } else {
            ""
        };
        Some(format!(
            r#"{{"code":200,"msg":"success","data":{{"resultUrl":"{url}"}}}}"#
        ))
    });
    let sandbox = sandbox.at("kie", server.url());
    assert_eq!(
        sandbox.run(&["generate", "A dog", "--duration", "4"]).code,
        0
    );
    let command = ["upgrade", "kie:t1", "--resolution", "1080p"];
    for kill in [Running::kill, |program: Running| {
        program.interrupt();
        let run = program.end();
        assert!(
            run.code == 130
                && run
                    .err
                    .contains("Wait for it again with: veo wait kie:t1:1080p"),
            "{}",
            run.err
        );
    }] {
        let mut program = sandbox.start(&command);
        program.until("Making the video");
        kill(program);
        let listed = sandbox.listed(&[]);
        let known = listed
            .iter()
            .map(|job| (job["job"].as_str().unwrap(), job["state"].as_str().unwrap()));
        assert_eq!(
            known.collect::<Vec<_>>(),
            [("kie:t1", "done"), ("kie:t1:1080p", "accepted")]
        );
    }
    *ready.lock().unwrap() = true;
    let asked = server.count("1080p");
    let run = sandbox.run(&["wait"]);
    assert!(
        server.count("1080p") > asked,
        "the program waited for the smaller video"
    );
    assert_eq!(
        (run.code, run.out.as_str()),
        // The server has only one video, which is smaller than requested.
        (6, "video-1080p.mp4\n"),
        "{}",
        run.err
    );
    assert!(
        run.err
            .contains("1080p was requested, and 720p was delivered"),
        "{}",
        run.err
    );
    assert_eq!(sandbox.listed(&[])[1]["state"], "done");
}

/// The ledger of this machine has only the upgrade of the job.
#[test]
fn an_upgrade_is_not_mistaken_for_its_smaller_video() {
    let sandbox = Sandbox::with_sim();
    assert_eq!(
        sandbox.run(&["generate", "A dog", "--duration", "4"]).code,
        0
    );
    let job = latest(&sandbox);
    fs::remove_file(sandbox.store()).unwrap();
    assert_eq!(
        sandbox
            .run(&["upgrade", &job, "--resolution", "1080p", "-o", "large.mp4"])
            .code,
        0
    );
    let larger = format!("{job}:1080p");
    assert_eq!(sandbox.run(&["status", &larger]).out, "done\n");
    for command in ["wait", "download"] {
        let run = sandbox.run(&[command, &job, "-o", "small.mp4", "--force"]);
        assert!(run.code == 0 && run.err.contains("1280x720"), "{}", run.err);
        let run = sandbox.run(&[command, &larger]);
        assert!(
            run.code == 0 && run.out == "large.mp4\n",
            "{}{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn a_refusal_does_not_settle_an_unknown_upgrade() {
    let (arrived, arrival) = channel();
    let (arrived, asked) = (Mutex::new(arrived), AtomicUsize::new(0));
    let server = Server::start(move |_, _| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Some(refused(402, "Insufficient credits")),
        1 => {
            arrived.lock().unwrap().send(()).unwrap();
            loop {
                thread::park();
            }
        }
        2 => Some(refused(401, "Unauthorized")),
        4 => Some(refused(
            400,
            "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
        )),
        _ => Some(refused(404, "no such task")),
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let command = ["upgrade", "kie:t1", "--resolution", "1080p", "--json"];
    let states = || {
        sandbox
            .listed(&[])
            .iter()
            .map(|job| job["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let run = sandbox.run(&command);
    assert!(
        run.code == 3 && run.err.contains(r#""charged":"no""#),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(states(), ["rejected"]);

    let mut program = sandbox.start(&command);
    arrival.recv().unwrap();
    program.interrupt();
    program.until("Run the same command again: veo upgrade kie:t1 --resolution 1080p");
    assert_eq!(program.end().code, 130);
    assert_eq!(states(), ["unknown"]);
    let id = sandbox.listed(&[]).last().unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let settled = sandbox.run(&["settle", &id, "--job", "kie:t1"]);
    assert!(
        settled.code == 2
            && settled.err.contains(
                "kie:t1:1080p is an upgrade in kie.ai's old form; request the upgrade again"
            ),
        "{}",
        settled.err
    );
    // A refusal of a later call does not settle the first call. The next answers are about the same upgrade.
    let run = sandbox.run(&command);
    assert!(
        run.code == 4 && run.err.contains(r#""charged":"unknown""#),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(states(), ["unknown"]);
    assert_eq!(sandbox.run(&command).code, 4);
    assert_eq!(states(), ["unknown"]);
    // An accepted upgrade can fail later.
    let run = sandbox.run(&command);
    assert!(
        run.code == 1 && run.err.contains("The smaller video can still be saved."),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(states(), ["failed"]);
}

/// The ledger names one file. Another file in its place is not regarded as the saved video.
#[test]
fn a_saved_video_is_recognised_only_by_its_own_file() {
    let sandbox = Sandbox::with_sim();
    assert_eq!(
        sandbox
            .run(&["generate", "A cat", "--no-wait", "-o", "c.mp4"])
            .code,
        0
    );
    let cat = latest(&sandbox);
    assert_eq!(sandbox.run(&["wait", &cat, "-o", "d.mp4"]).code, 0);
    assert_eq!(
        sandbox
            .run(&[
                "generate",
                "A dog",
                "-o",
                "c.mp4",
                "--receipt",
                "dog.json",
                "--duration",
                "4"
            ])
            .code,
        0
    );
    let run = sandbox.run(&["wait", &cat]);
    assert_eq!((run.code, run.out.as_str()), (0, "d.mp4\n"), "{}", run.err);
    assert_eq!(sandbox.listed(&[])[0]["output"], "d.mp4");

    // A receipt can be written later, and is valid on other machines.
    let run = sandbox.run(&["wait", &cat, "--receipt", "late.json"]);
    assert_eq!((run.code, run.out.as_str()), (0, "d.mp4\n"), "{}", run.err);
    assert_eq!(
        sandbox.run(&["wait", &cat, "--receipt", "late.json"]).code,
        2
    );
    let elsewhere = tempfile::tempdir().unwrap();
    for receipt in ["late.json", "dog.json"] {
        let mut command = sandbox.command(&["inspect"]);
        let output = command
            .arg(sandbox.path(receipt))
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.ends_with("  now            the same file\n"),
            "{printed}"
        );
    }

    // Another file in its place is not regarded as the video, and is not overwritten.
    sandbox.write("d.mp4", "something else");
    let run = sandbox.run(&["wait", &cat]);
    assert!(
        run.code == 2 && run.err.contains("d.mp4 is already there"),
        "{}",
        run.err
    );
    let run = sandbox.run(&["wait", &cat, "--force"]);
    assert_eq!((run.code, run.out.as_str()), (0, "d.mp4\n"), "{}", run.err);
}

/// An operator looks at the provider and settles the outcome. Then the job continues as after a usual reply.
#[test]
fn an_operator_settles_an_unknown_outcome() {
    let (lost, video) = (AtomicUsize::new(0), clip());
    let server = Server::start(move |line, _| match line.contains("POST") {
        true if lost.fetch_add(1, Ordering::Relaxed) < 4 => None,
        true => Some(accepted("t9")),
        false => Some(record("t1", 1, &video)),
    });
    let sandbox = Sandbox::new()
        .at("kie", server.url())
        .with("UNIALL_API_KEY", "sk-secret");
    // The message has the command, with the key of the entry.
    let lose = |prompt: &str, file: &str| {
        let run = sandbox.run(&[
            "generate",
            prompt,
            "--duration",
            "4",
            "--provider",
            "kie",
            "--watermark",
            "me",
            "-o",
            file,
        ]);
        let (_, rest) = run
            .err
            .split_once("veo settle ")
            .unwrap_or_else(|| panic!("{}", run.err));
        rest.split(' ').next().unwrap().to_owned()
    };
    let (accepted_key, rejected_key) = (lose("A dog", "dog.mp4"), lose("A cat", "cat.mp4"));
    let table = sandbox.run(&["jobs"]);
    assert!(
        table
            .out
            .lines()
            .any(|line| line.contains(&format!("  {accepted_key}  dog.mp4"))),
        "{}",
        table.out
    );

    let run = sandbox.run(&["settle", &accepted_key, "--job", "kie:t1"]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (0, "Continue with: veo wait kie:t1\n")
    );
    let run = sandbox.run(&["settle", &rejected_key, "--not-taken", "--json"]);
    assert!(
        run.code == 0 && run.out.contains(r#""state":"rejected""#),
        "{} {}",
        run.out,
        run.err
    );
    let run = sandbox.run(&["wait", "--receipt", "dog.json"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "dog.mp4\n"),
        "{}",
        run.err
    );
    let receipt: Value =
        serde_json::from_str(&fs::read_to_string(sandbox.path("dog.json")).unwrap()).unwrap();
    assert_eq!(receipt["job"]["offer"]["request"]["prompt"], "A dog");
    assert!(!sandbox.run(&["jobs"]).err.contains("unknown outcome"));

    // After its line is settled, a batch continues without further help.
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"A dog\",\"seconds\":4}\n{\"prompt\":\"A cat\",\"seconds\":4}\n",
    );
    let batch = ["generate", "--batch", "jobs.jsonl", "--provider", "kie"];
    let run = sandbox.run(&batch);
    assert!(
        run.code == 4 && run.err.contains("--not-taken --batch "),
        "{}",
        run.err
    );
    let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
    let id = |prompt| {
        listed.iter().find(|job| job["prompt"] == prompt).unwrap()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for arguments in [["--job", "kie:t2"].as_slice(), &["--not-taken"]] {
        let id = if arguments.len() > 1 {
            id("A dog")
        } else {
            id("A cat")
        };
        let run = sandbox.run(&[&["settle", &id, "--batch", "jobs.jsonl"], arguments].concat());
        assert_eq!(run.code, 0, "{}", run.err);
    }
    assert_eq!(server.count("POST"), 4);
    let run = sandbox.run(&batch);
    assert_eq!((run.code, server.count("POST")), (0, 5), "{}", run.err);

    // A settlement that would make the ledger false is refused.
    let open = {
        let run = Sandbox::with(sandbox, "KIE_BASE_URL", Server::start(|_, _| None).url());
        let run = (
            run.run(&[
                "generate",
                "A fox",
                "--provider",
                "kie",
                "--watermark",
                "me",
            ]),
            run,
        );
        assert_eq!(run.0.code, 4);
        run.1
    };
    let fox = open.listed(&[]).last().unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let refusals: [(&[&str], &str); 8] = [
        (&[&fox], "--job <JOB>"),
        (
            &[&fox, "--not-taken", "--job", "kie:t3"],
            "cannot be used with",
        ),
        (
            &["0123", "--not-taken"],
            "there is no request 0123; list the unknown ones with: veo jobs\n",
        ),
        (
            &["0123", "--not-taken", "--batch", "jobs.jsonl"],
            "with: veo jobs --batch jobs.jsonl\n",
        ),
        (
            &[&fox, "--not-taken", "--batch", "no.jsonl"],
            "no.jsonl has not been begun",
        ),
        (
            &[&accepted_key, "--not-taken"],
            "is done; only an unknown outcome can be settled",
        ),
        (&[&fox, "--job", "kie:t1"], "kie:t1 is the job of "),
        (
            &[&fox, "--job", "uniall:t3"],
            "was sent to kie, so it cannot have become uniall:t3",
        ),
    ];
    for (arguments, wanted) in refusals {
        let run = open.run(&[&["settle"], arguments].concat());
        assert!(
            run.code == 2 && run.err.contains(wanted),
            "{arguments:?}: {}",
            run.err
        );
    }
    assert_eq!(open.listed(&[]).last().unwrap()["state"], "unknown");
}

/// The provider finds the fault of the input only after it has accepted the request, so the job has failed.
#[test]
fn a_job_with_unusable_input_is_listed_as_failed() {
    let table = [
        (
            "Failed to fetch the image. Kindly verify the URL.",
            "Change the image",
        ),
        (
            "Only English prompts are supported.",
            "Change the prompt, perhaps its language",
        ),
        (
            "4k is not supported by model veo3_lite",
            "Change what the message names",
        ),
    ];
    for (words, change) in table {
        let server = Server::start(move |line, _| {
            let record = || record("t1", 3, "").replace("the model gave up", words);
            Some(if line.contains("POST") {
                accepted("t1")
            } else {
                record()
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let run = sandbox.run(&["generate", "A dog", "--json"]);
        let error: Value = serde_json::from_str(run.err.trim()).unwrap();
        assert_eq!(
            (run.code, &error["charged"]),
            (1, &"unknown".into()),
            "{}",
            run.err
        );
        let next = format!("{change}, and send it as a new job with a new price.");
        assert_eq!(
            (&error["resend"], &error["next"]),
            (&"change_input".into(), &next.into())
        );
        assert_eq!(
            (
                sandbox.listed(&[])[0]["state"].as_str(),
                run.err.contains(words)
            ),
            (Some("failed"), true)
        );
        let run = sandbox.run(&["wait"]);
        assert!(
            run.code == 0 && run.err.contains("no job to wait for"),
            "{}",
            run.err
        );
    }
}

#[test]
fn a_video_is_saved_at_its_target_from_any_folder() {
    let sandbox = Sandbox::with_sim();
    assert_eq!(
        sandbox
            .run(&["generate", "A dog", "--no-wait", "-o", "dog.mp4"])
            .code,
        0
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let output = sandbox
        .command(&["wait"])
        .current_dir(elsewhere.path())
        .output()
        .unwrap();
    let file = sandbox.path("dog.mp4");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{}\n", file.display())
    );
    assert!(file.exists());
}

/// A program that follows these fields never pays twice.
#[test]
fn a_later_failure_still_says_that_the_video_is_paid() {
    let error = |run: &Run| {
        let error: Value = serde_json::from_str(run.err.lines().last().unwrap()).unwrap();
        ["charged", "resend", "job"].map(|field| error[field].as_str().unwrap_or("-").to_owned())
    };
    // The video is saved and reported before its receipt cannot be written.
    let sandbox = Sandbox::with_sim();
    let run = sandbox.run(&[
        "generate",
        "A dog",
        "--receipt",
        "/dev/full",
        "--force",
        "--json",
    ]);
    let job = latest(&sandbox);
    assert_eq!(
        (run.code, error(&run)),
        (1, ["yes", "never", &job].map(str::to_owned)),
        "{}",
        run.err
    );
    assert!(
        run.out
            .lines()
            .last()
            .unwrap()
            .starts_with(r#"{"event":"saved""#),
        "{}",
        run.out
    );
    assert_eq!(sandbox.listed(&[])[0]["state"], "done");

    assert_eq!(
        sandbox
            .run(&["generate", "A dog", "--no-wait", "-o", "later.mp4"])
            .code,
        0
    );
    let job = latest(&sandbox);
    let run = sandbox.run(&["download", &job, "--json"]);
    assert_eq!(
        (run.code, error(&run)),
        (5, ["yes", "never", &job].map(str::to_owned)),
        "{}",
        run.err
    );

    // The first request is refused, the second is lost, and the third becomes a job that fails.
    let server = Server::start(|line, body| match body {
        _ if line.contains("POST") && body.contains("lost") => None,
        _ if body.contains("dear") => Some(refused(402, "Insufficient credits")),
        _ if line.contains("POST") => Some(accepted("t1")),
        _ if line.contains("t2") => Some(record("t2", 0, "")),
        _ => Some(record("t1", 3, "")),
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let table = [
        (["dear", "dear"], 3, ["no", "change_input"]),
        (["dear", "failing"], 1, ["unknown", "never"]),
        (["failing", "lost"], 4, ["unknown", "never"]),
    ];
    for (number, (prompts, code, [charged, resend])) in table.into_iter().enumerate() {
        let file = format!("jobs-{number}.jsonl");
        sandbox.write(
            &file,
            &prompts
                .map(|prompt| format!("{{\"prompt\":\"{prompt}\"}}\n"))
                .concat(),
        );
        let run = sandbox.run(&["generate", "--batch", &file, "--json"]);
        assert_eq!(
            (run.code, error(&run)),
            (code, [charged, resend, "-"].map(str::to_owned)),
            "{}",
            run.err
        );
    }
    let run = sandbox.run(&["wait", "kie:t1", "kie:t2", "--timeout", "1s", "--json"]);
    assert_eq!(
        (run.code, error(&run)),
        (5, ["yes", "never", "-"].map(str::to_owned)),
        "{}",
        run.err
    );
}

/// `veo wait` would save a video without telling the batch, so the advice is the command of the batch.
#[test]
fn a_line_of_a_batch_advises_the_command_of_the_batch() {
    let server = Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 0, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", "{\"prompt\":\"A dog\"}\n");
    let command = ["generate", "--batch", "jobs.jsonl"];
    let check = |run: &Run, code| {
        let wanted =
            "\n  The job is paid for. Run the same batch command again to continue with it.\n";
        assert!(
            run.err.contains(wanted) && !run.err.contains("veo wait"),
            "{}",
            run.err
        );
        assert_eq!(run.code, code, "{}", run.err);
    };
    check(
        &sandbox.run(&[&command, ["--timeout", "1s"].as_slice()].concat()),
        5,
    );
    let mut program = sandbox.start(&command);
    program.until("line 1: Making the video");
    program.interrupt();
    check(&program.end(), 130);
}

#[test]
fn images_of_this_machine_are_uploaded() {
    let sandbox = Sandbox::with_sim();
    fs::write(sandbox.path("dog.png"), PICTURE).unwrap();
    let shown = session(
        &sandbox,
        &[
            &["upload", "dog.png"],
            &["upload", "dog.png", "--json"],
            &["upload", "cat.png"],
            &["generate", "It starts to rain", "--image", "dog.png"],
        ],
    );
    assert_snapshot!(shown);
}

#[test]
fn the_simulator_serves_other_programs_until_ctrl_c() {
    let mut simulator = Sandbox::new().start(&["sim", "--port", "0"]);
    let printed = simulator.until("Ctrl-C stops it.").to_owned();
    let url = printed
        .split("KIE_BASE_URL=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let sandbox = Sandbox::new().at("kie", url);
    let run = sandbox.run(&["generate", "A dog"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "video.mp4\n"),
        "{}",
        run.err
    );
    simulator.interrupt();
    let run = simulator.end();
    assert_eq!((run.code, run.out), (0, format!("{url}\n")));
}

#[test]
fn the_simulator_stays_in_the_background_until_it_is_killed() {
    let sandbox = Sandbox::new();
    let line =
        "eval \"$(veo sim --background)\" && veo generate A_dog && veo jobs && kill $VEO_SIM_PID";
    let run = sandbox.run_line(line);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("video.mp4"), "{}", run.out);
    // The jobs of a simulator have a ledger of their own.
    assert!(!sandbox.store().exists());

    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let run = sandbox.run(&["sim", "--background", "--port", &port]);
    assert!(
        run.code == 1 && run.out.is_empty() && run.err.contains("the simulator cannot start: "),
        "{}",
        run.err
    );
}

#[test]
fn the_api_key_of_a_simulator_is_sent_to_no_provider() {
    let image = [
        "generate",
        "A dog",
        "--image",
        "dog.png",
        "--provider",
        "uniall",
    ];
    let table: [&[&str]; 5] = [
        &["generate", "A dog"],
        &["generate", "A dog", "--provider", "kie"],
        &image,
        &["credits"],
        &["wait", "kie:t1"],
    ];
    for key in ["any", "lost-reply", "lost-reply/2"] {
        for arguments in table {
            let sandbox = Sandbox::new()
                .with("KIE_API_KEY", key)
                .at("uniall", "http://127.0.0.1:1");
            let run = sandbox.run(arguments);
            let sentence =
                "error: the key of kie is for the simulator; set KIE_BASE_URL to its address";
            assert!(
                run.code == 2 && run.err.starts_with(sentence),
                "{key}: {arguments:?}: {}",
                run.err
            );
        }
    }
}

#[test]
fn commands_without_a_provider_need_no_api_key() {
    let sandbox = Sandbox::new();
    sandbox.run(&[
        "generate",
        "--sim",
        "kie",
        "A dog",
        "-o",
        "dog.mp4",
        "--receipt",
        "dog.json",
    ]);
    let shown = session(
        &sandbox,
        &[
            &["plan", "A dog", "--negative-prompt", "cats"],
            &["plan", "A dog", "--negative-prompt", "cats", "--json"],
            &[
                "plan",
                "A dog",
                "--provider",
                "kie",
                "--resolution",
                "4k",
                "--seed",
                "12345",
            ],
            &[
                "plan",
                "A dog",
                "--provider",
                "kie",
                "--negative-prompt",
                "cats",
            ],
            &["models"],
            &["models", "--provider", "uniall", "--json"],
            &["inspect", "dog.json"],
            &["inspect", "dog.mp4"],
            &["inspect", "dog.json", "--json"],
            &["inspect", "nothing.json"],
            &["jobs"],
            &["wait"],
        ],
    );
    assert_snapshot!(shown);
}

#[test]
fn wrong_arguments_are_refused_in_one_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("there.mp4", "an older video");
    sandbox.write("request.yaml", "prompt: A dog\nlength: 8\n");
    sandbox.write("request.json", r#"{"prompt": "A dog", "seconds": "eight"}"#);
    let table: [&[&str]; 30] = [
        &["generate", "A dog"],
        &["generate", "A dog", "--provider", "uniall"],
        &["generate", "A dog", "--json"],
        &["generate", "--sim", "kie"],
        &["generate", "--json", "--sim", "nobody"],
        &["generate", "--sim", "kie", " "],
        &["generate", "--sim", "kie", "A dog", "-o", "there.mp4"],
        &["generate", "--sim", "kie", "A dog", "-o", "no/dog.mp4"],
        &["generate", "--sim", "kie", "A dog", "-o", "."],
        &[
            "generate",
            "--sim",
            "kie",
            "A dog",
            "--receipt",
            "there.mp4",
        ],
        &["generate", "--sim", "kie", "A dog", "--duration", "5"],
        &["generate", "--sim", "kie", "A dog", "--image", "dog.png"],
        &[
            "generate",
            "--sim",
            "uniall",
            "A dog",
            "--tier",
            "lite",
            "--watermark",
            "x",
        ],
        &["generate", "--sim", "kie", "A dog", "--provider", "kie"],
        &["generate", "--sim", "kie", "A dog", "--no-wait"],
        &[
            "generate",
            "--sim",
            "kie",
            "A dog",
            "--first-frame",
            "https://img.example.net/a.png",
        ],
        &[
            "generate",
            "--sim",
            "kie",
            "A dog",
            "--image",
            "https://a.example/a.png",
            "--reference",
            "https://a.example/b.png",
        ],
        &["generate", "--sim", "kie", "A dog", "--timeout", "5"],
        &["generate", "--sim", "kie", "A dog", "--extra", "kie.x=word"],
        &["generate", "--sim", "kie", "A dog", "--extra", "other.x=1"],
        &["generate", "--sim", "kie", "@prompt.txt"],
        &["generate", "--sim", "kie", "--request", "request.yaml"],
        &["generate", "--sim", "kie", "--request", "request.json"],
        &["status", "nonsense"],
        &["status", "other:1"],
        &["wait", "kie:1"],
        &["upgrade", "kie:1"],
        &["auth", "kie"],
        &["man", "nothing"],
        &["nothing"],
    ];
    assert_snapshot!(session(&sandbox, &table));
    assert_eq!(
        fs::read_to_string(sandbox.path("there.mp4")).unwrap(),
        "an older video"
    );
    for arguments in table {
        assert_eq!(sandbox.run(arguments).code, 2, "{arguments:?}");
    }
    // No command has left a file.
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 3);
}

#[test]
fn a_request_can_be_given_in_many_ways() {
    let sandbox = Sandbox::new();
    sandbox.write("prompt.txt", "A dog\nin a park\n");
    sandbox.write(
        "request.yaml",
        "prompt: A dog\naspect_ratio: 9:16\ninput:\n  type: image\n  image: https://img.example.net/a.png\n",
    );
    sandbox.write(
        "request.json",
        r#"{"prompt": "A dog", "seconds": 4, "input": {"type": "image", "image": {"file": "dog.png"}}}"#,
    );
    let body = |arguments: &[&str], input: &str| {
        let arguments = [&["plan", "--json", "--provider", "kie"], arguments].concat();
        let run = sandbox.run_with_input(&arguments, input);
        assert_eq!(run.code, 0, "{}", run.err);
        let plan: Value = serde_json::from_str(&run.out).unwrap();
        format!("{}\n{}\n", arguments.join(" "), plan["offers"][0]["body"])
    };
    let table: [(&[&str], &str); 12] = [
        (&["A dog"], ""),
        (&["@prompt.txt"], ""),
        (&["-"], "A dog\n"),
        (&["--request", "request.yaml"], ""),
        (&["--request", "request.json"], ""),
        (&["--request", "-"], "prompt: A dog\n"),
        (
            &["--request", "request.json", "A cat", "--duration", "6"],
            "",
        ),
        (
            &[
                "A dog",
                "--first-frame",
                "https://a.example/1.png",
                "--last-frame",
                "last.png",
            ],
            "",
        ),
        (
            &[
                "A dog",
                "--reference",
                "https://a.example/1.png",
                "--reference",
                "https://a.example/2.png",
            ],
            "",
        ),
        (
            &[
                "A dog",
                "--tier",
                "fast",
                "--aspect-ratio",
                "9:16",
                "--resolution",
                "4K",
                "--duration",
                "6",
            ],
            "",
        ),
        (
            &[
                "A dog",
                "--watermark",
                "me",
                "--no-translate",
                "--callback-url",
                "https://a.example/cb",
                "--seed",
                "12345",
            ],
            "",
        ),
        (
            &[
                "A dog",
                "--extra",
                "kie.enableFallback=true",
                "--extra",
                "kie.note=\"a b\"",
                "--extra",
                "uniall.n=1",
            ],
            "",
        ),
    ];
    let shown: Vec<_> = table
        .iter()
        .map(|(arguments, input)| body(arguments, input))
        .collect();
    assert_snapshot!(shown.join("\n"));
}

/// Returns all commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = Sandbox::new().run(&["--help"]).out;
    let lines = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    let sandbox = Sandbox::new();
    let names = commands();
    assert_eq!(names.len(), 19, "{names:?}");
    // `schema` takes no arguments, and `help` takes any command.
    for name in names
        .iter()
        .filter(|name| !["schema", "help"].contains(&name.as_str()))
    {
        let run = sandbox.run(&[name, "--help"]);
        assert!(
            run.code == 0 && run.out.contains(&format!("Examples:\n  veo {name}")),
            "{name}: {}",
            run.out
        );
    }
    let alone = sandbox.run(&[]);
    assert!(alone.err.contains("Commands:") && alone.code == 2);
}

/// The examples of the help texts run against the simulator, with the files that they name.
#[test]
fn every_example_of_the_help_works() {
    let mut names = commands();
    names.push(String::new());
    let ran: usize = thread::scope(|scope| {
        let runs: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(|| run_examples(name)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert!(ran > 40, "{ran} of {names:?}");
}

/// Runs the examples of a command one after the other, and returns their number.
fn run_examples(name: &str) -> usize {
    let help = Sandbox::new().run_line(&format!("veo {name} --help")).out;
    let is_command = |line: &&str| line.starts_with("  veo ") || line.starts_with("  KIE_");
    let lines: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Examples:")
        .filter(is_command)
        .collect();
    // A remark can follow the command.
    lines
        .iter()
        .for_each(|line| run_example(line.trim().split("  ").next().unwrap()));
    lines.len()
}

fn run_example(example: &str) {
    // The simulator runs until Ctrl-C at a fixed port, which can be in use here. Another test runs this example.
    if example == "veo sim" {
        return;
    }
    let sandbox = Sandbox::with_sim();
    let prepare = |line: &str, code| {
        let run = sandbox.run_line(line);
        assert_eq!(run.code, code, "{example}: {line}: {}", run.err);
    };
    for image in ["park", "day", "night", "her", "him", "dog"] {
        fs::write(sandbox.path(&format!("{image}.png")), PICTURE).unwrap();
    }
    sandbox.write("prompt.txt", "A dog playing in a park\n");
    sandbox.write("request.yaml", "prompt: A dog playing in a park\n");
    sandbox.write("jobs.jsonl", "{\"prompt\": \"A dog playing in a park\"}\n");
    sandbox.write("key.txt", "sk-secret\n");
    prepare(
        "mkdir -p ~/.local/share/bash-completion/completions ~/.zfunc",
        0,
    );
    let mut line = example
        .replace("http://127.0.0.1:8787", &sandbox.url())
        .replace("| man -l -", "| cat");
    let is = |command: &str| example.starts_with(&format!("veo {command}"));
    if is("auth kie") {
        // A user usually types the API key in a terminal. Another test does this.
        line += " < key.txt";
    } else if is("inspect") {
        prepare("veo generate A_dog -o dog.mp4 --receipt receipt.json", 0);
    } else if is("jobs --batch") {
        prepare("veo generate --batch jobs.jsonl --provider kie", 0);
    } else if is("settle") {
        let (file, list) = match example.contains("--batch") {
            true => ("--batch jobs.jsonl", ["--batch", "jobs.jsonl"].as_slice()),
            false => ("A_dog", [].as_slice()),
        };
        prepare(
            &format!("KIE_API_KEY=lost-reply veo generate {file} --provider kie"),
            4,
        );
        line = line.replace(
            "0f1e2d3c4b5a6978",
            sandbox.listed(list)[0]["key"].as_str().unwrap(),
        );
        // Only the account that has sent the request knows the task.
        line = format!(
            "KIE_API_KEY=lost-reply {}",
            line.replace("kie:0f1e2d3c", &format!("kie:{}", sandbox.last_task()))
        );
    } else {
        for (shown, provider) in [("kie:0f1e2d3c", "kie"), ("uniall:task_42", "uniall")] {
            if line.contains(shown) {
                prepare(
                    &format!("veo generate A_dog --provider {provider} -o first-{provider}.mp4"),
                    0,
                );
                line = line.replace(shown, &latest(&sandbox));
            }
        }
    }
    let is_lost = line.contains("lost-reply") && !line.contains("veo settle");
    prepare(&line, if is_lost { 4 } else { 0 });
}

#[test]
fn the_reference_is_written_from_the_help() {
    let page = Sandbox::new().run(&["reference"]).out;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(file, &page).unwrap();
    }
    let checked_in = fs::read_to_string(file).unwrap_or_default();
    assert!(
        page == checked_in,
        "the reference is outdated; run: cargo run -p veo-cli -- reference > crates/veo-cli/docs/cli.md"
    );
}

#[test]
fn the_printed_schema_is_the_checked_in_one() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/video-request.json"
    );
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let printed = Sandbox::new().run(&["schema"]).out;
    assert_eq!(read(&printed), read(&fs::read_to_string(file).unwrap()));
    assert_eq!(
        Sandbox::new()
            .run(&["schema", "--json"])
            .out
            .lines()
            .count(),
        1
    );
}

#[test]
fn an_unprinted_result_is_a_failure_but_a_closed_pipe_is_not() {
    let sandbox = Sandbox::with_sim();
    let table: [&[&str]; 6] = [
        &["schema"],
        &["models"],
        &["--help"],
        &["generate", "--help"],
        &["generate", "A dog", "--force"],
        &["generate", "A dog", "--force", "--json"],
    ];
    for arguments in table {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let run = sandbox.command(arguments).stdout(full).output().unwrap();
        let printed = String::from_utf8(run.stderr).unwrap();
        let sentence = "standard output cannot be written: No space left on device (os error 28); what the command did before stays done";
        assert_eq!(
            (run.status.code(), printed.matches(sentence).count()),
            (Some(1), 1),
            "{arguments:?}: {printed}"
        );

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = sandbox.command(arguments).stdout(writer).output().unwrap();
        let printed = String::from_utf8(run.stderr).unwrap();
        assert!(
            run.status.success() && !printed.contains("standard output"),
            "{arguments:?}: {printed}"
        );
    }
    let listed = sandbox.listed(&[]);
    assert!(
        listed.len() == 4 && listed.iter().all(|job| job["state"] == "done"),
        "{listed:?}"
    );
}

#[test]
fn arguments_that_are_not_utf_8_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let (sandbox, odd) = (Sandbox::with_sim(), OsStr::from_bytes(b"\xff"));
    let table: [&[&str]; 5] = [
        &["status"],
        &["status", "--json"],
        &["generate"],
        &["settle", "--job"],
        &["generate", "A dog", "--output"],
    ];
    for arguments in table {
        let run = sandbox.command(arguments).arg(odd).output().unwrap();
        let printed = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.code() == Some(2) && !printed.contains("panicked"),
            "{arguments:?}: {printed}"
        );
    }
    assert_eq!(sandbox.paid(), 0);
}

#[test]
fn verbose_shows_the_requests_without_the_api_key() {
    let sandbox = Sandbox::with_sim();
    for provider in ["kie", "uniall"] {
        let arguments = ["generate", "A dog", "--provider", provider, "--force"];
        let quiet = sandbox.run(&arguments);
        let run = sandbox.run(&[arguments.as_slice(), &["--verbose"]].concat());
        assert_eq!((run.code, &run.out), (0, &quiet.out), "{}", run.err);
        for part in [
            "veo::wire",
            "POST",
            r#""prompt":"A dog""#,
            "GET",
            "status=200",
        ] {
            assert!(
                run.err.contains(part) && !quiet.err.contains("veo::wire"),
                "{part} is not in {}",
                run.err
            );
        }
        assert!(!run.err.contains("sk-secret"), "{}", run.err);
    }
}

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let sandbox = Sandbox::new();
    let table: [(&[&str], &str); 7] = [
        (&["completions", "bash"], "complete -F _veo"),
        (&["completions", "zsh"], "#compdef veo"),
        (&["completions", "fish"], "complete -c veo"),
        (&["completions", "powershell"], "Register-ArgumentCompleter"),
        (&["man"], ".TH veo 1"),
        (&["man", "generate"], ".TH veo-generate 1"),
        (
            &["completions", "bash", "--json"],
            r#"{"event":"text","text":"#,
        ),
    ];
    for (arguments, wanted) in table {
        let run = sandbox.run(arguments);
        assert!(
            run.code == 0 && run.out.contains(wanted),
            "{arguments:?}: {}",
            run.out
        );
    }
}

/// A word of another program leads to the word of this program. If there is none, no other word is proposed.
#[test]
fn words_of_other_programs_lead_to_the_right_option() {
    let no_command = "there is no such command";
    let table: [(&[&str], &str); 25] = [
        (&["generate", "A", "--ratio", "9:16"], "--aspect-ratio"),
        (&["generate", "A", "--ratio=9:16"], "--aspect-ratio"),
        (&["generate", "A", "--aspect", "9:16"], "--aspect-ratio"),
        (&["generate", "A", "-m", "veo3"], "--model"),
        (&["generate", "A", "-n", "2"], "--batch"),
        (&["generate", "A", "--count", "2"], "--batch"),
        (&["generate", "A", "--seconds", "4"], "--duration"),
        (&["generate", "A", "--timout", "4m"], "--timeout"),
        (&["generate", "A", "--out", "a.mp4"], "--output"),
        (&["generate", "A", "--output-file", "a.mp4"], "--output"),
        (&["generate", "A", "--api-key", "x"], "veo auth"),
        (
            &["wait", "kie:t1", "--sim", "kie"],
            "`veo sim` in another terminal",
        ),
        (&["list"], "veo jobs"),
        (&["history"], "veo jobs"),
        (&["login"], "veo auth"),
        (&["setup"], "veo auth"),
        (&["open"], no_command),
        (&["cancel"], no_command),
        (&["create"], "veo generate"),
        (&["make"], "veo generate"),
        (&["version"], "veo --version"),
        (&["help", "version"], "veo --version"),
        (&["jbos"], "'jobs'"),
        (&["generate", "A", "--moon"], ""),
        (&["moonrise"], ""),
    ];
    let sandbox = Sandbox::new();
    for (command, word) in table {
        let run = sandbox.run(command);
        assert_eq!(run.code, 2, "{command:?}");
        let tips: Vec<_> = run.err.split("tip: ").skip(1).collect();
        let is_right = match word {
            // Advice on how to pass the word as a value is allowed.
            "" => tips.iter().all(|tip| tip.starts_with("to pass")),
            _ => tips.len() == 1 && tips[0].lines().next().unwrap().contains(word),
        };
        assert!(is_right, "{command:?}: {}", run.err);
    }
}

#[test]
fn manual_pages_have_the_usual_headings() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["man", "--output", "man1"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let written: Vec<_> = run.out.lines().map(str::to_owned).collect();
    let mut expected = vec!["man1/veo.1".to_owned()];
    expected.extend(commands().iter().map(|name| format!("man1/veo-{name}.1")));
    assert_eq!(written, expected);
    for file in written {
        let page = fs::read_to_string(sandbox.path(&file)).unwrap();
        let count = |heading: &str| page.lines().filter(|line| *line == heading).count();
        let has_examples = !["man1/veo-schema.1", "man1/veo-help.1"].contains(&file.as_str());
        assert_eq!(
            count(".SH \"EXAMPLES\""),
            usize::from(has_examples),
            "{file}"
        );
        assert_eq!(count(".SH \"EXIT STATUS\""), 1, "{file}");
        assert_eq!(count(".SH EXTRA"), 0, "{file}");
        let name = file.trim_start_matches("man1/veo").trim_end_matches(".1");
        let alone = match name.strip_prefix('-') {
            Some(name) => sandbox.run(&["man", name]),
            None => sandbox.run(&["man"]),
        };
        assert_eq!(alone.out.trim_end(), page.trim_end(), "{file}");
    }
}

#[test]
fn completions_have_no_hidden_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = Sandbox::new().run(&["completions", shell]).out;
        assert!(script.contains("completions"), "{shell}");
        // An option has the same name as this hidden command.
        let is_command = |line: &&str| line.contains("reference") && !line.contains("--tier");
        let of_options = ["--reference", "-l reference", "first-frame", "--request"];
        let lines = script.lines().filter(is_command);
        for line in lines {
            let is_option = of_options.iter().any(|option| line.contains(option));
            assert!(is_option, "{shell}: {line}");
        }
    }
}

/// The last line of a tip is a command for a shell.
#[test]
fn tips_can_be_pasted_into_a_shell() {
    let sandbox = Sandbox::new();
    for value in ["orbit", "it's", "a \"b\" $HOME `x`", ""] {
        let extra = format!("kie.x={value}");
        let run = sandbox.run(&["plan", "A dog", "--extra", &extra]);
        assert_eq!(run.code, 2, "{extra}");
        let tip = run.err.split("in a shell: ").nth(1).unwrap();
        let tip = tip.lines().next().unwrap();
        let plan = sandbox.run_line(&format!("veo plan A_dog --json --provider kie {tip}"));
        assert_eq!(plan.code, 0, "{tip}: {}", plan.err);
        let plan: Value = serde_json::from_str(&plan.out).unwrap();
        assert_eq!(plan["offers"][0]["body"]["x"], value, "{tip}");
    }
    // The name of the file has a space.
    let server = Server::start(|_, _| None);
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("my jobs.jsonl", "{\"prompt\":\"Lost\"}\n");
    let run = sandbox.run(&["generate", "--batch", "my jobs.jsonl"]);
    let tip = run.err.split("if not: ").nth(1).unwrap();
    let tip = tip.lines().next().unwrap();
    assert_eq!(sandbox.run_line(tip).code, 0, "{tip}");
}

/// Every field of a request has an option. The option changes the body or is refused, and is never dropped.
#[test]
fn every_field_of_a_request_has_an_option() {
    let sandbox = Sandbox::new();
    let schema: Value = serde_json::from_str(&sandbox.run(&["schema"]).out).unwrap();
    let planned = |provider: &str, options: &[&str]| {
        let plan = ["plan", "A dog", "--json", "--provider", provider];
        sandbox.run(&[&plan, options].concat()).out
    };
    for word in schema["properties"].as_object().unwrap().keys() {
        let options: &[&str] = match word.as_str() {
            // The prompt is an argument and not an option.
            "prompt" => continue,
            "input" => &["--image", "https://img.example.net/1.png"],
            "tier" => &["--tier", "quality"],
            "model" => &["--model", "veo3_fast"],
            "aspect_ratio" => &["--aspect-ratio", "9:16"],
            "resolution" => &["--resolution", "1080p"],
            "seconds" => &["--duration", "4"],
            "seed" => &["--seed", "23456"],
            "audio" => &["--no-audio"],
            "negative_prompt" => &["--negative-prompt", "blur"],
            "watermark" => &["--watermark", "Harbour"],
            "translate_prompt" => &["--no-translate"],
            "callback_url" => &["--callback-url", "https://app.example.net/hook"],
            "extra" => &["--extra", "kie.enableFallback=true"],
            word => panic!(
                "a request can have a {word}: add its option to Options in crates/veo-cli/src/args.rs, and an example of \
                 it here"
            ),
        };
        let changes = ["kie", "uniall"].map(|who| planned(who, options) != planned(who, &[]));
        assert!(
            changes.contains(&true),
            "{options:?} changes no plan: is {word} in applied() of crates/veo-cli/src/args.rs?"
        );
    }
}
