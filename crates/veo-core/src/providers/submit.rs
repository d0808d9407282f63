//! Decides for all providers what a reply to a paid request means for the money: accepted, rejected or unknown.

use std::error::Error as StdError;
use std::fmt::Display;

use veo_transport::{Error as ApiError, Head, Named, Reply, members};

use super::errors::{refusal_error, start, translated};
use super::meaning::{Meaning, meaning};
use crate::error::KEPT;
use crate::time::now;
use crate::{Error, ErrorKind, Job, Offer, Submission};

/// A refusal of a provider. It displays as the provider's own words.
pub(crate) trait ProviderRefusal: Display {
    fn head(&self) -> &Head;

    /// Returns the number for the table: the provider's code, or the HTTP status.
    fn number(&self) -> i64;

    /// Returns the provider's code, a number or a word.
    fn code(&self) -> Option<String>;

    /// Returns the provider's words in full.
    fn words(&self) -> Option<&str>;

    /// Returns the part of the words that is for a person.
    fn sentence(&self) -> Option<String> {
        self.words().map(str::to_owned)
    }

    /// Returns the whole reply.
    fn body(&self) -> &[u8];
}

/// A row of a provider's table of refusals. The first row that fits counts. If no row fits, or if the row has
/// [`ErrorKind::OutcomeUnknown`], the request may have been accepted.
pub(crate) struct RefusalRow {
    numbers: &'static [i64],
    codes: &'static [&'static str],
    words: &'static [&'static str],
    meaning: Option<Meaning>,
    is_of_status: bool,
    kind: ErrorKind,
}

/// The words, in lower case, of refusals because the same request was accepted before or is on its way.
pub(crate) const ACCEPTED_BEFORE: &[&str] = &[
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
    /// Makes a row for refusals with one of these numbers.
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

    /// Narrows the row to refusals with one of these codes. The codes of kie.ai are its numbers.
    pub(crate) const fn with_codes(mut self, codes: &'static [&'static str]) -> Self {
        self.codes = codes;
        self
    }

    /// Narrows the row to refusals with one of these texts, which are in lower case.
    pub(crate) const fn saying(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// Narrows the row to refusals whose words mean this.
    pub(crate) const fn meaning(mut self, meaning: Meaning) -> Self {
        self.meaning = Some(meaning);
        self
    }

    /// Narrows the row to refusals in the provider's own format whose number is also the HTTP status.
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

/// Sends a paid request, and returns its outcome. A reply that names a task means accepted, even if it is a refusal. A
/// refusal that names no task means what the table says. Any other reply, or none, means unknown.
pub(crate) async fn submit<T, R: ProviderRefusal>(
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
        // A task that is named is paid for, even in a reply that calls itself an error.
        (Some(Named::Task(id)), _) if is_id(&id) => {
            return Submission::Accepted(Job::new(offer, id));
        }
        // There is a task, but its id cannot be used. After a rejection the request would be paid for a second time.
        (Some(Named::Task(id)), result) => no_id(provider, &id).with_reply(body(&result)),
        // A success that names no task may still have started one.
        (_, Ok(reply)) => {
            let message = format!("{provider} accepted the request but returned no id of a task");
            Error::new(ErrorKind::OutcomeUnknown, message).with_reply(reply.body())
        }
        // A refusal that may name a task is never a rejection, whatever the table says.
        (Some(Named::Possible(id)), Err(error)) => perhaps_accepted(&error, &id),
        // Only the table, or a request that was not sent, makes a rejection. Other errors can be lost replies.
        (None, Err(error)) => failed_request(&error, table, ErrorKind::OutcomeUnknown),
    };
    Submission::of_error(error, offer, sent_at)
}

/// Returns whether a text is short enough to be stored as the id of a task.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() <= KEPT
}

/// Makes the error of a reply that names a task by a text that is [no id](is_id).
pub(crate) fn no_id(provider: &str, text: &str) -> Error {
    let length = text.len();
    let message =
        format!("{provider} named a task by a text of {length} bytes, which is too long for an id");
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// Makes the error of a refusal that may name a task by this text.
pub(crate) fn perhaps_accepted<R: ProviderRefusal>(error: &ApiError<R>, text: &str) -> Error
where
    ApiError<R>: StdError,
{
    failed_request(error, &[], ErrorKind::OutcomeUnknown).adding(&format!(
        "its reply has {text} in the place of a task's id, so a task of this name may exist"
    ))
}

/// Makes the error of a failed request. `unclear` is its kind if the request may have been accepted. For a free call,
/// this is a harmless kind.
pub(crate) fn failed_request<'a, R: ProviderRefusal>(
    error: &ApiError<R>,
    table: impl IntoIterator<Item = &'a RefusalRow>,
    unclear: ErrorKind,
) -> Error
where
    ApiError<R>: StdError,
{
    match error {
        // The next two errors mean that no byte of the request was sent.
        ApiError::InvalidRequest(_) => translated(ErrorKind::InvalidRequest, error),
        ApiError::NotConnected { .. } => translated(ErrorKind::NotSent, error),
        // This reply comes from something in front of the provider, so it has a status and no code.
        ApiError::Unreadable(reply) => {
            let number = reply.head.status.into();
            let kind = look_up(table, number, None, None, &start(&reply.body)).unwrap_or(unclear);
            translated(kind, error).with_retry_after(reply.head.retry_after)
        }
        // The request may have been accepted if another part of the refusal says success.
        ApiError::Rejected(said) if says_success(said.body()) => explained(unclear, &**said),
        ApiError::Rejected(said) => {
            let code = said.code();
            let words = said.words().unwrap_or_default();
            let status = Some(said.head().status);
            let kind = look_up(table, said.number(), status, code.as_deref(), words);
            explained(kind.unwrap_or(unclear), &**said)
        }
        // The request may have arrived, so it is not rejected.
        _ => translated(unclear, error),
    }
}

/// Returns whether a code in a reply says success. If a reply has two codes, a parser would keep only the last one.
fn says_success(body: &[u8]) -> bool {
    members(body, "code").any(|code| code == "200" || code == "success")
}

/// Returns the kind of a refusal by a table, or nothing if the request may have been accepted.
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

/// Makes the error of a refusal, with everything that the provider said.
pub(crate) fn explained(kind: ErrorKind, said: &impl ProviderRefusal) -> Error {
    let code = said.code();
    let words = said.words().unwrap_or_default();
    with_words(refusal_error(kind, said, code.as_deref(), words), said)
}

/// Adds everything that the provider said to an error.
pub(crate) fn with_words(error: Error, said: &impl ProviderRefusal) -> Error {
    let retry_after = said.head().retry_after.or(error.retry_after());
    error
        .with_provider(said.code(), said.sentence())
        .with_retry_after(retry_after)
        .with_reply(said.body())
}

/// Returns the body of a reply, as much of it as was read.
fn body<T, R: ProviderRefusal>(result: &Result<Reply<T>, ApiError<R>>) -> &[u8] {
    match result {
        Ok(reply) => reply.body(),
        Err(ApiError::NoReply { partial, .. }) => partial,
        Err(ApiError::Unreadable(reply)) => &reply.body,
        Err(ApiError::Rejected(said)) => said.body(),
        Err(_) => &[],
    }
}
