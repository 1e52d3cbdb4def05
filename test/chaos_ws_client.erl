%% A client of chaos_served that keeps to the rules: it sends numbers, and looks at what comes back. Whatever is not told
%% by a close frame is wrong: an echo that is missing, comes twice or out of order, and a connection that is just gone.
%% When its connection has been closed, it makes another.
-module(chaos_ws_client).

-export([start/1]).
-export([finish/1]).
-export([close/1]).

%% Its pace is how it sends: nothing, one number now and then, a few hundred at once, or a byte now and then.
-type settings() :: #{transport := gen_tcp | ssl, port := inet:port_number(), pace := idle | steady | flood | slow}.
-type client() :: {pid(), reference(), settings()}.
-export_type([settings/0, client/0]).

%% Far more than any step takes.
-define(WAIT, 120000).

-spec start(settings()) -> client().
start(Settings) ->
	Seed = rand:uniform(1 bsl 58),
	Parent = self(),
	{Pid, MRef} = spawn_monitor(fun() ->
		_ = rand:seed(exsss, Seed),
		loop(connect(Settings#{
			parent => Parent,
			socket => undefined,
			data => <<>>,
			%% The numbers of the next message to send, and of the next one to come back; that of the last broadcast.
			next => 1,
			expect => 1,
			broadcast => 0,
			%% When it was upgraded, and what the last attempt to send has come to: of help where something is wrong.
			since => 0,
			last_send => ok,
			finishing => false,
			counts => #{},
			wrong => []
		}))
	end),
	{Pid, MRef, Settings}.

%% Returns when each of them has a connection, and what it has sent last has come back.
-spec finish([client()]) -> ok.
finish(Clients) ->
	_ = [Pid ! finish || {Pid, _, _} <- Clients],
	_ = [receive
		{ready, Pid} -> ok;
		{'DOWN', MRef, process, Pid, Reason} -> error({client, Settings, Reason})
	after ?WAIT ->
		error({client_hangs, Settings, process_info(Pid, [dictionary, messages, current_stacktrace])})
	end || {Pid, MRef, Settings} <- Clients],
	ok.

%% What they have counted, and what was wrong.
-spec close([client()]) -> [#{counts := map(), wrong := list()}].
close(Clients) ->
	_ = [Pid ! close || {Pid, _, _} <- Clients],
	[receive
		{'DOWN', MRef, process, Pid, {report, Report}} -> Report;
		{'DOWN', MRef, process, Pid, Reason} -> error({client, Settings, Reason})
	after ?WAIT ->
		error({client_hangs, Settings, process_info(Pid, [dictionary, messages, current_stacktrace])})
	end || {Pid, MRef, Settings} <- Clients].

%% Connecting.

connect(State = #{transport := Transport, port := Port}) ->
	case Transport:connect("127.0.0.1", Port, options(Transport), ?WAIT) of
		{ok, Socket} ->
			case Transport:send(Socket, raw_ws:upgrade_request("/echo", [])) of
				ok -> upgraded(<<>>, State#{socket := Socket});
				{error, Reason} -> again({upgrade, Reason}, State#{socket := Socket})
			end;
		{error, {tls_alert, {Alert, _}}} -> again({tls_alert, Alert}, State);
		{error, Reason} when is_atom(Reason) -> again({connect, Reason}, State)
	end.

options(gen_tcp) -> [binary, {active, false}, {nodelay, true}];
options(ssl) -> [{verify, verify_none}, {versions, ['tlsv1.3']}|options(gen_tcp)].

upgraded(Data, State = #{transport := Transport, socket := Socket, next := Next}) ->
	case binary:split(Data, <<"\r\n\r\n">>) of
		[<<"HTTP/1.1 101 ", _/binary>>, Rest] ->
			Since = erlang:system_time(millisecond),
			frames(count(upgrades, active(State#{data := Rest, expect := Next, broadcast := 0, since := Since})));
		[<<"HTTP/1.1 ", Status:3/binary, _/binary>>, _] ->
			again({status, Status}, State);
		[_] ->
			case Transport:recv(Socket, 0, ?WAIT) of
				{ok, More} -> upgraded(<<Data/binary, More/binary>>, State);
				{error, timeout} -> again(upgrade, wrong(no_answer, State));
				{error, Reason} -> again({upgrade, Reason}, State)
			end
	end.

again(Why, State) ->
	%% For whoever wants to know why it hangs.
	_ = put(again, {Why, maps:get(counts, State)}),
	Closed = closed(count(Why, State)),
	timer:sleep(20 + rand:uniform(200)),
	connect(Closed).

closed(State = #{socket := undefined}) ->
	State;
closed(State = #{transport := Transport, socket := Socket}) ->
	_ = Transport:close(Socket),
	State#{socket := undefined, data := <<>>}.

active(State = #{transport := gen_tcp, socket := Socket}) ->
	_ = inet:setopts(Socket, [{active, once}]),
	State;
active(State = #{transport := ssl, socket := Socket}) ->
	_ = ssl:setopts(Socket, [{active, once}]),
	State.

%% Sending and receiving.

loop(State = #{next := N, expect := N, finishing := true, parent := Parent}) ->
	%% Whatever the pace, one message more.
	case until_back(send_one(State)) of
		Up = #{next := Next, expect := Next} when Next =:= N + 1 ->
			Parent ! {ready, self()},
			last(Up);
		Other -> loop(Other)
	end;
loop(State = #{finishing := true}) ->
	loop(until_back(State));
loop(State = #{pace := idle}) ->
	loop(wait(?WAIT, State));
loop(State = #{pace := steady}) ->
	loop(wait(rand:uniform(50), send_one(State)));
loop(State = #{pace := slow}) ->
	loop(wait(rand:uniform(50), send_slowly(State)));
loop(State = #{pace := flood}) ->
	loop(wait(rand:uniform(100), until_back(send_many(rand:uniform(500), State)))).

until_back(State = #{next := N, expect := N}) -> State;
until_back(State) -> until_back(wait(?WAIT, State)).

%% What comes, until nothing has come for so long, or a finish.
wait(Ms, State = #{next := N, expect := Expect}) ->
	_ = put(state, maps:without([data], State)),
	receive
		finish -> State#{finishing := true};
		Message ->
			case message(Message, State) of
				%% What it waits for is there.
				State1 = #{next := N, expect := N} when Expect =/= N -> State1;
				State1 = #{next := N, finishing := false} -> wait(Ms, State1);
				State1 -> State1
			end
	after Ms ->
		case Ms of
			?WAIT when N =/= Expect -> again(silence, wrong({nothing_came, N, Expect}, State));
			_ -> State
		end
	end.

message({Tag, Socket, Data}, State = #{socket := Socket, data := Before}) when Tag =:= tcp; Tag =:= ssl ->
	frames(active(State#{data := <<Before/binary, Data/binary>>}));
message({Tag, Socket}, State = #{socket := Socket}) when Tag =:= tcp_closed; Tag =:= ssl_closed ->
	lost(closed, State);
message({Tag, Socket, Reason}, State = #{socket := Socket}) when Tag =:= tcp_error; Tag =:= ssl_error ->
	lost(Reason, State);
%% Of a socket that was.
message(_, State) ->
	State.

lost(Reason, State = #{next := Next, expect := Expect}) ->
	again({lost, Reason}, wrong({lost, Reason, {waiting_for, Next - Expect}}, State)).

frames(State = #{data := Data}) ->
	case Data of
		<<1:1, 0:3, Opcode:4, 0:1, Length:7, Payload:Length/binary, Rest/binary>> when Length < 126 ->
			frame(Opcode, Payload, State#{data := Rest});
		<<1:1, 0:3, Opcode:4, 0:1, 126:7, Length:16, Payload:Length/binary, Rest/binary>> ->
			frame(Opcode, Payload, State#{data := Rest});
		<<1:1, 0:3, _:4, 0:1, _:7, _/binary>> ->
			State;
		<<_, _, _/binary>> ->
			again(odd, wrong({odd, binary:part(Data, 0, 2)}, State));
		_ ->
			State
	end.

frame(1, Payload, State = #{expect := Expect, next := Next}) ->
	case Expect < Next andalso payload(Expect, State) =:= Payload of
		true -> frames(count(echoes, State#{expect := Expect + 1}));
		false -> again(echo, wrong({echo, binary:part(Payload, 0, min(20, byte_size(Payload))), Expect, Next}, State))
	end;
frame(2, Payload, State = #{broadcast := Last}) ->
	case binary_to_integer(Payload) of
		N when N > Last -> frames(count(broadcasts, State#{broadcast := N}));
		N -> frames(wrong({broadcast, N, Last}, State))
	end;
frame(8, <<Code:16, Text/binary>>, State = #{transport := Transport, socket := Socket}) ->
	State1 = case lists:member({Code, Text}, [{1001, <<>>}, {1011, <<>>}, {1012, <<"restart">>}]) of
		true -> State;
		false -> wrong({close, Code, Text}, State)
	end,
	_ = Transport:send(Socket, raw_ws:frame(close, <<Code:16>>)),
	again({close, Code}, State1);
frame(Opcode, Payload, State) ->
	frames(wrong({frame, Opcode, Payload}, State)).

%% Each has its number, and its size comes of it.
payload(N, #{pace := Pace}) ->
	Size = case Pace of
		flood -> N * 379 rem 4000;
		_ -> N * 7 rem 200
	end,
	<<(integer_to_binary(N))/binary, ":", (binary:copy(<<"x">>, Size))/binary>>.

%% Whether it could be sent is seen by what comes back.
send_one(State = #{next := N}) ->
	sent(1, [raw_ws:frame(text, payload(N, State))], State).

send_many(Many, State = #{next := N}) ->
	sent(Many, [raw_ws:frame(text, payload(M, State)) || M <- lists:seq(N, N + Many - 1)], State).

sent(Many, Frames, State = #{transport := Transport, socket := Socket, next := N}) ->
	State#{next := N + Many, last_send := Transport:send(Socket, Frames)}.

%% What comes meanwhile is taken note of: the connection may be closed in the middle.
send_slowly(State = #{next := N}) ->
	send_slowly(raw_ws:frame(text, payload(N, State)), State).

send_slowly(<<Byte>>, State) ->
	sent(1, <<Byte>>, State);
send_slowly(<<Byte, Rest/binary>>, State = #{transport := Transport, socket := Socket}) ->
	case wait(rand:uniform(10), State#{last_send := Transport:send(Socket, <<Byte>>)}) of
		Same = #{socket := Socket} -> send_slowly(Rest, Same);
		Other -> Other
	end.

%% Nothing happens any more but what the suite asks for.
last(State = #{transport := Transport, socket := Socket}) ->
	receive
		close ->
			ok = Transport:send(Socket, raw_ws:frame(close, <<1000:16>>)),
			leave(State);
		Message ->
			last(message(Message, State))
	after 3 * ?WAIT ->
		exit(forgotten)
	end.

leave(State = #{socket := Socket, transport := Transport, data := Data}) ->
	case Data of
		<<16#88, 2, 1000:16>> -> report(State);
		_ ->
			receive
				{Tag, Socket, More} when Tag =:= tcp; Tag =:= ssl ->
					leave(active(State#{data := <<Data/binary, More/binary>>}));
				{Tag, Socket} when Tag =:= tcp_closed; Tag =:= ssl_closed ->
					report(wrong({no_close, Data}, State))
			after ?WAIT ->
				_ = Transport:close(Socket),
				report(wrong({no_close, Data}, State))
			end
	end.

-spec report(map()) -> no_return().
report(State) ->
	#{counts := Counts, wrong := Wrong} = closed(State),
	exit({report, #{counts => Counts, wrong => lists:reverse(Wrong)}}).

count(Key, State = #{counts := Counts}) ->
	State#{counts := maps:update_with(Key, fun(N) -> N + 1 end, 1, Counts)}.

%% The first few are enough.
wrong(What, State = #{wrong := Wrong}) when length(Wrong) < 5 ->
	Known = maps:with([pace, transport, next, expect, since, last_send], State),
	State#{wrong := [{erlang:system_time(millisecond), What, Known}|Wrong]};
wrong(_, State) ->
	State.
