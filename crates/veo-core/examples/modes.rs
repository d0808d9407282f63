//! Makes a video from each kind of input, one after the other, with a simulated kie.ai: `cargo run -p veo-core
//! --example modes`. For the real kie.ai, give `Kie::new` only the API key, and leave out the other settings.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::time::Duration;

use veo_core::{Access, Client, Downloads, Kie, Poll, Receipt, Submission, VideoRequest};
use veo_sim::Sim;

async fn run() -> Result<(), Box<dyn Error>> {
    let sim = Sim::start().await?;
    let client = Client::new(Kie::new(Access::new("any key").base_url(sim.url()))?)?
        .with_poll(
            Poll::default()
                .first(Duration::ZERO)
                .every(Duration::from_millis(10)),
        )
        .with_downloads(Downloads::default().allow_loopback(true))?;
    let folder = tempfile::tempdir()?;

    let [park, rain] = [
        "https://img.example.net/park.png",
        "https://img.example.net/rain.png",
    ];
    let mut requests = vec![
        VideoRequest::text("A dog playing in a park"),
        VideoRequest::image("It starts to rain", park),
        VideoRequest::frames("The weather changes", park, rain),
        VideoRequest::references("A dog in both places", [park, rain]),
    ];
    while let Some(request) = requests.pop() {
        match client.submit(&request).await {
            Submission::Accepted(job) => {
                let video = client.wait(&job).await?;
                let saved = client
                    .download(&video, folder.path().join("video.mp4"))
                    .await?;
                let receipt = Receipt::new(&job, &video, &saved);
                println!(
                    "{}: {} s, {:?}",
                    request.mode(),
                    saved.media.seconds,
                    receipt.discrepancies
                );
                if request == VideoRequest::text("A dog playing in a park") {
                    requests.push(VideoRequest::extension("It finds a stick", &video));
                }
            }
            Submission::Rejected(error) => return Err(error.into()),
            Submission::Unknown(unknown) => return Err(unknown.error.into()),
        }
    }
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
