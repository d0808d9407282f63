//! What holds for any text and any bytes.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use veo_core::{Access, JobRef, Kie, Provider, Resolution, State, UniAll, VideoRequest};
use veo_tests::{KEY, serve_bytes};
use wiremock::MockServer;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("https://cdn.example.net/v.mp4?signature=hidden")),
    ];
    // The names that the decoders look for, and any other.
    let name = prop_oneof![
        "code|msg|data|taskId|task_id|response|resultUrls|successFlag|errorCode|errorMessage|hasAudioList|seeds",
        "id|status|progress|result|outputs|video_url|url|error|message|fail_reason|metadata|created_at|model",
        ".{0,6}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_job_is_a_line_that_parses(provider in ".{1,20}", task in ".{1,60}", size in 0..4) {
        let mut job = JobRef::new(provider, task);
        job.resolution = [None, Some(Resolution::P720), Some(Resolution::P1080), Some(Resolution::K4)][size as usize];
        let line = job.to_string();
        prop_assert!(line.chars().all(|c| c.is_ascii_graphic()), "{line}");
        prop_assert_eq!(line.parse::<JobRef>().unwrap(), job);
    }

    #[test]
    fn no_line_makes_the_parser_panic(line in ".{0,60}") {
        if let Ok(job) = line.parse::<JobRef>() {
            prop_assert_eq!(job.to_string(), line.trim());
        }
    }

    #[test]
    fn a_request_survives_json(prompt in ".{0,40}", seed in any::<Option<i64>>(), image in ".{0,20}", extra in any_json()) {
        let mut request = VideoRequest::frames(prompt, image.as_str(), image.as_str()).extra("kie", "field", extra);
        request.seed = seed;
        let json = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<VideoRequest>(&json).unwrap(), request);
    }
}

/// Whatever a provider answers, nothing panics, and neither the key nor a signature is shown.
#[test]
fn no_reply_makes_a_decoder_panic() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(MockServer::start());
    let access = Access::new(KEY).base_url(server.uri());
    let (kie, uniall) = (Kie::new(access.clone()).unwrap(), UniAll::new(access).unwrap());
    let replies = prop_oneof![
        any_json().prop_map(|json| json.to_string().into_bytes()),
        any_json().prop_map(|data| json!({ "code": 200, "msg": KEY, "data": data }).to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(body in replies, status in prop::sample::select(vec![200_u16, 201, 400, 401, 429, 500, 503]))| {
        let shown = runtime.block_on(async {
            serve_bytes(&server, status, body).await;
            let mut shown = String::new();
            for (provider, name) in [(&kie as &dyn Provider, "kie"), (&uniall, "uniall")] {
                let job = JobRef::new(name, "t1");
                for answer in [Some(provider.state(&job)), provider.upgrade(&job, Resolution::K4)].into_iter().flatten() {
                    match answer.await {
                        Ok(State::Succeeded(video)) => shown += &format!("{video:?}"),
                        Ok(state) => shown += &format!("{state:?}"),
                        Err(error) => shown += &error.to_string(),
                    }
                }
            }
            shown
        });
        prop_assert!(!shown.contains(KEY), "{shown}");
    });
}
