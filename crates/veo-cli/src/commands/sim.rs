//! `veo sim`

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;
use veo_sim::{Scenario, Sim};

use crate::failure::Failure;
use crate::output::{Event, Output};
use crate::read;
use crate::simulator::{cannot_start, start};

const EXAMPLES: &str = "\
Examples:
  veo sim
  eval \"$(veo sim --background)\"
  KIE_API_KEY=any KIE_BASE_URL=http://127.0.0.1:8787 veo generate \"A dog playing in a park\"
  KIE_API_KEY=lost-reply KIE_BASE_URL=http://127.0.0.1:8787 veo generate \"A dog playing in a park\"";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// The port of 127.0.0.1 to serve on; 0 for any free one [default: 8787, or any free one with --background].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A TOML file that says what goes wrong, for every API key that names no other scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Leave the simulator running, and print the settings with which a shell uses it, for `eval`. Its jobs have their own
    /// ledger.
    #[arg(long)]
    background: bool,
    /// Print the scenarios that an API key can name, and stop.
    #[arg(long, conflicts_with_all = ["port", "scenario", "background"])]
    list: bool,
}

pub(crate) async fn run(arguments: &Simulate, output: &Output) -> Result<(), Failure> {
    if arguments.list {
        list(output);
        Ok(())
    } else if arguments.background {
        start_in_background(arguments, output)
    } else {
        serve(arguments, output).await
    }
}

fn list(output: &Output) {
    for scenario in Scenario::catalogue() {
        let Scenario {
            name, description, ..
        } = scenario;
        let text = format!("{name:<26}{description}");
        output.result(&text, &Event::Scenario { name, description });
    }
}

/// Runs a simulator until Ctrl-C.
async fn serve(arguments: &Simulate, output: &Output) -> Result<(), Failure> {
    let mut builder = Sim::builder()
        .port(arguments.port.unwrap_or(8787))
        .on_call(|line| {
            // The simulator continues even if no program reads its log any more.
            let _ = writeln!(io::stderr(), "{line}");
        });
    if let Some(file) = &arguments.scenario {
        builder = builder.scenario(read_scenario(file)?);
    }
    let sim = start(builder).await?;
    let url = sim.url();
    let event = Event::Serving {
        url: &url,
        pid: None,
    };
    output.result(&url, &event);
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

fn read_scenario(file: &Path) -> Result<Scenario, Failure> {
    let text = read::file(file)?;
    Scenario::from_toml(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// Starts this program again as a simulator that stays, and prints the settings with which a shell uses the simulator.
fn start_in_background(arguments: &Simulate, output: &Output) -> Result<(), Failure> {
    let record = tempfile::Builder::new().prefix("veo-sim-").tempdir();
    let record = record.map_err(cannot_start)?;
    let mut child = spawn(arguments).map_err(cannot_start)?;
    let mut url = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut url)
            .map_err(cannot_start)?;
    }
    let url = url.trim_end();
    if url.is_empty() {
        let mut error = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut error).map_err(cannot_start)?;
        }
        return Err(Failure::failed(error.trim_start_matches("error: ").trim()));
    }
    let settings = format!(
        "export KIE_API_KEY=any KIE_BASE_URL={url}\n\
         export UNIALL_API_KEY=any UNIALL_BASE_URL={url}\n\
         export XDG_STATE_HOME='{}' VEO_SIM_PID={}",
        record.keep().display(),
        child.id()
    );
    output.result(
        &settings,
        &Event::Serving {
            url,
            pid: Some(child.id()),
        },
    );
    if !output.is_json() {
        output.tell(&format!(
            "Both providers are at {url} until: kill $VEO_SIM_PID"
        ));
    }
    Ok(())
}

fn spawn(arguments: &Simulate) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    let port = arguments.port.unwrap_or(0).to_string();
    command.args(["sim", "--port", &port]);
    if let Some(file) = &arguments.scenario {
        command.arg("--scenario").arg(file);
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C in the shell is for another command, and must not reach the simulator.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}
