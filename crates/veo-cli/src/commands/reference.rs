//! `veo reference`, which writes `crates/veo-cli/docs/cli.md`.

use clap::Command;

use crate::failure::Failure;
use crate::output::Output;

/// The help of every command, for `crates/veo-cli/docs/cli.md`.
pub(crate) fn run(command: Command, output: &Output) -> Result<(), Failure> {
    let mut command = command.term_width(100);
    command.build();
    let mut page = String::from("# The commands of `veo`\n\nThis page is what `--help` says. ");
    page += "`cargo run -p veo-cli -- reference > crates/veo-cli/docs/cli.md` writes it.\n";
    let mut add = |title: &str, command: &mut Command| {
        let help = command.render_long_help().to_string();
        let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
        page += &format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"));
    };
    add("veo", &mut command);
    for command in command
        .get_subcommands_mut()
        .filter(|command| !command.is_hide_set())
    {
        let title = format!("veo {}", command.get_name());
        if title != "veo help" {
            add(&title, command);
        }
    }
    output.print(page.trim_end());
    Ok(())
}
