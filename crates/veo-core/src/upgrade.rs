//! A finished video made larger: a paid call of its own. In kie.ai's old form the same call also asks for the progress.

use serde_json::Value;
use tracing::{Instrument, info_span};

use crate::client::{Client, no_such_provider};
use crate::ledger::{Begin, Begun, Entry, EntryState, Event, Outcome, Want, Wish};
use crate::provider::Upgrade;
use crate::runtime::runtime;
use crate::time::now;
use crate::wait::Waiting;
use crate::{
    Charged, Error, ErrorKind, JobRef, Offer, Operation, Provider, Resolution, State, Video,
    VideoRequest,
};

/// The number of calls for 4K in all that the library makes without being asked, the first one included, while the outcome is
/// unknown. The page of kie.ai says that a repeated call answers with the state, so it is not charged.
const CALLS_OF_4K: u32 = 2;

impl Client {
    /// Makes the video of a finished job larger, which costs extra, and waits for it. The key in the
    /// [ledger](Self::with_ledger) is the job with the size: a call for the same job and resolution goes on with the
    /// same upgrade. Only kie.ai can do this.
    ///
    /// In kie.ai's old form the call itself asks for the progress. So the call for 1080p is repeated until the video is
    /// there. The call for 4K is repeated only until its task can be asked, and once after a lost reply. After a lost
    /// reply to the call for 1080p the outcome is unknown, and calling this function again repeats the call. In kie.ai's current form
    /// an upgrade is a task of its own: the call is made once, and a lost reply has to be [settled](Self::settle).
    ///
    /// ```
    /// use veo_core::{Client, Error, Job, Resolution};
    ///
    /// async fn in_4k(client: &Client, job: &Job) -> Result<Vec<String>, Error> {
    ///     Ok(client.upgrade(job, Resolution::K4).await?.urls)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the provider cannot do it. [`ErrorKind::Refused`], [`ErrorKind::Retired`] and
    /// [`ErrorKind::InsufficientCredits`] if it refuses: the smaller video is all there is.
    /// [`ErrorKind::OutcomeUnknown`] if the reply to the call was lost. [`ErrorKind::OverBudget`],
    /// [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`] if it was not sent. With any other kind the upgrade could
    /// not be followed, and goes on. The error carries the job.
    pub async fn upgrade(&self, job: impl AsRef<JobRef>, to: Resolution) -> Result<Video, Error> {
        self.upgrade_with(job, to, |_state| {}).await
    }

    /// Makes a video larger like [`upgrade`](Self::upgrade), and reports every state on the way.
    ///
    /// # Errors
    ///
    /// The errors of [`upgrade`](Self::upgrade).
    pub async fn upgrade_with(
        &self,
        job: impl AsRef<JobRef>,
        to: Resolution,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        self.enlarge(job.as_ref(), to, true, on_state).await
    }

    /// Makes a video larger. `again` says that the caller wants an unknown call to be repeated.
    pub(crate) async fn enlarge(
        &self,
        job: &JobRef,
        to: Resolution,
        again: bool,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        self.check_upgrade(job, to)?;
        self.follow_upgrade(job, to, again, on_state)
            .instrument(info_span!("upgrade", job = %job, to = %to))
            .await
            .map_err(|error| error.with_job(job))
    }

    /// Makes the calls of an upgrade until it has ended, and reports every state on the way.
    async fn follow_upgrade(
        &self,
        job: &JobRef,
        to: Resolution,
        mut again: bool,
        mut on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        let mut own = None;
        let mut waiting = Waiting::new(self.poll().for_upgrade());
        loop {
            waiting.turn().await?;
            let answer = self.upgrade_call(job, to, again, &mut own).await;
            // The caller has asked for one repetition of an unknown call, and not for more.
            again = false;
            if let Some(state) = waiting.take_up(answer)? {
                on_state(&state);
                if let Some(ended) = state.ended() {
                    return ended;
                }
            }
        }
    }

    fn check_upgrade(&self, job: &JobRef, to: Resolution) -> Result<(), Error> {
        runtime().map_err(|error| error.with_job(job))?;
        if self.provider_of(job).is_none() {
            return Err(no_such_provider(job));
        }
        if self.can_upgrade(job, to) {
            return Ok(());
        }
        let message = format!(
            "{} cannot upgrade a video to {to}; choose the size when you make the video",
            job.provider
        );
        Err(Error::new(ErrorKind::InvalidRequest, message).with_job(job))
    }

    /// Returns whether an upgrade with an unknown outcome is called once more by itself.
    pub(crate) fn is_called_again(&self, entry: &Entry) -> bool {
        let Wish::Upgrade { job, .. } = &entry.wish else {
            return false;
        };
        let is_task = self
            .provider_of(job)
            .is_some_and(|provider| provider.upgrades_as_task(job));
        !is_task && has_calls_left(entry)
    }

    pub(crate) fn can_upgrade(&self, job: &JobRef, to: Resolution) -> bool {
        self.provider_of(job)
            .is_some_and(|provider| provider.capabilities().upgrades.contains(&to))
    }

    /// Stores the wish for a larger video of a finished job, and the place where it is to be saved. Nothing is sent:
    /// [`upgrade`](Self::upgrade) or a [step](Self::step) of the key does that. The key is the job with the size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the provider cannot do it, or there is no ledger; [`ErrorKind::TargetTaken`] if
    /// another open entry is to be saved in the same place; [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`].
    pub async fn want_upgrade(
        &self,
        job: impl AsRef<JobRef>,
        to: Resolution,
        target: Option<&str>,
    ) -> Result<Entry, Error> {
        let job = job.as_ref().with_resolution(to);
        self.check_upgrade(&job, to)?;
        let mut want = Want::new(job.to_string(), self.upgrade_wish(&job).await);
        want.target = target.map(str::to_owned);
        self.ledger().want(want).await
    }

    /// Asks the task of an upgrade, or makes its call, whichever tells how far it is. `own` is that task, if known.
    pub(crate) async fn upgrade_call(
        &self,
        job: &JobRef,
        to: Resolution,
        again: bool,
        own: &mut Option<String>,
    ) -> Result<State, Error> {
        let reference = job.with_resolution(to);
        let key = reference.to_string();
        if self.keeps_record()
            && let Some(entry) = self.ledger().entry(&key).await?
        {
            *own = entry.own_task().map(str::to_owned).or(own.take());
        }
        if let Some(task) = own
            && let Some(state) = self.state_of_own_task(&reference, task, to).await?
        {
            return Ok(state);
        }
        let provider = self
            .shared_account(&job.account())
            .ok_or_else(|| no_such_provider(job))?;
        let begin = self.beginning_of_upgrade(&*provider, &reference, to).await;
        let client = self.clone();
        let calling = async move {
            client
                .begin_and_upgrade(&*provider, begin, &reference, to, again)
                .await
        };
        let (state, task) = self.detached(calling).await?;
        *own = task.or(own.take());
        Ok(state)
    }

    /// Makes the record of the call of an upgrade, which is written down before the call is made.
    async fn beginning_of_upgrade(
        &self,
        provider: &dyn Provider,
        reference: &JobRef,
        to: Resolution,
    ) -> Begin {
        let wish = self.upgrade_wish(reference).await;
        let asked = wish.asked().cloned();
        let request = asked.unwrap_or_else(|| VideoRequest::text(""));
        let small = self.entry_of(&reference.without_resolution()).await;
        let model = small.and_then(|entry| Some(entry.attempts.last()?.sent.model.clone()));
        let offer = Offer {
            provider: reference.provider.clone(),
            account: reference.account(),
            base_url: provider.base_url().map(str::to_owned),
            form: reference.form.clone(),
            model: model.unwrap_or_else(|| "unknown".to_owned()),
            operation: Operation::Upgrade,
            // The call names the task, which is in the key.
            body: Value::Null,
            request: request.resolution(to),
            warnings: Vec::new(),
        };
        Begin {
            want: Want::new(reference.to_string(), wish),
            offer,
            marker: None,
            // An upgrade that is a task of its own counts for the limit like any other task.
            limit: provider
                .upgrades_as_task(reference)
                .then_some(provider.capabilities().limit)
                .flatten(),
            budget: self.budget().cloned(),
        }
    }

    /// Writes down an upgrade's call, makes it, and writes down its answer. Returns the state, and its task if it has
    /// one.
    async fn begin_and_upgrade(
        &self,
        provider: &dyn Provider,
        begin: Begin,
        reference: &JobRef,
        to: Resolution,
        again: bool,
    ) -> Result<(State, Option<String>), Error> {
        let begun = self.ledger().begin(begin.clone()).await?;
        if let Some(error) = begun.refusal(&begin.want) {
            return Err(error);
        }
        let entry = match begun {
            Begun::Yours => None,
            Begun::Known(entry) => Some(*entry),
            // Another process makes the call, or it has to wait for its turn.
            _ => return Ok((State::Pending, None)),
        };
        if let Some(entry) = &entry {
            let is_task = provider.upgrades_as_task(reference);
            if let Some(state) = stands_against(entry, to, again, is_task)? {
                return Ok((state, None));
            }
            let calls = calls(entry) + 1;
            let event = Event::CalledAgain { calls };
            match self.ledger().record(&entry.key, event).await {
                Err(error) if error.kind() == ErrorKind::OnItsWay => {
                    return Ok((State::Pending, None));
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        // A ledger has this call by now. After a crash it is unknown, and a repeated call is counted before it leaves.
        let answer = provider.upgrade(reference, to).await;
        let calls_left = if provider.upgrades_as_task(reference) {
            0
        } else {
            CALLS_OF_4K.saturating_sub(entry.as_ref().map_or(0, calls) + 1)
        };
        self.record_upgrade_answer(entry.as_ref(), reference, to, answer, calls_left)
            .await
    }

    /// Returns the state of the task of an upgrade. It is none if the video of the task is as small as before.
    async fn state_of_own_task(
        &self,
        reference: &JobRef,
        task: &str,
        to: Resolution,
    ) -> Result<Option<State>, Error> {
        let mut own = reference.clone();
        own.task = task.to_owned();
        let provider = self
            .shared_account(&own.account())
            .ok_or_else(|| no_such_provider(&own))?;
        let is_task = provider.upgrades_as_task(reference);
        match provider.state(&own).await? {
            // This is not the larger video, so the call is made again to ask for that.
            State::Finished(video) if video.is_below(to) && !is_task => Ok(None),
            State::Finished(video) => {
                // A task of its own makes no other size. Without a size, the video would be taken for the smaller one,
                // whose record has none either.
                let size = Some(to.to_string()).filter(|_| is_task);
                let video = Video {
                    job: reference.clone(),
                    resolution: video.resolution.or(size),
                    ..*video
                };
                self.record_upgrade_finished(&reference.to_string(), &video)
                    .await?;
                Ok(Some(State::Finished(Box::new(video))))
            }
            State::Failed(error) => {
                let error = error.with_job(reference);
                let failed = Event::Failed {
                    error: error.clone(),
                };
                self.write_upgrade(&reference.to_string(), failed).await?;
                Err(error)
            }
            state => Ok(Some(state)),
        }
    }

    /// Writes down the answer to a call, and returns the state and the task of its own. `entry` is from before the
    /// call, and `calls_left` is how often a call for 4K can still be made by itself.
    async fn record_upgrade_answer(
        &self,
        entry: Option<&Entry>,
        reference: &JobRef,
        to: Resolution,
        answer: Upgrade,
        calls_left: u32,
    ) -> Result<(State, Option<String>), Error> {
        let key = reference.to_string();
        let before = match entry.map(|entry| entry.state) {
            None => Before::Nothing,
            Some(EntryState::OnItsWay | EntryState::Unknown) => Before::Lost,
            Some(_) => Before::Accepted,
        };
        match answer {
            Upgrade::Finished(video) => {
                if before != Before::Accepted {
                    self.write_taken(reference, None).await?;
                }
                let video = Video {
                    job: reference.clone(),
                    ..*video
                };
                self.record_upgrade_finished(&key, &video).await?;
                Ok((State::Finished(Box::new(video)), None))
            }
            Upgrade::Running { task } => {
                // A task of the same name is the smaller video, and says nothing of the larger one.
                let task = task.filter(|task| *task != reference.task);
                if before != Before::Accepted || task.is_some() {
                    self.write_taken(reference, task.as_deref()).await?;
                }
                Ok((State::Running { percent: None }, task))
            }
            // A refusal says nothing of an earlier call whose reply was lost. That one may be paid for.
            Upgrade::Rejected(error) | Upgrade::Unavailable(error) if before == Before::Lost => {
                let error = error.of_kind(ErrorKind::OutcomeUnknown);
                self.write_upgrade(&key, unknown_event(&error)).await?;
                Err(error)
            }
            Upgrade::Rejected(error) => {
                let event = if before == Before::Accepted {
                    Event::Failed {
                        error: error.clone(),
                    }
                } else {
                    rejected_event(&error)
                };
                self.write_upgrade(&key, event).await?;
                Err(error)
            }
            Upgrade::Unavailable(error) => {
                // The outcome of an earlier call stays as it is.
                if before == Before::Nothing {
                    // An upgrade that may be possible later stays wanted.
                    let event = match error.kind() {
                        ErrorKind::Unavailable => still_wanted_event(&error),
                        _ => rejected_event(&error),
                    };
                    self.write_upgrade(&key, event).await?;
                }
                Err(error)
            }
            // A lost reply does not undo an earlier acceptance.
            Upgrade::Unknown(error) if before == Before::Accepted || !self.keeps_record() => {
                Err(error)
            }
            Upgrade::Unknown(error) => {
                let error = error.of_kind(ErrorKind::OutcomeUnknown);
                self.write_upgrade(&key, unknown_event(&error)).await?;
                // The next call for 4K tells the state.
                if to == Resolution::K4 && calls_left > 0 {
                    return Ok((State::Pending, None));
                }
                Err(error)
            }
        }
    }

    /// Writes down that an upgrade was taken. If that fails, the error names its task, which is paid for.
    async fn write_taken(&self, reference: &JobRef, task: Option<&str>) -> Result<(), Error> {
        let outcome = Outcome::Accepted {
            job: reference.clone(),
            task: task.map(str::to_owned),
            at: now(),
            refusals: Vec::new(),
        };
        let ended = Event::Ended { outcome };
        let written = self.write_upgrade(&reference.to_string(), ended).await;
        written.map_err(|error| {
            let mut message = format!("{reference} is paid for and is not on record: {error}");
            if let Some(task) = task {
                let mut own = reference.without_resolution();
                own.task = task.to_owned();
                message.push_str(&format!(". Keep the name of its task: {own}"));
            }
            error.summarized(message).with_charged(Charged::Yes)
        })
    }

    /// Writes down an event of an upgrade, if there is a ledger.
    async fn write_upgrade(&self, key: &str, event: Event) -> Result<(), Error> {
        if self.keeps_record() {
            self.record_with_retry(key, event).await?;
        }
        Ok(())
    }

    async fn record_upgrade_finished(&self, key: &str, video: &Video) -> Result<(), Error> {
        if !self.keeps_record() {
            return Ok(());
        }
        match self.ledger().entry(key).await? {
            Some(entry) => self.record_finished(&entry, video).await,
            None => Ok(()),
        }
    }

    /// Makes the wish for an upgrade, with the request of the smaller video if that is known here.
    async fn upgrade_wish(&self, reference: &JobRef) -> Wish {
        let small = self.entry_of(&reference.without_resolution()).await;
        let request =
            small.and_then(|entry| Some(Box::new(entry.wish.redacted().asked()?.clone())));
        Wish::Upgrade {
            job: reference.clone(),
            request,
        }
    }
}

/// The record of an upgrade before its call was made.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    /// An earlier call was accepted.
    Accepted,
    /// The reply to an earlier call was lost.
    Lost,
}

/// Returns whether an unknown upgrade may be called once more by itself, where the call asks how far it is.
fn has_calls_left(entry: &Entry) -> bool {
    let is_called = entry.attempts.last().is_some();
    entry.upgrade() == Some(Resolution::K4) && is_called && calls(entry) < CALLS_OF_4K
}

/// Returns the state or the error of a known upgrade that keeps its call from being repeated. `again` says that the
/// caller wants an unknown call to be repeated, and `is_task` that each call is an upgrade of its own.
fn stands_against(
    entry: &Entry,
    to: Resolution,
    again: bool,
    is_task: bool,
) -> Result<Option<State>, Error> {
    // A repeated call that is a task would be paid for again. In the old form a call for 4K that is there answers with its state. A
    // lost call for 1080p may not have arrived, so only the caller decides to repeat it.
    let may_be_repeated = match to {
        _ if is_task => false,
        Resolution::K4 => has_calls_left(entry),
        _ => again,
    };
    match entry.state {
        EntryState::OnItsWay => Ok(Some(State::Pending)),
        // The process that has begun it is about to write down its task.
        EntryState::Accepted | EntryState::Finished | EntryState::Done if is_task => {
            Ok(Some(State::Running { percent: None }))
        }
        EntryState::Failed => {
            let failed = Error::new(ErrorKind::Refused, "it could not be made larger");
            Err(entry.error.clone().unwrap_or(failed))
        }
        EntryState::Unknown if !may_be_repeated => {
            let lost = Error::new(ErrorKind::OutcomeUnknown, "the reply was lost");
            Err(entry.unknown().map_or(lost, |unknown| unknown.error))
        }
        _ => Ok(None),
    }
}

fn calls(entry: &Entry) -> u32 {
    entry.attempts.last().map_or(0, |attempt| attempt.calls)
}

fn rejected_event(error: &Error) -> Event {
    let outcome = Outcome::rejected(error.clone());
    Event::Ended { outcome }
}

fn still_wanted_event(error: &Error) -> Event {
    let outcome = Outcome::rejected_and_wanted(error.clone());
    Event::Ended { outcome }
}

fn unknown_event(error: &Error) -> Event {
    let outcome = Outcome::Unknown {
        error: error.clone(),
    };
    Event::Ended { outcome }
}
