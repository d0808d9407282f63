#!/usr/bin/env bash
# Fuzzes one target of tests/fuzz, or each of them, for a number of seconds, and prints the number of executions. The
# next run continues with the inputs in target/fuzz. Needs cargo-fuzz and a nightly Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
if (($# != 2)); then
    echo "Usage: scripts/fuzz.sh TARGET|all SECONDS" >&2
    exit 2
fi
home=$PWD/target/fuzz
# No sanitizer is needed, since there is no unsafe code.
RUSTC_WRAPPER=$PWD/scripts/fuzz-rustc.sh cargo +nightly fuzz build --sanitizer none --target-dir "$home/build"
targets=$1
[[ $1 != all ]] || targets=$(basename --suffix=.rs fuzz/src/bin/*.rs)

printf '%-20s %12s %8s %9s\n' target executions 'a second' findings
for target in $targets; do
    mkdir -p "$home/corpus/$target" "$home/seeds/$target" "$home/findings/$target"
    case $target in
        job) longest=200 ;;
        mp4 | ledger*) longest=16384 ;;
        *) longest=4096 ;;
    esac
    program=$(find "$home/build" -path "*/release/$target" -type f | head -n 1)
    FUZZ_SEEDS=$home/seeds/$target "$program" "$home/corpus/$target" "$home/seeds/$target" \
        -max_total_time="$2" -max_len=$longest -timeout=10 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$home/findings/$target/" >"$home/$target.log" 2>&1 || true
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$home/$target.log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$home/$target.log")
    findings=$(find "$home/findings/$target" -type f | wc -l)
    printf '%-20s %12s %8s %9s\n' "$target" "${executions:=0}" "${rate:=0}" "$findings"
    printf '%s\t%s\t%s\t%s\n' "$target" "$executions" "$rate" "$findings" >>"$home/counts.tsv"
done
echo "All runs so far:"
awk '{ runs[$1] += $2; sum += $2 } END { for (name in runs) print name "\t" runs[name]; print "sum\t" sum }' \
    "$home/counts.tsv" | sort
