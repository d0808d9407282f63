//! `veo man`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Args, Command};

use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};

const EXAMPLES: &str = "\
Examples:
  veo man > veo.1
  veo man generate | man -l -
  veo man --output man1               all pages, each in a file of its own";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The command whose page is printed [default: the whole program].
    command: Option<String>,
    /// Write the pages of all commands into this folder, which is made if it is not there.
    #[arg(short, long, value_name = "FOLDER", conflicts_with = "command")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Man, mut command: Command, output: &Output) -> Result<(), Failure> {
    command.build();
    if let Some(folder) = &arguments.output {
        return write_all(&command, folder, output);
    }
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
    let (_, page) = page(command)
        .map_err(|error| Failure::failed(format!("the page cannot be made: {error}")))?;
    output.text(&page);
    Ok(())
}

/// Writes the pages of the program and of each command that `--help` lists.
fn write_all(command: &Command, folder: &Path, output: &Output) -> Result<(), Failure> {
    let unwritten = |error| {
        let folder = folder.display();
        Failure::usage(format!("{folder} cannot be written: {error}"))
    };
    fs::create_dir_all(folder).map_err(unwritten)?;
    let listed = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    for command in std::iter::once(command).chain(listed) {
        let (name, page) = page(command.clone()).map_err(unwritten)?;
        let path = folder.join(name);
        fs::write(&path, page).map_err(unwritten)?;
        let text = path.display().to_string();
        output.result(&text, &Event::Text { text: &text });
    }
    Ok(())
}

/// The name of the file of a page, and the page.
fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let mut text = match command.get_after_help() {
        Some(help) => help.to_string(),
        None => String::new(),
    };
    if !text.contains(Exit::TABLE) {
        text = format!("{text}\n\n{}", Exit::TABLE);
    }
    // clap_mangen would put all of this text under one heading, EXTRA.
    let manual = clap_mangen::Man::new(command.after_help(Resettable::Reset));
    let mut page = Vec::new();
    manual.render(&mut page)?;
    page.extend(sections(&text).into_bytes());
    Ok((manual.get_filename(), page))
}

/// Formats the text after the options, under the usual headings of a page.
fn sections(text: &str) -> String {
    let mut page = String::new();
    let mut is_in_examples = false;
    for line in text.trim_start().lines() {
        let title = match line {
            "Examples:" => "EXAMPLES",
            "Exit codes:" => "EXIT STATUS",
            _ => "",
        };
        if !title.is_empty() {
            page += &heading(title);
            is_in_examples = title == "EXAMPLES";
            continue;
        }
        // A text after the examples is about the command.
        if is_in_examples && line.starts_with(char::is_alphabetic) {
            page += &heading("NOTES");
            is_in_examples = false;
        }
        page += &escaped(line);
        page.push('\n');
    }
    page + ".fi\n"
}

fn heading(name: &str) -> String {
    // With this, troff does not fill the lines that follow.
    format!(".fi\n.SH \"{name}\"\n.nf\n")
}

/// Escapes a line, so that troff takes it literally.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', r"\e").replace('-', r"\-");
    if text.starts_with(['.', '\'']) {
        format!(r"\&{text}")
    } else {
        text
    }
}
