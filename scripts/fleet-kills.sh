#!/usr/bin/env bash
# Kills the replicas of examples/fleet with kill -9 while they make videos. Their PostgreSQL is restarted twice and
# killed once. For comparison, the same happens to their job engine alone. The fleet may lose nothing and pay nothing
# twice. Takes some minutes. VEO_TEST_JOBS and VEO_TEST_KILLS set the numbers. Two jobs a second are ordered.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_JOBS=${VEO_TEST_JOBS:-300} VEO_TEST_KILLS=${VEO_TEST_KILLS:-20}
if [ -z "${VEO_TEST_POSTGRES:-}" ]; then
    exec scripts/postgres.sh "$0"
fi
export VEO_TEST_OTHER_POSTGRES=$VEO_TEST_POSTGRES VEO_TEST_OTHER_POSTGRES_CONTROL=$VEO_TEST_POSTGRES_CONTROL
scripts/postgres.sh cargo test --manifest-path examples/fleet/Cargo.toml --target-dir target --locked -- --nocapture
