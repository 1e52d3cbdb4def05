#!/bin/sh
# Runs the benchmarks, gun_rs beside gun and beside what limits both, prints their table, and writes
# bench/results-otpN.json.
#
# usage: scripts/bench.sh [WORKLOAD...]      (such as rtt_16b or tls_recv_1k; none means all)
#
# OTP=29 measures on OTP 29, beside gun 2.6, where another is installed: see scripts/otp-root.sh.
#
# BENCH_ROUNDS is how often each is measured (5), of which the median counts; BENCH_SCALE how many messages, in percent
# (100). GUN_PATH names a folder with another gun and its cowlib, as ERL_LIBS would. BENCH_PROFILE=dev takes programs that
# are not optimised, and BENCH_RESULTS names another file for the results: to see whether all of it works.
set -eu

cd -P "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
bench=_build/bench
certs=$bench/certs
. bench/certificates.sh

main() {
    scripts/setup.sh test </dev/null
    installed=$(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
    otp=${OTP:-$installed}
    case $otp in
        "$installed") inside= ;;
        29) inside="scripts/otp-root.sh 29 run" && scripts/otp-root.sh 29 create ;;
        *) stop "The benchmarks run on OTP 29 and on the installed OTP $installed, not on OTP $otp." ;;
    esac
    rebar3 compile >/dev/null
    profile=${BENCH_PROFILE:-release}
    cargo build --profile "$profile" --locked --quiet --package gun_rs_testserver --package gun_rs_bench
    built=$target/$profile
    [ "$profile" != dev ] || built=$target/debug
    make_certificates

    libs=_build/default/lib
    gun=_build/peers/lib
    results=${BENCH_RESULTS:-bench/results-otp$otp.json}
    beams=$bench/otp$otp
    mkdir -p "$beams"
    $inside erlc -Werror -o "$beams" bench/bench.erl bench/bench_*.erl bench/figures.erl
    if [ -n "$inside" ]; then
        compile_inside
        gun=/peers/lib
    fi

    # A file for each connection.
    ulimit -n "$(ulimit -Hn)"
    export BENCH_CERT="$PWD/$certs/server.pem" BENCH_KEY="$PWD/$certs/server.key" BENCH_ROOT="$PWD/$certs/root.pem"
    export GUN_RS_TESTSERVER="$built/gun_rs_testserver"
    export GUN_RS_BENCH_CLIENT="$built/gun_rs_bench_client"
    export GUN_RS_BENCH_VM="$built/libgun_rs_bench_vm"
    ERL_LIBS=$libs:$(realpath -m "${GUN_PATH:-$gun}")
    export ERL_LIBS
    # Where the results shall go may not be seen inside.
    # shellcheck disable=SC2086
    in_own_network $inside erl -noshell -pa "$PWD/$beams" -run bench main "${BENCH_ROUNDS:-5}" \
        "${BENCH_SCALE:-100}" "$bench/results.json" "$@"
    mkdir -p "$(dirname "$results")"
    cp "$bench/results.json" "$results"
}

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs a command in a network that it has to itself, if this user may make one, with the congestion control that Linux
# has unless told otherwise. Some machines have BBR instead, which paces what it sends, on the way to itself too: what
# would be measured is then the pace. The results name what they were measured with.
in_own_network() {
    user=
    [ "$(id -u)" = 0 ] || user=--map-root-user
    network='ip link set lo up && echo cubic >/proc/sys/net/ipv4/tcp_congestion_control'
    # shellcheck disable=SC2086
    if unshare --net $user sh -c "$network" 2>/dev/null; then
        unshare --net $user sh -c "$network && exec \"\$@\"" sh "$@"
    else
        echo "No network of their own can be made for the benchmarks; they use the system's." >&2
        "$@"
    fi
}

# gun is compiled by the compiler of its OTP, and so gun_rs is too.
compile_inside() {
    libs=$bench/otp$otp/lib
    mkdir -p "$libs/gun_rs/ebin"
    ln -sfn ../../../../../priv "$libs/gun_rs/priv"
    cp _build/default/lib/gun_rs/ebin/gun_rs.app "$libs/gun_rs/ebin/"
    $inside erlc +debug_info -pa _build/default/lib/gun_rs/ebin -o "$libs/gun_rs/ebin" erlang_src/*.erl erlang_src/*/*.erl
}

main "$@"
