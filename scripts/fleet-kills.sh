#!/usr/bin/env bash
# kill -9 of the replicas of examples/fleet, while they make videos on a PostgreSQL that is restarted twice and killed once; and
# beside it the same for its engine alone, on a PostgreSQL of its own. Of the fleet nothing may be lost or paid twice. Takes some
# minutes; VEO_TEST_JOBS and VEO_TEST_KILLS say how much: two jobs a second are ordered.
set -euo pipefail
cd "$(dirname "$0")/.."
export VEO_TEST_JOBS=${VEO_TEST_JOBS:-300} VEO_TEST_KILLS=${VEO_TEST_KILLS:-20}
if [ -z "${VEO_TEST_POSTGRES:-}" ]; then
    exec scripts/postgres.sh "$0"
fi
export VEO_TEST_OTHER_POSTGRES=$VEO_TEST_POSTGRES VEO_TEST_OTHER_POSTGRES_CONTROL=$VEO_TEST_POSTGRES_CONTROL
scripts/postgres.sh cargo test --manifest-path examples/fleet/Cargo.toml --target-dir target --locked -- --nocapture
