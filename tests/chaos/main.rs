//! Everything goes wrong at once. The library, a batch of the program and the example of a web backend make videos at a
//! simulator with every fault. These programs are killed, their disk is full and their clock is wrong. At the end the
//! ledger has each charge.
//!
//! Nothing is paid twice, and nothing that was paid is lost. Unknown outcomes are settled from the simulator's charges.
//! `scripts/chaos.sh` makes many more videos than a usual run. The same seed makes the same choices again.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod disk;
mod faults;
mod round;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use round::{Round, Tally};

/// The file to which the rounds are written as lines of numbers, the number of videos in all, and the seed.
struct Plan {
    results: Option<File>,
    jobs: usize,
    seed: u64,
}

#[test]
fn the_ledger_has_what_was_charged() {
    let plan = Plan::new();
    let (number, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(plan.results);
    // A round spends most of its time with waiting, so many rounds can be under way at a time.
    let at_a_time = (plan.jobs / 100).clamp(3, 24);
    let work = || {
        while done.load(Ordering::Relaxed) < plan.jobs {
            let number = u64::try_from(number.fetch_add(1, Ordering::Relaxed)).unwrap();
            let round = Round::new(plan.seed.wrapping_add(number), plan.jobs);
            done.fetch_add(round.jobs, Ordering::Relaxed);
            let tally = round.run();
            let line = line(&round, &tally);
            print!("{line}");
            if let Some(results) = results.lock().unwrap().as_mut() {
                results.write_all(line.as_bytes()).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

impl Plan {
    /// Reads the plan from the environment. By default it is for a few videos, and nothing is written.
    fn new() -> Self {
        let seed = number("VEO_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20);
        println!("to see the same choices again: VEO_TEST_SEED={seed}");
        let open = |path| File::options().create(true).append(true).open(path);
        Self {
            results: std::env::var("VEO_TEST_RESULTS")
                .ok()
                .map(|path| open(path).unwrap()),
            jobs: number("VEO_TEST_JOBS").unwrap_or(20),
            seed,
        }
    }
}

fn line(round: &Round, tally: &Tally) -> String {
    let Round {
        seed,
        way,
        provider,
        jobs,
    } = round;
    let Tally {
        kills,
        full_disks,
        charges,
        known,
        settled,
        failed,
        rejected,
        cents,
    } = tally;
    let mut line = format!("{seed}\t{way:?}\t{provider}\t{jobs}");
    for number in [kills, full_disks, charges, known, settled, failed, rejected] {
        let _ = write!(line, "\t{number}");
    }
    line + &format!("\t{cents}\n")
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The path of a program that `cargo build` has put beside this test.
fn program(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap();
    let path = folder.join(name);
    assert!(
        fs::exists(&path).unwrap(),
        "{} is not there; run scripts/chaos.sh",
        path.display()
    );
    path
}
