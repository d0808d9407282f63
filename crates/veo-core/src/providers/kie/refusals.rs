//! The meaning of the refusals of kie.ai.

use kie_api::{Error as ApiError, Head, IN_PROGRESS, Rejection};

use crate::providers::errors::translated;
use crate::providers::meaning::Meaning;
use crate::providers::submit::{RefusalRow, Said, refused, with_words};
use crate::{Error, ErrorKind, JobRef};

/// The meaning of its refusals of a paid request, by the code in the envelope, or by the HTTP status without one.
pub(super) const REFUSALS: &[RefusalRow] = &[
    // Documented for a new request too: "1080P is processing". Then something was accepted.
    RefusalRow::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(IN_PROGRESS),
    RefusalRow::new(&[401], ErrorKind::Unauthorized),
    RefusalRow::new(&[402], ErrorKind::InsufficientCredits),
    RefusalRow::new(&[429], ErrorKind::InsufficientCredits).meaning(Meaning::Credits),
    RefusalRow::new(&[429, 430], ErrorKind::RateLimited),
    RefusalRow::new(&[433], ErrorKind::KeyExhausted),
    RefusalRow::new(&[455], ErrorKind::Maintenance),
    RefusalRow::new(&[404, 405, 505], ErrorKind::Retired),
    RefusalRow::new(&[400, 403, 413, 422, 451], ErrorKind::Refused),
];
/// The same for an extension, before those: what is not found is then the video to extend.
pub(super) const REFUSALS_OF_EXTENSION: &[RefusalRow] =
    &[RefusalRow::new(&[404], ErrorKind::Refused)];

impl Said for Rejection {
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

/// An error of a call that costs nothing.
pub(super) fn of_free_call(error: &ApiError) -> Error {
    refused(error, REFUSALS, ErrorKind::NotSent)
}

/// An error of an upgrade. If it were one of policy, it would be the end of the job, which has a video.
pub(super) fn of_upgrade(kind: ErrorKind, error: &ApiError, job: &JobRef) -> Error {
    let error = match error {
        ApiError::Rejected(rejection) => {
            with_words(Error::new(kind, rejection.to_string()), &**rejection)
        }
        error => translated(kind, error),
    };
    error.with_job(job)
}
