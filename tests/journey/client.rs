//! The calls of a client that make no video: asking for a state or a balance, storing an image, permitting one more
//! job.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use veo_core::{
    Access, AspectRatio, BoxFuture, Capabilities, Charged, Client, Error, ErrorKind, Fault, Image,
    Job, JobRef, Kie, Limit, Mode, Model, Offer, Operation, Poll, Provider, Reason, Resend,
    Resolution, State, Submission, Tier, UniAll, Upgrade, Video, VideoRequest,
};
use veo_sim::Sim;
use veo_tests::{KEY, PNG, recorder, serve_bytes};

use crate::FORMS;

/// A model for every request of these tests.
fn any_model(provider: &'static str) -> Model {
    Model::new(provider, "one", Tier::Lite)
        .modes(&[Mode::Text, Mode::Image])
        .resolutions(&[Resolution::P720])
        .aspect_ratios(&[AspectRatio::Landscape])
        .seconds(&[8])
}

fn client(url: &str) -> Client {
    let access = Access::new(KEY).base_url(url);
    Client::new(Kie::new(access.clone()).unwrap())
        .unwrap()
        .or(UniAll::new(access).unwrap())
}

#[tokio::test]
async fn a_state_takes_one_question_and_its_error_names_the_job() {
    // A new job is running in the old form, and waiting in the current form.
    let states = [State::Running { percent: None }, State::Pending];
    for ((form, prefix), state) in FORMS.into_iter().zip(states) {
        let sim = Sim::start().await.unwrap();
        let kie = Kie::new(Access::new(KEY).base_url(sim.url())).unwrap();
        let client = Client::new(kie.form(form)).unwrap();
        let Submission::Accepted(job) = client.submit(&VideoRequest::text("A red kite")).await
        else {
            panic!("the request was not accepted")
        };
        let before = sim.calls().len();
        assert_eq!(client.state(&job).await.unwrap(), state);
        assert_eq!(sim.calls().len(), before + 1);

        let unknown: JobRef = format!("{prefix}:no-such-task").parse().unwrap();
        let error = client.state(&unknown).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.job()),
            (ErrorKind::Unavailable, Some(&unknown)),
            "{error}"
        );
        let error = client
            .state(JobRef::new("somebody", "t1"))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "somebody:t1: this client has no account somebody; add it"
        );
    }
}

#[tokio::test]
async fn a_balance_is_a_number_or_an_error_that_costs_nothing() {
    let server = recorder().await;
    let client = client(&server.uri());
    let table = [
        (
            200,
            r#"{"code":200,"msg":"success","data":5916.25}"#,
            Ok(5916.25),
        ),
        (200, r#"{"code":200,"msg":"success","data":"-3"}"#, Ok(-3.0)),
        (
            200,
            r#"{"code":200,"msg":"success","data":null}"#,
            Err(ErrorKind::NotSent),
        ),
        (
            200,
            r#"{"code":401,"msg":"Unauthorized"}"#,
            Err(ErrorKind::Unauthorized),
        ),
        (
            200,
            r#"{"code":455,"msg":"maintenance","data":null}"#,
            Err(ErrorKind::Maintenance),
        ),
        (
            200,
            r#"{"code":500,"msg":"error","data":null}"#,
            Err(ErrorKind::NotSent),
        ),
        (502, "<html>", Err(ErrorKind::NotSent)),
    ];
    for (status, body, wanted) in table {
        serve_bytes(&server, status, body.into()).await;
        assert_eq!(
            client.credits("kie").await.map_err(|error| error.kind()),
            wanted,
            "{body}"
        );
    }
    // This also makes the server forget the requests above.
    serve_bytes(&server, 200, Vec::new()).await;
    for (provider, wanted) in [
        (
            "uniall",
            "uniall does not tell its balance to programs; look at its web site",
        ),
        ("somebody", "this client has no account somebody; add it"),
    ] {
        let error = client.credits(provider).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::InvalidRequest, wanted)
        );
    }
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        0,
        "nobody is asked in vain"
    );
}

#[tokio::test]
async fn an_image_is_uploaded_unless_it_has_a_url() {
    let sim = Sim::start().await.unwrap();
    let client = client(&sim.url());
    let there = "https://img.example.net/kite.png";
    assert_eq!(client.upload(&there.into()).await.unwrap(), there);
    assert_eq!(sim.calls().len(), 0);

    let here = Image::from(PNG.to_vec());
    let url = client.upload(&here).await.unwrap();
    assert!(
        url.starts_with(&sim.media_url()) && url.ends_with("/7924f39463e540d00c26fcbeb0eb5c03.png"),
        "{url}"
    );
    assert_eq!(sim.calls().len(), 1);

    let alone = Client::new(UniAll::new(KEY).unwrap()).unwrap();
    for (client, image, wanted) in [
        (&alone, here, "no provider of this client takes uploads"),
        (
            &client,
            b"GIF89a".to_vec().into(),
            "is not a JPEG, PNG or WebP image",
        ),
    ] {
        let error = client.upload(&image).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::InvalidRequest && error.to_string().contains(wanted),
            "{error}"
        );
    }
    assert_eq!(sim.calls().len(), 1);
}

/// kie.ai only stores the image here, and UniAll makes the video.
#[tokio::test]
async fn an_uploader_stores_images_and_makes_no_videos() {
    let sim = Sim::start().await.unwrap();
    let access = Access::new(KEY).base_url(sim.url());
    let request = VideoRequest::image("A red kite", PNG.to_vec());
    let client = Client::new(UniAll::new(access.clone()).unwrap()).unwrap();
    let refusal = client.plan(&request).refusals.remove(0).to_string();
    assert!(
        refusal.contains("no provider of this client takes uploads"),
        "{refusal}"
    );

    let client = client.with_uploader(Kie::new(access).unwrap());
    let Submission::Accepted(job) = client.submit(&request).await else {
        panic!("the request was not accepted")
    };
    assert_eq!(
        (job.reference.provider.as_str(), sim.submits()),
        ("uniall", 1)
    );
    let paths: Vec<_> = sim.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/api/file-stream-upload", "/v1/video/generations"]);
    let body = sim.calls()[1].body.clone().unwrap();
    assert!(
        body["image"]
            .as_str()
            .unwrap()
            .starts_with(&sim.media_url()),
        "{body}"
    );
    assert!(client.models().all(|model| model.provider == "uniall"));
}

#[tokio::test]
async fn an_image_is_checked_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        Image::from(folder.path().join(name))
    };
    let large = [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; 20 << 20]].concat();
    let table = [
        (Image::from("https://img.example.net/kite.png"), ""),
        (file("kite.png", PNG), ""),
        (
            Image::from(folder.path().join("none.png")),
            "none.png cannot be read; correct the path",
        ),
        (
            file("kite.gif", b"GIF89a"),
            "kite.gif is not a JPEG, PNG or WebP image",
        ),
        (
            file("large.png", &large),
            "large.png is larger than 20 MiB; make it smaller",
        ),
        (
            Image::from(large),
            "the image is larger than 20 MiB; make it smaller",
        ),
    ];
    for (image, wanted) in table {
        let fault = image
            .check()
            .await
            .map_or_else(|error| error.to_string(), |()| String::new());
        assert!(
            fault.ends_with(wanted) && fault.is_empty() == wanted.is_empty(),
            "{fault:?} is not {wanted:?}"
        );
    }
}

/// A provider that records each step. `fault` is `upload` (the upload never ends), `refusal` (`submit` refuses) or empty.
#[derive(Debug)]
struct Stuck {
    name: &'static str,
    fault: &'static str,
    steps: Steps,
    models: [Model; 1],
}

/// The steps that were made, and the step after which the caller stops.
#[derive(Clone, Debug)]
struct Steps(Arc<(Mutex<Vec<String>>, &'static str, Notify)>);

impl Steps {
    fn new(stop_after: &'static str) -> Self {
        Self(Arc::new((Mutex::default(), stop_after, Notify::new())))
    }

    fn take(&self, provider: &str, step: &str) {
        let step = format!("{provider} {step}");
        if step == self.0.1 {
            self.0.2.notify_one();
        }
        self.0.0.lock().unwrap().push(step);
    }
}

impl Stuck {
    fn new(name: &'static str, fault: &'static str, steps: &Steps) -> Self {
        Self {
            name,
            fault,
            steps: steps.clone(),
            models: [any_model(name)],
        }
    }
}

impl Provider for Stuck {
    fn name(&self) -> &'static str {
        self.name
    }

    fn models(&self) -> &[Model] {
        &self.models
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
            .uploads()
            .limit(Limit::new(1, Duration::from_secs(60 * 60)))
    }

    /// Records this call, which is the last one before the wait for the limit.
    fn marked(&self, offer: &Offer, _marker: &str) -> Offer {
        self.steps.take(self.name, "limit");
        offer.clone()
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Ok(Offer::new(model, request, Operation::Generate, json!({})))
    }

    fn upload(&self, _bytes: bytes::Bytes, _name: String) -> BoxFuture<'_, Result<String, Error>> {
        Box::pin(async {
            self.steps.take(self.name, "upload");
            if self.fault == "upload" {
                std::future::pending::<()>().await;
            }
            Ok("https://img.example.net/kite.png".to_owned())
        })
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(async {
            self.steps.take(self.name, "submit");
            // The pauses give the caller time to stop.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            match self.fault {
                "refusal" => Submission::Rejected(Error::new(ErrorKind::Refused, "no")),
                _ => Submission::Accepted(Job::new(offer, "t1")),
            }
        })
    }

    fn state<'a>(&'a self, _job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async { Ok(State::Pending) })
    }
}

/// A stop loses no outcome that may have been paid for, and nothing is sent after it.
#[tokio::test]
async fn a_stop_sends_nothing_more_and_waits_for_sent_requests() {
    let table = [
        // The step after which the caller stops, the fault of provider a, all steps that are made, and the outcome.
        ("", "", "a upload, a limit, a submit", "a:t1"),
        ("a upload", "upload", "a upload", "stopped"),
        ("a upload", "", "a upload, a limit", "stopped"),
        ("a limit", "", "a upload, a limit", "stopped"),
        ("a submit", "", "a upload, a limit, a submit", "a:t1"),
        (
            "a submit",
            "refusal",
            "a upload, a limit, a submit, b limit",
            "stopped (before that, a: no)",
        ),
        (
            "b submit",
            "refusal",
            "a upload, a limit, a submit, b limit, b submit",
            "b:t1",
        ),
    ];
    for (stop_after, fault, wanted_steps, wanted) in table {
        let steps = Steps::new(stop_after);
        let client = Client::new(Stuck::new("a", fault, &steps))
            .unwrap()
            .or(Stuck::new("b", "", &steps));
        let request = VideoRequest::image("A red kite", PNG.to_vec());
        let submitting = client.submit_until(&request, steps.0.2.notified());
        let outcome = match tokio::time::timeout(Duration::from_secs(20), submitting)
            .await
            .unwrap()
        {
            Submission::Accepted(job) => job.reference.to_string(),
            Submission::Rejected(error) => {
                let advice = (error.kind(), error.charged(), error.resend(), error.fault());
                assert_eq!(
                    advice,
                    (ErrorKind::Stopped, Charged::No, Resend::Same, Fault::Caller),
                    "{stop_after}"
                );
                error.to_string().replace(
                    " before a paid request was sent; submit it again if you want it",
                    "",
                )
            }
            Submission::Unknown(unknown) => panic!("{}", unknown.error),
        };
        let steps = steps.0.0.lock().unwrap().join(", ");
        assert_eq!(
            (steps.as_str(), outcome.as_str()),
            (wanted_steps, wanted),
            "stopped after {stop_after:?}, with the fault {fault:?}"
        );
    }
}

/// The number of jobs that are under way at a provider.
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
        Ok(Offer::new(model, request, Operation::Generate, json!({})))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        Box::pin(async { Submission::Accepted(Job::new(offer, "t1")) })
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async {
            // The pauses let all other jobs begin before this one ends.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.0.now.fetch_sub(1, Ordering::SeqCst);
            let video = Video::new(
                job.clone(),
                vec!["https://cdn.example.net/v.mp4".to_owned()],
            );
            Ok(State::Finished(Box::new(video)))
        })
    }
}

#[tokio::test]
async fn no_more_jobs_are_under_way_than_there_are_permits() {
    const JOBS: usize = 12;
    for (cap, wanted) in [
        (None, JOBS),
        (Some(0), 1),
        (Some(1), 1),
        (Some(2), 2),
        (Some(5), 5),
        (Some(usize::MAX), JOBS),
    ] {
        let model = any_model("counting");
        let counter = Arc::<Counter>::default();
        let client = Client::new(Counting(counter.clone(), [model])).unwrap();
        let client = client.with_poll(Poll::default().first(Duration::ZERO).every(Duration::ZERO));
        let client = cap.map_or(client.clone(), |cap| client.with_max_in_flight(cap));

        let mut tasks = JoinSet::new();
        for _ in 0..JOBS {
            let client = client.clone();
            tasks.spawn(async move {
                let _permit = client.permit().await;
                let Submission::Accepted(job) =
                    client.submit(&VideoRequest::text("A red kite")).await
                else {
                    panic!("the request was not accepted")
                };
                client.wait(&job).await.unwrap();
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(counter.most.load(Ordering::SeqCst), wanted, "{cap:?}");
    }
}

/// If a provider leaves out a method, its answer is an error and no made-up value.
#[tokio::test]
async fn a_missing_ability_is_an_error_that_names_the_provider() {
    let provider = Counting(Arc::default(), [any_model("counting")]);
    let job = JobRef::new("counting", "t1");
    assert_eq!(provider.capabilities(), Capabilities::default());
    let errors = [
        (
            provider
                .upload(bytes::Bytes::new(), String::new())
                .await
                .unwrap_err(),
            "counting cannot keep images",
        ),
        (
            provider.credits().await.unwrap_err(),
            "counting cannot tell its balance to programs",
        ),
        (
            match provider.upgrade(&job, Resolution::K4).await {
                Upgrade::Rejected(error) => error,
                other => panic!("{other:?}"),
            },
            "counting:t1: counting cannot upgrade a video to 4k",
        ),
    ];
    for (error, wanted) in errors {
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::InvalidRequest, wanted)
        );
    }
    assert_eq!(
        provider
            .fresh_link(&job, "https://cdn.example.net/v.mp4")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        (provider.account(), provider.base_url()),
        ("counting".to_owned(), None)
    );
}

/// An offer names the account that would pay, and the address of the account if it is not the provider's own.
#[tokio::test]
async fn an_offer_names_the_account_and_another_address() {
    let request = VideoRequest::text("A red kite");
    let own = Client::new(Kie::new(KEY).unwrap())
        .unwrap()
        .or(UniAll::new(KEY).unwrap().named("studio"));
    let json = serde_json::to_value(own.plan(&request)).unwrap();
    let accounts = [&json["offers"][0]["account"], &json["offers"][1]["account"]];
    assert_eq!(accounts, ["kie", "uniall@studio"]);
    assert!(json["offers"][0].get("base_url").is_none(), "{json}");
    for offer in client("http://127.0.0.1:8787/").plan(&request).offers {
        assert_eq!(offer.base_url.as_deref(), Some("http://127.0.0.1:8787"));
        let stored: Offer = serde_json::from_str(&serde_json::to_string(&offer).unwrap()).unwrap();
        assert_eq!(stored, offer);
    }
}

#[tokio::test]
async fn a_callback_address_gets_a_marker_and_nothing_else() {
    for (form, _) in FORMS {
        let sim = Sim::start().await.unwrap();
        let kie = Kie::new(Access::new(KEY).base_url(sim.url())).unwrap();
        let kie = kie.form(form);
        let client = Client::new(kie.clone()).unwrap();
        let table = [
            (
                "https://app.example.net/hook",
                "https://app.example.net/hook?veo=M",
            ),
            ("https://app.example.net", "https://app.example.net?veo=M"),
            (
                "https://app.example.net/hook?",
                "https://app.example.net/hook?veo=M",
            ),
            (
                "https://app.example.net/hook?a=%20b&c",
                "https://app.example.net/hook?a=%20b&c&veo=M",
            ),
            (
                "https://app.example.net/hook?a=b&",
                "https://app.example.net/hook?a=b&veo=M",
            ),
            (
                "https://app.example.net/hook?veo=1#top?x",
                "https://app.example.net/hook?veo=1&veo=M#top?x",
            ),
            (
                "https://app.example.net/hook#top",
                "https://app.example.net/hook?veo=M#top",
            ),
        ];
        for (url, wanted) in table {
            let request = VideoRequest::text("A red kite").callback_url(url);
            let planned = client.plan(&request).offers.remove(0);
            assert_eq!(planned.body["callBackUrl"], wanted.replace("=M", "=..."));
            assert_eq!(planned.request.callback_url.as_deref(), Some(url));
            let marked = kie.marked(&planned, "M");
            assert_eq!(marked.body["callBackUrl"], wanted);
            // A second marker replaces the first.
            assert_eq!(
                kie.marked(&marked, "N").body["callBackUrl"],
                wanted.replace("=M", "=N")
            );
            let plain = kie.marked(&marked, "");
            assert_eq!(plain.body["callBackUrl"], url);

            // A client without a ledger sends no marker, since no entry could be found by it.
            let Submission::Accepted(job) = client.submit(&request).await else {
                panic!("{url}")
            };
            assert_eq!(sim.calls().pop().unwrap().body.unwrap()["callBackUrl"], url);
            assert_eq!(job.offer, plain);
        }
        let without = client
            .plan(&VideoRequest::text("A red kite"))
            .offers
            .remove(0);
        assert_eq!(kie.marked(&without, "M"), without);
        let uniall = UniAll::new(KEY).unwrap();
        assert!(!uniall.capabilities().marks_callbacks && kie.capabilities().marks_callbacks);
        assert_eq!(uniall.marked(&without, "M"), without);
    }
}

/// The record of a job repeats the prompt and the model, so a caller sees to which paid request a task can belong.
#[tokio::test]
async fn a_job_is_described_by_its_record() {
    let server = recorder().await;
    let access = Access::new(KEY).base_url(server.uri());
    let (kie, uniall) = (
        Kie::new(access.clone()).unwrap(),
        UniAll::new(access).unwrap(),
    );
    type Row<'a> = (&'a dyn Provider, &'a str, [Option<&'a str>; 2], &'a str);
    let table: [Row; 7] = [
        (
            &kie,
            r#"{"code":200,"data":{"successFlag":0,"paramJson":"{\"model\":\"veo3_fast\",\"prompt\":\"A \\\"red\\\" kite\"}"}}"#,
            [Some("A \"red\" kite"), Some("veo3_fast")],
            "running",
        ),
        (
            &kie,
            r#"{"code":200,"data":{"successFlag":3,"errorMessage":"no","paramJson":"{\"prompt\":\"A kite\"}"}}"#,
            [Some("A kite"), None],
            "failed",
        ),
        (
            &kie,
            r#"{"code":200,"data":{"successFlag":0,"paramJson":"{"}}"#,
            [None, None],
            "running",
        ),
        (
            &kie,
            r#"{"code":200,"data":{"successFlag":0,"paramJson":null}}"#,
            [None, None],
            "running",
        ),
        (
            &kie,
            r#"{"code":501,"msg":"no","data":null}"#,
            [None, None],
            "failed",
        ),
        (
            &uniall,
            r#"{"id":"t1","status":"queued","model":"veo3.1-fast-video-720p"}"#,
            [None, Some("veo3.1-fast-video-720p")],
            "pending",
        ),
        (
            &uniall,
            r#"{"id":"t1","status":"failed","error":"no"}"#,
            [None, None],
            "failed",
        ),
    ];
    for (provider, body, asked, state) in table {
        serve_bytes(&server, 200, body.into()).await;
        let job = JobRef::new(provider.name(), "t1");
        let described = provider.describe(&job).await.unwrap();
        assert_eq!(
            [described.prompt.as_deref(), described.model.as_deref()],
            asked,
            "{body}"
        );
        assert_eq!(
            serde_json::to_value(&described.state).unwrap()["state"],
            state,
            "{body}"
        );
        assert_eq!(
            provider.state(&job).await.unwrap(),
            described.state,
            "{body}"
        );
        if let State::Failed(error) = &described.state {
            assert_eq!(error.job(), Some(&job), "{body}");
            let stored: State =
                serde_json::from_str(&serde_json::to_string(&described.state).unwrap()).unwrap();
            assert_eq!(stored, described.state, "{body}");
        }
    }
    serve_bytes(&server, 200, b"<html>".to_vec()).await;
    for provider in [&kie as &dyn Provider, &uniall] {
        let job = JobRef::new(provider.name(), "t1");
        assert_eq!(
            provider.describe(&job).await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
}
