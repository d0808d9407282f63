//! Serves connections, and handles every request before and after a provider acts on it.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
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
use crate::record::{Call, shortened};
use crate::reply::{Disconnect, End, Outgoing, Reply};
use crate::scenario::{Code, Fault};
use crate::state::Shared;
use crate::visit::Visit;
use crate::{kie, media, uniall};

/// Serves every connection, for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, shared.clone()));
            }
            // The process has no file handles left. A connection that ends frees one.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Replies are written in one piece, so a delay would gain nothing.
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
    let cut =
        std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Disconnect>());
    match cut {
        Some(Disconnect::Reset) => {
            let _ = stream.set_zero_linger();
        }
        Some(Disconnect::Head) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").await;
        }
        // An idle connection gets no reply: a client that sends a request at that moment would take it for the answer.
        None if error.is_timeout() && !parts.read_buf.is_empty() => {
            let body = "The head of the request did not come in time.";
            let reply = format!(
                "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
        Some(Disconnect::Close) | None => {}
    }
}

/// The host that a request is sent to.
#[derive(Clone, Copy)]
enum Host {
    Kie,
    Upload,
    UniAll,
    Media,
}

/// A request whose head has arrived.
struct Arrival {
    parts: Parts,
    /// The path, decoded.
    path: String,
    host: Host,
    operation: Option<&'static Operation>,
    account: Arc<str>,
    /// The number of the call.
    call: usize,
    fault: Option<Fault>,
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Disconnect> {
    let (parts, body) = request.into_parts();
    let mut arrival = Arrival::record(&shared, parts);
    let number = arrival.call;
    let fault = arrival.fault.take();
    if let Some(Fault::DropBeforeReading) = fault {
        return finish(&shared, number, Err(Disconnect::Close));
    }
    let host = arrival.host;
    let mut body = InFlight::new(&shared, body, host.body_limit());
    let reading = timeout(shared.setup.patience, body.read()).await;
    match reading.unwrap_or(Err(Unread::Late)) {
        Ok(()) => {}
        Err(unread) => return finish(&shared, number, Ok(host.not_read(unread))),
    }
    let reply = arrival.act(&shared, body.take(), fault.as_ref()).await;
    drop(body);
    match fault {
        Some(Fault::Hang) => {
            // The call is recorded without a reply now, since the future never ends.
            let _ = finish(&shared, number, Err(Disconnect::Close));
            pending().await
        }
        Some(fault) => finish(&shared, number, spoiled(reply, host, &fault, &shared.url)),
        None => finish(&shared, number, Ok(reply)),
    }
}

impl Arrival {
    fn record(shared: &Shared, parts: Parts) -> Arrival {
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let host = Host::of(&path);
        let usual_path = uniall::usual_path(&parts.method, &path);
        let operation = Contract::shared().operation(parts.method.as_str(), &usual_path);
        let mut id = operation.map(|operation| operation.id);
        if media::is_read(&parts.method, &path) {
            id = Some("media");
        }
        let whole_path = parts.uri.path_and_query();
        let call = Call {
            operation: id,
            method: shortened(parts.method.as_str(), 40),
            path: whole_path.map_or_else(String::new, ToString::to_string),
            ..Call::default()
        };
        let (account, key) = account(shared, host, &path, &parts.headers);
        let scenario = || shared.scenario(&key);
        let (call, fault) = shared.state().arrive(call, &account, scenario);
        Arrival {
            path: path.into_owned(),
            parts,
            host,
            operation,
            account,
            call,
            fault,
        }
    }

    /// Lets the host act on the request, unless the host refuses it or the fault prevents that.
    async fn act(self, shared: &Arc<Shared>, body: Bytes, fault: Option<&Fault>) -> Reply {
        let Arrival {
            parts, path, host, ..
        } = &self;
        let mismatches = self.mismatches(&body);
        let (pace, now) = {
            let state = &mut *shared.state();
            state.record.keep_body(self.call, &body);
            for how in mismatches.iter().chain(&self.unknown_fields(&body)) {
                state.record.record_difference(self.call, how);
            }
            let pace = state.pace(&self.account);
            (pace, state.now(pace))
        };
        if let Some(refusal) = host.refusal(&parts.headers) {
            if let Host::Media = host {
                let why = "an API key was sent to a media host";
                shared.state().record.surprise(self.call, why);
            }
            return refusal;
        }
        if fault.is_some_and(|fault| !fault.acts()) {
            // `spoiled` replaces this reply by the reply of the fault.
            return host.error(500, None, None);
        }
        if let Host::Media = host {
            return media::answer(shared, path, parts, fault);
        }
        let is_models = parts.method == Method::GET && path == "/v1/models";
        if let (Host::UniAll, true) = (host, is_models) {
            return uniall::models();
        }
        let Some(operation) = self.operation else {
            let why = format!("there is no {} {}", parts.method, parts.uri.path());
            shared.state().record.surprise(self.call, &why);
            return host.not_found(&parts.method, path);
        };
        let visit = Visit {
            shared,
            account: self.account.clone(),
            pace,
            now,
            operation: operation.id,
            call: self.call,
            parts,
            path,
            body,
            mismatches,
            fault,
        };
        match host {
            Host::UniAll => uniall::answer(&visit),
            Host::Upload => kie::upload::answer(&visit).await,
            Host::Kie | Host::Media => kie::answer(&visit),
        }
    }

    /// The differences of the request from the specification.
    fn mismatches(&self, body: &[u8]) -> Vec<String> {
        let Some(operation) = self.operation else {
            return Vec::new();
        };
        let query = self.parts.uri.query().unwrap_or_default();
        let kind = self.parts.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        operation.mismatches(query, kind, body)
    }

    /// The fields that the specification does not have. They are accepted, since both providers seem to ignore them.
    fn unknown_fields(&self, body: &[u8]) -> Vec<String> {
        let query = self.parts.uri.query().unwrap_or_default();
        let operation = self.operation;
        operation.map_or_else(Vec::new, |operation| operation.unknown_fields(query, body))
    }
}

/// Returns the account of a request, and its API key. The account of a file is in its path, since no API key is sent.
fn account(shared: &Shared, host: Host, path: &str, headers: &HeaderMap) -> (Arc<str>, String) {
    if let Some(account) = media::account(shared, path) {
        let key = account.split_once(' ').unwrap_or_default().1.to_owned();
        return (account, key);
    }
    let key = key(headers).unwrap_or_default();
    let provider = match host {
        Host::UniAll => "uniall",
        _ => "kie",
    };
    (format!("{provider} {key}").into(), key.to_owned())
}

fn key(headers: &HeaderMap) -> Option<&str> {
    // The value arrives without spaces around it, so an API key always follows the space.
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    authorization.strip_prefix("Bearer ")
}

/// Applies a fault to a reply.
fn spoiled(mut reply: Reply, host: Host, fault: &Fault, base: &str) -> Result<Reply, Disconnect> {
    match fault {
        Fault::DropBeforeReading | Fault::Drop | Fault::Hang => Err(Disconnect::Close),
        Fault::Reset => Err(Disconnect::Reset),
        Fault::CutHead => Err(Disconnect::Head),
        Fault::Error {
            status,
            code,
            message,
            retry_after,
            ..
        } => {
            let status = status.unwrap_or_else(|| host.usual_status(code.as_ref()));
            let mut error = host.error(status, code.as_ref(), message.as_deref());
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
        } => {
            let content_type = content_type.as_deref().unwrap_or("text/html");
            Ok(Reply::bytes(*status, content_type, body.clone().into()))
        }
        Fault::Shape(shape) => {
            if let Some((body, status)) = reply.json_mut() {
                match host {
                    Host::UniAll => uniall::reshape(*shape, body, base),
                    _ => kie::reshape(*shape, body, status),
                }
            }
            Ok(reply)
        }
        Fault::CutBody => Ok(reply.ending(End::Cut)),
        Fault::Stall => Ok(reply.ending(End::Stall)),
        Fault::Slow(bytes) => Ok(reply.ending(End::Slow(*bytes))),
        Fault::Expired => Ok(Reply::text(403, "Request has expired")),
        // The module `media` has applied these to the file.
        Fault::Truncated | Fault::Corrupted | Fault::WithoutRanges => Ok(reply),
    }
}

/// Records the end of a call.
fn finish(
    shared: &Shared,
    number: usize,
    reply: Result<Reply, Disconnect>,
) -> Result<Response<Outgoing>, Disconnect> {
    let status = reply.as_ref().ok().map(|reply| reply.status);
    let line = shared.state().record.answer(number, status);
    if let (Some(line), Some(on_call)) = (line, &shared.setup.on_call) {
        on_call(&line);
    }
    reply.map(Reply::into_response)
}

impl Host {
    fn of(path: &str) -> Host {
        if path.starts_with(media::FOLDER) {
            Host::Media
        } else if path.starts_with("/v1/") {
            Host::UniAll
        } else if path.starts_with("/api/file-") {
            Host::Upload
        } else {
            Host::Kie
        }
    }

    /// The most bytes of one body.
    fn body_limit(self) -> usize {
        match self {
            Host::Upload => 24 << 20,
            _ => 1 << 20,
        }
    }

    /// The refusal of a request by its headers, if there is one.
    fn refusal(self, headers: &HeaderMap) -> Option<Reply> {
        // The network in front of kie.ai refuses clients that send no user agent.
        let needs_agent = matches!(self, Host::Kie | Host::Upload);
        if needs_agent && headers.get(USER_AGENT).is_none_or(|agent| agent.is_empty()) {
            return Some(Reply::text(403, "error code: 1010"));
        }
        match self {
            // Media are on other hosts, and an API key must never be sent there.
            Host::Media if headers.contains_key(AUTHORIZATION) => {
                Some(Reply::text(400, "An API key was sent to a media host."))
            }
            Host::Media => None,
            _ if key(headers).is_some() => None,
            Host::Kie => Some(kie::error(200, Some(401), None)),
            Host::Upload | Host::UniAll => Some(self.error(401, None, None)),
        }
    }

    /// An error in the words of the provider.
    fn error(self, status: u16, code: Option<&Code>, words: Option<&str>) -> Reply {
        let mut number = None;
        let mut word = None;
        match code {
            Some(Code::Number(code)) => number = Some(*code),
            Some(Code::Word(code)) => word = Some(code.as_str()),
            None => {}
        }
        match self {
            // Without an error code of its own, a reply with HTTP 200 would be a success.
            Host::Kie if status == 200 => kie::error(200, Some(number.unwrap_or(500)), words),
            Host::Kie => kie::error(status, number, words),
            Host::Upload => kie::upload::error(status, words),
            Host::UniAll => uniall::error(status, word, words),
            Host::Media => Reply::text(status, words.unwrap_or("Error")),
        }
    }

    /// The usual HTTP status of a code.
    fn usual_status(self, code: Option<&Code>) -> u16 {
        match (self, code) {
            (Host::Kie, _) => 200,
            (_, Some(Code::Number(status))) => *status,
            (_, _) => 400,
        }
    }

    /// The reply to a request whose body was not read to its end.
    fn not_read(self, why: Unread) -> Reply {
        match why {
            Unread::TooLarge => {
                let mebibytes = self.body_limit() >> 20;
                let words = format!("The request body is larger than {mebibytes} MiB.");
                match self {
                    Host::Kie => kie::error(200, Some(422), Some(&words)),
                    _ => self.error(413, None, Some(&words)),
                }
            }
            Unread::NoRoom => {
                let words =
                    "Too many large requests are on their way to the simulator at the same time.";
                self.error(503, None, Some(words))
            }
            Unread::Broken => {
                let words =
                    "The body of the request broke off, or is not in the form that its head says.";
                self.error(400, None, Some(words)).closing()
            }
            Unread::Late => {
                let words = "The body of the request did not come in time.";
                self.error(408, None, Some(words)).closing()
            }
        }
    }

    fn not_found(self, method: &Method, path: &str) -> Reply {
        let mut operations = Contract::shared().operations().iter();
        let is_known = operations.any(|operation| operation.path == path);
        match self {
            Host::UniAll => {
                let words = format!("Invalid URL ({method} {path})");
                self.error(404, None, Some(&words))
            }
            Host::Upload if is_known => self.error(405, None, None),
            _ => self.error(404, None, Some("Not Found")),
        }
    }
}

/// The reason why a body was not read.
enum Unread {
    TooLarge,
    NoRoom,
    Broken,
    Late,
}

/// The most bytes of all bodies that are being read or handled.
const MAX_IN_FLIGHT: usize = 128 << 20;

/// The body of a request. Its bytes count as in flight until this is dropped.
struct InFlight<'a> {
    shared: &'a Shared,
    body: Incoming,
    limit: usize,
    bytes: BytesMut,
    counted: usize,
}

impl InFlight<'_> {
    fn new(shared: &Shared, body: Incoming, limit: usize) -> InFlight<'_> {
        InFlight {
            shared,
            body,
            limit,
            bytes: BytesMut::new(),
            counted: 0,
        }
    }

    /// Reads the body to its end. If a body is too long or there is no room for it, up to four times the limit is read
    /// and discarded. So the client gets the refusal and not a broken connection.
    async fn read(&mut self) -> Result<(), Unread> {
        let mut length = 0;
        let mut has_room = true;
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
                continue;
            };
            length += data.len();
            if length > 4 * self.limit {
                break;
            }
            has_room = has_room && self.has_room_for(data.len());
            if has_room && length <= self.limit {
                self.bytes.extend_from_slice(&data);
            } else {
                self.forget();
            }
        }
        match (length <= self.limit, has_room) {
            (true, true) => Ok(()),
            (true, false) => Err(Unread::NoRoom),
            (false, _) => Err(Unread::TooLarge),
        }
    }

    /// Counts further bytes, and returns whether there is room for them.
    fn has_room_for(&mut self, bytes: usize) -> bool {
        let others = self.shared.in_flight.fetch_add(bytes, Relaxed);
        self.counted += bytes;
        others + bytes <= MAX_IN_FLIGHT
    }

    fn forget(&mut self) {
        self.bytes = BytesMut::new();
        self.shared.in_flight.fetch_sub(self.counted, Relaxed);
        self.counted = 0;
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).freeze()
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}
