use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::json;
use crate::{Error, Head, Unreadable, words};

/// A reply, read to its end and not yet understood.
#[derive(Clone)]
pub struct RawReply {
    /// Status and headers.
    pub head: Head,
    /// The body, without the key if the provider echoed it.
    pub body: Bytes,
    /// The content of long data URLs, which the body does not have: [`inline`](crate::inline) finds that of a link.
    pub inline: Vec<Bytes>,
}

/// A reply of the provider: its content, and its bytes.
#[derive(Clone)]
pub struct Reply<T> {
    value: T,
    raw: RawReply,
}

impl<T> Reply<T> {
    /// The content of the reply.
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

    /// The content of long data URLs, for [`inline`](crate::inline).
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
        // The body says the same as the value, at length.
        f.debug_struct("Reply")
            .field("value", &self.value)
            .field("head", &self.raw.head)
            .finish_non_exhaustive()
    }
}

/// The reading of a reply's JSON by a provider's client.
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
