//! From a request to a file, for both providers.

use std::time::Duration;

use serde_json::{Value, json};
use veo_core::{AspectRatio, Client, ErrorKind, Job, Kie, Poll, State, Submission, Tier, UniAll, VideoRequest};
use veo_sim::Sim;

/// A client of each provider, asking without a pause.
fn clients(sim: &Sim) -> [(&'static str, Client); 2] {
    let poll = Poll { first: Duration::ZERO, every: Duration::ZERO, ..Poll::default() };
    let kie = Client::new(Kie::at(&sim.url(), "key".to_owned().into()).unwrap()).unwrap();
    let uniall = Client::new(UniAll::at(&sim.url(), "key".to_owned().into()).unwrap()).unwrap();
    [("kie", kie.with_poll(poll.clone())), ("uniall", uniall.with_poll(poll))]
}

fn accepted(submission: Submission) -> Job {
    match submission {
        Submission::Accepted(job) => job,
        other => panic!("{other:?}"),
    }
}

fn not_accepted(submission: Submission) -> veo_core::Error {
    match submission {
        Submission::NotAccepted(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_becomes_a_file() {
    let image = "https://img.example.net/kite.png";
    // A request, what kie.ai is sent, and what UniAll is sent.
    let table = [
        (
            VideoRequest::new("A red kite"),
            json!({ "aspectRatio": "16:9", "aspect_ratio": "16:9", "duration": 8, "generationType": "TEXT_2_VIDEO",
                    "model": "veo3_lite", "prompt": "A red kite", "resolution": "720p" }),
            json!({ "aspect_ratio": "16:9", "duration": 8, "model": "veo3.1-fast-video-720p", "prompt": "A red kite",
                    "size": "720p" }),
        ),
        (
            VideoRequest::new("It flies")
                .image(image)
                .tier(Tier::Quality)
                .aspect_ratio(AspectRatio::Portrait)
                .seconds(4),
            json!({ "aspectRatio": "9:16", "aspect_ratio": "9:16", "duration": 4,
                    "generationType": "FIRST_AND_LAST_FRAMES_2_VIDEO", "imageUrls": [image], "model": "veo3",
                    "prompt": "It flies", "resolution": "720p" }),
            json!({ "aspect_ratio": "9:16", "duration": 4, "image": image, "model": "veo3.1-video-720p",
                    "prompt": "It flies", "size": "720p" }),
        ),
        (
            VideoRequest::new("It lands").tier(Tier::Fast).seconds(6),
            json!({ "aspectRatio": "16:9", "aspect_ratio": "16:9", "duration": 6, "generationType": "TEXT_2_VIDEO",
                    "model": "veo3_fast", "prompt": "It lands", "resolution": "720p" }),
            json!({ "aspect_ratio": "16:9", "duration": 6, "model": "veo3.1-fast-video-720p", "prompt": "It lands",
                    "size": "720p" }),
        ),
    ];
    for (request, kie, uniall) in table {
        let sim = Sim::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, client) in clients(&sim) {
            let file = folder.path().join(format!("{name}.mp4"));

            let job = accepted(client.submit(&request).await);
            assert!(job.to_string().starts_with(&format!("{name}:")), "{job}");
            let mut states = Vec::new();
            let video = client.wait(&job, |state| states.push(state.clone())).await.unwrap();
            assert!(states.len() > 1 && matches!(states.last(), Some(State::Succeeded(_))), "{states:?}");
            let mut last = (0, None);
            let size = client.download(&video, &file, |received, total| last = (received, total)).await.unwrap();

            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(last, (bytes.len() as u64, Some(bytes.len() as u64)));
            assert_eq!(size, bytes.len() as u64);
            assert_eq!(&bytes[4..8], b"ftyp");
        }
        let sent: Vec<Value> = sim.requests().into_iter().filter_map(|request| request.body).collect();
        assert_eq!(sent, [kie, uniall], "each provider is sent one paid request");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_before_it_is_sent() {
    let sim = Sim::start().await.unwrap();
    let lite = VideoRequest::new("A red kite").tier(Tier::Lite);
    let table = [
        (VideoRequest::new(" "), "prompt: it is empty"),
        (VideoRequest::new("A red kite").seconds(5), "seconds: 5 is no length of a video; choose 4, 6 or 8"),
        (VideoRequest::new("A red kite").image("kite.png"), "image: kite.png is not an http or https URL"),
    ];
    for (name, client) in clients(&sim) {
        for (request, wanted) in &table {
            let error = not_accepted(client.submit(request).await);
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}: {error}");
            assert!(error.to_string().starts_with(wanted), "{name}: {error}");
        }
        if name == "uniall" {
            let error = not_accepted(client.submit(&lite).await);
            assert_eq!(error.to_string(), "tier: UniAll has no lite tier; choose fast, or kie.ai");
        }
    }
    assert_eq!(sim.requests(), []);
}

#[tokio::test]
async fn a_provider_that_is_not_there_was_sent_nothing() {
    let sim = Sim::start().await.unwrap();
    let clients = clients(&sim);
    drop(sim);
    for (name, client) in clients {
        let error = not_accepted(client.submit(&VideoRequest::new("A red kite")).await);
        assert_eq!(error.kind(), ErrorKind::NotSent, "{name}: {error}");
    }
}

/// A job that the provider does not know is not given up at once, and the error still names it.
#[tokio::test]
async fn a_job_is_never_lost_with_the_error() {
    let sim = Sim::start().await.unwrap();
    for (name, client) in clients(&sim) {
        let impatient =
            Poll { first: Duration::ZERO, every: Duration::ZERO, forgive_for: Duration::ZERO, ..Poll::default() };
        let job = Job::new(name, "no-such-task");
        let error = client.with_poll(impatient).wait(&job, |_| {}).await.unwrap_err();
        assert_eq!((error.kind(), error.job()), (ErrorKind::Unavailable, Some(&job)), "{error}");
    }
}
