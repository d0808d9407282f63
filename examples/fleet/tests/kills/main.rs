//! Kills replicas at any moment, and restarts and kills their database: those of the fleet, and those of the engine
//! without the ledger, with the same orders and the same kills. `scripts/fleet-kills.sh` runs this test.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod load;
mod system;

use std::time::Duration;

use load::Database;
use system::{Kind, LIMIT, Outcome, REPLICAS, System};
use tokio::time::{Instant, sleep_until};

const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Prints a table with the outcomes of the orders, and with the load.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fleet_that_is_killed_pays_for_each_wish_once() {
    let fleet = Database::of("VEO_TEST_POSTGRES");
    let plain = Database::of("VEO_TEST_OTHER_POSTGRES");
    let (Some(fleet), Some(plain)) = (fleet, plain) else {
        println!("skipped: scripts/fleet-kills.sh runs this");
        return;
    };
    let (jobs, kills) = (number("VEO_TEST_JOBS", 100), number("VEO_TEST_KILLS", 8));
    let patience = Duration::from_secs(number("VEO_TEST_PATIENCE", 400) as u64);
    let mut systems = [
        System::start(Kind::Fleet, fleet).await,
        System::start(Kind::Plain, plain).await,
    ];
    let begun = Instant::now();
    let mut ordering = Vec::new();
    for system in &systems {
        ordering.push(tokio::spawn(system.orders().order(jobs)));
    }

    // The kills are spread over the time in which the orders are sent.
    let pause = Duration::from_millis(500 * jobs as u64 / (kills as u64 + 1));
    let mut kill = 0;
    loop {
        let is_ordered = ordering.iter().all(|orders| orders.is_finished());
        for system in &mut systems {
            system.look().await;
            let seconds = begun.elapsed().as_secs();
            println!("{seconds} s, {kill} kills: {}", system.told());
        }
        // The test waits for the fleet only. The engine without the ledger makes so many videos twice that it would take long.
        if is_ordered && kill == kills && systems[0].has_ended(patience) {
            break;
        }
        let look = Instant::now() + LOOK_EVERY;
        if kill == kills {
            sleep_until(look).await;
            continue;
        }
        let next = begun + pause * (kill as u32 + 1);
        sleep_until(next.min(look)).await;
        if next <= look {
            for system in &mut systems {
                kill_one(system, kill, kills).await;
            }
            kill += 1;
        }
    }

    let [fleet, plain] = systems.map(|system| system.end(jobs));
    println!("\n{jobs} jobs, {REPLICAS} replicas and {kills} kills for each");
    print_table(&fleet, &plain, jobs);
    assert_eq!((fleet.open, fleet.lost), (0, 0));
    assert_eq!((fleet.twice, fleet.refused), (0, 0));
    assert!(fleet.most <= LIMIT, "{} starts in 10 s", fleet.most);
    assert_eq!(fleet.strange, Vec::<String>::new());
}

/// Kills a replica, and sometimes its database.
async fn kill_one(system: &mut System, number: usize, kills: usize) {
    system.kill(number);
    if number == kills / 4 || number == kills / 2 {
        system.restart_database("fast").await;
    }
    if number == 3 * kills / 4 {
        system.restart_database("immediate").await;
    }
}

fn print_table(fleet: &Outcome, plain: &Outcome, jobs: usize) {
    let each = |sum: f64| format!("{:.1}", sum / jobs as f64);
    let row = |name: &str, value: &dyn Fn(&Outcome) -> String| {
        println!("| {name} | {} | {} |", value(fleet), value(plain));
    };
    println!("| | fleet | engine alone |\n| --- | --: | --: |");
    row("videos saved", &|of| of.saved.to_string());
    row("not made when the fleet was done", &|of| {
        of.open.to_string()
    });
    row("lost", &|of| of.lost.to_string());
    row("paid twice or more", &|of| of.twice.to_string());
    row("payments", &|of| of.payments.to_string());
    row("refused as too fast", &|of| of.refused.to_string());
    row("unknown, then settled by a callback", &|of| {
        of.settled.to_string()
    });
    row("unknown in the end", &|of| of.unknown.to_string());
    row("unknown, and not on the wire at a kill", &|of| {
        of.strange.len().to_string()
    });
    row("most calls in any 10 s", &|of| of.most.to_string());
    row("videos a second", &|of| {
        format!("{:.2}", of.saved as f64 / of.seconds)
    });
    row("transactions a job", &|of| each(of.transactions));
    row("KiB of write-ahead log a job", &|of| each(of.log / 1024.0));
    row("ms of computing a job, the database", &|of| {
        each(of.database * 1000.0)
    });
    row("ms of computing a job, the replicas", &|of| {
        each(of.replicas * 1000.0)
    });
}

fn number(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}
