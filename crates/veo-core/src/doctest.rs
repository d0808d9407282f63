// Not a part of the library. Examples in the documentation include this file, hidden, and run against the simulator.

use std::error::Error as StdError;
use std::time::Duration as StdDuration;

/// Runs an example with a client of a simulated provider.
fn simulated(example: impl AsyncFnOnce(veo_core::Client) -> Result<(), Box<dyn StdError>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = async {
        let sim = veo_sim::Sim::start().await?;
        let provider = veo_core::Kie::new(veo_core::Access::new("any key").base_url(sim.url()))?;
        let poll = veo_core::Poll::default().first(StdDuration::ZERO).every(StdDuration::ZERO);
        let downloads = veo_core::Downloads::default().allow_loopback(true);
        example(veo_core::Client::new(provider)?.with_poll(poll).with_downloads(downloads)?).await
    };
    runtime.block_on(run).unwrap();
}

/// Submits a request, and returns the accepted job.
#[allow(dead_code, reason = "not every example needs one")]
async fn accepted(client: &veo_core::Client) -> veo_core::Job {
    match client.submit(&veo_core::VideoRequest::text("A dog playing in a park")).await {
        veo_core::Submission::Accepted(job) => job,
        other => panic!("{other:?}"),
    }
}
