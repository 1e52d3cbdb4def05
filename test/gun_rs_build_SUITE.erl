%% The build, the set-up, the demo, and gun_rs as a dependency of others.
-module(gun_rs_build_SUITE).

-include_lib("kernel/include/file.hrl").

%% Of a command, in milliseconds. A library that must be built anew takes a minute or two.
-define(WAIT_FOR_COMMAND, 600000).

-define(NEEDS, []).
-define(TIMETRAP, 2 * ?WAIT_FOR_COMMAND).
-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	%% gun_rs is in _build/test/lib.
	Root = do_parent(4, filename:absname(code:lib_dir(gun_rs))),
	true = filelib:is_regular(filename:join(Root, "rebar.config")),
	Target = filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), Root),
	Server = os:getenv("GUN_RS_TESTSERVER", filename:join(Target, "debug/gun_rs_testserver")),
	true = filelib:is_regular(Server),
	[{root, Root}, {target, Target}, {server, Server}|Config].

end_per_suite(_) ->
	ok.

%% The native library.

unchanged_library_is_not_linked_again(Config) ->
	doc("A second compilation with nothing changed neither builds, links nor copies the library."),
	Root = config(root, Config),
	{0, _} = do_run("rebar3", ["compile"], Root, []),
	[Built] = filelib:wildcard(filename:join(config(target, Config), "release/libgun_rs_native.{so,dylib}")),
	Files = [Built, filename:join(Root, "priv/gun_rs_native.so")],
	Before = [do_identity(File) || File <- Files],
	{0, Output} = do_run("rebar3", ["compile"], Root, []),
	nomatch = re:run(Output, "Compiling gun_rs_"),
	{match, _} = re:run(Output, "Finished"),
	Before = [do_identity(File) || File <- Files].

library_is_never_unloaded(Config) ->
	doc("On Linux the library is marked so that no purge takes it from under running threads."),
	case os:type() of
		{unix, linux} ->
			Library = filename:join(config(root, Config), "priv/gun_rs_native.so"),
			{0, Output} = do_run("readelf", ["-d", Library], "/", []),
			{match, _} = re:run(Output, "FLAGS_1.*NODELETE");
		_ ->
			{skip, "Only ELF libraries carry the mark."}
	end.

library_for_musl(Config) ->
	doc("For musl, as on Alpine, cargo agrees to make a shared library."),
	%% Whether it does is known before anything is compiled; what is compiled then fails at once here.
	Wrapper = filename:join(config(priv_dir, Config), "rustc-that-only-answers"),
	ok = file:write_file(Wrapper, "#!/bin/sh\n"
		"case \" $* \" in *' -vV '*|*' --print'*) exec \"$@\" ;; esac\n"
		"echo asked to compile >&2; exit 1\n"),
	ok = file:change_mode(Wrapper, 8#755),
	{Status, Output} = do_run("cargo", ["build", "--locked", "--package", "gun_rs_bridge", "--target",
		"x86_64-unknown-linux-musl", "--target-dir", filename:join(config(priv_dir, Config), "musl")],
		config(root, Config), [{"RUSTC_WRAPPER", Wrapper}, {"RUSTFLAGS", false}]),
	true = Status =/= 0,
	nomatch = re:run(Output, "cannot produce cdylib"),
	{match, _} = re:run(Output, "asked to compile").

targets_of_make(Config) ->
	doc("make alone runs nothing, and prints each target with what it does."),
	case os:find_executable("make") of
		false -> {skip, "make is not installed."};
		_ -> do_targets_of_make(Config)
	end.

do_targets_of_make(Config) ->
	{0, Output} = do_run("make", [], config(root, Config), []),
	{0, Output} = do_run("make", ["help"], config(root, Config), []),
	{ok, Makefile} = file:read_file(filename:join(config(root, Config), "Makefile")),
	{match, [Phony]} = re:run(Makefile, "^\\.PHONY: (.*)$", [multiline, {capture, all_but_first, list}]),
	Targets = string:lexemes(Phony, " "),
	true = lists:member("test-otp", Targets),
	[] = [Target || Target <- Targets, re:run(Output, ["^make ", Target, " +\\S"], [multiline]) =:= nomatch],
	ok.

no_cargo(Config) ->
	doc("Without cargo the build stops with one sentence that says what to install."),
	"gun_rs needs cargo (Rust 1." ++ Rest = do_build_fails(do_tools([], Config), Config),
	{match, _} = re:run(Rest, "install rustup from https://rustup.rs, then run the command again\\.$").

old_rust(Config) ->
	doc("A Rust that is too old stops the build with one sentence that names its version and the remedy."),
	Tools = do_tools([{"cargo", "echo cargo 1.63.0"}, {"rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'"}], Config),
	{match, _} = re:run(do_build_fails(Tools, Config), "run 'rustup update', since this cargo is 1\\.63, then").

rustup_without_toolchain(Config) ->
	doc("A rustup that has no toolchain stops the build with one sentence that says how to get one."),
	Tools = do_tools([{"cargo", "echo no default toolchain >&2; exit 1"}], Config),
	{match, _} = re:run(do_build_fails(Tools, Config), "run 'rustup default stable', since cargo does not start").

%% The set-up.

root_installs_what_is_missing(Config) ->
	doc("For root the set-up installs the packages that the machine lacks, and updates the lists only for unknown ones."),
	Log = filename:join(config(priv_dir, Config), "apt-get"),
	Tools = do_tools([
		{"cargo", "echo cargo 1.999.0"},
		{"rustc", "echo rustc 1.999.0"},
		{"id", "echo 0"},
		{"apt-cache", "[ $2 = rebar3 ] || echo $2"},
		{"apt-get", "echo $* >> '" ++ Log ++ "'"}
	], Config),
	{0, _} = do_run("scripts/setup.sh", ["demo"], config(root, Config), [{"PATH", Tools}]),
	{ok, Calls} = file:read_file(Log),
	[Update, Install] = string:lexemes(Calls, "\n"),
	<<"update -q">> = Update,
	[{match, _} = re:run(Install, [" ", Package, "( |$)"])
		|| Package <- ["erlang-base", "erlang-ssl", "erlang-syntax-tools", "erlang-dev", "rebar3", "gcc", "libc6-dev"]],
	{match, _} = re:run(Install, "^install .*--no-install-recommends").

others_are_told_the_command(Config) ->
	doc("For anybody else the set-up stops with the exact command for what the machine lacks."),
	Tools = do_tools([
		{"cargo", "echo cargo 1.999.0"},
		{"rustc", "echo rustc 1.999.0"},
		{"id", "echo 1000"},
		{"apt-get", "exit 99"}
	], Config),
	Output = do_fails("scripts/setup.sh", ["test"], [{"PATH", Tools}], Config),
	{match, _} = re:run(Output,
		"run: sudo apt-get update && sudo apt-get install -y --no-install-recommends erlang-base .* elixir").

nothing_is_downloaded_twice(Config) ->
	doc("Where everything is there, the set-up does nothing, and asks no package manager."),
	Tools = do_tools([{"apt-get", "exit 99"}, {"apt-cache", "exit 99"}, {"dpkg", "exit 99"}], Config),
	Path = Tools ++ ":" ++ os:getenv("PATH"),
	{0, <<>>} = do_run("scripts/setup.sh", ["test"], config(root, Config), [{"PATH", Path}]).

%% Dependents.

dependency_of_a_rebar3_application(Config) ->
	doc("gun_rs builds as a dependency of a rebar3 application, which then talks to a server."),
	Root = config(root, Config),
	Dir = do_copy("rebar3_app", Config),
	ok = filelib:ensure_dir(filename:join(Dir, "_checkouts/gun_rs")),
	ok = file:make_symlink(Root, filename:join(Dir, "_checkouts/gun_rs")),
	{Server, Port} = do_start_server(Config),
	{0, Output} = do_run("rebar3", ["eunit"], Dir, [{"ECHO_PORT", integer_to_list(Port)}]),
	{match, _} = re:run(Output, "1 tests, 0 failures"),
	do_stop_server(Server).

dependency_of_a_mix_application(Config) ->
	doc("gun_rs builds as a dependency of a mix application, which then runs the README's Elixir example."),
	Dir = do_copy("mix_app", Config),
	{Server, Port} = do_start_server(Config),
	{0, Output} = do_run("mix", ["test"], Dir, [
		{"ECHO_PORT", integer_to_list(Port)},
		{"GUN_RS", config(root, Config)},
		{"MIX_REBAR3", os:find_executable("rebar3")},
		{"MIX_HOME", filename:join(Dir, "mix_home")}
	]),
	%% Elixir 1.20 says it in other words.
	{match, _} = re:run(Output, "^(1 test, 0 failures|Result: 1 passed)$", [multiline]),
	do_stop_server(Server).

gun_of_a_rebar3_application(Config) ->
	doc("A library that asks for gun 2.1 or newer runs over compat/gun in a rebar3 application, unchanged."),
	Root = config(root, Config),
	Lib = do_copy("chat_lib", Config),
	Dir = do_copy("rebar3_chat", Config),
	ok = filelib:ensure_dir(filename:join(Dir, "_checkouts/gun")),
	_ = [ok = file:make_symlink(Target, filename:join([Dir, "_checkouts", Name]))
		|| {Name, Target} <- [{"chat_lib", Lib}, {"gun", filename:join(Root, "compat/gun")}, {"gun_rs", Root}]],
	{Server, Port} = do_start_server(Config),
	{0, Output} = do_run("rebar3", ["eunit"], Dir, [{"ECHO_PORT", integer_to_list(Port)}]),
	{match, _} = re:run(Output, "2 tests, 0 failures"),
	do_stop_server(Server).

gun_of_a_mix_application(Config) ->
	doc("The same in a mix application."),
	Lib = do_copy("chat_lib", Config),
	Dir = do_copy("mix_chat", Config),
	{Server, Port} = do_start_server(Config),
	{0, Output} = do_run("mix", ["test"], Dir, [
		{"ECHO_PORT", integer_to_list(Port)},
		{"CHAT_LIB", Lib},
		{"GUN_RS", config(root, Config)},
		{"MIX_REBAR3", os:find_executable("rebar3")},
		{"MIX_HOME", filename:join(Dir, "mix_home")}
	]),
	{match, _} = re:run(Output, "^(1 test, 0 failures|Result: 1 passed)$", [multiline]),
	do_stop_server(Server).

erlang_example_of_the_readme(Config) ->
	doc("The README's Erlang example talks to a server."),
	{ok, Readme} = file:read_file(filename:join(config(root, Config), "README.md")),
	{match, [Example]} = re:run(Readme, "```erlang\\n(.*?)```", [dotall, {capture, all_but_first, list}]),
	{Server, Port} = do_start_server(Config),
	{match, _} = re:run(Example, "8080"),
	Source = re:replace(Example, "8080", integer_to_list(Port), [{return, list}]),
	{ok, Tokens, _} = erl_scan:string(Source),
	{ok, Exprs} = erl_parse:parse_exprs(Tokens),
	{value, ok, _} = erl_eval:exprs(Exprs, #{}),
	do_stop_server(Server).

%% The demo.

demo_with_its_own_server(Config) ->
	doc("The demo starts a server and prints the messages of a conversation with it."),
	{0, Output} = do_demo(["--server", config(server, Config)], Config),
	[{match, _} = re:run(Output, Message) || Message <- [
		"{gun_up,<[0-9.]+>,http}",
		"{gun_upgrade,<[0-9.]+>,#Ref<[0-9.]+>,\\[<<\"websocket\">>\\],",
		"{gun_ws,<[0-9.]+>,#Ref<[0-9.]+>,{text,<<\"Hello!\">>}}",
		"{gun_ws,<[0-9.]+>,#Ref<[0-9.]+>,{binary,<<0,1,2,254,255>>}}",
		"{text,<<\"one\">>}}\n.*{text,<<\"two\">>}}\n.*{binary,<<\"three\">>}}",
		"{gun_ws,<[0-9.]+>,#Ref<[0-9.]+>,{pong,<<\"still there\\?\">>}}",
		"{gun_down,<[0-9.]+>,ws,normal,"
	]],
	nomatch = re:run(Output, "no echo came").

demo_with_any_url(Config) ->
	doc("The demo talks to the server of a URL, also when that server echoes nothing."),
	{Server, Port} = do_start_server(Config),
	{0, Output} = do_demo([do_url(Port, "/sink")], Config),
	{match, _} = re:run(Output, "{pong,<<\"still there\\?\">>}}"),
	do_stop_server(Server).

demo_without_a_listener(Config) ->
	doc("A server that isn't there gives one clear sentence and a non-zero exit."),
	{Socket, Port} = refused_port(),
	Url = do_url(Port, "/"),
	Sentence = "demo: nobody listens at " ++ Url ++ ": econnrefused.",
	Sentence = do_fails("escript", ["demo/demo.escript", Url], do_erl_libs(), Config),
	release_port(Socket).

demo_refused(Config) ->
	doc("A server that refuses the upgrade gives one clear sentence with the status, and a non-zero exit."),
	{Server, Port} = do_start_server(Config),
	Url = do_url(Port, "/refuse?status=403"),
	Sentence = "demo: " ++ Url ++ " does not speak WebSocket, it answered with status 403.",
	Sentence = do_fails("escript", ["demo/demo.escript", Url], do_erl_libs(), Config),
	do_stop_server(Server).

demo_with_a_bad_url(Config) ->
	doc("What is no WebSocket URL gives one clear sentence and a non-zero exit."),
	[begin
		Sentence = "demo: " ++ Url ++ " is no URL of the form ws://host:port/path.",
		Sentence = do_fails("escript", ["demo/demo.escript", Url], do_erl_libs(), Config)
	end || Url <- ["localhost:8080", "http://localhost/", "ws://"]].

%% Helpers.

do_parent(0, Dir) ->
	Dir;
do_parent(Levels, Dir) ->
	do_parent(Levels - 1, filename:dirname(Dir)).

do_demo(Args, Config) ->
	do_run("escript", ["demo/demo.escript"|Args], config(root, Config), do_erl_libs()).

do_erl_libs() ->
	[{"ERL_LIBS", filename:dirname(code:lib_dir(gun_rs))}].

do_url(Port, Path) ->
	lists:flatten(io_lib:format("ws://127.0.0.1:~b~s", [Port, Path])).

do_start_server(Config) ->
	Server = open_port({spawn_executable, config(server, Config)}, [{args, ["--until-eof"]}, {line, 200}]),
	receive
		{Server, {data, {eol, "listening on 127.0.0.1:" ++ Port}}} -> {Server, list_to_integer(Port)}
	after 10000 ->
		error(no_server)
	end.

do_stop_server(Server) ->
	port_close(Server).

do_identity(File) ->
	{ok, Info} = file:read_file_info(File, [{time, posix}]),
	{Info#file_info.inode, Info#file_info.mtime}.

%% A copy of one of the applications beside this suite, whose build must not litter the project.
do_copy(Name, Config) ->
	From = filename:join([config(root, Config), "test/dependents", Name]),
	To = filename:join(config(priv_dir, Config), Name),
	{0, _} = do_run("cp", ["-R", From, To], "/", []),
	To.

%% A PATH that has the given programs and, of all others, only those that the scripts take for granted.
do_tools(Programs, Config) ->
	Dir = filename:join(config(priv_dir, Config), "tools-" ++ integer_to_list(erlang:unique_integer([positive]))),
	ok = file:make_dir(Dir),
	[ok = file:make_symlink(os:find_executable(Tool), filename:join(Dir, Tool))
		|| Tool <- ["sh", "dirname", "sed", "sort", "head", "cut", "tr", "uname", "mktemp", "rm", "cmp"],
		not lists:keymember(Tool, 1, Programs)],
	[begin
		File = filename:join(Dir, Program),
		ok = file:write_file(File, ["#!/bin/sh\n", Script, "\n"]),
		ok = file:change_mode(File, 8#755)
	end || {Program, Script} <- Programs],
	Dir.

do_build_fails(Path, Config) ->
	do_fails("sh", ["scripts/build-native.sh"], [{"PATH", Path}], Config).

%% The one line that a failing program wrote to standard error.
do_fails(Program, Args, Env, Config) ->
	Dir = config(root, Config),
	File = filename:join(config(priv_dir, Config), "stderr"),
	Command = "exec \"$@\" 2>'" ++ File ++ "'",
	{Status, _} = do_run("sh", ["-c", Command, "sh", do_executable(Program, Dir)|Args], Dir, Env),
	true = Status =/= 0,
	{ok, Stderr} = file:read_file(File),
	ct:log("~ts", [Stderr]),
	[Line] = string:lexemes(binary_to_list(Stderr), "\n"),
	Line.

%% The exit status and the output of a program, which sees neither the variables of the rebar3 that runs this suite nor
%% the libraries of the tests.
do_run(Program, Args, Dir, Env) ->
	Clean = [{Name, false} || Name <- ["ERL_LIBS", "REBAR_CONFIG", "REBAR_PROFILE", "REBAR_BARE_COMPILER_OUTPUT_DIR"]],
	Port = open_port({spawn_executable, do_executable(Program, Dir)}, [
		{args, Args}, {cd, Dir}, {env, Clean ++ Env}, exit_status, stderr_to_stdout, binary, hide
	]),
	{Status, Output} = do_output(Port, []),
	ct:log("~ts ~0p~n~ts~nexit status ~b", [Program, Args, Output, Status]),
	{Status, Output}.

do_executable(Program, Dir) ->
	case lists:member($/, Program) of
		true -> filename:join(Dir, Program);
		false -> os:find_executable(Program)
	end.

do_output(Port, Acc) ->
	receive
		{Port, {data, Data}} -> do_output(Port, [Acc, Data]);
		{Port, {exit_status, Status}} -> {Status, iolist_to_binary(Acc)}
	after ?WAIT_FOR_COMMAND ->
		error({still_running, iolist_to_binary(Acc)})
	end.
