# For scripts that talk to the Autobahn Testsuite; they source it from the project's directory.

autobahn=$PWD/_build/autobahn

install_autobahn() {
    autobahn/install-autobahn.sh "$autobahn" >"$autobahn.log" 2>&1 || { cat "$autobahn.log" >&2; exit 1; }
}

# Empties the directory of reports $1, and leaves there what the testsuite needs to know: the rest of its settings $2,
# and the cases $3... .
write_spec() {
    spec_dir=$1
    settings=$2
    shift 2
    cases=$(printf '"%s",' "$@")
    rm -rf "$spec_dir"
    mkdir -p "$spec_dir"
    cat >"$spec_dir/spec.json" <<SPEC
{$settings, "outdir": "$spec_dir", "cases": [${cases%,}], "exclude-cases": [], "exclude-agent-cases": {}}
SPEC
}

# Waits until the process $1 has written what matches $2 into its log $3.
wait_for() {
    waited=0
    until grep -qs "$2" "$3"; do
        waited=$((waited + 1))
        if [ "$waited" -gt 300 ] || ! kill -0 "$1" 2>/dev/null; then
            cat "$3" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# Installs the testsuite unless it is there, and starts its fuzzing server with the cases $2... until the script ends.
# The reports go to the directory $1, which is emptied. Sets port, and server to its process.
start_fuzzing_server() {
    report_dir=$1
    shift
    install_autobahn
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    write_spec "$report_dir" "\"url\": \"ws://127.0.0.1:$port\"" "$@"
    "$autobahn/bin/wstest" -m fuzzingserver -s "$report_dir/spec.json" -u 0 >"$report_dir/server.log" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null || true' EXIT
    wait_for "$server" 'Ok, will run' "$report_dir/server.log"
}

# Installs the testsuite unless it is there, and lets its fuzzing client run the cases $4... against the server at the
# port $2, which the reports in the directory $1 call $3.
run_fuzzing_client() {
    report_dir=$1
    port=$2
    tested=$3
    shift 3
    write_spec "$report_dir" "\"servers\": [{\"agent\": \"$tested\", \"url\": \"ws://127.0.0.1:$port\"}]" "$@"
    timeout 3600 "$autobahn/bin/wstest" -m fuzzingclient -s "$report_dir/spec.json" >"$report_dir/client.log" 2>&1 ||
        { tail -n 50 "$report_dir/client.log" >&2; exit 1; }
}
