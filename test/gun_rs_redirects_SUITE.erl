%% The option redirects of requests: what is followed, what is handed on, and what goes where.
-module(gun_rs_redirects_SUITE).

-define(NEEDS, [gun_rs, cowboy, ssl, certs]).
-include("gun_rs_suite.hrl").

groups() ->
	Each = [statuses, locations, to_another_origin, back_again, to_a_name_of_its_own, not_followed, used_up, body_of_a_redirect, streamed,
		cancelled, timeout, slow_server, flow, slow_receiver, stream_info, refused, closed, receiver_dies, lost, awaits,
		cookies, upgrades, upgrades_not_followed, upgrade_cancelled],
	[{http, Each}, {https, [never_to_http|Each]}, {http2, Each}, {https2, [never_to_http|Each]},
		{others, [to_https, pool, reply_tos, bad_options, upgrade_in_old_dialects, upgrade_with_modules, reupgrade]}].

init_per_group(Group, Config) ->
	#{good := Good, root := #{certfile := Root}} = config(certs, Config),
	Tls = #{transport => tls, tls_opts => [{cacertfile, Root}]},
	{Opts, Certs} = case Group of
		http -> {#{protocols => [http]}, none};
		https -> {Tls#{protocols => [http]}, Good};
		http2 -> {#{protocols => [http2]}, none};
		https2 -> {Tls#{protocols => [http2]}, Good};
		others -> {#{}, none}
	end,
	Names = [one, two],
	Ports = maps:from_list([{Name, redirect_h:start(do_listener(Group, Name), Name, Certs)} || Name <- Names]),
	[{ports, Ports}, {opts, Opts#{retry => 0}}, {elsewhere, maps:with([tls_opts, protocols], Opts)}, {group, Group}|Config].

end_per_group(Group, _) ->
	_ = [ok = redirect_h:stop(do_listener(Group, Name)) || Name <- [one, two]],
	ok.

do_listener(Group, Name) ->
	{?MODULE, Group, Name}.

do_open(Config) ->
	do_open(#{}, Config).

do_open(More, Config) ->
	#{one := Port} = config(ports, Config),
	{ok, ConnPid} = gun_rs:open("localhost", Port, maps:merge(config(opts, Config), More)),
	{ok, _} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

do_headers() ->
	[{<<"x-tell">>, pid_to_list(self())}].

do_opts(N, Config) ->
	#{redirects => N, redirect_opts => config(elsewhere, Config)}.

do_get(ConnPid, Path, Config) ->
	do_get(ConnPid, Path, [], Config).

do_get(ConnPid, Path, Headers, Config) ->
	gun_rs:get(ConnPid, Path, do_headers() ++ Headers, do_opts(5, Config)).

do_url(Name, Path, Config) ->
	Scheme = case config(opts, Config) of #{transport := tls} -> "https"; _ -> "http" end,
	lists:flatten(io_lib:format("~s://localhost:~b~ts", [Scheme, maps:get(Name, config(ports, Config)), Path])).

do_asked(Origin) ->
	?EXPECT({asked, Origin, Request}, Request).

%% Whoever followed the redirects is gone, and has left nothing.
do_nothing_left(StreamRef) ->
	true = eventually(fun() -> gun_rs_redirected:find(StreamRef) =:= none end).

do_others_closed() ->
	Self = self(),
	true = eventually(fun() -> [Owner || #{owner := Owner} <- gun_rs:connections(), Owner =/= Self] =:= [] end).

statuses(Config) ->
	doc("The method and the body of the next request, by the status: as browsers do."),
	ConnPid = do_open(Config),
	Headers = [{<<"content-type">>, <<"text/plain">>}|do_headers()],
	_ = [begin
		StreamRef = gun_rs:request(ConnPid, Method, redirect_h:path(Status, "/end"), Headers, Body, do_opts(1, Config)),
		{200, _, _} = answer(ConnPid, StreamRef),
		#{method := Method, body := Body} = do_asked(one),
		#{method := Then, path := <<"/end">>, body := ThenBody, headers := ThenHeaders} = do_asked(one),
		ThenBody = case Then of Method -> Body; _ -> <<>> end,
		IsKept = Then =:= Method,
		IsKept = is_map_key(<<"content-type">>, ThenHeaders),
		do_nothing_left(StreamRef)
	end || {Status, Method, Then} <- [
		{301, <<"GET">>, <<"GET">>}, {301, <<"POST">>, <<"GET">>}, {301, <<"PUT">>, <<"PUT">>}, {301, <<"HEAD">>, <<"HEAD">>},
		{302, <<"GET">>, <<"GET">>}, {302, <<"POST">>, <<"GET">>}, {302, <<"DELETE">>, <<"DELETE">>},
		{303, <<"GET">>, <<"GET">>}, {303, <<"POST">>, <<"GET">>}, {303, <<"PUT">>, <<"GET">>}, {303, <<"HEAD">>, <<"HEAD">>},
		{307, <<"POST">>, <<"POST">>}, {307, <<"GET">>, <<"GET">>}, {308, <<"PATCH">>, <<"PATCH">>}, {308, <<"POST">>, <<"POST">>}
	], Body <- [case Method of <<"P", _/binary>> -> <<"the body">>; _ -> <<>> end]],
	?REFUTE({asked, _, _}),
	gun_rs:close(ConnPid).

locations(Config) ->
	doc("Relative and absolute locations, with queries and fragments."),
	ConnPid = do_open(Config),
	_ = [begin
		{200, _, <<"The end.">>} = answer(ConnPid, do_get(ConnPid, redirect_h:path(302, Location), Config)),
		_ = do_asked(one),
		#{path := Path, qs := Query} = do_asked(one)
	end || {Location, Path, Query} <- [
		{"/end?a=b&c", <<"/end">>, <<"a=b&c">>},
		{"end", <<"/redirect/end">>, <<>>},
		{"../up", <<"/up">>, <<>>},
		{"/end#part", <<"/end">>, <<>>},
		{do_url(one, "/there?x#y", Config), <<"/there">>, <<"x">>},
		{do_url(one, "", Config), <<"/">>, <<>>}
	]],
	gun_rs:close(ConnPid).

to_another_origin(Config) ->
	doc("Neither credentials nor cookies go there; the rest does, and the connection ends with the response."),
	ConnPid = do_open(Config),
	%% Cowboy resets streams of HTTP/2 that have a proxy-authorization.
	Secrets = [{<<"authorization">>, <<"Basic c2VjcmV0">>}, {<<"cookie">>, <<"secret=1">>}, {<<"accept">>, <<"text/plain">>}
		|[{<<"proxy-authorization">>, <<"Basic c2VjcmV0">>} || #{protocols := [http]} <- [config(opts, Config)]]],
	StreamRef = do_get(ConnPid, redirect_h:path(307, do_url(two, "/end", Config)), Secrets, Config),
	{200, _, <<"The end.">>} = answer(ConnPid, StreamRef),
	#{headers := #{<<"authorization">> := _, <<"cookie">> := _}} = do_asked(one),
	#{headers := Headers} = do_asked(two),
	[<<"accept">>] = [Name || {Name, _} <- Secrets, is_map_key(Name, Headers)],
	Host = iolist_to_binary(io_lib:format("localhost:~b", [maps:get(two, config(ports, Config))])),
	#{<<"accept">> := <<"text/plain">>, <<"host">> := Host} = maps:merge(#{<<"host">> => Host}, Headers),
	do_others_closed(),
	%% The connection goes on.
	{200, _, _} = answer(ConnPid, do_get(ConnPid, "/end", Config)),
	gun_rs:close(ConnPid).

back_again(Config) ->
	doc("What another origin sends back is asked for on the first connection, without what was withheld."),
	ConnPid = do_open(Config),
	Back = redirect_h:path(302, do_url(one, "/end", Config)),
	StreamRef = do_get(ConnPid, redirect_h:path(302, do_url(two, Back, Config)), [{<<"authorization">>, <<"secret">>}], Config),
	{200, _, _} = answer(ConnPid, StreamRef),
	_ = do_asked(one),
	_ = do_asked(two),
	#{path := <<"/end">>, headers := Headers} = do_asked(one),
	false = is_map_key(<<"authorization">>, Headers),
	do_others_closed(),
	gun_rs:close(ConnPid).

to_a_name_of_its_own(Config) ->
	doc("The host header says which origin it is: another name on the same port is another one."),
	ConnPid = do_open(Config),
	#{one := Port} = config(ports, Config),
	Host = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	StreamRef = do_get(ConnPid, redirect_h:path(302, "/end"), [{<<"host">>, Host}, {<<"authorization">>, <<"secret">>}], Config),
	{200, _, _} = answer(ConnPid, StreamRef),
	_ = do_asked(one),
	#{headers := #{<<"authorization">> := <<"secret">>}} = do_asked(one),
	StreamRef2 = do_get(ConnPid, redirect_h:path(302, do_url(one, "/end", Config)),
		[{<<"host">>, Host}, {<<"authorization">>, <<"secret">>}], Config),
	{200, _, _} = answer(ConnPid, StreamRef2),
	_ = do_asked(one),
	#{headers := Headers} = do_asked(one),
	false = is_map_key(<<"authorization">>, Headers),
	gun_rs:close(ConnPid).

never_to_http(Config) ->
	doc("The way from https to http is not gone: the response says where it would lead."),
	ConnPid = do_open(Config),
	Path = redirect_h:path(301, "http://localhost:9/end"),
	{301, Headers, <<>>} = answer(ConnPid, do_get(ConnPid, Path, Config)),
	{_, <<"http://localhost:9/end">>} = lists:keyfind(<<"location">>, 1, Headers),
	gun_rs:close(ConnPid).

not_followed(Config) ->
	doc("Other statuses, and locations that are missing or no URL of HTTP, are handed on; so is all without the option."),
	ConnPid = do_open(Config),
	_ = [{Status, _, _} = answer(ConnPid, do_get(ConnPid, Path, Config)) || {Status, Path} <- [
		{300, redirect_h:path(300, "/end")}, {304, redirect_h:path(304, "/end")}, {305, redirect_h:path(305, "/end")},
		{302, "/redirect/302"}, {302, redirect_h:path(302, "ftp://localhost/end")}, {302, redirect_h:path(302, "http://a b/")},
		{302, redirect_h:path(302, "http://user:password@localhost/end")}, {302, redirect_h:path(302, "wss://localhost/end")},
		{302, redirect_h:path(302, "http://[::1/")}, {302, redirect_h:path(302, "http://localhost:99999/")}
	]],
	_ = [{302, _, _} = answer(ConnPid, gun_rs:get(ConnPid, redirect_h:path(302, "/end"), do_headers(), Opts))
		|| Opts <- [#{}, #{redirects => 0}, #{redirects => 0, redirect_opts => #{}}]],
	gun_rs:close(ConnPid).

used_up(Config) ->
	doc("So many are followed; the next one is handed on. A circle ends by that, too."),
	ConnPid = do_open(Config),
	Twice = redirect_h:path(302, redirect_h:path(302, "/end")),
	{302, _, _} = answer(ConnPid, gun_rs:get(ConnPid, Twice, do_headers(), do_opts(1, Config))),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, Twice, do_headers(), do_opts(2, Config))),
	_ = [do_asked(one) || _ <- lists:seq(1, 5)],
	Circle = "/redirect/302?to=" ++ uri_string:quote("/redirect/307"),
	{307, _, _} = answer(ConnPid, do_get(ConnPid, Circle, Config)),
	_ = [do_asked(one) || _ <- lists:seq(1, 2)],
	?REFUTE({asked, _, _}),
	gun_rs:close(ConnPid).

body_of_a_redirect(Config) ->
	doc("Nobody is sent it, however long it is."),
	ConnPid = do_open(Config),
	Path = <<(redirect_h:path(302, "/end"))/binary, "&size=1000000">>,
	{200, _, <<"The end.">>} = answer(ConnPid, do_get(ConnPid, Path, Config)),
	{302, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, Path, do_headers())),
	1000000 = byte_size(Body),
	gun_rs:close(ConnPid).

streamed(Config) ->
	doc("A body that was streamed cannot be sent again: the response is handed on."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:post(ConnPid, redirect_h:path(307, "/end"), [{<<"content-type">>, <<"a/b">>}|do_headers()], do_opts(5, Config)),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "the body"),
	{307, _, _} = answer(ConnPid, StreamRef),
	gun_rs:close(ConnPid).

cancelled(Config) ->
	doc("At the first origin, and at another one: nothing follows."),
	ConnPid = do_open(Config),
	_ = [begin
		StreamRef = do_get(ConnPid, redirect_h:path(302, do_url(Name, "/silent", Config)), Config),
		_ = do_asked(one),
		_ = do_asked(Name),
		ok = gun_rs:cancel(ConnPid, StreamRef),
		true = eventually(fun() -> gun_rs_redirected:find(StreamRef) =:= none end),
		?REFUTE({_, ConnPid, StreamRef, _}),
		do_others_closed()
	end || Name <- [two] ++ [one || #{protocols := [http2]} <- [config(opts, Config)]]],
	{200, _, _} = answer(ConnPid, do_get(ConnPid, "/end", Config)),
	gun_rs:close(ConnPid).

timeout(Config) ->
	doc("The time of a request is that of all of them together."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:get(ConnPid, redirect_h:path(302, do_url(two, "/silent", Config)), do_headers(),
		(do_opts(5, Config))#{timeout => 1000}),
	{error, timeout} = answer(ConnPid, StreamRef),
	do_others_closed(),
	gun_rs:close(ConnPid).

slow_server(Config) ->
	doc("The limits of the response are those of each."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:get(ConnPid, redirect_h:path(302, do_url(two, "/silent", Config)), do_headers(),
		(do_opts(5, Config))#{response_timeout => 1000}),
	{error, {timeout, response}} = answer(ConnPid, StreamRef),
	do_others_closed(),
	gun_rs:close(ConnPid).

flow(Config) ->
	doc("The flow of the response, wherever it comes from."),
	ConnPid = do_open(Config),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, redirect_h:path(302, do_url(Name, "/parts/20", Config)), do_headers(),
			(do_opts(5, Config))#{flow => 1}),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		?EXPECT({gun_data, ConnPid, StreamRef, nofin, _}),
		?REFUTE({gun_data, ConnPid, StreamRef, _, _}),
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1000),
		{ok, _} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT)
	end || Name <- [one, two]],
	gun_rs:close(ConnPid).

slow_receiver(Config) ->
	doc("A receiver that is busy gets all of it in the end."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:get(ConnPid, redirect_h:path(302, do_url(two, "/parts/2000", Config)), do_headers(),
		(do_opts(5, Config))#{flow => auto}),
	%% It does not wait for messages meanwhile.
	_ = [erlang:yield() || _ <- lists:seq(1, 200000)],
	{200, _, Body} = answer(ConnPid, StreamRef),
	8000000 = byte_size(Body),
	gun_rs:close(ConnPid).

stream_info(Config) ->
	doc("The stream is known by its name, wherever it is."),
	ConnPid = do_open(Config),
	Self = self(),
	_ = [begin
		StreamRef = do_get(ConnPid, Path, Config),
		_ = [do_asked(Name) || Name <- Names],
		true = eventually(fun() ->
			case gun_rs:stream_info(ConnPid, StreamRef) of
				{ok, #{ref := StreamRef, reply_to := Self, state := running}} -> true;
				Other -> Other
			end
		end),
		ok = gun_rs:cancel(ConnPid, StreamRef),
		do_others_closed()
	end || {Path, Names} <- [{redirect_h:path(302, do_url(two, "/silent", Config)), [one, two]}, {"/silent", [one]}]],
	gun_rs:close(ConnPid).

refused(Config) ->
	doc("An origin that cannot be reached: the error names it, without what may be a secret in its URL."),
	ConnPid = do_open(Config),
	{Socket, Port} = refused_port(),
	[Scheme, _] = string:split(do_url(one, "", Config), ":"),
	Origin = lists:flatten(io_lib:format("~s://localhost:~b", [Scheme, Port])),
	StreamRef = do_get(ConnPid, redirect_h:path(302, Origin ++ "/end?token=secret"), Config),
	{error, Reason={redirect, Origin, econnrefused}} = answer(ConnPid, StreamRef),
	Sentence = iolist_to_binary(gun_rs:format_error(Reason)),
	{match, _} = re:run(Sentence, "The redirect to .*localhost.* could not be followed: the connection was refused"),
	do_nothing_left(StreamRef),
	release_port(Socket),
	gun_rs:close(ConnPid).

closed(Config) ->
	doc("Where the connection is closed, nobody follows anything any more."),
	ConnPid = do_open(Config),
	StreamRef = do_get(ConnPid, redirect_h:path(302, do_url(two, "/silent", Config)), Config),
	_ = do_asked(two),
	ok = gun_rs:close(ConnPid),
	do_nothing_left(StreamRef),
	do_others_closed().

receiver_dies(Config) ->
	doc("So it is where the receiver has died."),
	ConnPid = do_open(Config),
	Receiver = spawn(fun() -> receive after infinity -> ok end end),
	StreamRef = gun_rs:get(ConnPid, redirect_h:path(302, do_url(two, "/silent", Config)), do_headers(),
		(do_opts(5, Config))#{reply_to => Receiver}),
	_ = do_asked(two),
	true = exit(Receiver, kill),
	do_nothing_left(StreamRef),
	do_others_closed(),
	gun_rs:close(ConnPid).

lost(Config) ->
	doc("A server that closes while it is asked: the error comes by the name of the first request."),
	ConnPid = do_open(Config),
	StreamRef = do_get(ConnPid, redirect_h:path(302, do_url(two, "/silent", Config)), Config),
	#{pid := Server} = do_asked(two),
	true = exit(Server, kill),
	{error, _} = answer(ConnPid, StreamRef),
	do_others_closed(),
	gun_rs:close(ConnPid).

awaits(Config) ->
	doc("The functions that wait, and an informational response before the redirect."),
	ConnPid = do_open(Config),
	StreamRef = do_get(ConnPid, redirect_h:path(303, do_url(two, "/end", Config)), Config),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{ok, <<"The end.">>} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	gun_rs:close(ConnPid).

cookies(Config) ->
	doc("The store of the connection has the cookies of redirects, and gives them to its own origin."),
	ConnPid = do_open(#{cookie_store => gun_rs_cookies_list:init()}, Config),
	Path = <<(redirect_h:path(302, "/end"))/binary, "&set=yes">>,
	{200, _, _} = answer(ConnPid, do_get(ConnPid, Path, Config)),
	#{headers := First} = do_asked(one),
	false = is_map_key(<<"cookie">>, First),
	#{headers := #{<<"cookie">> := <<"seen=yes">>}} = do_asked(one),
	{200, _, _} = answer(ConnPid, do_get(ConnPid, redirect_h:path(302, do_url(two, "/end", Config)), Config)),
	_ = do_asked(one),
	#{headers := Elsewhere} = do_asked(two),
	false = is_map_key(<<"cookie">>, Elsewhere),
	gun_rs:close(ConnPid).

to_https(Config) ->
	doc("From http to https; a certificate that is not trusted is an error."),
	#{good := Good, root := #{certfile := Root}} = config(certs, Config),
	Port = redirect_h:start(do_listener(others, tls), tls, Good),
	ConnPid = do_open(Config),
	Path = redirect_h:path(301, io_lib:format("https://localhost:~b/end", [Port])),
	{error, {redirect, _, {tls_alert, {unknown_ca, _}}}} = answer(ConnPid, do_get(ConnPid, Path, Config)),
	Opts = #{redirects => 1, redirect_opts => #{tls_opts => [{cacertfile, Root}]}},
	{200, _, <<"The end.">>} = answer(ConnPid, gun_rs:get(ConnPid, Path, do_headers(), Opts)),
	_ = do_asked(tls),
	gun_rs:close(ConnPid),
	redirect_h:stop(do_listener(others, tls)).

pool(Config) ->
	doc("Requests to a pool, whose place is free again once the redirect has led elsewhere."),
	#{one := Port} = config(ports, Config),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1}),
	ok = gun_rs_pool:await_up(Pool),
	Host = {<<"host">>, iolist_to_binary(["localhost:", integer_to_list(Port)])},
	_ = [begin
		{async, {ConnPid, StreamRef}} = gun_rs_pool:get(redirect_h:path(302, do_url(Name, "/end", Config)),
			[Host|do_headers()], #{redirects => 1}),
		{200, _, <<"The end.">>} = answer(ConnPid, StreamRef)
	end || Name <- [one, two, one]],
	gun_rs_pool:stop_pool("localhost", Port).

reply_tos(Config) ->
	doc("Whoever the option reply_to names."),
	ConnPid = do_open(Config),
	Self = self(),
	Path = redirect_h:path(302, do_url(two, "/end", Config)),
	StreamRef = gun_rs:get(ConnPid, Path, do_headers(), #{redirects => 1, reply_to => fun(Message) -> Self ! {by_fun, Message} end}),
	?EXPECT({by_fun, {gun_response, ConnPid, StreamRef, nofin, 200, _}}),
	?EXPECT({by_fun, {gun_data, ConnPid, StreamRef, fin, <<"The end.">>}}),
	Alias = gun_rs:get(ConnPid, Path, do_headers(), #{redirects => 1, reply_to => alias}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, Alias, ?WAIT),
	{ok, <<"The end.">>} = gun_rs:await_body(ConnPid, Alias, ?WAIT),
	gun_rs:close(ConnPid).

bad_options(Config) ->
	doc("What is no number, and options that open would refuse; a tunnel and a ping follow nothing."),
	ConnPid = do_open(Config),
	_ = [begin
		{'EXIT', {{badmatch, Error={error, {options, Bad}}}, _}} = ?CATCH(gun_rs:get(ConnPid, "/", [], Opts)),
		true = is_list(lists:flatten(gun_rs:format_error(Error)))
	end || {Opts, Bad} <- [
		{#{redirects => -1}, {req, {redirects, -1}}},
		{#{redirects => infinity}, {req, {redirects, infinity}}},
		{#{redirect_opts => []}, {req, {redirect_opts, []}}},
		{#{redirects => 1, redirect_opts => #{retries => 1}}, {redirect_opts, {retries, 1}}}
	]],
	{'EXIT', {{badmatch, {error, {options, {req, {redirects, _}}}}}, _}} =
		?CATCH(gun_rs:connect(ConnPid, #{host => "localhost", port => 1}, [], #{redirects => 1})),
	gun_rs:close(ConnPid).

do_ws_opts(N) ->
	#{redirects => N}.

do_echo(ConnPid, StreamRef) ->
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}})
	end || N <- lists:seq(1, 20), Text <- [integer_to_binary(N)]].

upgrades(Config) ->
	doc("A WebSocket that is elsewhere on the same origin: gun_upgrade is the first that is heard of it."),
	_ = [begin
		ConnPid = do_open(Config),
		StreamRef = gun_rs:ws_upgrade(ConnPid, Path, do_headers(), do_ws_opts(3)),
		do_echo(ConnPid, StreamRef),
		do_nothing_left(StreamRef),
		#{headers := _} = do_asked(one),
		#{path := <<"/ws">>} = do_asked(one),
		ok = gun_rs:ws_send(ConnPid, StreamRef, close),
		?EXPECT({gun_ws, ConnPid, StreamRef, close}),
		gun_rs:close(ConnPid)
	end || Path <- [redirect_h:path(302, "/ws"), <<(redirect_h:path(307, "/ws"))/binary, "&size=100000">>,
		redirect_h:path(301, do_url(one, "/ws", Config)), redirect_h:path(308, "ws" ++ (do_url(one, "/ws", Config) -- "http"))]],
	?REFUTE({asked, _, _}).

upgrades_not_followed(Config) ->
	doc("Another origin, the end of the number, what is no redirect, and an endless body."),
	_ = [begin
		ConnPid = do_open(Config),
		StreamRef = gun_rs:ws_upgrade(ConnPid, Path, do_headers(), do_ws_opts(N)),
		{Status, _, _} = answer(ConnPid, StreamRef),
		do_nothing_left(StreamRef),
		gun_rs:close(ConnPid)
	end || {N, Status, Path} <- [{3, 302, redirect_h:path(302, do_url(two, "/ws", Config))}, {0, 302, redirect_h:path(302, "/ws")},
		{1, 302, redirect_h:path(302, redirect_h:path(302, "/ws"))}, {3, 300, redirect_h:path(300, "/ws")},
		{3, 404, redirect_h:path(302, "/redirect/404")}]],
	ConnPid = do_open(Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, <<(redirect_h:path(302, "/ws"))/binary, "&size=5000000">>, do_headers(), do_ws_opts(1)),
	{error, Reason={redirect, _, response_too_large}} = answer(ConnPid, StreamRef),
	true = is_list(lists:flatten(gun_rs:format_error(Reason))),
	gun_rs:close(ConnPid).

upgrade_cancelled(Config) ->
	doc("While it is under way, and when it is lost."),
	ConnPid = do_open(Config),
	Path = redirect_h:path(302, "/silent"),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path, do_headers(), do_ws_opts(1)),
	_ = do_asked(one),
	#{pid := Server} = do_asked(one),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	true = eventually(fun() -> gun_rs_redirected:find(StreamRef) =:= none end),
	_ = [begin
		StreamRef2 = gun_rs:ws_upgrade(ConnPid, Path, do_headers(), do_ws_opts(1)),
		_ = do_asked(one),
		_ = do_asked(one),
		true = exit(Server, kill),
		{error, _} = answer(ConnPid, StreamRef2),
		do_nothing_left(StreamRef2)
	end || #{protocols := [http2]} <- [config(opts, Config)]],
	?REFUTE({gun_response, ConnPid, StreamRef, _, _, _}),
	gun_rs:close(ConnPid).

upgrade_in_old_dialects(Config) ->
	doc("They have another message for what refuses an upgrade."),
	ConnPid = do_open(#{dialect => gun_1_pre}, Config),
	{'EXIT', {{badmatch, Error}, _}} = ?CATCH(gun_rs:ws_upgrade(ConnPid, "/ws", [], do_ws_opts(1))),
	{error, {options, {redirects, gun_1_pre}}} = Error,
	true = is_list(lists:flatten(gun_rs:format_error(Error))),
	{ok, Gun1} = gun_rs:open("localhost", maps:get(one, config(ports, Config)), #{dialect => gun_1}),
	{ok, _} = gun_rs:await_up(Gun1, ?WAIT),
	do_echo(Gun1, gun_rs:ws_upgrade(Gun1, redirect_h:path(302, "/ws"), do_headers(), do_ws_opts(1))),
	_ = [gun_rs:close(Pid) || Pid <- [ConnPid, Gun1]].

upgrade_with_modules(Config) ->
	doc("A connection whose process takes part in all messages: cookies of the redirect are sent with the next upgrade."),
	ConnPid = do_open(#{cookie_store => gun_rs_cookies_list:init()}, Config),
	Path = <<(redirect_h:path(302, "/ws"))/binary, "&set=yes">>,
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path, do_headers(), do_ws_opts(1)),
	do_echo(ConnPid, StreamRef),
	_ = do_asked(one),
	#{headers := #{<<"cookie">> := <<"seen=yes">>}} = do_asked(one),
	gun_rs:close(ConnPid).

reupgrade(Config) ->
	doc("After a lost connection, the upgrade that succeeded is repeated."),
	ConnPid = do_open(#{retry => 5}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, redirect_h:path(302, "/ws"), do_headers(), (do_ws_opts(1))#{reupgrade => true}),
	do_echo(ConnPid, StreamRef),
	[_, #{pid := Server}] = [do_asked(one) || _ <- [1, 2]],
	true = exit(Server, kill),
	do_echo(ConnPid, StreamRef),
	#{path := <<"/ws">>} = do_asked(one),
	gun_rs:close(ConnPid).
