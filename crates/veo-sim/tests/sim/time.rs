//! The course of simulated time.

use std::time::Duration;

use serde_json::{Value, json};
use veo_sim::{Pace, Scenario, Sim};

use crate::{User, start};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn paced(pace: Pace) -> Scenario {
    Scenario::new("test", "").pace(pace)
}

/// The work that takes time: the operation that starts it, and its simulated seconds.
const WORK: [(&str, u64); 4] = [
    ("generate", 90),
    ("extend", 300),
    ("1080p", 120),
    ("4k", 480),
];

/// Starts some work on a task, and returns the question about it.
async fn begin(user: &User<'_>, what: &str, source: &str) -> Question {
    let post = async |path: &str, body: Value| {
        let reply = user.post(&format!("/api/v1/veo/{path}"), body).await;
        assert_eq!(reply["msg"], "success");
        reply["data"]["taskId"].as_str().unwrap().to_owned()
    };
    let record = |id: String| Question::Get(format!("/api/v1/veo/record-info?taskId={id}"));
    match what {
        "generate" => record(user.kie_task(json!({ "prompt": "A kite" })).await),
        "extend" => record(post("extend", json!({ "taskId": source, "prompt": "It lands" })).await),
        "4k" => {
            post("get-4k-video", json!({ "taskId": source })).await;
            Question::Post4k(source.to_owned())
        }
        _ => {
            // The first call starts the upgrade.
            let question = Question::Get(format!("/api/v1/veo/get-1080p-video?taskId={source}"));
            question.is_done(user).await;
            question
        }
    }
}

enum Question {
    Get(String),
    Post4k(String),
}

impl Question {
    async fn is_done(&self, user: &User<'_>) -> bool {
        let reply = match self {
            Question::Get(path) => user.get(path).await,
            Question::Post4k(id) => {
                user.post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
                    .await
            }
        };
        let data = &reply["data"];
        data["successFlag"] == 1 || data["resultUrl"].is_string() || data["resultUrls"].is_array()
    }
}

/// Makes a finished video, from which other work starts.
async fn source(user: &User<'_>, sim: &Sim) -> String {
    let id = user.kie_task(json!({ "prompt": "A kite" })).await;
    sim.advance(10 * MINUTE);
    user.kie_end(&id).await;
    id
}

#[tokio::test]
async fn work_ends_after_the_number_of_questions() {
    for polls in [0, 1, 3] {
        let sim = start(paced(Pace::Polls(polls))).await;
        let user = User::new(&sim, "key");
        let source = source(&user, &sim).await;
        for (what, _) in WORK {
            let question = begin(&user, what, &source).await;
            // The call that starts an upgrade is the first question about it.
            let asked = u32::from(what == "1080p" || what == "4k");
            for _ in asked..polls {
                assert!(!question.is_done(&user).await, "{what}, {polls}");
            }
            assert!(question.is_done(&user).await, "{what}, {polls}");
            assert!(
                question.is_done(&user).await,
                "{what}, {polls}: and stays so"
            );
        }
    }
}

#[tokio::test]
async fn work_ends_at_once() {
    let sim = start(paced(Pace::AtOnce)).await;
    let user = User::new(&sim, "key");
    let source = source(&user, &sim).await;
    for (what, _) in WORK {
        assert!(
            begin(&user, what, &source).await.is_done(&user).await,
            "{what}"
        );
    }
    let job = user.uniall_task().await;
    assert_eq!(
        user.get(&format!("/v1/videos/{job}")).await["status"],
        "completed"
    );
}

#[tokio::test]
async fn work_takes_as_long_as_at_the_provider() {
    let sim = start(paced(Pace::Scale(1.0))).await;
    let user = User::new(&sim, "key");
    let source = source(&user, &sim).await;
    for (what, seconds) in WORK {
        let question = begin(&user, what, &source).await;
        // The number of questions does not matter.
        for _ in 0..5 {
            assert!(!question.is_done(&user).await, "{what}");
        }
        // The test itself takes at most a few seconds.
        sim.advance(Duration::from_secs(seconds - 20));
        assert!(!question.is_done(&user).await, "{what}");
        sim.advance(Duration::from_secs(20));
        assert!(question.is_done(&user).await, "{what}");
    }

    let job = user.uniall_task().await;
    let state = async || {
        let job = user.get(&format!("/v1/videos/{job}")).await;
        (
            job["status"].as_str().unwrap().to_owned(),
            job["progress"].as_u64().unwrap(),
        )
    };
    assert!(state().await.1 < 20);
    sim.advance(Duration::from_secs(45));
    let (status, progress) = state().await;
    assert!(
        status == "in_progress" && (50..70).contains(&progress),
        "{status} {progress}"
    );
    sim.advance(Duration::from_secs(45));
    assert_eq!(state().await, ("completed".to_owned(), 100));
}

#[tokio::test]
async fn simulated_minutes_pass_in_milliseconds() {
    let sim = start(paced(Pace::Scale(100_000.0))).await;
    let user = User::new(&sim, "key");
    let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let record = user.record(&id).await;
    let [created, completed] =
        ["createTime", "completeTime"].map(|name| record[name].as_u64().unwrap());
    // Both times are in whole seconds.
    assert!(
        (89_000..=91_000).contains(&(completed - created)),
        "{record}"
    );
    let upgrade = begin(&user, "4k", &id).await;
    while !upgrade.is_done(&user).await {}
}

#[tokio::test]
async fn a_download_link_expires_after_20_minutes() {
    for pace in [Pace::Polls(1), Pace::AtOnce, Pace::Scale(1.0)] {
        let sim = start(paced(pace)).await;
        let user = User::new(&sim, "key");
        let id = source(&user, &sim).await;
        let upload = json!({ "base64Data": "aGVsbG8=", "uploadPath": "in", "fileName": "a.png" });
        let upload =
            user.post("/api/file-base64-upload", upload).await["data"]["downloadUrl"].clone();
        for url in [json!(format!("{}/media/{id}.mp4", sim.media_url())), upload] {
            let link = async || {
                user.post("/api/v1/common/download-url", json!({ "url": url }))
                    .await["data"]
                    .clone()
            };
            let first = link().await;
            sim.advance(19 * MINUTE);
            assert_eq!(user.fetch(&first).await.status(), 200, "{pace:?}");
            sim.advance(2 * MINUTE);
            let reply = user.fetch(&first).await;
            assert_eq!(
                (reply.status().as_u16(), &*reply.text().await.unwrap()),
                (403, "Request has expired")
            );
            for good in [link().await, url.clone()] {
                assert_eq!(user.fetch(&good).await.status(), 200, "{pace:?} {good}");
            }
        }
    }
}

#[tokio::test]
async fn records_and_videos_are_kept_for_14_days_and_uploads_for_3() {
    for pace in [Pace::Polls(1), Pace::Scale(1.0)] {
        let sim = start(paced(pace)).await;
        let user = User::new(&sim, "key");
        let upload = json!({ "base64Data": "aGVsbG8=", "uploadPath": "in", "fileName": "a.png" });
        let upload = &user.post("/api/file-base64-upload", upload).await["data"]["downloadUrl"];
        let id = source(&user, &sim).await;
        let url = json!(format!("{}/media/{id}.mp4", sim.media_url()));
        sim.advance(2 * DAY);
        assert_eq!(user.fetch(upload).await.status(), 200);
        sim.advance(DAY);
        assert_eq!(user.fetch(upload).await.status(), 404);

        sim.advance(10 * DAY);
        user.record(&id).await;
        assert_eq!(user.fetch(&url).await.status(), 200);
        sim.advance(DAY);
        let old = json!({ "code": 422, "msg": "Temporarily supports records within 14 days.", "data": null });
        for path in ["record-info", "get-1080p-video"] {
            assert_eq!(
                user.get(&format!("/api/v1/veo/{path}?taskId={id}")).await,
                old
            );
        }
        let source = json!({ "taskId": id, "prompt": "It lands" });
        for path in ["get-4k-video", "extend"] {
            assert_eq!(
                user.post(&format!("/api/v1/veo/{path}"), source.clone())
                    .await,
                old
            );
        }
        assert_eq!(user.fetch(&url).await.status(), 404);
        let link = user
            .post("/api/v1/common/download-url", json!({ "url": url }))
            .await;
        assert_eq!(link["msg"], "url is wrong");
        assert_eq!(sim.charges().len(), 1, "nothing of this is charged");
    }
}

#[tokio::test]
async fn paid_requests_are_limited_in_ten_seconds_of_simulated_time() {
    for pace in [Pace::Polls(1), Pace::Scale(1.0)] {
        let sim = start(paced(pace).limit(2)).await;
        let user = User::new(&sim, "key");
        let request = json!({ "prompt": "A kite" });
        for round in 1..=2 {
            for code in [200, 200, 429] {
                assert_eq!(
                    user.post("/api/v1/veo/generate", request.clone()).await["code"],
                    code,
                    "{pace:?} {round}"
                );
            }
            sim.advance(Duration::from_secs(10));
        }
        assert_eq!((sim.submits(), sim.charges().len()), (6, 4));
    }
}

#[tokio::test]
async fn any_amount_of_time_can_pass() {
    for pace in [Pace::Polls(1), Pace::Scale(0.001), Pace::Scale(1_000_000.0)] {
        let sim = start(paced(pace)).await;
        let user = User::new(&sim, "key");
        for _ in 0..2 {
            sim.advance(Duration::MAX);
            let id = user.kie_task(json!({ "prompt": "A kite" })).await;
            user.record(&id).await;
            user.post(
                "/api/v1/common/download-url",
                json!({ "url": format!("{}/media/{id}.mp4", sim.media_url()) }),
            )
            .await;
        }
    }
}
