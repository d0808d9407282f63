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
        /// The request as the caller made it. Its links have their queries only while it may still be sent.
        request: Box<VideoRequest>,
        /// The SHA-256 of each image and link, in the order of the request; none for a file that cannot be read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contents: Vec<Option<String>>,
        /// True if secrets of links or bytes of images were removed, so that the request cannot be sent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        redacted: bool,
    },
    /// An upgrade: a finished video is to be made larger.
    Upgrade {
        /// The job of the smaller video, with the size of the larger one (`kie:TASK:4k`).
        job: JobRef,
        /// The request of the smaller video, if this ledger has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Box<VideoRequest>>,
    },
    /// A wish that is lost, since its line is damaged.
    Lost,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// The wish is stored, and nothing is being sent. No call was made under the key, or all were rejected.
    Wanted,
    /// A live process is sending the call.
    OnItsWay,
    /// The provider has accepted the call; there is a job, which is paid for.
    Accepted,
    /// The call was refused or not sent, and nothing was charged. The wish may be sent again under its key.
    Rejected,
    /// The call was sent, and no reliable reply came back. It may have been charged. Nothing is sent until the entry is
    /// settled.
    Unknown,
    /// The job has a video, which the caller has not saved yet.
    Finished,
    /// The job was accepted and failed, so there will be no video. Another video needs a new key.
    Failed,
    /// The caller has saved the video.
    Done,
}

/// All that a ledger stores for one key.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The caller's name for the wish.
    pub key: String,
    /// The state of the entry.
    pub state: EntryState,
    /// The time at which the entry was first written down; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// The wish.
    pub wish: Wish,
    /// The file in which the video is to be saved. No two open entries of a ledger have the same target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The attempts, in order. All attempts before the last one were rejected.
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

/// An offer that was sent, with its outcome.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// The offer as it was sent, without its request, which is in the entry.
    pub sent: Sent,
    /// The time at which the attempt began; in JSON the seconds since 1970.
    #[serde(with = "unix_seconds")]
    pub at: SystemTime,
    /// The number of calls. It is above one only for an upgrade in kie.ai's old form, whose call asks for the progress.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub calls: u32,
    /// The marker in the callback address of the offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The name of the budget that pays for the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The credits that the budget has set aside for the attempt while its price was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<f64>,
    /// The price of the attempt in credits, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// The outcome, if it was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// An offer as it was sent to a provider. Its links are stored without their queries.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// The name of the provider.
    pub provider: String,
    /// The account: the name of the provider, or a named account (`kie@studio`).
    pub account: String,
    /// The address at which the provider was reached, if it is not the provider's usual address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The form of the provider's API, if it is not the provider's first form.
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
    /// The provider has accepted the call. The job is paid for.
    Accepted {
        /// The job.
        job: JobRef,
        /// The id of the upgrade's own task, if it differs from the task of the smaller video.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// The time of acceptance; in JSON the seconds since 1970.
        #[serde(with = "unix_seconds")]
        at: SystemTime,
        /// The refusals of the providers that were asked before this one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refusals: Vec<String>,
    },
    /// The call was refused or not sent, and nothing was charged.
    Rejected {
        /// The reason.
        error: Error,
        /// True if the caller has [settled](crate::Client::settle) the call as not accepted. A job can correct this
        /// until something is sent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_settled: bool,
        /// True if the entry becomes wanted again. Then the client sends the wish again by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_wanted: bool,
    },
    /// The call was sent, and no reliable reply came back. It may have been charged.
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
    /// The price of the video in credits, if the provider has reported one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// The seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<i64>,
    /// The time at which the provider began, by the provider's clock.
    #[serde(
        default,
        with = "crate::time::optional_unix_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_at: Option<SystemTime>,
    /// The time at which the provider finished, by the provider's clock.
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
/// [`Entry::apply`] makes the entry from them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The caller has stored the wish, or wants it again after a rejection.
    Wanted {
        /// The wish; none if the ledger already has the same wish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// The file in which the video is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// The paid call is about to be sent.
    Begun {
        /// The wish; none if it was written down before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<Wish>,
        /// The file in which the video is to be saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// The attempt, which has no outcome yet.
        attempt: Box<Attempt>,
    },
    /// The call of an upgrade is about to be repeated. A ledger refuses this event with
    /// [`ErrorKind::OnItsWay`](crate::ErrorKind::OnItsWay) if another process repeats the call.
    CalledAgain {
        /// The number of the call, counted from one.
        calls: u32,
    },
    /// The paid call has ended.
    Ended {
        /// The outcome of the call.
        outcome: Outcome,
    },
    /// The caller or a webhook has found the outcome of the paid call. A ledger refuses this event with
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) if the entry cannot be settled any more, or if
    /// the job belongs to another entry.
    Settled {
        /// The outcome of the call.
        outcome: Outcome,
        /// The number of attempts that the entry had when the outcome was found.
        attempts: usize,
    },
    /// The job has a video.
    Finished {
        /// The price of the video in credits, if the provider has reported one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credits: Option<f64>,
    },
    /// The job has failed.
    Failed {
        /// The reason.
        error: Error,
    },
    /// The fall of the balance has shown the cost of the call.
    Cost {
        /// The cost in the account's credits.
        credits: f64,
    },
    /// The caller has saved the video.
    Done {
        /// The saved file, and the facts that the provider has reported about the video.
        delivered: Box<Delivered>,
    },
    /// The whole entry, in the place of all its earlier events.
    Entry {
        /// The entry.
        entry: Box<Entry>,
    },
    /// The balance of an account has fallen while a budget was in use. It belongs to no entry; its key is the budget.
    Fall {
        /// The fall in the account's credits.
        credits: f64,
    },
    /// The last line of the file was torn off. The call of that line may have been sent.
    Torn,
}

impl Event {
    /// Returns whether the event comes too late in this state of the entry. A ledger drops a late event.
    pub fn is_late(&self, state: EntryState) -> bool {
        let is_over = matches!(
            state,
            EntryState::Finished | EntryState::Failed | EntryState::Done
        );
        match self {
            Self::Ended {
                outcome: Outcome::Accepted { task: Some(_), .. },
            } => is_over,
            // A late rejection must not make a paid entry rejected, since a rejected entry is sent again.
            Self::Ended { .. } => is_over || state == EntryState::Accepted,
            Self::Finished { .. } => state != EntryState::Accepted,
            Self::Failed { .. } => !matches!(state, EntryState::Accepted | EntryState::Finished),
            _ => false,
        }
    }

    /// Returns the job of a settlement. A ledger has to check that the job belongs to no other entry.
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
    /// Makes the wish for a new video. It reads the local images, so that the ledger can compare their contents later.
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

    /// Returns the request; for an upgrade the request of the smaller video, if the ledger has it.
    pub fn asked(&self) -> Option<&VideoRequest> {
        match self {
            Self::Request { request, .. } => Some(request),
            Self::Upgrade { request, .. } => request.as_deref(),
            Self::Lost => None,
        }
    }

    /// Returns the wish without secrets in its links and without the bytes of images. If any were removed, the wish
    /// cannot be sent.
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

    /// Returns whether this wish equals a stored one: the same fields, and images with the same bytes.
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
                // A ledger of an earlier version has no contents.
                let is_comparable =
                    contents.len() == stored_contents.len() || stored_contents.is_empty();
                is_comparable && is_same_request(request, contents, stored, stored_contents)
            }
            (Self::Upgrade { job, .. }, Self::Upgrade { job: stored, .. }) => job == stored,
            // A lost wish counts as equal. Its call may be paid for, so the caller gets the entry, and nothing is sent.
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
        // Images of equal contents are equal, even if their names differ.
        for request in [&mut request, &mut stored] {
            if let Some(image) = request.images_mut().into_iter().nth(index) {
                *image = Image::Url(String::new());
            }
        }
    }
    request == stored
}

impl Sent {
    /// Makes the stored form of an offer that is sent.
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

    /// Makes the outcome of a rejected call whose wish becomes wanted again. One line has both facts, since a process
    /// can end between two lines.
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

    /// Makes the attempt of a job whose earlier lines are lost.
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

    /// Returns the error of the rejection, if the attempt was rejected.
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

    /// Makes an entry of which only the key is known. Its call may have been sent, so it is unknown.
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

    /// Applies the next event, which happened at the time `at`. An attempt without an outcome makes the entry unknown
    /// here: only the ledger can see that the sending process is alive.
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

    /// Returns the job, if the last attempt was accepted.
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

    /// Returns the name of the job, if the last attempt was accepted.
    pub fn reference(&self) -> Option<&JobRef> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { job, .. }) => Some(job),
            _ => None,
        }
    }

    /// Returns the address at which the provider was reached, if it is not the provider's usual address.
    pub fn base_url(&self) -> Option<&str> {
        self.attempts.last()?.sent.base_url.as_deref()
    }

    /// Returns the id of the upgrade's own task, if it is known and differs from the task of the smaller video.
    pub fn own_task(&self) -> Option<&str> {
        match &self.attempts.last()?.outcome {
            Some(Outcome::Accepted { task, .. }) => task.as_deref(),
            _ => None,
        }
    }

    /// Returns the unknown outcome, if the entry is unknown.
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

    /// Returns the receipt of a saved video. An upgrade whose request the ledger does not have has no receipt.
    pub fn receipt(&self) -> Option<Receipt> {
        self.wish.asked()?;
        Some(self.delivered.as_ref()?.clone().receipt(self.job()?))
    }

    /// Returns whether the wish may still have to be sent, settled, waited for or saved.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Returns whether the entry can be settled: it is unknown, or was settled as not accepted and not sent since.
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

    /// Returns the size of the larger video, if the entry is an upgrade.
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
        // The earlier lines can be damaged. The accepted job is paid for, so the entry keeps it.
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

    /// Sets the cost of the last attempt. The highest reported cost counts, and a cost of zero or less is ignored.
    fn cost(&mut self, credits: Option<f64>) {
        if let (Some(attempt), Some(credits)) = (self.attempts.last_mut(), positive_price(credits))
        {
            attempt.credits = Some(attempt.credits.unwrap_or_default().max(credits));
        }
    }
}

impl EntryState {
    /// Returns whether the wish may still have to be sent, settled, waited for or saved.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Wanted | Self::OnItsWay | Self::Accepted | Self::Unknown | Self::Finished
        )
    }

    /// Returns the name of the state for people, such as `on its way`.
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
    /// Makes the stored form of a receipt, without its job.
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

/// Returns a price that a provider has reported. Zero and less are no price.
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
