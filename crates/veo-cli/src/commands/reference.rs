//! `veo reference`, which prints `crates/veo-cli/docs/cli.md`

use clap::Command;

use crate::failure::Failure;
use crate::output::Output;

/// Prints the help of every command as one page.
pub(crate) fn run(command: Command, output: &Output) -> Result<(), Failure> {
    let mut command = command.term_width(100);
    command.build();
    let mut page = String::from(
        "# The commands of `veo`\n\nThis page is what `--help` says. \
         `cargo run -p veo-cli -- reference > crates/veo-cli/docs/cli.md` writes it.\n",
    );
    page += &section("veo", &mut command);
    for subcommand in command.get_subcommands_mut() {
        if !subcommand.is_hide_set() && subcommand.get_name() != "help" {
            let title = format!("veo {}", subcommand.get_name());
            page += &section(&title, subcommand);
        }
    }
    output.print(page.trim_end());
    Ok(())
}

fn section(title: &str, command: &mut Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"))
}
