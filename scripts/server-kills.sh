#!/usr/bin/env bash
# Kills the example of a web backend with kill -9 at two hundred moments. No job may be lost or paid twice. Takes some
# minutes. VEO_TEST_SEED=NUMBER tries the same moments again.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_KILLS=${VEO_TEST_KILLS:-200}
cargo build --package veo-core --example server --locked
cargo test --package veo-core --test server --locked -- --nocapture killed_at_any_moment
