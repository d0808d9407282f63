//! `veo download`

use clap::Args;
use veo_core::ledger::EntryState;
use veo_core::{JobRef, State};

use crate::args::Save;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure};
use crate::fetch::{check_place, fetch};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::run::Making;
use crate::store::Store;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo download kie:0f1e2d3c\n  veo download kie:0f1e2d3c -o again.mp4"
)]
pub(crate) struct Download {
    /// The job, which has to have ended.
    job: JobRef,
    #[command(flatten)]
    save: Save,
}

pub(crate) async fn run(arguments: Download, output: &Output) -> Result<(), Failure> {
    let Download { job, save } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    let client = config
        .resuming(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone());
    let client = client.with_replacing(save.force);
    check_place(&client, &store, &job).await?;
    let upgrade = store
        .find(&job)
        .await?
        .filter(|entry| entry.upgrade().is_some());
    let is_open = upgrade
        .as_ref()
        .is_some_and(|upgrade| upgrade.state != EntryState::Done);
    let state = match upgrade {
        Some(_) if is_open => Some(State::Pending),
        Some(_) => None,
        None => Some(client.state(&job).await?),
    };
    match state {
        None | Some(State::Finished(_)) => {}
        Some(State::Failed(error)) => return Err(Failure::from(*error)),
        Some(_) => {
            return Err(Failure::after_payment(&job, "it has not ended yet")
                .with_exit(Exit::Unfinished)
                .with_next(format!("Wait for it with: veo wait {job}")));
        }
    }
    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    fetch(&making, &job, "", &save).await?;
    store.check().await
}
