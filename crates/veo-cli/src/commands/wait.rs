//! `veo wait`

use std::collections::HashMap;

use clap::Args;
use futures_util::future::join_all;
use veo_core::JobRef;
use veo_core::ledger::{EntryState, Which};

use crate::args::{Patience, Save};
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::fetch::{check_address, fetch};
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::paths::{canonical, job_path};
use crate::run::Run;
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  veo wait                                  the latest job without a saved video
  veo wait kie:0f1e2d3c -o dog.mp4
  veo wait kie:0f1e2d3c uniall:task_42      both at once

The video is saved where `generate` was to save it, if this machine has sent the
request.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// The jobs [default: the latest job of this machine whose video is not saved and that has not failed].
    job: Vec<JobRef>,
    #[command(flatten)]
    save: Save,
    #[command(flatten)]
    patience: Patience,
}

pub(crate) async fn run(
    arguments: Wait,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Wait {
        job: mut jobs,
        save,
        patience,
    } = arguments;
    let config = Config::load(output)?;
    let store = Store::open(ledgers).await?;
    if jobs.is_empty() {
        let Some(latest) = latest(&config, &store).await? else {
            output.note("There is no job to wait for; `veo jobs` lists those of this machine.");
            return store.fail_if_damaged().await;
        };
        output.note(&format!("The latest is {latest}"));
        jobs.push(latest);
    }
    if jobs.len() > 1 && (save.output.is_some() || save.receipt.is_some()) {
        return Err(Failure::usage(
            "--output and --receipt are for one job; leave them out, or wait for one at a time",
        ));
    }
    let mut providers = Vec::new();
    for job in &jobs {
        providers.push(ProviderName::of(&job.provider)?);
    }
    refuse_one_file_for_two(&jobs, &store).await?;
    let client = config
        .resuming(&providers, patience.timeout)?
        .with_ledger(store.ledger().clone())
        .with_replacing(save.force);
    for job in &jobs {
        check_address(&client, &store, job).await?;
    }
    let run = Run::start(&client, &store, output);
    let failures = fetch_all(&run, &jobs, &save).await;
    match &failures[..] {
        [] => store.fail_if_damaged().await,
        [failure] => Err(failure.clone()),
        _ => {
            for failure in &failures {
                output.report(failure);
            }
            let message = format!(
                "{} of {} jobs have no video here",
                failures.len(),
                jobs.len()
            );
            Err(Failure::of_several(message, &failures))
        }
    }
}

/// Waits for all jobs at once, and returns the failures of the jobs whose videos were not saved. For an upgrade
/// (`kie:TASK:1080p`), this can make the paid call of the upgrade, as `veo upgrade` does.
async fn fetch_all(run: &Run<'_>, jobs: &[JobRef], save: &Save) -> Vec<Failure> {
    let fetch_one = async |job| {
        let label = match jobs {
            [_] => String::new(),
            _ => format!("{job}: "),
        };
        fetch(run, job, &label, save).await
    };
    let results = join_all(jobs.iter().map(fetch_one)).await;
    results.into_iter().filter_map(Result::err).collect()
}

/// The latest open job whose provider has the same address now as when the job was sent.
async fn latest(config: &Config, store: &Store) -> Result<Option<JobRef>, Failure> {
    let open = store.list(Which::Open).await?;
    for listed in open.into_iter().rev() {
        if listed.state == EntryState::Unknown {
            continue;
        }
        let Some(Ok(job)) = listed.job.as_deref().map(str::parse::<JobRef>) else {
            continue;
        };
        let base_url = match ProviderName::of(&job.provider) {
            Ok(provider) => config.base_url(provider),
            Err(_) => None,
        };
        if listed.base_url.as_deref() == base_url {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// Refuses two jobs with the same file, since the second video would replace the first.
async fn refuse_one_file_for_two(jobs: &[JobRef], store: &Store) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for job in jobs {
        let path = job_path(job, store.find(job).await?.as_ref());
        if let Some(other) = seen.insert(canonical(&path), job) {
            let path = path.display();
            let message = format!(
                "{other} and {job} are both to be saved as {path}; wait for one at a time, with --output"
            );
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}
