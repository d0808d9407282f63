//! `veo man`

use clap::{Args, Command};

use crate::failure::Failure;
use crate::output::Output;

#[derive(Args)]
#[command(after_help = "Examples:\n  veo man > veo.1\n  veo man generate | man -l -")]
pub(crate) struct Man {
    /// The page of this command; of the whole program if not given.
    command: Option<String>,
}

pub(crate) fn run(arguments: &Man, mut command: Command, output: &Output) -> Result<(), Failure> {
    command.build();
    let command = match &arguments.command {
        None => command,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                return Err(Failure::usage(format!(
                    "there is no command {name}; `veo --help` lists them"
                )));
            }
        },
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("the page cannot be made: {error}")))?;
    output.text(&page);
    Ok(())
}
