#!/usr/bin/env bash
# Kills the program with kill -9 at a thousand moments, and tests batches at kie.ai's limit with kills and without them.
# No job may be lost or paid twice. Takes some minutes. VEO_TEST_SEED=NUMBER tries the same moments again.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_KILLS=${VEO_TEST_KILLS:-1000} VEO_TEST_LONG=1
cargo test --package veo-cli --test program --locked -- --nocapture kill:: limit::
