use std::fmt;

use crate::Error;

/// A paid task and the provider it lives at. Prints as one line that holds no secret, such as `kie:0f1e2d3c`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// [`Provider::name`](crate::Provider::name) of the provider.
    pub provider: String,
    /// The provider's id of the task.
    pub task: String,
}

impl Job {
    /// The job for a task.
    pub fn new(provider: impl Into<String>, task: impl Into<String>) -> Self {
        Self { provider: provider.into(), task: task.into() }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.task)
    }
}

/// What became of a paid request. It is not a `Result`, so that `?` cannot turn an unknown outcome into a second try.
#[derive(Debug)]
#[must_use = "an unknown outcome may have been charged"]
pub enum Submission {
    /// The provider has taken it. The job is paid for.
    Accepted(Job),
    /// The provider has refused it, or it was not sent. It is safe to send it again, here or elsewhere.
    NotAccepted(Error),
    /// It was sent, and nothing reliable came back. It may have been charged, and is not sent again by this library; look
    /// at the provider's list of tasks or at the balance.
    Unknown(Error),
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Not started yet, or in a state that this library does not know.
    Pending,
    /// Being made.
    Running {
        /// How far, from 0 to 100, if the provider says so.
        percent: Option<u8>,
    },
    /// Finished.
    Succeeded(Video),
    /// Failed, for the reason the provider gave.
    Failed(String),
}

/// A finished video.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Video {
    /// The job that made it.
    pub job: Job,
    /// Where it is. More than one only if the provider made more.
    pub urls: Vec<String>,
    /// The resolution that was delivered, in the provider's words, if it said so.
    pub resolution: Option<String>,
}

impl Video {
    /// A video at the given places.
    pub fn new(job: Job, urls: Vec<String>) -> Self {
        Self { job, urls, resolution: None }
    }
}
