#!/usr/bin/env bash
# The record of a batch, damaged in thousands of ways: one bit, a line cut in the middle, an end that is gone. Nothing may
# be paid twice. Takes some minutes; VEO_TEST_SEED=NUMBER tries the same cases again.
set -euo pipefail
cd "$(dirname "$0")/.."
# So many bits, cuts and ends.
export VEO_TEST_DAMAGE=${VEO_TEST_DAMAGE:-2500/700/500}
cargo test --package veo-cli --test program --locked damage:: -- --nocapture
