//! The client of kie.ai: each request as it is sent, and each reply as it is decoded.

use bytes::Bytes;
use kie_api::types::{
    AspectRatio, CreateTaskRequest, Duration, ExtendInput, ExtendModel, ExtendTask,
    ExtendTaskModel, GenerateInput, GenerateRequest, GenerateTask, GenerateTaskModel,
    GenerationType, Model, OmniAspectRatio, OmniDuration, OmniInput, OmniResolution, OmniTask,
    OmniTaskModel, OmniVideo, Resolution, Upgrade4kInput, Upgrade4kTask, Upgrade4kTaskModel,
    Upgrade1080pInput, Upgrade1080pTask, Upgrade1080pTaskModel,
};
use kie_api::{Client, Config, Error, OPERATIONS, Reply};
use serde::Serialize;
use serde_json::json;

use veo_tests::{
    KEY, last_request, recorder, requests, retry_after, serve_json, texts_of_replies, variations,
};

const TASK: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn client(url: &str) -> Client {
    Client::new(Config::new(KEY).base_url(url)).unwrap()
}

/// Makes the shortest valid call of an operation, and returns the decoded reply as JSON, or the error.
async fn call(client: &Client, operation: &str) -> Result<String, Error> {
    fn json<T: Serialize>(reply: Reply<T>) -> String {
        serde_json::to_string(&reply.into_inner()).unwrap()
    }
    match operation {
        "generate" => client
            .generate()
            .body_map(|body| body.prompt("A red kite"))
            .send()
            .await
            .map(json),
        "record_info" => client.record_info().task_id(TASK).send().await.map(json),
        "get_1080p_video" => client
            .get_1080p_video()
            .task_id(TASK)
            .send()
            .await
            .map(json),
        "get_4k_video" => client
            .get_4k_video()
            .body_map(|body| body.task_id(TASK))
            .send()
            .await
            .map(json),
        "extend" => client
            .extend()
            .body_map(|body| body.task_id(TASK).prompt("It dives"))
            .send()
            .await
            .map(json),
        "create_task" => client
            .create_task()
            .body(shortest_task())
            .send()
            .await
            .map(json),
        "get_task" => client.get_task().task_id(TASK).send().await.map(json),
        "account_credits" => client.account_credits().send().await.map(json),
        "download_url" => client
            .download_url()
            .body_map(|body| body.url("https://tempfile.example.net/v/kite.mp4"))
            .send()
            .await
            .map(json),
        "upload_base64" => client
            .upload_base64()
            .body_map(|body| body.base64_data("iVBORw0KGgo=").upload_path("images"))
            .send()
            .await
            .map(json),
        "upload_stream" => client
            .upload_stream()
            .file(Bytes::from_static(b"bytes"))
            .upload_path("images")
            .send()
            .await
            .map(json),
        "upload_url" => {
            let body = client.upload_url();
            body.body_map(|body| {
                body.file_url("https://img.example.net/a.png")
                    .upload_path("images")
            })
            .send()
            .await
            .map(json)
        }
        _ => panic!(
            "openapi/kie.yaml has the operation {operation}: call it in call() of tests/wire/kie.rs"
        ),
    }
}

fn shortest_task() -> GenerateTask {
    let input = GenerateInput::builder().prompt("A red kite");
    let task = GenerateTask::builder()
        .model(GenerateTaskModel::Veo31)
        .input(input);
    task.try_into().unwrap()
}

fn show(result: &Result<String, Error>) -> String {
    match result {
        Ok(json) => format!("ok {json}"),
        Err(Error::Rejected(rejection)) => {
            let code = rejection
                .code
                .map_or("no code".to_owned(), |code| format!("{code:?}"));
            let retry = retry_after(&rejection.head);
            let data = rejection
                .data
                .as_ref()
                .map_or(String::new(), |data| format!("\n   data {data}"));
            format!("rejected {code}{retry}, {rejection}{data}")
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn every_reply_is_decoded() {
    let server = recorder().await;
    let client = client(&server.uri());
    let texts = texts_of_replies(&server, "kie", OPERATIONS, async |fixture| {
        let result = call(&client, &fixture.operation).await;
        Some(format!("{}\n   {}\n", fixture.name, show(&result)))
    });
    for (operation, text) in texts.await {
        insta::assert_snapshot!(format!("kie_{operation}_replies"), text);
    }
}

/// The id is in the reply or in the error, even if other fields are missing or wrong.
#[tokio::test]
async fn the_task_id_survives_any_damage_to_other_fields() {
    let server = recorder().await;
    let client = client(&server.uri());
    let replies = [
        json!({ "code": 200, "msg": "success", "data": { "taskId": TASK, "recordId": TASK } }),
        json!({ "code": 500, "msg": "Server Error", "data": { "taskId": TASK } }),
    ];
    for (name, reply) in replies
        .iter()
        .flat_map(|reply| variations(reply, "/data/taskId"))
    {
        serve_json(&server, &reply).await;
        let result = client
            .generate()
            .body_map(|body| body.prompt("A red kite"))
            .send()
            .await;
        let id = match &result {
            Ok(reply) => reply.data.as_ref().and_then(|task| task.task_id.as_deref()),
            Err(Error::Rejected(rejection)) => rejection
                .data
                .as_ref()
                .and_then(|data| data["taskId"].as_str()),
            Err(_) => None,
        };
        assert_eq!(id, Some(TASK), "{name}: {result:?}");
    }
}

/// The URL of a finished task survives in both forms, even if other fields are missing or wrong.
#[tokio::test]
async fn the_url_survives_any_damage_to_other_fields_of_a_record() {
    const URL: &str = "https://tempfile.example.net/v/kite.mp4";
    let server = recorder().await;
    let client = client(&server.uri());
    let old = json!({ "code": 200, "msg": "success", "data": {
        "taskId": TASK, "paramJson": "{}", "completeTime": 1770382106000_i64, "createTime": "2025-06-06 10:30:00",
        "response": { "taskId": TASK, "resolution": "720p", "resultUrls": [URL], "originUrls": null,
                      "hasAudioList": [true], "seeds": [56896] },
        "successFlag": 1, "fallbackFlag": false, "errorCode": null, "errorMessage": "", "creditsConsumed": 60 } });
    let result = json!({ "data": { "result_urls": [URL], "origin_urls": [] } }).to_string();
    let current = json!({ "code": 200, "msg": "success", "data": {
        "taskId": TASK, "model": "veo-3-1", "state": "success", "param": "{}", "resultJson": result, "failCode": null,
        "failMsg": "", "costTime": 88, "completeTime": 1770382106147_i64, "createTime": 1770382018160_i64,
        "updateTime": 1770382106147_i64, "creditsConsumed": 65 } });
    let rows = [
        (old, "/data/response/resultUrls/0", "response"),
        (current, "/data/resultJson", "resultJson"),
    ];
    for (record, keep, place) in rows {
        for (name, reply) in variations(&record, keep) {
            serve_json(&server, &reply).await;
            let data = match client.get_task().task_id(TASK).send().await {
                Ok(record) => serde_json::to_value(record.into_inner().data).unwrap(),
                // A code other than 200 is a refusal, whose error has the data of the reply.
                Err(Error::Rejected(rejection)) => rejection.data.unwrap(),
                Err(error) => panic!("{name}: {error}"),
            };
            assert_eq!(data[place]["resultUrls"], json!([URL]), "{name}");
        }
    }
}

/// The record repeats the request. Its model can be less exact than in the request: `veo-3-1` is a model of every tier.
#[tokio::test]
async fn a_record_repeats_its_request() {
    const UPGRADE: &str = r#"{"model":"veo/get-4k-video","input":{"task_id":"t0","index":0}}"#;
    const UPGRADE_1080P: &str = r#"{"model":"veo/get-1080p-video","input":"{\"taskId\":\"t0\"}"}"#;
    const EXTENSION: &str =
        r#"{"model":"veo/extend","input":{"task_id":"t0","prompt":"It dives"}}"#;
    let input = r#"{"prompt":"A kite","model":"veo3_lite"}"#;
    let encoded = |value: &str| json!(value).to_string();
    let with = |input: &str| format!(r#"{{"model":"veo-3-1","input":{input}}}"#);
    let veo = Some("veo-3-1");
    let lite = Some("veo3_lite");
    let kite = Some("A kite");
    // Each row ends with the facts of the record: the prompt, the model, the kind, and the task that it continues.
    let table = [
        ("param", with(input), [kite, lite, veo, None]),
        ("param", with(&encoded(input)), [kite, lite, veo, None]),
        (
            "param",
            with(&encoded(&encoded(input))),
            [kite, lite, veo, None],
        ),
        (
            "param",
            encoded(&with(&encoded(input))),
            [kite, lite, veo, None],
        ),
        (
            "param",
            format!("\u{feff}{}", with(input)),
            [kite, lite, veo, None],
        ),
        (
            "param",
            with(r#"{"prompt":"A kite"}"#),
            [kite, None, veo, None],
        ),
        ("param", with("null"), [None, None, veo, None]),
        ("param", with(r#""{\"prompt\":""#), [None, None, veo, None]),
        (
            "param",
            r#"{"model":"veo-3-1"}"#.to_owned(),
            [None, None, veo, None],
        ),
        ("param", "{".to_owned(), [None, None, veo, None]),
        (
            "param",
            EXTENSION.to_owned(),
            [
                Some("It dives"),
                Some("veo/extend"),
                Some("veo/extend"),
                Some("t0"),
            ],
        ),
        (
            "param",
            UPGRADE.to_owned(),
            [
                None,
                Some("veo/get-4k-video"),
                Some("veo/get-4k-video"),
                Some("t0"),
            ],
        ),
        (
            "param",
            UPGRADE_1080P.to_owned(),
            [
                None,
                Some("veo/get-1080p-video"),
                Some("veo/get-1080p-video"),
                Some("t0"),
            ],
        ),
        ("paramJson", encoded(input), [kite, lite, None, None]),
        (
            "paramJson",
            r#"{"taskId":"t0","prompt":"It dives"}"#.to_owned(),
            [Some("It dives"), None, None, Some("t0")],
        ),
    ];
    let server = recorder().await;
    for (field, request, wanted) in table {
        let mut reply = json!({ "code": 200, "data": { "taskId": TASK, "model": "veo-3-1", "state": "waiting" } });
        reply["data"][field] = json!(request);
        serve_json(&server, &reply).await;
        let record = client(&server.uri()).get_task().task_id(TASK).send().await;
        let asked = record.unwrap().into_inner().data.unwrap().asked();
        let fields = [&asked.prompt, &asked.model, &asked.kind, &asked.task];
        assert_eq!(fields.map(|text| text.as_deref()), wanted, "{request}");
    }
}

#[tokio::test]
async fn every_request_is_sent_as_written() {
    let server = recorder().await;
    let client = client(&server.uri());
    let mut text = String::new();
    for operation in OPERATIONS {
        call(&client, operation).await.unwrap();
        text.push_str(&format!(
            "# {operation}, as short as can be\n{}\n",
            last_request(&server).await
        ));
    }

    let everything = client.generate().body_map(|body| {
        body.prompt("The kite climbs")
            .image_urls([
                "https://img.example.net/first.jpg",
                "https://img.example.net/last.jpg",
            ])
            .model(Model::Quality)
            .generation_type(GenerationType::FirstAndLastFrames)
            .aspect_ratio(AspectRatio::Portrait)
            .seeds(23456)
            .call_back_url("https://app.example.net/hook")
            .enable_translation(false)
            .watermark("Harbour")
            .resolution(Resolution::P1080)
            .duration(Duration::Seconds4)
            .extra(serde_json::Map::from_iter([(
                "aspect_ratio".to_owned(),
                json!("9:16"),
            )]))
    });
    everything.send().await.unwrap();
    text.push_str(&format!(
        "# generate, with every field\n{}\n",
        last_request(&server).await
    ));

    let everything = client.extend().body_map(|body| {
        body.task_id(TASK)
            .prompt("It dives")
            .seeds(23456)
            .model(ExtendModel::Quality)
            .watermark("Harbour")
            .call_back_url("https://app.example.net/hook")
    });
    everything.send().await.unwrap();
    text.push_str(&format!(
        "# extend, with every field\n{}\n",
        last_request(&server).await
    ));

    client
        .get_1080p_video()
        .task_id(TASK)
        .index(1)
        .send()
        .await
        .unwrap();
    text.push_str(&format!(
        "# get_1080p_video, with every field\n{}\n",
        last_request(&server).await
    ));

    client
        .get_4k_video()
        .body_map(|body| {
            body.task_id(TASK)
                .index(1)
                .call_back_url("https://app.example.net/hook")
        })
        .send()
        .await
        .unwrap();
    text.push_str(&format!(
        "# get_4k_video, with every field\n{}\n",
        last_request(&server).await
    ));

    for task in tasks() {
        let title = match &task {
            CreateTaskRequest::GenerateTask(_) => "a video",
            CreateTaskRequest::ExtendTask(_) => "an extension",
            CreateTaskRequest::Upgrade1080pTask(_) => "an upgrade to 1080p",
            CreateTaskRequest::Upgrade4kTask(_) => "an upgrade to 4K",
            CreateTaskRequest::OmniTask(_) => "a video of Gemini Omni",
            _ => "a task without a title here",
        };
        client.create_task().body(task).send().await.unwrap();
        text.push_str(&format!(
            "# create_task, {title} with every field\n{}\n",
            last_request(&server).await
        ));
    }

    client
        .upload_stream()
        .file(Bytes::from_static(b"bytes"))
        .upload_path("images")
        .file_name("kite.png")
        .send()
        .await
        .unwrap();
    text.push_str(&format!(
        "# upload_stream, with every field\n{}\n",
        last_request(&server).await
    ));

    insta::assert_snapshot!("kie_requests", text);
}

/// Returns a task of each kind with every field.
fn tasks() -> Vec<CreateTaskRequest> {
    const HOOK: &str = "https://app.example.net/hook";
    let input = GenerateInput::builder()
        .prompt("The kite climbs")
        .image_urls([
            "https://img.example.net/first.jpg",
            "https://img.example.net/last.jpg",
        ])
        .model(Model::Quality)
        .generation_type(GenerationType::FirstAndLastFrames)
        .aspect_ratio(AspectRatio::Portrait)
        .enable_translation(false)
        .watermark("Harbour")
        .resolution(Resolution::P1080)
        .duration(Duration::Seconds4);
    let video = GenerateTask::builder()
        .model(GenerateTaskModel::Veo31)
        .call_back_url(HOOK)
        .input(input);
    let input = ExtendInput::builder()
        .task_id(TASK)
        .prompt("It dives")
        .seeds(23456)
        .watermark("Harbour");
    let extension = ExtendTask::builder()
        .model(ExtendTaskModel::Extend)
        .call_back_url(HOOK)
        .input(input);
    let to_1080p = Upgrade1080pTask::builder()
        .model(Upgrade1080pTaskModel::Get1080p)
        .call_back_url(HOOK)
        .input(Upgrade1080pInput::builder().task_id(TASK).index("1"));
    let to_4k = Upgrade4kTask::builder()
        .model(Upgrade4kTaskModel::Get4k)
        .call_back_url(HOOK)
        .input(Upgrade4kInput::builder().task_id(TASK).index(1));
    let video_list: OmniVideo = OmniVideo::builder()
        .url("https://img.example.net/kite.mp4")
        .start(json!(0))
        .ends(json!(4))
        .try_into()
        .unwrap();
    let input = OmniInput::builder()
        .prompt("The kite climbs")
        .duration(OmniDuration::Seconds10)
        .aspect_ratio(OmniAspectRatio::Portrait)
        .resolution(OmniResolution::P360)
        .seed(23456)
        .first_frame_url("https://img.example.net/first.jpg")
        .last_frame_url("https://img.example.net/last.jpg")
        .image_urls(["https://img.example.net/a.jpg"])
        .audio_ids(["a1"])
        .character_ids(["c1"])
        .video_list([video_list]);
    let omni = OmniTask::builder()
        .model(OmniTaskModel::Flash11)
        .call_back_url(HOOK)
        .input(input);
    vec![
        GenerateTask::try_from(video).unwrap().into(),
        ExtendTask::try_from(extension).unwrap().into(),
        Upgrade1080pTask::try_from(to_1080p).unwrap().into(),
        Upgrade4kTask::try_from(to_4k).unwrap().into(),
        OmniTask::try_from(omni).unwrap().into(),
    ]
}

#[test]
fn the_model_of_a_task_decides_its_kind() {
    for task in tasks() {
        let sent = serde_json::to_value(&task).unwrap();
        let read: CreateTaskRequest = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(
            std::mem::discriminant(&read),
            std::mem::discriminant(&task),
            "{sent}"
        );
        let mut of_no_kind = sent.clone();
        of_no_kind["model"] = json!("veo-4");
        assert!(serde_json::from_value::<CreateTaskRequest>(of_no_kind).is_err());
    }
}

/// The type has every field of the page's request, so `extra` stays empty. The request is sent unchanged.
#[tokio::test]
async fn the_request_of_the_page_is_sent_unchanged() {
    let server = recorder().await;
    for (name, page) in requests("kie") {
        let request: GenerateRequest = serde_json::from_value(page.clone()).unwrap();
        assert!(request.extra.is_empty(), "{name}: {:?}", request.extra);
        client(&server.uri())
            .generate()
            .body(request)
            .send()
            .await
            .unwrap();
        let sent: serde_json::Value = server
            .received_requests()
            .await
            .unwrap()
            .pop()
            .unwrap()
            .body_json()
            .unwrap();
        assert_eq!(sent, page, "{name}");
    }
}

#[tokio::test]
async fn an_invalid_request_is_not_sent() {
    let server = recorder().await;
    let client = client(&server.uri());
    let generate = client.generate();
    let extend = client.extend();
    let empty: GenerateRequest = serde_json::from_str(r#"{"prompt": ""}"#).unwrap();
    let unchecked: GenerateTask =
        serde_json::from_str(r#"{"model": "veo-3-1", "input": {"prompt": ""}}"#).unwrap();
    let rows = [
        (
            generate.clone().send().await.map(drop),
            "no value supplied for prompt",
        ),
        (
            generate
                .clone()
                .body_map(|body| body.prompt(""))
                .send()
                .await
                .map(drop),
            "`prompt` has 0 characters, and needs at least 1",
        ),
        (
            generate.clone().body(empty).send().await.map(drop),
            "`prompt` has 0 characters, and needs at least 1",
        ),
        (
            generate
                .clone()
                .body_map(|body| body.prompt("A red kite").image_urls(["a", "b", "c", "d"]))
                .send()
                .await
                .map(drop),
            "`image_urls` has 4 items, and may have 3 at most",
        ),
        (
            generate
                .body_map(|body| body.prompt("A red kite").seeds(7))
                .send()
                .await
                .map(drop),
            "`seeds` is 7, and has to be from 10000 to 99999",
        ),
        (
            extend
                .body_map(|body| body.prompt("It dives"))
                .send()
                .await
                .map(drop),
            "no value supplied for task_id",
        ),
        (
            client.create_task().body(unchecked).send().await.map(drop),
            "`prompt` has 0 characters, and needs at least 1",
        ),
        (
            client.create_task().send().await.map(drop),
            "body was not initialized",
        ),
        (
            client.record_info().send().await.map(drop),
            "task_id was not initialized",
        ),
        (
            client.upload_stream().send().await.map(drop),
            "no value supplied for upload_path",
        ),
        (
            client
                .upload_stream()
                .upload_path("images")
                .file_name("")
                .send()
                .await
                .map(drop),
            "`file_name` has 0 characters, and needs at least 1",
        ),
    ];
    for (result, reason) in rows {
        let sentence = format!("the request is not valid and was not sent: {reason}");
        assert_eq!(result.unwrap_err().to_string(), sentence);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
