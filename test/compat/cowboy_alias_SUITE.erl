%% Handlers and listeners by the names of Cowboy and ranch, of both dialects.
-module(cowboy_alias_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

all() ->
	[guide_example, cowboy_2, static_files, ranch_functions].

init_per_suite(Config) ->
	{ok, _} = application:ensure_all_started(cowboy),
	Config.

end_per_suite(_) ->
	ok.

end_per_testcase(Case, _) ->
	_ = cowboy:stop_listener(Case),
	ok.

do_open(Port, Path) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path),
	{upgrade, [<<"websocket">>], Headers} = gun_rs:await(ConnPid, StreamRef),
	{ConnPid, StreamRef, Headers}.

guide_example(_) ->
	ct:comment("The handler of Cowboy's guide, unchanged."),
	Dispatch = cowboy_router:compile([{'_', [{"/", cowboy_guide_h, []}]}]),
	{ok, _} = cowboy:start_http(?FUNCTION_NAME, 100, [{port, 0}], [{env, [{dispatch, Dispatch}]}]),
	{ConnPid, StreamRef, _} = do_open(ranch:get_port(?FUNCTION_NAME), "/"),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "me"}),
	{ws, {text, <<"That's what she said! me">>}} = gun_rs:await(ConnPid, StreamRef),
	{ws, {text, <<"Hello!">>}} = gun_rs:await(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

cowboy_2(_) ->
	ct:comment("A handler of Cowboy 2."),
	Dispatch = cowboy_router:compile([{'_', [{"/room/:name", cowboy_ws_h, []}]}]),
	{ok, _} = cowboy:start_clear(?FUNCTION_NAME, [{port, 0}], #{env => #{dispatch => Dispatch}}),
	{ConnPid, StreamRef, Headers} = do_open(ranch:get_port(?FUNCTION_NAME), "/room/joe?a=b"),
	{_, <<"a=b">>} = lists:keyfind(<<"x-qs">>, 1, Headers),
	{ws, {text, <<"Hello, joe">>}} = gun_rs:await(ConnPid, StreamRef),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, <<1, 2>>}),
	{ws, {binary, <<1, 2>>}} = gun_rs:await(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

static_files(_) ->
	ct:comment("Files by their old name."),
	Dir = filename:dirname(code:which(?MODULE)),
	Dispatch = cowboy_router:compile([{'_', [{"/files/[...]", cowboy_static, {dir, Dir, [{mimetypes, cow_mimetypes, all}]}}]}]),
	{ok, _} = cowboy:start_clear(?FUNCTION_NAME, [{port, 0}], #{env => #{dispatch => Dispatch}}),
	{ok, ConnPid} = gun_rs:open("localhost", ranch:get_port(?FUNCTION_NAME)),
	{ok, http} = gun_rs:await_up(ConnPid),
	Name = filename:basename(code:which(?MODULE)),
	{ok, Beam} = file:read_file(code:which(?MODULE)),
	One = gun_rs:get(ConnPid, ["/files/", Name]),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, One),
	{ok, Beam} = gun_rs:await_body(ConnPid, One),
	Other = gun_rs:get(ConnPid, "/files/missing"),
	{response, _, 404, _} = gun_rs:await(ConnPid, Other),
	ok = gun_rs:close(ConnPid).

ranch_functions(_) ->
	ct:comment("What others call of ranch."),
	Ref = ?FUNCTION_NAME,
	{ok, Pid} = cowboy:start_clear(Ref, #{socket_opts => [{port, 0}], num_acceptors => 5}, #{env => #{dispatch => []}}),
	Port = ranch:get_port(Ref),
	{_, Port} = ranch:get_addr(Ref),
	running = ranch:get_status(Ref),
	#{pid := Pid, port := Port, all_connections := 0} = ranch:info(Ref),
	#{Ref := #{port := Port}} = ranch:info(),
	[] = ranch:procs(Ref, connections),
	1024 = ranch:get_max_connections(Ref),
	ok = ranch:set_max_connections(Ref, 10),
	ok = ranch:suspend_listener(Ref),
	undefined = ranch:get_port(Ref),
	ok = ranch:resume_listener(Ref),
	Port = ranch:get_port(Ref),
	ok = ranch:wait_for_connections(Ref, '==', 0),
	#{env := #{dispatch := []}} = ranch:get_protocol_options(Ref),
	[{not_supported, _, _} = try apply(Module, Function, Args) catch error:Reason -> Reason end
		|| {Module, Function, Args} <- [{ranch, start_listener, [x, y, z, a, b]}, {cowboy, start_spdy, [x, y, z, a]},
			{cowboy, start_quic, [x, y, z]}]],
	ok = cowboy:stop_listener(Ref),
	{ok, _} = cowboy:start_clear(Ref, 10, [{port, 0}], #{env => #{dispatch => []}}),
	{error, no_cert} = cowboy:start_tls({Ref, tls}, 10, [{port, 0}], #{}).
