//! The work of a batch: sends its lines, waits for its jobs and saves their videos, several at a time.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use veo_core::ledger::Ledger as _;
use veo_core::{ErrorKind, Receipt, Resend};

use crate::batch::actions::Step;
use crate::batch::lines::Line;
use crate::batch::receipts::Receipts;
use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};
use crate::paths::{named_after, relative};
use crate::run::{Known, Making, label};
use crate::saved::summary;

/// The name of the cap of a batch in its ledger.
pub(super) const BUDGET: &str = "--max-credits";

/// A batch that is under way.
pub(super) struct Running<'a> {
    pub(super) making: Making<'a>,
    pub(super) is_capped: bool,
    /// Why no further line is sent, if that is so.
    pub(super) halted: RefCell<Option<String>>,
}

impl Running<'_> {
    pub(super) async fn all(
        &self,
        lines: &[Line],
        steps: Vec<Step>,
        concurrency: usize,
        mut receipts: Receipts,
    ) -> Result<(), Failure> {
        let output = self.making.output;
        let total = output.bars.add(ProgressBar::new(lines.len() as u64));
        if let Ok(style) =
            ProgressStyle::with_template("[{bar:30}] {pos} of {len} lines{msg} ({elapsed})")
        {
            total.set_style(style.progress_chars("=> "));
        }
        total.tick();
        let (waiting, rest): (Vec<_>, Vec<_>) = lines
            .iter()
            .zip(steps)
            .partition(|(_, step)| matches!(step, Step::Wait(_)));
        // What is paid for comes first.
        let steps = waiting.into_iter().chain(rest);
        let work = |(line, step)| async move { (line, self.take(line, step).await) };
        let mut results = stream::iter(steps).map(work).buffer_unordered(concurrency);
        let (mut done, mut failures) = (0, Vec::new());
        while let Some((line, result)) = results.next().await {
            match result {
                Ok(receipt) => {
                    done += 1;
                    output.bars.suspend(|| receipts.write(receipt.as_deref()));
                }
                Err(mut failure) => {
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
                    output.progress(
                        &text,
                        &Event::Failed {
                            line: line.number,
                            error: failure.told(),
                        },
                    );
                    failures.push(failure);
                }
            }
            total.inc(1);
            if self.is_capped
                && let Ok(spent) = self.making.store.ledger().spent(BUDGET).await
            {
                total.set_message(format!(", {spent} credits"));
            }
        }
        total.finish_and_clear();
        let ended = match summarize(lines, done, &failures, output) {
            Ok(()) => self.making.store.check().await,
            ended => ended,
        };
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

    /// Does for a line what is to be done, and gives its receipt.
    async fn take(&self, line: &Line, step: Step) -> Result<Option<Box<Receipt>>, Failure> {
        let (making, number) = (&self.making, Some(line.number));
        let (key, job, path) = match step {
            Step::Leave(failure) => return Err(*failure),
            Step::Done(entry) => {
                let receipt = entry.receipt().map(Box::new);
                if making.output.is_json() {
                    let event = Event::Done {
                        line: line.number,
                        receipt: receipt.as_deref(),
                    };
                    making.output.progress("", &event);
                }
                return Ok(receipt);
            }
            Step::Wait(entry) => {
                let Some(job) = entry.job() else {
                    return Err(Failure::failed(format!(
                        "the record of {} has no job",
                        entry.key
                    )));
                };
                let target = entry.target.as_deref().map(PathBuf::from);
                let path = target.unwrap_or_else(|| named_after(&job.reference));
                (entry.key, job, relative(&path))
            }
            Step::Send { key, path } => {
                let job = self.send(line, &key, &path).await?;
                (key, job, path)
            }
        };
        let label = label(number);
        let known = Known {
            reference: &job.reference,
            key: Some(&key),
            job: Some(&job),
            line: number,
            label: &label,
        };
        let made = making.finish(&known, &path).await?;
        let text = format!(
            "{label}{}: {}",
            summary(&made.saved),
            made.saved.path.display()
        );
        let (saved, receipt) = (&made.saved, made.receipt.as_ref());
        making.output.progress(
            &text,
            &Event::Saved {
                line: number,
                job: &job.reference,
                saved,
                receipt,
            },
        );
        Ok(made.receipt.map(Box::new))
    }

    /// Sends a line. What the provider takes later is sent later.
    async fn send(&self, line: &Line, key: &str, path: &Path) -> Result<veo_core::Job, Failure> {
        let (making, number) = (&self.making, Some(line.number));
        loop {
            if making.interrupts.any() {
                return Err(Failure::interrupted_before());
            }
            if let Some(why) = &*self.halted.borrow() {
                let message = format!("not sent: {why}");
                return Err(
                    Failure::from(veo_core::Error::new(ErrorKind::Ledger, message))
                        .with_exit(Exit::Rejected),
                );
            }
            let prepared = making.prepare(&line.request, number).await?.key(key);
            let failure = match making.submit(prepared, path, number).await {
                Ok(job) => {
                    if job.unrecorded.is_some() {
                        let why = "a job before it could not be written down; correct that first";
                        *self.halted.borrow_mut() = Some(why.to_owned());
                    }
                    return Ok(job);
                }
                Err(failure) => failure,
            };
            match failure.error.resend() {
                Resend::After(pause) if failure.error.kind() == ErrorKind::RateLimited => {
                    making
                        .output
                        .note(&format!("{}{}", label(number), failure.message()));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = making.interrupts.first() => return Err(Failure::interrupted_before()),
                    }
                }
                _ => return Err(failure),
            }
        }
    }
}

/// What to do when a batch has ended before its end.
const AGAIN: &str = "The same command goes on, and sends nothing twice.";

fn summarize(
    lines: &[Line],
    done: usize,
    failures: &[Failure],
    output: &Output,
) -> Result<(), Failure> {
    let count = |exits: &[Exit]| {
        failures
            .iter()
            .filter(|failure| exits.contains(&failure.exit))
            .count()
    };
    let (failed, rejected) = (count(&[Exit::Failed]), count(&[Exit::Rejected]));
    let (unknown, unfinished) = (
        count(&[Exit::Unknown]),
        count(&[Exit::Unfinished, Exit::Interrupted]),
    );
    let mut text = format!("{done} of {} lines done", lines.len());
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
    output.progress(
        &text,
        &Event::Batch {
            done,
            failed,
            rejected,
            unknown,
            unfinished,
        },
    );
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} lines have no video", failures.len(), lines.len());
    Err(Failure::of_several(message, failures).with_next(AGAIN))
}
