#!/usr/bin/env bash
# Kills the replicas of examples/fleet with kill -9, while they make videos on a PostgreSQL that is restarted twice and
# killed once. No job may be lost or paid twice. Takes some minutes. VEO_TEST_JOBS and VEO_TEST_KILLS are the numbers of
# jobs and kills.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_JOBS=${VEO_TEST_JOBS:-300} VEO_TEST_KILLS=${VEO_TEST_KILLS:-20}
scripts/postgres.sh cargo test --manifest-path examples/fleet/Cargo.toml --target-dir target --locked -- --nocapture
