//! Measures what it takes to wait for many jobs: `cargo bench -p veo-tests --bench waiting -- [JOBS]`.
//!
//! The simulator is a process of its own. First all jobs are accepted. Then each is waited for in a task of its own,
//! with the usual pauses between questions.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use veo_core::{Access, Client, Job, Kie, Limit, Submission, VideoRequest};
use veo_sim::{Pace, Scenario, Sim};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The number of requests that are on their way at a time.
const SUBMITS: usize = 50;
/// The argument that makes this program the simulator.
const SERVE: &str = "--serve";

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if arguments.first().is_some_and(|argument| argument == SERVE) {
        return runtime.block_on(serve());
    }
    let jobs = arguments.iter().find_map(|argument| argument.parse().ok());
    runtime.block_on(measure(jobs.unwrap_or(10_000)))
}

/// Plays kie.ai until standard input ends.
async fn serve() -> Outcome<()> {
    let rich = Scenario::new(
        "waiting",
        "Nobody runs out of money, and a job takes 90 seconds.",
    )
    .credits(1e9)
    .pace(Pace::Scale(1.0));
    let sim = Sim::builder().scenario(rich).start().await?;
    println!("{}", sim.url());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

async fn measure(count: usize) -> Outcome<()> {
    let (_simulator, url) = start_simulator()?;
    let unlimited = Limit::new(1000, Duration::from_millis(1));
    let kie = Kie::new(Access::new("key").base_url(url))?.limit(unlimited);
    let client = Client::new(kie)?;
    let jobs = accepted(&client, count).await?;

    let before = memory("VmRSS:")?;
    let start = Instant::now();
    let mut waits = JoinSet::new();
    for job in jobs {
        let client = client.clone();
        waits.spawn(async move { client.wait(&job).await });
    }
    tokio::task::yield_now().await;
    let waiting = memory("VmRSS:")?.saturating_sub(before);

    let mut finished = 0;
    while let Some(ended) = waits.join_next().await {
        ended??;
        finished += 1;
    }
    println!("| jobs | finished | after | memory of a wait | peak of the process |");
    println!("| --: | --: | --: | --: | --: |");
    println!(
        "| {count} | {finished} | {:.1} s | {} bytes | {} MiB |",
        start.elapsed().as_secs_f64(),
        waiting / count,
        memory("VmHWM:")? >> 20
    );
    Ok(())
}

/// Starts this program as the simulator, which ends when its standard input is closed.
fn start_simulator() -> Outcome<(Child, String)> {
    let mut simulator = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = simulator
        .stdout
        .take()
        .ok_or("the simulator says nothing")?;
    let mut url = String::new();
    BufReader::new(output).read_line(&mut url)?;
    Ok((simulator, url.trim().to_owned()))
}

async fn accepted(client: &Client, count: usize) -> Outcome<Vec<Job>> {
    let mut jobs = Vec::with_capacity(count);
    let mut submits = JoinSet::new();
    for number in 0..count {
        if submits.len() == SUBMITS {
            jobs.extend(submits.join_next().await.transpose()?);
        }
        let client = client.clone();
        let request = VideoRequest::text(format!("Dog number {number}"));
        submits.spawn(async move { client.submit(&request).await });
    }
    jobs.extend(submits.join_all().await);
    let job = |submission| match submission {
        Submission::Accepted(job) => Ok(job),
        other => Err(format!("{other:?}").into()),
    };
    jobs.into_iter().map(job).collect()
}

/// Returns one figure of this process, in bytes.
fn memory(name: &str) -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next());
    Ok(kilobytes
        .ok_or("Linux tells it, and this is none")?
        .parse::<usize>()?
        << 10)
}
