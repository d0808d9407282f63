//! Runs the targets of `fuzz/` on their stored seeds and on some changes of each. `scripts/fuzz.sh` tries many more.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "these are tests"
)]

pub mod targets;

use targets::{TARGETS, target_named};

#[test]
fn no_seed_and_no_change_of_one_is_a_finding() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in seeds {
            println!("{}: {}", target.name, String::from_utf8_lossy(&seed));
            (target.run)(&seed);
            for changed in changes(&seed) {
                (target.run)(&changed);
            }
        }
    }
}

/// `scripts/fuzz.sh` runs the programs of `fuzz/`.
#[test]
fn each_target_has_a_program_for_the_fuzzer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/src/bin");
    let files = std::fs::read_dir(folder).unwrap();
    let mut programs: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    programs.sort();
    let programs: Vec<_> = programs
        .iter()
        .map(|file| file.file_stem().unwrap())
        .collect();
    let mut names: Vec<_> = TARGETS
        .iter()
        .map(|target| target_named(target.name).name)
        .collect();
    names.sort_unstable();
    assert_eq!(programs, names);
}

/// Returns a seed without its second half, without its middle byte, and with another byte in the middle.
fn changes(seed: &[u8]) -> Vec<Vec<u8>> {
    let middle = seed.len() / 2;
    let mut without_byte = seed.to_vec();
    without_byte.drain(middle..seed.len().min(middle + 1));
    let mut with_other = seed.to_vec();
    for byte in with_other.iter_mut().skip(middle).take(1) {
        *byte ^= 1;
    }
    vec![seed[..middle].to_vec(), without_byte, with_other]
}
