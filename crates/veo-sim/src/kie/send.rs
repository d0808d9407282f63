//! Sends a callback, signed and to this machine only.

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
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A callback that is to be sent.
#[derive(Clone)]
pub(crate) struct Callback {
    /// The `callBackUrl` of the request.
    pub(crate) url: String,
    pub(crate) body: Value,
    /// The task, which the signature covers.
    pub(crate) task_id: String,
}

/// Returns whether a callback may be sent to a URL.
pub(crate) fn is_on_this_machine(url: &str) -> bool {
    Receiver::of(url).is_some()
}

/// Sends a callback once, and returns the status of the answer. The callback is signed if there is a key.
pub(crate) async fn send(
    callback: &Callback,
    hmac_key: Option<&str>,
    now_unix: u64,
) -> Result<u16, String> {
    send_within(PATIENCE, callback, hmac_key, now_unix).await
}

/// The time that kie.ai waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
const NOT_HERE: &str = "The simulator sends callbacks over plain http and to this machine only; give a callBackUrl such \
                        as http://127.0.0.1:3000/hook.";

/// The addresses and the path that a URL leads to.
struct Receiver {
    /// The host and the port as in the URL.
    authority: String,
    addresses: Vec<SocketAddr>,
    path: String,
}

impl Receiver {
    /// Returns `None` if the URL leads to another machine. No name is resolved, so that nothing leaves this machine.
    fn of(url: &str) -> Option<Receiver> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        if uri.scheme_str() != Some("http") || authority.as_str().contains('@') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(80);
        let addresses = match authority.host().trim_matches(['[', ']']) {
            "localhost" => vec![
                (Ipv4Addr::LOCALHOST, port).into(),
                (Ipv6Addr::LOCALHOST, port).into(),
            ],
            host => {
                let ip: IpAddr = host.parse().ok()?;
                if !ip.is_loopback() {
                    return None;
                }
                vec![(ip, port).into()]
            }
        };
        let path = uri.path_and_query().map(ToString::to_string);
        Some(Receiver {
            authority: authority.to_string(),
            addresses,
            path: path.unwrap_or_else(|| "/".to_owned()),
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
        let signature = signature(key, &callback.task_id, now_unix)?;
        request = request
            .header("X-Webhook-Timestamp", now_unix)
            .header("X-Webhook-Signature", signature);
    }
    let request = request
        .body(Full::new(Bytes::from(callback.body.to_string())))
        .map_err(|error| format!("The callback cannot be sent: {error}."))?;
    match timeout(patience, deliver(&receiver, request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "{} did not answer within {} seconds.",
            receiver.authority,
            patience.as_secs()
        )),
    }
}

async fn deliver(receiver: &Receiver, request: Request<Full<Bytes>>) -> Result<u16, String> {
    let who = &receiver.authority;
    let stream = TcpStream::connect(&receiver.addresses[..])
        .await
        .map_err(|error| format!("No server accepts callbacks at {who}: {error}."))?;
    exchange(stream, request)
        .await
        .map_err(|error| format!("{who} broke off before it answered: {error}."))
}

/// Sends a request, and returns the status of the answer without its body.
async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> hyper::Result<u16> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let status = async move { Ok(sender.send_request(request).await?.status().as_u16()) };
    // The connection ends when the answer is dropped. The reason for its end does not matter.
    let (status, _) = tokio::join!(status, connection);
    status
}

/// The signature of a callback. It covers the task and the time, but not the body.
fn signature(key: &str, task_id: &str, timestamp: u64) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|error| format!("The webhook key cannot be used: {error}."))?;
    mac.update(format!("{task_id}.{timestamp}").as_bytes());
    Ok(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn callback(url: &str) -> Callback {
        Callback {
            url: url.to_owned(),
            body: json!({ "code": 500 }),
            task_id: "ee9c2715375b7837f8bb51d641ff5863".to_owned(),
        }
    }

    #[test]
    fn a_signature_covers_the_task_and_the_time() {
        let task = callback("").task_id;
        let signature = signature("test_webhook_hmac_key", &task, 1_769_670_760);
        let wanted = "dfR2UHjlU4XCIMtJCEbfqQ9e9lVh3gmeV0UMubxEz/w=";
        assert_eq!(signature.as_deref(), Ok(wanted));
    }

    #[tokio::test]
    async fn only_receivers_on_this_machine_are_called() {
        for url in [
            "http://127.0.0.1:1/hook?to=me",
            "http://127.1.2.3",
            "http://localhost:1",
            "http://[::1]:1/",
        ] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in [
            "https://127.0.0.1:1/hook",
            "ftp://127.0.0.1:1/hook",
            "//127.0.0.1:1/hook",
            "127.0.0.1:1",
            "http://user@127.0.0.1:1/hook",
            "http://127.0.0.1:1@hook.example.net/",
            "http://localhost.example.net:1/hook",
            "http://127.0.0.1.example.net:1/hook",
            "http://10.0.0.1:1/hook",
            "http://0.0.0.0:1/hook",
            "http://[::]:1/hook",
            "http://169.254.169.254:1/hook",
            "https://hook.example.net/",
            "/hook",
            "a b",
            "",
        ] {
            assert!(!is_on_this_machine(url), "{url}");
            let refusal = send(&callback(url), None, 1).await.unwrap_err();
            assert!(
                refusal.contains("to this machine only; give a callBackUrl"),
                "{url}: {refusal}"
            );
        }
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_answer_is_named() {
        // Another socket has this port, and does not listen.
        let unused = TcpSocket::new_v4().unwrap();
        unused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let free = unused.local_addr().unwrap();
        let error = send(&callback(&format!("http://{free}/hook")), None, 1)
            .await
            .unwrap_err();
        assert!(
            error.starts_with(&format!(
                "No server accepts callbacks at {free}: Connection refused"
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
            // The body does not matter.
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
                // The read ends when the caller closes the connection.
                if then_stays {
                    let _ = socket.read(&mut request).await;
                }
            });
            // The cases that succeed must not depend on the speed of the machine.
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
}
