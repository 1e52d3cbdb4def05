#!/usr/bin/env bash
# Fuzzes the engine with what a hostile peer may send. Prints one line for each target; ends with a non-zero status if
# there was a finding: the input that shows it is kept in _build/fuzz-artifacts.
#
# usage: scripts/fuzz.sh [SECONDS] [TARGET...]    (SECONDS for each target, 20 if not given; no target means all)
#
# It needs no nightly Rust and no cargo-fuzz: these are the flags that cargo-fuzz gives to a stable compiler.
set -uo pipefail

cd "$(dirname "$0")/.." || exit

all_targets=(session pair handshake deflate http1 http2)
crate=native/engine/fuzz
build=_build/fuzz corpora=_build/fuzz-corpus artifacts=_build/fuzz-artifacts logs=_build/fuzz-logs
coverage=(
    --cfg fuzzing
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=1
)

main() {
    local seconds=20 target status=0
    if [[ ${1-} =~ ^[0-9]+$ ]]; then
        seconds=$1
        shift
    fi
    [ $# -gt 0 ] || set -- "${all_targets[@]}"
    for target in "$@"; do
        [[ " ${all_targets[*]} " = *" $target "* ]] || stop "scripts/fuzz.sh: $target is none of: ${all_targets[*]}"
    done
    host=$(rustc --print host-tuple) || exit
    build_targets "$@" || exit
    for target in "$@"; do
        fuzz "$target" "$seconds" || status=1
    done
    return $status
}

stop() {
    echo "$1" >&2
    exit 2
}

# With --target, what runs at build time is built without the flags.
build_targets() {
    local bins=()
    for target in "$@"; do
        bins+=(--bin "$target")
    done
    RUSTFLAGS="${coverage[*]}" cargo build --release --locked --manifest-path "$crate/Cargo.toml" \
        --target "$host" --target-dir "$build" "${bins[@]}"
}

# What is found on the way is added to the corpus of this machine; the seeds stay as they are.
fuzz() {
    local name=$1 seconds=$2 log=$logs/$1.log began=$SECONDS runs
    mkdir -p "$corpora/$name" "$artifacts/$name" "$logs"
    if "$build/$host/release/$name" "$corpora/$name" "$crate/seeds/$name" -max_total_time="$seconds" -timeout=30 \
        -rss_limit_mb=2048 -artifact_prefix="$artifacts/$name/" -print_final_stats=1 </dev/null >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "fuzz $name: ${runs:-0} executions in $((SECONDS - began)) s, no finding"
    else
        tail -n 60 "$log"
        echo "fuzz $name: a finding after $((SECONDS - began)) s, see $log"
        return 1
    fi
}

main "$@"
