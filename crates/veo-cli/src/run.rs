//! The run of one video, from the request to the file.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf, absolute};
use std::pin::pin;

use veo_core::ledger::{Entry, EntryState, Which};
use veo_core::{
    Charged, Client, ErrorKind, Input, Job, JobRef, Plan, Prepared, Receipt, Refusal, Resolution,
    State, Submission, Video, VideoRequest,
};

use crate::config::Config;
use crate::destination::{Destination, Target, write_out};
use crate::failure::{Exit, Failure, PAID_LINE_ADVICE, settle_advice};
use crate::interrupt::Interrupts;
use crate::output::{Event, Output};
use crate::paths::{canonical, next_free};
use crate::progress::{Progress, spinner};
use crate::saved::SavedVideo;
use crate::store::Store;

/// The tools to make videos. From the start of a run, Ctrl-C loses nothing that is paid for.
pub(crate) struct Run<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a Store,
    pub(crate) interrupts: Interrupts,
    pub(crate) output: &'a Output,
}

/// A job that the program waits for.
pub(crate) struct TrackedJob<'a> {
    pub(crate) reference: &'a JobRef,
    pub(crate) key: Option<&'a str>,
    pub(crate) job: Option<&'a Job>,
    pub(crate) line: Option<usize>,
    /// The text before each message about this job, such as `line 3: `. It is empty for a single job.
    pub(crate) label: &'a str,
}

impl<'a> Run<'a> {
    pub(crate) fn start(client: &'a Client, store: &'a Store, output: &'a Output) -> Self {
        Self {
            client,
            store,
            interrupts: Interrupts::new(),
            output,
        }
    }

    /// Plans a request, and uploads its images to where the provider can reach them. Both steps are free.
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
        // With JSON, the event of the accepted job has the warnings instead.
        if let Some(first) = prepared.offers().first()
            && !self.output.is_json()
        {
            let label = label(line);
            for warning in &first.warnings {
                self.output.warn(&format!("{label}{warning}"));
            }
        }
        Ok(prepared)
    }

    /// Sends a request, and returns the job and the destination of its video. By then the outcome is in the ledger.
    pub(crate) async fn send(
        &self,
        prepared: Prepared,
        target: Target,
    ) -> Result<(Job, Destination), Failure> {
        let (like, replace) = match target {
            Target::Given(destination) => {
                let job = self.submit(prepared, &destination, None).await?;
                return Ok((job, destination));
            }
            Target::Free { like, replace } => (like, replace),
        };
        loop {
            let free = self.next_free(&like, replace).await?;
            let destination = Destination::File(free);
            match self.submit(prepared.clone(), &destination, None).await {
                Ok(job) => return Ok((job, destination)),
                // Another process took the name first. The ledger found this out before anything was sent.
                Err(failure) if failure.error.kind() == ErrorKind::TargetTaken => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Sends a paid request once. If Ctrl-C comes before the request leaves, nothing is sent.
    pub(crate) async fn submit(
        &self,
        prepared: Prepared,
        destination: &Destination,
        line: Option<usize>,
    ) -> Result<Job, Failure> {
        let key = prepared.chosen_key().to_owned();
        let prepared = match destination.target() {
            Some(target) => prepared.target(target),
            None => prepared,
        };
        // `prepare` printed the warnings of the first offer already.
        let told = match prepared.offers().first() {
            Some(first) => first.warnings.clone(),
            None => Vec::new(),
        };
        let spinner = spinner(self.output, format!("{}Sending", label(line)));
        let outcome = self.send_unless_given_up(prepared).await;
        spinner.finish_and_clear();
        let batch = self.store.batch();
        match outcome {
            Some(Submission::Accepted(job)) => {
                self.tell_accepted(&job, line, &told);
                Ok(job)
            }
            Some(Submission::Rejected(error)) => Err(Failure::from(error)),
            // It may have been charged, so the advice is to look at the provider and to settle, never to send it again.
            Some(Submission::Unknown(unknown)) => {
                let key = unknown.key.unwrap_or(key);
                Err(Failure::from(unknown.error)
                    .with_exit(Exit::Unknown)
                    .with_next(settle_advice(&key, batch)))
            }
            // The user gave up. The sending continues until the program ends. If no outcome comes by then, the attempt
            // stays open, and the ledger never sends a key with an open attempt again.
            None => Err(Failure::given_up().with_next(settle_advice(&key, batch))),
        }
    }

    /// Waits for a job, and saves its video.
    pub(crate) async fn finish(
        &self,
        job: &TrackedJob<'_>,
        destination: &Destination,
    ) -> Result<SavedVideo, Failure> {
        let saved = tokio::select! {
            saved = self.wait_and_save(job, destination) => saved,
            () = self.interrupts.first() => Err(Failure::interrupted(job.reference)),
        };
        saved.map_err(|failure| match failure.exit {
            Exit::Interrupted | Exit::Unfinished if self.store.is_temporary() => {
                failure.with_next("The simulator ends with the program, and its jobs with it.")
            }
            // `veo wait` does not read the ledger of a batch, so the advice names the same batch command.
            Exit::Interrupted | Exit::Unfinished if job.line.is_some() => {
                failure.with_next(PAID_LINE_ADVICE)
            }
            _ => failure,
        })
    }

    /// Makes the video of a finished job larger, and saves it. A second call continues the same upgrade.
    pub(crate) async fn enlarge(
        &self,
        small: &JobRef,
        to: Resolution,
        larger: &TrackedJob<'_>,
        destination: &Destination,
    ) -> Result<SavedVideo, Failure> {
        let saved = tokio::select! {
            saved = self.enlarge_and_save(small, to, larger, destination) => saved,
            () = self.interrupts.first() => Err(Failure::interrupted(larger.reference)),
        };
        match saved {
            Ok(saved) => Ok(saved),
            Err(failure) => {
                let entry = self.entry(larger.key).await?;
                let state = entry.map(|entry| entry.state);
                Err(explained(failure, state, small, to, larger.key))
            }
        }
    }

    /// Sends a request and returns its outcome, or `None` if Ctrl-C was pressed twice meanwhile.
    async fn send_unless_given_up(&self, prepared: Prepared) -> Option<Submission> {
        let mut sending = pin!(self.client.send_until(prepared, self.interrupts.first()));
        tokio::select! {
            // The sending is polled first. If nothing has left at Ctrl-C, the sending ends as not sent. Otherwise the
            // request is on the wire, and to stop now would lose the outcome of a call that may be paid for.
            biased;
            outcome = &mut sending => return Some(outcome),
            () = self.interrupts.first() => self.interrupts.explain(self.output),
        }
        tokio::select! {
            outcome = &mut sending => Some(outcome),
            () = self.interrupts.second() => None,
        }
    }

    async fn wait_and_save(
        &self,
        job: &TrackedJob<'_>,
        destination: &Destination,
    ) -> Result<SavedVideo, Failure> {
        let progress = Progress::start(self.output, job.reference, job.line, job.label);
        progress.waiting();
        let video = self
            .client
            .wait_with(job.reference, |state| progress.state(state))
            .await?;
        self.save(job, &video, destination, progress).await
    }

    async fn enlarge_and_save(
        &self,
        small: &JobRef,
        to: Resolution,
        larger: &TrackedJob<'_>,
        destination: &Destination,
    ) -> Result<SavedVideo, Failure> {
        let before = self.entry(larger.key).await?;
        let is_accepted = before.is_some_and(|entry| entry.reference().is_some());
        let is_told = Cell::new(is_accepted);
        let made_small = self.store.find(small).await?;
        let model = made_small
            .as_ref()
            .and_then(|entry| entry.attempts.last())
            .map_or("unknown", |attempt| attempt.sent.model.as_str());
        let progress = Progress::start(self.output, larger.reference, None, larger.label);
        if is_accepted {
            progress.waiting();
        }
        let on_state = |state: &State| {
            // The provider's first state other than pending means that it has accepted the upgrade.
            let is_answer = !matches!(state, State::Pending);
            if is_answer && !is_told.replace(true) {
                self.tell_taken(larger, model);
                progress.waiting();
            }
            if is_told.get() {
                progress.state(state);
            }
        };
        let video = self
            .client
            .upgrade_with(small, to, on_state)
            .await
            .map_err(|error| error.with_job(larger.reference))?;
        self.save(larger, &video, destination, progress).await
    }

    /// Saves the video of a job, and records in the ledger that it is saved.
    async fn save(
        &self,
        job: &TrackedJob<'_>,
        video: &Video,
        destination: &Destination,
        progress: Progress<'_>,
    ) -> Result<SavedVideo, Failure> {
        if self.output.is_json() {
            let event = Event::Finished {
                line: job.line,
                job: job.reference,
                video: &video.redacted(),
            };
            self.output.progress("", &event);
        }
        let path = destination.file();
        let on_bytes = |received, total| progress.bytes(received, total);
        let mut saved = self.client.download_with(video, &path, on_bytes).await?;
        drop(progress);
        if destination.is_stdout() {
            write_out(&saved.path, job.reference).await?;
            saved.path = PathBuf::new();
        } else if saved.path != path {
            self.output.warn(&format!(
                "{}{} appeared meanwhile, and is kept; the video is {}",
                job.label,
                path.display(),
                saved.path.display()
            ));
        }
        let mut kept = saved.clone();
        // The stored path has to be valid from any folder. An empty path means standard output, and stays empty.
        kept.path = absolute(&saved.path).unwrap_or(kept.path);
        // The entry is read only now, since an upgrade has no job before the provider has accepted it.
        let entry = self.entry(job.key).await?;
        let job_of_entry = entry.as_ref().and_then(Entry::job);
        let Some(sent) = job.job.or(job_of_entry.as_ref()) else {
            return Ok(SavedVideo {
                saved,
                receipt: None,
            });
        };
        let receipt = Receipt::new(sent, video, &kept);
        // If the ledger has a file for the video, it keeps that file when the video goes to standard output too.
        let is_saved = entry
            .as_ref()
            .is_some_and(|entry| entry.delivered.is_some());
        if let Some(key) = job.key
            && !(is_saved && destination.is_stdout())
            && let Err(error) = self.client.done(key, &receipt).await
        {
            self.output.warn(&format!("{}{error}", job.label));
        }
        if entry.is_some_and(|entry| entry.wish.asked().is_none()) {
            // Another machine sent the request, so this machine cannot compare the video with it.
            return Ok(SavedVideo {
                saved,
                receipt: None,
            });
        }
        for discrepancy in &receipt.discrepancies {
            self.output.warn(&format!("{}{discrepancy}", job.label));
        }
        if receipt.is_less() {
            self.output.note_shortfall();
        }
        Ok(SavedVideo {
            saved,
            receipt: Some(receipt),
        })
    }

    /// Prints that a job was accepted, and the warnings that were not printed before.
    fn tell_accepted(&self, job: &Job, line: Option<usize>, told: &[String]) {
        let reference = &job.reference;
        let label = label(line);
        // Another provider or form was asked first and refused. With JSON, the event has the refusals.
        if !self.output.is_json() {
            for refusal in &job.refusals {
                self.output.warn(&format!("{label}{refusal}"));
            }
            for warning in &job.offer.warnings {
                if !told.contains(warning) {
                    self.output.warn(&format!("{label}{warning}"));
                }
            }
        }
        let event = Event::Accepted {
            line,
            job: reference,
            model: &job.offer.model,
            warnings: &job.offer.warnings,
            refusals: &job.refusals,
        };
        let text = format!("{label}Accepted as {reference}");
        self.output.progress(&text, &event);
        if let Some(error) = &job.unrecorded {
            self.output.warn(&format!(
                "{label}{reference} is paid for and is not on record: {error}. Keep its name: veo wait {reference}"
            ));
        }
    }

    /// Prints that an upgrade was accepted.
    fn tell_taken(&self, larger: &TrackedJob<'_>, model: &str) {
        let event = Event::Accepted {
            line: None,
            job: larger.reference,
            model,
            warnings: &[],
            refusals: &[],
        };
        let text = format!("{}Accepted as {}", larger.label, larger.reference);
        self.output.progress(&text, &event);
    }

    async fn entry(&self, key: Option<&str>) -> Result<Option<Entry>, Failure> {
        match key {
            Some(key) => self.store.entry(key).await,
            None => Ok(None),
        }
    }

    /// Returns the next free name: no file has it, and no open entry is to be saved there.
    async fn next_free(&self, like: &Path, replace: bool) -> Result<PathBuf, Failure> {
        let open = self.store.list(Which::Open).await?;
        let targets: HashSet<_> = open.into_iter().filter_map(|entry| entry.target).collect();
        Ok(next_free(like, |path| {
            let is_in_the_way = if replace {
                path.is_dir()
            } else {
                path.exists()
            };
            is_in_the_way || targets.contains(&*canonical(path).display().to_string())
        }))
    }
}

/// The text before each message about a line of a batch, or an empty text outside one.
pub(crate) fn label(line: Option<usize>) -> String {
    match line {
        Some(line) => format!("line {line}: "),
        None => String::new(),
    }
}

/// Returns the plan if a provider can make the video. The reasons against it also name providers without an API key.
pub(crate) fn plan_or_refuse(
    client: &Client,
    config: &Config,
    request: &VideoRequest,
) -> Result<Plan, Failure> {
    if let Input::Extension { source } = &request.input
        && let Some(job) = &source.job
        && source.url.is_none()
        && config.is_temporary
    {
        return Err(Failure::usage(format!(
            "{job} is not there: the simulator of --sim begins with the command and has no earlier job; start one with \
             `veo sim` in another terminal, and make both videos there, without --sim"
        )));
    }
    let plan = client.plan(request);
    if !plan.offers.is_empty() {
        return Ok(plan);
    }
    let everybody = config.planner(&[])?.plan(request);
    let refusals: Vec<_> = plan
        .refusals
        .iter()
        .map(|refusal| with_names(refusal, &everybody).to_string())
        .collect();
    Err(Failure::usage(refusals.join("\n")))
}

/// Returns the same refusal from `everybody`, the plan over all providers, or else the refusal itself.
fn with_names<'a>(refusal: &'a Refusal, everybody: &'a Plan) -> &'a Refusal {
    let is_same = |other: &&Refusal| {
        let fields = other.reasons.iter().map(|reason| reason.field);
        other.provider == refusal.provider
            && fields.eq(refusal.reasons.iter().map(|reason| reason.field))
    };
    everybody.refusals.iter().find(is_same).unwrap_or(refusal)
}

/// Gives the failure of an upgrade the exit code and the advice that fit the state of its entry.
fn explained(
    failure: Failure,
    state: Option<EntryState>,
    small: &JobRef,
    to: Resolution,
    key: Option<&str>,
) -> Failure {
    match state {
        // The error carries the smaller job, which is paid for. The upgrade itself was not charged.
        Some(EntryState::Rejected | EntryState::Wanted) if failure.exit != Exit::Interrupted => {
            let exit = match failure.exit {
                Exit::Usage => Exit::Usage,
                _ => Exit::Rejected,
            };
            Failure::from(failure.error.with_charged(Charged::No)).with_exit(exit)
        }
        Some(EntryState::Failed) => failure.with_next("The smaller video can still be saved."),
        Some(EntryState::Unknown | EntryState::OnItsWay) => {
            let exit = match failure.exit {
                Exit::Interrupted => Exit::Interrupted,
                _ => Exit::Unknown,
            };
            // In the old form, the call for 1080p also asks for progress, and may be repeated. The call for 4K was
            // repeated once already. In kie.ai's current form each call is another paid upgrade.
            let is_asked_again = to != Resolution::K4 && small.form.is_none();
            let next = match key {
                Some(key) if !is_asked_again => settle_advice(key, None),
                _ => format!(
                    "It may have been charged. Run the same command again: veo upgrade {small} --resolution {to}"
                ),
            };
            Failure::from(failure.error.with_charged(Charged::Unknown))
                .with_exit(exit)
                .with_next(next)
        }
        _ => failure,
    }
}
