//! The entry of a key, and the events that make it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::image;
use crate::text::{hex, redact_texts};
use crate::time::unix_seconds;
use crate::{
    Error, Image, Input, Job, JobRef, Offer, Operation, Receipt, Resolution, Unknown, VideoRequest,
};

/// The wish of a caller under a key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wish {
    /// A new video.
    Request {
        /// As the caller has said it. Links have lost their queries unless it is still to be sent.
        request: Box<VideoRequest>,
        /// The SHA-256 of each image and link in it, in the order of the request; none for a file that cannot be read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contents: Vec<Option<String>>,
        /// Whether something was taken out of the request, so that it cannot be sent from here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        redacted: bool,
    },
    /// A finished video, larger.
    Upgrade {
        /// The job of the smaller one with the size to make.
        job: JobRef,
        /// The request of the smaller video, if this ledger knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Box<VideoRequest>>,
    },
    /// It is not known any more, since its line is damaged.
    Lost,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// It is stored, and nothing was sent, or only what was rejected.
    Wanted,
    /// A live process is sending it.
    OnItsWay,
    /// The provider has taken it, and it is paid for.
    Accepted,
    /// No provider has taken it, and nothing was charged. It may begin again under its key.
    Rejected,
    /// It may have been charged. It is not sent again until somebody settles it.
    Unknown,
    /// There is a video, which the caller has not saved yet.
    Finished,
    /// There will be no video. Its key has ended.
    Failed,
    /// The caller has saved the video.
    Done,
}

/// A key with all that is known of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The caller's name for it.
    pub key: String,
    /// Its state.
    pub state: EntryState,
    /// When it was first written down; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// The wish.
    pub wish: Wish,
    /// Where the caller is to save the video. No two open entries of a ledger have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The paid calls, in order. At most the last one is not rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Why the job has failed, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// When it has finished or failed.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<SystemTime>,
    /// The saved video, if it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
}

/// One paid call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The call as it was sent, without the request, which the entry has.
    pub sent: Sent,
    /// When; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// How often it was sent. More than once is possible for upgrades of kie.ai only, whose page asks for it.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub calls: u32,
    /// The marker of its callback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The budget it counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The credits that were set aside for it while its price was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<f64>,
    /// Its price in credits, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// Its outcome, if a process has written that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// A call as it was sent to a provider. Links have lost their queries.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// Name of the provider.
    pub provider: String,
    /// The account at it.
    pub account: String,
    /// Where the provider was reached, if not at its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The form of the provider's API, if that is another than its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The model in the provider's words.
    pub model: String,
    /// The operation that it was asked for.
    pub operation: Operation,
    /// The JSON body.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// The outcome of a paid call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The provider has taken it.
    Accepted {
        /// The job.
        job: JobRef,
        /// The id of a task of its own that an upgrade has, if it is another one than that of the smaller video.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// When; in JSON the seconds since 1970.
        #[serde(with = "unix_seconds")]
        at: SystemTime,
        /// Why those that were asked before have not taken it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refusals: Vec<String>,
    },
    /// It was not taken.
    Rejected {
        /// Why.
        error: Error,
        /// Whether somebody has looked and [settled](crate::Client::settle) it. That can be taken back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_settled: bool,
        /// Whether it is still wanted, so that it is sent again without anybody asking for that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_wanted: bool,
    },
    /// Nobody knows.
    Unknown {
        /// The error that left it open.
        error: Error,
    },
}

/// A saved video: a [`Receipt`] without the job, which the entry has.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Delivered {
    /// The file.
    pub saved: crate::Saved,
    /// When the receipt was made; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub made_at: SystemTime,
    /// The resolution in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Its price in credits, if the provider said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// The seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<i64>,
    /// When the provider began, by its own clock.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_at: Option<SystemTime>,
    /// When the provider was done.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub completed_at: Option<SystemTime>,
    /// The differences between the request and the video.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discrepancies: Vec<String>,
}

/// Something that happens to an entry. A ledger writes events down in the order in which they happen; [`Entry::apply`] makes
/// an entry of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Somebody wants it, or wants it again after it was rejected.
    Wanted {
        /// The wish, if it was not written down before as it is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// Where it is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// It is about to be sent.
    Begun {
        /// The wish, if it was not written down before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// Where it is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The paid call.
        attempt: Box<Attempt>,
    },
    /// The call of an upgrade is about to be made once more. It is refused with [`ErrorKind::OnItsWay`](crate::ErrorKind::OnItsWay) if
    /// somebody else was faster.
    CalledAgain {
        /// Which call it is, counted from one.
        calls: u32,
    },
    /// The paid call has ended.
    Ended {
        /// Its outcome.
        outcome: Outcome,
    },
    /// Somebody has found out what became of the paid call. It is refused with
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if there is nothing to settle any more, or if the job belongs to
    /// another entry.
    Settled {
        /// Its outcome.
        outcome: Outcome,
        /// How many attempts there were when it was found out.
        attempts: usize,
    },
    /// The job has a video.
    Finished {
        /// Its price in credits, if the provider said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credits: Option<f64>,
    },
    /// The job has failed.
    Failed {
        /// Why.
        error: Error,
    },
    /// The balance has told what it cost.
    Cost {
        /// In the account's credits.
        credits: f64,
    },
    /// The caller has saved the video.
    Done {
        /// The file, and what is known of it.
        delivered: Box<Delivered>,
    },
    /// All that has happened to it so far, in one.
    Entry {
        /// The entry.
        entry: Box<Entry>,
    },
    /// The balance of an account has fallen while a budget was in use. It belongs to no entry, and its key is the budget.
    Fall {
        /// In the account's credits.
        credits: f64,
    },
    /// The line of an entry was torn off. It may have been sent.
    Torn,
}

impl Event {
    /// Whether it comes too late for an entry in this state: what is certain is not taken back. A ledger does not write it down.
    pub fn is_late(&self, state: EntryState) -> bool {
        let is_over = matches!(
            state,
            EntryState::Finished | EntryState::Failed | EntryState::Done
        );
        match self {
            Self::Ended {
                outcome: Outcome::Accepted { task: Some(_), .. },
            } => is_over,
            Self::Ended { .. } => is_over || state == EntryState::Accepted,
            Self::Finished { .. } => state != EntryState::Accepted,
            Self::Failed { .. } => !matches!(state, EntryState::Accepted | EntryState::Finished),
            _ => false,
        }
    }

    /// The job that somebody has found out for an entry, which may belong to another one.
    pub fn settled_as(&self) -> Option<&JobRef> {
        match self {
            Self::Settled {
                outcome: Outcome::Accepted { job, .. },
                ..
            } => Some(job),
            _ => None,
        }
    }
}

impl Wish {
    /// A new video. Reads the images of this machine, to know them again.
    pub async fn request(request: &VideoRequest) -> Self {
        let mut contents = Vec::new();
        for image in request.images() {
            contents.push(match image {
                Image::Url(url) => Some(digest(url.as_bytes())),
                Image::Bytes { bytes } => Some(digest(bytes)),
                Image::File { file } => {
                    let file = file.clone();
                    let reading = tokio::task::spawn_blocking(move || image::contents(&file));
                    let contents = reading.await.ok().and_then(Result::ok);
                    contents.map(|bytes| digest(&bytes))
                }
            });
        }
        let mut links = [None, request.callback_url.as_deref()];
        if let Input::Extension { source } = &request.input {
            links[0] = source.url.as_deref();
        }
        contents.extend(
            links
                .into_iter()
                .flatten()
                .map(|link| Some(digest(link.as_bytes()))),
        );
        Self::Request {
            request: Box::new(request.clone()),
            contents,
            redacted: false,
        }
    }

    /// The request, if there is one or it is known.
    pub fn asked(&self) -> Option<&VideoRequest> {
        match self {
            Self::Request { request, .. } => Some(request),
            Self::Upgrade { request, .. } => request.as_deref(),
            Self::Lost => None,
        }
    }

    /// The same without what is secret in its links, and without the bytes of images. It cannot be sent any more.
    pub fn redacted(&self) -> Self {
        let mut wish = self.clone();
        match &mut wish {
            Self::Request {
                request, redacted, ..
            } => {
                let before = request.clone();
                request.redact();
                *redacted |= *request != before;
            }
            Self::Upgrade { request, .. } => {
                if let Some(request) = request {
                    request.redact();
                }
            }
            Self::Lost => {}
        }
        wish
    }

    /// Whether this is the wish that was stored: the same fields as they were said, and images of the same content.
    pub fn is_same(&self, stored: &Self) -> bool {
        match (self, stored) {
            (
                Self::Request {
                    request, contents, ..
                },
                Self::Request {
                    request: stored,
                    contents: stored_contents,
                    ..
                },
            ) => {
                // A record of an earlier version says nothing of contents.
                let is_comparable =
                    contents.len() == stored_contents.len() || stored_contents.is_empty();
                is_comparable && is_same_request(request, contents, stored, stored_contents)
            }
            (Self::Upgrade { job, .. }, Self::Upgrade { job: stored, .. }) => job == stored,
            // Nothing says that it is another one.
            (_, Self::Lost) => true,
            _ => false,
        }
    }
}

/// Whether two requests have the same fields and, where both are known, the same contents.
fn is_same_request(
    request: &VideoRequest,
    contents: &[Option<String>],
    stored: &VideoRequest,
    stored_contents: &[Option<String>],
) -> bool {
    let mut request = request.clone();
    let mut stored = stored.clone();
    request.redact();
    stored.redact();
    for (index, pair) in contents.iter().zip(stored_contents).enumerate() {
        let (Some(now), Some(then)) = pair else {
            continue;
        };
        if now != then {
            return false;
        }
        // An image that is known by its content may have another name now.
        for request in [&mut request, &mut stored] {
            if let Some(image) = request.images_mut().into_iter().nth(index) {
                *image = Image::Url(String::new());
            }
        }
    }
    request == stored
}

impl Sent {
    /// An offer, as it is recorded once it is sent.
    pub fn new(offer: &Offer) -> Self {
        let mut body = offer.body.clone();
        redact_texts(&mut body);
        Self {
            provider: offer.provider.clone(),
            account: offer.account.clone(),
            base_url: offer.base_url.clone(),
            form: offer.form.clone(),
            model: offer.model.clone(),
            operation: offer.operation,
            body,
        }
    }
}

impl Outcome {
    /// It was not taken, as the call has told.
    pub fn rejected(error: Error) -> Self {
        Self::Rejected {
            error,
            is_settled: false,
            is_wanted: false,
        }
    }

    /// The same, and it is still wanted. One line says both, so that no end of a process comes between.
    pub fn rejected_and_wanted(error: Error) -> Self {
        Self::Rejected {
            error,
            is_settled: false,
            is_wanted: true,
        }
    }

    /// The state in which it leaves an entry.
    pub fn state(&self) -> EntryState {
        match self {
            Self::Accepted { .. } => EntryState::Accepted,
            Self::Rejected {
                is_wanted: true, ..
            } => EntryState::Wanted,
            Self::Rejected { .. } => EntryState::Rejected,
            Self::Unknown { .. } => EntryState::Unknown,
        }
    }
}

impl Attempt {
    /// A call that is about to be made.
    pub fn new(offer: &Offer, at: SystemTime) -> Self {
        Self {
            sent: Sent::new(offer),
            at,
            calls: 1,
            marker: None,
            budget: None,
            reserved: None,
            credits: None,
            outcome: None,
        }
    }

    /// The attempt of a job of which nothing else is known.
    fn found(job: JobRef, task: Option<String>, at: SystemTime, refusals: Vec<String>) -> Self {
        let sent = Sent {
            provider: job.provider.clone(),
            account: job.account(),
            base_url: None,
            form: job.form.clone(),
            model: "unknown".to_owned(),
            operation: Operation::Generate,
            body: Value::Null,
        };
        let outcome = Some(Outcome::Accepted {
            job,
            task,
            at,
            refusals,
        });
        Self {
            sent,
            at,
            calls: 1,
            marker: None,
            budget: None,
            reserved: None,
            credits: None,
            outcome,
        }
    }

    /// Why it was rejected, if it was.
    pub fn rejection(&self) -> Option<&Error> {
        match &self.outcome {
            Some(Outcome::Rejected { error, .. }) => Some(error),
            _ => None,
        }
    }
}

impl Entry {
    /// An entry from the first event of its key. If the lines before it are damaged, an accepted job is still kept.
    pub fn first(key: &str, at: SystemTime, event: Event) -> Self {
        let mut entry = Self::lost(key, at);
        match event {
            Event::Wanted { wish, target } => {
                entry.wish = wish.unwrap_or(Wish::Lost);
                entry.target = target;
                entry.state = EntryState::Wanted;
            }
            Event::Begun {
                wish,
                target,
                attempt,
            } => {
                entry.wish = wish.unwrap_or(Wish::Lost);
                entry.target = target;
                entry.attempts.push(*attempt);
            }
            event => entry.apply(at, event),
        }
        entry
    }

    /// An entry of which only the key is known. It may have been sent.
    pub(super) fn lost(key: &str, at: SystemTime) -> Self {
        Self {
            key: key.to_owned(),
            state: EntryState::Unknown,
            at,
            wish: Wish::Lost,
            target: None,
            attempts: Vec::new(),
            error: None,
            ended_at: None,
            delivered: None,
        }
    }

    /// Takes up what happened next, at a time. An attempt without an outcome leaves it unknown; the ledger knows whether whoever sends
    /// it is still there.
    pub fn apply(&mut self, at: SystemTime, event: Event) {
        match event {
            Event::Begun {
                attempt, target, ..
            } => {
                self.attempts.push(*attempt);
                self.target = target.or(self.target.take());
                self.state = EntryState::Unknown;
            }
            Event::CalledAgain { .. } => {
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.calls += 1;
                }
            }
            Event::Ended { outcome } | Event::Settled { outcome, .. } => self.end(outcome),
            Event::Finished { credits } => {
                self.state = EntryState::Finished;
                self.ended_at = Some(at);
                self.cost(credits);
            }
            Event::Failed { error } => {
                self.state = EntryState::Failed;
                self.ended_at = Some(at);
                self.error = Some(error);
            }
            Event::Cost { credits } => self.cost(Some(credits)),
            Event::Done { delivered } => {
                self.state = EntryState::Done;
                self.ended_at = self.ended_at.or(Some(at));
                self.cost(delivered.credits);
                self.delivered = Some(*delivered);
            }
            Event::Entry { entry } => *self = *entry,
            Event::Wanted { wish, target } => {
                if let Some(wish) = wish {
                    self.wish = wish;
                }
                self.state = EntryState::Wanted;
                self.target = target.or(self.target.take());
            }
            Event::Fall { .. } | Event::Torn => {}
        }
    }

    /// The job that the last attempt has become.
    pub fn job(&self) -> Option<Job> {
        let attempt = self.attempts.last()?;
        let Some(Outcome::Accepted {
            job, at, refusals, ..
        }) = &attempt.outcome
        else {
            return None;
        };
        let mut offer = self.offer(attempt);
        offer.request.resolution = match &self.wish {
            Wish::Upgrade { job, .. } => job.resolution,
            Wish::Request { .. } | Wish::Lost => offer.request.resolution,
        };
        Some(Job {
            reference: job.clone(),
            offer,
            accepted_at: *at,
            refusals: refusals.clone(),
            unrecorded: None,
        })
    }

    /// The job as one line, if there is one.
    pub fn reference(&self) -> Option<&JobRef> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { job, .. }) => Some(job),
            _ => None,
        }
    }

    /// Where the provider was reached, if not at its own address.
    pub fn base_url(&self) -> Option<&str> {
        self.attempts.last()?.sent.base_url.as_deref()
    }

    /// The task of its own that an upgrade has.
    pub fn own_task(&self) -> Option<&str> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { task, .. }) => task.as_deref(),
            _ => None,
        }
    }

    /// The unknown outcome, if that is its state.
    pub fn unknown(&self) -> Option<Unknown> {
        let attempt = self
            .attempts
            .last()
            .filter(|_| self.state == EntryState::Unknown)?;
        let error = match &attempt.outcome {
            Some(Outcome::Unknown { error }) => error.clone(),
            _ => Error::new(
                crate::ErrorKind::OutcomeUnknown,
                "the process ended while it was being sent",
            ),
        };
        Some(Unknown {
            key: Some(self.key.clone()),
            error,
            offer: self.offer(attempt),
            sent_at: attempt.at,
        })
    }

    /// Why the last attempt was rejected, or why the job has failed.
    pub fn why(&self) -> Option<&Error> {
        match &self.attempts.last()?.outcome {
            _ if self.error.is_some() => self.error.as_ref(),
            Some(Outcome::Rejected { error, .. } | Outcome::Unknown { error }) => Some(error),
            _ => None,
        }
    }

    /// The receipt of a saved video. There is none for an upgrade whose request is not known.
    pub fn receipt(&self) -> Option<Receipt> {
        self.wish.asked()?;
        Some(self.delivered.as_ref()?.clone().receipt(self.job()?))
    }

    /// Whether there may be something to pay for, to wait for or to save.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Whether its outcome is unknown, or was settled as not taken and nothing was sent since.
    pub(crate) fn can_be_settled(&self) -> bool {
        let outcome = self
            .attempts
            .last()
            .and_then(|attempt| attempt.outcome.as_ref());
        let is_settled = matches!(
            outcome,
            Some(Outcome::Rejected {
                is_settled: true,
                ..
            })
        );
        let is_not_sent = matches!(self.state, EntryState::Rejected | EntryState::Wanted);
        self.state == EntryState::Unknown || is_settled && is_not_sent
    }

    /// The size that an upgrade is to have.
    pub fn upgrade(&self) -> Option<Resolution> {
        match &self.wish {
            Wish::Upgrade { job, .. } => job.resolution,
            Wish::Request { .. } | Wish::Lost => None,
        }
    }

    /// The offer of an attempt, with the request.
    pub(crate) fn offer(&self, attempt: &Attempt) -> Offer {
        let Sent {
            provider,
            account,
            base_url,
            form,
            model,
            operation,
            body,
        } = attempt.sent.clone();
        let request = self
            .wish
            .asked()
            .cloned()
            .unwrap_or_else(|| VideoRequest::text(""));
        Offer {
            provider,
            account,
            base_url,
            form,
            model,
            operation,
            body,
            request,
            warnings: Vec::new(),
        }
    }

    /// Takes up the outcome of the last attempt.
    fn end(&mut self, outcome: Outcome) {
        self.state = outcome.state();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = Some(outcome);
            return;
        }
        // If the earlier lines are damaged, an accepted job is still kept.
        if let Outcome::Accepted {
            job,
            task,
            at,
            refusals,
        } = outcome
        {
            self.attempts.push(Attempt::found(job, task, at, refusals));
        }
    }

    /// Zero and negative costs count as not told.
    fn cost(&mut self, credits: Option<f64>) {
        if let (Some(attempt), Some(credits)) = (self.attempts.last_mut(), told(credits)) {
            attempt.credits = Some(attempt.credits.unwrap_or_default().max(credits));
        }
    }
}

impl EntryState {
    /// Whether there may be something to pay for, to wait for or to save.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Wanted | Self::OnItsWay | Self::Accepted | Self::Unknown | Self::Finished
        )
    }

    /// Its name for people, such as `on its way`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::OnItsWay => "on its way",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

impl std::fmt::Display for EntryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Delivered {
    /// The receipt of a saved video, without its job.
    pub fn new(receipt: &Receipt) -> Self {
        Self {
            saved: receipt.saved.clone(),
            made_at: receipt.made_at,
            resolution: receipt.resolution.clone(),
            credits: receipt.credits,
            seeds: receipt.seeds.clone(),
            created_at: receipt.created_at,
            completed_at: receipt.completed_at,
            discrepancies: receipt.discrepancies.clone(),
        }
    }

    fn receipt(self, job: Job) -> Receipt {
        Receipt {
            job,
            resolution: self.resolution,
            credits: self.credits,
            seeds: self.seeds,
            created_at: self.created_at,
            completed_at: self.completed_at,
            saved: self.saved,
            made_at: self.made_at,
            discrepancies: self.discrepancies,
        }
    }
}

/// A price as a provider tells it. Zero and less are no price.
pub(crate) fn told(credits: Option<f64>) -> Option<f64> {
    credits.filter(|credits| credits.is_finite() && *credits > 0.0)
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_once(calls: &u32) -> bool {
    *calls == 1
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
