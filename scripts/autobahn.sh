#!/bin/sh
# Runs the Autobahn Testsuite against gun_rs with compression on, compares the results with autobahn/expected.json,
# and ends with one line of counts. The report is written to _build/autobahn-report/index.html.
#
# usage: scripts/autobahn.sh [CASE...]      (such as "1.*"; none means all)
set -eu

cd "$(dirname "$0")/.."
autobahn=$PWD/_build/autobahn
reports=$PWD/_build/autobahn-report
agent=gun_rs

autobahn/install-autobahn.sh "$autobahn" >"$autobahn.log" 2>&1 || { cat "$autobahn.log" >&2; exit 1; }
rebar3 compile >/dev/null

[ $# -gt 0 ] || set -- '*'
cases=$(printf '"%s",' "$@")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
rm -rf "$reports"
mkdir -p "$reports"
cat >"$reports/spec.json" <<SPEC
{"url": "ws://127.0.0.1:$port", "outdir": "$reports", "cases": [${cases%,}], "exclude-cases": [],
 "exclude-agent-cases": {}}
SPEC

"$autobahn/bin/wstest" -m fuzzingserver -s "$reports/spec.json" -u 0 >"$reports/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
waited=0
until grep -q 'Ok, will run' "$reports/server.log"; do
    waited=$((waited + 1))
    if [ "$waited" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$reports/server.log" >&2
        exit 1
    fi
    sleep 0.1
done

took=$(ERL_LIBS=_build/default/lib escript autobahn/client.escript "$port" "$agent")
"$autobahn/bin/python2.7" autobahn/report.py "$reports/index.json" "$agent" autobahn/expected.json "${took#* }" \
    ${AUTOBAHN_WRITE:+--write}
