#!/bin/sh
# Builds gun_rs, then lets demo/demo.escript talk to the server at the URL, or to one of its own without a URL.
#
# usage: scripts/demo.sh [URL]
set -eu

cd "$(dirname "$0")/.."
scripts/setup.sh demo
rebar3 compile
if [ $# = 0 ]; then
    # The dev profile: a release build of a demo's server would cost a minute and show nothing.
    cargo build --locked --package gun_rs_testserver
    set -- --server "${CARGO_TARGET_DIR:-target}/debug/gun_rs_testserver"
fi
echo
ERL_LIBS=_build/default/lib exec escript demo/demo.escript "$@"
