//! A finished video made larger: a paid call of its own, whose progress kie.ai's older form has asked for by the same call.

use serde_json::Value;
use tracing::{Instrument, info_span};

use crate::client::{Client, nobody};
use crate::ledger::{Begin, Begun, Entry, EntryState, Event, Outcome, Want, Wish};
use crate::provider::Upgrade;
use crate::runtime::runtime;
use crate::{
    Error, ErrorKind, JobRef, Offer, Operation, Resolution, State, Video, VideoRequest, wait,
};

/// How often the call for 4K is made by itself while nobody knows what became of it. The page of kie.ai says that a repeated
/// one answers with the state.
const CALLS_OF_4K: u32 = 2;

impl Client {
    /// Makes the video of a finished job larger, which costs extra, and waits for it. Its key in the [ledger](Self::with_ledger)
    /// is the job with the size: calling it again for the same job and resolution goes on with the same upgrade. Only kie.ai
    /// can.
    ///
    /// kie.ai's older form has progress asked for by the call itself. So the call for 1080p is repeated until the video is there;
    /// that for 4K only until its task can be asked, and once after a lost reply. After a lost reply to the call for 1080p the
    /// outcome is unknown, and to call this again is to ask again.
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
    /// [`ErrorKind::InvalidRequest`] if the provider cannot. [`ErrorKind::Refused`], [`ErrorKind::Retired`] and
    /// [`ErrorKind::InsufficientCredits`] if it will not: the smaller video is all there is. [`ErrorKind::OutcomeUnknown`] if the
    /// reply to the call was lost. [`ErrorKind::OverBudget`], [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`] if it was not
    /// sent. Any other kind if the upgrade could not be followed, and then it goes on. The error carries the job.
    pub async fn upgrade(&self, job: impl AsRef<JobRef>, to: Resolution) -> Result<Video, Error> {
        self.upgrade_with(job, to, |_state| {}).await
    }

    /// As [`upgrade`](Self::upgrade), and tells every state on the way.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade).
    pub async fn upgrade_with(
        &self,
        job: impl AsRef<JobRef>,
        to: Resolution,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        self.enlarge(job.as_ref(), to, true, on_state).await
    }

    /// The same, where `again` says that somebody wants an unknown call to be repeated.
    pub(crate) async fn enlarge(
        &self,
        job: &JobRef,
        to: Resolution,
        again: bool,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        self.check_upgrade(job, to)?;
        let is_first = std::sync::atomic::AtomicBool::new(true);
        let own = tokio::sync::Mutex::new(None);
        let ask = || {
            let again = again && is_first.swap(false, std::sync::atomic::Ordering::Relaxed);
            let own = &own;
            async move {
                let mut own = own.lock().await;
                self.upgrade_call(job, to, again, &mut own).await
            }
        };
        let span = info_span!("upgrade", job = %job, to = %to);
        let poll = self.poll().for_upgrade();
        let video = wait::until_done(&poll, ask, on_state)
            .instrument(span)
            .await;
        video.map_err(|error| error.with_job(job))
    }

    fn check_upgrade(&self, job: &JobRef, to: Resolution) -> Result<(), Error> {
        runtime().map_err(|error| error.with_job(job))?;
        if self.provider_of(job).is_none() {
            return Err(nobody(job));
        }
        if self.can_upgrade(job, to) {
            return Ok(());
        }
        let message = format!(
            "{} cannot make a finished video {to}; ask for it when you start",
            job.provider
        );
        Err(Error::new(ErrorKind::InvalidRequest, message).with_job(job))
    }

    pub(crate) fn can_upgrade(&self, job: &JobRef, to: Resolution) -> bool {
        self.provider_of(job)
            .is_some_and(|provider| provider.capabilities().upgrades.contains(&to))
    }

    /// Stores under its key that a finished video is to be made larger, and where the larger one is to be saved. Nothing is sent:
    /// [`upgrade`](Self::upgrade) or a [step](Self::step) of the key does that. The key is the job with the size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the provider cannot, or there is no ledger; [`ErrorKind::TargetTaken`] if another open
    /// entry is to be saved in the same place; [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`].
    pub async fn want_upgrade(
        &self,
        job: impl AsRef<JobRef>,
        to: Resolution,
        target: Option<&str>,
    ) -> Result<Entry, Error> {
        let job = job.as_ref().with_size(to);
        self.check_upgrade(&job, to)?;
        let mut want = Want::new(job.to_string(), self.upgrade_wish(&job).await);
        want.target = target.map(str::to_owned);
        self.ledger().want(want).await
    }

    /// Makes the call of an upgrade, or asks its own task, whichever tells how far it is. `own` is that task, once it is known.
    pub(crate) async fn upgrade_call(
        &self,
        job: &JobRef,
        to: Resolution,
        again: bool,
        own: &mut Option<String>,
    ) -> Result<State, Error> {
        let reference = job.with_size(to);
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
            .ok_or_else(|| nobody(job))?;
        let wish = self.upgrade_wish(&reference).await;
        let request = wish
            .asked()
            .cloned()
            .unwrap_or_else(|| VideoRequest::text(""))
            .resolution(to);
        let small = self.entry_of(&job.without_size()).await;
        let model = small.and_then(|entry| Some(entry.attempts.last()?.sent.model.clone()));
        let offer = Offer {
            provider: job.provider.clone(),
            account: job.account(),
            base_url: provider.base_url().map(str::to_owned),
            model: model.unwrap_or_else(|| "unknown".to_owned()),
            operation: Operation::Upgrade,
            // The call names the task, which the key says.
            body: Value::Null,
            request,
            warnings: Vec::new(),
        };
        let begin = Begin {
            want: Want::new(&*key, wish),
            offer,
            marker: None,
            limit: None,
            budget: self.budget().cloned(),
        };
        let (client, called) = (self.clone(), reference.clone());
        let (state, task) = self
            .detached(async move {
                let begun = client.ledger().begin(begin.clone()).await?;
                if let Some(error) = begun.refusal(&begin.want) {
                    return Err(error);
                }
                let entry = match begun {
                    Begun::Yours => None,
                    Begun::Known(entry) => Some(*entry),
                    // Somebody else makes the call, or it has to wait for its turn.
                    _ => return Ok((State::Pending, None)),
                };
                if let Some(entry) = &entry
                    && let Some(state) = client.stands_against(entry, to, again)?
                {
                    return Ok((state, None));
                }
                if let Some(entry) = &entry {
                    let calls = entry.attempts.last().map_or(0, |attempt| attempt.calls) + 1;
                    match client
                        .ledger()
                        .record(&key, Event::CalledAgain { calls })
                        .await
                    {
                        Err(error) if error.kind() == ErrorKind::OnItsWay => {
                            return Ok((State::Pending, None));
                        }
                        written => written?,
                    };
                }
                let answer = provider.upgrade(&called, to).await;
                client
                    .upgrade_ended(&key, entry.as_ref(), &called, to, answer)
                    .await
            })
            .await?;
        *own = task.or(own.take());
        Ok(state)
    }

    /// What keeps the call of a known upgrade from being made once more, if anything does.
    fn stands_against(
        &self,
        entry: &Entry,
        to: Resolution,
        again: bool,
    ) -> Result<Option<State>, Error> {
        // A repeated call for 4K answers with the state, and one for 1080p is made by who asks for it.
        let may_be_repeated = if to == Resolution::K4 {
            is_called_again(entry)
        } else {
            again
        };
        match entry.state {
            EntryState::OnItsWay => Ok(Some(State::Pending)),
            EntryState::Failed => {
                let failed = || Error::new(ErrorKind::Refused, "it could not be made larger");
                Err(entry.error.clone().unwrap_or_else(failed))
            }
            EntryState::Unknown if !may_be_repeated => {
                let unknown = entry.unknown().map(|unknown| unknown.error);
                Err(unknown
                    .unwrap_or_else(|| Error::new(ErrorKind::OutcomeUnknown, "the reply was lost")))
            }
            _ => Ok(None),
        }
    }

    /// What the task of an upgrade says of itself, if it is larger than the video that it was made from.
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
            .ok_or_else(|| nobody(&own))?;
        match provider.state(&own).await? {
            // What is as small as before is not the larger one.
            State::Finished(video) if video.is_below(to) => Ok(None),
            State::Finished(video) => {
                let video = Video {
                    job: reference.clone(),
                    ..*video
                };
                self.upgrade_finished(&reference.to_string(), &video)
                    .await?;
                Ok(Some(State::Finished(Box::new(video))))
            }
            State::Failed(error) => {
                let error = error.with_job(reference);
                if self.keeps_record() {
                    self.write(
                        &reference.to_string(),
                        Event::Failed {
                            error: error.clone(),
                        },
                    )
                    .await?;
                }
                Err(error)
            }
            state => Ok(Some(state)),
        }
    }

    /// Writes down what a call has answered, and gives the state and the task of its own.
    async fn upgrade_ended(
        &self,
        key: &str,
        entry: Option<&Entry>,
        reference: &JobRef,
        to: Resolution,
        answer: Upgrade,
    ) -> Result<(State, Option<String>), Error> {
        let is_accepted = entry.is_some_and(|entry| {
            !matches!(entry.state, EntryState::OnItsWay | EntryState::Unknown)
        });
        let is_lost_before = entry.is_some() && !is_accepted;
        let outcome;
        let mut task = None;
        let result = match answer {
            Upgrade::Finished(video) => {
                outcome = Some(Ok(None));
                Ok(State::Finished(Box::new(Video {
                    job: reference.clone(),
                    ..*video
                })))
            }
            Upgrade::Running { task: own } => {
                // A task of the same name is the smaller video, which says nothing of the larger one.
                task = own.filter(|own| *own != reference.task);
                outcome = Some(Ok(task.clone()));
                Ok(State::Running { percent: None })
            }
            // A refusal says nothing of a call that was made before, whose reply was lost.
            Upgrade::Rejected(error) | Upgrade::Unavailable(error) if is_lost_before => {
                let error = error.of_kind(ErrorKind::OutcomeUnknown);
                outcome = Some(Err(Box::new(Outcome::Unknown {
                    error: error.clone(),
                })));
                Err(error)
            }
            Upgrade::Rejected(error) => {
                outcome = Some(Err(Box::new(Outcome::rejected(error.clone()))));
                Err(error)
            }
            Upgrade::Unavailable(error) => {
                // It says nothing of a call that was made before.
                let is_first = entry.is_none();
                outcome = is_first.then(|| Err(Box::new(Outcome::rejected(error.clone()))));
                Err(error)
            }
            Upgrade::Unknown(error) => {
                // Where it is on record, it is not asked again by itself.
                let is_lost = self.keeps_record() && !is_accepted;
                let error = if is_lost {
                    error.of_kind(ErrorKind::OutcomeUnknown)
                } else {
                    error
                };
                outcome = Some(Err(Box::new(Outcome::Unknown {
                    error: error.clone(),
                })));
                // For 4K the next call tells.
                let calls = entry
                    .and_then(|entry| entry.attempts.last())
                    .map_or(1, |attempt| attempt.calls + 1);
                let is_asked_again = is_lost && to == Resolution::K4 && calls < CALLS_OF_4K;
                if is_asked_again {
                    Ok(State::Pending)
                } else {
                    Err(error)
                }
            }
        };
        if self.keeps_record() {
            let at = crate::time::now();
            let event = match outcome {
                Some(Ok(task)) if !is_accepted || task.is_some() => {
                    let (job, refusals) = (reference.clone(), Vec::new());
                    Some(Event::Ended {
                        outcome: Outcome::Accepted {
                            job,
                            task,
                            at,
                            refusals,
                        },
                    })
                }
                Some(Err(outcome)) => match *outcome {
                    Outcome::Rejected { error, .. } if is_accepted => Some(Event::Failed { error }),
                    // A reply that is lost takes nothing back.
                    Outcome::Unknown { .. } if is_accepted => None,
                    outcome => Some(Event::Ended { outcome }),
                },
                Some(Ok(_)) | None => None,
            };
            if let Some(event) = event {
                self.write(key, event).await?;
            }
            if let Ok(State::Finished(video)) = &result {
                self.upgrade_finished(key, video).await?;
            }
        }
        result.map(|state| (state, task))
    }

    async fn upgrade_finished(&self, key: &str, video: &Video) -> Result<(), Error> {
        if !self.keeps_record() {
            return Ok(());
        }
        match self.ledger().entry(key).await? {
            Some(entry) => self.finished(&entry, video).await,
            None => Ok(()),
        }
    }

    /// What an upgrade is, with the request of the smaller video if that is known here.
    async fn upgrade_wish(&self, reference: &JobRef) -> Wish {
        let small = self.entry_of(&reference.without_size()).await;
        let request =
            small.and_then(|entry| Some(Box::new(entry.wish.redacted().asked()?.clone())));
        Wish::Upgrade {
            job: reference.clone(),
            request,
        }
    }
}

/// Whether the call of an upgrade with an unknown outcome is made once more by itself.
pub(crate) fn is_called_again(entry: &Entry) -> bool {
    entry.upgrade() == Some(Resolution::K4)
        && entry
            .attempts
            .last()
            .is_some_and(|attempt| attempt.calls < CALLS_OF_4K)
}
