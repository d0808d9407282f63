//! Runs the simulator until Ctrl-C.

#![allow(clippy::print_stderr, reason = "a program talks to its user")]

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use lexopt::prelude::*;
use veo_sim::{Scenario, Sim};

const HELP: &str = "\
Simulates kie.ai and UniAll on this machine, until Ctrl-C.

Usage: veo-sim [--port PORT] [--scenario FILE]

Options:
  --port PORT      the port of 127.0.0.1 to listen on; 0 for any free one [default: 8787]
  --scenario FILE  a TOML file that says what goes wrong, for every key that names no other scenario
  --list           print the scenarios that a key can name, and stop
  --help           print this
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Sim::builder().port(8787).on_call(say);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("port") => builder = builder.port(arguments.value()?.parse()?),
            Long("scenario") => {
                let path = arguments.value()?;
                let text = fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let scenario = Scenario::from_toml(&text)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                builder = builder.scenario(scenario);
            }
            Long("list") => {
                for scenario in Scenario::catalogue() {
                    say(&format!("{:<26}{}", scenario.name, scenario.description));
                }
                return Ok(());
            }
            Long("help") | Short('h') => {
                say(HELP.trim_end());
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let sim = builder
        .start()
        .await
        .map_err(|error| format!("the simulator cannot start: {error}"))?;
    say(&format!(
        "Both providers are at {} until Ctrl-C. Any API key will do;",
        sim.url()
    ));
    say(&format!(
        "one from `veo-sim --list` picks what goes wrong.\n\n{}",
        Sim::table()
    ));
    tokio::signal::ctrl_c().await?;
    say(&format!(
        "\n{} paid requests, {} charges",
        sim.submits(),
        sim.charges().len()
    ));
    for surprise in sim.surprises() {
        say(&format!("not expected: {surprise}"));
    }
    Ok(())
}

/// Prints a line. The simulator continues even if no program reads its output any more.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
