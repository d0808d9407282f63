//! The video of a job that was accepted before.

use veo_core::JobRef;
use veo_core::ledger::{Entry, Wish};

use crate::args::Save;
use crate::failure::Failure;
use crate::hash::hashed;
use crate::listing::Listing;
use crate::output::Event;
use crate::paths::{check_target, path_of, relative};
use crate::run::{Known, Making};
use crate::saved::{keep_receipt, tell_saved};
use crate::store::Store;

/// Waits for a job, saves its video and tells it.
pub(crate) async fn fetch(
    making: &Making<'_>,
    job: &JobRef,
    label: &str,
    save: &Save,
) -> Result<(), Failure> {
    let entry = making.store.find(job).await?;
    let small = without_size(job);
    if let (None, Some(to)) = (&entry, job.resolution)
        && making.store.find(&small).await?.is_some()
    {
        let message = format!(
            "{small} was not asked for in {to}; to have it larger, which costs extra, run: "
        );
        return Err(Failure::usage(format!(
            "{message}veo upgrade {small} --resolution {to}"
        )));
    }
    if let Some(entry) = &entry
        && let Some(delivered) = &entry.delivered
        && save.output.is_none()
        && !save.force
        && hashed(&delivered.saved.path).is_ok_and(|(sha256, _)| delivered.saved.sha256 == sha256)
    {
        if let Some(path) = &save.receipt {
            check_target(path, "--receipt", false)?;
        }
        making.output.note(&format!("{job} is saved already"));
        let path = relative(&delivered.saved.path);
        making.output.result(
            &path.display().to_string(),
            &Event::Job(&Listing::of(entry)),
        );
        return keep_receipt(
            save.receipt.as_deref(),
            job,
            entry.receipt().as_ref(),
            making.output,
        );
    }
    let path = save.path(path_of(job, entry.as_ref()))?;
    let (key, sent) = (
        entry.as_ref().map(|entry| entry.key.as_str()),
        entry.as_ref().and_then(Entry::job),
    );
    let reference = sent.as_ref().map_or(job, |job| &job.reference);
    let made = match entry.as_ref().and_then(Entry::upgrade) {
        Some(to) => {
            let known = Known {
                reference: job,
                key,
                job: None,
                line: None,
                label,
            };
            making.enlarge(&small, to, &known, &path).await?
        }
        None => {
            let known = Known {
                reference,
                key,
                job: sent.as_ref(),
                line: None,
                label,
            };
            making.finish(&known, &path).await?
        }
    };
    tell_saved(job, &made, save.receipt.as_deref(), making.output)
}

/// Refuses to ask for a job in a place where it does not live.
pub(crate) async fn check_place(
    client: &veo_core::Client,
    store: &Store,
    job: &JobRef,
) -> Result<(), Failure> {
    let found = match store.find(job).await? {
        Some(found) => Some(found),
        None => store.find(&without_size(job)).await?,
    };
    match found {
        // Nobody knows where an entry was sent whose line is damaged.
        Some(entry) if !matches!(entry.wish, Wish::Lost) && !entry.attempts.is_empty() => {
            Ok(client.check_place(job, entry.base_url())?)
        }
        _ => Ok(()),
    }
}

/// The job of a task as it is named without saying how large it is to be.
pub(crate) fn without_size(job: &JobRef) -> JobRef {
    let mut job = job.clone();
    job.resolution = None;
    job
}
