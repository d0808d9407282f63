//! The subcommands of `cargo xtask`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

use std::path::Path;
use std::process::ExitCode;

mod codegen;
mod contract;
mod diff;
mod drift;
mod emit;
mod lint;
mod names;
mod packages;
mod report;
mod rewrite;
mod schema;
mod spec;
mod surface;
mod value;
mod wording;

use report::Report;
use spec::{SPECS, Spec};

const USAGE: &str = "\
Usage: cargo xtask <command>

  codegen           write crates/*/src/generated.rs and crates/veo-sim/src/contract.json from openapi/*.yaml
  codegen --check   write nothing; fail if a generated file is not what its specification gives
  diff OLD NEW [--markdown]
                    say what users of the clients must change between two states of the specifications, and what
                    changes on the wire: two files, two of REVISION:path, or two revisions, where . is the files as
                    they stand; exit 1 if the change is breaking, 2 if the states cannot be compared
  drift [--from DIR] [--accept] [--markdown | --json]
                    read the pages of openapi/pages.yaml, or those saved in a folder, and say what they state that they
                    did not state when last read; --accept writes that down; exit 1 if something has changed, 3 if a
                    page could not be read
  lint              say what the specifications lack
  packages          say which dependency needs a later Rust than the packages declare, and where a licence is missing
  schema            write schemas/*.json from the types of veo-core
  schema --check    write nothing; fail if a schema is not what the types give";

/// Runs the subcommand that the arguments name.
pub fn main() -> ExitCode {
    // The manifest of this crate is one folder below the workspace, so the command works in any folder.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report: Report = match arguments[..] {
        ["codegen"] => codegen::run(&workspace, false).into(),
        ["codegen", "--check"] => codegen::run(&workspace, true).into(),
        ["diff", old, new] => diff::run(&workspace, old, new, false),
        ["diff", old, new, "--markdown"] => diff::run(&workspace, old, new, true),
        ["drift", ref options @ ..] => match drift::Options::parse(options) {
            Some(options) => drift::run(&workspace, &options),
            None => Report::failed(format!("{USAGE}\n"), 2),
        },
        ["lint"] => run_lint(&workspace).into(),
        ["packages"] => packages::run(&workspace).into(),
        ["schema"] => schema::run(&workspace, false).into(),
        ["schema", "--check"] => schema::run(&workspace, true).into(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    print!("{}", report.text);
    eprint!("{}", report.problems);
    ExitCode::from(report.exit)
}

/// Returns all problems that the lint finds in the text of a specification.
pub fn problems(text: &str) -> Vec<String> {
    let found = match Spec::parse("openapi/text.yaml", text) {
        Ok(spec) => lint::lint(&spec),
        Err(problem) => vec![problem],
    };
    found.iter().map(ToString::to_string).collect()
}

fn run_lint(workspace: &Path) -> Result<String, String> {
    let mut report = String::new();
    let mut problems = Vec::new();
    for (name, _) in SPECS {
        match Spec::read(workspace, name) {
            Err(problem) => problems.push(problem),
            Ok(spec) => {
                let found = lint::lint(&spec);
                if found.is_empty() {
                    let count = spec.operations().len();
                    report.push_str(&format!("{} is in order ({count} operations)\n", spec.file));
                }
                problems.extend(found);
            }
        }
    }
    let mut text: String = problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    text.push_str(&drift::problems(workspace).concat());
    if text.is_empty() {
        Ok(report)
    } else {
        Err(text)
    }
}
