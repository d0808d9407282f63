//! Does the work of a batch: sends its lines, waits for its jobs and saves their videos, several at a time.

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use veo_core::ledger::{Entry, EntryState};
use veo_core::{Error, ErrorKind, Job, Prepared, Receipt};

use crate::batch::actions::Action;
use crate::batch::lines::BatchLine;
use crate::batch::pace::{NoVideo, Pace};
use crate::batch::receipts::Receipts;
use crate::destination::Destination;
use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};
use crate::paths::{named_after, relative};
use crate::run::{Run, TrackedJob, label};

pub(super) struct Work<'a> {
    pub(super) run: Run<'a>,
    /// The name of the budget, if there is one.
    pub(super) budget: Option<String>,
    pub(super) pace: Pace,
}

impl Work<'_> {
    /// Does the actions of all lines, `concurrency` of them at a time.
    pub(super) async fn all(
        &self,
        lines: &[BatchLine],
        actions: Vec<Action>,
        concurrency: usize,
        mut receipts: Receipts,
    ) -> Result<(), Failure> {
        let output = self.run.output;
        let bar = bar(lines.len(), output);
        // Videos that are already paid for come first.
        let (waiting, mut rest): (Vec<_>, Vec<_>) = lines
            .iter()
            .zip(actions)
            .partition(|(_, action)| matches!(action, Action::Wait(_)));
        if self.run.store.is_shared() && !rest.is_empty() {
            // Machines that run the same batch begin at different lines, so that they seldom try the same line at once.
            let start = RandomState::new().hash_one(()) as usize % rest.len();
            rest.rotate_left(start);
        }
        let ordered = waiting.into_iter().chain(rest);
        let work = |(line, action)| async move { (line, self.act(line, action).await) };
        let mut results = stream::iter(ordered)
            .map(work)
            .buffer_unordered(concurrency);
        let mut done = 0;
        let mut not_taken = 0;
        let mut failures = Vec::new();
        while let Some((line, result)) = results.next().await {
            match result {
                Ok(receipt) => {
                    done += 1;
                    output.bars.suspend(|| receipts.write(receipt.as_deref()));
                }
                Err(NoVideo::NotAccepted) => not_taken += 1,
                Err(NoVideo::Failed(failure)) => failures.push(tell_failed(line, *failure, output)),
            }
            bar.inc(1);
            if let Some(budget) = &self.budget
                && let Ok(spent) = self.run.store.ledger().spent(budget).await
            {
                bar.set_message(format!(", {spent} credits"));
            }
        }
        bar.finish_and_clear();
        tell_counts(lines.len(), done, not_taken, &failures, output);
        let ended = self.end(lines.len(), not_taken, failures).await;
        match (receipts.end(), ended) {
            (Ok(()), ended) => ended,
            (Err(unwritten), Ok(())) => Err(unwritten),
            (Err(unwritten), Err(failure)) => {
                output.report(&unwritten);
                let message = failure.message();
                Err(Failure::of_several(message, &[unwritten, failure]).with_next(CONTINUE_ADVICE))
            }
        }
    }

    /// Does the action of a line, and returns its receipt.
    async fn act(&self, line: &BatchLine, action: Action) -> Result<Option<Box<Receipt>>, NoVideo> {
        match action {
            Action::Skip(failure) => Err(NoVideo::Failed(failure)),
            Action::Done(entry) => Ok(self.tell_done(line, &entry)),
            Action::Wait(entry) => {
                let Some(job) = entry.job() else {
                    let message = format!("the entry of {} in the ledger has no job", entry.key);
                    return Err(Failure::failed(message).into());
                };
                let path = match &entry.target {
                    Some(target) => PathBuf::from(target),
                    None => named_after(&job.reference),
                };
                let destination = Destination::File(relative(&path));
                self.finish(line, &entry.key, &job, &destination).await
            }
            Action::Send { key, path } => {
                if self.run.store.is_shared()
                    && let Some(entry) = self.run.store.entry(&key).await?
                    && entry.state == EntryState::Done
                {
                    // Another machine has saved the video meanwhile.
                    return Ok(self.tell_done(line, &entry));
                }
                let destination = Destination::File(path);
                let job = self.send(line, &key, &destination).await?;
                self.finish(line, &key, &job, &destination).await
            }
        }
    }

    /// Sends a line. The line is sent again only after a rejection that was not charged: the provider asked for a
    /// pause, or was not reached. The key stays the same, so the ledger refuses any other repetition.
    async fn send(
        &self,
        line: &BatchLine,
        key: &str,
        destination: &Destination,
    ) -> Result<Job, NoVideo> {
        let label = label(Some(line.number));
        let mut prepared = None;
        loop {
            let turn = self.pace.turn(&self.run.interrupts).await?;
            let failure = match self.send_once(line, key, destination, &mut prepared).await {
                Ok(job) => {
                    self.pace.accepted();
                    if job.unrecorded.is_some() {
                        // The ledger cannot be written. A further job could be paid for and lost in the same way.
                        self.pace.halt(unrecorded());
                    }
                    return Ok(job);
                }
                Err(failure) => failure,
            };
            let message = failure.message();
            if let Some(pause) = self.pace.not_accepted(turn, failure)? {
                self.run.output.note(&format!(
                    "{label}{message}; all lines pause for {} s",
                    pause.as_secs_f64().ceil()
                ));
            }
        }
    }

    /// Sends a line once. The prepared request is used again, so that a later call does not upload the images again.
    async fn send_once(
        &self,
        line: &BatchLine,
        key: &str,
        destination: &Destination,
        prepared: &mut Option<Prepared>,
    ) -> Result<Job, Failure> {
        let number = Some(line.number);
        let ready = match prepared.take() {
            Some(ready) => ready,
            None => self.run.prepare(&line.request, number).await?.key(key),
        };
        *prepared = Some(ready.clone());
        self.run.submit(ready, destination, number).await
    }

    /// Waits for the job of a line, saves its video and returns its receipt.
    async fn finish(
        &self,
        line: &BatchLine,
        key: &str,
        job: &Job,
        destination: &Destination,
    ) -> Result<Option<Box<Receipt>>, NoVideo> {
        let number = Some(line.number);
        let label = label(number);
        let tracked = TrackedJob {
            reference: &job.reference,
            key: Some(key),
            job: Some(job),
            line: number,
            label: &label,
        };
        let video = self.run.finish(&tracked, destination).await?;
        let event = Event::Saved {
            line: number,
            job: &job.reference,
            saved: &video.saved,
            receipt: video.receipt.as_ref(),
        };
        let text = format!("{label}{}: {}", video.summary(), video.saved.path.display());
        self.run.output.progress(&text, &event);
        Ok(video.receipt.map(Box::new))
    }

    fn tell_done(&self, line: &BatchLine, entry: &Entry) -> Option<Box<Receipt>> {
        let receipt = entry.receipt();
        if self.run.output.is_json() {
            let event = Event::Done {
                line: line.number,
                receipt: receipt.as_ref(),
            };
            self.run.output.progress("", &event);
        }
        receipt.map(Box::new)
    }

    async fn end(
        &self,
        lines: usize,
        not_taken: usize,
        mut failures: Vec<Failure>,
    ) -> Result<(), Failure> {
        let halted = self.pace.why_halted().filter(|_| not_taken > 0);
        if failures.is_empty() && halted.is_none() {
            return self.run.store.fail_if_damaged().await;
        }
        let mut message = format!(
            "{} of {lines} lines have no video",
            failures.len() + not_taken
        );
        let mut next = CONTINUE_ADVICE.to_owned();
        if let Some(failure) = halted {
            message += &format!(
                ", and {not_taken} of these were not accepted: {}",
                failure.reason()
            );
            if let Some(advice) = failure.next() {
                next = format!("{advice} {CONTINUE_ADVICE}");
            }
            failures.push(failure);
        }
        Err(Failure::of_several(message, &failures).with_next(next))
    }
}

/// The advice when a batch has ended with lines that have no video.
const CONTINUE_ADVICE: &str = "Run the same command again to continue. It sends no line that may have been charged. A changed line is a new request, and is paid for.";

/// The failure that stops a batch after a job that could not be recorded.
fn unrecorded() -> Failure {
    let message = "a job could not be written to the ledger; correct that first";
    Failure::from(Error::new(ErrorKind::Ledger, message)).with_exit(Exit::Rejected)
}

fn bar(lines: usize, output: &Output) -> ProgressBar {
    let bar = output.bars.add(ProgressBar::new(lines as u64));
    let template = "[{bar:30}] {pos} of {len} lines{msg} ({elapsed})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    // The elapsed time is also drawn while nothing happens.
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Prints why a line has no video, and returns the failure with the exit code of a line.
fn tell_failed(line: &BatchLine, mut failure: Failure, output: &Output) -> Failure {
    // `Usage` would say that the whole command is wrong, and that nothing was sent.
    if failure.exit == Exit::Usage {
        let is_paid = failure.error.job().is_some();
        failure.exit = if is_paid {
            Exit::Unfinished
        } else {
            Exit::Rejected
        };
    }
    let text = format!("line {}: {}", line.number, failure.in_full());
    let event = Event::Failed {
        line: line.number,
        error: failure.as_json(),
    };
    output.progress(&text, &event);
    failure
}

/// Prints how many lines ended in each way.
fn tell_counts(lines: usize, done: usize, not_taken: usize, failures: &[Failure], output: &Output) {
    let mut failed = 0;
    let mut rejected = 0;
    let mut unknown = 0;
    let mut unfinished = 0;
    for failure in failures {
        match failure.exit {
            Exit::Failed => failed += 1,
            Exit::Rejected => rejected += 1,
            Exit::Unknown => unknown += 1,
            Exit::Unfinished | Exit::Interrupted => unfinished += 1,
            // No line ends with these exit codes.
            Exit::Usage | Exit::Shortfall => {}
        }
    }
    let mut text = format!("{done} of {lines} lines done");
    for (number, word) in [
        (failed, "failed"),
        (rejected, "rejected"),
        (unknown, "with an unknown outcome"),
        (unfinished, "not finished"),
        (not_taken, "not accepted"),
    ] {
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    let event = Event::Batch {
        done,
        failed,
        rejected,
        unknown,
        unfinished,
        not_taken,
    };
    output.progress(&text, &event);
}
