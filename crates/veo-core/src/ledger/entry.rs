//! The entry of a key, and the events from which it is made.

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
        /// The request as the caller made it. Its links have lost their queries unless it is still to be sent.
        request: Box<VideoRequest>,
        /// The SHA-256 of each image and link, in the order of the request. It is none for a file that cannot be read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contents: Vec<Option<String>>,
        /// True if something was taken out of the request, so that it cannot be sent from here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        redacted: bool,
    },
    /// A finished video that is to be made larger.
    Upgrade {
        /// The job of the smaller video, with the size to make.
        job: JobRef,
        /// The request of the smaller video, if this ledger knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Box<VideoRequest>>,
    },
    /// A wish that is not known any more, since its line is damaged.
    Lost,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// The wish is stored. No call was made, or all were rejected.
    Wanted,
    /// A live process is sending the call.
    OnItsWay,
    /// The provider has taken the request, and it is paid for.
    Accepted,
    /// No provider has taken the request, and nothing was charged. It may be sent again under its key.
    Rejected,
    /// The request may have been charged. It is not sent again until somebody settles it.
    Unknown,
    /// There is a video, which the caller has not saved yet.
    Finished,
    /// There will be no video. Another one needs another key.
    Failed,
    /// The caller has saved the video.
    Done,
}

/// A key with all that is known of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The caller's name for the wish.
    pub key: String,
    /// Its state.
    pub state: EntryState,
    /// The time at which it was first written down; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// The wish.
    pub wish: Wish,
    /// The place where the caller is to save the video. No two open entries of a ledger have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The paid calls, in order. All before the last one were rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The error of the job, if it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The time at which the job finished or failed.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<SystemTime>,
    /// The saved video, if the entry is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
}

/// One paid call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The call as it was sent. The entry has the request.
    pub sent: Sent,
    /// The time at which it was begun; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// The number of times that it was sent. It is more than one only for upgrades of kie.ai, whose page asks for that.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub calls: u32,
    /// The marker in its callback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The budget that it counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The credits that were set aside for it while its price was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<f64>,
    /// Its price in credits, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// The outcome, if it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// A call as it was sent to a provider. Links have lost their queries.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// The name of the provider.
    pub provider: String,
    /// The account at the provider.
    pub account: String,
    /// The address at which the provider was reached, if that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The form of the provider's API, if it is not the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The model in the provider's words.
    pub model: String,
    /// The operation.
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
    /// The provider has taken the request.
    Accepted {
        /// The job.
        job: JobRef,
        /// The id of the task that an upgrade has, if it is not that of the smaller video.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// The time of acceptance; in JSON the seconds since 1970.
        #[serde(with = "unix_seconds")]
        at: SystemTime,
        /// The refusals of the providers that were asked before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refusals: Vec<String>,
    },
    /// The request was not taken, and nothing was charged.
    Rejected {
        /// The reason.
        error: Error,
        /// True if somebody has looked and [settled](crate::Client::settle) it so. That can be taken back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_settled: bool,
        /// True if it is still wanted. Then it is sent again by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_wanted: bool,
    },
    /// The request may have been charged.
    Unknown {
        /// The error that left the outcome open.
        error: Error,
    },
}

/// A saved video: a [`Receipt`] without the job, which is in the entry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Delivered {
    /// The saved file.
    pub saved: crate::Saved,
    /// The time at which the receipt was made; in JSON the seconds since 1970.
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
    /// The time at which the provider began, by its own clock.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_at: Option<SystemTime>,
    /// The time at which the provider was done, by its own clock.
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

/// An event in the life of an entry. A ledger writes events down in the order in which they happen, and
/// [`Entry::apply`] makes an entry of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The caller wants it, or wants it again after a rejection.
    Wanted {
        /// The wish, unless it is on record as it is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// The place where the video is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// The call is about to be sent.
    Begun {
        /// The wish, if it was not written down before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// The place where the video is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The paid call.
        attempt: Box<Attempt>,
    },
    /// The call of an upgrade is about to be repeated. It is refused with
    /// [`ErrorKind::OnItsWay`](crate::ErrorKind::OnItsWay) if another process was faster.
    CalledAgain {
        /// The number of the call, counted from one.
        calls: u32,
    },
    /// The paid call has ended.
    Ended {
        /// Its outcome.
        outcome: Outcome,
    },
    /// The outcome of the paid call was found out. It is refused with
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if there is nothing to settle any more, or if
    /// the job belongs to another entry.
    Settled {
        /// Its outcome.
        outcome: Outcome,
        /// The number of attempts when it was found out.
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
        /// The reason.
        error: Error,
    },
    /// The fall of the balance has shown what the call cost.
    Cost {
        /// The cost in the account's credits.
        credits: f64,
    },
    /// The caller has saved the video.
    Done {
        /// The saved file, and what is known of the video.
        delivered: Box<Delivered>,
    },
    /// All events of the entry so far, in one.
    Entry {
        /// The entry.
        entry: Box<Entry>,
    },
    /// The balance of an account has fallen while a budget was in use. It belongs to no entry; its key is the budget.
    Fall {
        /// The fall in the account's credits.
        credits: f64,
    },
    /// The line of an entry was torn off. Its call may have been sent.
    Torn,
}

impl Event {
    /// Returns whether the event is too late in this state. A ledger drops it, since facts are not taken back.
    pub fn is_late(&self, state: EntryState) -> bool {
        let is_over = matches!(
            state,
            EntryState::Finished | EntryState::Failed | EntryState::Done
        );
        match self {
            Self::Ended {
                outcome: Outcome::Accepted { task: Some(_), .. },
            } => is_over,
            // A late rejection must not reopen a paid entry, which would then be sent again.
            Self::Ended { .. } => is_over || state == EntryState::Accepted,
            Self::Finished { .. } => state != EntryState::Accepted,
            Self::Failed { .. } => !matches!(state, EntryState::Accepted | EntryState::Finished),
            _ => false,
        }
    }

    /// Returns the job that a settlement names, which may belong to another entry.
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
    /// Makes the wish for a new video. It reads the images of this machine, so that it knows their content again.
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

    /// Returns the request, if there is one and it is known.
    pub fn asked(&self) -> Option<&VideoRequest> {
        match self {
            Self::Request { request, .. } => Some(request),
            Self::Upgrade { request, .. } => request.as_deref(),
            Self::Lost => None,
        }
    }

    /// Returns the wish without secrets in its links and without the bytes of images. It cannot be sent any more.
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

    /// Returns whether this is the stored wish: the same fields as the caller gave them, and images of the same bytes.
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
                // A record of an earlier version has no contents.
                let is_comparable =
                    contents.len() == stored_contents.len() || stored_contents.is_empty();
                is_comparable && is_same_request(request, contents, stored, stored_contents)
            }
            (Self::Upgrade { job, .. }, Self::Upgrade { job: stored, .. }) => job == stored,
            // A lost wish counts as the same. Its call may be paid, so the answer is the entry and not another call.
            (_, Self::Lost) => true,
            _ => false,
        }
    }
}

/// Returns whether two requests have the same fields and, where both are known, the same contents.
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
    /// Makes the record of an offer that is sent.
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
    /// Makes the outcome of a rejected call.
    pub fn rejected(error: Error) -> Self {
        Self::Rejected {
            error,
            is_settled: false,
            is_wanted: false,
        }
    }

    /// Makes a rejection that stays wanted. One line says both, since a process can end between two lines.
    pub fn rejected_and_wanted(error: Error) -> Self {
        Self::Rejected {
            error,
            is_settled: false,
            is_wanted: true,
        }
    }

    /// Returns the state in which the outcome leaves an entry.
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
    /// Makes the attempt of a call that is about to be made.
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

    /// Makes the attempt of a job of which nothing else is known.
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

    /// Returns why it was rejected, if it was.
    pub fn rejection(&self) -> Option<&Error> {
        match &self.outcome {
            Some(Outcome::Rejected { error, .. }) => Some(error),
            _ => None,
        }
    }
}

impl Entry {
    /// Makes an entry from the first event of its key. If earlier lines are damaged, an accepted job is still kept.
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

    /// Makes an entry of which only the key is known. It may have been sent.
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

    /// Applies the next event, which happened at this time. An attempt without an outcome is unknown here: only the
    /// ledger knows whether its process still lives.
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

    /// Returns the job that the last attempt has become.
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

    /// Returns the job as one line, if there is one.
    pub fn reference(&self) -> Option<&JobRef> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { job, .. }) => Some(job),
            _ => None,
        }
    }

    /// Returns the address at which the provider was reached, if that is not its own.
    pub fn base_url(&self) -> Option<&str> {
        self.attempts.last()?.sent.base_url.as_deref()
    }

    /// Returns the task that an upgrade has of its own.
    pub fn own_task(&self) -> Option<&str> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { task, .. }) => task.as_deref(),
            _ => None,
        }
    }

    /// Returns the unknown outcome, if that is the state.
    pub fn unknown(&self) -> Option<Unknown> {
        let attempt = self
            .attempts
            .last()
            .filter(|_| self.state == EntryState::Unknown)?;
        let error = match &attempt.outcome {
            Some(Outcome::Unknown { error }) => error.clone(),
            _ => Error::new(
                crate::ErrorKind::OutcomeUnknown,
                "the process ended while the request was being sent",
            ),
        };
        Some(Unknown {
            key: Some(self.key.clone()),
            error,
            offer: self.offer(attempt),
            sent_at: attempt.at,
        })
    }

    /// Returns why the job has failed, or why the last attempt was rejected or is unknown.
    pub fn why(&self) -> Option<&Error> {
        match &self.attempts.last()?.outcome {
            _ if self.error.is_some() => self.error.as_ref(),
            Some(Outcome::Rejected { error, .. } | Outcome::Unknown { error }) => Some(error),
            _ => None,
        }
    }

    /// Returns the receipt of a saved video. An upgrade whose request is not known has none.
    pub fn receipt(&self) -> Option<Receipt> {
        self.wish.asked()?;
        Some(self.delivered.as_ref()?.clone().receipt(self.job()?))
    }

    /// Returns whether there may be something to pay for, to wait for or to save.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Returns whether it can be settled: it is unknown, or was settled as not taken and nothing was sent since.
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

    /// Returns the size that an upgrade is to have.
    pub fn upgrade(&self) -> Option<Resolution> {
        match &self.wish {
            Wish::Upgrade { job, .. } => job.resolution,
            Wish::Request { .. } | Wish::Lost => None,
        }
    }

    /// Returns the offer of an attempt, with the request of the entry.
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

    fn end(&mut self, outcome: Outcome) {
        self.state = outcome.state();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = Some(outcome);
            return;
        }
        // The earlier lines can be damaged. The accepted job is paid for, so it is kept.
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

    /// Records the cost of the last attempt. The highest one counts, and zero or less is none.
    fn cost(&mut self, credits: Option<f64>) {
        if let (Some(attempt), Some(credits)) = (self.attempts.last_mut(), positive_price(credits))
        {
            attempt.credits = Some(attempt.credits.unwrap_or_default().max(credits));
        }
    }
}

impl EntryState {
    /// Returns whether there may be something to pay for, to wait for or to save.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Wanted | Self::OnItsWay | Self::Accepted | Self::Unknown | Self::Finished
        )
    }

    /// Returns its name for people, such as `on its way`.
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
    /// Makes the record of a receipt, without its job.
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

/// Returns a price as a provider tells it. Zero and less are no price.
pub(crate) fn positive_price(credits: Option<f64>) -> Option<f64> {
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
