//! Properties that hold for any text, any bytes and any calls.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use veo_core::ledger::rules::RecentCalls;
use veo_core::{
    Access, Client, Error, ErrorKind, Image, Job, JobRef, Kie, Limit, Poll, Provider, Resolution,
    Source, State, Submission, UniAll, Unknown, VideoRequest,
};
use veo_tests::{KEY, serve_bytes};
use wiremock::MockServer;

use crate::spans::record;

/// A link with everything that can be secret in a link.
const SIGNED: &str =
    "https://me:hidden@cdn.example.net/v.mp4?signature=hidden&to=https://b.example/,hidden#hidden";

/// Everything that an error shows by itself.
fn texts(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let shown = format!(
        "{error} {error:?} {:?} {:?}",
        error.reply(),
        error.provider_words()
    );
    causes.fold(shown, |text, cause| format!("{text} {cause} {cause:?}"))
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(SIGNED)),
        Just(json!(format!(
            "see {SIGNED}, or <a href='{SIGNED}'>here</a>"
        ))),
    ];
    // The names that the decoders look for, or any other name.
    let name = prop_oneof![
        "code|msg|data|taskId|task_id|response|resultUrls|successFlag|errorCode|errorMessage|hasAudioList|seeds",
        "id|status|progress|result|outputs|video_url|url|error|message|fail_reason|metadata|created_at|model",
        ".{0,6}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Makes calls one after another under a limit of 3 in a second, and returns the times of their arrivals in ms.
fn arrivals(calls: impl Iterator<Item = (u64, u64, u64)>) -> Vec<u64> {
    let limit = Some(Limit::new(3, Duration::from_secs(1)));
    let ms = Duration::from_millis;
    let mut recent = RecentCalls::default();
    let mut under_way: Vec<(u64, u64)> = Vec::new();
    let mut arrivals = Vec::new();
    let mut now = 0;
    for (pause, length, part) in calls {
        now += pause;
        loop {
            // A call that takes more than three minutes has lost its process, and nothing tells its end.
            for (begun, end) in under_way.extract_if(.., |(_, end)| *end <= now) {
                if end - begun <= 180_000 {
                    recent.ended(ms(begun), ms(end));
                }
            }
            match recent.pause(limit, ms(now)) {
                Some(pause) => now += u64::try_from(pause.as_millis()).unwrap().max(1),
                None => break,
            }
        }
        recent.begun(ms(now));
        under_way.push((now, now + length));
        arrivals.push(now + length.min(180_000) * part / 100);
    }
    arrivals
}

/// The rate of quick calls is nearly the rate of the limit.
#[test]
fn quick_calls_use_the_whole_limit() {
    let quick = std::iter::repeat_n((0, 5, 100), 300);
    let arrivals = arrivals(quick);
    // 300 calls are 100 times as many as are allowed in a second, and the last second needs not end.
    assert!(arrivals[299] <= 99 * 1_015, "{}", arrivals[299]);
}

/// After the clock was set back, the calls and the pause from before do not stop all calls until it has caught up.
#[test]
fn a_clock_that_was_set_back_stops_no_calls() {
    let seconds = Duration::from_secs;
    let limit = Some(Limit::new(2, seconds(10)));
    let mut recent = RecentCalls::default();
    for at in 1000..1500 {
        recent.begun(seconds(at));
        recent.ended(seconds(at), seconds(at));
    }
    recent.hold(seconds(1560));
    // Set back by a little, they still count.
    assert_eq!(recent.pause(limit, seconds(1495)), Some(seconds(65)));
    // Set back by more, only the new calls and the new pause count.
    let now = seconds(1200);
    assert_eq!(recent.pause(limit, now), None);
    recent.begun(now);
    assert_eq!(recent.pause(limit, now), None);
    recent.begun(now);
    let span = Duration::from_millis(10_011);
    assert_eq!(recent.pause(limit, now), Some(span));
    recent.ended(now, now);
    recent.hold(now + seconds(60));
    assert_eq!(recent.pause(limit, now), Some(seconds(60)));
    assert_eq!(recent.pause(limit, now + seconds(60)), None);
}

/// The last calls that are needed are those that fill the limit while the longest call is on its way, and a thousand.
#[test]
fn a_limit_needs_some_of_the_last_calls() {
    let table = [
        (20, 10_000, 400),
        (1, 3_600_000, 2),
        (1000, 1, 1000),
        (0, 10_000, 20),
    ];
    for (requests, per, needed) in table {
        let limit = Limit::new(requests, Duration::from_millis(per));
        assert_eq!(RecentCalls::needed(limit), needed, "{limit:?}");
    }
}

proptest! {
    #[test]
    fn a_job_as_a_line_parses_back_to_itself(
        provider in ".{1,20}",
        account in prop::option::of(".{1,20}"),
        task in ".{1,60}",
        size in 0..4,
    ) {
        let mut job = JobRef::new(provider, task);
        job.account = account;
        job.resolution = [None, Some(Resolution::P720), Some(Resolution::P1080), Some(Resolution::K4)][size as usize];
        let line = job.to_string();
        prop_assert!(line.chars().all(|c| c.is_ascii_graphic()), "{line}");
        prop_assert_eq!(line.parse::<JobRef>().unwrap(), job);
    }

    /// The provider counts a call when it arrives, at any time between the beginning and the end of the call.
    #[test]
    fn no_span_has_more_arrivals_than_the_limit(
        // The pause before each call, the length of the call in ms, and when it arrives, in hundredths of its length.
        slow in prop::collection::vec((0..200u64, 0..200_000u64, 0..=100u64), 1..100),
        quick in prop::collection::vec((0..50u64, 0..1_000u64, 0..=100u64), 1..100),
    ) {
        let mut arrivals = arrivals(slow.into_iter().chain(quick));
        arrivals.sort_unstable();
        for span in arrivals.windows(4) {
            prop_assert!(span[3] - span[0] >= 1_000, "{arrivals:?}");
        }
    }

    #[test]
    fn no_line_causes_a_panic_of_the_parser(line in ".{0,60}") {
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

/// No error and no span shows the API key or a signature.
#[test]
fn no_reply_causes_a_panic_or_shows_a_secret() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(MockServer::start());
    let access = Access::new(KEY).base_url(server.uri());
    let (kie, uniall) = (
        Kie::new(access.clone()).unwrap(),
        UniAll::new(access).unwrap(),
    );
    let client = Client::new(kie.clone()).unwrap().or(uniall.clone());
    let poll = Poll::default()
        .first(Duration::ZERO)
        .every(Duration::ZERO)
        .forgive_for(Duration::ZERO)
        .give_up_after(Duration::ZERO);
    let client = client.with_poll(poll);
    // A client would wait for kie.ai's limit, so the test calls the providers directly.
    let offers = client.plan(&VideoRequest::text("A red kite")).offers;
    let (log, _recording) = record();
    let replies = prop_oneof![
        any_json().prop_map(|json| json.to_string().into_bytes()),
        any_json().prop_map(|data| json!({ "code": 200, "msg": KEY, "data": data })
            .to_string()
            .into_bytes()),
        // JSON as other languages write it.
        any_json().prop_map(|json| json
            .to_string()
            .replace('&', "\\u0026")
            .replace('/', "\\/")
            .into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(body in replies, status in prop::sample::select(vec![200_u16, 201, 400, 401, 429, 500, 503]))| {
        let mut shown = runtime.block_on(async {
            serve_bytes(&server, status, body).await;
            let mut shown = String::new();
            for (provider, offer) in [(&kie as &dyn Provider, &offers[0]), (&uniall, &offers[1])] {
                // The id of a paid task is always shown, so an accepted submission is left out.
                let submission = provider.submit(offer).await;
                if let Submission::Rejected(error) | Submission::Unknown(Unknown { error, .. }) = &submission {
                    shown += &format!("{submission:?} {}", texts(error));
                }
                let job = JobRef::new(provider.name(), "t1");
                let wait = client.wait(&job).await.map(|video| State::Finished(Box::new(video)));
                let upgrade = client.upgrade(&job, Resolution::K4).await.map(|video| State::Finished(Box::new(video)));
                for answer in [client.state(&job).await, wait, upgrade] {
                    shown += &answer.map_or_else(|error| texts(&error), |state| match state {
                        State::Finished(video) => format!("{video:?} {}", video.raw),
                        state => format!("{state:?}"),
                    });
                }
                if let Err(error) = client.credits(provider.name()).await {
                    shown += &texts(&error);
                }
            }
            shown
        });
        shown += &log.take();
        for secret in [KEY, "hidden"] {
            let found = shown.find(secret).map(|at| &shown[at.saturating_sub(300)..]);
            prop_assert!(found.is_none(), "{secret} is in: {found:?}");
        }
    });
}

/// A request and its refusal show links without signatures, and images without their bytes.
#[test]
fn no_request_shows_a_secret() {
    let client = Client::new(Kie::new(KEY).unwrap())
        .unwrap()
        .or(UniAll::new(KEY).unwrap());
    let link = || {
        prop::sample::select(vec![
            SIGNED,
            "cdn.example.net/v?signature=hidden",
            "data:image/png;base64,hidden",
            "https://a.example/b",
        ])
    };
    let image = prop_oneof![
        link().prop_map(Image::from),
        Just(Image::from(b"hidden".to_vec()))
    ];
    let source = (any::<bool>(), link()).prop_map(|(job, url)| {
        let mut source = Source::url(url);
        source.job = job.then(|| JobRef::new("kie", "t1"));
        source
    });
    let request = prop_oneof![
        Just(VideoRequest::text(format!("as in {SIGNED}"))),
        image
            .clone()
            .prop_map(|image| VideoRequest::image("It flies", image)),
        (image.clone(), image.clone())
            .prop_map(|(first, last)| VideoRequest::frames("It flies", first, last)),
        prop::collection::vec(image, 1..4)
            .prop_map(|images| VideoRequest::references("It flies", images)),
        source.prop_map(|source| VideoRequest::extension("It flies", source)),
    ];
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(request in request, callback in link(), extra in any_json())| {
        let all = request.clone().callback_url(callback).watermark(SIGNED).extra("kie", "field", extra);
        // This field is a boolean. The refusal names the value that was given instead.
        for request in [request, all, VideoRequest::text("A red kite").extra("kie", "enableFallback", SIGNED)] {
            let plan = client.plan(&request);
            let mut shown = format!("{request:?} {plan:?}");
            for refusal in &plan.refusals {
                shown += &refusal.to_string();
            }
            for offer in plan.offers {
                let job = Job::new(&offer, "t1");
                let error = Error::new(ErrorKind::OutcomeUnknown, SIGNED);
                shown += &format!("{job:?} {:?}", Submission::of_error(error, &offer, SystemTime::now()));
            }
            prop_assert!(!shown.contains("hidden") && !shown.contains("[104, 105"), "{shown}");
        }
    });
}
