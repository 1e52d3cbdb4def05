%% Clients of chaos_served that do not keep to the rules, or are gone before their time; and some who ask for a page. The
%% latter look at what they get.
-module(chaos_odd_clients).

-export([start/2]).
-export([finish/1]).

-define(WAIT, 120000).

%% So many of them, until they are told to finish. Versions is the number that a page has at least.
-spec start(pos_integer(), #{ports := [{clear | tls, inet:port_number()}], versions := atomics:atomics_ref()})
	-> [{pid(), reference()}].
start(Many, Settings) ->
	[begin
		Seed = rand:uniform(1 bsl 58),
		spawn_monitor(fun() ->
			_ = rand:seed(exsss, Seed),
			loop(Settings, #{})
		end)
	end || _ <- lists:seq(1, Many)].

-spec finish([{pid(), reference()}]) -> [Counts :: map()].
finish(Clients) ->
	_ = [Pid ! finish || {Pid, _} <- Clients],
	[receive
		{'DOWN', MRef, process, Pid, {counts, Counts}} -> Counts;
		{'DOWN', MRef, process, Pid, Reason} -> error({odd_client, Reason})
	after ?WAIT ->
		error({odd_client_hangs, process_info(Pid, [messages, current_stacktrace])})
	end || {Pid, MRef} <- Clients].

loop(Settings, Counts) ->
	receive
		finish -> exit({counts, Counts})
	after rand:uniform(100) ->
		Kinds = [silent, half_head, slow_head, half_frame, slow_reader, reset, garbage, half_hello, page, pages],
		Kind = lists:nth(rand:uniform(length(Kinds)), Kinds),
		Result = do(Kind, Settings),
		loop(Settings, maps:update_with({Kind, Result}, fun(N) -> N + 1 end, 1, Counts))
	end.

do(half_hello, #{ports := Ports}) ->
	{_, Port} = lists:keyfind(tls, 1, Ports),
	with(Port, fun(Socket) ->
		_ = gen_tcp:send(Socket, <<22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3>>),
		pause(1000),
		leave(Socket)
	end);
do(Kind, Settings = #{ports := Ports}) ->
	{_, Port} = lists:keyfind(clear, 1, Ports),
	with(Port, fun(Socket) -> do(Kind, Socket, Settings) end).

with(Port, Fun) ->
	case gen_tcp:connect("127.0.0.1", Port, [binary, {active, false}, {send_timeout, 500}, {recbuf, 4096}]) of
		{ok, Socket} ->
			try Fun(Socket) after gen_tcp:close(Socket) end;
		{error, Reason} ->
			Reason
	end.

do(silent, Socket, _) ->
	pause(1000),
	leave(Socket);
do(half_head, Socket, _) ->
	Head = iolist_to_binary(raw_ws:upgrade_request("/echo", [])),
	_ = gen_tcp:send(Socket, binary:part(Head, 0, rand:uniform(byte_size(Head) - 1))),
	pause(2500),
	leave(Socket);
do(slow_head, Socket, _) ->
	Head = iolist_to_binary(raw_ws:upgrade_request("/echo", [])),
	_ = [begin
		_ = gen_tcp:send(Socket, <<Byte>>),
		timer:sleep(rand:uniform(20))
	end || <<Byte>> <= Head],
	leave(Socket);
do(half_frame, Socket, _) ->
	upgraded(Socket, fun() ->
		Frame = raw_ws:frame(text, binary:copy(<<"x">>, rand:uniform(100000))),
		_ = gen_tcp:send(Socket, binary:part(Frame, 0, rand:uniform(byte_size(Frame) - 1))),
		pause(2000),
		leave(Socket)
	end);
%% Until nothing more goes in, or the server has had enough.
do(slow_reader, Socket, _) ->
	upgraded(Socket, fun() ->
		Frame = raw_ws:frame(text, binary:copy(<<"x">>, 60000)),
		push(Socket, Frame, 400),
		_ = [begin
			_ = gen_tcp:recv(Socket, 1000, 10),
			timer:sleep(rand:uniform(10))
		end || _ <- lists:seq(1, rand:uniform(50))],
		leave(Socket)
	end);
do(reset, Socket, _) ->
	upgraded(Socket, fun() ->
		_ = gen_tcp:send(Socket, [raw_ws:frame(text, <<"lost">>) || _ <- lists:seq(1, rand:uniform(50))]),
		_ = inet:setopts(Socket, [{linger, {true, 0}}]),
		ok
	end);
do(garbage, Socket, _) ->
	Garbage = fun() -> rand:bytes(rand:uniform(2000)) end,
	case rand:uniform(2) of
		1 ->
			_ = gen_tcp:send(Socket, Garbage()),
			pause(200),
			leave(Socket);
		2 ->
			upgraded(Socket, fun() ->
				_ = gen_tcp:send(Socket, Garbage()),
				pause(200),
				leave(Socket)
			end)
	end;
do(page, Socket, Settings) ->
	pages(1, Socket, Settings);
do(pages, Socket, Settings) ->
	pages(1 + rand:uniform(20), Socket, Settings).

%% All at once. The version was known before the connection was asked for.
pages(Many, Socket, #{versions := Versions, ports := Ports}) ->
	ok = gen_tcp:close(Socket),
	Version = atomics:get(Versions, 1),
	{_, Port} = lists:keyfind(clear, 1, Ports),
	with(Port, fun(New) ->
		_ = gen_tcp:send(New, lists:duplicate(Many, "GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n")),
		answers(Many, New, Version, <<>>)
	end).

answers(0, _, _, _) ->
	ok;
answers(Many, Socket, Version, Data) ->
	case binary:split(Data, <<"\r\n\r\n">>) of
		[<<"HTTP/1.1 200 OK", Headers/binary>>, Rest] ->
			{match, [Text]} = re:run(Headers, "content-length: (\\d+)", [{capture, [1], list}]),
			Length = list_to_integer(Text),
			case Rest of
				<<Body:Length/binary, Behind/binary>> ->
					true = binary_to_integer(Body) >= Version,
					answers(Many - 1, Socket, Version, Behind);
				_ ->
					more(Many, Socket, Version, Data)
			end;
		[<<"HTTP/1.1 ", Status:3/binary, _/binary>>, _] -> {status, Status};
		[_] -> more(Many, Socket, Version, Data)
	end.

more(Many, Socket, Version, Data) ->
	case gen_tcp:recv(Socket, 0, ?WAIT) of
		{ok, More} -> answers(Many, Socket, Version, <<Data/binary, More/binary>>);
		{error, timeout} -> exit(no_answer);
		{error, Reason} -> Reason
	end.

upgraded(Socket, Fun) ->
	_ = gen_tcp:send(Socket, raw_ws:upgrade_request("/echo", [])),
	case gen_tcp:recv(Socket, 12, ?WAIT) of
		{ok, <<"HTTP/1.1 101">>} -> Fun();
		{ok, <<"HTTP/1.1 ", Status/binary>>} -> {status, Status};
		{error, timeout} -> exit(no_answer);
		{error, Reason} -> Reason
	end.

push(_, _, 0) -> ok;
push(Socket, Frame, N) ->
	case gen_tcp:send(Socket, Frame) of
		ok -> push(Socket, Frame, N - 1);
		{error, _} -> ok
	end.

pause(Ms) ->
	timer:sleep(rand:uniform(Ms)).

%% By a reset, or as it should be.
leave(Socket) ->
	_ = case rand:uniform(2) of
		1 -> inet:setopts(Socket, [{linger, {true, 0}}]);
		2 -> ok
	end,
	ok.
