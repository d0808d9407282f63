//! The simulator, for `--sim` and `veo sim`. No other file names its crate.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use veo_sim::{Builder, Scenario, Sim};

use crate::failure::Failure;
use crate::output::{Event, Output};

const EXAMPLES: &str = "\
Examples:
  veo sim
  KIE_API_KEY=any KIE_BASE_URL=http://127.0.0.1:8787 veo generate \"A dog playing in a park\"
  KIE_API_KEY=lost-reply KIE_BASE_URL=http://127.0.0.1:8787 veo generate \"A dog playing in a park\"";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// The port of 127.0.0.1 to serve on; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8787)]
    port: u16,
    /// A TOML file that says what goes wrong, for every key that names no other scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Print the scenarios that a key can name, and stop.
    #[arg(long, conflicts_with_all = ["port", "scenario"])]
    list: bool,
}

/// A simulator of both providers, which ends when this is dropped.
pub(crate) struct Simulator(Sim);

impl Simulator {
    pub(crate) async fn start() -> Result<Self, Failure> {
        started(Sim::builder()).await.map(Self)
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }
}

pub(crate) async fn run(arguments: &Run, output: &Output) -> Result<(), Failure> {
    if arguments.list {
        for Scenario {
            name, description, ..
        } in Scenario::catalogue()
        {
            output.result(
                &format!("{name:<26}{description}"),
                &Event::Scenario { name, description },
            );
        }
        return Ok(());
    }
    // Whoever reads this may have gone, which is no reason to stop.
    let log = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    let mut builder = Sim::builder().port(arguments.port).on_call(log);
    if let Some(file) = &arguments.scenario {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        let scenario = Scenario::from_toml(&text);
        builder = builder.scenario(
            scenario.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?,
        );
    }
    let sim = started(builder).await?;
    let url = sim.url();
    output.result(&url, &Event::Serving { url: &url });
    if !output.is_json() {
        output.tell(&format!(
            "Both providers are at this address, with any key; one of `veo sim --list` picks what goes wrong. To use it:\n  \
             KIE_API_KEY=any KIE_BASE_URL={url} veo generate \"A dog playing in a park\"\n  \
             UNIALL_API_KEY=any UNIALL_BASE_URL={url} veo generate \"A dog playing in a park\"\n\
             Ctrl-C stops it.\n\n{}",
            Sim::table()
        ));
    }
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::failed(format!("Ctrl-C cannot be waited for: {error}")))
}

async fn started(builder: Builder) -> Result<Sim, Failure> {
    builder
        .start()
        .await
        .map_err(|error| Failure::failed(format!("the simulator cannot start: {error}")))
}
