//! Fuzzes the target that `FUZZ_TARGET` names. Without a name it prints the names of all targets, and ends.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs, process};

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Option<&Target>> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").ok()?;
    TARGETS.iter().find(|target| target.name == name)
});

fuzz_target!(init: begin(), |input: &[u8]| {
    if let Some(target) = *TARGET {
        (target.run)(input);
    }
});

/// Writes the seeds to the folder `FUZZ_SEEDS`, from which the fuzzer then reads them.
fn begin() {
    let Some(target) = *TARGET else {
        for target in TARGETS {
            println!("{}", target.name);
        }
        process::exit(0);
    };
    let Some(folder) = env::var_os("FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        fs::write(path, seed).expect("a seed can be written");
    }
}
