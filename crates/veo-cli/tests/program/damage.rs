//! A damaged ledger never makes the program pay twice for a line of a batch, and loses no paid job.
//!
//! The tests do not depend on the format of the ledger. `scripts/damage.sh` tries many more cases than a usual run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::chance::Chance;
use crate::sandbox::{Files, Sandbox};
use crate::server::{Server, VIDEO, accepted, prompt, record, refused, task};

/// Each case waits a second for the job C, which never ends. So several cases run at the same time.
const WORKERS: usize = 8;

/// The exit code of a batch that has a line with an unknown outcome.
const UNKNOWN: i32 = 4;
/// The exit code of a batch whose ledger is damaged.
const DAMAGED: i32 = 2;
/// The exit code of a batch that has a job without a video yet.
const UNFINISHED: i32 = 5;

/// A change to the bytes of a ledger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Change {
    Untouched,
    /// One bit is flipped.
    Bit,
    /// The newline between two lines is another byte.
    LineEnd,
    /// A line that is not the last has lost its tail, but not its newline.
    Cut,
    /// The last line has lost its end, or is gone.
    Torn,
    /// More than the last line is gone.
    Shorter,
    /// The file is empty.
    Empty,
}

/// A damaged ledger, and the behaviour that is right for it.
struct Damaged {
    what: String,
    bytes: Vec<u8>,
    /// The exit codes that are right.
    exit_codes: &'static [i32],
    /// The line numbers that the error may name, if it has to name one. If the change has joined two lines, the error
    /// may name either of them.
    lines: Vec<usize>,
}

impl Change {
    fn apply(self, ledger: &[u8], chance: &mut Chance) -> Damaged {
        let mut bytes = ledger.to_vec();
        let ends: Vec<_> = (1..)
            .zip(ledger)
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(end, _)| end)
            .collect();
        // The position of the first byte of each line.
        let starts: Vec<_> = [0].iter().chain(&ends[..ends.len() - 1]).copied().collect();
        let last = starts[starts.len() - 1];
        let number = |at: usize| starts.iter().filter(|start| **start <= at).count();
        let (what, exit_codes, lines): (_, &[i32], _) = match self {
            Self::Untouched => ("untouched".to_owned(), &[UNKNOWN], Vec::new()),
            Self::Bit => {
                let (at, bit) = (chance.below(bytes.len()), chance.below(8));
                bytes[at] ^= 1 << bit;
                let also = usize::from(ledger[at] == b'\n');
                (
                    format!("bit {bit} of byte {at}"),
                    &[DAMAGED],
                    (number(at)..=number(at) + also).collect(),
                )
            }
            Self::LineEnd => {
                let (end, bit) = (ends[chance.below(ends.len() - 1)] - 1, chance.below(8));
                bytes[end] ^= 1 << bit;
                (
                    format!("bit {bit} of the line end at byte {end}"),
                    &[DAMAGED],
                    vec![number(end), number(end) + 1],
                )
            }
            Self::Cut => {
                let line = chance.below(starts.len() - 1);
                let kept = chance.below(ends[line] - 1 - starts[line]);
                bytes.drain(starts[line] + kept..ends[line] - 1);
                (
                    format!("{kept} bytes of line {}", line + 1),
                    &[DAMAGED],
                    vec![line + 1],
                )
            }
            Self::Torn => {
                let lost = 1 + chance.below(bytes.len() - last);
                bytes.truncate(bytes.len() - lost);
                // If only the newline is lost, the line may be complete. Then the batch waits for its job.
                let exit_codes: &[i32] = if lost == 1 {
                    &[UNKNOWN, DAMAGED, UNFINISHED]
                } else {
                    &[UNKNOWN, DAMAGED]
                };
                (
                    format!("without the last {lost} bytes of the last line"),
                    exit_codes,
                    Vec::new(),
                )
            }
            Self::Shorter => {
                bytes.truncate(chance.below(last));
                (
                    format!("{} of {} bytes", bytes.len(), ledger.len()),
                    &[DAMAGED],
                    Vec::new(),
                )
            }
            Self::Empty => {
                bytes.clear();
                ("no byte".to_owned(), &[DAMAGED], Vec::new())
            }
        };
        Damaged {
            what: format!("{self:?}, {what}"),
            bytes,
            exit_codes,
            lines,
        }
    }
}

/// The requests that a provider has received.
#[derive(Default)]
struct Seen {
    /// True once the snapshot is ready. Every paid request after this is noted and refused.
    is_ready: AtomicBool,
    /// The prompts of these paid requests.
    sent_again: Mutex<Vec<String>>,
    /// The tasks that the program has asked about.
    asked: Mutex<Vec<String>>,
}

/// The state in which each case begins.
struct Snapshot {
    sandbox: Sandbox,
    seen: Arc<Seen>,
    files: Files,
    ledger: Vec<u8>,
    _server: Server,
}

impl Snapshot {
    /// Runs a batch of four lines. A becomes a video, B fails, and C never ends. The program is killed while it sends U.
    fn killed() -> Self {
        Self::of(
            &["A", "B", "C", "U"],
            &["done", "failed", "accepted", "unknown"],
        )
    }

    /// Runs the same batch without U, so that the last line of the ledger is the outcome of C.
    fn ended() -> Self {
        Self::of(&["A", "B", "C"], &["done", "failed", "accepted"])
    }

    fn of(names: &[&str], states: &[&str]) -> Self {
        let seen = Arc::<Seen>::default();
        let seen_by_server = seen.clone();
        let (u_sender, u_receiver) = channel();
        let u_sender = Mutex::new(u_sender);
        let server = Server::start(move |line, body| {
            let Some(name) = prompt(body) else {
                seen_by_server
                    .asked
                    .lock()
                    .unwrap()
                    .push(task(line).to_owned());
                // kie.ai's `successFlag`: 1 is a video, 2 a failure, and 0 neither yet.
                let flag = match task(line) {
                    "task-of-A" => 1,
                    "task-of-B" => 2,
                    _ => 0,
                };
                return Some(record(task(line), flag, VIDEO));
            };
            if seen_by_server.is_ready.load(Ordering::Relaxed) {
                seen_by_server.sent_again.lock().unwrap().push(name);
                return Some(refused(402, "Insufficient credits"));
            }
            if name == "U" {
                u_sender.lock().unwrap().send(()).unwrap();
                loop {
                    thread::park();
                }
            }
            Some(accepted(&format!("task-of-{name}")))
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        let lines = names.iter().map(|name| {
            format!("{{\"prompt\":\"{name}\",\"seconds\":4,\"output\":\"{name}.mp4\"}}\n")
        });
        sandbox.write("jobs.jsonl", &lines.collect::<String>());
        // Lines are sent one at a time, so that the ledger has them in this order.
        let command = [
            "generate",
            "--batch",
            "jobs.jsonl",
            "--concurrency",
            "1",
            "--timeout",
            "1s",
        ];
        if names.contains(&"U") {
            let program = sandbox.start(&command);
            u_receiver.recv_timeout(Duration::from_secs(60)).unwrap();
            program.kill();
        } else {
            assert_eq!(sandbox.run(&command).code, UNFINISHED);
        }
        let listed = sandbox.listed(&["--batch", "jobs.jsonl"]);
        let found: Vec<_> = listed
            .iter()
            .map(|job| job["state"].as_str().unwrap())
            .collect();
        assert_eq!(found, states);
        seen.is_ready.store(true, Ordering::Relaxed);
        let (files, ledger) = (
            sandbox.files(),
            std::fs::read(sandbox.path("jobs.jsonl.ledger")).unwrap(),
        );
        Self {
            sandbox,
            seen,
            files,
            ledger,
            _server: server,
        }
    }

    /// Tries one change, and returns the requests that were sent and the faults.
    fn check(&self, change: Change, chance: &mut Chance) -> Tried {
        let Damaged {
            what,
            bytes,
            exit_codes,
            lines,
        } = change.apply(&self.ledger, chance);
        self.sandbox.restore(&self.files);
        std::fs::write(self.sandbox.path("jobs.jsonl.ledger"), &bytes).unwrap();
        let listing = self
            .sandbox
            .run(&["jobs", "--batch", "jobs.jsonl", "--json"]);
        self.seen.asked.lock().unwrap().clear();
        let run = self.sandbox.run(&[
            "generate",
            "--batch",
            "jobs.jsonl",
            "--force",
            "--timeout",
            "1s",
            "--json",
        ]);
        let sent_again = std::mem::take(&mut *self.seen.sent_again.lock().unwrap());

        let mut wrong = Vec::new();
        if !exit_codes.contains(&run.code) {
            wrong.push(format!("ended with {}", run.code));
        }
        // With --json, standard error has only errors, so a number in it is not from a line of the batch.
        if !lines.is_empty() && !lines.iter().any(|line| names_line(&run.err, *line)) {
            wrong.push(format!("line {lines:?} is not named"));
        }
        if exit_codes == [DAMAGED] && !run.err.contains("jobs.jsonl.ledger") {
            wrong.push("the file is not named".to_owned());
        }
        // A job whose line is undamaged is still listed. It is waited for if only the end of the ledger has changed.
        if self.is_whole("task-of-C", &bytes) {
            if !listing.out.contains("kie:task-of-C") {
                wrong.push("C is not listed".to_owned());
            }
            let is_end = matches!(change, Change::Untouched | Change::Torn | Change::Shorter);
            if is_end
                && !self
                    .seen
                    .asked
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|task| task == "task-of-C")
            {
                wrong.push("C is not waited for".to_owned());
            }
        }
        let message: String = run.err.chars().take(160).collect();
        let wrong = wrong
            .into_iter()
            .map(|wrong| format!("{what}: {wrong}: {message}"))
            .collect();
        Tried {
            what,
            change,
            sent_again,
            wrong,
        }
    }

    /// Returns whether a line of the ledger that contains this text is unchanged.
    fn is_whole(&self, text: &str, bytes: &[u8]) -> bool {
        let lines = |bytes: &[u8]| {
            bytes
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        let has_text =
            |line: &Vec<u8>| line.ends_with(b"\n") && String::from_utf8_lossy(line).contains(text);
        let before = lines(&self.ledger);
        lines(bytes)
            .iter()
            .any(|line| has_text(line) && before.contains(line))
    }
}

struct Tried {
    what: String,
    change: Change,
    /// The prompts of the lines that were sent again.
    sent_again: Vec<String>,
    wrong: Vec<String>,
}

/// Returns whether a text names the line with this number, and not only a line whose number begins with it.
fn names_line(text: &str, number: usize) -> bool {
    let line = format!("line {number}");
    text.split(&line)
        .skip(1)
        .any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Tries each change on a fresh copy of the snapshot, and prints the number of cases of each kind.
fn check(snapshot: fn() -> Snapshot, changes: &[(Change, usize)]) {
    let mut chance = Chance::new();
    let cases = changes
        .iter()
        .flat_map(|(change, count)| vec![*change; *count]);
    let mut parts: Vec<Vec<(Change, Chance)>> = (0..WORKERS).map(|_| Vec::new()).collect();
    for (number, change) in cases.enumerate() {
        parts[number % WORKERS].push((change, chance.branch()));
    }
    parts.retain(|part| !part.is_empty());
    let tried: Vec<Tried> = thread::scope(|scope| {
        let work = |part: Vec<(Change, Chance)>| {
            let snapshot = snapshot();
            part.into_iter()
                .map(|(change, mut chance)| snapshot.check(change, &mut chance))
                .collect::<Vec<_>>()
        };
        let workers: Vec<_> = parts
            .into_iter()
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });

    let mut figures: BTreeMap<Change, [usize; 3]> = BTreeMap::new();
    for tried in &tried {
        let [cases, sent, wrong] = figures.entry(tried.change).or_default();
        *cases += 1;
        *sent += usize::from(!tried.sent_again.is_empty());
        *wrong += usize::from(!tried.wrong.is_empty());
    }
    for (change, [cases, sent, wrong]) in figures {
        println!("{change:?}: {cases} cases, {sent} sent a line again, {wrong} ended wrongly");
    }
    let sent = tried.iter().filter(|tried| !tried.sent_again.is_empty());
    let sent = sent.map(|tried| {
        format!(
            "{}: {} was sent again",
            tried.what,
            tried.sent_again.join(" and ")
        )
    });
    let wrong: Vec<_> = sent
        .chain(tried.iter().flat_map(|tried| tried.wrong.clone()))
        .collect();
    let shown = wrong
        .iter()
        .take(20)
        .map(|wrong| format!("\n{wrong}"))
        .collect::<String>();
    assert!(
        wrong.is_empty(),
        "{} faults, of which the first are:{shown}",
        wrong.len()
    );
}

/// Returns the numbers of bits, cuts and ends to try: three numbers separated by slashes, such as 60/20/20.
fn numbers() -> [usize; 3] {
    let given = std::env::var("VEO_TEST_DAMAGE").unwrap_or_else(|_| "60/20/20".to_owned());
    let numbers: Vec<_> = given
        .split('/')
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

#[test]
fn a_damaged_ledger_pays_no_line_twice() {
    let [bits, cuts, _] = numbers();
    let changes = [
        (Change::Untouched, 1),
        (Change::Bit, bits),
        (Change::LineEnd, bits.div_ceil(10)),
        (Change::Cut, cuts),
    ];
    check(Snapshot::killed, &changes);
}

#[test]
fn a_ledger_that_lost_its_end_pays_no_line_twice() {
    let [.., ends] = numbers();
    check(
        Snapshot::killed,
        &[
            (Change::Torn, ends / 3),
            (Change::Shorter, ends / 3),
            (Change::Empty, 1),
        ],
    );
}

#[test]
fn a_torn_last_line_leaves_its_request_unknown() {
    let [.., ends] = numbers();
    check(Snapshot::ended, &[(Change::Torn, ends / 3)]);
}
