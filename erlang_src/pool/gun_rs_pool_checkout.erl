%% @private What a caller does to get a connection of a pool, and to make a request on it. Where one is free, it asks no
%% process; what waits, and opens connections, is the pool's. A pool of another node does it there, in the caller's name.
-module(gun_rs_pool_checkout).

-export([request/3]).
-export([pick/2]).
-export([process/1]).
-export([start/1]).
-export([failure/1]).

%% What other nodes call, besides pick/2.
-export([request_here/4]).

%% How often a request is given another connection, because that which it had was gone in the meantime.
-define(TRIES, 3).

%% In ms: what the way from node to node, or from process to process, may take beside the wait itself.
-define(SLACK, 5000).

%% The options of requests that are the pool's: see gun_rs_pool_options:request/1.
-type wait() :: #{checkout_call_timeout := timeout(), checkout_retry := [non_neg_integer()], atom() => term()}.

-type failure() :: {error, atom(), Text :: atom()}.
-export_type([failure/0]).

%% @doc Makes a request on a connection of the pool with this host header.
-spec request(gun_rs_native:request(), Authority :: iodata() | undefined, gun_rs_pool_options:req_opts())
	-> {async, {ConnPid :: pid(), StreamRef :: reference()}} | failure().
request(_, undefined, _) ->
	failure(missing_host_header);
request(Request0, Authority, ReqOpts) ->
	{Wait, Opts} = gun_rs_pool_options:request(ReqOpts),
	ok = gun_rs_options:request(Opts),
	Request = gun_rs_traceparent:request(Opts, Request0),
	Key = gun_rs_pool_options:key(maps:get(scope, Wait), Authority),
	case Opts of
		#{reply_to := alias} -> request_with_alias(Key, Request, Opts, Wait);
		_ -> request_for(Key, Request, maps:merge(#{reply_to => self()}, Opts), Wait)
	end.

%% The process that does it on another node is none to have an alias of. Where no request is made, nothing else ends it.
request_with_alias(Key, Request, Opts, Wait) ->
	{Alias, Alias} = gun_rs_await:receiver(Opts),
	try request_for(Key, Request, Opts#{reply_to := Alias, stream_ref => Alias}, Wait) of
		Made={async, _} ->
			Made;
		Failure ->
			ok = gun_rs_await:no_receiver(Opts, Alias),
			Failure
	catch Class:Reason:Stacktrace ->
		ok = gun_rs_await:no_receiver(Opts, Alias),
		erlang:raise(Class, Reason, Stacktrace)
	end.

request_for(Key, Request, Opts, Wait) ->
	case find(Key, Wait) of
		{here, Pool} -> request_of(Pool, Request, Opts, with_end(Opts, Wait), ?TRIES);
		{elsewhere, Pid} -> request_there(Pid, Key, Request, Opts, Wait);
		none -> failure(pool_not_found)
	end.

%% A node with 0.3.0 knows neither timeout nor aliases.
request_there(Pid, Key, Request, Opts=#{reply_to := ReplyTo}, Wait) ->
	_ = case is_map_key(timeout, Opts) orelse is_reference(ReplyTo) of
		true -> gun_rs_relay:is_current(Pid) orelse error({node_too_old, node(Pid)});
		false -> true
	end,
	there(Pid, request_here, [Key, Request, Opts, Wait], Wait).

%% @doc For a caller on another node.
-spec request_here(gun_rs_pool_options:key(), gun_rs_native:request(), gun_rs_options:req_opts(), wait())
	-> {async, {pid(), reference()}} | failure().
request_here(Key, Request, Opts, Wait) ->
	case gun_rs_pools:find(Key) of
		{here, Pool} -> request_of(Pool, Request, Opts, with_end(Opts, Wait), ?TRIES);
		_ -> failure(pool_not_found)
	end.

%% The time of a request counts while it waits for a connection too.
with_end(#{timeout := Timeout}, Wait) when Timeout =/= infinity -> Wait#{until => now_ms() + Timeout};
with_end(_, Wait) -> Wait.

time_left(#{until := Until}) -> max(0, Until - now_ms());
time_left(_) -> infinity.

now_ms() ->
	erlang:monotonic_time(millisecond).

request_of(_, _, _, _, 0) ->
	failure(no_connection_available);
request_of(Pool, Request, Opts=#{reply_to := ReplyTo}, Wait, Tries) ->
	case take(Pool, Wait) of
		{ok, ConnPid, Lease} ->
			StreamRef = case Opts of
				#{stream_ref := Alias} -> Alias;
				_ -> make_ref()
			end,
			Limits = {maps:get(flow, Opts, undefined), maps:get(response_timeout, Opts, infinity),
				maps:get(body_timeout, Opts, infinity), time_left(Wait), Lease},
			try gun_rs_redirects:request(ConnPid, StreamRef, ReplyTo, Request, Limits, Opts) of
				ok ->
					{async, {ConnPid, StreamRef}};
				no_conn ->
					ok = gun_rs_native:lease_drop(Lease),
					request_of(Pool, Request, Opts, Wait, Tries - 1)
			catch error:Reason:Stacktrace ->
				ok = gun_rs_native:lease_drop(Lease),
				erlang:raise(error, Reason, Stacktrace)
			end;
		{error, Reason} ->
			failure(Reason)
	end.

%% @doc A connection that has room, with its Meta: nobody keeps the place. The pool is that of the key, or of the process.
-spec pick(gun_rs_pool_options:key() | pid(), wait()) -> {ok, {ConnPid :: pid(), Meta :: map()}} | failure().
pick(Pid, Wait) when is_pid(Pid), node(Pid) =:= node() ->
	case gun_rs_pools:of_process(Pid) of
		{here, Pool} -> pick_of(Pool, Wait);
		none -> failure(pool_not_found)
	end;
pick(Pid, Wait) when is_pid(Pid) ->
	there(Pid, pick, [Pid, Wait], Wait);
pick(Key, Wait) ->
	case find(Key, Wait) of
		{here, Pool} -> pick_of(Pool, Wait);
		{elsewhere, Pid} -> pick(Pid, Wait);
		none -> failure(pool_not_found)
	end.

%% Whoever finds all busy has to wait as for a request, and gives the place away at once.
pick_of(Pool={_, Native}, Wait) ->
	case gun_rs_native:pool_pick(Native) of
		full ->
			case take(Pool, Wait) of
				{ok, ConnPid, Lease} ->
					ok = gun_rs_native:lease_drop(Lease),
					{ok, {ConnPid, gun_rs_pools:meta(ConnPid)}};
				{error, Reason} ->
					failure(Reason)
			end;
		ConnPid ->
			{ok, {ConnPid, gun_rs_pools:meta(ConnPid)}}
	end.

take(Pool={Pid, Native}, Wait) ->
	case gun_rs_telemetry:is_on() of
		false ->
			take_or_wait(Pool, Wait);
		true ->
			Start = erlang:monotonic_time(),
			case gun_rs_native:pool_take(Native) of
				{ConnPid, Lease} ->
					ok = gun_rs_pool_telemetry:taken(Start, Pid, ConnPid),
					{ok, ConnPid, Lease};
				_ ->
					wait(Pool, Wait)
			end
	end.

take_or_wait(Pool={_, Native}, Wait) ->
	case gun_rs_native:pool_take(Native) of
		{ConnPid, Lease} -> {ok, ConnPid, Lease};
		_ -> wait(Pool, Wait)
	end.

wait(Pool={Pid, _}, Wait=#{checkout_retry := Pauses, checkout_call_timeout := Timeout}) ->
	%% An integer is less than an atom.
	Left = time_left(Wait),
	case {gun_rs_pool_server:checkout(Pid, min(Timeout, Left)), Pauses} of
		{{error, no_connection_available}, [Pause|Rest]} when Pause < Left ->
			ok = timer:sleep(Pause),
			take(Pool, Wait#{checkout_retry := Rest});
		{{error, no_connection_available}, [_|_]} ->
			{error, checkout_timeout};
		{Result, _} ->
			Result
	end.

%% The node of a pool may go.
there(Pid, Function, Args, #{checkout_call_timeout := Timeout, checkout_retry := Pauses}) ->
	Ms = case Timeout of
		infinity -> infinity;
		_ -> (1 + length(Pauses)) * Timeout + lists:sum(Pauses) + ?SLACK
	end,
	try
		erpc:call(node(Pid), ?MODULE, Function, Args, Ms)
	catch
		error:{erpc, timeout} -> failure(checkout_timeout);
		error:{erpc, _} -> failure(pool_not_found);
		error:{exception, Reason, _} -> error(Reason);
		exit:{exception, _} -> failure(pool_stopped)
	end.

find(Key, Wait) ->
	case gun_rs_pools:find(Key) of
		none -> start_missing(Key, Wait);
		not_started -> none;
		Found -> Found
	end.

start_missing(Key, #{start_pool_if_missing := Opts}) when is_map(Opts); Opts =:= true ->
	{Scope, Authority} = Key,
	case start_for(Authority, case Opts of true -> #{scope => Scope}; _ -> Opts#{scope => Scope} end) of
		{ok, _} -> found_started(gun_rs_pools:find(Key));
		{error, {already_started, _}} -> found_started(gun_rs_pools:find(Key));
		{error, _} -> none
	end;
start_missing(_, _) ->
	none.

found_started(Pool={here, {Pid, _}}) ->
	%% Its first connections are being opened.
	_ = try
		gun_rs_pool_server:await_up(Pid, ?SLACK)
	catch exit:_ ->
		ok
	end,
	Pool;
found_started(_) ->
	none.

start_for(Authority, Opts) ->
	case uri_string:parse(<<"//", Authority/binary>>) of
		#{host := Host, port := Port} when is_integer(Port), Host =/= <<>> -> start(Host, Port, Opts);
		#{host := Host} when Host =/= <<>> -> start(Host, default_port(Opts), Opts);
		_ -> {error, {host, Authority}}
	end.

default_port(#{transport := Transport}) when Transport =:= tls; Transport =:= ssl -> 443;
default_port(#{conn_opts := #{transport := Transport}}) when Transport =:= tls; Transport =:= ssl -> 443;
default_port(_) -> 80.

start(Host, Port, Opts) ->
	case gun_rs_pool_options:pool(Host, Port, Opts) of
		{ok, Config} -> start(Config);
		Error -> Error
	end.

%% @doc Starts a pool, unless there is one of this key.
-spec start(gun_rs_pool_options:config()) -> {ok, pid()} | {error, term()}.
start(Config=#{key := Key}) ->
	case gun_rs_pools:find(Key) of
		{here, {Pid, _}} ->
			{error, {already_started, Pid}};
		not_started ->
			{error, {not_started, gun_rs}};
		_ ->
			case gun_rs_pools_sup:start_pool(Config) of
				{error, already_started} -> start(Config);
				Result -> Result
			end
	end.

%% @doc The process of a pool of this node.
-spec process(gun_rs_pool_options:key()) -> pid() | undefined.
process(Key) ->
	case gun_rs_pools:find(Key) of
		{here, {Pid, _}} -> Pid;
		_ -> undefined
	end.

%% @doc The error of this name, with its sentence.
-spec failure(atom()) -> failure().
failure(Reason) ->
	{error, Reason, text(Reason)}.

text(pool_not_found) -> 'No pool was found for the given scope and authority.';
text(no_connection_available) -> 'No connection in the pool with enough capacity available to open a new stream.';
text(checkout_queue_full) -> 'As many callers as may wait for a connection of the pool wait already.';
text(checkout_timeout) -> 'No connection of the pool was free in time.';
text(pool_stopped) -> 'The pool was stopped while the caller waited for one of its connections.';
text(missing_host_header) -> 'The request has no host header, by which its pool is found.'.
