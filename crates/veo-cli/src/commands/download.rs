//! `veo download`

use clap::Args;
use veo_core::ledger::EntryState;
use veo_core::{Client, JobRef, State};

use crate::args::Save;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure};
use crate::fetch::{check_place, fetch};
use crate::output::Output;
use crate::run::Run;
use crate::store::Store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo download kie:0f1e2d3c\n  veo download kie:0f1e2d3c -o again.mp4\n  \
                  veo download kie:0f1e2d3c -o - > again.mp4"
)]
pub(crate) struct Download {
    /// The job, which has to have ended.
    job: JobRef,
    #[command(flatten)]
    save: Save,
}

pub(crate) async fn run(arguments: Download, output: &Output) -> Result<(), Failure> {
    let Download { job, save } = arguments;
    let config = Config::load(output)?;
    let store = Store::open().await?;
    let client = config
        .resuming(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone())
        .with_replacing(save.force);
    check_place(&client, &store, &job).await?;
    if !has_ended(&client, &store, &job).await? {
        return Err(Failure::after_payment(&job, "it has not ended yet")
            .with_exit(Exit::Unfinished)
            .with_next(format!("Wait for it with: veo wait {job}")));
    }
    let run = Run::start(&client, &store, output);
    fetch(&run, &job, "", &save).await?;
    store.check().await
}

/// Whether there is a video to save. That of a failed job is an error.
async fn has_ended(client: &Client, store: &Store, job: &JobRef) -> Result<bool, Failure> {
    if let Some(entry) = store.find(job).await?
        && entry.upgrade().is_some()
    {
        return Ok(entry.state == EntryState::Done);
    }
    match client.state(job).await? {
        State::Finished(_) => Ok(true),
        State::Failed(error) => Err(Failure::from(*error)),
        _ => Ok(false),
    }
}
