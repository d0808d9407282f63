//! Random choices, the same again for the same seed, and how many of them there are.

use std::hash::{BuildHasher as _, RandomState};

/// Small numbers by chance.
pub(crate) struct Chance(u64);

impl Chance {
    /// From `VEO_TEST_SEED`, or from nowhere. The seed is printed, which a failing test shows.
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

    /// Other choices, which do not depend on how many are made here meanwhile.
    pub(crate) fn branch(&mut self) -> Self {
        Self(u64::try_from(self.below(usize::MAX)).unwrap() | 1)
    }
}

/// How many cases there are to be: what a variable of the environment says, or as many as take seconds.
pub(crate) fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}
