%% The Cowboy handler for what modules of the user's take part in: cookies and server-sent events.
-module(http_modules_h).

-export([routes/0]).
-export([asked/1]).
-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

routes() ->
	[
		{"/cookies/[...]", ?MODULE, cookies},
		{"/events", ?MODULE, events}
	].

%% The header that asks for cookies: a map with the set-cookie headers of the response under set, those of an
%% informational one before it under inform, and refuse => true where an upgrade is to be refused.
asked(Asked) ->
	[{<<"x-asked">>, base64:encode(term_to_binary(Asked))}].

%% cookies: says which cookie header the request had, in a body or in a WebSocket's first message.
init(Req0, cookies) ->
	Asked = case cowboy_req:header(<<"x-asked">>, Req0) of
		undefined -> #{};
		Bin -> binary_to_term(base64:decode(Bin))
	end,
	Req1 = read_body(Req0),
	%% A newer Cowboy refuses this header in inform/3 and set_resp_header/3, and set_resp_cookie/3 writes none that is wrong.
	_ = [ok = cowboy_req:cast({inform, 103, #{<<"set-cookie">> => SetCookies}}, Req1) || #{inform := SetCookies} <- [Asked]],
	Req = Req1#{resp_cookies => maps:from_list(lists:enumerate(maps:get(set, Asked, [])))},
	Seen = cowboy_req:header(<<"cookie">>, Req, none),
	case {cowboy_req:header(<<"upgrade">>, Req), Asked} of
		{undefined, _} -> {ok, cowboy_req:reply(200, #{}, term_to_binary(Seen), Req), cookies};
		{_, #{refuse := true}} -> {ok, cowboy_req:reply(403, #{}, term_to_binary(Seen), Req), cookies};
		_ -> {cowboy_websocket, Req, Seen, #{idle_timeout => infinity}}
	end;
%% events?count=N: that many, and the end; the first one after the last-event-id of the request.
init(Req0, events) ->
	#{count := Count} = cowboy_req:match_qs([{count, int}], Req0),
	After = binary_to_integer(cowboy_req:header(<<"last-event-id">>, Req0, <<"0">>)),
	Req = cowboy_req:stream_reply(200, #{<<"content-type">> => <<"text/event-stream; charset=utf-8">>}, Req0),
	_ = [ok = cowboy_req:stream_events(#{
		id => integer_to_binary(N),
		event => <<"count">>,
		data => [<<"one of\n">>, integer_to_binary(Count)]
	}, nofin, Req) || N <- lists:seq(After + 1, After + Count)],
	ok = cowboy_req:stream_body(<<>>, fin, Req),
	{ok, Req, events}.

websocket_init(Seen) ->
	{[{binary, term_to_binary(Seen)}], Seen}.

websocket_handle(_, State) ->
	{[], State}.

websocket_info(_, State) ->
	{[], State}.

read_body(Req0) ->
	case cowboy_req:read_body(Req0) of
		{ok, _, Req} -> Req;
		{more, _, Req} -> read_body(Req)
	end.
