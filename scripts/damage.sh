#!/usr/bin/env bash
# Damages the ledger of a batch in thousands of ways: a bit is flipped, a line is cut in the middle, or the end is
# missing. No line may be paid twice. Takes some minutes. VEO_TEST_SEED=NUMBER tries the same cases again.
set -euo pipefail
cd "$(dirname "$0")/.."
# The numbers of flipped bits, cut lines and missing ends.
export VEO_TEST_DAMAGE=${VEO_TEST_DAMAGE:-2500/700/500}
cargo test --package veo-cli --test program --locked damage:: -- --nocapture
