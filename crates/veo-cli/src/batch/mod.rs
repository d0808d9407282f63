//! `veo generate --batch`: many requests from one file, each sent once however often the command is run.

mod actions;
mod entries;
mod lines;
mod names;
mod outputs;
mod receipts;
mod work;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use veo_core::ledger::{Budget, Which};

use crate::args::{Save, Who};
use crate::batch::actions::steps;
use crate::batch::entries::Ledger;
use crate::batch::lines::{keys_of, read, unusable};
use crate::batch::outputs::Outputs;
use crate::batch::receipts::{Receipts, check_receipts};
use crate::batch::work::{BUDGET, Running};
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::paths::place;
use crate::run::Making;
use crate::setting::Setting;
use crate::store::{Store, ledger_of};

#[derive(Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct Batch {
    /// Make the videos of a file: each line is a request as `veo schema` describes it, with an "output" besides if you
    /// like. What happens is kept beside the file, in FILE.ledger. The same command goes on after any end: what is done
    /// is not done again, what was accepted is waited for, and what may have been sent is not sent again. Receipts go
    /// to standard output, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Prompt", "Options", "output", "receipt", "no_wait"])]
    pub(crate) batch: Option<PathBuf>,
    /// How many videos are under way at a time [default: 4].
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Send no more once the next video could cost more than this, over all runs of the batch. The price of a kind of
    /// video is not known before one was made, so the first of each kind is made alone and can go over; so can a price
    /// that rises meanwhile. Jobs that fail or are not here in time count as well. What others spend from the account
    /// at that moment is taken for the price. Needs a provider that tells its balance.
    #[arg(long, value_name = "CREDITS", allow_negative_numbers = true)]
    max_credits: Option<f64>,
    /// Where to save the receipts, instead of printing them.
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Send the lines again whose jobs have failed, as new jobs with a new price.
    #[arg(long)]
    retry_failed: bool,
}

impl Batch {
    /// Refuses what has a meaning only for a batch. A cap on nothing would be a trap.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let given = [
            (self.concurrency.is_some(), "--concurrency"),
            (self.max_credits.is_some(), "--max-credits"),
            (self.receipts.is_some(), "--receipts"),
            (self.retry_failed, "--retry-failed"),
        ];
        if let Some((_, option)) = given
            .into_iter()
            .find(|(given, _)| *given && self.batch.is_none())
        {
            return Err(Failure::usage(format!(
                "{option} is for a batch; name its file with --batch"
            )));
        }
        match self.max_credits {
            // It is checked before anybody is asked for a balance.
            Some(cap) => Ok(Budget::new(BUDGET, "any", cap).map(drop)?),
            None => Ok(()),
        }
    }
}

pub(crate) async fn run(
    file: &Path,
    batch: &Batch,
    who: &Who,
    save: &Save,
    timeout: Option<Duration>,
    output: &Output,
) -> Result<(), Failure> {
    let text = fs::read_to_string(file);
    let text = text
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let lines = read(file, &text)?;
    let own = [place(file), ledger_of(file)?];
    check_receipts(batch.receipts.as_deref(), &own)?;
    let setting = Setting::of(who).await?;
    let client = setting
        .config
        .client(&setting.providers, timeout)?
        .with_replacing(save.force);
    let store = if setting.is_simulated() {
        Store::temporary().await?
    } else {
        names::check(file)?;
        Store::open_batch(file, Some(&mut keys_of(&lines))).await?
    };
    // Nothing is sent from a ledger that cannot be trusted, and nothing is begun that could not go on.
    store
        .check()
        .await
        .map_err(|failure| failure.with_next(DAMAGED))?;
    if store.ledger().is_new().await && !setting.is_simulated() {
        output.note(&format!(
            "{} has no record yet, so all of its lines are new.",
            file.display()
        ));
    }
    let client = client.with_ledger(store.ledger().clone());
    let known = Ledger::of(&store, &client).await?;
    let mut others = Vec::new();
    if !setting.is_simulated()
        && !save.force
        && let Some(store) = Store::of_no_batch().await?
    {
        others = store.list(Which::Open).await?;
    }
    let reserved = own
        .into_iter()
        .chain(batch.receipts.as_deref().map(place))
        .collect();
    let outputs = Outputs::new(file, &lines, &known, &others, reserved);
    let steps = steps(
        &lines,
        &known,
        outputs,
        &client,
        &store,
        batch.retry_failed,
        save.force,
    )
    .await
    .map_err(|problems| unusable(file, &problems))?;
    let client = match batch.max_credits {
        Some(cap) => {
            let chosen = if setting.providers.is_empty() {
                setting.config.with_keys()
            } else {
                setting.providers.clone()
            };
            let [provider] = chosen[..] else {
                return Err(Failure::usage(
                    "--max-credits goes with one provider; choose it with --provider",
                ));
            };
            // Who does not tell a balance tells no price.
            client.credits(provider.name()).await?;
            client.with_budget(Budget::new(BUDGET, provider.name(), cap)?)
        }
        None => client,
    };
    let receipts = Receipts::open(batch.receipts.as_deref(), output)?;

    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };
    let run = Running {
        making,
        is_capped: batch.max_credits.is_some(),
        halted: RefCell::default(),
    };
    run.all(
        &lines,
        steps,
        batch.concurrency.unwrap_or(4).max(1),
        receipts,
    )
    .await
}

/// What to do about a damaged ledger.
const DAMAGED: &str = "Each of these lines can stand for a paid video, so nothing was sent. Put back what was there. What can be \
                       read is listed by veo jobs --batch, and veo wait goes on with its jobs.";
