#!/usr/bin/env bash
# How many paid POSTs one "create" of a client sends when its reply is lost: other clients from their registries, and ours beside
# them. Prints the table of docs/measurements.md; takes some minutes. `scripts/double-payments.sh [CLIENT...]` measures some of the
# clients, by a part of their names in tests/double-payments/clients.py.
#
# Needs Linux with unshare, Python from 3.11 on, Node from 20 on, and the registries. What is installed stays in
# target/double-payments, and so do the logs.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/.."
cargo build --quiet --locked --package veo-cli --package veo-tests --bin veo --example create_video
python3 tests/double-payments/table.py install "$@"
# In a network of its own, so that no client reaches anybody.
exec unshare --map-root-user --net --mount sh -c '
    ip link set lo up
    mount --bind tests/double-payments/hosts /etc/hosts
    exec python3 tests/double-payments/table.py measure "$@"
' sh "$@"
