use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;

use crate::{Head, excerpt};

/// The reason why a call has no result. `R` is the provider's own refusal.
///
/// The variants say whether the request may have been charged. After [`InvalidRequest`](Error::InvalidRequest) and
/// [`NotConnected`](Error::NotConnected) nothing was sent, so nothing was charged. After [`Rejected`](Error::Rejected),
/// the provider says that it has refused the request. After the other two, the request may have been charged.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<R> {
    /// The request or the configuration is not valid; nothing was sent.
    InvalidRequest(String),
    /// There was no connection; nothing was sent.
    NotConnected {
        /// The host of the request.
        host: String,
        /// A clause about the proxy on the way, or the note that the set proxy is not used; empty if no proxy is set.
        way: String,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The request was sent, and no whole reply came back. It may have been accepted and charged.
    NoReply {
        /// The host of the request.
        host: String,
        /// The part of the body that arrived. The id of a task can be in it.
        partial: Bytes,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The reply is not in the provider's format. The request may have been accepted and charged.
    Unreadable(Box<Unreadable>),
    /// The provider refused.
    Rejected(Box<R>),
}

/// A reply that is not in the provider's format: an error page, plain text, an empty or an unexpected body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// Status and headers.
    pub head: Head,
    /// The reason why the body is not in the provider's format.
    pub reason: String,
    /// The whole body.
    pub body: Bytes,
}

impl<R> Error<R> {
    /// Makes the error about a request that could not be built.
    #[doc(hidden)]
    pub fn unbuildable(error: reqwest::Error) -> Self {
        Self::InvalidRequest(causes(&error.without_url()))
    }
}

impl<R: fmt::Display> fmt::Display for Error<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(problem) => {
                write!(f, "the request is not valid and was not sent: {problem}")
            }
            Self::NotConnected { host, way, .. } => write!(
                f,
                "there was no connection to {host}{way}, so nothing was sent"
            ),
            Self::NoReply { host, .. } => write!(
                f,
                "the request went to {host}, but no whole reply came back"
            ),
            Self::Unreadable(reply) => reply.fmt(f),
            Self::Rejected(refusal) => refusal.fmt(f),
        }
    }
}

impl<R: fmt::Debug + fmt::Display> StdError for Error<R> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NotConnected { source, .. } | Self::NoReply { source, .. } => {
                Some(source.as_ref())
            }
            Self::InvalidRequest(_) | Self::Unreadable(_) | Self::Rejected(_) => None,
        }
    }
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

/// Joins an error and its causes in one line.
pub(crate) fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
