#!/bin/sh
# Negotiates permessage-deflate with Cowboy and with the Autobahn Testsuite, and prints the tables of
# doc/permessage-deflate.md.
#
# usage: scripts/deflate-table.sh
set -eu

cd "$(dirname "$0")/.."
. autobahn/testsuite.sh
scripts/setup.sh test </dev/null
rebar3 compile >/dev/null

bench=_build/bench
mkdir -p "$bench"
erlc -I test -o "$bench" bench/deflate_table.erl test/gun_rs_test.erl test/gun_rs_deflate_SUITE.erl test/lying_server.erl \
    test/ws_echo_h.erl
ERL_LIBS=_build/default/lib:_build/peers/lib erl -noshell -pa "$bench" -run deflate_table main

# The first case of each group: a thousand messages.
reports=$PWD/_build/deflate-report
start_fuzzing_server "$reports" 13.1.1 13.2.1 13.3.1 13.4.1 13.5.1 13.6.1 13.7.1
set -- true '#{client_max_window_bits => 10}' '#{server_no_context_takeover => true, server_max_window_bits => 9}' \
    '#{client_no_context_takeover => true, server_max_window_bits => 12}'
agent=0
for compress; do
    ERL_LIBS=_build/default/lib escript autobahn/client.escript "$port" "$agent" "$compress" >/dev/null
    agent=$((agent + 1))
done
echo
"$autobahn/bin/python2.7" autobahn/deflate_table.py "$reports" "$@"
