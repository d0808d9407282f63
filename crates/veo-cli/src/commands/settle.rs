//! `veo settle`: what somebody has found out about a request whose outcome is unknown.

use std::path::PathBuf;

use clap::Args;
use veo_core::{JobRef, Settlement};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::listing::Listing;
use crate::output::{Event, Output};
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  veo settle 0f1e2d3c4b5a6978 --job kie:0f1e2d3c
  veo settle 0f1e2d3c4b5a6978 --not-taken
  veo settle 0f1e2d3c4b5a6978 --not-taken --batch jobs.jsonl

Look at the tasks and the balance at the provider first: what was taken and is sent
again is paid for twice. A task is asked about before it is believed.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Settle {
    /// The key of the request with an unknown outcome, as `veo jobs` lists it.
    key: String,
    /// It was taken, and is this job.
    #[arg(
        long,
        value_name = "JOB",
        required_unless_present = "not_taken",
        conflicts_with = "not_taken"
    )]
    job: Option<JobRef>,
    /// It was not taken, and may be sent again. This can be taken back with --job until something was sent.
    #[arg(long)]
    not_taken: bool,
    /// It is of this batch.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) async fn run(arguments: &Settle, output: &Output) -> Result<(), Failure> {
    let Settle {
        key, job, batch, ..
    } = arguments;
    let (store, list) = match batch {
        Some(file) => (
            Store::open_batch(file, None).await?,
            format!("veo jobs --batch {}", file.display()),
        ),
        None => (Store::open().await?, "veo jobs".to_owned()),
    };
    if store.entry(key).await?.is_none() {
        return Err(Failure::usage(format!(
            "there is no request {key}; the unknown ones are listed by: {list}"
        )));
    }
    let config = Config::load()?;
    let (client, settlement, text, next) = match job {
        Some(job) => {
            let next = match batch {
                Some(_) => "The same command of the batch goes on with it.".to_owned(),
                None => format!("Go on with: veo wait {job}"),
            };
            let client = config.client(&[ProviderName::of(&job.provider)?], None)?;
            (
                client,
                Settlement::Accepted(job.clone()),
                format!("{key} is {job}"),
                next,
            )
        }
        None => {
            let next = "It may be sent again.".to_owned();
            (
                config.planner(&[])?,
                Settlement::NotTaken,
                format!("{key} was not taken"),
                next,
            )
        }
    };
    let settled = client
        .with_ledger(store.ledger().clone())
        .settle(key, settlement)
        .await?;
    output.result(&text, &Event::Job(&Listing::of(&settled)));
    if !output.is_json() {
        output.tell(&next);
    }
    Ok(())
}
