#!/usr/bin/env bash
# Measures each command of the released program with a ledger of a hundred thousand jobs, and fails if one uses too
# much.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_MANY=${VEO_TEST_MANY:-100000}
# This example writes the ledger.
if [ -e crates/veo-core/examples/fill_ledger.rs ]; then
    cargo build --release --package veo-core --example fill_ledger --locked
fi
cargo test --release --package veo-cli --test program --locked -- --nocapture many::
