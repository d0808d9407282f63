//! Replies, and the ways in which a reply breaks off.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::time::{Interval, interval};

/// A reply before it is sent.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    content: Content,
    end: End,
}

enum Content {
    Json(Value),
    Bytes(Bytes),
}

/// The way in which the body is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Whole,
    /// Half of the body is sent, and then the connection ends.
    Cut,
    /// Half of the body is sent, and then nothing more.
    Stall,
    /// The body is sent at this number of bytes a second.
    Slow(u32),
}

/// The way in which a connection ends without a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disconnect {
    Close,
    Reset,
    /// The connection is closed in the middle of the head of the reply.
    Head,
}

impl Reply {
    pub(crate) fn json(status: u16, value: Value) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            content: Content::Json(value),
            end: End::Whole,
        }
    }

    pub(crate) fn bytes(status: u16, content_type: &str, bytes: Bytes) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            content: Content::Bytes(bytes),
            end: End::Whole,
        }
    }

    pub(crate) fn text(status: u16, words: &str) -> Reply {
        Reply::bytes(status, "text/plain", words.to_owned().into())
    }

    pub(crate) fn ending(mut self, end: End) -> Reply {
        self.end = end;
        self
    }

    /// Makes this the last reply on its connection.
    pub(crate) fn closing(mut self) -> Reply {
        self.headers.push(("connection", "close".to_owned()));
        self
    }

    /// The body and the status of a JSON reply, to be changed.
    pub(crate) fn json_mut(&mut self) -> Option<(&mut Value, &mut u16)> {
        match &mut self.content {
            Content::Json(value) => Some((value, &mut self.status)),
            Content::Bytes(_) => None,
        }
    }

    pub(crate) fn into_response(mut self) -> Response<Outgoing> {
        let bytes = match self.content {
            Content::Json(value) => {
                let kind = "application/json".to_owned();
                self.headers.push(("content-type", kind));
                value.to_string().into()
            }
            Content::Bytes(bytes) => bytes,
        };
        let mut response = Response::new(Outgoing::new(bytes, self.end));
        // A scenario can name a number that is no HTTP status.
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The body of a reply that is being sent.
pub(crate) struct Outgoing {
    rest: Bytes,
    /// The bytes of `rest` that are still to be sent.
    allowed: usize,
    end: End,
    ticks: Option<Interval>,
}

/// The number of times a second that a slow body sends bytes.
const TICKS: u32 = 20;

impl Outgoing {
    fn new(rest: Bytes, end: End) -> Outgoing {
        let allowed = if let End::Cut | End::Stall = end {
            rest.len() / 2
        } else {
            rest.len()
        };
        let ticks = matches!(end, End::Slow(_)).then(|| interval(Duration::from_secs(1) / TICKS));
        Outgoing {
            rest,
            allowed,
            end,
            ticks,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Disconnect;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Disconnect>>> {
        if self.allowed > 0 {
            let mut size = self.allowed;
            let end = self.end;
            if let (Some(ticks), End::Slow(bytes)) = (&mut self.ticks, end) {
                ready!(ticks.poll_tick(cx));
                size = size.min((bytes / TICKS).max(1) as usize);
            }
            self.allowed -= size;
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))));
        }
        match self.end {
            // One more poll lets the written bytes leave before the end.
            End::Cut => {
                self.end = End::Whole;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Stall => Poll::Pending,
            _ if self.rest.is_empty() => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Disconnect::Close))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scenario ends the connection here")
    }
}

impl std::error::Error for Disconnect {}
