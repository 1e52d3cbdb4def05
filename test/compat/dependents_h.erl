%% The Cowboy handler of what servers of libraries that use gun answer, one behaviour a path.
-module(dependents_h).

-export([routes/0]).
-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

routes() ->
	[
		{"/basic-auth", ?MODULE, basic_auth},
		{"/chunked", ?MODULE, chunked},
		{"/grpc/unary", ?MODULE, grpc_unary},
		{"/grpc/stream", ?MODULE, grpc_stream},
		{"/grpc/error", ?MODULE, grpc_error},
		{"/3/device/:token", ?MODULE, push},
		{"/gateway", ?MODULE, gateway},
		{"/xmpp", ?MODULE, xmpp},
		{"/amqp/:port", ?MODULE, amqp}
	].

%% basic-auth: of joe, whose secret is open.
init(Req, basic_auth) ->
	Status = case cowboy_req:parse_header(<<"authorization">>, Req) of
		{basic, <<"joe">>, <<"open">>} -> 200;
		_ -> 401
	end,
	{ok, cowboy_req:reply(Status, Req), basic_auth};
%% chunked: the body, in pieces as it comes.
init(Req0, chunked) ->
	Req = cowboy_req:stream_reply(200, Req0),
	{ok, pieces(Req), chunked};
%% grpc/unary: the message, and trailers.
init(Req0, grpc_unary) ->
	{ok, Body, Req1} = cowboy_req:read_body(Req0),
	Req = cowboy_req:stream_reply(200, #{<<"content-type">> => <<"application/grpc+proto">>}, Req1),
	ok = cowboy_req:stream_body(Body, nofin, Req),
	ok = cowboy_req:stream_trailers(#{<<"grpc-status">> => <<"0">>, <<"grpc-message">> => <<>>}, Req),
	{ok, Req, grpc_unary};
%% grpc/stream: each message as it comes, and trailers after the last.
init(Req0, grpc_stream) ->
	Req = cowboy_req:stream_reply(200, #{<<"content-type">> => <<"application/grpc+proto">>}, Req0),
	{ok, messages(Req), grpc_stream};
%% grpc/error: headers alone.
init(Req, grpc_error) ->
	Headers = #{<<"content-type">> => <<"application/grpc+proto">>, <<"grpc-status">> => <<"5">>,
		<<"grpc-message">> => <<"not found">>},
	{ok, cowboy_req:reply(200, Headers, Req), grpc_error};
%% 3/device/TOKEN: as Apple's, which knows the token `good'.
init(Req0, push) ->
	{ok, _, Req} = cowboy_req:read_body(Req0),
	Id = #{<<"apns-id">> => cowboy_req:header(<<"apns-id">>, Req, <<"none">>)},
	{ok, case cowboy_req:binding(token, Req) of
		<<"good">> -> cowboy_req:reply(200, Id, Req);
		_ -> cowboy_req:reply(400, Id, <<"{\"reason\":\"BadDeviceToken\"}">>, Req)
	end, push};
init(Req, gateway) ->
	{cowboy_websocket, Req, gateway};
init(Req0, xmpp) ->
	[<<"xmpp">>|_] = cowboy_req:parse_header(<<"sec-websocket-protocol">>, Req0),
	{cowboy_websocket, cowboy_req:set_resp_header(<<"sec-websocket-protocol">>, <<"xmpp">>, Req0), xmpp};
%% amqp/PORT: AMQP over WebSocket, for a server that speaks it on TCP on that port.
init(Req, amqp) ->
	Port = binary_to_integer(cowboy_req:binding(port, Req)),
	{cowboy_websocket, cowboy_req:set_resp_header(<<"sec-websocket-protocol">>, <<"amqp">>, Req), {amqp, Port},
		#{idle_timeout => infinity, max_frame_size => 16000000, max_message_size => 16000000}}.

pieces(Req0) ->
	case cowboy_req:read_body(Req0, #{length => 1, period => 30000}) of
		{ok, Data, Req} ->
			ok = cowboy_req:stream_body(Data, fin, Req),
			Req;
		{more, Data, Req} ->
			ok = cowboy_req:stream_body(Data, nofin, Req),
			pieces(Req)
	end.

messages(Req0) ->
	case cowboy_req:read_body(Req0, #{length => 1, period => 30000}) of
		{ok, Data, Req} ->
			ok = cowboy_req:stream_body(Data, nofin, Req),
			ok = cowboy_req:stream_trailers(#{<<"grpc-status">> => <<"0">>, <<"grpc-message">> => <<>>}, Req),
			Req;
		{more, Data, Req} ->
			ok = cowboy_req:stream_body(Data, nofin, Req),
			messages(Req)
	end.

%% gateway: terms, in one stream of zlib for the whole connection, as Discord sends them. It says hello first, answers
%% heartbeats, and closes with 4000 when it is asked to reconnect.
websocket_init(gateway) ->
	Z = zlib:open(),
	ok = zlib:deflateInit(Z),
	{[{binary, packed(Z, #{op => 10, heartbeat_interval => 41250})}], {gateway, Z}};
websocket_init(xmpp) ->
	{[], xmpp};
websocket_init({amqp, Port}) ->
	{ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, once}, {nodelay, true}, {send_timeout, 30000}]),
	{[], {amqp, Socket}}.

websocket_handle({binary, Data}, State={gateway, Z}) ->
	case binary_to_term(Data) of
		#{op := 1, d := Sequence} -> {[{binary, packed(Z, #{op => 11, d => Sequence})}], State};
		#{op := 2, d := Size} -> {[{binary, packed(Z, #{op => 0, d => binary:copy(<<"guild">>, Size)})}], State};
		#{op := 7} -> {[{close, 4000, <<"Unknown error">>}], State}
	end;
websocket_handle({text, <<"<open", _/binary>>}, xmpp) ->
	{[{text, <<"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>">>}, {text, <<"<features/>">>}], xmpp};
websocket_handle({text, <<"<close", _/binary>>}, xmpp) ->
	{[{text, <<"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>">>}, {close, 1000, <<>>}], xmpp};
websocket_handle({text, Stanza}, xmpp) ->
	{[{text, Stanza}], xmpp};
websocket_handle({binary, Data}, State={amqp, Socket}) ->
	_ = gen_tcp:send(Socket, Data),
	{[], State};
websocket_handle(_, State) ->
	{[], State}.

websocket_info({tcp, Socket, Data}, State={amqp, Socket}) ->
	_ = inet:setopts(Socket, [{active, once}]),
	{[{binary, Data}], State};
websocket_info({tcp_closed, Socket}, State={amqp, Socket}) ->
	{[{close, 1011, <<"The broker is gone.">>}], State};
websocket_info(_, State) ->
	{[], State}.

packed(Z, Term) ->
	iolist_to_binary(zlib:deflate(Z, term_to_binary(Term), sync)).
