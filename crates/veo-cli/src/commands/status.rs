//! `veo status`

use clap::Args;
use veo_core::{JobRef, State};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::fetch::check_address;
use crate::ledgers::Ledgers;
use crate::listing::Listing;
use crate::output::{Event, Output, in_one_line};
use crate::store::Store;

#[derive(Args)]
#[command(after_help = "Examples:\n  veo status kie:0f1e2d3c\n  veo status kie:0f1e2d3c --json")]
pub(crate) struct Status {
    /// The job, as it was printed when it was accepted.
    job: JobRef,
}

pub(crate) async fn run(
    arguments: Status,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Status { job } = arguments;
    let config = Config::load(output)?;
    let store = Store::open(ledgers).await?;
    // In kie.ai's old form, a question about an upgrade can be a paid call. So only the ledger is read.
    if let Some(entry) = store.find(&job).await?
        && entry.upgrade().is_some()
    {
        let listing = Listing::of(&entry);
        output.result(&entry.state.to_string(), &Event::Job(&listing));
        return store.fail_if_damaged().await;
    }
    let client = config
        .client(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone());
    check_address(&client, &store, &job).await?;
    let state = client.state(&job).await?;
    tell(&job, state, output)?;
    store.fail_if_damaged().await
}

fn tell(job: &JobRef, state: State, output: &Output) -> Result<(), Failure> {
    let (word, percent) = match state {
        State::Failed(error) => return Err(Failure::from(*error)),
        State::Finished(video) => {
            let event = Event::Finished {
                line: None,
                job,
                video: &video,
            };
            let mut text = "finished".to_owned();
            for url in &video.urls {
                text += "\n";
                text += &in_one_line(url);
            }
            output.result(&text, &event);
            return Ok(());
        }
        State::Running { percent } => ("running", percent),
        _ => ("pending", None),
    };
    let text = match percent {
        Some(percent) => format!("{word} {percent}%"),
        None => word.to_owned(),
    };
    let event = Event::State {
        line: None,
        job,
        state: word,
        percent,
    };
    output.result(&text, &event);
    Ok(())
}
