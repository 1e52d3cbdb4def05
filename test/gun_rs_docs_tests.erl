%% What h/1,2,3 show in the shell, and the tests that show what doc/differences.md says, and what handlers may rely on.
-module(gun_rs_docs_tests).

-include_lib("eunit/include/eunit.hrl").

%% A machine without edoc builds gun_rs without its documentation.
documentation_test_() ->
	case code:ensure_loaded(edoc_doclet_chunks) of
		{module, _} -> [fun open_has_its_documentation/0, fun every_function_is_there/0];
		{error, _} -> []
	end.

open_has_its_documentation() ->
	{ok, {docs_v1, _, erlang, _, _, _, Entries}} = code:get_doc(gun_rs),
	[Docs] = [Docs || {{function, open, 3}, _, _, #{<<"en">> := Docs}, _} <- Entries],
	Text = unicode:characters_to_binary(io_lib:format("~tp", [Docs])),
	?assertNotEqual(nomatch, binary:match(Text, <<"Opens a connection to a host and a port">>)).

%% Of every module, also of those that are internal.
every_function_is_there() ->
	_ = application:load(gun_rs),
	{ok, Modules} = application:get_key(gun_rs, modules),
	?assertEqual([], [{Module, Missing} || Module <- Modules, Missing <- undocumented(Module)]).

undocumented(Module) ->
	case code:get_doc(Module) of
		%% A module that is private as a whole has no entries.
		{ok, {docs_v1, _, _, _, hidden, _, _}} ->
			[];
		{ok, {docs_v1, _, _, _, _, _, Entries}} ->
			Module:module_info(exports) --
				[{module_info, 0}, {module_info, 1}, {behaviour_info, 1}|[{F, A} || {{function, F, A}, _, _, _, _} <- Entries]];
		{error, Reason} ->
			[Reason]
	end.

%% Each line of doc/differences.md has tests in test/differences.config, and those exist.

each_difference_from_gun_has_tests_test() ->
	{ok, Shown} = file:consult(root("test/differences.config")),
	Lines = [Line || {Line, _} <- Shown],
	?assertEqual([], differences() -- Lines),
	?assertEqual([], Lines -- differences()),
	?assertEqual([], [Line || {Line, []} <- Shown]).

the_tests_of_the_differences_exist_test_() ->
	{ok, Shown} = file:consult(root("test/differences.config")),
	_ = [load(File) || File <- filelib:wildcard(root("test/compare/*.erl"))],
	Compared = [Name || Module <- compare:modules(), {Name, _} <- Module:situations()],
	[{Line, fun() -> ?assertEqual([], [Test || Test <- Tests, not exists(Test, Compared)]) end} || {Line, Tests} <- Shown].

%% The first cells of the lines.
differences() ->
	{ok, Text} = file:read_file(root("doc/differences.md")),
	[_, _|Rows] = [Line || Line= <<"|", _/binary>> <- binary:split(Text, <<"\n">>, [global])],
	[unicode:characters_to_list(string:trim(lists:nth(2, binary:split(Row, <<"|">>, [global])))) || Row <- Rows].

%% Each of the 55 points of the specification of handlers has tests in test/handlers.config, and those exist; a point, or
%% a part of it, that is not done is one that doc/server.md tells of.

each_point_of_handlers_has_tests_test() ->
	{ok, Shown} = file:consult(root("test/handlers.config")),
	?assertEqual(lists:seq(1, 55), [Point || {Point, [_|_]} <- Shown]).

the_tests_of_the_points_exist_test_() ->
	{ok, Shown} = file:consult(root("test/handlers.config")),
	[{integer_to_list(Point), fun() -> ?assertEqual([], [Test || Test <- Tests, not exists(Test, [])]) end}
		|| {Point, Tests} <- Shown].

exists({not_done, Text}, _) ->
	has(root("doc/server.md"), Text);
exists({compare, Name}, Compared) ->
	lists:member(Name, Compared);
exists({cargo, Name}, _) ->
	Files = filelib:wildcard(root("native/*/src/**/*.rs")),
	lists:any(fun(File) -> has(File, ["fn ", atom_to_list(Name), "("]) end, Files);
exists({Module, Test}, _) ->
	[File] = [File || Dir <- ["test/", "test/compat/"], File <- [root(Dir ++ atom_to_list(Module) ++ ".erl")], filelib:is_file(File)],
	has(File, ["\n", atom_to_list(Test), "("]).

%% The modules of the comparison are compiled for OTP 29, where they run.
load(File) ->
	{ok, Module, Beam} = compile:file(File, [binary, report]),
	{module, Module} = code:load_binary(Module, File, Beam).

has(File, Text) ->
	{ok, Source} = file:read_file(File),
	binary:match(Source, iolist_to_binary(Text)) =/= nomatch.

root(File) ->
	filename:join(gun_rs_test:root(), File).
