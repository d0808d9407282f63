//! Kills replicas at any moment, and restarts and kills their database. `scripts/fleet-kills.sh` runs it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use veo_postgres::tokio_postgres::{Client, NoTls};
use veo_sim::{Callbacks, Pace, Scenario, Sim};

const REPLICAS: usize = 4;

/// A replica of the fleet, at an address of its own.
struct Replica {
    address: String,
    child: Child,
}

/// Prints how many wishes were lost, paid twice and left unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_is_killed_pays_for_each_wish_once() {
    let Ok(database) = std::env::var("VEO_TEST_POSTGRES") else {
        println!("skipped: scripts/fleet-kills.sh runs this");
        return;
    };
    let (jobs, kills) = (number("VEO_TEST_JOBS", 100), number("VEO_TEST_KILLS", 10));
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    let callbacks = Callbacks {
        key: Some("test_webhook_hmac_key".to_owned()),
        ..Callbacks::default()
    };
    // With this pace a video takes a few seconds.
    let scenario = Scenario::new("busy", "The videos of a fleet.")
        .pace(Pace::Scale(45.0))
        .credits(1e9)
        .callbacks(callbacks);
    let sim = Sim::builder()
        .scenario(scenario)
        .on_call(move |line| {
            if line.contains(" generate ") {
                seen.lock().unwrap().push(Instant::now());
            }
        })
        .start()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let public = free_address();
    let start = |address: &str| {
        let child = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .env_clear()
            .env("DATABASE_URL", &database)
            .env("KIE_API_KEY", "busy")
            .env("KIE_BASE_URL", sim.url())
            .env("KIE_WEBHOOK_KEY", "test_webhook_hmac_key")
            .env("PUBLIC_URL", format!("http://{public}"))
            .env("ADDRESS", address)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Replica {
            address: address.to_owned(),
            child,
        }
    };
    let mut replicas = Vec::new();
    for number in 0..REPLICAS {
        let address = match number {
            0 => public.clone(),
            _ => free_address(),
        };
        replicas.push(start(&address));
    }
    let begun = Instant::now();
    let web = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0..jobs {
        order(&web, &replicas[number % REPLICAS].address, number).await;
    }

    // The kills are spread over the time in which all jobs can be started.
    let pause = Duration::from_millis(500 * jobs as u64 / (kills as u64 + 1));
    for kill in 0..kills {
        sleep(pause).await;
        start_the_ended(&mut replicas, &start);
        let replica = &mut replicas[kill % REPLICAS];
        replica.child.kill().unwrap();
        replica.child.wait().unwrap();
        *replica = start(&replica.address.clone());
        if kill == kills / 4 || kill == kills / 2 {
            restart("fast");
        }
        if kill == 3 * kills / 4 {
            restart("immediate");
        }
    }
    let patience = Duration::from_secs(number("VEO_TEST_PATIENCE", 240) as u64);
    let mut states = count_states(&database).await;
    let settled = Instant::now();
    while settled.elapsed() < patience && is_moving(&states) {
        sleep(Duration::from_secs(1)).await;
        start_the_ended(&mut replicas, &start);
        states = count_states(&database).await;
    }
    let took = begun.elapsed().as_secs_f64();
    for replica in &mut replicas {
        replica.child.kill().unwrap();
        replica.child.wait().unwrap();
    }

    let calls = sim.calls();
    let mut paid = BTreeMap::<String, usize>::new();
    for charge in sim.charges() {
        let mut of_charge = calls.iter().filter(|call| call.number == charge.call);
        let body = of_charge.next().unwrap().body.as_ref().unwrap();
        *paid.entry(body["prompt"].to_string()).or_default() += 1;
    }
    let twice = paid.values().filter(|times| **times > 1).count();
    let done = states.get("done").copied().unwrap_or_default();
    let unknown = states.get("unknown").copied().unwrap_or_default();
    let lost = jobs - done - unknown;
    let most = most_in_ten_seconds(&starts.lock().unwrap());
    println!(
        "{jobs} jobs, {REPLICAS} replicas, {kills} kills: {lost} lost, {twice} paid twice, {unknown} unknown, at most {most} \
         starts in 10 s, {:.2} videos a second; {states:?}",
        done as f64 / took
    );
    assert_eq!((lost, twice), (0, 0));
    assert!(most <= 20, "{most} starts in 10 s");
}

/// Starts replicas that have ended by themselves, as a supervisor does. A replica ends if it has no database for long.
fn start_the_ended(replicas: &mut [Replica], start: &impl Fn(&str) -> Replica) {
    for replica in replicas {
        if replica.child.try_wait().unwrap().is_some() {
            *replica = start(&replica.address.clone());
        }
    }
}

/// Orders a video under its key until the order is taken, as a customer does.
async fn order(web: &reqwest::Client, address: &str, number: usize) {
    let url = format!("http://{address}/videos");
    let body = json!({ "prompt": format!("Kite {number}"), "seconds": 4 }).to_string();
    let begun = Instant::now();
    loop {
        let sent = web
            .post(&url)
            .header("Idempotency-Key", format!("order-{number}"))
            .header("Content-Type", "application/json")
            .body(body.clone())
            .send()
            .await;
        if sent.is_ok_and(|reply| reply.status() == 202) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{url} takes nothing"
        );
        sleep(Duration::from_millis(200)).await;
    }
}

/// Counts the entries in each state.
async fn count_states(database: &str) -> BTreeMap<String, usize> {
    let query = "SELECT state, count(*) FROM veo_jobs GROUP BY state";
    let rows = connect(database).await.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get::<_, i64>(1) as usize))
        .collect()
}

async fn connect(database: &str) -> Client {
    let begun = Instant::now();
    loop {
        match veo_postgres::tokio_postgres::connect(database, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn is_moving(states: &BTreeMap<String, usize>) -> bool {
    states
        .keys()
        .any(|state| !["done", "failed", "unknown"].contains(&&**state))
}

/// Restarts the database, after an orderly end or as if it had been killed.
fn restart(mode: &str) {
    let control = std::env::var("VEO_TEST_POSTGRES_CONTROL").unwrap();
    let line = format!("{control} --mode {mode} --wait --silent restart");
    let status = Command::new("sh")
        .args(["-c", &line])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{line}");
}

fn most_in_ten_seconds(starts: &[Instant]) -> usize {
    let window = Duration::from_secs(10);
    let ends = starts.iter().enumerate();
    ends.map(|(number, end)| {
        let earlier = starts[..=number].iter().rev();
        earlier
            .take_while(|start| end.duration_since(**start) < window)
            .count()
    })
    .max()
    .unwrap_or_default()
}

/// Finds a free address. A replica keeps it after each start.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn number(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap())
}
