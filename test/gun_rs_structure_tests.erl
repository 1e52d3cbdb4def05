%% The check of the map: scripts/structure.escript, on a house of its own.
-module(gun_rs_structure_tests).

-include_lib("eunit/include/eunit.hrl").

a_house_in_order_passes_test_() ->
	checked([], fun(Status, Output) ->
		?assertEqual({0, "structure: no circle, and no arrow runs up\n"}, {Status, Output})
	end).

a_call_that_goes_up_is_found_test_() ->
	fails([{"erlang_src/base/base_b.erl", calls("base_b", ["conn_a"])}],
		["erlang_src: base/base_b knows client/conn_a, which stands above it"]).

a_circle_of_modules_is_found_within_a_room_too_test_() ->
	fails([{"erlang_src/client/conn_a.erl", calls("conn_a", ["conn_b"])},
			{"erlang_src/client/conn_b.erl", calls("conn_b", ["conn_a"])}],
		["erlang_src: these know each other: client/conn_a, client/conn_b"]).

a_module_without_a_room_is_found_test_() ->
	fails([{"erlang_src/attic/attic_a.erl", calls("attic_a", [])}],
		["erlang_src: attic/attic_a stands in no room"]).

an_import_that_goes_up_is_found_test_() ->
	[fails([{"native/engine/src/transport/tcp.rs", Text}],
		["native/engine/src: transport/tcp knows raw, which stands above it"])
	|| Text <- [
		"use crate::raw::Raw;\n",
		"pub(crate) use crate::{\n    error::Error,\n    raw::{self, Raw as R},\n};\n",
		"use super::super::raw;\n",
		"fn f() {\n    crate::raw::run();\n}\n",
		%% By the name under which the crate passes it on.
		"use crate::Raw;\n"
	]].

a_circle_of_rooms_is_found_test_() ->
	fails([{"native/engine/src/raw.rs", "use crate::http::Head;\n"},
			{"native/engine/src/http/mod.rs", "use crate::raw::Raw;\n"}],
		["native/engine/src: these know each other: http, raw"]).

sink_and_event_may_know_each_other_test_() ->
	passes([{"native/engine/src/sink.rs", "use crate::event::Event;\n"},
		{"native/engine/src/event.rs", "use crate::sink::Sink;\n"}]).

tests_and_comments_may_name_anything_test_() ->
	[passes([{"native/engine/src/" ++ File, Text}]) || {File, Text} <- [
		{"transport/tests.rs", "use crate::task::Task;\n"},
		{"transport/tests/tcp.rs", "use crate::task::Task;\n"},
		{"testing.rs", "use crate::task::Task;\n"},
		{"transport/tcp.rs", "//! As [`crate::task`] does.\nuse crate::error::Error; // and crate::task\n"},
		{"transport/tcp.rs", "#[cfg(test)]\nmod tests {\n    use crate::task::Task;\n\n    fn f() {\n    }\n}\n"},
		{"transport/tcp.rs", "#[cfg(test)]\nuse crate::task::Task;\nuse crate::error::Error;\n"}
	]].

what_stands_behind_a_test_is_looked_at_test_() ->
	fails([{"native/engine/src/transport/tcp.rs", "#[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\nuse crate::raw::Raw;\n"}],
		["native/engine/src: transport/tcp knows raw, which stands above it"]).

a_crate_that_is_gone_is_found_test_() ->
	checked([{"native/terms/src/lib.rs", none}], fun(Status, Output) ->
		?assertEqual(1, Status),
		?assertNotEqual(nomatch, string:find(Output, "native/terms/src has no source"))
	end).

%% Houses.

passes(Changes) ->
	checked(Changes, fun(Status, Output) -> ?assertMatch({0, _}, {Status, Output}) end).

fails(Changes, Faults) ->
	Expected = lists:append(["structure: error: " ++ Fault ++ "\n" || Fault <- Faults]),
	checked(Changes, fun(Status, Output) -> ?assertEqual({1, Expected}, {Status, Output}) end).

checked(Changes, Check) ->
	{timeout, 60, fun() ->
		Root = filename:join("/tmp", "gun_rs_structure_" ++ os:getpid() ++ "_" ++ integer_to_list(erlang:unique_integer([positive]))),
		try
			House = maps:merge(maps:from_list(house()), maps:from_list(Changes)),
			_ = maps:map(fun(File, Text) -> build(Root, File, Text) end, House),
			{Status, Output} = run([filename:join(gun_rs_test:root(), "scripts/structure.escript"), Root, Root]),
			Check(Status, Output)
		after
			ok = file:del_dir_r(Root)
		end
	end}.

house() ->
	[
		{"erlang_src/client/conn_a.erl", calls("conn_a", ["conn_b", "base_a"])},
		{"erlang_src/client/conn_b.erl", calls("conn_b", ["base_a"])},
		{"erlang_src/base/base_a.erl", calls("base_a", [])},
		{"native/engine/src/lib.rs", "pub mod raw;\npub mod task;\npub use self::raw::Raw;\n"},
		{"native/engine/src/task/mod.rs", "use crate::transport::tcp;\nmod queue;\n"},
		{"native/engine/src/task/queue.rs", "use super::Task;\n"},
		{"native/engine/src/http/mod.rs", "use crate::transport::tcp::Tcp;\n"},
		{"native/engine/src/raw.rs", "use crate::error::Error;\n"},
		{"native/engine/src/transport/tcp.rs", "use crate::error::Error;\n"},
		{"native/engine/src/error.rs", ""},
		{"native/terms/src/lib.rs", ""},
		{"native/bridge/src/lib.rs", ""}
	].

%% The beams stand at the root, beside the folders.
build(_, _, none) ->
	ok;
build(Root, File, Text) ->
	Path = filename:join(Root, File),
	ok = filelib:ensure_dir(Path),
	ok = file:write_file(Path, Text),
	case filename:extension(File) of
		".erl" ->
			{ok, _} = compile:file(Path, [debug_info, {outdir, Root}]),
			ok;
		_ ->
			ok
	end.

calls(Module, Others) ->
	["-module(", Module, ").\n-export([f/0]).\nf() -> [", lists:join(", ", [Other ++ ":f()" || Other <- Others]), "].\n"].

run([Program|Args]) ->
	Port = open_port({spawn_executable, os:find_executable("escript")},
		[{args, [Program|Args]}, exit_status, stderr_to_stdout, use_stdio, binary]),
	output(Port, <<>>).

output(Port, Output) ->
	receive
		{Port, {data, Data}} -> output(Port, <<Output/binary, Data/binary>>);
		{Port, {exit_status, Status}} -> {Status, unicode:characters_to_list(Output)}
	end.
