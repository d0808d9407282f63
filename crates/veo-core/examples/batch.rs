//! Makes many videos with a simulated kie.ai: `cargo run -p veo-core --example batch`. Each video has its own Tokio
//! task, and four are made at a time. The clones of the client share this cap, and kie.ai's limit of 20 requests in 10
//! seconds. A request above the limit waits and is not refused.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::time::Duration;

use tokio::task::JoinSet;
use veo_core::{Access, Client, JobRef, Kie, Poll, Submission, VideoRequest};
use veo_sim::Sim;

/// The outcome of one request.
enum Outcome {
    Done(JobRef),
    /// The request was refused. It is safe to send it again.
    Rejected(String),
    /// The request may have been charged. A person has to look at kie.ai's tasks before the request is sent again.
    MaybeCharged(String),
    /// The job is paid for. Another call of `wait` for it costs nothing.
    Open(String),
}

async fn make(client: Client, request: VideoRequest) -> Outcome {
    // The permit is held until this function ends. Then the next request is sent.
    let _permit = client.permit().await;
    match client.submit(&request).await {
        Submission::Accepted(job) => match client.wait(&job).await {
            Ok(video) => Outcome::Done(video.job),
            Err(error) => Outcome::Open(error.to_string()),
        },
        Submission::Rejected(error) => Outcome::Rejected(error.to_string()),
        Submission::Unknown(unknown) => Outcome::MaybeCharged(unknown.error.to_string()),
    }
}

async fn run(videos: usize) -> Result<usize, Box<dyn Error>> {
    let sim = Sim::start().await?;
    let client = Client::new(Kie::new(Access::new("any key").base_url(sim.url()))?)?;
    let client = client.with_poll(
        Poll::default()
            .first(Duration::ZERO)
            .every(Duration::from_millis(10)),
    );
    let client = client.with_max_in_flight(4);

    let mut tasks = JoinSet::new();
    for number in 1..=videos {
        tasks.spawn(make(
            client.clone(),
            VideoRequest::text(format!("Dog number {number}")),
        ));
    }
    let mut done = 0;
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Outcome::Done(job) => {
                done += 1;
                println!("{job}: done");
            }
            Outcome::Rejected(why) => println!("rejected: {why}"),
            Outcome::MaybeCharged(why) => println!("maybe charged: {why}"),
            Outcome::Open(why) => println!("wait again: {why}"),
        }
    }
    Ok(done)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run(15).await.map(drop)
}

#[cfg(test)]
#[tokio::test]
async fn it_runs() {
    assert_eq!(run(15).await.unwrap(), 15);
}
