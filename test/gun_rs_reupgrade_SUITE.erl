%% With reupgrade, a WebSocket that was lost is upgraded again, over each transport, as doc/reconnect.md says.
-module(gun_rs_reupgrade_SUITE).

-import(lying_server, [frame/2]).

-define(NEEDS, [gun_rs, ssl, distribution]).
-include("gun_rs_suite.hrl").

groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	[{tcp, Cases}, {tls, Cases}, {unix, Cases}].

init_per_group(tls, Config) ->
	Dir = config(priv_dir, Config),
	[CertFile, KeyFile] = [filename:join(Dir, Name) || Name <- ["cert.pem", "key.pem"]],
	Output = os:cmd("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=gun_rs"
		" -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
		" -keyout '" ++ KeyFile ++ "' -out '" ++ CertFile ++ "' 2>&1"),
	{true, _} = {filelib:is_regular(CertFile), Output},
	[{transport, tls}, {certfile, CertFile}, {keyfile, KeyFile}|Config];
init_per_group(Transport, Config) ->
	[{transport, Transport}|Config].

end_per_group(_, _) ->
	ok.

init_per_testcase(_, Config) ->
	%% The path of a Unix domain socket may have 107 bytes; that of a suite's directory has more.
	Path = filename:join("/tmp", lists:concat(["gun_rs_", os:getpid(), "_", erlang:unique_integer([positive])])),
	[{path, Path}|Config].

end_per_testcase(_, Config) ->
	_ = file:delete(config(path, Config)),
	ok.

%% Servers and connections of the group's transport. Where a server is, another may follow it.

do_serve(Script, Config) ->
	do_serve(Script, 0, Config).

do_serve(Script, Port, Config) ->
	case config(transport, Config) of
		tcp ->
			lying_server:start(Script, [{port, Port}, {ip, {127, 0, 0, 1}}]);
		tls ->
			lying_server:start(Script, [{port, Port}, {ip, {127, 0, 0, 1}}, {tls, [
				{certfile, config(certfile, Config)}, {keyfile, config(keyfile, Config)}
			]}]);
		unix ->
			Path = config(path, Config),
			_ = file:delete(Path),
			{Server, _} = lying_server:start(Script, [{ifaddr, {local, Path}}]),
			{Server, Path}
	end.

do_open(At, Opts0, Config) ->
	Opts = maps:merge(#{retry => 100000, retry_timeout => 20, ws_opts => #{reupgrade => true}}, Opts0),
	{ok, ConnPid} = case config(transport, Config) of
		tcp -> gun_rs:open("127.0.0.1", At, Opts);
		tls -> gun_rs:open("127.0.0.1", At, Opts#{transport => tls, tls_opts => [{cacertfile, config(certfile, Config)}]});
		unix -> gun_rs:open_unix(At, Opts)
	end,
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

do_open_ws(At, Opts, Config) ->
	ConnPid = do_open(At, Opts, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/prices"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	{ConnPid, StreamRef}.

%% A WebSocket that is away: its server is gone, and nobody listens where it was.
do_away(Opts, Config) ->
	{Server, At} = do_serve([upgrade, frames], Config),
	{ConnPid, StreamRef} = do_open_ws(At, Opts, Config),
	ok = do_stop(Server),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
	{ConnPid, StreamRef, At}.

%% One that is being upgraded again: the server has the request, and answers with the rest of the script at go/1.
do_pending(Rest, Opts, Config) ->
	{ConnPid, StreamRef, At} = do_away(Opts, Config),
	{Server, At} = do_serve([{answer, fun do_wait/1}|Rest], At, Config),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({lying_server, Server, {request, _}}),
	{ConnPid, StreamRef, At, Server}.

do_wait(Key) ->
	receive go -> lying_server:response(Key) end.

%% What it had to tell is of no interest any more.
do_stop(Server) ->
	ok = lying_server:stop(Server),
	do_forget(Server).

do_forget(Server) ->
	receive {lying_server, Server, _} -> do_forget(Server) after 0 -> ok end.

do_request(Server) ->
	?EXPECT({lying_server, Server, {request, Request}}, Request).

do_no_request(Server) ->
	?REFUTE({lying_server, Server, {request, _}}).

%% The next message that is not a server's, whatever it is.
do_next() ->
	receive
		Msg when element(1, Msg) =/= lying_server -> Msg
	after ?WAIT ->
		gun_rs_test:missing("any message")
	end.

do_without_key(Request) ->
	re:replace(Request, "^sec-websocket-key: [^\r]*\r\n", "", [caseless, multiline, {return, binary}]).

%% The upgrade that is repeated.

same_upgrade(Config) ->
	doc("After each reconnect the same upgrade is made under the same StreamRef, and told in the same messages."),
	{Server, At} = do_serve([upgrade, frame, {send, frame(text, "news")}, wait, close], Config),
	%% One retry: each connection that comes about makes the count anew.
	ConnPid = do_open(At, #{retry => 1}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/prices?of=tea", [{<<"x-token">>, <<"secret">>}, {"X-Twice", "1"},
		{"x-twice", "2"}, {<<"sec-websocket-protocol">>, <<"chat">>}]),
	{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers} = do_next(),
	First = do_request(Server),
	{match, _} = re:run(First, "^GET /prices\\?of=tea HTTP/1.1\r\n"),
	<<"secret">> = lying_server:header("x-token", First),
	Keys = [lying_server:key(First)|[begin
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "subscribe"}),
		{gun_ws, ConnPid, StreamRef, {text, <<"news">>}} = do_next(),
		lying_server:go(Server),
		{gun_down, ConnPid, ws, closed, [StreamRef]} = do_next(),
		{gun_up, ConnPid, http} = do_next(),
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], NewHeaders} = do_next(),
		true = lists:keysort(1, [{N, V} || {N, V} <- Headers, N =/= <<"sec-websocket-accept">>]) =:=
			lists:keysort(1, [{N, V} || {N, V} <- NewHeaders, N =/= <<"sec-websocket-accept">>]),
		Request = do_request(Server),
		true = do_without_key(Request) =:= do_without_key(First),
		#{protocol := ws, state_name := connected_ws_only} = gun_rs:info(ConnPid),
		lying_server:key(Request)
	end || _ <- lists:seq(1, 4)]],
	%% RFC 6455, 4.1: the key is drawn anew for each connection.
	5 = length(lists:usort(Keys)),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

option_of_ws_upgrade(Config) ->
	doc("The option may stand in the options of ws_upgrade/4, which take the place of open's."),
	{Server, At} = do_serve([upgrade, wait, close], Config),
	ConnPid = do_open(At, #{ws_opts => #{}}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{reupgrade => true}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid),
	do_forget(Server),
	%% open's is not in them.
	ConnPid2 = do_open(At, #{}, Config),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid2, "/", [], #{}),
	?EXPECT({gun_upgrade, ConnPid2, StreamRef2, _, _}),
	_ = do_request(Server),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid2, ws, closed, [StreamRef2]}),
	?EXPECT({gun_up, ConnPid2, http}),
	do_no_request(Server),
	ok = gun_rs:close(ConnPid2),
	do_stop(Server).

compress(Config) ->
	doc("permessage-deflate is negotiated again, and begins with empty windows."),
	Extension = {"Sec-WebSocket-Extensions", "permessage-deflate"},
	%% RFC 7692, 7.2.3.1: "Hello".
	Hello = <<16#c1, 16#07, 16#f2, 16#48, 16#cd, 16#c9, 16#c9, 16#07, 16#00>>,
	{Server, At} = do_serve([{answer, fun(Key) -> lying_server:response(Key, [Extension]) end},
		{send, Hello}, frame, frame, wait, close], Config),
	ConnPid = do_open(At, #{ws_opts => #{reupgrade => true, compress => true}}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	Sent = [begin
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
		{match, _} = re:run(do_request(Server), "^sec-websocket-extensions: permessage-deflate", [caseless, multiline]),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
		Text = lists:duplicate(20, "the same again, "),
		ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, Text}, {text, Text}]),
		[One, Two] = [?EXPECT({lying_server, Server, {frame, {4, text}, P}}, P) || _ <- [1, 2]],
		%% The second message leans on the first.
		true = byte_size(Two) < byte_size(One),
		lying_server:go(Server),
		?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
		{One, Two}
	end || _ <- [1, 2, 3]],
	[_] = lists:usort(Sent),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

subprotocol(Config) ->
	doc("A module for the subprotocol is started anew with each upgrade, with the same options."),
	Answer = fun(Key) -> lying_server:response(Key, [{"Sec-WebSocket-Protocol", "tell"}]) end,
	{Server, At} = do_serve([{answer, Answer}, {send, frame(text, "for the module")}, wait, close], Config),
	ConnPid = do_open(At, #{}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [{<<"sec-websocket-protocol">>, <<"tell">>}],
		#{reupgrade => true, protocols => [{<<"tell">>, ws_tell_h}], user_opts => mine}),
	Self = self(),
	_ = [begin
		{gun_upgrade, ConnPid, StreamRef, _, _} = do_next(),
		{ws_init, ConnPid, Self, StreamRef, Headers, #{user_opts := mine}} = do_next(),
		{_, <<"tell">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
		{ws_handle, ConnPid, {text, <<"for the module">>}} = do_next(),
		lying_server:go(Server),
		{gun_down, ConnPid, ws, closed, [StreamRef]} = do_next(),
		{gun_up, ConnPid, http} = do_next()
	end || _ <- [1, 2, 3]],
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

cookies(Config) ->
	doc("The cookies of the first upgrade are sent again; those in the answer to a repeated one are not stored."),
	{Server, At} = do_serve([
		{http, fun(_, _) -> lying_server:ok([{"set-cookie", "one=1"}], "") end},
		{answer, fun(Key) -> lying_server:response(Key, [{"set-cookie", "two=2"}]) end}, frames
	], Config),
	ConnPid = do_open(At, #{cookie_store => gun_rs_cookies_list:init()}, Config),
	{200, _, _} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/")),
	none = lying_server:header("cookie", do_request(Server)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	<<"one=1">> = lying_server:header("cookie", do_request(Server)),
	do_stop(Server),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
	{Server2, At} = do_serve([{answer, fun(Key) -> lying_server:response(Key, [{"set-cookie", "three=3"}]) end},
		frame, {send, frame(close, <<>>)}], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	<<"one=1">> = lying_server:header("cookie", do_request(Server2)),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	%% The answer to the first upgrade had a cookie that was stored.
	?EXPECT({gun_up, ConnPid, http}),
	_ = gun_rs:get(ConnPid, "/"),
	<<"one=1; two=2">> = do_sorted_cookies(do_request(Server2)),
	ok = gun_rs:close(ConnPid),
	do_stop(Server2).

do_sorted_cookies(Request) ->
	Cookies = binary:split(lying_server:header("cookie", Request), <<"; ">>, [global]),
	iolist_to_binary(lists:join("; ", lists:sort(Cookies))).

first_on_the_connection(Config) ->
	doc("The upgrade is the first thing on the new connection: what was asked for in between comes behind it."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	Request = gun_rs:get(ConnPid, "/in-between"),
	true = is_reference(Request),
	{Server, At} = do_serve([upgrade], At, Config),
	{match, _} = re:run(do_request(Server), "^GET /prices "),
	{gun_up, ConnPid, http} = do_next(),
	%% As on any WebSocket.
	Told = [do_next(), do_next()],
	true = lists:keymember(gun_upgrade, 1, Told),
	[{gun_error, ConnPid, {badstate, [_|_]}}] = [Msg || Msg <- Told, element(1, Msg) =/= gun_upgrade],
	[StreamRef] = [Ref || {gun_upgrade, Pid, Ref, _, _} <- Told, Pid =:= ConnPid],
	do_no_request(Server),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

begins_with_success(Config) ->
	doc("A first upgrade that was refused, or lost before its answer, is not repeated."),
	{Server, At} = do_serve([request, {send, "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"}, wait, close], Config),
	ConnPid = do_open(At, #{}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 403, _}),
	_ = do_request(Server),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, closed, []}),
	?EXPECT({gun_up, ConnPid, http}),
	do_no_request(Server),
	ok = gun_rs:close(ConnPid),
	do_stop(Server),
	{Server2, At2} = do_serve([request, close], Config),
	ConnPid2 = do_open(At2, #{}, Config),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid2, "/"),
	_ = do_request(Server2),
	?EXPECT({gun_error, ConnPid2, StreamRef2, closed}),
	?EXPECT({gun_down, ConnPid2, http, closed, [StreamRef2]}),
	?EXPECT({gun_up, ConnPid2, http}),
	do_no_request(Server2),
	ok = gun_rs:close(ConnPid2),
	do_stop(Server2).

%% What ends it, and what doesn't.

refused(Config) ->
	doc("A refusal is a gun_response, with its body, and the end of it; the connection goes on."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	{Server, At} = do_serve([
		request, {send, "HTTP/1.1 403 No\r\ncontent-length: 6\r\n\r\nNever."},
		{http, fun(_, _) -> lying_server:ok("Hello!") end},
		wait, close
	], At, Config),
	{403, _, <<"Never.">>} = gun_rs_test:answer(ConnPid, StreamRef),
	{200, _, <<"Hello!">>} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/")),
	#{protocol := http} = gun_rs:info(ConnPid),
	_ = [do_request(Server) || _ <- [1, 2]],
	?EXPECT({gun_up, ConnPid, http}),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, closed, []}),
	?EXPECT({gun_up, ConnPid, http}),
	do_no_request(Server),
	?REFUTE({gun_upgrade, _, _, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

refused_by_a_proxy(Config) ->
	doc("A refusal of a proxy whose server is away counts as a failed attempt, and frames wait on."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 100}}}, Config),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "kept"}),
	Statuses = [502, 503, 504, 429],
	Asked = counters:new(1, []),
	Answer = fun(Key) ->
		ok = counters:add(Asked, 1, 1),
		case counters:get(Asked, 1) of
			N when N =< length(Statuses) ->
				["HTTP/1.1 ", integer_to_list(lists:nth(N, Statuses)), " Away\r\ncontent-length: 3\r\n\r\nbye"];
			_ ->
				lying_server:response(Key)
		end
	end,
	{Server, At} = do_serve([{answer, Answer}, frame, frames], At, Config),
	_ = [begin
		Reason = {error, {upgrade_refused, Status}},
		?EXPECT({gun_down, ConnPid, http, Reason, []})
	end || Status <- Statuses],
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	?EXPECT({lying_server, Server, {frame, text, <<"kept">>}}),
	?REFUTE({gun_response, ConnPid, StreamRef, _, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

refused_until_later(Config) ->
	doc("Retry-After is honoured, up to max_retry_after; the statuses are an option."),
	Reupgrade = #{retry_statuses => [500], max_retry_after => 1500},
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => Reupgrade}, notify_retries => true}, Config),
	Refusals = ["500 Oops\r\nretry-after: 1", "500 Oops\r\nretry-after: 3600", "503 Away"],
	Asked = counters:new(1, []),
	{Server, At} = do_serve([{answer, fun(_) ->
		ok = counters:add(Asked, 1, 1),
		["HTTP/1.1 ", lists:nth(counters:get(Asked, 1), Refusals), "\r\ncontent-length: 0\r\n\r\n"]
	end}], At, Config),
	_ = [?EXPECT({gun_notify, ConnPid, retry, #{reason := {error, {upgrade_refused, 500}}, timeout := Pause}})
		|| Pause <- [1000, 1500]],
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 503, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

unanswered(Config) ->
	doc("A repeated upgrade that is not answered in time is a lost connection, and is repeated again."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => true, upgrade_timeout => 2000}}, Config),
	{Silent, At} = do_serve([request, wait], At, Config),
	_ = [?EXPECT({gun_down, ConnPid, http, {error, {timeout, upgrade}}, []}) || _ <- [1, 2]],
	?REFUTE({gun_error, ConnPid, StreamRef, _}),
	ok = do_stop(Silent),
	{Server, At} = do_serve([upgrade, frames], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

upgraded_anew_after_a_refusal(Config) ->
	doc("After a refusal the program may upgrade again, and that upgrade is then the one that is repeated."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	{Server, At} = do_serve([request, {send, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"}, upgrade], At, Config),
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 404, _}),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/elsewhere"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef2, _, _}),
	do_stop(Server),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef2]}),
	{Server2, At} = do_serve([upgrade], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef2, _, _}),
	{match, _} = re:run(do_request(Server2), "^GET /elsewhere "),
	?REFUTE({gun_upgrade, _, _, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server2).

wrong_answer(Config) ->
	doc("A wrong answer, or one that is no HTTP, is told as an error, and the server is not asked again."),
	_ = [begin
		{ConnPid, StreamRef, At} = do_away(#{}, Config),
		{Server, At} = do_serve([request, {send, Answer}, wait], At, Config),
		{gun_up, ConnPid, http} = do_next(),
		{gun_error, ConnPid, StreamRef, Told} = do_next(),
		{gun_down, ConnPid, http, {error, Reason}, [StreamRef]} = do_next(),
		case Told of
			Reason -> ok;
			{closed, {error, Reason}} -> ok
		end,
		What = element(1, Reason),
		_ = do_request(Server),
		{gun_up, ConnPid, http} = do_next(),
		do_no_request(Server),
		ok = gun_rs:close(ConnPid),
		do_stop(Server)
	end || {What, Answer} <- [
		{ws_handshake, "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
			"sec-websocket-accept: no\r\n\r\n"},
		{http_protocol, "\1\2\3 this is no HTTP\r\n\r\n"}
	]],
	ok.

close_by_the_user(Config) ->
	doc("A close frame of the user's ends it, whether or not the server answers."),
	_ = [begin
		{Server, At} = do_serve([upgrade, frame|Answer], Config),
		{ConnPid, StreamRef} = do_open_ws(At, #{}, Config),
		_ = do_request(Server),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 1000, <<>>}),
		?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http}),
		do_no_request(Server),
		ok = gun_rs:close(ConnPid),
		do_stop(Server)
	end || Answer <- [[{send, frame(close, <<1000:16>>)}], [close]]],
	ok.

close_by_the_server(Config) ->
	doc("A close frame of the server's does not end it: 1001 and 1012 say that it will be back."),
	_ = [begin
		{Server, At} = do_serve([upgrade, {send, frame(close, Payload)}, frame, wait], Config),
		ConnPid = do_open(At, #{}, Config),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		_ = [begin
			{gun_upgrade, ConnPid, StreamRef, _, _} = do_next(),
			{gun_ws, ConnPid, StreamRef, Frame} = do_next(),
			{gun_down, ConnPid, ws, normal, [StreamRef]} = do_next(),
			{gun_up, ConnPid, http} = do_next()
		end || _ <- [1, 2]],
		ok = gun_rs:close(ConnPid),
		gun_rs:flush(ConnPid),
		do_stop(Server)
	end || {Payload, Frame} <- [
		{<<>>, close},
		{<<1000:16>>, {close, 1000, <<>>}},
		{<<1001:16, "going away">>, {close, 1001, <<"going away">>}},
		{<<1012:16, "restart">>, {close, 1012, <<"restart">>}}
	]],
	ok.

fault_of_the_server(Config) ->
	doc("A server that broke the protocol is upgraded again, for its next connection may be better."),
	{Server, At} = do_serve([upgrade, wait, {send, lying_server:frame(1, 0, 1, <<"mask">>, "masked")}, frame, close], Config),
	{ConnPid, StreamRef} = do_open_ws(At, #{}, Config),
	lying_server:go(Server),
	?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, masked}}),
	?EXPECT({gun_down, ConnPid, ws, {error, {ws_protocol, masked}}, [StreamRef]}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

lost_before_the_answer(Config) ->
	doc("A connection that is lost before the server has answered is not the end of it; gun_down names no stream."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	_ = [begin
		{Server, At} = do_serve([request, close], At, Config),
		_ = do_request(Server),
		do_stop(Server)
	end || _ <- [1, 2]],
	{Server, At} = do_serve([upgrade, frame, {send, frame(text, "back")}], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"back">>}}),
	Downs = do_downs(ConnPid),
	true = length(Downs) >= 2,
	[[]] = lists:usort([Killed || {http, Killed} <- Downs]),
	?REFUTE({gun_error, _, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

do_downs(ConnPid) ->
	receive
		{gun_down, ConnPid, Protocol, _, Killed} -> [{Protocol, Killed}|do_downs(ConnPid)]
	after 0 ->
		[]
	end.

cancelled(Config) ->
	doc("cancel/2 of the stream while it is being upgraded ends it, whatever the server answers then."),
	_ = [begin
		{ConnPid, StreamRef, _, Server} = do_pending([wait, close], Opts, Config),
		ok = gun_rs:cancel(ConnPid, StreamRef),
		%% It has been received by the connection when that answers.
		{ok, _} = gun_rs:stream_info(ConnPid, StreamRef),
		{error, {badstate, _}} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "to nobody"}),
		lying_server:go(Server),
		?EXPECT({gun_down, ConnPid, http, _, _}),
		?EXPECT({gun_up, ConnPid, http}),
		do_no_request(Server),
		?REFUTE({gun_upgrade, _, _, _, _}),
		ok = gun_rs:close(ConnPid),
		do_stop(Server)
	end || Opts <- [#{}, #{ws_opts => #{reupgrade => #{queue => 1000}}}]],
	ok.

%% Ends.

ends_while_away(Config) ->
	doc("shutdown/1, close/1, a kill and the owner's exit end a connection whose WebSocket is away."),
	_ = [begin
		{ConnPid, _, _} = do_away(Opts, Config),
		MRef = watch(ConnPid),
		do_end(How, ConnPid),
		?EXPECT({'DOWN', MRef, process, ConnPid, Reason})
	end || {How, Reason} <- do_ends(), Opts <- [#{}, #{ws_opts => #{reupgrade => #{queue => 1000}}}]],
	ok.

ends_during_the_upgrade(Config) ->
	doc("So they do while the upgrade waits for its answer; shutdown/1 waits for this, and then says 1001."),
	_ = [begin
		{ConnPid, StreamRef, _, Server} = do_pending([frame, {send, frame(close, <<>>)}], Opts, Config),
		MRef = watch(ConnPid),
		do_end(How, ConnPid),
		case How of
			shutdown ->
				true = eventually(fun() -> maps:get(state_name, gun_rs:info(ConnPid)) =/= connected_ws_only end),
				lying_server:go(Server),
				?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
				?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
				?EXPECT({'DOWN', MRef, process, ConnPid, Reason});
			owner ->
				lying_server:go(Server),
				?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
				?EXPECT({'DOWN', MRef, process, ConnPid, Reason});
			_ ->
				?EXPECT({'DOWN', MRef, process, ConnPid, Reason}),
				lying_server:go(Server)
		end,
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_down, ConnPid, _, _, _}),
		do_stop(Server)
	end || {How, Reason} <- do_ends(), Opts <- [#{}, #{ws_opts => #{reupgrade => #{queue => 1000}}}]],
	ok.

do_ends() ->
	[{shutdown, shutdown}, {close, shutdown}, {kill, killed}, {owner, {shutdown, {owner_down, oops}}}].

do_end(shutdown, ConnPid) ->
	ok = gun_rs:shutdown(ConnPid);
do_end(close, ConnPid) ->
	ok = gun_rs:close(ConnPid);
do_end(kill, ConnPid) ->
	true = exit(ConnPid, kill);
do_end(owner, ConnPid) ->
	Owner = spawn(fun() -> receive after infinity -> ok end end),
	ok = gun_rs:set_owner(ConnPid, Owner),
	#{owner := Owner} = gun_rs:info(ConnPid),
	true = exit(Owner, oops).

retries_exhausted(Config) ->
	doc("When no retry is left, ConnPid exits with the reason, and those who wait for the upgrade are told."),
	Self = self(),
	{ConnPid, StreamRef, _} = do_away(#{retry => 2, retry_fun => fun(Retries, _) ->
		Self ! {retries, Retries},
		receive proceed -> #{retries => Retries - 1, timeout => 0} end
	end, ws_opts => #{reupgrade => #{queue => 1000}}}, Config),
	MRef = watch(ConnPid),
	Pid = spawn_link(fun() ->
		Self ! {self(), sent, gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "too late"}, infinity)}
	end),
	true = eventually(fun() -> process_info(Pid, status) =:= {status, waiting} end),
	_ = [begin
		?EXPECT({retries, Retries}),
		ConnPid ! proceed
	end || Retries <- [2, 1]],
	{error, {down, {shutdown, Reason}}} = ?EXPECT({Pid, sent, Result}, Result),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, Reason}}),
	%% A Unix domain socket is refused as well: its file is still there.
	econnrefused = Reason.

rests(Config) ->
	doc("A server that takes upgrades and goes away at once is given retry_timeout from the second time on."),
	Timeout = 2000,
	{Server, At} = do_serve([upgrade, wait, close], Config),
	do_rests(Server, At, Timeout, Config, 5),
	do_stop(Server).

%% On a machine that is so busy that a WebSocket lives longer than it should, it is not tested, but tried again.
do_rests(Server, At, Timeout, Config, Tries) when Tries > 0 ->
	Began = do_now(),
	{ConnPid, StreamRef} = do_open_ws(At, #{retry => 5, retry_timeout => Timeout, notify_retries => true}, Config),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	?EXPECT({gun_notify, ConnPid, retry, #{timeout := 0, retries := 4}}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	Again = do_now(),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	Planned = ?EXPECT({gun_notify, ConnPid, retry, #{timeout := T}}, T),
	case do_now() - Began < Timeout of
		true ->
			Timeout = Planned,
			?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
			true = do_now() - Again >= Timeout,
			ok = gun_rs:close(ConnPid);
		false ->
			ok = gun_rs:close(ConnPid),
			gun_rs:flush(ConnPid),
			do_rests(Server, At, Timeout, Config, Tries - 1)
	end.

do_now() ->
	erlang:monotonic_time(millisecond).

retry_fun_decides(Config) ->
	doc("With a retry_fun there is no such rest: it alone says how long to wait."),
	{Server, At} = do_serve([upgrade, wait, close], Config),
	Self = self(),
	ConnPid = do_open(At, #{retry => 1, retry_timeout => 100 * ?WAIT, retry_fun => fun(Retries, Opts) ->
		Self ! {retry_fun, Retries, maps:get(retry_timeout, Opts)},
		#{retries => Retries - 1, timeout => 1}
	end}, Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	_ = [begin
		lying_server:go(Server),
		?EXPECT({retry_fun, 1, 100 * ?WAIT}),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _})
	end || _ <- [1, 2, 3]],
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

%% Frames in between.

refused_while_away(Config) ->
	doc("While the WebSocket is away, ws_send and ws_send_sync are refused at once, and nothing of them is sent later."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	ok = do_refused(ConnPid, StreamRef),
	{Server, At} = do_serve([{answer, fun do_wait/1}, frame, {send, frame(text, "got it")}], At, Config),
	%% Nor while it is being upgraded.
	?EXPECT({lying_server, Server, {request, _}}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = do_refused(ConnPid, StreamRef),
	lying_server:go(Server),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "after"}),
	?EXPECT({lying_server, Server, {frame, text, <<"after">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"got it">>}}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

do_refused(ConnPid, StreamRef) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "lost"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	ok = gun_rs:ws_send(ConnPid, {text, "lost"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	{error, {badstate, [_|_]}} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "lost"}),
	%% To the caller, whoever that is.
	{Caller, MRef} = spawn_monitor(fun() ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "lost"}, ping]),
		ok = ?EXPECT({gun_error, ConnPid, {badstate, [_|_]}})
	end),
	?EXPECT({'DOWN', MRef, process, Caller, normal}).

queued_while_away(Config) ->
	doc("With a queue, frames wait while the WebSocket is away, and go out in order behind the next gun_upgrade."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 10000}}}, Config),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "1"}, {binary, "2"}]),
	ok = gun_rs:ws_send(ConnPid, {text, "3"}),
	Sync = do_send_sync(ConnPid, StreamRef, {text, "4"}),
	%% It has reached the queue when a call after it is answered.
	#{stats := #{send_queue := Queued}} = gun_rs:info(ConnPid),
	true = Queued >= 4,
	{Server, At} = do_serve([{answer, fun do_wait/1}, frames], At, Config),
	?EXPECT({lying_server, Server, {request, _}}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "5"}),
	Sync2 = do_send_sync(ConnPid, StreamRef, {text, "6"}),
	?REFUTE({_, sent, _}),
	lying_server:go(Server),
	{gun_upgrade, ConnPid, StreamRef, _, _} = ?EXPECT(Msg when element(1, Msg) =:= gun_upgrade, Msg),
	ok = ?EXPECT({Sync, sent, Result}, Result),
	ok = ?EXPECT({Sync2, sent, Result}, Result),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "7"}),
	Expected = [{text, <<"1">>}, {binary, <<"2">>}, {text, <<"3">>}, {text, <<"4">>}, {text, <<"5">>}, {text, <<"6">>},
		{text, <<"7">>}],
	Expected = [?EXPECT({lying_server, Server, {frame, Type, Payload}}, {Type, Payload}) || _ <- Expected],
	true = eventually(fun() -> maps:get(send_queue, maps:get(stats, gun_rs:info(ConnPid))) =:= 0 end),
	?REFUTE({gun_error, _, _}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

%% Sends in a process of its own; returns when the call has reached the connection.
do_send_sync(ConnPid, StreamRef, Frames) ->
	Self = self(),
	Pid = spawn_link(fun() ->
		Self ! {self(), sent, gun_rs:ws_send_sync(ConnPid, StreamRef, Frames, infinity)}
	end),
	true = eventually(fun() -> process_info(Pid, status) =:= {status, waiting} end),
	_ = gun_rs:info(ConnPid),
	Pid.

queue_is_kept_over_a_lost_connection(Config) ->
	doc("Frames that wait, wait on when the connection is lost before the answer, and are sent once, in order."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 10000}}}, Config),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "1"}),
	_ = [begin
		{Server, At} = do_serve([request, wait, close], At, Config),
		_ = do_request(Server),
		?EXPECT({gun_up, ConnPid, http}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, integer_to_list(N)}),
		_ = gun_rs:info(ConnPid),
		lying_server:go(Server),
		do_stop(Server),
		?EXPECT({gun_down, ConnPid, http, _, []})
	end || N <- [2, 3, 4]],
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "5"}),
	{Server, At} = do_serve([upgrade, frames], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	Sent = [<<"1">>, <<"2">>, <<"3">>, <<"4">>, <<"5">>],
	Sent = [?EXPECT({lying_server, Server, {frame, text, Payload}}, Payload) || _ <- Sent],
	?REFUTE({lying_server, Server, {frame, _, _}}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

send_queue_full(Config) ->
	doc("Beyond the bound it is send_queue_full, and nothing of that call is sent; after the upgrade the bound is gone."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 1850}}}, Config),
	ok = do_fill(ConnPid, StreamRef, $a),
	{Server, At} = do_serve([{answer, fun do_wait/1}, frames], At, Config),
	?EXPECT({lying_server, Server, {request, _}}),
	?EXPECT({gun_up, ConnPid, http}),
	%% It is still full.
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, binary:copy(<<"x">>, 600)}),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	lying_server:go(Server),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, binary:copy(<<"y">>, 5000)}, ?WAIT),
	Lengths = [?EXPECT({lying_server, Server, {frame, text, Payload}}, {binary:first(Payload), byte_size(Payload)})
		|| _ <- [1, 2, 3]],
	[{$a, 600}, {$a, 100}, {$y, 5000}] = Lengths,
	%% It fills again while the WebSocket is away again.
	do_stop(Server),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
	ok = do_fill(ConnPid, StreamRef, $b),
	{Server2, At} = do_serve([upgrade, frames], At, Config),
	[{$b, 600}, {$b, 100}] = [?EXPECT({lying_server, Server2, {frame, text, Payload}},
		{binary:first(Payload), byte_size(Payload)}) || _ <- [1, 2]],
	ok = gun_rs:close(ConnPid),
	do_stop(Server2).

do_fill(ConnPid, StreamRef, Byte) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, binary:copy(<<Byte>>, 600)}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "small"}, {text, binary:copy(<<"x">>, 600)}]),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	ok = gun_rs:ws_send(ConnPid, {text, binary:copy(<<"x">>, 600)}),
	?EXPECT({gun_error, ConnPid, send_queue_full}),
	{error, send_queue_full} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, binary:copy(<<"x">>, 600)}),
	%% What fits still does.
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, binary:copy(<<Byte>>, 100)}),
	?REFUTE({gun_error, ConnPid, _, _}),
	?REFUTE({gun_error, ConnPid, _}).

queue_refused(Config) ->
	doc("When the upgrade ends in a refusal, a wrong answer or nothing that is HTTP, those who wait get badstate."),
	_ = [begin
		{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 10000}}}, Config),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "waits"}),
		Sync = do_send_sync(ConnPid, StreamRef, {text, "waits too"}),
		{Server, At} = do_serve([{answer, fun(_) -> receive go -> Answer end end}], At, Config),
		?EXPECT({lying_server, Server, {request, _}}),
		Sync2 = do_send_sync(ConnPid, StreamRef, {text, "and this"}),
		lying_server:go(Server),
		?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
		{error, {badstate, [_|_]}} = ?EXPECT({Sync, sent, Result}, Result),
		{error, {badstate, [_|_]}} = ?EXPECT({Sync2, sent, Result}, Result),
		#{stats := #{send_queue := 0}} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid),
		gun_rs:flush(ConnPid),
		do_stop(Server)
	end || Answer <- [
		"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
		"HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: no\r\n\r\n",
		"\1\2\3 this is no HTTP\r\n\r\n"
	]],
	ok.

queue_is_for_what_waits(Config) ->
	doc("The queue's bound is not one of the WebSocket: a max_send_queue of its own holds there."),
	{ConnPid, StreamRef, At} = do_away(#{ws_opts => #{reupgrade => #{queue => 100}, max_send_queue => 1000}}, Config),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, binary:copy(<<"x">>, 500)}),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	{Server, At} = do_serve([upgrade, frames], At, Config),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, binary:copy(<<"y">>, 500)}, ?WAIT),
	{error, send_queue_full} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, binary:copy(<<"z">>, 2000)}, ?WAIT),
	?EXPECT({lying_server, Server, {frame, text, <<"yyy", _/binary>>}}),
	ok = gun_rs:close(ConnPid),
	do_stop(Server).

%% Receivers.

reply_to_elsewhere(Config) ->
	doc("gun_upgrade and the frames go to reply_to each time: another process, one of another node, a fun."),
	{Peer, Node} = gun_rs_test:start_node(),
	Self = self(),
	Forward = fun(Msg) -> Self ! {forwarded, Msg} end,
	Local = spawn_link(fun() -> do_forward(Self) end),
	Remote = spawn(Node, fun() -> ?MODULE:do_forward(Self) end),
	_ = [begin
		{Server, At} = do_serve([upgrade, {send, frame(text, "news")}, wait, close], Config),
		ConnPid = do_open(At, #{ws_opts => #{}}, Config),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{reupgrade => true, reply_to => ReplyTo}),
		_ = [begin
			{forwarded, {gun_upgrade, ConnPid, StreamRef, _, _}} = ?EXPECT(Msg = {forwarded, _}, Msg),
			{forwarded, {gun_ws, ConnPid, StreamRef, {text, <<"news">>}}} = ?EXPECT(Msg = {forwarded, _}, Msg),
			lying_server:go(Server),
			?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
			?EXPECT({gun_up, ConnPid, http})
		end || _ <- [1, 2, 3]],
		?REFUTE({gun_upgrade, _, _, _, _}),
		ok = gun_rs:close(ConnPid),
		gun_rs:flush(ConnPid),
		_ = (fun Flush() -> receive {forwarded, _} -> Flush() after 200 -> ok end end)(),
		do_stop(Server)
	end || ReplyTo <- [Local, Remote, Forward, {fun(Msg, Pid) -> Pid ! {forwarded, Msg} end, [Self]}]],
	unlink(Local),
	exit(Local, kill),
	ok = peer:stop(Peer).

do_forward(To) ->
	receive Msg -> To ! {forwarded, Msg} end,
	?MODULE:do_forward(To).

owner_handed_over_in_between(Config) ->
	doc("A new owner, named while the WebSocket is away, hears of the next connection; the stream keeps its receiver."),
	{ConnPid, StreamRef, At} = do_away(#{}, Config),
	Self = self(),
	NewOwner = spawn_link(fun() -> do_forward(Self) end),
	ok = gun_rs:set_owner(ConnPid, NewOwner),
	#{owner := NewOwner} = gun_rs:info(ConnPid),
	{Server, At} = do_serve([upgrade, wait, close], At, Config),
	?EXPECT({forwarded, {gun_up, ConnPid, http}}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	lying_server:go(Server),
	?EXPECT({forwarded, {gun_down, ConnPid, ws, closed, [StreamRef]}}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	?REFUTE({gun_up, _, _}),
	?REFUTE({gun_down, _, _, _, _}),
	unlink(NewOwner),
	MRef = watch(ConnPid),
	exit(NewOwner, oops),
	%% The connection says 1001, and waits no longer.
	lying_server:go(Server),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, oops}}}),
	do_stop(Server).

two_connections(Config) ->
	doc("What waits for one connection's upgrade is not another's."),
	Opts = #{ws_opts => #{reupgrade => #{queue => 1000}}},
	{Server, At} = do_serve([upgrade, frames], Config),
	Conns = [do_open_ws(At, Opts, Config) || _ <- lists:seq(1, 10)],
	do_stop(Server),
	_ = [?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}) || {ConnPid, StreamRef} <- Conns],
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, {text, pid_to_list(ConnPid)}) || {ConnPid, StreamRef} <- Conns],
	{Server2, At} = do_serve([upgrade, frame, frames], At, Config),
	_ = [?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}) || {ConnPid, StreamRef} <- Conns],
	Sent = lists:sort([list_to_binary(pid_to_list(ConnPid)) || {ConnPid, _} <- Conns]),
	Sent = lists:sort([?EXPECT({lying_server, Server2, {frame, text, Text}}, Text) || _ <- Conns]),
	_ = [ok = gun_rs:close(ConnPid) || {ConnPid, _} <- Conns],
	do_stop(Server2).
