//! Begins a job in one process and finishes it in another, with a simulated UniAll: `cargo run -p veo-core --example
//! resume`. The second process needs only the name of the job, such as `uniall:TASK`.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::time::Duration;

use veo_core::{Access, Client, JobRef, Poll, Submission, UniAll, VideoRequest};
use veo_sim::Sim;

/// Acts as the first process, which begins the job and returns its name.
async fn begin(url: &str) -> Result<String, Box<dyn Error>> {
    let client = Client::new(UniAll::new(Access::new("any key").base_url(url))?)?;
    match client
        .submit(&VideoRequest::text("A dog playing in a park"))
        .await
    {
        Submission::Accepted(job) => Ok(job.reference.to_string()),
        Submission::Rejected(error) => Err(error.into()),
        Submission::Unknown(unknown) => Err(unknown.error.into()),
    }
}

/// Acts as the second process, which has only the name of the job.
async fn finish(url: &str, line: &str) -> Result<String, Box<dyn Error>> {
    let job: JobRef = line.parse()?;
    let client = Client::new(UniAll::new(Access::new("any key").base_url(url))?)?;
    let client = client.with_poll(
        Poll::default()
            .first(Duration::ZERO)
            .every(Duration::from_millis(10)),
    );
    let video = client
        .wait_with(&job, |state| println!("{state:?}"))
        .await?;
    Ok(video.urls.join(" "))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let sim = Sim::start().await?;
    let line = begin(&sim.url()).await?;
    println!("{line}");
    println!("{}", finish(&sim.url(), &line).await?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}

#[cfg(test)]
#[tokio::test]
async fn it_runs() {
    run().await.unwrap();
}
