//! `veo settle`: what somebody has found out about a request whose outcome is not known.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use veo_core::{Job, JobRef};

use crate::batch::ledger_of;
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::jobs::not_started;
use crate::output::{Event, Output};
use crate::store::{Entry, Event as Happened, Listed, Store};

const EXAMPLES: &str = "\
Examples:
  veo settle 0f1e2d3c4b5a6978 --job kie:0f1e2d3c
  veo settle 0f1e2d3c4b5a6978 --not-taken
  veo settle 0f1e2d3c4b5a6978 --not-taken --batch jobs.jsonl

Look at the tasks and the balance at the provider first: what was taken and is sent
again is paid for twice.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Settle {
    /// The request with an unknown outcome, as `veo jobs` lists it.
    id: String,
    /// It was taken, and is this job.
    #[arg(long, value_name = "JOB", required_unless_present = "not_taken", conflicts_with = "not_taken")]
    job: Option<JobRef>,
    /// It was not taken, and may be sent again.
    #[arg(long)]
    not_taken: bool,
    /// It is of this batch.
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
}

pub(crate) fn settle(arguments: &Settle, output: &Output) -> Result<(), Failure> {
    let Settle { id, job, batch, .. } = arguments;
    let (store, list) = match batch {
        Some(file) if !ledger_of(file).exists() => return Err(not_started(file)),
        Some(file) => (Store::open_alone(ledger_of(file))?, format!("veo jobs --batch {}", file.display())),
        None => (Store::open()?, "veo jobs".to_owned()),
    };
    let Some(entry) = store.entries()?.into_iter().find(|entry| entry.id == *id) else {
        return Err(Failure::usage(format!("there is no request {id}; the unknown ones are listed by: {list}")));
    };
    let state = Listed::from(entry.clone()).state;
    if state != "unknown" {
        return Err(Failure::usage(format!("{id} is {state}, and only what is unknown can be settled")));
    }
    let (found, text, next) = match job {
        Some(job) => {
            let next = match batch {
                Some(_) => "The same command of the batch goes on with it.".to_owned(),
                None => format!("Go on with: veo wait {job}"),
            };
            (taken(&store, &entry, job)?, format!("{id} is {job}"), next)
        }
        None => {
            let error = Failure::found_not_taken().told;
            (Happened::Refused { error }, format!("{id} was not taken"), "It may be sent again.".to_owned())
        }
    };
    store.record(id, found)?;
    let settled = store.entries()?.into_iter().find(|entry| entry.id == *id).map(Listed::from);
    if let Some(settled) = &settled {
        output.result(&text, &Event::Job(settled));
    }
    if !output.is_json() {
        output.tell(&next);
    }
    Ok(())
}

/// A request that became this job, if it can have.
fn taken(store: &Store, entry: &Entry, job: &JobRef) -> Result<Happened, Failure> {
    let id = &entry.id;
    if let Some(Ok(upgrade)) = entry.key.as_deref().map(str::parse::<JobRef>) {
        return Err(Failure::usage(format!("{id} is the upgrade {upgrade}; to ask for it again is to go on with it")));
    }
    if store.find(job)?.is_some() {
        return Err(Failure::usage(format!("{job} is the job of another request")));
    }
    let config = Config::load()?;
    let provider = ProviderName::of(&job.provider)?;
    let plan = config.planner(&[])?.plan(&entry.request);
    let Some(offer) = plan.offers.iter().find(|offer| offer.provider == job.provider) else {
        let reasons = plan.refusals.iter().find(|refusal| refusal.provider == job.provider);
        let reasons = reasons.map(ToString::to_string).unwrap_or_default();
        return Err(Failure::usage(format!("{id} cannot have become {job}: {reasons}")));
    };
    let mut job = Job::new(offer, &*job.task);
    job.accepted_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(entry.at)).unwrap_or(job.accepted_at);
    Ok(Happened::Accepted { job: Box::new(job), base_url: config.base_url(provider).map(str::to_owned) })
}
