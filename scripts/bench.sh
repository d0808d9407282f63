#!/usr/bin/env bash
# What the library takes, beside what does the same without it, as tables: all rows of docs/measurements.md, or those that are
# named. Most take a minute or a few after their build.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Builds the program of tests/bench and says where it is.
program() {
    cargo bench --package veo-bench --locked --no-run 2>&1 | sed -n 's/.*Executable .*(\(.*\))$/\1/p'
}

# One paid request and one question: CPU time, and instructions outside of the kernel, which are the same each time.
calls() {
    local program calls=500
    program=$(program)
    "$program" calls
    if ! command -v valgrind > /dev/null; then
        echo "There is no valgrind, so instructions are not counted."
        return
    fi
    instructions() {
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" calls "$@" 2>&1 | sed -n 's/.*Collected : //p'
    }
    local none ours by_hand
    none=$(instructions ours 0)
    ours=$((($(instructions ours $calls) - none) / calls))
    by_hand=$((($(instructions by-hand $calls) - none) / calls))
    echo
    echo "| instructions of ours | by hand | ratio |"
    echo "| --: | --: | --: |"
    awk -v ours="$ours" -v by_hand="$by_hand" 'BEGIN { printf "| %d | %d | %.2f |\n", ours, by_hand, ours / by_hand }'
}

# A hundred thousand jobs that are waited for at once.
waiting() {
    "$(program)" waiting 100000
}

# Twenty thousand of them with as many open files as there may be, and with 1,024.
files() {
    local program
    program=$(program)
    "$program" waiting 20000
    (ulimit -n 1024 && "$program" waiting 20000)
}

# A video of a GiB, beside curl.
download() {
    "$(program)" download
}

# A batch of 400 lines at kie.ai's limit of 20 in 10 s. It takes the 190 s that the limit asks for.
batch() {
    VEO_TEST_LONG=1 VEO_TEST_LINES=400 \
        cargo test --quiet --package veo-cli --test program --locked -- --nocapture the_limit_is_used_fully | grep 'of the rate'
}

# How often a wait asks, beside fixed pauses.
schedule() {
    "$(program)" schedule
}

# The build of an application from nothing, beside one with the client that progenitor generates for.
build() {
    application ours "veo-core = { path = \"$PWD/crates/veo-core\" }"
    application plain 'progenitor-client = "0.15.1"
reqwest = { version = "0.13.5", default-features = false, features = ["json", "query", "rustls"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"'
    echo "| application | crates | cold build |"
    echo "| --- | --: | --: |"
    local name start
    for name in ours plain; do
        cargo fetch --quiet --manifest-path "$work/$name/Cargo.toml"
        start=$EPOCHREALTIME
        cargo build --quiet --offline --manifest-path "$work/$name/Cargo.toml" --target-dir "$work/target"
        took=$((${EPOCHREALTIME/./} - ${start/./}))
        rm -r "$work/target"
        echo "| $name | $(crates "$name") | $((took / 1000000)) s |"
    done
}

# An application with such dependencies, in the versions of this workspace.
application() {
    mkdir -p "$work/$1/src"
    cp Cargo.lock "$work/$1/"
    echo 'fn main() {}' > "$work/$1/src/main.rs"
    cat > "$work/$1/Cargo.toml" << END
[package]
name = "$1"
edition = "2024"

[dependencies]
$2
tokio = { version = "1", features = ["macros", "rt"] }
END
}

crates() {
    cargo tree --quiet --offline --manifest-path "$work/$1/Cargo.toml" --edges normal,build --prefix none --no-dedupe |
        sort --unique | sed '/^'"$1"' /d' | cut -d ' ' -f 1,2 | sort --unique | wc -l
}

# The simulator.
simulator() {
    cargo bench --quiet --package veo-sim --locked
}

# The ledger in a file, beside a plain loop that writes lines through to the disk; and to open it.
ledger() {
    local program
    program=$(program)
    "$program" ledger
    cargo run --quiet --package veo-core --example fill_ledger --locked -- "$work/jobs.ledger" 100000
    "$program" ledger "$work/jobs.ledger"
}

# Both clients, generated again.
regenerate() {
    cargo build --quiet --package xtask --locked
    local TIMEFORMAT='both clients are generated in %R s, with %U s of CPU'
    for _ in 1 2 3; do time "${CARGO_TARGET_DIR:-target}/debug/xtask" codegen --check; done
}

rows=(calls waiting files download batch schedule build simulator ledger regenerate)
for row in "${@:-${rows[@]}}"; do
    echo
    echo "== $row"
    "$row"
done
