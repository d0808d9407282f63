#!/usr/bin/env bash
# Prints the size of the program, the libraries that it needs, and the time that it takes to start. The program is built
# alone, as by `cargo install --path crates/veo-cli`. In a build of the whole workspace it would be larger, since the
# tests use more features of the simulator.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --package veo-cli --locked
veo=${CARGO_TARGET_DIR:-target}/release/veo

runs=200
"$veo" --version > /dev/null
start=$EPOCHREALTIME
for ((run = 0; run < runs; run++)); do "$veo" --version > /dev/null; done
end=$EPOCHREALTIME
# The same loop without the program measures the time of bash alone.
for ((run = 0; run < runs; run++)); do (exec true); done
rest=$EPOCHREALTIME

bytes=$(stat -c %s "$veo" 2> /dev/null || stat -f %z "$veo")
micros=$(((${end/./} - ${start/./} - (${rest/./} - ${end/./})) / runs))
printf 'size      %d.%d MiB\n' $((bytes >> 20)) $(((bytes & 0xfffff) * 10 >> 20))
printf 'start-up  %d.%d ms, mean of %d runs of --version\n' $((micros / 1000)) $((micros % 1000 / 100)) "$runs"
if command -v ldd > /dev/null; then
    echo "libraries"
    ldd "$veo"
fi
