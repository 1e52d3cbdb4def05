#!/bin/sh
# Measures the memory of idle WebSocket connections, and prints the table of doc/memory.md, in bytes per connection.
#
# usage: scripts/measure-memory.sh [CONNECTIONS [COMPRESS...]]      (2000 of them; values of the option compress)
set -eu

cd "$(dirname "$0")/.."
scripts/setup.sh test </dev/null
rebar3 compile >/dev/null
bench=_build/bench
mkdir -p "$bench"
erlc -I test -o "$bench" bench/measure_memory.erl bench/figures.erl test/gun_rs_test.erl test/ws_echo_h.erl

connections=${1-2000}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- false true \
    '#{client_no_context_takeover => true}' \
    '#{server_no_context_takeover => true}' \
    '#{client_no_context_takeover => true, server_no_context_takeover => true}' \
    '#{client_max_window_bits => 9, server_max_window_bits => 9}' \
    '#{client_max_window_bits => 9, server_max_window_bits => 9, mem_level => 1}'

# A file for each connection, in the client and in the server.
ulimit -n "$(ulimit -Hn)"
echo "| compress | when | process | native | VmRSS | sockets | buffers |"
echo "|---|---|---:|---:|---:|---:|---:|"
ERL_LIBS=_build/default/lib:_build/peers/lib erl -noshell -pa "$bench" \
    -run measure_memory main "$connections" "$@"
