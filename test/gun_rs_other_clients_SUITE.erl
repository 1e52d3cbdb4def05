%% Clients of other languages, and the handler of Cowboy's guide.
-module(gun_rs_other_clients_SUITE).

-include("gun_rs_suite.hrl").

-define(TIMEOUT, 120000).

node_client(_) ->
	doc("The WebSocket client of node, or else its package ws."),
	do_other_client([{"node", ["--experimental-websocket"], ["-p", "if (!globalThis.WebSocket) throw 0"]},
		{"node", [], ["-p", "require('ws')"]}], "client.js").

python_client(_) ->
	doc("Python's package websockets."),
	do_other_client([{Python, [], ["-c", "import websockets"]} || Python <- ["python3", "/usr/bin/python3"]], "client.py").

%% By the first of these interpreters that has a client; with compression, and without.
do_other_client(Interpreters, Script) ->
	case [{Program, Flags} || {Name, Flags, Probe} <- Interpreters, Program <- [os:find_executable(Name)],
			Program =/= false, {0, _} <- [do_run(Program, Flags ++ Probe)]] of
		[{Program, Flags}|_] ->
			File = filename:join([gun_rs_test:root(), "test/clients", Script]),
			[do_talk(Program, Flags ++ [File], Compress) || Compress <- [false, true]];
		[] ->
			{skip, "Its WebSocket client is not installed."}
	end.

do_talk(Program, Args, Compress) ->
	Ref = make_ref(),
	Dispatch = gun_rs_router:compile([{'_', [{"/", my_ws_handler, []}]}]),
	{ok, _} = gun_rs_server:start_http(Ref, 100, [{port, 0}], [{env, [{dispatch, Dispatch}]}, {compress, Compress}]),
	Url = "ws://localhost:" ++ integer_to_list(gun_rs_server:get_port(Ref)) ++ "/",
	{0, Extensions} = do_run(Program, Args ++ [Url]),
	Compress = string:find(Extensions, "permessage-deflate") =/= nomatch,
	ok = gun_rs_server:stop_listener(Ref).

do_run(Program, Args) ->
	%% No proxy is asked for this machine.
	Env = [{"no_proxy", "*"}],
	do_output(open_port({spawn_executable, Program}, [{args, Args}, {env, Env}, exit_status, stderr_to_stdout, binary]), []).

do_output(Port, Output) ->
	receive
		{Port, {data, Data}} -> do_output(Port, [Output, Data]);
		{Port, {exit_status, Status}} -> {Status, unicode:characters_to_list(iolist_to_binary(Output))}
	after ?TIMEOUT ->
		error({silent, Output})
	end.
