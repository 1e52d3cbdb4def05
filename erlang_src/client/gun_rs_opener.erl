%% @private Starts connections, and ends them at once.
-module(gun_rs_opener).

-export([open/1]).
-export([start_link/2]).
-export([close/1]).

%% With these a call to a supervisor exits that is not there, or ends meanwhile.
-define(IS_STOP(Reason), (Reason =:= noproc orelse Reason =:= shutdown orelse Reason =:= killed
	orelse Reason =:= normal)).

%% @doc Starts a connection, whose owner the caller is.
-spec open(gun_rs_options:config()) -> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
open(Config) ->
	start(gun_rs_native:load_error(), self(), Config).

%% @doc Starts a connection of this owner, linked to the caller and without a supervisor.
-spec start_link(Owner :: pid(), gun_rs_options:config()) -> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
start_link(Owner, Config) ->
	start(gun_rs_native:load_error(), Owner, Config#{supervise := false}).

start(undefined, Owner, Config) ->
	case gun_rs_native:runtime_is_running() of
		true ->
			start_conn(Owner, Config);
		%% It may be another copy of the library, loaded since the application started.
		false ->
			case gun_rs_runtime:resume() of
				ok -> start_conn(Owner, Config);
				Error -> Error
			end
	end;
start(LoadError, _, _) ->
	{error, {nif_not_loaded, LoadError}}.

start_conn(Owner, Config=#{opts := Opts, supervise := Supervise}) ->
	case {gun_rs_tls:new(Config), gun_rs_connect_options:socks(Opts), gun_rs_proxy:native(Config)} of
		{{ok, Tls}, {ok, Socks}, {ok, Proxy}} ->
			Known = with_proxy(Proxy, (without_secrets(Config))#{socks => Socks}),
			started(fun() ->
				case Supervise of
					true -> gun_rs_conns_sup:start_conn(Owner, Known, Tls);
					false -> gun_rs_conn:start_link(Owner, Known, Tls)
				end
			end);
		{{ok, _}, {ok, _}, Error} -> Error;
		{{ok, _}, Error, _} -> Error;
		{Error, _, _} -> Error
	end.

with_proxy(undefined, Config) -> Config#{proxy := undefined};
with_proxy({Proxy, Via}, Config) -> Config#{proxy := Proxy, via => Via}.

%% The application may stop at any time.
started(Start) ->
	try Start() of
		{ok, ConnPid} when is_pid(ConnPid) -> {ok, ConnPid};
		%% There were no I/O threads any more.
		Ignored when Ignored =:= ignore; Ignored =:= {ok, undefined} -> {error, {not_started, gun_rs}};
		Error -> Error
	catch exit:{Reason, _} when ?IS_STOP(Reason) ->
		{error, {not_started, gun_rs}}
	end.

%% Neither the supervisor nor the process behind ConnPid need them: Tls has what they stand for.
without_secrets(Config0=#{opts := Opts0}) ->
	Config = maps:remove(proxy_opts, Config0),
	case gun_rs_secrets:without_proxies(Opts0) of
		Opts=#{tls_opts := TlsOpts} ->
			Config#{tls_opts := [], opts := Opts#{tls_opts := gun_rs_secrets:hide_tls(TlsOpts)}};
		Opts ->
			Config#{opts := Opts}
	end.

%% @doc What `gun_rs:close/1' does.
-spec close(ConnPid :: pid() | term()) -> ok | {error, not_found | simple_one_for_one}.
close(ConnPid) when is_pid(ConnPid) ->
	IsHere = gun_rs_relay:is_here(ConnPid),
	%% Nothing else remembers it then.
	Old = [Dialect || IsHere, Dialect <- [gun_rs_caller:dialect(ConnPid)], Dialect =/= gun_2],
	%% The supervisor is the one of the connection's node.
	try supervisor:terminate_child({gun_rs_conns_sup, node(ConnPid)}, ConnPid) of
		ok when IsHere ->
			_ = [ok = gun_rs_exits:remember(ConnPid, shutdown, Dialect) || Dialect <- Old],
			gun_rs_native:conn_silence(ConnPid);
		Result ->
			Result
	catch
		%% Where there is no supervisor there is no connection that it could end; one that
		%% ends itself has ended its connections.
		exit:{Reason, _} when ?IS_STOP(Reason) -> ok;
		exit:{{nodedown, _}, _} -> ok
	end;
close(_) ->
	{error, simple_one_for_one}.
