%% Every close code that a server can send gives what RFC 6455, 7.4 and IANA's registry ask for.
-module(gun_rs_close_codes_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [response/1]).

-include("gun_rs_suite.hrl").

%% How many connections there are at a time.
-define(AT_ONCE, 16).

every_code(_) ->
	doc("A valid code from 0 to 5000 is told, and answered by 1000; any other is a fault, and answered by 1002."),
	do_codes(lists:seq(0, 5000), fun(_) -> <<>> end).

reasons(_) ->
	doc("A reason changes nothing, and is told; the longest one too."),
	Codes = lists:seq(0, 5000, 50) ++ lists:seq(999, 1017) ++ [2999, 4999, 65535],
	do_codes(Codes, fun(Code) -> <<"the reason of ", (integer_to_binary(Code))/binary>> end),
	do_codes([1000, 1004, 3000], fun(_) -> binary:copy(<<"a">>, 123) end).

%% What the user sees, the code that the server gets, and gun_down's reason.
do_expected(Code, Reason) when Code >= 1000, Code =< 1003; Code >= 1007, Code =< 1014; Code >= 3000, Code =< 4999 ->
	{{close, Code, Reason}, 1000, normal};
do_expected(Code, _) ->
	Fault = {ws_protocol, {close_code, Code}},
	{Fault, 1002, {error, Fault}}.

do_codes(Codes, Reason) ->
	Workers = [spawn_monitor(fun() ->
		exit({seen, do_work([Code || Code <- Codes, Code rem ?AT_ONCE =:= N], Reason)})
	end) || N <- lists:seq(0, ?AT_ONCE - 1)],
	Seen = lists:append([?EXPECT({'DOWN', MRef, process, Pid, {seen, Part}}, Part) || {Pid, MRef} <- Workers]),
	true = length(Codes) =:= length(Seen),
	[] = [{Code, Was} || {Code, Was} <- lists:sort(Seen), Was =/= do_expected(Code, Reason(Code))],
	ok.

%% Each worker is owner and server in one.
do_work(Codes, Reason) ->
	{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
	[{Code, do_code(Listener, Code, Reason(Code))} || Code <- Codes].

do_code(Listener, Code, Reason) ->
	{ok, Port} = inet:port(Listener),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
	Key = do_request(Socket, <<>>),
	ok = gen_tcp:send(Socket, [response(Key), frame(close, <<Code:16, Reason/binary>>)]),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	Told = receive
		{gun_ws, ConnPid, StreamRef, Frame} -> Frame;
		{gun_error, ConnPid, StreamRef, Fault} -> Fault
	after ?WAIT ->
		gun_rs_test:missing("the close frame, or the fault")
	end,
	{ok, <<1:1, 0:3, 8:4, 1:1, 2:7, Mask:16, _:16, Masked:16>>} = gen_tcp:recv(Socket, 8, ?WAIT),
	ok = gen_tcp:close(Socket),
	Down = ?EXPECT({gun_down, ConnPid, ws, R, [StreamRef]}, R),
	{Told, Mask bxor Masked, Down}.

do_request(Socket, Got0) ->
	{ok, Data} = gen_tcp:recv(Socket, 0, ?WAIT),
	Got = <<Got0/binary, Data/binary>>,
	case binary:match(Got, <<"\r\n\r\n">>) of
		nomatch -> do_request(Socket, Got);
		_ -> lying_server:key(Got)
	end.
