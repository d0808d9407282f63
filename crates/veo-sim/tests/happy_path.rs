//! What both providers do when asked properly, and how they refuse.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use veo_sim::{ReceivedRequest, Sim};

const CLIPS: [(&str, u64, &[u8]); 6] = [
    ("16:9", 4, include_bytes!("../media/16x9-4s.mp4")),
    ("16:9", 6, include_bytes!("../media/16x9-6s.mp4")),
    ("16:9", 8, include_bytes!("../media/16x9-8s.mp4")),
    ("9:16", 4, include_bytes!("../media/9x16-4s.mp4")),
    ("9:16", 6, include_bytes!("../media/9x16-6s.mp4")),
    ("9:16", 8, include_bytes!("../media/9x16-8s.mp4")),
];

#[tokio::test]
async fn kie_makes_the_video_that_was_asked_for() {
    let user = User::new().await;
    for (ratio, seconds, clip) in CLIPS {
        let request = json!({
            "prompt": "A kite", "model": "veo3", "resolution": "1080p",
            "aspect_ratio": ratio, "duration": seconds,
        });
        let id = user.kie_task(request).await;
        assert_eq!(id.len(), 32, "{id}");

        for _ in 1..=2 {
            let record = user.record(&id).await;
            assert_eq!(record["successFlag"], 0);
            for name in ["response", "completeTime", "errorCode", "errorMessage"] {
                assert_eq!(record.get(name), Some(&Value::Null), "{name}");
            }
        }
        let record = user.record(&id).await;
        assert_eq!(record["successFlag"], 1);
        assert_eq!(record["taskId"], id);
        let params: Value = serde_json::from_str(record["paramJson"].as_str().unwrap()).unwrap();
        let echo = json!({ "aspectRatio": ratio, "model": "veo3", "prompt": "A kite" });
        assert_eq!(params, echo);
        for name in ["createTime", "completeTime"] {
            let is_in_milliseconds = record[name].as_u64().unwrap() > 1_000_000_000_000;
            assert!(is_in_milliseconds, "{name}");
        }
        let video = &record["response"];
        assert_eq!(video["resolution"], "1080p");
        assert_eq!(video["hasAudioList"], json!([true]));
        assert!(video["seeds"][0].is_u64());
        assert_eq!(video.get("fullResultUrls"), None);
        assert_eq!(user.download(&video["resultUrls"][0]).await, clip);
        match ratio {
            "16:9" => assert_eq!(video["originUrls"], Value::Null),
            _ => assert_eq!(user.download(&video["originUrls"][0]).await, clip),
        }
    }
}

#[tokio::test]
async fn kie_knows_two_names_of_the_aspect_ratio_and_has_defaults() {
    let user = User::new().await;
    for (request, clip) in [
        (json!({ "prompt": "A kite" }), CLIPS[2].2),
        (json!({ "prompt": "A kite", "aspect_ratio": "Auto" }), CLIPS[2].2),
        (json!({ "prompt": "A kite", "aspect_ratio": "9:16" }), CLIPS[5].2),
        (json!({ "prompt": "A kite", "aspectRatio": "9:16" }), CLIPS[5].2),
    ] {
        let video = user.kie_video(request.clone()).await;
        let bytes = user.download(&video["resultUrls"][0]).await;
        assert_eq!(bytes, clip, "{request}");
    }
}

#[tokio::test]
async fn kie_upgrades_and_extends_a_finished_video() {
    let user = User::new().await;
    let request = json!({ "prompt": "A kite", "duration": 4 });
    let id = user.kie_task(request).await;
    let get_1080p = format!("/api/v1/veo/get-1080p-video?taskId={id}");
    let post_4k = ("/api/v1/veo/get-4k-video", json!({ "taskId": id }));

    let unfinished = json!({ "code": 422, "msg": "record status is not success.", "data": null });
    assert_eq!(user.get(&get_1080p).await, unfinished);
    assert_eq!(user.post(post_4k.0, &post_4k.1).await, unfinished);
    user.finished(&id).await;

    let reply = user.get(&get_1080p).await;
    let bytes = user.download(&reply["data"]["resultUrl"]).await;
    assert_eq!(bytes, CLIPS[0].2);

    let processing = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.";
    for (code, message) in [(200, "success"), (422, processing)] {
        let data = json!({ "taskId": id, "resultUrls": null, "imageUrls": null });
        let expected = json!({ "code": code, "msg": message, "data": data });
        assert_eq!(user.post(post_4k.0, &post_4k.1).await, expected);
    }
    let reply = user.post(post_4k.0, &post_4k.1).await;
    assert_eq!(reply["code"], 422);
    assert_eq!(reply["msg"], "The video has been generated successfully");
    let bytes = user.download(&reply["data"]["resultUrls"][0]).await;
    assert_eq!(bytes, CLIPS[0].2);

    let request = json!({ "taskId": id, "prompt": "It lands", "model": "quality" });
    let reply = user.post("/api/v1/veo/extend", &request).await;
    let extended = reply["data"]["taskId"].as_str().unwrap();
    assert_ne!(extended, id);
    let video = user.finished(extended).await;
    let added = user.download(&video["resultUrls"][0]).await;
    let whole = user.download(&video["fullResultUrls"][0]).await;
    assert!((&added[..], &whole[..]) == (CLIPS[1].2, CLIPS[2].2));
}

#[tokio::test]
async fn kie_tells_the_balance_and_makes_download_links() {
    let user = User::new().await;
    let balance = user.get("/api/v1/chat/credit").await;
    assert_eq!(balance["code"], 200);
    assert_ne!(balance["data"].as_f64().unwrap().fract(), 0.0);

    let video = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = &video["resultUrls"][0];
    let link = user.post("/api/v1/common/download-url", &json!({ "url": url })).await;
    assert_ne!(link["data"], *url);
    assert_eq!(user.download(&link["data"]).await, CLIPS[2].2);
    let request = json!({ "url": user.sim.url() + "/media/none.mp4" });
    let reply = user.post("/api/v1/common/download-url", &request).await;
    assert_eq!(reply["msg"], "url is wrong");
}

#[tokio::test]
async fn kie_keeps_uploads_and_takes_their_type_from_the_name() {
    let user = User::new().await;
    let mut replies = Vec::new();
    for request in [
        json!({ "base64Data": "aGVsbG8=", "uploadPath": "in/k", "fileName": "a.PNG" }),
        json!({ "base64Data": "aGVsbG8=", "uploadPath": "in", "fileName": "ä b%2f?.webp" }),
        json!({ "base64Data": "data:image/jpeg;base64,aGVsbG8=", "uploadPath": "in" }),
    ] {
        replies.push(user.post("/api/file-base64-upload", &request).await);
    }
    let form = "--x\r\nContent-Disposition: form-data; name=\"uploadPath\"\r\n\r\nin\r\n\
                --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.mp4\"\r\n\r\n\
                hello\r\n--x--\r\n";
    let request = user.call(Method::POST, "/api/file-stream-upload");
    let request = request.header("content-type", "multipart/form-data; boundary=x");
    replies.push(exchange(request.body(form)).await.1);

    let kinds = ["image/png", "image/webp", "image/jpeg", "video/mp4"];
    let endings = ["/in/k/a.PNG", "/in/b2f.webp", ".jpeg", ".mp4"];
    for ((reply, kind), ending) in replies.iter().zip(kinds).zip(endings) {
        let data = &reply["data"];
        assert_eq!(reply["msg"], "File uploaded successfully");
        assert_eq!(data["mimeType"], kind);
        assert_eq!(data["fileSize"], 5);
        let path = data["filePath"].as_str().unwrap();
        assert!(path.ends_with(ending), "{path}");
        assert!(data["downloadUrl"].as_str().unwrap().ends_with(path), "{data}");
        let file = user.fetch(&data["downloadUrl"]).await;
        assert_eq!(file.headers()["content-type"], kind);
        assert_eq!(file.text().await.unwrap(), "hello");
    }

    let request = json!({ "base64Data": "A".repeat(8 * 1024 * 1024), "uploadPath": "in" });
    let reply = user.post("/api/file-base64-upload", &request).await;
    assert_eq!(reply["data"]["fileSize"], 6 * 1024 * 1024);
    let request = json!({ "fileUrl": "https://img.example.net/c.png?v=1", "uploadPath": "in" });
    let reply = user.post("/api/file-url-upload", &request).await;
    assert_eq!(reply["data"]["mimeType"], "image/png");
}

#[tokio::test]
async fn uniall_makes_the_video_that_was_asked_for() {
    let user = User::new().await;
    for (ratio, seconds, clip) in CLIPS {
        let model = "veo3.1-video-720p";
        let request = json!({
            "model": model, "prompt": "A kite", "aspect_ratio": ratio, "duration": seconds,
            "images": ["https://img.example.net/a.png", "https://img.example.net/b.png"],
        });
        let job = user.post("/v1/video/generations", &request).await;
        let (id, created_at) = (job["id"].as_str().unwrap(), &job["created_at"]);
        assert_eq!((id.len(), &id[..5]), (37, "task_"));
        let is_in_seconds = created_at.as_u64().unwrap() < 100_000_000_000;
        assert!(is_in_seconds, "{job}");
        let expected = json!({
            "id": id, "task_id": id, "object": "video.generation.job", "model": model,
            "status": "queued", "progress": 0, "created_at": created_at,
        });
        assert_eq!(job, expected);

        let path = format!("/v1/videos/{id}");
        for (status, progress) in [("queued", 0), ("in_progress", 5), ("in_progress", 50)] {
            let job = user.get(&path).await;
            assert_eq!(job["status"], status);
            assert_eq!(job["progress"], progress);
            assert_eq!(job.get("video_url"), None);
        }
        let reply = user.call(Method::GET, &path).send().await.unwrap();
        let printed = reply.text().await.unwrap();
        let job: Value = serde_json::from_str(&printed).unwrap();
        let (url, upstream_id) = (&job["video_url"], &job["task_id"]);
        let expected = json!({
            "id": id, "error": null, "model": model, "object": "video.generation.job",
            "result": { "outputs": [url], "video_url": url }, "status": "completed",
            "task_id": upstream_id, "progress": 100, "trace_id": upstream_id, "video_url": url,
            "created_at": created_at, "raw_status": "COMPLETED",
        });
        assert_eq!(job, expected);
        assert_ne!(upstream_id, id);
        assert_eq!(user.download(url).await, clip);

        // The database prints shorter names first, then by bytes.
        let mut names: Vec<_> = job.as_object().unwrap().keys().collect();
        names.sort_by_key(|name| (name.len(), name.as_str()));
        let places = names.iter().map(|name| printed.rfind(&format!("\"{name}\"")));
        assert!(places.is_sorted(), "{printed}");
    }
}

#[tokio::test]
async fn kie_refuses_with_http_200() {
    let user = User::new().await;
    for [path, body, code, message] in rows(
        r#"
        veo/generate       | []                                    | 422 | The request body must be a JSON object.
        veo/generate       | {"prompt":                            | 422 | The request body must be a JSON object.
        veo/generate       | {"prompt":" "}                        | 422 | Please enter prompt.
        veo/generate       | {"prompt":"p","model":"veo2"}         | 422 | Invalid model
        veo/generate       | {"prompt":"p","aspect_ratio":"1:1"}   | 422 | Ratio error
        veo/generate       | {"prompt":"p","aspectRatio":"1:1"}    | 422 | Ratio error
        veo/generate       | {"prompt":"p","duration":5}           | 422 | Duration error
        veo/generate       | {"prompt":"p","duration":"8"}         | 422 | Duration error
        veo/generate       | {"prompt":"p","duration":null}        | 422 | Duration error
        veo/generate       | {"prompt":"p","resolution":"8k"}      | 422 | Resolution error
        veo/generate       | large                                 | 422 | The request body is larger than 1 MiB.
        veo/record-info    |                                       | 422 | record is null.
        veo/record-info?taskId=none       |                        | 422 | record is null.
        veo/get-1080p-video?taskId=none   |                        | 422 | record is null.
        veo/get-4k-video   | {"taskId":"none"}                     | 422 | record is null.
        veo/extend         | {"taskId":"none"}                     | 422 | Please enter prompt.
        veo/extend         | {"prompt":"p","model":"veo3"}         | 422 | Invalid model
        veo/extend         | {"prompt":"p","taskId":"none"}        | 404 | The original video does not exist.
        common/download-url | {"url":"https://example.net/a.mp4"}  | 422 | url is wrong
        "#,
    ) {
        let (status, reply) = user.send(&format!("/api/v1/{path}"), body, 1024 * 1024).await;
        let code: u16 = code.parse().unwrap();
        let expected = json!({ "code": code, "msg": message, "data": null });
        assert_eq!((status, reply), (200, expected), "{path} {body}");
    }
    for path in ["/api/v1/none", "/api/v1/veo/get-4k-video", "/none"] {
        let expected = json!({ "code": 404, "msg": "Not Found", "data": null });
        assert_eq!(user.send(path, "", 0).await, (404, expected), "{path}");
    }
}

#[tokio::test]
async fn kie_uploads_refuse_with_a_true_http_status() {
    let user = User::new().await;
    for [path, body, code, message] in rows(
        r#"
        base64 | []                                                      | 400 | The request body must be a JSON object
        base64 | {"uploadPath":"a"}                                      | 400 | Missing required parameter: base64Data
        base64 | {"base64Data":"aGk="}                                   | 400 | Missing required parameter: uploadPath
        base64 | {"base64Data":"!","uploadPath":"a"}                     | 400 | Base64 decoding failed: Invalid Base64 format
        base64 | {"base64Data":"aGk=","uploadPath":"a/../.."}            | 400 | Invalid parameter: uploadPath
        base64 | {"base64Data":"aGk=","uploadPath":"a/.%./b"}            | 400 | Invalid parameter: uploadPath
        base64 | {"base64Data":"aGk=","uploadPath":"a","fileName":"..\\b"} | 400 | Invalid parameter: fileName
        base64 | large                                                   | 413 | The request body is larger than 10 MiB.
        stream | --x--                                                   | 400 | The request body must be a multipart form
        url    | {"fileUrl":                                             | 400 | The request body must be a JSON object
        url    | {"uploadPath":"a"}                                      | 400 | Missing required parameter: fileUrl
        none   | {}                                                      | 404 | Not Found
        "#,
    ) {
        let path = format!("/api/file-{path}-upload");
        let reply = user.send(&path, body, 10 * 1024 * 1024).await;
        let code: u16 = code.parse().unwrap();
        let expected = json!({ "success": false, "code": code, "msg": message });
        assert_eq!(reply, (code, expected), "{path} {body}");
    }
}

#[tokio::test]
async fn uniall_tasks_refuse_with_a_flat_error() {
    let user = User::new().await;
    for [path, rest, status, code, message] in rows(
        r#"
        video/generations | "prompt":" "                      | 400 | invalid_request | prompt is required
        video/generations | "prompt":"p","aspect_ratio":"1:1" | 400 | invalid_request | aspect_ratio must be 16:9 or 9:16
        video/generations | "prompt":"p","duration":5         | 400 | invalid_request | duration must be the integer 4, 6 or 8
        video/generations | "prompt":"p","duration":"8"       | 400 | invalid_request | duration must be the integer 4, 6 or 8
        video/generations | "prompt":"p","images":"a"         | 400 | invalid_request | images must be an array of 2 to 3 URLs
        video/generations | "prompt":"p","images":["a"]       | 400 | invalid_request | images must be an array of 2 to 3 URLs
        video/generations | "prompt":"p","images":[1,2]       | 400 | invalid_request | images must be an array of 2 to 3 URLs
        video/generations | large                             | 413 | read_request_body_failed | The request body is larger than 1 MiB.
        videos/none       |                                   | 400 | task_not_exist  | task_not_exist
        "#,
    ) {
        let body = match rest {
            "" | "large" => rest.to_owned(),
            _ => format!(r#"{{"model":"veo3.1-fast-video-4k",{rest}}}"#),
        };
        let reply = user.send(&format!("/v1/{path}"), &body, 1024 * 1024).await;
        let expected = json!({ "code": code, "message": message, "data": null });
        assert_eq!(reply, (status.parse().unwrap(), expected), "{path} {body}");
    }
}

#[tokio::test]
async fn the_gateway_before_uniall_refuses_with_an_error_object() {
    let user = User::new().await;
    for [path, body, status, kind, code, message] in rows(
        r#"
        video/generations | []               | 400 | new_api_error | | Invalid request: the body must be a JSON object
        video/generations | {"prompt":"p"}   | 400 | new_api_error | | Invalid request: no model is named
        video/generations | {"model":"veo3"} | 503 | new_api_error | model_not_found | No available channel for model veo3
        none?a=b          |                  | 404 | invalid_request_error | | Invalid URL (GET /v1/none)
        videos/none       | {}               | 404 | invalid_request_error | | Invalid URL (POST /v1/videos/none)
        "#,
    ) {
        let reply = user.send(&format!("/v1/{path}"), body, 0).await;
        let error = json!({ "message": message, "type": kind, "param": "", "code": code });
        let expected = json!({ "error": error });
        assert_eq!(reply, (status.parse().unwrap(), expected), "{path} {body}");
    }
}

#[tokio::test]
async fn a_key_is_needed_everywhere_but_for_media() {
    let user = User::new().await;
    let kie = "Unauthorized – Authentication failed. \
               Please check that your Authorization and Content-Type headers are correctly set.";
    let upload = "Authentication failed: Invalid API Key";
    let uniall = json!({ "message": "Invalid token", "type": "new_api_error", "param": "", "code": "" });
    let expected = [
        ("/api/v1/chat/credit", 200, json!({ "code": 401, "msg": kie })),
        ("/api/file-url-upload", 401, json!({ "success": false, "code": 401, "msg": upload })),
        ("/v1/videos/none", 401, json!({ "error": uniall })),
    ];
    for (path, status, reply) in expected {
        for key in ["", "key", "Bearer ", "Basic key"] {
            let request = user.http.get(user.sim.url() + path).header("user-agent", "test");
            let actual = exchange(request.header("authorization", key)).await;
            assert_eq!(actual, (status, reply.clone()), "{path} {key}");
        }
    }

    let video = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = video["resultUrls"][0].as_str().unwrap();
    let with_key = user.http.get(url).bearer_auth("key").send().await;
    assert_eq!(with_key.unwrap().status(), 400);
}

#[tokio::test]
async fn kie_turns_away_a_client_without_a_name() {
    let user = User::new().await;
    for path in ["/api/v1/chat/credit", "/api/file-url-upload"] {
        let request = user.http.get(user.sim.url() + path).bearer_auth("key");
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 403);
        assert_eq!(reply.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(reply.text().await.unwrap(), "error code: 1010");
    }
}

#[tokio::test]
async fn media_come_whole_or_in_part() {
    let user = User::new().await;
    let clip = CLIPS[2].2;
    let size = clip.len();
    let video = user.kie_video(json!({ "prompt": "A kite" })).await;
    let url = video["resultUrls"][0].as_str().unwrap();

    let whole = user.fetch(&video["resultUrls"][0]).await;
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.headers()["content-length"], size.to_string());
    let etag = whole.headers()["etag"].to_str().unwrap();
    assert!(etag.starts_with('"'), "a weak tag cannot guard a range");

    for (range, status, place, bytes) in [
        ("bytes=0-99", 206, format!("bytes 0-99/{size}"), &clip[..100]),
        ("bytes=9-", 206, format!("bytes 9-{}/{size}", size - 1), &clip[9..]),
        ("bytes=-9", 206, format!("bytes {}-{}/{size}", size - 9, size - 1), &clip[size - 9..]),
        ("bytes=9-999999", 206, format!("bytes 9-{}/{size}", size - 1), &clip[9..]),
        ("bytes=-999999", 206, format!("bytes 0-{}/{size}", size - 1), clip),
        ("bytes=999999-", 416, format!("bytes */{size}"), &[]),
        ("bytes=-0", 416, format!("bytes */{size}"), &[]),
        ("bytes=0-1,4-5", 200, String::new(), clip),
        ("bytes=9-1", 200, String::new(), clip),
        ("lines=1-2", 200, String::new(), clip),
    ] {
        let reply = user.http.get(url).header("range", range).send().await.unwrap();
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

    let request = user.http.head(url).header("range", "bytes=0-1");
    let head = request.send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], size.to_string());
    assert_eq!(head.headers()["etag"], etag);
    assert_eq!(head.bytes().await.unwrap(), "");

    let unknown = user.http.get(user.sim.url() + "/media/none.mp4").send().await;
    assert_eq!(unknown.unwrap().status(), 404);
}

#[tokio::test]
async fn everything_that_arrives_is_recorded() {
    let user = User::new().await;
    let small = json!({ "prompt": "A kite", "model": "none" });
    let large = json!({ "prompt": "x".repeat(64 * 1024) });
    user.post("/api/v1/veo/generate", &small).await;
    user.post("/api/v1/veo/generate?a=b", &large).await;
    user.get("/v1/none").await;
    let expected = [
        ("POST", "/api/v1/veo/generate", Some(small)),
        ("POST", "/api/v1/veo/generate?a=b", None),
        ("GET", "/v1/none", None),
    ];
    let expected =
        expected.map(|(method, path, body)| ReceivedRequest { method: method.to_owned(), path: path.to_owned(), body });
    assert_eq!(user.sim.requests(), expected);
}

#[tokio::test]
async fn simulators_side_by_side_share_nothing() {
    let (one, other) = (User::new().await, User::new().await);
    let id = one.kie_task(json!({ "prompt": "A kite" })).await;
    assert_eq!(one.record(&id).await["taskId"], id);
    let path = format!("/api/v1/veo/record-info?taskId={id}");
    assert_eq!(other.get(&path).await["msg"], "record is null.");
    assert_eq!(other.sim.requests().len(), 1);
}

#[tokio::test]
async fn a_dropped_simulator_is_gone() {
    // If anything outlived the drop, it would not show every time.
    for _ in 0..20 {
        let User { sim, http } = User::new().await;
        let url = sim.url();
        http.get(&url).send().await.unwrap();
        drop(sim);
        // The client still holds a connection, so this fails without a new connect.
        assert!(http.get(&url).send().await.is_err());
        let address = url.strip_prefix("http://").unwrap();
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_port_can_be_chosen_and_has_one_simulator() {
    let url = Sim::start().await.unwrap().url();
    let port = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let sim = Sim::start_on(port).await.unwrap();
    assert_eq!(sim.url(), url);
    assert!(Sim::start_on(port).await.is_err());
}

#[test]
fn the_program_refuses_what_it_does_not_know() {
    for arguments in ["--prot 1", "--port", "--port x", "--port 1 2"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_veo-sim"));
        let output = program.args(arguments.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

/// A client of both providers, with a simulator of its own.
struct User {
    sim: Sim,
    http: Client,
}

impl User {
    async fn new() -> User {
        User { sim: Sim::start().await.unwrap(), http: Client::builder().no_proxy().build().unwrap() }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.sim.url() + path);
        request.bearer_auth("key").header("user-agent", "test")
    }

    async fn get(&self, path: &str) -> Value {
        exchange(self.call(Method::GET, path)).await.1
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        exchange(self.call(Method::POST, path).json(body)).await.1
    }

    /// Sends a row of a table: without a body a GET; `large` stands for a body one byte above the limit.
    async fn send(&self, path: &str, body: &str, limit: usize) -> (u16, Value) {
        let request = match body {
            "" => self.call(Method::GET, path),
            "large" => self.call(Method::POST, path).body("x".repeat(limit + 1)),
            _ => self.call(Method::POST, path).body(body.to_owned()),
        };
        exchange(request).await
    }

    async fn kie_task(&self, request: Value) -> String {
        let reply = self.post("/api/v1/veo/generate", &request).await;
        let id = reply["data"]["taskId"].as_str().unwrap();
        let expected = json!({ "code": 200, "msg": "success", "data": { "taskId": id } });
        assert_eq!(reply, expected);
        id.to_owned()
    }

    async fn record(&self, id: &str) -> Value {
        let path = format!("/api/v1/veo/record-info?taskId={id}");
        let reply = self.get(&path).await;
        assert_eq!(reply["code"], 200);
        assert_eq!(reply["msg"], "success");
        reply["data"].clone()
    }

    async fn finished(&self, id: &str) -> Value {
        self.record(id).await;
        self.record(id).await;
        self.record(id).await["response"].clone()
    }

    async fn kie_video(&self, request: Value) -> Value {
        self.finished(&self.kie_task(request).await).await
    }

    async fn fetch(&self, url: &Value) -> Response {
        let reply = self.http.get(url.as_str().unwrap()).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{url}");
        reply
    }

    async fn download(&self, url: &Value) -> Vec<u8> {
        self.fetch(url).await.bytes().await.unwrap().to_vec()
    }
}

async fn exchange(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

/// The cells of a table, one row to a line.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let lines = table.lines().filter(|line| line.contains('|'));
    lines.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        cells.try_into().unwrap()
    })
}
