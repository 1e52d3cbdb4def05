%% What pe4kin does with gun: requests by a pool of connections that speak HTTP/2, and long polls by one of its own.
-module(pe4kin_SUITE).
-include("dependents.hrl").

-define(SCOPE, pe4kin).

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

init_per_testcase(_, Config) ->
	Port = config(https, Config),
	Authority = iolist_to_binary(gun_http:host_header(tls, "localhost", Port)),
	{ok, Pool} = gun_pool:start_pool("localhost", Port, #{
		conn_opts => do_opts(Config, #{protocols => [http2]}),
		scope => ?SCOPE,
		size => 3
	}),
	ok = gun_pool:await_up(Authority, ?SCOPE),
	[{pool, Pool}, {authority, Authority}|Config].

end_per_testcase(_, Config) ->
	ok = gun_pool:stop_pool("localhost", config(https, Config), #{scope => ?SCOPE}).

do_opts(Config, Opts) ->
	Opts#{transport => tls, tls_opts => [{verify, verify_peer}, {cacertfile, config(cacertfile, Config)}]}.

do_req_opts() ->
	#{scope => ?SCOPE, checkout_retry => [100, 200, 500, 500], reply_to => self()}.

do_await(StreamRef) ->
	case gun_pool:await(StreamRef, ?WAIT) of
		{response, fin, Status, Headers} ->
			{Status, Headers, <<>>};
		{response, nofin, Status, Headers} ->
			{ok, Body} = gun_pool:await_body(StreamRef),
			{Status, Headers, Body};
		{error, _} = Error ->
			Error
	end.

gets(Config) ->
	ct:comment("A get by the pool is found by the host header, and its answer by the reference with the connection in it."),
	Headers = #{<<"host">> => config(authority, Config)},
	{async, Ref} = gun_pool:get(<<"/request?a=b">>, Headers, do_req_opts()),
	{200, _, Body} = do_await(Ref),
	#{method := <<"GET">>, qs := <<"a=b">>, version := 'HTTP/2'} = binary_to_term(Body).

posts(Config) ->
	ct:comment("A post with its body, as a form or as JSON."),
	_ = [begin
		Headers = #{<<"host">> => config(authority, Config), <<"content-type">> => Type},
		{async, Ref} = gun_pool:post(<<"/echo">>, Headers, Body, do_req_opts()),
		Expected = iolist_to_binary(Body),
		{200, _, Expected} = do_await(Ref)
	end || {Type, Body} <- [{<<"application/x-www-form-urlencoded">>, <<"chat_id=1&text=Hello">>},
		{<<"application/json">>, ["{\"chat_id\":", "1}"]}]],
	ok.

multipart(Config) ->
	ct:comment("A file goes part by part, by post/3 and data/3."),
	Headers = #{<<"host">> => config(authority, Config), <<"content-type">> => <<"multipart/form-data;boundary=abc">>},
	{async, Ref} = gun_pool:post(<<"/echo">>, Headers, do_req_opts()),
	Parts = [[<<"\r\n--abc\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n">>, binary:copy(<<"x">>, 100000)], <<"\r\n--abc--">>],
	ok = gun_pool:data(Ref, nofin, hd(Parts)),
	ok = gun_pool:data(Ref, fin, lists:last(Parts)),
	Expected = iolist_to_binary(Parts),
	{200, _, Expected} = do_await(Ref).

callers(Config) ->
	ct:comment("A hundred callers at once share three connections."),
	Self = self(),
	Pids = [spawn_link(fun() ->
		Body = integer_to_binary(N),
		{async, Ref} = gun_pool:post(<<"/echo">>, #{<<"host">> => config(authority, Config)}, Body, do_req_opts()),
		{200, _, Body} = do_await(Ref),
		Self ! {self(), done}
	end) || N <- lists:seq(1, 100)],
	_ = [?EXPECT({Pid, done}) || Pid <- Pids],
	ok.

no_pool(_) ->
	ct:comment("Without a pool for the host the library is told so."),
	{error, pool_not_found, _} = gun_pool:get(<<"/">>, #{<<"host">> => <<"example.org">>}, do_req_opts()).

polls(Config) ->
	ct:comment("A long poll by a connection of its own: the messages come to the process, which reads on or gives up."),
	{ok, ConnPid} = gun:open("localhost", config(http, Config), #{transport => tcp, protocols => [http]}),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:get(ConnPid, "/request"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	{ok, Body} = gun:await_body(ConnPid, StreamRef),
	#{method := <<"GET">>} = binary_to_term(Body),
	Self = self(),
	Held = gun:get(ConnPid, "/held", [{<<"x-tell">>, base64:encode(term_to_binary(Self))}]),
	ok = gun:cancel(ConnPid, Held),
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

poll_fails(Config) ->
	ct:comment("The server dies under a poll: gun_error, for its stream."),
	{ok, ConnPid} = gun:open("localhost", config(http, Config), #{transport => tcp}),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:get(ConnPid, "/die"),
	?EXPECT({gun_error, ConnPid, StreamRef, _}),
	ok = gun:close(ConnPid).
