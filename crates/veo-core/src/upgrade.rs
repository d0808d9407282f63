//! Makes a finished video larger, by a further paid call. In kie.ai's old form this call also asks for the progress.

use std::sync::Arc;

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

/// The most calls for 4K that the client makes by itself while the outcome is unknown, the first call included.
/// kie.ai's page says that a repeated call answers with the state. It does not say whether a repeated call is charged.
const CALLS_OF_4K: u32 = 2;

impl Client {
    /// Makes the video of a finished job larger, which costs extra, and waits for the larger video. The key in the
    /// [ledger](Self::with_ledger) is the job with the size (`kie:TASK:4k`). If you call this again for the same job
    /// and size, it continues the same upgrade. Only kie.ai can do this.
    ///
    /// In kie.ai's current form an upgrade is a new task. The call is made once, and after a lost reply the outcome is
    /// unknown until you [settle](Self::settle) it. In the old form the call also asks for the progress, so the client
    /// can make this paid call more than once. kie.ai does not say whether a repeated call is charged again:
    ///
    /// - The call for 1080p is repeated until the video is there. After a lost reply the outcome is unknown, and the
    ///   client does not repeat the call by itself. If you call this again, it makes the call again.
    /// - The call for 4K is repeated until a reply names the upgrade's own task, and once after a lost reply.
    ///
    /// Without a ledger the same holds for each call of this function, which knows nothing of earlier ones.
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
    /// [`ErrorKind::InvalidRequest`] if the provider has no such upgrade. [`ErrorKind::Refused`],
    /// [`ErrorKind::Retired`] and [`ErrorKind::InsufficientCredits`] if the provider refuses the upgrade: only the
    /// smaller video exists. [`ErrorKind::OutcomeUnknown`] if the reply to the call was lost.
    /// [`ErrorKind::OverBudget`], [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`] if the call was not sent. Any
    /// other kind means that the progress could not be read, and that the upgrade may still be running: call this
    /// again. The error carries the job.
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

    /// Makes a video larger. `again` is true if the caller has asked to repeat a call whose outcome is unknown.
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
        let mut calls = Calls::default();
        let mut waiting = Waiting::new(Arc::new(self.poll().for_upgrade()));
        loop {
            waiting.until_next()?.await;
            let answer = self.upgrade_call(job, to, again, &mut calls).await;
            // The caller has allowed one repetition of an unknown call, not one in each round.
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

    /// Returns whether a step repeats the call of an upgrade whose outcome is unknown. Only the old form allows this,
    /// since its call also asks for the progress.
    pub(crate) fn repeats_unknown_call(&self, entry: &Entry) -> bool {
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

    /// Stores the wish for a larger video of a finished job, and the target of the larger video. Nothing is sent:
    /// [`upgrade`](Self::upgrade) or a [step](Self::step) of the key does that. The key is the job with the size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the provider has no such upgrade, or this client has no ledger;
    /// [`ErrorKind::TargetTaken`] if another open entry has the same target; [`ErrorKind::Ledger`] and
    /// [`ErrorKind::LedgerDamaged`] if the wish could not be stored.
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

    /// Returns the state of an upgrade. It reads the state of the upgrade's own task if that task is known. Otherwise it
    /// makes the paid call of the upgrade, if that call may be made.
    pub(crate) async fn upgrade_call(
        &self,
        job: &JobRef,
        to: Resolution,
        again: bool,
        calls: &mut Calls,
    ) -> Result<State, Error> {
        let reference = job.with_resolution(to);
        let key = reference.to_string();
        if self.has_ledger()
            && let Some(entry) = self.ledger().entry(&key).await?
        {
            let own_task = entry.own_task().map(str::to_owned);
            calls.own_task = own_task.or(calls.own_task.take());
        }
        // Reading the state of a known task costs nothing.
        if let Some(task) = &calls.own_task
            && let Some(state) = self.state_of_own_task(&reference, task, to).await?
        {
            return Ok(state);
        }
        let provider = self
            .shared_account(&job.account())
            .ok_or_else(|| no_such_provider(job))?;
        let begin = self.beginning_of_upgrade(&*provider, &reference, to).await;
        let client = self.clone();
        let before = calls.clone();
        let calling = async move {
            client
                .begin_and_upgrade(&*provider, begin, &reference, to, again, before)
                .await
        };
        let state;
        (state, *calls) = self.detached(calling).await?;
        Ok(state)
    }

    /// Describes the call of an upgrade for the ledger, which writes it down before the call is made.
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
            // The call sends only the task, which is in the key.
            body: Value::Null,
            request: request.resolution(to),
            warnings: Vec::new(),
        };
        Begin {
            want: Want::new(reference.to_string(), wish),
            offer,
            marker: None,
            // An upgrade waits for the limit only if it is a new task.
            limit: provider
                .upgrades_as_task(reference)
                .then_some(provider.capabilities().limit)
                .flatten(),
            budget: self.budget().cloned(),
        }
    }

    /// Writes down an upgrade's call, makes the call, and writes down the answer. Returns the state and the calls so far.
    async fn begin_and_upgrade(
        &self,
        provider: &dyn Provider,
        begin: Begin,
        reference: &JobRef,
        to: Resolution,
        again: bool,
        mut calls: Calls,
    ) -> Result<(State, Calls), Error> {
        let begun = self.ledger().begin(begin.clone()).await?;
        if let Some(error) = begun.final_error(&begin.want) {
            return Err(error);
        }
        let entry = match begun {
            Begun::Yours => None,
            Begun::Known(entry) => Some(*entry),
            // The ledger does not allow the call now: the limit or the budget makes it wait.
            _ => return Ok((State::Pending, calls)),
        };
        let is_task = provider.upgrades_as_task(reference);
        if let Some(entry) = &entry {
            if let Some(state) = reason_not_to_call(entry, to, again, is_task)? {
                return Ok((state, calls));
            }
            calls.take_from(entry);
            let event = Event::CalledAgain {
                calls: calls.made + 1,
            };
            match self.ledger().record(&entry.key, event).await {
                Err(error) if error.kind() == ErrorKind::OnItsWay => {
                    return Ok((State::Pending, calls));
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        // The ledger has this call, and the number of a repeated one. A crash from here on leaves it unknown.
        let answer = provider.upgrade(reference, to).await;
        calls.made += 1;
        let state = self
            .record_upgrade_answer(&mut calls, reference, to, answer, is_task)
            .await?;
        Ok((state, calls))
    }

    /// Returns the state of an upgrade's own task. Returns nothing if the video of this task is still the smaller one:
    /// then only the call of the upgrade tells the state.
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
            // In the old form this can still be the smaller video. Then only the call tells about the larger one.
            State::Finished(video) if video.is_below(to) && !is_task => Ok(None),
            State::Finished(video) => {
                // If the record names no size, the size is `to`, since this task makes no other. A video without a size
                // could not be told from the smaller one.
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

    /// Writes down the answer to a call, and returns the state. `is_task` is true if each call starts a paid task.
    async fn record_upgrade_answer(
        &self,
        calls: &mut Calls,
        reference: &JobRef,
        to: Resolution,
        answer: Upgrade,
        is_task: bool,
    ) -> Result<State, Error> {
        let key = reference.to_string();
        let before = calls.before;
        match answer {
            Upgrade::Finished(video) => {
                if before != Before::Accepted {
                    self.write_accepted(reference, None).await?;
                }
                let video = Video {
                    job: reference.clone(),
                    ..*video
                };
                self.record_upgrade_finished(&key, &video).await?;
                Ok(State::Finished(Box::new(video)))
            }
            Upgrade::Running { task } => {
                // A task with the id of the job is that of the smaller video, not of the upgrade.
                let task = task.filter(|task| *task != reference.task);
                if before != Before::Accepted || task.is_some() {
                    self.write_accepted(reference, task.as_deref()).await?;
                }
                calls.own_task = task.or(calls.own_task.take());
                calls.before = Before::Accepted;
                Ok(State::Running { percent: None })
            }
            // This call was refused, but the earlier call whose reply was lost may be paid for.
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
                // An earlier call was accepted. Its outcome stays, since it is paid for.
                if before == Before::Nothing {
                    // Nothing was charged, and the upgrade may be possible later. So it stays wanted.
                    let event = match error.kind() {
                        ErrorKind::Unavailable => still_wanted_event(&error),
                        _ => rejected_event(&error),
                    };
                    self.write_upgrade(&key, event).await?;
                }
                Err(error)
            }
            // A lost reply does not undo an earlier acceptance.
            Upgrade::Unknown(error) if before == Before::Accepted => Err(error),
            Upgrade::Unknown(error) => {
                let error = error.of_kind(ErrorKind::OutcomeUnknown);
                self.write_upgrade(&key, unknown_event(&error)).await?;
                // kie.ai's page says that the next call for 4K answers with the state.
                if to == Resolution::K4 && !is_task && calls.made < CALLS_OF_4K {
                    calls.before = Before::Lost;
                    return Ok(State::Pending);
                }
                Err(error)
            }
        }
    }

    /// Writes down that an upgrade was accepted. If writing fails, the error names the task, which is paid for.
    async fn write_accepted(&self, reference: &JobRef, task: Option<&str>) -> Result<(), Error> {
        let outcome = Outcome::Accepted {
            job: reference.clone(),
            task: task.map(str::to_owned),
            at: now(),
            refusals: Vec::new(),
        };
        let ended = Event::Ended { outcome };
        let written = self.write_upgrade(&reference.to_string(), ended).await;
        written.map_err(|error| {
            let mut message =
                format!("{reference} is paid for, but the ledger could not store it: {error}");
            if let Some(task) = task {
                let mut own = reference.without_resolution();
                own.task = task.to_owned();
                message.push_str(&format!(". Keep the name of its task: {own}"));
            }
            error.summarized(message).with_charged(Charged::Yes)
        })
    }

    /// Writes down an event of an upgrade. Without a ledger, only the end of a call matters, for the limit.
    async fn write_upgrade(&self, key: &str, event: Event) -> Result<(), Error> {
        let is_end = matches!(event, Event::Ended { .. });
        if self.has_ledger() || is_end {
            self.record_with_retry(key, event).await?;
        }
        Ok(())
    }

    async fn record_upgrade_finished(&self, key: &str, video: &Video) -> Result<(), Error> {
        if !self.has_ledger() {
            return Ok(());
        }
        match self.ledger().entry(key).await? {
            Some(entry) => self.record_finished(&entry, video).await,
            None => Ok(()),
        }
    }

    /// Makes the wish for an upgrade, with the request of the smaller video if the ledger has that request.
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

/// The calls for an upgrade so far. A client without a ledger knows them only from here.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    /// The upgrade's own task, once it is known.
    own_task: Option<String>,
    before: Before,
    made: u32,
}

impl Calls {
    fn take_from(&mut self, entry: &Entry) {
        self.made = calls(entry);
        self.before = match entry.state {
            // The call of an entry on its way is never repeated, so only an unknown entry comes here.
            EntryState::OnItsWay | EntryState::Unknown => Before::Lost,
            _ => Before::Accepted,
        };
    }
}

/// The outcome of the calls for an upgrade before this call.
#[derive(Clone, Copy, Default, PartialEq)]
enum Before {
    #[default]
    Nothing,
    /// An earlier call was accepted.
    Accepted,
    /// The reply to an earlier call was lost.
    Lost,
}

/// Returns whether the client may repeat the call of an unknown upgrade by itself, in a form whose call also asks for
/// the progress. Only a call for 4K may be repeated.
fn has_calls_left(entry: &Entry) -> bool {
    let is_called = entry.attempts.last().is_some();
    entry.upgrade() == Some(Resolution::K4) && is_called && calls(entry) < CALLS_OF_4K
}

/// Returns why the call of a known upgrade must not be made again: its state, or an error; nothing if it may be made.
/// `again` is true if the caller has asked to repeat an unknown call. `is_task` is true if each call starts a paid
/// task.
fn reason_not_to_call(
    entry: &Entry,
    to: Resolution,
    again: bool,
    is_task: bool,
) -> Result<Option<State>, Error> {
    // If each call is a task, a repeated call would be paid for again. In the old form, kie.ai's page says that a
    // repeated call for 4K answers with the state. For 1080p no page says so, and the call may be charged again: the
    // caller decides.
    let may_be_repeated = match to {
        _ if is_task => false,
        Resolution::K4 => has_calls_left(entry),
        _ => again,
    };
    match entry.state {
        EntryState::OnItsWay => Ok(Some(State::Pending)),
        // The call is paid for, and a second call would be a second task. The state comes from the task.
        EntryState::Accepted | EntryState::Finished | EntryState::Done if is_task => {
            Ok(Some(State::Running { percent: None }))
        }
        EntryState::Failed => {
            let failed = Error::new(
                ErrorKind::Refused,
                "the video could not be made larger; the smaller video can still be downloaded",
            );
            Err(entry.error.clone().unwrap_or(failed))
        }
        EntryState::Unknown if !may_be_repeated => {
            let lost = Error::new(
                ErrorKind::OutcomeUnknown,
                "the reply to the upgrade was lost, so it may have been charged; look for its task at the provider",
            );
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
