//! `veo`: the program is in `lib.rs`, where tests of other crates reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    veo_cli::main()
}
