use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::Resolution;

/// The name of a job: a paid task together with its account.
///
/// A job prints as one line, such as `kie:0f1e2d3c`, and parses from that line. The line has no secret. With this line,
/// another process or another machine can continue the job.
///
/// ```
/// use veo_core::JobRef;
///
/// let job: JobRef = "kie:0f1e2d3c".parse()?;
/// assert_eq!((job.provider.as_str(), job.task.as_str()), ("kie", "0f1e2d3c"));
/// assert_eq!(job.to_string(), "kie:0f1e2d3c");
/// # Ok::<(), veo_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(with = "String")
)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct JobRef {
    /// [`Provider::name`](crate::Provider::name) of the provider.
    pub provider: String,
    /// The name of the account at the provider, if the account has a name: `studio` in `kie@studio:0f1e2d3c`.
    pub account: Option<String>,
    /// The form of the provider's API that knows the task: `jobs` in `kie+jobs:0f1e2d3c`. `None` is the provider's
    /// oldest or only form.
    pub form: Option<String>,
    /// The provider's id of the task, which can be any text.
    pub task: String,
    /// The resolution to which the video is upgraded, if it is more than 720p. The line ends with it:
    /// `kie:0f1e2d3c:1080p`.
    pub resolution: Option<Resolution>,
}

impl JobRef {
    /// Makes a job from the name of a provider and the id of a task.
    ///
    /// ```
    /// use veo_core::JobRef;
    ///
    /// assert_eq!(JobRef::new("kie", "0f1e2d3c").to_string(), "kie:0f1e2d3c");
    /// ```
    pub fn new(provider: impl Into<String>, task: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            account: None,
            form: None,
            task: task.into(),
            resolution: None,
        }
    }

    /// The account of the job: the name of the provider, or a named account at the provider, such as `kie@studio`.
    ///
    /// ```
    /// use veo_core::JobRef;
    ///
    /// let job: JobRef = "kie@studio:0f1e2d3c".parse()?;
    /// assert_eq!((job.provider.as_str(), job.account()), ("kie", "kie@studio".to_owned()));
    /// # Ok::<(), veo_core::Error>(())
    /// ```
    pub fn account(&self) -> String {
        match &self.account {
            Some(account) => format!("{}@{account}", self.provider),
            None => self.provider.clone(),
        }
    }

    pub(crate) fn with_resolution(&self, resolution: Resolution) -> Self {
        Self {
            resolution: Some(resolution),
            ..self.clone()
        }
    }

    pub(crate) fn without_resolution(&self) -> Self {
        Self {
            resolution: None,
            ..self.clone()
        }
    }
}

/// The escaped characters. Ids of real tasks have none of them, and an escaped id has no separator of the line.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The error for a text that is not a [`JobRef`]. The operator `?` turns it into an [`Error`](crate::Error).
///
/// ```
/// use veo_core::JobRef;
///
/// let error = "0f1e2d3c".parse::<JobRef>().unwrap_err();
/// assert_eq!(error.to_string(), "\"0f1e2d3c\" is not a job; write provider:task, such as kie:0f1e2d3c");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseJobRefError(String);

impl fmt::Display for ParseJobRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a job; write provider:task, such as kie:0f1e2d3c",
            self.0
        )
    }
}

impl std::error::Error for ParseJobRefError {}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text| utf8_percent_encode(text, ESCAPED);
        write!(f, "{}", escaped(&self.provider))?;
        if let Some(account) = &self.account {
            write!(f, "@{}", escaped(account))?;
        }
        if let Some(form) = &self.form {
            write!(f, "+{}", escaped(form))?;
        }
        write!(f, ":{}", escaped(&self.task))?;
        self.resolution
            .map_or(Ok(()), |resolution| write!(f, ":{resolution}"))
    }
}

impl FromStr for JobRef {
    type Err = ParseJobRefError;

    fn from_str(text: &str) -> Result<Self, ParseJobRefError> {
        // If the job prints as another line than this one, a `JobRef` did not print this line. The line could name
        // another task than its writer meant, so it is refused.
        parsed(text.trim())
            .filter(|job| job.to_string() == text.trim())
            .ok_or_else(|| ParseJobRefError(text.to_owned()))
    }
}

fn parsed(line: &str) -> Option<JobRef> {
    let mut parts = line.splitn(3, ':');
    let head = parts.next()?;
    let task = unescaped(parts.next()?)?;
    let (account, form) = match head.split_once('+') {
        Some((account, form)) => (account, Some(unescaped(form)?)),
        None => (head, None),
    };
    let (provider, name) = match account.split_once('@') {
        Some((provider, name)) => (provider, Some(unescaped(name)?)),
        None => (account, None),
    };
    let mut job = JobRef::new(unescaped(provider)?, task);
    job.account = name;
    job.form = form;
    if let Some(resolution) = parts.next() {
        job.resolution = Some(resolution.parse().ok()?);
    }
    Some(job)
}

/// Decodes a part of the line, which must not be empty.
fn unescaped(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

impl TryFrom<String> for JobRef {
    type Error = ParseJobRefError;

    fn try_from(text: String) -> Result<Self, ParseJobRefError> {
        text.parse()
    }
}

impl From<JobRef> for String {
    fn from(job: JobRef) -> Self {
        job.to_string()
    }
}

impl AsRef<JobRef> for JobRef {
    fn as_ref(&self) -> &JobRef {
        self
    }
}
