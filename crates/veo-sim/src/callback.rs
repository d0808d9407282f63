//! The callbacks of kie.ai: what is in them, and how they are sent and sent again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A call that is owed to somebody.
#[derive(Clone)]
pub(crate) struct Callback {
    /// The `callBackUrl` of the request.
    pub(crate) url: String,
    pub(crate) body: Value,
    /// The task that the signature is about.
    pub(crate) task_id: String,
}

/// Whether a callback may be sent there at all.
pub(crate) fn is_here(url: &str) -> bool {
    Receiver::of(url).is_some()
}

/// Sends a callback once, to this machine only, and returns the status of the answer. It is signed if there is a key.
pub(crate) async fn send(
    callback: &Callback,
    hmac_key: Option<&str>,
    now_unix: u64,
) -> Result<u16, String> {
    send_within(PATIENCE, callback, hmac_key, now_unix).await
}

/// A video that a callback is about.
pub(crate) struct Made<'a> {
    pub(crate) urls: &'a [String],
    /// Left out if there are none.
    pub(crate) origins: &'a [String],
    pub(crate) resolution: &'a str,
    /// Whether the fallback model has made it.
    pub(crate) fallback: bool,
}

/// The body after a generation that has succeeded.
pub(crate) fn generated(task_id: &str, prompt_json: &str, made: &Made<'_>) -> Value {
    let mut data = video(task_id, made);
    data["promptJson"] = json!(prompt_json);
    let how = if made.fallback {
        " (using fallback model)"
    } else {
        ""
    };
    json!({ "code": 200, "msg": format!("Veo3.1 video generated successfully{how}."), "data": data })
}

/// The body after an extension that has succeeded. The whole film is not in it: no page says that it is.
pub(crate) fn extended(task_id: &str, made: &Made<'_>) -> Value {
    json!({ "code": 200, "msg": "Veo3.1 video extension successful.", "data": video(task_id, made) })
}

/// The body after a generation or an extension that has failed.
pub(crate) fn failed(task_id: &str, code: u16, message: &str) -> Value {
    json!({ "code": code, "msg": message, "data": { "taskId": task_id, "fallbackFlag": false } })
}

/// The body after an upgrade to 4K, as the page about callbacks has it.
pub(crate) fn upgraded_to_4k(
    task_id: &str,
    result_urls: &[String],
    image_urls: &[String],
    credits: u32,
) -> Value {
    let info = json!({ "imageUrls": image_urls, "resultUrls": result_urls });
    let data = json!({ "creditsConsumed": credits, "info": info, "taskId": task_id });
    json!({ "code": 200, "data": data, "msg": UPGRADED })
}

/// The same as the page about 4K has it. No real one has been seen.
pub(crate) fn upgraded_to_4k_in_snake_case(
    task_id: &str,
    result_urls: &[String],
    media_ids: &[String],
    image_urls: &[String],
) -> Value {
    let data = json!({ "task_id": task_id, "result_urls": result_urls, "media_ids": media_ids, "image_urls": image_urls });
    json!({ "code": 200, "msg": UPGRADED, "data": data })
}

/// The body after an upgrade to 4K that has failed.
pub(crate) fn not_upgraded_to_4k(
    task_id: &str,
    code: u16,
    message: &str,
    snake_case: bool,
) -> Value {
    let name = if snake_case { "task_id" } else { "taskId" };
    json!({ "code": code, "msg": message, "data": { name: task_id } })
}

/// How long kie.ai waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
const NOT_HERE: &str = "The simulator sends callbacks over plain http and to this machine only; give a callBackUrl such \
                        as http://127.0.0.1:3000/hook.";
const UPGRADED: &str = "4K Video generated successfully.";

fn video(task_id: &str, made: &Made<'_>) -> Value {
    let mut info = json!({ "resultUrls": made.urls, "resolution": made.resolution });
    if !made.origins.is_empty() {
        info["originUrls"] = json!(made.origins);
    }
    json!({ "taskId": task_id, "info": info, "fallbackFlag": made.fallback })
}

/// Whom a URL leads to.
struct Receiver {
    /// As it stands in the URL.
    authority: String,
    addresses: Vec<SocketAddr>,
    path: String,
}

impl Receiver {
    /// No name is looked up, so that nothing leaves the machine.
    fn of(url: &str) -> Option<Receiver> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))?;
        let ips = match authority.host().trim_matches(['[', ']']) {
            "localhost" => vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            host => vec![host.parse().ok().filter(IpAddr::is_loopback)?],
        };
        let port = authority.port_u16().unwrap_or(80);
        (uri.scheme_str() == Some("http")).then(|| Receiver {
            authority: authority.to_string(),
            addresses: ips
                .into_iter()
                .map(|ip| SocketAddr::new(ip, port))
                .collect(),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

async fn send_within(
    patience: Duration,
    callback: &Callback,
    hmac_key: Option<&str>,
    now_unix: u64,
) -> Result<u16, String> {
    let receiver = Receiver::of(&callback.url).ok_or(NOT_HERE)?;
    let mut request = Request::post(&receiver.path)
        .header(HOST, &receiver.authority)
        .header(CONTENT_TYPE, "application/json");
    if let Some(key) = hmac_key {
        request = request.header("X-Webhook-Timestamp", now_unix).header(
            "X-Webhook-Signature",
            signature(key, &callback.task_id, now_unix)?,
        );
    }
    let request = request
        .body(Full::new(Bytes::from(callback.body.to_string())))
        .map_err(|error| format!("The callback cannot be sent: {error}."))?;
    let who = &receiver.authority;
    let stream = async {
        let stream = TcpStream::connect(&receiver.addresses[..]).await;
        let stream =
            stream.map_err(|error| format!("Nobody takes callbacks at {who}: {error}."))?;
        exchange(stream, request)
            .await
            .map_err(|error| format!("{who} broke off before it answered: {error}."))
    };
    let late = |_| {
        format!(
            "{who} did not answer within {} seconds.",
            patience.as_secs()
        )
    };
    timeout(patience, stream).await.map_err(late)?
}

/// Sends a request and returns the status of the answer, whatever follows it.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> hyper::Result<u16> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let status = async move { Ok(sender.send_request(request).await?.status().as_u16()) };
    // The connection ends once the answer is dropped. Why it ends is of no interest then.
    let (status, _) = tokio::join!(status, connection);
    status
}

/// It covers the task and the time, and not the body.
fn signature(key: &str, task_id: &str, timestamp: u64) -> Result<String, String> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
    let mac = mac.map_err(|error| format!("The webhook key cannot be used: {error}."))?;
    let mac = mac
        .chain_update(format!("{task_id}.{timestamp}"))
        .finalize();
    Ok(BASE64_STANDARD.encode(mac.into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::http::{HeaderMap, Method};
    use axum::routing::any;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const TASK: &str = "ee9c2715375b7837f8bb51d641ff5863";

    /// Somebody who takes callbacks.
    struct Listener {
        url: String,
        seen: Seen,
    }

    type Seen = Arc<Mutex<Vec<(Method, String, HeaderMap, Value)>>>;

    impl Listener {
        async fn start() -> Listener {
            let seen = Seen::default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/hook?to=me", listener.local_addr().unwrap());
            let app = Router::new()
                .fallback(any(receive))
                .with_state(seen.clone());
            tokio::spawn(async { axum::serve(listener, app).await });
            Listener { url, seen }
        }

        fn callback(&self) -> Callback {
            callback(&self.url)
        }
    }

    async fn receive(State(seen): State<Seen>, request: Request) {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1024).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        seen.lock()
            .unwrap()
            .push((parts.method, parts.uri.to_string(), parts.headers, body));
    }

    fn callback(url: &str) -> Callback {
        Callback {
            url: url.to_owned(),
            body: failed(TASK, 500, "Timeout"),
            task_id: TASK.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_callback_is_signed_if_there_is_a_key() {
        let listener = Listener::start().await;
        assert_eq!(send(&listener.callback(), None, 1).await, Ok(200));
        assert_eq!(
            send(
                &listener.callback(),
                Some("test_webhook_hmac_key"),
                1_769_670_760
            )
            .await,
            Ok(200)
        );

        let requests = &listener.seen.lock().unwrap();
        let signed = [
            Some("1769670760"),
            Some("dfR2UHjlU4XCIMtJCEbfqQ9e9lVh3gmeV0UMubxEz/w="),
        ];
        assert_eq!(requests.len(), 2);
        for ((method, path, headers, body), wanted) in requests.iter().zip([[None, None], signed]) {
            assert_eq!((method, path.as_str()), (&Method::POST, "/hook?to=me"));
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(
                headers["host"],
                listener.url["http://".len()..].split('/').next().unwrap()
            );
            let names = ["x-webhook-timestamp", "x-webhook-signature"];
            assert_eq!(
                names.map(|name| headers.get(name).map(|value| value.to_str().unwrap())),
                wanted
            );
            assert_eq!(*body, listener.callback().body);
        }
    }

    #[tokio::test]
    async fn nobody_elsewhere_is_called() {
        let listener = Listener::start().await;
        let port = listener.url.split([':', '/']).nth(4).unwrap();
        for name in ["127.0.0.1", "localhost"] {
            assert_eq!(
                send(&callback(&format!("http://{name}:{port}")), None, 1).await,
                Ok(200),
                "{name}"
            );
        }
        for url in [
            &format!("https://127.0.0.1:{port}/hook"),
            &format!("ftp://127.0.0.1:{port}/hook"),
            &format!("//127.0.0.1:{port}/hook"),
            &format!("127.0.0.1:{port}"),
            &format!("http://user@127.0.0.1:{port}/hook"),
            &format!("http://127.0.0.1:{port}@hook.example.net/"),
            &format!("http://localhost.example.net:{port}/hook"),
            &format!("http://127.0.0.1.example.net:{port}/hook"),
            &format!("http://10.0.0.1:{port}/hook"),
            &format!("http://0.0.0.0:{port}/hook"),
            &format!("http://[::]:{port}/hook"),
            &format!("http://169.254.169.254:{port}/hook"),
            "https://hook.example.net/",
            "/hook",
            "a b",
            "",
        ] {
            let refusal = send(&callback(url), None, 1).await.unwrap_err();
            assert!(
                refusal.contains("to this machine only; give a callBackUrl"),
                "{url}: {refusal}"
            );
            assert!(!is_here(url), "{url}");
        }
        assert_eq!(listener.seen.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_named() {
        // A port that is taken, and at which nobody listens.
        let taken = TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let free = taken.local_addr().unwrap();
        let error = send(&callback(&format!("http://{free}/hook")), None, 1)
            .await
            .unwrap_err();
        assert!(
            error.starts_with(&format!(
                "Nobody takes callbacks at {free}: Connection refused"
            )),
            "{error}"
        );

        let short = Duration::from_millis(100);
        for (answer, then_stays, wanted) in [
            ("", true, Err("did not answer within 0 seconds.")),
            (
                "HTTP/1.1 200",
                true,
                Err("did not answer within 0 seconds."),
            ),
            ("", false, Err("broke off before it answered")),
            ("HTTP/1.1 200", false, Err("broke off before it answered")),
            (
                "nonsense\r\n\r\n",
                false,
                Err("broke off before it answered"),
            ),
            // The body is of no interest.
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nrec",
                true,
                Ok(200),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", true, Ok(204)),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer.as_bytes()).await;
                // Until the caller hangs up.
                if then_stays {
                    let _ = socket.read(&mut request).await;
                }
            });
            // An answer has all the time it needs.
            let patience = if wanted.is_ok() { PATIENCE } else { short };
            let outcome =
                send_within(patience, &callback(&format!("http://{address}/")), None, 1).await;
            match wanted {
                Ok(status) => assert_eq!(outcome, Ok(status), "{answer}"),
                Err(words) => {
                    let error = outcome.unwrap_err();
                    assert!(
                        error.starts_with(&address.to_string()) && error.contains(words),
                        "{answer}: {error}"
                    );
                }
            }
        }
    }

    fn made<'a>(urls: &'a [String], origins: &'a [String]) -> Made<'a> {
        Made {
            urls,
            origins,
            resolution: "720p",
            fallback: false,
        }
    }

    #[test]
    fn a_body_is_as_kie_documents_it() {
        let [video, origin, picture] =
            ["x.mp4", "o.mp4", "x.jpg"].map(|name| vec![format!("https://host/{name}")]);
        for (body, wanted) in [
            (
                generated(
                    "t1",
                    r#"{"prompt":"cat"}"#,
                    &Made {
                        resolution: "1080p",
                        ..made(&video, &origin)
                    },
                ),
                json!({ "code": 200, "msg": "Veo3.1 video generated successfully.", "data": {
                    "taskId": "t1", "promptJson": "{\"prompt\":\"cat\"}", "fallbackFlag": false,
                    "info": { "resultUrls": video, "originUrls": origin, "resolution": "1080p" },
                } }),
            ),
            (
                generated(
                    "t1",
                    "{}",
                    &Made {
                        fallback: true,
                        ..made(&video, &[])
                    },
                ),
                json!({ "code": 200, "msg": "Veo3.1 video generated successfully (using fallback model).", "data": {
                    "taskId": "t1", "promptJson": "{}", "fallbackFlag": true,
                    "info": { "resultUrls": video, "resolution": "720p" },
                } }),
            ),
            (
                extended("t1", &made(&video, &origin)),
                json!({ "code": 200, "msg": "Veo3.1 video extension successful.", "data": {
                    "taskId": "t1", "fallbackFlag": false,
                    "info": { "resultUrls": video, "originUrls": origin, "resolution": "720p" },
                } }),
            ),
            (
                failed("t1", 501, "failed"),
                json!({ "code": 501, "msg": "failed", "data": { "taskId": "t1", "fallbackFlag": false } }),
            ),
            (
                upgraded_to_4k("t1", &video, &picture, 120),
                json!({ "code": 200, "msg": "4K Video generated successfully.", "data": {
                    "taskId": "t1", "info": { "resultUrls": video, "imageUrls": picture }, "creditsConsumed": 120,
                } }),
            ),
            (
                not_upgraded_to_4k("t1", 500, "unavailable", false),
                json!({ "code": 500, "msg": "unavailable", "data": { "taskId": "t1" } }),
            ),
            (
                not_upgraded_to_4k("t1", 500, "unavailable", true),
                json!({ "code": 500, "msg": "unavailable", "data": { "task_id": "t1" } }),
            ),
            (
                upgraded_to_4k_in_snake_case("t1", &video, &["m1".to_owned()], &picture),
                json!({ "code": 200, "msg": "4K Video generated successfully.", "data": {
                    "task_id": "t1", "result_urls": video, "media_ids": ["m1"], "image_urls": picture,
                } }),
            ),
        ] {
            assert_eq!(body, wanted);
        }
    }
}
