//! The state of a job by every known reply to a question, and the upgrade of a video that is too small.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use serde_json::json;
use veo_core::{
    Access, Charged, Client, Error, ErrorKind, Fault, JobRef, Kie, Poll, Provider, Resend,
    Resolution, State, Subject, UniAll, Upgrade, VideoRequest,
};
use veo_tests::{Fixture, KEY, recorder, texts_of_replies};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn show(answer: Result<State, Error>) -> String {
    match answer {
        Ok(State::Finished(video)) => {
            let facts = [
                video.resolution.clone(),
                video
                    .has_audio
                    .map(|has| if has { "sound" } else { "no sound" }.to_owned()),
                video.credits.map(|credits| format!("{credits} credits")),
                (!video.seeds.is_empty()).then(|| format!("seeds {:?}", video.seeds)),
                video
                    .created_at
                    .map(|time| format!("created {}", seconds(time))),
                video
                    .completed_at
                    .map(|time| format!("completed {}", seconds(time))),
            ];
            let facts: Vec<_> = facts.into_iter().flatten().collect();
            format!("succeeded {} {}", video.urls.join(" "), facts.join(", "))
        }
        Ok(State::Failed(error)) => format!("failed {}", why(&error)),
        Ok(state) => format!("{state:?}"),
        Err(error) => why(&error),
    }
}

fn show_upgrade(upgrade: Upgrade) -> String {
    match upgrade {
        Upgrade::Finished(video) => show(Ok(State::Finished(video))),
        Upgrade::Running { task: Some(task) } => format!("running as {task}"),
        Upgrade::Running { task: None } => "running".to_owned(),
        Upgrade::Rejected(error) => format!("rejected {}", why(&error)),
        Upgrade::Unavailable(error) => format!("not now, {}", why(&error)),
        Upgrade::Unknown(error) => format!("unknown, {}", why(&error)),
        other => panic!("{other:?}"),
    }
}

fn why(error: &Error) -> String {
    let fault = match error.fault() {
        Fault::Policy(subject) => format!(" of the {subject:?}"),
        Fault::Caller if error.kind() == ErrorKind::JobFailed => " of the Input".to_owned(),
        _ => String::new(),
    };
    let code = error
        .provider_code()
        .map_or(String::new(), |code| format!(" ({code})"));
    format!(
        "{:?}{fault}{code}: {}",
        error.kind(),
        error.provider_words().unwrap_or_default()
    )
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn every_reply_to_a_question_has_a_state() {
    let server = recorder().await;
    let kie = Kie::new(Access::new(KEY).base_url(server.uri())).unwrap();
    let uniall = UniAll::new(Access::new(KEY).base_url(server.uri())).unwrap();
    let (kie_job, uniall_job) = (JobRef::new("kie", "t1"), JobRef::new("uniall", "t1"));
    let current_job: JobRef = "kie+jobs:t1".parse().unwrap();
    let describe = async |fixture: &Fixture| {
        let check = |error: &Error| {
            assert_eq!(
                error.job().map(|job| job.task.as_str()),
                Some("t1"),
                "{}",
                fixture.name
            );
            assert_eq!(
                error.reply(),
                fixture.excerpt().as_deref(),
                "{}",
                fixture.name
            );
        };
        let shown = match fixture.operation.as_str() {
            operation @ ("record_info" | "get_task" | "query_video") => {
                let (provider, job): (&dyn Provider, _) = match operation {
                    "record_info" => (&kie, &kie_job),
                    "get_task" => (&kie, &current_job),
                    _ => (&uniall, &uniall_job),
                };
                let state = provider.state(job).await;
                match &state {
                    Ok(State::Failed(error)) => check(error),
                    Ok(_) => {}
                    Err(error) => check(error),
                }
                show(state)
            }
            operation @ ("get_1080p_video" | "get_4k_video") => {
                let to = if operation == "get_4k_video" {
                    Resolution::K4
                } else {
                    Resolution::P1080
                };
                let upgrade = kie.upgrade(&kie_job, to).await;
                if let Upgrade::Rejected(error)
                | Upgrade::Unavailable(error)
                | Upgrade::Unknown(error) = &upgrade
                {
                    check(error);
                }
                show_upgrade(upgrade)
            }
            // In this form the call for an upgrade is a paid request.
            "create_task" => show_upgrade(kie.upgrade(&current_job, Resolution::K4).await),
            _ => return None,
        };
        let shown = shown.replace(&server.uri(), "<origin>");
        Some(format!("{:<52} {shown}\n", fixture.name))
    };
    for (provider, operations) in [
        ("kie", kie_api::OPERATIONS),
        ("uniall", uniall_api::OPERATIONS),
    ] {
        for (operation, text) in texts_of_replies(&server, provider, operations, &describe).await {
            insta::assert_snapshot!(format!("{provider}_{operation}_states"), text);
        }
    }
}

/// Makes the server give the replies to a path in this order, and then the last reply for ever.
async fn script(server: &MockServer, at: &str, replies: &[serde_json::Value]) {
    for (index, reply) in replies.iter().enumerate() {
        let mock =
            Mock::given(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(reply));
        let mock = if index + 1 < replies.len() {
            mock.up_to_n_times(1)
        } else {
            mock
        };
        mock.mount(server).await;
    }
}

async fn count(server: &MockServer, at: &str) -> usize {
    server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| request.url.path() == at)
        .count()
}

fn client(server: &MockServer) -> Client {
    let none = Duration::ZERO;
    // The wait has an end, so that a test fails if the end of a job is mistaken for "not yet".
    let give_up_after = Duration::from_secs(20);
    let poll = Poll::default()
        .first(none)
        .every(none)
        .every_upgrade(none)
        .give_up_after(give_up_after);
    Client::new(Kie::new(Access::new(KEY).base_url(server.uri())).unwrap())
        .unwrap()
        .with_poll(poll)
}

fn record(resolution: &str) -> serde_json::Value {
    let urls = ["https://tempfile.example.net/v/small.mp4"];
    let response = json!({ "taskId": "t1", "resultUrls": urls, "resolution": resolution });
    json!({ "code": 200, "msg": "success", "data": { "taskId": "t1", "successFlag": 1, "response": response } })
}

const SMALL: &str = "/api/v1/veo/get-1080p-video";
const LARGE: &str = "/api/v1/veo/get-4k-video";

/// The delivered size decides. A smaller video is upgraded, and if that is not possible the video says so.
#[tokio::test]
async fn a_video_that_is_too_small_is_upgraded() {
    let processing = json!({ "code": 400, "msg": "1080P is processing. Please check back shortly.", "data": null });
    let ready = json!({ "code": 200, "msg": "success", "data": { "resultUrl": "https://tempfile.example.net/p/large.mp4" } });
    let gone = json!({ "code": 422, "msg": "record status is not success.", "data": null });
    let empty = json!({ "code": 422, "msg": "record is null.", "data": { "resultUrls": [] } });
    let poor = json!({ "code": 402, "msg": "Insufficient Credits, try again later", "data": null });
    let off = json!({ "code": 505, "msg": "Feature Disabled, check back", "data": null });
    let no_call = json!({ "code": 405, "msg": "Method Not Allowed", "data": null });
    let started =
        json!({ "code": 200, "msg": "success", "data": { "taskId": "t2", "resultUrls": null } });
    let done = json!({ "code": 422, "msg": "The video has been generated successfully",
                       "data": { "taskId": "t2", "resultUrls": ["https://tempfile.example.net/p/large.mp4"] } });
    let [large, small] = [
        "https://tempfile.example.net/p/large.mp4",
        "https://tempfile.example.net/v/small.mp4",
    ];
    // Each row has the requested size, the delivered size and the replies to upgrade calls. Then come the number of
    // calls, the URL, and whether the video falls short.
    let table = [
        (Resolution::P720, "720p", vec![], 0, small, false),
        (Resolution::P1080, "1080p", vec![], 0, small, false),
        (
            Resolution::P1080,
            "720p",
            vec![processing.clone(), processing, ready],
            3,
            large,
            false,
        ),
        (
            Resolution::P1080,
            "720p",
            vec![gone.clone()],
            1,
            small,
            true,
        ),
        (
            Resolution::K4,
            "1080p",
            vec![started.clone(), done],
            2,
            large,
            false,
        ),
        (Resolution::K4, "720p", vec![started, gone], 2, small, true),
        (Resolution::K4, "720p", vec![empty], 1, small, true),
        (Resolution::K4, "720p", vec![poor], 1, small, true),
        (Resolution::P1080, "720p", vec![off], 1, small, true),
        (Resolution::P1080, "720p", vec![no_call], 1, small, true),
        (Resolution::K4, "what is that", vec![], 0, small, false),
    ];
    for (asked, delivered, replies, calls, url, short) in table {
        let server = MockServer::start().await;
        let accepted = json!({ "code": 200, "msg": "success", "data": { "taskId": "t1" } });
        script(&server, "/api/v1/veo/generate", &[accepted]).await;
        script(&server, "/api/v1/veo/record-info", &[record(delivered)]).await;
        let at = if asked == Resolution::K4 {
            LARGE
        } else {
            SMALL
        };
        script(&server, at, &replies).await;

        let client = client(&server);
        let veo_core::Submission::Accepted(job) = client
            .submit(&VideoRequest::text("A kite").resolution(asked))
            .await
        else {
            panic!("the request was not accepted")
        };
        // Another process would have the job only as text.
        let job: JobRef = job.reference.to_string().parse().unwrap();
        let video = client.wait(&job).await.unwrap();
        assert_eq!(
            (count(&server, at).await, video.urls[0].as_str()),
            (calls, url),
            "{asked} {delivered}"
        );
        assert_eq!(
            video.shortfall.is_some(),
            short,
            "{asked} {delivered}: {:?}",
            video.shortfall
        );
    }
}

/// An upgrade with an unknown outcome may be paid for, so the smaller video does not replace it.
#[tokio::test]
async fn an_upgrade_can_be_waited_for_again() {
    let large = "https://tempfile.example.net/p/large.mp4";
    let ready = json!({ "code": 200, "msg": "success", "data": { "resultUrls": [large] } });
    let refused = |code: i64, words: &str| json!({ "code": code, "msg": words, "data": null });
    let table = [
        // The outcome is unknown. The client makes the call for 4K once more by itself, and has no time left for that.
        (refused(500, "Server Error"), ErrorKind::TimedOut),
        (
            refused(455, "Maintenance, check back"),
            ErrorKind::Unavailable,
        ),
        (
            refused(
                430,
                "Your call frequency is too high. Please try again later.",
            ),
            ErrorKind::Unavailable,
        ),
        (
            refused(401, "Unauthorized, try again later"),
            ErrorKind::Unauthorized,
        ),
        (
            refused(433, "The key is over its limit, try again later"),
            ErrorKind::KeyExhausted,
        ),
        (json!("maintenance"), ErrorKind::TimedOut),
        (
            refused(422, "4k is processing. Please check back shortly."),
            ErrorKind::TimedOut,
        ),
    ];
    for (reply, kind) in table {
        let server = MockServer::start().await;
        script(&server, "/api/v1/veo/record-info", &[record("720p")]).await;
        script(&server, LARGE, &[reply.clone(), ready.clone()]).await;
        let (eager, none) = (client(&server), Duration::ZERO);
        let poll = Poll::default()
            .first(none)
            .every(none)
            .every_upgrade(Duration::from_secs(60));
        let impatient = eager
            .clone()
            .with_poll(poll.forgive_for(none).give_up_after(none));

        let job: JobRef = "kie:t1:4k".parse().unwrap();
        let error = impatient.wait(&job).await.unwrap_err();
        assert_eq!((error.kind(), error.job()), (kind, Some(&job)), "{reply}");
        assert_eq!(
            (error.charged(), error.resend()),
            (Charged::Yes, Resend::Never),
            "{reply}"
        );
        let video = eager.wait(error.job().unwrap()).await.unwrap();
        assert_eq!(
            (video.urls[0].as_str(), video.shortfall),
            (large, None),
            "{reply}"
        );
    }
}

/// A job is paid for. So its error never advises to send the request again, unless the job itself has failed.
#[test]
fn the_charge_of_an_error_depends_on_its_job() {
    use ErrorKind::*;
    let job: JobRef = "kie:t1".parse().unwrap();
    let after = |seconds| Resend::After(Duration::from_secs(seconds));
    let [paid, ended] = [
        (Charged::Yes, Resend::Never),
        (Charged::Unknown, Resend::ChangeInput),
    ];
    // Each row has the answers without a job, and the answers with one.
    let table = [
        (
            Error::new(InvalidRequest, ""),
            (Charged::No, Resend::ChangeInput),
            paid,
        ),
        (Error::new(NotSent, ""), (Charged::No, Resend::Same), paid),
        (
            Error::new(Unauthorized, ""),
            (Charged::No, Resend::ChangeInput),
            paid,
        ),
        (
            Error::new(KeyExhausted, ""),
            (Charged::No, Resend::ChangeInput),
            paid,
        ),
        (
            Error::new(InsufficientCredits, ""),
            (Charged::No, Resend::ChangeInput),
            paid,
        ),
        (Error::new(RateLimited, ""), (Charged::No, after(10)), paid),
        (Error::new(Maintenance, ""), (Charged::No, after(300)), paid),
        (
            Error::new(Retired, ""),
            (Charged::No, Resend::ChangeInput),
            ended,
        ),
        (
            Error::new(Refused, ""),
            (Charged::No, Resend::ChangeInput),
            paid,
        ),
        (
            Error::new(OutcomeUnknown, ""),
            (Charged::Unknown, Resend::Never),
            (Charged::Unknown, Resend::Never),
        ),
        (Error::new(Unavailable, ""), paid, paid),
        (Error::new(TimedOut, ""), paid, paid),
        (Error::new(Download, ""), paid, paid),
        (
            Error::policy(Subject::Prompt, ""),
            (Charged::No, Resend::ChangeInput),
            ended,
        ),
        (
            Error::new(JobFailed, ""),
            (Charged::Unknown, Resend::Never),
            (Charged::Unknown, Resend::Never),
        ),
        (
            Error::passing(""),
            (Charged::Unknown, Resend::Same),
            (Charged::Unknown, Resend::Same),
        ),
        (Error::unusable_input(""), ended, ended),
    ];
    for (error, without, with) in table {
        let said = format!("{error:?}");
        assert_eq!((error.charged(), error.resend()), without, "{said}");
        let error = error.with_job(&job);
        assert_eq!((error.charged(), error.resend()), with, "{said}");
    }
    assert_eq!(Error::unusable_input("").fault(), Fault::Caller);
}

#[tokio::test]
async fn the_states_of_a_job_are_a_stream_that_ends() {
    let server = MockServer::start().await;
    let running =
        json!({ "code": 200, "msg": "success", "data": { "taskId": "t1", "successFlag": 0 } });
    let html = json!("maintenance");
    let failed = json!({ "code": 200, "msg": "success",
                         "data": { "taskId": "t1", "successFlag": 3, "errorCode": 500, "errorMessage": "Timeout" } });
    for (replies, wanted) in [
        (
            vec![running.clone(), html, record("720p")],
            vec!["Running { percent: None }", "Finished"],
        ),
        (
            vec![running.clone(), running, failed],
            vec![
                "Running { percent: None }",
                "Running { percent: None }",
                "Ok(Failed(Error { kind: JobFailed",
            ],
        ),
    ] {
        server.reset().await;
        script(&server, "/api/v1/veo/record-info", &replies).await;
        let client = client(&server);
        // The stream outlives the client.
        let states = client.states(JobRef::new("kie", "t1"));
        drop(client);
        let states: Vec<String> = states.map(|state| format!("{state:?}")).collect().await;
        assert_eq!(states.len(), wanted.len(), "{states:?}");
        for (state, wanted) in states.iter().zip(wanted) {
            assert!(state.contains(wanted), "{states:?}");
        }
    }
    let unknown: Vec<_> = client(&server)
        .states(JobRef::new("somebody", "t1"))
        .collect()
        .await;
    assert!(unknown.len() == 1 && unknown[0].is_err(), "{unknown:?}");
}

#[tokio::test]
async fn an_impossible_upgrade_is_refused_before_a_call() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&server)
        .await;
    let uniall =
        Client::new(UniAll::new(Access::new(KEY).base_url(server.uri())).unwrap()).unwrap();
    let error = uniall
        .upgrade(JobRef::new("uniall", "t1"), Resolution::K4)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "uniall:t1: uniall cannot upgrade a video to 4k; choose the size when you make the video"
    );
    let error = client(&server)
        .upgrade(JobRef::new("kie", "t1"), Resolution::P720)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kie:t1: kie cannot upgrade a video to 720p; choose the size when you make the video"
    );
}

#[test]
fn a_job_is_written_and_read_as_one_line() {
    let lines = [
        "kie:0f1e2d3c",
        "uniall:task_Zk3vQ8mW",
        "kie:0f1e2d3c:1080p",
        "kie:t1:4k",
        "other:a%20b%3Ac%2F",
        "x:%C3%A9",
        "kie@studio:0f1e2d3c",
        "kie@studio:t1:4k",
        "kie+jobs:t1",
        "kie+jobs:t1:1080p",
        "kie@studio+jobs:t1:4k",
        "a%40b@c%3Ad%2Be:%40%2B%3A",
    ];
    for line in lines {
        let job: JobRef = line.parse().unwrap();
        assert_eq!(job.to_string(), line);
        assert_eq!(
            serde_json::from_str::<JobRef>(&serde_json::to_string(&job).unwrap()).unwrap(),
            job
        );
    }
    for wrong in [
        "",
        "kie",
        "kie:",
        ":t1",
        "kie:t1:",
        "kie:t1:8k",
        "kie:t1:4k:5",
        "kie@:t1",
        "@studio:t1",
        "kie@a@b:t1",
        "kie:a@b",
        "kie+:t1",
        "+jobs:t1",
        "kie+a+b:t1",
        "kie+jobs@studio:t1",
        "kie:a+b",
        "kie:a b",
        "kie:%zz",
        "kie:%ff",
        "kie:t1\n:4k",
    ] {
        let error = wrong.parse::<JobRef>().unwrap_err().to_string();
        assert!(
            error.contains("is not a job; write provider:task"),
            "{wrong:?}: {error}"
        );
    }
}
