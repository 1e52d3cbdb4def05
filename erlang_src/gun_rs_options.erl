%% @doc Every option of gun_rs, checked in the caller before any process exists.
%%
%% One clause per option, as in gun. What is unknown, ill-typed or not built yet is
%% named in the error and never ignored:
%%
%% `{options, {Key, Value}}' for an option of open; `{options, {ws, {Key, Value}}}'
%% and `{options, {http, {Key, Value}}}' for one of ws_opts and http_opts;
%% `{options, {tcp_opts, Element}}' for an element of tcp_opts, and so for tls_opts;
%% `{options, {url, Url}}' for what is no URL of a known scheme;
%% `{options, {host, Host}}' and `{options, {port, Port}}' for the first two arguments;
%% `{options, Opts}' when the options are no map. `gun_rs:format_error/1' has a
%% sentence for each.
-module(gun_rs_options).

-export([url/2]).
-export([open/3]).
-export([open_unix/2]).
-export([request/1]).
-export([ws_upgrade/1]).
-export([native_open/1]).
-export([authority/1]).
-export([scheme/1]).
-export([native_ws/1]).
-export([handler/1]).
-export([handler_module/2]).
-export([default_dialect/0]).
-export([planned/1]).

-type host() :: inet:hostname() | inet:ip_address() | binary().
-export_type([host/0]).

-type milliseconds() :: 0..16#ffffffff.
-export_type([milliseconds/0]).

%% Whose messages, and whose ways, a connection has: those of gun 2, of gun 1.2 and 1.3, of
%% the pre-releases of gun 1.0, or of what was before. The default is the environment of
%% the application, `{gun_rs, dialect}', and gun_2 where that has none.
-type dialect() :: gun_2 | gun_1 | gun_1_pre | gun_0.
-export_type([dialect/0]).

-type reply_to() :: pid()
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
	http_opts => http_opts(),
	http2_opts => gun_rs_http2_options:opts(),
	notify_retries => boolean(),
	protocols => [http | {http, http_opts()} | http2 | {http2, gun_rs_http2_options:opts()}],
	retry => non_neg_integer(),
	retry_backoff => retry_backoff(),
	retry_fun => retry_fun(),
	retry_timeout => milliseconds(),
	supervise => boolean(),
	tcp_opts => [tcp_opt()],
	tls_handshake_timeout => milliseconds() | infinity,
	tls_opts => [gun_rs_tls_options:tls_opt()],
	trace => false,
	transport => tcp | tls | ssl,
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
	transform_header_name => fun((LowercaseName :: binary()) -> binary()),
	version => 'HTTP/1.1' | 'HTTP/1.0'
}.
-export_type([http_opts/0]).

%% Timeouts are in milliseconds.
-type req_opts() :: #{
	body_timeout => milliseconds() | infinity,
	flow => pos_integer() | infinity | auto,
	invalid_request_headers => raise | error | ignore,
	reply_to => reply_to(),
	response_timeout => milliseconds() | infinity
}.
-export_type([req_opts/0]).

%% The system closes a connection whose send timed out, always, so that
%% `{send_timeout_close, false}' is refused. The address family follows `ip';
%% without either, both families are tried.
-type tcp_opt() :: inet | inet6
	| {ip | ifaddr, inet:ip_address()}
	| {keepalive | nodelay, boolean()}
	| {recbuf | sndbuf, pos_integer()}
	| {send_timeout, milliseconds() | infinity}
	| {send_timeout_close, true}.
-export_type([tcp_opt/0]).

%% Timeouts are in milliseconds, sizes in bytes. invalid_request_headers is an
%% option of ws_upgrade/4 alone. Modules implement `gun_rs_ws_protocol'.
-type ws_opts() :: #{
	closing_timeout => milliseconds() | infinity,
	compress => boolean() | compat | compress_opts(),
	default_protocol => module(),
	flow => pos_integer() | infinity | auto,
	invalid_request_headers => raise | error | ignore,
	keepalive => milliseconds() | infinity,
	keepalive_tolerance => non_neg_integer() | infinity,
	max_frame_size => pos_integer() | infinity,
	max_message_size => pos_integer() | infinity,
	max_send_queue => pos_integer() | infinity,
	protocols => [{iodata(), module()}],
	reply_to => reply_to(),
	reupgrade => boolean() | reupgrade(),
	silence_pings => boolean(),
	upgrade_timeout => milliseconds() | infinity,
	user_opts => term()
}.
-export_type([ws_opts/0]).

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

-type tcp() :: #{
	family := any | inet | inet6,
	ip := undefined | inet:ip_address(),
	keepalive := boolean(),
	nodelay := boolean(),
	recbuf := undefined | pos_integer(),
	send_timeout := milliseconds() | infinity,
	sndbuf := undefined | pos_integer()
}.

%% What the connection process works from: the arguments of open, the user's own
%% map as it was given (for retry_fun), and every option with its value or default.
-type config() :: #{
	connect_timeout := milliseconds() | infinity,
	cookie_store := undefined | gun_rs_cookies:store(),
	dialect := dialect(),
	domain_lookup_timeout := milliseconds() | infinity,
	host := host() | {local, binary()},
	http_opts := http_opts(),
	notify_retries := boolean(),
	opts := opts(),
	port := 1..65535,
	protocols := [http],
	retry := non_neg_integer(),
	retry_backoff := undefined | #{max := milliseconds(), jitter := number()},
	retry_fun := undefined | retry_fun(),
	retry_timeout := milliseconds(),
	supervise := boolean(),
	tcp_opts := tcp(),
	tls_handshake_timeout := milliseconds() | infinity,
	tls_opts := [gun_rs_tls_options:tls_opt()],
	trace := false,
	transport := tcp | tls,
	ws_opts := ws_opts()
}.
-export_type([config/0]).

-define(MAX_SIZE, (1 bsl 62)).
-define(IS_DIALECT(D), (D =:= gun_2 orelse D =:= gun_1 orelse D =:= gun_1_pre orelse D =:= gun_0)).
%% `error' is what raise was called at first.
-define(IS_INVALID(V), (V =:= raise orelse V =:= error orelse V =:= ignore)).
-define(IS_SIZE(N), (is_integer(N) andalso N > 0 andalso N =< ?MAX_SIZE)).
%% A socket's buffer size is a C int.
-define(IS_BUFFER(N), (is_integer(N) andalso N > 0 andalso N =< 16#7fffffff)).
-define(IS_MS(T), (is_integer(T) andalso T >= 0 andalso T =< 16#ffffffff)).
-define(IS_TIMEOUT(T), (T =:= infinity orelse ?IS_MS(T))).
-define(IS_POS_TIMEOUT(T), (?IS_TIMEOUT(T) andalso T =/= 0)).
%% The parser makes room for so many.
-define(MAX_HEADERS, 10000).
-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc The arguments of `gun_rs:open/3' for a URL, and the target of its requests. Options that
%% name another transport contradict it.
-spec url(Url :: term(), opts()) -> {ok, host(), Port :: 1..65535, Target :: string(), opts()}
	| {error, {options, {url | transport, term()}}}.
url(Url, Opts) ->
	case gun_rs_url:parse(Url) of
		{ok, #{transport := Transport, host := Host, port := Port, target := Target}} ->
			case transport_name(maps:get(transport, Opts, Transport)) of
				Transport -> {ok, Host, Port, Target, Opts#{transport => Transport}};
				_ -> {error, {options, {transport, maps:get(transport, Opts)}}}
			end;
		{error, Shown} ->
			{error, {options, {url, Shown}}}
	end.

%% @doc Checks the arguments of `gun_rs:open/3' and fills in the defaults.
-spec open(Host :: term(), Port :: term(), Opts :: term())
	-> {ok, config()} | {error, {options, Bad :: term()}}.
open(_, _, Opts) when not is_map(Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}};
open(Host, Port, Opts) ->
	case check_open(Host, Port, Opts) of
		ok -> {ok, config(Host, Port, Opts)};
		Error -> Error
	end.

%% @doc Checks the arguments of `gun_rs:open_unix/2' and fills in the defaults.
-spec open_unix(Path :: term(), Opts :: term())
	-> {ok, config()} | {error, {options, Bad :: term()}}.
open_unix(_, Opts) when not is_map(Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}};
open_unix(Path0, Opts) ->
	case unix_path(Path0) of
		{ok, Path} ->
			case check_unix(Opts) of
				ok -> {ok, config({local, Path}, 80, Opts)};
				Error -> Error
			end;
		error ->
			{error, {options, {path, Path0}}}
	end.

%% Of the options of a TCP socket, those for all sockets.
check_unix(Opts=#{tcp_opts := TcpOpts}) when ?IS_PROPER_LIST(TcpOpts) ->
	case [Opt || Opt <- TcpOpts, not is_tuple(Opt) orelse not lists:member(element(1, Opt), [send_timeout, send_timeout_close])] of
		[] -> check_unix_opts(Opts);
		[Opt|_] -> {error, {options, {tcp_opts, Opt}}}
	end;
check_unix(Opts) ->
	check_unix_opts(Opts).

check_unix_opts(Opts) ->
	case check_open_opts_of(Opts) of
		ok -> check_negotiation(transport_name(maps:get(transport, Opts, tcp)), Opts);
		Error -> Error
	end.

%% @doc Checks the options of a request.
-spec request(ReqOpts :: term()) -> ok | {error, {options, {req, Bad :: term()}}}.
request(ReqOpts) when is_map(ReqOpts) ->
	check_req_opts(sorted(ReqOpts));
request(ReqOpts) ->
	{error, {options, {req, ReqOpts}}}.

check_req_opts([]) ->
	ok;
check_req_opts([{body_timeout, T}|Opts]) when ?IS_POS_TIMEOUT(T) ->
	check_req_opts(Opts);
check_req_opts([{flow, N}|Opts]) when ?IS_SIZE(N); N =:= infinity; N =:= auto ->
	check_req_opts(Opts);
check_req_opts([{invalid_request_headers, V}|Opts]) when ?IS_INVALID(V) ->
	check_req_opts(Opts);
check_req_opts([Opt={reply_to, ReplyTo}|Opts]) ->
	case is_reply_to(ReplyTo) of
		true -> check_req_opts(Opts);
		false -> {error, {options, {req, Opt}}}
	end;
check_req_opts([{response_timeout, T}|Opts]) when ?IS_POS_TIMEOUT(T) ->
	check_req_opts(Opts);
check_req_opts([Opt|_]) ->
	{error, {options, {req, Opt}}}.

%% @doc Checks the options of `gun_rs:ws_upgrade/4'.
-spec ws_upgrade(WsOpts :: term()) -> ok | {error, {options, {ws, Bad :: term()}}}.
ws_upgrade(WsOpts) when is_map(WsOpts) ->
	check_ws_opts(sorted(WsOpts), upgrade);
ws_upgrade(WsOpts) ->
	{error, {options, {ws, WsOpts}}}.

%% @doc The options of one connection for the native library: complete, with no
%% Erlang left in them that it would have to check. `host' is what the resolver
%% takes, `authority' the value of the Host header.
-spec native_open(config()) -> map().
native_open(Config=#{host := Host, port := Port, tcp_opts := Tcp, http_opts := HttpOpts, ws_opts := WsOpts,
		connect_timeout := ConnectTimeout, domain_lookup_timeout := LookupTimeout, retry := Retry,
		tls_handshake_timeout := HandshakeTimeout, dialect := Dialect}) ->
	#{
		dialect => Dialect,
		endpoint => endpoint(Host, Port),
		authority => authority(Config),
		connect_timeout => ConnectTimeout,
		domain_lookup_timeout => LookupTimeout,
		http => native_http(HttpOpts),
		processed => gun_rs_streams:is_needed(Config),
		reconnects => Retry > 0,
		tcp => native_tcp(Tcp),
		tls_handshake_timeout => HandshakeTimeout,
		ws => native_ws(WsOpts)
	}.

endpoint({local, Path}, _) ->
	{unix, Path};
endpoint(Host, Port) ->
	{ok, HostBin} = host_to_binary(Host),
	{tcp, HostBin, Port}.

%% @doc The value of the Host header, unless the user gives one.
-spec authority(config()) -> binary().
authority(#{host := {local, _}}) ->
	<<"localhost">>;
authority(#{host := Host, port := Port, transport := Transport}) ->
	{ok, HostBin} = host_to_binary(Host),
	authority(HostBin, Port, Transport).

%% @doc The scheme of its requests.
-spec scheme(config()) -> binary().
scheme(#{transport := tcp}) -> <<"http">>;
scheme(#{transport := tls}) -> <<"https">>.

native_http(HttpOpts=#{max_header_block_size := Headers, max_trailer_block_size := Trailers}) ->
	Native = maps:with([closing_timeout, flow, keepalive, max_header_block_size, max_headers, max_informs, max_send_queue,
		max_trailer_block_size, version], HttpOpts),
	Native#{
		max_trailer_block_size => min(Headers, Trailers),
		title_case_headers => header_names(maps:get(transform_header_name, HttpOpts, undefined)) =:= title
	}.

%% How transform_header_name spells names, as far as the native HTTP library can: these
%% names tell.
header_names(undefined) ->
	lowercase;
header_names(Fun) ->
	Names = [{<<"host">>, <<"Host">>}, {<<"content-length">>, <<"Content-Length">>},
		{<<"sec-websocket-key">>, <<"Sec-Websocket-Key">>}, {<<"x-a1-te">>, <<"X-A1-Te">>}],
	Transformed = try [Fun(Name) || {Name, _} <- Names] catch _:_ -> [] end,
	case lists:unzip(Names) of
		{Transformed, _} -> lowercase;
		{_, Transformed} -> title;
		_ -> other
	end.

%% @doc The options of one WebSocket for the native library: complete, from options
%% that open/3 or ws_upgrade/1 has accepted.
-spec native_ws(ws_opts()) -> map().
native_ws(WsOpts) ->
	%% Without one of its own, an upgrade has the keepalive of open.
	Complete = maps:merge((ws_defaults())#{keepalive => undefined}, WsOpts),
	#{compress := Compress, default_protocol := Default, protocols := Protocols, reupgrade := Reupgrade} = Complete,
	Native = maps:with([closing_timeout, flow, keepalive, keepalive_tolerance,
		max_frame_size, max_message_size, max_send_queue, silence_pings, upgrade_timeout], Complete),
	Native#{
		compress => native_compress(Compress),
		reupgrade => native_reupgrade(Reupgrade),
		subprotocols => [iolist_to_binary(Name) || {Name, _} <- Protocols],
		fragments => [iolist_to_binary(Name) || {Name, Module} <- Protocols, module(Module) =/= gun_rs_ws_h],
		fragments_by_default => module(Default) =/= gun_rs_ws_h
	}.

native_compress(false) -> undefined;
native_compress(true) -> compress_defaults();
native_compress(compat) -> (compress_defaults())#{client_max_window_bits := not_offered};
native_compress(Opts) -> maps:merge(compress_defaults(), Opts).

%% Without a queue, no frame may wait for it.
native_reupgrade(false) -> undefined;
native_reupgrade(true) -> reupgrade_defaults();
native_reupgrade(Opts) -> maps:merge(reupgrade_defaults(), Opts).

%% @doc What a module of the user's is started with, if one may take the frames: the
%% ws_opts. Undefined if none may.
-spec handler(ws_opts()) -> ws_opts() | undefined.
handler(WsOpts) ->
	Modules = [maps:get(default_protocol, WsOpts, gun_rs_ws_h)
		|[Module || {_, Module} <- maps:get(protocols, WsOpts, [])]],
	case lists:usort([module(Module) || Module <- Modules]) of
		[gun_rs_ws_h] -> undefined;
		_ -> WsOpts
	end.

%% @doc The module for the subprotocol that the server has chosen, if it has. One that was
%% asked for in a header alone has no module of its own.
-spec handler_module(Subprotocol :: binary() | undefined, ws_opts()) -> module().
handler_module(Subprotocol, WsOpts) ->
	Own = [Module || {Name, Module} <- maps:get(protocols, WsOpts, []), iolist_to_binary(Name) =:= Subprotocol],
	module(hd(Own ++ [maps:get(default_protocol, WsOpts, gun_rs_ws_h)])).

%% What a program that was written for gun calls it.
module(gun_ws_h) -> gun_rs_ws_h;
module(Module) -> Module.

%% @doc The options of gun that this release refuses because they are not built yet.
%% To build one is to give it a clause below and to take it out of here.
-spec planned(open | http | req | ws) -> [atom()].
planned(open) ->
	[event_handler, raw_opts, socks_opts];
planned(http) ->
	[];
planned(req) ->
	[tunnel];
planned(ws) ->
	[tunnel].

%% Checks.

%% A dialect that the environment gives is checked like one of the user's.
check_open_opts_of(Opts) ->
	case check_open_opts(sorted(maps:merge(#{dialect => default_dialect()}, Opts))) of
		ok -> check_retries(maps:merge(open_defaults(), Opts));
		Error -> Error
	end.

%% Pauses that never were, of a retry_fun or below the shortest, would be options without effect.
check_retries(#{retry_backoff := Backoff=#{max := Max}, retry_fun := RetryFun, retry_timeout := Timeout})
		when RetryFun =/= undefined; Max < Timeout ->
	{error, {options, {retry_backoff, Backoff}}};
check_retries(_) ->
	ok.

%% @doc The dialect of connections that are opened without one.
-spec default_dialect() -> dialect().
default_dialect() ->
	application:get_env(gun_rs, dialect, gun_2).

check_open(Host, Port, Opts) ->
	case {host_to_binary(Host), Port} of
		{error, _} ->
			{error, {options, {host, gun_rs_secrets:url(Host)}}};
		{_, _} when is_integer(Port), Port > 0, Port =< 65535 ->
			case check_open_opts_of(Opts) of
				ok -> check_negotiation(transport_name(maps:get(transport, Opts, transport(Port))), Opts);
				Error -> Error
			end;
		{_, _} ->
			{error, {options, {port, Port}}}
	end.

%% Without TLS there is nothing that says which of them it is, and gun takes one alone.
check_negotiation(tcp, #{protocols := [_, _|_] = Protocols}) ->
	{error, {options, {protocols, Protocols}}};
check_negotiation(_, _) ->
	ok.

check_open_opts([]) ->
	ok;
check_open_opts([{connect_timeout, T}|Opts]) when ?IS_TIMEOUT(T) ->
	check_open_opts(Opts);
check_open_opts([Opt={cookie_store, {Module, _}}|Opts]) ->
	case is_cookie_store(Module) of
		true -> check_open_opts(Opts);
		false -> {error, {options, Opt}}
	end;
check_open_opts([{dialect, D}|Opts]) when ?IS_DIALECT(D) ->
	check_open_opts(Opts);
check_open_opts([{domain_lookup_timeout, T}|Opts]) when ?IS_TIMEOUT(T) ->
	check_open_opts(Opts);
check_open_opts([{http_opts, HttpOpts}|Opts]) when is_map(HttpOpts) ->
	case check_http(HttpOpts) of
		ok -> check_open_opts(Opts);
		Error -> Error
	end;
check_open_opts([{http2_opts, Http2Opts}|Opts]) when is_map(Http2Opts) ->
	case gun_rs_http2_options:check(Http2Opts) of
		ok -> check_open_opts(Opts);
		{error, Opt} -> {error, {options, {http2, Opt}}}
	end;
check_open_opts([{notify_retries, B}|Opts]) when is_boolean(B) ->
	check_open_opts(Opts);
check_open_opts([Opt={protocols, Protocols}|Opts]) ->
	case are_protocols(Protocols) of
		true -> check_open_opts(Opts);
		false -> {error, {options, Opt}}
	end;
check_open_opts([{retry, R}|Opts]) when is_integer(R), R >= 0 ->
	check_open_opts(Opts);
check_open_opts([Opt={retry_backoff, Backoff}|Opts]) ->
	case is_backoff(Backoff) of
		true -> check_open_opts(Opts);
		false -> {error, {options, Opt}}
	end;
check_open_opts([{retry_fun, F}|Opts]) when is_function(F, 2) ->
	check_open_opts(Opts);
check_open_opts([{retry_timeout, T}|Opts]) when ?IS_MS(T) ->
	check_open_opts(Opts);
check_open_opts([{supervise, B}|Opts]) when is_boolean(B) ->
	check_open_opts(Opts);
check_open_opts([{tcp_opts, L}|Opts]) when ?IS_PROPER_LIST(L) ->
	case tcp(L) of
		{ok, _} -> check_open_opts(Opts);
		{error, Element} -> {error, {options, {tcp_opts, Element}}}
	end;
check_open_opts([{tls_handshake_timeout, T}|Opts]) when ?IS_TIMEOUT(T) ->
	check_open_opts(Opts);
%% Also where there is no TLS: whether there is may depend on the port.
check_open_opts([{tls_opts, L}|Opts]) ->
	case gun_rs_tls_options:check(L) of
		ok -> check_open_opts(Opts);
		{error, Element} -> {error, {options, {tls_opts, gun_rs_tls_options:refused(Element)}}}
	end;
check_open_opts([{trace, false}|Opts]) ->
	check_open_opts(Opts);
check_open_opts([{transport, T}|Opts]) when T =:= tcp; T =:= tls; T =:= ssl ->
	check_open_opts(Opts);
check_open_opts([{ws_opts, WsOpts}|Opts]) when is_map(WsOpts) ->
	case check_ws_opts(sorted(WsOpts), open) of
		ok -> check_open_opts(Opts);
		Error -> Error
	end;
check_open_opts([Opt|_]) ->
	{error, {options, gun_rs_secrets:option(Opt)}}.

%% Each protocol at most once, and http among them: it serves where there is no HTTP/2 yet.
are_protocols(Protocols) when ?IS_PROPER_LIST(Protocols) ->
	Names = [protocol(Protocol) || Protocol <- Protocols],
	lists:member(http, Names) andalso not lists:member(error, Names)
		andalso length(lists:usort(Names)) =:= length(Names);
are_protocols(_) ->
	false.

protocol(Name) when Name =:= http; Name =:= http2 ->
	Name;
protocol({http, Opts}) when is_map(Opts) ->
	case check_http(Opts) of
		ok -> http;
		_ -> error
	end;
protocol({http2, Opts}) when is_map(Opts) ->
	case gun_rs_http2_options:check(Opts) of
		ok -> http2;
		_ -> error
	end;
protocol(_) ->
	error.

is_backoff(Backoff=#{max := Max}) when ?IS_MS(Max) ->
	case maps:remove(max, Backoff) of
		#{jitter := Jitter}=Rest -> is_number(Jitter) andalso Jitter >= 0 andalso Jitter =< 1 andalso map_size(Rest) =:= 1;
		Rest -> map_size(Rest) =:= 0
	end;
is_backoff(_) ->
	false.

%% The native HTTP library takes no trailers that are larger than a header block may be.
check_http(HttpOpts) ->
	#{max_header_block_size := Headers, max_trailer_block_size := Trailers} = maps:merge(http_defaults(), HttpOpts),
	case check_http_opts(sorted(HttpOpts)) of
		ok when is_map_key(max_trailer_block_size, HttpOpts), Trailers > Headers ->
			{error, {options, {http, {max_trailer_block_size, Trailers}}}};
		Result ->
			Result
	end.

check_http_opts([]) ->
	ok;
check_http_opts([{closing_timeout, T}|Opts]) when ?IS_POS_TIMEOUT(T) ->
	check_http_opts(Opts);
check_http_opts([Opt={content_handlers, Handlers}|Opts]) ->
	case gun_rs_content_handler:check_option(Handlers) of
		ok -> check_http_opts(Opts);
		error -> {error, {options, {http, Opt}}}
	end;
check_http_opts([{cookie_ignore_informational, B}|Opts]) when is_boolean(B) ->
	check_http_opts(Opts);
check_http_opts([{flow, N}|Opts]) when ?IS_SIZE(N); N =:= infinity; N =:= auto ->
	check_http_opts(Opts);
check_http_opts([{keepalive, T}|Opts]) when ?IS_POS_TIMEOUT(T) ->
	check_http_opts(Opts);
check_http_opts([{max_header_block_size, N}|Opts]) when ?IS_SIZE(N); N =:= infinity ->
	check_http_opts(Opts);
check_http_opts([{max_headers, N}|Opts]) when is_integer(N), N > 0, N =< ?MAX_HEADERS ->
	check_http_opts(Opts);
check_http_opts([{max_informs, N}|Opts]) when is_integer(N), N >= 0, N =< 16#ffffffff; N =:= infinity ->
	check_http_opts(Opts);
check_http_opts([{max_send_queue, N}|Opts]) when ?IS_SIZE(N); N =:= infinity ->
	check_http_opts(Opts);
check_http_opts([{max_trailer_block_size, N}|Opts]) when ?IS_SIZE(N); N =:= infinity ->
	check_http_opts(Opts);
check_http_opts([Opt={transform_header_name, F}|Opts]) when is_function(F, 1) ->
	case header_names(F) of
		other -> {error, {options, {http, Opt}}};
		_ -> check_http_opts(Opts)
	end;
check_http_opts([{version, V}|Opts]) when V =:= 'HTTP/1.1'; V =:= 'HTTP/1.0' ->
	check_http_opts(Opts);
check_http_opts([Opt|_]) ->
	{error, {options, {http, Opt}}}.

check_ws_opts([], _) ->
	ok;
check_ws_opts([{closing_timeout, T}|Opts], For) when ?IS_POS_TIMEOUT(T) ->
	check_ws_opts(Opts, For);
check_ws_opts([{compress, C}|Opts], For) when is_boolean(C); C =:= compat ->
	check_ws_opts(Opts, For);
check_ws_opts([{compress, Compress}|Opts], For) when is_map(Compress) ->
	case check_compress_opts(sorted(Compress)) of
		ok -> check_ws_opts(Opts, For);
		{error, Opt} -> {error, {options, {ws, {compress, Opt}}}}
	end;
check_ws_opts([Opt={default_protocol, Module}|Opts], For) ->
	case is_handler(Module) of
		true -> check_ws_opts(Opts, For);
		false -> {error, {options, {ws, Opt}}}
	end;
check_ws_opts([{flow, N}|Opts], For) when ?IS_SIZE(N); N =:= infinity; N =:= auto ->
	check_ws_opts(Opts, For);
check_ws_opts([{invalid_request_headers, V}|Opts], upgrade) when ?IS_INVALID(V) ->
	check_ws_opts(Opts, upgrade);
check_ws_opts([{keepalive, T}|Opts], For) when ?IS_POS_TIMEOUT(T) ->
	check_ws_opts(Opts, For);
check_ws_opts([{keepalive_tolerance, N}|Opts], For)
		when is_integer(N), N >= 0, N =< 16#ffffffff; N =:= infinity ->
	check_ws_opts(Opts, For);
check_ws_opts([{max_frame_size, N}|Opts], For) when ?IS_SIZE(N); N =:= infinity ->
	check_ws_opts(Opts, For);
check_ws_opts([{max_message_size, N}|Opts], For) when ?IS_SIZE(N); N =:= infinity ->
	check_ws_opts(Opts, For);
check_ws_opts([{max_send_queue, N}|Opts], For) when ?IS_SIZE(N); N =:= infinity ->
	check_ws_opts(Opts, For);
check_ws_opts([Opt={protocols, L}|Opts], For) when ?IS_PROPER_LIST(L) ->
	case are_subprotocols(L) of
		true -> check_ws_opts(Opts, For);
		false -> {error, {options, {ws, Opt}}}
	end;
check_ws_opts([{reupgrade, B}|Opts], For) when is_boolean(B) ->
	check_ws_opts(Opts, For);
check_ws_opts([Opt={reupgrade, Reupgrade}|Opts], For) ->
	case is_map(Reupgrade) andalso is_reupgrade(maps:to_list(Reupgrade)) of
		true -> check_ws_opts(Opts, For);
		false -> {error, {options, {ws, Opt}}}
	end;
check_ws_opts([Opt={reply_to, ReplyTo}|Opts], For) ->
	case is_reply_to(ReplyTo) of
		true -> check_ws_opts(Opts, For);
		false -> {error, {options, {ws, Opt}}}
	end;
check_ws_opts([{silence_pings, B}|Opts], For) when is_boolean(B) ->
	check_ws_opts(Opts, For);
check_ws_opts([{upgrade_timeout, T}|Opts], For) when ?IS_POS_TIMEOUT(T) ->
	check_ws_opts(Opts, For);
check_ws_opts([{user_opts, _}|Opts], For) ->
	check_ws_opts(Opts, For);
check_ws_opts([Opt|_], _) ->
	{error, {options, {ws, Opt}}}.

is_reupgrade([]) -> true;
is_reupgrade([{max_retry_after, T}|Opts]) when ?IS_TIMEOUT(T) -> is_reupgrade(Opts);
is_reupgrade([{queue, N}|Opts]) when ?IS_SIZE(N) -> is_reupgrade(Opts);
is_reupgrade([{retry_statuses, L}|Opts]) when ?IS_PROPER_LIST(L) ->
	lists:all(fun(Status) -> is_integer(Status) andalso Status >= 300 andalso Status =< 599 end, L)
		andalso is_reupgrade(Opts);
is_reupgrade(_) -> false.

is_reply_to(Pid) when is_pid(Pid) -> true;
is_reply_to(Fun) when is_function(Fun, 1) -> true;
is_reply_to({Fun, Args}) when is_function(Fun, 1 + length(Args)) -> true;
is_reply_to({M, F, Args}) when is_atom(M), is_atom(F), ?IS_PROPER_LIST(Args) -> true;
is_reply_to(_) -> false.

check_compress_opts([]) ->
	ok;
check_compress_opts([{client_max_window_bits, N}|Opts]) when is_integer(N), N >= 9, N =< 15 ->
	check_compress_opts(Opts);
check_compress_opts([{client_no_context_takeover, B}|Opts]) when is_boolean(B) ->
	check_compress_opts(Opts);
check_compress_opts([{level, N}|Opts]) when is_integer(N), N >= 0, N =< 9 ->
	check_compress_opts(Opts);
check_compress_opts([{mem_level, N}|Opts]) when is_integer(N), N >= 1, N =< 9 ->
	check_compress_opts(Opts);
check_compress_opts([{server_max_window_bits, N}|Opts]) when is_integer(N), N >= 8, N =< 15 ->
	check_compress_opts(Opts);
check_compress_opts([{server_no_context_takeover, B}|Opts]) when is_boolean(B) ->
	check_compress_opts(Opts);
check_compress_opts([Opt|_]) ->
	{error, Opt}.

%% A module that is not there is better known now than at the upgrade.
is_handler(gun_ws_h) ->
	true;
is_handler(Module) when is_atom(Module) ->
	code:ensure_loaded(Module) =:= {module, Module}
		andalso erlang:function_exported(Module, init, 4)
		andalso erlang:function_exported(Module, handle, 2);
is_handler(_) ->
	false.

%% Init is of no concern here, since the store has been made.
is_cookie_store(Module) when is_atom(Module) ->
	Callbacks = [{query, 2}, {set_cookie_secure_match, 2}, {set_cookie_get_exact_match, 2},
		{store, 2}, {gc, 1}, {session_gc, 1}],
	code:ensure_loaded(Module) =:= {module, Module} andalso lists:all(fun({Name, Arity}) ->
		erlang:function_exported(Module, Name, Arity)
	end, Callbacks);
is_cookie_store(_) ->
	false.

%% The names must be tokens, and unique: RFC 6455, 4.1, 10.
are_subprotocols([]) ->
	false;
are_subprotocols(L) ->
	Names = [subprotocol(Element) || Element <- L],
	lists:all(fun gun_rs_request:is_token/1, Names)
		andalso length(lists:usort(Names)) =:= length(Names).

subprotocol({Name, Module}) ->
	case is_handler(Module) of
		true -> try iolist_to_binary(Name) catch error:badarg -> <<>> end;
		false -> <<>>
	end;
subprotocol(_) ->
	<<>>.

%% Sorted, so that of several bad options the same one is named on every OTP.
sorted(Opts) ->
	lists:sort(maps:to_list(Opts)).

%% Defaults.

config(Host, Port, Opts0) ->
	{ok, Tcp} = tcp(maps:get(tcp_opts, Opts0, [{send_timeout, 15000}])),
	TlsOpts = gun_rs_tls_options:without_decoded(maps:get(tls_opts, Opts0, [])),
	%% Every connection has a copy of them.
	Opts = case Opts0 of
		#{tls_opts := _} -> Opts0#{tls_opts := TlsOpts};
		_ -> Opts0
	end,
	Config = #{dialect := Dialect} = maps:merge(open_defaults(), Opts),
	Config#{
		host => Host,
		http_opts => maps:merge(http_defaults(Dialect), http_opts(Opts)),
		opts => Opts,
		port => Port,
		protocols => [http],
		retry_backoff => backoff(maps:get(retry_backoff, Opts, undefined)),
		tcp_opts => Tcp,
		tls_opts => TlsOpts,
		transport => transport_name(maps:get(transport, Opts, transport(Port))),
		ws_opts => maps:merge(ws_defaults(Dialect), maps:get(ws_opts, Opts, #{}))
	}.

backoff(undefined) -> undefined;
backoff(Backoff) -> maps:merge(#{jitter => 0.5}, Backoff).

%% The options beside a protocol replace http_opts, as in gun.
http_opts(Opts) ->
	case lists:keyfind(http, 1, maps:get(protocols, Opts, [])) of
		{http, HttpOpts} -> HttpOpts;
		false -> maps:get(http_opts, Opts, #{})
	end.

transport(443) -> tls;
transport(_) -> tcp.

transport_name(ssl) -> tls;
transport_name(Transport) -> Transport.

open_defaults() ->
	#{
		connect_timeout => infinity,
		cookie_store => undefined,
		dialect => default_dialect(),
		domain_lookup_timeout => infinity,
		notify_retries => false,
		retry => 5,
		retry_backoff => undefined,
		retry_fun => undefined,
		retry_timeout => 5000,
		supervise => true,
		tls_handshake_timeout => 30000,
		trace => false
	}.

%% The older dialects keep connections alive without being asked to.
http_defaults(gun_2) -> http_defaults();
http_defaults(_) -> (http_defaults())#{keepalive := 5000}.

ws_defaults(gun_2) -> ws_defaults();
ws_defaults(_) -> (ws_defaults())#{keepalive := 5000}.

http_defaults() ->
	#{
		closing_timeout => 15000,
		content_handlers => [gun_rs_data_h],
		cookie_ignore_informational => false,
		flow => infinity,
		keepalive => infinity,
		max_header_block_size => 100000,
		max_headers => 512,
		max_informs => 100,
		max_send_queue => infinity,
		max_trailer_block_size => 10000,
		version => 'HTTP/1.1'
	}.

ws_defaults() ->
	#{
		closing_timeout => 15000,
		compress => false,
		default_protocol => gun_rs_ws_h,
		flow => infinity,
		invalid_request_headers => raise,
		keepalive => infinity,
		keepalive_tolerance => infinity,
		max_frame_size => infinity,
		max_message_size => 64 * 1024 * 1024,
		max_send_queue => infinity,
		protocols => [],
		reupgrade => false,
		silence_pings => true,
		upgrade_timeout => 30000
	}.

reupgrade_defaults() ->
	#{
		max_retry_after => 60000,
		queue => 0,
		retry_statuses => [429, 502, 503, 504]
	}.

compress_defaults() ->
	#{
		client_max_window_bits => undefined,
		client_no_context_takeover => false,
		level => 6,
		mem_level => 8,
		server_max_window_bits => undefined,
		server_no_context_takeover => false
	}.

%% TCP: of an option given twice the last one counts, as in gen_tcp, except for the
%% address family, which must not contradict itself.

tcp(L) ->
	tcp(L, #{family => any, ip => undefined, keepalive => false, nodelay => true,
		recbuf => undefined, send_timeout => infinity, sndbuf => undefined}).

tcp([], Tcp) ->
	{ok, Tcp};
tcp([Family|Tail], Tcp) when Family =:= inet; Family =:= inet6 ->
	tcp_family(Family, Family, Tail, Tcp);
tcp([Opt={Key, IP}|Tail], Tcp) when Key =:= ip; Key =:= ifaddr ->
	case is_ip(IP) of
		true -> tcp_family(family(IP), Opt, Tail, Tcp#{ip := IP});
		false -> {error, Opt}
	end;
tcp([{keepalive, B}|Tail], Tcp) when is_boolean(B) ->
	tcp(Tail, Tcp#{keepalive := B});
tcp([{nodelay, B}|Tail], Tcp) when is_boolean(B) ->
	tcp(Tail, Tcp#{nodelay := B});
tcp([{recbuf, N}|Tail], Tcp) when ?IS_BUFFER(N) ->
	tcp(Tail, Tcp#{recbuf := N});
tcp([{send_timeout, T}|Tail], Tcp) when ?IS_POS_TIMEOUT(T) ->
	tcp(Tail, Tcp#{send_timeout := T});
tcp([{send_timeout_close, true}|Tail], Tcp) ->
	tcp(Tail, Tcp);
tcp([{sndbuf, N}|Tail], Tcp) when ?IS_BUFFER(N) ->
	tcp(Tail, Tcp#{sndbuf := N});
tcp([Opt|_], _) ->
	{error, Opt}.

tcp_family(Family, _, Tail, Tcp=#{family := F}) when F =:= any; F =:= Family ->
	tcp(Tail, Tcp#{family := Family});
tcp_family(_, Opt, _, _) ->
	{error, Opt}.

native_tcp(Tcp=#{ip := undefined}) ->
	Tcp;
native_tcp(Tcp=#{ip := IP}) ->
	Tcp#{ip := ip_to_binary(IP)}.

%% Hosts.

%% The path of a Unix domain socket: what fits into its address.
unix_path(Path) when is_list(Path) ->
	case unicode:characters_to_binary(Path) of
		Bin when is_binary(Bin) -> unix_path(Bin);
		_ -> error
	end;
unix_path(Path) when is_binary(Path), Path =/= <<>>, byte_size(Path) =< 107 ->
	case binary:match(Path, <<0>>) of
		nomatch -> {ok, Path};
		_ -> error
	end;
unix_path(_) ->
	error.

host_to_binary(Host) when is_tuple(Host) ->
	case is_ip(Host) of
		true -> {ok, ip_to_binary(Host)};
		false -> error
	end;
host_to_binary(Host) when is_atom(Host) ->
	host_to_binary(atom_to_list(Host));
host_to_binary(Host) when is_binary(Host) ->
	host_to_binary(binary_to_list(Host));
host_to_binary(Host) when ?IS_PROPER_LIST(Host), Host =/= [], length(Host) =< 255 ->
	case lists:all(fun is_host_char/1, Host) orelse is_ipv6_text(Host) of
		true -> {ok, list_to_binary(Host)};
		false -> error
	end;
host_to_binary(_) ->
	error.

%% The characters of domain names, and the underscore that service names have.
%% Internationalised names are given in their ASCII form (RFC 5890, A-labels).
is_host_char(C) when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $0, C =< $9 -> true;
is_host_char(C) -> C =:= $- orelse C =:= $. orelse C =:= $_.

%% With or without a zone, as in fe80::1%eth0.
is_ipv6_text(Host) ->
	lists:all(fun(C) -> C =:= $: orelse C =:= $% orelse is_host_char(C) end, Host)
		andalso element(1, inet:parse_ipv6strict_address(Host)) =:= ok.

is_ip(IP) when tuple_size(IP) =:= 4 ->
	lists:all(fun(N) -> is_integer(N) andalso N >= 0 andalso N =< 16#ff end,
		tuple_to_list(IP));
is_ip(IP) when tuple_size(IP) =:= 8 ->
	lists:all(fun(N) -> is_integer(N) andalso N >= 0 andalso N =< 16#ffff end,
		tuple_to_list(IP));
is_ip(_) ->
	false.

family(IP) when tuple_size(IP) =:= 4 -> inet;
family(_) -> inet6.

ip_to_binary(IP) ->
	list_to_binary(inet:ntoa(IP)).

%% The port of the scheme is left out: RFC 9110, 4.2.3. The zone of an address means
%% nothing to another host: RFC 6874, 4.
authority(Host, Port, Transport) ->
	Name = case binary:match(Host, <<":">>) of
		nomatch -> Host;
		_ -> [$[, hd(binary:split(Host, <<"%">>)), $]]
	end,
	case {Transport, Port} of
		{tcp, 80} -> iolist_to_binary(Name);
		{tls, 443} -> iolist_to_binary(Name);
		_ -> iolist_to_binary([Name, $:, integer_to_list(Port)])
	end.
