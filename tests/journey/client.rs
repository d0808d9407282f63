//! What a client answers besides making a video: a state, a balance, a place for an image, and leave for one more job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use veo_core::{
    Access, BoxFuture, Client, Error, ErrorKind, Image, Job, JobRef, Kie, Mode, Model, Offer, Poll, Provider, Reason,
    State, Submission, Tier, UniAll, Video, VideoRequest,
};
use veo_sim::Sim;
use veo_tests::{KEY, recorder, serve_bytes};

fn client(url: &str) -> Client {
    let access = Access::new(KEY).base_url(url);
    Client::new(Kie::new(access.clone()).unwrap()).unwrap().or(UniAll::new(access).unwrap())
}

#[tokio::test]
async fn a_state_is_one_question_and_its_error_names_the_job() {
    let sim = Sim::start().await.unwrap();
    let client = client(&sim.url());
    let Submission::Accepted(job) = client.submit(&VideoRequest::text("A red kite")).await else {
        panic!("it is accepted")
    };
    let before = sim.calls().len();
    assert_eq!(client.state(&job).await.unwrap(), State::Running { percent: None });
    assert_eq!(sim.calls().len(), before + 1);

    let unknown = JobRef::new("kie", "no-such-task");
    let error = client.state(&unknown).await.unwrap_err();
    assert_eq!((error.kind(), error.job()), (ErrorKind::Unavailable, Some(&unknown)), "{error}");
    let error = client.state(JobRef::new("somebody", "t1")).await.unwrap_err();
    assert_eq!(error.to_string(), "somebody:t1: this client has no provider somebody; add it");
}

#[tokio::test]
async fn a_balance_is_a_number_or_an_error_that_costs_nothing() {
    let server = recorder().await;
    let client = client(&server.uri());
    let table = [
        (200, r#"{"code":200,"msg":"success","data":5916.25}"#, Ok(5916.25)),
        (200, r#"{"code":200,"msg":"success","data":"-3"}"#, Ok(-3.0)),
        (200, r#"{"code":200,"msg":"success","data":null}"#, Err(ErrorKind::NotSent)),
        (200, r#"{"code":401,"msg":"Unauthorized"}"#, Err(ErrorKind::Unauthorized)),
        (200, r#"{"code":455,"msg":"maintenance","data":null}"#, Err(ErrorKind::Maintenance)),
        (200, r#"{"code":500,"msg":"error","data":null}"#, Err(ErrorKind::NotSent)),
        (502, "<html>", Err(ErrorKind::NotSent)),
    ];
    for (status, body, wanted) in table {
        serve_bytes(&server, status, body.into()).await;
        assert_eq!(client.credits("kie").await.map_err(|error| error.kind()), wanted, "{body}");
    }
    serve_bytes(&server, 200, Vec::new()).await;
    for (provider, wanted) in [
        ("uniall", "uniall does not tell its balance to programs; look at its web site"),
        ("somebody", "this client has no provider somebody; add it"),
    ] {
        let error = client.credits(provider).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidRequest, wanted));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0, "nobody is asked in vain");
}

#[tokio::test]
async fn an_image_is_uploaded_unless_it_has_a_url() {
    let sim = Sim::start().await.unwrap();
    let client = client(&sim.url());
    let there = "https://img.example.net/kite.png";
    assert_eq!(client.upload(&there.into()).await.unwrap(), there);
    assert_eq!(sim.calls().len(), 0);

    let here = Image::from(b"\x89PNG\r\n\x1a\n and the rest".to_vec());
    let url = client.upload(&here).await.unwrap();
    assert!(url.starts_with(&sim.url()) && url.ends_with("/the-image.png"), "{url}");
    assert_eq!(sim.calls().len(), 1);

    let alone = Client::new(UniAll::new(KEY).unwrap()).unwrap();
    for (client, image, wanted) in [
        (&alone, here, "no provider here has a place for it"),
        (&client, b"GIF89a".to_vec().into(), "is not a JPEG, PNG or WebP image"),
    ] {
        let error = client.upload(&image).await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidRequest && error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(sim.calls().len(), 1);
}

/// A provider that counts the jobs that are under way.
#[derive(Debug, Default)]
struct Counter {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct Counting(Arc<Counter>, [Model; 1]);

impl Provider for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn models(&self) -> &[Model] {
        &self.1
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Ok(Offer::new(model, request, "make", json!({})))
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        Box::pin(async { Submission::Accepted(Job::new(offer, "t1")) })
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async {
            // All others get their turn before it ends.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.0.now.fetch_sub(1, Ordering::SeqCst);
            let video = Video::new(job.clone(), vec!["https://cdn.example.net/v.mp4".to_owned()]);
            Ok(State::Succeeded(Box::new(video)))
        })
    }
}

#[tokio::test]
async fn no_more_jobs_are_under_way_than_there_are_permits() {
    const JOBS: usize = 12;
    for (cap, wanted) in
        [(None, JOBS), (Some(0), 1), (Some(1), 1), (Some(2), 2), (Some(5), 5), (Some(usize::MAX), JOBS)]
    {
        let model = Model::new("counting", "one", Tier::Lite)
            .modes(&[Mode::Text])
            .resolutions(&[veo_core::Resolution::P720])
            .aspect_ratios(&[veo_core::AspectRatio::Landscape])
            .seconds(&[8]);
        let counter = Arc::<Counter>::default();
        let client = Client::new(Counting(counter.clone(), [model])).unwrap();
        let client = client.with_poll(Poll { first: Duration::ZERO, every: Duration::ZERO, ..Poll::default() });
        let client = cap.map_or(client.clone(), |cap| client.with_max_in_flight(cap));

        let mut tasks = JoinSet::new();
        for _ in 0..JOBS {
            let client = client.clone();
            tasks.spawn(async move {
                let _permit = client.permit().await;
                let Submission::Accepted(job) = client.submit(&VideoRequest::text("A red kite")).await else {
                    panic!("it is accepted")
                };
                client.wait(&job, |_| {}).await.unwrap();
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(counter.most.load(Ordering::SeqCst), wanted, "{cap:?}");
    }
}
