#!/bin/sh
# Builds gun_rs, then serves the chat of demo/chat on this port.
#
# usage: scripts/demo-server.sh [PORT]
set -eu

cd "$(dirname "$0")/.."
scripts/setup.sh demo
rebar3 compile
echo
ERL_LIBS=_build/default/lib exec escript demo/chat/chat.escript "${1:-8080}"
