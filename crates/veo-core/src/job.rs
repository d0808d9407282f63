use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use veo_transport::without_queries;

use crate::text::{link, redact_texts};
use crate::time::{now, optional_unix_seconds, unix_seconds};
use crate::{Error, ErrorKind, JobRef, Offer, Resolution, Source};

/// An accepted job: its name, and the offer that was sent. It can be stored as JSON.
///
/// ```
/// # fn example(job: &veo_core::Job) -> Result<(), serde_json::Error> {
/// let stored = serde_json::to_string(job)?;
/// let later: veo_core::Job = serde_json::from_str(&stored)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// The name of the job, which is enough to wait for the job.
    pub reference: JobRef,
    /// The offer that was sent.
    pub offer: Offer,
    /// The time of acceptance; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub accepted_at: SystemTime,
    /// The refusals of the providers that were asked before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<String>,
    /// The error of the [ledger](crate::ledger), if it could not store this job. Then keep `reference` yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<Box<Error>>,
}

impl Job {
    /// Makes a job that is accepted now.
    ///
    /// ```
    /// use veo_core::{Job, Offer, Submission};
    ///
    /// fn accepted(offer: &Offer, id: &str) -> Submission {
    ///     Submission::Accepted(Job::new(offer, id))
    /// }
    /// ```
    pub fn new(offer: &Offer, task: impl Into<String>) -> Self {
        let mut reference = JobRef::new(&offer.provider, task);
        let name = offer
            .account
            .strip_prefix(&offer.provider)
            .and_then(|rest| rest.strip_prefix('@'));
        reference.account = name.map(str::to_owned);
        reference.form = offer.form.clone();
        reference.resolution =
            Some(offer.resolution()).filter(|resolution| *resolution > Resolution::P720);
        Self {
            reference,
            offer: offer.clone(),
            accepted_at: now(),
            refusals: Vec::new(),
            unrecorded: None,
        }
    }

    /// Returns the job without secrets in its links, and without the bytes of images.
    pub(crate) fn redacted(&self) -> Self {
        let mut job = self.clone();
        job.offer.request.redact();
        redact_texts(&mut job.offer.body);
        job
    }
}

impl AsRef<JobRef> for Job {
    fn as_ref(&self) -> &JobRef {
        &self.reference
    }
}

/// The outcome of a paid request. It is not a `Result`, so that `?` cannot turn an unknown outcome into a second try.
///
/// ```
/// use veo_core::Submission;
///
/// fn tell(submission: &Submission) -> String {
///     match submission {
///         Submission::Accepted(job) => format!("paid for: {}", job.reference),
///         Submission::Rejected(error) => format!("not charged: {error}"),
///         Submission::Unknown(unknown) => format!("maybe charged: {}", unknown.error),
///     }
/// }
/// ```
///
/// The table shows what can happen on the way, how often the request then arrives, and the outcome that the caller
/// gets. The tests of this library measure these values on raw sockets.
///
#[doc = include_str!("submission.md")]
#[derive(Debug)]
#[must_use = "an unknown outcome may have been charged"]
pub enum Submission {
    /// The provider has accepted the request. The job is paid for.
    Accepted(Job),
    /// The request was refused or not sent. Nothing was charged, so it can be sent again, here or elsewhere. With
    /// [`ErrorKind::Ledger`] or [`ErrorKind::LedgerDamaged`] this call has sent nothing, but an earlier call under the
    /// same key may be paid for: do not use another key.
    Rejected(Error),
    /// The request was sent, and no reliable reply came back. It may have been charged, and is not sent again.
    Unknown(Unknown),
}

impl Submission {
    /// Makes the outcome of a paid request that ended in an error. [`ErrorKind::OutcomeUnknown`] makes it unknown.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use veo_core::{Error, ErrorKind, Offer, Submission};
    ///
    /// fn lost(offer: &Offer, sent_at: SystemTime) -> Submission {
    ///     // Nobody knows, so this is `Submission::Unknown`.
    ///     Submission::of_error(Error::new(ErrorKind::OutcomeUnknown, "the reply was lost"), offer, sent_at)
    /// }
    /// ```
    pub fn of_error(error: Error, offer: &Offer, sent_at: SystemTime) -> Self {
        match error.kind() {
            ErrorKind::OutcomeUnknown => Self::Unknown(Unknown {
                key: None,
                error,
                offer: offer.clone(),
                sent_at,
            }),
            // The provider's words can name an image although the request has none. They then mean the prompt.
            ErrorKind::Policy if offer.request.images().is_empty() => {
                Self::Rejected(error.not_of_an_image())
            }
            _ => Self::Rejected(error),
        }
    }

    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Rejected(_) => "rejected",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// A paid request with an unknown outcome. To find the outcome, look at the provider for a task with this prompt, or
/// for a charge, from the time of sending on.
///
/// ```
/// fn tell(unknown: &veo_core::Unknown) {
///     println!("{} may have been paid at {:?}", unknown.offer.provider, unknown.sent_at);
///     println!("for {}: {}", unknown.offer.body, unknown.error);
/// }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Unknown {
    /// The key in the [ledger](crate::ledger), if the client has a ledger. [Settle](crate::Client::settle) this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The error that left the outcome open.
    pub error: Error,
    /// The offer that was sent.
    pub offer: Offer,
    /// The time of sending; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub sent_at: SystemTime,
}

/// The state of a job. [`Client::state`](crate::Client::state) returns it, and
/// [`Client::wait_with`](crate::Client::wait_with) reports each state.
///
/// ```
/// use veo_core::State;
///
/// fn line(state: &State) -> String {
///     match state {
///         State::Running { percent: Some(percent) } => format!("being made, {percent} %"),
///         State::Running { percent: None } => "being made".to_owned(),
///         State::Finished(video) => format!("finished: {:?}", video.urls),
///         State::Failed(error) => format!("failed: {error}"),
///         _ => "waiting".to_owned(),
///     }
/// }
/// # assert_eq!(line(&State::Pending), "waiting");
/// ```
///
/// In JSON it is an object whose `state` is `pending`, `running`, `finished` or `failed`. A finished state also has the
/// fields of the [`Video`], and a failed state those of the [`Error`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// The job has not started yet, or is in a state that this library does not know.
    Pending,
    /// The video is being made.
    Running {
        /// The progress from 0 to 100, if the provider says so.
        percent: Option<u8>,
    },
    /// The job has a video.
    Finished(Box<Video>),
    /// The job has failed, and there will be no video. The error says why, and carries the job.
    Failed(Box<Error>),
}

impl State {
    /// Adds the job to the error of a failed state.
    pub(crate) fn with_job(self, job: &JobRef) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Box::new(error.with_job(job))),
            state => state,
        }
    }

    /// Adds the content that was taken out of the links of a finished video.
    pub(crate) fn with_inline(mut self, inline: Vec<Bytes>) -> Self {
        if let Self::Finished(video) = &mut self {
            video.inline = inline;
        }
        self
    }

    /// Returns the video or the error, if the job has ended.
    pub(crate) fn ended(self) -> Option<Result<Video, Error>> {
        match self {
            Self::Finished(video) => Some(Ok(*video)),
            Self::Failed(error) => Some(Err(*error)),
            Self::Pending | Self::Running { .. } => None,
        }
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::Finished(_) => "finished",
            Self::Failed(_) => "failed",
        }
    }
}

/// A finished video, as its provider describes it. It is not saved yet: [`Client::download`](crate::Client::download)
/// saves it. Providers keep videos for some days only, kie.ai for 14 days.
///
/// It can be stored as JSON, with whole links, but without the content of a data URL of more than 1 MiB. The debug text
/// leaves out the parts of links that can be signatures.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// # let job = accepted(&client).await;
/// let video = client.wait(&job).await?;
/// println!("{} at {:?}", video.resolution.as_deref().unwrap_or("some size"), video.urls);
/// if let Some(shortfall) = &video.shortfall {
///     println!("{shortfall}");
/// }
/// let stored = serde_json::to_string(&video)?;
/// # Ok(()) }) }
/// ```
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Video {
    /// The job that made the video.
    pub job: JobRef,
    /// The links that lead to the video, or may do so. The first link that works is used.
    pub urls: Vec<String>,
    /// The delivered resolution in the provider's words, if reported.
    pub resolution: Option<String>,
    /// True if each video has sound; none if not reported.
    pub has_audio: Option<bool>,
    /// The seeds, if reported.
    pub seeds: Vec<i64>,
    /// The price in the provider's credits, if reported.
    pub credits: Option<f64>,
    /// The time at which the provider began, by the provider's clock, if reported; in JSON the seconds since 1970.
    #[serde(default, with = "optional_unix_seconds")]
    pub created_at: Option<SystemTime>,
    /// The time at which the provider finished, by the provider's clock, if reported; in JSON the seconds since 1970.
    #[serde(default, with = "optional_unix_seconds")]
    pub completed_at: Option<SystemTime>,
    /// The reason why the video is smaller than requested, if it could not be made larger.
    pub shortfall: Option<String>,
    /// The first 4 KiB of the provider's last reply, as text. Its links have no queries.
    pub raw: String,
    /// The content of links that are long data URLs.
    #[serde(skip)]
    pub(crate) inline: Vec<Bytes>,
}

impl Video {
    /// Makes a video at the given places.
    ///
    /// ```
    /// use veo_core::{JobRef, Video};
    ///
    /// let mut video = Video::new(JobRef::new("hat", "rabbit"), vec!["https://hat.example.net/rabbit.mp4".to_owned()]);
    /// video.resolution = Some("720p".to_owned());
    /// ```
    pub fn new(job: JobRef, urls: Vec<String>) -> Self {
        Self {
            job,
            urls,
            resolution: None,
            has_audio: None,
            seeds: Vec::new(),
            credits: None,
            created_at: None,
            completed_at: None,
            shortfall: None,
            raw: String::new(),
            inline: Vec::new(),
        }
    }

    /// Returns a copy for display. Its links have no queries, so the copy cannot be downloaded.
    ///
    /// ```
    /// use veo_core::{JobRef, Video};
    ///
    /// let video = Video::new(JobRef::new("hat", "rabbit"), vec!["https://hat.example.net/r.mp4?signature=0f1e".to_owned()]);
    /// assert_eq!(video.redacted().urls, ["https://hat.example.net/r.mp4?..."]);
    /// ```
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut video = self.clone();
        video.urls = self.urls.iter().map(|url| without_queries(url)).collect();
        video
    }

    /// Returns whether the delivered resolution is known and below this one.
    pub(crate) fn is_below(&self, wanted: Resolution) -> bool {
        let delivered = self
            .resolution
            .as_deref()
            .and_then(|words| words.to_lowercase().parse::<Resolution>().ok());
        delivered.is_some_and(|delivered| delivered < wanted)
    }
}

impl From<&Video> for Source {
    fn from(video: &Video) -> Self {
        let mut source = Self::from(&video.job);
        source.url = video.urls.first().cloned();
        source
    }
}

impl From<&Job> for Source {
    fn from(job: &Job) -> Self {
        Self::from(&job.reference)
    }
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            job,
            urls,
            resolution,
            has_audio,
            seeds,
            credits,
            created_at,
            completed_at,
            shortfall,
            raw: _,
            inline: _,
        } = self;
        let urls: Vec<String> = urls.iter().map(|url| link(url)).collect();
        let mut text = f.debug_struct("Video");
        text.field("job", job)
            .field("urls", &urls)
            .field("resolution", &resolution.as_deref().map(without_queries));
        text.field("has_audio", has_audio)
            .field("seeds", seeds)
            .field("credits", credits);
        text.field("created_at", created_at)
            .field("completed_at", completed_at);
        text.field("shortfall", shortfall).finish_non_exhaustive()
    }
}
