#!/usr/bin/env bash
# Runs the engine's tests under ThreadSanitizer and under Miri: both without the property tests, which would take hours
# there. Prints one line for each; ends with a non-zero status if there was a finding.
#
# usage: scripts/sanitize.sh [TEST...]    (a part of a test's name, for cargo test; none means all)
#
# ThreadSanitizer needs no nightly Rust, for RUSTC_BOOTSTRAP lets a stable compiler take its flags, but the sources of the
# standard library (rust-src), which is built with it too: in one that is not, it does not see a thread wait for a lock,
# and reports everything that the lock protects, even in the test harness.
set -uo pipefail

cd "$(dirname "$0")/.." || exit

logs=_build/sanitize-logs build=_build/sanitize
host=$(rustc --print host-tuple) || exit
mkdir -p "$logs"

# The names of the property tests.
skipped=()
while read -r name; do
    skipped+=(--skip "$name")
done < <(grep -rhA 5 'proptest! {' native/engine/src | sed -n 's/^ *fn \([a-z0-9_]*\)(.*/\1/p')

main() {
    local status=0
    if [ -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
        run thread env RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread \
            cargo test -Zbuild-std --package gun_rs_engine --lib --locked --target "$host" --target-dir "$build" -- \
            "${skipped[@]}" "$@" || status=1
    else
        echo "sanitize thread: not run, since this Rust has no sources (rustup component add rust-src)"
    fi
    if cargo miri --version >/dev/null 2>&1; then
        # What asks the operating system for sockets cannot run there.
        run miri env MIRIFLAGS=-Zmiri-disable-isolation \
            cargo miri test --package gun_rs_engine --lib --locked --target-dir "$build/miri" -- \
            "${skipped[@]}" --skip transport "$@" || status=1
    else
        echo "sanitize miri: not run, since this cargo has no miri (rustup +nightly component add miri)"
    fi
    return $status
}

run() {
    local name=$1 began=$SECONDS log=$logs/$1.log
    shift
    if "$@" </dev/null >"$log" 2>&1; then
        echo "sanitize $name: $(sed -n 's/^test result: ok\. \([0-9]* passed\).*/\1/p' "$log" | tail -n 1)" \
            "in $((SECONDS - began)) s, no finding"
    else
        grep -aE -A 30 'WARNING: ThreadSanitizer|Undefined Behavior|panicked at|^error' "$log" | head -n 120
        echo "sanitize $name: a finding after $((SECONDS - began)) s, see $log"
        return 1
    fi
}

main "$@"
