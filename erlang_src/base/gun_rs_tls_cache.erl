%% @private The TLS configurations that connections were opened with not long ago.
-module(gun_rs_tls_cache).

-export([start/0]).
-export([forget/0]).
-export([find/2]).
-export([keep/4]).

%% For how long what the files held is taken for what they hold, in ms. To read them takes
%% the schedulers that may wait, several times, which is more than all else that a
%% connection takes before it is opened.
-define(MAX_AGE, 1000).

%% How many sets of options are remembered.
-define(MAX_KEPT, 64).

%% @doc Makes the table. It belongs to the caller.
-spec start() -> ok.
start() ->
	?MODULE = ets:new(?MODULE, [named_table, public, {read_concurrency, true}]),
	ok.

%% @doc Forgets everything: it may be another copy of the native library's.
-spec forget() -> ok.
forget() ->
	_ = try
		ets:delete_all_objects(?MODULE)
	catch error:badarg ->
		false
	end,
	ok.

%% @doc What was made of these options, with these protocols to advertise, within the last second.
-spec find(Alpn :: [binary()], TlsOpts :: list()) -> {ok, Tls :: term()} | error.
find(Alpn, TlsOpts) ->
	%% The table is gone while the application stops, in which connections may still end.
	try ets:lookup(?MODULE, key(Alpn, TlsOpts)) of
		[{_, TlsOpts, Tls, Since}] ->
			case erlang:monotonic_time(millisecond) - Since =< ?MAX_AGE of
				true -> {ok, Tls};
				false -> error
			end;
		_ ->
			error
	catch error:badarg ->
		error
	end.

%% @doc Remembers what has been made of them, since when, in ms of monotonic time.
-spec keep(Alpn :: [binary()], TlsOpts :: list(), Tls :: term(), Since :: integer()) -> ok.
keep(Alpn, TlsOpts, Tls, Since) ->
	_ = try
		_ = ets:info(?MODULE, size) >= ?MAX_KEPT andalso ets:delete_all_objects(?MODULE),
		ets:insert(?MODULE, {key(Alpn, TlsOpts), TlsOpts, Tls, Since})
	catch error:badarg ->
		false
	end,
	ok.

%% To hash 200 KB of certificates takes longer than to compare them.
key(Alpn, TlsOpts) ->
	[Alpn|[case Opt of
		{cacerts, Certs} when length(Certs) >= 0 -> {cacerts, length(Certs)};
		_ -> Opt
	end || Opt <- TlsOpts]].
