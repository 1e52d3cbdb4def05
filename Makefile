# help: prints these targets; make alone does the same
# demo: sets up, builds, and talks to a WebSocket server: "make demo" brings its own, "make demo URL=ws://host:port/path"
#       talks to any
# demo-server: sets up, builds, and serves a chat page with its WebSocket: "make demo-server PORT=8080"
# browser: lets Chromium open that chat and say a line there, which its page and another client have to show
# test: sets up, builds, and runs every check and test; "make test STEPS='eunit ct'" runs some
# test-otp: compiles gun_rs on another OTP than the installed one and runs the Erlang tests there: "make test-otp OTP=27"
#           or "make test-otp OTP=29", of which STEPS='eunit' runs a part; it needs root
# compare: runs gun 2.6 and gun_rs through the same situations on OTP 29 and fails where they differ and
#          doc/differences.md does not say so; it needs root; SITUATIONS='get head' runs some
# autobahn: runs the 517 cases of the Autobahn Testsuite against gun_rs as a client and as a server, which takes many
#           minutes, and compares the results; SIDE=server runs one side, CASES='1.* 2.*' some cases
# bench: measures gun_rs beside gun and beside what limits both, which takes many minutes; "make bench WORKLOADS=rtt_16b"
#        measures some, "make bench OTP=29" measures on OTP 29
# bench-smoke: the same with few messages, to see whether all of it works
# chaos: lets everything happen to clients and to a server that can, for five minutes each; "make chaos CHAOS_SECONDS=60"
#        for one, CHAOS_SEED=1 in the order that another run had, CHAOS_IDLE=20000 with as many idle WebSockets
# sanitize: runs the tests of the engine under ThreadSanitizer (with rust-src) and Miri (if there is one); "make sanitize TESTS=queue"
#           runs those whose names have that in them
# clean: removes what was built, and keeps what was downloaded

.PHONY: help demo demo-server browser test test-otp compare autobahn bench bench-smoke chaos sanitize clean

# From the comment at the top: a line that begins with a target's name, and those that go on with it.
help:
	@awk '/^$$/ { exit } \
	    match($$0, /^# [a-z-]+: /) { printf "make %-13s%s\n", substr($$0, 3, RLENGTH - 4), substr($$0, RLENGTH + 1); next } \
	    { sub(/^# +/, ""); printf "%18s%s\n", "", $$0 }' Makefile

demo:
	@scripts/demo.sh $(if $(URL),'$(URL)')

demo-server:
	@scripts/demo-server.sh $(PORT)

browser:
	@scripts/browser.sh $(PNG)

test:
	@scripts/test.sh $(STEPS)

test-otp:
	@scripts/test-otp.sh '$(OTP)' $(STEPS)

compare:
	@scripts/compare.sh $(SITUATIONS)

autobahn:
	@scripts/setup.sh test
	@set -f; scripts/autobahn.sh $(SIDE) $(CASES)

bench:
	@scripts/bench.sh $(WORKLOADS)

bench-smoke:
	@BENCH_PROFILE=dev BENCH_ROUNDS=1 BENCH_SCALE=1 BENCH_RESULTS=_build/bench/smoke.json scripts/bench.sh $(WORKLOADS)

chaos: export CHAOS_SECONDS := $(or $(CHAOS_SECONDS),300)
chaos:
	@scripts/setup.sh test
	@ulimit -n "$$(ulimit -Hn)"; ERL_LIBS='$(CURDIR)/_build/peers/lib' \
	    rebar3 ct --suite=test/gun_rs_chaos_SUITE,test/gun_rs_server_chaos_SUITE

sanitize:
	@scripts/sanitize.sh $(TESTS)

clean:
	cargo clean
	rm -rf priv
	[ ! -d _build ] || find _build -mindepth 1 -maxdepth 1 ! -name peers ! -name autobahn ! -name 'otp[0-9]*' -exec rm -rf {} +
