//! What the translations of the providers share.

use std::error::Error as StdError;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veo_transport::excerpt;

use crate::error::KEPT;
use crate::{Error, ErrorKind, Reason, Subject};

/// The JSON body of a request in the making.
#[derive(Default)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// Sets a field, if there is a value for it.
    pub(crate) fn set(&mut self, field: &str, value: impl Into<Option<Value>>) {
        if let Some(value) = value.into() {
            self.0.insert(field.to_owned(), value);
        }
    }

    /// Adds the caller's own fields, which may not be those that the vocabulary covers, each of which is given with its name
    /// there.
    pub(crate) fn merge(
        &mut self,
        extra: Option<&Map<String, Value>>,
        covered: &[(&str, &str)],
    ) -> Result<(), Vec<Reason>> {
        let mut wrong = Vec::new();
        for (field, value) in extra.into_iter().flatten() {
            match covered.iter().find(|(theirs, _)| theirs == field) {
                Some((_, ours)) => wrong.push(format!("{field} is the {ours} of the request")),
                None => drop(self.0.insert(field.clone(), value.clone())),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        // One reason for all, so that a model is no farther from the request for them.
        Err(vec![Reason::new(
            "extra",
            format!(
                "{}; set that and leave out the extra field",
                wrong.join(", ")
            ),
        )])
    }

    /// The body, if the provider's own type takes it.
    pub(crate) fn check<T: DeserializeOwned + Serialize>(self) -> Result<Value, Vec<Reason>> {
        let typed =
            serde_json::from_value::<T>(Value::Object(self.0)).and_then(serde_json::to_value);
        typed.map_err(|error| vec![Reason::new("extra", error.to_string())])
    }
}

impl From<Body> for Option<Value> {
    fn from(body: Body) -> Self {
        (!body.0.is_empty()).then_some(Value::Object(body.0))
    }
}

/// The account at a provider with this name; without one it is the provider.
pub(crate) fn named(provider: &str, account: &str) -> String {
    if account.is_empty() {
        provider.to_owned()
    } else {
        format!("{provider}@{account}")
    }
}

/// The start of a reply as it came.
pub(crate) fn start(body: &[u8]) -> String {
    excerpt(body, KEPT)
}

/// A refusal of some kind, which its words can tell to be one of policy.
pub(crate) fn refusal(kind: ErrorKind, message: &dyn Display, words: Option<&str>) -> Error {
    let (message, words) = (message.to_string(), words.unwrap_or_default());
    match (kind, policy(words)) {
        (ErrorKind::Refused, Some(subject)) => Error::policy(subject, message),
        (ErrorKind::JobFailed, _) => failure(words, message),
        (kind, _) => Error::new(kind, message),
    }
}

/// What the words of a refusal say a policy was applied to. The words are those of Google, handed through, and of kie.ai.
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
