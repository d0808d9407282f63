//! A webhook is accepted only if kie.ai has signed it. Even then it is only a hint.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use veo_core::{
    Access, Client, Delivery, Error, ErrorKind, JobRef, Kie, Notice, Poll, Submission,
    VideoRequest, Webhooks,
};
use veo_sim::{Callbacks, Pace, Scenario, Sim};
use veo_tests::callbacks;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::FORMS;

const KEY: &str = "test_webhook_hmac_key";
const TASK: &str = "ee9c2715375b7837f8bb51d641ff5863";
const TIME: u64 = 1_769_670_760;
const SIGNATURE: &str = "dfR2UHjlU4XCIMtJCEbfqQ9e9lVh3gmeV0UMubxEz/w=";

fn webhooks() -> Webhooks {
    Webhooks::new(KEY.to_owned().into()).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn headers(timestamp: &str, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-webhook-timestamp", timestamp),
        ("x-webhook-signature", signature),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

fn body(task: &str) -> Vec<u8> {
    format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"{task}"}}}}"#).into_bytes()
}

fn first(result: Result<Delivery, Error>) -> Notice {
    match result {
        Ok(Delivery::First(notice)) => notice,
        other => panic!("{other:?}"),
    }
}

fn is_repeated(result: Result<Delivery, Error>) -> bool {
    matches!(result, Ok(Delivery::Repeated(_)))
}

/// Returns the texts of an error and its cause.
fn words(error: &Error) -> String {
    let cause = error.source().map_or(String::new(), ToString::to_string);
    format!("{error} {error:?} {cause}")
}

/// The signature in the test was computed without this library, from the provider's description.
#[test]
fn a_signature_follows_the_description_of_the_provider() {
    let known = headers(&TIME.to_string(), SIGNATURE);
    assert_eq!(webhooks().sign(TASK, at(TIME)).unwrap(), known);
    let notice = first(webhooks().verify_at(at(TIME), "/webhook", &known, &body(TASK)));
    assert_eq!(notice.job.to_string(), format!("kie:{TASK}"));

    let error = webhooks()
        .sign(TASK, UNIX_EPOCH - Duration::from_secs(1))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a webhook cannot be signed for a time before 1970"
    );
    let now = webhooks().sign(TASK, SystemTime::now()).unwrap();
    first(webhooks().verify("/webhook", &now, &body(TASK)));
}

#[test]
fn every_known_callback_is_read_or_refused() {
    let webhooks = webhooks();
    let mut text = String::new();
    for (number, (name, body)) in callbacks().into_iter().enumerate() {
        let task = match name.as_str() {
            "inferred/task-id-as-number" => "740219385516203",
            _ => "5d0c7e21b94f4a3e8f16a2d7c3b8e940",
        };
        // Each callback has another second, so none is a repetition.
        let now = at(TIME + number as u64);
        let result =
            match webhooks.verify_at(now, "/webhook", &webhooks.sign(task, now).unwrap(), &body) {
                Ok(Delivery::First(notice)) => {
                    assert!(
                        !format!("{notice:?}").contains("http"),
                        "{name} gives away what nobody vouches for"
                    );
                    format!(
                        "{} {:?} {:?}",
                        notice.job, notice.unverified_code, notice.unverified_message
                    )
                }
                Ok(repeated) => panic!("{name}: {repeated:?}"),
                Err(error) => format!("refused: {error}"),
            };
        text.push_str(&format!("{name}\n    {result}\n"));
    }
    insta::assert_snapshot!("callbacks", text);
}

#[test]
fn a_forged_webhook_is_refused_with_the_reason() {
    let time = TIME.to_string();
    let other = |key: &str, task: &str, time: u64| {
        let webhooks = Webhooks::new(key.to_owned().into()).unwrap();
        webhooks.sign(task, at(time)).unwrap()
    };
    let without = |name: &str| {
        let mut headers = headers(&time, SIGNATURE);
        headers.remove(name);
        headers
    };
    let good = || headers(&time, SIGNATURE);
    let json = |text: &str| text.as_bytes().to_vec();
    let named = |text: &str| json(&text.replace("TASK", TASK));
    let missing = "is missing; kie.ai signs webhooks once a webhookHmacKey has been made";
    let no_time = "the header x-webhook-timestamp is not a number of seconds since 1970";
    let no_base64 = "the header x-webhook-signature is not 32 bytes in base64";
    let wrong = "the signature does not fit the task and the time; if kie.ai did send this, check that the webhook key";
    let no_json = "the body is not JSON";
    let no_task = "the body names no task, so there is nothing that the signature could cover";
    let padded = |length: usize| {
        let mut body = body(TASK);
        body.resize(length, b' ');
        body
    };
    let mut changed = other(KEY, TASK, TIME);
    changed.insert("x-webhook-timestamp", HeaderValue::from(TIME + 1));

    let table = [
        ("no headers", HeaderMap::new(), body(TASK), missing),
        (
            "no timestamp",
            without("x-webhook-timestamp"),
            body(TASK),
            "x-webhook-timestamp is missing",
        ),
        (
            "no signature",
            without("x-webhook-signature"),
            body(TASK),
            "x-webhook-signature is missing",
        ),
        (
            "timestamp empty",
            headers("", SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp in words",
            headers("yesterday", SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp with a sign",
            headers("+1769670760", SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp with a fraction",
            headers("1769670760.0", SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp without end",
            headers(&"9".repeat(30), SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp not ASCII",
            headers("١٧٦٩٦٧٠٧٦٠", SIGNATURE),
            body(TASK),
            no_time,
        ),
        (
            "timestamp in milliseconds",
            headers("1769670760000", SIGNATURE),
            body(TASK),
            "seconds in the future",
        ),
        (
            "timestamp in other digits",
            headers("01769670760", SIGNATURE),
            body(TASK),
            wrong,
        ),
        ("signature empty", headers(&time, ""), body(TASK), no_base64),
        (
            "signature not base64",
            headers(&time, "?????"),
            body(TASK),
            no_base64,
        ),
        (
            "signature not padded",
            headers(&time, SIGNATURE.trim_end_matches('=')),
            body(TASK),
            no_base64,
        ),
        (
            "signature in the URL alphabet",
            headers(&time, &SIGNATURE.replace('/', "_")),
            body(TASK),
            no_base64,
        ),
        (
            "signature in hex",
            headers(&time, &"7d".repeat(32)),
            body(TASK),
            no_base64,
        ),
        (
            "signature cut short",
            headers(&time, "dfR2UA=="),
            body(TASK),
            no_base64,
        ),
        (
            "first byte changed",
            headers(&time, &SIGNATURE.replacen('d', "e", 1)),
            body(TASK),
            wrong,
        ),
        (
            "last byte changed",
            headers(&time, &SIGNATURE.replace("w=", "x=")),
            body(TASK),
            no_base64,
        ),
        (
            "last bits changed",
            headers(&time, &SIGNATURE.replace("/w=", "/g=")),
            body(TASK),
            wrong,
        ),
        (
            "signature of nothing",
            headers(&time, &format!("{}=", "A".repeat(43))),
            body(TASK),
            wrong,
        ),
        (
            "signed with another key",
            other("guessed", TASK, TIME),
            body(TASK),
            wrong,
        ),
        (
            "signed for another task",
            other(KEY, "foreign-task", TIME),
            body(TASK),
            wrong,
        ),
        ("body of another task", good(), body("foreign-task"), wrong),
        ("timestamp of another webhook", changed, body(TASK), wrong),
        (
            "task and time split elsewhere",
            other(KEY, &format!("{TASK}.1"), TIME),
            body(TASK),
            wrong,
        ),
        ("body empty", good(), Vec::new(), no_json),
        ("body not JSON", good(), json("<html>"), no_json),
        (
            "body broken off",
            good(),
            body(TASK)[..80].to_vec(),
            no_json,
        ),
        (
            "body not UTF-8",
            good(),
            b"{\"taskId\":\"\xff\"}".to_vec(),
            no_json,
        ),
        (
            "body very deep",
            good(),
            "[".repeat(100_000).into_bytes(),
            no_json,
        ),
        (
            "body too long",
            good(),
            padded(1024 * 1024 + 1),
            "the body is longer than 1 MiB",
        ),
        (
            "body an array",
            good(),
            named(r#"[{"taskId":"TASK"}]"#),
            no_task,
        ),
        ("body null", good(), json("null"), no_task),
        (
            "no task",
            good(),
            json(r#"{"code":200,"msg":"success"}"#),
            no_task,
        ),
        (
            "data null",
            good(),
            json(r#"{"code":200,"data":null}"#),
            no_task,
        ),
        (
            "task elsewhere",
            good(),
            named(r#"{"data":{"info":{"taskId":"TASK"}}}"#),
            no_task,
        ),
        (
            "task an object",
            good(),
            json(r#"{"data":{"taskId":{}}}"#),
            "no id of a task in data.taskId, but something else",
        ),
        (
            "task a fraction",
            good(),
            json(r#"{"task_id":1.5}"#),
            "no id of a task in task_id, but something else",
        ),
        (
            "two tasks, the first signed",
            good(),
            named(r#"{"data":{"taskId":"TASK","task_id":"foreign-task"}}"#),
            "the body names one task in data.taskId and another one in data.task_id",
        ),
        (
            "two tasks, the second signed",
            good(),
            named(r#"{"data":{"task_id":"foreign-task"},"taskId":"TASK"}"#),
            "the body names one task in data.task_id and another one in taskId",
        ),
        (
            "two tasks at the top",
            good(),
            named(r#"{"taskId":"TASK","task_id":"foreign-task"}"#),
            "the body names one task in taskId and another one in task_id",
        ),
    ];
    let webhooks = webhooks();
    for (name, headers, body, wanted) in table {
        let error = webhooks
            .verify_at(at(TIME), "/webhook", &headers, &body)
            .expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidWebhook, "{name}: {error}");
        assert!(error.to_string().contains(wanted), "{name}: {error}");
        assert_eq!(error.job(), None, "{name}: nobody vouches for the job");
        let words = words(&error);
        assert!(
            !words.contains(KEY) && !words.contains(&SIGNATURE[..10]),
            "{name}: {words}"
        );
        assert!(
            !words.contains("foreign-task") && !words.contains(TASK),
            "{name}: {words}"
        );
    }
    // The forgeries have not used up the true callback, which is still new. Its body may have this length.
    first(webhooks.verify_at(at(TIME), "/webhook", &good(), &padded(1024 * 1024)));
}

#[test]
fn a_webhook_with_a_known_task_and_time_is_a_repetition() {
    let webhooks = webhooks();
    let signed = |task: &str, time: u64| webhooks.sign(task, at(time)).unwrap();
    let verify = |now: u64, headers: &HeaderMap, body: &[u8]| {
        webhooks.verify_at(at(now), "/webhook", headers, body)
    };

    let once = signed(TASK, TIME);
    let notice = first(verify(TIME, &once, &body(TASK)));
    match verify(TIME + 15, &once, &body(TASK)) {
        Ok(Delivery::Repeated(again)) => assert_eq!(again, notice),
        other => panic!("{other:?}"),
    }
    let other_words = format!(r#"{{"code":500,"task_id":"{TASK}"}}"#);
    assert!(
        is_repeated(verify(TIME, &once, other_words.as_bytes())),
        "whatever else the body says"
    );

    first(verify(
        TIME,
        &signed("foreign-task", TIME),
        &body("foreign-task"),
    ));
    first(verify(TIME + 15, &signed(TASK, TIME + 15), &body(TASK)));

    assert!(
        is_repeated(verify(TIME + 300, &once, &body(TASK))),
        "as long as it could be used"
    );
    assert!(
        verify(TIME + 301, &once, &body(TASK))
            .unwrap_err()
            .to_string()
            .contains("301 seconds in the past")
    );
    first(verify(
        TIME + 301,
        &signed("later-task", TIME + 301),
        &body("later-task"),
    ));
    assert!(
        is_repeated(verify(TIME + 299, &once, &body(TASK))),
        "also when the clock is set back"
    );
    let early = signed(TASK, TIME + 600);
    first(verify(TIME + 300, &early, &body(TASK)));
    assert!(
        is_repeated(verify(TIME + 900, &early, &body(TASK))),
        "also if it came early"
    );
}

#[test]
fn only_one_of_many_equal_webhooks_at_once_is_the_first() {
    let webhooks = webhooks();
    let signed = webhooks.sign(TASK, at(TIME)).unwrap();
    let verify = || {
        matches!(
            webhooks.verify_at(at(TIME), "/webhook", &signed, &body(TASK)),
            Ok(Delivery::First(_))
        )
    };
    let firsts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(verify)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|first| *first)
            .count()
    });
    assert_eq!(firsts, 1);
}

#[test]
fn a_webhook_outside_the_time_tolerance_is_refused() {
    let default = || webhooks();
    let within = |seconds: u64| webhooks().with_tolerance(Duration::from_secs(seconds));
    let ever = webhooks().with_tolerance(Duration::MAX);
    let table = [
        (default(), TIME, ""),
        (default(), TIME + 300, ""),
        (
            default(),
            TIME + 301,
            "from 301 seconds in the past, and 300 are tolerated; it is an old one sent again, or",
        ),
        (default(), TIME - 300, ""),
        (
            default(),
            TIME - 301,
            "from 301 seconds in the future, and 300 are tolerated",
        ),
        (default(), 0, "from 1769670760 seconds in the future"),
        (within(0), TIME, ""),
        (
            within(0),
            TIME + 1,
            "from 1 seconds in the past, and 0 are tolerated",
        ),
        (
            within(0),
            TIME - 1,
            "from 1 seconds in the future, and 0 are tolerated",
        ),
        (within(3600), TIME + 3600, ""),
        (within(3600), TIME + 3601, "from 3601 seconds in the past"),
        (ever, 0, ""),
    ];
    for (webhooks, now, wanted) in table {
        let result = webhooks.verify_at(
            at(now),
            "/webhook",
            &headers(&TIME.to_string(), SIGNATURE),
            &body(TASK),
        );
        match result {
            Ok(Delivery::First(_)) => assert_eq!(wanted, "", "{webhooks:?} at {now}"),
            Err(error) if !wanted.is_empty() => {
                assert!(error.to_string().contains(wanted), "{now}: {error}")
            }
            other => panic!("{webhooks:?} at {now}: {other:?}"),
        }
    }
}

#[test]
fn the_webhook_key_is_never_shown_and_never_empty() {
    let webhooks = webhooks();
    let delivery = webhooks
        .verify_at(
            at(TIME),
            "/webhook",
            &headers(&TIME.to_string(), SIGNATURE),
            &body(TASK),
        )
        .unwrap();
    assert_eq!(format!("{webhooks:?}"), "Webhooks { tolerance: 300s, .. }");
    assert!(!format!("{delivery:?}").contains(KEY));

    for key in ["", " \n"] {
        let error = Webhooks::new(key.to_owned().into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(
            error.to_string().starts_with("the webhook key is empty"),
            "{error}"
        );
    }
}

/// Waits until the receiver has got so many calls, and returns them.
async fn received(receiver: &MockServer, count: usize) -> Vec<wiremock::Request> {
    loop {
        let requests = receiver.received_requests().await.unwrap();
        if requests.len() >= count {
            return requests;
        }
        tokio::task::yield_now().await;
    }
}

async fn job(client: &Client, callback_url: &str) -> JobRef {
    match client
        .submit(&VideoRequest::text("A red kite").callback_url(callback_url))
        .await
    {
        Submission::Accepted(job) => job.reference,
        other => panic!("{other:?}"),
    }
}

/// The callbacks are signed, repeated, sent twice, in the wrong order and late, as the provider may send them. A
/// repetition is recognised, and each job is confirmed by a question.
#[tokio::test]
async fn repeated_callbacks_are_recognised_and_jobs_confirmed() {
    let how = Callbacks {
        key: Some(KEY.to_owned()),
        ..Callbacks::default()
    };
    let untidy = Callbacks {
        twice: true,
        reordered: true,
        late: 60,
        ..how.clone()
    };
    // Each row has the scenario, the number of jobs, the failures of the receiver, and the job of each call.
    let table = [
        (
            Scenario::new("plain", "")
                .pace(Pace::AtOnce)
                .callbacks(how.clone()),
            1,
            0,
            vec![0],
        ),
        (
            Scenario::new("tried-again", "")
                .pace(Pace::Scale(1000.0))
                .callbacks(how),
            1,
            2,
            vec![0, 0, 0],
        ),
        (
            Scenario::new("untidy", "")
                .pace(Pace::Scale(1000.0))
                .callbacks(untidy),
            2,
            0,
            vec![1, 1, 0, 0],
        ),
    ];
    let rows = table.into_iter();
    for ((form, prefix), (scenario, count, failures, wanted)) in
        rows.flat_map(|row| FORMS.map(|form| (form, row.clone())))
    {
        let name = format!("{prefix} {}", scenario.name);
        let receiver = MockServer::start().await;
        if failures > 0 {
            let busy = Mock::given(any()).respond_with(ResponseTemplate::new(503));
            busy.up_to_n_times(failures).mount(&receiver).await;
        }
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200))
            .mount(&receiver)
            .await;
        let sim = Sim::builder().scenario(scenario).start().await.unwrap();
        let kie = Kie::new(Access::new("key").base_url(sim.url())).unwrap();
        let kie = kie.form(form);
        let client = Client::new(kie).unwrap();
        let mut jobs = Vec::new();
        for _ in 0..count {
            jobs.push(job(&client, &receiver.uri()).await);
        }

        let requests = received(&receiver, wanted.len()).await;
        let webhooks = webhooks();
        let mut seen = Vec::new();
        for (number, (request, whose)) in requests.iter().zip(wanted).enumerate() {
            let (notice, first) = match webhooks
                .verify("/webhook", &request.headers, &request.body)
                .unwrap()
            {
                Delivery::First(notice) => (notice, true),
                Delivery::Repeated(notice) => (notice, false),
            };
            assert_eq!(
                notice.job,
                jobs[whose],
                "{name}: call {number}\n{}",
                sim.report()
            );
            // A callback that is sent again in another second has another signature.
            let signed = (
                notice.job.clone(),
                request.headers["X-Webhook-Timestamp"].clone(),
            );
            assert_eq!(first, !seen.contains(&signed), "{name}: call {number}");
            seen.push(signed);
            assert!(
                matches!(
                    client.state(&notice.job).await.unwrap(),
                    veo_core::State::Finished(_)
                ),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn both_forms_of_the_callback_of_a_4k_upgrade_name_the_job() {
    for snake_case in [false, true] {
        let receiver = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200))
            .mount(&receiver)
            .await;
        let how = Callbacks {
            key: Some(KEY.to_owned()),
            snake_case,
            ..Callbacks::default()
        };
        let scenario = Scenario::new("4k", "").pace(Pace::AtOnce).callbacks(how);
        let sim = Sim::builder().scenario(scenario).start().await.unwrap();
        let kie = Kie::new(Access::new("key").base_url(sim.url())).unwrap();
        let none = Duration::ZERO;
        let client = Client::new(kie)
            .unwrap()
            .with_poll(Poll::default().first(none).every(none));
        let made = job(&client, &receiver.uri()).await;
        // veo-core requests upgrades without a callback, but another client may have requested one.
        let body = serde_json::json!({ "taskId": made.task, "callBackUrl": receiver.uri() });
        let upgrade =
            kie_api::Client::new(veo_transport::Config::new("key").base_url(sim.url())).unwrap();
        let body = serde_json::from_value::<kie_api::types::Upgrade4kRequest>(body).unwrap();
        upgrade.get_4k_video().body(body).send().await.unwrap();

        let webhooks = webhooks();
        for request in &received(&receiver, 2).await {
            let delivery = webhooks
                .verify("/webhook", &request.headers, &request.body)
                .unwrap();
            let (Delivery::First(notice) | Delivery::Repeated(notice)) = delivery;
            assert_eq!(notice.job, made);
        }
    }
}
