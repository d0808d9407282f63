//! The meaning of the refusals of kie.ai.

use kie_api::{Error as ApiError, Head, IN_PROGRESS, Rejection, types};

use crate::providers::errors::translated;
use crate::providers::meaning::Meaning;
use crate::providers::submit::{
    ProviderRefusal, RefusalRow, TAKEN_BEFORE, explained, failed_request, with_words,
};
use crate::{Error, ErrorKind, JobRef, Operation};

/// The meaning of its refusals of a paid request, by the code in the envelope, or by the HTTP status without one.
pub(super) const REFUSALS: &[RefusalRow] = &[
    // "1080P is processing" is documented for a new request too. Then something was accepted.
    RefusalRow::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(IN_PROGRESS),
    RefusalRow::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(TAKEN_BEFORE),
    RefusalRow::new(&[401], ErrorKind::Unauthorized),
    RefusalRow::new(&[400, 403, 422, 429, 451], ErrorKind::Unauthorized).meaning(Meaning::ShutOut),
    RefusalRow::new(&[402], ErrorKind::InsufficientCredits),
    RefusalRow::new(&[429], ErrorKind::InsufficientCredits).meaning(Meaning::Credits),
    RefusalRow::new(&[429, 430], ErrorKind::RateLimited),
    RefusalRow::new(&[433], ErrorKind::KeyExhausted),
    RefusalRow::new(&[455], ErrorKind::Maintenance),
    RefusalRow::new(&[404, 405, 505], ErrorKind::Retired),
    // In the envelope, this number is no known code.
    RefusalRow::new(&[410], ErrorKind::Retired).of_status(),
    RefusalRow::new(&[400, 403, 413, 422, 451], ErrorKind::Refused),
];
/// The rows for an extension, which come first: what is not found is then the video to extend.
const REFUSALS_OF_EXTENSION: &[RefusalRow] = &[RefusalRow::new(&[404], ErrorKind::Refused)];

pub(super) fn table_of(operation: Operation) -> impl Iterator<Item = &'static RefusalRow> {
    let first = match operation {
        Operation::Extend => REFUSALS_OF_EXTENSION,
        _ => &[],
    };
    first.iter().chain(REFUSALS)
}

/// Returns whether a refusal of a paid request means that the old form is gone: its path is missing, or a generation is
/// refused by a code for that. Words about the model, or about the video to extend, mean those instead.
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

/// Makes the error of a question about a job, which says nothing about the job.
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

/// Makes the error of an upgrade. It is never one of policy, which would end the job although there is a video.
pub(super) fn of_upgrade(kind: ErrorKind, error: &ApiError, job: &JobRef) -> Error {
    let error = match error {
        ApiError::Rejected(rejection) => {
            with_words(Error::new(kind, rejection.to_string()), &**rejection)
        }
        error => translated(kind, error),
    };
    error.with_job(job)
}
