//! The kinds of refusals and failed jobs, by the words of a provider. `tests/fixtures/refusals.tsv` has texts that were
//! seen, and other texts of the same kinds.

use serde_json::{Value, json};
use veo_core::{
    Access, Charged, Client, Error, ErrorKind, Fault, JobRef, Kie, Offer, Provider, Resend, State,
    Subject, Submission, UniAll, VideoRequest,
};
use veo_tests::{KEY, recorder, serve_bytes};
use wiremock::MockServer;

const TABLE: &str = include_str!("../fixtures/refusals.tsv");

struct Row<'a> {
    provider: &'a str,
    place: &'a str,
    http: u16,
    /// Null, a number or a word.
    code: Value,
    text: &'a str,
    kind: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        // The program gives the advice, and has its own test of it.
        let [provider, place, http, code, text, kind, _] = columns[..] else {
            panic!("not seven columns: {line}")
        };
        let code = match (code, code.parse::<i64>()) {
            ("", _) => Value::Null,
            (_, Ok(number)) => json!(number),
            (word, Err(_)) => json!(word),
        };
        Self {
            provider,
            place,
            http: http.parse().unwrap(),
            code,
            text,
            kind,
        }
    }

    /// Returns the replies that can contain the text.
    fn replies(&self) -> Vec<Value> {
        let Self { code, text, .. } = self;
        match (self.provider, self.place) {
            ("kie", "create") => vec![json!({ "code": code, "msg": text, "data": null })],
            ("kie", _) => {
                let data = json!({ "taskId": "t1", "successFlag": 3, "errorCode": code,
                                   "errorMessage": text });
                vec![json!({ "code": 200, "msg": "success", "data": data })]
            }
            (_, "create") => {
                let error = json!({ "message": text, "type": "new_api_error", "code": code });
                vec![
                    json!({ "error": error }),
                    json!({ "code": code, "message": text, "data": null }),
                ]
            }
            _ => {
                let error = json!({ "code": code, "message": text });
                let task = json!({ "id": "t1", "status": "failed", "error": error });
                let reason = json!({ "id": "t1", "status": "failed", "error": { "code": code },
                                     "fail_reason": text });
                vec![
                    json!({ "code": "success", "data": task }),
                    json!({ "code": "success", "data": reason }),
                    task,
                    reason,
                ]
            }
        }
    }
}

/// Returns the kind of a refusal in the words of the table.
fn kind_of_refusal(submission: &Submission) -> String {
    let error = match submission {
        Submission::Rejected(error) => error,
        Submission::Unknown(_) => return "unknown".to_owned(),
        Submission::Accepted(job) => panic!("{job:?}"),
    };
    assert_eq!(error.charged(), Charged::No, "{error:?}");
    let kind = match error.kind() {
        ErrorKind::Policy => return policy(error),
        ErrorKind::Retired => "retired",
        ErrorKind::KeyExhausted => "key exhausted",
        ErrorKind::InsufficientCredits => "credits",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::RateLimited => "busy",
        ErrorKind::Refused => "rejected",
        kind => panic!("{kind:?}"),
    };
    kind.to_owned()
}

/// Returns the kind of a failed job in the words of the table.
fn kind_of_failure(error: &Error) -> String {
    assert_eq!(error.charged(), Charged::Unknown, "{error:?}");
    let kind = match (error.kind(), error.resend()) {
        (ErrorKind::Policy, Resend::ChangeInput) => return policy(error),
        (ErrorKind::Retired, Resend::ChangeInput) => "retired",
        (ErrorKind::JobFailed, Resend::ChangeInput) => "unusable input",
        (ErrorKind::JobFailed, Resend::After(_)) => "busy",
        (ErrorKind::JobFailed, Resend::Same) => "failed",
        (ErrorKind::JobFailed, Resend::Never) => "unexplained",
        other => panic!("{other:?}"),
    };
    kind.to_owned()
}

fn policy(error: &Error) -> String {
    match error.fault() {
        Fault::Policy(Subject::Prompt) => "policy prompt".to_owned(),
        Fault::Policy(Subject::Image) => "policy image".to_owned(),
        Fault::Policy(Subject::Output) => "policy output".to_owned(),
        fault => panic!("{fault:?}"),
    }
}

/// Returns the kind of a row. The request has an image.
async fn kind(
    server: &MockServer,
    provider: &dyn Provider,
    offer: &Offer,
    row: &Row<'_>,
    reply: &Value,
) -> String {
    serve_bytes(server, row.http, reply.to_string().into()).await;
    if row.place == "create" {
        return kind_of_refusal(&provider.submit(offer).await);
    }
    let job = JobRef::new(row.provider, "t1");
    match provider.state(&job).await {
        Ok(State::Failed(error)) => kind_of_failure(&error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_known_refusal_and_failure_has_its_kind() {
    let server = recorder().await;
    let access = Access::new(KEY).base_url(server.uri());
    let kie = Kie::new(access.clone()).unwrap();
    let uniall = UniAll::new(access).unwrap();
    let client = Client::new(kie.clone()).unwrap().or(uniall.clone());
    let request = VideoRequest::image("A kite", "https://example.net/a.png");
    let offers = client.plan(&request).offers;
    let mut wrong = Vec::new();
    for line in TABLE.lines().skip(1) {
        let row = Row::of(line);
        let provider: &dyn Provider = if row.provider == "kie" { &kie } else { &uniall };
        let offer = offers
            .iter()
            .find(|offer| offer.provider == row.provider)
            .unwrap();
        for reply in row.replies() {
            let kind = kind(&server, provider, offer, &row, &reply).await;
            if kind != row.kind {
                wrong.push(format!("{kind} and not {}: {reply}", row.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// If all providers refuse, the error is that of the last one. But a refusal of the request says more than a later fault
/// of an account.
#[tokio::test]
async fn the_error_is_the_refusal_that_says_most() {
    // 400 refuses the request, and 401 the API key.
    let table = [
        (
            400,
            400,
            "UniAll answered with HTTP 400, 400: no (before that, kie: kie.ai answered with code 400: no)",
        ),
        (
            400,
            401,
            "kie.ai answered with code 400: no (after that, uniall: UniAll answered with HTTP 401, 401: no)",
        ),
        (
            401,
            400,
            "UniAll answered with HTTP 400, 400: no (before that, kie: kie.ai answered with code 401: no)",
        ),
        (
            401,
            401,
            "UniAll answered with HTTP 401, 401: no (before that, kie: kie.ai answered with code 401: no)",
        ),
    ];
    let (of_kie, of_uniall) = (recorder().await, recorder().await);
    let access = |server: &MockServer| Access::new(KEY).base_url(server.uri());
    let client = Client::new(Kie::new(access(&of_kie)).unwrap())
        .unwrap()
        .or(UniAll::new(access(&of_uniall)).unwrap());
    for (first, second, wanted) in table {
        let reply = json!({ "code": first, "msg": "no", "data": null });
        serve_bytes(&of_kie, first, reply.to_string().into()).await;
        let reply = json!({ "error": { "message": "no", "code": second } });
        serve_bytes(&of_uniall, second, reply.to_string().into()).await;

        let Submission::Rejected(error) = client.submit(&VideoRequest::text("A kite")).await else {
            panic!("{first}, {second}: the request was not rejected")
        };
        assert_eq!(error.to_string(), wanted, "{first}, {second}");
    }
}
