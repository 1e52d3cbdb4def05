%% Pages of one host, fetched side by side over a pool of connections.
%%
%%     {ok, _} = http_client:start("example.org", 443, #{transport => tls}),
%%     http_client:fetch("example.org", ["/a", "/b"]).
-module(http_client).

-export([start/3, stop/2, fetch/2]).

%% ConnOpts are those of gun_rs:open/3.
-spec start(string(), inet:port_number(), map()) -> {ok, pid()} | {error, term()}.
start(Host, Port, ConnOpts) ->
	gun_rs_pool:start_pool(Host, Port, #{
		size => #{min => 2, max => 10},
		checkout_queue => #{max => 1000, timeout => 30000},
		idle_timeout => 60000,
		conn_opts => ConnOpts#{connect_timeout => 10000}
	}).

-spec stop(string(), inet:port_number()) -> ok | {error, term(), term()}.
stop(Host, Port) ->
	gun_rs_pool:stop_pool(Host, Port).

%% Authority is the host, with the port unless it is 443 (or 80 without TLS). The results are in the order of the paths.
-spec fetch(string(), [string()]) -> [{string(), {ok, 100..999, binary()} | {error, unicode:chardata()}}].
fetch(Authority, Paths) ->
	Fetchers = [{Path, spawn_monitor(fun() -> exit({done, fetch_one(Authority, Path)}) end)} || Path <- Paths],
	[receive
		{'DOWN', Monitor, process, Pid, {done, Result}} -> {Path, Result};
		{'DOWN', Monitor, process, Pid, Reason} -> {Path, {error, gun_rs:format_error(Reason)}}
	end || {Path, {Pid, Monitor}} <- Fetchers].

fetch_one(Authority, Path) ->
	%% Half a minute for all of it, the wait for a connection too.
	ReqOpts = #{timeout => 30000, checkout_call_timeout => infinity, reply_to => alias},
	case gun_rs_pool:get(Path, #{<<"host">> => Authority, <<"accept">> => <<"*/*">>}, ReqOpts) of
		{async, Ref} -> response(Ref, gun_rs_pool:await(Ref, infinity));
		{error, Reason, _Text} -> {error, gun_rs:format_error(Reason)}
	end.

response(_Ref, {response, fin, Status, _Headers}) ->
	{ok, Status, <<>>};
response(Ref, {response, nofin, Status, _Headers}) ->
	case gun_rs_pool:await_body(Ref, infinity) of
		{ok, Body} -> {ok, Status, Body};
		{ok, Body, _Trailers} -> {ok, Status, Body};
		{error, Reason} -> {error, gun_rs:format_error(Reason)}
	end;
response(Ref, {inform, _Status, _Headers}) ->
	response(Ref, gun_rs_pool:await(Ref, infinity));
response(_Ref, {error, Reason}) ->
	{error, gun_rs:format_error(Reason)}.
