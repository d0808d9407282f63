//! `veo completions`

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo completions bash > ~/.local/share/bash-completion/completions/veo\n  \
                        veo completions zsh > ~/.zfunc/_veo"
)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(
    arguments: &Completions,
    command: Command,
    output: &Output,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut shown = without_hidden(&command);
    clap_complete::generate(arguments.shell, &mut shown, "veo", &mut script);
    output.text(&script);
    Ok(())
}

/// Copies the command without the subcommands that `--help` does not list.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new("veo")
        .args(command.get_arguments())
        .subcommands(shown.cloned())
        .version(env!("CARGO_PKG_VERSION"))
}
