%% A stand-in for the server's native functions: what is called is told to the caller, so that
%% the Erlang side can be looked at alone. The suites of the server meet the real ones.
-module(gun_rs_served_stand_in).

-export([load/0]).
-export([unload/1]).
-export([request/1]).
-export([req/2]).
-export([req/3]).
-export([part/2]).
-export([calls/0]).
-export([answer/2]).

-define(ID, 7).

%% Each function sends `{native, Name, Arguments}', the connection left out, and gives what
%% answer/2 has said, or ok.
load() ->
	{ok, gun_rs_served_io, Beam} = compile:forms([
		{attribute, 1, module, gun_rs_served_io},
		{attribute, 1, export, functions()}
		|[function(Name, Arity) || {Name, Arity} <- functions()]
	]),
	_ = code:purge(gun_rs_served_io),
	{module, _} = code:load_binary(gun_rs_served_io, "stand_in", Beam),
	ok.

unload(_) ->
	_ = code:purge(gun_rs_served_io),
	_ = code:delete(gun_rs_served_io),
	_ = code:purge(gun_rs_served_io),
	ok.

functions() ->
	[{respond, 6}, {data, 4}, {inform, 4}, {trailers, 3}, {read, 3},
		{close_with, 2}].

function(Name, Arity) ->
	Args = [{var, 1, list_to_atom("A" ++ integer_to_list(N))} || N <- lists:seq(1, Arity)],
	List = lists:foldr(fun(Arg, Tail) -> {cons, 1, Arg, Tail} end, {nil, 1}, tl(Args)),
	{function, 1, Name, Arity, [{clause, 1, [{match, 1, {var, 1, '_'}, hd(Args)}|tl(Args)], [],
		[{call, 1, {remote, 1, {atom, 1, ?MODULE}, {atom, 1, answer}}, [{atom, 1, Name}, List]}]}]}.

%% Called by the functions; a test says before what they answer: `put(data, gone)', or
%% a list of answers, of which each is given once.
answer(Name, Args) ->
	self() ! {native, Name, Args},
	case get(Name) of
		undefined -> ok;
		[Answer|Answers] -> put(Name, Answers), Answer;
		[] -> ok;
		Answer -> Answer
	end.

%% What was called since, without the names of requests.
calls() ->
	receive
		{native, Name, [?ID|Args]} -> [{Name, Args}|calls()];
		{native, Name, Args} -> [{Name, Args}|calls()]
	after 0 ->
		[]
	end.

request(Changes) ->
	maps:merge(#{method => <<"GET">>, path => <<"/p">>, qs => <<>>, version => 'HTTP/1.1',
		headers => [{<<"host">>, <<"example.org">>}], body => none}, Changes).

req(Dialect, Changes) ->
	req(Dialect, Changes, #{}).

%% The Req of a request that nothing was done with.
req(Dialect, Changes, Extra) ->
	ok = gun_rs_served:forget(?ID),
	_ = calls(),
	gun_rs_served:new_request(Dialect, ?ID, make_ref(), request(Changes),
		#{peer => {{127, 0, 0, 1}, 1234}, sock => {{127, 0, 0, 1}, 80}, cert => undefined}, Extra).

%% A part of the body comes.
part(Fin, Data) ->
	self() ! {gun_rs_served, {data, ?ID, Fin, Data}},
	ok.
