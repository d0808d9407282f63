// The program of one target, which has the name of the program. Code of other targets is not in it, since the fuzzer reads
// the counters of all code after each input.

use std::path::Path;
use std::{env, fs};

use libfuzzer_sys::fuzz_target;
use targets::Target;

const TARGET: Target = targets::target_named(env!("CARGO_BIN_NAME"));

fuzz_target!(init: write_seeds(), |input: &[u8]| {
    (TARGET.run)(input);
});

/// Writes the seeds to the folder `FUZZ_SEEDS`, from which the fuzzer then reads them.
fn write_seeds() {
    let Some(folder) = env::var_os("FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in (TARGET.seeds)().into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        fs::write(path, seed).expect("a seed can be written");
    }
}
