%% What the VM takes at best: see native/bench/src/vm.rs.
-module(bench_vm).

-export([flood/5]).

-nifs([flood/5]).

-on_load(load/0).

load() ->
	erlang:load_nif(os:getenv("GUN_RS_BENCH_VM"), 0).

%% Sends To that many messages with binaries of that size, from a thread of its own.
flood(_To, _ConnPid, _StreamRef, _Count, _Size) ->
	erlang:nif_error(not_loaded).
