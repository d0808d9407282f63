//! Random choices that a seed repeats, and the number of cases to try.

use std::hash::{BuildHasher as _, RandomState};

/// A source of small random numbers.
pub(crate) struct Chance(u64);

impl Chance {
    /// Takes the seed from `VEO_TEST_SEED`, or chooses one. The seed is printed, so a failing test shows it.
    pub(crate) fn new() -> Self {
        let given = std::env::var("VEO_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()) | 1);
        println!("to see the same choices again: VEO_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// Returns another source, whose choices do not depend on later choices from this source.
    pub(crate) fn branch(&mut self) -> Self {
        Self(u64::try_from(self.below(usize::MAX)).unwrap() | 1)
    }
}

/// Reads the number of cases to try from an environment variable. The usual number takes only seconds.
pub(crate) fn number_of_cases(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}
