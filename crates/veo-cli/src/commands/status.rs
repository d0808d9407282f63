//! `veo status`

use clap::Args;
use veo_core::{JobRef, State};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::fetch::check_place;
use crate::listing::Listing;
use crate::output::{Event, Output};
use crate::store::Store;

#[derive(Args)]
#[command(after_help = "Examples:\n  veo status kie:0f1e2d3c\n  veo status kie:0f1e2d3c --json")]
pub(crate) struct Status {
    /// The job, as it was printed when it was accepted.
    job: JobRef,
}

pub(crate) async fn run(arguments: Status, output: &Output) -> Result<(), Failure> {
    let Status { job } = arguments;
    let (config, store) = (Config::load()?, Store::open().await?);
    // To ask the provider how far an upgrade is can be to pay for it.
    if let Some(upgrade) = store
        .find(&job)
        .await?
        .filter(|entry| entry.upgrade().is_some())
    {
        output.result(
            &upgrade.state.to_string(),
            &Event::Job(&Listing::of(&upgrade)),
        );
        return store.check().await;
    }
    let client = config
        .client(&[ProviderName::of(&job.provider)?], None)?
        .with_ledger(store.ledger().clone());
    check_place(&client, &store, &job).await?;
    let told = |state, percent| Event::State {
        line: None,
        job: &job,
        state,
        percent,
    };
    match client.state(&job).await? {
        State::Finished(video) => {
            let event = Event::Finished {
                line: None,
                job: &job,
                video: &video,
            };
            output.result(&format!("finished\n{}", video.urls.join("\n")), &event);
        }
        State::Running {
            percent: Some(percent),
        } => {
            output.result(
                &format!("running {percent}%"),
                &told("running", Some(percent)),
            );
        }
        State::Running { percent: None } => output.result("running", &told("running", None)),
        State::Failed(error) => return Err(Failure::from(*error)),
        _ => output.result("pending", &told("pending", None)),
    }
    store.check().await
}
