%% A Cowboy handler that redirects, on an origin of its own. It tells the process in x-tell what it was asked for:
%% `{asked, Origin, Request}'.
-module(redirect_h).

-export([start/3]).
-export([stop/1]).
-export([path/2]).
-export([init/2]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

%% With certificates it speaks TLS.
start(Name, Origin, Certs) ->
	Dispatch = cowboy_router:compile([{'_', [{"/[...]", ?MODULE, Origin}]}]),
	{ok, _} = case Certs of
		none -> cowboy:start_clear(Name, [{port, 0}], #{env => #{dispatch => Dispatch}, enable_connect_protocol => true});
		#{certfile := CertFile, keyfile := KeyFile} ->
			cowboy:start_tls(Name, [{port, 0}, {certfile, CertFile}, {keyfile, KeyFile}], #{env => #{dispatch => Dispatch}, enable_connect_protocol => true})
	end,
	ranch:get_port(Name).

stop(Name) ->
	_ = cowboy:stop_listener(Name),
	ok.

%% Where a redirect with this status leads to Location.
path(Status, Location) ->
	iolist_to_binary(["/redirect/", integer_to_list(Status), "?to=", uri_string:quote(Location)]).

init(Req0=#{path := Path}, Origin) ->
	{Body, Req} = body(Req0, <<>>),
	Tell = list_to_pid(binary_to_list(cowboy_req:header(<<"x-tell">>, Req))),
	_ = Tell ! {asked, Origin, (maps:with([method, path, qs, headers, pid], Req))#{body => Body}},
	answer(binary:split(Path, <<"/">>, [global]), Req, Origin).

%% What comes on the stream of an upgrade over HTTP/2 is no body, and has no end.
body(Req=#{method := <<"CONNECT">>}, Before) ->
	{Before, Req};
body(Req0, Before) ->
	case cowboy_req:read_body(Req0) of
		{ok, Last, Req} -> {<<Before/binary, Last/binary>>, Req};
		{more, More, Req} -> body(Req, <<Before/binary, More/binary>>)
	end.

%% Of redirect, size is that of the body, and set a cookie.
answer([_, <<"redirect">>, <<Digit, _/binary>> = Status], Req0, Origin) when Digit >= $0, Digit =< $9 ->
	#{to := To, size := Size, set := Set} = cowboy_req:match_qs([{to, [], none}, {size, int, 0}, {set, [], none}], Req0),
	Req = case Set of
		none -> Req0;
		_ -> cowboy_req:set_resp_cookie(<<"seen">>, Set, Req0, #{path => <<"/">>})
	end,
	Headers = maps:from_list([{<<"location">>, To} || To =/= none]),
	{ok, cowboy_req:reply(binary_to_integer(Status), Headers, binary:copy(<<"x">>, Size), Req), Origin};
answer([_, <<"ws">>], Req, Origin) ->
	{cowboy_websocket, Req, Origin};
answer([_, <<"silent">>], Req, Origin) ->
	{cowboy_loop, Req, Origin};
%% In so many parts.
answer([_, <<"parts">>, Count], Req0, Origin) ->
	Req = cowboy_req:stream_reply(200, Req0),
	_ = [ok = cowboy_req:stream_body(binary:copy(<<"part">>, 1000), nofin, Req) || _ <- lists:seq(1, binary_to_integer(Count))],
	ok = cowboy_req:stream_body(<<>>, fin, Req),
	{ok, Req, Origin};
answer(_, Req, Origin) ->
	{ok, cowboy_req:reply(200, #{}, <<"The end.">>, Req), Origin}.

websocket_handle({text, Text}, Origin) -> {[{text, Text}], Origin};
websocket_handle(_, Origin) -> {[], Origin}.

websocket_info(_, Origin) -> {[], Origin}.
