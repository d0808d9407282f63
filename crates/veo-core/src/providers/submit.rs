//! Was it paid? One answer for all providers: what a reply to a paid request means for the money.

use std::error::Error as StdError;
use std::fmt::Display;

use veo_transport::{Error as ApiError, Head, Named, Reply, members};

use super::errors::{refusal, start, translated};
use super::meaning::{Meaning, meaning};
use crate::error::KEPT;
use crate::time::now;
use crate::{Error, ErrorKind, Job, Offer, Submission};

/// A refusal in a provider's own words, which are its display.
pub(crate) trait Said: Display {
    /// Status and headers.
    fn head(&self) -> &Head;

    /// The number that the table goes by: the code of the provider, or the HTTP status.
    fn number(&self) -> i64;

    /// The provider's code, a number or a word.
    fn code(&self) -> Option<String>;

    /// The provider's words, with all that is in them.
    fn words(&self) -> Option<&str>;

    /// The part of them for a person.
    fn sentence(&self) -> Option<String> {
        self.words().map(str::to_owned)
    }

    /// The whole reply.
    fn body(&self) -> &[u8];
}

/// A row of the table in which a provider says what each of its refusals means. The first row that fits counts. A request may
/// have been taken if no row fits, or if one of [`ErrorKind::OutcomeUnknown`] does.
pub(crate) struct RefusalRow {
    numbers: &'static [i64],
    codes: &'static [&'static str],
    words: &'static [&'static str],
    meaning: Option<Meaning>,
    is_of_status: bool,
    kind: ErrorKind,
}

/// Words, in lower case, of a refusal because the same request was taken before, or is on its way.
pub(crate) const TAKEN_BEFORE: &[&str] = &[
    "in progress",
    "still processing",
    "being processed",
    "are processing",
    "is generating",
    "being created",
    "already submitted",
    "already been submitted",
    "already exist",
    "already running",
    "duplicate request",
    "duplicate task",
    "duplicate submission",
    "not resubmit",
    "n't resubmit",
    "进行中",
    "進行中",
    "处理中",
    "處理中",
    "生成中",
    "重复提交",
    "重複提交",
    "重复请求",
    "重複請求",
];

impl RefusalRow {
    /// Refusals with one of these numbers.
    pub(crate) const fn new(numbers: &'static [i64], kind: ErrorKind) -> Self {
        Self {
            numbers,
            codes: &[],
            words: &[],
            meaning: None,
            is_of_status: false,
            kind,
        }
    }

    /// Of them, those with one of these codes. Those of kie.ai are its numbers.
    pub(crate) const fn named(mut self, codes: &'static [&'static str]) -> Self {
        self.codes = codes;
        self
    }

    /// Of them, those that say one of these things, which are given in lower case.
    pub(crate) const fn saying(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// Of them, those with words that mean this.
    pub(crate) const fn meaning(mut self, meaning: Meaning) -> Self {
        self.meaning = Some(meaning);
        self
    }

    /// Of them, those that the provider itself gives as the HTTP status.
    pub(crate) const fn of_status(mut self) -> Self {
        self.is_of_status = true;
        self
    }

    fn fits(&self, number: i64, status: Option<u16>, code: Option<&str>, words: &str) -> bool {
        self.numbers.contains(&number)
            && (!self.is_of_status || status.is_some_and(|status| number == i64::from(status)))
            && (self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(&code)))
            && (self.words.is_empty() || self.words.iter().any(|part| words.contains(part)))
            && (self.meaning.is_none() || self.meaning == meaning(code, words))
    }
}

/// Sends a paid request, and says what became of it: a reply that names a task is a job, whatever else it says; a refusal that
/// names none is looked up in the table; and all else is unknown.
pub(crate) async fn submit<T, R: Said>(
    offer: &Offer,
    provider: &str,
    table: impl IntoIterator<Item = &RefusalRow>,
    sending: impl Future<Output = Result<Reply<T>, ApiError<R>>>,
    started_task: impl FnOnce(&Result<Reply<T>, ApiError<R>>) -> Option<Named>,
) -> Submission
where
    ApiError<R>: StdError,
{
    let sent_at = now();
    let result = sending.await;
    let error = match (started_task(&result), result) {
        (Some(Named::Task(id)), _) if is_id(&id) => {
            return Submission::Accepted(Job::new(offer, id));
        }
        (Some(Named::Task(id)), result) => no_id(provider, &id).with_reply(body(&result)),
        (_, Ok(reply)) => {
            let message = format!("{provider} took the request but named no task");
            Error::new(ErrorKind::OutcomeUnknown, message).with_reply(reply.body())
        }
        (Some(Named::Perhaps(id)), Err(error)) => perhaps_taken(&error, &id),
        (None, Err(error)) => refused(&error, table, ErrorKind::OutcomeUnknown),
    };
    Submission::of_error(error, offer, sent_at)
}

/// Whether a text that a provider gives as the id of a task can be kept as one.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= KEPT
}

/// The error of a reply that names a task by a text which is [no id](is_id).
pub(crate) fn no_id(provider: &str, text: &str) -> Error {
    let length = text.len();
    let message = format!("{provider} named a task by {length} bytes, which is no id");
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// The error of a refusal that may name a task, by this text.
pub(crate) fn perhaps_taken<R: Said>(error: &ApiError<R>, text: &str) -> Error
where
    ApiError<R>: StdError,
{
    refused(error, &[], ErrorKind::OutcomeUnknown).adding(&format!(
        "it has {text} where a task would be, so there may be one of this name"
    ))
}

/// An error of a request, with the kind for what may have been taken: a call that costs nothing is never in doubt in a way
/// that matters.
pub(crate) fn refused<'a, R: Said>(
    error: &ApiError<R>,
    table: impl IntoIterator<Item = &'a RefusalRow>,
    unclear: ErrorKind,
) -> Error
where
    ApiError<R>: StdError,
{
    match error {
        ApiError::InvalidRequest(_) => translated(ErrorKind::InvalidRequest, error),
        ApiError::NotConnected { .. } => translated(ErrorKind::NotSent, error),
        // Something in front of the provider, which has a status and no code.
        ApiError::Unreadable(reply) => {
            let number = reply.head.status.into();
            let kind = look_up(table, number, None, None, &start(&reply.body)).unwrap_or(unclear);
            translated(kind, error).with_retry_after(reply.head.retry_after)
        }
        // One that says at another place that it is none.
        ApiError::Rejected(said) if says_success(said.body()) => explained(unclear, &**said),
        ApiError::Rejected(said) => {
            let code = said.code();
            let words = said.words().unwrap_or_default();
            let status = Some(said.head().status);
            let kind = look_up(table, said.number(), status, code.as_deref(), words);
            explained(kind.unwrap_or(unclear), &**said)
        }
        _ => translated(unclear, error),
    }
}

/// Whether a code in a reply says that all is well. One that is there twice has two values, and a parser gives the last.
fn says_success(body: &[u8]) -> bool {
    members(body, "code").any(|code| code == "200" || code == "success")
}

/// The kind of a refusal by a table, unless it may have been taken. The status is that of a reply of the provider itself.
fn look_up<'a>(
    table: impl IntoIterator<Item = &'a RefusalRow>,
    number: i64,
    status: Option<u16>,
    code: Option<&str>,
    words: &str,
) -> Option<ErrorKind> {
    let lower = words.to_lowercase();
    let row = table
        .into_iter()
        .find(|row| row.fits(number, status, code, &lower))?;
    (row.kind != ErrorKind::OutcomeUnknown).then_some(row.kind)
}

/// A refusal with all that the provider said.
pub(crate) fn explained(kind: ErrorKind, said: &impl Said) -> Error {
    let code = said.code();
    let words = said.words().unwrap_or_default();
    with_words(refusal(kind, said, code.as_deref(), words), said)
}

/// An error with all that the provider said.
pub(crate) fn with_words(error: Error, said: &impl Said) -> Error {
    let retry_after = said.head().retry_after.or(error.retry_after());
    error
        .with_provider(said.code(), said.sentence())
        .with_retry_after(retry_after)
        .with_reply(said.body())
}

/// The body of a reply, as much of it as was read.
fn body<T, R: Said>(result: &Result<Reply<T>, ApiError<R>>) -> &[u8] {
    match result {
        Ok(reply) => reply.body(),
        Err(ApiError::NoReply { partial, .. }) => partial,
        Err(ApiError::Unreadable(reply)) => &reply.body,
        Err(ApiError::Rejected(said)) => said.body(),
        Err(_) => &[],
    }
}
