use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::json;
use crate::{Error, Head, Unreadable, shortened};

/// A reply that was read to its end and not decoded.
#[derive(Clone)]
pub struct RawReply {
    /// The status and the headers.
    pub head: Head,
    /// The body, without the API key if the provider repeated it.
    pub body: Bytes,
    /// The contents of long data URLs, taken out of the body. [`inline`](crate::inline()) finds the content of a link.
    pub inline: Vec<Bytes>,
}

/// A reply of the provider: its decoded content, and its bytes.
#[derive(Clone)]
pub struct Reply<T> {
    value: T,
    raw: RawReply,
}

impl<T> Reply<T> {
    /// Returns the decoded content.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The status and the headers.
    pub fn head(&self) -> &Head {
        &self.raw.head
    }

    /// The body as it arrived, with the values that the types do not have.
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// The content of long data URLs, for [`inline`](crate::inline()).
    pub fn inline(&self) -> &[Bytes] {
        &self.raw.inline
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
        // The body would only repeat the value.
        f.debug_struct("Reply")
            .field("value", &self.value)
            .field("head", &self.raw.head)
            .finish_non_exhaustive()
    }
}

/// The judgement of a provider's client about the JSON of a reply.
pub enum Verdict<R> {
    /// A reply to decode, in the format that the types expect.
    Reply(Value),
    /// A refusal.
    Rejected(R),
    /// JSON that is not in the provider's format, with the reason.
    NotThisProvider(&'static str),
}

/// Decodes a reply, or turns it into an error. `judge` says what the JSON is.
///
/// # Errors
///
/// [`Error::Rejected`] for a refusal, and [`Error::Unreadable`] for a reply in another format.
pub fn open<T: DeserializeOwned, R>(
    raw: RawReply,
    judge: impl FnOnce(&RawReply, Value) -> Verdict<R>,
) -> Result<Reply<T>, Error<R>> {
    let verdict = match json(&raw.body) {
        Ok(json) => judge(&raw, json),
        Err(_) if raw.body.is_empty() => Verdict::NotThisProvider("the body is empty"),
        Err(_) => Verdict::NotThisProvider("the body is not JSON"),
    };
    let unreadable = |reason: String, raw: RawReply| {
        Err(Error::Unreadable(Box::new(Unreadable {
            head: raw.head,
            reason: shortened(reason),
            body: raw.body,
        })))
    };
    match verdict {
        Verdict::Rejected(rejection) => Err(Error::Rejected(Box::new(rejection))),
        Verdict::NotThisProvider(reason) => unreadable(reason.to_owned(), raw),
        Verdict::Reply(json) => match serde_json::from_value(json) {
            Ok(value) => Ok(Reply { value, raw }),
            Err(error) => unreadable(error.to_string(), raw),
        },
    }
}
