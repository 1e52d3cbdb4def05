%% eetcd, unchanged, with a real etcd: the version for gun 1 that Debian 12 has, by the dialect of gun 1, and the one for
%% gun 2 of Debian sid.
-module(eetcd_SUITE).
-include("dependents.hrl").

-define(CONN, eetcd_conn_of_the_suite).
-define(PLUGINS, "rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins").

groups() ->
	Cases = dependents:cases(?MODULE),
	%% The plugin is of the older RabbitMQ, and needs what else that has.
	[{gun_1, Cases}, {gun_2, Cases -- [peer_discovery]}].

init_per_suite(Config0) ->
	Config = dependents:start(Config0),
	case other_servers:find("etcd-server/usr/bin/etcd") of
		{ok, File} -> [{file, File}|Config];
		none -> {skip, "No etcd is in _build/peers: run `scripts/setup.sh test`."}
	end.

end_per_suite(Config) ->
	dependents:stop(Config).

init_per_group(Group, Config) ->
	Folder = case Group of
		gun_1 -> ?PLUGINS;
		gun_2 -> "dependents"
	end,
	case dependents:library(Folder, "eetcd") of
		{ok, Ebin} ->
			ok = application:set_env(gun_rs, dialect, Group),
			_ = application:load(eetcd),
			{ok, Vsn} = application:get_key(eetcd, vsn),
			ct:comment("eetcd " ++ Vsn),
			do_is_for(Group, Vsn, [{ebin, Ebin}|Config]);
		none ->
			{skip, "No eetcd is in _build/peers."}
	end.

%% The package of a newer Debian has a newer one in both places.
do_is_for(gun_1, "0.3." ++ _, Config) -> do_started(Config);
do_is_for(gun_2, _, Config) -> do_started(Config);
do_is_for(gun_1, Vsn, Config) ->
	ok = end_per_group(gun_1, Config),
	{skip, "This is eetcd " ++ Vsn ++ ", which is for gun 2."}.

do_started(Config) ->
	{ok, _} = application:ensure_all_started(eetcd),
	{module, eetcd} = code:ensure_loaded(eetcd),
	do_start_etcd(Config).

end_per_group(_, Config) ->
	_ = [other_servers:stop(Etcd) || {etcd, Etcd} <- Config],
	_ = application:stop(eetcd),
	_ = application:unload(eetcd),
	application:unset_env(gun_rs, dialect),
	dependents:forget(config(ebin, Config)).

init_per_testcase(etcd_dies, Config0) ->
	%% It has one of its own.
	Config = do_start_etcd(lists:keydelete(port, 1, Config0)),
	{ok, _} = do_open(config(port, Config)),
	Config;
init_per_testcase(_, Config) ->
	{ok, _} = do_open(config(port, Config)),
	Config.

end_per_testcase(_, _) ->
	_ = eetcd:close(?CONN),
	ok.

%% One that was started before with this Config has the same port and the same data.
do_start_etcd(Config) ->
	Port = proplists:get_value(port, Config, other_servers:free_port()),
	PeerPort = other_servers:free_port(),
	Url = lists:concat(["http://127.0.0.1:", Port]),
	%% Of its own cluster, which it does not call: a new start keeps what the data say.
	PeerUrl = "http://127.0.0.1:1",
	Dir = filename:join(config(priv_dir, Config), lists:concat(["etcd_", Port])),
	Etcd = other_servers:start(config(file, Config), ["--data-dir", Dir, "--listen-client-urls", Url,
		"--advertise-client-urls", Url, "--listen-peer-urls", lists:concat(["http://127.0.0.1:", PeerPort]),
		"--initial-advertise-peer-urls", PeerUrl, "--initial-cluster", "default=" ++ PeerUrl,
		"--unsafe-no-fsync", "--log-level", "error"], [Port]),
	[{etcd, Etcd}|lists:keystore(port, 1, lists:keydelete(etcd, 1, Config), {port, Port})].

do_open(Port) ->
	Options = [{connect_timeout, ?WAIT}, {retry, 1}, {retry_timeout, 1000}],
	Endpoints = [lists:concat(["127.0.0.1:", Port])],
	%% The older one has the transport in its arguments.
	case erlang:function_exported(eetcd, open, 4) of
		true -> eetcd:open(?CONN, Endpoints, Options, tcp, []);
		false -> eetcd:open(?CONN, Endpoints, Options)
	end.

keys_and_values(_) ->
	ct:comment("Keys are put, read alone and by prefix, compared in a transaction, and deleted."),
	{ok, _} = eetcd_kv:put(?CONN, <<"k/1">>, <<"one">>),
	Large = binary:copy(<<"large">>, 100000),
	{ok, _} = eetcd_kv:put(?CONN, <<"k/2">>, Large),
	{ok, #{kvs := [#{value := <<"one">>}]}} = eetcd_kv:get(?CONN, <<"k/1">>),
	Ctx = eetcd_kv:with_prefix(eetcd_kv:with_key(eetcd_kv:new(?CONN), <<"k/">>)),
	{ok, #{count := 2, kvs := [#{value := <<"one">>}, #{value := Large}]}} = eetcd_kv:get(Ctx),
	Compare = eetcd_compare:value(eetcd_compare:new(<<"k/1">>), "=", <<"one">>),
	Then = eetcd_op:put(eetcd_kv:with_value(eetcd_kv:with_key(eetcd_kv:new(), <<"k/1">>), <<"two">>)),
	{ok, #{succeeded := true}} = eetcd_kv:txn(?CONN, Compare, Then, []),
	{ok, #{succeeded := false}} = eetcd_kv:txn(?CONN, Compare, Then, []),
	{ok, #{deleted := 1}} = eetcd_kv:delete(?CONN, <<"k/1">>),
	{ok, #{kvs := []}} = eetcd_kv:get(?CONN, <<"k/1">>).

callers(_) ->
	ct:comment("Fifty processes use the one connection at once."),
	Self = self(),
	Pids = [spawn_link(fun() ->
		Key = <<"c/", (integer_to_binary(N))/binary>>,
		{ok, _} = eetcd_kv:put(?CONN, Key, Key),
		{ok, #{kvs := [#{value := Key}]}} = eetcd_kv:get(?CONN, Key),
		Self ! {self(), done}
	end) || N <- lists:seq(1, 50)],
	_ = [?EXPECT({Pid, done}) || Pid <- Pids],
	ok.

watches(_) ->
	ct:comment("A watch tells what changes, in order, until it is given up."),
	{ok, Watch0, WatchId} = do_watch(<<"w/">>),
	Watch = lists:foldl(fun(N, Watch1) ->
		Value = integer_to_binary(N),
		{ok, _} = eetcd_kv:put(?CONN, <<"w/key">>, Value),
		{Events, Watch2} = do_watched(Watch1),
		[#{kv := #{value := Value}, type := 'PUT'}] = Events,
		Watch2
	end, Watch0, lists:seq(1, 10)),
	_ = WatchId,
	{ok, _, _} = eetcd_watch:unwatch(Watch, ?WAIT).

do_watch(Prefix) ->
	Req = eetcd_watch:with_prefix(eetcd_watch:with_key(eetcd_watch:new(), Prefix)),
	case eetcd_watch:watch(?CONN, Req) of
		{ok, Watch, WatchId} -> {ok, Watch, WatchId};
		{ok, Watch} -> {ok, Watch, undefined}
	end.

do_watched(Watch) ->
	Message = ?EXPECT(M when element(1, M) =:= gun_data, M),
	case eetcd_watch:watch_stream(Watch, Message) of
		{ok, New, #{events := Events}} -> {Events, New};
		{more, New} -> do_watched(New)
	end.

leases(_) ->
	ct:comment("A lease is granted, kept alive by a stream of its own, and revoked with its keys."),
	{ok, #{'ID' := Id}} = eetcd_lease:grant(?CONN, 60),
	{ok, _} = eetcd_kv:put(eetcd_kv:with_lease(eetcd_kv:with_value(
		eetcd_kv:with_key(eetcd_kv:new(?CONN), <<"leased">>), <<"here">>), Id)),
	{ok, #{'TTL' := 60}} = eetcd_lease:keep_alive_once(?CONN, Id),
	{ok, Pid} = eetcd_lease:keep_alive(?CONN, Id),
	true = is_process_alive(Pid),
	{ok, #{'grantedTTL' := 60, keys := [<<"leased">>]}} = eetcd_lease:time_to_live(?CONN, Id, true),
	{ok, _} = eetcd_lease:revoke(?CONN, Id),
	{ok, #{kvs := []}} = eetcd_kv:get(?CONN, <<"leased">>).

locks(_) ->
	ct:comment("Who asks for a lock that another holds has it when that one gives it back."),
	[One, Other] = [begin {ok, #{'ID' := Id}} = eetcd_lease:grant(?CONN, 60), Id end || _ <- [1, 2]],
	{ok, #{key := Key}} = eetcd_lock:lock(?CONN, <<"lock">>, One),
	Self = self(),
	spawn_link(fun() ->
		Ctx = eetcd_lock:with_timeout(eetcd_lock:with_lease(eetcd_lock:with_name(eetcd_lock:new(?CONN), <<"lock">>), Other), ?WAIT),
		Self ! {lock, eetcd_lock:lock(Ctx)}
	end),
	receive {lock, _} -> error(held_by_two) after 500 -> ok end,
	{ok, _} = eetcd_lock:unlock(?CONN, Key),
	?EXPECT({lock, {ok, #{key := _}}}).

elections(_) ->
	ct:comment("A leader is elected, proclaims, is observed, and resigns."),
	{ok, #{'ID' := Id}} = eetcd_lease:grant(?CONN, 60),
	{ok, #{leader := Leader}} = eetcd_election:campaign(?CONN, <<"office">>, Id, <<"me">>),
	{ok, #{kv := #{value := <<"me">>}}} = eetcd_election:leader(?CONN, <<"office">>),
	{ok, Observer0} = eetcd_election:observe(?CONN, <<"office">>, ?WAIT),
	{ok, _} = eetcd_election:proclaim(?CONN, Leader, <<"still me">>),
	<<"still me">> = do_observed(Observer0),
	{ok, _} = eetcd_election:resign(?CONN, Leader),
	{eetcd_error, _} = do_error(eetcd_election:leader(?CONN, <<"office">>)).

do_observed(Observer) ->
	Message = ?EXPECT(M when element(1, M) =:= gun_data, M),
	case eetcd_election:observe_stream(Observer, Message) of
		{ok, #{leader := #{value := Value}}} -> Value;
		{ok, New} -> do_observed(New)
	end.

do_error({error, {grpc_error, Error}}) -> {eetcd_error, Error};
do_error({error, Error}) -> {eetcd_error, Error};
do_error(Other) -> Other.

cluster(_) ->
	ct:comment("The members of the cluster are told, and the alarms."),
	{ok, #{members := [#{name := <<"default">>}]}} = eetcd_cluster:member_list(?CONN),
	{ok, #{alarms := []}} = eetcd_maintenance:alarm_list(?CONN).

errors(_) ->
	ct:comment("A call that fails has its status in the headers alone."),
	{eetcd_error, Error} = do_error(eetcd_lease:revoke(?CONN, 12345)),
	ct:log("~p", [Error]),
	true = lists:member(5, [element(N, Error) || is_tuple(Error), N <- lists:seq(1, tuple_size(Error))])
		orelse maps:get('grpc-status', Error) =:= 5.

peer_discovery(Config) ->
	ct:comment("RabbitMQ's plugin that finds the nodes of a cluster by etcd: a node registers, is listed, locks, and is gone."),
	Plugins = filename:dirname(filename:dirname(config(ebin, Config))),
	Paths = lists:append([filelib:wildcard(filename:join([Plugins, App ++ "-[0-9]*", "ebin"])) || App <- ["rabbit",
		"rabbit_common", "jsx", "credentials_obfuscation", "rabbitmq_peer_discovery_common", "rabbitmq_peer_discovery_etcd"]]),
	ok = code:add_pathsz(Paths),
	{ok, Pid} = rabbitmq_peer_discovery_etcd_v3_client:start_link(#{
		endpoints => [lists:concat(["127.0.0.1:", config(port, Config)])], cluster_name => <<"suite">>}),
	ok = rabbitmq_peer_discovery_etcd_v3_client:register(),
	[Node] = rabbitmq_peer_discovery_etcd_v3_client:list_nodes(),
	true = Node =:= node(),
	{ok, Lock} = rabbitmq_peer_discovery_etcd_v3_client:lock(),
	ok = rabbitmq_peer_discovery_etcd_v3_client:unlock(Lock),
	ok = rabbitmq_peer_discovery_etcd_v3_client:unregister(),
	[] = rabbitmq_peer_discovery_etcd_v3_client:list_nodes(),
	true = unlink(Pid),
	ok = gen_statem:stop(Pid),
	lists:foreach(fun dependents:forget/1, Paths).

etcd_dies(Config) ->
	ct:comment("etcd is killed and comes back on the same port: eetcd connects again by itself, and a watch is told of the end."),
	{ok, _} = eetcd_kv:put(?CONN, <<"before">>, <<"kept">>),
	{ok, Watch, _} = do_watch(<<"d/">>),
	ok = do_kill(config(etcd, Config)),
	Message = ?EXPECT(M when element(1, M) =:= gun_error; element(1, M) =:= 'DOWN', M),
	{error, _} = do_watch_error(eetcd_watch:watch_stream(Watch, Message)),
	{error, _} = eetcd_kv:get(?CONN, <<"before">>),
	[{etcd, Etcd}|_] = do_start_etcd(Config),
	true = gun_rs_test:eventually(fun() ->
		case eetcd_kv:get(?CONN, <<"before">>) of
			{ok, #{kvs := [#{value := <<"kept">>}]}} -> true;
			Other -> Other
		end
	end, 60000),
	other_servers:stop(Etcd).

do_watch_error({error, Reason, _}) -> {error, Reason};
do_watch_error(Other) -> Other.

do_kill(Etcd) ->
	_ = other_servers:stop(Etcd),
	ok.
