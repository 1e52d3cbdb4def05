%% @private The options of pools, and of requests to them: checked in the caller before there is any process.
-module(gun_rs_pool_options).

-export([pool/3]).
-export([request/1]).
-export([ws_send/1]).
-export([key/2]).
-export([authority/3]).
-export([hide/1]).
-export([reveal/1]).
-export([shown/1]).

%% Timeouts and ages are in milliseconds. max_streams is how many requests a connection of HTTP/1.1 may have at a time
%% (by default 1), and a limit below the server's for HTTP/2.
-type opts() :: #{
	backoff => #{max := gun_rs_options:milliseconds(), jitter => number()},
	checkout_queue => false | #{max => pos_integer(), timeout => pos_integer()},
	conn_opts => gun_rs_options:opts(),
	health => false | #{interval => pos_integer(), timeout => pos_integer()},
	idle_timeout => pos_integer() | infinity,
	max_age => pos_integer() | infinity,
	max_age_jitter => number(),
	max_streams => pos_integer(),
	scope => term(),
	setup_fun => {setup_fun(), SetupState :: term()},
	size => pos_integer() | #{min => pos_integer(), max => pos_integer()},
	transport => tcp | tls | ssl
}.

-type setup_fun() :: fun((ConnPid :: pid(), Message :: tuple(), SetupState :: term())
	-> {setup, SetupState :: term()} | {up, Protocol :: http | http2 | ws | raw, Meta :: map()}).

%% With the options of gun_rs:request/6.
-type req_opts() :: #{
	checkout_call_timeout => timeout(),
	checkout_retry => [gun_rs_options:milliseconds()],
	scope => term(),
	start_pool_if_missing => boolean() | opts(),
	atom() => term()
}.

-type ws_send_opts() :: #{authority := binary(), scope => term()}.
-export_type([opts/0, setup_fun/0, req_opts/0, ws_send_opts/0]).

%% How a pool is found: by the value of the host header, without the port that the transport implies.
-type key() :: {Scope :: term(), Authority :: binary()}.

%% What the process of a pool works from.
-type config() :: #{
	backoff := #{max := non_neg_integer(), jitter := number()},
	checkout_queue := false | #{max := pos_integer(), timeout := pos_integer()},
	conn_opts := map(),
	given := map(),
	health := false | #{interval := pos_integer(), timeout := pos_integer()},
	host := gun_rs_host:host(),
	idle_timeout := timeout(),
	key := key(),
	max := pos_integer(),
	max_age := timeout(),
	max_age_jitter := number(),
	max_streams := pos_integer() | undefined,
	min := pos_integer(),
	port := inet:port_number(),
	setup_fun := {setup_fun(), term()} | undefined,
	atom() => term()
}.
-export_type([key/0, config/0]).

%% @doc Checks the arguments of `gun_rs_pool:start_pool/3', and fills in the defaults.
-spec pool(Host :: term(), Port :: term(), Opts :: term()) -> {ok, config()} | {error, {options, Bad :: term()}}.
pool(Host, Port, Opts) when is_map(Opts) ->
	case gun_rs_option_table:check(pool, Opts) of
		ok -> connections(Host, Port, Opts, maps:merge(gun_rs_option_table:defaults(pool), Opts));
		{error, Reason} -> {error, {options, {pool, Reason}}}
	end;
pool(_, _, Opts) ->
	{error, {options, {pool, gun_rs_secrets:options(Opts)}}}.

connections(Host, Port, Given, Opts=#{conn_opts := ConnOpts0, transport := Transport0}) ->
	Transport = name(Transport0),
	case name(maps:get(transport, ConnOpts0, Transport)) of
		Other when Transport =/= undefined, Other =/= Transport ->
			{error, {options, {pool, {transport, Transport0}}}};
		Agreed ->
			ConnOpts = with_settings(maps:merge(ConnOpts0, maps:from_list([{transport, Agreed} || Agreed =/= undefined]))),
			case open(Host, Port, ConnOpts) of
				{ok, Config} -> complete(Host, Port, Given, Opts#{conn_opts := ConnOpts}, Config);
				{error, {options, {Key, _} = Bad}} when Key =:= host; Key =:= port -> {error, {options, Bad}};
				{error, {options, Bad}} -> {error, {options, {conn_opts, Bad}}}
			end
	end.

%% A pool counts the streams of HTTP, and is found by the host that it connects to: that of SOCKS is the proxy.
open(_, _, #{socks_opts := _}) ->
	{error, {options, {socks_opts, hidden}}};
open(Host, Port, ConnOpts=#{protocols := [Protocol]}) ->
	case gun_rs_protocols:name(Protocol) of
		Name when Name =:= raw; Name =:= socks -> {error, {options, {protocols, [Name]}}};
		_ -> gun_rs_options:open(Host, Port, ConnOpts)
	end;
open(Host, Port, ConnOpts) ->
	gun_rs_options:open(Host, Port, ConnOpts).

name(ssl) -> tls;
name(Transport) -> Transport.

%% The pool has to know how many streams the server allows.
with_settings(ConnOpts=#{protocols := Protocols}) when is_list(Protocols) ->
	case lists:keyfind(http2, 1, [P || P <- Protocols, is_tuple(P)]) of
		{http2, Http2} when is_map(Http2) ->
			ConnOpts#{protocols := lists:keyreplace(http2, 1, Protocols, {http2, notified(Http2)})};
		_ ->
			notified_beside(ConnOpts)
	end;
with_settings(ConnOpts) ->
	notified_beside(ConnOpts).

notified_beside(ConnOpts) ->
	case maps:get(http2_opts, ConnOpts, #{}) of
		Http2 when is_map(Http2) -> ConnOpts#{http2_opts => notified(Http2)};
		_ -> ConnOpts
	end.

notified(Http2) ->
	Http2#{notify_settings_changed => true}.

complete(Host, Port, Given, Opts0, #{transport := Transport, protocols := Served}) ->
	#{scope := Scope, size := Size, checkout_queue := Queue, health := Health, backoff := Backoff} = Opts0,
	#{min := Min, max := Max} = bounds(Size),
	Opts = Opts0#{
		backoff := maps:merge(gun_rs_option_table:defaults(backoff), Backoff),
		checkout_queue := completed(checkout_queue, Queue),
		given => Given,
		health := completed(pool_health, Health),
		host => Host,
		key => {Scope, authority(Host, Port, Transport)},
		max => Max,
		min => Min,
		port => Port,
		transport := Transport
	},
	case Health =/= false andalso not may_be_http2(Opts, Served) of
		true -> {error, {options, {pool, {health, Health}}}};
		false -> {ok, Opts}
	end.

bounds(Size) when is_map(Size) -> maps:merge(gun_rs_option_table:defaults(pool_size), Size);
bounds(Size) -> #{min => Size, max => Size}.

completed(_, false) -> false;
completed(Table, Opts) -> maps:merge(gun_rs_option_table:defaults(Table), Opts).

%% What is agreed on in the TLS handshake is known only then.
may_be_http2(#{conn_opts := #{protocols := Protocols}}, _) ->
	lists:any(fun(P) -> P =:= http2 orelse is_tuple(P) andalso element(1, P) =:= http2 end, Protocols);
may_be_http2(#{transport := Transport}, _) ->
	Transport =:= tls.

%% @doc Checks the options of a request: those that are the pool's, complete, and those that are the request's.
-spec request(ReqOpts :: term()) -> {map(), gun_rs_options:req_opts()}.
request(ReqOpts) when ReqOpts =:= #{} ->
	{waits(), #{}};
request(ReqOpts) ->
	ok = checked(pool_req, ReqOpts),
	Keys = maps:keys(waits()),
	{maps:merge(waits(), maps:with(Keys, ReqOpts)), maps:without(Keys, ReqOpts)}.

%% The defaults of pool_req: most requests have no options, and need not look at the table.
waits() ->
	#{checkout_call_timeout => 5000, checkout_retry => [], scope => default, start_pool_if_missing => false}.

%% @doc Checks the options of frames that are sent to a pool.
-spec ws_send(Opts :: term()) -> {Scope :: term(), Authority :: binary()}.
ws_send(Opts) ->
	ok = checked(pool_ws, Opts),
	#{authority := Authority} = Opts,
	key(maps:get(scope, Opts, default), Authority).

checked(Table, Opts) when is_map(Opts) ->
	case gun_rs_option_table:check(Table, Opts) of
		ok -> ok;
		{error, Reason} -> {error, {options, {Table, Reason}}}
	end;
checked(Table, Opts) ->
	{error, {options, {Table, Opts}}}.

%% @doc The key of the pool for requests with this host header. Names of hosts have no case (RFC 9110, 4.2.3).
-spec key(Scope :: term(), Authority :: iodata()) -> key().
key(Scope, Authority) ->
	{Scope, string:lowercase(iolist_to_binary(Authority))}.

%% @doc The value of the host header for what a pool connects to.
-spec authority(gun_rs_host:host(), inet:port_number(), tcp | tls) -> binary().
authority(Host, Port, Transport) ->
	{ok, Name} = gun_rs_host:to_binary(Host),
	string:lowercase(gun_rs_host:authority(Name, Port, Transport)).

%% @doc The same with its secrets encrypted, for what is printed of processes.
-spec hide(config()) -> config().
hide(Config) ->
	secrets(fun(Opts) -> gun_rs_secrets:hide_proxy(in_tls(fun gun_rs_secrets:hide_tls/1, Opts)) end, Config).

%% @doc The configuration that was hidden.
-spec reveal(config()) -> config().
reveal(Config) ->
	secrets(fun(Opts) -> gun_rs_secrets:reveal_proxy(in_tls(fun gun_rs_secrets:reveal_tls/1, Opts)) end, Config).

%% @doc The options as they were given, but for who the user is for a proxy.
-spec shown(config()) -> opts().
shown(Config) ->
	case reveal(Config) of
		#{given := Given=#{conn_opts := ConnOpts}} -> Given#{conn_opts := gun_rs_secrets:without_proxies(ConnOpts)};
		#{given := Given} -> Given
	end.

secrets(Change, Config=#{conn_opts := ConnOpts, given := Given}) ->
	Config#{
		conn_opts := Change(ConnOpts),
		given := case Given of
			#{conn_opts := GivenOpts} -> Given#{conn_opts := Change(GivenOpts)};
			_ -> Given
		end
	}.

in_tls(Change, ConnOpts) ->
	maps:map(fun
		(Key, TlsOpts) when Key =:= tls_opts; Key =:= transport_opts -> Change(TlsOpts);
		(_, Value) -> Value
	end, ConnOpts).
