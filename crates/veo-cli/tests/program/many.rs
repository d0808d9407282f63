//! Every command is quick and needs little memory with a hundred thousand jobs in the ledger.
//!
//! `scripts/many.sh` measures the released program. A usual run has fewer jobs and no bounds, and only checks that the
//! measurement works.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::chance::number_of_cases;
use crate::sandbox::Sandbox;
use crate::server::{Server, VIDEO, accepted, prompt, record, task};

/// The most that a command may use: the processor in hundredths of a second, and the memory in megabytes.
const MOST: [u64; 2] = [50, 150];

/// The exit code of a command, and the processor time and memory that it has used, in the same units.
struct Used {
    code: Option<i32>,
    hundredths: u64,
    megabytes: u64,
}

/// Runs a command to its end. Linux reports its memory until it ends, and its processor time until it is waited for.
fn measure(command: &mut Command) -> Used {
    // A user's command also reads the certificates of the machine, so they count.
    command
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let file = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    let mut kilobytes = 0;
    let hundredths = loop {
        let status = file("status");
        let most = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        kilobytes = kilobytes.max(most.unwrap_or(0));
        let stat = file("stat");
        // The name of the program is in brackets before these fields.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        if fields[0] == "Z" {
            break fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
        thread::sleep(Duration::from_micros(500));
    };
    let code = child.wait().unwrap().code();
    Used {
        code,
        hundredths,
        megabytes: kilobytes / 1000,
    }
}

/// Adds `count` finished jobs to a ledger.
///
/// The library's example `fill_ledger` writes them, since only the library knows the format. The example is built with
/// the tests of the workspace, and by the script.
fn fill(path: &Path, count: usize) {
    let example = Path::new(env!("CARGO_BIN_EXE_veo"))
        .with_file_name("examples")
        .join("fill_ledger");
    assert!(
        example.exists(),
        "run cargo build -p veo-core --example fill_ledger, which this needs"
    );
    let filled = Command::new(example)
        .arg(path)
        .arg(count.to_string())
        .status()
        .unwrap();
    assert!(filled.success());
}

#[test]
fn a_hundred_thousand_jobs_slow_no_command_down() {
    let count = number_of_cases("VEO_TEST_MANY", 0);
    let (is_bound, jobs) = (count > 0, if count > 0 { count } else { 500 });
    let server = Server::start(|line, body| {
        let Some(prompt) = prompt(body) else {
            return Some(record(task(line), 1, VIDEO));
        };
        (prompt != "lost").then(|| accepted(&prompt))
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let run = |arguments: &[&str], code| {
        let run = sandbox.run(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.err);
    };
    let line = |prompt: &str| format!("{{\"prompt\":\"{prompt}\",\"seconds\":4}}\n");
    sandbox.write("jobs.jsonl", &line("the-first"));
    run(&["generate", "the-first", "--duration", "4"], 0);
    run(&["generate", "--batch", "jobs.jsonl"], 0);
    for path in [sandbox.store(), sandbox.path("jobs.jsonl.ledger")] {
        fill(&path, jobs);
        let megabytes = fs::metadata(&path).unwrap().len() / 1_000_000;
        println!(
            "{jobs} jobs in {megabytes} MB of {}",
            path.file_name().unwrap().display()
        );
    }
    run(&["generate", "lost", "--no-wait"], 4);
    sandbox.write("jobs.jsonl", &[line("the-first"), line("lost")].concat());
    run(&["generate", "--batch", "jobs.jsonl", "--force"], 4);
    let unknown = |list: &[&str]| {
        let listed = sandbox.listed(list);
        assert_eq!(listed.len(), jobs + 2);
        listed.last().unwrap()["key"].as_str().unwrap().to_owned()
    };
    let [single, of_batch] = [[].as_slice(), &["--batch", "jobs.jsonl"]].map(unknown);
    sandbox.write("more.jsonl", &line("more"));
    sandbox.write("jobs.jsonl", &[line("the-first"), line("next")].concat());

    let job = "kie:the-first";
    let table: [&[&str]; 14] = [
        &["jobs"],
        &["jobs", "--json"],
        &["generate", "another", "--no-wait"],
        &["generate", "named", "--no-wait", "-o", "named.mp4"],
        &["wait", job],
        &["status", job],
        &["download", job, "-o", "again.mp4"],
        &["upgrade", job, "--resolution", "1080p", "--timeout", "1s"],
        &["inspect", "video.mp4"],
        &["settle", &single, "--not-taken"],
        &["generate", "--batch", "more.jsonl"],
        &["generate", "--batch", "jobs.jsonl", "--force"],
        &["jobs", "--batch", "jobs.jsonl"],
        &["settle", &of_batch, "--not-taken", "--batch", "jobs.jsonl"],
    ];
    println!("  CPU s    MB  code  command");
    let mut wrong = Vec::new();
    for arguments in table {
        let Used {
            code,
            hundredths,
            megabytes,
        } = measure(&mut sandbox.command(arguments));
        let words = arguments.join(" ");
        println!(
            "{:7.2} {megabytes:5} {:5}  {words}",
            hundredths as f64 / 100.0,
            code.unwrap_or(-1)
        );
        if is_bound && (hundredths > MOST[0] || megabytes > MOST[1]) {
            wrong.push(format!(
                "{words}: {hundredths} hundredths of a second, {megabytes} MB"
            ));
        }
        // The outcome of the upgrade does not matter here.
        if code != Some(0) && arguments[0] != "upgrade" {
            wrong.push(format!("{words}: ended with {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
