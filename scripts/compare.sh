#!/bin/sh
# Runs gun 2.6 and gun_rs through the same situations on OTP 29, over the same servers, and prints where they differ: see
# test/compare/compare.erl. It needs root, for OTP 29.
#
# usage: scripts/compare.sh [SITUATION...]      (none means all)
set -eu

cd -P "$(dirname "$0")/.."
scripts/setup.sh demo </dev/null
scripts/otp-root.sh 29 create
rebar3 compile >/dev/null

compare=_build/compare
libs=$compare/lib
mkdir -p "$compare/test" "$libs/gun_rs/ebin"
rm -rf "$compare"/test/*.beam "$compare"/certs_*
ln -sfn ../../../../priv "$libs/gun_rs/priv"
cp _build/default/lib/gun_rs/ebin/gun_rs.app "$libs/gun_rs/ebin/"
inside="scripts/otp-root.sh 29 run"
$inside erlc +debug_info -pa _build/default/lib/gun_rs/ebin -o "$libs/gun_rs/ebin" erlang_src/*.erl erlang_src/*/*.erl
$inside erlc +debug_info -Werror -o "$compare/test" test/compare/*.erl test/lying_server.erl test/gun_rs_test.erl \
    test/http_echo_h.erl test/ws_echo_h.erl test/tls_certs.erl test/tcp_middle.erl

ERL_LIBS=$PWD/$libs:/peers/lib
export ERL_LIBS
exec $inside erl -noshell -pa "$PWD/$compare/test" -run compare main test/differences.config "$@"
