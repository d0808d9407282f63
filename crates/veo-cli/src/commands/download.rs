//! `veo download`

use clap::Args;
use veo_core::ledger::EntryState;
use veo_core::{ErrorKind, JobRef};

use crate::args::Save;
use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure};
use crate::fetch::{check_address, fetch};
use crate::ledgers::Ledgers;
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

pub(crate) async fn run(
    arguments: Download,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Download { job, save } = arguments;
    let config = Config::load(output)?;
    let store = Store::open(ledgers).await?;
    // The job is asked about once, since one answer can be the video itself.
    let client = config
        .asking_once(ProviderName::of(&job.provider)?)?
        .with_ledger(store.ledger().clone())
        .with_replacing(save.force);
    check_address(&client, &store, &job).await?;
    // In kie.ai's old form, a question about an upgrade can be a paid call. So this command asks nothing.
    if let Some(entry) = store.find(&job).await?
        && entry.upgrade().is_some()
        && entry.state != EntryState::Done
    {
        return Err(not_ended(&job));
    }
    let run = Run::start(&client, &store, output);
    let fetched = fetch(&run, &job, "", &save).await;
    fetched.map_err(|failure| match failure.error.kind() {
        ErrorKind::TimedOut => not_ended(&job),
        _ => failure,
    })?;
    store.fail_if_damaged().await
}

fn not_ended(job: &JobRef) -> Failure {
    Failure::after_payment(job, "it has not ended yet")
        .with_exit(Exit::Unfinished)
        .with_next(format!("Wait for it with: veo wait {job}"))
}
