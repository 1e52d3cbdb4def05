#!/bin/sh
# Measures how many WebSocket messages a second a process receives, with and without flow => auto, and prints the table
# of doc/flow.md.
#
# usage: scripts/measure-flow.sh [RUNS]      (5 of each, of which the median is printed)
set -eu

cd "$(dirname "$0")/.."
scripts/setup.sh test </dev/null
rebar3 compile >/dev/null
bench=_build/bench
mkdir -p "$bench"
erlc -I test -o "$bench" bench/measure_flow.erl test/gun_rs_test.erl test/lying_server.erl

ERL_LIBS=_build/default/lib:_build/peers/lib erl -noshell -pa "$bench" -run measure_flow main "${1-5}"
