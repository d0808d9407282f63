//! The simulator's record of calls, charges and surprises.

use serde_json::{Value, json};
use veo_sim::{Callbacks, Fate, Fault, Pace, Scenario, Sim};

use crate::{User, start};

/// Returns the operations that were charged so far, with their prices.
fn charges(sim: &Sim) -> Vec<(&'static str, f64)> {
    sim.charges()
        .iter()
        .map(|charge| (charge.operation, charge.credits))
        .collect()
}

#[tokio::test]
async fn an_accepted_request_costs_its_price_once() {
    let sim = Sim::builder()
        .scenario(Scenario::new("rich", "").pace(Pace::AtOnce).credits(1e6))
        .start()
        .await
        .unwrap();
    let user = User::new(&sim, "key");
    for (model, prices) in [
        ("veo3_lite", [30.0, 35.0, 150.0]),
        ("veo3_fast", [60.0, 65.0, 180.0]),
        ("veo3", [250.0, 255.0, 380.0]),
    ] {
        for (resolution, price) in ["720p", "1080p", "4k"].into_iter().zip(prices) {
            for seconds in [4, 8] {
                let request = json!({ "prompt": "A kite", "model": model, "resolution": resolution, "duration": seconds });
                user.kie_task(request).await;
                assert_eq!(
                    charges(&sim).last(),
                    Some(&("generate", price)),
                    "{model} {resolution}"
                );
            }
        }
    }
    let request = json!({ "prompt": "p", "model": "veo3", "resolution": "4k", "imageUrls": ["https://host/a.png"] });
    user.kie_task(request).await;
    assert_eq!(
        charges(&sim).last(),
        Some(&("generate", 370.0)),
        "images make the dearest video cheaper"
    );
    let id = user.kie_task(json!({ "prompt": "A kite" })).await;
    assert_eq!(
        charges(&sim).last(),
        Some(&("generate", 60.0)),
        "the fast model if none is named"
    );
    for (model, price) in [("fast", 60.0), ("quality", 250.0), ("lite", 30.0)] {
        let request = json!({ "taskId": id, "prompt": "On", "model": model });
        assert_eq!(user.post("/api/v1/veo/extend", request).await["code"], 200);
        assert_eq!(charges(&sim).last(), Some(&("extend", price)));
    }
    let before = sim.charges().len();
    for _ in 0..3 {
        user.get(&format!("/api/v1/veo/get-1080p-video?taskId={id}"))
            .await;
        user.post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
            .await;
    }
    assert_eq!(
        charges(&sim)[before..],
        [("get_1080p_video", 5.0), ("get_4k_video", 120.0)]
    );

    for (model, resolution, cents) in [
        ("-fast", "720p", 10),
        ("-fast", "1080p", 12),
        ("-fast", "4k", 30),
        ("", "720p", 40),
        ("", "1080p", 40),
        ("", "4k", 60),
    ] {
        let video = |rest: Value| {
            let mut request =
                json!({ "model": format!("veo3.1{model}-video-{resolution}"), "prompt": "A kite" });
            request
                .as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            request
        };
        for (rest, seconds) in [
            (json!({}), 8),
            (json!({ "duration": 6 }), 6),
            (json!({ "video": "https://host/a.mp4", "duration": 6 }), 7),
        ] {
            user.post("/v1/video/generations", video(rest)).await;
            // The price is exact to the cent, and not a sum of inexact numbers.
            let price = format!("{}.{:02}", cents * seconds / 100, cents * seconds % 100)
                .parse()
                .unwrap();
            assert_eq!(
                charges(&sim).last(),
                Some(&("create_video", price)),
                "{model} {resolution}"
            );
        }
    }
}

#[tokio::test]
async fn an_account_can_be_used_to_the_last_cent() {
    let sim = start(Scenario::new("poor", "").credits(2.4)).await;
    let user = User::new(&sim, "key");
    for _ in 0..3 {
        user.uniall_task().await;
    }
    let request = r#"{"model":"veo3.1-fast-video-720p","prompt":"A kite"}"#;
    let (status, reply) = user.send("/v1/video/generations", request).await;
    assert_eq!(
        (status, &reply["code"]),
        (403, &json!("insufficient_user_quota")),
        "{reply}"
    );
    assert_eq!(charges(&sim), [("create_video", 0.8); 3]);
    assert_eq!(sim.submits(), 4);

    let no_credits = json!({
        "code": 402, "data": null, "msg": "Credits insufficient : Your current balance isn't enough to run this request.",
    });
    let sim = start(Scenario::new("poor", "").pace(Pace::AtOnce).credits(64.5)).await;
    let user = User::new(&sim, "key");
    let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
    assert_eq!(
        user.post("/api/v1/veo/generate", json!({ "prompt": "A kite" }))
            .await,
        no_credits
    );
    assert_eq!(
        user.post(
            "/api/v1/veo/extend",
            json!({ "prompt": "On", "taskId": id })
        )
        .await,
        no_credits
    );
    assert_eq!(
        user.get(&format!("/api/v1/veo/get-1080p-video?taskId={id}"))
            .await,
        no_credits
    );
    assert_eq!(
        user.post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
            .await,
        no_credits
    );
    assert_eq!(charges(&sim), [("generate", 60.0)]);
    assert_eq!(user.balance().await, 4.5);
}

#[tokio::test]
async fn a_failed_task_is_refunded_without_a_question() {
    let scenario = |pace| {
        Scenario::new("poor", "")
            .pace(pace)
            .credits(60.0)
            .task(1..=1, Fate::Failed)
    };
    for pace in [Pace::AtOnce, Pace::Scale(1.0)] {
        // Nothing has looked at the task before this question.
        for look in ["charges", "report", "balance", "submit"] {
            let sim = start(scenario(pace)).await;
            let user = User::new(&sim, "key");
            user.kie_task(json!({ "prompt": "A kite" })).await;
            if pace == Pace::Scale(1.0) {
                assert_eq!(
                    (sim.charges()[0].refunded, user.balance().await),
                    (false, 0.0)
                );
                sim.advance(std::time::Duration::from_secs(90));
            }
            match look {
                "charges" => assert!(sim.charges()[0].refunded, "{pace:?}"),
                "report" => assert!(
                    sim.report().contains(", returned"),
                    "{pace:?}: {}",
                    sim.report()
                ),
                "balance" => assert_eq!(user.balance().await, 60.0, "{pace:?}"),
                _ => {
                    user.kie_task(json!({ "prompt": "A kite" })).await;
                    let charges: Vec<_> =
                        sim.charges().iter().map(|charge| charge.refunded).collect();
                    assert_eq!(
                        (charges, user.balance().await),
                        (vec![true, false], 0.0),
                        "{pace:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refused_request_costs_nothing_and_is_counted() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let refused = [
        ("/api/v1/veo/generate", "{}"),
        ("/api/v1/veo/generate", r#"{"prompt":"p","duration":5}"#),
        ("/api/v1/veo/generate", "{"),
        ("/api/v1/veo/extend", r#"{"prompt":"p","taskId":"none"}"#),
        (
            "/v1/video/generations",
            r#"{"model":"veo3.1-video-4k","prompt":"p","images":["a"]}"#,
        ),
        ("/v1/video/generations", r#"{"model":"none","prompt":"p"}"#),
    ];
    for (path, body) in refused {
        user.send(path, body).await;
    }
    for path in ["get-1080p-video?taskId=none", "record-info?taskId=none"] {
        user.get(&format!("/api/v1/veo/{path}")).await;
    }
    // An upgrade is no submit, and a request that starts a task is one.
    assert_eq!(
        (sim.submits(), sim.calls().len()),
        (refused.len(), refused.len() + 2)
    );
    assert_eq!(sim.charges(), []);
    assert_eq!(user.balance().await, 1250.75);
}

#[tokio::test]
async fn a_lost_upgrade_is_charged_and_the_next_call_for_it_is_not() {
    for fault in [Fault::Drop, Fault::CutBody, Fault::Hang] {
        let sim = start(Scenario::new("test", "").pace(Pace::AtOnce).fault(
            "upgrade",
            1..=1,
            fault.clone(),
        ))
        .await;
        let user = User::new(&sim, "key");
        let id = user.kie_task(json!({ "prompt": "A kite" })).await;
        let path = format!("/api/v1/veo/get-1080p-video?taskId={id}");
        crate::Raw::exchange_until_silent(&sim, crate::request("GET", &path, "key", "")).await;
        assert_eq!(user.get(&path).await["code"], 200, "{fault:?}");
        assert_eq!(
            charges(&sim),
            [("generate", 60.0), ("get_1080p_video", 5.0)],
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn each_api_key_is_an_account_of_its_own() {
    let sim = Sim::start().await.unwrap();
    let [one, other, failing] =
        ["at-once/1", "at-once/2", "failed/1"].map(|key| User::new(&sim, key));
    let (id, video) = one.kie_video(json!({ "prompt": "A kite" })).await;
    assert_eq!(
        (one.balance().await, other.balance().await),
        (1190.75, 1250.75)
    );

    let unknown = json!({ "code": 422, "msg": "record is null.", "data": null });
    assert_eq!(
        other
            .get(&format!("/api/v1/veo/record-info?taskId={id}"))
            .await,
        unknown
    );
    assert_eq!(
        other
            .get(&format!("/api/v1/veo/get-1080p-video?taskId={id}"))
            .await,
        unknown
    );
    assert_eq!(
        other
            .post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
            .await,
        unknown
    );
    let extension = json!({ "taskId": id, "prompt": "On" });
    assert_eq!(
        other.post("/api/v1/veo/extend", extension).await["code"],
        404
    );
    let link = json!({ "url": video["resultUrls"][0] });
    assert_eq!(
        other
            .post("/api/v1/common/download-url", link.clone())
            .await["msg"],
        "url is wrong"
    );
    assert_eq!(
        one.post("/api/v1/common/download-url", link).await["code"],
        200
    );
    let job = one.uniall_task().await;
    assert_eq!(
        other.get(&format!("/v1/videos/{job}")).await["code"],
        "task_not_exist"
    );
    assert_eq!(
        one.balance().await,
        1190.75,
        "kie.ai and UniAll share an account"
    );

    // Accounts are separate even if they store files with the same names.
    let mut files = Vec::new();
    for (user, text) in [(&one, "b25l"), (&other, "b3RoZXI=")] {
        let upload = json!({ "base64Data": text, "uploadPath": "in", "fileName": "a.png" });
        files.push(
            user.post("/api/file-base64-upload", upload).await["data"]["downloadUrl"].clone(),
        );
    }
    assert_eq!(
        (one.download(&files[0]).await, one.download(&files[1]).await),
        (b"one".to_vec(), b"other".to_vec())
    );

    let failed = failing.kie_task(json!({ "prompt": "A kite" })).await;
    assert_eq!(failing.kie_end(&failed).await["errorMessage"], "failed");
    assert_eq!(failing.balance().await, 1250.75);
    let scenarios: Vec<_> = sim
        .calls()
        .iter()
        .map(|call| call.scenario.clone())
        .collect();
    assert_eq!(
        (&*scenarios[0], &**scenarios.last().unwrap()),
        ("at-once", "failed")
    );
}

#[tokio::test]
async fn an_api_key_picks_a_scenario_by_its_name() {
    let own = |name: &str, status| {
        Scenario::new(name, "").fault("account_credits", 1.., Fault::status(status))
    };
    let sim = Sim::builder()
        .scenario(own("usual", 501))
        .also(own("mine", 502))
        .also(own("busy", 503))
        .start();
    let sim = sim.await.unwrap();
    for (key, status) in [
        ("any", 501),
        ("usual", 501),
        ("sk-usual", 501),
        ("mine", 502),
        ("mine/", 502),
        ("mine/1/2", 502),
        ("mine ", 502),
        ("mine 1", 501),
        ("Mine", 501),
        // A caller's scenario takes precedence over a scenario of the catalogue.
        ("busy/1", 503),
        ("wrong-key/1", 200),
        ("at-once", 200),
    ] {
        let user = User::new(&sim, key);
        assert_eq!(
            user.send("/api/v1/chat/credit", "").await.0,
            status,
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn a_call_that_the_scenario_does_not_expect_is_named() {
    let scenario = Scenario::new("test", "")
        .expect("submit", 1)
        .expect("query_video", 0)
        .expect("media", 0);
    let sim = start(scenario).await;
    let user = User::new(&sim, "key");
    let id = user.kie_task(json!({ "prompt": "A kite" })).await;
    user.record(&id).await;
    assert_eq!(sim.surprises(), [""; 0]);

    // An extension is also a submit.
    user.send(
        "/api/v1/veo/extend",
        r#"{"taskId":"none","prompt":"On","seeds":1}"#,
    )
    .await;
    user.get("/v1/videos/none").await;
    user.get("/v1/none?a=b").await;
    user.call(reqwest::Method::GET, "/media/a%20b.mp4")
        .send()
        .await
        .unwrap();
    assert_eq!(
        sim.surprises(),
        [
            "call 3 (POST /api/v1/veo/extend): call 2 of submit, of which at most 1 were expected",
            "call 3 (POST /api/v1/veo/extend): body /seeds: 1 is less than the minimum of 10000",
            "call 4 (GET /v1/videos/none): call 1 of query_video, of which at most 0 were expected",
            "call 5 (GET /v1/none?a=b): there is no GET /v1/none",
            "call 6 (GET /media/a%20b.mp4): call 1 of media, of which at most 0 were expected",
            "call 6 (GET /media/a%20b.mp4): an API key was sent to a media host",
        ]
    );
}

/// Both providers seem to ignore unknown fields. The simulator reports them, since the caller meant something.
#[tokio::test]
async fn an_unknown_field_is_accepted_and_reported() {
    for (path, body, wanted) in [
        (
            "/api/v1/veo/generate",
            json!({ "prompt": "A kite", "aspect_ratio": "9:16", "seed": 7, "callbackUrl": "x" }),
            vec![
                "body /callbackUrl: is not in the specification",
                "body /seed: is not in the specification",
            ],
        ),
        (
            "/v1/video/generations?a=b",
            json!({ "model": "veo3.1-video-720p", "prompt": "A kite", "extra_body": { "seed": 7, "fps": 24 } }),
            vec![
                "body /extra_body/fps: is not in the specification",
                "query a: is not in the specification",
            ],
        ),
    ] {
        let sim = Sim::start().await.unwrap();
        User::new(&sim, "key").post(path, body).await;
        assert_eq!(sim.charges().len(), 1, "{path}");
        assert_eq!(sim.calls()[0].mismatches, wanted, "{path}");
        assert_eq!(sim.surprises().len(), wanted.len(), "{path}");
    }
}

#[tokio::test]
async fn the_record_of_a_call_is_bounded() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let name = "n".repeat(500_000);
    let path = format!("/v1/{}", "p".repeat(60_000));
    user.get(&path).await;
    user.post(
        "/api/v1/veo/generate",
        json!({ "prompt": "A kite", (name): 1 }),
    )
    .await;
    for call in sim.calls() {
        assert!(call.path.len() <= 5_000, "{}", call.path.len());
        let sentences = call.mismatches.iter().chain(&call.surprise);
        let longest = sentences.map(String::len).max();
        assert!(longest.is_some_and(|length| length <= 1_100), "{longest:?}");
    }
    let surprises = sim.surprises();
    assert_eq!(surprises.len(), 2);
    for surprise in surprises {
        assert!(surprise.len() < 2_500, "{}", surprise.len());
    }
}

#[tokio::test]
async fn expectations_count_all_api_keys_and_both_providers() {
    let once = |name: &str| Scenario::new(name, "").expect("submit", 1);
    for (kie, uniall, is_surprise) in [
        ("key", "key", true),
        ("key for kie.ai", "key for UniAll", true),
        ("mine/1", "mine/2", true),
        ("key", "mine", false),
        ("key", "at-once", false),
    ] {
        let sim = Sim::builder()
            .scenario(once("usual"))
            .also(once("mine"))
            .start()
            .await
            .unwrap();
        User::new(&sim, kie)
            .kie_task(json!({ "prompt": "A kite" }))
            .await;
        User::new(&sim, uniall).uniall_task().await;
        let second =
            "call 2 (POST /v1/video/generations): call 2 of submit, of which at most 1 were expected".to_owned();
        assert_eq!(
            sim.surprises(),
            is_surprise.then_some(second).as_slice(),
            "{kie}, {uniall}"
        );
    }
}

#[tokio::test]
async fn surprises_survive_many_later_calls() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    user.post(
        "/api/v1/veo/generate",
        json!({ "prompt": "A kite", "seeds": 1 }),
    )
    .await;
    user.get("/v1/none").await;
    // These calls are few, but so long that the first ones have to make room.
    let long = "x".repeat(60_000);
    let request = json!({ "prompt": long, "model": "veo3.1-fast-video-720p" }).to_string();
    for _ in 0..1_200 {
        user.send("/v1/video/generations", &request).await;
    }
    let forgotten = sim.calls()[0].number - 1;
    assert!(forgotten >= 2, "{forgotten}");
    let named = [
        "call 1 (POST /api/v1/veo/generate): body /seeds: 1 is less than the minimum of 10000",
        "call 2 (GET /v1/none): there is no GET /v1/none",
    ];
    assert_eq!(sim.surprises(), named);
    let beginning: Vec<_> = sim
        .report()
        .lines()
        .take(3)
        .map(|line| line.trim().to_owned())
        .collect();
    let [first, second] = named.map(|sentence| format!("not expected: {sentence}"));
    assert_eq!(
        beginning,
        [
            format!("{forgotten} earlier calls are not remembered any more"),
            first,
            second
        ]
    );

    // Only the first of very many surprises are kept.
    for number in 0..1_010 {
        user.get(&format!("/v1/none/{number}")).await;
    }
    let surprises = sim.surprises();
    assert_eq!(
        (surprises.len(), &surprises[..2]),
        (1_000, &named.map(str::to_owned)[..])
    );
    assert!(
        surprises[999].ends_with("there is no GET /v1/none/997"),
        "{}",
        surprises[999]
    );
}

#[tokio::test]
async fn the_report_has_calls_charges_and_surprises() {
    let scenario = Scenario::new("test", "")
        .pace(Pace::AtOnce)
        .task(1..=1, Fate::Failed)
        .callbacks(Callbacks {
            key: Some("k".to_owned()),
            ..Callbacks::default()
        })
        .fault("submit", 2..=2, Fault::Drop)
        .expect("submit", 2);
    let sim = start(scenario).await;
    let user = User::new(&sim, "key");
    assert_eq!(sim.report(), "");
    let request = json!({ "prompt": "A kite", "callBackUrl": "https://example.net/" });
    let id = user.kie_task(request).await;
    user.record(&id).await;
    while sim.callbacks().is_empty() {
        tokio::task::yield_now().await;
    }
    user.call(reqwest::Method::POST, "/v1/video/generations")
        .json(&json!({ "model": "none" }))
        .send()
        .await
        .unwrap();
    let lost = json!({ "model": "veo3.1-video-720p", "prompt": "A kite" });
    let create = user
        .call(reqwest::Method::POST, "/v1/video/generations")
        .json(&lost);
    create.send().await.unwrap_err();
    user.get("/none").await;
    let report = sim.report().replace(&id, "ID");
    let report = sim.charges().iter().fold(report, |report, charge| {
        report.replace(&charge.task, "OTHER")
    });
    assert_eq!(
        report,
        "   1  generate          200       POST /api/v1/veo/generate
      charged 60 for task ID, returned
   2  record_info       200       GET /api/v1/veo/record-info?taskId=ID
   3  create_video      503       POST /v1/video/generations
      does not fit the specification: body /model: \"none\" is not one of \"veo3.1-video-720p\", \"veo3.1-video-1080p\" \
         or 4 other candidates
   4  create_video      no reply  POST /v1/video/generations  fault: drop
      not expected: call 3 of submit, of which at most 2 were expected
      charged 3.2 for task OTHER, returned
   5  ?                 404       GET /none
      not expected: there is no GET /none
      callback of task ID to https://example.net/: The simulator sends callbacks over plain http and to this machine \
         only; give a callBackUrl such as http://127.0.0.1:3000/hook.
"
    );
}

#[tokio::test]
async fn a_call_is_recorded_with_a_body_of_short_json() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let small = r#"{"prompt":"A kite","model":"none"}"#;
    let large = json!({ "prompt": "x".repeat(64 * 1024) }).to_string();
    for (path, body) in [
        ("/api/v1/veo/generate", small),
        ("/api/v1/veo/generate?a=b", &large),
        ("/api/v1/veo/generate", "{"),
    ] {
        user.send(path, body).await;
    }
    user.get("/v1/none").await;
    let calls = sim.calls();
    let calls: Vec<_> = calls
        .iter()
        .map(|it| {
            (
                it.number,
                it.method.as_str(),
                it.path.as_str(),
                it.body.clone(),
            )
        })
        .collect();
    let expected = [
        (
            1,
            "POST",
            "/api/v1/veo/generate",
            serde_json::from_str(small).ok(),
        ),
        (2, "POST", "/api/v1/veo/generate?a=b", None),
        (3, "POST", "/api/v1/veo/generate", None),
        (4, "GET", "/v1/none", None),
    ];
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn a_line_is_printed_for_each_answered_call() {
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let scenario = Scenario::new("test", "")
        .fault("submit", 1..=1, Fault::Hang)
        .fault("submit", 2..=2, Fault::status(503));
    let builder = Sim::builder()
        .scenario(scenario)
        .on_call(move |line| sender.send(line.to_owned()).unwrap());
    let sim = builder.start().await.unwrap();
    for path in ["/api/v1/veo/generate", "/api/v1/veo/extend", "/"] {
        crate::Raw::exchange_until_silent(&sim, crate::request("POST", path, "key", "{}")).await;
    }
    for wanted in [
        "   1  generate          no reply  POST /api/v1/veo/generate  fault: hang",
        "   2  extend            503       POST /api/v1/veo/extend  fault: error",
        "   3  ?                 404       POST /",
    ] {
        assert_eq!(lines.recv().await.unwrap(), wanted);
    }
}

#[test]
fn a_wrong_scenario_is_refused_in_one_sentence() {
    for (text, complaint) in [
        (
            "name = ''",
            r#"scenario "": its name has to be a word of plain letters"#,
        ),
        (
            "name = 'a/b'",
            r#"scenario "a/b": its name has to be a word of plain letters"#,
        ),
        (
            "name = 'a b'",
            r#"scenario "a b": its name has to be a word of plain letters"#,
        ),
        (
            "name = 'ä'",
            r#"scenario "ä": its name has to be a word of plain letters"#,
        ),
        ("nam = 'a'", "unknown field `nam`, expected one of `name`"),
        ("name = 'a'\nlimit = -1", "invalid value: integer `-1`"),
        (
            "name = 'a'\ncredits = -1",
            r#"scenario "a": credits have to be 0 or more"#,
        ),
        ("name = 'a'\ncredits = nan", "credits have to be 0 or more"),
        ("name = 'a'\ncredits = inf", "credits have to be 0 or more"),
        (
            "name = 'a'\npace = 'fast'",
            "unknown variant `fast`, expected one of `polls`, `scale`, `at_once`",
        ),
        (
            "name = 'a'\npace = { scale = 0 }",
            "the scale of time has to be between 0.001 and 1,000,000",
        ),
        (
            "name = 'a'\npace = { scale = 1e7 }",
            "the scale of time has to be between",
        ),
        (
            "name = 'a'\npace = { scale = nan }",
            "the scale of time has to be between",
        ),
        (
            "name = 'a'\nexpect = { generat = 1 }",
            r#"there is no operation or group "generat"; the groups are any, media,"#,
        ),
        (
            "name = 'a'\nfault = [{ on = 'x', fault = 'drop' }]",
            r#"there is no operation or group "x""#,
        ),
        (
            "name = 'a'\nfault = [{ on = 'any', first = 0, fault = 'drop' }]",
            "calls are counted from 1",
        ),
        (
            "name = 'a'\ntask = [{ first = 0, fate = 'failed' }]",
            "calls are counted from 1",
        ),
        (
            "name = 'a'\nfault = [{ on = 'any', fault = { error = {} } }]",
            "an error needs a status or a code",
        ),
        (
            "name = 'a'\nfault = [{ on = 'any', fault = { error = { status = 199 } } }]",
            "199 is no HTTP status of a reply; those are 200 to 599",
        ),
        (
            "name = 'a'\nfault = [{ on = 'any', fault = { reply = { status = 600, body = '' } } }]",
            "600 is no HTTP status of a reply",
        ),
        (
            "name = 'a'\nfault = [{ on = 'any', fault = { error = { stat = 500 } } }]",
            "unexpected keys in table: stat, available keys: status, code",
        ),
        (
            "name = 'a'\nfault = [{ on = 'any' }]",
            "missing field `fault`",
        ),
        (
            "name = 'a'\n[callback]\nlate = -1",
            "invalid value: integer `-1`",
        ),
        ("name = ", "TOML parse error at line 1, column 8"),
    ] {
        let error = Scenario::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
}

#[tokio::test]
async fn an_unusable_scenario_is_refused_at_the_start() {
    let builders = [
        Sim::builder().scenario(Scenario::new("a/b", "")),
        Sim::builder().also(Scenario::new("a", "").fault("x", 1.., Fault::Drop)),
        Sim::builder().scenario(Scenario::new("a", "").pace(Pace::Scale(f64::INFINITY))),
    ];
    for builder in builders {
        let error = builder.start().await.err().unwrap().to_string();
        assert!(error.starts_with("scenario \"a"), "{error}");
    }
}

#[test]
fn every_scenario_of_the_catalogue_has_a_description() {
    let catalogue = Scenario::catalogue();
    assert!(catalogue.len() >= 70, "only {}", catalogue.len());
    for scenario in catalogue {
        let Scenario {
            name, description, ..
        } = scenario;
        assert_eq!(
            Scenario::named(name).as_ref(),
            Some(scenario),
            "{name}: another scenario has this name"
        );
        assert!(
            description.ends_with('.') && description.len() > 10,
            "{name}: {description}"
        );
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(is_plain), "{name}");
    }
    assert_eq!(Scenario::named("none"), None);
}

#[tokio::test]
async fn the_scenarios_of_the_catalogue_can_be_started() {
    let all = Scenario::catalogue().iter().cloned();
    all.fold(Sim::builder(), |builder, scenario| builder.also(scenario))
        .start()
        .await
        .unwrap();
}

#[test]
fn calls_of_a_rule_are_counted_from_one() {
    let rule = |calls: veo_sim::Calls| {
        Scenario::new("a", "")
            .fault("any", calls, Fault::Drop)
            .fault[0]
            .clone()
    };
    for (calls, first, times) in [
        (veo_sim::Calls::from(1..=1), 1, Some(1)),
        ((2..=4).into(), 2, Some(3)),
        ((3..).into(), 3, None),
    ] {
        assert_eq!((rule(calls).first, rule(calls).times), (first, times));
    }
    // The count is practically endless, and there is no panic.
    assert!(rule((1..=u32::MAX).into()).times >= Some(u32::MAX - 1));
}
