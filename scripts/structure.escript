#!/usr/bin/env escript
%% The map of the house, and the check that nobody leaves it: a module knows what stands beside it and below it, nothing
%% above it, and nothing that knows it in turn.
%%
%% usage: scripts/structure.escript [ROOT [EBIN]]
%%
%% In Erlang, what calls whom is what xref finds in the beams of EBIN (by default those of `rebar3 as check compile'). In
%% Rust it is what paths that begin with crate, super or self name, tests excluded.

%% From the top down. A room is a folder, or a file without its ending; of two that hold a file, the longer name counts.
%% Rooms of one line are neighbours: they may know each other, but not in a circle.
floors("erlang_src") ->
	[
		{"what the VM begins with", ["gun_rs_app", "gun_rs_sup"]},
		{"servers for users' tests", ["testing"]},
		{"pools", ["pool"]},
		{"what users begin with", ["gun_rs", "client/gun_rs_socket", "gun_rs_ws_client"]},
		{"the server", ["server"]},
		{"connections and their callers", ["client", "http/gun_rs_cookies_list"]},
		{"what can be set", ["options"]},
		{"requests, and modules of the user's", ["http"]},
		{"certificates and keys", ["tls"]},
		{"the native library", ["gun_rs_native"]},
		{"what all share", ["base"]}
	];
floors("native/bridge/src") ->
	[
		{"the library", ["lib"]},
		{"the functions that Erlang calls", ["nifs"]},
		{"what they find", ["registry", "runtime", "tls", "suffixes", "no_proxy"]},
		{"events become messages", ["sink", "served"]},
		{"frames that wait for others", ["outbox"]},
		{"who receives them", ["route"]},
		{"whose they are", ["stream"]},
		{"receivers, frames to send, and how many streams there are", ["receiver", "frames", "lease"]},
		{"terms of the VM", ["vm"]},
		{"memory", ["payload"]}
	];
floors("native/terms/src") ->
	[
		{"the crate", ["lib"]},
		{"what the processes of connections receive", ["reports", "served"]},
		{"what users give and receive", ["options", "messages"]},
		{"its parts", ["reasons", "frame"]},
		{"its words", ["dialect", "posix"]},
		{"terms", ["term"]},
		{"atoms", ["name"]}
	];
floors("native/engine/src") ->
	[
		{"the crate", ["lib"]},
		{"listening", ["server"]},
		{"the task that owns a connection", ["task"]},
		{"where a byte stream leads", ["tunnel"]},
		{"protocols", ["http", "http/served", "raw", "websocket/carrier"]},
		{"sessions", ["websocket"]},
		{"what is late", ["late"]},
		{"what the task lends to a protocol", ["protocol"]},
		{"streams", ["stream"]},
		{"what goes in", ["command"]},
		{"from a host name to bytes, and to their end", ["transport", "ending"]},
		{"what is counted, and what is agreed on", ["status", "account", "turn", "websocket/deflate"]},
		{"what comes out, and the words for it", ["sink", "event", "payload", "options", "error",
			"transport/step", "websocket/frame", "websocket/role"]}
	].

%% The only circle: a sink takes events, and events carry what the sink names.
circle_is_allowed(["event", "sink"]) -> true;
circle_is_allowed(_) -> false.

main([]) ->
	main(["."]);
main([Root]) ->
	main([Root, filename:join(Root, "_build/check/lib/gun_rs/ebin")]);
main([Root, Ebin]) ->
	Faults = erlang_faults(Root, Ebin)
		++ lists:append([rust_faults(Root, "native/" ++ Crate ++ "/src") || Crate <- ["engine", "terms", "bridge"]]),
	_ = [io:format("structure: error: ~ts~n", [Fault]) || Fault <- lists:usort(Faults)],
	case Faults of
		[] -> io:format("structure: no circle, and no arrow runs up~n");
		_ -> halt(1)
	end.

%% Erlang.

erlang_faults(Root, Ebin) ->
	Files = files(Root, "erlang_src", ".erl"),
	Rooms = maps:from_list([{list_to_atom(filename:basename(File)), File} || File <- Files]),
	case calls(Ebin, maps:keys(Rooms)) of
		{ok, Calls} ->
			Arrows = [{maps:get(From, Rooms), maps:get(To, Rooms)} || {From, To} <- Calls],
			homeless("erlang_src", Files) ++ upward("erlang_src", Arrows) ++ circles("erlang_src", Arrows);
		{error, Missing} ->
			[["there is no beam in ", Ebin, " of ", atom_to_list(Module)] || Module <- Missing]
	end.

calls(Ebin, Modules) ->
	{ok, _} = xref:start(?MODULE, [{xref_mode, functions}]),
	ok = xref:set_default(?MODULE, [{warnings, false}, {verbose, false}]),
	Beams = [{Module, filename:join(Ebin, atom_to_list(Module) ++ ".beam")} || Module <- Modules],
	case [Module || {Module, Beam} <- Beams, not filelib:is_regular(Beam)] of
		[] ->
			_ = [{ok, Module} = xref:add_module(?MODULE, Beam) || {Module, Beam} <- Beams],
			{ok, Calls} = xref:q(?MODULE, "XC"),
			{ok, lists:usort([{From, To} || {{From, _, _}, {To, _, _}} <- Calls, From =/= To, lists:member(To, Modules)])};
		Missing ->
			{error, Missing}
	end.

%% Rust. What knows what is told of rooms, and not of files: the files of a room are one work.

rust_faults(Root, Source) ->
	case [File || File <- files(Root, Source, ".rs"), not is_test(File)] of
		[] ->
			[[Source, " has no source"]];
		Files ->
			Texts = [{module(File), File, text(filename:join([Root, Source, File ++ ".rs"]))} || File <- Files],
			Modules = maps:from_list([{Module, File} || {Module, File, _} <- Texts]),
			Exports = maps:from_list([Export || {Module, _, Text} <- Texts, Export <- exports(Module, Text)]),
			Arrows = lists:usort([{File, To} || {Module, File, Text} <- Texts, Path <- paths(Module, Text),
				To <- [target(Path, Modules, Exports, 8)], To =/= File, not is_inside(Path, Module)]),
			Between = lists:usort([{FromRoom, ToRoom} || {From, To} <- Arrows,
				FromRoom <- [room(Source, From)], ToRoom <- [room(Source, To)], FromRoom =/= ToRoom,
				FromRoom =/= none, ToRoom =/= none]),
			homeless(Source, Files) ++ upward(Source, Arrows) ++ circles(Source, Between)
	end.

is_test(File) ->
	lists:any(fun(Part) -> lists:member(Part, ["tests", "testing"]) end, filename:split(File)).

%% By its path in the crate.
module("lib") -> [];
module(File) ->
	case lists:reverse(filename:split(File)) of
		["mod"|Folder] -> lists:reverse(Folder);
		Path -> lists:reverse(Path)
	end.

%% A module knows those that stand in it.
is_inside(Path, Module) ->
	lists:prefix(Module, Path) andalso Module =/= [].

%% The longest beginning of a path that is a module, behind what other modules pass on.
target(Path, Modules, Exports, Depth) ->
	{Module, Rest} = longest(Path, [], Modules),
	case Rest of
		[Name|Tail] when is_map_key({Module, Name}, Exports), Depth > 0 ->
			target(maps:get({Module, Name}, Exports) ++ Tail, Modules, Exports, Depth - 1);
		_ ->
			maps:get(Module, Modules)
	end.

longest(Path, Rest, Modules) when is_map_key(Path, Modules) -> {Path, Rest};
longest(Path, Rest, Modules) -> longest(lists:droplast(Path), [lists:last(Path)|Rest], Modules).

%% The code of a file, without comments and what is compiled for tests alone.
text(File) ->
	{ok, Text} = file:read_file(File),
	Lines = [re:replace(Line, "(^|[^:])//.*$", "\\1", [{return, list}]) || Line <- string:split(Text, "\n", all)],
	lists:flatten(lists:join($\n, without_tests(Lines))).

without_tests([]) ->
	[];
without_tests([Line|Lines]) ->
	case re:run(Line, "^(\\s*)#\\[cfg\\((all\\()?test\\b", [{capture, [1], list}]) of
		{match, [Indent]} -> without_tests(without_item(Indent, Lines));
		nomatch -> [Line|without_tests(Lines)]
	end.

%% An item ends where its indentation closes it, as rustfmt lays it out, or with its first line.
without_item(Indent, [Line|Lines]) ->
	case string:trim(Line) of
		"#" ++ _ -> without_item(Indent, Lines);
		"" -> without_item(Indent, Lines);
		Trimmed ->
			case lists:member(lists:last(Trimmed), ";}") of
				true -> Lines;
				false -> lists:nthtail(1, lists:dropwhile(fun(L) -> not lists:prefix(Indent ++ "}", L) end, Lines))
			end
	end.

%% Every path that a file names.
paths(Module, Text) ->
	Uses = [Path || {_, Path, _} <- uses(Text)],
	Inline = case re:run(Text, "\\b(?:crate|super)(?:::\\w+)+", [global, {capture, first, list}]) of
		{match, Found} -> [string:split(Path, "::", all) || [Path] <- Found];
		nomatch -> []
	end,
	[absolute(Path, Module) || Path <- Uses ++ Inline].

%% What a module passes on under its own name.
exports(Module, Text) ->
	[{{Module, Name}, absolute(Path, Module)} || {public, Path, Name} <- uses(Text), Name =/= "*"].

uses(Text) ->
	case re:run(Text, "(pub(?:\\([a-z: ]+\\))?\\s+)?\\buse\\s+((?:crate|super|self)\\b[^;]*);", [global, {capture, [1, 2], list}]) of
		{match, Found} ->
			[{case Public of "" -> private; _ -> public end, Path, Name}
				|| [Public, Tree] <- Found, {Path, Name} <- tree(lists:flatten(string:replace(Tree, "\n", " ", all)), [])];
		nomatch ->
			[]
	end.

%% The leaves of a tree such as a::{b::C, d::{E, F as G}}, each with its name.
tree(Tree, Before) ->
	case string:split(Tree, "{") of
		[Leaf] ->
			[Path|Alias] = string:split(string:trim(Leaf), " as "),
			Parts = Before ++ string:split(Path, "::", all),
			Whole = case lists:last(Parts) of
				"self" when length(Parts) > 1 -> lists:droplast(Parts);
				_ -> Parts
			end,
			[{Whole, lists:last([lists:last(Whole)|Alias])}];
		[Path, Rest] ->
			Parts = [Part || Part <- string:split(string:trim(Path), "::", all), Part =/= ""],
			Inner = lists:sublist(Rest, string:rstr(Rest, "}") - 1),
			lists:append([tree(Branch, Before ++ Parts) || Branch <- branches(Inner, 0, ""), string:trim(Branch) =/= ""])
	end.

branches([], _, Branch) -> [lists:reverse(Branch)];
branches([$,|Tail], 0, Branch) -> [lists:reverse(Branch)|branches(Tail, 0, "")];
branches([${|Tail], Depth, Branch) -> branches(Tail, Depth + 1, [${|Branch]);
branches([$}|Tail], Depth, Branch) -> branches(Tail, Depth - 1, [$}|Branch]);
branches([C|Tail], Depth, Branch) -> branches(Tail, Depth, [C|Branch]).

absolute(["crate"|Path], _) -> Path;
absolute(["self"|Path], Module) -> absolute(Path, Module, Module);
absolute(Path=["super"|_], Module) -> absolute(Path, Module, Module).

%% A module of a file's own, whose super is the file, stands in for the file.
absolute(["super"|Path], [], _) -> Path;
absolute(["super"|Path], Module, Of) -> absolute(Path, lists:droplast(Module), Of);
absolute(Path, Module, _) -> Module ++ Path.

%% Rooms.

files(Root, Source, Ending) ->
	Folder = filename:join(Root, Source),
	[filename:rootname(File) || File <- filelib:wildcard("**/*" ++ Ending, Folder)].

%% The name of the room, and its floor, counted from the top.
place(Source, File) ->
	Floors = floors(Source),
	Found = [{length(Room), Floor, Room} || {Floor, {_, Rooms}} <- lists:zip(lists:seq(1, length(Floors)), Floors),
		Room <- Rooms, Room =:= File orelse lists:prefix(Room ++ "/", File)],
	case lists:sort(Found) of
		[] -> {0, none};
		Sorted -> {_, Floor, Room} = lists:last(Sorted), {Floor, Room}
	end.

room(Source, File) ->
	element(2, place(Source, File)).

homeless(Source, Files) ->
	[[Source, ": ", File, " stands in no room"] || File <- Files, room(Source, File) =:= none].

upward(Source, Arrows) ->
	[[Source, ": ", From, " knows ", To, ", which stands above it"] || {From, To} <- Arrows,
		{{FromFloor, _}, {ToFloor, _}} <- [{place(Source, From), place(Source, To)}], ToFloor < FromFloor, ToFloor > 0].

circles(Source, Arrows) ->
	Graph = digraph:new(),
	_ = [digraph:add_vertex(Graph, Vertex) || {From, To} <- Arrows, Vertex <- [From, To]],
	_ = [digraph:add_edge(Graph, From, To) || {From, To} <- Arrows],
	Circles = [lists:sort(Circle) || Circle <- digraph_utils:strong_components(Graph), length(Circle) > 1],
	true = digraph:delete(Graph),
	[[Source, ": these know each other: ", lists:join(", ", Circle)] || Circle <- Circles, not circle_is_allowed(Circle)].
