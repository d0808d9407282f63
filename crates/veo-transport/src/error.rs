use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;

use crate::Head;

/// Why a call has no result. `R` is the provider's own refusal.
///
/// What matters for money is whether the provider may have acted on the request: it has not after
/// [`InvalidRequest`](Error::InvalidRequest) and [`NotConnected`](Error::NotConnected), it has said so itself after
/// [`Rejected`](Error::Rejected), and it may have after the other two.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<R> {
    /// The request or the configuration is not valid; nothing was sent.
    #[error("the request is not valid and was not sent: {0}")]
    InvalidRequest(String),
    /// There was no connection; nothing was sent.
    #[error("there was no connection to {host}, so nothing was sent")]
    NotConnected {
        /// Where to.
        host: String,
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The request was sent, and no whole reply came back. Whether the provider acted on it is not known.
    #[error("the request went to {host}, but no whole reply came back")]
    NoReply {
        /// Where to.
        host: String,
        /// What was read of the body before it broke off. The id of a task can be in it.
        partial: Bytes,
        /// What happened.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Something answered, but not in the provider's language.
    #[error(transparent)]
    Unreadable(Box<Unreadable>),
    /// The provider refused.
    #[error("{0}")]
    Rejected(Box<R>),
}

/// A reply that is not the provider's: an error page, plain text, an empty or an unexpected body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// Status and headers.
    pub head: Head,
    /// What is wrong with the body.
    pub reason: String,
    /// The whole body.
    pub body: Bytes,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let content_type = self
            .head
            .content_type
            .as_deref()
            .unwrap_or("no content type");
        write!(
            f,
            "the reply is not the provider's: HTTP {}, {content_type}, {}",
            self.head.status, self.reason
        )?;
        if !self.body.is_empty() {
            write!(f, ": {}", excerpt(&self.body, SHOWN).escape_debug())?;
        }
        Ok(())
    }
}

impl StdError for Unreadable {}

impl<R> Error<R> {
    /// A request that could not be built.
    #[doc(hidden)]
    pub fn unbuildable(error: reqwest::Error) -> Self {
        Self::InvalidRequest(causes(&error.without_url()))
    }
}

/// A text whose links have lost what can be secret in them: queries, which can be signatures, user names and passwords; and
/// the content of data URLs, which is long. For logs and error messages. It takes rather too much away than too little.
///
/// ```
/// let text = "moved to https://me:pass@cdn.example.net/v.mp4?signature=0f1e, for a day";
/// assert_eq!(veo_transport::without_queries(text), "moved to https://cdn.example.net/v.mp4?... for a day");
/// ```
pub fn without_queries(text: &str) -> String {
    let end = |text: &str, stops: &str| {
        text.find(|c| ends_link(c) || stops.contains(c))
            .unwrap_or(text.len())
    };
    let mut shown = String::new();
    let (mut rest, mut in_link) = (text, false);
    while let Some(at) =
        rest.find(|c| ":;".contains(c) || in_link && (ends_link(c) || "?#".contains(c)))
    {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        // The second is how some languages write the first in JSON.
        if let Some(start) = ["://", ":\\/\\/"]
            .into_iter()
            .find(|start| rest.starts_with(start))
        {
            rest = &rest[start.len()..];
            let authority = &rest[..end(rest, "/\\?#")];
            rest = &rest[authority.len()..];
            shown.push_str(start);
            shown.push_str(authority.rsplit('@').next().unwrap_or_default());
            in_link = true;
        } else if rest.starts_with(";base64,") || in_link && rest.starts_with(['?', '#']) {
            shown.push_str(if rest.starts_with(';') {
                ";base64,..."
            } else {
                "?..."
            });
            rest = &rest[end(rest, "")..];
            in_link = false;
        } else {
            in_link &= !rest.starts_with(ends_link);
            let (first, others) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
            shown.push_str(first);
            rest = others;
        }
    }
    shown + rest
}

/// The start of a text of somebody else for logs and error messages, as [`without_queries`] shows it. It has at most so many
/// bytes of the text, and ends with dots if there are more.
///
/// ```
/// assert_eq!(veo_transport::excerpt(b"moved to https://cdn.example.net/v.mp4", 20), "moved to ...");
/// ```
pub fn excerpt(text: &[u8], most: usize) -> String {
    if text.len() <= most {
        return without_queries(&String::from_utf8_lossy(text));
    }
    let is_first_of_a_character = |at: &usize| text[*at] & 0b1100_0000 != 0b1000_0000;
    let end = (0..=most)
        .rev()
        .find(is_first_of_a_character)
        .unwrap_or_default();
    let start = String::from_utf8_lossy(&text[..end]);
    // A link that is cut short does not show what it is: a password looks like a host.
    let word = start.rfind(ends_link).unwrap_or_default();
    let whole = if start[word..].contains(':') {
        &start[..word]
    } else {
        &start
    };
    without_queries(whole) + " ..."
}

/// The words of a provider, of which a few KiB are kept.
pub fn words(text: String) -> String {
    const KEPT: usize = 4096;
    // As they came, since they are looked into.
    if text.len() <= KEPT {
        text
    } else {
        excerpt(text.as_bytes(), KEPT)
    }
}

/// A quote ends a link in JSON and HTML. Commas and backslashes do not: they can be part of a query.
fn ends_link(c: char) -> bool {
    c.is_whitespace() || "\"<>".contains(c)
}

/// An error and its causes in one line.
pub(crate) fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
