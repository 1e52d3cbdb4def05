%% @doc The options of gun_rs, checked in the caller before any process exists.
%%
%% What each may be stands in `gun_rs_option_table'. What is unknown or ill-typed is named in the error and never ignored:
%%
%% `{options, {Key, Value}}' for an option of open; `{options, {ws, {Key, Value}}}', and so with http, http2 and raw,
%% for one of ws_opts, http_opts, http2_opts and raw_opts, and with proxy_opts;
%% `{options, {tcp_opts, Element}}' for an element of tcp_opts, and so for tls_opts;
%% `{options, {url, Url}}' for what is no URL of a known scheme;
%% `{options, {host, Host}}' and `{options, {port, Port}}' for the first two arguments;
%% `{options, Opts}' when the options are no map. `gun_rs:format_error/1' has a sentence for each.
-module(gun_rs_options).

-export([url/2]).
-export([open/3]).
-export([open_unix/2]).
-export([request/1]).
-export([request_without_alias/1]).
-export([ws_upgrade/1]).
-export([native_open/3]).
-export([authority/1]).
-export([scheme/1]).
-export([native_ws/1]).
-export([handler/1]).
-export([handler_module/2]).
-export([default_dialect/0]).

-type host() :: gun_rs_host:host().

-type milliseconds() :: 0..16#ffffffff.
-export_type([host/0, milliseconds/0]).

%% Whose messages, and whose ways, a connection has: those of gun 2, of gun 1.2 and 1.3, of
%% the pre-releases of gun 1.0, or of what was before. The default is the environment of
%% the application, `{gun_rs, dialect}', and gun_2 where that has none.
-type dialect() :: gun_2 | gun_1 | gun_1_pre | gun_0.
-export_type([dialect/0]).

-type reply_to() :: pid() | Alias :: reference()
	| fun((_) -> _)
	| {fun(), list()}
	| {module(), atom(), list()}.
-export_type([reply_to/0]).

%% Timeouts are in milliseconds; a connect_timeout of 0 gives up at once, as in gun.
-type opts() :: #{
	connect_timeout => milliseconds() | infinity,
	cookie_store => gun_rs_cookies:store(),
	dialect => dialect(),
	domain_lookup_timeout => milliseconds() | infinity,
	event_handler => {module(), State :: term()},
	http_opts => http_opts(),
	http2_opts => http2_opts(),
	notify_retries => boolean(),
	proxy => environment | string() | binary(),
	proxy_opts => #{timeout => milliseconds() | infinity, tls_opts => [gun_rs_tls_options:tls_opt()]},
	protocols => [http | {http, http_opts()} | http2 | {http2, http2_opts()} | raw | {raw, raw_opts()}
		| socks | {socks, gun_rs_connect_options:socks_opts()}],
	raw_opts => raw_opts(),
	socks_opts => gun_rs_connect_options:socks_opts(),
	retry => non_neg_integer(),
	retry_backoff => retry_backoff(),
	retry_fun => retry_fun(),
	retry_timeout => milliseconds(),
	supervise => boolean(),
	tcp_opts => [gun_rs_tcp_options:tcp_opt()],
	tls_handshake_timeout => milliseconds() | infinity,
	tls_opts => [gun_rs_tls_options:tls_opt()],
	trace => false,
	transport => tcp | tls | ssl,
	transport_opts => [gun_rs_tcp_options:tcp_opt() | gun_rs_tls_options:tls_opt()],
	ws_opts => ws_opts()
}.
-export_type([opts/0]).

-type retry_fun() :: fun((Retries :: non_neg_integer(), opts())
	-> #{retries := non_neg_integer(), timeout := milliseconds()}).
-export_type([retry_fun/0]).

%% The pauses between attempts double, from twice retry_timeout up to max ms. A random part
%% of each, of up to jitter (0.0 to 1.0, by default 0.5) of it, is left out.
-type retry_backoff() :: #{max := milliseconds(), jitter => number()}.
-export_type([retry_backoff/0]).

%% Timeouts are in milliseconds, sizes in bytes. Of transform_header_name's results two
%% are possible: the name as it is, in lowercase, and each-word-capitalised.
-type http_opts() :: #{
	closing_timeout => milliseconds() | infinity,
	content_handlers => gun_rs_content_handler:handlers(),
	cookie_ignore_informational => boolean(),
	flow => pos_integer() | infinity | auto,
	keepalive => milliseconds() | infinity,
	max_header_block_size => pos_integer() | infinity,
	max_headers => 1..10000,
	max_informs => non_neg_integer() | infinity,
	max_send_queue => pos_integer() | infinity,
	max_trailer_block_size => pos_integer() | infinity,
	pipeline => pos_integer() | infinity,
	transform_header_name => fun((LowercaseName :: binary()) -> binary()),
	version => 'HTTP/1.1' | 'HTTP/1.0'
}.

%% How many reads are received before the owner must ask for more, and how many bytes may wait to be sent.
-type raw_opts() :: #{
	flow => pos_integer() | infinity,
	max_send_queue => pos_integer() | infinity
}.

%% Timeouts are in milliseconds.
-type req_opts() :: #{
	body_timeout => milliseconds() | infinity,
	flow => pos_integer() | infinity | auto,
	invalid_request_headers => raise | error | ignore,
	redirect_opts => opts(),
	redirects => non_neg_integer(),
	reply_to => reply_to() | alias,
	response_timeout => milliseconds() | infinity,
	timeout => milliseconds() | infinity,
	traceparent => binary(),
	tunnel => gun_rs_native:stream_ref()
}.
-export_type([http_opts/0, raw_opts/0, req_opts/0]).

-type window() :: 0..16#7fffffff.

%% Timeouts are in milliseconds, sizes in bytes. Of gun's options the last ones are taken for the
%% values that ask for what is done anyway: see `gun_rs_option_table'.
-type http2_opts() :: #{
	closing_timeout => milliseconds() | infinity,
	content_handlers => gun_rs_content_handler:handlers(),
	cookie_ignore_informational => boolean(),
	flow => pos_integer() | infinity | auto,
	initial_connection_window_size => 16#ffff..16#7fffffff,
	initial_stream_window_size => window(),
	keepalive => milliseconds() | infinity,
	keepalive_tolerance => non_neg_integer() | infinity,
	max_concurrent_streams => non_neg_integer() | infinity,
	max_decode_table_size => non_neg_integer(),
	max_fragmented_header_block_size => 16#4000..16#7fffffff,
	max_frame_size_received => 16#4000..16#ffffff,
	max_header_list_size => pos_integer(),
	max_headers => non_neg_integer(),
	max_informs => non_neg_integer() | infinity,
	max_send_queue => pos_integer() | infinity,
	notify_settings_changed => boolean(),
	preface_timeout => milliseconds() | infinity,
	push => boolean(),
	settings_timeout => milliseconds() | infinity,
	too_many_streams => wait | error,
	connection_window_margin_size => 0,
	connection_window_update_threshold => none(),
	enable_connect_protocol => boolean(),
	max_connection_window_size => window(),
	max_encode_table_size => 4096..16#ffffffff,
	max_frame_size_sent => 16#ffffff | infinity,
	max_stream_window_size => window(),
	stream_window_data_threshold => 0,
	stream_window_margin_size => 0,
	stream_window_update_threshold => none()
}.

%% Timeouts are in milliseconds, sizes in bytes. invalid_request_headers and redirects are
%% options of ws_upgrade/4 alone. Modules implement `gun_rs_ws_protocol'.
-type ws_opts() :: #{
	closing_timeout => milliseconds() | infinity,
	compress => boolean() | compat | compress_opts(),
	default_protocol => module(),
	flow => pos_integer() | infinity | auto,
	http1_fallback => boolean(),
	invalid_request_headers => raise | error | ignore,
	keepalive => milliseconds() | infinity,
	keepalive_tolerance => non_neg_integer() | infinity,
	max_frame_size => pos_integer() | infinity,
	max_message_size => pos_integer() | infinity,
	max_send_queue => pos_integer() | infinity,
	protocols => [{iodata(), module()}],
	redirects => non_neg_integer(),
	reply_to => reply_to(),
	reupgrade => boolean() | reupgrade(),
	silence_pings => boolean(),
	traceparent => binary(),
	tunnel => gun_rs_native:stream_ref(),
	upgrade_timeout => milliseconds() | infinity,
	user_opts => term()
}.
-export_type([http2_opts/0, ws_opts/0]).

%% How many bytes of frames may wait for the repeated upgrade, after refusals with which
%% status codes it is tried again, and how many ms the server may ask for in Retry-After.
-type reupgrade() :: #{
	max_retry_after => milliseconds() | infinity,
	queue => pos_integer(),
	retry_statuses => [300..599]
}.
-export_type([reupgrade/0]).

%% RFC 7692, 7.1. The client's window is 9 bits at least, because zlib compresses with
%% no smaller one; the server's may be 8. level and mem_level are zlib's.
-type compress_opts() :: #{
	client_max_window_bits => 9..15,
	client_no_context_takeover => boolean(),
	level => 0..9,
	mem_level => 1..9,
	server_max_window_bits => 8..15,
	server_no_context_takeover => boolean()
}.
-export_type([compress_opts/0]).

%% What the connection process works from: the arguments of open, the user's own
%% map (for retry_fun; without transport_opts), and every option with its value or default.
-type config() :: #{
	connect_timeout := milliseconds() | infinity,
	cookie_store := undefined | gun_rs_cookies:store(),
	dialect := dialect(),
	domain_lookup_timeout := milliseconds() | infinity,
	event_handler := undefined | {module(), State :: term()},
	host := host() | {local, binary()},
	http_opts := http_opts(),
	http2_opts := http2_opts(),
	notify_retries := boolean(),
	opts := opts(),
	port := 1..65535,
	protocols := [http | http2 | raw | socks],
	proxy := undefined | environment | gun_rs_proxy_url:proxy(),
	socks => map() | undefined,
	raw_opts := raw_opts(),
	retry := non_neg_integer(),
	retry_backoff := undefined | #{max := milliseconds(), jitter := number()},
	retry_fun := undefined | retry_fun(),
	retry_timeout := milliseconds(),
	supervise := boolean(),
	tcp_opts := gun_rs_tcp_options:tcp(),
	tls_handshake_timeout := milliseconds() | infinity,
	tls_opts := [gun_rs_tls_options:tls_opt()],
	trace := false,
	transport := tcp | tls,
	ws_opts := ws_opts()
}.
-export_type([config/0]).

%% @doc The arguments of `gun_rs:open/3' for a URL, and the target of its requests. Options that
%% name another transport contradict it. For ws and wss HTTP/1.1 is spoken: few servers have WebSocket over HTTP/2.
-spec url(Url :: term(), opts()) -> {ok, host(), Port :: 1..65535, Target :: string(), opts()}
	| {error, {options, {url | transport, term()}}}.
url(Url, Opts) ->
	case gun_rs_url:parse(Url) of
		{ok, #{transport := Transport, websocket := IsWebsocket, host := Host, port := Port, target := Target}} ->
			case transport_name(maps:get(transport, Opts, Transport)) of
				Transport when IsWebsocket ->
					{ok, Host, Port, Target, maps:merge(#{protocols => [http]}, Opts#{transport => Transport})};
				Transport ->
					{ok, Host, Port, Target, Opts#{transport => Transport}};
				_ -> {error, {options, {transport, maps:get(transport, Opts)}}}
			end;
		{error, Shown} ->
			{error, {options, {url, Shown}}}
	end.

%% @doc Checks the arguments of `gun_rs:open/3' and fills in the defaults.
-spec open(Host :: term(), Port :: term(), Opts :: term())
	-> {ok, config()} | {error, {options, Bad :: term()}} | {error, options, {socks, host | port}}.
open(_, _, Opts) when not is_map(Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}};
open(Host, Port, Opts0) ->
	Opts = gun_rs_transport_opts:spread(transport_of(Port, Opts0), Opts0),
	case check_open(Host, Port, Opts) of
		ok -> gun_rs_proxy:of_config(config(Host, Port, Opts));
		Error -> gun_rs_transport_opts:name(Error, Opts0)
	end.

%% @doc Checks the arguments of `gun_rs:open_unix/2' and fills in the defaults.
-spec open_unix(Path :: term(), Opts :: term())
	-> {ok, config()} | {error, {options, Bad :: term()}} | {error, options, {socks, host | port}}.
open_unix(_, Opts) when not is_map(Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}};
open_unix(Path0, Opts0) ->
	case gun_rs_host:unix_path(Path0) of
		{ok, Path} ->
			Opts = gun_rs_transport_opts:spread(transport_of(80, Opts0), Opts0),
			case check_unix(Opts) of
				ok -> gun_rs_proxy:of_config(config({local, Path}, 80, Opts));
				Error -> gun_rs_transport_opts:name(Error, Opts0)
			end;
		error ->
			{error, {options, {path, Path0}}}
	end.

%% A Unix domain socket has not all options of a TCP socket.
check_unix(Opts=#{tcp_opts := TcpOpts}) ->
	case gun_rs_tcp_options:check(unix, TcpOpts) of
		{ok, _} -> check_unix_opts(Opts);
		{error, Element} -> {error, {options, {tcp_opts, gun_rs_tcp_options:refused(Element)}}}
	end;
check_unix(Opts) ->
	check_unix_opts(Opts).

check_unix_opts(Opts) ->
	case check_open_opts(Opts) of
		ok -> gun_rs_protocols:check(transport_name(maps:get(transport, Opts, tcp)), Opts);
		Error -> Error
	end.

%% @doc Checks the options of a request.
-spec request(ReqOpts :: term()) -> ok | {error, {options, {req, Bad :: term()}}}.
request(ReqOpts) when is_map(ReqOpts) ->
	checked(req, ReqOpts, req);
request(ReqOpts) ->
	{error, {options, {req, ReqOpts}}}.

%% @doc The same for what no await ends: an alias of it would stay.
-spec request_without_alias(ReqOpts :: term()) -> ok | {error, {options, {req, Bad :: term()}}}.
request_without_alias(#{reply_to := alias}) -> {error, {options, {req, {reply_to, alias}}}};
request_without_alias(#{redirects := N}) -> {error, {options, {req, {redirects, {connect, N}}}}};
request_without_alias(ReqOpts) -> request(ReqOpts).

%% @doc Checks the options of `gun_rs:ws_upgrade/4'.
-spec ws_upgrade(WsOpts :: term()) -> ok | {error, {options, {ws, Bad :: term()}}}.
ws_upgrade(WsOpts) when is_map(WsOpts) ->
	checked(ws_upgrade, WsOpts, ws);
ws_upgrade(WsOpts) ->
	{error, {options, {ws, WsOpts}}}.

%% @doc The options of one connection for the native library: complete, with no
%% Erlang left in them that it would have to check. `host' is what the resolver
%% takes, `authority' the value of the Host header, `processed' whether every request and
%% message goes through the process behind the connection.
-spec native_open(config(), Processed :: boolean(), Observed :: [gun_rs_event:step()]) -> map().
native_open(Config=#{host := Host, port := Port, tcp_opts := Tcp, ws_opts := WsOpts,
		connect_timeout := ConnectTimeout, domain_lookup_timeout := LookupTimeout, retry := Retry,
		tls_handshake_timeout := HandshakeTimeout, dialect := Dialect, protocols := Protocols, http2_opts := Http2Opts,
		raw_opts := RawOpts}, Processed, Observed) ->
	#{
		dialect => Dialect,
		endpoint => endpoint(Host, Port),
		first => gun_rs_protocols:first(Config),
		authority => authority(Config),
		connect_timeout => ConnectTimeout,
		domain_lookup_timeout => LookupTimeout,
		http => gun_rs_protocols:native_http(Config),
		http1 => lists:member(http, Protocols),
		http2 => gun_rs_protocols:native_http2(Config),
		http2_inside => gun_rs_protocols:native(http2, Http2Opts),
		socks => gun_rs_connect_options:reveal(maps:get(socks, Config, undefined)),
		proxy => gun_rs_proxy:reveal(Config),
		observed => Observed,
		processed => Processed,
		raw_opts => gun_rs_option_table:native(raw, RawOpts),
		reconnects => Retry > 0,
		tcp => gun_rs_tcp_options:native(Tcp),
		tls_handshake_timeout => HandshakeTimeout,
		ws => native_ws(WsOpts)
	}.

endpoint({local, Path}, _) ->
	{unix, Path};
endpoint(Host, Port) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	{tcp, HostBin, Port}.

%% @doc The value of the Host header, unless the user gives one.
-spec authority(#{host := host() | {local, binary()}, port := inet:port_number(), transport := tcp | tls, atom() => term()})
	-> binary().
authority(#{host := {local, _}}) ->
	<<"localhost">>;
authority(#{host := Host, port := Port, transport := Transport}) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	gun_rs_host:authority(HostBin, Port, Transport).

%% @doc The scheme of its requests.
-spec scheme(#{transport := tcp | tls, atom() => term()}) -> binary().
scheme(#{transport := tcp}) -> <<"http">>;
scheme(#{transport := tls}) -> <<"https">>.

%% @doc The options of one WebSocket for the native library: complete, from options that open/3 or ws_upgrade/1 accepts.
-spec native_ws(ws_opts()) -> map().
native_ws(WsOpts) ->
	%% Without one of its own, an upgrade has the keepalive of open.
	Complete = maps:merge((gun_rs_option_table:defaults(ws))#{keepalive := undefined}, WsOpts),
	#{compress := Compress, default_protocol := Default, protocols := Protocols, reupgrade := Reupgrade} = Complete,
	Native = gun_rs_option_table:native(ws, Complete),
	Native#{
		compress => native_compress(Compress),
		reupgrade => native_reupgrade(Reupgrade),
		subprotocols => [iolist_to_binary(Name) || {Name, _} <- Protocols],
		fragments => [iolist_to_binary(Name) || {Name, Module} <- Protocols, gun_rs_ws_protocol:module(Module) =/= gun_rs_ws_h],
		fragments_by_default => gun_rs_ws_protocol:module(Default) =/= gun_rs_ws_h
	}.

native_compress(false) -> undefined;
native_compress(true) -> gun_rs_option_table:defaults(compress);
native_compress(compat) -> (gun_rs_option_table:defaults(compress))#{client_max_window_bits := not_offered};
native_compress(Opts) -> maps:merge(gun_rs_option_table:defaults(compress), Opts).

%% Without a queue, no frame may wait for it.
native_reupgrade(false) -> undefined;
native_reupgrade(true) -> gun_rs_option_table:defaults(reupgrade);
native_reupgrade(Opts) -> maps:merge(gun_rs_option_table:defaults(reupgrade), Opts).

%% @doc What a module of the user's is started with, if one may take the frames: the ws_opts. Undefined if none may.
-spec handler(ws_opts()) -> ws_opts() | undefined.
handler(WsOpts) ->
	Modules = [maps:get(default_protocol, WsOpts, gun_rs_ws_h)
		|[Module || {_, Module} <- maps:get(protocols, WsOpts, [])]],
	case lists:usort([gun_rs_ws_protocol:module(Module) || Module <- Modules]) of
		[gun_rs_ws_h] -> undefined;
		_ -> WsOpts
	end.

%% @doc The module for the subprotocol that the server has chosen, if it has. One that was
%% asked for in a header alone has no module of its own.
-spec handler_module(Subprotocol :: binary() | undefined, ws_opts()) -> module().
handler_module(Subprotocol, WsOpts) ->
	Own = [Module || {Name, Module} <- maps:get(protocols, WsOpts, []), iolist_to_binary(Name) =:= Subprotocol],
	gun_rs_ws_protocol:module(hd(Own ++ [maps:get(default_protocol, WsOpts, gun_rs_ws_h)])).

%% Checks.

checked(Table, Opts, Of) ->
	case gun_rs_option_table:check(Table, Opts) of
		ok -> ok;
		{error, Reason} -> {error, {options, {Of, Reason}}}
	end.

%% A dialect that the environment gives is checked like one of the user's.
check_open_opts(Opts) ->
	case gun_rs_option_table:check(open, maps:merge(#{dialect => default_dialect()}, Opts)) of
		ok ->
			case gun_rs_protocols:socks_opts(Opts) of
				%% They count for nothing, but may not be wrong.
				undefined when is_map_key(socks_opts, Opts) -> gun_rs_connect_options:check_socks(map_get(socks_opts, Opts));
				undefined -> ok;
				SocksOpts -> check_behind_socks(Opts, gun_rs_connect_options:check_socks(SocksOpts))
			end;
		{error, Reason} -> {error, {options, Reason}}
	end.

%% A connection beside it would not lead through the proxy.
check_behind_socks(#{ws_opts := #{http1_fallback := true}}, ok) -> {error, {options, {ws, {http1_fallback, true}}}};
check_behind_socks(_, Checked) -> Checked.

%% @doc The dialect of connections that are opened without one.
-spec default_dialect() -> dialect().
default_dialect() ->
	application:get_env(gun_rs, dialect, gun_2).

check_open(Host, Port, Opts) ->
	case {gun_rs_host:to_binary(Host), Port} of
		{error, _} ->
			{error, {options, {host, gun_rs_secrets:url(Host)}}};
		{_, _} when is_integer(Port), Port > 0, Port =< 65535 ->
			case check_open_opts(Opts) of
				ok -> gun_rs_protocols:check(transport_name(maps:get(transport, Opts, transport(Port))), Opts);
				Error -> Error
			end;
		{_, _} ->
			{error, {options, {port, Port}}}
	end.

%% Defaults.

config(Host, Port, Opts0) ->
	{ok, Tcp} = gun_rs_tcp_options:check(tcp, maps:get(tcp_opts, Opts0, [{send_timeout, 15000}])),
	TlsOpts = gun_rs_tls_options:without_decoded(maps:get(tls_opts, Opts0, [])),
	%% Every connection has a copy of them.
	Opts = case Opts0 of
		#{tls_opts := _} -> Opts0#{tls_opts := TlsOpts};
		_ -> Opts0
	end,
	Transport = transport_name(maps:get(transport, Opts, transport(Port))),
	Config = #{dialect := Dialect} = maps:merge((gun_rs_option_table:defaults(open))#{dialect => default_dialect()}, Opts),
	(maps:remove(socks_opts, Config))#{
		host => Host,
		http_opts => maps:merge(defaults(http, Dialect), gun_rs_protocols:opts(http, http_opts, Opts)),
		http2_opts => maps:merge(defaults(http2, Dialect), gun_rs_protocols:opts(http2, http2_opts, Opts)),
		opts => Opts,
		port => Port,
		protocols => gun_rs_protocols:names(Transport, Opts),
		raw_opts => maps:merge(gun_rs_option_table:defaults(raw), gun_rs_protocols:opts(raw, raw_opts, Opts)),
		retry_backoff => backoff(maps:get(retry_backoff, Opts, undefined)),
		tcp_opts => Tcp,
		tls_opts => TlsOpts,
		transport => Transport,
		ws_opts => maps:merge(defaults(ws, Dialect), maps:get(ws_opts, Opts, #{}))
	}.

backoff(undefined) -> undefined;
backoff(Backoff) -> maps:merge(gun_rs_option_table:defaults(backoff), Backoff).

%% In which dialect, and by which transport.
transport_of(Port, Opts) ->
	{maps:get(dialect, Opts, default_dialect()), transport_name(maps:get(transport, Opts, transport(Port)))}.

transport(443) -> tls;
transport(_) -> tcp.

transport_name(ssl) -> tls;
transport_name(Transport) -> Transport.

%% The older dialects keep connections alive without being asked to.
defaults(Table, gun_2) -> gun_rs_option_table:defaults(Table);
defaults(Table, _) -> (gun_rs_option_table:defaults(Table))#{keepalive := 5000}.
