//! Simulated faults, as a plain client sees them, and the charge for each.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use veo_sim::{Fault, Scenario, Sim};

use crate::{End, Raw, User, request, start, toml};

/// The fault of a paid request, the reply with the end of the connection, and whether the request was charged.
const FAULTS: &[(&str, &str, bool)] = &[
    ("'drop_before_reading'", "nothing, Closed", false),
    ("'drop'", "nothing, Closed", true),
    ("'reset'", "nothing, Reset", true),
    ("'hang'", "nothing, Silent", true),
    ("'cut_head'", "half a head, Closed", true),
    ("'cut_body'", "200 half, Closed", true),
    ("'stall'", "200 half, Silent", true),
    ("{ error = { status = 408 } }", "408 whole, Closed", false),
    (
        "{ error = { status = 500, accepted = true } }",
        "500 whole, Closed",
        true,
    ),
    (
        "{ reply = { status = 502, body = '<html>' } }",
        "502 whole, Closed",
        false,
    ),
    (
        "{ reply = { status = 504, body = '<html>', accepted = true } }",
        "504 whole, Closed",
        true,
    ),
    (
        "{ reply = { status = 204, body = '' } }",
        "204 whole, Closed",
        false,
    ),
    ("{ shape = 'unknown_fields' }", "200 whole, Closed", true),
    ("{ slow = 10_000 }", "200 whole, Closed", true),
    ("'expired'", "403 whole, Closed", false),
    // These faults are for media only.
    ("'truncated'", "200 whole, Closed", true),
    ("'corrupted'", "200 whole, Closed", true),
    ("'without_ranges'", "200 whole, Closed", true),
];

/// The shape of a reply, the fate of the task, the name of the reply, a place in it, and the value there.
const SHAPES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "urls_as_text",
        "made",
        "record",
        "/data/response/resultUrls",
        r#""[\"MEDIA/media/ID.mp4\"]""#,
    ),
    (
        "urls_in_brackets",
        "made",
        "record",
        "/data/response/resultUrls",
        r#""[MEDIA/media/ID.mp4]""#,
    ),
    (
        "times_as_text",
        "made",
        "record",
        "/data/createTime",
        r#""YYYY-MM-DD hh:mm:ss""#,
    ),
    (
        "snake_case",
        "made",
        "1080p",
        "/data/result_url",
        r#""MEDIA/media/ID_1080p.mp4""#,
    ),
    ("nulls", "made", "record", "/data/paramJson", "null"),
    (
        "nulls",
        "made",
        "record",
        "/data/response/resultUrls/0",
        r#""MEDIA/media/ID.mp4""#,
    ),
    ("nulls", "made", "record", "/data/successFlag", "1"),
    ("nulls", "made", "credit", "/data", "1190.75"),
    (
        "nulls",
        "made",
        "1080p",
        "/data/resultUrl",
        r#""MEDIA/media/ID_1080p.mp4""#,
    ),
    (
        "nulls",
        "made",
        "job",
        "/video_url",
        r#""MEDIA/media/ID.mp4""#,
    ),
    ("nulls", "made", "job", "/model", "null"),
    ("nulls", "made", "upload", "/data/fileName", "null"),
    (
        "nulls",
        "made",
        "upload",
        "/data/downloadUrl",
        r#""MEDIA/media/uploads/kieai/100001/in/a.png""#,
    ),
    ("numbers_as_text", "made", "record", "/code", r#""200""#),
    (
        "numbers_as_text",
        "made",
        "record",
        "/data/successFlag",
        r#""1""#,
    ),
    (
        "numbers_as_text",
        "made",
        "record",
        "/data/response/seeds/0",
        r#""56896""#,
    ),
    ("numbers_as_text", "made", "credit", "/data", r#""1190.75""#),
    ("numbers_as_text", "made", "job", "/progress", r#""100""#),
    (
        "unknown_fields",
        "made",
        "record",
        "/data/response/surprise/id",
        "7",
    ),
    ("unknown_fields", "made", "job", "/surprise/id", "7"),
    ("origin_first", "made", "record", "/data/successFlag", "0"),
    (
        "origin_first",
        "made",
        "record",
        "/data/completeTime",
        "null",
    ),
    (
        "origin_first",
        "made",
        "record",
        "/data/response/originUrls/0",
        r#""MEDIA/media/ID_origin.mp4""#,
    ),
    (
        "origin_first",
        "made",
        "record",
        "/data/response/resultUrls",
        "null",
    ),
    (
        "origin_first",
        "made",
        "task",
        "/data/state",
        r#""generating""#,
    ),
    ("origin_first", "made", "task", "/data/completeTime", "null"),
    (
        "origin_first",
        "made",
        "task",
        "/data/resultJson",
        r#""{\"data\":{\"origin_urls\":[\"MEDIA/media/ID_origin.mp4\"],\"result_urls\":[]}}""#,
    ),
    ("origin_only", "made", "task", "/data/state", r#""success""#),
    (
        "origin_only",
        "made",
        "task",
        "/data/resultJson",
        r#""{\"data\":{\"origin_urls\":[\"MEDIA/media/ID_origin.mp4\"],\"result_urls\":[]}}""#,
    ),
    ("no_result", "made", "task", "/data/resultJson", r#""""#),
    ("no_result", "made", "task", "/data/state", r#""success""#),
    (
        "generating",
        "stuck",
        "task",
        "/data/state",
        r#""generating""#,
    ),
    ("generating", "made", "task", "/data/state", r#""success""#),
    (
        "as_documented",
        "made",
        "task",
        "/data/param",
        r#""{\"input\":{\"model\":\"veo3_fast\",\"prompt\":\"A kite\",\"resolution\":\"1080p\"},\"model\":\"veo-3-1\"}""#,
    ),
    ("as_documented", "made", "task", "/data/failCode", r#""""#),
    ("as_documented", "stuck", "task", "/data/costTime", "null"),
    (
        "unknown_state",
        "made",
        "task",
        "/data/state",
        r#""dreaming""#,
    ),
    (
        "other_states",
        "made",
        "task",
        "/data/state",
        r#""completed""#,
    ),
    (
        "other_states",
        "failed",
        "task",
        "/data/state",
        r#""failed""#,
    ),
    ("upper_case", "made", "task", "/data/state", r#""SUCCESS""#),
    (
        "urls_as_text",
        "made",
        "task",
        "/data/resultJson",
        r#""{\"data\":{\"origin_urls\":\"[\\\"MEDIA/media/ID_origin.mp4\\\"]\",\"result_urls\":\"[\\\"MEDIA/media/ID.mp4\\\"]\"}}""#,
    ),
    (
        "urls_in_brackets",
        "made",
        "task",
        "/data/resultJson",
        r#""{\"data\":{\"origin_urls\":\"[MEDIA/media/ID_origin.mp4]\",\"result_urls\":\"[MEDIA/media/ID.mp4]\"}}""#,
    ),
    (
        "nulls",
        "made",
        "task",
        "/data/resultJson",
        r#""{\"data\":{\"origin_urls\":null,\"result_urls\":[\"MEDIA/media/ID.mp4\"]}}""#,
    ),
    ("nulls", "failed", "task", "/data/failCode", "null"),
    ("nulls", "failed", "task", "/data/state", r#""fail""#),
    (
        "numbers_as_text",
        "made",
        "task",
        "/data/creditsConsumed",
        r#""65""#,
    ),
    (
        "no_data",
        "made",
        "task",
        "",
        r#"{"code":200,"msg":"success","data":null}"#,
    ),
    ("new_4k_id", "made", "4k", "/data/taskId", r#""DI""#),
    ("new_4k_id", "made", "record", "/data/taskId", r#""ID""#),
    ("unknown_state", "made", "record", "/data/successFlag", "7"),
    ("unknown_state", "made", "job", "/status", r#""dreaming""#),
    (
        "no_data",
        "made",
        "record",
        "",
        r#"{"code":200,"msg":"success","data":null}"#,
    ),
    (
        "no_data",
        "made",
        "job",
        "",
        r#"{"code":"success","message":"","data":null}"#,
    ),
    ("status_is_code", "stuck", "1080p", "/code", "422"),
    ("envelope", "made", "job", "/data/status", r#""SUCCESS""#),
    ("envelope", "made", "job", "/data/task_id", r#""ID""#),
    ("envelope", "made", "job", "/data/progress", r#""100%""#),
    (
        "envelope",
        "made",
        "job",
        "/data/result_url",
        r#""MEDIA/media/ID.mp4""#,
    ),
    ("envelope", "failed", "job", "/data/status", r#""FAILURE""#),
    (
        "envelope",
        "failed",
        "job",
        "/data/fail_reason",
        r#""task failed: generation_failed""#,
    ),
    (
        "task_id_only",
        "made",
        "job",
        "",
        r#"{"task_id":"ID","status":"completed"}"#,
    ),
    ("bare_id", "made", "job", "/data", r#""ID""#),
    (
        "content_only",
        "made",
        "job",
        "/raw_status",
        r#""COMPLETED""#,
    ),
    (
        "content_url",
        "made",
        "job",
        "/metadata/url",
        r#""SIM/v1/videos/ID/content""#,
    ),
    (
        "stock_video",
        "made",
        "job",
        "/metadata/url",
        r#""MEDIA/media/ID.mp4""#,
    ),
    (
        "outputs_only",
        "made",
        "job",
        "/result",
        r#"{"outputs":["MEDIA/media/ID.mp4"]}"#,
    ),
    ("other_states", "made", "job", "/status", r#""succeeded""#),
    ("other_states", "stuck", "job", "/status", r#""processing""#),
    ("under_way", "made", "create", "/status", r#""in_progress""#),
    ("under_way", "made", "create", "/progress", "5"),
    ("upper_case", "made", "job", "/status", r#""COMPLETED""#),
    ("percent_as_text", "made", "job", "/progress", r#""100%""#),
    (
        "error_as_text",
        "failed",
        "job",
        "/error",
        r#""task failed: generation_failed""#,
    ),
    ("error_is_null", "failed", "job", "/error", "null"),
];

/// Each row has the fate of a task, and its end at kie.ai: flag, code, words and number of videos. Then come the end at
/// UniAll (status, words, and whether there is a video), and whether the charge is returned.
const FATES: &[(&str, &str, &str, bool)] = &[
    ("made", "1 null null 1", "completed null true", false),
    (
        "prompt_refused",
        r#"3 400 "Your prompt was flagged by Website as violating content policies." 0"#,
        r#"failed "The prompt could not be submitted. This prompt contains words that violate Google's Responsible AI practices. Try rephrasing the prompt. Support codes: 58061214" false"#,
        true,
    ),
    (
        "image_refused",
        r#"3 400 "public error unsafe image upload." 0"#,
        r#"failed "Sorry, we can't create videos from input images containing celebrity or their likenesses. Please remove the reference and try again." false"#,
        true,
    ),
    (
        "no_audio",
        r#"3 400 "The Google model was unable to generate audio for this request." 0"#,
        r#"failed "We encountered an issue with the audio for your prompt, which led us to not create the video. You weren't charged for this attempt. Please try again or edit your prompt." false"#,
        true,
    ),
    (
        "failed",
        r#"3 422 "failed" 0"#,
        r#"failed "task failed: generation_failed" false"#,
        true,
    ),
    (
        "failed_early",
        r#"2 500 "Internal Error, Please try again later." 0"#,
        r#"failed "task failed: generation_failed" false"#,
        true,
    ),
    (
        "failed_but_charged",
        r#"3 422 "failed" 0"#,
        r#"failed "task failed: generation_failed" false"#,
        false,
    ),
    (
        "retired",
        r#"3 400 "PUBLIC_ERROR_MODEL_ACCESS_DENIED" 0"#,
        r#"failed "models/veo-3.1-fast-generate-preview is no longer available" false"#,
        true,
    ),
    ("filtered", "1 null null 0", "completed null false", false),
    ("stuck", "0 null null 0", "in_progress null false", false),
    ("smaller", "1 null null 1", "completed null true", false),
    ("fallback", "1 null null 1", "completed null true", false),
    ("no_4k", "1 null null 1", "completed null true", false),
];

#[tokio::test]
async fn a_fault_decides_outcome_and_price() {
    let body = r#"{"model":"veo3.1-video-720p","prompt":"A kite"}"#;
    for (fault, wanted, charged) in FAULTS {
        for (path, body) in [
            ("/api/v1/veo/generate", r#"{"prompt":"A kite"}"#),
            (
                "/api/v1/jobs/createTask",
                r#"{"model":"veo-3-1","input":{"prompt":"A kite"}}"#,
            ),
            ("/v1/video/generations", body),
        ] {
            let case = format!("{fault} {path}");
            let sim = start(toml(&format!(
                "fault = [{{ on = 'submit', times = 1, fault = {fault} }}]"
            )))
            .await;
            let sent = request("POST", path, "key", body);
            let first = match wanted.ends_with("Silent") {
                true => Raw::exchange_until_silent(&sim, sent).await,
                false => Raw::exchange(&sim, sent).await,
            };
            let announced = first
                .header("content-length")
                .and_then(|length| length.parse::<usize>().ok());
            let seen = match (first.bytes.len(), first.status(), announced) {
                (0, ..) => "nothing".to_owned(),
                (_, None, _) => "half a head".to_owned(),
                (_, Some(204), None) => "204 whole".to_owned(),
                (_, Some(status), Some(length)) if first.body().len() == length => {
                    format!("{status} whole")
                }
                (_, Some(status), Some(length)) if first.body().len() == length / 2 => {
                    format!("{status} half")
                }
                _ => format!("{first:?}"),
            };
            assert_eq!(format!("{seen}, {:?}", first.end), *wanted, "{case}");
            assert_eq!(
                (sim.submits(), sim.charges().len()),
                (1, usize::from(*charged)),
                "{case}"
            );
            let status = first.status().filter(|_| seen != "half a head");
            let name: String = fault
                .chars()
                .filter(|c| c.is_ascii_lowercase() || " _".contains(*c))
                .collect();
            let [call] = &sim.calls()[..] else {
                panic!("{case}")
            };
            assert_eq!(
                (call.status, call.fault),
                (status, name.split_whitespace().next()),
                "{case}"
            );

            let second = Raw::exchange(&sim, request("POST", path, "key", body)).await;
            assert_eq!(
                second.status(),
                Some(200),
                "{case}: only the first request goes wrong"
            );
            assert_eq!(sim.charges().len(), 1 + usize::from(*charged), "{case}");
        }
    }
}

#[tokio::test]
async fn a_simulated_error_has_the_words_of_its_provider() {
    const KIE: &str = "/api/v1/chat/credit";
    const UPLOAD: &str = "/api/file-url-upload";
    const UNIALL: &str = "/v1/videos/none";
    let kie = |code: u16, words: &str| json!({ "code": code, "msg": words, "data": null });
    let server_error = "Server Error - An unexpected error occurred while processing the request";
    let task = |code: &str, words: &str| json!({ "code": code, "message": words, "data": null });
    let gateway = |code: &str, words: &str| json!({ "error": { "message": words, "type": "new_api_error", "param": "", "code": code } });
    let upload = |code: u16, words: &str| json!({ "success": false, "code": code, "msg": words });
    for (path, error, status, reply) in [
        (KIE, "status = 503", 503, kie(503, "Error")),
        (KIE, "status = 500", 500, kie(500, server_error)),
        (
            KIE,
            "code = 455",
            200,
            kie(
                455,
                "Service Unavailable - System is currently undergoing maintenance",
            ),
        ),
        (
            KIE,
            "status = 500, code = 408, message = 'm'",
            500,
            kie(408, "m"),
        ),
        (KIE, "code = 433, message = 'm'", 200, kie(433, "m")),
        (KIE, "status = 200", 200, kie(500, server_error)),
        (KIE, "code = 'a_word'", 200, kie(500, server_error)),
        (
            UNIALL,
            "status = 503",
            503,
            gateway(
                "model_not_found",
                "No available channel for model veo3.1-fast-video-720p under group default",
            ),
        ),
        (UNIALL, "status = 401", 401, gateway("", "Invalid token")),
        (
            UNIALL,
            "status = 500",
            500,
            task(
                "do_request_failed",
                "The request to the upstream service failed",
            ),
        ),
        (
            UNIALL,
            "code = 'a_word'",
            400,
            task("a_word", "Invalid request"),
        ),
        (
            UNIALL,
            "status = 403, code = 'a_word', message = 'm'",
            403,
            task("a_word", "m"),
        ),
        (
            UNIALL,
            "status = 400, code = 'content_policy_violation', message = 'm'",
            400,
            gateway("content_policy_violation", "m"),
        ),
        (
            UNIALL,
            "code = 402",
            402,
            task("insufficient_user_quota", "用户额度不足, 剩余额度: $0.02"),
        ),
        (
            UPLOAD,
            "status = 500",
            500,
            upload(500, "Internal server error"),
        ),
        (UPLOAD, "code = 405", 405, upload(405, "Method Not Allowed")),
    ] {
        let sim = start(toml(&format!(
            "fault = [{{ on = 'any', fault = {{ error = {{ {error} }} }} }}]"
        )))
        .await;
        let body = if path == UPLOAD { "{}" } else { "" };
        let (seen, mut answer) = User::new(&sim, "key").send(path, body).await;
        if let Some(message) = answer.pointer_mut("/error/message") {
            // The gateway adds an id to each of its messages.
            *message = json!(message.as_str().unwrap().split(" (request id: ").next());
        }
        assert_eq!((seen, answer), (status, reply), "{path} {error}");
    }
    for (retry_after, header) in [("", None), (", retry_after = 7", Some("7"))] {
        let error = format!("{{ error = {{ status = 429{retry_after} }} }}");
        let sim = start(toml(&format!(
            "fault = [{{ on = 'any', fault = {error} }}]"
        )))
        .await;
        let reply = Raw::exchange(&sim, request("GET", KIE, "key", "")).await;
        assert_eq!(
            (reply.status(), reply.header("retry-after")),
            (Some(429), header)
        );
    }
}

#[tokio::test]
async fn a_rule_applies_to_the_calls_and_operations_it_names() {
    let once = |status| Fault::status(status);
    let scenario = Scenario::new("test", "")
        .fault("generate", 2..=3, once(501))
        .fault("submit", 3..=5, once(502))
        .fault("query", 1..=1, once(503))
        .fault("any", 8.., once(504));
    let sim = start(scenario).await;
    let users = ["one", "other"].map(|key| User::new(&sim, key));
    let generate = ("/api/v1/veo/generate", r#"{"prompt":"A kite"}"#);
    let record = ("/api/v1/veo/record-info?taskId=none", "");
    let calls = [
        generate, generate, record, generate, record, generate, generate, generate, record,
    ];
    let wanted = [200, 501, 503, 501, 200, 502, 502, 504, 504];
    for (number, ((path, body), status)) in calls.into_iter().zip(wanted).enumerate() {
        for user in &users {
            assert_eq!(
                user.send(path, body).await.0,
                status,
                "call {} of {}",
                number + 1,
                user.key
            );
        }
    }
}

#[tokio::test]
async fn a_fault_can_be_added_while_the_simulator_runs() {
    let sim = start(Scenario::new("test", "").fault("generate", 3..=3, Fault::status(501))).await;
    let users = ["one", "other"].map(|key| User::new(&sim, key));
    let generate = ("/api/v1/veo/generate", r#"{"prompt":"A kite"}"#);
    let ask = async |user: usize| users[user].send(generate.0, generate.1).await.0;
    assert_eq!((ask(0).await, ask(1).await), (200, 200));
    sim.fault("old_form", 2..=3, Fault::status(410)).unwrap();
    // From now on this rule counts the calls of all accounts. The rules of the scenario continue to count.
    let mut seen = Vec::new();
    for user in [0, 1, 1, 0, 1] {
        seen.push(ask(user).await);
    }
    assert_eq!(seen, [200, 410, 410, 501, 200]);

    for (on, fault) in [("old", Fault::Drop), ("generate", Fault::status(700))] {
        assert!(sim.fault(on, 1.., fault).is_err(), "{on}");
    }
    assert!(sim.fault("generate", 0.., Fault::Drop).is_err());
}

#[tokio::test]
async fn the_old_form_of_kie_can_be_gone_in_every_known_way() {
    const VIDEO: (&str, &str) = ("/api/v1/veo/generate", r#"{"prompt":"A kite"}"#);
    const EXTENSION: (&str, &str) = ("/api/v1/veo/extend", r#"{"taskId":"none","prompt":"On"}"#);
    const RECORD: (&str, &str) = ("/api/v1/veo/record-info?taskId=none", "");
    const SMALL: (&str, &str) = ("/api/v1/veo/get-1080p-video?taskId=none", "");
    const LARGE: (&str, &str) = ("/api/v1/veo/get-4k-video", r#"{"taskId":"none"}"#);
    let gone = "404 Not Found";
    let disabled = "505 Feature Disabled - The requested feature is currently disabled";
    for (scenario, status, words, is_gone) in [
        (
            "retired-old-form",
            404,
            gone,
            &[VIDEO, EXTENSION, RECORD, SMALL, LARGE][..],
        ),
        (
            "retired-old-form-405",
            405,
            "405 Method Not Allowed",
            &[VIDEO, EXTENSION, RECORD, SMALL, LARGE],
        ),
        (
            "retired-old-form-410",
            410,
            "410 Gone",
            &[VIDEO, EXTENSION, RECORD, SMALL, LARGE],
        ),
        ("retired-old-form-code-404", 200, gone, &[VIDEO, EXTENSION]),
        (
            "retired-old-form-code-405",
            200,
            "405 Method Not Allowed",
            &[VIDEO, EXTENSION],
        ),
        (
            "retired-old-form-code-505",
            200,
            disabled,
            &[VIDEO, EXTENSION],
        ),
        (
            "old-form-404-of-a-model",
            200,
            "404 The model veo3_fast does not exist",
            &[VIDEO],
        ),
    ] {
        let sim = Sim::start().await.unwrap();
        let user = User::new(&sim, scenario);
        for call in [VIDEO, EXTENSION, RECORD, SMALL, LARGE] {
            let (seen, reply) = user.send(call.0, call.1).await;
            let said = format!("{} {}", reply["code"], reply["msg"].as_str().unwrap());
            let as_gone = seen == status && said == words;
            assert_eq!(
                as_gone,
                is_gone.contains(&call),
                "{scenario} {call:?}: {seen} {reply}"
            );
        }
        // The account exists even without the form.
        let paid = if is_gone.contains(&VIDEO) { 0.0 } else { 60.0 };
        assert_eq!(user.balance().await, 1250.75 - paid, "{scenario}");
        assert_eq!(sim.surprises(), [""; 0], "{scenario}");
    }

    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "retired-old-form-midway");
    for status in [200, 200, 404, 404] {
        assert_eq!(user.send(VIDEO.0, VIDEO.1).await.0, status);
    }
    for charge in sim.charges() {
        assert_eq!(user.record(&charge.task).await["successFlag"], 0);
    }
}

#[tokio::test]
async fn a_reply_in_another_shape_means_the_same() {
    for (shape, fate, which, place, wanted) in SHAPES {
        let case = format!("{shape} {fate} {which} {place}");
        let sim = start(toml(&format!(
            "pace = 'at_once'\ntask = [{{ fate = '{fate}' }}]\nfault = [\n\
             {{ on = 'create_video', first = 2, fault = {{ shape = '{shape}' }} }},\n\
             {{ on = 'query', fault = {{ shape = '{shape}' }} }},\n\
             {{ on = 'upgrade', fault = {{ shape = '{shape}' }} }},\n\
             {{ on = 'upload', fault = {{ shape = '{shape}' }} }},\n\
             {{ on = 'account_credits', fault = {{ shape = '{shape}' }} }}]"
        )))
        .await;
        let user = User::new(&sim, "key");
        let id = match *which {
            "job" | "create" => user.uniall_task().await,
            "task" => {
                let input = json!({ "prompt": "A kite", "resolution": "1080p" });
                user.create_task("veo-3-1", input).await
            }
            // A video in portrait has an original too.
            _ => {
                user.kie_task(json!({ "prompt": "A kite", "aspect_ratio": "9:16" }))
                    .await
            }
        };
        let upload = r#"{"base64Data":"aGk=","uploadPath":"in","fileName":"a.png"}"#;
        let (path, body) = match *which {
            "job" => (format!("/v1/videos/{id}"), String::new()),
            "create" => (
                "/v1/video/generations".to_owned(),
                r#"{"model":"veo3.1-video-720p","prompt":"A kite"}"#.to_owned(),
            ),
            "4k" => (
                "/api/v1/veo/get-4k-video".to_owned(),
                format!(r#"{{"taskId":"{id}"}}"#),
            ),
            "1080p" => (
                format!("/api/v1/veo/get-1080p-video?taskId={id}"),
                String::new(),
            ),
            "task" => (
                format!("/api/v1/jobs/recordInfo?taskId={id}"),
                String::new(),
            ),
            "credit" => ("/api/v1/chat/credit".to_owned(), String::new()),
            "upload" => ("/api/file-base64-upload".to_owned(), upload.to_owned()),
            _ => (
                format!("/api/v1/veo/record-info?taskId={id}"),
                String::new(),
            ),
        };
        let (status, reply) = user.send(&path, &body).await;
        let code = if *shape == "status_is_code" { 422 } else { 200 };
        assert_eq!(status, code, "{case}");
        let found = reply
            .pointer(place)
            .unwrap_or_else(|| panic!("{case}: {reply}"))
            .to_string();
        let reversed: String = id.chars().rev().collect();
        let found = found
            .replace(&id, "ID")
            .replace(&reversed, "DI")
            .replace(&sim.media_url(), "MEDIA")
            .replace(&sim.url(), "SIM");
        let found = if *shape == "times_as_text" {
            without_digits(&found)
        } else {
            found
        };
        let is_same = opened(&found).is_some() && opened(&found) == opened(wanted);
        assert!(found == *wanted || is_same, "{case}: {found}");
    }
}

/// Returns the value of a JSON text, which may be inside another JSON text. The texts themselves cannot be compared,
/// since the order of their members depends on the other crates of the build.
fn opened(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let inner = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    Some(inner.unwrap_or(value))
}

/// The shapes that change a refusal. All other shapes leave it unchanged.
const SHAPES_OF_REFUSALS: [&str; 3] = ["nulls", "numbers_as_text", "unknown_fields"];

#[tokio::test]
async fn a_refusal_stays_a_refusal_in_any_shape() {
    let model = r#""model":"veo3.1-video-720p""#;
    let calls = [
        (
            "/api/v1/veo/generate",
            r#"{"prompt":" "}"#.to_owned(),
            "422",
        ),
        (
            "/api/v1/veo/generate",
            r#"{"prompt":"A kite","duration":5}"#.to_owned(),
            "422",
        ),
        ("/api/v1/veo/record-info?taskId=none", String::new(), "422"),
        (
            "/api/v1/veo/get-1080p-video?taskId=none",
            String::new(),
            "422",
        ),
        (
            "/api/v1/jobs/createTask",
            r#"{"model":"veo-9","input":{}}"#.to_owned(),
            "422",
        ),
        ("/api/v1/jobs/recordInfo?taskId=none", String::new(), "422"),
        ("/api/file-base64-upload", "{}".to_owned(), "400"),
        (
            "/v1/video/generations",
            format!(r#"{{{model},"prompt":"A kite","duration":5}}"#),
            "invalid_request",
        ),
        ("/v1/video/generations", "{}".to_owned(), ""),
        ("/v1/videos/none", String::new(), "task_not_exist"),
    ];
    let shapes = words("fault = [{ on = 'any', fault = { shape = 'none' } }]");
    for shape in &shapes {
        let sim = start(toml(&format!(
            "fault = [{{ on = 'any', fault = {{ shape = '{shape}' }} }}]"
        )))
        .await;
        let plain = Sim::start().await.unwrap();
        for (path, body, code) in &calls {
            let case = format!("{shape} {path} {body}");
            let (status, mut reply) = User::new(&sim, "key").send(path, body).await;
            let (usual_status, mut wanted) = User::new(&plain, "key").send(path, body).await;
            let usual_status = if *code == "422" && shape == "status_is_code" {
                422
            } else {
                usual_status
            };
            assert_eq!(status, usual_status, "{case}");
            if !SHAPES_OF_REFUSALS.contains(&shape.as_str()) {
                for reply in [&mut reply, &mut wanted] {
                    // The gateway adds an id to each of its messages.
                    reply.pointer_mut("/error/message").map(Value::take);
                }
                assert_eq!(reply, wanted, "{case}");
            }
            let seen = match reply.pointer("/error/code").unwrap_or(&reply["code"]) {
                Value::Null => String::new(),
                Value::String(word) => word.clone(),
                number => number.to_string(),
            };
            assert_eq!(seen, *code, "{case}: {reply}");
        }
        assert_eq!(sim.charges(), [], "{shape}");
    }
}

/// Returns a time with letters in place of its digits.
fn without_digits(time: &str) -> String {
    let pattern = "\"YYYY-MM-DD hh:mm:ss\"";
    let same = time.len() == pattern.len()
        && time.chars().zip(pattern.chars()).all(|(c, p)| {
            if p.is_alphabetic() {
                c.is_ascii_digit()
            } else {
                c == p
            }
        });
    if same {
        pattern.to_owned()
    } else {
        time.to_owned()
    }
}

#[tokio::test]
async fn a_task_ends_by_its_fate_and_a_failed_one_is_refunded() {
    for (fate, kie, uniall, returned) in FATES {
        // Every task that ends at all ends within the next hour.
        let sim = start(toml(&format!(
            "pace = {{ scale = 1.0 }}\ntask = [{{ fate = '{fate}' }}]"
        )))
        .await;
        let user = User::new(&sim, "key");
        let id = user
            .kie_task(json!({ "prompt": "A kite", "resolution": "1080p", "aspect_ratio": "9:16" }))
            .await;
        let job_id = user.uniall_task().await;
        sim.advance(std::time::Duration::from_secs(3600));

        let record = user.record(&id).await;
        let urls = record["response"]["resultUrls"]
            .as_array()
            .map_or(0, Vec::len);
        let [flag, code, words] =
            ["successFlag", "errorCode", "errorMessage"].map(|name| &record[name]);
        assert_eq!(format!("{flag} {code} {words} {urls}"), *kie, "{fate}");
        assert_eq!(record["fallbackFlag"], *fate == "fallback", "{fate}");

        let job = user.get(&format!("/v1/videos/{job_id}")).await;
        let has_video = job.get("video_url").is_some();
        let words = &job["error"]["message"];
        assert_eq!(
            format!("{} {words} {has_video}", job["status"].as_str().unwrap()),
            *uniall,
            "{fate}"
        );

        // The link has a video if the reply has a link.
        for (id, is_there) in [(&id, urls > 0), (&job_id, has_video)] {
            let url = json!(format!("{}/media/{id}.mp4", sim.media_url()));
            assert_eq!(
                user.fetch(&url).await.status(),
                if is_there { 200 } else { 404 },
                "{fate}"
            );
            if is_there {
                let (width, height, _) = user.size(&url).await;
                let size = match *fate {
                    _ if *id == job_id => (1280, 720),
                    "smaller" | "no_4k" => (720, 1280),
                    "fallback" => (1920, 1080),
                    _ => (1080, 1920),
                };
                assert_eq!((width, height), size, "{fate}");
                let word = if width.min(height) == 720 {
                    "720p"
                } else {
                    "1080p"
                };
                assert!(
                    *id == job_id || record["response"]["resolution"] == word,
                    "{fate}: {record}"
                );
            }
        }
        let refunds: Vec<_> = sim.charges().iter().map(|charge| charge.refunded).collect();
        assert_eq!(refunds, [*returned; 2], "{fate}");
        assert_eq!(
            user.balance().await,
            if *returned { 1250.75 } else { 1185.75 },
            "{fate}"
        );

        let refusal = match *fate {
            "made" | "smaller" | "no_4k" => {
                "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."
            }
            "fallback" => "Videos made by the fallback model cannot be upgraded.",
            "filtered" => "record result data is empty.",
            _ => "record status is not success.",
        };
        let upgrade = user
            .get(&format!("/api/v1/veo/get-1080p-video?taskId={id}"))
            .await;
        assert_eq!(upgrade["msg"], refusal, "{fate}");
        let is_charged = refusal.starts_with("1080P");
        assert_eq!(sim.charges().len(), 2 + usize::from(is_charged), "{fate}");
    }
}

#[tokio::test]
async fn a_charged_4k_upgrade_can_fail() {
    let sim = start(toml("task = [{ fate = 'no_4k' }]")).await;
    let user = User::new(&sim, "key");
    let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let post_4k = async || {
        user.post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
            .await
    };
    let processing =
        "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.";
    let failed = "The 4K version of this video is unavailable. Please try a different video.";
    for (code, words) in [
        (200, "success"),
        (422, processing),
        (422, processing),
        (500, failed),
        (500, failed),
    ] {
        let reply = post_4k().await;
        assert_eq!(
            (&reply["code"], &reply["msg"]),
            (&json!(code), &json!(words))
        );
        assert_eq!(
            reply.pointer("/data/resultUrls").unwrap_or(&Value::Null),
            &Value::Null
        );
    }
    let paid: Vec<_> = sim
        .charges()
        .iter()
        .map(|charge| (charge.operation, charge.refunded))
        .collect();
    assert_eq!(paid, [("generate", false), ("get_4k_video", false)]);
    assert_eq!(
        user.fetch(&json!(format!("{}/media/{id}_4k.mp4", sim.media_url())))
            .await
            .status(),
        404
    );
    // The upgrade to 1080p is not affected.
    let get_1080p = async || {
        user.get(&format!("/api/v1/veo/get-1080p-video?taskId={id}"))
            .await
    };
    while get_1080p().await["code"] != 200 {}
}

#[tokio::test]
async fn an_upgrade_to_4k_can_have_an_id_and_a_record_of_its_own() {
    for (fate, flag, code) in [("smaller", 1, Value::Null), ("no_4k", 3, json!(500))] {
        let fault = "fault = [{ on = 'get_4k_video', fault = { shape = 'new_4k_id' } }]";
        let sim = start(toml(&format!("task = [{{ fate = '{fate}' }}]\n{fault}"))).await;
        let user = User::new(&sim, "key");
        let (id, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
        let reversed: String = id.chars().rev().collect();
        let unknown = user
            .get(&format!("/api/v1/veo/record-info?taskId={reversed}"))
            .await;
        assert_eq!(
            unknown["msg"], "record is null.",
            "the id of the upgrade is known before the call"
        );

        let reply = user
            .post("/api/v1/veo/get-4k-video", json!({ "taskId": id }))
            .await;
        let upgrade = reply["data"]["taskId"].as_str().unwrap();
        assert_ne!(upgrade, id);
        assert_eq!(user.record(upgrade).await["successFlag"], 0);
        let record = user.kie_end(upgrade).await;
        assert_eq!(
            (&record["successFlag"], &record["errorCode"]),
            (&json!(flag), &code),
            "{fate}"
        );
        assert_eq!(
            (&record["taskId"], record.get("fallbackFlag")),
            (&json!(upgrade), None),
            "{fate}"
        );
        match fate {
            "smaller" => assert_eq!(
                user.size(&record["response"]["resultUrls"][0]).await,
                (3840, 2160, 8)
            ),
            _ => assert_eq!(record["response"], Value::Null),
        }
        assert_eq!(
            user.record(&id).await["response"]["resolution"],
            "720p",
            "{fate}: the record of the video has changed"
        );
        let stranger = User::new(&sim, "another")
            .get(&format!("/api/v1/veo/record-info?taskId={upgrade}"))
            .await;
        assert_eq!(stranger["msg"], "record is null.");
    }
}

#[tokio::test]
async fn media_fail_as_their_fault_says() {
    for fault in [
        "'truncated'",
        "'corrupted'",
        "'without_ranges'",
        "'expired'",
        "'cut_body'",
        "'stall'",
        "'drop'",
        "slow",
    ] {
        let sim = Sim::start().await.unwrap();
        let user = User::new(&sim, "at-once");
        let (_, video) = user.kie_video(json!({ "prompt": "A kite" })).await;
        let whole = user.download(&video["resultUrls"][0]).await;
        let size = whole.len();

        // The file comes in five parts.
        let text = if fault == "slow" {
            format!("{{ slow = {} }}", 4 * size)
        } else {
            fault.to_owned()
        };
        let broken = toml(&format!(
            "pace = 'at_once'\nfault = [{{ on = 'media', times = 2, fault = {text} }}]"
        ));
        let sim = start(broken).await;
        let user = User::new(&sim, "key");
        let (_, video) = user.kie_video(json!({ "prompt": "A kite" })).await;
        let url = video["resultUrls"][0].as_str().unwrap();
        let path = url.strip_prefix(&sim.media_url()).unwrap();
        let asked = format!("GET {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n");
        let exchange = async |request: String| match fault {
            "'stall'" => Raw::exchange_until_silent(&sim, request).await,
            _ => Raw::exchange(&sim, request).await,
        };
        let reply = exchange(format!("{asked}\r\n")).await;
        let part = exchange(format!("{asked}range: bytes=0-9\r\n\r\n")).await;
        let body = reply.body();
        match fault {
            "'truncated'" => {
                assert_eq!((reply.status(), body), (Some(200), &whole[..size / 2]));
                assert_eq!(
                    reply.header("content-length").unwrap(),
                    (size / 2).to_string()
                );
            }
            "'corrupted'" => {
                assert_eq!((reply.status(), body.len()), (Some(200), size));
                assert!(
                    body[..size / 2].iter().all(|byte| *byte == 0)
                        && body[size / 2..] == whole[size / 2..]
                );
                assert_eq!(part.body(), [0; 10], "the same in every part");
            }
            "'without_ranges'" => {
                assert_eq!((part.status(), part.body()), (Some(200), &whole[..]));
                assert_eq!(
                    (part.header("accept-ranges"), part.header("etag")),
                    (None, None)
                );
            }
            "'expired'" => assert_eq!(
                (reply.status(), body),
                (Some(403), &b"Request has expired"[..])
            ),
            "'cut_body'" | "'stall'" => {
                assert_eq!(
                    (reply.status(), body),
                    (Some(200), &whole[..size / 2]),
                    "{fault}"
                );
                assert_eq!(
                    reply.header("content-length").unwrap(),
                    size.to_string(),
                    "{fault}"
                );
                assert_eq!(
                    reply.end,
                    if fault == "'stall'" {
                        End::Silent
                    } else {
                        End::Closed
                    }
                );
                assert_eq!(
                    (part.status(), part.body()),
                    (Some(206), &whole[..5]),
                    "{fault}"
                );
            }
            "'drop'" => assert_eq!((reply.bytes.len(), reply.end), (0, End::Closed)),
            _ => assert_eq!((reply.status(), body), (Some(200), &whole[..]), "{fault}"),
        }
        assert_eq!(
            user.download(&video["resultUrls"][0]).await,
            whole,
            "{fault}: the third time goes well"
        );
    }
}

#[tokio::test]
async fn slow_media_come_piece_by_piece() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let sim = start(toml(
        "pace = 'at_once'\nfault = [{ on = 'media', fault = { slow = 2_000 } }]",
    ))
    .await;
    let user = User::new(&sim, "key");
    let id = user.kie_task(json!({ "prompt": "A kite" })).await;
    let mut socket = crate::connect(&sim).await;
    socket
        .write_all(format!("GET /media/{id}.mp4 HTTP/1.1\r\nhost: sim\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut came = Vec::new();
    let body = loop {
        socket.read_buf(&mut came).await.unwrap();
        let raw = Raw {
            bytes: came.clone(),
            end: End::Silent,
        };
        if !raw.body().is_empty() {
            let whole: usize = raw.header("content-length").unwrap().parse().unwrap();
            assert!(raw.body().len() < whole / 2, "not so much at once");
            break raw.body().len();
        }
    };
    assert!(
        body.is_multiple_of(100),
        "a twentieth of a second at a time, not {body} bytes"
    );
}

#[test]
fn every_fault_shape_and_fate_has_a_scenario_and_a_test() {
    let catalogue: toml::Table = toml::from_str(include_str!("../../scenarios.toml")).unwrap();
    let scenarios = catalogue["scenario"].as_array().unwrap();
    let rules = |list: &str, member: &str| {
        let rules = scenarios
            .iter()
            .filter_map(|scenario| scenario.get(list)?.as_array())
            .flatten();
        rules.map(|rule| rule[member].clone()).collect::<Vec<_>>()
    };
    let faults = rules("fault", "fault");
    let name = |fault: &toml::Value| match fault {
        toml::Value::String(name) => name.clone(),
        other => other.as_table().unwrap().keys().next().unwrap().clone(),
    };
    let shapes = faults
        .iter()
        .filter_map(|fault| Some(fault.get("shape")?.as_str()?.to_owned()));
    let fates = rules("task", "fate")
        .into_iter()
        .map(|fate| fate.as_str().unwrap().to_owned());
    let tested = |fault: &&str| {
        let text = fault.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .next()
            .unwrap()
            .to_owned()
    };
    for (kind, known, used, tested) in [
        (
            "fault",
            words("fault = [{ on = 'any', fault = 'none' }]"),
            faults.iter().map(name).collect::<BTreeSet<_>>(),
            FAULTS
                .iter()
                .map(|row| tested(&row.0))
                .collect::<BTreeSet<_>>(),
        ),
        (
            "shape",
            words("fault = [{ on = 'any', fault = { shape = 'none' } }]"),
            shapes.collect(),
            SHAPES.iter().map(|row| row.0.to_owned()).collect(),
        ),
        (
            "fate",
            words("task = [{ fate = 'none' }]"),
            // The default needs no scenario.
            fates.chain(["made".to_owned()]).collect(),
            FATES.iter().map(|row| row.0.to_owned()).collect(),
        ),
    ] {
        assert!(known.len() > 5, "{kind}: {known:?}");
        let table = match kind {
            "fault" => "FAULTS",
            "shape" => "SHAPES",
            _ => "FATES",
        };
        for word in &known {
            assert!(
                used.contains(word),
                "{word} is a {kind} that no scenario has: give it one in crates/veo-sim/scenarios.toml"
            );
            assert!(
                tested.contains(word),
                "{word} is a {kind} that no test has: give it a row in {table} of crates/veo-sim/tests/sim/faults.rs"
            );
        }
    }
}

/// Returns the words that a scenario can have in a place, from the error about an unknown word.
fn words(text: &str) -> BTreeSet<String> {
    let complaint = Scenario::from_toml(&format!("name = 'a'\n{text}"))
        .unwrap_err()
        .to_string();
    let (_, list) = complaint
        .split_once("expected one of ")
        .unwrap_or_else(|| panic!("{complaint}"));
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}
