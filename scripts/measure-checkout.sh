#!/bin/sh
# Measures what a checkout of a pool costs, beside gun_pool's where gun 2 is in _build/peers.
#
# usage: scripts/measure-checkout.sh [RUNS]  (5 of each, of which the median is printed)
set -eu

cd "$(dirname "$0")/.."
scripts/setup.sh test </dev/null
rebar3 compile >/dev/null
bench=_build/bench
mkdir -p "$bench"
erlc -I test -o "$bench" bench/measure_checkout.erl bench/figures.erl test/pool_server.erl

ERL_LIBS=_build/default/lib:_build/peers/lib erl -noshell -pa "$bench" -run measure_checkout main "${1-5}"
