%% @private The events of telemetry of a connection: see doc/telemetry.md. It observes the steps that the native side
%% reports, in the process behind ConnPid.
-module(gun_rs_conn_telemetry).

-export([wanted/0]).
-export([init/1]).
-export([connecting/1]).
-export([up/1]).
-export([failed/1]).
-export([step/3]).
-export([died/1]).

-define(CONNECT, [gun_rs, connect]).
-define(TLS, [gun_rs, tls]).
-define(REQUEST, [gun_rs, request]).
-define(UPGRADE, [gun_rs, ws_upgrade]).
-define(WS, [gun_rs, ws]).

%% What all events of the connection have in their metadata.
-type state() :: gun_rs_telemetry:metadata().
-export_type([state/0]).

%% @doc The steps that it is given.
-spec wanted() -> [gun_rs_event:step()].
wanted() ->
	[tls_handshake_start, tls_handshake_end, request_start, response_inform, response_headers, response_end, cancel,
		stream_error, ws_end].

%% @doc Undefined where no events are executed.
-spec init(gun_rs_options:config()) -> state() | undefined.
init(#{host := Host, port := Port, transport := Transport}) ->
	case gun_rs_telemetry:is_on() of
		true -> #{conn => self(), host => Host, port => Port, transport => Transport};
		false -> undefined
	end.

%% @doc An attempt to connect begins.
-spec connecting(state()) -> ok.
connecting(State) ->
	_ = gun_rs_spans:start(?CONNECT, one, State),
	ok.

%% @doc It has succeeded.
-spec up(gun_rs_native:protocol()) -> ok.
up(Protocol) ->
	gun_rs_spans:stop(?CONNECT, one, #{}, #{protocol => Protocol}).

%% @doc It has failed, or the connection is down: nothing goes on.
-spec failed(Reason :: term()) -> ok.
failed(Reason) ->
	gun_rs_spans:end_all(Reason).

%% @doc A step. Of a stream it names the events by the reference of the stream.
-spec step(gun_rs_event:step(), map(), state()) -> ok.
step(tls_handshake_start, _, State) ->
	_ = gun_rs_spans:start(?TLS, one, State),
	ok;
step(tls_handshake_end, #{error := Reason}, _) ->
	gun_rs_spans:exception(?TLS, one, Reason, #{});
step(tls_handshake_end, #{protocol := Alpn}, _) ->
	gun_rs_spans:stop(?TLS, one, #{}, #{alpn => Alpn});
step(request_start, Step=#{stream_ref := StreamRef}, State) ->
	request(StreamRef, Step, State);
step(response_inform, #{stream_ref := StreamRef, status := 101}, _) ->
	ok = gun_rs_spans:stop(?REQUEST, StreamRef, #{}, #{status => 101}),
	accepted(StreamRef, 101);
step(response_headers, #{stream_ref := StreamRef, status := Status}, _) ->
	ok = gun_rs_spans:annotate(?REQUEST, StreamRef, #{status => Status}),
	_ = [answered(StreamRef, Status, Metadata) || Metadata <- gun_rs_spans:metadata(?UPGRADE, StreamRef)],
	ok;
step(response_end, #{stream_ref := StreamRef}, _) ->
	gun_rs_spans:stop(?REQUEST, StreamRef, #{}, #{});
%% What the server has cancelled is an error of the stream, with the reason that its receiver is sent.
step(cancel, #{stream_ref := StreamRef, endpoint := local}, _) ->
	stream_failed(StreamRef, cancel);
%% A part of a body that had no place: the stream goes on.
step(stream_error, #{reason := {badstate, _}}, _) ->
	ok;
step(stream_error, #{stream_ref := StreamRef, reason := Reason}, _) ->
	stream_failed(StreamRef, Reason);
step(ws_end, #{stream_ref := StreamRef, close_code := CloseCode, stats := Stats}, _) ->
	gun_rs_spans:stop(?WS, StreamRef, totals(Stats), #{close_code => CloseCode});
step(_, _, _) ->
	ok.

%% One that is made again was lost before.
request(StreamRef, Step, State) ->
	#{reply_to := ReplyTo, function := Function, method := Method, authority := Authority, headers := Headers} = Step,
	%% A CONNECT has none.
	Path = maps:get(path, Step, undefined),
	Name = case Function of
		ws_upgrade -> ?UPGRADE;
		_ -> ?REQUEST
	end,
	ok = gun_rs_spans:exception(Name, StreamRef, retried, #{}),
	Traceparent = case lists:keyfind(<<"traceparent">>, 1, Headers) of
		{_, Value} -> Value;
		false -> undefined
	end,
	_ = gun_rs_spans:start(Name, StreamRef, State#{stream_ref => StreamRef, reply_to => ReplyTo, method => Method,
		authority => Authority, path => Path, traceparent => Traceparent}),
	ok.

%% Over HTTP/2 an upgrade is a CONNECT (RFC 8441), whose success is that of the upgrade.
answered(StreamRef, Status, #{method := <<"CONNECT">>}) when Status div 100 =:= 2 ->
	accepted(StreamRef, Status);
answered(StreamRef, Status, _) ->
	gun_rs_spans:stop(?UPGRADE, StreamRef, #{}, #{status => Status, accepted => false}).

accepted(StreamRef, Status) ->
	%% In this order: whoever hears that it is accepted hears of its end.
	_ = [begin
		_ = gun_rs_spans:open(?WS, StreamRef, (maps:remove(method, Metadata))#{reason => normal}, {?MODULE, died, []}),
		gun_rs_spans:stop(?UPGRADE, StreamRef, #{}, #{status => Status, accepted => true})
	end || Metadata <- gun_rs_spans:metadata(?UPGRADE, StreamRef)],
	ok.

%% @doc The end of a WebSocket whose connection is lost.
-spec died(Reason :: term()) -> {gun_rs_telemetry:measurements(), gun_rs_telemetry:metadata()}.
died(Reason) ->
	{totals(#{}), #{close_code => undefined, reason => Reason}}.

%% Of a WebSocket the end is yet to come.
stream_failed(StreamRef, Reason) ->
	ok = gun_rs_spans:annotate(?WS, StreamRef, #{reason => Reason}),
	ok = gun_rs_spans:exception(?REQUEST, StreamRef, Reason, #{}),
	gun_rs_spans:exception(?UPGRADE, StreamRef, Reason, #{}).

totals(Stats) ->
	maps:merge(#{frames_in => 0, frames_out => 0, bytes_in => 0, bytes_out => 0},
		maps:with([frames_in, frames_out, bytes_in, bytes_out], Stats)).
