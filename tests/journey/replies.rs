//! Replies in other shapes than the usual ones: `tests/fixtures/replies.jsonl`, which has the right value of each. In it
//! `{origin}` is the address of the server, and `{host}` the same without `http://`.

use serde::Deserialize;
use veo_core::{
    Access, Error, Fault, JobRef, Kie, Provider, Resolution, State, Submission, UniAll, Upgrade,
    VideoRequest,
};
use veo_tests::{KEY, recorder, serve_bytes};

const REPLIES: &str = include_str!("../fixtures/replies.jsonl");

#[derive(Deserialize)]
struct Row {
    name: String,
    provider: String,
    operation: String,
    http: u16,
    body: String,
    right: String,
}

#[tokio::test]
async fn a_reply_in_another_shape_has_its_right_value() {
    let server = recorder().await;
    let origin = server.uri();
    let host = origin.strip_prefix("http://").unwrap();
    let access = Access::new(KEY).base_url(&origin);
    let kie = Kie::new(access.clone()).unwrap();
    let uniall = UniAll::new(access).unwrap();
    let mut wrong = Vec::new();
    for line in REPLIES.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let at = |text: &str| text.replace("{origin}", &origin).replace("{host}", host);
        serve_bytes(&server, row.http, at(&row.body).into()).await;
        let provider: &dyn Provider = if row.provider == "kie" { &kie } else { &uniall };
        let value = value(provider, &row).await;
        if value != at(&row.right) {
            wrong.push(format!("{}: {value}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The value of the reply to a row's operation.
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
        Submission::Unknown(_) => "unknown".to_owned(),
    }
}

fn state(state: Result<State, Error>) -> String {
    match state {
        Ok(State::Finished(video)) => format!("finished {}", video.urls.join(" ")),
        Ok(State::Failed(error)) => format!("failed, {}", why(&error)),
        Ok(State::Pending) => "pending".to_owned(),
        Ok(state) => format!("{state:?}"),
        Err(error) if error.reply().is_some() => {
            format!("open, with the reply: {:?}", error.kind())
        }
        Err(error) => format!("{error:?}"),
    }
}

fn why(error: &Error) -> String {
    let words = error.provider_words().unwrap_or_default();
    match error.fault() {
        Fault::Policy(subject) => format!("policy {subject:?}: {words}"),
        _ => format!("{:?}: {words}", error.kind()),
    }
}
