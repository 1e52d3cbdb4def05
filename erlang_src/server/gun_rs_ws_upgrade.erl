%% @private From a request to a WebSocket: whether it asks for one, and the answer.
-module(gun_rs_ws_upgrade).

-export([check/4]).
-export([accept/4]).
-export([set_options/1]).

-type request() :: #{method := binary(), version := atom(), headers := [{binary(), binary()}], _ => _}.
-type refusal() :: {Status :: 400..503, Headers :: [{binary(), binary()}]}.
-export_type([request/0, refusal/0]).

%% @doc Whether a request asks for a WebSocket, as the dialects of Cowboy have it, and may: the key, or the
%% answer to one that does not. 503 where the listener has as many WebSockets as it may have.
-spec check(gun_rs_server_options:dialect(), request(), Opts :: map(), Served :: map())
	-> {ok, Key :: binary()} | {error, refusal()}.
check(Dialect, Request, #{origins := Origins}, Served) ->
	case check(Dialect, Request) of
		{ok, Key} ->
			case may_ask(Request, Origins) of
				true -> has_room(Key, Served);
				false -> {error, {403, []}}
			end;
		Error ->
			Error
	end.

has_room(Key, #{config := #{transport := #{max_websockets := infinity}}}) ->
	{ok, Key};
has_room(Key, #{listener := Listener}) ->
	try gen_server:call(Listener, may_upgrade, infinity) of
		true -> {ok, Key};
		false -> {error, {503, []}}
	catch exit:_ ->
		%% Another one will be in its place, and not know of this one.
		{error, {503, []}}
	end.

check(cowboy_1, Request=#{headers := Headers}) ->
	Upgrade = [gun_rs_req_text:lowercase(Value) || Value <- values(<<"upgrade">>, Headers)],
	case asks(Request, Headers) andalso Upgrade =:= [<<"websocket">>] andalso version(Headers) of
		true -> key(Headers);
		_ -> {error, {400, []}}
	end;
check(cowboy_2, #{version := 'HTTP/1.0'}) ->
	{error, {501, []}};
check(cowboy_2, Request=#{headers := Headers}) ->
	Upgrades = values(<<"upgrade">>, Headers),
	case asks(Request, Headers) andalso lists:member(<<"websocket">>, tokens(Upgrades)) of
		true ->
			case version(Headers) of
				true -> key(Headers);
				false -> {error, {400, []}}
			end;
		false when Upgrades =:= [] ->
			case asks(Request, Headers) of
				true -> {error, {400, []}};
				false -> {error, upgrade_required()}
			end;
		false ->
			{error, upgrade_required()}
	end.

upgrade_required() ->
	{426, [{<<"connection">>, <<"upgrade">>}, {<<"upgrade">>, <<"websocket">>}]}.

asks(#{method := <<"GET">>, version := 'HTTP/1.1'}, Headers) ->
	lists:member(<<"upgrade">>, tokens(values(<<"connection">>, Headers)));
asks(_, _) ->
	false.

version(Headers) ->
	case values(<<"sec-websocket-version">>, Headers) of
		[Version] -> lists:member(Version, [<<"7">>, <<"8">>, <<"13">>]);
		_ -> false
	end.

key(Headers) ->
	case values(<<"sec-websocket-key">>, Headers) of
		[Key] when Key =/= <<>> -> {ok, Key};
		_ -> {error, {400, []}}
	end.

values(Name, Headers) ->
	[Value || {Header, Value} <- Headers, Header =:= Name].

tokens(Values) ->
	[gun_rs_req_text:lowercase(gun_rs_req_text:trim(Token))
		|| Value <- Values, Token <- binary:split(Value, <<",">>, [global])].

%% Browsers say which page asks, in a header that others need not have.
may_ask(_, any) ->
	true;
may_ask(#{headers := Headers}, Origins) ->
	case values(<<"origin">>, Headers) of
		[] -> true;
		[Origin0] ->
			Origin = gun_rs_req_text:lowercase(Origin0),
			lists:any(fun(Allowed) -> gun_rs_req_text:lowercase(Allowed) =:= Origin end, Origins);
		_ -> false
	end.

%% @doc Answers by 101, with these headers besides. The caller is the process of the WebSocket, once that is open.
-spec accept(gun_rs_native:served(), Id :: non_neg_integer(), {Key :: binary(), request(), Headers :: [{binary(), iodata()}]},
	Opts :: map()) -> ok | gone.
accept(Conn, Id, {Key, #{headers := Asked}, Headers0}, Opts) ->
	Headers = [{Name, iolist_to_binary(Value)} || {Name, Value} <- Headers0],
	Offers = case values(<<"sec-websocket-extensions">>, Asked) of
		[] -> undefined;
		Values -> iolist_to_binary(lists:join(<<", ">>, Values))
	end,
	Native = maps:without([hibernate_after, origins, req_filter, slow_client], Opts),
	case gun_rs_native:served_accept(Conn, Id, Key, Headers, Native, Offers) of
		ok ->
			Opened = opened(),
			_ = [ok = gun_rs_server_telemetry:accepted(Conn) || Opened =:= ok],
			Opened;
		gone -> gone;
		{error, Reason} -> error(Reason)
	end.

%% The 101 is written, or never will be: the library itself sees to it that one of them comes.
opened() ->
	receive
		{gun_rs_served, upgraded} -> ok;
		{gun_rs_served, {down, _}} -> gone;
		{gun_rs_served, shut_down} -> gone
	end.

%% @doc What the command set_options may set.
-spec set_options(map()) -> map().
set_options(Options) ->
	maps:foreach(fun
		(idle_timeout, T) when T =:= infinity; is_integer(T), T >= 0, T =< 16#ffffffff -> ok;
		(max_frame_size, N) when N =:= infinity; is_integer(N), N > 0 -> ok;
		(Key, Value) -> error({invalid_option, {Key, Value}})
	end, Options),
	Options.
