//! The fate of a paid request on raw sockets: how often it arrives, and what the caller learns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use veo_core::ledger::FileLedger;
use veo_core::{Access, Client, JobRef, Kie, Poll, Submission, UniAll, VideoRequest};
use veo_tests::published;

/// The behaviour of a server after it has read a whole request.
#[derive(Clone)]
enum Then {
    Answer(String),
    /// The server never answers, and keeps the connection open.
    Hang,
    Reset,
}

fn answer(head: &str, body: &str) -> Then {
    Then::Answer(format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Starts a server that counts the paid requests that reach it whole.
async fn server(then: Then) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, then.clone(), counter.clone()));
        }
    });
    (url, count)
}

async fn serve(mut socket: TcpStream, then: Then, count: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    // Every paid request here ends with a brace, and no read ends with another brace.
    let whole = |request: &[u8]| {
        request.ends_with(if request.starts_with(b"GET") {
            b"\r\n\r\n"
        } else {
            b"}"
        })
    };
    while !whole(&request) {
        match socket.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    if request.starts_with(b"POST") {
        count.fetch_add(1, Ordering::SeqCst);
    }
    match then {
        Then::Answer(reply) => drop(socket.write_all(reply.as_bytes()).await),
        // The read ends when the client gives up.
        Then::Hang => drop(socket.read(&mut chunk).await),
        Then::Reset => socket.set_zero_linger().unwrap(),
    }
}

fn clients(url: &str) -> [Client; 2] {
    let access = || {
        let access = Access::new("key")
            .base_url(url)
            .connect_timeout(Duration::from_millis(150));
        access
            .query_timeout(Duration::from_millis(400))
            .submit_timeout(Duration::from_millis(400))
    };
    [
        Client::new(Kie::new(access()).unwrap()).unwrap(),
        Client::new(UniAll::new(access()).unwrap()).unwrap(),
    ]
}

/// Submits once with each provider. After an unknown outcome it submits the same key twice, with a ledger.
async fn row(what: &str, url: &str, count: &AtomicUsize) -> String {
    let mut cells = Vec::new();
    for client in clients(url) {
        let request = VideoRequest::text("A red kite");
        let submission = client.submit(&request).await;
        cells.push(cell(&submission, count.swap(0, Ordering::SeqCst)));
        if let Submission::Unknown(_) = submission {
            let folder = tempfile::tempdir().unwrap();
            let ledger = FileLedger::open(folder.path().join("ledger"));
            let client = client.with_ledger(ledger.await.unwrap());
            for _ in 0..2 {
                let submission = client.submit_once("order 17", &request).await;
                assert!(matches!(submission, Submission::Unknown(_)), "{what}");
            }
            assert_eq!(count.swap(0, Ordering::SeqCst), 1, "{what}, with a ledger");
        }
    }
    format!("| {what} | {} |\n", cells.join(" | "))
}

fn cell(submission: &Submission, arrived: usize) -> String {
    assert!(arrived <= 1, "a paid request arrived {arrived} times");
    let outcome = match submission {
        Submission::Accepted(job) => format!("accepted `{}`", job.reference),
        Submission::Rejected(error) => {
            format!("rejected, {:?}, resend: {:?}", error.kind(), error.resend())
        }
        Submission::Unknown(_) => "unknown".to_owned(),
    };
    format!("{arrived} | {outcome}")
}

#[tokio::test]
async fn no_paid_request_arrives_twice() {
    let mut table = String::from(
        "| what happens | kie.ai: requests that arrived | the caller gets | UniAll: requests that arrived | the caller gets |\n\
         | --- | --: | --- | --: | --- |\n",
    );

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    table += &row("the connection is refused", &url, &AtomicUsize::new(0)).await;

    // A label of 64 letters is no host name, so no name server is asked for it.
    let url = format!("https://{}.example", "a".repeat(64));
    table += &row("the host name does not resolve", &url, &AtomicUsize::new(0)).await;

    // Connecting to a full queue of waiting connections takes for ever, as to an address that drops everything.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    table += &row(
        "the connection times out",
        &format!("http://{address}"),
        &AtomicUsize::new(0),
    )
    .await;

    table += &stale_connections().await;

    let html = "<html><h1>Bad gateway</h1></html>";
    let cut_kie = r#"{"code":200,"msg":"success","data":{"taskId":"t1"#.to_owned() + "\"";
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{cut_kie},\"task_id\":\"t1\"");
    let refusal = r#"{"code":422,"msg":"Ratio error","error":{"message":"Ratio error","code":"invalid_request"},"data":null}"#;
    let busy = r#"{"code":429,"msg":"Rate Limited","message":"Rate Limited","data":null}"#;
    let rows = [
        (
            "the request is read, and the connection is closed",
            Then::Answer(String::new()),
        ),
        (
            "the request is read, and the connection is reset",
            Then::Reset,
        ),
        (
            "the head of the reply is cut",
            Then::Answer("HTTP/1.1 200 OK\r\ncontent-len".to_owned()),
        ),
        (
            "the body is cut before the id",
            Then::Answer("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"code\":2".to_owned()),
        ),
        ("the body is cut after the id", Then::Answer(cut)),
        ("302", answer("302 Found\r\nlocation: /elsewhere", "")),
        (
            "307",
            answer("307 Temporary Redirect\r\nlocation: /elsewhere", ""),
        ),
        (
            "308",
            answer("308 Permanent Redirect\r\nlocation: /elsewhere", ""),
        ),
        ("408", answer("408 Request Timeout", "")),
        ("429", answer("429 Too Many Requests", "")),
        (
            "429 with Retry-After",
            answer("429 Too Many Requests\r\nretry-after: 7", busy),
        ),
        ("500", answer("500 Internal Server Error", "")),
        (
            "502 with HTML",
            answer("502 Bad Gateway\r\ncontent-type: text/html", html),
        ),
        ("503", answer("503 Service Unavailable", "")),
        ("504", answer("504 Gateway Timeout", "")),
        ("520 with HTML", answer("520 Unknown", html)),
        ("524 with HTML", answer("524 Unknown", html)),
        ("200 with `{}`", answer("200 OK", "{}")),
        ("200 with an error", answer("200 OK", refusal)),
        ("no reply ever comes", Then::Hang),
    ];
    for (what, then) in rows {
        let (url, count) = server(then).await;
        table += &row(what, &url, &count).await;
    }
    published("crates/veo-core/src/submission.md", &table);
}

/// The server closes the connection of a question. The paid request that follows must not use it.
async fn stale_connections() -> String {
    let body = r#"{"code":200,"msg":"success","data":{"taskId":"t1","task_id":"t1"}}"#;
    let Then::Answer(reply) = answer("200 OK", body) else {
        unreachable!()
    };
    let (url, count) = server(Then::Answer(reply)).await;
    let mut cells = Vec::new();
    for (provider, client) in ["kie", "uniall"].into_iter().zip(clients(&url)) {
        let none = Duration::ZERO;
        let client = client.with_poll(Poll::default().first(none).give_up_after(none));
        client.wait(JobRef::new(provider, "t1")).await.unwrap_err();
        let submission = client.submit(&VideoRequest::text("A red kite")).await;
        cells.push(cell(&submission, count.swap(0, Ordering::SeqCst)));
    }
    format!(
        "| the server has closed the connection of an earlier question | {} |\n",
        cells.join(" | ")
    )
}
