# For scripts that talk to the Autobahn Testsuite's fuzzing server; they source it from the project's directory.

autobahn=$PWD/_build/autobahn

# Installs the testsuite unless it is there, and starts the server with the cases $2... until the script ends. The
# reports go to the directory $1, which is emptied. Sets port.
start_fuzzing_server() {
    reports=$1
    shift
    autobahn/install-autobahn.sh "$autobahn" >"$autobahn.log" 2>&1 || { cat "$autobahn.log" >&2; exit 1; }
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
    until grep -qs 'Ok, will run' "$reports/server.log"; do
        waited=$((waited + 1))
        if [ "$waited" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
            cat "$reports/server.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}
