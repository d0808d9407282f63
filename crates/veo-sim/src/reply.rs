//! Replies, and the ways in which one does not come whole.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::time::{Interval, interval};

use crate::{Fault, Shape};

/// A reply in the making.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    content: Content,
    pub(crate) end: End,
}

enum Content {
    Json(Value),
    /// JSON as the database of UniAll's gateway prints it: shorter names first, then by bytes.
    Stored(Value),
    Bytes(Bytes),
}

/// How the body comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Whole,
    /// Half of it, and then the end of the connection.
    Cut,
    /// Half of it, and then nothing more.
    Stall,
    /// So many bytes a second.
    Slow(u32),
}

/// How a connection ends without a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Closed.
    Close,
    /// Reset.
    Reset,
    /// Closed in the middle of the head of the reply.
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

    pub(crate) fn stored(value: Value) -> Reply {
        Reply {
            content: Content::Stored(value),
            ..Reply::json(200, Value::Null)
        }
    }

    pub(crate) fn bytes(status: u16, content_type: &str, bytes: Bytes) -> Reply {
        let headers = vec![(CONTENT_TYPE_NAME, content_type.to_owned())];
        Reply {
            status,
            headers,
            content: Content::Bytes(bytes),
            end: End::Whole,
        }
    }

    /// The last one on its connection.
    pub(crate) fn closing(mut self) -> Reply {
        self.headers.push(("connection", "close".to_owned()));
        self
    }

    /// Puts a reply of JSON into another form.
    pub(crate) fn reshape(&mut self, shape: Shape) {
        if let Content::Json(value) | Content::Stored(value) = &mut self.content {
            shape.apply(value, &mut self.status);
        }
    }

    pub(crate) fn into_response(self) -> Response<Outgoing> {
        let json = |text: String| (Some("application/json"), Bytes::from(text));
        let (kind, bytes) = match self.content {
            Content::Json(value) => json(value.to_string()),
            Content::Stored(value) => json(stored(&value)),
            Content::Bytes(bytes) => (None, bytes),
        };
        let mut response = Response::new(Outgoing::new(bytes, self.end));
        // A scenario can name a status that HTTP does not have.
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = kind.map(|kind| (CONTENT_TYPE_NAME, kind.to_owned()));
        // Headers of the reply's own come last, and count.
        for (name, value) in kind.into_iter().chain(self.headers) {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

const CONTENT_TYPE_NAME: &str = "content-type";

fn stored(value: &Value) -> String {
    let Value::Object(object) = value else {
        return value.to_string();
    };
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| (name.len(), name.as_str()));
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| format!("\"{name}\": {}", stored(value)))
        .collect();
    format!("{{{}}}", members.join(", "))
}

impl From<&Fault> for End {
    fn from(fault: &Fault) -> End {
        match fault {
            Fault::CutBody => End::Cut,
            Fault::Stall => End::Stall,
            Fault::Slow(bytes) => End::Slow(*bytes),
            _ => End::Whole,
        }
    }
}

/// The body of a reply on its way.
pub(crate) struct Outgoing {
    rest: Bytes,
    /// How much of it comes.
    allowed: usize,
    end: End,
    ticks: Option<Interval>,
}

/// How often a slow body sends something in a second.
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
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.allowed > 0 {
            let (mut size, end) = (self.allowed, self.end);
            if let (Some(ticks), End::Slow(bytes)) = (&mut self.ticks, end) {
                ready!(ticks.poll_tick(cx));
                size = size.min((bytes / TICKS).max(1) as usize);
            }
            self.allowed -= size;
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))));
        }
        match self.end {
            // Once more around, so that what there is goes out before the end.
            End::Cut => {
                self.end = End::Whole;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Stall => Poll::Pending,
            _ if self.rest.is_empty() => Poll::Ready(None),
            _ => Poll::Ready(Some(Err(Cut::Close))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scenario ends the connection here")
    }
}

impl std::error::Error for Cut {}
