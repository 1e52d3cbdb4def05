%% @private The listeners of the node by their names: their processes, and what they are to do. The table outlives a
%% listener, so that one that is started again has the port and the settings of the one before.
-module(gun_rs_listeners).

-export([new_table/0]).
-export([put/2]).
-export([find/1]).
-export([lookup/1]).
-export([names/0]).
-export([forget/1]).
-export([config/1]).
-export([call/2]).

-type config() :: #{
	dialect := gun_rs_server_options:dialect(),
	transport := gun_rs_server_options:transport(),
	protocol := gun_rs_server_options:protocol(),
	%% As they were given.
	transport_opts := term(),
	protocol_opts := term()
}.
-export_type([config/0]).

%% What a connection is served by.
-type serving() :: #{
	dialect := gun_rs_server_options:dialect(),
	transport := gun_rs_server_options:transport(),
	protocol := gun_rs_server_options:protocol()
}.
-export_type([serving/0]).

%% First is the first listener of the name, whose place the others have: all that they have accepted is one family.
-type entry() :: #{
	pid := pid(),
	first := pid(),
	config := config(),
	native := gun_rs_native:listener(),
	port := inet:port_number() | undefined
}.
-export_type([entry/0]).

-spec new_table() -> ok.
new_table() ->
	_ = ets:new(?MODULE, [named_table, public, {read_concurrency, true}]),
	ok.

-spec put(Ref :: term(), entry()) -> ok.
put(Ref, Entry) ->
	true = ets:insert(?MODULE, {Ref, Entry}),
	ok.

-spec find(Ref :: term()) -> {ok, entry()} | error.
find(Ref) ->
	try ets:lookup(?MODULE, Ref) of
		[{_, Entry}] -> {ok, Entry};
		[] -> error
	catch error:badarg ->
		%% The application does not run.
		error
	end.

-spec lookup(Ref :: term()) -> {ok, pid()} | error.
lookup(Ref) ->
	case find(Ref) of
		{ok, #{pid := Pid}} -> {ok, Pid};
		error -> error
	end.

-spec names() -> [Ref :: term()].
names() ->
	[Ref || {Ref, _} <- ets:tab2list(?MODULE)].

%% @doc Nothing is left of a listener that was stopped.
-spec forget(Ref :: term()) -> ok.
forget(Ref) ->
	true = ets:delete(?MODULE, Ref),
	ok.

%% @doc What connections that are accepted now are served by.
-spec config(Ref :: term()) -> {ok, config()} | error.
config(Ref) ->
	case find(Ref) of
		{ok, #{config := Config}} -> {ok, Config};
		error -> error
	end.

-spec call(Ref :: term(), Request :: term()) -> term() | {error, not_found}.
call(Ref, Request) ->
	case lookup(Ref) of
		{ok, Pid} ->
			%% It may stop meanwhile.
			try
				gen_server:call(Pid, Request, infinity)
			catch exit:{Reason, _} when Reason =:= noproc; Reason =:= normal; Reason =:= shutdown ->
				{error, not_found}
			end;
		error ->
			{error, not_found}
	end.
