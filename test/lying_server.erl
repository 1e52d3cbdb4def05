%% A raw TCP server that plays a script, so that the suites can send what no honest server sends.
%%
%% Every connection plays the same script. What it sees it tells the process that started it, as
%% {lying_server, Server, Event}:
%%
%%     accepted                a connection came
%%     {request, Binary}       a request's header block, as it was on the wire
%%     {frame, Type, Payload}  a client frame, unmasked; {unmasked, Type, Payload} when it wasn't masked; Type is
%%                             {fragment, Type} without FIN, and {Rsv, Type} with reserved bits
%%     {body, Binary}          the body of a request that {http, Fun} read
%%     {read, Binary}          what {read, Size} or {read_to, Binary} read
%%     {sunk, Size, Sha256}    the body that sink read
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
%%     {http, Fun}             read a request and its body, answer with Fun(Request, Body)
%%     {sink, Part}            read a request and its body, which is hashed and dropped; wait for go/1 before each Part
%%                             bytes of it
%%     {read, Size}            read that many bytes, whatever they are
%%     {read_to, Binary}       read until that has come
%%     {send, IoData}          send it at once
%%     {send_cut, IoData, At}  send it in two packets, cut after At bytes
%%     {send_bytewise, IoData} one packet for each byte
%%     {send_each, Fun, Count} send Fun(1) to Fun(Count)
%%     {flood, IoData, Max}    send it again and again, until the client closes or Max bytes are sent
%%     frame                   read one frame
%%     frames                  read frames until the client closes
%%     {repeat, Script}        play it again and again
%%     wait                    until go/1
%%     close                   close the socket
%%     reset                   close the socket with a TCP reset
%%
%% At the end of a script the connection stays open until the client closes it.
%%
%% The options are those of gen_tcp:listen/2, the port among them; {tls, Opts}, with those of ssl:listen/2, makes it
%% speak TLS, and {ifaddr, {local, Path}} makes it a Unix domain socket, whose port is Path.
-module(lying_server).

-export([start/1]).
-export([start/2]).
-export([port/1]).
-export([go/1]).
-export([stop/1]).

-export([ok/1]).
-export([ok/2]).
-export([header/2]).
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

ok(Body) ->
	ok([], Body).

ok(Headers, Body) ->
	[
		"HTTP/1.1 200 OK\r\n"
		"content-length: ", integer_to_list(iolist_size(Body)), "\r\n",
		[[Name, ": ", Value, "\r\n"] || {Name, Value} <- Headers],
		"\r\n",
		Body
	].

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
	Port0 = proplists:get_value(port, Opts, 0),
	Others = proplists:delete(port, proplists:delete(tls, Opts)) ++ Defaults,
	{Listener, Port} = case proplists:lookup(tls, Opts) of
		none ->
			{ok, TcpListener} = listen(fun() -> gen_tcp:listen(Port0, Others) end),
			{ok, TcpPort} = inet:port(TcpListener),
			{TcpListener, TcpPort};
		{tls, TlsOpts} ->
			{ok, TlsListener} = listen(fun() -> ssl:listen(Port0, TlsOpts ++ Others) end),
			{ok, {_, TlsPort}} = ssl:sockname(TlsListener),
			{TlsListener, TlsPort}
	end,
	Server = self(),
	_ = spawn_link(fun() -> acceptor(Server, Listener, Parent, Script) end),
	Parent ! {Server, {ok, Port}},
	loop([], 0, Port).

%% A port may still be that of a server that has ended just now, or, for a moment, of somebody's connection.
listen(Listen) ->
	Listening = fun() ->
		case Listen() of
			{error, eaddrinuse} -> {error, eaddrinuse};
			Result -> self() ! {listening, Result}, true
		end
	end,
	case gun_rs_test:eventually(Listening) of
		true -> receive {listening, Result} -> Result end;
		Error -> Error
	end.

%% A client is connected before we have accepted it: what it is to go on with may be said before.
loop(Conns, Early, Port) ->
	receive
		{conn, Pid} ->
			_ = [Pid ! go || _ <- lists:seq(1, Early)],
			loop([Pid|Conns], 0, Port);
		go when Conns =:= [] ->
			loop(Conns, Early + 1, Port);
		go ->
			_ = [Pid ! go || Pid <- Conns],
			loop(Conns, Early, Port);
		{port, From} ->
			From ! {self(), {ok, Port}},
			loop(Conns, Early, Port);
		{'DOWN', _, process, _, _} ->
			exit(shutdown)
	end.

acceptor(Server, Listener, Parent, Script) ->
	Socket = accept_socket(Listener),
	Tell = fun(Event) -> Parent ! {lying_server, Server, Event} end,
	Pid = spawn_link(fun() ->
		receive start -> ok end,
		Tell(accepted),
		try
			play(Script, secure(Socket), <<>>, Tell)
		catch throw:closed ->
			Tell(closed)
		end
	end),
	ok = give_away(Socket, Pid),
	Server ! {conn, Pid},
	Pid ! start,
	acceptor(Server, Listener, Parent, Script).

%% The socket, of TCP or TLS.

accept_socket(Listener) when is_port(Listener) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	Socket;
accept_socket(Listener) ->
	{ok, Socket} = ssl:transport_accept(Listener),
	Socket.

%% The client may go away, or want nothing of us, in the midst of the handshake.
secure(Socket) when is_port(Socket) ->
	Socket;
secure(Socket) ->
	case ssl:handshake(Socket) of
		{ok, Secured} -> Secured;
		{error, _} -> throw(closed)
	end.

give_away(Socket, Pid) when is_port(Socket) -> gen_tcp:controlling_process(Socket, Pid);
give_away(Socket, Pid) -> ssl:controlling_process(Socket, Pid).

do_send(Socket, Data) when is_port(Socket) -> gen_tcp:send(Socket, Data);
do_send(Socket, Data) -> ssl:send(Socket, Data).

do_recv(Socket, Size) when is_port(Socket) -> gen_tcp:recv(Socket, Size);
do_recv(Socket, Size) -> ssl:recv(Socket, Size).

do_close(Socket) when is_port(Socket) -> gen_tcp:close(Socket);
do_close(Socket) -> ssl:close(Socket).

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
play([{http, Fun}|Script], Socket, Buffer, Tell) ->
	{Request, Body0, Rest} = message(Socket, Buffer, Tell, fun(Data, Body) -> [Body, Data] end, []),
	Body = iolist_to_binary(Body0),
	_ = [Tell({body, Body}) || Body =/= <<>>],
	play([{send, Fun(Request, Body)}|Script], Socket, Rest, Tell);
play([{sink, Part}|Script], Socket, Buffer, Tell) ->
	{_, {Size, Hash}, Rest} = message(Socket, Buffer, Tell,
		fun(Data, Sunk) -> sink(Data, Sunk, Part) end, {0, crypto:hash_init(sha256)}),
	Tell({sunk, Size, crypto:hash_final(Hash)}),
	play(Script, Socket, Rest, Tell);
play([{read, Size}|Script], Socket, Buffer, Tell) ->
	{Data, Rest} = read(Socket, Buffer, Size),
	Tell({read, Data}),
	play(Script, Socket, Rest, Tell);
play([{read_to, End}|Script], Socket, Buffer, Tell) ->
	{Data, Rest} = read_to(Socket, Buffer, End),
	Tell({read, <<Data/binary, End/binary>>}),
	play(Script, Socket, Rest, Tell);
play([{repeat, Steps}|_], Socket, Buffer, Tell) ->
	play(Steps ++ [{repeat, Steps}], Socket, Buffer, Tell);
play([{send, Data}|Script], Socket, Buffer, Tell) ->
	_ = do_send(Socket, Data),
	play(Script, Socket, Buffer, Tell);
play([{send_cut, Data, At}|Script], Socket, Buffer, Tell) ->
	<<First:At/binary, Second/binary>> = iolist_to_binary(Data),
	_ = do_send(Socket, First),
	timer:sleep(?PAUSE),
	_ = do_send(Socket, Second),
	play(Script, Socket, Buffer, Tell);
play([{send_bytewise, Data}|Script], Socket, Buffer, Tell) ->
	_ = [begin
		_ = do_send(Socket, <<Byte>>),
		%% A chance to read it before the next; no sleep, which a loaded machine makes long.
		erlang:yield()
	end || <<Byte>> <= iolist_to_binary(Data)],
	play(Script, Socket, Buffer, Tell);
play([{send_each, Fun, Count}|Script], Socket, Buffer, Tell) ->
	_ = [do_send(Socket, Fun(N)) || N <- lists:seq(1, Count)],
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
	ok = do_close(Socket);
play([reset|_], Socket, _, _) ->
	ok = inet:setopts(Socket, [{linger, {true, 0}}]),
	ok = gen_tcp:close(Socket).

drain(Socket, Tell) ->
	case do_recv(Socket, 0) of
		{ok, _} -> drain(Socket, Tell);
		{error, _} -> Tell(closed)
	end.

flood(Socket, Data, Size, Sent, Max) when Sent < Max ->
	case do_send(Socket, Data) of
		ok -> flood(Socket, Data, Size, Sent + Size, Max);
		{error, _} -> Sent
	end;
flood(_, _, _, Sent, _) ->
	Sent.

request(Socket, Buffer, Tell) ->
	case head(Socket, Buffer) of
		{ok, Request, Rest} ->
			Tell({request, Request}),
			{ok, key(Request), Rest};
		closed ->
			closed
	end.

%% A client may send empty lines before a request: RFC 9112, 2.2.
head(Socket, <<"\r\n", Buffer/binary>>) ->
	head(Socket, Buffer);
head(Socket, Buffer) ->
	case binary:split(Buffer, <<"\r\n\r\n">>) of
		[Request, Rest] ->
			{ok, Request, Rest};
		[_] ->
			case do_recv(Socket, 0) of
				{ok, Data} -> head(Socket, <<Buffer/binary, Data/binary>>);
				{error, _} -> closed
			end
	end.

%% A request with its body, which is folded over as it comes. From here on, closed is thrown.
message(Socket, Buffer, Tell, Fun, Acc0) ->
	case head(Socket, Buffer) of
		{ok, Request, Rest0} ->
			Tell({request, Request}),
			{Acc, Rest} = case {header("transfer-encoding", Request), header("content-length", Request)} of
				{<<"chunked">>, _} -> chunks(Socket, Rest0, Fun, Acc0);
				{none, none} -> {Acc0, Rest0};
				{none, Size} -> fold(Socket, Rest0, binary_to_integer(Size), Fun, Acc0)
			end,
			{Request, Acc, Rest};
		closed ->
			throw(closed)
	end.

chunks(Socket, Buffer0, Fun, Acc0) ->
	{Line, Buffer1} = read_to(Socket, Buffer0, <<"\r\n">>),
	Size = binary_to_integer(Line, 16),
	{Acc, Buffer2} = fold(Socket, Buffer1, Size, Fun, Acc0),
	{<<>>, Buffer} = read_to(Socket, Buffer2, <<"\r\n">>),
	case Size of
		0 -> {Acc, Buffer};
		_ -> chunks(Socket, Buffer, Fun, Acc)
	end.

%% The next Size bytes, in parts.
fold(_, Buffer, 0, _, Acc) ->
	{Acc, Buffer};
fold(Socket, <<>>, Size, Fun, Acc) ->
	fold(Socket, recv(Socket, min(Size, 16#10000)), Size, Fun, Acc);
fold(Socket, Buffer, Size, Fun, Acc) ->
	Part = min(Size, byte_size(Buffer)),
	<<Data:Part/binary, Rest/binary>> = Buffer,
	fold(Socket, Rest, Size - Part, Fun, Fun(Data, Acc)).

sink(Data, {Size0, Hash}, Part) ->
	Size = Size0 + byte_size(Data),
	_ = [receive go -> ok end || (Size0 + Part - 1) div Part < (Size + Part - 1) div Part],
	{Size, crypto:hash_update(Hash, Data)}.

read(Socket, Buffer, Size) ->
	case Buffer of
		<<Data:Size/binary, Rest/binary>> -> {Data, Rest};
		_ -> read(Socket, <<Buffer/binary, (recv(Socket, 0))/binary>>, Size)
	end.

read_to(Socket, Buffer, End) ->
	case binary:split(Buffer, End) of
		[Data, Rest] -> {Data, Rest};
		[_] -> read_to(Socket, <<Buffer/binary, (recv(Socket, 0))/binary>>, End)
	end.

recv(Socket, Size) ->
	case do_recv(Socket, Size) of
		{ok, Data} -> Data;
		{error, _} -> throw(closed)
	end.

%% The value of a request's header, or none.
header(Name, Request) ->
	case re:run(Request, ["^", Name, ": *([^\r]*)"], [caseless, multiline, {capture, [1], binary}]) of
		{match, [Value]} -> Value;
		nomatch -> none
	end.

%% The sec-websocket-key of a request.
key(Request) ->
	case header("sec-websocket-key", Request) of
		none -> <<>>;
		Key -> Key
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
			case do_recv(Socket, Size) of
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
