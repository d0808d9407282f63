//! `cargo xtask`: the subcommands are in `lib.rs`, where tests of other crates reach them.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
