//! The work of a batch: sends its lines, waits for its jobs and saves their videos, several at a time.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use veo_core::ledger::{Entry, Ledger as _};
use veo_core::{Error, ErrorKind, Job, Receipt, Resend};

use crate::batch::actions::Action;
use crate::batch::lines::BatchLine;
use crate::batch::receipts::Receipts;
use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};
use crate::paths::{named_after, relative};
use crate::run::{Run, TrackedJob, label};

/// The name of the cap of a batch in its ledger.
pub(super) const BUDGET: &str = "--max-credits";

/// A batch that is under way.
pub(super) struct Work<'a> {
    pub(super) run: Run<'a>,
    pub(super) is_capped: bool,
    /// Why no further line is sent, if that is so.
    pub(super) halted: RefCell<Option<String>>,
}

impl Work<'_> {
    /// Does what is to be done for all lines, some of them at a time.
    pub(super) async fn all(
        &self,
        lines: &[BatchLine],
        actions: Vec<Action>,
        concurrency: usize,
        mut receipts: Receipts,
    ) -> Result<(), Failure> {
        let output = self.run.output;
        let bar = bar(lines.len(), output);
        // Videos that are paid for come first.
        let (waiting, rest): (Vec<_>, Vec<_>) = lines
            .iter()
            .zip(actions)
            .partition(|(_, action)| matches!(action, Action::Wait(_)));
        let ordered = waiting.into_iter().chain(rest);
        let work = |(line, action)| async move { (line, self.act(line, action).await) };
        let mut results = stream::iter(ordered)
            .map(work)
            .buffer_unordered(concurrency);
        let mut done = 0;
        let mut failures = Vec::new();
        while let Some((line, result)) = results.next().await {
            match result {
                Ok(receipt) => {
                    done += 1;
                    output.bars.suspend(|| receipts.write(receipt.as_deref()));
                }
                Err(failure) => failures.push(tell_failed(line, failure, output)),
            }
            bar.inc(1);
            if self.is_capped
                && let Ok(spent) = self.run.store.ledger().spent(BUDGET).await
            {
                bar.set_message(format!(", {spent} credits"));
            }
        }
        bar.finish_and_clear();
        tell_counts(lines.len(), done, &failures, output);
        let ended = self.end(lines.len(), &failures).await;
        match (receipts.end(), ended) {
            (Ok(()), ended) => ended,
            (Err(unwritten), Ok(())) => Err(unwritten),
            (Err(unwritten), Err(failure)) => {
                output.report(&unwritten);
                let message = failure.message();
                Err(Failure::of_several(message, &[unwritten, failure]).with_next(AGAIN))
            }
        }
    }

    /// Does what is to be done for a line, and gives its receipt.
    async fn act(&self, line: &BatchLine, action: Action) -> Result<Option<Box<Receipt>>, Failure> {
        match action {
            Action::Skip(failure) => Err(*failure),
            Action::Done(entry) => Ok(self.tell_done(line, &entry)),
            Action::Wait(entry) => {
                let Some(job) = entry.job() else {
                    let message = format!("the record of {} has no job", entry.key);
                    return Err(Failure::failed(message));
                };
                let path = match &entry.target {
                    Some(target) => PathBuf::from(target),
                    None => named_after(&job.reference),
                };
                self.finish(line, &entry.key, &job, &relative(&path)).await
            }
            Action::Send { key, path } => {
                let job = self.send(line, &key, &path).await?;
                self.finish(line, &key, &job, &path).await
            }
        }
    }

    /// Sends a line, again and again while the provider says that it takes it later.
    async fn send(&self, line: &BatchLine, key: &str, path: &Path) -> Result<Job, Failure> {
        let run = &self.run;
        let number = Some(line.number);
        loop {
            if run.interrupts.any() {
                return Err(Failure::interrupted_before());
            }
            if let Some(why) = &*self.halted.borrow() {
                let error = Error::new(ErrorKind::Ledger, format!("not sent: {why}"));
                return Err(Failure::from(error).with_exit(Exit::Rejected));
            }
            let prepared = run.prepare(&line.request, number).await?.key(key);
            let failure = match run.submit(prepared, path, number).await {
                Ok(job) => {
                    if job.unrecorded.is_some() {
                        let why = "a job before it could not be written down; correct that first";
                        *self.halted.borrow_mut() = Some(why.to_owned());
                    }
                    return Ok(job);
                }
                Err(failure) => failure,
            };
            let Resend::After(pause) = failure.error.resend() else {
                return Err(failure);
            };
            if failure.error.kind() != ErrorKind::RateLimited {
                return Err(failure);
            }
            run.output
                .note(&format!("{}{}", label(number), failure.message()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = run.interrupts.first() => return Err(Failure::interrupted_before()),
            }
        }
    }

    /// Waits for the job of a line, saves its video and gives its receipt.
    async fn finish(
        &self,
        line: &BatchLine,
        key: &str,
        job: &Job,
        path: &Path,
    ) -> Result<Option<Box<Receipt>>, Failure> {
        let number = Some(line.number);
        let label = label(number);
        let tracked = TrackedJob {
            reference: &job.reference,
            key: Some(key),
            job: Some(job),
            line: number,
            label: &label,
        };
        let video = self.run.finish(&tracked, path).await?;
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

    async fn end(&self, lines: usize, failures: &[Failure]) -> Result<(), Failure> {
        if failures.is_empty() {
            return self.run.store.check().await;
        }
        let message = format!("{} of {lines} lines have no video", failures.len());
        Err(Failure::of_several(message, failures).with_next(AGAIN))
    }
}

/// Says what to do when a batch has ended before its end.
const AGAIN: &str = "The same command goes on, and sends nothing twice.";

fn bar(lines: usize, output: &Output) -> ProgressBar {
    let bar = output.bars.add(ProgressBar::new(lines as u64));
    let template = "[{bar:30}] {pos} of {len} lines{msg} ({elapsed})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.tick();
    bar
}

/// Tells why a line has no video, and gives the failure back as one of a batch.
fn tell_failed(line: &BatchLine, mut failure: Failure, output: &Output) -> Failure {
    // The command itself was right.
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

/// Tells how many lines ended how.
fn tell_counts(lines: usize, done: usize, failures: &[Failure], output: &Output) {
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
            // No line ends with it.
            Exit::Usage => {}
        }
    }
    let mut text = format!("{done} of {lines} lines done");
    for (number, word) in [
        (failed, "failed"),
        (rejected, "rejected"),
        (unknown, "with an unknown outcome"),
        (unfinished, "not finished"),
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
    };
    output.progress(&text, &event);
}
