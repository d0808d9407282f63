//! One video from the request to the file.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::pin::pin;

use veo_core::ledger::{Entry, EntryState};
use veo_core::{
    Client, ErrorKind, Job, JobRef, Plan, Prepared, Receipt, Refusal, Resolution, State,
    Submission, Video, VideoRequest,
};

use crate::failure::{Exit, Failure, PAID_IN_A_BATCH, look};
use crate::interrupt::Interrupts;
use crate::output::{Event, Output};
use crate::paths::{Target, free, place};
use crate::progress::{Progress, spinner};
use crate::saved::Made;
use crate::store::Store;

/// What is needed to make videos.
pub(crate) struct Making<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a Store,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) output: &'a Output,
}

/// A job, with its entry in the ledger if it is there.
pub(crate) struct Known<'a> {
    pub(crate) reference: &'a JobRef,
    pub(crate) key: Option<&'a str>,
    pub(crate) job: Option<&'a Job>,
    /// The line of the batch.
    pub(crate) line: Option<usize>,
    /// What tells it from others for people, with a colon.
    pub(crate) label: &'a str,
}

impl Making<'_> {
    /// Plans a request and brings its images to where the provider reaches them, which costs nothing.
    pub(crate) async fn prepare(
        &self,
        request: &VideoRequest,
        line: Option<usize>,
    ) -> Result<Prepared, Failure> {
        let spinner = spinner(self.output, format!("{}Preparing", label(line)));
        let prepared = tokio::select! {
            prepared = self.client.prepare(request) => prepared.map_err(Failure::from),
            () = self.interrupts.first() => Err(Failure::interrupted_before()),
        };
        spinner.finish_and_clear();
        let prepared = prepared?;
        if !self.output.is_json() {
            // The events of an accepted job have them.
            let warnings = prepared
                .offers()
                .iter()
                .take(1)
                .flat_map(|offer| &offer.warnings);
            warnings.for_each(|warning| self.output.warn(warning));
        }
        Ok(prepared)
    }

    /// Sends a request whose video goes to a place, or to the next one like it that is free. What becomes of it is in the
    /// ledger when this returns.
    pub(crate) async fn send(
        &self,
        prepared: Prepared,
        target: &Target,
    ) -> Result<(Job, PathBuf), Failure> {
        loop {
            let path = match target {
                Target::Given(path) => path.clone(),
                Target::Free { like, replace } => self.free(like, *replace).await?,
            };
            match self.submit(prepared.clone(), &path, None).await {
                // Another process has chosen the same name at the same moment.
                Err(failure)
                    if target.is_free() && failure.error.kind() == ErrorKind::TargetTaken => {}
                sent => return sent.map(|job| (job, path)),
            }
        }
    }

    /// Sends a paid request once, unless it is interrupted before.
    pub(crate) async fn submit(
        &self,
        prepared: Prepared,
        path: &Path,
        line: Option<usize>,
    ) -> Result<Job, Failure> {
        let key = prepared.chosen_key().to_owned();
        let prepared = prepared.target(place(path).display().to_string());
        let spinner = spinner(self.output, format!("{}Sending", label(line)));
        let mut sending = pin!(self.client.send_until(prepared, self.interrupts.first()));
        let outcome = tokio::select! {
            // It ends at once if nothing has left.
            biased;
            outcome = &mut sending => Some(outcome),
            () = self.interrupts.first() => {
                self.interrupts.explain(self.output);
                tokio::select! {
                    outcome = &mut sending => Some(outcome),
                    () = self.interrupts.second() => None,
                }
            }
        };
        spinner.finish_and_clear();
        let batch = self.store.batch();
        match outcome {
            Some(Submission::Accepted(job)) => {
                self.accepted(&job, line);
                Ok(job)
            }
            Some(Submission::Rejected(error)) => Err(Failure::from(error)),
            Some(Submission::Unknown(unknown)) => {
                let key = unknown.key.unwrap_or(key);
                Err(Failure::from(unknown.error)
                    .with_exit(Exit::Unknown)
                    .with_next(look(&key, batch)))
            }
            None => Err(Failure::given_up().with_next(look(&key, batch))),
        }
    }

    /// Waits for a job and saves its video.
    pub(crate) async fn finish(&self, job: &Known<'_>, path: &Path) -> Result<Made, Failure> {
        let made = tokio::select! {
            made = self.wait_and_save(job, path) => made,
            () = self.interrupts.first() => Err(Failure::interrupted(job.reference)),
        };
        made.map_err(|failure| match failure.exit {
            Exit::Interrupted | Exit::Unfinished if self.store.is_temporary() => {
                failure.with_next("The simulator ends with the program, and its jobs with it.")
            }
            // The ledger of a batch knows nothing of another command.
            Exit::Interrupted | Exit::Unfinished if job.line.is_some() => {
                failure.with_next(PAID_IN_A_BATCH)
            }
            _ => failure,
        })
    }

    /// Makes the video of a finished job larger and saves it. To ask for it again is to go on with it.
    pub(crate) async fn enlarge(
        &self,
        job: &JobRef,
        to: Resolution,
        known: &Known<'_>,
        path: &Path,
    ) -> Result<Made, Failure> {
        let is_new = match known.key {
            Some(key) => self
                .store
                .entry(key)
                .await?
                .is_none_or(|entry| entry.reference().is_none()),
            None => true,
        };
        let is_told = Cell::new(!is_new);
        let small = self.store.find(job).await?;
        let model = small.and_then(|entry| Some(entry.attempts.last()?.sent.model.clone()));
        let model = model.as_deref().unwrap_or("unknown");
        let enlarge_and_save = async {
            let progress = Progress::start(self.output, known.reference, None, known.label);
            let on_state = |state: &State| {
                // The first answer says that it was taken.
                if !matches!(state, State::Pending) && !is_told.replace(true) {
                    let event = Event::Accepted {
                        line: None,
                        job: known.reference,
                        model,
                        warnings: &[],
                        refusals: &[],
                    };
                    self.output.progress(
                        &format!("{}Accepted as {}", known.label, known.reference),
                        &event,
                    );
                }
                progress.state(state);
            };
            let video = self.client.upgrade_with(job, to, on_state).await;
            let video = video.map_err(|error| error.with_job(known.reference))?;
            self.save(known, &video, path, progress).await
        };
        let made = tokio::select! {
            made = enlarge_and_save => made,
            () = self.interrupts.first() => Err(Failure::interrupted(known.reference)),
        };
        let Err(failure) = made else { return made };
        let again = format!("Go on with the same command: veo upgrade {job} --resolution {to}");
        let state = match known.key {
            Some(key) => self.store.entry(key).await?.map(|entry| entry.state),
            None => None,
        };
        Err(match state {
            // Its error carries the job whose video it was to make larger, and which is paid for.
            Some(EntryState::Rejected) if failure.exit != Exit::Interrupted => {
                let error = failure.error.clone().with_charged(veo_core::Charged::No);
                let exit = if failure.exit == Exit::Usage {
                    Exit::Usage
                } else {
                    Exit::Rejected
                };
                Failure::from(error).with_exit(exit)
            }
            Some(EntryState::Failed) => {
                failure.with_next("The smaller video is there all the same.")
            }
            Some(EntryState::Unknown | EntryState::OnItsWay) => {
                let exit = if failure.exit == Exit::Interrupted {
                    Exit::Interrupted
                } else {
                    Exit::Unknown
                };
                let error = failure.error.with_charged(veo_core::Charged::Unknown);
                let next = match (to, known.key) {
                    // It was called for again already.
                    (Resolution::K4, Some(key)) => look(key, None),
                    _ => format!("It may have been charged. {again}"),
                };
                Failure::from(error).with_exit(exit).with_next(next)
            }
            _ => failure,
        })
    }

    /// Saves the video of a job, and writes down that it is here.
    pub(crate) async fn save(
        &self,
        job: &Known<'_>,
        video: &Video,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<Made, Failure> {
        if self.output.is_json() {
            self.output.progress(
                "",
                &Event::Finished {
                    line: job.line,
                    job: job.reference,
                    video,
                },
            );
        }
        let saved = self
            .client
            .download_with(video, path, |received, total| {
                progress.bytes(received, total)
            })
            .await?;
        drop(progress);
        if saved.path != path {
            let message = format!(
                "{} was not there before, and stays; the video is {}",
                path.display(),
                saved.path.display()
            );
            self.output.warn(&message);
        }
        let mut kept = saved.clone();
        // It has to mean the same to whoever reads it in another folder.
        kept.path = std::path::absolute(&saved.path).unwrap_or(kept.path);
        // Of an upgrade the job is known from now on.
        let entry = match job.key {
            Some(key) => self.store.entry(key).await?,
            None => None,
        };
        let of_entry = entry.as_ref().and_then(Entry::job);
        let sent = job.job.or(of_entry.as_ref());
        let receipt = sent.map(|job| Receipt::new(job, video, &kept));
        let is_asked = entry
            .as_ref()
            .is_none_or(|entry| entry.wish.asked().is_some());
        if let (Some(key), Some(receipt)) = (job.key, &receipt)
            && let Err(error) = self.client.done(key, receipt).await
        {
            self.output.warn(&error.to_string());
        }
        // Where the request is not known, another machine knows what was asked for.
        let receipt = receipt.filter(|_| is_asked);
        let discrepancies = receipt.iter().flat_map(|receipt| &receipt.discrepancies);
        discrepancies.for_each(|discrepancy| self.output.warn(discrepancy));
        Ok(Made { saved, receipt })
    }

    async fn wait_and_save(&self, job: &Known<'_>, path: &Path) -> Result<Made, Failure> {
        let progress = Progress::start(self.output, job.reference, job.line, job.label);
        let video = self
            .client
            .wait_with(job.reference, |state| progress.state(state))
            .await?;
        self.save(job, &video, path, progress).await
    }

    /// Says that a job was taken.
    fn accepted(&self, job: &Job, line: Option<usize>) {
        let (reference, offer) = (&job.reference, &job.offer);
        let label = label(line);
        // Somebody else makes it than was asked first; the event says so too.
        job.refusals
            .iter()
            .filter(|_| !self.output.is_json())
            .for_each(|refusal| self.output.warn(refusal));
        let (warnings, refusals) = (&offer.warnings, &job.refusals);
        let event = Event::Accepted {
            line,
            job: reference,
            model: &offer.model,
            warnings,
            refusals,
        };
        self.output
            .progress(&format!("{label}Accepted as {reference}"), &event);
        if let Some(error) = &job.unrecorded {
            let message = format!(
                "{label}{reference} is paid for and is not on record: {error}. Keep its name: veo wait {reference}"
            );
            self.output.warn(&message);
        }
    }

    /// The next name that is free, also from those which others are to save.
    async fn free(&self, like: &Path, replace: bool) -> Result<PathBuf, Failure> {
        let open = self.store.list(veo_core::ledger::Which::Open).await?;
        let taken: std::collections::HashSet<_> =
            open.into_iter().filter_map(|entry| entry.target).collect();
        let is_there = |path: &Path| {
            if replace {
                path.is_dir()
            } else {
                path.exists()
            }
        };
        Ok(free(like, |path| {
            taken.contains(&place(path).display().to_string()) || is_there(path)
        }))
    }
}

/// What tells a line of a batch from others, with a colon.
pub(crate) fn label(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: "))
        .unwrap_or_default()
}

/// The plan, if anybody can make the video.
pub(crate) fn possible(plan: Plan) -> Result<Plan, Failure> {
    if plan.offers.is_empty() {
        let refusals: Vec<_> = plan.refusals.iter().map(Refusal::to_string).collect();
        return Err(Failure::usage(refusals.join("\n")));
    }
    Ok(plan)
}
