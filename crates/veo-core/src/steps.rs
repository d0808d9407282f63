//! Does the next call for an entry of a ledger: for queues, for servers, and after a crash.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, no_provider_can, no_such_provider};
use crate::ledger::{
    Delivered, Entry, EntryState, Event, Find, Listed, Outcome, Want, Which, Wish,
};
use crate::runtime::runtime;
use crate::send::{SentNow, is_sent_again, unless_stopped};
use crate::upgrade::Calls;
use crate::{
    Charged, Described, Error, ErrorKind, JobRef, Notice, Receipt, Resend, Resolution, State,
    Submission, Unknown, Video, VideoRequest,
};

/// The result of a [step](Client::step).
///
/// ```
/// use veo_core::Step;
///
/// fn tell(step: &Step) -> String {
///     match step {
///         Step::AgainAfter(pause) => format!("step again in {} s", pause.as_secs()),
///         Step::Video(video) => format!("save {:?}, then say that it is done", video.urls),
///         Step::Failed(error) => format!("there will be no video: {error}"),
///         Step::LookAtIt(unknown) => format!("look for a task from {:?} on, then settle it", unknown.sent_at),
///         Step::Done(receipt) => format!("saved before: {receipt:?}"),
///         _ => "something new".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// There is nothing to do before this time has passed.
    AgainAfter(Duration),
    /// There is a video. Save it, and then call [`Client::done`].
    Video(Box<Video>),
    /// There will be no video under this key. [`Error::charged`] says whether it was paid for.
    Failed(Box<Error>),
    /// The request may have been charged, and is not sent again until you [settle](Client::settle) its key.
    LookAtIt(Box<Unknown>),
    /// The video was saved before. An upgrade of a job that the ledger does not have has no receipt.
    Done(Option<Box<Receipt>>),
}

/// The outcome that the caller has found for an unknown attempt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// The provider has accepted the request as this job.
    Accepted(JobRef),
    /// The provider has not accepted the request, so it may be sent again.
    NotTaken,
}

/// The pause before a failed step is repeated. A run waits longer after each failure, up to a minute.
const AGAIN: Duration = Duration::from_secs(1);
/// The pause before a server steps a key again that is still open after its handler.
const HANDED_AGAIN: Duration = Duration::from_secs(60);
/// The time between two readings of the ledger by a server, for entries of other processes.
const READ_LEDGER_EVERY: Duration = Duration::from_secs(2);
/// A time that is longer than any run.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// The most steps of a run at a time.
const AT_A_TIME: usize = 64;

impl Client {
    /// Stores a wish under a key, and sends nothing. [`step`](Self::step) or [`run`](Self::run) sends it. If the key
    /// already has this wish, its entry stays as it is, except that a rejected entry becomes wanted again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if no provider can make the video, or this client has no ledger;
    /// [`ErrorKind::KeyReused`] if the key has another wish; [`ErrorKind::TargetTaken`], [`ErrorKind::Ledger`] and
    /// [`ErrorKind::LedgerDamaged`].
    pub async fn want(&self, key: &str, request: &VideoRequest) -> Result<Entry, Error> {
        runtime()?;
        let plan = self.planned(request).await;
        if plan.offers.is_empty() {
            return Err(no_provider_can(&plan.refusals));
        }
        let entry = self
            .ledger()
            .want(Want::new(key, Wish::request(request).await))
            .await?;
        self.hurry_on(&entry);
        Ok(entry)
    }

    /// Does the next thing for a key. A step sends a wanted request, asks about an accepted job, or begins an upgrade
    /// if the video is smaller than requested. It never downloads, and at most one of its calls can be charged.
    ///
    /// Every step of the key returns the video until you call [`done`](Self::done).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if there is no such key, or no ledger; [`ErrorKind::Ledger`] and
    /// [`ErrorKind::LedgerDamaged`]; otherwise the error of the provider or of an upload. You can repeat the step.
    pub async fn step(&self, key: &str) -> Result<Step, Error> {
        self.check_ledger()?;
        let entry = self
            .ledger()
            .entry(key)
            .await?
            .ok_or_else(|| no_such(key))?;
        match entry.state {
            EntryState::Wanted => self.begin_step(&entry).await,
            EntryState::Rejected => match entry.why() {
                Some(error) if is_worth_another_try(error) && entry.can_be_sent() => {
                    self.begin_step(&entry).await
                }
                Some(error) => Ok(Step::Failed(Box::new(error.clone()))),
                None => self.begin_step(&entry).await,
            },
            EntryState::OnItsWay => Ok(Step::AgainAfter(AGAIN)),
            // An unknown call may be paid for. Only the call of an upgrade that also asks for the progress is repeated.
            EntryState::Unknown if self.repeats_unknown_call(&entry) => {
                self.upgrade_step(&entry).await
            }
            EntryState::Unknown => match entry.unknown() {
                Some(unknown) => Ok(Step::LookAtIt(Box::new(unknown))),
                None => Err(damaged_entry(key)),
            },
            EntryState::Accepted | EntryState::Finished => self.ask_step(&entry).await,
            EntryState::Failed => {
                let error = entry
                    .error
                    .clone()
                    .unwrap_or_else(|| Error::new(ErrorKind::JobFailed, "the job has failed"));
                Ok(Step::Failed(Box::new(error)))
            }
            EntryState::Done => Ok(Step::Done(entry.receipt().map(Box::new))),
        }
    }

    /// Steps every open entry that is not unknown, until none is left. It passes to `handle` each video, each failure,
    /// and each outcome that becomes unknown. It also steps entries that this client or its clones store or settle
    /// meanwhile. On [`Step::Video`], save the video and call [`done`](Self::done). On [`Step::LookAtIt`],
    /// [settle](Self::settle) the key, now or later.
    ///
    /// Entries that were unknown before are left out. [List](crate::ledger::Ledger::list) them with [`Which::Open`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read, and [`ErrorKind::InvalidRequest`] if there is no ledger.
    pub async fn run<F>(&self, handle: impl FnMut(String, Step) -> F) -> Result<(), Error>
    where
        F: Future<Output = ()>,
    {
        self.drive(handle, false).await
    }

    /// Steps like [`run`](Self::run), but for a server: it continues when no entry is open, until `stop` is done. It
    /// also steps the entries of other processes. If a video is not [`done`](Self::done) a minute after its handler has
    /// ended, it is passed to `handle` again.
    ///
    /// When `stop` is done, all handlers and all questions are dropped, and the next run repeats them. A paid call that
    /// was sent is not dropped: [`drain`](Self::drain) waits for its outcome.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let folder = tempfile::tempdir()?;
    /// # let client = client.with_ledger(veo_core::ledger::FileLedger::open(folder.path().join("jobs.ledger")).await?);
    /// use veo_core::{Step, VideoRequest};
    ///
    /// client.want("order 17", &VideoRequest::text("A dog playing in a park")).await?;
    /// let (sender, mut videos) = tokio::sync::mpsc::unbounded_channel();
    /// let stop = async { assert_eq!(videos.recv().await.as_deref(), Some("order 17")) };
    /// client
    ///     .run_until(stop, |key, step| {
    ///         let sender = sender.clone();
    ///         async move {
    ///             if let Step::Video(video) = step {
    ///                 println!("save {:?}, and say that it is done", video.urls);
    ///                 let _ = sender.send(key);
    ///             }
    ///         }
    ///     })
    ///     .await?;
    /// client.drain().await;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if this client has no ledger. A ledger that cannot be read is read again later.
    pub async fn run_until<F>(
        &self,
        stop: impl Future<Output = ()>,
        handle: impl FnMut(String, Step) -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = ()>,
    {
        unless_stopped(pin!(stop), self.drive(handle, true))
            .await
            .unwrap_or(Ok(()))
    }

    /// Records that the caller has saved the video of a key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if there is no such key, and [`ErrorKind::Ledger`] if writing fails.
    pub async fn done(&self, key: &str, receipt: &Receipt) -> Result<(), Error> {
        runtime().map_err(|error| error.with_charged(Charged::Yes))?;
        let delivered = Box::new(Delivered::new(receipt));
        let written = self.ledger().record(key, Event::Done { delivered }).await;
        written
            .map(drop)
            .map_err(|error| error.with_charged(Charged::Yes))
    }

    /// Settles a key whose outcome is unknown. A job is stored only if the provider has its task, and the task has no
    /// other prompt or model (for an upgrade, no other size or video). The task must belong to no other key. After
    /// [`Settlement::NotTaken`] the request can be sent again; until then a job can correct this settlement.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the outcome is not unknown, or the job cannot be that of the key; otherwise the
    /// error of the provider or of the ledger.
    pub async fn settle(&self, key: &str, settlement: Settlement) -> Result<Entry, Error> {
        let entry = self.settled(key, settlement).await?;
        self.hurry_on(&entry);
        Ok(entry)
    }

    /// Settles the unknown attempt that a verified webhook is about. It finds the attempt by the marker in the address
    /// at which the webhook arrived. The webhook proves nothing, so the provider is asked about the task. Returns the
    /// entry of the job, if there is one. A [run](Self::run) of this client or its clones steps this entry at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the job cannot be that of the attempt, or this client has no ledger; otherwise
    /// the error of the provider or of the ledger.
    pub async fn settle_by(&self, notice: &Notice) -> Result<Option<Entry>, Error> {
        let entry = self.settled_by(notice).await?;
        if let Some(entry) = &entry {
            self.hurry_on(entry);
        }
        Ok(entry)
    }

    /// Returns the entry of a key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read.
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>, Error> {
        runtime()?;
        self.ledger().entry(key).await
    }

    /// Steps open entries, for ever or until none is left.
    async fn drive<F>(
        &self,
        mut handle: impl FnMut(String, Step) -> F,
        for_ever: bool,
    ) -> Result<(), Error>
    where
        F: Future<Output = ()>,
    {
        self.check_ledger()?;
        let mut agenda = Agenda::new(for_ever);
        let mut hurried = self.hurry().subscribe();
        let mut under_way = FuturesUnordered::new();
        let mut handling = FuturesUnordered::new();
        let mut look_at = Instant::now();
        let mut looking = pin!(Fuse::terminated());
        loop {
            if look_at <= Instant::now() && looking.is_terminated() {
                looking.set(self.ledger().list(Which::Open).fuse());
                look_at = Instant::now() + if for_ever { READ_LEDGER_EVERY } else { NEVER };
            }
            while under_way.len() < AT_A_TIME
                && let Some(key) = agenda.next()
            {
                under_way.push(async move { (self.step(&key).await, key) });
            }
            let is_idle = under_way.is_empty() && handling.is_empty() && looking.is_terminated();
            if !for_ever && is_idle && agenda.first().is_none() {
                match hurried.try_recv() {
                    Ok(key) => agenda.hurry(key),
                    Err(TryRecvError::Lagged(_)) => look_at = Instant::now(),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
                }
                continue;
            }
            let mut wake_at = Instant::now() + NEVER;
            if looking.is_terminated() {
                wake_at = look_at;
            }
            if under_way.len() < AT_A_TIME
                && let Some(due) = agenda.first()
            {
                wake_at = due.min(wake_at);
            }
            tokio::select! {
                listed = &mut looking, if !looking.is_terminated() => match listed {
                    Ok(listed) => agenda.take_up(listed),
                    Err(error) if for_ever => tracing::warn!(%error, "the ledger cannot be read"),
                    Err(error) => return Err(error),
                },
                Some((step, key)) = under_way.next(), if !under_way.is_empty() => {
                    if let Some(step) = agenda.stepped(&key, step) {
                        let is_video = matches!(step, Step::Video(_));
                        let handled = handle(key.clone(), step);
                        handling.push(async move {
                            handled.await;
                            let is_left = for_ever && self.is_left(&key).await;
                            (key, is_video, is_left)
                        });
                    }
                }
                Some((key, is_video, is_left)) = handling.next(), if !handling.is_empty() => {
                    agenda.handled(key, is_video, is_left);
                }
                key = hurried.recv() => match key {
                    Ok(key) => agenda.hurry(key),
                    // The channel has lost keys, so the whole ledger is read.
                    Err(_) => look_at = Instant::now(),
                },
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// Returns whether a key has to be stepped again after its handler.
    async fn is_left(&self, key: &str) -> bool {
        let entry = self.ledger().entry(key).await.ok().flatten();
        entry.is_some_and(|entry| entry.is_open() && entry.state != EntryState::Unknown)
    }

    async fn settled(&self, key: &str, settlement: Settlement) -> Result<Entry, Error> {
        self.check_ledger()?;
        let entry = self
            .ledger()
            .entry(key)
            .await?
            .ok_or_else(|| no_such(key))?;
        match settlement {
            // This lets the request be sent again. Only the caller can know that the provider has not accepted it.
            Settlement::NotTaken if entry.state == EntryState::Unknown => {
                let error = Error::new(ErrorKind::NotSent, "settled as not accepted");
                let settled = Event::Settled {
                    outcome: Outcome::Rejected {
                        error,
                        is_settled: true,
                        is_wanted: false,
                    },
                    attempts: entry.attempts.len(),
                };
                self.ledger().record(key, settled).await
            }
            Settlement::Accepted(job) if entry.can_be_settled() => {
                let job = in_form_of(&entry, job);
                if let Some(other) = self.owner_of(&job).await?
                    && other.key != key
                {
                    return Err(invalid_request(format!(
                        "{job} is the job of {}",
                        other.key
                    )));
                }
                self.check_evidence(&entry, &job).await?;
                self.accept(&entry, &job).await
            }
            _ => Err(invalid_request(format!(
                "{key} is {}; only an unknown outcome can be settled",
                entry.state
            ))),
        }
    }

    async fn settled_by(&self, notice: &Notice) -> Result<Option<Entry>, Error> {
        self.check_ledger()?;
        for job in notice.jobs() {
            if let Some(entry) = self.ledger().find(Find::Job(&job)).await? {
                return Ok(Some(entry));
            }
        }
        let Some(marker) = &notice.marker else {
            return Ok(None);
        };
        let Some(entry) = self.ledger().find(Find::Marker(marker)).await? else {
            return Ok(None);
        };
        // The callback does not name the account, so the account is that of the attempt.
        let mut job = in_form_of(&entry, notice.job.clone());
        if let Some(attempt) = entry.attempts.last() {
            job.account = attempt
                .sent
                .account
                .split_once('@')
                .map(|(_, name)| name.to_owned());
        }
        match entry.state {
            EntryState::Unknown => {
                self.check_evidence(&entry, &job).await?;
                self.accept(&entry, &job).await.map(Some)
            }
            // In any other state the outcome is known, or the sending process will write it down.
            _ => Ok(Some(entry)),
        }
    }

    /// Lets a run step an entry at once, if the entry is open and not unknown.
    fn hurry_on(&self, entry: &Entry) {
        if entry.is_open() && entry.state != EntryState::Unknown {
            // Without a run there is no receiver.
            let _ = self.hurry().send(entry.key.clone());
        }
    }

    /// Returns an error if a task cannot come from the offer that was sent.
    async fn check_evidence(&self, entry: &Entry, job: &JobRef) -> Result<(), Error> {
        let key = &entry.key;
        let is_upgrade = entry.upgrade().is_some();
        let account = job.account();
        let provider = self
            .account(&account)
            .ok_or_else(|| no_such_provider(job))?;
        if is_upgrade && !provider.upgrades_as_task(job) {
            return Err(invalid_request(format!(
                "{key} is an upgrade in kie.ai's old form; request the upgrade again to continue it"
            )));
        }
        let sent = entry.attempts.last().map(|attempt| &attempt.sent);
        if let Some(sent) = sent
            && sent.account != account
        {
            let sent_to = &sent.account;
            return Err(invalid_request(format!(
                "{key} was sent to {sent_to}, so it cannot have become {job}"
            )));
        }
        let described = provider.describe(job).await;
        let described = described.map_err(|error| error.with_job(job))?;
        if let Wish::Upgrade { job: larger, .. } = &entry.wish {
            return check_upgrade_task(key, larger, job, &described);
        }
        if described.upgrade.is_some() {
            return Err(invalid_request(format!(
                "{job} is an upgrade, but {key} is not"
            )));
        }
        let Described { prompt, model, .. } = described;
        // An entry whose line was torn off has no prompt and no model to compare.
        if let (Some(asked), Some(prompt)) = (entry.wish.asked(), prompt)
            && prompt.trim() != asked.prompt.trim()
        {
            return Err(invalid_request(format!(
                "{job} has another prompt than {key}"
            )));
        }
        if let (Some(sent), Some(model)) = (sent, model)
            && model != sent.model
        {
            return Err(invalid_request(format!(
                "{job} was made with {model}, and {key} was sent to {}",
                sent.model
            )));
        }
        Ok(())
    }

    /// Returns the entry that has a task as its job or as the upgrade's own task.
    async fn owner_of(&self, job: &JobRef) -> Result<Option<Entry>, Error> {
        let task = job.without_resolution();
        if let Some(entry) = self.ledger().find(Find::Job(&task)).await? {
            return Ok(Some(entry));
        }
        for listed in self.ledger().list(Which::All).await? {
            let is_upgrade = listed.job.as_ref() == Some(&listed.key);
            if is_upgrade
                && let Some(entry) = self.ledger().entry(&listed.key).await?
                && let Wish::Upgrade { job: larger, .. } = &entry.wish
                && entry.own_task() == Some(&*task.task)
                && larger.account() == task.account()
                && larger.form == task.form
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    async fn accept(&self, entry: &Entry, job: &JobRef) -> Result<Entry, Error> {
        let (job, task) = match &entry.wish {
            Wish::Upgrade { job: small, .. } => (small.clone(), Some(job.task.clone())),
            wish => {
                let mut job = job.clone();
                let asked = wish.asked().and_then(|request| request.resolution);
                job.resolution = asked.filter(|resolution| *resolution > Resolution::P720);
                (job, None)
            }
        };
        let settled = Event::Settled {
            outcome: Outcome::Accepted {
                job,
                task,
                at: entry.attempts.last().map_or(entry.at, |attempt| attempt.at),
                refusals: Vec::new(),
            },
            attempts: entry.attempts.len(),
        };
        self.ledger().record(&entry.key, settled).await
    }

    /// Sends a wanted request to the next provider that has not rejected it.
    async fn begin_step(&self, entry: &Entry) -> Result<Step, Error> {
        let Wish::Request { request, .. } = &entry.wish else {
            return self.upgrade_step(entry).await;
        };
        let mut prepared = self.prepare(request).await?.key(&entry.key);
        // A provider that has rejected the request is asked again only after all providers have rejected it.
        let left = prepared.leave_out(&entry.attempts);
        if let Some(target) = &entry.target {
            prepared = prepared.target(target);
        }
        let has_others = left > 1;
        let submission = match self.send_now(prepared, has_others).await? {
            SentNow::Submission(submission) => submission,
            SentNow::AgainAfter(pause) => return Ok(Step::AgainAfter(pause)),
        };
        let error = match *submission {
            Submission::Accepted(_) => return Ok(Step::AgainAfter(self.poll().first)),
            Submission::Unknown(unknown) => return Ok(Step::LookAtIt(Box::new(unknown))),
            Submission::Rejected(error) => error,
        };
        if !is_sent_again(&error, has_others) {
            return Ok(Step::Failed(Box::new(error)));
        }
        Ok(Step::AgainAfter(match error.resend() {
            Resend::After(pause) => pause,
            Resend::Same => growing_pause(entry.attempts.len()),
            // Another provider is asked at once.
            _ => Duration::ZERO,
        }))
    }

    async fn ask_step(&self, entry: &Entry) -> Result<Step, Error> {
        if entry.upgrade().is_some() {
            return self.upgrade_step(entry).await;
        }
        let Some(job) = entry.job() else {
            return Err(damaged_entry(&entry.key));
        };
        let wanted = job.reference.resolution;
        // An upgrade that was begun continues, so no second one is paid for.
        if let Some(to) = wanted
            && let Some(upgrade) = self
                .ledger()
                .entry(&job.reference.with_resolution(to).to_string())
                .await?
            && upgrade.key != entry.key
            && upgrade.state != EntryState::Rejected
        {
            return self.larger_step(entry, &upgrade).await;
        }
        let state = match self.ask(&job.reference).await {
            Ok(state) => state,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return Ok(Step::AgainAfter(
                    error.retry_after().unwrap_or(self.poll().every),
                ));
            }
            Err(error) => return Err(error),
        };
        let pause = self
            .waiting(&job.reference, Some(job.accepted_at))
            .pause_after(&state);
        match state {
            State::Finished(video) => {
                self.record_finished(entry, &video).await?;
                match wanted
                    .filter(|to| video.is_below(*to) && self.can_upgrade(&job.reference, *to))
                {
                    Some(to) => {
                        let upgrade = self.want_upgrade(&job.reference, to, None).await?;
                        self.larger_step(entry, &upgrade).await
                    }
                    None => Ok(Step::Video(video)),
                }
            }
            State::Failed(error) => {
                let error = self.as_of(entry, *error).with_job(&job.reference);
                self.record_failed(entry, &error).await?;
                Ok(Step::Failed(Box::new(error)))
            }
            _ => Ok(Step::AgainAfter(pause)),
        }
    }

    /// Steps the upgrade of a video.
    async fn larger_step(&self, small: &Entry, upgrade: &Entry) -> Result<Step, Error> {
        match Box::pin(self.step(&upgrade.key)).await? {
            // The smaller video is paid for, so the caller gets it.
            Step::Failed(error) => {
                let Some(job) = small.job() else {
                    return Err(damaged_entry(&small.key));
                };
                match self.ask(&job.reference).await? {
                    State::Finished(video) => {
                        let shortfall = Some(format!(
                            "the video was to be larger, and cannot be upgraded: {error}"
                        ));
                        Ok(Step::Video(Box::new(Video {
                            shortfall,
                            ..*video
                        })))
                    }
                    _ => Ok(Step::AgainAfter(AGAIN)),
                }
            }
            step => Ok(step),
        }
    }

    async fn upgrade_step(&self, entry: &Entry) -> Result<Step, Error> {
        let (Some(to), Wish::Upgrade { job, .. }) = (entry.upgrade(), &entry.wish) else {
            return Err(damaged_entry(&entry.key));
        };
        match self
            .upgrade_call(job, to, false, &mut Calls::default())
            .await
        {
            Ok(State::Finished(video)) => Ok(Step::Video(video)),
            Ok(State::Failed(error)) => Ok(Step::Failed(error)),
            Ok(_) => Ok(Step::AgainAfter(self.poll().every_upgrade)),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                let entry = self.ledger().entry(&entry.key).await?;
                match entry.and_then(|entry| entry.unknown()) {
                    Some(unknown) => Ok(Step::LookAtIt(Box::new(unknown))),
                    None => Err(error),
                }
            }
            Err(error) if error.refuses_upgrade() => Ok(Step::Failed(Box::new(error))),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                Ok(Step::AgainAfter(self.poll().every_upgrade))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn record_finished(&self, entry: &Entry, video: &Video) -> Result<(), Error> {
        if entry.state == EntryState::Accepted {
            self.record_with_retry(
                &entry.key,
                Event::Finished {
                    credits: video.credits,
                },
            )
            .await?;
            self.learn_price(&entry.key).await;
        }
        Ok(())
    }

    pub(crate) async fn record_failed(&self, entry: &Entry, error: &Error) -> Result<(), Error> {
        if matches!(entry.state, EntryState::Accepted | EntryState::Finished) {
            self.record_with_retry(
                &entry.key,
                Event::Failed {
                    error: error.clone(),
                },
            )
            .await?;
            self.learn_price(&entry.key).await;
        }
        Ok(())
    }
}

/// The keys that a run has to step, and the time of each.
struct Agenda {
    /// True for the run of a server, which continues when no entry is open.
    for_ever: bool,
    due: BTreeSet<(Instant, String)>,
    turns: HashMap<String, Turn>,
    /// The number of failed steps in a row of each key.
    failures: HashMap<String, usize>,
}

/// The progress of a run with a key.
enum Turn {
    /// The key is stepped at this time.
    Due(Instant),
    /// The key is being stepped or handled.
    Busy {
        /// True if the key was stored or settled meanwhile.
        is_hurried: bool,
    },
    /// The handler of the key has ended. A video is not passed to a handler twice.
    Handed { is_video: bool },
}

impl Agenda {
    fn new(for_ever: bool) -> Self {
        Self {
            for_ever,
            due: BTreeSet::new(),
            turns: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// Returns the earliest time at which a key is due.
    fn first(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Removes and returns a key that is due now.
    fn next(&mut self) -> Option<String> {
        let (_, key) = self
            .first()
            .filter(|at| *at <= Instant::now())
            .and_then(|_| self.due.pop_first())?;
        self.turns
            .insert(key.clone(), Turn::Busy { is_hurried: false });
        Some(key)
    }

    /// Adds the open keys that are not on the agenda. An unknown key waits until it is settled.
    fn take_up(&mut self, open: Vec<Listed>) {
        for Listed { key, state, .. } in open {
            if state != EntryState::Unknown && !self.turns.contains_key(&*key) {
                self.put(key.to_string(), Instant::now());
            }
        }
    }

    /// Makes a key due now, since it was stored or settled.
    fn hurry(&mut self, key: String) {
        match self.turns.get_mut(&key) {
            Some(Turn::Busy { is_hurried }) => *is_hurried = true,
            Some(Turn::Handed { is_video: true }) => {}
            Some(Turn::Due(_) | Turn::Handed { is_video: false }) | None => {
                self.put(key, Instant::now())
            }
        }
    }

    /// Returns the result of a step if the handler gets it. Otherwise plans the next step.
    fn stepped(&mut self, key: &str, step: Result<Step, Error>) -> Option<Step> {
        match step {
            Ok(Step::AgainAfter(pause)) => self.again(key.to_owned(), pause),
            // Another process has already saved the video.
            Ok(Step::Done(_)) => self.handled(key.to_owned(), true, false),
            Ok(step) => return Some(step),
            Err(error) => {
                tracing::warn!(%error, key, "a step was not possible");
                self.step_failed(key.to_owned());
            }
        }
        None
    }

    /// Plans the next step of a key after a pause.
    fn again(&mut self, key: String, pause: Duration) {
        self.failures.remove(&key);
        let is_hurried = matches!(self.turns.get(&key), Some(Turn::Busy { is_hurried: true }));
        let pause = if is_hurried {
            Duration::ZERO
        } else {
            pause.min(NEVER)
        };
        self.put(key, Instant::now() + pause);
    }

    /// Plans the next step of a key after a failed step.
    fn step_failed(&mut self, key: String) {
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = growing_pause(*failures);
        *failures += 1;
        self.put(key, Instant::now() + pause);
    }

    /// Ends the handling of a key. `is_left` is true if the key has to be stepped again.
    fn handled(&mut self, key: String, is_video: bool, is_left: bool) {
        self.failures.remove(&key);
        let is_hurried = matches!(self.turns.get(&key), Some(Turn::Busy { is_hurried: true }));
        if is_hurried && (self.for_ever || !is_video) {
            self.put(key, Instant::now());
        } else if is_left {
            self.put(key, Instant::now() + HANDED_AGAIN);
        } else if self.for_ever {
            self.turns.remove(&key);
        } else {
            self.turns.insert(key, Turn::Handed { is_video });
        }
    }

    fn put(&mut self, key: String, at: Instant) {
        if let Some(Turn::Due(before)) = self.turns.insert(key.clone(), Turn::Due(at)) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key));
    }
}

impl Entry {
    /// Returns whether the stored request is whole, so that it can be sent from the ledger.
    fn can_be_sent(&self) -> bool {
        !matches!(
            &self.wish,
            Wish::Request { redacted: true, .. } | Wish::Lost
        )
    }
}

/// Returns a job with the form of the entry's last attempt. The id of a task does not say which form has the task.
fn in_form_of(entry: &Entry, mut job: JobRef) -> JobRef {
    if let Some(attempt) = entry.attempts.last() {
        job.form.clone_from(&attempt.sent.form);
    }
    job
}

/// Returns an error if the provider's record shows that a task is not this upgrade.
fn check_upgrade_task(
    key: &str,
    larger: &JobRef,
    task: &JobRef,
    described: &Described,
) -> Result<(), Error> {
    let is_other_model = described.model.is_some() && described.upgrade.is_none();
    if described.prompt.is_some() || is_other_model || task.task == larger.task {
        return Err(invalid_request(format!(
            "{task} is not an upgrade, but {key} is"
        )));
    }
    if let (Some(to), Some(wanted)) = (described.upgrade, larger.resolution)
        && to != wanted
    {
        let message = format!("{task} makes a video {to}, and {key} was to make it {wanted}");
        return Err(invalid_request(message));
    }
    if let Some(source) = &described.source
        && source.trim() != larger.task
    {
        let message = format!(
            "{task} makes {source} larger, and {key} was to make {} larger",
            larger.task
        );
        return Err(invalid_request(message));
    }
    Ok(())
}

/// Returns the pause after this many failed tries. It grows each time, up to a minute.
fn growing_pause(tries: usize) -> Duration {
    HANDED_AGAIN.min(AGAIN * (1 << tries.min(6)))
}

/// Returns whether a step sends a rejected request again by itself.
fn is_worth_another_try(error: &Error) -> bool {
    matches!(error.resend(), Resend::Same | Resend::After(_))
}

fn invalid_request(message: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

fn no_such(key: &str) -> Error {
    invalid_request(format!("there is no {key:?} in the ledger"))
}

fn damaged_entry(key: &str) -> Error {
    let message =
        format!("the entry of {key:?} in the ledger is damaged; look for its task at the provider");
    Error::new(ErrorKind::LedgerDamaged, message)
}
