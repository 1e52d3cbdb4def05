%% @doc The server: listeners that run Cowboy's WebSocket handlers, and pages beside them.
%%
%% A listener has a name, which may be any term. What it is started by says which handlers it
%% runs: `start_clear' and `start_tls' those of Cowboy 2, `start_http' and `start_https' those
%% of Cowboy 1.
-module(gun_rs_server).

-export([start_clear/3]).
-export([start_tls/3]).
-export([start_http/4]).
-export([start_https/4]).
-export([stop_listener/1]).
-export([suspend/1]).
-export([resume/1]).
-export([get_port/1]).
-export([get_addr/1]).
-export([get_status/1]).
-export([info/0]).
-export([info/1]).
-export([connections/1]).
-export([stats/1]).
-export([set_env/3]).
-export([get_env/2]).
-export([get_env/3]).
-export([get_max_connections/1]).
-export([set_max_connections/2]).
-export([get_protocol_options/1]).
-export([set_protocol_options/2]).
-export([reload_certificates/1]).
-export([wait_for_connections/3]).
-export([wait_for_connections/4]).
-export([broadcast/2]).
-export([broadcast_here/2]).
-export([format_error/1]).

-type ref() :: term().
%% What may stop a listener from starting.
-type error() :: {already_started, pid()} | {options, Option :: term()} | no_cert | not_started | Posix :: atom().
-type opts() :: [term()] | map().
-export_type([ref/0, error/0, opts/0]).

%% How many connections of this node are handed a broadcast in one call of the native library.
-define(BROADCAST, 500).

%% @doc Listens for connections without TLS, for handlers of Cowboy 2.
-spec start_clear(ref(), TransOpts :: opts(), ProtoOpts :: map()) -> {ok, pid()} | {error, error()}.
start_clear(Ref, TransOpts, ProtoOpts) ->
	start(Ref, cowboy_2, tcp, TransOpts, ProtoOpts).

%% @doc The same over TLS.
-spec start_tls(ref(), TransOpts :: opts(), ProtoOpts :: map()) -> {ok, pid()} | {error, error()}.
start_tls(Ref, TransOpts, ProtoOpts) ->
	start(Ref, cowboy_2, tls, TransOpts, ProtoOpts).

%% @doc Listens for connections without TLS, for handlers of Cowboy 1. There are no acceptors
%% to count: the number is checked, and without effect.
-spec start_http(ref(), NbAcceptors :: pos_integer(), TransOpts :: [term()], ProtoOpts :: [{atom(), term()}])
	-> {ok, pid()} | {error, error()}.
start_http(Ref, NbAcceptors, TransOpts, ProtoOpts) when is_integer(NbAcceptors), NbAcceptors > 0 ->
	start(Ref, cowboy_1, tcp, TransOpts, ProtoOpts).

%% @doc The same over TLS.
-spec start_https(ref(), NbAcceptors :: pos_integer(), TransOpts :: [term()], ProtoOpts :: [{atom(), term()}])
	-> {ok, pid()} | {error, error()}.
start_https(Ref, NbAcceptors, TransOpts, ProtoOpts) when is_integer(NbAcceptors), NbAcceptors > 0 ->
	start(Ref, cowboy_1, tls, TransOpts, ProtoOpts).

start(Ref, Dialect, Transport, TransOpts, ProtoOpts) ->
	case {gun_rs_server_options:transport(Dialect, Transport, TransOpts),
			gun_rs_server_options:protocol(Dialect, ProtoOpts)} of
		{{ok, Checked}, {ok, Protocol}} ->
			Config = #{dialect => Dialect, transport => hide(Checked), protocol => Protocol,
				transport_opts => shown(TransOpts), protocol_opts => ProtoOpts},
			start(Ref, Config);
		{{ok, _}, Error} -> Error;
		{Error, _} -> Error
	end.

start(Ref, Config) ->
	case whereis(gun_rs_listeners_sup) of
		undefined -> {error, not_started};
		_ -> gun_rs_listeners_sup:start_listener(Ref, Config)
	end.

%% Keys are in the state of a process, and are no one else's business.
hide(Transport=#{tls := undefined}) -> Transport;
hide(Transport=#{tls := Tls}) -> Transport#{tls := gun_rs_secrets:hide_tls(Tls)}.

shown(Opts=#{socket_opts := Socket}) -> Opts#{socket_opts := shown(Socket)};
shown(Opts) when is_list(Opts) ->
	[case Opt of
		{Key, _} -> case gun_rs_secrets:is_secret(Key) of true -> {Key, hidden}; false -> Opt end;
		_ -> Opt
	end || Opt <- Opts];
shown(Opts) -> Opts.

%% @doc Stops a listener. Its WebSockets are closed with 1001, its requests are finished, within
%% the time that the transport option `shutdown' gives.
-spec stop_listener(ref()) -> ok | {error, not_found}.
stop_listener(Ref) ->
	case whereis(gun_rs_listeners_sup) of
		undefined -> {error, not_found};
		_ -> gun_rs_listeners_sup:stop_listener(Ref)
	end.

%% @doc Closes the listening socket. Connections go on.
-spec suspend(ref()) -> ok | {error, not_found}.
suspend(Ref) -> gun_rs_listeners:call(Ref, suspend).

%% @doc Listens again, on the same port.
-spec resume(ref()) -> ok | {error, not_found | Posix :: atom()}.
resume(Ref) -> gun_rs_listeners:call(Ref, resume).

%% @doc The port; undefined while the listener is suspended, and of a Unix domain socket. Raises
%% badarg where there is no such listener, as ranch does.
-spec get_port(ref()) -> inet:port_number() | undefined.
get_port(Ref) -> maps:get(port, info(Ref)).

-spec get_addr(ref()) -> {inet:ip_address() | undefined, inet:port_number() | undefined} | {local, binary()}.
get_addr(Ref) ->
	case info(Ref) of
		#{ip := {local, Path}} -> {local, Path};
		#{ip := Ip, port := Port} -> {Ip, Port}
	end.

-spec get_status(ref()) -> running | suspended.
get_status(Ref) -> maps:get(status, info(Ref)).

%% @doc What is known of every listener.
-spec info() -> #{ref() => map()}.
info() ->
	maps:from_list([{Ref, Info} || Ref <- gun_rs_listeners:names(),
		Info <- [gun_rs_listeners:call(Ref, info)], is_map(Info)]).

%% @doc What is known of a listener: `active_connections' of those that are no WebSockets,
%% `all_connections', `accepted', `refused' of addresses that had too many, and the rest as ranch has it.
-spec info(ref()) -> map().
info(Ref) ->
	case gun_rs_listeners:call(Ref, info) of
		Info when is_map(Info) -> Info;
		{error, not_found} -> error(badarg, [Ref])
	end.

%% @doc The processes of its connections.
-spec connections(ref()) -> [pid()].
connections(Ref) ->
	case gun_rs_listeners:call(Ref, connections) of
		Pids when is_list(Pids) -> Pids;
		{error, not_found} -> error(badarg, [Ref])
	end.

%% @doc Frames and bytes both ways of a connection, and what waits to be sent.
-spec stats(pid()) -> {ok, map()} | {error, not_found}.
stats(Pid) ->
	case gun_rs_native:served_stats(Pid) of
		Stats when is_map(Stats) -> {ok, Stats};
		gone -> {error, not_found}
	end.

%% @doc Sets what connections that are accepted later are served by, such as `dispatch'.
-spec set_env(ref(), Key :: atom(), Value :: term()) -> ok | {error, not_found}.
set_env(Ref, Key, Value) -> gun_rs_listeners:call(Ref, {set_env, Key, Value}).

-spec get_env(ref(), Key :: atom()) -> term().
get_env(Ref, Key) ->
	case env(Ref) of
		#{Key := Value} -> Value;
		_ -> error({badkey, Key})
	end.

-spec get_env(ref(), Key :: atom(), Default :: term()) -> term().
get_env(Ref, Key, Default) -> maps:get(Key, env(Ref), Default).

env(Ref) ->
	#{protocol := #{env := Env}} = config(Ref),
	Env.

config(Ref) ->
	case gun_rs_listeners:config(Ref) of
		{ok, Config} -> Config;
		error -> error(badarg, [Ref])
	end.

-spec get_max_connections(ref()) -> pos_integer() | infinity.
get_max_connections(Ref) -> maps:get(max_connections, info(Ref)).

-spec set_max_connections(ref(), pos_integer() | infinity) -> ok | {error, not_found}.
set_max_connections(Ref, Max) when Max =:= infinity; is_integer(Max), Max > 0, Max =< 16#ffffffff ->
	gun_rs_listeners:call(Ref, {set_max_connections, Max}).

-spec get_protocol_options(ref()) -> term().
get_protocol_options(Ref) -> maps:get(protocol_opts, config(Ref)).

%% @doc Sets the options of the protocol, for connections that are accepted later.
-spec set_protocol_options(ref(), opts()) -> ok | {error, not_found | {options, term()}}.
set_protocol_options(Ref, Opts) ->
	#{dialect := Dialect} = config(Ref),
	case gun_rs_server_options:protocol(Dialect, Opts) of
		{ok, Protocol} -> gun_rs_listeners:call(Ref, {set_protocol, Protocol, Opts});
		Error -> Error
	end.

%% @doc Reads the files of certificates and keys again, for connections that are accepted later.
%% Where they can't be used, those from before stay.
-spec reload_certificates(ref()) -> ok | {error, not_found | no_tls | no_cert | {options, term()} | Posix :: atom()}.
reload_certificates(Ref) -> gun_rs_listeners:call(Ref, reload_certificates).

%% @doc Waits until the number of connections, WebSockets included, compares so with N.
-spec wait_for_connections(ref(), '>' | '>=' | '==' | '=<' | '<', N :: non_neg_integer()) -> ok.
wait_for_connections(Ref, Op, N) ->
	wait_for_connections(Ref, Op, N, 1000).

-spec wait_for_connections(ref(), '>' | '>=' | '==' | '=<' | '<', N :: non_neg_integer(), Interval :: pos_integer())
	-> ok.
wait_for_connections(Ref, Op, N, Interval) ->
	Count = case gun_rs_listeners:call(Ref, count) of
		{error, not_found} -> error(badarg, [Ref, Op, N, Interval]);
		Number -> Number
	end,
	case erlang:Op(Count, N) of
		true ->
			ok;
		false ->
			timer:sleep(Interval),
			wait_for_connections(Ref, Op, N, Interval)
	end.

%% @doc Sends one frame to many WebSockets: it is encoded once for all of them, on every node. Counted
%% are those of this node: that it was queued for, whose queues had no room for it, and that were no
%% WebSocket or no more; and those of other nodes, whose own nodes do the rest. Its order with the
%% frames of one caller is kept.
-spec broadcast([pid()] | {pg, Scope :: atom(), Group :: term()}, gun_rs_frames:frame())
	-> #{sent | full | gone | remote := non_neg_integer()}.
broadcast({pg, Scope, Group}, Frame) ->
	broadcast(pg:get_members(Scope, Group), Frame);
broadcast(Pids, Frame) when is_list(Pids) ->
	{Here, Elsewhere} = lists:partition(fun(Pid) -> node(Pid) =:= node() end, Pids),
	Nodes = lists:foldl(fun(Pid, Acc) ->
		maps:update_with(node(Pid), fun(Others) -> [Pid|Others] end, [Pid], Acc)
	end, #{}, Elsewhere),
	Counts = broadcast_here(Here, Frame),
	_ = [erpc:cast(Node, ?MODULE, broadcast_here, [Others, Frame]) || {Node, Others} <- maps:to_list(Nodes)],
	Counts#{remote => length(Elsewhere)}.

%% @private
-spec broadcast_here([pid()], gun_rs_frames:frame()) -> #{sent | full | gone := non_neg_integer()}.
broadcast_here(Pids, Frame) ->
	broadcast_each(Pids, Frame, #{sent => 0, full => 0, gone => 0}).

broadcast_each([], _, Counts) ->
	Counts;
broadcast_each(Pids, Frame, #{sent := Sent0, full := Full0, gone := Gone0}) ->
	{Some, Rest} = split(?BROADCAST, Pids),
	{Sent, Full, Gone} = gun_rs_frames:broadcast(Some, Frame),
	broadcast_each(Rest, Frame, #{sent => Sent0 + Sent, full => Full0 + Full, gone => Gone0 + Gone}).

split(N, List) ->
	try lists:split(N, List) catch error:badarg -> {List, []} end.

%% @doc An English sentence for an error of this module.
-spec format_error(error() | {error, error()}) -> string().
format_error({error, Reason}) -> format_error(Reason);
format_error({already_started, Pid}) -> format("There is a listener of this name already: ~tp.", [Pid]);
format_error(no_cert) -> "A listener with TLS needs a certificate and its key.";
format_error(not_started) -> "The application gun_rs does not run.";
format_error(not_found) -> "There is no listener of this name.";
format_error({options, {Key, Value}}) ->
	case gun_rs_server_options:expected(Key) of
		{text, Text} -> format("The option ~tp must be ~ts; it is ~tp.", [Key, Text, Value]);
		unknown -> format("The option ~tp is not one that can be honoured, or not with this value: ~tp.", [Key, Value])
	end;
format_error({options, Option}) -> format("This is not an option: ~tp.", [Option]);
format_error(Posix) when is_atom(Posix) -> format("The system refuses to listen: ~ts.", [inet:format_error(Posix)]);
format_error(Reason) -> format("~tp", [Reason]).

format(Format, Args) ->
	unicode:characters_to_list(io_lib:format(Format, Args)).
