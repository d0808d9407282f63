//! The meaning of the refusals of kie.ai.

use kie_api::{Error as ApiError, Head, IN_PROGRESS, Rejection, types};

use crate::providers::errors::translated;
use crate::providers::meaning::Meaning;
use crate::providers::submit::{
    ACCEPTED_BEFORE, ProviderRefusal, RefusalRow, explained, failed_request, with_words,
};
use crate::{Error, ErrorKind, JobRef, Operation};

/// The meaning of kie.ai's refusals of a paid request, by the code in the envelope, or else by the HTTP status.
pub(super) const REFUSALS: &[RefusalRow] = &[
    // kie.ai documents "1080P is processing" as a reply to a new request too. Such words mean that a call was accepted,
    // so the outcome is unknown, and the request is not sent again.
    RefusalRow::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(IN_PROGRESS),
    RefusalRow::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(ACCEPTED_BEFORE),
    RefusalRow::new(&[401], ErrorKind::Unauthorized),
    RefusalRow::new(&[400, 403, 422, 429, 451], ErrorKind::Unauthorized).meaning(Meaning::ShutOut),
    RefusalRow::new(&[402], ErrorKind::InsufficientCredits),
    RefusalRow::new(&[429], ErrorKind::InsufficientCredits).meaning(Meaning::Credits),
    RefusalRow::new(&[429, 430], ErrorKind::RateLimited),
    RefusalRow::new(&[433], ErrorKind::KeyExhausted),
    RefusalRow::new(&[455], ErrorKind::Maintenance),
    RefusalRow::new(&[404, 405, 505], ErrorKind::Retired),
    // Only the HTTP status counts: kie.ai documents no code 410 in the envelope.
    RefusalRow::new(&[410], ErrorKind::Retired).of_status(),
    RefusalRow::new(&[400, 403, 413, 422, 451], ErrorKind::Refused),
];
/// The rows that come first for an extension: with it, "not found" is about the video to extend.
const REFUSALS_OF_EXTENSION: &[RefusalRow] = &[RefusalRow::new(&[404], ErrorKind::Refused)];

pub(super) fn table_of(operation: Operation) -> impl Iterator<Item = &'static RefusalRow> {
    let first = match operation {
        Operation::Extend => REFUSALS_OF_EXTENSION,
        _ => &[],
    };
    first.iter().chain(REFUSALS)
}

/// Returns whether a refusal of a paid request means that the old form is gone: its path is missing, or kie.ai refuses
/// a generation with a code for that. If the words are about the model or the video to extend, then the model or the
/// video is missing, and not the form.
pub(super) fn is_gone(rejection: &Rejection, operation: Operation) -> bool {
    let number = rejection.number();
    let is_generation = operation == Operation::Generate;
    let is_of_path =
        matches!(number, 404 | 405 | 410) && number == i64::from(rejection.head.status);
    let is_of_code = matches!(number, 404 | 405 | 505) && is_generation;
    let subjects: &[&str] = if is_generation {
        &["model", "veo3", "veo 3", "veo-3"]
    } else {
        &["model", "veo3", "veo 3", "veo-3", "video", "task"]
    };
    let words = rejection.message.as_deref().unwrap_or_default();
    let words = words.to_lowercase();
    (is_of_path || is_of_code) && !subjects.iter().any(|subject| words.contains(subject))
}

impl ProviderRefusal for Rejection {
    fn head(&self) -> &Head {
        &self.head
    }

    fn number(&self) -> i64 {
        self.number()
    }

    fn code(&self) -> Option<String> {
        self.code.map(|code| code.to_string())
    }

    fn words(&self) -> Option<&str> {
        self.message.as_deref()
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Makes the error of a call that costs nothing.
pub(super) fn of_free_call(error: &ApiError) -> Error {
    failed_request(error, REFUSALS, ErrorKind::NotSent)
}

/// Makes the error of a failed question about a job. Such an error says nothing about the job.
pub(super) fn of_question(error: &ApiError) -> Error {
    match error {
        ApiError::Rejected(rejection) => {
            let is_unauthorized = rejection.code == Some(types::Code::Unauthorized);
            let kind = if is_unauthorized {
                ErrorKind::Unauthorized
            } else {
                ErrorKind::Unavailable
            };
            explained(kind, &**rejection)
        }
        error => translated(ErrorKind::Unavailable, error),
    }
}

/// Makes the error of an upgrade. Its kind is never `Policy`, which would end the job: the smaller video exists.
pub(super) fn of_upgrade(kind: ErrorKind, error: &ApiError, job: &JobRef) -> Error {
    let error = match error {
        ApiError::Rejected(rejection) => {
            with_words(Error::new(kind, rejection.to_string()), &**rejection)
        }
        error => translated(kind, error),
    };
    error.with_job(job)
}
