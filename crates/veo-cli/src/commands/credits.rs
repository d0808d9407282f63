//! `veo credits`

use clap::Args;

use crate::config::{Config, ProviderName};
use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};

#[derive(Args)]
#[command(after_help = "Examples:\n  veo credits\n  veo credits --provider kie --json")]
pub(crate) struct Credits {
    /// The provider of the account [default: all with an API key]. May be given again.
    #[arg(long)]
    provider: Vec<ProviderName>,
}

pub(crate) async fn run(arguments: &Credits, output: &Output) -> Result<(), Failure> {
    let config = Config::load(output)?;
    let client = config.client(&arguments.provider, None)?;
    let mut told = false;
    let mut silent = None;
    for provider in config.chosen(&arguments.provider) {
        let name = provider.name();
        match client.credits(name).await.map_err(Failure::from) {
            Ok(credits) => {
                told = true;
                output.result(
                    &format!("{name}: {credits} credits"),
                    &Event::Credits {
                        provider: name,
                        credits,
                    },
                );
            }
            // A provider without a balance is an error only if no other provider has one.
            Err(failure) if failure.exit == Exit::Usage => silent = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    match silent {
        Some(failure) if !told => Err(failure),
        Some(failure) => {
            output.note(&failure.message());
            Ok(())
        }
        None => Ok(()),
    }
}
