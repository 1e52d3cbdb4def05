%% The programs of examples/, in Erlang and in Elixir, on a node of their own. Their servers and clients are here.
-module(gun_rs_examples_SUITE).

-define(NEEDS, [gun_rs, cowboy, ssl, certs]).
-include("gun_rs_suite.hrl").

groups() ->
	[{Language, [], [market_data, chat_server, http_client]} || Language <- [erlang, elixir]] ++ [{files, [], [short]}].

init_per_group(files, Config) ->
	Config;
init_per_group(Language, Config) ->
	case do_elixir(Language) of
		{skip, _} = Skip ->
			Skip;
		Paths ->
			Peer = gun_rs_test:start_peer([]),
			%% The process of this function ends before the cases.
			true = unlink(Peer),
			ok = peer:call(Peer, code, add_pathsz, [Paths], ?WAIT),
			_ = [{ok, _} = peer:call(Peer, application, ensure_all_started, [App], ?WAIT)
				|| App <- [gun_rs|[App || App <- [elixir, logger], Paths =/= []]]],
			[{language, Language}, {peer, Peer}|Config]
	end.

end_per_group(files, _) ->
	ok;
end_per_group(_, Config) ->
	peer:stop(config(peer, Config)).

%% Where Elixir's libraries are; none for Erlang.
do_elixir(erlang) ->
	[];
do_elixir(elixir) ->
	case os:find_executable("elixir") of
		false ->
			{skip, "there is no elixir"};
		Elixir ->
			Print = "IO.puts(:filename.dirname(:code.lib_dir(:elixir)))",
			Lib = string:trim(os:cmd("ERL_LIBS= '" ++ Elixir ++ "' -e '" ++ Print ++ "'")),
			[filename:join([Lib, App, "ebin"]) || App <- ["elixir", "logger"]]
	end.

%% The module, loaded in the peer.
do_load(Name, Config) ->
	File = filename:join([gun_rs_test:root(), "examples", Name]),
	case config(language, Config) of
		erlang ->
			Module = list_to_atom(Name),
			{ok, Module, Beam} = compile:file(File ++ ".erl", [binary, report, warnings_as_errors]),
			{module, Module} = peer:call(config(peer, Config), code, load_binary, [Module, File, Beam], ?WAIT),
			Module;
		elixir ->
			[{Module, _}] = peer:call(config(peer, Config), 'Elixir.Code', compile_file, [list_to_binary(File ++ ".ex")], ?WAIT),
			Module
	end.

do_call(Module, Function, Args, Config) ->
	peer:call(config(peer, Config), Module, Function, Args, ?WAIT).

%% As by a supervisor, which stays.
do_start(Module, Function, Args, Config) ->
	do_call(?MODULE, do_hold, [Module, Function, Args], Config).

do_hold(Module, Function, Args) ->
	Caller = self(),
	Ref = make_ref(),
	_ = spawn(fun() ->
		Caller ! {Ref, apply(Module, Function, Args)},
		receive never -> ok end
	end),
	receive {Ref, Result} -> Result end.

short(_) ->
	doc("No example is longer than 60 lines, and each is there in both languages."),
	Dir = filename:join(gun_rs_test:root(), "examples"),
	Names = [filename:basename(File, ".erl") || File <- filelib:wildcard("*.erl", Dir)],
	Names = [filename:basename(File, ".ex") || File <- filelib:wildcard("*.ex", Dir)],
	[_, _, _] = Names,
	[] = [File || File <- filelib:wildcard("*.{erl,ex}", Dir),
		length(binary:matches(doc_pages:read(filename:join(Dir, File)), <<"\n">>)) > 60].

%% Market data.

market_data(Config) ->
	doc("Prices come over wss; when the connection is cut, none is known until it is back and subscribed again."),
	#{good := #{certfile := CertFile, keyfile := KeyFile}, root := #{der := Root}} = config(certs, Config),
	Ref = make_ref(),
	{ok, _} = cowboy:start_tls(Ref, #{
		shutdown => brutal_kill,
		socket_opts => [{port, 0}, {log_level, none}, {certfile, CertFile}, {keyfile, KeyFile}]
	}, #{env => #{dispatch => cowboy_router:compile([{'_', [{"/prices", ?MODULE, self()}]}])}}),
	Module = do_load("market_data", Config),
	Url = "wss://localhost:" ++ integer_to_list(ranch:get_port(Ref)) ++ "/prices",
	{ok, _} = do_start(Module, start_link, [Url, [<<"BTC">>], [{cacerts, [Root]}]], Config),
	First = do_subscribed(),
	{error, unknown} = do_call(Module, price, [<<"BTC">>], Config),
	First ! {send, {text, <<"BTC 67000.5">>}},
	true = eventually(fun() -> do_call(Module, price, [<<"BTC">>], Config) =:= {ok, 67000.5} end),
	exit(First, kill),
	Second = do_subscribed(),
	{error, unknown} = do_call(Module, price, [<<"BTC">>], Config),
	Second ! {send, {text, <<"BTC 67001.5">>}},
	true = eventually(fun() -> do_call(Module, price, [<<"BTC">>], Config) =:= {ok, 67001.5} end),
	ok = do_call(gun_rs_ws_client, stop, [Module], Config),
	ok = cowboy:stop_listener(Ref).

do_subscribed() ->
	Pid = ?EXPECT({open, P}, P),
	ok = ?EXPECT({received, Pid, {text, <<"subscribe BTC">>}}),
	Pid.

%% The chat server.

chat_server(Config) ->
	doc("What one says all in the room receive; a client without a name has 400; the end is told by 1001."),
	Module = do_load("chat_server", Config),
	{ok, _} = do_call(Module, start, [0], Config),
	Port = do_call(Module, port, [], Config),
	{400, _, _} = do_get(Port, "/room/lobby"),
	Ada = do_join(Port, "/room/lobby?name=ada"),
	do_hears(Ada, <<"ada is here.">>),
	Bob = {BobConn, _} = do_join(Port, "/room/lobby?name=bob"),
	Eve = do_join(Port, "/room/cellar?name=eve"),
	do_hears(Eve, <<"eve is here.">>),
	_ = [do_hears(Who, <<"bob is here.">>) || Who <- [Ada, Bob]],
	do_say(Ada, <<"Hello!">>),
	_ = [do_hears(Who, <<"ada: Hello!">>) || Who <- [Ada, Bob]],
	ok = gun_rs:close(BobConn),
	do_hears(Ada, <<"bob has left.">>),
	ok = do_call(Module, stop, [], Config),
	%% What she hears of others is over, and nothing has come to Eve.
	_ = [?EXPECT({gun_ws, Conn, Stream, {close, 1001, _}}) || {Conn, Stream} <- [Eve, Ada]],
	?REFUTE({gun_ws, _, _, {text, <<"ada", _/binary>>}}).

do_join(Port, Path) ->
	gun_rs_test:open_ws(Port, Path).

do_say({ConnPid, StreamRef}, Text) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}).

do_hears({ConnPid, StreamRef}, Text) ->
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}}).

do_get(Port, Path) ->
	ConnPid = open(Port),
	Answer = answer(ConnPid, gun_rs:get(ConnPid, Path)),
	ok = gun_rs:close(ConnPid),
	Answer.

%% The HTTP client.

http_client(Config) ->
	doc("Pages come side by side, in the order of their paths; each that fails has a sentence."),
	{Listener, Port} = gun_rs_test:start_cowboy(http_echo_h:routes(), [{port, 0}]),
	Module = do_load("http_client", Config),
	Host = case config(language, Config) of erlang -> "localhost"; elixir -> <<"localhost">> end,
	{ok, _} = do_start(Module, start, [Host, Port, #{}], Config),
	Authority = unicode:characters_to_binary(["localhost:", integer_to_list(Port)]),
	Pieces = [lists:concat(["/pieces?count=", N, "&size=1000"]) || N <- lists:seq(1, 30)],
	Paths = ["/nothing", "/inform?count=2", "/trailers", "/die"|Pieces],
	[{_, {ok, 404, <<>>}}, {_, {ok, 200, <<"Informed.">>}}, {_, {ok, 200, _}}, {_, {error, Died}}|Fetched] = Results =
		do_call(Module, fetch, [Authority, Paths], Config),
	Paths = [Path || {Path, _} <- Results],
	Sizes = [1000 * N || N <- lists:seq(1, 30)],
	Sizes = [byte_size(Body) || {_, {ok, 200, Body}} <- Fetched],
	true = is_list(Died),
	[{"/", {error, Text}}] = do_call(Module, fetch, ["localhost:1", ["/"]], Config),
	{match, _} = re:run(Text, "There is no pool"),
	ok = do_call(Module, stop, [Host, Port], Config),
	gun_rs_test:stop_cowboy(Listener).

%% The handler of Cowboy's, for the prices.

init(Req, Test) ->
	{cowboy_websocket, Req, Test}.

websocket_init(Test) ->
	Test ! {open, self()},
	{[], Test}.

websocket_handle(Frame, Test) ->
	Test ! {received, self(), Frame},
	{[], Test}.

websocket_info({send, Frame}, Test) ->
	{[Frame], Test}.
