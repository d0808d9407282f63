use std::error::Error as StdError;
use std::fmt;

use crate::Job;

/// Why there is no video.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    job: Option<Job>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or the configuration cannot work. Nothing was sent; change it.
    InvalidRequest,
    /// The provider could not be reached. Nothing was sent; try again.
    NotSent,
    /// The provider does not take the key. Give another one.
    Unauthorized,
    /// The provider refused. Its words say what to change.
    Rejected,
    /// The request was sent, and nothing reliable came back.
    OutcomeUnknown,
    /// The state of a job could not be read. The job goes on; wait for it again.
    Unavailable,
    /// The job failed at the provider.
    JobFailed,
    /// The job did not finish in time. It goes on; wait for it again.
    TimedOut,
    /// The finished video could not be saved. It is paid for and still there; download it again.
    Download,
}

impl Error {
    /// An error, in words that say what to do next.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), job: None, source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with the job it is about.
    #[must_use]
    pub fn with_job(mut self, job: &Job) -> Self {
        self.job = Some(job.clone());
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The job it is about, which is not lost with the error.
    pub fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.job {
            Some(job) => write!(f, "{job}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
