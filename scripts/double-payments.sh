#!/usr/bin/env bash
# Counts the paid POSTs that one call of a client sends when its reply is lost. Measures other clients from their
# registries, and ours. Prints the table of docs/measurements.md, and takes some minutes. `scripts/double-payments.sh
# [CLIENT...]` measures only the clients of tests/double-payments/clients.py whose names contain one of these texts.
#
# Needs Linux with unshare, PostgreSQL, Python 3.11 or newer, Node 20 or newer, and the registries. The installed
# clients and the logs stay in target/double-payments.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/.."
if [ -z "${VEO_TEST_POSTGRES:-}" ]; then
    exec scripts/postgres.sh "$0" "$@"
fi
cargo build --quiet --locked --package veo-cli --package veo-tests --bin veo --example create_video
python3 tests/double-payments/table.py install "$@"
# A separate network needs root, which any user can be in a user namespace.
root=()
if [ "$(id -u)" != 0 ]; then
    root=(--map-root-user)
fi
# In this network the clients cannot reach a real server.
exec unshare "${root[@]}" --net --mount sh -c '
    ip link set lo up
    mount --bind tests/double-payments/hosts /etc/hosts
    exec python3 tests/double-payments/table.py measure "$@"
' sh "$@"
