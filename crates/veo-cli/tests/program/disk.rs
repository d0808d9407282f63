//! A disk is full, or lacks a call that a ledger needs. A request that cannot be stored is not sent, and a paid job is
//! printed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::batch::video;
use crate::sandbox::{Run, Sandbox, files_in};
use crate::server::{Server, VIDEO, accepted, prompt, record, task};

/// A disk of one mebibyte, in the folder in which the program runs.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts the disk. Returns `None` where mounting is not allowed, and the test then prints that it was left out.
    fn mount(sandbox: &Sandbox) -> Option<Self> {
        let path = sandbox.path("small");
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(&path)
            .stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        println!("skipped: only root may mount a small disk");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        fill(&self.0);
    }

    /// Fills the disk, and leaves only `bytes` free.
    fn fill_but(&self, bytes: u64) {
        let filler = fill(&self.0);
        filler
            .set_len(filler.metadata().unwrap().len() - bytes)
            .unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }

    fn make_read_only(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// The files on the disk, without the file that fills it.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "filler").collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn fill(folder: &Path) -> File {
    let mut filler = File::options()
        .append(true)
        .create(true)
        .open(folder.join("filler"))
        .unwrap();
    while filler.write(&[0; 4096]).is_ok_and(|count| count > 0) {}
    filler
}

/// A provider whose tasks are named after their prompts. It calls `on_arrival` for each request.
fn provider(on_arrival: impl Fn(&str) + Send + Sync + 'static, flag: u8) -> Server {
    Server::start(move |line, body| {
        let prompt = prompt(body);
        on_arrival(if prompt.is_some() { "paid" } else { "asked" });
        Some(prompt.map_or_else(
            || record(task(line), flag, VIDEO),
            |prompt| accepted(&name(&prompt)),
        ))
    })
}

/// The folder of the disk that is to be filled, if any.
type FolderToFill = Arc<Mutex<Option<PathBuf>>>;

/// Returns a function that fills the disk when a request of the kind `when` arrives.
fn filling(folder: &FolderToFill, when: &'static str) -> impl Fn(&str) + Send + Sync + 'static {
    let folder = folder.clone();
    move |what| {
        if let Some(folder) = folder.lock().unwrap().as_deref().filter(|_| what == when) {
            fill(folder);
        }
    }
}

/// The task of a prompt, named after its last word. The prompt can be long.
fn name(prompt: &str) -> String {
    format!("t{}", prompt.split(' ').next_back().unwrap())
}

/// A single request or a batch, with its ledger on the small disk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Single,
    Batch,
}

impl Kind {
    fn sandbox(self, server: &Server) -> Option<(Sandbox, SmallDisk)> {
        let sandbox = Sandbox::new().at("kie", server.url());
        let small = SmallDisk::mount(&sandbox)?;
        let sandbox = if self == Self::Single {
            sandbox.with("XDG_STATE_HOME", &small.text("state"))
        } else {
            sandbox
        };
        Some((sandbox, small))
    }

    /// Sends the last prompt with a command of its own, or all prompts as the lines of a batch. Returns the run.
    fn send(self, sandbox: &Sandbox, small: &SmallDisk, prompts: &[&str]) -> Run {
        if self == Self::Single {
            let last = prompts.last().unwrap();
            return sandbox.run(&["generate", last, "--no-wait"]);
        }
        self.write(sandbox, small, prompts);
        self.batch(sandbox)
    }

    /// Writes a batch whose videos are saved on another disk.
    fn write(self, sandbox: &Sandbox, small: &SmallDisk, prompts: &[&str]) {
        let line = |prompt: &&str| {
            let output = sandbox.path(&format!("{}.mp4", name(prompt)));
            serde_json::json!({ "prompt": prompt, "seconds": 4, "output": output }).to_string()
                + "\n"
        };
        fs::write(
            small.path("jobs.jsonl"),
            prompts.iter().map(line).collect::<String>(),
        )
        .unwrap();
    }

    fn batch(self, sandbox: &Sandbox) -> Run {
        sandbox.run(&[
            "generate",
            "--batch",
            "small/jobs.jsonl",
            "--concurrency",
            "1",
            "--timeout",
            "1s",
        ])
    }

    fn listed(self, sandbox: &Sandbox) -> Vec<Value> {
        sandbox.listed(if self == Self::Single {
            &[]
        } else {
            &["--batch", "small/jobs.jsonl"]
        })
    }
}

/// The listed jobs. An entry without a job is shown by its state.
fn shown(listed: &[Value]) -> Vec<&str> {
    listed
        .iter()
        .map(|entry| {
            entry["job"]
                .as_str()
                .unwrap_or_else(|| entry["state"].as_str().unwrap())
        })
        .collect()
}

/// The disk becomes full anywhere within the line of the ledger.
#[test]
fn a_request_that_cannot_be_stored_is_not_sent() {
    let long = format!("{} 2", "A long dog.".repeat(600));
    for kind in [Kind::Single, Kind::Batch] {
        // The position within a block of the disk at which the line begins.
        for start in [1, 1000, 2000, 3000] {
            let server = provider(|_| {}, 3);
            let Some((sandbox, small)) = kind.sandbox(&server) else {
                return;
            };
            let first = format!("{} 1", "x".repeat(start));
            kind.send(&sandbox, &small, &[&first]);
            if kind == Kind::Batch {
                kind.write(&sandbox, &small, &[&first, &long, "3"]);
            }
            small.fill();
            let run = if kind == Kind::Batch {
                kind.batch(&sandbox)
            } else {
                kind.send(&sandbox, &small, &[&long])
            };
            assert_eq!(
                (run.code, server.count("POST")),
                (1, 1),
                "{kind:?}: {}",
                last_lines(&run)
            );
            let listed = kind.listed(&sandbox);
            assert!(
                shown(&listed).iter().all(|shown| *shown != "unknown"),
                "{kind:?} at {start}: {listed:?}"
            );

            // The half-written line does no harm to the next line.
            small.free();
            let run = kind.send(&sandbox, &small, &[&first, &long, "3"]);
            let wanted = if kind == Kind::Batch { 3 } else { 2 };
            assert_eq!(
                server.count("POST"),
                wanted,
                "{kind:?} at {start}: {}",
                last_lines(&run)
            );
            let listed = kind.listed(&sandbox);
            assert!(
                ["kie:t1", "kie:t3"]
                    .iter()
                    .all(|job| shown(&listed).contains(job)),
                "{kind:?}: {listed:?}"
            );
            // Half a line does not stop a later batch either.
            if kind == Kind::Batch {
                let run = kind.batch(&sandbox);
                assert_eq!(
                    (run.code, server.count("POST")),
                    (1, wanted),
                    "at {start}: {}",
                    last_lines(&run)
                );
            }
        }
    }
}

/// The last lines of the errors.
fn last_lines(run: &Run) -> &str {
    run.err
        .rmatch_indices('\n')
        .nth(3)
        .map_or(&run.err, |(at, _)| &run.err[at..])
}

/// Either the outcome still fits on the disk, or the job is printed and nothing more is sent.
#[test]
fn a_full_disk_after_acceptance_loses_no_job() {
    let mut wrong = Vec::new();
    for kind in [Kind::Single, Kind::Batch] {
        for start in [1, 1000, 2000, 3000] {
            let folder = FolderToFill::default();
            let server = provider(filling(&folder, "paid"), 3);
            let Some((sandbox, small)) = kind.sandbox(&server) else {
                return;
            };
            *folder.lock().unwrap() = Some(small.0.clone());
            let first = format!("{} 1", "x".repeat(start));
            let prompts = [&*first, "2", "3"];
            let run = kind.send(
                &sandbox,
                &small,
                &prompts[..if kind == Kind::Batch { 3 } else { 1 }],
            );
            let sent = server.count("POST");
            if sent > 0 {
                small.free();
            }
            let listed = kind.listed(&sandbox);
            let lost: Vec<_> = (1..=sent)
                .map(|number| format!("kie:t{number}"))
                .filter(|job| !shown(&listed).contains(&&**job))
                .collect();
            let is_right = match &lost[..] {
                [] => sent > 0 || run.code == 1,
                [job] => {
                    let printed = format!("{}{}", run.out, run.err);
                    run.code == 5
                        && printed.contains(&**job)
                        && printed.contains("not on record")
                        && *job == format!("kie:t{sent}")
                }
                _ => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{kind:?} at {start}: {sent} sent, not in the ledger {lost:?}, listed {:?}, ended with {}: {}",
                    shown(&listed),
                    run.code,
                    last_lines(&run)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_full_disk_while_saving_loses_no_video() {
    // A longer prompt leaves less room in the last block.
    let cases = [Kind::Single, Kind::Batch]
        .into_iter()
        .flat_map(|kind| [1, 1200, 2000].map(|length| (kind, length)));
    for (kind, length) in cases {
        let prompt = format!("{} 1", "x".repeat(length));
        let folder = FolderToFill::default();
        let server = provider(filling(&folder, "asked"), 1);
        let Some((sandbox, small)) = kind.sandbox(&server) else {
            return;
        };
        *folder.lock().unwrap() = Some(small.0.clone());
        let run = match kind {
            Kind::Single => sandbox.run(&["generate", &prompt, "--duration", "4", "-o", "t1.mp4"]),
            Kind::Batch => kind.send(&sandbox, &small, &[&prompt]),
        };
        let is_here = || fs::read(sandbox.path("t1.mp4")).is_ok_and(|bytes| bytes == video());
        assert!(is_here(), "{kind:?}: {}", run.err);
        assert!(
            format!("{}{}", run.out, run.err).contains("t1.mp4"),
            "{kind:?}: {}{}",
            run.out,
            run.err
        );
        let again = || {
            let run = match kind {
                Kind::Single => sandbox.run(&["wait", "kie:t1", "--force"]),
                Kind::Batch => kind.batch(&sandbox),
            };
            assert!(
                is_here() && server.count("POST") == 1,
                "{kind:?}: {}",
                run.err
            );
            run
        };
        // The disk is full in the first run, and has room in the second.
        again();
        *folder.lock().unwrap() = None;
        small.free();
        let run = again();
        assert_eq!(run.code, 0, "{kind:?}: {}", run.err);
        assert!(["saved", "done"].contains(&kind.listed(&sandbox)[0]["state"].as_str().unwrap()));
    }
}

#[test]
fn a_video_larger_than_the_disk_can_be_waited_for_again() {
    for kind in [Kind::Single, Kind::Batch] {
        let server = provider(|_| {}, 1);
        let sandbox = Sandbox::new().at("kie", server.url());
        let Some(small) = SmallDisk::mount(&sandbox) else {
            return;
        };
        let line =
            serde_json::json!({ "prompt": "1", "seconds": 4, "output": small.path("t1.mp4") });
        sandbox.write("jobs.jsonl", &line.to_string());
        let command = match kind {
            Kind::Single => ["generate", "1", "--duration", "4", "-o", "small/t1.mp4"].as_slice(),
            Kind::Batch => &["generate", "--batch", "jobs.jsonl"],
        };
        small.fill_but(8192);
        let run = sandbox.run(command);
        assert_eq!(
            (run.code, server.count("POST"), small.names()),
            (5, 1, Vec::new()),
            "{kind:?}: {}",
            run.err
        );
        small.free();
        let run = sandbox.run(if kind == Kind::Single {
            &["wait"]
        } else {
            command
        });
        assert_eq!(
            (run.code, server.count("POST")),
            (0, 1),
            "{kind:?}: {}",
            run.err
        );
        assert_eq!(fs::read(small.path("t1.mp4")).unwrap(), video());
    }
}

#[test]
fn a_full_disk_for_receipts_stops_no_video() {
    let server = provider(|_| {}, 1);
    let sandbox = Sandbox::new().at("kie", server.url());
    let Some(small) = SmallDisk::mount(&sandbox) else {
        return;
    };
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"1\",\"seconds\":4}\n{\"prompt\":\"2\",\"seconds\":4}\n",
    );
    small.fill();
    let run = sandbox.run(&[
        "generate",
        "--batch",
        "jobs.jsonl",
        "--receipts",
        "small/receipts.jsonl",
    ]);
    assert!(
        run.code != 0 && run.err.contains("receipts.jsonl"),
        "{} {}",
        run.code,
        run.err
    );
    assert!(
        ["jobs-1.mp4", "jobs-2.mp4"]
            .iter()
            .all(|file| sandbox.path(file).exists()),
        "{}",
        run.err
    );
    assert_eq!(server.count("POST"), 2);
}

/// Builds a library that lets these calls fail, as a file system without them does.
fn without(sandbox: &Sandbox, calls: &[&str], error: &str) -> String {
    let library = sandbox.path(&format!("no-{}.so", calls[0]));
    let call = |call: &&str| format!("int {call}() {{ errno = {error}; return -1; }}\n");
    let text = format!(
        "#include <errno.h>\n{}",
        calls.iter().map(call).collect::<String>()
    );
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-w", "-x", "c", "-", "-o"])
        .arg(&library);
    let mut cc = cc.stdin(Stdio::piped()).spawn().unwrap();
    cc.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success());
    library.display().to_string()
}

#[test]
fn nothing_is_sent_on_a_disk_without_fsync_or_flock() {
    let table: [(&[&str], &str); 2] = [(&["fsync", "fdatasync"], "EINVAL"), (&["flock"], "ENOLCK")];
    let mut wrong = Vec::new();
    for (calls, error) in table {
        let server = provider(|_| {}, 3);
        let sandbox = Sandbox::new().at("kie", server.url());
        let library = without(&sandbox, calls, error);
        sandbox.write("jobs.jsonl", "{\"prompt\":\"2\"}\n");
        let kinds: [(&[&str], &[&str], &str); 2] = [
            (
                &["generate", "1", "--no-wait"],
                &["jobs", "--json"],
                "XDG_STATE_HOME",
            ),
            (
                &["generate", "--batch", "jobs.jsonl"],
                &["jobs", "--json", "--batch", "jobs.jsonl"],
                "copy",
            ),
        ];
        for (command, list, words) in kinds {
            let sent = server.count("POST");
            let output = sandbox
                .command(command)
                .env("LD_PRELOAD", &library)
                .output()
                .unwrap();
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            if (output.status.code(), server.count("POST")) != (Some(1), sent)
                || !err.contains(words)
            {
                wrong.push(format!(
                    "{calls:?}, {command:?}: {:?}, {words:?} is not said: {err}",
                    output.status.code()
                ));
            }
            let run = sandbox.run(list);
            if run.out.contains("\"unknown\"") {
                wrong.push(format!(
                    "{calls:?}, {command:?}: unknown afterwards: {}",
                    run.out
                ));
            }
            // The same command sends the request once the ledger can be written.
            sandbox.run(command);
            if server.count("POST") != sent + 1 {
                wrong.push(format!("{calls:?}, {command:?}: not sent afterwards"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The ledger and the files beside it are readable by their owner only.
#[test]
fn the_ledger_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = provider(|_| {}, 3);
    let sandbox = Sandbox::new().at("kie", server.url());
    sandbox.write("jobs.jsonl", "{\"prompt\":\"2\"}\n");
    sandbox.run(&["generate", "1", "--no-wait"]);
    sandbox.run(&["generate", "--batch", "jobs.jsonl"]);
    let mut paths: Vec<_> = files_in(&sandbox.state()).into_keys().collect();
    paths.push(sandbox.path("jobs.jsonl.ledger"));
    assert!(paths.len() > 1);
    for path in paths {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_read_only_ledger_is_listed_and_sends_nothing() {
    let server = provider(|_| {}, 1);
    let sandbox = Sandbox::new().at("kie", server.url());
    let Some(small) = SmallDisk::mount(&sandbox) else {
        return;
    };
    let sandbox = sandbox.with("XDG_STATE_HOME", &small.path("").display().to_string());
    let run = sandbox.run(&["generate", "1", "--duration", "4", "-o", "1.mp4"]);
    assert_eq!(run.code, 0, "{}", run.err);
    small.make_read_only();
    let listed = sandbox.listed(&[]);
    assert!(
        listed.len() == 1 && listed[0]["state"] == "done",
        "{listed:?}"
    );
    let run = sandbox.run(&["wait", listed[0]["job"].as_str().unwrap()]);
    assert_eq!((run.code, run.out.as_str()), (0, "1.mp4\n"), "{}", run.err);
    let run = sandbox.run(&["generate", "2"]);
    assert!(
        run.code == 1 && run.err.contains("can only be read"),
        "{} {}",
        run.code,
        run.err
    );
    assert_eq!(server.count("POST"), 1);
}
