//! `veo settle`, for a user who knows the outcome of a request that the ledger has as unknown

use std::path::PathBuf;

use clap::Args;
use veo_core::{JobRef, Settlement};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::ledgers::Ledgers;
use crate::listing::Listing;
use crate::output::{Event, Output};
use crate::shell::quoted;
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  veo settle 0f1e2d3c4b5a6978 --job kie:0f1e2d3c
  veo settle 0f1e2d3c4b5a6978 --not-taken
  veo settle 0f1e2d3c4b5a6978 --not-taken --batch jobs.jsonl

Look at the tasks and the balance at the provider first: a request that was
accepted is paid for twice if it is sent again. With --job, the provider is asked
about the task.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Settle {
    /// The key of the request with an unknown outcome, as `veo jobs` lists it.
    key: String,
    /// The job of the request, if it was accepted.
    #[arg(
        long,
        value_name = "JOB",
        required_unless_present = "not_taken",
        conflicts_with = "not_taken"
    )]
    job: Option<JobRef>,
    /// The request was not accepted, and may be sent again. --job corrects this answer until the request is sent again.
    #[arg(long)]
    not_taken: bool,
    /// The batch of the request.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) async fn run(
    arguments: &Settle,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Settle {
        key, job, batch, ..
    } = arguments;
    let store = match batch {
        Some(file) => Store::open_begun_batch(file, ledgers).await?,
        None => Store::open(ledgers).await?,
    };
    if store.entry(key).await?.is_none() {
        let list = match batch {
            Some(file) => format!("veo jobs --batch {}", quoted(file.display())),
            None => "veo jobs".to_owned(),
        };
        return Err(Failure::usage(format!(
            "there is no request {key}; list the unknown ones with: {list}"
        )));
    }
    let config = Config::load(output)?;
    let client = match job {
        Some(job) => config.client(&[ProviderName::of(&job.provider)?], None)?,
        // No provider is asked, so no API key is needed.
        None => config.planner(&[])?,
    };
    let settlement = match job {
        Some(job) => Settlement::Accepted(job.clone()),
        None => Settlement::NotTaken,
    };
    let settled = client
        .with_ledger(store.ledger().clone())
        .settle(key, settlement)
        .await?;
    // This name is complete: it has the form of the provider's API, and the size for an upgrade.
    let job = settled.reference();
    let text = match job {
        Some(job) => format!("{key} was accepted as {job}"),
        None => format!("{key} was not accepted"),
    };
    output.result(&text, &Event::Job(&Listing::of(&settled)));
    if !output.is_json() {
        let next = match (job, batch) {
            (None, _) => "The request may be sent again.".to_owned(),
            (Some(_), Some(_)) => {
                "Run the same batch command again to continue with the job.".to_owned()
            }
            (Some(job), None) => format!("Continue with: veo wait {job}"),
        };
        output.tell(&next);
    }
    Ok(())
}
