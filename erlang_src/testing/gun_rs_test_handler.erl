%% @private The handler of test servers: it asks for the script of its request, and follows it.
-module(gun_rs_test_handler).
-behaviour(gun_rs_websocket).

-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).
-export([terminate/3]).

-record(state, {
	server :: pid(),
	n :: pos_integer(),
	%% The relay knows the connection by it.
	port :: inet:port_number(),
	steps = [] :: [gun_rs_test_server:step()],
	is_echo = false :: boolean(),
	is_cut = false :: boolean()
}).

%% A test server that is stopped meanwhile ends its handlers.
-define(CALL, 30000).
-define(MAX_BODY, 1000000).
%% Of a ping whose answer shows that the client has received all before it; one that does not answer is cut anyway.
-define(CUT, <<"gun_rs_test_server: drop">>).
-define(CUT_TIMEOUT, 5000).

-spec init(gun_rs_req:req(), pid())
	-> {ok, gun_rs_req:req(), #state{}} | {gun_rs_websocket, gun_rs_req:req(), #state{}, gun_rs_websocket:opts()}.
init(Req0, Server) ->
	{N, Script} = gen_server:call(Server, request, ?CALL),
	{_, Port} = gun_rs_req:peer(Req0),
	{Body, Req} = case Script of
		stall -> {<<>>, Req0};
		_ -> read_body(Req0, [], 0)
	end,
	ok = gen_server:call(Server, {event, {request, N, #{
		method => gun_rs_req:method(Req), path => gun_rs_req:path(Req), qs => gun_rs_req:qs(Req),
		headers => gun_rs_req:headers(Req), body => Body
	}}}, ?CALL),
	answer(Script, Req, #state{server = Server, n = N, port = Port}).

%% What is longer is cut off, as the script is to be followed.
read_body(Req0, Read, Size) ->
	case gun_rs_req:has_body(Req0) andalso gun_rs_req:read_body(Req0) of
		false -> {<<>>, Req0};
		{more, Data, Req} when Size + byte_size(Data) < ?MAX_BODY -> read_body(Req, [Data|Read], Size + byte_size(Data));
		{_, Data, Req} -> {iolist_to_binary(lists:reverse([Data|Read])), Req}
	end.

answer(stall, _, _) ->
	%% It ends with the listener, or with the client.
	receive never -> ok end;
answer(drop, Req, State) ->
	ok = cut(State),
	{ok, Req, State};
answer({refuse, Status}, Req, State) ->
	{ok, gun_rs_req:reply(Status, Req), State};
answer({refuse, Status, Headers, Body}, Req, State) ->
	{ok, gun_rs_req:reply(Status, Headers, Body, Req), State};
answer({accept, Headers, Steps}, Req, State) ->
	answer(Steps, gun_rs_req:set_resp_headers(Headers, Req), State);
answer(Steps, Req, State) ->
	{gun_rs_websocket, Req, State#state{steps = Steps}, #{
		idle_timeout => infinity, compress => true, max_frame_size => infinity, max_message_size => infinity
	}}.

-spec websocket_init(#state{}) -> {gun_rs_websocket:commands(), #state{}}.
websocket_init(State=#state{server = Server, n = N}) ->
	ok = gen_server:call(Server, {open, N, self()}, ?CALL),
	next(State).

-spec websocket_handle(gun_rs_ws_protocol:frame() | ping | pong, #state{}) -> {gun_rs_websocket:commands(), #state{}}.
websocket_handle({pong, ?CUT}, State) ->
	ok = cut(State),
	{[], State};
websocket_handle(Frame, State=#state{server = Server, n = N, is_echo = IsEcho}) ->
	ok = gen_server:call(Server, {event, {frame, N, Frame}}, ?CALL),
	Echo = [Frame || IsEcho, {Type, _} <- [Frame], Type =:= text orelse Type =:= binary],
	{Frames, Next} = next(awaited(Frame, State)),
	{Echo ++ Frames, Next}.

awaited(_, State=#state{steps = [await|Steps]}) -> State#state{steps = Steps};
awaited(Frame, State=#state{steps = [{await, Frame}|Steps]}) -> State#state{steps = Steps};
awaited(_, State) -> State.

-spec websocket_info(term(), #state{}) -> {gun_rs_websocket:commands(), #state{}}.
websocket_info({steps, More}, State=#state{steps = Steps}) ->
	next(State#state{steps = Steps ++ More});
websocket_info(cut, State) ->
	ok = cut(State),
	{[], State};
websocket_info(_, State) ->
	{[], State}.

%% What it sends before the next frame of the client's.
next(State=#state{is_cut = true}) -> {[], State#state{steps = []}};
next(State=#state{steps = [{send, Frame}|Steps]}) -> send(Frame, State#state{steps = Steps});
next(State=#state{steps = [Close={close, _, _}|_]}) -> {[Close], State#state{steps = []}};
next(State=#state{steps = [echo|Steps]}) -> next(State#state{is_echo = true, steps = Steps});
next(State=#state{steps = [drop|_]}) ->
	_ = erlang:send_after(?CUT_TIMEOUT, self(), cut),
	send({ping, ?CUT}, State#state{is_cut = true, is_echo = false, steps = []});
next(State) -> {[], State}.

send(Frame, State0) ->
	{Frames, State} = next(State0),
	{[Frame|Frames], State}.

cut(#state{server = Server, port = Port}) ->
	gen_server:call(Server, {cut, Port}, ?CALL).

%% Nobody asks a server that is stopped.
-spec terminate(gun_rs_websocket:reason(), map(), #state{} | pid()) -> ok.
terminate(Reason, _, #state{server = Server, n = N}) ->
	try
		ok = gen_server:call(Server, {event, {closed, N, Reason}}, ?CALL)
	catch exit:_ ->
		ok
	end;
terminate(_, _, _) ->
	ok.
