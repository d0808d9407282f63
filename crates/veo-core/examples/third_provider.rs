//! A provider of your own in one file: its models, its requests and its answers. This provider draws videos out of a
//! hat, so the example needs no network: `cargo run -p veo-core --example third_provider`.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Duration;

use serde_json::json;
use veo_core::{
    AspectRatio, BoxFuture, Capabilities, Client, Error, Job, JobRef, Limit, Mode, Model, Offer,
    Operation, Poll, Provider, Reason, Resolution, State, Submission, Tier, Video, VideoRequest,
};

/// A provider with one model for text, whose jobs finish at once.
#[derive(Debug)]
struct Hat {
    models: [Model; 1],
}

impl Hat {
    fn new() -> Self {
        let model = Model::new("hat", "top-hat-1", Tier::Lite)
            .modes(&[Mode::Text])
            .resolutions(&[Resolution::P720])
            .aspect_ratios(&[AspectRatio::Landscape])
            .seconds(&[8]);
        Self { models: [model] }
    }
}

impl Provider for Hat {
    fn name(&self) -> &'static str {
        "hat"
    }

    fn models(&self) -> &[Model] {
        &self.models
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Ok(Offer::new(
            model,
            request,
            Operation::Generate,
            json!({ "text": request.prompt }),
        ))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().limit(Limit::new(5, Duration::from_secs(10)))
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(async move { Submission::Accepted(Job::new(offer, "rabbit")) })
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        let video = Video::new(
            job.clone(),
            vec!["https://hat.example.net/rabbit.mp4".to_owned()],
        );
        Box::pin(async move { Ok(State::Finished(Box::new(video))) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::new(Hat::new())?.with_poll(Poll::default().first(Duration::ZERO));
    let plan = client.plan(&VideoRequest::text("A rabbit").negative_prompt("a dove"));
    println!("{}", plan.refusals[0]);
    if let Submission::Accepted(job) = client.submit(&VideoRequest::text("A rabbit")).await {
        println!("{}: {:?}", job.reference, client.wait(&job).await?.urls);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Clones of a client share the limit. A request above the limit waits and is not refused.
    #[tokio::test(start_paused = true)]
    async fn a_limit_is_kept_by_waiting() {
        let client = Client::new(Hat::new()).unwrap();
        let start = Instant::now();
        let mut seconds = Vec::new();
        for _ in 0..12 {
            let request = VideoRequest::text("A rabbit");
            assert!(matches!(
                client.clone().submit(&request).await,
                Submission::Accepted(_)
            ));
            seconds.push(start.elapsed().as_secs());
        }
        assert_eq!(seconds, [0, 0, 0, 0, 0, 10, 10, 10, 10, 10, 20, 20]);
    }

    #[test]
    fn what_it_cannot_do_is_said() {
        let plan = Client::new(Hat::new()).unwrap().plan(
            &VideoRequest::text("A rabbit")
                .negative_prompt("a dove")
                .seconds(4),
        );
        let wanted = "hat: seconds: top-hat-1 makes no videos of 4 s; choose 8; \
                      negative_prompt: a negative prompt is not supported by top-hat-1";
        assert_eq!(plan.refusals[0].to_string(), wanted);
    }
}
