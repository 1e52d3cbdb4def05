%% What makes a module a suite, with gun_rs_suite.hrl: which cases run, and, as a hook of Common Test, what they need.
%% It is started before the suite's own init_per_suite, and stopped after the suite's end_per_suite.
%%
%% A need is one of:
%%
%%     Application             it is started, and keeps running
%%     certs                   certificates, in the suite's priv_dir; they are `certs' in the suite's Config
%%     distribution            this node is alive, so that others can connect to it
%%     {listener, Modules}     a listener of Cowboy's with the routes of these modules: `listener' and `port'
-module(gun_rs_suite).

-export([all/1]).
-export([cases/1]).

%% Common Test.
-export([init/2]).
-export([pre_init_per_suite/3]).
-export([post_end_per_suite/4]).

-include("gun_rs_test.hrl").

%% The suite's groups or, when it has none, its cases.
all(Suite) ->
	case erlang:function_exported(Suite, groups, 0) of
		true -> [{group, element(1, Group)} || Group <- Suite:groups()];
		false -> cases(Suite)
	end.

%% Every exported function of one argument that isn't Common Test's own is a case.
cases(Suite) ->
	lists:usort([F || {F, 1} <- Suite:module_info(exports),
		F =/= module_info,
		F =/= init_per_suite,
		F =/= end_per_suite,
		not lists:prefix("do_", atom_to_list(F))]).

init(_, Needs) ->
	{ok, Needs}.

%% Of a hook that fails Common Test says no more than that it failed.
pre_init_per_suite(_, Config, Needs) ->
	case ?CATCH(lists:foldl(fun start/2, Config, Needs)) of
		{'EXIT', Reason} -> {{fail, Reason}, Needs};
		Started -> {Started, Needs}
	end.

post_end_per_suite(_, Config, Return, Needs) ->
	_ = [stop(Need, Config) || Need <- lists:reverse(Needs)],
	{Return, Needs}.

start(cowboy, Config) ->
	ok = gun_rs_test:require_cowboy(),
	Config;
start(certs, Config) ->
	[{certs, tls_certs:make(gun_rs_test:config(priv_dir, Config))}|Config];
start(distribution, Config) ->
	[{distribution, gun_rs_test:start_distribution()}|Config];
start({listener, Modules}, Config) ->
	{Listener, Port} = gun_rs_test:start_cowboy(lists:append([Module:routes() || Module <- Modules]), [{port, 0}]),
	[{listener, Listener}, {port, Port}|Config];
start(Application, Config) ->
	{ok, _} = application:ensure_all_started(Application),
	Config.

stop(distribution, Config) ->
	gun_rs_test:stop_distribution(gun_rs_test:config(distribution, Config));
stop({listener, _}, Config) ->
	gun_rs_test:stop_cowboy(gun_rs_test:config(listener, Config));
stop(_, _) ->
	ok.
