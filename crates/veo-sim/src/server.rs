//! Connections, and what happens to every request before and after a provider acts on it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, USER_AGENT};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::contract::{Contract, Operation};
use crate::reply::{Cut, Outgoing, Reply};
use crate::state::Shared;
use crate::{Call, Code, Fault, Pace, kie, media, uniall, upload};

const MAX_UPLOAD_BODY: usize = 24 << 20;
const MAX_OTHER_BODY: usize = 1 << 20;

/// Serves whoever connects, for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, shared.clone()))),
            // Without file handles there is no connection; one that ends makes room.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Replies are whole when they are written.
    let _ = stream.set_nodelay(true);
    let patience = shared.setup.patience;
    let service = service_fn(move |request| Box::pin(answer(shared.clone(), request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), service);
    let Err(error) = poll_fn(|cx| connection.poll_without_shutdown(cx)).await else {
        return;
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let cut = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Cut>());
    match cut {
        Some(Cut::Reset) => {
            let _ = stream.set_zero_linger();
        }
        Some(Cut::Head) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await;
        }
        // A connection without a request is just closed. Who uses it again that moment must not take this for a reply.
        None if error.is_timeout() && !parts.read_buf.is_empty() => {
            let body = "The head of the request did not come in time.";
            let head =
                "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain\r\n";
            let _ = stream
                .write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .await;
        }
        Some(Cut::Close) | None => {}
    }
}

/// Who answers a request.
#[derive(Clone, Copy)]
enum Owner {
    Kie,
    Upload,
    UniAll,
    Media,
}

/// A request to a provider that has been let in, read and taken down.
pub(crate) struct Visit<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) account: Arc<str>,
    pub(crate) operation: &'static Operation,
    /// [`Call::number`]
    pub(crate) call: usize,
    pub(crate) parts: &'a Parts,
    /// The path, decoded.
    pub(crate) path: &'a str,
    pub(crate) body: Bytes,
    /// How it differs from the specification.
    pub(crate) mismatches: Vec<String>,
}

impl Visit<'_> {
    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Takes down how a request that is taken differs from what the provider's pages describe.
    pub(crate) fn differs(&self, how: &str) {
        self.shared.state().differs(self.call, how);
    }

    /// Takes down that there is such an operation and nobody here to answer, and says so in a sentence.
    pub(crate) fn is_not_played(&self) -> String {
        let why = format!("the simulator does not play {}", self.operation.id);
        self.shared.state().surprise(self.call, &why);
        why
    }

    /// The pace of the account, and the simulated time there.
    pub(crate) fn clock(&self) -> (Pace, Duration) {
        let state = self.shared.state();
        let pace = state.pace(&self.account);
        (pace, state.now(pace))
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Cut> {
    let (parts, body) = request.into_parts();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    let owner = Owner::of(&path);
    let operation = Contract::shared().operation(parts.method.as_str(), &path);
    let is_media = media::is_read(&parts.method, &path);
    let (account, key) = account(&shared, owner, &path, &parts.headers);
    let call = Call {
        operation: operation
            .map(|operation| operation.id)
            .or(is_media.then_some("media")),
        method: parts.method.to_string(),
        path: parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        ..Call::default()
    };
    let (call, fault) = shared
        .state()
        .arrive(call, &account, || shared.scenario(&key));
    if let Some(Fault::DropBeforeReading) = fault {
        return finish(&shared, call, Err(Cut::Close));
    }
    let limit = match owner {
        Owner::Upload => MAX_UPLOAD_BODY,
        _ => MAX_OTHER_BODY,
    };
    let body = match timeout(shared.setup.patience, read(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Unread::Broken)) => {
            let words =
                "The body of the request broke off, or is not in the form that its head says.";
            return finish(
                &shared,
                call,
                Ok(owner.error(400, None, Some(words)).closing()),
            );
        }
        Ok(Err(Unread::TooLarge)) => return finish(&shared, call, Ok(owner.too_large(limit))),
        Err(_) => {
            let words = "The body of the request did not come in time.";
            return finish(
                &shared,
                call,
                Ok(owner.error(408, None, Some(words)).closing()),
            );
        }
    };
    let mismatches = operation.map(|operation| {
        let kind = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        operation.mismatches(parts.uri.query().unwrap_or_default(), kind, &body)
    });
    let mismatches = mismatches.unwrap_or_default();
    shared.state().keep_body(call, &body);
    mismatches
        .iter()
        .for_each(|how| shared.state().differs(call, how));
    let acts = fault.as_ref().is_none_or(Fault::acts);
    let reply = match (owner.refusal(&parts.headers), operation, owner) {
        (Some(refusal), _, Owner::Media) => {
            shared
                .state()
                .surprise(call, "a key was sent to a media host");
            refusal
        }
        (Some(refusal), ..) => refusal,
        // What the fault says stands in its place.
        (None, ..) if !acts => owner.error(500, None, None),
        (None, _, Owner::Media) => media::file(&shared, &path, &parts, fault.as_ref()),
        (None, Some(operation), _) => {
            let (shared, parts, path) = (&shared, &parts, &*path);
            let visit = Visit {
                shared,
                account,
                operation,
                call,
                parts,
                path,
                body,
                mismatches,
            };
            match owner {
                Owner::UniAll => uniall::answer(&visit),
                Owner::Upload => upload::answer(&visit).await,
                Owner::Kie | Owner::Media => kie::answer(&visit),
            }
        }
        (None, None, _) => {
            shared.state().surprise(
                call,
                &format!("there is no {} {}", parts.method, parts.uri.path()),
            );
            owner.not_found(&parts.method, &path)
        }
    };
    match fault {
        Some(Fault::Hang) => {
            // It is known now that there will be no reply.
            let _ = finish(&shared, call, Err(Cut::Close));
            std::future::pending().await
        }
        Some(fault) => finish(&shared, call, spoiled(reply, owner, &fault)),
        None => finish(&shared, call, Ok(reply)),
    }
}

/// The account of a request, and its key. Media have no key; they are those of who had them made.
fn account(shared: &Shared, owner: Owner, path: &str, headers: &HeaderMap) -> (Arc<str>, String) {
    if let Some(account) = media::account(shared, path) {
        let key = account
            .split_once(' ')
            .map_or_else(String::new, |(_, key)| key.to_owned());
        return (account, key);
    }
    let key = key(headers).unwrap_or_default();
    let provider = if let Owner::UniAll = owner {
        "uniall"
    } else {
        "kie"
    };
    (format!("{provider} {key}").into(), key.to_owned())
}

fn key(headers: &HeaderMap) -> Option<&str> {
    // The value arrives trimmed, so a key follows the space.
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// What a fault makes of a reply.
fn spoiled(mut reply: Reply, owner: Owner, fault: &Fault) -> Result<Reply, Cut> {
    match fault {
        Fault::DropBeforeReading | Fault::Drop | Fault::Hang => Err(Cut::Close),
        Fault::Reset => Err(Cut::Reset),
        Fault::CutHead => Err(Cut::Head),
        Fault::Error {
            status,
            code,
            message,
            retry_after,
            ..
        } => {
            let status = status.unwrap_or_else(|| owner.usual_status(code.as_ref()));
            let mut error = owner.error(status, code.as_ref(), message.as_deref());
            if let Some(seconds) = retry_after {
                error.headers.push(("retry-after", seconds.to_string()));
            }
            Ok(error)
        }
        Fault::Reply {
            status,
            body,
            content_type,
            ..
        } => Ok(Reply::bytes(
            *status,
            content_type.as_deref().unwrap_or("text/html"),
            body.clone().into(),
        )),
        Fault::Shape(shape) => {
            reply.reshape(*shape);
            Ok(reply)
        }
        Fault::CutBody | Fault::Stall | Fault::Slow(_) => {
            reply.end = fault.into();
            Ok(reply)
        }
        Fault::Expired => Ok(Reply::bytes(
            403,
            "text/plain",
            "Request has expired".into(),
        )),
        // What these change is in the file, and has been changed.
        Fault::Truncated | Fault::Corrupted | Fault::WithoutRanges => Ok(reply),
    }
}

/// Takes down what became of a call.
fn finish(
    shared: &Shared,
    number: usize,
    reply: Result<Reply, Cut>,
) -> Result<Response<Outgoing>, Cut> {
    let mut state = shared.state();
    if let Some(call) = state.call(number) {
        call.status = reply.as_ref().ok().map(|reply| reply.status);
        if let Some(on_call) = &shared.setup.on_call {
            let line = call.line();
            drop(state);
            on_call(&line);
        }
    }
    reply.map(Reply::into_response)
}

impl Owner {
    fn of(path: &str) -> Owner {
        if path.starts_with("/media/") {
            Owner::Media
        } else if path.starts_with("/v1/") {
            Owner::UniAll
        } else if path.starts_with("/api/file-") {
            Owner::Upload
        } else {
            Owner::Kie
        }
    }

    /// The reply to a caller that may not come in.
    fn refusal(self, headers: &HeaderMap) -> Option<Reply> {
        // The network in front of kie.ai turns away clients that do not say who they are.
        let needs_agent = matches!(self, Owner::Kie | Owner::Upload);
        if needs_agent && headers.get(USER_AGENT).is_none_or(|agent| agent.is_empty()) {
            return Some(Reply::bytes(403, "text/plain", "error code: 1010".into()));
        }
        match self {
            // Media live on other hosts, and a key must never go there.
            Owner::Media => headers
                .contains_key(AUTHORIZATION)
                .then(|| Reply::bytes(400, "text/plain", "A key was sent to a media host.".into())),
            _ if key(headers).is_some() => None,
            Owner::Kie => Some(kie::error(200, Some(401), None)),
            _ => Some(self.error(401, None, None)),
        }
    }

    /// An error in the words of the provider.
    fn error(self, status: u16, code: Option<&Code>, words: Option<&str>) -> Reply {
        let (number, word) = match code {
            Some(Code::Number(number)) => (Some(*number), None),
            Some(Code::Word(word)) => (None, Some(word.as_str())),
            None => (None, None),
        };
        match self {
            // With that status alone it would be no error.
            Owner::Kie if status == 200 => kie::error(200, Some(number.unwrap_or(500)), words),
            Owner::Kie => kie::error(status, number, words),
            Owner::Upload => upload::error(status, words),
            Owner::UniAll => uniall::error(status, word, words),
            Owner::Media => Reply::bytes(
                status,
                "text/plain",
                words.unwrap_or("Error").to_owned().into(),
            ),
        }
    }

    /// The HTTP status that usually goes with a code.
    fn usual_status(self, code: Option<&Code>) -> u16 {
        match (self, code) {
            (Owner::Kie, _) => 200,
            (_, Some(Code::Number(status))) => *status,
            (_, _) => 400,
        }
    }

    fn too_large(self, limit: usize) -> Reply {
        let words = format!("The request body is larger than {} MiB.", limit >> 20);
        match self {
            Owner::Kie => kie::error(200, Some(422), Some(&words)),
            Owner::UniAll => uniall::error(413, Some("read_request_body_failed"), Some(&words)),
            _ => self.error(413, None, Some(&words)),
        }
    }

    fn not_found(self, method: &Method, path: &str) -> Reply {
        match self {
            Owner::UniAll => self.error(404, None, Some(&format!("Invalid URL ({method} {path})"))),
            Owner::Upload
                if Contract::shared()
                    .operations()
                    .iter()
                    .any(|operation| operation.path == path) =>
            {
                self.error(405, None, None)
            }
            _ => self.error(404, None, Some("Not Found")),
        }
    }
}

/// Why there is no body.
enum Unread {
    TooLarge,
    Broken,
}

/// The whole body. The rest of one that is too long is read and thrown away, up to a point, so that the client reads the
/// refusal and not a broken connection.
async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Unread> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= limit {
            kept.extend_from_slice(&data);
        } else if length > 4 * limit {
            break;
        }
    }
    if length <= limit {
        Ok(kept.freeze())
    } else {
        Err(Unread::TooLarge)
    }
}
