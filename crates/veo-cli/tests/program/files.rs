//! Files of the user and the ledger change while the program runs. Each line is paid for once, and no file is replaced.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::batch::{data_url, video};
use crate::sandbox::{PICTURE, Sandbox, files_in};
use crate::server::{Server, accepted, prompt, record, task, video_of};

const BATCH: [&str; 3] = ["generate", "--batch", "jobs.jsonl"];

/// The number of payments for each prompt.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// A provider that counts. `flag` is the state of its jobs: 0 is running, 1 has a video, and 3 has failed.
fn provider(flag: impl Fn() -> u8 + Send + Sync + 'static) -> (Server, Counts) {
    let (counts, tasks) = (Counts::default(), AtomicUsize::new(1));
    let server_counts = counts.clone();
    let server = Server::start(move |line, body| {
        let Some(prompt) = prompt(body) else {
            // Two equal videos would be regarded as one video that is saved already.
            return Some(record(task(line), flag(), &video_of(task(line))));
        };
        *server_counts.lock().unwrap().entry(prompt).or_default() += 1;
        Some(accepted(&format!(
            "t{}",
            tasks.fetch_add(1, Ordering::Relaxed)
        )))
    });
    (server, counts)
}

fn write(sandbox: &Sandbox, file: &str, prompts: &[String]) {
    let line = |prompt: &String| format!("{{\"prompt\":\"{prompt}\",\"seconds\":4}}\n");
    sandbox.write(file, &prompts.iter().map(line).collect::<String>());
}

fn dogs(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("Dog {number}")).collect()
}

/// Gives a file another name.
type Link = fn(&Path, &Path);

const LINKS: [(&str, Link); 2] = [
    ("symlink", |file, link| symlink(file, link).unwrap()),
    ("hard link", |file, link| fs::hard_link(file, link).unwrap()),
];

#[test]
fn deleting_the_ledger_during_a_run_pays_no_line_twice() {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let (server, counts) = provider(move || if over.load(Ordering::Relaxed) { 3 } else { 0 });
    let sandbox = Sandbox::new().at("kie", server.url());
    write(&sandbox, "jobs.jsonl", &dogs(6));
    let command = [BATCH.as_slice(), &["--concurrency", "2"]].concat();
    let mut first = sandbox.start(&command);
    first.until("line 1: Making the video");
    first.until("line 2: Making the video");
    fs::remove_file(sandbox.path("jobs.jsonl.ledger")).unwrap();
    let second = sandbox.run(&[&command, ["--timeout", "1s"].as_slice()].concat());
    is_over.store(true, Ordering::Relaxed);
    let first = first.end();
    let counts = counts.lock().unwrap();
    let ends = (first.code, second.code);
    assert!(
        counts.values().all(|count| *count == 1),
        "ended with {ends:?}, {counts:?}"
    );
}

/// The folder is deleted while an image is uploaded, which can take long.
#[test]
fn no_request_is_sent_unstored_after_its_folder_is_gone() {
    let (arrived, arrival) = channel();
    let (release, released) = channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let sandbox = Sandbox::new();
    let (state, is_stored) = (sandbox.state(), Arc::new(Mutex::new(Vec::new())));
    let server_is_stored = is_stored.clone();
    let server = Server::start(move |line, body| {
        if line.contains("upload") {
            arrived.lock().unwrap().send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            return Some(
                r#"{"code":200,"msg":"success","success":true,"data":{"downloadUrl":"{origin}/dog.png"}}"#.to_owned(),
            );
        }
        if prompt(body).is_none() {
            return Some(record(task(line), 0, ""));
        }
        let has_prompt =
            |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains("A very particular dog");
        server_is_stored
            .lock()
            .unwrap()
            .push(files_in(&state).values().any(has_prompt));
        Some(accepted("t1"))
    });
    let sandbox = sandbox.at("kie", server.url());
    // The folder of the ledger exists already, as it does for most users.
    assert_eq!(sandbox.run(&["generate", "A dog", "--no-wait"]).code, 0);
    fs::write(sandbox.path("dog.png"), PICTURE).unwrap();
    let before = server.count("/veo/generate");
    is_stored.lock().unwrap().clear();
    let program = sandbox.start(&[
        "generate",
        "A very particular dog",
        "--image",
        "dog.png",
        "--no-wait",
    ]);
    arrival.recv_timeout(Duration::from_secs(60)).unwrap();
    fs::remove_dir_all(sandbox.state().join("veo")).unwrap();
    release.send(()).unwrap();
    let run = program.end();
    let sent = server.count("/veo/generate") - before;
    assert_eq!(*is_stored.lock().unwrap(), vec![true; sent], "{}", run.err);
    let listed = sandbox.listed(&[]);
    assert_eq!(
        listed
            .iter()
            .filter(|job| job["prompt"] == "A very particular dog")
            .count(),
        sent,
        "{listed:?}"
    );
    assert!(
        sent == 1 && run.code == 0 || sent == 0 && run.code == 1,
        "{sent} sent: {} {}",
        run.code,
        run.err
    );
}

#[test]
fn a_batch_by_another_name_is_the_same_batch() {
    let mut wrong = Vec::new();
    for (what, link) in LINKS {
        let (server, counts) = provider(|| 1);
        let sandbox = Sandbox::new().at("kie", server.url());
        write(&sandbox, "jobs.jsonl", &dogs(3));
        let run = sandbox.run(&BATCH);
        assert_eq!(run.code, 0, "{}", run.err);
        link(&sandbox.path("jobs.jsonl"), &sandbox.path("again.jsonl"));
        for options in [[].as_slice(), &["--force"]] {
            let run = sandbox.run(&[&["generate", "--batch", "again.jsonl"], options].concat());
            // A hard link may be refused because of its other name. Otherwise the ledger has all lines as done.
            let is_refused = what == "hard link" && run.code == 2 && run.err.contains("jobs.jsonl");
            let counts = counts.lock().unwrap();
            if !(run.code == 0 || is_refused) || counts.values().any(|count| *count != 1) {
                wrong.push(format!(
                    "{what} {options:?}: {} {counts:?} {}",
                    run.code, run.err
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_batch_run_by_two_names_at_once_pays_each_line_once() {
    let mut wrong = Vec::new();
    for (what, link) in LINKS {
        for _ in 0..3 {
            let (server, counts) = provider(|| 3);
            let sandbox = Sandbox::new().at("kie", server.url());
            write(&sandbox, "jobs.jsonl", &dogs(4));
            link(&sandbox.path("jobs.jsonl"), &sandbox.path("again.jsonl"));
            let start = |file| sandbox.start(&["generate", "--batch", file]);
            let ends =
                [start("jobs.jsonl"), start("again.jsonl")].map(|program| program.end().code);
            let counts = counts.lock().unwrap();
            // One of the two batches may be refused because of the other name.
            if counts.len() != 4 || counts.values().any(|count| *count != 1) {
                wrong.push(format!("{what}: ended with {ends:?}, {counts:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// First one request is sent while the other is on its way. Then both requests begin at once.
#[test]
fn only_one_of_two_requests_for_one_file_is_sent() {
    let (arrived, arrival) = channel();
    let (release, released) = channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let server = Server::start(move |line, body| {
        let Some(prompt) = prompt(body) else {
            return Some(record(task(line), 0, ""));
        };
        if prompt == "P" {
            arrived.lock().unwrap().send(()).unwrap();
            let _ = released.lock().unwrap().recv();
        }
        Some(accepted(&prompt))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let first = sandbox.start(&["generate", "P", "-o", "same.mp4", "--no-wait"]);
    arrival.recv_timeout(Duration::from_secs(60)).unwrap();
    let second = sandbox.run(&["generate", "Q", "-o", "./same.mp4", "--no-wait"]);
    let sent = server.count("POST");
    release.send(()).unwrap();
    let first = first.end();
    let mut wrong = Vec::new();
    if (first.code, second.code, sent) != (0, 2, 1) {
        wrong.push(format!(
            "on its way: {} and {}, {sent} sent: {}",
            first.code, second.code, second.err
        ));
    }
    for round in 0..5 {
        let file = format!("same-{round}.mp4");
        let start = |prompt: &str| sandbox.start(&["generate", prompt, "-o", &file, "--no-wait"]);
        let before = server.count("POST");
        let mut codes = [start("R"), start("S")].map(|program| program.end().code);
        codes.sort_unstable();
        let sent = server.count("POST") - before;
        if (codes, sent) != ([0, 2], 1) {
            wrong.push(format!("at once: ended with {codes:?}, {sent} sent"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn thirty_requests_at_once_have_thirty_jobs_and_thirty_files() {
    let (server, counts) = provider(|| 1);
    let sandbox = Sandbox::new().at("kie", server.url());
    let programs: Vec<_> = (1..=30)
        .map(|dog| sandbox.start(&["generate", &format!("Dog {dog}"), "--duration", "4"]))
        .collect();
    for program in programs {
        let run = program.end();
        assert_eq!(run.code, 0, "{}", run.err);
    }
    let counts = counts.lock().unwrap();
    assert!(
        counts.len() == 30 && counts.values().all(|count| *count == 1),
        "{counts:?}"
    );
    let listed = sandbox.listed(&[]);
    let different = |field: &str| {
        let values = listed
            .iter()
            .map(|job| (job[field].as_str().unwrap().to_owned(), 1));
        values.collect::<HashMap<_, _>>().len()
    };
    assert_eq!(
        (listed.len(), different("job"), different("output")),
        (30, 30, 30)
    );
    for job in &listed {
        let file = sandbox.path(job["output"].as_str().unwrap());
        let saved = fs::read(&file).unwrap();
        assert!(saved.starts_with(video()), "{}", file.display());
    }
}

#[test]
fn a_file_that_appears_at_the_target_is_kept() {
    let mut wrong = Vec::new();
    let table: [(&str, &[&str], &str); 4] = [
        (
            "named",
            &["generate", "Dog 1", "--duration", "4", "-o", "mine.mp4"],
            "mine.mp4",
        ),
        (
            "not named",
            &["generate", "Dog 1", "--duration", "4"],
            "video.mp4",
        ),
        ("waited for", &["wait", "kie:t1"], "mine.mp4"),
        ("a line", &["generate", "--batch", "jobs.jsonl"], "mine.mp4"),
    ];
    for (what, command, name) in table {
        let target = Arc::new(Mutex::new(None::<PathBuf>));
        let server_target = target.clone();
        let (server, counts) = provider(move || {
            if let Some(path) = server_target.lock().unwrap().as_ref() {
                fs::write(path, "of the user").unwrap();
            }
            1
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        sandbox.write(
            "jobs.jsonl",
            r#"{"prompt":"Dog 1","seconds":4,"output":"mine.mp4"}"#,
        );
        if command[0] == "wait" {
            let run = sandbox.run(&[
                "generate",
                "Dog 1",
                "--duration",
                "4",
                "-o",
                "mine.mp4",
                "--no-wait",
            ]);
            assert_eq!(run.code, 0, "{}", run.err);
        }
        *target.lock().unwrap() = Some(sandbox.path(name));
        let run = sandbox.run(command);
        let other = files_in(&sandbox.path(""))
            .into_iter()
            .find(|(path, bytes)| {
                path.extension().is_some_and(|extension| extension == "mp4")
                    && bytes.starts_with(video())
            });
        let printed = format!("{}{}", run.out, run.err);
        let is_kept = fs::read(sandbox.path(name)).is_ok_and(|bytes| bytes == b"of the user");
        let is_reported = other.as_ref().is_some_and(|(path, _)| {
            // The output has both names, and the ledger has the new one.
            let file = path.file_name().unwrap().to_str().unwrap();
            let listed = sandbox.run(if what == "a line" {
                &["jobs", "--json", "--batch", "jobs.jsonl"]
            } else {
                &["jobs", "--json"]
            });
            printed.contains(file)
                && printed.replace(file, "").contains(name)
                && listed.out.contains(file)
        });
        if run.code != 0 || !is_kept || !is_reported || counts.lock().unwrap().len() != 1 {
            wrong.push(format!(
                "{what}: {}, kept: {is_kept}, reported: {is_reported}: {printed}",
                run.code
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each file is tried under its own name and through links to it.
#[test]
fn receipts_never_overwrite_a_video_or_a_ledger() {
    let (server, counts) = provider(|| 1);
    let sandbox = Sandbox::new().at("kie", server.url());
    assert_eq!(
        sandbox.run(&["generate", "A fox", "--duration", "4"]).code,
        0
    );
    for file in ["jobs.jsonl", "other.jsonl"] {
        write(&sandbox, file, &[format!("The dog of {file}")]);
        assert_eq!(sandbox.run(&["generate", "--batch", file]).code, 0);
    }
    // This line still has to be sent.
    write(
        &sandbox,
        "jobs.jsonl",
        &["The dog of jobs.jsonl".to_owned(), "A cat".to_owned()],
    );
    let mut targets: Vec<_> = [
        "jobs-1.mp4",
        "video.mp4",
        "jobs.jsonl.ledger",
        "other.jsonl.ledger",
    ]
    .map(|name| sandbox.path(name))
    .into();
    // The ledger of single jobs, in any file.
    let has_prompt = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("A fox");
    targets.extend(
        files_in(&sandbox.state())
            .into_iter()
            .filter(|(_, bytes)| has_prompt(bytes))
            .map(|(path, _)| path),
    );
    assert_eq!(targets.len(), 5, "{targets:?}");

    let (files, mut wrong) = (sandbox.files(), Vec::new());
    for target in &targets {
        let itself: (&str, Link) = ("its own name", |_, _| {});
        for (what, link) in [itself].into_iter().chain(LINKS) {
            let name = if what == "its own name" {
                target.clone()
            } else {
                sandbox.path("link.jsonl")
            };
            let text = name.display().to_string();
            for command in [
                vec!["generate", "--batch", "jobs.jsonl", "--receipts", &text],
                vec![
                    "generate",
                    "--batch",
                    "jobs.jsonl",
                    "--receipts",
                    &text,
                    "--force",
                ],
                vec!["generate", "A cow", "--duration", "4", "--receipt", &text],
            ] {
                sandbox.restore(&files);
                counts.lock().unwrap().clear();
                link(target, &name);
                let run = sandbox.run(&command);
                let sent = counts.lock().unwrap().len();
                let is_whole = fs::read(target).is_ok_and(|bytes| bytes == files[target]);
                if (run.code, sent, is_whole) != (2, 0, true) {
                    let words = command[2..]
                        .join(" ")
                        .replace(&sandbox.path("").display().to_string(), "");
                    wrong.push(format!(
                        "{} by {what}, {words}: ended with {}, {sent} sent, whole: {is_whole}",
                        target.file_name().unwrap().display(),
                        run.code
                    ));
                }
            }
        }
    }
    println!("{} of {} ways are wrong", wrong.len(), targets.len() * 9);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The reply to a question about a job can have the video itself, of any length.
#[test]
fn a_video_inside_a_reply_is_fetched_once() {
    let mut long = video().to_vec();
    long.extend((8 + (2_u32 << 20)).to_be_bytes());
    long.extend(b"free");
    long.resize(long.len() + (2 << 20), 0);
    for bytes in [video(), &long] {
        let url = data_url(bytes);
        let server = Server::start(move |line, _| {
            Some(match line.starts_with("POST") {
                true => accepted("t1"),
                false => record("t1", 1, &url),
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        for command in [
            "generate A -o v.mp4",
            "wait kie:t1 -o v.mp4 --force",
            "download kie:t1 -o v.mp4 --force -v",
        ] {
            server.forget();
            let run = sandbox.run(&command.split(' ').collect::<Vec<_>>());
            assert_eq!(run.code, 0, "{command}: {}", run.err);
            assert!(run.err.len() < 10_000, "{command}: {}", run.err.len());
            assert_eq!(server.count("GET "), 1, "{command}");
            assert!(fs::read(sandbox.path("v.mp4")).unwrap() == bytes);
        }
    }
}
