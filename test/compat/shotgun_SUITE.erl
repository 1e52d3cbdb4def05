%% What shotgun does with gun: its calls, its options, and the messages that it matches.
-module(shotgun_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

groups() ->
	[{Group, dependents:cases(?MODULE)} || Group <- [http, https]].

init_per_group(http, Config) ->
	[{port, config(http, Config)}, {opts, #{transport => tcp, tcp_opts => []}}|Config];
%% The transport has its old name.
init_per_group(https, Config) ->
	[{port, config(https, Config)}, {opts, #{transport => ssl, protocols => [http],
		tls_opts => [{cacertfile, config(cacertfile, Config)}]}}|Config].

end_per_group(_, _) -> ok.

do_open(Config) ->
	Opts = maps:merge(#{retry => 1, retry_timeout => 1}, config(opts, Config)),
	{ok, ConnPid} = gun:open("localhost", config(port, Config), Opts),
	MRef = monitor(process, ConnPid),
	{ok, http} = gun:await_up(ConnPid, 5000),
	{ConnPid, MRef}.

do_close({ConnPid, MRef}) ->
	ok = gun:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	gun:flush(ConnPid).

%% The library waits in its states for the response, and then for the data.
do_answer(ConnPid, StreamRef) ->
	receive
		{gun_response, ConnPid, StreamRef, fin, Status, Headers} -> {Status, Headers, <<>>};
		{gun_response, ConnPid, StreamRef, nofin, Status, Headers} -> {Status, Headers, do_data(ConnPid, StreamRef, <<>>)};
		{gun_error, ConnPid, StreamRef, Reason} -> {error, Reason}
	after ?WAIT ->
		error({no_message, process_info(self(), messages)})
	end.

do_data(ConnPid, StreamRef, Acc) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_data(ConnPid, StreamRef, <<Acc/binary, Data/binary>>);
		{gun_data, ConnPid, StreamRef, fin, Data} -> <<Acc/binary, Data/binary>>
	after ?WAIT ->
		error({no_message, process_info(self(), messages)})
	end.

methods(Config) ->
	ct:comment("Each method is a binary in capitals, headers are the pairs of a map, and bodies are iodata."),
	Conn={ConnPid, _} = do_open(Config),
	_ = [begin
		Headers = maps:to_list(#{<<"content-type">> => <<"text/plain">>, <<"X-Name">> => "value"}),
		{200, _, Answer} = do_answer(ConnPid, gun:request(ConnPid, Method, "/request?a=b", Headers, Body)),
		Expected = iolist_to_binary(Body),
		#{method := Method, qs := <<"a=b">>, body := Expected, headers := #{<<"x-name">> := <<"value">>}} = binary_to_term(Answer)
	end || {Method, Body} <- [{<<"GET">>, <<>>}, {<<"POST">>, "a body"}, {<<"PUT">>, <<"a body">>}, {<<"PATCH">>, ["a ", <<"body">>]},
		{<<"DELETE">>, <<>>}, {<<"OPTIONS">>, []}]],
	{200, _, <<>>} = do_answer(ConnPid, gun:request(ConnPid, <<"HEAD">>, "/request", [], <<>>)),
	do_close(Conn).

basic_auth(Config) ->
	ct:comment("The library makes the header of basic authentication, whose name begins in capitals."),
	Conn={ConnPid, _} = do_open(Config),
	Auth = fun(Pair) -> [{<<"Authorization">>, <<"Basic ", (base64:encode(Pair))/binary>>}] end,
	{200, _, <<>>} = do_answer(ConnPid, gun:request(ConnPid, <<"GET">>, "/basic-auth", Auth("joe:open"), <<>>)),
	{401, _, <<>>} = do_answer(ConnPid, gun:request(ConnPid, <<"GET">>, "/basic-auth", Auth("joe:closed"), <<>>)),
	do_close(Conn).

chunks(Config) ->
	ct:comment("A response in chunks is told by its header, and comes piece by piece."),
	Conn={ConnPid, _} = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/pieces?count=20&size=1000", [], <<>>),
	Headers = ?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, H}, H),
	{_, <<"chunked">>} = lists:keyfind(<<"transfer-encoding">>, 1, Headers),
	Expected = iolist_to_binary([http_echo_h:piece(N, 1000) || N <- lists:seq(1, 20)]),
	Expected = do_data(ConnPid, StreamRef, <<>>),
	do_close(Conn).

events(Config) ->
	ct:comment("Server-sent events are data to the library, which cuts them itself."),
	Conn={ConnPid, _} = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/events?count=5", [], <<>>),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	Events = binary:split(do_data(ConnPid, StreamRef, <<>>), <<"\n\n">>, [global, trim]),
	5 = length(Events),
	do_close(Conn).

body_in_chunks(Config) ->
	ct:comment("A body that the library sends piece by piece, by request/4 of gun 1 and data/4."),
	Conn={ConnPid, _} = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"POST">>, "/echo", [{<<"content-type">>, <<"text/plain">>}]),
	_ = [ok = gun:data(ConnPid, StreamRef, nofin, [integer_to_binary(N), $,]) || N <- lists:seq(1, 100)],
	ok = gun:data(ConnPid, StreamRef, fin, <<>>),
	Expected = iolist_to_binary([[integer_to_binary(N), $,] || N <- lists:seq(1, 100)]),
	{200, _, Expected} = do_answer(ConnPid, StreamRef),
	do_close(Conn).

comes_back(Config) ->
	ct:comment("The server ends the connection: gun_down and gun_up, and the same process takes the next request."),
	Conn={ConnPid, _} = do_open(Config),
	{200, _, <<"Bye.">>} = do_answer(ConnPid, gun:request(ConnPid, <<"GET">>, "/close", [], <<>>)),
	?EXPECT({gun_down, ConnPid, http, _, []}),
	?EXPECT({gun_up, ConnPid, http}),
	{200, _, _} = do_answer(ConnPid, gun:request(ConnPid, <<"GET">>, "/request", [], <<>>)),
	do_close(Conn).

dies_under_a_request(Config) ->
	ct:comment("The connection dies under a request, of which gun_error reports."),
	Conn={ConnPid, _} = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/die", [], <<>>),
	{error, _} = do_answer(ConnPid, StreamRef),
	?EXPECT({gun_down, ConnPid, http, _, _}),
	?EXPECT({gun_up, ConnPid, http}),
	do_close(Conn).

refused(Config) ->
	ct:comment("Nobody listens: after the one retry, await_up has the reason."),
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = gun:open("localhost", Port, maps:merge(#{retry => 1, retry_timeout => 1}, config(opts, Config))),
	{error, {down, {shutdown, _}}} = gun:await_up(ConnPid, ?WAIT),
	gun_rs_test:release_port(Socket).
