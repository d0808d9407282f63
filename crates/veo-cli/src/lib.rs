//! `veo`: makes videos with Veo 3.1 through kie.ai and UniAll. This is the program, and no library for others.

use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use clap::{CommandFactory, Parser, Subcommand};

mod args;
mod batch;
mod commands;
mod config;
#[cfg(feature = "postgres")]
mod database;
mod destination;
mod earlier;
mod failure;
mod fetch;
mod habits;
mod hash;
mod interrupt;
mod ledgers;
mod listing;
mod output;
mod paths;
mod progress;
mod read;
mod run;
mod saved;
mod session;
mod shell;
mod simulator;
mod store;

use commands::{
    auth, completions, credits, download, extend, generate, inspect, jobs, man, models, plan,
    reference, schema, settle, sim, status, upgrade, upload, wait,
};
use failure::{Exit, Failure};
use ledgers::Ledgers;
use output::Output;
use veo_core::VideoRequest;

const EXAMPLES: &str = "\
Examples:
  veo generate --sim kie \"A dog playing in a park\" -o dog.mp4
      makes a video without an API key and without spending
  veo auth kie
      stores an API key
  veo generate \"A dog playing in a park\" -o dog.mp4
      makes a video
  veo wait
      waits for the latest job again, after Ctrl-C or later

API keys come from KIE_API_KEY and UNIALL_API_KEY, or from the file that
`veo auth` writes. Proxies come from HTTPS_PROXY, ALL_PROXY and NO_PROXY.";

/// Makes videos with Veo 3.1 through kie.ai and UniAll, and pays for each once.
#[derive(Parser)]
#[command(name = "veo", version, after_help = format!("{EXAMPLES}\n\n{}", Exit::TABLE), arg_required_else_help = true)]
struct Cli {
    /// Print results as JSON, one object a line, and errors as one object.
    #[arg(long, global = true)]
    json: bool,
    /// Show the requests to the providers and their replies, without secrets.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Use a ledger in PostgreSQL, which machines can share, and not files of this machine. The address can also be in
    /// VEO_LEDGER, or in the field ledger of the configuration file. Put an address with a password into one of these two,
    /// since other users can see the options of a command.
    #[arg(long, global = true, value_name = "postgres://...")]
    ledger: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a video and save it.
    Generate(Box<generate::Generate>),
    /// Make a longer video from an earlier video, and save it.
    Extend(Box<extend::Extend>),
    /// Make the video of a finished job larger, and save it. This costs extra.
    Upgrade(upgrade::Upgrade),
    /// Ask once for the state of a job, and print it.
    Status(status::Status),
    /// Wait for jobs and save their videos.
    Wait(wait::Wait),
    /// Save the video of a finished job.
    Download(download::Download),
    /// List the jobs of this machine.
    Jobs(jobs::Jobs),
    /// Settle an unknown outcome: whether the provider accepted the request.
    Settle(settle::Settle),
    /// Show what would be sent to each provider, or why not. Nothing is sent.
    Plan(Box<plan::Plan>),
    /// Show what each model can do.
    Models(models::Models),
    /// Show the balance of each account.
    Credits(credits::Credits),
    /// Put an image where the providers can reach it, and print its URL.
    Upload(upload::Upload),
    /// Store the API key of a provider in the configuration file.
    Auth(auth::Auth),
    /// Show a receipt, or the properties of a video.
    Inspect(inspect::Inspect),
    /// Print the JSON Schema of a request.
    Schema,
    /// Run both providers on this machine, without spending, until Ctrl-C.
    Sim(sim::Simulate),
    /// Print the completions for a shell.
    Completions(completions::Completions),
    /// Print a manual page.
    Man(man::Man),
    /// Print the reference of all commands as Markdown.
    #[command(hide = true)]
    Reference,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return end_without_command(error),
    };
    let output = Output::new(cli.json, cli.verbose);
    let done = start(cli.command, &Ledgers::of(cli.ledger), &output);
    let printed = output.check();
    match (done, printed) {
        (Ok(()), Ok(())) => output.code(),
        (Err(failure), Ok(())) | (Ok(()), Err(failure)) => output.report(&failure),
        (Err(failure), Err(unprinted)) => {
            let code = output.report(&failure);
            output.report(&unprinted);
            code
        }
    }
}

/// Returns the keys and requests of a batch's text, or all that is wrong with it. For tests.
#[doc(hidden)]
pub fn batch_lines(text: &str) -> Result<Vec<(String, VideoRequest)>, String> {
    batch::requests(Path::new("batch.jsonl"), text).map_err(|failure| failure.message())
}

/// Reads the text of a configuration, and returns its debug text, or what is wrong with it. For tests.
#[doc(hidden)]
pub fn configuration(text: &str) -> Result<String, String> {
    let config = config::parsed(Path::new("config.toml"), text);
    let config = config.map_err(|failure| failure.message())?;
    Ok(format!("{config:?}"))
}

/// Prints the help, or an error that says why the arguments are no command.
fn end_without_command(mut error: clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    let output = Output::new(wants_json, false);
    // Help that the user asked for is a result, so a failure to print it counts.
    if !error.use_stderr() {
        let printed = error.print().or_else(output::unwritten);
        return match printed {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => output.report(&failure),
        };
    }
    // A user who gives no arguments sees the help. A program that reads JSON gets an error instead.
    if error.kind() == DisplayHelpOnMissingArgumentOrSubcommand && !wants_json {
        let _ = error.print();
        return ExitCode::from(Exit::Usage as u8);
    }
    habits::correct(&mut error);
    let message = error.to_string();
    let message = message.trim_start_matches("error: ").trim_end();
    output.report(&Failure::usage(message))
}

fn start(command: Command, ledgers: &Ledgers, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the program cannot start: {error}")))?;
    let done = runtime.block_on(run(command, ledgers, output));
    // A thread can be waiting for a file of another process. The program ends without waiting for this thread.
    runtime.shutdown_background();
    done
}

async fn run(command: Command, ledgers: &Ledgers, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Generate(arguments) => generate::run(*arguments, ledgers, output).await,
        Command::Extend(arguments) => extend::run(*arguments, ledgers, output).await,
        Command::Upgrade(arguments) => upgrade::run(arguments, ledgers, output).await,
        Command::Status(arguments) => status::run(arguments, ledgers, output).await,
        Command::Wait(arguments) => wait::run(arguments, ledgers, output).await,
        Command::Download(arguments) => download::run(arguments, ledgers, output).await,
        Command::Jobs(arguments) => jobs::run(&arguments, ledgers, output).await,
        Command::Settle(arguments) => settle::run(&arguments, ledgers, output).await,
        Command::Plan(arguments) => plan::run(*arguments, output),
        Command::Models(arguments) => models::run(&arguments, output),
        Command::Credits(arguments) => credits::run(&arguments, output).await,
        Command::Upload(arguments) => upload::run(arguments, output).await,
        Command::Auth(arguments) => auth::run(&arguments, output),
        Command::Inspect(arguments) => inspect::run(&arguments, ledgers, output).await,
        Command::Schema => schema::run(output),
        Command::Sim(arguments) => sim::run(&arguments, output).await,
        Command::Completions(arguments) => completions::run(&arguments, Cli::command(), output),
        Command::Man(arguments) => man::run(&arguments, Cli::command(), output),
        Command::Reference => reference::run(Cli::command(), output),
    }
}
