//! `veo`: makes videos with Veo 3.1 through kie.ai and UniAll.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::error::Error as StdError;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use veo_core::ErrorKind;

mod generate;
mod progress;

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  it failed; the message says what to do
  2  the command cannot work as it was given; nothing was sent
  3  the request was sent and its outcome is not known; it may have been charged";

/// Makes videos with Veo 3.1 through kie.ai and UniAll.
#[derive(Parser)]
#[command(name = "veo", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a video and save it.
    Generate(generate::Arguments),
}

/// Why the program ends without a result.
enum Failure {
    /// The command cannot work as it was given.
    Usage(String),
    /// The library says why.
    Veo(veo_core::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command: Command::Generate(arguments) } = Arguments::parse();
    match generate::run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Veo(error)) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            if error.kind() == ErrorKind::OutcomeUnknown {
                eprintln!(
                    "  It may have been charged. Look at the tasks and the balance at the provider before sending it again."
                );
            }
            ExitCode::from(match error.kind() {
                ErrorKind::InvalidRequest => 2,
                ErrorKind::OutcomeUnknown => 3,
                _ => 1,
            })
        }
    }
}

impl From<veo_core::Error> for Failure {
    fn from(error: veo_core::Error) -> Self {
        Self::Veo(error)
    }
}
