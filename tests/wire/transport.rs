//! For both clients a request is sent at most once, a reply is read whole, and the API key is shown nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use veo_transport::MAX_BODY;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use veo_tests::{KEY, serve_bytes};

fn kie(url: &str) -> kie_api::Client {
    kie_api::Client::new(config(url)).unwrap()
}

fn config(url: &str) -> kie_api::Config {
    let short = Duration::from_millis(400);
    kie_api::Config::new(KEY)
        .base_url(url)
        .connect_timeout(Duration::from_millis(200))
        .query_timeout(short)
        .submit_timeout(short)
}

async fn generate(
    client: &kie_api::Client,
) -> Result<kie_api::Reply<kie_api::types::TaskReply>, kie_api::Error> {
    client
        .generate()
        .body_map(|body| body.prompt("A red kite"))
        .send()
        .await
}

/// Starts a server that reads a whole request, answers with these bytes and closes. It counts its requests.
async fn raw(reply: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The body of the test's request ends with its only closing brace.
            while !request.ends_with(b"}") {
                let mut chunk = [0; 4096];
                let read = socket.read(&mut chunk).await.unwrap();
                request.extend_from_slice(&chunk[..read]);
            }
            counter.fetch_add(1, Ordering::SeqCst);
            socket.write_all(reply).await.unwrap();
        }
    });
    (url, count)
}

#[tokio::test]
async fn a_submit_arrives_at_most_once() {
    // Each row has the answer, and the error that the caller gets.
    let table: [(&[u8], &str); 7] = [
        (b"", "NoReply"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "NoReply"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"code\":200,\"data\":{\"taskId\":\"t1\"", "NoReply"),
        (b"HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", "Unreadable"),
        (b"HTTP/1.1 308 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", "Unreadable"),
        (b"HTTP/1.1 302 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", "Unreadable"),
        (b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", "Unreadable"),
    ];
    for (reply, wanted) in table {
        let (url, count) = raw(reply).await;
        let error = generate(&kie(&url)).await.unwrap_err();
        let kind = format!("{error:?}");
        assert!(
            kind.starts_with(wanted),
            "{}: {kind}",
            String::from_utf8_lossy(reply)
        );
        assert_eq!(
            count.load(Ordering::SeqCst),
            1,
            "{}",
            String::from_utf8_lossy(reply)
        );
    }
}

#[tokio::test]
async fn the_start_of_a_broken_reply_is_kept() {
    let (url, _) = raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"code\":200,\"data\":{\"taskId\":\"t1\"",
    )
    .await;
    match generate(&kie(&url)).await {
        Err(kie_api::Error::NoReply { partial, .. }) => {
            assert_eq!(partial, r#"{"code":200,"data":{"taskId":"t1""#)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn waiting_for_a_missing_reply_ends_after_the_timeout() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(late).mount(&server).await;
    let error = generate(&kie(&server.uri())).await.unwrap_err();
    assert!(matches!(error, kie_api::Error::NoReply { .. }), "{error:?}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_counts_as_nothing_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = generate(&kie(&url)).await.unwrap_err();
    assert!(
        matches!(error, kie_api::Error::NotConnected { .. }),
        "{error:?}"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("refused") && !cause.contains(&url),
        "{cause}"
    );
}

/// If the server closes a pooled connection at the wrong moment, a submit that was never sent looks lost.
#[tokio::test]
async fn each_submit_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            // Each request of the test arrives in one piece, since it is small.
            tokio::spawn(async move {
                while socket.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"code\":200,\"data\":null}";
                    socket.write_all(reply).await.unwrap();
                }
            });
        }
    });
    let client = kie(&url);
    for _ in 0..3 {
        client.record_info().task_id("t1").send().await.unwrap();
    }
    assert_eq!(connections.swap(0, Ordering::SeqCst), 1, "questions");
    for _ in 0..3 {
        generate(&client).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3, "submits");
}

/// Each has a connection, and many systems allow a process about a thousand of them.
#[tokio::test]
async fn a_hundred_questions_are_on_their_way_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hundred = Arc::new(Barrier::new(100));
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    tokio::spawn(async move {
        let unanswered = Arc::new(AtomicUsize::new(0));
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (hundred, seen, unanswered) = (hundred.clone(), seen.clone(), unanswered.clone());
            tokio::spawn(async move {
                while socket.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    let now = unanswered.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.fetch_max(now, Ordering::SeqCst);
                    hundred.wait().await;
                    unanswered.fetch_sub(1, Ordering::SeqCst);
                    // No question of the next hundred is counted with these.
                    hundred.wait().await;
                    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{\"code\":200,\"data\":null}";
                    socket.write_all(reply).await.unwrap();
                }
            });
        }
    });
    let usual = kie_api::Config::new(KEY).base_url(&url);
    let client = kie_api::Client::new(usual).unwrap();
    let mut questions = JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        questions.spawn(async move { client.record_info().task_id("t1").send().await.is_ok() });
    }
    assert_eq!(questions.join_all().await, [true; 200]);
    assert_eq!(most.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn a_reply_longer_than_40_mib_is_an_error() {
    let server = MockServer::start().await;
    let endless = ResponseTemplate::new(200).set_body_bytes(vec![b' '; MAX_BODY + 1]);
    Mock::given(any())
        .respond_with(endless)
        .mount(&server)
        .await;
    let client = kie_api::Client::new(kie_api::Config::new(KEY).base_url(server.uri())).unwrap();
    let error = generate(&client).await.unwrap_err();
    assert!(
        error.to_string().contains("the body is longer than 40 MiB"),
        "{error}"
    );
}

#[tokio::test]
async fn the_api_key_is_in_no_error_and_in_no_debug_text() {
    let server = MockServer::start().await;
    let uniall =
        uniall_api::Client::new(uniall_api::Config::new(KEY).base_url(server.uri())).unwrap();
    let kie = kie(&server.uri());
    let mut texts = vec![format!(
        "{kie:?} {uniall:?} {:?} {:?}",
        config("http://127.0.0.1"),
        kie.generate()
    )];
    let bodies = [
        format!("<html>Authorization: Bearer {KEY}</html>"),
        format!(r#"{{"code":401,"msg":"bad key {KEY}","data":{{"key":"{KEY}"}}}}"#),
        format!(r#"{{"error":{{"message":"bad key {KEY}"}}}}"#),
    ];
    for body in bodies {
        for status in [200, 401, 502] {
            server.reset().await;
            let echo = ResponseTemplate::new(status).set_body_string(body.clone());
            Mock::given(any()).respond_with(echo).mount(&server).await;
            let error = generate(&kie).await.unwrap_err();
            texts.push(format!("{error} {error:?}"));
            let error = uniall.query_video().task_id("t1").send().await.unwrap_err();
            texts.push(format!("{error} {error:?}"));
        }
    }
    for text in texts {
        assert!(!text.contains(KEY), "{text}");
    }
}

/// The API keys of a simulator are words. A reply without these words would be another reply.
#[tokio::test]
async fn an_api_key_that_is_a_common_word_changes_no_reply() {
    let server = MockServer::start().await;
    let reply =
        r#"{"id":"task_a1","status":"failed","error":{"message":"any reason of 15 letters"}}"#;
    serve_bytes(&server, 200, reply.into()).await;
    for key in ["a", "any", "failed", "status", "id", "of 15 letters\"}"] {
        let config = uniall_api::Config::new(key).base_url(server.uri());
        let task = uniall_api::Client::new(config)
            .unwrap()
            .query_video()
            .task_id("task_a1")
            .send()
            .await
            .unwrap();
        assert_eq!(task.body(), reply, "{key}");
        assert_eq!(
            (task.poll_id(), task.state()),
            (Some("task_a1"), uniall_api::State::Failed),
            "{key}"
        );
    }
}

/// An API key from a file ends with a line end. It is not sent, and no part of a reply is hidden for it.
#[tokio::test]
async fn spaces_around_an_api_key_are_removed() {
    let server = MockServer::start().await;
    serve_bytes(
        &server,
        401,
        format!(r#"{{"code":401,"msg":"bad key '{KEY}'"}}"#).into(),
    )
    .await;
    for key in [KEY.to_owned(), format!("{KEY}\n"), format!("\t {KEY} \r\n")] {
        let client =
            kie_api::Client::new(kie_api::Config::new(key).base_url(server.uri())).unwrap();
        let error = generate(&client).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "kie.ai answered with code 401: bad key '[key]'"
        );
        let sent = server.received_requests().await.unwrap().pop().unwrap();
        assert_eq!(
            sent.headers["authorization"],
            format!("Bearer {KEY}").as_str()
        );
    }
}

/// An error shows the start of an unexpected reply, and a link in it can have a signature.
#[tokio::test]
async fn an_error_shows_links_without_their_signatures() {
    let server = MockServer::start().await;
    let short = r#"<a href="https://cdn.example.net/v.mp4?signature=hidden">moved</a> What now? https://b.example/?k=hidden"#;
    // Only the start is shown, which ends within the password.
    let long = format!("{} https://me:hidden@b.example/", "x".repeat(180));
    for (page, shown) in [
        (
            short,
            r#"<a href=\"https://cdn.example.net/v.mp4?...\">moved</a> What now? https://b.example/?..."#,
        ),
        (&long, "xxx ..."),
    ] {
        serve_bytes(&server, 502, page.into()).await;
        let error = generate(&kie(&server.uri())).await.unwrap_err().to_string();
        assert!(error.ends_with(shown) && !error.contains("hid"), "{error}");
    }
}

/// Whatever surrounds a link, its query, its password and its content are not shown.
#[test]
fn links_are_shown_without_their_secret_parts() {
    let table = [
        ("no link? none", "no link? none"),
        ("https://a.example/v.mp4", "https://a.example/v.mp4"),
        ("https://a.example?k=hidden", "https://a.example?..."),
        ("https://a.example/v#t=hidden", "https://a.example/v?..."),
        (
            "at https://me:hidden@a.example:8443/v, or not",
            "at https://a.example:8443/v, or not",
        ),
        ("https://me:hid@den@a.example", "https://a.example"),
        (
            "<a href='https://a.example/v?k=hidden'>x</a>",
            "<a href='https://a.example/v?...>x</a>",
        ),
        (
            r#"{"url":"https://a.example/v?k=hidden","code":1}"#,
            r#"{"url":"https://a.example/v?...","code":1}"#,
        ),
        (
            r#"{"url":"https:\/\/a.example\/v?a=b\u0026k=hidden"}"#,
            r#"{"url":"https:\/\/a.example\/v?..."}"#,
        ),
        (
            r#"{\"url\":\"https://a.example/v?k=hidden\"}"#,
            r#"{\"url\":\"https://a.example/v?..."}"#,
        ),
        (
            "[https://a.example/v?k=hidden,x,https://b.example/v?k=hidden]",
            "[https://a.example/v?...",
        ),
        (
            "[https://a.example/v,https://me:hidden@b.example/v?k=hidden]",
            "[https://a.example/v,https://b.example/v?...",
        ),
        (
            "https://a.example/to=https://me:hidden@b.example/?k=hidden",
            "https://a.example/to=https://b.example/?...",
        ),
        (
            "data:video/mp4;base64,hidden and https://b.example/?k=hidden",
            "data:video/mp4;base64,... and https://b.example/?...",
        ),
        ("https://", "https://"),
        ("://?#@", "://?..."),
    ];
    for (text, wanted) in table {
        assert_eq!(veo_transport::without_queries(text), wanted);
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let url = |url: &str| kie_api::Config::new(KEY).base_url(url);
    let table = [
        (kie_api::Config::new(""), "the API key is empty"),
        (kie_api::Config::new(" \n"), "the API key is empty"),
        (
            kie_api::Config::new("a\nb"),
            "characters that no HTTP header can carry",
        ),
        (
            kie_api::Config::new(KEY).connect_timeout(Duration::from_secs(30)),
            "the connect time-out has to be shorter",
        ),
        (url("not a url"), "it has no scheme; begin it with https://"),
        (url(""), "it has no scheme; begin it with https://"),
        (
            url("api.kie.ai"),
            "it has no scheme; give https://api.kie.ai",
        ),
        (
            url("api.kie.ai:8443/v1"),
            "it has no scheme; give https://api.kie.ai:8443",
        ),
        (
            url("//api.kie.ai"),
            "it has no scheme; give https://api.kie.ai",
        ),
        (
            url("localhost:8787"),
            "it has no scheme; give http://localhost:8787",
        ),
        (
            url("user:password@api.kie.ai"),
            "it has no scheme; begin it with https://",
        ),
        (url("ftp://api.kie.ai"), "travels over https"),
        (url("http://api.kie.ai"), "travels over https"),
        (url("http://127.0.0.1.example.net"), "travels over https"),
        (
            url("https://user:password@api.kie.ai"),
            "more than a scheme, a host and a port",
        ),
        (
            url("https://:password@api.kie.ai"),
            "more than a scheme, a host and a port",
        ),
        (
            url("https://api.kie.ai/?a=b"),
            "more than a scheme, a host and a port",
        ),
        (
            url("https://api.kie.ai/api/v1"),
            "it has the path /api/v1, and the paths of the API are added to it; give https://api.kie.ai",
        ),
        (
            url("http://127.0.0.1:8787//v1/"),
            "it has the path /v1, and the paths of the API are added to it; give http://127.0.0.1:8787",
        ),
    ];
    for (config, wanted) in table {
        let error = kie_api::Client::new(config).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && !error.contains("password@"),
            "{error}"
        );
    }
    for good in [
        "https://api.kie.ai/",
        "https://proxy.example.net:8443",
        "https://api.kie.ai//",
        "http://127.0.0.1:8787",
        "http://[::1]:8787",
        "http://localhost:1",
        "http://localhost.:1",
        "https://api.kie.ai.",
    ] {
        kie_api::Client::new(url(good)).unwrap();
    }
}
