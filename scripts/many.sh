#!/usr/bin/env bash
# What each command of the released program uses with a hundred thousand jobs on record, and whether that is too much.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_MANY=${VEO_TEST_MANY:-100000}
# It writes the record, where the library has it.
if [ -e crates/veo-core/examples/fill_ledger.rs ]; then
    cargo build --release --package veo-core --example fill_ledger --locked
fi
cargo test --release --package veo-cli --test program --locked -- --nocapture many::
