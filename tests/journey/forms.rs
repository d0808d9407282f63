//! The two forms of kie.ai's API behind one provider: which of them is asked, when the other one is, and what is not done twice.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use veo_core::ledger::{Entry, FileLedger};
use veo_core::{
    Access, Client, ErrorKind, JobRef, Kie, KieForm, Limit, Poll, Resolution, Settlement, Step,
    Submission, Tier, VideoRequest,
};
use veo_tests::KEY;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const OLD: &str = "/api/v1/veo/generate";
const OLD_EXTENSION: &str = "/api/v1/veo/extend";
const OLD_RECORD: &str = "/api/v1/veo/record-info";
const NEW: &str = "/api/v1/jobs/createTask";
const NEW_RECORD: &str = "/api/v1/jobs/recordInfo";

/// A kie.ai of which every reply is given, and a ledger.
struct Place {
    server: MockServer,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        Self {
            server: MockServer::start().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn answers(&self, at: &str, reply: ResponseTemplate) {
        let mock = Mock::given(path(at)).respond_with(reply);
        mock.mount(&self.server).await;
    }

    /// The current form takes whatever comes.
    async fn takes_tasks(&self) {
        self.answers(
            NEW,
            json_reply(
                200,
                success(json!({ "taskId": "new1", "recordId": "new1" })),
            ),
        )
        .await;
    }

    async fn client(&self, form: KieForm) -> Client {
        let limit = Limit::new(1000, Duration::from_millis(1));
        self.limited(form, limit).await
    }

    async fn limited(&self, form: KieForm, limit: Limit) -> Client {
        let kie = Kie::new(Access::new(KEY).base_url(self.server.uri())).unwrap();
        let kie = kie.form(form).limit(limit);
        let none = Duration::ZERO;
        let poll = Poll::default().first(none).every(none).every_upgrade(none);
        let ledger = self.folder.path().join("jobs.ledger");
        Client::new(kie)
            .unwrap()
            .with_poll(poll)
            .with_ledger(FileLedger::open(ledger).await.unwrap())
    }

    /// How often each path was asked, in the order of asking.
    async fn asked(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| request.url.path().to_owned())
            .collect()
    }
}

fn json_reply(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn success(data: Value) -> Value {
    json!({ "code": 200, "msg": "success", "data": data })
}

fn refusal(code: u16, words: &str) -> Value {
    json!({ "code": code, "msg": words, "data": null })
}

fn kite() -> VideoRequest {
    VideoRequest::text("A red kite")
}

fn extension() -> VideoRequest {
    VideoRequest::extension("It dives", JobRef::new("kie", "old1"))
}

/// The attempts of an entry: the form, and whether it was rejected.
fn attempts(entry: &Entry) -> Vec<(Option<&str>, bool)> {
    let attempts = entry.attempts.iter();
    attempts
        .map(|attempt| {
            let is_rejected = attempt.rejection().is_some();
            (attempt.sent.form.as_deref(), is_rejected)
        })
        .collect()
}

/// The current form is asked only if kie.ai itself has said that the old one is gone, and nothing of the request.
#[tokio::test]
async fn the_current_form_is_asked_once_the_old_one_is_known_to_be_gone() {
    const WORDS: &str = "Not Found - The requested resource or endpoint does not exist";
    const OFF: &str = "Feature Disabled - The requested feature is currently disabled";
    let html = |status| {
        ResponseTemplate::new(status).set_body_raw("<html>404 Not Found</html>", "text/html")
    };
    let model = "The model veo3_lite is no longer available";
    // The request, the answer of the old form, and whether the current one is asked.
    let rows = [
        (
            "HTTP 404",
            kite(),
            json_reply(404, refusal(404, WORDS)),
            true,
        ),
        (
            "HTTP 404 without a code",
            kite(),
            json_reply(404, json!({ "msg": "No static resource" })),
            true,
        ),
        (
            "HTTP 405",
            kite(),
            json_reply(405, refusal(405, "Method Not Allowed")),
            true,
        ),
        (
            "HTTP 410",
            kite(),
            json_reply(410, refusal(410, "Gone")),
            true,
        ),
        (
            "code 404",
            kite(),
            json_reply(200, refusal(404, WORDS)),
            true,
        ),
        (
            "code 405",
            kite(),
            json_reply(200, refusal(405, "Method Not Allowed")),
            true,
        ),
        ("code 505", kite(), json_reply(200, refusal(505, OFF)), true),
        (
            "code 505 of the model",
            kite(),
            json_reply(200, refusal(505, model)),
            false,
        ),
        (
            "HTTP 404 of the model",
            kite(),
            json_reply(404, refusal(404, model)),
            false,
        ),
        (
            "code 410",
            kite(),
            json_reply(200, refusal(410, "Gone")),
            false,
        ),
        (
            "code 422",
            kite(),
            json_reply(200, refusal(422, "endpoint does not exist")),
            false,
        ),
        (
            "HTTP 404 with code 422",
            kite(),
            json_reply(404, refusal(422, WORDS)),
            false,
        ),
        (
            "HTTP 404 with code 500",
            kite(),
            json_reply(404, refusal(500, WORDS)),
            false,
        ),
        (
            "code 500",
            kite(),
            json_reply(200, refusal(500, OFF)),
            false,
        ),
        ("a page of HTML", kite(), html(404), false),
        ("a page of HTML with 410", kite(), html(410), false),
        (
            "JSON of somebody else",
            kite(),
            json_reply(404, json!({ "error": "Not Found" })),
            false,
        ),
        (
            "a reply that names a task",
            kite(),
            json_reply(404, json!({ "code": 404, "data": { "taskId": "old2" } })),
            false,
        ),
        (
            "no credits",
            kite(),
            json_reply(200, refusal(402, "Credits insufficient")),
            false,
        ),
        (
            "extension, HTTP 404",
            extension(),
            json_reply(404, refusal(404, WORDS)),
            true,
        ),
        (
            "extension, HTTP 405",
            extension(),
            json_reply(405, refusal(405, "Method Not Allowed")),
            true,
        ),
        (
            "extension, HTTP 404 of the video",
            extension(),
            json_reply(404, refusal(404, "The original video does not exist")),
            false,
        ),
        (
            "extension, code 404",
            extension(),
            json_reply(200, refusal(404, WORDS)),
            false,
        ),
        (
            "extension, code 505",
            extension(),
            json_reply(200, refusal(505, OFF)),
            false,
        ),
    ];
    for (name, request, reply, is_switched) in rows {
        let place = Place::new().await;
        let path = if request == kite() {
            OLD
        } else {
            OLD_EXTENSION
        };
        place.answers(path, reply).await;
        place.takes_tasks().await;
        let client = place.client(KieForm::Auto).await;
        let submission = client.submit_once("a", &request).await;
        let entry = client.entry("a").await.unwrap().unwrap();
        if !is_switched {
            assert_eq!(place.asked().await, [path], "{name}: {submission:?}");
            assert_eq!(entry.attempts.len(), 1, "{name}");
            continue;
        }
        let Submission::Accepted(job) = submission else {
            panic!("{name}: {submission:?}")
        };
        assert_eq!(job.reference.to_string(), "kie+jobs:new1", "{name}");
        assert!(
            job.refusals[0].starts_with("kie: kie.ai answered"),
            "{name}: {:?}",
            job.refusals
        );
        // The ledger has what was sent in each form.
        assert_eq!(
            attempts(&entry),
            [(None, true), (Some("jobs"), false)],
            "{name}"
        );
        assert_eq!(
            entry.attempts[1].sent.body["input"]["prompt"], request.prompt,
            "{name}"
        );
        // It is remembered, and no provider is told twice.
        let again = client.submit_once("b", &request).await;
        assert!(
            matches!(&again, Submission::Accepted(job) if job.refusals.is_empty()),
            "{name}: {again:?}"
        );
        assert_eq!(place.asked().await, [path, NEW, NEW], "{name}");
        assert!(
            client.models().any(|model| model.name == "veo/extend"),
            "{name}"
        );
    }
}

/// The successor is asked by its name only, in the form that has it, whatever is set.
#[tokio::test]
async fn a_model_that_only_the_current_form_has_is_asked_in_it() {
    let omni = "google/gemini-omni-flash-1-1";
    for form in [KieForm::Auto, KieForm::Old, KieForm::Current] {
        let place = Place::new().await;
        let retired = "The model veo3_lite is no longer available";
        let reply = json_reply(200, refusal(422, retired));
        place.answers(OLD, reply).await;
        place.takes_tasks().await;
        let client = place.client(form).await;
        if form != KieForm::Current {
            let Submission::Rejected(error) = client.submit(&kite()).await else {
                panic!("it is rejected")
            };
            let others = format!("kie can still be asked for veo3, veo3_fast or {omni}");
            assert_eq!(
                error.to_string(),
                format!("kie.ai answered with code 422: {retired}; {others}")
            );
        }
        let Submission::Accepted(job) = client.submit(&kite().model(omni).seconds(4)).await else {
            panic!("it is accepted")
        };
        assert_eq!(
            (job.reference.to_string().as_str(), job.offer.model.as_str()),
            ("kie+jobs:new1", omni)
        );
        let sent: Value = place
            .server
            .received_requests()
            .await
            .unwrap()
            .pop()
            .unwrap()
            .body_json()
            .unwrap();
        assert_eq!(
            (&sent["model"], &sent["input"]["duration"]),
            (&json!(omni), &json!("4"))
        );
    }
}

/// A form that is set stays, whatever kie.ai says.
#[tokio::test]
async fn a_form_that_is_set_is_the_only_one_for_new_videos() {
    for (form, path, wanted) in [
        (KieForm::Old, OLD, None),
        (KieForm::Current, NEW, Some("kie+jobs:new1")),
    ] {
        let place = Place::new().await;
        place
            .answers(OLD, json_reply(404, refusal(404, "Not Found")))
            .await;
        place.takes_tasks().await;
        let client = place.client(form).await;
        let line = match client.submit(&kite()).await {
            Submission::Accepted(job) => Some(job.reference.to_string()),
            Submission::Rejected(error) if error.kind() == ErrorKind::Retired => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (line.as_deref(), place.asked().await),
            (wanted, vec![path.to_owned()])
        );
    }
}

/// What the current form has no word for is not dropped for it.
#[tokio::test]
async fn a_request_that_the_current_form_cannot_have_is_not_sent_in_it() {
    let place = Place::new().await;
    place
        .answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    place.takes_tasks().await;
    let client = place.client(KieForm::Auto).await;
    let why = async |request: &VideoRequest| match client.submit(request).await {
        Submission::Rejected(error) => error,
        other => panic!("{other:?}"),
    };
    let seeded = kite().seed(23456);
    assert_eq!(why(&seeded).await.kind(), ErrorKind::Retired);
    let rows = [
        (seeded, "seed: veo3_lite takes no seed; leave it out"),
        (
            extension().tier(Tier::Fast),
            "tier: veo/extend has no tiers; leave it out",
        ),
        (
            kite().extra("kie", "enableFallback", true),
            "extra: enableFallback is spelt as in kie.ai's old form; write words in small letters with _ between them",
        ),
    ];
    for (request, reason) in rows {
        assert_eq!(why(&request).await.to_string(), format!("kie: {reason}"));
    }
    assert_eq!(place.asked().await, [OLD]);
}

/// If neither form takes it, both reasons are told.
#[tokio::test]
async fn what_both_forms_have_said_is_told() {
    let place = Place::new().await;
    place
        .answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    place
        .answers(NEW, json_reply(200, refusal(402, "Credits insufficient")))
        .await;
    let client = place.client(KieForm::Auto).await;
    let Submission::Rejected(error) = client.submit(&kite()).await else {
        panic!("it is rejected")
    };
    assert_eq!(
        error.to_string(),
        "kie.ai answered with code 402: Credits insufficient (before that, kie: kie.ai answered with code 404: Not Found)"
    );
}

/// A step of a queue goes on in the other form as a submission does, also if it has to wait for the limit in between.
#[tokio::test]
async fn a_step_sends_in_the_other_form_too() {
    let place = Place::new().await;
    place
        .answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    place.takes_tasks().await;
    let limit = Limit::new(1, Duration::from_millis(300));
    let client = place.limited(KieForm::Auto, limit).await;
    client.want("a", &kite()).await.unwrap();
    while place.asked().await.len() < 2 {
        let step = client.step("a").await.unwrap();
        assert!(matches!(step, Step::AgainAfter(_)), "{step:?}");
    }
    let entry = client.entry("a").await.unwrap().unwrap();
    assert_eq!(attempts(&entry), [(None, true), (Some("jobs"), false)]);
}

/// Jobs of both forms are asked where they are known, whatever is set for new ones.
#[tokio::test]
async fn a_job_is_asked_in_its_own_form() {
    let url = "https://tempfile.example.net/v/kite.mp4";
    let old =
        success(json!({ "taskId": "t1", "successFlag": 1, "response": { "resultUrls": [url] } }));
    let new = success(
        json!({ "taskId": "t1", "state": "success", "creditsConsumed": 60,
                              "resultJson": json!({ "resultUrls": [url] }).to_string() }),
    );
    for form in [KieForm::Auto, KieForm::Old, KieForm::Current] {
        for (line, path) in [("kie:t1", OLD_RECORD), ("kie+jobs:t1", NEW_RECORD)] {
            let place = Place::new().await;
            place
                .answers(OLD_RECORD, json_reply(200, old.clone()))
                .await;
            place
                .answers(NEW_RECORD, json_reply(200, new.clone()))
                .await;
            let job: JobRef = line.parse().unwrap();
            let video = place.client(form).await.wait(&job).await.unwrap();
            assert_eq!(
                (video.urls, place.asked().await),
                (vec![url.to_owned()], vec![path.to_owned()]),
                "{line}"
            );
        }
    }
    let place = Place::new().await;
    let job: JobRef = "kie+later:t1".parse().unwrap();
    let error = place
        .client(KieForm::Auto)
        .await
        .wait(&job)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kie+later:t1: kie.ai has no form later; a job of its current one begins with kie+jobs"
    );
}

/// An upgrade of the current form is a task of its own: it is paid for once, and asked from then on.
#[tokio::test]
async fn an_upgrade_of_the_current_form_is_never_sent_twice() {
    let url = "https://tempfile.example.net/v/large.mp4";
    let done = success(
        json!({ "taskId": "new1", "state": "success", "creditsConsumed": 5,
                               "resultJson": json!({ "resultUrl": url }).to_string() }),
    );
    let waiting = success(json!({ "taskId": "new1", "state": "waiting", "resultJson": "" }));
    for (to, input) in [
        (Resolution::P1080, json!({ "taskId": "t1" })),
        (Resolution::K4, json!({ "task_id": "t1" })),
    ] {
        let place = Place::new().await;
        place.takes_tasks().await;
        let mock = Mock::given(path(NEW_RECORD)).respond_with(json_reply(200, waiting.clone()));
        mock.up_to_n_times(2).mount(&place.server).await;
        place
            .answers(NEW_RECORD, json_reply(200, done.clone()))
            .await;
        let job: JobRef = "kie+jobs:t1".parse().unwrap();
        let video = place
            .client(KieForm::Old)
            .await
            .upgrade(&job, to)
            .await
            .unwrap();
        assert_eq!(
            (video.urls, video.credits),
            (vec![url.to_owned()], Some(5.0)),
            "{to}"
        );
        // Again, as another process would.
        place
            .client(KieForm::Auto)
            .await
            .upgrade(&job, to)
            .await
            .unwrap();
        let asked = place.asked().await;
        assert_eq!(
            asked.iter().filter(|path| *path == NEW).count(),
            1,
            "{to}: {asked:?}"
        );
        let sent: Value = place.server.received_requests().await.unwrap()[0]
            .body_json()
            .unwrap();
        assert_eq!(sent["input"], input);
    }
}

/// After a lost reply the upgrade is not sent again, whoever asks for it, until somebody has found out.
#[tokio::test]
async fn an_upgrade_whose_reply_was_lost_is_settled() {
    let place = Place::new().await;
    place
        .answers(NEW, json_reply(200, refusal(500, "Server Error")))
        .await;
    let done = success(
        json!({ "taskId": "new7", "state": "success", "model": "veo/get-4k-video",
                               "resultJson": json!({ "resultUrls": ["https://tempfile.example.net/v/large.mp4"] }).to_string() }),
    );
    place.answers(NEW_RECORD, json_reply(200, done)).await;
    let client = place.client(KieForm::Auto).await;
    let job: JobRef = "kie+jobs:t1".parse().unwrap();
    for _ in 0..3 {
        let error = client.upgrade(&job, Resolution::K4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
    let step = client.step("kie+jobs:t1:4k").await.unwrap();
    assert!(matches!(step, Step::LookAtIt(_)), "{step:?}");
    assert_eq!(place.asked().await, [NEW]);
    // The task is named without its form, as kie.ai's own log has it.
    let found = Settlement::Accepted(JobRef::new("kie", "new7"));
    client.settle("kie+jobs:t1:4k", found).await.unwrap();
    let video = client.upgrade(&job, Resolution::K4).await.unwrap();
    assert_eq!(video.job.to_string(), "kie+jobs:t1:4k");
    assert_eq!(place.asked().await, [NEW, NEW_RECORD, NEW_RECORD]);
}
