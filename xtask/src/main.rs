//! Tasks of this repository: `cargo xtask <task>`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

use std::path::Path;
use std::process::ExitCode;

mod codegen;
mod contract;
mod emit;
mod lint;
mod names;
mod packages;
mod rewrite;
mod schema;
mod spec;

use spec::{SPECS, Spec};

const USAGE: &str = "\
Usage: cargo xtask <task>

  codegen           write crates/*/src/generated.rs and crates/veo-sim/src/contract.json from openapi/*.yaml
  codegen --check   write nothing; fail if a generated file is not what its specification gives
  lint              say what the specifications lack
  packages          say which dependency needs a later Rust than the packages declare, and where a licence is missing
  schema            write schemas/*.json from the types of veo-core
  schema --check    write nothing; fail if a schema is not what the types give";

fn main() -> ExitCode {
    // The manifest of this crate is one folder below the workspace, wherever the command is run.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["codegen"] => codegen::run(&workspace, false),
        ["codegen", "--check"] => codegen::run(&workspace, true),
        ["lint"] => run_lint(&workspace),
        ["packages"] => packages::run(&workspace),
        ["schema"] => schema::run(&workspace, false),
        ["schema", "--check"] => schema::run(&workspace, true),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{}", problems.trim_end());
            ExitCode::FAILURE
        }
    }
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
    if problems.is_empty() {
        return Ok(report);
    }
    let lines = problems.iter().map(|problem| format!("{problem}\n"));
    Err(lines.collect())
}
