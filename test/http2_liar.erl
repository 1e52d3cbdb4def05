%% A server of raw HTTP/2 frames (RFC 9113) that plays a script, so that the suites can send what no honest server sends.
%%
%% Every connection plays the same script. What it sees it tells the process that started it, as
%% {http2_liar, Server, Event}:
%%
%%     accepted                                a connection came
%%     preface                                 and began as a client of HTTP/2 does
%%     {settings, [{Id, Value}]}, settings_ack
%%     {headers, StreamId, Fin, Headers}       with what CONTINUATION frames added; Fin is fin or nofin
%%     {data, StreamId, Fin, Data}
%%     {rst_stream, StreamId, Code}            the code's name in lower case, or its number if it has none
%%     {goaway, LastStreamId, Code, Debug}
%%     {ping, Opaque}, {ping_ack, Opaque}      a number
%%     {window_update, StreamId, Increment}
%%     {frame, Type, Flags, StreamId, Payload} any other frame
%%     {flooded, Bytes}                        how much a flood could send
%%     {not_http2, Binary}                     what came in the place of the preface
%%     closed                                  the client closed
%%
%% The steps of a script:
%%
%%     open                  read the preface and the client's SETTINGS, send empty SETTINGS
%%     {open, Settings}      the same, with these
%%     {await, Kind}         read up to the next frame of this kind, which is the first word of its event
%%     {answer, Fun}         read up to the next HEADERS frame, send Fun(StreamId)
%%     {answer_all, Fun}     send Fun(StreamId, Headers) for each HEADERS frame, until the client closes
%%     {echo_all, Fun}       send Fun(Frame) for each frame of the client's, until it closes
%%     {send, IoData}        send it at once
%%     {send_made, Fun}      send Fun(Authority), with that of the last request
%%     {send_cut, IoData, At}
%%                           send it in two packets, cut after At bytes
%%     {send_bytewise, IoData}
%%                           one packet for each byte
%%     {flood, IoData, Max}  send it again and again, until the client closes or Max bytes are sent
%%     {flood_each, Fun, Count}
%%                           send Fun(1) to Fun(Count)
%%     wait                  until go/1
%%     close                 close the socket
%%     reset                 close the socket with a TCP reset
%%
%% At the end of a script the connection stays open until the client closes it. SETTINGS and pings of the client's are
%% acknowledged while the script reads, waits or is over, unless the option {acks, []} or {acks, [settings]} says
%% otherwise. The other options are those of gen_tcp:listen/2; {tls, Opts}, with those of ssl:listen/2, makes it speak TLS.
-module(http2_liar).

-export([start/1]).
-export([start/2]).
-export([go/1]).
-export([stop/1]).

%% Frames, well made and otherwise.
-export([frame/4]).
-export([settings/1]).
-export([settings_ack/0]).
-export([headers/3]).
-export([headers_block/4]).
-export([continuation/3]).
-export([data/3]).
-export([padded_data/4]).
-export([priority/3]).
-export([rst_stream/2]).
-export([push_promise/3]).
-export([ping/1]).
-export([ping_ack/1]).
-export([goaway/3]).
-export([window_update/2]).
-export([ok/2]).
-export([block/1]).
-export([code/1]).

-define(PREFACE, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").
-define(PAUSE, 3).

-define(FIN, 1).
-define(ACK, 1).
-define(END_HEADERS, 4).
-define(PADDED, 8).
-define(PRIORITY, 16#20).

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
			error({http2_liar, Reason})
	end.

go(Server) ->
	Server ! go,
	ok.

stop(Server) ->
	MRef = monitor(process, Server),
	exit(Server, shutdown),
	receive {'DOWN', MRef, process, Server, _} -> ok end.

%% Frames. RFC 9113, 4.1 and 6.

frame(Type, Flags, StreamId, Payload) ->
	[<<(iolist_size(Payload)):24, (type(Type)):8, Flags:8, 0:1, StreamId:31>>, Payload].

%% The pairs may be of any numbers.
settings(Settings) ->
	frame(settings, 0, 0, [<<(setting(Id)):16, Value:32>> || {Id, Value} <- Settings]).

settings_ack() ->
	frame(settings, ?ACK, 0, <<>>).

headers(StreamId, Fin, Headers) ->
	headers_block(StreamId, Fin, true, block(Headers)).

%% With or without END_HEADERS.
headers_block(StreamId, Fin, IsWhole, Block) ->
	frame(headers, fin(Fin) bor whole(IsWhole), StreamId, Block).

continuation(StreamId, IsWhole, Block) ->
	frame(continuation, whole(IsWhole), StreamId, Block).

data(StreamId, Fin, Data) ->
	frame(data, fin(Fin), StreamId, Data).

%% It says that there is so much padding: there is as much only if Data holds it.
padded_data(StreamId, Fin, Length, Data) ->
	frame(data, fin(Fin) bor ?PADDED, StreamId, [Length, Data]).

priority(StreamId, DependsOn, Weight) ->
	frame(priority, 0, StreamId, <<0:1, DependsOn:31, Weight:8>>).

rst_stream(StreamId, Code) ->
	frame(rst_stream, 0, StreamId, <<(code(Code)):32>>).

push_promise(StreamId, PromisedId, Headers) ->
	frame(push_promise, ?END_HEADERS, StreamId, [<<0:1, PromisedId:31>>, block(Headers)]).

ping(Opaque) ->
	frame(ping, 0, 0, <<Opaque:64>>).

ping_ack(Opaque) ->
	frame(ping, ?ACK, 0, <<Opaque:64>>).

goaway(LastStreamId, Code, Debug) ->
	frame(goaway, 0, 0, [<<0:1, LastStreamId:31, (code(Code)):32>>, Debug]).

window_update(StreamId, Increment) ->
	frame(window_update, 0, StreamId, <<Increment:32>>).

%% A response with a body.
ok(StreamId, Body) ->
	[headers(StreamId, nofin, [{":status", "200"}]), data(StreamId, fin, Body)].

%% A header block: literal fields that are neither indexed nor compressed. RFC 7541, 6.2.2.
block(Headers) ->
	[[<<0>>, text(Name), text(Value)] || {Name, Value} <- Headers].

text(Text) ->
	[integer(iolist_size(Text)), Text].

%% With a prefix of seven bits. RFC 7541, 5.1.
integer(N) when N < 127 -> <<N>>;
integer(N) -> [<<127>>|further(N - 127)].

further(N) when N < 128 -> [<<N>>];
further(N) -> [<<1:1, N:7>>|further(N bsr 7)].

fin(fin) -> ?FIN;
fin(nofin) -> 0.

whole(true) -> ?END_HEADERS;
whole(false) -> 0.

types() ->
	[data, headers, priority, rst_stream, settings, push_promise, ping, goaway, window_update, continuation].

type(Type) -> number(Type, types()).

type_name(Number) -> name(Number, types()).

codes() ->
	[no_error, protocol_error, internal_error, flow_control_error, settings_timeout, stream_closed, frame_size_error,
		refused_stream, cancel, compression_error, connect_error, enhance_your_calm, inadequate_security,
		http_1_1_required].

code(Code) -> number(Code, codes()).

code_name(Number) -> name(Number, codes()).

setting(Setting) ->
	number(Setting, [none, header_table_size, enable_push, max_concurrent_streams, initial_window_size, max_frame_size,
		max_header_list_size, none, enable_connect_protocol]).

number(Number, _) when is_integer(Number) ->
	Number;
number(Name, Names) ->
	length(lists:takewhile(fun(N) -> N =/= Name end, Names)).

name(Number, Names) when Number < length(Names) -> lists:nth(Number + 1, Names);
name(Number, _) -> Number.

%% The server's process, which outlives no test case, and its acceptor.

init(Parent, Script, Opts) ->
	_ = monitor(process, Parent),
	Acks = proplists:get_value(acks, Opts, [settings, ping]),
	Others = [Opt || Opt <- Opts, not lists:keymember(element(1, Opt), 1, [{acks, 1}, {tls, 1}])],
	SocketOpts = Others ++ [binary, {active, false}, {reuseaddr, true}, {nodelay, true}, {backlog, 1024}],
	{Listener, Port} = case proplists:lookup(tls, Opts) of
		none ->
			{ok, TcpListener} = gen_tcp:listen(0, SocketOpts),
			{ok, TcpPort} = inet:port(TcpListener),
			{TcpListener, TcpPort};
		{tls, TlsOpts} ->
			{ok, TlsListener} = ssl:listen(0, TlsOpts ++ SocketOpts),
			{ok, {_, TlsPort}} = ssl:sockname(TlsListener),
			{TlsListener, TlsPort}
	end,
	Server = self(),
	Tell = fun(Event) -> Parent ! {http2_liar, Server, Event} end,
	_ = spawn_link(fun() -> acceptor(Server, Listener, Tell, Script, Acks) end),
	Parent ! {Server, {ok, Port}},
	loop([], 0).

%% A client is connected before we have accepted it: what it is to go on with may be said before.
loop(Conns, Early) ->
	receive
		{conn, Pid} ->
			_ = [Pid ! go || _ <- lists:seq(1, Early)],
			loop([Pid|Conns], 0);
		go when Conns =:= [] ->
			loop(Conns, Early + 1);
		go ->
			_ = [Pid ! go || Pid <- Conns],
			loop(Conns, Early);
		{'DOWN', _, process, _, _} ->
			exit(shutdown)
	end.

acceptor(Server, Listener, Tell, Script, Acks) ->
	Socket = accept(Listener),
	Pid = spawn_link(fun() ->
		receive start -> ok end,
		Tell(accepted),
		case secure(Socket) of
			{ok, Secured} ->
				Player = self(),
				_ = spawn_link(fun() -> read(Secured, Player, Tell) end),
				play(Script, #{socket => Secured, tell => Tell, acks => Acks});
			{error, _} ->
				Tell(closed)
		end
	end),
	ok = give_away(Socket, Pid),
	Server ! {conn, Pid},
	Pid ! start,
	acceptor(Server, Listener, Tell, Script, Acks).

%% The socket, of TCP or TLS.

accept(Listener) when is_port(Listener) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	Socket;
accept(Listener) ->
	{ok, Socket} = ssl:transport_accept(Listener),
	Socket.

secure(Socket) when is_port(Socket) -> {ok, Socket};
secure(Socket) -> ssl:handshake(Socket).

give_away(Socket, Pid) when is_port(Socket) -> gen_tcp:controlling_process(Socket, Pid);
give_away(Socket, Pid) -> ssl:controlling_process(Socket, Pid).

do_send(Socket, Data) when is_port(Socket) -> gen_tcp:send(Socket, Data);
do_send(Socket, Data) -> ssl:send(Socket, Data).

do_recv(Socket, Size) when is_port(Socket) -> gen_tcp:recv(Socket, Size);
do_recv(Socket, Size) -> ssl:recv(Socket, Size).

do_close(Socket) when is_port(Socket) -> gen_tcp:close(Socket);
do_close(Socket) -> ssl:close(Socket).

%% One connection: what the client sends is read, and told, whatever the script does.

read(Socket, Player, Tell) ->
	Event = fun(Event) -> Tell(Event), Player ! {event, Event} end,
	case do_recv(Socket, length(?PREFACE)) of
		{ok, <<?PREFACE>>} ->
			Event(preface),
			read_frames(Socket, Event, cow_hpack:init());
		{ok, Other} ->
			Event({not_http2, Other});
		{error, _} ->
			ok
	end,
	Event(closed).

read_frames(Socket, Event, Hpack) ->
	case do_recv(Socket, 9) of
		{ok, <<Length:24, Type:8, Flags:8, _:1, StreamId:31>>} ->
			case payload(Socket, Length) of
				{ok, Payload} ->
					read_frames(Socket, Event, decode(type_name(Type), Flags, StreamId, Payload, Socket, Event, Hpack));
				{error, _} ->
					ok
			end;
		{error, _} ->
			ok
	end.

%% recv/2 takes 0 for what there is.
payload(_, 0) -> {ok, <<>>};
payload(Socket, Length) -> do_recv(Socket, Length).

decode(headers, Flags, StreamId, Payload0, Socket, Event, Hpack0) ->
	Payload = case Flags band ?PRIORITY of
		0 -> Payload0;
		_ -> binary:part(Payload0, 5, byte_size(Payload0) - 5)
	end,
	Block = whole_block(Flags, Payload, Socket),
	{Headers, Hpack} = cow_hpack:decode(Block, Hpack0),
	Event({headers, StreamId, ended(Flags), Headers}),
	Hpack;
decode(Type, Flags, StreamId, Payload, _, Event, Hpack) ->
	Event(event(Type, Flags, StreamId, Payload)),
	Hpack.

whole_block(Flags, Block, _) when Flags band ?END_HEADERS =/= 0 ->
	Block;
whole_block(_, Block, Socket) ->
	{ok, <<Length:24, 9, Flags:8, _:32>>} = do_recv(Socket, 9),
	{ok, More} = payload(Socket, Length),
	whole_block(Flags, <<Block/binary, More/binary>>, Socket).

event(settings, ?ACK, 0, <<>>) ->
	settings_ack;
event(settings, 0, 0, Payload) ->
	{settings, [{Id, Value} || <<Id:16, Value:32>> <= Payload]};
event(data, Flags, StreamId, Data) when Flags band ?PADDED =:= 0 ->
	{data, StreamId, ended(Flags), Data};
event(rst_stream, _, StreamId, <<Code:32>>) ->
	{rst_stream, StreamId, code_name(Code)};
event(goaway, _, 0, <<_:1, LastStreamId:31, Code:32, Debug/binary>>) ->
	{goaway, LastStreamId, code_name(Code), Debug};
event(ping, 0, 0, <<Opaque:64>>) ->
	{ping, Opaque};
event(ping, ?ACK, 0, <<Opaque:64>>) ->
	{ping_ack, Opaque};
event(window_update, _, StreamId, <<_:1, Increment:31>>) ->
	{window_update, StreamId, Increment};
event(Type, Flags, StreamId, Payload) ->
	{frame, Type, Flags, StreamId, Payload}.

ended(Flags) when Flags band ?FIN =/= 0 -> fin;
ended(_) -> nofin.

play([], Conn) ->
	case next(Conn) of
		closed -> do_close(maps:get(socket, Conn));
		_ -> play([], Conn)
	end;
play([open|Script], Conn) ->
	play([{open, []}|Script], Conn);
play([{open, Settings}|Script], Conn) ->
	%% Its own SETTINGS are the first frame, and so are ahead of the acknowledgement.
	play([{await, preface}, {send, settings(Settings)}, {await, settings}|Script], Conn);
play([{await, Kind}|Script], Conn) ->
	case await(Kind, Conn) of
		{headers, _, _, Headers} -> play(Script, Conn#{authority => proplists:get_value(<<":authority">>, Headers, <<>>)});
		_ -> play(Script, Conn)
	end;
play([{answer, Fun}|Script], Conn) ->
	StreamId = element(2, await(headers, Conn)),
	play([{send, Fun(StreamId)}|Script], Conn);
play([{answer_all, Fun}|_], Conn) ->
	play([{echo_all, fun
		({headers, StreamId, _, Headers}) -> Fun(StreamId, Headers);
		(_) -> <<>>
	end}], Conn);
play(Script = [{echo_all, Fun}|_], Conn) ->
	case next(Conn) of
		closed ->
			do_close(maps:get(socket, Conn));
		Event ->
			send(Conn, Fun(Event)),
			play(Script, Conn)
	end;
play([{send_made, Fun}|Script], Conn) ->
	play([{send, Fun(maps:get(authority, Conn, <<>>))}|Script], Conn);
play([{send, Data}|Script], Conn) ->
	send(Conn, Data),
	play(Script, Conn);
play([{send_cut, Data, At}|Script], Conn) ->
	<<First:At/binary, Second/binary>> = iolist_to_binary(Data),
	send(Conn, First),
	timer:sleep(?PAUSE),
	send(Conn, Second),
	play(Script, Conn);
play([{send_bytewise, Data}|Script], Conn) ->
	_ = [begin
		send(Conn, <<Byte>>),
		%% A chance to read it before the next; no sleep, which a loaded machine makes long.
		erlang:yield()
	end || <<Byte>> <= iolist_to_binary(Data)],
	play(Script, Conn);
play([{flood, Data, Max}|Script], Conn) ->
	tell(Conn, {flooded, flood(Conn, Data, iolist_size(Data), 0, Max)}),
	play(Script, Conn);
play([{flood_each, Fun, Count}|Script], Conn) ->
	tell(Conn, {flooded, flood_each(Conn, Fun, 1, Count, 0)}),
	play(Script, Conn);
play([wait|Script], Conn) ->
	wait(Conn),
	play(Script, Conn);
play([close|_], #{socket := Socket}) ->
	do_close(Socket);
play([reset|_], #{socket := Socket}) ->
	ok = inet:setopts(Socket, [{linger, {true, 0}}]),
	do_close(Socket).

tell(#{tell := Tell}, Event) ->
	Tell(Event).

%% Whether the client is still there shows when it is read from.
send(_, []) -> ok;
send(_, <<>>) -> ok;
send(#{socket := Socket}, Data) -> _ = do_send(Socket, Data), ok.

flood(Conn = #{socket := Socket}, Data, Size, Sent, Max) when Sent < Max ->
	case do_send(Socket, Data) of
		ok -> flood(Conn, Data, Size, Sent + Size, Max);
		{error, _} -> Sent
	end;
flood(_, _, _, Sent, _) ->
	Sent.

flood_each(Conn = #{socket := Socket}, Fun, N, Count, Sent) when N =< Count ->
	Data = Fun(N),
	case do_send(Socket, Data) of
		ok -> flood_each(Conn, Fun, N + 1, Count, Sent + iolist_size(Data));
		{error, _} -> Sent
	end;
flood_each(_, _, _, _, Sent) ->
	Sent.

%% What the client has sent next, acknowledged if it is to be.
next(Conn) ->
	receive
		{kept, Event} -> Event
	after 0 ->
		receive {event, Event} -> ack(Conn, Event) end
	end.

ack(Conn = #{acks := Acks}, Event) ->
	case Event of
		{settings, _} -> [send(Conn, settings_ack()) || lists:member(settings, Acks)];
		{ping, Opaque} -> [send(Conn, ping_ack(Opaque)) || lists:member(ping, Acks)];
		_ -> []
	end,
	Event.

await(Kind, Conn) ->
	case next(Conn) of
		Kind -> Kind;
		closed -> exit(normal);
		Event when element(1, Event) =:= Kind -> Event;
		_ -> await(Kind, Conn)
	end.

wait(Conn) ->
	receive
		go ->
			ok;
		{event, closed} ->
			exit(normal);
		{event, Event} ->
			%% Kept for a step that awaits it.
			_ = ack(Conn, Event),
			self() ! {kept, Event},
			wait(Conn)
	end.
