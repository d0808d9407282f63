#!/usr/bin/env bash
# Makes a number of videos with the library, a batch and the example of a web backend, at a simulator with every fault.
# Meanwhile these programs are killed, their disk is full and their clock is wrong. Then the script compares the ledgers
# with the charges. Each round adds a line to target/chaos.tsv, and the same command continues until there are enough.
# Full disks need root, and wrong clocks Debian's package libfaketime. VEO_TEST_SEED=NUMBER makes the same choices
# again.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=${1:-1000}
seed=${VEO_TEST_SEED:-$RANDOM}
export VEO_TEST_RESULTS=$PWD/target/chaos.tsv
touch "$VEO_TEST_RESULTS"
jobs_so_far() { awk '{ sum += $4 } END { print sum + 0 }' "$VEO_TEST_RESULTS"; }
packages=(--locked --profile bench --package veo-cli --package veo-core --package veo-tests)
cargo build "${packages[@]}" --bin veo --example server --example chaos_worker
while (($(jobs_so_far) < wanted)); do
    left=$((wanted - $(jobs_so_far)))
    # Each round has the next seed.
    VEO_TEST_SEED=$((seed * 1000000 + $(wc -l <"$VEO_TEST_RESULTS"))) VEO_TEST_JOBS=$((left < 5000 ? left : 5000)) \
        cargo test "${packages[@]}" --test chaos -- --nocapture
done
awk '{ n[$2] += $4; kills += $5; full += $6; charges += $7; known += $8; settled += $9; failed += $10; rejected += $11; cents += $12 }
    END {
        for (way in n) print n[way] " videos by " way
        print kills " kills, " full " of them on a full disk"
        print charges " charges: " known " known, " settled " unknown and settled"
        print failed " failed, " rejected " not taken, " cents / 100 " credits told, as charged"
    }' "$VEO_TEST_RESULTS"
