# demo: sets up, builds, and talks to a WebSocket server: "make demo" brings its own, "make demo URL=ws://host:port/path"
#       talks to any
# test: sets up, builds, and runs every check and test; "make test STEPS='eunit ct'" runs some
# autobahn: runs the 517 cases of the Autobahn Testsuite, which takes minutes, and compares the results
# clean: removes what was built, and keeps what was downloaded

.PHONY: demo test autobahn clean

demo:
	@scripts/demo.sh $(if $(URL),'$(URL)')

test:
	@scripts/test.sh $(STEPS)

autobahn:
	@scripts/setup.sh test
	@scripts/autobahn.sh

clean:
	cargo clean
	rm -rf priv
	[ ! -d _build ] || find _build -mindepth 1 -maxdepth 1 ! -name peers ! -name autobahn -exec rm -rf {} +
