#!/usr/bin/env bash
# Runs schemathesis, which makes requests from our specifications, against the simulator. Fails if a reply does not fit
# the specification, or has a status that no fixture has. It is no part of `cargo test`, since it needs Python 3.10 or
# newer and PyPI. Takes a minute or two.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-target}

folder=$(mktemp -d)
sim=
trap '[ -z "$sim" ] || kill "$sim" || true; rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5

cargo build --quiet --package veo-sim --locked
# No account runs out of credits.
cat > "$folder/rich.toml" <<END
name = "rich"
description = "The balance is never too low."
credits = 1e9
END
"$target/debug/veo-sim" --port 0 --scenario "$folder/rich.toml" > "$folder/sim.log" 2>&1 &
sim=$!
for _ in {1..100}; do
    url=$(grep --only-matching --max-count 1 'http://127.0.0.1:[0-9]*' "$folder/sim.log") && break
    kill -0 "$sim" || { cat "$folder/sim.log" >&2; exit 1; }
    sleep 0.1
done
echo "The simulator is at ${url:?it has not said so within 10 seconds}"

cat > "$folder/schemathesis.toml" <<END
hooks = "$root/scripts/conformance_hooks.py"

# The gateway before UniAll has no channel for a model that it does not know, and answers 503.
[[operations]]
include-operation-id = "create_video"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
END

# Some checks are left out, since the providers break the rules of these checks. kie.ai refuses with HTTP 200. Both
# accept unknown fields, and refuse some valid requests, such as a blank prompt. The simulator also accepts any API key.
checks=not_a_server_error,content_type_conformance,response_headers_conformance,response_schema_conformance
checks+=,known_status,known_code_in_the_body

# schemathesis leaves files in the current folder.
cd "$folder"
result=0
for specification in kie uniall; do
    SIMULATOR=$url timeout 300 venv/bin/schemathesis --config-file schemathesis.toml run "$root/openapi/$specification.yaml" \
        --url "$url" --header 'Authorization: Bearer key' --checks "$checks" --continue-on-failure \
        --max-examples 100 --seed 31 --request-timeout 10 --no-color --warnings off || result=1
    kill -0 "$sim" || { cat sim.log >&2; exit 1; }
done
exit "$result"
