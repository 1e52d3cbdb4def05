#!/usr/bin/env bash
# Runs every check and every test, all of them even when one fails, then tells again what failed, and the numbers of
# each step. The last line is their sum. A check that fails, or a runner that ends without telling its numbers, counts
# as one failed test.
#
# usage: scripts/test.sh [STEP...]      (the steps are those of the list below; none means all)
set -uo pipefail

cd "$(dirname "$0")/.." || exit
scripts/setup.sh test </dev/null || exit

all_steps=(fmt clippy cargo fuzz compile structure xref dialyzer eunit ct compat bench autobahn)
logs=_build/test-logs
mkdir -p "$logs"

peers=$PWD/_build/peers/lib
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

# A test of thousands of connections has both ends of each in one VM.
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 16384 ] ||
    ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -Hn)"

# Nothing else removes the compiled tests of a file that is gone.
rm -rf _build/test/lib/gun_rs/test

passed=0 failed=0 skipped=0
summary= failures= names=

main() {
    local step
    [ $# -gt 0 ] || set -- "${all_steps[@]}"
    for step in "$@"; do
        run "$step"
    done
    printf '\n%s%s\n%s' "$failures" "$summary" "${names:+$names$'\n'}"
    if [ "$skipped" = 0 ]; then
        echo "$passed passed, $failed failed"
    else
        echo "$passed passed, $failed failed, $skipped skipped"
    fi
    [ "$failed" = 0 ]
}

run() {
    case $1 in
        fmt) check fmt formatted ;;
        clippy) check clippy cargo clippy --workspace --all-targets --locked -- -D warnings ;;
        cargo) tests cargo cargo test --workspace --locked --no-fail-fast ;;
        fuzz) tests fuzz scripts/fuzz.sh 16 ;;
        compile) check compile rebar3 as check compile ;;
        structure) check structure structure ;;
        xref) check xref rebar3 as check xref ;;
        dialyzer) check dialyzer rebar3 as check dialyzer ;;
        eunit) tests eunit env ERL_LIBS="$peers" rebar3 eunit ;;
        ct) tests ct common_test ;;
        compat) tests compat compat_tests ;;
        bench) tests bench make --no-print-directory bench-smoke ;;
        # Sections 12 and 13, compression, take minutes: make autobahn runs them too.
        autobahn) tests autobahn scripts/autobahn.sh '1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '9.*' '10.*' ;;
        *) echo "scripts/test.sh: $1 is none of: ${all_steps[*]}" >&2; exit 2 ;;
    esac
}

formatted() {
    cargo fmt --all --check && cargo fmt --manifest-path native/engine/fuzz/Cargo.toml --check
}

# Whether every module keeps to the map at the top of the script.
structure() {
    rebar3 as check compile && scripts/structure.escript
}

common_test() {
    cargo build --locked --package gun_rs_testserver &&
        env ERL_LIBS="$peers" GUN_RS_TESTSERVER="$target/debug/gun_rs_testserver" rebar3 ct
}

# The tests of compat/gun: the real gun must not be there.
compat_tests() {
    cargo build --locked --package gun_rs_testserver &&
        env GUN_RS_TESTSERVER="$target/debug/gun_rs_testserver" rebar3 as compat ct --dir=test/compat
}

# Runs a command that either passes or fails.
check() {
    local name=$1 began=$SECONDS
    shift
    if log "$name" "$@"; then
        report "$name" ok "$began"
    else
        failed=$((failed + 1))
        retell "$name"
        report "$name" FAILED "$began"
    fi
}

# Runs a command that tells how many tests it ran.
tests() {
    local name=$1 began=$SECONDS status=0 p f s
    shift
    log "$name" "$@" || status=$?
    read -r p f s < <("count_$name" <(logged "$name"))
    if [ "$f" = 0 ] && { [ "$status" != 0 ] || [ "$p" = 0 ]; }; then
        f=1
    fi
    [ "$f" = 0 ] || retell "$name"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    report "$name" "$p passed, $f failed, $s skipped" "$began"
}

# Shows what a command prints, and keeps it.
log() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" </dev/null 2>&1 | tee "$logs/$name.log"
}

# What a step has printed, without its colours.
logged() {
    sed 's/\x1b\[[0-9;]*m//g' "$logs/$1.log"
}

# Keeps for the end what a step that failed said of it: the lines that speak of a failure, or else the last ones.
retell() {
    local said
    said=$(logged "$1" | grep -aE -A 12 'FAILED|panicked at|\*failed\*|^error|: (error|a finding)' | tail -n 120)
    [ -n "$said" ] || said=$(logged "$1" | tail -n 40)
    failures+=$(printf '== %s failed:\n%s' "$1" "$said")$'\n\n'
    names+=$(logged "$1" | failed_names | sort -u | sed "s/^/$1: /" | head -n 20)$'\n'
}

# The names alone of what failed, for who sees no more than the last lines.
failed_names() {
    awk '/ ==> [^ ]+: FAILED$/ { sub(/^%%% /, ""); sub(/: FAILED$/, ""); print }
         /^test .* \.\.\. FAILED$/ { print $2 }
         /^error/ { print }
         /\*failed\*/ { print }'
}

report() {
    summary+=$(printf '%-10s %-40s %4d s' "$1" "$2" $((SECONDS - $3)))$'\n'
}

# Each prints the numbers of passed, failed and skipped tests in the output of its runner.

# test result: ok. 22 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s
count_cargo() {
    awk '/^test result: / { for (i = 2; i < NF; i++) {
             if ($(i + 1) == "passed;") p += $i
             if ($(i + 1) == "failed;") f += $i
             if ($(i + 1) == "ignored;") s += $i } }
         END { print p + 0, f + 0, s + 0 }' "$1"
}

# fuzz session: 482061 executions in 21 s, no finding
count_fuzz() {
    awk '/^fuzz [a-z0-9]+: .*, no finding$/ { p++ }
         /^fuzz [a-z0-9]+: a finding / { f++ }
         END { print p + 0, f + 0, 0 }' "$1"
}

# bench rtt_16b gun_rs=45.7 gun=96.9 limit=27.2 vs_gun=2.12 vs_limit=0.60: that it could be measured is what is tested.
# bench server_echo_1k gun_rs=4.25 cowboy=13.1 ratio=3.08: the same of what is beside Cowboy.
count_bench() {
    awk '/^bench [a-z0-9_]+ gun_rs=/ { p++ }
         END { print p + 0, 0, 0 }' "$1"
}

# Each side, client and server, ends with its number of cases; a case whose result is not the expected one has a line of
# its own.
count_autobahn() {
    awk '/^autobahn: case / { f++ }
         /^autobahn: [0-9]+ cases, / { n += $2 }
         END { print n - f, f + 0, 0 }' "$1"
}

# 5 tests, 1 failures, 1 skipped, 1 cancelled: the cancelled are the tests of a setup that failed.
count_eunit() {
    awk '/^[0-9]+ tests, [0-9]+ failures/ { gsub(",", ""); for (i = 1; i < NF; i++) {
             if ($(i + 1) == "tests") t = $i
             if ($(i + 1) == "failures" || $(i + 1) == "cancelled") f += $i
             if ($(i + 1) == "skipped") s = $i } }
         END { print t - f - s, f + 0, s + 0 }' "$1"
}

# "All 5 tests passed." or "Failed 1 tests. Skipped 3 (1, 2) tests. Passed 2 tests.": of the skipped, the second number
# are those whose preparation failed. A suite that cannot be loaded is told on the way, and in no number.
count_compat() {
    count_ct "$1"
}

count_ct() {
    awk '/error_in_suite: FAILED/ { f++ }
         /^All [0-9]+ tests passed/ { p = $2 }
         /^(Failed|Skipped|Passed) [0-9]+ / { gsub("[(,).]", ""); for (i = 1; i < NF; i++) {
             if ($i == "Passed") p = $(i + 1)
             if ($i == "Failed") f += $(i + 1)
             if ($i == "Skipped") { s = $(i + 2); f += $(i + 3) } } }
         END { print p + 0, f + 0, s + 0 }' "$1"
}

main "$@"
