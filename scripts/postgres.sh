#!/usr/bin/env bash
# Runs a command with a temporary PostgreSQL server, whose address is in VEO_TEST_POSTGRES:
#   scripts/postgres.sh cargo test -p veo-tests --test ledgers
# The server listens on a socket in a temporary folder. It is stopped and deleted when the command ends, even after a
# signal.
set -euo pipefail

programs() {
    find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort --version-sort | tail -1
}

if [ -z "$(programs)" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "PostgreSQL is not installed; install the package postgresql of Debian or Ubuntu" >&2
        exit 2
    fi
    apt-get update --quiet=2 >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends postgresql >&2
fi
programs=$(programs)

folder=$(mktemp -d)
# The server refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as=(runuser --user postgres --)
fi

stop() {
    "${as[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --mode immediate --silent stop || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

cd "$folder"
"${as[@]}" "$programs/initdb" --pgdata "$folder/data" --username postgres --auth trust --encoding UTF8 --locale C \
    >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
"${as[@]}" "$programs/pg_ctl" --pgdata "$folder/data" --log "$folder/data/log" --wait --silent \
    --options "-c listen_addresses='' -c unix_socket_directories='$folder' -c max_connections=500" start \
    || { cat "$folder/data/log" >&2; exit 1; }
cd "$OLDPWD"

# Tests restart the server with this command.
export VEO_TEST_POSTGRES_CONTROL="${as[*]} $programs/pg_ctl --pgdata $folder/data --log $folder/data/log"
VEO_TEST_POSTGRES="host=$folder user=postgres dbname=postgres" "$@"
