//! Saves the video of a job that was accepted before.

use veo_core::ledger::{Entry, Wish};
use veo_core::{Client, JobRef};

use crate::args::Save;
use crate::failure::Failure;
use crate::hash;
use crate::listing::Listing;
use crate::output::Event;
use crate::paths::{check_target, entry_path, job_path};
use crate::run::{Run, TrackedJob};
use crate::saved::save_receipt;
use crate::store::Store;

/// Waits for a job, saves its video and prints the result. `label` goes before each message about the job.
pub(crate) async fn fetch(
    run: &Run<'_>,
    job: &JobRef,
    label: &str,
    save: &Save,
) -> Result<(), Failure> {
    let entry = run.store.find(job).await?;
    let small = without_size(job);
    if let (None, Some(to)) = (&entry, job.resolution)
        && run.store.find(&small).await?.is_some()
    {
        return Err(Failure::usage(format!(
            "{small} was not asked for in {to}; to have it larger, which costs extra, run: \
             veo upgrade {small} --resolution {to}"
        )));
    }
    if let Some(entry) = &entry
        && !save.force
        && save.output.is_none()
        && is_saved(entry)
    {
        return tell_again(run, job, entry, save);
    }
    let destination = save.destination(job_path(job, entry.as_ref()), run.output)?;
    let mut tracked = TrackedJob {
        reference: job,
        key: entry.as_ref().map(|entry| entry.key.as_str()),
        job: None,
        line: None,
        label,
    };
    let video = match entry.as_ref().and_then(Entry::upgrade) {
        Some(to) => run.enlarge(&small, to, &tracked, &destination).await?,
        None => {
            let sent = entry.as_ref().and_then(Entry::job);
            if let Some(sent) = &sent {
                tracked.reference = &sent.reference;
                tracked.job = Some(sent);
            }
            run.finish(&tracked, &destination).await?
        }
    };
    video.tell(job, label, save.receipt.as_deref(), run.output)
}

/// Refuses to ask about a job at another address than that of its request. Another address does not know the job, so
/// its answer would say nothing about the paid job.
pub(crate) async fn check_address(
    client: &Client,
    store: &Store,
    job: &JobRef,
) -> Result<(), Failure> {
    let mut entry = store.find(job).await?;
    if entry.is_none() {
        entry = store.find(&without_size(job)).await?;
    }
    let Some(entry) = entry else {
        return Ok(());
    };
    // A damaged line does not say where its request was sent.
    if matches!(entry.wish, Wish::Lost) || entry.attempts.is_empty() {
        return Ok(());
    }
    Ok(client.check_address(job, entry.base_url())?)
}

/// Returns the job without a size. An upgrade is made from the video of this job.
pub(crate) fn without_size(job: &JobRef) -> JobRef {
    let mut job = job.clone();
    job.resolution = None;
    job
}

/// Returns whether the video of an entry was saved, and is still the same file.
fn is_saved(entry: &Entry) -> bool {
    let Some(delivered) = &entry.delivered else {
        return false;
    };
    match hash::of_file(&delivered.saved.path) {
        Ok((sha256, _)) => sha256 == delivered.saved.sha256,
        Err(_) => false,
    }
}

/// Prints the result for a video that was saved before, and saves its receipt if the user wants one.
fn tell_again(run: &Run<'_>, job: &JobRef, entry: &Entry, save: &Save) -> Result<(), Failure> {
    if let Some(path) = &save.receipt {
        check_target(path, "--receipt", false)?;
    }
    let path = entry_path(entry).unwrap_or_default();
    let path = path.display().to_string();
    run.output
        .note(&format!("{job} is saved already as {path}"));
    let listing = Listing::of(entry);
    run.output.result(&path, &Event::Job(&listing));
    match &save.receipt {
        Some(path) => save_receipt(path, job, entry.receipt().as_ref(), run.output),
        None => Ok(()),
    }
}
