%% A RabbitMQ of _build/peers, for as long as a suite needs it. It is not installed, and writes nowhere but in the suite's
%% folder.
-module(dependents_rabbitmq).

-export([start/3]).
-export([stop/1]).
-export([plugins/0]).

-import(gun_rs_test, [config/2]).

-define(PLUGINS, "rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins").

%% It takes its time, in ms.
-define(STARTS_WITHIN, 120000).

%% The folder with its plugins and libraries, and what it needs of OTP that may not be installed.
-spec plugins() -> {ok, Plugins :: string(), OsMon :: string()} | none.
plugins() ->
	Peers = filename:join(gun_rs_test:root(), "_build/peers"),
	case [filelib:wildcard(filename:join(Peers, Path)) || Path <- [?PLUGINS, "erlang-os-mon/usr/lib/erlang/lib"]] of
		[[Plugins], [OsMon]] -> {ok, Plugins, OsMon};
		_ -> none
	end.

%% Starts it with these plugins. Listeners are the names in its configuration under which it listens, each on a port of
%% its own: the Config that is returned has the port under the key. Under amqp it is the broker's own listener.
-spec start([{Key :: atom(), Listener :: string()}], Plugins :: [atom()], [{atom(), term()}]) ->
	[{atom(), term()}] | {skip, string()}.
start(Listeners, Enabled, Config) ->
	case plugins() of
		{ok, Plugins, OsMon} -> started(Listeners, Enabled, Plugins, OsMon, Config);
		none -> {skip, "No RabbitMQ for this OTP is in _build/peers."}
	end.

-spec stop([{atom(), term()}]) -> ok.
stop(Config) ->
	_ = other_servers:stop(config(rabbitmq, Config)),
	gun_rs_test:stop_distribution(config(distribution, Config)).

started(Listeners, Enabled, Plugins, OsMon, Config) ->
	Distribution = gun_rs_test:start_distribution(),
	Ports = [{Key, other_servers:free_port()} || {Key, _} <- Listeners],
	%% Suites share the folder that it is in, and each has a broker of its own.
	Dir = filename:join([config(priv_dir, Config), "rabbitmq", lists:concat(lists:join("_", Enabled))]),
	Mine = filename:join(Dir, "plugins"),
	ok = filelib:ensure_dir(filename:join(Mine, "x")),
	%% Those that are missing something that Debian has in other packages.
	_ = [ok = file:make_symlink(Plugin, filename:join(Mine, filename:basename(Plugin)))
		|| Plugin <- filelib:wildcard(filename:join(Plugins, "*-[0-9]*")),
			nomatch =:= re:run(Plugin, "auth_backend|peer_discovery", [{capture, none}])],
	ok = file:write_file(filename:join(Dir, "enabled_plugins"), io_lib:format("~p.", [Enabled])),
	ok = file:write_file(filename:join(Dir, "rabbitmq.conf"), [
		"mqtt.listeners.tcp = none\nstomp.listeners.tcp = none\nlog.console = true\nlog.file = false\n",
		["listeners.tcp = none\n" || not lists:keymember(amqp, 1, Listeners)],
		[io_lib:format(Listener, [config(Key, Ports)]) || {Key, Listener} <- Listeners]
	]),
	Script = filename:join(filename:dirname(Plugins), "sbin/rabbitmq-server"),
	Server = other_servers:start(os:find_executable("env"), environment(Dir, OsMon, Mine) ++ ["sh", Script, "-noinput"], []),
	true = gun_rs_test:eventually(fun() -> lists:all(fun({_, Port}) -> listens(Port) end, Ports) end, ?STARTS_WITHIN),
	[{rabbitmq, Server}, {distribution, Distribution}|Ports ++ Config].

environment(Dir, OsMon, Plugins) ->
	File = fun(Name) -> filename:join(Dir, Name) end,
	Dist = other_servers:free_port(),
	[Name ++ "=" ++ Value || {Name, Value} <- [
		{"ERL_EPMD_ADDRESS", "127.0.0.1"},
		{"ERL_LIBS", OsMon},
		{"HOME", Dir},
		{"RABBITMQ_ALLOW_INPUT", "true"},
		{"RABBITMQ_CONF_ENV_FILE", "/dev/null"},
		{"RABBITMQ_CONFIG_FILE", File("rabbitmq.conf")},
		{"RABBITMQ_DIST_PORT", integer_to_list(Dist)},
		{"RABBITMQ_ENABLED_PLUGINS_FILE", File("enabled_plugins")},
		{"RABBITMQ_FEATURE_FLAGS_FILE", File("feature_flags")},
		{"RABBITMQ_LOG_BASE", File("log")},
		{"RABBITMQ_MNESIA_BASE", File("mnesia")},
		{"RABBITMQ_NODENAME", lists:concat(["gun_rs_", Dist, "@localhost"])},
		{"RABBITMQ_PID_FILE", File("pid")},
		{"RABBITMQ_PLUGINS_DIR", Plugins}
	]].

listens(Port) ->
	case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
		{ok, Socket} -> gen_tcp:close(Socket) =:= ok;
		{error, _} -> false
	end.
