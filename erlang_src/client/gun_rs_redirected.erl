%% @private Where the streams are that follow redirects: what their names stand for just now, for whoever cancels one,
%% updates its flow, or asks about it.
-module(gun_rs_redirected).

-export([new_table/0]).
-export([put/4]).
-export([delete/1]).
-export([find/1]).
-export([cancel/1]).

%% A connection, and the name that the stream has there.
-type place() :: {ConnPid :: pid(), gun_rs_native:stream_ref()}.
-export_type([place/0]).

-spec new_table() -> ok.
new_table() ->
	?MODULE = ets:new(?MODULE, [named_table, public, {read_concurrency, true}, {write_concurrency, true}]),
	ok.

%% @doc The stream is there now, and Follower is the process that follows its redirects and sends ReplyTo what comes.
-spec put(gun_rs_native:stream_ref(), Follower :: pid(), place(), gun_rs_options:reply_to()) -> ok.
put(StreamRef, Follower, Place, ReplyTo) ->
	true = ets:insert(?MODULE, {StreamRef, Follower, Place, ReplyTo}),
	ok.

-spec delete(gun_rs_native:stream_ref()) -> ok.
delete(StreamRef) ->
	true = ets:delete(?MODULE, StreamRef),
	ok.

%% @doc Where the stream is, if it is one that follows redirects, made on this node.
-spec find(StreamRef :: term())
	-> {Follower :: pid(), place(), gun_rs_options:reply_to()} | none.
find(StreamRef) ->
	%% Without the application there is no stream.
	try ets:lookup(?MODULE, StreamRef) of
		[{_, Follower, Place, ReplyTo}] -> {Follower, Place, ReplyTo};
		[] -> none
	catch error:badarg -> none
	end.

%% @doc Nothing more of the stream is wanted.
-spec cancel(Follower :: pid()) -> ok.
cancel(Follower) ->
	_ = Follower ! {gun_rs_redirects, cancel},
	ok.
