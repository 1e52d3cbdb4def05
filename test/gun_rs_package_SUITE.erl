%% What gun_rs.app.src says of the package, and that the files it names are enough to build gun_rs.
-module(gun_rs_package_SUITE).

-define(NEEDS, [gun_rs]).
-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	Root = gun_rs_test:root(),
	{ok, [{application, gun_rs, App}]} = file:consult(filename:join(Root, "erlang_src/gun_rs.app.src")),
	[{root, Root}, {app, App}|Config].

end_per_suite(_) ->
	ok.

what_hex_asks_for(Config) ->
	doc("The package has a version, a short description, a licence with its text, and links."),
	App = config(app, Config),
	{match, _} = re:run(proplists:get_value(vsn, App), "^\\d+\\.\\d+\\.\\d+$"),
	Description = proplists:get_value(description, App),
	true = length(Description) > 0 andalso length(Description) =< 300,
	["MIT"] = proplists:get_value(licenses, App),
	{match, _} = re:run(doc_pages:read(filename:join(config(root, Config), "LICENSE")), "^MIT License"),
	[_|_] = Links = proplists:get_value(links, App),
	[] = [Link || Link = {Name, Url} <- Links, not (io_lib:printable_list(Name) andalso lists:prefix("https://", Url))],
	["rebar3"] = proplists:get_value(build_tools, App),
	ok.

links(Config) ->
	doc("What the pages of the package link to is in it."),
	Root = config(root, Config),
	Files = proplists:get_value(files, config(app, Config)),
	Pages = [Page || Wildcard <- ["*.md", "doc/**/*.md", "examples/*.md"], Page <- filelib:wildcard(Wildcard, Root)],
	[] = [{Page, Link} || Page <- Pages, Link <- doc_pages:links(doc_pages:read(filename:join(Root, Page))),
		[File|_] <- [string:split(Link, "#")], File =/= "",
		not do_is_packaged(do_normal(filename:join(filename:dirname(Page), File)), Files)],
	ok.

%% Without the dots in it.
do_normal(Path) ->
	filename:join(lists:reverse(lists:foldl(fun
		(".", Names) -> Names;
		("..", [_|Names]) -> Names;
		(Name, Names) -> [Name|Names]
	end, [], filename:split(Path)))).

do_is_packaged(File, Files) ->
	lists:any(fun(Packaged) -> File =:= Packaged orelse lists:prefix(Packaged ++ "/", File) end, Files).

tarball(Config) ->
	doc("What rebar3 makes packages by takes these files, and the package has a small part of the size that Hex allows."),
	case do_hex_core() of
		[] ->
			{skip, "This rebar3 has no hex_core."};
		Modules ->
			Root = config(root, Config),
			App = config(app, Config),
			Text = fun(Key) -> unicode:characters_to_binary(proplists:get_value(Key, App)) end,
			Files = lists:append([do_files(Root, File) || File <- proplists:get_value(files, App)]),
			{ok, #{tarball := Tarball}} = r3_hex_tarball:create(#{
				<<"name">> => <<"gun_rs">>,
				<<"app">> => <<"gun_rs">>,
				<<"version">> => Text(vsn),
				<<"description">> => Text(description),
				<<"licenses">> => [<<"MIT">>],
				<<"links">> => maps:from_list([{list_to_binary(Name), list_to_binary(Url)}
					|| {Name, Url} <- proplists:get_value(links, App)]),
				<<"build_tools">> => [<<"rebar3">>],
				<<"requirements">> => #{},
				<<"files">> => [list_to_binary(File) || File <- Files]
			}, [{File, filename:join(Root, File)} || File <- Files]),
			true = byte_size(Tarball) < 4000000,
			_ = [begin
				code:purge(Module),
				code:delete(Module)
			end || Module <- Modules],
			ct:comment("~b files, ~b bytes", [length(Files), byte_size(Tarball)])
	end.

%% rebar3 carries it in its archive, under names of its own; that of some systems is another kind of program.
do_hex_core() ->
	Archives = case escript:extract(os:find_executable("rebar3"), []) of
		{ok, Parts} -> [Archive || {archive, Archive} <- Parts, is_binary(Archive)];
		{error, _} -> []
	end,
	[begin
		Module = list_to_atom(filename:basename(File, ".beam")),
		{module, Module} = code:load_binary(Module, File, Beam),
		Module
	end || Archive <- Archives, {ok, Files} <- [zip:extract(Archive, [memory])], {File, Beam} <- Files,
		lists:member(filename:basename(File), ["r3_hex_tarball.beam", "r3_hex_erl_tar.beam", "r3_hex_filename.beam"])].

do_files(Root, File) ->
	case filelib:is_dir(filename:join(Root, File)) of
		true -> [Below || Name <- filelib:wildcard("**", filename:join(Root, File)),
			Below <- [filename:join(File, Name)], filelib:is_regular(filename:join(Root, Below))];
		false -> [File]
	end.

builds(Config) ->
	doc("Of the files of the package alone, cargo finds its whole workspace, and rebar3 compiles what then runs."),
	Root = config(root, Config),
	Dir = filename:join(config(priv_dir, Config), "package"),
	_ = [begin
		To = filename:join(Dir, File),
		ok = filelib:ensure_dir(To),
		"" = os:cmd("cp -R '" ++ filename:join(Root, File) ++ "' '" ++ To ++ "'")
	end || File <- proplists:get_value(files, config(app, Config))],
	[] = [File || File <- filelib:wildcard("**", Dir), lists:member(filename:extension(File), [".so", ".beam", ".o"])],
	{0, _} = do_run("cargo metadata --no-deps --offline --format-version 1 >/dev/null", Dir),
	%% The native library is the one that this run has built: a cargo that only says so stands before the real one.
	ok = filelib:ensure_dir(filename:join(Dir, "tools/cargo")),
	_ = [begin
		Tool = filename:join([Dir, "tools", Name]),
		ok = file:write_file(Tool, ["#!/bin/sh\necho ", Name, " 1.999.0\n"]),
		ok = file:change_mode(Tool, 8#755)
	end || Name <- ["cargo", "rustc"]],
	Target = filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), Root),
	{0, _} = do_run("PATH=\"$PWD/tools:$PATH\" CARGO_TARGET_DIR='" ++ Target ++ "' rebar3 compile", Dir),
	{0, Output} = do_run("erl -noshell -pa _build/default/lib/gun_rs/ebin -eval '"
		"{ok, _} = application:ensure_all_started(gun_rs), "
		"{ok, C} = gun_rs:open(\"127.0.0.1\", 1, #{retry => 0}), "
		"io:format(\"~p~n\", [gun_rs:await_up(C, 30000)]), halt().'", Dir),
	{match, _} = re:run(Output, "econnrefused").

do_run(Command, Dir) ->
	Port = open_port({spawn_executable, os:find_executable("sh")}, [{args, ["-c", Command]}, {cd, Dir},
		{env, [{Name, false} || Name <- ["ERL_LIBS", "REBAR_CONFIG", "REBAR_PROFILE", "REBAR_BARE_COMPILER_OUTPUT_DIR",
			"REBAR_BUILD_DIR"]]},
		exit_status, stderr_to_stdout, binary, hide]),
	{Status, Output} = do_output(Port, <<>>),
	ct:log("~ts~n~ts", [Command, Output]),
	{Status, Output}.

do_output(Port, Output) ->
	receive
		{Port, {data, Data}} -> do_output(Port, <<Output/binary, Data/binary>>);
		{Port, {exit_status, Status}} -> {Status, Output}
	end.
