#!/bin/sh
# Runs the Autobahn Testsuite against gun_rs with compression on, as a client, as a server or as both, and compares the
# results with autobahn/expected-client.json and expected-server.json. Each side ends with one line of counts. Its report
# is written to _build/autobahn-report/SIDE/index.html.
#
# usage: scripts/autobahn.sh [client | server] [CASE...]      (such as "1.*"; none means all)
set -eu

cd "$(dirname "$0")/.."
. autobahn/testsuite.sh
reports=$PWD/_build/autobahn-report

main() {
    case ${1-} in
        client | server) ;;
        *) both "$@"; return ;;
    esac
    side=$1
    shift
    [ $# -gt 0 ] || set -- '*'
    install_autobahn
    rebar3 compile >/dev/null
    echo "gun_rs as a $side:"
    "test_$side" "$@"
}

# The second side runs whatever became of the first.
both() {
    different=0
    scripts/autobahn.sh client "$@" || different=1
    scripts/autobahn.sh server "$@" || different=1
    return "$different"
}

test_client() {
    start_fuzzing_server "$reports/client" "$@"
    ran=$(ERL_LIBS=_build/default/lib escript autobahn/client.escript "$port" gun_rs)
    compare client "${ran% *}" "${ran#* }"
}

test_server() {
    mkdir -p "$reports"
    fifo=$reports/server.stdin log=$reports/server.log
    rm -f "$fifo" "$log"
    mkfifo "$fifo"
    ERL_LIBS=_build/default/lib escript autobahn/server.escript <"$fifo" >"$log" 2>&1 &
    server=$!
    # The server ends with its standard input, hence with this process.
    exec 3>"$fifo"
    wait_for "$server" 'listening on' "$log"
    port=$(sed -n 's/^listening on //p' "$log")
    began=$(date +%s)
    run_fuzzing_client "$reports/server" "$port" gun_rs "$@"
    compare server "$(sed -n 's/^Ok, will run \([0-9]*\) .*/\1/p' "$reports/server/client.log")" "$(($(date +%s) - began)).0"
}

# Compares the results of the side $1, which ran $2 cases in $3 seconds, with the expected ones.
compare() {
    "$autobahn/bin/python2.7" autobahn/report.py "$reports/$1/index.json" gun_rs "autobahn/expected-$1.json" "$2" "$3" \
        ${AUTOBAHN_WRITE:+--write}
}

main "$@"
