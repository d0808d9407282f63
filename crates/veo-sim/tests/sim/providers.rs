//! The answers of both providers to valid requests, and their refusals.

use std::io::ErrorKind;
use std::net::TcpStream;

use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};
use veo_sim::{Fate, Pace, Scenario, Sim};

use crate::{Size, User, exchange, rows, start, toml};

/// The formats of the requests, each with the size of the video.
pub(crate) const SIZES: [(&str, &str, u64, Size); 6] = [
    ("16:9", "720p", 4, (1280, 720, 4)),
    ("16:9", "1080p", 6, (1920, 1080, 6)),
    ("16:9", "4k", 8, (3840, 2160, 8)),
    ("9:16", "720p", 8, (720, 1280, 8)),
    ("9:16", "1080p", 4, (1080, 1920, 4)),
    ("9:16", "4k", 6, (2160, 3840, 6)),
];

#[tokio::test]
async fn kie_makes_the_video_of_the_request() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for (ratio, resolution, seconds, size) in SIZES {
        let request = json!({
            "prompt": "A kite", "model": "veo3_fast", "resolution": resolution,
            "aspect_ratio": ratio, "duration": seconds,
        });
        let id = user.kie_task(request).await;
        assert!(
            id.len() == 32
                && id
                    .bytes()
                    .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)),
            "{id}"
        );

        for _ in 1..=3 {
            let record = user.record(&id).await;
            assert_eq!(record["successFlag"], 0);
            for name in ["response", "completeTime", "errorCode", "errorMessage"] {
                assert_eq!(record.get(name), Some(&Value::Null), "{name}");
            }
        }
        let record = user.record(&id).await;
        let params: Value = serde_json::from_str(record["paramJson"].as_str().unwrap()).unwrap();
        assert_eq!(
            params,
            json!({ "aspectRatio": ratio, "model": "veo3_fast", "prompt": "A kite" })
        );
        for name in ["createTime", "completeTime"] {
            let time = record[name].as_u64().unwrap();
            assert!(
                time > 1_500_000_000_000 && time.is_multiple_of(1000),
                "{name} is in milliseconds of whole seconds"
            );
        }
        let url = |which: &str| json!([format!("{}/media/{id}{which}.mp4", sim.media_url())]);
        // Only a video of another format than 720p in landscape has an original of 720p.
        let origin = if (ratio, resolution) == ("16:9", "720p") {
            Value::Null
        } else {
            url("_origin")
        };
        let response = json!({
            "taskId": id, "resolution": resolution, "originUrls": origin, "resultUrls": url(""),
            "hasAudioList": [true], "seeds": [56896],
        });
        let expected = json!({
            "taskId": id, "paramJson": record["paramJson"], "response": response, "successFlag": 1, "fallbackFlag": false,
            "completeTime": record["completeTime"], "createTime": record["createTime"],
            "errorCode": null, "errorMessage": null,
        });
        assert_eq!(record, expected);
        assert_eq!(user.size(&url("")[0]).await, size);
        let origin_size = if ratio == "16:9" {
            (1280, 720, seconds)
        } else {
            (720, 1280, seconds)
        };
        assert_eq!(user.size(&url("_origin")[0]).await, origin_size);
    }
}

#[tokio::test]
async fn kie_repeats_some_fields_of_a_request_in_its_record() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let images = json!([
        "https://img.example.net/first.png",
        "https://img.example.net/last.png"
    ]);
    let id = user
        .kie_task(json!({
            "prompt": "A kite", "imageUrls": images, "watermark": "Harbour", "resolution": "720p", "duration": 4,
            "enableTranslation": true, "callBackUrl": "http://127.0.0.1:9/hook",
        }))
        .await;
    let params: Value =
        serde_json::from_str(user.record(&id).await["paramJson"].as_str().unwrap()).unwrap();
    let wanted = json!({
        "aspectRatio": "16:9", "imageUrls": images, "model": "veo3_fast", "prompt": "A kite", "waterMark": "Harbour",
    });
    assert_eq!(params, wanted);
}

#[tokio::test]
async fn kie_knows_two_names_of_the_aspect_ratio_and_has_defaults() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "at-once");
    for (rest, size) in [
        (json!({}), (1280, 720, 8)),
        (json!({ "aspect_ratio": "Auto" }), (1280, 720, 8)),
        (json!({ "aspect_ratio": "9:16" }), (720, 1280, 8)),
        (json!({ "aspectRatio": "9:16" }), (720, 1280, 8)),
        // The newer name takes precedence.
        (
            json!({ "aspectRatio": "16:9", "aspect_ratio": "9:16" }),
            (720, 1280, 8),
        ),
    ] {
        let mut request = json!({ "prompt": "A kite" });
        request
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let (_, video) = user.kie_video(request).await;
        assert_eq!(user.size(&video["resultUrls"][0]).await, size, "{rest}");
    }
}

#[tokio::test]
async fn kie_upgrades_a_finished_video() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let id = user
        .kie_task(json!({ "prompt": "A kite", "duration": 4 }))
        .await;
    let get_1080p = async || {
        user.get(&format!("/api/v1/veo/get-1080p-video?taskId={id}&index=0"))
            .await
    };
    let post_4k = async || {
        user.post(
            "/api/v1/veo/get-4k-video",
            json!({ "taskId": id, "index": 0 }),
        )
        .await
    };

    let unfinished = json!({ "code": 422, "msg": "record status is not success.", "data": null });
    assert_eq!(
        (get_1080p().await, post_4k().await),
        (unfinished.clone(), unfinished)
    );
    user.kie_end(&id).await;

    let words =
        "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.";
    for _ in 1..=3 {
        assert_eq!(
            get_1080p().await,
            json!({ "code": 400, "msg": words, "data": null })
        );
    }
    let url = format!("{}/media/{id}_1080p.mp4", sim.media_url());
    for _ in 1..=2 {
        assert_eq!(
            get_1080p().await,
            json!({ "code": 200, "msg": "success", "data": { "resultUrl": url } })
        );
    }
    assert_eq!(user.size(&json!(url)).await, (1920, 1080, 4));

    let processing =
        "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.";
    let url = format!("{}/media/{id}_4k.mp4", sim.media_url());
    assert_eq!(user.fetch(&json!(url)).await.status(), 404);
    let made = "The video has been generated successfully";
    for (code, words, urls) in [
        (200, "success", Value::Null),
        (422, processing, Value::Null),
        (422, processing, Value::Null),
        (422, made, json!([url])),
        (422, made, json!([url])),
    ] {
        let data = json!({ "taskId": id, "resultUrls": urls, "imageUrls": null });
        assert_eq!(
            post_4k().await,
            json!({ "code": code, "msg": words, "data": data })
        );
    }
    assert_eq!(user.size(&json!(url)).await, (3840, 2160, 4));
}

#[tokio::test]
async fn kie_extends_a_finished_video() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "at-once");
    let request = json!({ "prompt": "A kite", "duration": 4, "aspect_ratio": "9:16" });
    let (mut source, _) = user.kie_video(request).await;
    for film_seconds in [11, 18] {
        let request = json!({ "taskId": source, "prompt": "It lands", "model": "quality" });
        let extended = user.post("/api/v1/veo/extend", request).await["data"]["taskId"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_ne!(extended, source);
        let video = &user.kie_end(&extended).await["response"];
        assert_eq!(user.size(&video["resultUrls"][0]).await, (720, 1280, 7));
        assert_eq!(
            user.size(&video["fullResultUrls"][0]).await,
            (720, 1280, film_seconds)
        );
        source = extended;
    }
    let unfinished = User::new(&sim, "stuck");
    let id = unfinished.kie_task(json!({ "prompt": "A kite" })).await;
    let reply = unfinished
        .post(
            "/api/v1/veo/extend",
            json!({ "taskId": id, "prompt": "On" }),
        )
        .await;
    assert_eq!(reply["msg"], "record status is not success.");
    user.get(&format!("/api/v1/veo/get-1080p-video?taskId={source}"))
        .await;
    let reply = user
        .post(
            "/api/v1/veo/extend",
            json!({ "taskId": source, "prompt": "On" }),
        )
        .await;
    assert_eq!(reply["msg"], "Videos upgraded to 1080P cannot be extended.");
}

#[tokio::test]
async fn kie_has_no_link_for_an_extension_that_was_filtered() {
    let sim = start(
        Scenario::new("test", "")
            .pace(Pace::AtOnce)
            .task(2.., Fate::Filtered),
    )
    .await;
    let user = User::new(&sim, "key");
    let (source, _) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let reply = user
        .post(
            "/api/v1/veo/extend",
            json!({ "taskId": source, "prompt": "It lands" }),
        )
        .await;
    let record = user
        .kie_end(reply["data"]["taskId"].as_str().unwrap())
        .await;
    assert_eq!(record["successFlag"], 1);
    assert_eq!(
        (
            &record["response"]["resultUrls"],
            &record["response"]["fullResultUrls"]
        ),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn kie_returns_the_balance_and_makes_download_links() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let balance = user.get("/api/v1/chat/credit").await;
    assert_eq!(
        balance,
        json!({ "code": 200, "msg": "success", "data": 1250.75 })
    );

    let (_, video) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = &video["resultUrls"][0];
    let link = user
        .post("/api/v1/common/download-url", json!({ "url": url }))
        .await["data"]
        .clone();
    assert_ne!(link, *url);
    assert_eq!(user.download(&link).await, user.download(url).await);
    let link = link.as_str().unwrap();
    for broken in [
        link.replace("signature=", "signature=0"),
        link.replace("expires=", "expires=9"),
        link.replace("expires=", "expires=x"),
        link.split('&').next().unwrap().to_owned(),
        format!(
            "{}?{}",
            url.as_str().unwrap(),
            link.rsplit('&').next().unwrap()
        ),
    ] {
        assert_eq!(user.fetch(&json!(broken)).await.status(), 403, "{broken}");
    }
    assert_eq!(
        user.fetch(&json!(format!("{}?v=1", url.as_str().unwrap())))
            .await
            .status(),
        200
    );

    let running = user.kie_task(json!({ "prompt": "A kite" })).await;
    for url in [
        format!("{}/media/none.mp4", sim.media_url()),
        format!("{}/media/{running}.mp4", sim.media_url()),
        link.to_owned(),
        "https://example.net/a.mp4".to_owned(),
    ] {
        let reply = user
            .post("/api/v1/common/download-url", json!({ "url": url }))
            .await;
        assert_eq!(
            reply,
            json!({ "code": 422, "msg": "url is wrong", "data": null }),
            "{url}"
        );
    }
}

#[tokio::test]
async fn kie_stores_uploads_with_the_type_of_their_name() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let form = |rest: &str| {
        let form = format!(
            "--x\r\nContent-Disposition: form-data; name=\"uploadPath\"\r\n\r\nin\r\n{rest}\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.mp4\"\r\n\r\nhello\r\n--x--\r\n"
        );
        let request = user.call(Method::POST, "/api/file-stream-upload");
        request
            .header("content-type", "multipart/form-data; boundary=x")
            .body(form)
    };
    let base64 = |body: Value| {
        user.call(Method::POST, "/api/file-base64-upload")
            .json(&body)
    };
    let name = "--x\r\nContent-Disposition: form-data; name=\"fileName\"\r\n\r\nc.gif\r\n";
    for (request, kind, ending) in [
        (
            base64(json!({ "base64Data": "aGVsbG8=", "uploadPath": "in/k", "fileName": "a.PNG" })),
            "image/png",
            "/in/k/a.PNG",
        ),
        (
            base64(json!({ "base64Data": "aGVsbG8=", "uploadPath": "in" })),
            "application/octet-stream",
            ".bin",
        ),
        (
            base64(json!({ "base64Data": "data:image/jpeg;base64,aGVsbG8=", "uploadPath": "in" })),
            "image/jpeg",
            ".jpeg",
        ),
        (form(""), "video/mp4", ".mp4"),
        (form(name), "image/gif", "/in/c.gif"),
    ] {
        let (status, reply) = exchange(request).await;
        let data = &reply["data"];
        let path = data["filePath"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"));
        assert!(
            path.starts_with("kieai/100001/in/") && path.ends_with(ending),
            "{path}"
        );
        let expected = json!({
            "success": true, "code": 200, "msg": "File uploaded successfully",
            "data": {
                "success": true, "fileName": path.rsplit('/').next(), "filePath": path,
                "downloadUrl": format!("{}/media/uploads/{path}", sim.media_url()), "fileSize": 5, "mimeType": kind,
                "uploadedAt": data["uploadedAt"],
            },
        });
        assert_eq!((status, &reply), (200, &expected));
        assert!(data["uploadedAt"].as_str().unwrap().ends_with('Z'));
        let file = user.fetch(&data["downloadUrl"]).await;
        assert_eq!(file.headers()["content-type"], kind);
        assert_eq!(file.text().await.unwrap(), "hello");
    }

    // A second file of the same name replaces the first.
    for text in ["b25l", "dHdv"] {
        let (_, reply) = exchange(base64(
            json!({ "base64Data": text, "uploadPath": "in", "fileName": "d.png" }),
        ))
        .await;
        let wanted = base64::prelude::BASE64_STANDARD.decode(text).unwrap();
        assert_eq!(user.download(&reply["data"]["downloadUrl"]).await, wanted);
    }
    let (_, reply) = exchange(base64(
        json!({ "base64Data": "A".repeat(16 << 20), "uploadPath": "in" }),
    ))
    .await;
    assert_eq!(reply["data"]["fileSize"], 12 << 20);
    let request = json!({ "fileUrl": "https://img.example.net/c.png?v=1", "uploadPath": "in" });
    assert_eq!(
        user.post("/api/file-url-upload", request).await["data"]["mimeType"],
        "image/png"
    );
}

#[tokio::test]
async fn uniall_makes_the_video_of_the_request() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for (ratio, resolution, seconds, size) in SIZES {
        let model = format!("veo3.1-video-{resolution}");
        let request = json!({
            "model": model, "prompt": "A kite", "aspect_ratio": ratio, "duration": seconds,
            "images": ["https://img.example.net/a.png", "https://img.example.net/b.png"],
        });
        let job = user.post("/v1/video/generations", request).await;
        let (id, created_at) = (job["id"].as_str().unwrap(), &job["created_at"]);
        assert_eq!((id.len(), &id[..5]), (37, "task_"));
        assert!(
            (1_500_000_000..100_000_000_000).contains(&created_at.as_u64().unwrap()),
            "{job}: in seconds"
        );
        let expected = json!({
            "id": id, "task_id": id, "object": "video.generation.job", "model": model,
            "status": "queued", "progress": 0, "created_at": created_at,
        });
        assert_eq!(job, expected);

        let path = format!("/v1/videos/{id}");
        let mut upstream_id = Value::Null;
        for (status, progress) in [("queued", 0), ("in_progress", 33), ("in_progress", 66)] {
            let job = user.get(&path).await;
            upstream_id = job["task_id"].clone();
            let expected = json!({
                "id": id, "task_id": upstream_id, "object": "video.generation.job", "model": model,
                "status": status, "progress": progress, "created_at": created_at,
            });
            assert_eq!(job, expected);
        }
        let job = user.get(&path).await;
        let url = format!("{}/media/{id}.mp4", sim.media_url());
        let expected = json!({
            "id": id, "error": null, "model": model, "object": "video.generation.job",
            "result": { "outputs": [url], "video_url": url }, "status": "completed",
            "task_id": upstream_id, "progress": 100, "trace_id": upstream_id, "video_url": url,
            "created_at": created_at, "raw_status": "COMPLETED",
        });
        assert_eq!(job, expected);
        assert_ne!(upstream_id, id, "the gateway's own id shows through");
        assert_eq!(user.size(&json!(url)).await, size);
    }
}

#[tokio::test]
async fn uniall_makes_silent_videos_and_extensions_of_7_seconds() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "at-once");
    for (rest, seconds, tracks) in [
        (json!({}), 8, 2),
        (
            json!({ "extra_body": { "generate_audio": true, "seed": 7 } }),
            8,
            2,
        ),
        (json!({ "extra_body": { "generate_audio": false } }), 8, 1),
        (
            json!({ "video": "https://host/a.mp4", "duration": 6 }),
            7,
            2,
        ),
        (
            json!({ "image": "https://host/a.png", "duration": 4 }),
            4,
            2,
        ),
    ] {
        let mut request = json!({ "model": "veo3.1-video-720p", "prompt": "A kite" });
        request
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let job = user.post("/v1/video/generations", request).await;
        let url = user.uniall_end(job["id"].as_str().unwrap()).await["video_url"].clone();
        assert_eq!(user.size(&url).await, (1280, 720, seconds), "{rest}");
        let file = user.download(&url).await;
        let found = file.windows(4).filter(|four| four == b"trak").count();
        assert_eq!(found, tracks, "{rest}");
    }
}

#[tokio::test]
async fn kie_refuses_with_http_200() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let invalid = "Validation Error - The request parameters failed validation checks";
    for [path, body, code, message] in rows(
        r#"
        veo/generate       | []                                    | 422 | The request body must be a JSON object.
        veo/generate       | {"prompt":                            | 422 | The request body must be a JSON object.
        veo/generate       | {"prompt":" "}                        | 422 | Please enter prompt.
        veo/generate       | {"prompt":["p"]}                      | 422 | Please enter prompt.
        veo/generate       | {"prompt":"p","model":"veo2"}         | 422 | Invalid model
        veo/generate       | {"prompt":"p","model":null}           | 422 | Invalid model
        veo/generate       | {"prompt":"p","aspect_ratio":"1:1"}   | 422 | Ratio error
        veo/generate       | {"prompt":"p","aspectRatio":"1:1"}    | 422 | Ratio error
        veo/generate       | {"prompt":"p","duration":5}           | 422 | Duration error
        veo/generate       | {"prompt":"p","duration":"8"}         | 422 | Duration error
        veo/generate       | {"prompt":"p","duration":null}        | 422 | Duration error
        veo/generate       | {"prompt":"p","resolution":"8k"}      | 422 | Resolution error
        veo/generate       | {"prompt":"p","seeds":9999}           | 422 | INVALID
        veo/generate       | {"prompt":"p","seeds":100000}         | 422 | INVALID
        veo/generate       | {"prompt":"p","imageUrls":["a","b","c","d"]} | 422 | INVALID
        veo/generate       | {"prompt":"p","imageUrls":["a","b","c"]} | 422 | INVALID
        veo/generate       | {"prompt":"p","generationType":"REFERENCE_2_VIDEO"} | 422 | INVALID
        veo/generate       | {"prompt":"p","generationType":"FIRST_AND_LAST_FRAMES_2_VIDEO"} | 422 | INVALID
        veo/generate       | {"prompt":"p","enableTranslation":"no"} | 422 | INVALID
        veo/record-info    |                                       | 422 | record is null.
        veo/record-info?taskId=none       |                        | 422 | record is null.
        veo/get-1080p-video               |                        | 422 | INVALID
        veo/get-1080p-video?taskId=none   |                        | 422 | record is null.
        veo/get-4k-video   | {}                                    | 422 | INVALID
        veo/get-4k-video   | {"taskId":"none"}                     | 422 | record is null.
        veo/extend         | {"taskId":"none"}                     | 422 | Please enter prompt.
        veo/extend         | {"prompt":"p"}                        | 422 | INVALID
        veo/extend         | {"prompt":"p","model":"veo3"}         | 422 | Invalid model
        veo/extend         | {"prompt":"p","taskId":"none","seeds":7} | 422 | INVALID
        veo/extend         | {"prompt":"p","taskId":"none"}        | 404 | The original video does not exist.
        common/download-url | {}                                   | 422 | url is wrong
        common/download-url | {"url":"https://example.net/a.mp4"}  | 422 | url is wrong
        "#,
    ) {
        let message = if message == "INVALID" {
            invalid
        } else {
            message
        };
        let (status, reply) = user.send(&format!("/api/v1/{path}"), body).await;
        let code: u16 = code.parse().unwrap();
        let expected = json!({ "code": code, "msg": message, "data": null });
        assert_eq!((status, reply), (200, expected), "{path} {body}");
    }
    for path in ["/api/v1/none", "/api/v1/veo/get-4k-video", "/none", "/"] {
        let expected = json!({ "code": 404, "msg": "Not Found", "data": null });
        assert_eq!(user.send(path, "").await, (404, expected), "{path}");
    }
}

#[tokio::test]
async fn kie_uploads_refuse_with_a_true_http_status() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for [path, body, code, message] in rows(
        r#"
        base64 | []                                                      | 400 | The request body must be a JSON object
        base64 | {"uploadPath":"a"}                                      | 400 | Missing required parameter: base64Data
        base64 | {"base64Data":"aGk="}                                   | 400 | Missing required parameter: uploadPath
        base64 | {"base64Data":"!","uploadPath":"a"}                     | 400 | Base64 decoding failed: Invalid Base64 format
        base64 | {"base64Data":"aGk=","uploadPath":"a/../.."}            | 400 | Invalid parameter: uploadPath
        base64 | {"base64Data":"aGk=","uploadPath":"a","fileName":".."}  | 400 | Invalid parameter: fileName
        base64 | {"base64Data":"aGk=","uploadPath":"a","fileName":7}     | 400 | Invalid parameter: body /fileName: 7 is not of type "string"
        stream | --x--                                                   | 400 | The request body must be a multipart form
        url    | {"fileUrl":                                             | 400 | The request body must be a JSON object
        url    | {"uploadPath":"a"}                                      | 400 | Missing required parameter: fileUrl
        url    | {"fileUrl":"https://host/a.png"}                        | 400 | Missing required parameter: uploadPath
        url    |                                                         | 405 | Method Not Allowed
        none   | {}                                                      | 404 | Not Found
        "#,
    ) {
        let path = format!("/api/file-{path}-upload");
        let reply = user.send(&path, body).await;
        let code: u16 = code.parse().unwrap();
        let message = if code == 404 { "Not Found" } else { message };
        let expected = json!({ "success": false, "code": code, "msg": message });
        assert_eq!(reply, (code, expected), "{path} {body}");
    }
}

#[tokio::test]
async fn uniall_tasks_refuse_with_a_flat_error() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for [path, rest, code, message] in rows(
        r#"
        video/generations | "prompt":" "                      | invalid_request | prompt is required
        video/generations | "size":"4k"                       | invalid_request | prompt is required
        video/generations | "prompt":"p","aspect_ratio":"1:1" | invalid_request | aspect_ratio must be 16:9 or 9:16
        video/generations | "prompt":"p","duration":5         | invalid_request | duration must be the integer 4, 6 or 8
        video/generations | "prompt":"p","duration":"8"       | invalid_request | duration must be the integer 4, 6 or 8
        video/generations | "prompt":"p","size":"4K"          | invalid_request | body /size: "4K" is not one of "720p", "1080p" or "4k"
        video/generations | "prompt":"p","images":"a"         | invalid_request | images must be 2 or 3 URLs
        video/generations | "prompt":"p","images":["a"]       | invalid_request | images must be 2 or 3 URLs
        video/generations | "prompt":"p","images":["a","b","c","d"] | invalid_request | images must be 2 or 3 URLs
        video/generations | "prompt":"p","images":[1,"b"]     | invalid_request | body /images/0: 1 is not of type "string"
        videos/none       |                                   | task_not_exist  | task_not_exist
        "#,
    ) {
        let body = if rest.is_empty() {
            String::new()
        } else {
            format!(r#"{{"model":"veo3.1-fast-video-4k",{rest}}}"#)
        };
        let reply = user.send(&format!("/v1/{path}"), &body).await;
        let expected = json!({ "code": code, "message": message, "data": null });
        assert_eq!(reply, (400, expected), "{path} {body}");
    }
}

#[tokio::test]
async fn undocumented_values_are_accepted_and_reported() {
    let a = "https://img.example.net/a.png";
    let model = "veo3.1-fast-video-720p";
    for (path, request, wanted) in [
        (
            "/api/v1/veo/generate",
            json!({ "prompt": "p", "generationType": "REFERENCE_2_VIDEO", "imageUrls": [a], "model": "veo3", "duration": 4 }),
            &[
                "body /model: has to be \"veo3_fast\" or \"veo3_lite\" for REFERENCE_2_VIDEO",
                "body /duration: has to be 8 for REFERENCE_2_VIDEO",
            ][..],
        ),
        (
            "/api/v1/veo/generate",
            json!({ "prompt": "p", "generationType": "TEXT_2_VIDEO", "imageUrls": [a] }),
            &["body /imageUrls: are not for TEXT_2_VIDEO"],
        ),
        (
            "/v1/video/generations",
            json!({ "prompt": "p", "model": model, "images": [a, a], "size": "1080p" }),
            &[
                "body /images: are not for the fast models",
                "body /size: is not that of the model",
            ],
        ),
        (
            "/v1/video/generations",
            json!({ "prompt": "p", "model": model, "last_image": a }),
            &["body /last_image: is given without image"],
        ),
        (
            "/v1/video/generations",
            json!({ "prompt": "p", "model": model, "image": a, "video": a }),
            &["body: has more than one of image, images and video"],
        ),
    ] {
        let sim = Sim::start().await.unwrap();
        User::new(&sim, "key").post(path, request.clone()).await;
        let named = wanted
            .iter()
            .map(|how| format!("call 1 (POST {path}): {how}"));
        assert_eq!(sim.surprises(), named.collect::<Vec<_>>(), "{request}");
        assert_eq!(sim.charges().len(), 1, "{request}");
    }
}

#[tokio::test]
async fn the_gateway_before_uniall_refuses_with_an_error_object() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for [path, body, status, kind, code, message] in rows(
        r#"
        video/generations | []               | 400 | new_api_error |  | Invalid request: the body must be a JSON object
        video/generations | {"prompt":"p"}   | 400 | new_api_error |  | Invalid request: no model is named
        video/generations | {"model":7}      | 400 | new_api_error |  | Invalid request: no model is named
        video/generations | {"model":"veo3"} | 503 | new_api_error | model_not_found | No available channel for model veo3 under group default
        none?a=b          |                  | 404 | invalid_request_error |  | Invalid URL (GET /v1/none)
        videos/none       | {}               | 404 | invalid_request_error |  | Invalid URL (POST /v1/videos/none)
        "#,
    ) {
        let (seen, mut reply) = user.send(&format!("/v1/{path}"), body).await;
        let said = reply["error"]["message"].take();
        let said = said.as_str().unwrap();
        if status == "404" {
            assert_eq!(said, message, "{path} {body}");
        } else {
            let said = said.strip_suffix(')').unwrap();
            let (said, id) = said.split_once(" (request id: ").unwrap();
            assert_eq!((said, id.len()), (message, 32), "{path} {body}");
        }
        let expected =
            json!({ "error": { "message": null, "type": kind, "param": "", "code": code } });
        assert_eq!(
            (seen, reply),
            (status.parse().unwrap(), expected),
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn an_api_key_is_needed_for_everything_but_media() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let kie = "Unauthorized – Authentication failed. \
               Please check that your Authorization and Content-Type headers are correctly set.";
    let upload = "Authentication failed: Invalid API Key";
    for (path, status, reply) in [
        (
            "/api/v1/chat/credit",
            200,
            json!({ "code": 401, "msg": kie }),
        ),
        (
            "/api/file-url-upload",
            401,
            json!({ "success": false, "code": 401, "msg": upload }),
        ),
        (
            "/v1/videos/none",
            401,
            json!({ "type": "new_api_error", "param": "", "code": "" }),
        ),
    ] {
        for key in ["", "key", "Bearer ", "Basic key"] {
            let request = user.http.get(sim.url() + path).header("user-agent", "test");
            let (seen, mut actual) = exchange(request.header("authorization", key)).await;
            if let Some(error) = actual.get("error").cloned() {
                actual = error;
                let message = actual.as_object_mut().unwrap().remove("message").unwrap();
                assert!(
                    message
                        .as_str()
                        .unwrap()
                        .starts_with("Invalid token (request id: "),
                    "{message}"
                );
            }
            assert_eq!((seen, &actual), (status, &reply), "{path} {key}");
        }
    }

    let (_, video) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = video["resultUrls"][0].as_str().unwrap();
    let reply = user.http.get(url).bearer_auth("key").send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), &*reply.text().await.unwrap()),
        (400, "An API key was sent to a media host.")
    );
    assert_eq!(sim.surprises().len(), 1);
}

#[tokio::test]
async fn kie_refuses_a_client_without_a_user_agent() {
    let sim = Sim::start().await.unwrap();
    for path in ["/api/v1/chat/credit", "/api/file-url-upload"] {
        let reply = User::new(&sim, "key")
            .http
            .get(sim.url() + path)
            .bearer_auth("key")
            .send()
            .await
            .unwrap();
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["content-type"]),
            (403, &"text/plain".parse().unwrap())
        );
        assert_eq!(reply.text().await.unwrap(), "error code: 1010");
    }
}

#[tokio::test]
async fn the_content_route_of_uniall_needs_the_api_key() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let id = user.uniall_task().await;
    let path = format!("/v1/videos/{id}/content");
    let url = sim.url() + &path;
    let error = |words: &str, kind: &str| json!({ "error": { "message": words, "type": kind } });
    let invalid = "invalid_request_error";

    let early = "Task is not completed yet, current status: QUEUED";
    assert_eq!(user.send(&path, "").await, (400, error(early, invalid)));
    let job = user.uniall_end(&id).await;
    let unknown = (404, error("Task not found", invalid));
    assert_eq!(user.send("/v1/videos/none/content", "").await, unknown);
    let stranger = User::new(&sim, "another");
    assert_eq!(stranger.send(&path, "").await, unknown);
    let without_key = user.http.get(&url).send().await.unwrap();
    assert_eq!(without_key.status(), 401);

    let clip = user.download(&job["video_url"]).await;
    let whole = user.http.get(&url).bearer_auth("key").send().await.unwrap();
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    assert_eq!(whole.headers()["cache-control"], "public, max-age=86400");
    assert_eq!(whole.bytes().await.unwrap(), clip);
    let part = user
        .http
        .get(&url)
        .bearer_auth("key")
        .header("range", "bytes=10-");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), clip[10..]);
    assert_eq!(sim.surprises(), [""; 0]);

    for (fate, status, words, kind) in [
        (
            "filtered",
            502,
            "Failed to fetch video content",
            "server_error",
        ),
        (
            "failed",
            400,
            "Task is not completed yet, current status: FAILURE",
            invalid,
        ),
        (
            "stuck",
            400,
            "Task is not completed yet, current status: IN_PROGRESS",
            invalid,
        ),
    ] {
        let sim = start(toml(&format!(
            "pace = 'at_once'\ntask = [{{ fate = '{fate}' }}]"
        )))
        .await;
        let user = User::new(&sim, "key");
        let id = user.uniall_task().await;
        let reply = user.send(&format!("/v1/videos/{id}/content"), "").await;
        assert_eq!(reply, (status, error(words, kind)), "{fate}");
    }
}

/// UniAll's own pages name some of these paths, and the software that UniAll probably runs has all of them.
#[tokio::test]
async fn uniall_has_several_paths_for_one_operation() {
    let sim = start(toml("pace = 'at_once'")).await;
    let user = User::new(&sim, "key");
    let request = json!({ "model": "veo3.1-video-720p", "prompt": "A kite" });
    for path in [
        "/v1/videos",
        "/v1/videos/generations",
        "/v1/video/generations",
    ] {
        let job = user.post(path, request.clone()).await;
        let id = job["id"].as_str().unwrap();
        let known = user.get(&format!("/v1/videos/{id}")).await;
        assert_eq!(
            user.get(&format!("/v1/videos/generations/{id}")).await,
            known
        );
        let row = user.get(&format!("/v1/video/generations/{id}")).await;
        assert_eq!(row["code"], "success");
        assert_eq!(row["data"]["status"], "SUCCESS");
        assert_eq!(row["data"]["task_id"], id);
        assert_eq!(row["data"]["result_url"], known["video_url"]);
    }
    assert_eq!((sim.submits(), sim.charges().len()), (3, 3));

    let list = user.get("/v1/models").await;
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"].as_array().unwrap().len(), 6);
    let first =
        json!({ "id": "veo3.1-video-720p", "object": "model", "created": 0, "owned_by": "uniall" });
    assert_eq!(list["data"][0], first);
    assert_eq!(sim.surprises(), [""; 0]);
}

/// An operation that the simulator does not have would answer 501.
#[tokio::test]
async fn every_operation_of_the_specifications_is_simulated() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let table = Sim::table();
    let mut count = 0;
    for line in table.lines().filter(|line| !line.contains("/media/")) {
        let [_, method, path] = line.split_whitespace().take(3).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (status, reply) = user
            .send(path, if method == "GET" { "" } else { "{}" })
            .await;
        assert!(status < 500, "{line}: {reply}");
        count += 1;
    }
    assert_eq!((count, sim.calls().len()), (15, 15));
    let surprises = sim.surprises();
    assert!(
        !surprises
            .iter()
            .any(|surprise| surprise.contains("does not have")),
        "{surprises:?}"
    );
}

#[tokio::test]
async fn media_come_whole_or_in_part() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "at-once");
    let (_, video) = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = video["resultUrls"][0].as_str().unwrap();
    let clip = user.download(&video["resultUrls"][0]).await;
    let size = clip.len();

    let whole = user.fetch(&video["resultUrls"][0]).await;
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.headers()["content-length"], size.to_string());
    let etag = whole.headers()["etag"].to_str().unwrap();
    assert!(etag.starts_with('"'), "a weak tag cannot guard a range");

    let far = 10 * size;
    for (range, status, place, bytes) in [
        (
            "bytes=0-99",
            206,
            format!("bytes 0-99/{size}"),
            &clip[..100],
        ),
        (
            "bytes=9-",
            206,
            format!("bytes 9-{}/{size}", size - 1),
            &clip[9..],
        ),
        (
            "bytes=-9",
            206,
            format!("bytes {}-{}/{size}", size - 9, size - 1),
            &clip[size - 9..],
        ),
        (
            &format!("bytes=9-{far}"),
            206,
            format!("bytes 9-{}/{size}", size - 1),
            &clip[9..],
        ),
        (
            &format!("bytes=-{far}"),
            206,
            format!("bytes 0-{}/{size}", size - 1),
            &clip,
        ),
        (
            &format!("bytes={}-", size - 1),
            206,
            format!("bytes {}-{}/{size}", size - 1, size - 1),
            &clip[size - 1..],
        ),
        (
            &format!("bytes={size}-"),
            416,
            format!("bytes */{size}"),
            b"Range Not Satisfiable",
        ),
        (
            &format!("bytes={far}-"),
            416,
            format!("bytes */{size}"),
            b"Range Not Satisfiable",
        ),
        (
            &format!("bytes={}-{}", u64::MAX, u64::MAX),
            416,
            format!("bytes */{size}"),
            b"Range Not Satisfiable",
        ),
        (
            "bytes=-0",
            416,
            format!("bytes */{size}"),
            b"Range Not Satisfiable",
        ),
        ("bytes=0-1,4-5", 200, String::new(), &clip),
        ("bytes=9-1", 200, String::new(), &clip),
        ("bytes=", 200, String::new(), &clip),
        ("bytes=-", 200, String::new(), &clip),
        ("bytes=99999999999999999999-", 200, String::new(), &clip),
        ("lines=1-2", 200, String::new(), &clip),
    ] {
        let reply = user
            .http
            .get(url)
            .header("range", range)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), status, "{range}");
        let actual = reply.headers().get("content-range");
        let actual = actual.map_or("", |place| place.to_str().unwrap());
        assert_eq!(actual, place, "{range}");
        assert!(reply.bytes().await.unwrap() == bytes, "{range}");
    }
    for (known, status) in [(etag, 206), ("\"other\"", 200)] {
        let request = user.http.get(url).header("range", "bytes=1-2");
        let reply = request.header("if-range", known).send().await.unwrap();
        assert_eq!(reply.status(), status, "{known}");
    }

    let head = user
        .http
        .head(url)
        .header("range", "bytes=0-1")
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], size.to_string());
    assert_eq!(head.headers()["etag"], etag);
    assert_eq!(head.bytes().await.unwrap(), "");
    assert_eq!(user.http.post(url).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn simulators_side_by_side_share_nothing() {
    let (one, other) = (Sim::start().await.unwrap(), Sim::start().await.unwrap());
    let [one_user, other_user] = [&one, &other].map(|sim| User::new(sim, "key"));
    let id = one_user.kie_task(json!({ "prompt": "A kite" })).await;
    one_user.record(&id).await;
    let path = format!("/api/v1/veo/record-info?taskId={id}");
    assert_eq!(other_user.get(&path).await["msg"], "record is null.");
    assert_eq!(
        (other.calls().len(), other.submits(), other.charges().len()),
        (1, 0, 0)
    );
    assert_eq!(other_user.balance().await, 1250.75);
}

/// Returns a simulator at a port that no other program gets by chance, so a later answer comes from this simulator.
async fn at_own_port(first: u16) -> (u16, Sim) {
    for port in first..first + 1000 {
        if let Ok(sim) = Sim::builder().port(port).start().await {
            return (port, sim);
        }
    }
    panic!("there is no free port after {first}");
}

#[tokio::test]
async fn a_dropped_simulator_closes_its_port() {
    // The test is repeated, since an open port might not show every time.
    for _ in 0..20 {
        let (_, sim) = at_own_port(21_000).await;
        let (url, http) = (sim.url(), User::new(&sim, "key").http);
        http.get(&url).send().await.unwrap();
        drop(sim);
        // The client still has the old connection open. The request fails only if no server answers on it.
        assert!(http.get(&url).send().await.is_err());
        let error = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_chosen_port_has_one_simulator_and_is_free_afterwards() {
    let (port, mut sim) = at_own_port(23_000).await;
    for _ in 0..3 {
        assert_eq!(sim.url(), format!("http://127.0.0.1:{port}"));
        // The simulator ends while this connection is open.
        User::new(&sim, "key").balance().await;
        assert!(Sim::builder().port(port).start().await.is_err());
        drop(sim);
        sim = Sim::builder().port(port).start().await.unwrap();
    }
}

#[tokio::test]
async fn many_simulators_run_in_one_process() {
    let mut sims = Vec::new();
    for _ in 0..50 {
        sims.push(Sim::start().await.unwrap());
    }
    for sim in &sims {
        assert_eq!(User::new(sim, "key").balance().await, 1250.75);
    }
    let mut urls: Vec<_> = sims.iter().map(Sim::url).collect();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), sims.len());
}
