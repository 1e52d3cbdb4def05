%% A WebSocket client that sends what it is told to, byte for byte, and shows what comes.
-module(raw_ws).

-export([connect/1]).
-export([request/2]).
-export([request/3]).
-export([upgrade/2]).
-export([upgrade/3]).
-export([upgrade_request/2]).
-export([response/1]).
-export([response/2]).
-export([frame/2]).
-export([frame/3]).
-export([send/3]).
-export([recv/1]).
-export([recv/2]).
-export([rest/1]).

-define(TIMEOUT, 60000).

connect(Port) ->
	{ok, Socket} = gen_tcp:connect("localhost", Port, [binary, {active, false}, {nodelay, true}]),
	Socket.

%% A whole exchange on a connection of its own, and what comes behind it until the end.
request(Port, Request) ->
	Socket = connect(Port),
	ok = gen_tcp:send(Socket, Request),
	{Response, Rest} = response(Socket),
	ok = gen_tcp:close(Socket),
	{Response, Rest}.

request(Port, Path, Headers) ->
	request(Port, ["GET ", Path, " HTTP/1.1\r\nhost: localhost\r\n", [[N, ": ", V, "\r\n"] || {N, V} <- Headers], "\r\n"]).

%% An open WebSocket, with the headers of the answer.
upgrade(Port, Path) ->
	upgrade(Port, Path, []).

upgrade(Port, Path, Headers) ->
	Socket = connect(Port),
	ok = gen_tcp:send(Socket, upgrade_request(Path, Headers)),
	{{101, ResponseHeaders, <<>>}, Rest} = response(Socket),
	ok = unread(Socket, Rest),
	{Socket, ResponseHeaders}.

%% Headers take the place of those of the same name; undefined leaves one out.
upgrade_request(Path, Headers) ->
	Own = [{"host", "localhost"}, {"connection", "Upgrade"}, {"upgrade", "websocket"},
		{"sec-websocket-version", "13"}, {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}],
	Kept = [Header || Header={Name, _} <- Own, not lists:keymember(Name, 1, Headers)],
	All = Kept ++ [Header || Header={_, Value} <- Headers, Value =/= undefined],
	["GET ", Path, " HTTP/1.1\r\n", [[Name, ": ", Value, "\r\n"] || {Name, Value} <- All], "\r\n"].

%% The status, the headers, and the body, if content-length gives it one; and what has come behind it.
response(Socket) ->
	response(Socket, <<>>).

response(Socket, Data) ->
	case binary:split(Data, <<"\r\n\r\n">>) of
		[Head, Rest] ->
			[StatusLine|Lines] = binary:split(Head, <<"\r\n">>, [global]),
			<<"HTTP/1.", _, " ", Status:3/binary, _/binary>> = StatusLine,
			Headers = [begin
				[Name, Value] = binary:split(Line, <<":">>),
				{string:lowercase(Name), string:trim(Value)}
			end || Line <- Lines],
			body(Socket, binary_to_integer(Status), Headers, Rest);
		[_] ->
			{ok, More} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
			response(Socket, <<Data/binary, More/binary>>)
	end.

body(Socket, Status, Headers, Rest) ->
	Length = case lists:keyfind(<<"content-length">>, 1, Headers) of
		{_, Text} when Status =/= 101, Status =/= 204, Status =/= 304 -> binary_to_integer(Text);
		_ -> 0
	end,
	case Rest of
		<<Body:Length/binary, Behind/binary>> ->
			{{Status, Headers, Body}, Behind};
		_ ->
			{ok, More} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
			body(Socket, Status, Headers, <<Rest/binary, More/binary>>)
	end.

%% What was read too early is read again.
unread(_, <<>>) -> ok;
unread(Socket, Data) ->
	put({?MODULE, Socket}, Data),
	ok.

%% Frames of a client: whole ones, masked.
frame(Opcode, Payload) ->
	frame(2#1000, Opcode, Payload).

%% With the first four bits as they are given: fin and the three reserved ones.
frame(Bits, Opcode, Payload0) ->
	Payload = iolist_to_binary(Payload0),
	Key = rand:bytes(4),
	Length = case byte_size(Payload) of
		N when N < 126 -> <<1:1, N:7>>;
		N when N < 16#10000 -> <<1:1, 126:7, N:16>>;
		N -> <<1:1, 127:7, N:64>>
	end,
	<<Bits:4, (opcode(Opcode)):4, Length/binary, Key/binary, (mask(Payload, Key))/binary>>.

mask(Payload, Key) ->
	Size = byte_size(Payload),
	Keys = binary:copy(Key, Size div 4 + 1),
	crypto:exor(Payload, binary:part(Keys, 0, Size)).

send(Socket, Opcode, Payload) ->
	gen_tcp:send(Socket, frame(Opcode, Payload)).

%% The next frame of the server, or closed.
recv(Socket) ->
	recv(Socket, ?TIMEOUT).

recv(Socket, Timeout) ->
	case take(Socket, 2, Timeout) of
		{ok, <<Fin:1, Rsv:3, Opcode:4, 0:1, Short:7>>} ->
			{ok, Payload} = take(Socket, len(Socket, Short), Timeout),
			named(Fin, Rsv, name(Opcode), Payload);
		{error, Reason} ->
			Reason
	end.

named(1, 0, close, <<>>) -> close;
named(1, 0, close, <<Code:16, Text/binary>>) -> {close, Code, Text};
named(1, 0, Name, Payload) -> {Name, Payload};
named(1, 2#100, Name, Payload) -> {compressed, Name, Payload};
named(Fin, Rsv, Name, Payload) -> {odd, Fin, Rsv, Name, Payload}.

len(Socket, 126) ->
	{ok, <<N:16>>} = take(Socket, 2, ?TIMEOUT),
	N;
len(Socket, 127) ->
	{ok, <<N:64>>} = take(Socket, 8, ?TIMEOUT),
	N;
len(_, N) ->
	N.

take(_, 0, _) ->
	{ok, <<>>};
take(Socket, N, Timeout) ->
	Known = case get({?MODULE, Socket}) of undefined -> <<>>; Data -> Data end,
	case Known of
		<<Taken:N/binary, Rest/binary>> ->
			put({?MODULE, Socket}, Rest),
			{ok, Taken};
		_ ->
			case gen_tcp:recv(Socket, 0, Timeout) of
				{ok, More} ->
					put({?MODULE, Socket}, <<Known/binary, More/binary>>),
					take(Socket, N, Timeout);
				Error ->
					Error
			end
	end.

%% Everything that still comes, until the end.
rest(Socket) ->
	case recv(Socket) of
		Reason when is_atom(Reason), Reason =/= close -> [Reason];
		Frame -> [Frame|rest(Socket)]
	end.

opcode(continuation) -> 0;
opcode(text) -> 1;
opcode(binary) -> 2;
opcode(close) -> 8;
opcode(ping) -> 9;
opcode(pong) -> 10;
opcode(Opcode) -> Opcode.

name(0) -> continuation;
name(1) -> text;
name(2) -> binary;
name(8) -> close;
name(9) -> ping;
name(10) -> pong.
