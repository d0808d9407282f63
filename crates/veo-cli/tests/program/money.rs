//! The outcomes of paid requests on both streams, in the exit code and on the disk.

use insta::assert_snapshot;

use crate::sandbox::{PICTURE, Sandbox, lines};
use crate::server::{Server, accepted, record, refused};

const GENERATE: &str = "/veo/generate";

#[test]
fn every_outcome_has_its_exit_code() {
    type Answer = fn(&str) -> Option<String>;
    let table: [(&str, &[&str], Answer); 9] = [
        ("no credits", &[], |_| {
            Some(refused(402, "Insufficient credits"))
        }),
        ("a wrong key", &[], |_| {
            Some(refused(401, "You do not have access permissions"))
        }),
        ("too many requests", &[], |_| {
            Some(refused(429, "Too many requests"))
        }),
        ("the prompt", &[], |_| {
            Some(refused(
                400,
                "Your prompt was flagged by Website as violating content policies.",
            ))
        }),
        ("a server error", &[], |_| {
            Some(refused(500, "Server exception"))
        }),
        ("nothing", &[], |_| None),
        ("a job that fails", &[], |path| {
            Some(if path.contains(GENERATE) {
                accepted("t1")
            } else {
                record("t1", 3, "")
            })
        }),
        ("a job that does not end", &["--timeout", "1s"], |path| {
            Some(if path.contains(GENERATE) {
                accepted("t1")
            } else {
                record("t1", 0, "")
            })
        }),
        ("a link that leads nowhere", &[], |path| {
            Some(if path.contains(GENERATE) {
                accepted("t1")
            } else {
                record("t1", 1, "ftp://x/v.mp4")
            })
        }),
    ];
    let mut shown = String::new();
    for (what, options, answer) in table {
        let server = Server::start(move |line, _| answer(line));
        let sandbox = Sandbox::new().at("kie", server.url());
        for json in [[].as_slice(), &["--json"]] {
            let arguments = [&["generate", "A dog"], options, json].concat();
            let run = sandbox.run(&arguments);
            shown += &format!("# {what}\n{}\n", sandbox.shown(&arguments, &run));
        }
        // Each of the two commands has sent one request.
        assert_eq!(server.count(GENERATE), 2, "{what}");
        let states: Vec<_> = sandbox
            .listed(&[])
            .iter()
            .map(|job| job["state"].to_string())
            .collect();
        shown += &format!("# listed as {}\n\n", states.join(" "));
    }
    assert_snapshot!(shown);
}

#[test]
fn an_unreachable_provider_costs_nothing() {
    let sandbox = Sandbox::new().at("kie", "http://127.0.0.1:1");
    let run = sandbox.run(&["generate", "A dog"]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert_eq!(sandbox.listed(&[])[0]["state"], "rejected");
}

#[test]
fn an_unknown_outcome_asks_no_other_provider() {
    let lost = Server::start(|_, _| None);
    let other = Server::start(|_, _| None);
    let sandbox = Sandbox::new()
        .at("kie", lost.url())
        .at("uniall", other.url());
    let run = sandbox.run(&[
        "generate",
        "A dog",
        "--provider",
        "kie",
        "--provider",
        "uniall",
    ]);
    assert_eq!(
        (run.code, lost.count("POST"), other.count("POST")),
        (4, 1, 0),
        "{}",
        run.err
    );
    assert!(
        run.err
            .contains("Look at the tasks and the balance at the provider"),
        "{}",
        run.err
    );

    let jobs = sandbox.run(&["jobs"]);
    assert!(jobs.out.contains("\nunknown "), "{}", jobs.out);
    assert!(
        jobs.err
            .contains("1 with an unknown outcome. The request may have been charged."),
        "{}",
        jobs.err
    );
    // There is no job to wait for, and waiting sends nothing.
    assert_eq!(sandbox.run(&["wait"]).code, 0);
    assert_eq!(lost.count("POST"), 1);
}

#[test]
fn the_next_provider_is_asked_after_a_refusal() {
    let refusing = Server::start(|_, _| Some(refused(402, "Insufficient credits")));
    let sandbox = Sandbox::with_sim().at("kie", refusing.url());
    let run = sandbox.run(&["generate", "A dog"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "video.mp4\n"),
        "{}",
        run.err
    );
    let why =
        "warning: kie: kie.ai answered with code 402: Insufficient credits\nAccepted as uniall:";
    assert!(run.err.starts_with(why), "{}", run.err);
    assert_eq!((refusing.count(GENERATE), sandbox.paid()), (1, 1));
}

#[test]
fn nothing_is_sent_without_a_usable_ledger() {
    let server = Server::start(|_, _| None);
    let sandbox = Sandbox::new().at("kie", server.url());
    std::fs::create_dir_all(sandbox.store()).unwrap();
    let run = sandbox.run(&["generate", "A dog"]);
    assert!(
        run.code == 1 && run.err.contains("cannot be read or written as a ledger"),
        "{}",
        run.err
    );
    assert_eq!(server.count(""), 0);
}

#[test]
fn a_request_and_its_job_are_on_disk_before_the_next_step() {
    let sandbox = Sandbox::new();
    let (intent, job) = (sandbox.store(), sandbox.store());
    let (known, named) = (
        |line: &serde_json::Value| line["event"]["event"] == "begun",
        |line: &serde_json::Value| line["short"]["job"] == "kie:t1",
    );
    let server = Server::start(move |line, _| {
        if line.contains(GENERATE) {
            assert!(
                lines(&intent).iter().any(known),
                "the request was sent before it was in the ledger"
            );
            return Some(accepted("t1"));
        }
        // A question without an answer fails, and then the command fails too.
        lines(&job).iter().any(named).then(|| record("t1", 3, ""))
    });
    let run = sandbox.at("kie", server.url()).run(&["generate", "A dog"]);
    assert!(
        run.code == 1 && run.err.contains("the model gave up"),
        "{}",
        run.err
    );
}

/// Nothing is sent from a damaged ledger, but its readable jobs can be waited for.
#[test]
fn a_paid_job_is_listed_and_can_be_waited_for() {
    let sandbox = Sandbox::with_sim();
    let job = sandbox
        .run(&["generate", "A dog", "--no-wait"])
        .out
        .trim()
        .to_owned();
    let text = std::fs::read_to_string(sandbox.store()).unwrap();
    let request = text.lines().nth(1).unwrap();
    for damaged in [
        text.replacen("\"A dog\"", "\"A d", 1),
        text.replace(&format!("{request}\n"), ""),
    ] {
        std::fs::write(sandbox.store(), &damaged).unwrap();
        let listed = sandbox.run(&["jobs"]);
        assert!(
            listed.code == 2 && listed.out.contains(&job),
            "{} {}",
            listed.out,
            listed.err
        );
        assert!(
            listed.err.contains("jobs.jsonl is damaged:\nline 2: "),
            "{}",
            listed.err
        );
        let run = sandbox.run(&["wait", &job]);
        let file = format!("{}.mp4", job.replace(':', "-"));
        assert_eq!((run.code, run.out), (2, format!("{file}\n")), "{}", run.err);
        assert!(
            sandbox.path(&file).exists() && run.err.contains("is damaged"),
            "{}",
            run.err
        );
        std::fs::remove_file(sandbox.path(&file)).unwrap();
        let run = sandbox.run(&["generate", "A cat"]);
        assert_eq!((run.code, sandbox.paid()), (2, 1), "{}", run.err);
    }
}

/// UniAll does not store images, so it is given a link to the image at kie.ai.
#[test]
fn an_image_reaches_uniall_through_an_upload_to_kie() {
    let sandbox = Sandbox::with_sim();
    let image = PICTURE;
    std::fs::write(sandbox.path("dog.png"), image).unwrap();
    let command = ["A dog", "--image", "dog.png", "--provider", "uniall"];
    let plan = sandbox.run(&[&["plan"], command.as_slice()].concat());
    assert!(
        plan.code == 0 && plan.out.contains("\"image\": \"dog.png\""),
        "{}",
        plan.err
    );
    let run = sandbox.run(&[&["generate"], command.as_slice()].concat());
    assert!(
        run.code == 0 && run.err.contains("Accepted as uniall:"),
        "{}",
        run.err
    );
    assert_eq!(sandbox.paid(), 1);
    let run = Sandbox::new().run(&[
        "generate",
        "--sim",
        "uniall",
        "A dog",
        "--image",
        &sandbox.path("dog.png").display().to_string(),
    ]);
    assert_eq!(run.code, 0, "{}", run.err);

    // Without an API key for kie.ai the image has no place, and the plan says so.
    let alone = Sandbox::new().at("uniall", "http://127.0.0.1:1");
    std::fs::write(alone.path("dog.png"), image).unwrap();
    for start in ["plan", "generate"] {
        let run = alone.run(&[&[start], command.as_slice()].concat());
        assert!(
            run.code == 2 && run.err.contains("no provider of this client takes uploads"),
            "{start}: {}",
            run.err
        );
    }
    let plan = alone.run(&["plan", "A dog", "--image", "dog.png"]);
    let warning = "warning: input: an image of this machine has to be uploaded to kie.ai, for which there is no key here";
    assert!(
        plan.code == 0 && plan.out.contains(warning),
        "{} {}",
        plan.out,
        plan.err
    );
}

#[test]
fn no_paid_video_is_saved_over_another_one() {
    let sandbox = Sandbox::with_sim();
    sandbox.write("video.mp4", "an older video");
    let first = sandbox
        .run(&["generate", "A dog", "--no-wait"])
        .out
        .trim()
        .to_owned();
    let second = sandbox
        .run(&["generate", "A dog", "--no-wait", "--force"])
        .out
        .trim()
        .to_owned();
    let third = sandbox
        .run(&["generate", "A dog", "--no-wait"])
        .out
        .trim()
        .to_owned();
    let outputs = |sandbox: &Sandbox| {
        sandbox
            .listed(&[])
            .iter()
            .map(|job| job["output"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        outputs(&sandbox),
        ["video-2.mp4", "video.mp4", "video-3.mp4"]
    );

    let same_file = ["generate", "A cat", "--no-wait", "-o", "./video-3.mp4"];
    let run = sandbox.run(&same_file);
    let wanted = format!("./video-3.mp4 is where {third} is to be saved");
    assert!(run.code == 2 && run.err.contains(&wanted), "{}", run.err);
    // An open job has no file yet that could be replaced.
    let run = sandbox.run(&[&same_file, ["--force"].as_slice()].concat());
    assert!(run.code == 2 && run.err.contains(&wanted), "{}", run.err);
    assert_eq!(sandbox.paid(), 3);

    let run = sandbox.run(&["wait", &first, &third]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(
        std::fs::read_to_string(sandbox.path("video.mp4")).unwrap(),
        "an older video"
    );
    let run = sandbox.run(&["wait", &second, "--force"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "video.mp4\n"),
        "{}",
        run.err
    );
}
