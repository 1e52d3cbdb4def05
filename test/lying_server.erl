%% A raw TCP server that plays a script, so that the suites can send what no honest server sends.
%%
%% Every connection plays the same script. What it sees it tells the process that started it, as
%% {lying_server, Server, Event}:
%%
%%     accepted                a connection came
%%     {request, Binary}       a request's header block, as it was on the wire
%%     {frame, Type, Payload}  a client frame, unmasked; {unmasked, Type, Payload} when it wasn't masked; Type is
%%                             {fragment, Type} without FIN, and {Rsv, Type} with reserved bits
%%     {flooded, Bytes}        how much a flood could send
%%     closed                  the client closed
%%
%% The steps of a script:
%%
%%     request                 read a request
%%     upgrade                 read a request, answer with a right 101
%%     {upgrade, IoData}       the same, with IoData in the same packet
%%     {answer, Fun}           read a request, answer with Fun(Key), Key being its sec-websocket-key
%%     {answer_cut, Fun, At}   the same, in two packets, cut after At bytes
%%     {answer_bytewise, Fun}  the same, one packet for each byte
%%     {send, IoData}          send it at once
%%     {send_cut, IoData, At}  send it in two packets, cut after At bytes
%%     {send_bytewise, IoData} one packet for each byte
%%     {send_each, Fun, Count} send Fun(1) to Fun(Count)
%%     {flood, IoData, Max}    send it again and again, until the client closes or Max bytes are sent
%%     frame                   read one frame
%%     frames                  read frames until the client closes
%%     wait                    until go/1
%%     close                   close the socket
%%     reset                   close the socket with a TCP reset
%%
%% At the end of a script the connection stays open until the client closes it.
-module(lying_server).

-export([start/1]).
-export([start/2]).
-export([port/1]).
-export([go/1]).
-export([stop/1]).

-export([key/1]).
-export([accept/1]).
-export([response/1]).
-export([response/2]).
-export([frame/2]).
-export([frame/5]).

-define(PAUSE, 3).

start(Script) ->
	start(Script, []).

start(Script, Opts) ->
	Parent = self(),
	{Server, MRef} = spawn_monitor(fun() -> init(Parent, Script, Opts) end),
	receive
		{Server, {ok, Port}} ->
			demonitor(MRef, [flush]),
			{Server, Port};
		{'DOWN', MRef, process, Server, Reason} ->
			error({lying_server, Reason})
	end.

port(Server) ->
	Server ! {port, self()},
	receive {Server, {ok, Port}} -> Port end.

go(Server) ->
	Server ! go,
	ok.

stop(Server) ->
	MRef = monitor(process, Server),
	exit(Server, shutdown),
	receive {'DOWN', MRef, process, Server, _} -> ok end.

%% Messages, well made. RFC 6455, 4.2.2 and 5.2.

accept(Key) ->
	base64:encode(crypto:hash(sha, [Key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"])).

response(Key) ->
	response(Key, []).

response(Key, Headers) ->
	[
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Connection: Upgrade\r\n"
		"Upgrade: websocket\r\n"
		"Sec-WebSocket-Accept: ", accept(Key), "\r\n",
		[[Name, ": ", Value, "\r\n"] || {Name, Value} <- Headers],
		"\r\n"
	].

frame(Type, Payload) ->
	frame(1, 0, opcode(Type), undefined, Payload).

frame(Fin, Rsv, Opcode, Mask, Payload0) ->
	Payload = iolist_to_binary(Payload0),
	{MaskBit, MaskKey} = case Mask of
		undefined -> {0, <<>>};
		_ -> {1, Mask}
	end,
	Len = case byte_size(Payload) of
		N when N < 126 -> <<N:7>>;
		N when N < 65536 -> <<126:7, N:16>>;
		N -> <<127:7, N:64>>
	end,
	[<<Fin:1, Rsv:3, Opcode:4, MaskBit:1, Len/bits>>, MaskKey, mask(MaskKey, Payload)].

mask(<<>>, Payload) ->
	Payload;
mask(Key, Payload) ->
	Size = byte_size(Payload),
	crypto:exor(Payload, binary:part(binary:copy(Key, Size div 4 + 1), 0, Size)).

opcode(continuation) -> 0;
opcode(text) -> 1;
opcode(binary) -> 2;
opcode(close) -> 8;
opcode(ping) -> 9;
opcode(pong) -> 10.

type(0) -> continuation;
type(1) -> text;
type(2) -> binary;
type(8) -> close;
type(9) -> ping;
type(10) -> pong;
type(Opcode) -> {opcode, Opcode}.

%% The server's process, which outlives no test case, and its acceptor.

init(Parent, Script, Opts) ->
	_ = monitor(process, Parent),
	Defaults = [binary, {active, false}, {reuseaddr, true}, {nodelay, true}, {backlog, 1024}],
	{ok, Listener} = case proplists:lookup(port, Opts) of
		none -> gen_tcp:listen(0, Opts ++ Defaults);
		{port, Port0} -> gen_tcp:listen(Port0, proplists:delete(port, Opts) ++ Defaults)
	end,
	{ok, Port} = inet:port(Listener),
	Server = self(),
	_ = spawn_link(fun() -> acceptor(Server, Listener, Parent, Script) end),
	Parent ! {Server, {ok, Port}},
	loop([], Port).

loop(Conns, Port) ->
	receive
		{conn, Pid} ->
			loop([Pid|Conns], Port);
		go ->
			_ = [Pid ! go || Pid <- Conns],
			loop(Conns, Port);
		{port, From} ->
			From ! {self(), {ok, Port}},
			loop(Conns, Port);
		{'DOWN', _, process, _, _} ->
			exit(shutdown)
	end.

acceptor(Server, Listener, Parent, Script) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	Tell = fun(Event) -> Parent ! {lying_server, Server, Event} end,
	Pid = spawn_link(fun() ->
		receive start -> ok end,
		Tell(accepted),
		play(Script, Socket, <<>>, Tell)
	end),
	ok = gen_tcp:controlling_process(Socket, Pid),
	Server ! {conn, Pid},
	Pid ! start,
	acceptor(Server, Listener, Parent, Script).

%% One connection.

play([], Socket, _, Tell) ->
	drain(Socket, Tell);
play([request|Script], Socket, Buffer, Tell) ->
	case request(Socket, Buffer, Tell) of
		{ok, _, Rest} -> play(Script, Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play([upgrade|Script], Socket, Buffer, Tell) ->
	play([{upgrade, <<>>}|Script], Socket, Buffer, Tell);
play([{upgrade, Data}|Script], Socket, Buffer, Tell) ->
	play([{answer, fun(Key) -> [response(Key), Data] end}|Script], Socket, Buffer, Tell);
play([{answer, Fun}|Script], Socket, Buffer, Tell) ->
	case request(Socket, Buffer, Tell) of
		{ok, Key, Rest} -> play([{send, Fun(Key)}|Script], Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play([{answer_cut, Fun, At}|Script], Socket, Buffer, Tell) ->
	case request(Socket, Buffer, Tell) of
		{ok, Key, Rest} -> play([{send_cut, Fun(Key), At}|Script], Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play([{answer_bytewise, Fun}|Script], Socket, Buffer, Tell) ->
	case request(Socket, Buffer, Tell) of
		{ok, Key, Rest} -> play([{send_bytewise, Fun(Key)}|Script], Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play([{send, Data}|Script], Socket, Buffer, Tell) ->
	_ = gen_tcp:send(Socket, Data),
	play(Script, Socket, Buffer, Tell);
play([{send_cut, Data, At}|Script], Socket, Buffer, Tell) ->
	<<First:At/binary, Second/binary>> = iolist_to_binary(Data),
	_ = gen_tcp:send(Socket, First),
	timer:sleep(?PAUSE),
	_ = gen_tcp:send(Socket, Second),
	play(Script, Socket, Buffer, Tell);
play([{send_bytewise, Data}|Script], Socket, Buffer, Tell) ->
	_ = [begin
		_ = gen_tcp:send(Socket, <<Byte>>),
		%% A chance to read it before the next; no sleep, which a loaded machine makes long.
		erlang:yield()
	end || <<Byte>> <= iolist_to_binary(Data)],
	play(Script, Socket, Buffer, Tell);
play([{send_each, Fun, Count}|Script], Socket, Buffer, Tell) ->
	_ = [gen_tcp:send(Socket, Fun(N)) || N <- lists:seq(1, Count)],
	play(Script, Socket, Buffer, Tell);
play([{flood, Data, Max}|Script], Socket, Buffer, Tell) ->
	Tell({flooded, flood(Socket, Data, iolist_size(Data), 0, Max)}),
	play(Script, Socket, Buffer, Tell);
play([frame|Script], Socket, Buffer, Tell) ->
	case frame(Socket, Buffer, Tell) of
		{ok, Rest} -> play(Script, Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play(Script = [frames|_], Socket, Buffer, Tell) ->
	case frame(Socket, Buffer, Tell) of
		{ok, Rest} -> play(Script, Socket, Rest, Tell);
		closed -> Tell(closed)
	end;
play([wait|Script], Socket, Buffer, Tell) ->
	receive go -> ok end,
	play(Script, Socket, Buffer, Tell);
play([close|_], Socket, _, _) ->
	ok = gen_tcp:close(Socket);
play([reset|_], Socket, _, _) ->
	ok = inet:setopts(Socket, [{linger, {true, 0}}]),
	ok = gen_tcp:close(Socket).

drain(Socket, Tell) ->
	case gen_tcp:recv(Socket, 0) of
		{ok, _} -> drain(Socket, Tell);
		{error, _} -> Tell(closed)
	end.

flood(Socket, Data, Size, Sent, Max) when Sent < Max ->
	case gen_tcp:send(Socket, Data) of
		ok -> flood(Socket, Data, Size, Sent + Size, Max);
		{error, _} -> Sent
	end;
flood(_, _, _, Sent, _) ->
	Sent.

request(Socket, Buffer, Tell) ->
	case binary:split(Buffer, <<"\r\n\r\n">>) of
		[Request, Rest] ->
			Tell({request, Request}),
			{ok, key(Request), Rest};
		[_] ->
			case gen_tcp:recv(Socket, 0) of
				{ok, Data} -> request(Socket, <<Buffer/binary, Data/binary>>, Tell);
				{error, _} -> closed
			end
	end.

%% The sec-websocket-key of a request.
key(Request) ->
	case re:run(Request, "^sec-websocket-key: *([^\r]*)", [caseless, multiline, {capture, [1], binary}]) of
		{match, [Key]} -> Key;
		nomatch -> <<>>
	end.

frame(Socket, Buffer, Tell) ->
	case parse(Buffer) of
		{Fin, Rsv, Masked, Opcode, Payload, Rest} ->
			Type0 = case Fin of
				1 -> type(Opcode);
				0 -> {fragment, type(Opcode)}
			end,
			Type = case Rsv of
				0 -> Type0;
				_ -> {Rsv, Type0}
			end,
			Tell({case Masked of 1 -> frame; 0 -> unmasked end, Type, Payload}),
			{ok, Rest};
		{more, Size} ->
			case gen_tcp:recv(Socket, Size) of
				{ok, Data} -> frame(Socket, <<Buffer/binary, Data/binary>>, Tell);
				{error, _} -> closed
			end
	end.

parse(<<Fin:1, Rsv:3, Opcode:4, Masked:1, 127:7, Len:64, Rest/binary>>) ->
	parse(Fin, Rsv, Masked, Opcode, Len, Rest);
parse(<<Fin:1, Rsv:3, Opcode:4, Masked:1, 126:7, Len:16, Rest/binary>>) ->
	parse(Fin, Rsv, Masked, Opcode, Len, Rest);
parse(<<Fin:1, Rsv:3, Opcode:4, Masked:1, Len:7, Rest/binary>>) when Len < 126 ->
	parse(Fin, Rsv, Masked, Opcode, Len, Rest);
parse(_) ->
	{more, 0}.

parse(Fin, Rsv, Masked, Opcode, Len, Rest0) ->
	KeyLen = 4 * Masked,
	case Rest0 of
		<<Key:KeyLen/binary, Payload:Len/binary, Rest/binary>> ->
			{Fin, Rsv, Masked, Opcode, mask(Key, Payload), Rest};
		_ ->
			%% What is still missing; recv/2 takes at most 64 MiB at a time.
			{more, min(KeyLen + Len - byte_size(Rest0), 16#4000000)}
	end.
