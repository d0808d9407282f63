use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use veo_transport::{excerpt, without_queries};

use crate::{JobRef, ParseJobRefError};

/// The reason why there is no video. [`kind`](Error::kind) says what happened. [`charged`](Error::charged),
/// [`resend`](Error::resend), [`fault`](Error::fault) and [`job`](Error::job) say what to do next.
///
/// ```
/// use veo_core::{Charged, Error, Fault, Resend};
///
/// fn advice(error: &Error) -> String {
///     match (error.job(), error.charged(), error.resend()) {
///         (Some(job), Charged::Yes, _) => format!("it is paid for: wait for {job} again"),
///         (_, _, Resend::Same) => "send it again".to_owned(),
///         (_, _, Resend::After(time)) => format!("send it again in {time:?}"),
///         (_, _, Resend::ChangeInput) if error.fault() == Fault::Caller => format!("correct it: {error}"),
///         _ => format!("look into it first: {error}"),
///     }
/// }
/// # assert_eq!(advice(&Error::passing("Timeout")), "send it again");
/// ```
///
/// All links are shown without their queries, which can be signatures, even in the words of a provider.
///
/// An error can be stored as JSON and read again. The JSON has the answers of these methods, so that a program need not
/// know the kinds: `charged` is `yes`, `no` or `unknown`; `resend` is `never`, `same`, `after` or `change_input`;
/// `fault` is `caller`, `provider`, `network` or `policy`. The causes are stored as texts.
///
/// ```
/// use veo_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotSent, "there was no connection");
/// let json = serde_json::to_value(&error)?;
/// assert_eq!((&json["kind"], &json["charged"], &json["resend"]), (&"not_sent".into(), &"no".into(), &"same".into()));
/// assert_eq!(serde_json::from_value::<Error>(json)?, error);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

/// The number of bytes that are kept of a reply and of its words.
pub(crate) const KEPT: usize = 4096;

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    subject: Option<Subject>,
    /// True if a job failed because of its input, such as an image.
    unusable_input: bool,
    /// True if a job failed for a temporary reason.
    passing: bool,
    retry_after: Option<Duration>,
    provider_code: Option<String>,
    provider_words: Option<String>,
    reply: Option<String>,
    job: Option<JobRef>,
    /// The answer of [`Error::charged`], if it was set and does not follow from the kind and the job.
    paid: Option<Charged>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of errors.
///
/// ```
/// use veo_core::{Error, ErrorKind};
///
/// /// Whether somebody has to be woken up.
/// fn is_urgent(error: &Error) -> bool {
///     error.kind().is_of_account()
/// }
/// # assert!(is_urgent(&Error::new(ErrorKind::KeyExhausted, "no more today")));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or the configuration cannot work. Nothing was sent.
    InvalidRequest,
    /// The provider could not be reached, so nothing was sent; or it did not answer a free call, such as an upload.
    NotSent,
    /// The caller has [stopped](crate::Client::submit_until) the request before it was sent.
    Stopped,
    /// The provider does not accept the API key, or blocks the account or the address of the caller.
    Unauthorized,
    /// The API key has used up its own limit.
    KeyExhausted,
    /// The account has not enough credits.
    InsufficientCredits,
    /// There were too many requests.
    RateLimited,
    /// The provider is under maintenance.
    Maintenance,
    /// The provider does not have the model or the endpoint, or has removed it. A job with this error has no video.
    Retired,
    /// The provider's policy forbids the prompt, an image or the made video; [`Error::fault`] says which.
    Policy,
    /// A refusal that no other kind describes; its words have the reason. With a job, an upgrade was refused.
    Refused,
    /// The key has another request in the [ledger](crate::ledger). Nothing was sent; use another key.
    KeyReused,
    /// Another open entry of the [ledger](crate::ledger) has the same target. Nothing was sent.
    TargetTaken,
    /// The request would cost more than the [budget](crate::ledger::Budget) has left. Nothing was sent.
    OverBudget,
    /// The [ledger](crate::ledger) cannot be read or written. If a call was to send, nothing was sent. From
    /// [`done`](crate::Client::done) or in [`Job::unrecorded`](crate::Job::unrecorded), the video is paid for.
    Ledger,
    /// The [ledger](crate::ledger) is damaged, or the file is no ledger. Nothing is sent from it.
    LedgerDamaged,
    /// The request was sent, and no reliable reply came back. It may have been charged.
    OutcomeUnknown,
    /// Another Tokio task or process is sending the request of this key. Ask again for its outcome.
    OnItsWay,
    /// The state of a job could not be read. The job continues; wait for it again.
    Unavailable,
    /// The job failed at the provider. [`Error::resend`] says whether a new job can succeed.
    JobFailed,
    /// The job did not finish in time. The job continues; wait for it again.
    TimedOut,
    /// The finished video could not be saved. It is paid for and still at the provider; download it again.
    Download,
    /// Something on this machine does not work, such as a file or the disk.
    Local,
    /// A webhook is forged, too old or unreadable. Do not act on it; the jobs can still be waited for.
    InvalidWebhook,
}

impl ErrorKind {
    /// Returns whether the API key or the account is at fault, so that every other request would be refused too.
    pub fn is_of_account(self) -> bool {
        matches!(
            self,
            Self::Unauthorized | Self::KeyExhausted | Self::InsufficientCredits
        )
    }
}

/// The answer to whether a video was paid for.
///
/// ```
/// use veo_core::{Charged, Error, ErrorKind, JobRef};
///
/// let refused = Error::new(ErrorKind::Unauthorized, "the key is wrong");
/// assert_eq!(refused.charged(), Charged::No);
/// // The same while a job is waited for.
/// assert_eq!(refused.with_job(&JobRef::new("kie", "0f1e2d3c")).charged(), Charged::Yes);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Charged {
    /// A video was paid for: there is a job. Only reading its state, making it larger or saving it has failed.
    Yes,
    /// No video was paid for.
    No,
    /// A video may have been paid for. For failed jobs, the pages of both providers mention refunds, and promise none.
    Unknown,
}

/// The answer to whether the same request may be sent again.
///
/// ```
/// use std::time::Duration;
/// use veo_core::{Error, Resend};
///
/// /// How long to wait before the same request is sent again, if it may be.
/// fn pause(error: &Error) -> Option<Duration> {
///     match error.resend() {
///         Resend::Same => Some(Duration::ZERO),
///         Resend::After(time) => Some(time),
///         Resend::Never | Resend::ChangeInput => None,
///     }
/// }
/// # assert_eq!(pause(&Error::new(veo_core::ErrorKind::NotSent, "")), Some(Duration::ZERO));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resend {
    /// Do not send it: it could be charged twice, its job runs or has a video, or the job failed for an unknown reason.
    Never,
    /// Send the same request again. After a failed job this makes a new job, which is paid for again.
    Same,
    /// Send the same request again after this time.
    After(Duration),
    /// Change the request, the API key or the account first.
    ChangeInput,
}

/// The party at fault.
///
/// ```
/// use veo_core::{Error, Fault, Subject};
///
/// fn whose(error: &Error) -> &'static str {
///     match error.fault() {
///         Fault::Policy(Subject::Image) => "choose another image",
///         Fault::Policy(_) => "choose other words",
///         Fault::Caller => "look at the request, the key and the account",
///         Fault::Provider | Fault::Network => "nothing of yours",
///     }
/// }
/// # assert_eq!(whose(&Error::policy(Subject::Prompt, "")), "choose other words");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller: the request, the API key or the account.
    Caller,
    /// The provider.
    Provider,
    /// The network between this program and the provider.
    Network,
    /// The rules on what may be made.
    Policy(Subject),
}

/// The subject of a policy, or of an input that cannot be used.
///
/// ```
/// use veo_core::{Error, Fault, Subject};
///
/// let error = Error::policy(Subject::Image, "the image shows a minor");
/// assert_eq!(error.fault(), Fault::Policy(Subject::Image));
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The prompt.
    Prompt,
    /// An image.
    Image,
    /// The video that was made.
    Output,
}

impl Error {
    /// Makes an error. Its message should say what to do next.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "the hat is being cleaned; ask again later");
    /// assert_eq!(error.kind(), ErrorKind::Unavailable);
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: without_queries(&message.into()),
            subject: None,
            unusable_input: false,
            passing: false,
            retry_after: None,
            provider_code: None,
            provider_words: None,
            reply: None,
            job: None,
            paid: None,
            source: None,
        }))
    }

    /// Makes a refusal for reasons of policy.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, Subject};
    ///
    /// assert_eq!(Error::policy(Subject::Output, "the video was filtered").kind(), ErrorKind::Policy);
    /// ```
    pub fn policy(subject: Subject, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Policy, message);
        error.0.subject = Some(subject);
        error
    }

    /// Makes the error of a job that failed because of its input, but not because of a policy: an image could not be
    /// fetched, or a language is not understood. The same request would fail again.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, Resend};
    ///
    /// let error = Error::unusable_input("the image could not be fetched; choose one that can be");
    /// assert_eq!((error.kind(), error.resend()), (ErrorKind::JobFailed, Resend::ChangeInput));
    /// ```
    pub fn unusable_input(message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::JobFailed, message);
        error.0.unusable_input = true;
        error
    }

    /// Makes the error of a job that failed for a temporary reason, such as an internal error. A new job may succeed.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, Resend};
    ///
    /// let error = Error::passing("the hat fell from the table");
    /// assert_eq!((error.kind(), error.resend()), (ErrorKind::JobFailed, Resend::Same));
    /// ```
    pub fn passing(message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::JobFailed, message);
        error.0.passing = true;
        error
    }

    /// Adds the cause.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use veo_core::{Error, ErrorKind};
    ///
    /// let cause = std::io::Error::other("connection reset");
    /// let error = Error::new(ErrorKind::Unavailable, "the provider does not answer").with_source(cause);
    /// assert_eq!(error.source().unwrap().to_string(), "connection reset");
    /// ```
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Adds the job that the error is about.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, JobRef};
    ///
    /// let error = Error::new(ErrorKind::TimedOut, "not finished yet").with_job(&JobRef::new("kie", "0f1e2d3c"));
    /// assert_eq!(error.to_string(), "kie:0f1e2d3c: not finished yet");
    /// ```
    #[must_use]
    pub fn with_job(mut self, job: impl AsRef<JobRef>) -> Self {
        self.0.job = Some(job.as_ref().clone());
        self
    }

    /// Sets the answer of [`charged`](Self::charged), whatever the kind says.
    ///
    /// ```
    /// use veo_core::{Charged, Error, ErrorKind, Resend};
    ///
    /// let error = Error::new(ErrorKind::Local, "the receipt cannot be written").with_charged(Charged::Yes);
    /// assert_eq!((error.charged(), error.resend()), (Charged::Yes, Resend::Never));
    /// ```
    #[must_use]
    pub fn with_charged(mut self, charged: Charged) -> Self {
        self.0.paid = Some(charged);
        self
    }

    /// Makes an error with another message and no job, but with the same kind, and the same answers of
    /// [`charged`](Self::charged), [`resend`](Self::resend) and [`fault`](Self::fault).
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, JobRef};
    ///
    /// let error = Error::new(ErrorKind::TimedOut, "not finished yet").with_job(&JobRef::new("kie", "0f1e2d3c"));
    /// let all = error.summarized("1 of 2 jobs have no video here");
    /// assert_eq!((all.charged(), all.job()), (error.charged(), None));
    /// ```
    #[must_use]
    pub fn summarized(&self, message: impl Into<String>) -> Self {
        let mut all = Self::new(self.0.kind, message).with_charged(self.charged());
        all.0.subject = self.0.subject;
        all.0.unusable_input = self.0.unusable_input;
        all.0.passing = self.0.passing;
        all.0.retry_after = self.0.retry_after;
        all
    }

    /// Adds the provider's own code and words.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Refused, "the hat is too small");
    /// let error = error.with_provider(Some("E7".to_owned()), Some("rabbit exceeds hat".to_owned()));
    /// assert_eq!((error.provider_code(), error.provider_words()), (Some("E7"), Some("rabbit exceeds hat")));
    /// ```
    #[must_use]
    pub fn with_provider(mut self, code: Option<String>, words: Option<String>) -> Self {
        // A line break in the provider's words could make these words look like a line of the caller's program.
        let lines: Vec<_> = self.0.message.lines().map(str::trim).collect();
        self.0.message = lines.join(" ");
        self.0.provider_code = code.map(|code| excerpt(code.as_bytes(), KEPT));
        self.0.provider_words = words.map(|words| excerpt(words.as_bytes(), KEPT));
        self
    }

    /// Adds the provider's reply. The error stores its first 4 KiB.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Refused, "the hat is too small").with_reply(r#"{"code":"E7"}"#);
    /// assert_eq!(error.reply(), Some(r#"{"code":"E7"}"#));
    /// ```
    #[must_use]
    pub fn with_reply(mut self, reply: impl AsRef<[u8]>) -> Self {
        self.0.reply = Some(excerpt(reply.as_ref(), KEPT)).filter(|reply| !reply.is_empty());
        self
    }

    /// Sets the time after which the provider wants to be asked again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Error, ErrorKind, Resend};
    ///
    /// let error = Error::new(ErrorKind::RateLimited, "too many rabbits").with_retry_after(Some(Duration::from_secs(7)));
    /// assert_eq!(error.resend(), Resend::After(Duration::from_secs(7)));
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.0.retry_after = after;
        self
    }

    pub(crate) fn about(mut self, subject: Option<Subject>) -> Self {
        self.0.subject = subject;
        self
    }

    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Turns a policy about an image into one about the prompt.
    pub(crate) fn not_of_an_image(mut self) -> Self {
        let is_policy = self.0.kind == ErrorKind::Policy;
        if is_policy && self.0.subject == Some(Subject::Image) {
            self.0.subject = Some(Subject::Prompt);
        }
        self
    }

    /// Adds the refusals of providers that were asked before, if there are any.
    pub(crate) fn preceded_by(mut self, earlier: &[String]) -> Self {
        if !earlier.is_empty() {
            self.0.message = format!("{} (before that, {})", self.0.message, earlier.join("; "));
        }
        self
    }

    pub(crate) fn adding(mut self, more: &str) -> Self {
        let message = self.0.message.trim_end_matches('.');
        self.0.message = format!("{message}; {more}");
        self
    }

    /// Adds the refusal of a provider that was asked after this one.
    pub(crate) fn followed_by(mut self, later: &str) -> Self {
        self.0.message = format!("{} (after that, {later})", self.0.message);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the subject of a policy, or of an input that cannot be used, if the provider's words name one.
    ///
    /// ```
    /// use veo_core::{Error, Subject};
    ///
    /// fn is_about_the_image(error: &Error) -> bool {
    ///     error.subject() == Some(Subject::Image)
    /// }
    /// # assert!(is_about_the_image(&Error::policy(Subject::Image, "")));
    /// ```
    pub fn subject(&self) -> Option<Subject> {
        self.0.subject
    }

    /// Returns the job that the error is about, so that a paid job is not lost.
    ///
    /// ```
    /// fn to_wait_for(error: &veo_core::Error) -> Option<String> {
    ///     error.job().map(ToString::to_string)
    /// }
    /// ```
    pub fn job(&self) -> Option<&JobRef> {
        self.0.job.as_ref()
    }

    /// Returns the provider's code, if it gave one.
    pub fn provider_code(&self) -> Option<&str> {
        self.0.provider_code.as_deref()
    }

    /// Returns the provider's words, if it gave some.
    ///
    /// ```
    /// fn for_the_support(error: &veo_core::Error) -> String {
    ///     format!("code {:?}: {:?}", error.provider_code(), error.provider_words())
    /// }
    /// ```
    pub fn provider_words(&self) -> Option<&str> {
        self.0.provider_words.as_deref()
    }

    /// Returns the first 4 KiB of the provider's reply, if there was one: a refusal, a failed job, a success without a
    /// video, or a reply that is not understood. Its links have no queries.
    ///
    /// ```
    /// fn for_a_log(error: &veo_core::Error) -> &str {
    ///     error.reply().unwrap_or_default()
    /// }
    /// ```
    pub fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }

    /// Returns the time after which the provider wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether a video was paid for.
    ///
    /// ```
    /// use veo_core::{Charged, Error, ErrorKind};
    ///
    /// assert_eq!(Error::new(ErrorKind::NotSent, "no network").charged(), Charged::No);
    /// assert_eq!(Error::new(ErrorKind::OutcomeUnknown, "no answer").charged(), Charged::Unknown);
    /// ```
    pub fn charged(&self) -> Charged {
        match self.0.kind {
            _ if self.0.paid.is_some() => self.0.paid.unwrap_or(Charged::Unknown),
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Download => Charged::Yes,
            ErrorKind::OutcomeUnknown | ErrorKind::OnItsWay | ErrorKind::JobFailed => {
                Charged::Unknown
            }
            // The job was accepted before it failed, so it may have been charged.
            ErrorKind::Policy | ErrorKind::Retired if self.0.job.is_some() => Charged::Unknown,
            _ if self.0.job.is_some() => Charged::Yes,
            _ => Charged::No,
        }
    }

    /// Returns whether the same request may be sent again.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, Resend};
    ///
    /// assert_eq!(Error::new(ErrorKind::NotSent, "no network").resend(), Resend::Same);
    /// assert_eq!(Error::new(ErrorKind::OutcomeUnknown, "no answer").resend(), Resend::Never);
    /// ```
    pub fn resend(&self) -> Resend {
        /// The pause if the provider does not say when to send again.
        const LIMIT: Duration = Duration::from_secs(10);
        const MAINTENANCE: Duration = Duration::from_secs(300);
        match self.0.kind {
            ErrorKind::JobFailed if self.0.unusable_input => Resend::ChangeInput,
            ErrorKind::JobFailed => match self.0.retry_after {
                Some(time) => Resend::After(time),
                None if self.0.passing => Resend::Same,
                None => Resend::Never,
            },
            ErrorKind::Policy | ErrorKind::Retired => Resend::ChangeInput,
            // The job is still running or has a video, so a new request could pay twice.
            _ if self.0.job.is_some() => Resend::Never,
            _ if matches!(self.0.paid, Some(Charged::Yes | Charged::Unknown)) => Resend::Never,
            ErrorKind::NotSent | ErrorKind::Stopped | ErrorKind::Ledger | ErrorKind::Local => {
                Resend::Same
            }
            ErrorKind::RateLimited => Resend::After(self.0.retry_after.unwrap_or(LIMIT)),
            ErrorKind::Maintenance => Resend::After(self.0.retry_after.unwrap_or(MAINTENANCE)),
            ErrorKind::OutcomeUnknown
            | ErrorKind::OnItsWay
            | ErrorKind::Unavailable
            | ErrorKind::TimedOut
            | ErrorKind::Download
            | ErrorKind::InvalidWebhook => Resend::Never,
            ErrorKind::InvalidRequest
            | ErrorKind::KeyReused
            | ErrorKind::TargetTaken
            | ErrorKind::LedgerDamaged
            | ErrorKind::OverBudget
            | ErrorKind::Unauthorized
            | ErrorKind::KeyExhausted
            | ErrorKind::InsufficientCredits
            | ErrorKind::Refused => Resend::ChangeInput,
        }
    }

    /// Returns whether the error says that a job has failed.
    pub(crate) fn ends_job(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::JobFailed | ErrorKind::Policy | ErrorKind::Retired
        )
    }

    /// Returns whether the error means that a video cannot be made larger. A lost reply does not mean this.
    pub(crate) fn refuses_upgrade(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::InvalidRequest
                | ErrorKind::InsufficientCredits
                | ErrorKind::Retired
                | ErrorKind::Policy
                | ErrorKind::Refused
                | ErrorKind::JobFailed
                | ErrorKind::OverBudget
                | ErrorKind::KeyReused
        )
    }

    /// Returns the party at fault.
    ///
    /// ```
    /// use veo_core::{Error, ErrorKind, Fault};
    ///
    /// assert_eq!(Error::new(ErrorKind::Maintenance, "back at noon").fault(), Fault::Provider);
    /// ```
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            ErrorKind::Policy => Fault::Policy(self.0.subject.unwrap_or(Subject::Prompt)),
            ErrorKind::JobFailed if self.0.unusable_input => Fault::Caller,
            ErrorKind::NotSent
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Unavailable
            | ErrorKind::Download => Fault::Network,
            ErrorKind::Maintenance
            | ErrorKind::Retired
            | ErrorKind::JobFailed
            | ErrorKind::TimedOut => Fault::Provider,
            ErrorKind::InvalidRequest
            | ErrorKind::Stopped
            | ErrorKind::KeyReused
            | ErrorKind::TargetTaken
            | ErrorKind::OverBudget
            | ErrorKind::Ledger
            | ErrorKind::LedgerDamaged
            | ErrorKind::Local
            | ErrorKind::OnItsWay
            | ErrorKind::Unauthorized
            | ErrorKind::KeyExhausted
            | ErrorKind::InsufficientCredits
            | ErrorKind::RateLimited
            | ErrorKind::InvalidWebhook
            | ErrorKind::Refused => Fault::Caller,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &*self.0;
        let mut text = f.debug_struct("Error");
        text.field("kind", &error.kind)
            .field("message", &error.message)
            .field("subject", &error.subject);
        text.field("unusable_input", &error.unusable_input)
            .field("passing", &error.passing)
            .field("retry_after", &error.retry_after);
        text.field("provider_code", &error.provider_code)
            .field("provider_words", &error.provider_words);
        // The reply is left out, since it has the same words at length.
        text.field("job", &error.job)
            .field("source", &error.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.job {
            Some(job) => write!(f, "{job}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<ParseJobRefError> for Error {
    fn from(error: ParseJobRefError) -> Self {
        Self::new(ErrorKind::InvalidRequest, error.to_string())
    }
}

/// Two errors are equal if their JSON is equal.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        ErrorJson::of(self) == ErrorJson::of(other)
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ErrorJson::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ErrorJson::deserialize(deserializer).map(ErrorJson::into_error)
    }
}

/// An error as JSON. The fields that follow from the kind are written for readers, and are not read back.
#[derive(Deserialize, PartialEq, Serialize)]
struct ErrorJson {
    kind: ErrorKind,
    message: String,
    /// The causes, from the nearest to the farthest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_deserializing)]
    charged: Option<Charged>,
    #[serde(skip_deserializing)]
    resend: &'static str,
    #[serde(skip_deserializing)]
    resend_after_seconds: Option<u64>,
    #[serde(skip_deserializing)]
    fault: &'static str,
    subject: Option<Subject>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unusable_input: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    job: Option<JobRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paid: Option<Charged>,
    provider_code: Option<String>,
    provider_words: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
}

impl ErrorJson {
    fn of(error: &Error) -> Self {
        let (resend, after) = match error.resend() {
            Resend::Never => ("never", None),
            Resend::Same => ("same", None),
            Resend::After(time) => ("after", Some(time.as_secs())),
            Resend::ChangeInput => ("change_input", None),
        };
        let fault = match error.fault() {
            Fault::Caller => "caller",
            Fault::Provider => "provider",
            Fault::Network => "network",
            Fault::Policy(_) => "policy",
        };
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let inner = &*error.0;
        Self {
            kind: inner.kind,
            message: inner.message.clone(),
            causes: causes.map(ToString::to_string).collect(),
            charged: Some(error.charged()),
            resend,
            resend_after_seconds: after,
            fault,
            subject: inner.subject,
            unusable_input: inner.unusable_input,
            passing: inner.passing,
            retry_after_seconds: inner.retry_after.map(|after| after.as_secs()),
            job: inner.job.clone(),
            paid: inner.paid,
            provider_code: inner.provider_code.clone(),
            provider_words: inner.provider_words.clone(),
            reply: inner.reply.clone(),
        }
    }

    fn into_error(self) -> Error {
        let nearest = self
            .causes
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Arc::new(Cause { text, source })));
        Error(Box::new(Inner {
            kind: self.kind,
            message: self.message,
            subject: self.subject,
            unusable_input: self.unusable_input,
            passing: self.passing,
            retry_after: self.retry_after_seconds.map(Duration::from_secs),
            provider_code: self.provider_code,
            provider_words: self.provider_words,
            reply: self.reply,
            job: self.job,
            paid: self.paid,
            source: nearest.map(|cause| cause as Arc<dyn StdError + Send + Sync>),
        }))
    }
}

/// A cause that was read from JSON.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Arc<Cause>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}
