%% @private The events of telemetry of the connections of listeners: see doc/telemetry.md. Each function runs in the process
%% of the connection, which has one request at a time.
-module(gun_rs_server_telemetry).

-export([connected/1]).
-export([request/2]).
-export([answered/1]).
-export([done/1]).
-export([accepted/1]).
-export([ws_ended/3]).
-export([died/2]).

-define(CONNECT, [gun_rs, server, connect]).
-define(TLS, [gun_rs, server, tls]).
-define(REQUEST, [gun_rs, server, request]).
-define(UPGRADE, [gun_rs, server, ws_upgrade]).
-define(WS, [gun_rs, server, ws]).

%% @doc The connection has a process, now that its first request has come. How it came up is told after the event.
-spec connected(Served) -> Served when Served :: map().
connected(Served=#{ref := Ref, peer := Peer0}) ->
	{Ages, Peer} = maps:take(ages, Peer0),
	Metadata = #{ref => Ref, peer => maps:get(peer, Peer, undefined)},
	_ = [came_up(Ages, Metadata, Peer, Served) || gun_rs_telemetry:is_on()],
	Served#{peer := Peer}.

%% Ages are in nanoseconds.
came_up({Accepted, Begun, Up}, Metadata, Peer, #{config := #{transport := Transport}}) ->
	Now = {erlang:monotonic_time(), erlang:system_time()},
	ok = told_start(?CONNECT, Accepted, Now, Metadata),
	_ = [begin
		ok = told_start(?TLS, Begun, Now, Metadata),
		told_stop(?TLS, Begun, Up, Now, Metadata#{alpn => maps:get(alpn, Peer, undefined)})
	end || #{tls := Tls} <- [Transport], Tls =/= undefined],
	told_stop(?CONNECT, Accepted, Up, Now, Metadata#{protocol => http}).

told_start(Name, Age, {Monotonic, System}, Metadata) ->
	Ago = native(Age),
	gun_rs_telemetry:execute(Name ++ [start], #{monotonic_time => Monotonic - Ago, system_time => System - Ago}, Metadata).

told_stop(Name, Begun, Ended, {Monotonic, _}, Metadata) ->
	Measurements = #{monotonic_time => Monotonic - native(Ended), duration => native(Begun - Ended)},
	gun_rs_telemetry:execute(Name ++ [stop], Measurements, Metadata).

native(Nanoseconds) ->
	erlang:convert_time_unit(Nanoseconds, nanosecond, native).

%% @doc A request has come. What is returned is for done/1.
-spec request(Request :: map(), Served) -> Served when Served :: map().
request(Request, Served) ->
	case gun_rs_telemetry:is_on() of
		true -> begun(Request, Served);
		false -> Served
	end.

begun(#{method := Method, path := Path, headers := Headers}, Served) ->
	#{ref := Ref, peer := Peer, config := #{transport := Transport}} = Served,
	Name = case lists:keyfind(<<"upgrade">>, 1, Headers) of
		{_, Upgrade} -> name(gun_rs_req_text:lowercase(Upgrade));
		false -> ?REQUEST
	end,
	Scheme = case Transport of #{tls := undefined} -> <<"http">>; _ -> <<"https">> end,
	Metadata = #{ref => Ref, peer => maps:get(peer, Peer, undefined), method => Method, scheme => Scheme,
		host => header(<<"host">>, Headers), path => Path, traceparent => header(<<"traceparent">>, Headers)},
	case gun_rs_spans:start(Name, one, Metadata) of
		true -> Served#{span => Name};
		false -> Served
	end.

name(<<"websocket">>) -> ?UPGRADE;
name(_) -> ?REQUEST.

header(Name, Headers) ->
	case lists:keyfind(Name, 1, Headers) of
		{_, Value} -> Value;
		false -> undefined
	end.

%% @doc It is being answered with this status.
-spec answered(Status :: 100..999) -> ok.
answered(Status) ->
	case gun_rs_telemetry:is_on() of
		true ->
			ok = gun_rs_spans:annotate(?REQUEST, one, #{status => Status}),
			gun_rs_spans:annotate(?UPGRADE, one, #{status => Status});
		false ->
			ok
	end.

%% @doc The handler is done with it.
-spec done(Served) -> Served when Served :: map().
done(Served=#{span := Name}) ->
	Metadata = case Name of
		?UPGRADE -> #{accepted => false};
		?REQUEST -> #{}
	end,
	ok = stop(Name, Metadata),
	maps:remove(span, Served);
done(Served) ->
	Served.

stop(Name, Metadata) ->
	_ = [gun_rs_spans:stop(Name, one, #{}, maps:merge(#{status => maps:get(status, Known, undefined)}, Metadata))
		|| Known <- gun_rs_spans:metadata(Name, one)],
	ok.

%% @doc An upgrade is accepted: the process is that of a WebSocket from now on.
-spec accepted(gun_rs_native:served()) -> ok.
accepted(Conn) ->
	%% In this order: whoever hears that it is accepted hears of its end.
	_ = [begin
		_ = gun_rs_spans:open(?WS, one, Metadata, {?MODULE, died, [Conn]}),
		gun_rs_spans:stop(?UPGRADE, one, #{}, #{accepted => true, status => 101})
	end || Metadata <- gun_rs_spans:metadata(?UPGRADE, one)],
	ok.

%% @doc The end of the WebSocket of a process that has died.
-spec died(Reason :: term(), gun_rs_native:served()) -> {gun_rs_telemetry:measurements(), gun_rs_telemetry:metadata()}.
died(Reason, Conn) ->
	{totals(Conn), #{close_code => code(Reason), reason => Reason}}.

%% What a listener closes the WebSocket of a process with that has ended.
code(normal) -> 1000;
code(shutdown) -> 1001;
code({shutdown, _}) -> 1001;
code(_) -> 1011.

%% @doc It is over. Sent is the code of our close frame, where the handler has sent one.
-spec ws_ended(gun_rs_native:served(), gun_rs_ws_loop:ending(), Sent :: undefined | 1000..4999) -> ok.
ws_ended(Conn, Reason, Sent) ->
	_ = [gun_rs_spans:stop(?WS, one, totals(Conn), #{close_code => close_code(Reason, Sent), reason => reason(Reason)})
		|| _ <- gun_rs_spans:metadata(?WS, one)],
	ok.

close_code({remote, Code, _}, _) -> Code;
close_code(stop, Sent) -> Sent;
close_code(shutdown, _) -> 1001;
close_code({error, send_queue_full}, _) -> 1008;
close_code({crash, _, _, _}, _) -> 1011;
close_code(_, _) -> undefined.

reason({crash, _, Class, Reason}) -> {crash, Class, Reason};
reason(Reason) -> Reason.

%% Of another copy of the native library they are not known.
totals(Conn) ->
	Stats = try gun_rs_native:served_stats(Conn) catch error:_ -> gone end,
	maps:merge(#{frames_in => 0, frames_out => 0, bytes_in => 0, bytes_out => 0}, case Stats of
		gone -> #{};
		_ -> maps:with([frames_in, frames_out, bytes_in, bytes_out], Stats)
	end).
