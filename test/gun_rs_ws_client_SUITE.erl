%% Modules of clients' WebSockets, against our own server.
-module(gun_rs_ws_client_SUITE).

-define(NEEDS, [gun_rs, crypto]).
-include("gun_rs_suite.hrl").

-define(TIMEOUT, 60000).

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

do_start(Opts, Port, Config) ->
	Dispatch = gun_rs_router:compile([{'_', [{"/ws", served_2_h, Opts#{test => self()}}]}]),
	{ok, _} = gun_rs_server:start_clear(config('case', Config), [{port, Port}], #{env => #{dispatch => Dispatch}}),
	gun_rs_server:get_port(config('case', Config)).

do_url(Port) ->
	"ws://localhost:" ++ integer_to_list(Port) ++ "/ws?a=b".

do_client(Port) ->
	{ok, Client} = gun_rs_ws_client:start_link(do_url(Port), ws_client_h, self(), #{backoff => 200}),
	receive {Client, init} -> ok after ?TIMEOUT -> error(not_open) end,
	receive {Client, {text, <<"hello">>}} -> ok after ?TIMEOUT -> error(no_echo) end,
	Client.

do_next(Client) ->
	receive {Client, Event} -> Event after ?TIMEOUT -> error(nothing) end.

talk(Config) ->
	doc("Frames both ways, from callbacks, messages and other processes; the end by stop."),
	Client = do_client(do_start(#{}, 0, Config)),
	Client ! {send, {binary, <<1>>}},
	{binary, <<1>>} = do_next(Client),
	ok = gun_rs_ws_client:send(Client, [{text, <<"a">>}, {text, <<"b">>}]),
	{text, <<"a">>} = do_next(Client),
	{text, <<"b">>} = do_next(Client),
	Client ! hello,
	{info, hello} = do_next(Client),
	ok = gun_rs_ws_client:stop(Client),
	{terminate, normal} = do_next(Client),
	receive {terminate, _, Reason, _, _} -> {remote, 1000, <<>>} = Reason after ?TIMEOUT -> error(still_open) end.

reconnects(Config) ->
	doc("A server that goes away and comes back: the module is told, and goes on."),
	Port = do_start(#{}, 0, Config),
	Client = do_client(Port),
	ok = gun_rs_server:stop_listener(config('case', Config)),
	{close, 1001, <<>>} = do_next(Client),
	{down, _} = do_next(Client),
	{error, not_open} = gun_rs_ws_client:send(Client, ping),
	Port = do_start(#{}, Port, Config),
	init = do_next(Client),
	{text, <<"hello">>} = do_next(Client),
	ok = gun_rs_ws_client:stop(Client).

crash(Config) ->
	doc("A module that crashes ends the process, and the WebSocket with 1011."),
	process_flag(trap_exit, true),
	Client = do_client(do_start(#{}, 0, Config)),
	Client ! crash,
	{terminate, {crash, [_|_]}} = do_next(Client),
	receive {'EXIT', Client, {crash, _}} -> ok after ?TIMEOUT -> error(still_there) end,
	receive {terminate, _, Reason, _, _} -> {remote, 1011, <<>>} = Reason after ?TIMEOUT -> error(still_open) end.

refused(Config) ->
	doc("A server that refuses for good ends the process."),
	process_flag(trap_exit, true),
	Port = do_start(#{init => fun(Req, Opts) -> {ok, gun_rs_req:reply(403, Req), Opts} end}, 0, Config),
	{ok, Client} = gun_rs_ws_client:start_link(do_url(Port), ws_client_h, self()),
	receive {'EXIT', Client, {upgrade_refused, 403}} -> ok after ?TIMEOUT -> error(still_there) end.

options_of_open(_) ->
	doc("Options that open refuses end the process with its reason, of SOCKS too."),
	process_flag(trap_exit, true),
	_ = [begin
		{ok, Client} = gun_rs_ws_client:start_link("ws://localhost/", ws_client_h, self(), #{open => Open}),
		receive {'EXIT', Client, Reason} -> ok after ?TIMEOUT -> error(still_there) end
	end || {Open, Reason} <- [
		{#{trace => true}, {options, {trace, true}}},
		{#{protocols => [socks]}, {error, options, {socks, host}}}]].

supervised(Config) ->
	doc("A named child of a supervisor, also by via."),
	Port = do_start(#{}, 0, Config),
	Name = {via, global, {?MODULE, client}},
	Spec = gun_rs_ws_client:child_spec({Name, do_url(Port), ws_client_h, self(), #{}}),
	{ok, Client} = gun_rs_ws_client:start_link(Name, do_url(Port), ws_client_h, self(), #{}),
	init = do_next(Client),
	Client = global:whereis_name({?MODULE, client}),
	ok = gun_rs_ws_client:send({global, {?MODULE, client}}, {text, <<"named">>}),
	ok = supervisor:check_childspecs([Spec]),
	ok = gun_rs_ws_client:stop(Client).

bad_options(_) ->
	doc("What is no option, no URL, or no module."),
	process_flag(trap_exit, true),
	{error, {options, {unknown, 1}}} = gun_rs_ws_client:start_link("ws://localhost", ws_client_h, self(), #{unknown => 1}),
	{error, {no_such_module, nofile}} = gun_rs_ws_client:start_link("ws://localhost", no_such_module, self(), #{}),
	{ok, Client} = gun_rs_ws_client:start_link("nothing", ws_client_h, self()),
	receive {'EXIT', Client, {options, _}} -> ok; {'EXIT', Client, Other} -> ct:comment("~p", [Other]) after ?TIMEOUT -> error(still_there) end.
