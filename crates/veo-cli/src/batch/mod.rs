//! `veo generate --batch`: many requests from one file. Each request is paid for once, even if the command runs again.

mod actions;
mod entries;
mod lines;
mod names;
mod outputs;
mod pace;
mod receipts;
mod work;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use veo_core::ledger::{Budget, Listed, Which};
use veo_core::{Client, Poll, VideoRequest};

use crate::args::{ProviderChoice, Save};
use crate::batch::actions::Decision;
use crate::batch::entries::Entries;
use crate::batch::lines::BatchLine;
use crate::batch::outputs::Outputs;
use crate::batch::pace::Pace;
use crate::batch::receipts::Receipts;
use crate::batch::work::Work;
use crate::failure::{DAMAGED_ADVICE, Failure};
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::paths::{canonical, check_length, is_dash};
use crate::read;
use crate::run::Run;
use crate::session::Session;
use crate::store::{Store, ledger_of};

#[derive(Args)]
#[command(next_help_heading = "Batch")]
pub(crate) struct Batch {
    /// Make the videos of a file. Each line is a request as `veo schema` describes it, and can also have an "output".
    /// The ledger is kept beside the file, in FILE.ledger. After an interruption, run the same command again: saved
    /// videos are not made again, accepted jobs are waited for, and a line that may have been charged is not sent again.
    /// Receipts go to standard output, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Prompt", "Options", "output", "receipt", "no_wait"])]
    pub(crate) batch: Option<PathBuf>,
    /// The number of videos that are made at a time [default: 4].
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroUsize>,
    /// Cap what all runs of the batch cost together. Nothing more is sent once the next video could exceed the cap. The
    /// price of a kind of video is not known before one was made. So the first video of each kind is made alone, and
    /// can exceed the cap. A price that rises meanwhile can exceed the cap too. Jobs that fail or take too long count
    /// as well. Prices are read from the balance: while the first video of a kind is made, what others spend from the
    /// account counts as part of its price. The provider has to report its balance.
    #[arg(long, value_name = "CREDITS", allow_negative_numbers = true)]
    max_credits: Option<f64>,
    /// Where to save the receipts, instead of printing them; - prints them.
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Send again each line whose last job has failed, as a new job that is paid for again.
    #[arg(long)]
    retry_failed: bool,
}

impl Batch {
    /// Refuses options of a batch without a batch. A cap that is ignored would let a request cost anything.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let options = [
            (self.concurrency.is_some(), "--concurrency"),
            (self.max_credits.is_some(), "--max-credits"),
            (self.receipts.is_some(), "--receipts"),
            (self.retry_failed, "--retry-failed"),
        ];
        for (is_given, option) in options {
            if is_given && self.batch.is_none() {
                return Err(Failure::usage(format!(
                    "{option} is for a batch; name its file with --batch"
                )));
            }
        }
        if let Some(cap) = self.max_credits {
            // A wrong cap is an error even before a provider is asked for its balance.
            Budget::new(BUDGET, "any", cap)?;
        }
        Ok(())
    }
}

/// The key and the request of each line.
pub(crate) fn requests(file: &Path, text: &str) -> Result<Vec<(String, VideoRequest)>, Failure> {
    let lines = lines::read(file, text)?;
    let pairs = lines.into_iter().map(|line| (line.key, line.request));
    Ok(pairs.collect())
}

pub(crate) async fn run(
    file: &Path,
    batch: &Batch,
    who: &ProviderChoice,
    save: &Save,
    timeout: Option<Duration>,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    check_file(file)?;
    let text = read::file(file)?;
    let lines = lines::read(file, &text)?;
    let receipts = batch.receipts.as_deref().filter(|path| !is_dash(path));
    let mut reserved = vec![canonical(file), ledger_of(file)?];
    if let Some(receipts) = receipts {
        receipts::check(receipts, &reserved)?;
        reserved.push(canonical(receipts));
    }

    let session = Session::of(who, ledgers, output).await?;
    let client = session
        .config
        .client(&session.providers, timeout)?
        .with_replacing(save.force);
    let store = open_store(file, &lines, &session, output).await?;
    let client = client.with_ledger(store.ledger().clone());
    let budget = budget(file, &store);
    let decided = async {
        let entries = Entries::of(&store, &lines, &client).await?;
        // Two jobs must not save to one file, so the batch avoids the files of other open jobs. With --force it can
        // replace those files. A simulated batch does not read the ledger of the paid jobs.
        let mut other_jobs = Vec::new();
        if !session.is_simulated() && !save.force {
            other_jobs = open_jobs_of_main_ledger(ledgers).await?;
            // A shared ledger also lists the jobs of this batch, whose files `entries` has.
            let is_of_this_batch = entries::belongs_to(&lines);
            other_jobs.retain(|listed| !is_of_this_batch(listed));
        }
        let outputs = Outputs::new(file, &lines, &entries, &other_jobs, reserved);
        let decision = Decision {
            entries: &entries,
            client: &client,
            config: &session.config,
            store: &store,
            retry_failed: batch.retry_failed,
            force: save.force,
        };
        let actions = decision.actions(file, &lines, outputs).await?;
        let client = match batch.max_credits {
            Some(cap) => capped(client.clone(), &budget, cap, &session).await?,
            None => client.clone(),
        };
        Ok((actions, client, Receipts::open(receipts, output)?))
    };
    let (actions, client, receipts) = match decided.await {
        Ok(decided) => decided,
        Err(failure) => {
            store.remove_if_unused().await;
            return Err(failure);
        }
    };
    let work = Work {
        run: Run::start(&client, &store, output),
        budget: batch.max_credits.map(|_| budget),
        pace: Pace::new(timeout.unwrap_or_else(|| Poll::default().give_up_after)),
    };
    let concurrency = batch.concurrency.map_or(4, NonZeroUsize::get);
    work.all(&lines, actions, concurrency, receipts).await
}

/// Refuses standard input and special files, since no ledger can be kept beside them.
fn check_file(file: &Path) -> Result<(), Failure> {
    let named = if is_dash(file) {
        "standard input".to_owned()
    } else if file.exists() && !file.is_file() {
        format!("{}, which is not a regular file,", file.display())
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "{named} cannot be a batch: the ledger is kept beside its file; write the lines into a file, \
         and name that with --batch"
    )))
}

/// Opens the ledger of the batch, unless it is damaged.
async fn open_store(
    file: &Path,
    lines: &[BatchLine],
    session: &Session,
    output: &Output,
) -> Result<Store, Failure> {
    let store = if session.is_simulated() {
        Store::temporary().await?
    } else if let Some(store) = Store::open_shared(&session.ledgers).await? {
        store
    } else {
        // The longest file name beside the batch file NAME is .NAME.ledger.0123456789abcdef, with 25 bytes more.
        check_length(&ledger_of(file)?.with_extension(""), 25, "--batch")?;
        // A second hard link to the file would have another ledger, and its lines would be paid for again.
        names::refuse_second_name(file)?;
        Store::open_batch(file, &mut lines::keys_of(lines)).await?
    };
    // A damaged line can be a paid request.
    let advice = format!(
        "{DAMAGED_ADVICE} Nothing was sent. veo jobs --batch lists the jobs that can be read, and veo wait continues with them."
    );
    store
        .fail_if_damaged()
        .await
        .map_err(|failure| failure.with_next(advice))?;
    if store.is_new().await && !session.is_simulated() {
        output.note(&format!(
            "{} has no ledger yet, so all of its lines are new.",
            file.display()
        ));
    }
    Ok(store)
}

/// Lists the open jobs of the ledger that is used without a batch. There are none if this ledger does not exist.
async fn open_jobs_of_main_ledger(ledgers: &Ledgers) -> Result<Vec<Listed>, Failure> {
    match Store::open_existing(ledgers).await? {
        Some(store) => store.list(Which::Open).await,
        None => Ok(Vec::new()),
    }
}

/// The name of the budget of a batch. In a shared ledger it contains the name of the batch file, so that all machines
/// with this file share the cap. The folder is left out, since it differs between machines.
fn budget(file: &Path, store: &Store) -> String {
    match file.file_name() {
        Some(name) if store.is_shared() => format!("{BUDGET} of {}", name.display()),
        _ => BUDGET.to_owned(),
    }
}

/// Returns a client that sends nothing once the next video could cost more than what is left of the cap.
async fn capped(
    client: Client,
    budget: &str,
    cap: f64,
    session: &Session,
) -> Result<Client, Failure> {
    let chosen = session.config.chosen(&session.providers);
    let [provider] = chosen[..] else {
        return Err(Failure::usage(
            "--max-credits goes with one provider; choose it with --provider",
        ));
    };
    // Prices are read from the balance, so a provider that does not tell its balance cannot be capped.
    client.credits(provider.name()).await?;
    Ok(client.with_budget(Budget::new(budget, provider.name(), cap)?))
}

/// The name of the budget in the ledger of a batch.
const BUDGET: &str = "--max-credits";
