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
    /// For which shell.
    shell: Shell,
}

pub(crate) fn run(
    arguments: &Completions,
    mut command: Command,
    output: &Output,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "veo", &mut script);
    output.text(&script);
    Ok(())
}
