//! One video from the request to the file, with a record of each step on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;

use serde::Serialize;
use serde_json::json;
use veo_core::{Client, Job, JobRef, Media, Plan, Receipt, Refusal, Saved, Submission, Video, VideoRequest};

use crate::args::Target;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure, PAID_IN_A_BATCH, look};
use crate::interrupt::Interrupts;
use crate::output::{Event, Output};
use crate::progress::{Progress, spinner};
use crate::store::{Event as Happened, Store};

/// What is needed to make videos.
pub(crate) struct Making<'a> {
    pub(crate) client: &'a Client,
    pub(crate) config: &'a Config,
    pub(crate) store: &'a Store,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) output: &'a Output,
}

/// A request that is written down and not sent yet.
pub(crate) struct Ready {
    /// Its name in the store.
    pub(crate) id: String,
    /// Where its video is to be saved.
    pub(crate) path: PathBuf,
    /// With all its images where the provider reaches them.
    request: VideoRequest,
}

/// A job, with its name in the store if it is there.
pub(crate) struct Known<'a> {
    pub(crate) reference: &'a JobRef,
    pub(crate) record: Option<(&'a str, &'a Job)>,
    /// The line of the batch.
    pub(crate) line: Option<usize>,
    /// What tells it from others for people, with a colon.
    pub(crate) label: &'a str,
}

/// A video that is here.
pub(crate) struct Made {
    pub(crate) saved: Saved,
    /// Nothing for a job that another machine has sent.
    pub(crate) receipt: Option<Receipt>,
}

impl Making<'_> {
    /// Brings images of this machine to where the provider reaches them, which costs nothing, and then writes down that
    /// the request is about to be sent. `key` and `line` tell the line of a batch.
    pub(crate) async fn prepare(
        &self,
        request: &VideoRequest,
        target: &Target,
        key: Option<&str>,
        line: Option<usize>,
    ) -> Result<Ready, Failure> {
        let plan = possible(self.client.plan(request))?;
        if !self.output.is_json() {
            // The events of an accepted job have them.
            plan.offers.iter().take(1).flat_map(|offer| &offer.warnings).for_each(|warning| self.output.warn(warning));
        }
        let spinner = spinner(self.output, format!("{}Preparing", label(line)));
        let uploaded = tokio::select! {
            uploaded = self.client.upload_images(request) => uploaded.map_err(Failure::from),
            () = self.interrupts.first() => Err(Failure::interrupted_before()),
        };
        spinner.finish_and_clear();
        let uploaded = uploaded?;
        let (id, path) = match target {
            Target::Given(path) => (self.store.intend(request, path, key)?, path.clone()),
            Target::Free { like, replace } => self.store.intend_like(request, like, *replace)?,
        };
        Ok(Ready { id, path, request: uploaded })
    }

    /// Sends a paid request once, unless it is interrupted before. What becomes of it is on the disk when this returns.
    pub(crate) async fn submit(&self, ready: &Ready, line: Option<usize>) -> Result<Job, Failure> {
        let Ready { id, request, .. } = ready;
        let spinner = spinner(self.output, format!("{}Sending", label(line)));
        // Dropped before its end, it would lose what became of the request.
        let mut submitting = pin!(self.client.submit_until(request, self.interrupts.first()));
        let outcome = tokio::select! {
            // It ends at once if nothing has left.
            biased;
            outcome = &mut submitting => Some(outcome),
            () = self.interrupts.first() => {
                self.interrupts.explain(self.output);
                tokio::select! {
                    outcome = &mut submitting => Some(outcome),
                    () = self.interrupts.second() => None,
                }
            }
        };
        spinner.finish_and_clear();
        let failure = match outcome {
            Some(Submission::Accepted(job)) => {
                self.accepted(id, &job, line);
                return Ok(job);
            }
            Some(Submission::Rejected(error)) => {
                let failure = Failure::from(error);
                self.record(id, Happened::Refused { error: failure.told.clone() });
                return Err(failure);
            }
            Some(Submission::Unknown(unknown)) => Failure::from(unknown.error).with_exit(Exit::Unknown),
            None => Failure::unknown("interrupted again while a paid request was on its way"),
        };
        let failure = failure.with_next(look(id, self.store.batch().as_deref()));
        self.record(id, Happened::Unknown { error: failure.told.clone() });
        Err(failure)
    }

    /// Waits for a job and saves its video.
    pub(crate) async fn finish(&self, job: &Known<'_>, path: &Path) -> Result<Made, Failure> {
        let made = tokio::select! {
            made = self.wait_and_save(job, path) => made,
            () = self.interrupts.first() => Err(Failure::interrupted(job.reference)),
        };
        if let (Err(failure), Some((id, _))) = (&made, job.record)
            && failure.exit == Exit::Failed
        {
            self.record(id, Happened::Failed { error: failure.told.clone() });
        }
        made.map_err(|failure| match failure.exit {
            Exit::Interrupted | Exit::Unfinished if self.store.path().is_none() => {
                failure.with_next("The simulator ends with the program, and its jobs with it.")
            }
            // The record of a batch knows nothing of another command.
            Exit::Interrupted | Exit::Unfinished if job.line.is_some() => failure.with_next(PAID_IN_A_BATCH),
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
            self.output.progress("", &Event::Finished { line: job.line, job: job.reference, video });
        }
        let saved = self.client.download(video, path, |received, total| progress.bytes(received, total)).await?;
        drop(progress);
        let mut kept = saved.clone();
        // It has to mean the same to whoever reads it in another folder.
        kept.path = std::path::absolute(path).unwrap_or(kept.path);
        // Where there is no prompt, another machine knows what was asked for.
        let sent = job.record.filter(|(_, job)| !job.offer.request.prompt.is_empty());
        let receipt = sent.map(|(_, job)| Receipt::new(job, video, &kept));
        if let Some((id, _)) = job.record {
            let written = receipt.as_ref().map_or_else(|| Ok(json!({ "saved": kept })), serde_json::to_value);
            // Its types have nothing that JSON cannot say.
            self.record(id, Happened::Saved { receipt: written.unwrap_or_default() });
        }
        let discrepancies = receipt.iter().flat_map(|receipt| &receipt.discrepancies);
        discrepancies.for_each(|discrepancy| self.output.warn(discrepancy));
        Ok(Made { saved, receipt })
    }

    async fn wait_and_save(&self, job: &Known<'_>, path: &Path) -> Result<Made, Failure> {
        let progress = Progress::start(self.output, job.reference, job.line, job.label);
        let video = self.client.wait(job.reference, |state| progress.state(state)).await?;
        self.save(job, &video, path, progress).await
    }

    /// Writes down and says that a job was taken.
    pub(crate) fn accepted(&self, id: &str, job: &Job, line: Option<usize>) {
        let base_url = ProviderName::of(&job.reference.provider).ok().and_then(|name| self.config.base_url(name));
        let base_url = base_url.map(str::to_owned);
        self.record(id, Happened::Accepted { job: Box::new(job.clone()), base_url });
        let (reference, offer) = (&job.reference, &job.offer);
        let label = label(line);
        // Somebody else makes it than was asked first; the event says so too.
        job.refusals.iter().filter(|_| !self.output.is_json()).for_each(|refusal| self.output.warn(refusal));
        let (warnings, refusals) = (&offer.warnings, &job.refusals);
        let event = Event::Accepted { line, job: reference, model: &offer.model, warnings, refusals };
        self.output.progress(&format!("{label}Accepted as {reference}"), &event);
    }

    /// Writes down what is so in any case: that it cannot be written down does not change it.
    pub(crate) fn record(&self, id: &str, event: Happened) {
        if let Err(failure) = self.store.record(id, event) {
            self.output.warn(&failure.told.message);
        }
    }
}

/// What tells a line of a batch from others, with a colon.
pub(crate) fn label(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

/// The plan, if anybody can make the video.
pub(crate) fn possible(plan: Plan) -> Result<Plan, Failure> {
    if plan.offers.is_empty() {
        let refusals: Vec<_> = plan.refusals.iter().map(Refusal::to_string).collect();
        return Err(Failure::usage(refusals.join("\n")));
    }
    Ok(plan)
}

/// A file in a few words.
pub(crate) fn summary(saved: &Saved) -> String {
    format!("Saved {}, {}", indicatif::HumanBytes(saved.bytes), picture(&saved.media))
}

/// What a video looks and sounds like.
pub(crate) fn picture(media: &Media) -> String {
    let sound = if media.has_audio { "with sound" } else { "without sound" };
    format!("{}x{}, {:.1} s, {sound}", media.width, media.height, media.seconds)
}

/// Saves the receipt of a video that is here, if that is wanted.
pub(crate) fn keep_receipt(
    path: Option<&Path>,
    job: &JobRef,
    receipt: Option<&impl Serialize>,
    output: &Output,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let Some(receipt) = receipt else {
        output.warn("there is no receipt, since this machine has not sent the request");
        return Ok(());
    };
    let text = serde_json::to_string_pretty(receipt).unwrap_or_default() + "\n";
    fs::write(path, text).map_err(|error| {
        let message = format!("the video is here, and its receipt {} cannot be written: {error}", path.display());
        Failure::after_payment(job, message)
    })
}
