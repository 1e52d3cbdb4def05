#!/bin/sh
# Measures what TLS connections cost gun_rs, and gun 1.3.3 beside it, and prints the tables of doc/tls.md.
#
# usage: scripts/measure-tls.sh [SERVER [ROOTS [CONNECTIONS [CLIENT...]]]]
#
# SERVER is cowboy (on Erlang's ssl) or rust (the test server, on rustls). ROOTS is system, where the roots of the
# system are trusted too, or one, where the server's root alone is. CONNECTIONS is how many are idle at once, 500 unless
# given, and a CLIENT is gun, gun_rs, or gun_rs_alone, to which no roots are given since it finds them itself; all
# unless given.
set -eu

cd "$(dirname "$0")/.."
bench=_build/bench
certs=$bench/tls
. bench/certificates.sh

main() {
    server=${1-cowboy}
    roots=${2-system}
    connections=${3-500}
    if [ $# -lt 3 ]; then shift $#; else shift 3; fi
    [ $# -gt 0 ] || set -- gun gun_rs gun_rs_alone

    scripts/setup.sh test </dev/null
    rebar3 compile >/dev/null
    mkdir -p "$bench"
    erlc -I test -o "$bench" bench/measure_tls.erl bench/figures.erl test/ws_echo_h.erl
    make_certificates
    make_roots
    SSL_CERT_FILE=$certs/roots.pem
    export SSL_CERT_FILE
    if [ "$server" = rust ]; then
        target=${CARGO_TARGET_DIR:-target}
        cargo build --release --locked --quiet --package gun_rs_testserver --target-dir "$target"
        GUN_RS_TESTSERVER=$(realpath "$target")/release/gun_rs_testserver
        export GUN_RS_TESTSERVER
    fi

    # A file for each connection, in the client and in the server.
    ulimit -n "$(ulimit -Hn)"
    ERL_LIBS=_build/default/lib:_build/peers/lib erl +sbwt none +sbwtdcpu none +sbwtdio none -noshell -pa "$bench" \
        -run measure_tls main "$server" "$certs" "$connections" "$@"
}

# Whom the client trusts: the roots of the system too, unless the server's alone.
make_roots() {
    : >"$certs/roots.pem"
    [ "$roots" = one ] || cat /etc/ssl/certs/ca-certificates.crt >"$certs/roots.pem"
    cat "$certs/root.pem" >>"$certs/roots.pem"
}

main "$@"
