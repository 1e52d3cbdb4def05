%% The Cowboy handler that the suites talk to, one behaviour a path.
-module(ws_echo_h).

-export([routes/0]).
-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

routes() ->
	[
		{"/websocket", ?MODULE, echo},
		{"/headers", ?MODULE, headers},
		{"/command", ?MODULE, command},
		{"/deflate", ?MODULE, deflate},
		{"/mychat", ?MODULE, mychat},
		{"/refuse", ?MODULE, refuse},
		{"/pid", ?MODULE, pid}
	].

init(Req, refuse) ->
	{ok, cowboy_req:reply(403, #{
		<<"content-type">> => <<"text/plain">>
	}, <<"Members only.">>, Req), refuse};
init(Req, headers) ->
	{cowboy_websocket, Req, {headers, cowboy_req:headers(Req)}};
init(Req0, mychat) ->
	Asked = cowboy_req:parse_header(<<"sec-websocket-protocol">>, Req0, []),
	Req = case lists:member(<<"mychat">>, Asked) of
		true -> cowboy_req:set_resp_header(<<"sec-websocket-protocol">>, <<"mychat">>, Req0);
		false -> Req0
	end,
	{cowboy_websocket, Req, mychat};
init(Req0, deflate) ->
	Offer = cowboy_req:header(<<"sec-websocket-extensions">>, Req0, <<>>),
	Req = cowboy_req:set_resp_header(<<"x-offer">>, Offer, Req0),
	{cowboy_websocket, Req, echo, #{
		compress => true,
		deflate_opts => maps:from_list([deflate_opt(Opt) || Opt <- cowboy_req:parse_qs(Req)]),
		idle_timeout => infinity,
		max_frame_size => infinity
	}};
init(Req, Mode) ->
	{cowboy_websocket, Req, Mode, #{idle_timeout => infinity, max_frame_size => infinity}}.

%% deflate: Cowboy's deflate_opts are those of the query string; the answer repeats the offer.
deflate_opt({Name, Value}) ->
	{binary_to_atom(Name, utf8), try
		binary_to_integer(Value)
	catch error:badarg ->
		binary_to_atom(Value, utf8)
	end}.

%% headers: says what the upgrade request had. pid: says which process serves, for those who want to kill it.
websocket_init(State = {headers, Headers}) ->
	{[{binary, term_to_binary(Headers)}], State};
websocket_init(pid) ->
	{[{binary, term_to_binary(self())}], pid};
websocket_init(State) ->
	{[], State}.

%% command: a binary frame is a list of frames to answer with; a pong is told as a text frame.
websocket_handle({binary, Command}, command) ->
	{binary_to_term(Command), command};
websocket_handle(pong, command) ->
	{[{text, <<"got pong">>}], command};
websocket_handle({pong, Payload}, command) ->
	{[{text, <<"got pong ", Payload/binary>>}], command};
websocket_handle(Frame = {Type, _}, State) when Type =:= text; Type =:= binary ->
	{[Frame], State};
websocket_handle(_, State) ->
	{[], State}.

websocket_info(_, State) ->
	{[], State}.
