//! Callbacks of kie.ai, as a receiver gets them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use veo_sim::{CallbackBody, Callbacks, Fate, Fault, Pace, Scenario, Shape, Sim};

use crate::{LONG, SILENCE, User, start};

/// A receiver of callbacks. It answers them with the given statuses, and with 200 afterwards.
struct Receiver {
    url: String,
    arrived: UnboundedReceiver<(HeaderMap, Value)>,
}

#[derive(Clone)]
struct Desk {
    arrived: UnboundedSender<(HeaderMap, Value)>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Receiver {
        let (sender, arrived) = unbounded_channel();
        let desk = Desk {
            arrived: sender,
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(receive)).with_state(desk);
        tokio::spawn(async { axum::serve(listener, app).await });
        Receiver { url, arrived }
    }

    async fn next(&mut self) -> (HeaderMap, Value) {
        timeout(LONG, self.arrived.recv()).await.unwrap().unwrap()
    }

    async fn bodies(&mut self, count: usize) -> Vec<Value> {
        let mut bodies = Vec::new();
        for _ in 0..count {
            bodies.push(self.next().await.1);
        }
        bodies
    }

    /// Checks that no further callback comes.
    async fn nothing(&mut self) {
        assert!(timeout(SILENCE, self.arrived.recv()).await.is_err());
    }
}

async fn receive(State(desk): State<Desk>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
    desk.arrived
        .send((parts.headers, serde_json::from_slice(&body).unwrap()))
        .unwrap();
    StatusCode::from_u16(desk.answers.lock().unwrap().pop_front().unwrap_or(200)).unwrap()
}

fn scenario(pace: Pace, callbacks: Callbacks) -> Scenario {
    Scenario::new("test", "").pace(pace).callbacks(callbacks)
}

/// A pace at which a second takes a millisecond.
const FAST: Pace = Pace::Scale(1000.0);

#[tokio::test]
async fn a_callback_comes_at_the_end_of_a_task_at_any_pace() {
    for pace in [Pace::AtOnce, Pace::Polls(2), FAST, Pace::Scale(1.0)] {
        let mut receiver = Receiver::start(&[]).await;
        let sim = start(scenario(pace, Callbacks::default())).await;
        let user = User::new(&sim, "key");
        let request =
            json!({ "prompt": "A kite", "aspect_ratio": "9:16", "callBackUrl": receiver.url });
        let id = user.kie_task(request).await;
        if let Pace::Polls(_) | Pace::Scale(1.0) = pace {
            user.record(&id).await;
            receiver.nothing().await;
            sim.advance(Duration::from_secs(90));
            user.kie_end(&id).await;
        }
        let (headers, body) = receiver.next().await;
        let video = |which: &str| json!([format!("{}/media/{id}{which}.mp4", sim.media_url())]);
        let info = json!({ "resultUrls": video(""), "originUrls": video("_origin"), "resolution": "720p" });
        let prompt = json!({
            "aspectRatio": "9:16", "callBackUrl": receiver.url, "enableFallback": false, "enableTranslation": true,
            "model": "veo3_fast", "prompt": "A kite",
        });
        let echo: Value =
            serde_json::from_str(body["data"]["promptJson"].as_str().unwrap()).unwrap();
        let data = json!({
            "taskId": id, "promptJson": body["data"]["promptJson"], "info": info, "fallbackFlag": false,
        });
        let wanted =
            json!({ "code": 200, "msg": "Veo3.1 video generated successfully.", "data": data });
        assert_eq!((body, echo), (wanted, prompt), "{pace:?}");
        assert_eq!(headers.get("x-webhook-signature"), None, "{pace:?}");
        receiver.nothing().await;
        let sent = &sim.callbacks()[0];
        assert_eq!(
            (&sent.task, &sent.url, &sent.result),
            (&id, &receiver.url, &Ok(200)),
            "{pace:?}"
        );
    }
}

#[tokio::test]
async fn a_callback_has_the_result_of_the_task() {
    for (fate, code, words, urls, fallback) in [
        (
            Fate::PromptRefused,
            400,
            "Your prompt was flagged by Website as violating content policies.",
            None,
            false,
        ),
        (Fate::Failed, 422, "failed", None, false),
        (
            Fate::FailedEarly,
            500,
            "Internal Error, Please try again later.",
            None,
            false,
        ),
        (
            Fate::Filtered,
            200,
            "Veo3.1 video generated successfully.",
            Some(0),
            false,
        ),
        (
            Fate::Fallback,
            200,
            "Veo3.1 video generated successfully (using fallback model).",
            Some(1),
            true,
        ),
    ] {
        let mut receiver = Receiver::start(&[]).await;
        let sim = start(scenario(Pace::AtOnce, Callbacks::default()).task(1.., fate)).await;
        let user = User::new(&sim, "key");
        let request =
            json!({ "prompt": "A kite", "aspect_ratio": "9:16", "callBackUrl": receiver.url });
        user.kie_task(request).await;
        let body = receiver.next().await.1;
        let data = &body["data"];
        assert_eq!(
            (&body["code"], &body["msg"]),
            (&json!(code), &json!(words)),
            "{fate:?}"
        );
        assert_eq!(
            data["info"]["resultUrls"].as_array().map(Vec::len),
            urls,
            "{fate:?}"
        );
        assert_eq!(
            (&data["info"]["originUrls"], &data["fallbackFlag"]),
            (&Value::Null, &json!(fallback)),
            "{fate:?}"
        );
        let returned = sim.charges()[0].refunded;
        assert_eq!(
            returned,
            urls.is_none(),
            "{fate:?}: the charge is returned without a question about the task"
        );
    }
}

#[tokio::test]
async fn a_task_that_never_ends_has_no_callback() {
    let mut receiver = Receiver::start(&[]).await;
    let sim = start(scenario(Pace::AtOnce, Callbacks::default()).task(1.., Fate::Stuck)).await;
    User::new(&sim, "key")
        .kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
        .await;
    receiver.nothing().await;
}

#[tokio::test]
async fn extensions_and_4k_upgrades_have_callbacks_of_their_own() {
    for snake_case in [false, true] {
        let mut receiver = Receiver::start(&[]).await;
        let sim = start(scenario(
            FAST,
            Callbacks {
                snake_case,
                ..Callbacks::default()
            },
        ))
        .await;
        let user = User::new(&sim, "key");
        let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
        let request = json!({ "taskId": id, "prompt": "On", "callBackUrl": receiver.url });
        let extension = user.post("/api/v1/veo/extend", request).await["data"]["taskId"].clone();
        let url = format!(
            "{}/media/{}.mp4",
            sim.media_url(),
            extension.as_str().unwrap()
        );
        let info = json!({ "resultUrls": [url], "resolution": "720p" });
        let data = json!({ "taskId": extension, "info": info, "fallbackFlag": false });
        let wanted =
            json!({ "code": 200, "msg": "Veo3.1 video extension successful.", "data": data });
        assert_eq!(receiver.next().await.1, wanted);

        let request = json!({ "taskId": id, "callBackUrl": receiver.url });
        for _ in 0..2 {
            user.post("/api/v1/veo/get-4k-video", request.clone()).await;
        }
        let body = receiver.next().await.1;
        let url = format!("{}/media/{id}_4k.mp4", sim.media_url());
        let data = match snake_case {
            false => {
                let info = json!({ "resultUrls": [url], "imageUrls": [] });
                json!({ "taskId": id, "info": info, "creditsConsumed": 120 })
            }
            true => {
                let media_ids = &body["data"]["media_ids"];
                assert_eq!(media_ids[0].as_str().unwrap().len(), 32);
                json!({ "task_id": id, "result_urls": [url], "media_ids": media_ids, "image_urls": [] })
            }
        };
        assert_eq!(
            body,
            json!({ "code": 200, "msg": "4K Video generated successfully.", "data": data })
        );
        // Only the call that starts the upgrade has a callback.
        receiver.nothing().await;
        assert_eq!(user.size(&json!(url)).await, (3840, 2160, 8));
    }
}

#[tokio::test]
async fn tasks_of_the_current_form_have_one_of_three_bodies() {
    for body in [
        CallbackBody::Record,
        CallbackBody::Playground,
        CallbackBody::OldForm,
    ] {
        for fate in [Fate::Made, Fate::PromptRefused] {
            let mut receiver = Receiver::start(&[]).await;
            let callbacks = Callbacks {
                body,
                ..Callbacks::default()
            };
            let sim = start(scenario(Pace::AtOnce, callbacks).task(1.., fate)).await;
            let user = User::new(&sim, "key");
            let request = json!({
                "model": "veo-3-1", "callBackUrl": receiver.url, "input": { "prompt": "A kite", "model": "veo3_lite" },
            });
            user.post("/api/v1/jobs/createTask", request).await;
            let seen = receiver.next().await.1;
            let id = sim.charges()[0].task.clone();
            let record = user.task(&id).await;
            let is_made = fate == Fate::Made;
            let refusal = "Your prompt was flagged by Website as violating content policies.";
            let mut playground = record.clone();
            playground
                .as_object_mut()
                .unwrap()
                .remove("creditsConsumed");
            playground["consumeCredits"] = record["creditsConsumed"].clone();
            playground["remainedCredits"] = json!(if is_made { 1220.75 } else { 1250.75 });
            let info = json!({ "resultUrls": [format!("{}/media/{id}.mp4", sim.media_url())], "resolution": "720p" });
            let prompt = seen["data"]["promptJson"].clone();
            let wanted = match (body, is_made) {
                (CallbackBody::Record, true) => {
                    json!({ "code": 200, "msg": "success", "data": record })
                }
                (CallbackBody::Record, false) => {
                    json!({ "code": 501, "msg": refusal, "data": record })
                }
                (CallbackBody::Playground, true) => {
                    let words = "Playground task completed successfully.";
                    json!({ "code": 200, "msg": words, "data": playground })
                }
                (CallbackBody::Playground, false) => {
                    json!({ "code": 501, "msg": "Playground task failed.", "data": playground })
                }
                (_, true) => {
                    let data = json!({ "taskId": id, "promptJson": prompt, "info": info, "fallbackFlag": false });
                    json!({ "code": 200, "msg": "Veo3.1 video generated successfully.", "data": data })
                }
                (_, false) => {
                    let data = json!({ "taskId": id, "fallbackFlag": false });
                    json!({ "code": 400, "msg": refusal, "data": data })
                }
            };
            assert_eq!(seen, wanted, "{body:?} {fate:?}");
            if let Some(prompt) = prompt.as_str() {
                let prompt: Value = serde_json::from_str(prompt).unwrap();
                assert_eq!(prompt, json!({ "prompt": "A kite", "model": "veo3_lite" }));
            }
        }
    }
}

#[tokio::test]
async fn an_upgrade_of_the_current_form_has_its_own_callback() {
    let mut receiver = Receiver::start(&[]).await;
    let sim = start(scenario(FAST, Callbacks::default())).await;
    let user = User::new(&sim, "key");
    let source = user
        .create_task("veo-3-1", json!({ "prompt": "A kite" }))
        .await;
    user.task_end(&source).await;
    let request = json!({
        "model": "veo/get-4k-video", "callBackUrl": receiver.url, "input": { "task_id": source },
    });
    let reply = user.post("/api/v1/jobs/createTask", request).await;
    let upgrade = reply["data"]["taskId"].as_str().unwrap();
    let body = receiver.next().await.1;
    assert_eq!(body["data"], user.task(upgrade).await);
    receiver.nothing().await;
}

#[tokio::test]
async fn a_failed_4k_upgrade_has_both_documented_callbacks() {
    for (snake_case, shape) in [(false, None), (true, None), (false, Some(Shape::NoData))] {
        let mut receiver = Receiver::start(&[]).await;
        let how = Callbacks {
            snake_case,
            shape,
            ..Callbacks::default()
        };
        let sim = start(scenario(FAST, how).task(1.., Fate::No4k)).await;
        let user = User::new(&sim, "key");
        let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
        user.post(
            "/api/v1/veo/get-4k-video",
            json!({ "taskId": id, "callBackUrl": receiver.url }),
        )
        .await;
        let words = "The 4K version of this video is unavailable. Please try a different video.";
        let data = match (snake_case, shape) {
            (false, None) => json!({ "taskId": id }),
            (true, None) => json!({ "task_id": id }),
            _ => Value::Null,
        };
        assert_eq!(
            receiver.next().await.1,
            json!({ "code": 500, "msg": words, "data": data })
        );
    }
}

#[tokio::test]
async fn a_callback_comes_in_other_documented_shapes() {
    for (shape, place, wanted) in [
        (
            Shape::UrlsAsText,
            "/data/info/resultUrls",
            json!("[\"URL\"]"),
        ),
        (
            Shape::UrlsInBrackets,
            "/data/info/resultUrls",
            json!("[URL]"),
        ),
        (Shape::NoData, "/data", Value::Null),
        (Shape::SnakeCase, "/data/info/result_urls", json!(["URL"])),
    ] {
        let mut receiver = Receiver::start(&[]).await;
        let callbacks = Callbacks {
            shape: Some(shape),
            key: Some("secret".to_owned()),
            ..Callbacks::default()
        };
        let sim = start(scenario(Pace::AtOnce, callbacks)).await;
        let images = json!(["https://img.example.net/kite.png"]);
        let request =
            json!({ "prompt": "A kite", "imageUrls": images, "callBackUrl": receiver.url });
        let id = User::new(&sim, "key").kie_task(request).await;
        let (headers, body) = receiver.next().await;
        let url = format!("{}/media/{id}.mp4", sim.media_url());
        let seen = body
            .pointer(place)
            .unwrap_or_else(|| panic!("{body}"))
            .to_string();
        assert_eq!(seen.replace(&url, "URL"), wanted.to_string(), "{shape:?}");
        assert_eq!(
            (&body["code"], headers.contains_key("x-webhook-signature")),
            (&json!(200), true),
            "{shape:?}"
        );
        if let Some(echo) = body.pointer("/data/promptJson") {
            let echo: Value = serde_json::from_str(echo.as_str().unwrap()).unwrap();
            assert_eq!(
                echo["imageUrls"], images,
                "what was sent comes back, and is no result"
            );
        }
    }
}

#[tokio::test]
async fn a_callback_is_signed_if_there_is_a_key() {
    let mut receiver = Receiver::start(&[]).await;
    let sim = start(scenario(
        Pace::AtOnce,
        Callbacks {
            key: Some("secret".to_owned()),
            ..Callbacks::default()
        },
    ))
    .await;
    let user = User::new(&sim, "key");
    let id = user
        .kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
        .await;
    let (headers, _) = receiver.next().await;
    let [time, signature] =
        ["x-webhook-timestamp", "x-webhook-signature"].map(|name| headers[name].to_str().unwrap());
    let mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret")
        .unwrap()
        .chain_update(format!("{id}.{time}"));
    assert_eq!(
        signature,
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    );
    assert!(time.parse::<u64>().unwrap() > 1_500_000_000, "{time}");
}

#[tokio::test]
async fn a_callback_is_sent_up_to_four_times_until_a_200() {
    for (answers, attempts) in [
        (&[200][..], 1),
        (&[500, 200], 2),
        (&[404, 201, 204, 200], 4),
        (&[302, 307, 308, 429], 4),
        (&[503, 503, 503, 503, 200], 4),
    ] {
        let mut receiver = Receiver::start(answers).await;
        let key = Some("secret".to_owned());
        let sim = start(scenario(
            FAST,
            Callbacks {
                key,
                ..Callbacks::default()
            },
        ))
        .await;
        let id = User::new(&sim, "key")
            .kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
            .await;
        let mut times = Vec::new();
        for _ in 0..attempts {
            let (headers, body) = receiver.next().await;
            assert_eq!(body["data"]["taskId"], id, "{answers:?}");
            times.push(
                headers["x-webhook-timestamp"]
                    .to_str()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap(),
            );
        }
        receiver.nothing().await;
        // The time of a signature is real time at every pace, since the receiver compares it with its own clock.
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        assert!(
            times.is_sorted() && times.iter().all(|time| now.abs_diff(*time) < 60),
            "{answers:?}: {times:?} at {now}"
        );
        let results: Vec<_> = sim
            .callbacks()
            .into_iter()
            .map(|sent| sent.result.unwrap())
            .collect();
        assert_eq!(results, answers[..attempts], "{answers:?}");
    }
}

#[tokio::test]
async fn the_pause_before_the_next_attempt_is_simulated_time() {
    let mut receiver = Receiver::start(&[500]).await;
    // At this pace a real second is a simulated millisecond.
    let sim = start(scenario(Pace::Scale(0.001), Callbacks::default())).await;
    User::new(&sim, "key")
        .kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
        .await;
    sim.advance(Duration::from_secs(90));
    receiver.next().await;
    receiver.nothing().await;
    sim.advance(Duration::from_secs(1));
    receiver.next().await;
}

#[tokio::test]
async fn callbacks_come_twice_late_and_in_the_wrong_order() {
    let how = Callbacks {
        twice: true,
        reordered: true,
        late: 60,
        ..Callbacks::default()
    };
    for pace in [Pace::AtOnce, Pace::Scale(1.0)] {
        let mut receiver = Receiver::start(&[]).await;
        let sim = start(scenario(pace, how.clone())).await;
        let user = User::new(&sim, "key");
        let request = json!({ "prompt": "A kite", "callBackUrl": receiver.url });
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(json!(user.kie_task(request.clone()).await));
            if let Pace::Scale(_) = pace {
                sim.advance(Duration::from_secs(90));
            }
            receiver.nothing().await;
            sim.advance(Duration::from_secs(60));
            if tasks.len() == 2 {
                let bodies = receiver.bodies(4).await;
                let about: Vec<_> = bodies.iter().map(|body| &body["data"]["taskId"]).collect();
                assert_eq!(
                    about,
                    [&tasks[1], &tasks[1], &tasks[0], &tasks[0]],
                    "{pace:?}"
                );
            }
            // Callbacks in the wrong order come in pairs, so a single last callback does not come.
            receiver.nothing().await;
        }
    }
}

#[tokio::test]
async fn a_late_callback_does_not_wait_for_a_question() {
    let mut receiver = Receiver::start(&[]).await;
    let sim = start(scenario(
        Pace::Scale(1.0),
        Callbacks {
            late: 60,
            ..Callbacks::default()
        },
    ))
    .await;
    User::new(&sim, "key")
        .kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
        .await;
    sim.advance(Duration::from_secs(90 + 60));
    receiver.next().await;
}

#[tokio::test]
async fn a_callback_is_sent_although_the_reply_is_lost() {
    let mut receiver = Receiver::start(&[]).await;
    let sim =
        start(scenario(Pace::AtOnce, Callbacks::default()).fault("submit", 1.., Fault::Drop)).await;
    let user = User::new(&sim, "key");
    let request = json!({ "prompt": "A kite", "callBackUrl": receiver.url });
    user.call(reqwest::Method::POST, "/api/v1/veo/generate")
        .json(&request)
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        receiver.next().await.1["data"]["taskId"],
        sim.charges()[0].task
    );
}

#[tokio::test]
async fn only_receivers_on_this_machine_are_called() {
    let sim = start(scenario(Pace::AtOnce, Callbacks::default())).await;
    let user = User::new(&sim, "key");
    // Another socket has this port, and no server listens there.
    let unused = TcpSocket::new_v4().unwrap();
    unused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = unused.local_addr().unwrap();
    for (number, url) in [
        "https://hook.example.net/",
        "http://10.0.0.1/hook",
        "nonsense",
    ]
    .into_iter()
    .enumerate()
    {
        user.kie_task(json!({ "prompt": "A kite", "callBackUrl": url }))
            .await;
        while sim.callbacks().len() <= number {
            tokio::task::yield_now().await;
        }
        let sent = &sim.callbacks()[number];
        assert_eq!(sent.url, url);
        assert!(
            sent.result
                .as_ref()
                .unwrap_err()
                .contains("to this machine only"),
            "{sent:?}"
        );
    }
    let long = format!("http://{free}/{}", "x".repeat(2048));
    user.kie_task(json!({ "prompt": "A kite", "callBackUrl": long }))
        .await;
    let sent = &sim.callbacks()[3];
    assert_eq!(
        (
            sent.url.len(),
            sent.result
                .as_ref()
                .unwrap_err()
                .contains("give a shorter one")
        ),
        (80, true)
    );
    // A callback is tried four times if the receiver does not answer.
    user.kie_task(json!({ "prompt": "A kite", "callBackUrl": format!("http://{free}/") }))
        .await;
    for number in 5..=8 {
        while sim.callbacks().len() < number {
            sim.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        let result = sim.callbacks()[number - 1].result.clone();
        assert!(
            result
                .unwrap_err()
                .starts_with(&format!("No server accepts callbacks at {free}"))
        );
    }
}

#[tokio::test]
async fn the_catalogue_has_scenarios_for_callbacks() {
    let mut receiver = Receiver::start(&[]).await;
    let sim = Sim::start().await.unwrap();
    for (key, count) in [
        ("signed-callbacks", 1),
        ("untidy-callbacks", 4),
        ("callbacks-as-text", 1),
        ("callbacks-without-data", 1),
        ("playground-callbacks", 1),
        ("old-form-callbacks", 1),
    ] {
        let user = User::new(&sim, key);
        for _ in 0..1 + count / 4 {
            user.kie_task(json!({ "prompt": "A kite", "callBackUrl": receiver.url }))
                .await;
        }
        for _ in 0..count {
            assert!(
                receiver.next().await.0.contains_key("x-webhook-signature"),
                "{key}"
            );
        }
        receiver.nothing().await;
    }
}
