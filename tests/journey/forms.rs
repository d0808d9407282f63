//! The two forms of kie.ai's API behind one provider: which form gets a request, when the other form gets it next, and
//! which calls are never made twice.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use veo_core::ledger::{
    Begin, Begun, Entry, EntryState, Event, FileLedger, Find, Ledger, Listed, Want, Which,
};
use veo_core::{
    Access, BoxFuture, Charged, Client, Error, ErrorKind, JobRef, Kie, KieForm, Limit, Poll,
    Resolution, Settlement, Step, Submission, Tier, VideoRequest,
};
use veo_sim::Sim;
use veo_tests::{KEY, PNG};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const OLD: &str = "/api/v1/veo/generate";
const OLD_EXTENSION: &str = "/api/v1/veo/extend";
const OLD_RECORD: &str = "/api/v1/veo/record-info";
const NEW: &str = "/api/v1/jobs/createTask";
const NEW_RECORD: &str = "/api/v1/jobs/recordInfo";

/// A kie.ai whose replies the test sets, and a ledger.
struct FakeKie {
    server: MockServer,
    folder: TempDir,
}

impl FakeKie {
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

    /// Lets the current form accept every request.
    async fn accepts_tasks(&self) {
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
        let client = Client::new(kie).unwrap().with_poll(poll);
        client.with_ledger(self.ledger().await)
    }

    async fn ledger(&self) -> FileLedger {
        let path = self.folder.path().join("jobs.ledger");
        FileLedger::open(path).await.unwrap()
    }

    /// Waits until an attempt of the key is rejected, and returns the entry.
    async fn rejected_entry(&self, key: &str) -> Entry {
        let ledger = self.ledger().await;
        loop {
            let entry = ledger.entry(key).await.unwrap();
            if let Some(entry) = entry
                && entry
                    .attempts
                    .iter()
                    .any(|attempt| attempt.rejection().is_some())
            {
                return entry;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The paths of all requests, in order.
    async fn requested_paths(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| request.url.path().to_owned())
            .collect()
    }
}

/// A ledger that fails to store an outcome, or whose process ends right after an outcome was stored.
#[derive(Debug)]
enum Faulty {
    Full(FileLedger),
    UntilTheEnd(FileLedger),
}

impl Faulty {
    fn ledger(&self) -> &FileLedger {
        match self {
            Self::Full(ledger) | Self::UntilTheEnd(ledger) => ledger,
        }
    }
}

impl Ledger for Faulty {
    fn want(&self, want: Want) -> BoxFuture<'_, Result<Entry, Error>> {
        self.ledger().want(want)
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>> {
        self.ledger().begin(begin)
    }

    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        Box::pin(async move {
            match self {
                Self::Full(_) => Err(Error::new(ErrorKind::Ledger, "the disk is full")),
                Self::UntilTheEnd(ledger) => {
                    ledger.record(key, event).await.unwrap();
                    std::future::pending().await
                }
            }
        })
    }

    fn entry<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        self.ledger().entry(key)
    }

    fn find<'a>(&'a self, find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        self.ledger().find(find)
    }

    fn list(&self, which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>> {
        self.ledger().list(which)
    }

    fn spent<'a>(&'a self, budget: &'a str) -> BoxFuture<'a, Result<f64, Error>> {
        self.ledger().spent(budget)
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

/// The attempts of an entry: the form, and whether the attempt was rejected.
fn attempts(entry: &Entry) -> Vec<(Option<&str>, bool)> {
    let attempts = entry.attempts.iter();
    attempts
        .map(|attempt| {
            let is_rejected = attempt.rejection().is_some();
            (attempt.sent.form.as_deref(), is_rejected)
        })
        .collect()
}

/// The current form gets a request if kie.ai says that the old form is gone, and not if it refuses the request.
#[tokio::test]
async fn the_current_form_is_asked_only_if_the_old_one_is_gone() {
    const WORDS: &str = "Not Found - The requested resource or endpoint does not exist";
    const OFF: &str = "Feature Disabled - The requested feature is currently disabled";
    let html = |status| {
        ResponseTemplate::new(status).set_body_raw("<html>404 Not Found</html>", "text/html")
    };
    let model = "The model veo3_lite is no longer available";
    // Each row has the request, the answer of the old form, and whether the current form gets the request.
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
        let fake = FakeKie::new().await;
        let path = if request == kite() {
            OLD
        } else {
            OLD_EXTENSION
        };
        fake.answers(path, reply).await;
        fake.accepts_tasks().await;
        let client = fake.client(KieForm::Auto).await;
        let submission = client.submit_once("a", &request).await;
        let entry = client.entry("a").await.unwrap().unwrap();
        if !is_switched {
            assert_eq!(
                fake.requested_paths().await,
                [path],
                "{name}: {submission:?}"
            );
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
        // The ledger has an attempt for each form.
        assert_eq!(
            attempts(&entry),
            [(None, true), (Some("jobs"), false)],
            "{name}"
        );
        assert_eq!(
            entry.attempts[1].sent.body["input"]["prompt"], request.prompt,
            "{name}"
        );
        // The client remembers that the old form is gone, so the next job has no refusal.
        let again = client.submit_once("b", &request).await;
        assert!(
            matches!(&again, Submission::Accepted(job) if job.refusals.is_empty()),
            "{name}: {again:?}"
        );
        assert_eq!(fake.requested_paths().await, [path, NEW, NEW], "{name}");
        assert!(
            client.models().any(|model| model.name == "veo/extend"),
            "{name}"
        );
    }
}

/// The successor of Veo is used only if the request names it. Then it uses its own form, whatever form is set.
#[tokio::test]
async fn the_successor_of_veo_is_asked_in_the_current_form() {
    let omni = "google/gemini-omni-flash-1-1";
    for form in [KieForm::Auto, KieForm::Old, KieForm::Current] {
        let fake = FakeKie::new().await;
        let retired = "The model veo3_lite is no longer available";
        let reply = json_reply(200, refusal(422, retired));
        fake.answers(OLD, reply).await;
        fake.accepts_tasks().await;
        let client = fake.client(form).await;
        if form != KieForm::Current {
            let Submission::Rejected(error) = client.submit(&kite()).await else {
                panic!("the request was not rejected")
            };
            let others = format!("kie can still be asked for veo3, veo3_fast or {omni}");
            assert_eq!(
                error.to_string(),
                format!("kie.ai answered with code 422: {retired}; {others}")
            );
        }
        let Submission::Accepted(job) = client.submit(&kite().model(omni).seconds(4)).await else {
            panic!("the request was not accepted")
        };
        assert_eq!(
            (job.reference.to_string().as_str(), job.offer.model.as_str()),
            ("kie+jobs:new1", omni)
        );
        let sent: Value = fake
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

/// A form that is set stays the only one, even if kie.ai says that it is gone.
#[tokio::test]
async fn a_form_that_is_set_is_the_only_one_for_new_videos() {
    for (form, path, wanted) in [
        (KieForm::Old, OLD, None),
        (KieForm::Current, NEW, Some("kie+jobs:new1")),
    ] {
        let fake = FakeKie::new().await;
        fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
            .await;
        fake.accepts_tasks().await;
        let client = fake.client(form).await;
        let line = match client.submit(&kite()).await {
            Submission::Accepted(job) => Some(job.reference.to_string()),
            Submission::Rejected(error) if error.kind() == ErrorKind::Retired => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (line.as_deref(), fake.requested_paths().await),
            (wanted, vec![path.to_owned()])
        );
    }
}

/// A field that the current form does not have must not be dropped silently.
#[tokio::test]
async fn a_request_is_not_sent_in_a_form_that_lacks_its_fields() {
    let fake = FakeKie::new().await;
    fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    fake.accepts_tasks().await;
    let client = fake.client(KieForm::Auto).await;
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
    assert_eq!(fake.requested_paths().await, [OLD]);
}

#[tokio::test]
async fn a_rejection_has_the_reasons_of_both_forms() {
    let fake = FakeKie::new().await;
    fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    fake.answers(NEW, json_reply(200, refusal(402, "Credits insufficient")))
        .await;
    let client = fake.client(KieForm::Auto).await;
    let Submission::Rejected(error) = client.submit(&kite()).await else {
        panic!("the request was not rejected")
    };
    assert_eq!(
        error.to_string(),
        "kie.ai answered with code 402: Credits insufficient (before that, kie: kie.ai answered with code 404: Not Found)"
    );
}

/// A step sends in the other form too, even if it has to wait for the limit between the two forms.
#[tokio::test]
async fn a_step_sends_in_the_other_form_too() {
    let fake = FakeKie::new().await;
    fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    fake.accepts_tasks().await;
    let limit = Limit::new(1, Duration::from_millis(300));
    let client = fake.limited(KieForm::Auto, limit).await;
    client.want("a", &kite()).await.unwrap();
    while fake.requested_paths().await.len() < 2 {
        let step = client.step("a").await.unwrap();
        assert!(matches!(step, Step::AgainAfter(_)), "{step:?}");
    }
    let entry = client.entry("a").await.unwrap().unwrap();
    assert_eq!(attempts(&entry), [(None, true), (Some("jobs"), false)]);
}

/// The ledger has everything that the next process needs.
#[tokio::test]
async fn a_process_that_ends_between_two_forms_loses_nothing() {
    let done = success(json!({ "taskId": "new1", "state": "success",
                               "resultJson": json!({ "resultUrls": ["https://tempfile.example.net/v/kite.mp4"] }).to_string() }));
    for is_queued in [true, false] {
        let fake = FakeKie::new().await;
        fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
            .await;
        fake.accepts_tasks().await;
        fake.answers(NEW_RECORD, json_reply(200, done.clone()))
            .await;
        let client = fake.client(KieForm::Auto).await;
        let ending = client
            .clone()
            .with_ledger(Faulty::UntilTheEnd(fake.ledger().await));
        let entry = if is_queued {
            client.want("a", &kite()).await.unwrap();
            tokio::select! {
                step = ending.step("a") => panic!("{step:?}"),
                entry = fake.rejected_entry("a") => entry,
            }
        } else {
            let request = kite();
            tokio::select! {
                submission = ending.submit_once("a", &request) => panic!("{submission:?}"),
                entry = fake.rejected_entry("a") => entry,
            }
        };
        assert_eq!(attempts(&entry), [(None, true)]);

        // The next process does not know that the old form is gone.
        let client = fake.client(KieForm::Auto).await;
        if is_queued {
            assert_eq!(entry.state, EntryState::Wanted);
            let (sender, mut handed) = tokio::sync::mpsc::unbounded_channel();
            let hand_on = |_, step| {
                let _ = sender.send(step);
                std::future::ready(())
            };
            client.run(hand_on).await.unwrap();
            let step = handed.try_recv();
            assert!(matches!(step, Ok(Step::Video(_))), "{step:?}");
        } else {
            // The caller has asked for one call only, so no step makes a second call.
            assert_eq!(entry.state, EntryState::Rejected);
            let step = client.step("a").await.unwrap();
            assert!(matches!(step, Step::Failed(_)), "{step:?}");
            let submission = client.submit_once("a", &kite()).await;
            assert!(
                matches!(submission, Submission::Accepted(_)),
                "{submission:?}"
            );
        }
        let entry = client.entry("a").await.unwrap().unwrap();
        let wanted = [(None, true), (None, true), (Some("jobs"), false)];
        assert_eq!(attempts(&entry), wanted);
        assert_eq!(fake.requested_paths().await[..3], [OLD, OLD, NEW]);
    }
}

#[tokio::test]
async fn an_image_of_this_machine_is_uploaded_once_for_both_forms() {
    let sim = Sim::start().await.unwrap();
    let access = Access::new("retired-old-form").base_url(sim.url());
    let client = Client::new(Kie::new(access).unwrap()).unwrap();
    let request = VideoRequest::image("It flies", PNG.to_vec()).callback_url(sim.media_url());
    let submission = client.submit(&request).await;
    assert!(
        matches!(submission, Submission::Accepted(_)),
        "{submission:?}"
    );
    let calls = sim.calls();
    let operations: Vec<_> = calls.iter().filter_map(|call| call.operation).collect();
    assert_eq!(operations, ["upload_stream", "generate", "create_task"]);
    let [old, new] = [1, 2].map(|call: usize| calls[call].body.as_ref().unwrap());
    assert_eq!(old["imageUrls"], new["input"]["image_urls"]);
    assert_eq!(old["callBackUrl"], new["callBackUrl"]);
}

/// kie.ai counts the requests of an account in both forms together, and so does the ledger for all processes.
#[tokio::test]
async fn both_forms_share_the_limit_of_the_account() {
    let fake = FakeKie::new().await;
    fake.answers(OLD, json_reply(200, success(json!({ "taskId": "old1" }))))
        .await;
    fake.accepts_tasks().await;
    let limit = Limit::new(4, Duration::from_secs(600));
    let old = fake.limited(KieForm::Old, limit).await;
    let current = fake.limited(KieForm::Current, limit).await;
    for (number, client) in [&old, &current, &old].into_iter().enumerate() {
        let submission = client.submit_once(&number.to_string(), &kite()).await;
        assert!(
            matches!(submission, Submission::Accepted(_)),
            "{submission:?}"
        );
    }
    // In the current form an upgrade is a task, and counts like any other.
    let job: JobRef = "kie+jobs:t1".parse().unwrap();
    let upgrade = old.want_upgrade(&job, Resolution::K4, None).await.unwrap();
    old.step(&upgrade.key).await.unwrap();
    let four = [OLD, NEW, OLD, NEW];
    assert_eq!(fake.requested_paths().await, four);
    let larger = old
        .want_upgrade(&job, Resolution::P1080, None)
        .await
        .unwrap();
    old.want("a", &kite()).await.unwrap();
    for (client, key) in [(&old, "a"), (&current, "a"), (&current, &*larger.key)] {
        let step = client.step(key).await.unwrap();
        assert!(matches!(step, Step::AgainAfter(_)), "{key}: {step:?}");
        assert_eq!(fake.requested_paths().await, four, "{key}");
    }
}

/// A named account has both forms too.
#[tokio::test]
async fn a_job_of_a_named_account_names_its_form() {
    let url = "https://tempfile.example.net/v/kite.mp4";
    let done = success(json!({ "taskId": "new1", "state": "success",
                               "resultJson": json!({ "resultUrls": [url] }).to_string() }));
    let fake = FakeKie::new().await;
    fake.answers(OLD, json_reply(404, refusal(404, "Not Found")))
        .await;
    fake.accepts_tasks().await;
    fake.answers(NEW_RECORD, json_reply(200, done)).await;
    let kie = Kie::new(Access::new(KEY).base_url(fake.server.uri())).unwrap();
    let client = Client::new(kie.named("studio")).unwrap();
    let poll = Poll::default().first(Duration::ZERO).every(Duration::ZERO);
    let client = client.with_poll(poll).with_ledger(fake.ledger().await);
    let Submission::Accepted(job) = client.submit_once("a", &kite()).await else {
        panic!("the request was not accepted")
    };
    let line = job.reference.to_string();
    assert_eq!(line, "kie@studio+jobs:new1");
    let again: JobRef = line.parse().unwrap();
    assert_eq!(client.wait(&again).await.unwrap().urls, [url]);
    let other: JobRef = "kie@studio+jobs:t1".parse().unwrap();
    let larger = client.upgrade(&other, Resolution::P1080).await.unwrap();
    assert_eq!(larger.job.to_string(), "kie@studio+jobs:t1:1080p");
}

/// One line rejects the entry and makes it wanted again. So a crash after this line loses no attempt.
#[tokio::test]
async fn a_passing_rejection_makes_the_entry_wanted_at_once() {
    let rows = [
        (refusal(429, "Too many requests"), EntryState::Wanted),
        (refusal(455, "Maintenance"), EntryState::Wanted),
        (refusal(402, "Credits insufficient"), EntryState::Rejected),
        (refusal(422, "The prompt is too long"), EntryState::Rejected),
    ];
    for (reply, state) in rows {
        let fake = FakeKie::new().await;
        fake.answers(NEW, json_reply(200, reply.clone())).await;
        let client = fake.client(KieForm::Current).await;
        client.want("a", &kite()).await.unwrap();
        let ending = client.with_ledger(Faulty::UntilTheEnd(fake.ledger().await));
        let entry = tokio::select! {
            step = ending.step("a") => panic!("{step:?}"),
            entry = fake.rejected_entry("a") => entry,
        };
        assert_eq!(entry.state, state, "{reply}");
    }
}

/// A refused upgrade stays wanted, and a later step of any process makes it.
#[tokio::test]
async fn a_passing_refusal_leaves_an_upgrade_wanted() {
    let url = "https://tempfile.example.net/v/large.mp4";
    let finished = success(json!({ "taskId": "new1", "state": "success",
                               "resultJson": json!({ "resultUrl": url }).to_string() }));
    let larger = success(json!({ "resultUrl": url }));
    let task = success(json!({ "taskId": "new1" }));
    for (job, path, reply) in [
        ("kie:t1", "/api/v1/veo/get-1080p-video", larger),
        ("kie+jobs:t1", NEW, task),
    ] {
        let fake = FakeKie::new().await;
        let busy = json_reply(200, refusal(429, "Too many requests"));
        let mock = Mock::given(wiremock::matchers::path(path)).respond_with(busy);
        mock.up_to_n_times(2).mount(&fake.server).await;
        fake.answers(path, json_reply(200, reply)).await;
        fake.answers(NEW_RECORD, json_reply(200, finished.clone()))
            .await;
        let job: JobRef = job.parse().unwrap();
        let client = fake.client(KieForm::Auto).await;
        let want = client.want_upgrade(&job, Resolution::P1080, None);
        let key = want.await.unwrap().key;
        let step = client.step(&key).await.unwrap();
        assert!(matches!(step, Step::AgainAfter(_)), "{job}: {step:?}");
        let entry = client.entry(&key).await.unwrap().unwrap();
        assert_eq!(entry.state, EntryState::Wanted, "{job}");
        drop(client);

        let client = fake.client(KieForm::Auto).await;
        let (sender, mut handed) = tokio::sync::mpsc::unbounded_channel();
        let hand_on = |_, step| {
            let _ = sender.send(step);
            std::future::ready(())
        };
        client.run(hand_on).await.unwrap();
        let step = handed.try_recv();
        assert!(matches!(step, Ok(Step::Video(_))), "{job}: {step:?}");
        let asked = fake.requested_paths().await;
        let calls = asked.iter().filter(|asked| *asked == path).count();
        assert_eq!(calls, 3, "{job}: {asked:?}");
    }
}

/// A job is asked about in its own form, whatever form is set for new jobs.
#[tokio::test]
async fn a_job_is_asked_about_in_its_own_form() {
    let url = "https://tempfile.example.net/v/kite.mp4";
    let old =
        success(json!({ "taskId": "t1", "successFlag": 1, "response": { "resultUrls": [url] } }));
    let new = success(
        json!({ "taskId": "t1", "state": "success", "creditsConsumed": 60,
                              "resultJson": json!({ "resultUrls": [url] }).to_string() }),
    );
    for form in [KieForm::Auto, KieForm::Old, KieForm::Current] {
        for (line, path) in [("kie:t1", OLD_RECORD), ("kie+jobs:t1", NEW_RECORD)] {
            let fake = FakeKie::new().await;
            fake.answers(OLD_RECORD, json_reply(200, old.clone())).await;
            fake.answers(NEW_RECORD, json_reply(200, new.clone())).await;
            let job: JobRef = line.parse().unwrap();
            let video = fake.client(form).await.wait(&job).await.unwrap();
            assert_eq!(
                (video.urls, fake.requested_paths().await),
                (vec![url.to_owned()], vec![path.to_owned()]),
                "{line}"
            );
        }
    }
    let fake = FakeKie::new().await;
    let job: JobRef = "kie+later:t1".parse().unwrap();
    let error = fake
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

/// In the current form, an upgrade is a new task. It is paid for once, and later calls only ask about it.
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
        let fake = FakeKie::new().await;
        fake.accepts_tasks().await;
        let mock = Mock::given(path(NEW_RECORD)).respond_with(json_reply(200, waiting.clone()));
        mock.up_to_n_times(2).mount(&fake.server).await;
        fake.answers(NEW_RECORD, json_reply(200, done.clone()))
            .await;
        let job: JobRef = "kie+jobs:t1".parse().unwrap();
        let video = fake
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
        // Another process wants the same upgrade here.
        fake.client(KieForm::Auto)
            .await
            .upgrade(&job, to)
            .await
            .unwrap();
        let asked = fake.requested_paths().await;
        assert_eq!(
            asked.iter().filter(|path| *path == NEW).count(),
            1,
            "{to}: {asked:?}"
        );
        let sent: Value = fake.server.received_requests().await.unwrap()[0]
            .body_json()
            .unwrap();
        assert_eq!(sent["input"], input);
    }
}

/// After a lost reply no process sends the upgrade again, until a person has settled it.
#[tokio::test]
async fn an_upgrade_with_a_lost_reply_is_not_sent_again() {
    let fake = FakeKie::new().await;
    fake.answers(NEW, json_reply(200, refusal(500, "Server Error")))
        .await;
    let done = success(
        json!({ "taskId": "new7", "state": "success", "model": "veo/get-4k-video",
                               "resultJson": json!({ "resultUrls": ["https://tempfile.example.net/v/large.mp4"] }).to_string() }),
    );
    fake.answers(NEW_RECORD, json_reply(200, done)).await;
    let client = fake.client(KieForm::Auto).await;
    let job: JobRef = "kie+jobs:t1".parse().unwrap();
    for _ in 0..3 {
        let error = client.upgrade(&job, Resolution::K4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
    let step = client.step("kie+jobs:t1:4k").await.unwrap();
    assert!(matches!(step, Step::LookAtIt(_)), "{step:?}");
    assert_eq!(fake.requested_paths().await, [NEW]);
    // The task is named without its form, as kie.ai's own log names it.
    let found = Settlement::Accepted(JobRef::new("kie", "new7"));
    client.settle("kie+jobs:t1:4k", found).await.unwrap();
    let video = client.upgrade(&job, Resolution::K4).await.unwrap();
    assert_eq!(video.job.to_string(), "kie+jobs:t1:4k");
    assert_eq!(fake.requested_paths().await, [NEW, NEW_RECORD, NEW_RECORD]);
}

/// A settlement names the wrong task if the record of the task has another request, or if another entry has the task.
#[tokio::test]
async fn a_task_of_another_request_does_not_settle_an_upgrade() {
    let param = |model: &str, input: Value| json!({ "model": model, "input": input.to_string() });
    let own = param("veo/get-4k-video", json!({ "task_id": "t1" }));
    let smaller = param("veo/get-1080p-video", json!({ "taskId": "t1" }));
    let other = param("veo/get-4k-video", json!({ "task_id": "t2" }));
    let extension = param("veo/extend", json!({ "task_id": "t1" }));
    let video = param("veo-3-1", json!({ "prompt": "A red kite" }));
    let no_upgrade = |task| format!("kie+jobs:{task} is not an upgrade, but kie+jobs:t1:4k is");
    let size = "kie+jobs:new7 makes a video 1080p, and kie+jobs:t1:4k was to make it 4k".to_owned();
    let source = "kie+jobs:new7 makes t2 larger, and kie+jobs:t1:4k was to make t1 larger";
    let in_use = "kie+jobs:new1 is the job of kie+jobs:t3:1080p".to_owned();
    // The model of the record, the request in the record, the named task, and why the task cannot be the upgrade.
    let rows = [
        (None, Some(own.clone()), "new7", None),
        (Some("veo/get-4k-video"), None, "new7", None),
        (None, None, "new7", None),
        (None, Some(smaller), "new7", Some(size.clone())),
        (Some("veo/get-1080p-video"), None, "new7", Some(size)),
        (None, Some(other), "new7", Some(source.to_owned())),
        (None, Some(extension), "new7", Some(no_upgrade("new7"))),
        (None, Some(video), "new7", Some(no_upgrade("new7"))),
        (None, None, "t1", Some(no_upgrade("t1"))),
        (None, Some(own), "new1", Some(in_use)),
    ];
    for (model, param, task, why) in rows {
        let fake = FakeKie::new().await;
        let record = json!({ "taskId": task, "state": "waiting", "model": model,
                             "param": param.as_ref().map(Value::to_string) });
        let reply = json_reply(200, success(record));
        fake.answers(NEW_RECORD, reply).await;
        let client = fake.client(KieForm::Auto).await;
        // Another upgrade gets its own task first. Then the reply to this upgrade is lost.
        let accepted = json_reply(200, success(json!({ "taskId": "new1" })));
        let mock = Mock::given(path(NEW)).respond_with(accepted);
        mock.up_to_n_times(1).mount(&fake.server).await;
        let lost = json_reply(200, refusal(500, "Server Error"));
        fake.answers(NEW, lost).await;
        for (job, to) in [
            ("kie+jobs:t3", Resolution::P1080),
            ("kie+jobs:t1", Resolution::K4),
        ] {
            let job: JobRef = job.parse().unwrap();
            let entry = client.want_upgrade(&job, to, None).await.unwrap();
            client.step(&entry.key).await.unwrap();
        }
        let found = Settlement::Accepted(JobRef::new("kie", task));
        let settled = client.settle("kie+jobs:t1:4k", found).await;
        let error = settled.as_ref().err().map(Error::to_string);
        assert_eq!(error, why, "{model:?} {param:?}");
        if let Ok(entry) = settled {
            assert_eq!(entry.own_task(), Some(task));
        }
    }
}

/// The task of an upgrade cannot be the video of a request, even if its record has no request.
#[tokio::test]
async fn an_upgrade_does_not_settle_a_request() {
    let fake = FakeKie::new().await;
    let lost = json_reply(200, refusal(500, "Server Error"));
    fake.answers(NEW, lost).await;
    let record = json!({ "taskId": "new7", "state": "waiting", "model": "veo/get-4k-video" });
    let reply = json_reply(200, success(record));
    fake.answers(NEW_RECORD, reply).await;
    let client = fake.client(KieForm::Current).await;
    let sent = client.submit_once("a", &kite()).await;
    assert!(matches!(sent, Submission::Unknown(_)), "{sent:?}");
    let found = Settlement::Accepted(JobRef::new("kie", "new7"));
    let error = client.settle("a", found).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "kie+jobs:new7 is an upgrade, but a is not"
    );
}

/// The video is paid for, so its job is not lost because of the ledger.
#[tokio::test]
async fn a_job_that_is_not_stored_is_returned_with_the_reason() {
    let fake = FakeKie::new().await;
    fake.accepts_tasks().await;
    let client = fake.client(KieForm::Current).await;
    let client = client.with_ledger(Faulty::Full(fake.ledger().await));
    let Submission::Accepted(job) = client.submit(&kite()).await else {
        panic!("the request was not accepted")
    };
    let unrecorded = job.unrecorded.unwrap();
    assert_eq!(
        (unrecorded.kind(), unrecorded.to_string().as_str()),
        (ErrorKind::Ledger, "the disk is full")
    );
}

/// The error names the task of the upgrade, so that it is not lost.
#[tokio::test]
async fn an_upgrade_that_is_not_stored_is_named_in_the_error() {
    let fake = FakeKie::new().await;
    fake.accepts_tasks().await;
    let client = fake.client(KieForm::Auto).await;
    let client = client.with_ledger(Faulty::Full(fake.ledger().await));
    let job: JobRef = "kie+jobs:t1".parse().unwrap();
    let error = client.upgrade(&job, Resolution::K4).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.charged(), error.to_string().as_str()),
        (
            ErrorKind::Ledger,
            Charged::Yes,
            "kie+jobs:t1: kie+jobs:t1:4k is paid for, but the ledger could not store it: the disk is full. Keep the name of its task: kie+jobs:new1"
        )
    );
    assert_eq!(fake.requested_paths().await, [NEW]);
}

/// The current form can have another price, so the job has a warning, even if its request was planned before.
#[tokio::test]
async fn a_job_of_the_current_form_has_its_warnings() {
    let fake = FakeKie::new().await;
    let gone = json_reply(404, refusal(404, "Not Found"));
    fake.answers(OLD_EXTENSION, gone).await;
    fake.accepts_tasks().await;
    let client = fake.client(KieForm::Auto).await;
    let first = client.prepare(&extension()).await.unwrap();
    let second = client.prepare(&extension()).await.unwrap();
    for prepared in [first, second] {
        assert!(!warns_of_tier(&prepared.offers()[0].warnings));
        let Submission::Accepted(job) = client.send(prepared).await else {
            panic!("the request was not accepted")
        };
        assert!(
            warns_of_tier(&job.offer.warnings),
            "{:?}",
            job.offer.warnings
        );
    }
}

fn warns_of_tier(warnings: &[String]) -> bool {
    let start = "tier: kie.ai's current form has no word for the tier of an extension";
    warnings.iter().any(|warning| warning.starts_with(start))
}

#[tokio::test]
async fn a_rejection_says_why_the_current_form_was_not_asked() {
    let rows = [
        (
            KieForm::Auto,
            kite().seed(23456),
            "seed: kie.ai's current form takes a seed for an extension only; leave it out",
        ),
        (
            KieForm::Auto,
            extension().tier(Tier::Fast),
            "tier: kie.ai's current form has no word for the tier of an extension; leave it out",
        ),
        (
            KieForm::Old,
            kite(),
            "form: kie.ai's old form is gone, but the setting allows no other; set KIE_FORM=auto, or KieForm::Auto",
        ),
    ];
    for (form, request, reason) in rows {
        let fake = FakeKie::new().await;
        let gone = json_reply(404, refusal(404, "Not Found"));
        fake.answers(OLD, gone.clone()).await;
        fake.answers(OLD_EXTENSION, gone).await;
        let client = fake.client(form).await;
        let Submission::Rejected(error) = client.submit(&request).await else {
            panic!("the request was not rejected")
        };
        assert_eq!(
            error.to_string(),
            format!("kie.ai answered with code 404: Not Found; kie: {reason}")
        );
        assert_eq!(fake.requested_paths().await.len(), 1);
    }
}

/// If a model is gone, the error names only models that can make the same video.
#[tokio::test]
async fn only_models_that_can_make_the_video_are_named() {
    let gone = "The model veo3_fast is no longer available";
    let rows = [
        (kite(), "veo3, veo3_lite or google/gemini-omni-flash-1-1"),
        (kite().watermark("kite"), "veo3 or veo3_lite"),
        (
            kite().seconds(4),
            "veo3, veo3_lite or google/gemini-omni-flash-1-1",
        ),
    ];
    for (request, others) in rows {
        let fake = FakeKie::new().await;
        fake.answers(OLD, json_reply(200, refusal(422, gone))).await;
        let client = fake.client(KieForm::Auto).await;
        let Submission::Rejected(error) = client.submit(&request.tier(Tier::Fast)).await else {
            panic!("the request was not rejected")
        };
        assert_eq!(
            error.to_string(),
            format!("kie.ai answered with code 422: {gone}; kie can still be asked for {others}")
        );
    }
}
