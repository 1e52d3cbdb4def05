#!/bin/sh
# Runs the Autobahn Testsuite against gun_rs with compression on, compares the results with autobahn/expected.json,
# and ends with one line of counts. The report is written to _build/autobahn-report/index.html.
#
# usage: scripts/autobahn.sh [CASE...]      (such as "1.*"; none means all)
set -eu

cd "$(dirname "$0")/.."
. autobahn/fuzzing-server.sh
reports=$PWD/_build/autobahn-report
agent=gun_rs

[ $# -gt 0 ] || set -- '*'
start_fuzzing_server "$reports" "$@"
rebar3 compile >/dev/null
took=$(ERL_LIBS=_build/default/lib escript autobahn/client.escript "$port" "$agent")
"$autobahn/bin/python2.7" autobahn/report.py "$reports/index.json" "$agent" autobahn/expected.json "${took#* }" \
    ${AUTOBAHN_WRITE:+--write}
