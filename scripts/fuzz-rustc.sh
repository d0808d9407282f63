#!/usr/bin/env bash
# Compiles a crate for scripts/fuzz.sh. The arguments are the compiler and what cargo tells it. Only crates of this
# repository count their branches: the fuzzer reads all counters after each input, and those of other crates slow it down.
set -euo pipefail
compiler=$1
shift
name=
if [[ " $* " =~ ' --crate-name '([^ ]+) ]]; then
    name=${BASH_REMATCH[1]}
fi
if [[ ! $name =~ ^(veo_.*|kie_api|uniall_api|xtask|targets)$ ]]; then
    for argument; do
        shift
        case $argument in
            -Cpasses=sancov* | -Cllvm-args=-sanitizer-coverage*) ;;
            *) set -- "$@" "$argument" ;;
        esac
    done
fi
exec "$compiler" "$@"
