//! Requests that no client should send. Each is refused with a clear reply, and the simulator continues.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use veo_sim::{Scenario, Sim};

use crate::{End, LONG, Raw, User, connect, request, rows};

const GENERATE: &str = "/api/v1/veo/generate";
const CREATE: &str = "/v1/video/generations";
const UPLOAD: &str = "/api/file-base64-upload";

/// Checks that the simulator still works, and that nothing was charged.
async fn is_well(sim: &Sim) {
    assert_eq!(sim.charges(), [], "{}", sim.report());
    let user = User::new(sim, "a-good-client");
    assert_eq!(user.balance().await, 1250.75);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let sim = Sim::start().await.unwrap();
    let deep = format!(
        r#"{{"prompt":{}1{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let latin = b"{\"prompt\":\"caf\xe9\"}";
    let valid = r#"{"prompt":"p","model":"veo3.1-video-4k","base64Data":"aGk=","uploadPath":"in"}"#;
    let json = "application/json";
    for (kind, body) in [
        (json, &b""[..]),
        (json, b"{"),
        (json, b"{}{}"),
        (json, b"[]"),
        (json, b"null"),
        (json, b"\"prompt\""),
        (json, b"\xff\xfe{\x00}\x00"),
        (json, b"\xef\xbb\xbf{}"),
        (json, latin),
        (json, b"{\"prompt\":\"\\ud800\"}"),
        (json, deep.as_bytes()),
        (json, b"prompt=A+kite"),
        ("text/plain", valid.as_bytes()),
        ("application/x-www-form-urlencoded", valid.as_bytes()),
        ("\u{1}", valid.as_bytes()),
        ("", valid.as_bytes()),
    ] {
        for path in [
            GENERATE,
            CREATE,
            UPLOAD,
            "/api/v1/veo/get-4k-video",
            "/api/v1/common/download-url",
        ] {
            let case = format!(
                "{path} {kind:?} {}",
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: sim\r\nuser-agent: test\r\nauthorization: Bearer key\r\nconnection: close\r\n\
                 content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let reply = Raw::exchange(&sim, [head.as_bytes(), body].concat()).await;
            if kind == "\u{1}" {
                // A header that HTTP forbids does not reach a provider.
                assert_eq!(reply.status(), Some(400), "{case}");
                continue;
            }
            let reply = (reply.status().unwrap(), reply.json());
            let words = reply.1["msg"]
                .as_str()
                .or(reply.1["message"].as_str())
                .or(reply.1["error"]["message"].as_str());
            assert!(
                words.is_some_and(|words| words.len() > 5),
                "{case}: {reply:?}"
            );
            match path {
                CREATE => assert_eq!(reply.0, 400, "{case}: {reply:?}"),
                UPLOAD => assert_eq!(
                    (reply.0, &reply.1["success"]),
                    (400, &json!(false)),
                    "{case}: {reply:?}"
                ),
                _ => assert_eq!(
                    (reply.0, &reply.1["code"]),
                    (200, &json!(422)),
                    "{case}: {reply:?}"
                ),
            }
        }
    }
    is_well(&sim).await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let mib = 1 << 20;
    for (path, limit, status, words) in [
        (GENERATE, mib, 200, "The request body is larger than 1 MiB."),
        (CREATE, mib, 413, "The request body is larger than 1 MiB."),
        (
            UPLOAD,
            24 * mib,
            413,
            "The request body is larger than 24 MiB.",
        ),
        (
            "/v1/none",
            mib,
            413,
            "The request body is larger than 1 MiB.",
        ),
    ] {
        for (size, is_refused) in [(limit, false), (limit + 1, true), (3 * limit, true)] {
            let (seen, reply) = user.send(path, &" ".repeat(size)).await;
            let message = reply["msg"]
                .as_str()
                .or(reply["message"].as_str())
                .unwrap_or_default();
            assert_eq!(message == words, is_refused, "{path} {size}: {reply}");
            assert!(!is_refused || seen == status, "{path} {size}: {seen}");
        }
        // A great length that the client only announces takes no memory.
        let head = request("POST", path, "key", "")
            .replace("content-length: 0", "content-length: 99999999999");
        let mut socket = connect(&sim).await;
        socket.write_all(head.as_bytes()).await.unwrap();
        drop(socket);
    }
    // A long body can also come in chunks.
    let mut socket = connect(&sim).await;
    let head = request("POST", CREATE, "key", "")
        .replace("content-length: 0", "transfer-encoding: chunked");
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..32 {
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
    socket.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(Raw::read(&mut socket, LONG).await.status(), Some(413));
    is_well(&sim).await;
}

/// Each of these bodies is allowed, and eight of them together are too much.
#[tokio::test]
async fn large_bodies_are_refused_until_there_is_room() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    let body = " ".repeat(24 << 20);
    let whole = request("POST", UPLOAD, "key", &body);
    let mut unfinished = Vec::new();
    for _ in 0..8 {
        let mut socket = connect(&sim).await;
        socket
            .write_all(&whole.as_bytes()[..whole.len() - 1])
            .await
            .unwrap();
        unfinished.push(socket);
    }
    let until = async |wanted: u16| {
        while user.send(UPLOAD, &body).await.0 != wanted {}
    };
    timeout(LONG, until(503)).await.unwrap();
    drop(unfinished);
    timeout(LONG, until(400)).await.unwrap();
    is_well(&sim).await;
}

#[tokio::test]
async fn heads_that_are_not_http_are_refused() {
    let sim = Sim::start().await.unwrap();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    let long_value = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(1 << 20));
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    for (head, status) in [
        ("nonsense\r\n\r\n", Some(400)),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\r\n\r\n", Some(400)),
        ("GET / HTTP/9.9\r\n\r\n", Some(400)),
        ("GET  HTTP/1.1\r\n\r\n", Some(400)),
        ("GET /a b HTTP/1.1\r\n\r\n", Some(400)),
        ("GET / HTTP/1.1\r\na b: c\r\n\r\n", Some(400)),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", Some(400)),
        (
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            Some(400),
        ),
        (&many, Some(431)),
        (&long_value, Some(431)),
        (&long_path, Some(414)),
        // The simulator does not serve these, although they are valid HTTP.
        ("GET / HTTP/1.0\r\nuser-agent: a\r\n\r\n", Some(200)),
        (
            "OPTIONS * HTTP/1.1\r\nuser-agent: a\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n",
            Some(404),
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nuser-agent: a\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n",
            Some(404),
        ),
        (
            "BREW /v1/a HTTP/1.1\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n",
            Some(404),
        ),
        (
            "HEAD /v1/a HTTP/1.1\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n",
            Some(404),
        ),
        (
            "GET http://sim/v1/videos/a HTTP/1.1\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n",
            Some(400),
        ),
    ] {
        let reply = Raw::exchange(&sim, head).await;
        let start: String = head.chars().take(40).collect();
        assert_eq!(reply.status(), status, "{start:?}: {reply:?}");
        assert_ne!(reply.end, End::Silent, "{start:?}");
    }
    is_well(&sim).await;
}

#[tokio::test]
async fn a_slow_request_is_answered_with_408() {
    let patience = Duration::from_millis(300);
    let sim = Sim::builder().patience(patience).start().await.unwrap();
    // A connection without a request is closed without any reply.
    let reply = Raw::read(&mut connect(&sim).await, LONG).await;
    assert_eq!((reply.bytes.len(), reply.end), (0, End::Closed));

    let reply = Raw::exchange(&sim, "GET /v1/videos/a HTT").await;
    assert_eq!((reply.status(), reply.end), (Some(408), End::Closed));
    assert_eq!(
        reply.body(),
        b"The head of the request did not come in time."
    );

    let words = "The body of the request did not come in time.";
    let whole = request(
        "POST",
        CREATE,
        "key",
        r#"{"model":"veo3.1-video-4k","prompt":"A kite"}"#,
    );
    let reply = Raw::exchange(&sim, &whole[..whole.len() - 1]).await;
    let error = json!({ "code": "do_request_failed", "message": words, "data": null });
    assert_eq!(
        (reply.status(), reply.end, reply.json()),
        (Some(408), End::Closed, error)
    );

    let whole = request("POST", GENERATE, "key", r#"{"prompt":"A kite"}"#);
    let reply = Raw::exchange(&sim, &whole[..whole.len() - 1]).await;
    let error = json!({ "code": 408, "msg": words, "data": null });
    assert_eq!(
        (reply.status(), reply.end, reply.json()),
        (Some(408), End::Closed, error)
    );
    is_well(&sim).await;

    // A used connection is also closed without a reply: a client could take it for the reply to its next request.
    let mut socket = connect(&sim).await;
    socket
        .write_all(b"GET /v1/a HTTP/1.1\r\nhost: sim\r\n\r\n")
        .await
        .unwrap();
    let reply = Raw::read(&mut socket, LONG).await;
    assert_eq!((reply.status(), reply.end), (Some(401), End::Closed));
    assert!(!String::from_utf8_lossy(&reply.bytes).contains("408"));
}

#[tokio::test]
async fn the_greatest_patience_works() {
    let sim = Sim::builder()
        .patience(Duration::MAX)
        .start()
        .await
        .unwrap();
    is_well(&sim).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_has_no_effect() {
    let sim = Sim::start().await.unwrap();
    for (length, body) in [
        (
            "content-length: 100",
            r#"{"model":"veo3.1-video-4k","prompt":"A kite"}"#,
        ),
        ("transfer-encoding: chunked", "xyz\r\n"),
        ("transfer-encoding: chunked", "5\r\n{}"),
    ] {
        let head = request("POST", CREATE, "key", "").replace("content-length: 0", length);
        let mut socket = connect(&sim).await;
        socket
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        socket.shutdown().await.unwrap();
        let reply = Raw::read(&mut socket, LONG).await;
        assert!(
            [None, Some(400)].contains(&reply.status()),
            "{length}: {reply:?}"
        );
        assert_eq!(reply.end, End::Closed, "{length}");
    }
    is_well(&sim).await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_error() {
    let sim = Sim::start().await.unwrap();
    let mut socket = connect(&sim).await;
    let body = r#"{"prompt":""}"#;
    for (method, path, body, status) in [
        ("GET", "/v1/none", "", 404),
        ("POST", GENERATE, body, 200),
        ("POST", GENERATE, "{", 200),
        ("POST", CREATE, "{}", 400),
        ("GET", "/media/none.mp4", "", 400),
        ("HEAD", "/v1/none", "", 404),
        ("GET", "/v1/videos/none", "", 400),
        ("POST", UPLOAD, "{}", 400),
        ("GET", UPLOAD, "", 405),
    ] {
        let sent = request(method, path, "key", body).replace("connection: close\r\n", "");
        socket.write_all(sent.as_bytes()).await.unwrap();
        let mut raw = Raw {
            bytes: Vec::new(),
            end: End::Silent,
        };
        loop {
            let length = raw
                .header("content-length")
                .map(|length| length.parse::<usize>().unwrap());
            if length.is_some_and(|length| method == "HEAD" || raw.body().len() == length) {
                break;
            }
            assert_ne!(
                socket.read_buf(&mut raw.bytes).await.unwrap(),
                0,
                "{method} {path}: the connection stays"
            );
        }
        assert_eq!(raw.status(), Some(status), "{method} {path}");
    }
    // Several requests can be sent at once.
    let one = request("GET", "/v1/videos/none", "key", "").replace("connection: close\r\n", "");
    let last = request("GET", "/v1/videos/none", "key", "");
    socket
        .write_all(format!("{one}{one}{last}").as_bytes())
        .await
        .unwrap();
    let replies = String::from_utf8(Raw::read(&mut socket, LONG).await.bytes).unwrap();
    assert_eq!(
        replies.matches(r#""code":"task_not_exist""#).count(),
        3,
        "{replies}"
    );
    is_well(&sim).await;
}

#[tokio::test]
async fn odd_paths_and_ids_are_decoded_and_find_nothing() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for [path, status, words] in rows(
        r#"
        /v1/videos/..%2f..%2fetc%2fpasswd        | 404 | Invalid URL (GET /v1/videos/../../etc/passwd)
        /v1/videos/%00                           | 400 | task_not_exist
        /v1/videos/%ff%fe                        | 400 | task_not_exist
        /v1/videos/%                             | 400 | task_not_exist
        /v1/videos/%zz                           | 400 | task_not_exist
        /v1/videos/a;b=c                         | 400 | task_not_exist
        /v1/videos/%C3%BC%0D%0AX-A:%20b          | 400 | task_not_exist
        /v1/videos/                              | 404 | Invalid URL (GET /v1/videos/)
        /v1//videos/a                            | 404 | Invalid URL (GET /v1//videos/a)
        /api/v1/veo/record-info?taskId=%00%ff    | 200 | record is null.
        /api/v1/veo/record-info?taskId           | 200 | record is null.
        /api/v1/veo/record-info?&&=&taskId=a&=b  | 200 | record is null.
        /api/v1/veo/record%2Dinfo?taskId=a       | 200 | record is null.
        /api/v1/veo/get-1080p-video?taskId=a&index=x | 200 | Validation Error - The request parameters failed validation checks
        "#,
    ) {
        let reply = Raw::exchange(&sim, request("GET", path, "key", "")).await;
        let json = reply.json();
        let said = json["msg"]
            .as_str()
            .or(json["message"].as_str())
            .or(json["error"]["message"].as_str())
            .unwrap();
        let said = said.split(" (request id: ").next().unwrap();
        assert_eq!(
            (reply.status(), said),
            (status.parse().ok(), words),
            "{path}"
        );
    }
    for path in [
        "",
        "..%2fa",
        "%2e%2e/%2e%2e/etc/passwd",
        "uploads/",
        "_origin.mp4",
        ".mp4",
        "_4k.mp4",
        "%ff.mp4",
        "a%00.mp4",
    ] {
        let url = format!("GET /media/{path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n");
        let reply = Raw::exchange(&sim, url).await;
        assert_eq!(
            (reply.status(), reply.body()),
            (Some(404), &b"Not Found"[..]),
            "{path}"
        );
    }
    is_well(&sim).await;

    // An encoded id is the same id.
    let id = user.uniall_task().await;
    let encoded = format!("/v1/videos/{}", id.replace('_', "%5F"));
    assert_eq!(user.get(&encoded).await["id"], id);
    User::new(&sim, "at-once").uniall_task().await;
    let record = user.kie_task(json!({ "prompt": "A kite" })).await;
    user.kie_end(&record).await;
    for path in [
        format!("/media/{record}.mp4"),
        format!("/media/%{:02x}{}%2Emp4", record.as_bytes()[0], &record[1..]),
    ] {
        let url = json!(sim.url() + &path);
        assert_eq!(user.fetch(&url).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_name_of_an_upload_cannot_leave_its_folder() {
    let sim = Sim::start().await.unwrap();
    let user = User::new(&sim, "key");
    for (folder, name, stored) in [
        ("in", "a.png", Some("in/a.png")),
        ("/in//k/", "a.png", Some("in/k/a.png")),
        ("in", "ä b%2f?.webp", Some("in/b2f.webp")),
        ("in", "k/a.png", Some("in/k/a.png")),
        ("in\\k", "a.png", Some("in/k/a.png")),
        ("in", "...", Some("in/...")),
        ("..", "a.png", None),
        ("a/../..", "a.png", None),
        ("a/.%./b", "a.png", None),
        ("in", "..\\b", None),
        ("in", "../../etc/passwd", None),
        ("in", ".", None),
        ("/", "a.png", None),
        ("\u{0}", "a.png", None),
        ("ü", "a.png", None),
    ] {
        let request = json!({ "base64Data": "aGVsbG8=", "uploadPath": folder, "fileName": name });
        let reply = user.post(UPLOAD, request).await;
        let path = reply["data"]["filePath"]
            .as_str()
            .map(|path| path.strip_prefix("kieai/100001/").unwrap());
        assert_eq!(path, stored, "{folder:?} {name:?}: {reply}");
        match stored {
            Some(_) => assert_eq!(
                user.download(&reply["data"]["downloadUrl"]).await,
                b"hello",
                "{folder:?} {name:?}"
            ),
            None => assert_eq!(reply["code"], 400, "{folder:?} {name:?}: {reply}"),
        }
    }
    // A name that is made from the type of the file does not lead out of the folder either.
    for origin in [
        "data:image/../x",
        "data:image/a/b",
        "data:image/x;y=\\..\\z",
        "data:;",
        "data:image/svg+xml",
        "data:image/PNG",
    ] {
        let request =
            json!({ "base64Data": format!("{origin};base64,aGVsbG8="), "uploadPath": "in" });
        let reply = user.post(UPLOAD, request).await;
        let name = reply["data"]["fileName"]
            .as_str()
            .unwrap_or_else(|| panic!("{origin}: {reply}"));
        let (front, ending) = name.split_once('.').unwrap();
        assert!(
            front
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-'),
            "{name}"
        );
        assert!(
            ending.bytes().all(|byte| byte.is_ascii_alphanumeric()) && ending.len() <= 8,
            "{name}"
        );
    }
    let forms = [
        "--x\r\n\r\n",
        "--x--",
        "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello",
        "--x\r\nContent-Disposition: attachment\r\n\r\nhello\r\n--x--\r\n",
        "--x\r\nContent-Disposition: form-data; name=\"uploadPath\"\r\n\r\n\u{0}\r\n--x--\r\n",
    ];
    for form in forms {
        for kind in [
            "multipart/form-data; boundary=x",
            "multipart/form-data",
            "multipart/form-data; boundary=\"\"",
            "text/plain",
        ] {
            let request = user
                .call(reqwest::Method::POST, "/api/file-stream-upload")
                .header("content-type", kind);
            let (status, reply) = crate::exchange(request.body(form.to_owned())).await;
            assert_eq!(
                (status, &reply["success"]),
                (400, &Value::Bool(false)),
                "{form:?} {kind}: {reply}"
            );
        }
    }
    is_well(&sim).await;
}

#[tokio::test]
async fn odd_api_keys_are_accepted_if_they_are_text() {
    let sim = Sim::start().await.unwrap();
    let long = "k".repeat(50_000);
    for (key, is_taken) in [
        ("k", true),
        ("k k", true),
        ("/", true),
        ("failed/", true),
        ("' or 1=1 --", true),
        (&*long, true),
        ("", false),
        (" ", false),
    ] {
        let reply = Raw::exchange(&sim, request("GET", "/v1/videos/none", key, "")).await;
        let start: String = key.chars().take(20).collect();
        assert_eq!(
            reply.status(),
            Some(if is_taken { 400 } else { 401 }),
            "{start:?}"
        );
    }
    let head = request("GET", "/v1/videos/none", "KEY", "");
    let (before, after) = head.split_once("KEY").unwrap();
    let reply = Raw::exchange(
        &sim,
        [before.as_bytes(), b"\xff\xe4", after.as_bytes()].concat(),
    )
    .await;
    assert_eq!(reply.status(), Some(401));
    is_well(&sim).await;
}

#[tokio::test]
async fn many_idle_connections_do_no_harm() {
    let sim = Sim::builder()
        .scenario(Scenario::new("hang", "").pace(veo_sim::Pace::AtOnce))
        .start()
        .await
        .unwrap();
    let mut idle = Vec::new();
    for number in 0..200 {
        let mut socket = connect(&sim).await;
        let part = &request("POST", CREATE, "key", "{}")[..number % 100];
        socket.write_all(part.as_bytes()).await.unwrap();
        idle.push(socket);
    }
    is_well(&sim).await;
}
