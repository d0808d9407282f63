//! Errors of the providers in our own type: what their words say of policy and of what a video was to be made from.

use std::error::Error as StdError;
use std::fmt::Display;

use veo_transport::excerpt;

use crate::error::KEPT;
use crate::{Error, ErrorKind, Subject};

/// The start of a reply as it came.
pub(crate) fn start(body: &[u8]) -> String {
    excerpt(body, KEPT)
}

/// A refusal of some kind, which its words can tell to be one of policy.
pub(crate) fn refusal(kind: ErrorKind, message: &dyn Display, words: Option<&str>) -> Error {
    let message = message.to_string();
    let words = words.unwrap_or_default();
    match (kind, policy(words)) {
        (ErrorKind::Refused, Some(subject)) => Error::policy(subject, message),
        (ErrorKind::JobFailed, _) => failure(words, message),
        (kind, _) => Error::new(kind, message),
    }
}

/// The subject of a policy, if the words of a refusal are about one. They are Google's own, which both providers hand through.
fn policy(words: &str) -> Option<Subject> {
    let words = words.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if has(&["unsafe image", "minor upload", "prominent people"]) {
        Some(Subject::Image)
    } else if has(&["unable to generate audio", "filtered because"]) {
        Some(Subject::Output)
    } else if has(&[
        "content polic",
        "content rejected",
        "usage guidelines",
        "content_filter",
    ]) {
        Some(Subject::Prompt)
    } else {
        None
    }
}

/// The failure of an accepted job, by the provider's words.
pub(crate) fn failure(words: &str, message: String) -> Error {
    let lower = words.to_lowercase();
    let input = ["english prompts", "fetch the image", "retrieve image"]
        .iter()
        .any(|part| lower.contains(part));
    match policy(words) {
        Some(subject) => Error::policy(subject, message),
        None if input => Error::unusable_input(message),
        None => Error::new(ErrorKind::JobFailed, message),
    }
}

/// The error of a provider's client in our own type.
pub(crate) fn translated<R>(kind: ErrorKind, error: &veo_transport::Error<R>) -> Error
where
    veo_transport::Error<R>: StdError,
{
    let mut translated = Error::new(kind, error.to_string());
    if let Some(cause) = error.source() {
        translated = translated.with_source(cause.to_string());
    }
    match error {
        veo_transport::Error::Unreadable(reply) => translated.with_reply(&reply.body),
        _ => translated,
    }
}
