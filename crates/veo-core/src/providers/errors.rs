//! The errors of the providers in this library's own type.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use veo_transport::excerpt;

use super::meaning::{Meaning, meaning};
use crate::error::KEPT;
use crate::{Error, ErrorKind};

pub(crate) fn start(body: &[u8]) -> String {
    excerpt(body, KEPT)
}

/// Makes the error of a refusal. The kind `Refused` becomes more exact if the code or the words have a known meaning.
pub(crate) fn refusal_error(
    kind: ErrorKind,
    message: &dyn Display,
    code: Option<&str>,
    words: &str,
) -> Error {
    let message = message.to_string();
    if kind == ErrorKind::JobFailed {
        return failure(message, code, words);
    }
    if kind != ErrorKind::Refused {
        return Error::new(kind, message);
    }
    let kind = match meaning(code, words) {
        Some(Meaning::Policy(subject)) => return Error::policy(subject, message),
        Some(Meaning::Retired) => ErrorKind::Retired,
        Some(Meaning::KeyExhausted) => ErrorKind::KeyExhausted,
        Some(Meaning::Credits) => ErrorKind::InsufficientCredits,
        Some(Meaning::ShutOut) => ErrorKind::Unauthorized,
        Some(Meaning::Busy) => ErrorKind::RateLimited,
        Some(Meaning::UnusableInput(_) | Meaning::Passing) | None => kind,
    };
    Error::new(kind, message)
}

/// Makes the error of an accepted job that failed, by the provider's code and words.
pub(crate) fn failure(message: String, code: Option<&str>, words: &str) -> Error {
    /// The pause if the service does not say when to try again.
    const LATER: Duration = Duration::from_secs(60);
    match meaning(code, words) {
        Some(Meaning::Policy(subject)) => Error::policy(subject, message),
        Some(Meaning::Retired) => Error::new(ErrorKind::Retired, message),
        Some(Meaning::UnusableInput(subject)) => Error::unusable_input(message).about(subject),
        // The job was accepted, so the API key and the account of the caller were in order. So the words are about a
        // service behind the provider, and a later request can succeed.
        Some(Meaning::Busy | Meaning::KeyExhausted | Meaning::Credits) => {
            Error::new(ErrorKind::JobFailed, message).with_retry_after(Some(LATER))
        }
        Some(Meaning::Passing) => Error::passing(message),
        // The job was accepted, so the caller is not shut out. The words are about another account behind the provider.
        Some(Meaning::ShutOut) | None => Error::new(ErrorKind::JobFailed, message),
    }
}

/// Makes an error of this library from an error of a provider's client.
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
