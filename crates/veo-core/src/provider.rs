use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;

use crate::{Error, ErrorKind, Job, State, Submission, VideoRequest};

/// A future of the provider trait.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody who makes videos.
pub trait Provider: fmt::Debug + Send + Sync {
    /// A short lower-case name, which the jobs carry.
    fn name(&self) -> &'static str;

    /// Sends a paid request, at most once.
    fn submit<'a>(&'a self, request: &'a VideoRequest) -> BoxFuture<'a, Submission>;

    /// Asks how far a job is. That a job cannot be asked about does not mean that it has failed.
    fn state<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<State, Error>>;
}

/// The text of a member in what may be a part of a JSON document, such as the id of a paid task in a broken reply.
pub(crate) fn text_in(body: &[u8], member: &str) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    let (_, rest) = body.split_once(&format!("\"{member}\""))?;
    let (text, _) = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split_once('"')?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether an HTTP status says for certain that the request was not acted on.
pub(crate) fn is_refusal(status: u16) -> bool {
    // 408 comes from whoever waited in vain for somebody else.
    (400..500).contains(&status) && status != 408
}

/// The error of a provider's client in our own type.
pub(crate) fn translated(kind: ErrorKind, error: &dyn StdError) -> Error {
    let translated = Error::new(kind, error.to_string());
    match error.source() {
        Some(cause) => translated.with_source(cause.to_string()),
        None => translated,
    }
}
