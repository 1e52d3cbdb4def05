#!/bin/sh
# Runs the benchmarks, gun_rs beside gun and beside what limits both, prints their table, and writes
# bench/results-otpN.json.
#
# usage: scripts/bench.sh [WORKLOAD...]      (such as rtt_16b or tls_recv_1k; none means all)
#
# BENCH_ROUNDS is how often each is measured (5), of which the median counts; BENCH_SCALE how many messages, in percent
# (100). GUN_PATH names a folder with another gun and its cowlib, as ERL_LIBS would. BENCH_PROFILE=dev takes programs that
# are not optimised, and BENCH_RESULTS names another file for the results: to see whether all of it works.
set -eu

cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
bench=_build/bench
certs=$bench/certs
. bench/certificates.sh

main() {
    scripts/setup.sh test </dev/null
    rebar3 compile >/dev/null
    profile=${BENCH_PROFILE:-release}
    cargo build --profile "$profile" --locked --quiet --package gun_rs_testserver --package gun_rs_bench
    built=$target/$profile
    [ "$profile" != dev ] || built=$target/debug
    mkdir -p "$bench"
    erlc -o "$bench" bench/bench.erl bench/bench_client.erl bench/bench_vm.erl bench/figures.erl
    make_certificates
    otp=$(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')

    # A file for each connection.
    ulimit -n "$(ulimit -Hn)"
    export BENCH_CERT="$PWD/$certs/server.pem" BENCH_KEY="$PWD/$certs/server.key" BENCH_ROOT="$PWD/$certs/root.pem"
    export GUN_RS_TESTSERVER="$built/gun_rs_testserver"
    export GUN_RS_BENCH_CLIENT="$built/gun_rs_bench_client"
    export GUN_RS_BENCH_VM="$built/libgun_rs_bench_vm"
    ERL_LIBS=_build/default/lib:${GUN_PATH:-_build/peers/lib} erl -noshell -pa "$PWD/$bench" \
        -run bench main "${BENCH_ROUNDS:-5}" "${BENCH_SCALE:-100}" "${BENCH_RESULTS:-bench/results-otp$otp.json}" "$@"
}

main "$@"
