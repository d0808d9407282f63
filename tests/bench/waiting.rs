//! Measures what it takes to wait for many jobs. First all jobs are accepted. Then each is waited for in a task of its own, with
//! the usual pauses between questions.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use veo_core::{Access, Client, JobRef, Kie, Limit, Submission, VideoRequest};

use crate::server::{SIMULATOR, Server};
use crate::{Outcome, memory};

/// The number of jobs of one simulator. It forgets older ones when it has 20,000.
const JOBS_OF_ONE: usize = 10_000;
/// The number of requests that are on their way at a time.
const SUBMITS: usize = 50;

pub(crate) async fn measure(count: usize) -> Outcome<()> {
    let mut simulators = Vec::new();
    let mut jobs = Vec::with_capacity(count);
    while jobs.len() < count {
        let simulator = Server::start(SIMULATOR)?;
        let unlimited = Limit::new(1000, Duration::from_millis(1));
        let access = Access::new("key").base_url(&simulator.url);
        let client = Client::new(Kie::new(access)?.limit(unlimited))?;
        simulators.push(simulator);
        let accepted = accepted(&client, JOBS_OF_ONE.min(count - jobs.len())).await?;
        jobs.extend(accepted.into_iter().map(|job| (client.clone(), job)));
    }

    let before = memory("VmRSS:")?;
    let start = Instant::now();
    let mut waits = JoinSet::new();
    for (client, job) in jobs {
        waits.spawn(async move { client.wait(job).await });
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

async fn accepted(client: &Client, count: usize) -> Outcome<Vec<JobRef>> {
    let mut jobs = Vec::with_capacity(count);
    let mut submits = JoinSet::new();
    for number in 0..count {
        if submits.len() == SUBMITS
            && let Some(job) = submits.join_next().await
        {
            jobs.push(job??);
        }
        let client = client.clone();
        submits.spawn(async move {
            let request = VideoRequest::text(format!("Dog number {number}"));
            match client.submit(&request).await {
                Submission::Accepted(job) => Ok(job.reference),
                other => Err(format!("{other:?}")),
            }
        });
    }
    for job in submits.join_all().await {
        jobs.push(job?);
    }
    Ok(jobs)
}
