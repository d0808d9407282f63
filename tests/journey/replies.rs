//! Replies in unusual shapes. `tests/fixtures/replies.jsonl` has the right value of each reply. In this file,
//! `{origin}` is the address of the server, `{host}` is the address without `http://`, and `{key}` is the API key.
//! Other words in braces name an encoding of the API key. Replies that are too long for a file are in `tests/memory`.

use serde::Deserialize;
use veo_core::{
    Access, Error, Fault, JobRef, Kie, Provider, Resolution, State, Submission, UniAll, Upgrade,
    VideoRequest,
};
use veo_tests::{recorder, serve_typed};

const REPLIES: &str = include_str!("../fixtures/replies.jsonl");
/// An API key like real ones, with characters that encodings change.
const KEY: &str = "sk-Zq7w/2d3c+Rm5t/Kx8Lp2Vn9Yb4Hs6D";

#[derive(Deserialize)]
struct Row {
    name: String,
    provider: String,
    operation: String,
    http: u16,
    #[serde(default = "json")]
    content_type: String,
    body: String,
    right: String,
}

fn json() -> String {
    "application/json".to_owned()
}

/// Returns a text of a row with the API key in it.
fn with_key(text: &str) -> String {
    let each: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let encoded = KEY.replace('/', "%2F").replace('+', "%2B");
    text.replace("{key}", KEY)
        .replace(r"{key with / as \/}", &KEY.replace('/', r"\/"))
        .replace(r"{each byte of the key as \u00xx}", &each)
        .replace("{key with %2F for / and %2B for +}", &encoded)
}

#[tokio::test]
async fn a_reply_in_an_unusual_shape_has_the_right_value() {
    let server = recorder().await;
    let origin = server.uri();
    let host = origin.strip_prefix("http://").unwrap();
    let access = Access::new(KEY).base_url(&origin);
    let kie = Kie::new(access.clone()).unwrap();
    let uniall = UniAll::new(access).unwrap();
    let mut wrong = Vec::new();
    for line in REPLIES.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let at = |text: &str| {
            let text = text.replace("{origin}", &origin).replace("{host}", host);
            with_key(&text)
        };
        let body = at(&row.body).into();
        serve_typed(&server, row.http, &at(&row.content_type), body).await;
        let provider: &dyn Provider = if row.provider == "kie" { &kie } else { &uniall };
        let value = value(provider, &row).await;
        if value != at(&row.right) {
            wrong.push(format!("{}: {value}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the value of the reply to a row's operation.
async fn value(provider: &dyn Provider, row: &Row) -> String {
    let task = if row.provider == "kie" {
        "t1"
    } else {
        "task_x"
    };
    let job = JobRef::new(&row.provider, task);
    match row.operation.as_str() {
        "generate" | "create_video" => submission(provider).await,
        "record_info" | "query_video" => state(provider.state(&job).await),
        "get_task" => {
            let job = "kie+jobs:t1".parse().unwrap();
            state(provider.state(&job).await)
        }
        "get_1080p_video" => match provider.upgrade(&job, Resolution::P1080).await {
            Upgrade::Finished(video) => format!("larger {}", video.urls.join(" ")),
            other => format!("{other:?}"),
        },
        "upload_stream" => {
            let url = provider.upload("image".into(), "a.png".to_owned()).await;
            format!("uploaded {}", url.unwrap())
        }
        operation => panic!("{operation}"),
    }
}

async fn submission(provider: &dyn Provider) -> String {
    let kite = VideoRequest::text("A kite");
    let model = &provider.models()[0];
    let offer = provider.offer(model, &kite).unwrap();
    match provider.submit(&offer).await {
        Submission::Accepted(job) => format!("accepted {}", job.reference),
        Submission::Rejected(error) => format!("rejected, {}", why(&error)),
        Submission::Unknown(unknown) => {
            check_for_key(&unknown.error);
            "unknown".to_owned()
        }
    }
}

fn state(state: Result<State, Error>) -> String {
    match state {
        Ok(State::Finished(video)) => {
            let credits = video
                .credits
                .map(|credits| format!(", told to cost {credits}"));
            format!(
                "finished {}{}",
                video.urls.join(" "),
                credits.unwrap_or_default()
            )
        }
        Ok(State::Failed(error)) => format!("failed, {}", why(&error)),
        Ok(State::Pending) => "pending".to_owned(),
        Ok(state) => format!("{state:?}"),
        Err(error) if error.reply().is_some() => {
            format!("open, with the reply: {:?}", error.kind())
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Checks that an error has neither the part of the API key that no encoding changes, nor a part that is encoded.
fn check_for_key(error: &Error) {
    let all = format!("{error} {error:?} {:?}", error.reply());
    for part in ["Kx8Lp2Vn9Yb4Hs6D", "%2F2d3c", r"\u0073\u006b"] {
        assert!(!all.contains(part), "{all}");
    }
}

fn why(error: &Error) -> String {
    check_for_key(error);
    let words = error.provider_words().unwrap_or_default();
    match error.fault() {
        Fault::Policy(subject) => format!("policy {subject:?}: {words}"),
        _ => format!("{:?}: {words}", error.kind()),
    }
}
