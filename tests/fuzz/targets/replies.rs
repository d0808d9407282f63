//! Replies of the providers to each operation. An input is a reply in the form of `tests/fixtures`: a status line,
//! headers, an empty line, and the body.

use std::convert::Infallible;
use std::fmt::Debug;
use std::io;

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::Body;
use serde_json::Value;
use veo_core::{
    Access, Charged, Client, Error, ErrorKind, Job, JobRef, Kie, KieForm, Offer, Provider,
    Resolution, State, Submission, UniAll, Unknown, Upgrade, VideoRequest,
};

/// An API key like real ones. It replaces the word `{key}` in an input.
const KEY: &str = "sk-Zq7w2d3cRm5tKx8L";
const KEY_WORD: &str = "{key}";
/// The task whose video is extended or made larger.
const SOURCE: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

thread_local! {
    static ALL: Providers = Providers::new();
}

struct Providers {
    kie: Kie,
    current: Kie,
    uniall: UniAll,
    generation: Offer,
    extension: Offer,
    task: Offer,
    create_video: Offer,
}

impl Providers {
    fn new() -> Self {
        // Nothing is sent to this address, since each reply is given beforehand.
        let access = Access::new(KEY).base_url("http://127.0.0.1:9");
        let kie = Kie::new(access.clone()).unwrap().form(KieForm::Old);
        let current = Kie::new(access.clone()).unwrap().form(KieForm::Current);
        let uniall = UniAll::new(access).unwrap();
        let video = VideoRequest::text("A red kite");
        let longer = VideoRequest::extension("It goes on", JobRef::new("kie", SOURCE));
        Self {
            generation: offer(&kie, &video),
            extension: offer(&kie, &longer),
            task: offer(&current, &video),
            create_video: offer(&uniall, &video),
            kie,
            current,
            uniall,
        }
    }
}

fn offer(provider: &(impl Provider + Clone + 'static), request: &VideoRequest) -> Offer {
    let client = Client::new(provider.clone()).unwrap();
    client.plan(request).offers.remove(0)
}

pub(super) fn kie_generate(input: &[u8]) {
    ALL.with(|all| submission(input, &all.kie, &all.generation));
}

pub(super) fn kie_extend(input: &[u8]) {
    ALL.with(|all| submission(input, &all.kie, &all.extension));
}

pub(super) fn kie_create_task(input: &[u8]) {
    ALL.with(|all| submission(input, &all.current, &all.task));
}

pub(super) fn uniall_create_video(input: &[u8]) {
    ALL.with(|all| submission(input, &all.uniall, &all.create_video));
}

pub(super) fn kie_record_info(input: &[u8]) {
    ALL.with(|all| state(input, &all.kie, &JobRef::new("kie", SOURCE)));
}

pub(super) fn kie_get_task(input: &[u8]) {
    let job = format!("kie+jobs:{SOURCE}").parse().unwrap();
    ALL.with(|all| state(input, &all.current, &job));
}

pub(super) fn uniall_query_video(input: &[u8]) {
    ALL.with(|all| state(input, &all.uniall, &JobRef::new("uniall", SOURCE)));
}

/// The calls that make a video larger, in both forms.
pub(super) fn kie_upgrade(input: &[u8]) {
    let reply = Reply::of(input);
    for form in ["kie", "kie+jobs"] {
        for size in [Resolution::P1080, Resolution::K4] {
            let job: JobRef = format!("{form}:{SOURCE}").parse().unwrap();
            let upgrade = ALL.with(|all| {
                reply.arrives(Arrival::Whole);
                at_once(all.kie.upgrade(&job, size))
            });
            hides_key(&upgrade);
            let (Upgrade::Rejected(error) | Upgrade::Unavailable(error) | Upgrade::Unknown(error)) =
                upgrade
            else {
                continue;
            };
            assert_ne!(error.kind(), ErrorKind::Policy, "{error:?}");
            is_same_after_json(&error);
        }
    }
}

/// Tries the calls that cost nothing and are about no job.
pub(super) fn kie_free(input: &[u8]) {
    let reply = Reply::of(input);
    let job = JobRef::new("kie", SOURCE);
    ALL.with(|all| {
        reply.arrives(Arrival::Whole);
        hides_key(&at_once(Provider::credits(&all.kie)));
        reply.arrives(Arrival::Whole);
        let image = Bytes::from_static(b"an image");
        hides_key(&at_once(Provider::upload(&all.kie, image, "a.png".into())));
        reply.arrives(Arrival::Whole);
        let link = Provider::fresh_link(&all.kie, &job, "https://a.example.net/v.mp4");
        hides_key(&at_once(link));
    });
}

/// Checks the meaning of a reply to a paid request.
fn submission(input: &[u8], provider: &dyn Provider, offer: &Offer) {
    let reply = Reply::of(input);
    let made_of = |arrival| {
        reply.arrives(arrival);
        let submission = at_once(provider.submit(offer));
        hides_key(&submission);
        is_kept(&submission);
        submission
    };
    let whole = made_of(Arrival::Whole);
    let in_parts = made_of(Arrival::InParts);
    assert_eq!(outcome(&in_parts), outcome(&whole));
    let is_rejected = matches!(whole, Submission::Rejected(_));
    assert!(!(is_rejected && reply.names_task()), "{whole:?}");
    assert!(!(is_rejected && reply.says_success()), "{whole:?}");
    let cut = made_of(Arrival::Cut);
    assert!(!matches!(cut, Submission::Rejected(_)), "{cut:?}");
}

/// Describes an outcome, so that equal texts mean the same for the money.
fn outcome(submission: &Submission) -> String {
    match submission {
        Submission::Accepted(job) => job.reference.to_string(),
        Submission::Rejected(error) => format!("rejected {error:?}"),
        Submission::Unknown(unknown) => format!("unknown {:?}", unknown.error),
    }
}

/// Checks that an outcome comes out of a ledger as it was stored, and that its error states the charge correctly.
fn is_kept(submission: &Submission) {
    match submission {
        Submission::Accepted(job) => {
            let line = job.reference.to_string();
            assert_eq!(line.parse().as_ref(), Ok(&job.reference), "{line}");
            let json = serde_json::to_string(job).unwrap();
            assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), *job);
        }
        Submission::Rejected(error) => {
            assert_eq!(error.charged(), Charged::No, "{error:?}");
            assert_ne!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
            is_same_after_json(error);
        }
        Submission::Unknown(unknown) => {
            assert_eq!(unknown.error.charged(), Charged::Unknown, "{unknown:?}");
            let json = serde_json::to_string(unknown).unwrap();
            assert_eq!(serde_json::from_str::<Unknown>(&json).unwrap(), *unknown);
        }
    }
}

fn is_same_after_json(error: &Error) {
    let json = serde_json::to_string(error).unwrap();
    assert_eq!(serde_json::from_str::<Error>(&json).unwrap(), *error);
}

/// Checks the reading of a reply about a job.
fn state(input: &[u8], provider: &dyn Provider, job: &JobRef) {
    let reply = Reply::of(input);
    let made_of = |arrival| {
        reply.arrives(arrival);
        let described = at_once(provider.describe(job));
        hides_key(&described);
        described
    };
    let whole = made_of(Arrival::Whole);
    assert_eq!(made_of(Arrival::InParts), whole);
    assert!(
        made_of(Arrival::Cut).is_err(),
        "a reply that is cut off was accepted"
    );
    let state = match whole {
        Ok(described) => described.state,
        Err(error) => {
            assert_eq!(error.job(), Some(job), "{error:?}");
            return is_same_after_json(&error);
        }
    };
    match &state {
        State::Finished(video) => assert!(!video.urls.is_empty()),
        State::Failed(error) => {
            assert_eq!(error.job(), Some(job), "{error:?}");
            assert!(reply.json().is_some(), "{error:?}");
        }
        _ => {}
    }
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
}

/// Returns the result of a call whose reply is given already.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().unwrap()
}

fn hides_key(value: &impl Debug) {
    let text = format!("{value:?}");
    assert!(!text.contains(KEY), "{text}");
}

/// A reply in the form of a fixture.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// The way in which a body arrives.
#[derive(Clone, Copy)]
enum Arrival {
    Whole,
    InParts,
    /// The whole body arrives, and then the connection breaks.
    Cut,
}

impl Reply {
    fn of(input: &[u8]) -> Self {
        let end = input.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&input[..end], &input[end + 2..]),
            None => (&b""[..], input),
        };
        let head = super::text(head);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(": "));
        // The pause until a date differs from call to call, so a header with a date is left out.
        let headers = headers.filter(|(name, value)| *name != "retry-after" || is_number(value));
        let body = match std::str::from_utf8(body) {
            Ok(text) => text.replace(KEY_WORD, KEY).into(),
            Err(_) => Bytes::copy_from_slice(body),
        };
        Self {
            status: status.and_then(|status| status.parse().ok()).unwrap_or(200),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body,
        }
    }

    /// Gives this reply to the next call.
    fn arrives(&self, arrival: Arrival) {
        let body = &self.body;
        let whole = || Frame::data(body.clone());
        let body = match arrival {
            Arrival::Whole => Body::from(body.clone()),
            Arrival::InParts => {
                let (start, end) = (body.slice(..body.len() / 2), body.slice(body.len() / 2..));
                let parts = [start, end].map(|part| Ok::<_, Infallible>(Frame::data(part)));
                Body::wrap(StreamBody::new(stream::iter(parts)))
            }
            Arrival::Cut => {
                let parts = [Ok(whole()), Err(io::Error::other("the connection broke"))];
                Body::wrap(StreamBody::new(stream::iter(parts)))
            }
        };
        let mut reply = http::Response::new(body);
        *reply.status_mut() = StatusCode::from_u16(self.status.clamp(200, 599)).unwrap();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                reply.headers_mut().insert(name, value);
            }
        }
        veo_transport::replay(reply.into());
    }

    /// The body as JSON, if it is JSON by the usual rules.
    fn json(&self) -> Option<Value> {
        let body = self.body.strip_prefix("\u{feff}".as_bytes());
        serde_json::from_slice(body.unwrap_or(&self.body)).ok()
    }

    /// Returns whether the reply has the id of a task in one of the places that the providers' pages document.
    fn names_task(&self) -> bool {
        let Some(json) = self.json() else {
            return false;
        };
        let places = [
            &json["data"]["taskId"],
            &json["data"]["task_id"],
            &json["task_id"],
        ];
        let mut tasks = places.into_iter().filter_map(Value::as_str);
        tasks.any(|task| veo_transport::looks_like_task_id(task) && task != SOURCE)
    }

    /// Returns whether the reply is a success by its status and its code.
    fn says_success(&self) -> bool {
        let code = self.json().and_then(|json| json["code"].as_i64());
        (200..300).contains(&self.status) && code == Some(200)
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
