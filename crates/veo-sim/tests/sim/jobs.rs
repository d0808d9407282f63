//! kie.ai's current form, in which videos, extensions and upgrades are all tasks of `createTask`.

use std::time::Duration;

use serde_json::{Value, json};
use veo_sim::{Fate, Pace, Scenario, Sim};

use crate::providers::SIZES;
use crate::{User, rows, start, toml};

const VEO: &str = "veo-3-1";

/// Returns the JSON inside a text.
fn read(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

/// The URL of the only video in a record of 720p.
fn url(record: &Value) -> Value {
    read(&record["resultJson"])["resultUrls"][0].clone()
}

#[tokio::test]
async fn the_current_form_makes_the_video_of_the_request() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for (ratio, resolution, seconds, size) in SIZES {
        let input = json!({
            "prompt": "A kite", "model": "veo3_lite", "resolution": resolution, "aspect_ratio": ratio, "duration": seconds,
        });
        let id = user.create_task(VEO, input.clone()).await;
        for _ in 1..=3 {
            let record = user.task(&id).await;
            let wanted = json!({
                "taskId": id, "model": VEO, "state": "waiting", "param": record["param"], "resultJson": "",
                "failCode": null, "failMsg": null, "costTime": null, "completeTime": null,
                "createTime": record["createTime"],
            });
            assert_eq!(record, wanted);
        }
        let record = user.task(&id).await;
        // The input is JSON text inside JSON text.
        let param = read(&record["param"]);
        assert_eq!(
            (&param["model"], read(&param["input"])),
            (&json!(VEO), input)
        );

        let [created, completed] =
            ["createTime", "completeTime"].map(|name| record[name].as_u64().unwrap());
        assert!(
            created > 1_500_000_000_000 && created <= completed,
            "{record}"
        );
        let urls = |which: &str| json!([format!("{}/media/{id}{which}.mp4", sim.media_url())]);
        let (result, price) = match resolution {
            "720p" => (json!({ "resultUrls": urls("") }), 30),
            "1080p" => (
                json!({ "data": { "result_urls": urls(""), "origin_urls": urls("_origin") } }),
                35,
            ),
            _ => (
                json!({ "data": { "result_urls": urls(""), "origin_urls": urls("_origin") } }),
                150,
            ),
        };
        let wanted = json!({
            "taskId": id, "model": VEO, "state": "success", "param": record["param"],
            "resultJson": record["resultJson"], "failCode": null, "failMsg": null,
            "costTime": (completed - created) / 1000, "completeTime": completed, "createTime": created,
            "updateTime": completed, "creditsConsumed": price,
        });
        assert_eq!((&record, read(&record["resultJson"])), (&wanted, result));
        assert_eq!(user.size(&urls("")[0]).await, size);
        let small = if ratio == "16:9" {
            (1280, 720, seconds)
        } else {
            (720, 1280, seconds)
        };
        assert_eq!(user.size(&urls("_origin")[0]).await, small);
    }
    assert_eq!(sim.surprises(), [""; 0]);
}

#[tokio::test]
async fn a_record_has_whole_seconds_and_the_tier_that_ran() {
    let sim = start(Scenario::new("test", "").pace(Pace::Scale(1.0))).await;
    let user = User::new(&sim, "key");
    let request = json!({
        "model": VEO, "callBackUrl": "https://app.example.net/hook", "input": { "prompt": "A kite" },
    });
    let reply = user.post("/api/v1/jobs/createTask", request.clone()).await;
    sim.advance(Duration::from_secs(3600));
    let record = user.task(reply["data"]["taskId"].as_str().unwrap()).await;
    assert_eq!(record["costTime"], 90);
    let param = read(&record["param"]);
    assert_eq!(param["callBackUrl"], request["callBackUrl"]);
    assert_eq!(
        read(&param["input"]),
        json!({ "prompt": "A kite", "model": "veo3_fast" })
    );
}

#[tokio::test]
async fn the_current_form_refuses_invalid_fields() {
    let sim = start(toml("pace = 'at_once'")).await;
    let user = User::new(&sim, "key");
    let video = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
    let large = json!({ "prompt": "A kite", "resolution": "1080p" });
    let large = user.create_task(VEO, large).await;
    let upgrade = user
        .create_task("veo/get-4k-video", json!({ "task_id": video }))
        .await;
    let old = user.kie_task(json!({ "prompt": "A kite" })).await;
    user.record(&old).await;
    let balance = user.balance().await;
    let required = "This field is required";
    let unknown = "Server Error - An unexpected error occurred while processing the request";
    let invalid = "Validation Error - The request parameters failed validation checks";
    for [body, code, words] in rows(
        r#"
        [] | 422 | The request body must be a JSON object.
        {} | 500 | REQUIRED
        {"input":{"prompt":"A kite"}} | 500 | REQUIRED
        {"model":"veo-3-1"} | 500 | REQUIRED
        {"model":"veo-3-1","input":"A kite"} | 500 | REQUIRED
        {"model":"veo-3-1","input":{}} | 500 | REQUIRED
        {"model":"veo-3-1","prompt":"A kite","input":{}} | 500 | REQUIRED
        {"model":"veo-3-1","input":{"prompt":null}} | 500 | REQUIRED
        {"model":"veo-3-1","input":{"prompt":" "}} | 500 | REQUIRED
        {"model":"veo-3-1","input":{"prompt":"A kite","imageUrls":[]}} | 500 | UNKNOWN
        {"model":"veo-3-1","input":{"prompt":"A kite","seeds":10000}} | 500 | UNKNOWN
        {"model":"veo-3-1","input":{"prompt":"A kite","aspectRatio":"9:16"}} | 500 | UNKNOWN
        {"model":"veo-3-1","input":{"prompt":"A kite","callBackUrl":"http://127.0.0.1:9/"}} | 500 | UNKNOWN
        {"model":"veo-3-1-fast","input":{"prompt":"A kite"}} | 422 | Invalid model
        {"model":"veo3_fast","input":{"prompt":"A kite"}} | 422 | Invalid model
        {"model":"veo-3-1","input":{"prompt":"A kite","model":"fast"}} | 422 | Invalid model
        {"model":"veo-3-1","input":{"prompt":"A kite","aspect_ratio":"1:1"}} | 422 | Ratio error
        {"model":"veo-3-1","input":{"prompt":"A kite","resolution":"8k"}} | 422 | Resolution error
        {"model":"veo-3-1","input":{"prompt":"A kite","duration":"8"}} | 422 | Duration error
        {"model":"veo-3-1","input":{"prompt":"A kite","image_urls":["a","b","c"]}} | 422 | INVALID
        {"model":"veo-3-1","input":{"prompt":"A kite","generation_type":"REFERENCE_2_VIDEO"}} | 422 | INVALID
        {"model":"veo-3-1","input":{"prompt":"A kite","enable_translation":"yes"}} | 422 | INVALID
        {"model":"veo/extend","input":{"prompt":"On"}} | 500 | REQUIRED
        {"model":"veo/extend","input":{"task_id":"VIDEO"}} | 500 | REQUIRED
        {"model":"veo/extend","input":{"task_id":"VIDEO","prompt":"On","model":"veo3"}} | 500 | UNKNOWN
        {"model":"veo/extend","input":{"task_id":"VIDEO","prompt":"On","seeds":1}} | 422 | INVALID
        {"model":"veo/extend","input":{"task_id":"none","prompt":"On"}} | 404 | The original video does not exist.
        {"model":"veo/extend","input":{"task_id":"OLD","prompt":"On"}} | 404 | The original video does not exist.
        {"model":"veo/extend","input":{"task_id":"LARGE","prompt":"On"}} | 422 | Videos upgraded to 1080P cannot be extended.
        {"model":"veo/extend","input":{"task_id":"UPGRADE","prompt":"On"}} | 422 | INVALID
        {"model":"veo/get-1080p-video","input":{}} | 500 | REQUIRED
        {"model":"veo/get-1080p-video","input":{"task_id":"VIDEO"}} | 500 | REQUIRED
        {"model":"veo/get-1080p-video","input":{"taskId":"VIDEO","index":0}} | 422 | INVALID
        {"model":"veo/get-1080p-video","input":{"taskId":"none"}} | 422 | record is null.
        {"model":"veo/get-1080p-video","input":{"taskId":"OLD"}} | 422 | record is null.
        {"model":"veo/get-4k-video","input":{"taskId":"VIDEO"}} | 500 | REQUIRED
        {"model":"veo/get-4k-video","input":{"task_id":"VIDEO","index":"0"}} | 422 | INVALID
        {"model":"veo/get-4k-video","input":{"task_id":"UPGRADE"}} | 422 | INVALID
        "#,
    ) {
        let ids = [
            ("VIDEO", &video),
            ("LARGE", &large),
            ("UPGRADE", &upgrade),
            ("OLD", &old),
        ];
        let body = ids
            .into_iter()
            .fold(body.to_owned(), |body, (name, id)| body.replace(name, id));
        let words = words
            .replace("REQUIRED", required)
            .replace("UNKNOWN", unknown)
            .replace("INVALID", invalid);
        let mut wanted = json!({ "code": code.parse::<u16>().unwrap(), "msg": words });
        // The refusal for a missing field was seen without `data`.
        if words != required {
            wanted["data"] = Value::Null;
        }
        assert_eq!(
            user.send("/api/v1/jobs/createTask", &body).await,
            (200, wanted),
            "{body}"
        );
    }
    let reply = user.get("/api/v1/jobs/recordInfo").await;
    assert_eq!(
        reply,
        json!({ "code": 400, "msg": "taskId parameter is required", "data": null })
    );
    assert_eq!(
        (user.balance().await, sim.charges().len()),
        (balance, 4),
        "a refusal costs nothing"
    );
}

#[tokio::test]
async fn fields_that_exclude_each_other_are_reported() {
    let sim = Sim::start().await.unwrap();
    let images = json!(["https://img.example.net/kite.png"]);
    let input = json!({
        "prompt": "A kite", "image_urls": images, "generation_type": "REFERENCE_2_VIDEO", "model": "veo3", "duration": 4,
    });
    User::new(&sim, "key").create_task(VEO, input).await;
    let call = &sim.calls()[0];
    let wanted = [
        "body /input/model: has to be \"veo3_fast\" or \"veo3_lite\" for REFERENCE_2_VIDEO",
        "body /input/duration: has to be 8 for REFERENCE_2_VIDEO",
    ];
    assert_eq!(call.mismatches, wanted);
}

#[tokio::test]
async fn only_its_own_account_and_form_know_a_task() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let old = user.kie_task(json!({ "prompt": "A kite" })).await;
    let current = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
    let no_record = json!({ "code": 422, "msg": "recordInfo is null", "data": null });
    let no_old_record = json!({ "code": 422, "msg": "record is null.", "data": null });
    for (who, id) in [
        (&user, "none"),
        (&user, &old),
        (&User::new(&sim, "other"), &current),
    ] {
        let path = format!("/api/v1/jobs/recordInfo?taskId={id}");
        assert_eq!(who.send(&path, "").await, (200, no_record.clone()));
    }
    // Questions in the other form do not bring the task to its end.
    for _ in 1..=10 {
        let path = format!("/api/v1/veo/record-info?taskId={current}");
        assert_eq!(user.get(&path).await, no_old_record);
    }
    let path = format!("/api/v1/veo/get-1080p-video?taskId={current}");
    assert_eq!(user.get(&path).await, no_old_record);
    assert_eq!(user.task(&current).await["state"], "waiting");

    user.task_end(&current).await;
    sim.advance(Duration::from_secs(15 * 24 * 3600));
    let path = format!("/api/v1/jobs/recordInfo?taskId={current}");
    assert_eq!(
        user.get(&path).await,
        no_record,
        "a record is older than 14 days"
    );
}

#[tokio::test]
async fn extensions_and_upgrades_have_prices_of_their_own() {
    let sim = Sim::builder()
        .scenario(Scenario::new("rich", "").pace(Pace::AtOnce).credits(1e6))
        .start()
        .await
        .unwrap();
    let user = User::new(&sim, "key");
    for (tier, price) in [("veo3_lite", 30), ("veo3_fast", 60), ("veo3", 250)] {
        let input =
            json!({ "prompt": "A kite", "model": tier, "duration": 4, "aspect_ratio": "9:16" });
        let mut source = user.create_task(VEO, input).await;
        user.task(&source).await;
        // The extensions are made one by one, since each can be extended again.
        for _ in 0..2 {
            let input = json!({ "task_id": source, "prompt": "It lands", "seeds": 10_000 });
            let extension = user.create_task("veo/extend", input).await;
            assert_ne!(extension, source);
            let record = user.task(&extension).await;
            assert_eq!(
                (&record["model"], &record["creditsConsumed"]),
                (&json!("veo/extend"), &json!(price)),
                "{tier}"
            );
            assert_eq!(user.size(&url(&record)).await, (720, 1280, 7));
            source = extension;
        }
    }

    let source = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
    for (model, input, price, size) in [
        (
            "veo/get-1080p-video",
            json!({ "taskId": source, "index": "0" }),
            5,
            (1920, 1080, 8),
        ),
        (
            "veo/get-4k-video",
            json!({ "task_id": source, "index": 0 }),
            120,
            (3840, 2160, 8),
        ),
        // A repeated upgrade is a new task.
        (
            "veo/get-4k-video",
            json!({ "task_id": source }),
            120,
            (3840, 2160, 8),
        ),
    ] {
        let before = user.balance().await;
        let upgrade = user.create_task(model, input).await;
        let record = user.task(&upgrade).await;
        assert_eq!(
            (
                &record["model"],
                &record["state"],
                &record["creditsConsumed"]
            ),
            (&json!(model), &json!("success"), &json!(price))
        );
        assert_eq!(user.size(&url(&record)).await, size);
        assert_eq!(user.balance().await, before - f64::from(price));
    }
    assert_eq!(sim.surprises(), [""; 0]);
}

#[tokio::test]
async fn an_unfinished_or_fallback_video_has_no_upgrade() {
    for (fate, words) in [
        ("stuck", "record status is not success."),
        ("failed", "record status is not success."),
        ("filtered", "record result data is empty."),
        (
            "fallback",
            "Videos made by the fallback model cannot be upgraded.",
        ),
    ] {
        let sim = start(toml(&format!(
            "pace = 'at_once'\ntask = [{{ fate = '{fate}' }}]"
        )))
        .await;
        let user = User::new(&sim, "key");
        let source = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
        for (model, name) in [
            ("veo/get-1080p-video", "taskId"),
            ("veo/get-4k-video", "task_id"),
        ] {
            let request = json!({ "model": model, "input": { name: source } });
            let reply = user.post("/api/v1/jobs/createTask", request).await;
            assert_eq!(
                (&reply["code"], &reply["msg"]),
                (&json!(422), &json!(words)),
                "{fate}"
            );
        }
        assert_eq!(sim.charges().len(), 1, "{fate}");
    }
}

#[tokio::test]
async fn credits_are_held_for_a_task_and_returned_if_it_fails() {
    // Each row has the fate; the state, code, words and number of videos at the end; and the cost.
    for (fate, wanted, cost) in [
        (Fate::Made, "success null null 1", 65),
        (Fate::Smaller, "success null null 1", 65),
        (Fate::Fallback, "success null null 1", 65),
        (Fate::No4k, "success null null 1", 65),
        (Fate::Filtered, "success null null 0", 65),
        (
            Fate::PromptRefused,
            r#"fail "400" "Your prompt was flagged by Website as violating content policies." 0"#,
            0,
        ),
        (
            Fate::ImageRefused,
            r#"fail "400" "public error unsafe image upload." 0"#,
            0,
        ),
        (
            Fate::NoAudio,
            r#"fail "400" "The Google model was unable to generate audio for this request." 0"#,
            0,
        ),
        (Fate::Failed, r#"fail "422" "failed" 0"#, 0),
        (
            Fate::FailedEarly,
            r#"fail "500" "Internal Error, Please try again later." 0"#,
            0,
        ),
        (Fate::FailedButCharged, r#"fail "422" "failed" 0"#, 65),
        (
            Fate::Retired,
            r#"fail "400" "PUBLIC_ERROR_MODEL_ACCESS_DENIED" 0"#,
            0,
        ),
    ] {
        let sim = start(Scenario::new("test", "").task(1.., fate)).await;
        let user = User::new(&sim, "key");
        let id = user
            .create_task(VEO, json!({ "prompt": "A kite", "resolution": "1080p" }))
            .await;
        assert_eq!(user.balance().await, 1185.75, "{fate:?}");
        let record = user.task_end(&id).await;
        let urls = match record["resultJson"].as_str() {
            Some("") => 0,
            _ => read(&record["resultJson"])["data"]["result_urls"]
                .as_array()
                .unwrap()
                .len(),
        };
        let [state, code, words] = ["state", "failCode", "failMsg"].map(|name| &record[name]);
        let state = state.as_str().unwrap();
        assert_eq!(format!("{state} {code} {words} {urls}"), wanted, "{fate:?}");
        assert_eq!(record["creditsConsumed"], cost, "{fate:?}");
        assert_eq!(user.balance().await, 1250.75 - f64::from(cost), "{fate:?}");
        let url = json!(format!("{}/media/{id}.mp4", sim.media_url()));
        let is_there = if urls > 0 { 200 } else { 404 };
        assert_eq!(user.fetch(&url).await.status(), is_there, "{fate:?}");
    }
}

#[tokio::test]
async fn an_upgrade_has_its_own_fate() {
    // Each row has the fates of the video and of its upgrade to 4K, the end of the upgrade, and the cost of both.
    for (first, second, state, words, cost) in [
        (Fate::Smaller, Fate::Smaller, "success", Value::Null, 180.0),
        (Fate::Made, Fate::Fallback, "success", Value::Null, 180.0),
        (Fate::Made, Fate::No4k, "success", Value::Null, 180.0),
        (Fate::Made, Fate::Failed, "fail", json!("failed"), 60.0),
        (
            Fate::No4k,
            Fate::Made,
            "fail",
            json!("The 4K version of this video is unavailable. Please try a different video."),
            60.0,
        ),
    ] {
        let scenario = Scenario::new("test", "")
            .task(1..=1, first)
            .task(2..=2, second);
        let sim = start(scenario).await;
        let user = User::new(&sim, "key");
        let source = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
        user.task_end(&source).await;
        let upgrade = user
            .create_task("veo/get-4k-video", json!({ "task_id": source }))
            .await;
        let record = user.task_end(&upgrade).await;
        let case = format!("{first:?} {second:?}");
        assert_eq!(
            (&record["state"], &record["failMsg"]),
            (&json!(state), &words),
            "{case}"
        );
        if state == "success" {
            assert_eq!(user.size(&url(&record)).await, (3840, 2160, 8), "{case}");
        }
        assert_eq!(user.balance().await, 1250.75 - cost, "{case}");
    }
}

const OMNI: &str = "google/gemini-omni-flash-1-1";

#[tokio::test]
async fn the_successor_of_veo_has_its_own_formats_and_prices() {
    let sim = Sim::builder()
        .scenario(Scenario::new("rich", "").pace(Pace::AtOnce).credits(1e6))
        .start()
        .await
        .unwrap();
    let user = User::new(&sim, "key");
    let video = json!([{ "url": "https://img.example.net/kite.mp4" }]);
    for (rest, price, size) in [
        (json!({ "duration": "4" }), 63, (1280, 720, 4)),
        (
            json!({ "duration": "4", "resolution": "360p" }),
            63,
            (640, 360, 4),
        ),
        (
            json!({ "duration": "6", "resolution": "1080p" }),
            84,
            (1920, 1080, 6),
        ),
        (
            json!({ "duration": "8", "aspect_ratio": "9:16" }),
            105,
            (720, 1280, 8),
        ),
        (json!({ "duration": "10", "seed": 7 }), 126, (1280, 720, 10)),
        (
            json!({ "duration": "4", "resolution": "4k" }),
            147,
            (3840, 2160, 4),
        ),
        (
            json!({ "duration": "10", "resolution": "4k" }),
            210,
            (3840, 2160, 10),
        ),
        (
            json!({ "duration": "4", "video_list": video }),
            168,
            (1280, 720, 4),
        ),
        (
            json!({ "duration": "10", "video_list": video, "resolution": "4k" }),
            252,
            (3840, 2160, 10),
        ),
    ] {
        let mut input = json!({ "prompt": "A kite" });
        input
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let id = user.create_task(OMNI, input.clone()).await;
        let record = user.task(&id).await;
        assert_eq!(
            (&record["model"], &record["creditsConsumed"]),
            (&json!(OMNI), &json!(price)),
            "{rest}"
        );
        assert_eq!(read(&read(&record["param"])["input"]), input);
        // The record of this model has the video in every size.
        assert_eq!(user.size(&url(&record)).await, size, "{rest}");
    }
    assert_eq!(sim.surprises(), [""; 0]);
}

#[tokio::test]
async fn the_successor_of_veo_refuses_foreign_fields() {
    let sim = start(toml("pace = 'at_once'")).await;
    let user = User::new(&sim, "key");
    let made = user
        .create_task(OMNI, json!({ "prompt": "A kite", "duration": "4" }))
        .await;
    user.task(&made).await;
    for (model, input, code) in [
        (OMNI, json!({ "prompt": "A kite" }), 500),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "watermark": "Kite" }),
            500,
        ),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "generation_type": "TEXT_2_VIDEO" }),
            500,
        ),
        (OMNI, json!({ "prompt": "A kite", "duration": 4 }), 422),
        (OMNI, json!({ "prompt": "A kite", "duration": "5" }), 422),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "aspect_ratio": "Auto" }),
            422,
        ),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "resolution": "8k" }),
            422,
        ),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "image_urls": vec!["a"; 8] }),
            422,
        ),
        (
            OMNI,
            json!({ "prompt": "A kite", "duration": "4", "audio_ids": vec!["a"; 4] }),
            422,
        ),
        (
            OMNI,
            json!({ "prompt": "a".repeat(20_001), "duration": "4" }),
            422,
        ),
        (
            "veo/extend",
            json!({ "task_id": made, "prompt": "On" }),
            422,
        ),
        ("veo/get-1080p-video", json!({ "taskId": made }), 422),
    ] {
        let request = json!({ "model": model, "input": input });
        let reply = user.post("/api/v1/jobs/createTask", request).await;
        assert_eq!(reply["code"], code, "{model} {input}: {reply}");
    }
    assert_eq!(sim.charges().len(), 1);

    // A request that only the words of the page forbid is accepted, and the difference is named.
    let a = "https://img.example.net/kite.png";
    for (rest, difference) in [
        (json!({ "first_frame_url": a, "last_frame_url": a }), None),
        (json!({ "image_urls": vec![a; 7] }), None),
        (
            json!({ "last_frame_url": a }),
            Some("body /input/last_frame_url: is given without first_frame_url"),
        ),
        (
            json!({ "first_frame_url": a, "character_ids": ["7"] }),
            Some("body /input: has frames beside images, sounds, characters or a video"),
        ),
    ] {
        let mut input = json!({ "prompt": "A kite", "duration": "4" });
        input
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        user.create_task(OMNI, input).await;
        let mismatches = sim.calls().pop().unwrap().mismatches;
        assert_eq!(mismatches, Vec::from_iter(difference), "{rest}");
    }
}

#[tokio::test]
async fn both_forms_share_one_account() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "limited");
    let old = (
        "/api/v1/veo/generate",
        r#"{"prompt":"A kite","model":"veo3_lite"}"#,
    );
    let current = (
        "/api/v1/jobs/createTask",
        r#"{"model":"veo-3-1","input":{"prompt":"A kite","model":"veo3_lite"}}"#,
    );
    for _ in 0..10 {
        for (path, body) in [old, current] {
            assert_eq!(user.send(path, body).await.1["code"], 200);
        }
    }
    for (path, body) in [old, current] {
        assert_eq!(user.send(path, body).await.1["code"], 429, "{path}");
    }
    assert_eq!(user.balance().await, 1250.75 - 600.0);
    sim.advance(Duration::from_secs(10));
    assert_eq!(user.send(current.0, current.1).await.1["code"], 200);

    let id = sim.charges()[1].task.clone();
    let url = url(&user.task_end(&id).await);
    let reply = user
        .post("/api/v1/common/download-url", json!({ "url": url }))
        .await;
    assert_eq!(
        user.download(&reply["data"]).await,
        user.download(&url).await
    );
    assert_eq!(sim.submits(), 23);

    let poor = User::new(&sim, "no-credits");
    let reply = poor.send(current.0, current.1).await.1;
    let words = "Credits insufficient : Your current balance isn't enough to run this request.";
    assert_eq!(reply, json!({ "code": 402, "msg": words, "data": null }));
}

/// Each row has the end of the first and the second task: the HTTP status and the code, or the state.
#[tokio::test]
async fn the_scenarios_apply_to_the_current_form_too() {
    for [scenario, first, second, charges] in rows(
        r#"
        busy                | 429 429 | success | 1
        error-500-accepted  | 500 500 | success | 2
        maintenance         | 200 455 | 200 455 | 0
        wrong-key           | 200 401 | 200 401 | 0
        key-used-up         | 200 433 | 200 433 | 0
        no-credits          | 200 402 | 200 402 | 0
        retired             | 200 505 | 200 505 | 0
        retired-upstream    | 200 422 | 200 422 | 0
        refused             | 200 422 | 200 422 | 0
        error-in-success    | 200 400 | success | 1
        missing-field       | 200 500 | 200 500 | 0
        upgrade-impossible  | success | 200 500 | 1
        upgrade-task-fails  | success | fail    | 2
        retired-late        | fail    | fail    | 2
        as-documented       | success | success | 2
        "#,
    ) {
        let sim = Sim::start().await.unwrap();
        let user = User::new(&sim, scenario);
        for wanted in [first, second] {
            let body = r#"{"model":"veo-3-1","input":{"prompt":"A kite"}}"#;
            let (status, reply) = user.send("/api/v1/jobs/createTask", body).await;
            let seen = match reply["data"]["taskId"].as_str() {
                Some(id) => user.task_end(id).await["state"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
                None => format!("{status} {}", reply["code"]),
            };
            assert_eq!(seen, wanted, "{scenario}: {reply}");
        }
        assert_eq!(sim.charges().len().to_string(), charges, "{scenario}");
    }

    let sim = Sim::start().await.unwrap();
    for (scenario, refusals) in [("not-yet-known", 2), ("task-not-found", 1)] {
        let user = User::new(&sim, scenario);
        let id = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
        let path = format!("/api/v1/jobs/recordInfo?taskId={id}");
        for _ in 0..refusals {
            let (status, reply) = user.send(&path, "").await;
            let wanted = match scenario {
                "not-yet-known" => (200, "recordInfo is null"),
                _ => (404, "Task not found"),
            };
            assert_eq!((status, reply["msg"].as_str().unwrap()), wanted);
        }
        assert_eq!(user.task_end(&id).await["state"], "success");
    }
}

#[tokio::test]
async fn the_current_form_works_when_the_old_one_is_gone() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "retired-old-form");
    let request = r#"{"prompt":"A kite"}"#;
    assert_eq!(user.send("/api/v1/veo/generate", request).await.0, 404);
    let id = user.create_task(VEO, json!({ "prompt": "A kite" })).await;
    let record = user.task_end(&id).await;
    assert_eq!(user.size(&url(&record)).await, (1280, 720, 8));
    assert_eq!(sim.charges().len(), 1);
}
