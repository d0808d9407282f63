use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::json;
use crate::{Error, Unreadable, words};

/// Status and headers of a reply, as far as they matter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, if it was there.
    pub content_type: Option<String>,
    /// `Retry-After` as the time from now, if it was there.
    pub retry_after: Option<Duration>,
}

impl Head {
    pub(crate) fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
        };
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let until = |text| {
            httpdate::parse_http_date(text)
                .ok()
                .map(|date| date.duration_since(SystemTime::now()).unwrap_or_default())
        };
        Self {
            status,
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|text| seconds(text).or_else(|| until(text))),
        }
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A reply, read to its end and not yet understood.
#[derive(Clone)]
pub struct RawReply {
    /// Status and headers.
    pub head: Head,
    /// The body, without the key if the provider echoed it.
    pub body: Bytes,
}

/// A reply of the provider: what it says, and the bytes that say it.
#[derive(Clone)]
pub struct Reply<T> {
    value: T,
    raw: RawReply,
}

impl<T> Reply<T> {
    /// What the reply says.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Status and headers.
    pub fn head(&self) -> &Head {
        &self.raw.head
    }

    /// The body as it came, with whatever the types do not know.
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }
}

impl<T> Deref for Reply<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body says the same as the value, at length.
        f.debug_struct("Reply")
            .field("value", &self.value)
            .field("head", &self.raw.head)
            .finish_non_exhaustive()
    }
}

/// What a provider's client makes of the JSON of a reply.
pub enum Verdict<R> {
    /// A reply to decode, brought into the form that the types expect.
    Reply(Value),
    /// A refusal.
    Rejected(R),
    /// JSON, but not of this provider, for the given reason.
    Foreign(&'static str),
}

/// Understands a reply.
///
/// # Errors
///
/// [`Error::Rejected`] and [`Error::Unreadable`].
pub fn open<T: DeserializeOwned, R>(
    raw: RawReply,
    judge: impl FnOnce(&RawReply, Value) -> Verdict<R>,
) -> Result<Reply<T>, Error<R>> {
    let verdict = match json(&raw.body) {
        Ok(json) => judge(&raw, json),
        Err(_) if raw.body.is_empty() => Verdict::Foreign("the body is empty"),
        Err(_) => Verdict::Foreign("the body is not JSON"),
    };
    let unreadable = |reason: String, raw: RawReply| {
        Err(Error::Unreadable(Box::new(Unreadable {
            head: raw.head,
            reason: words(reason),
            body: raw.body,
        })))
    };
    match verdict {
        Verdict::Rejected(rejection) => Err(Error::Rejected(Box::new(rejection))),
        Verdict::Foreign(reason) => unreadable(reason.to_owned(), raw),
        Verdict::Reply(json) => match serde_json::from_value(json) {
            Ok(value) => Ok(Reply { value, raw }),
            Err(error) => unreadable(error.to_string(), raw),
        },
    }
}
