%% @private What the value of an option may be: the check, and the words for it.
-module(gun_rs_option_kind).

-export([is_valid/2]).
-export([text/1]).
-export([names/1]).
-export([alternatives/1]).

%% Sizes are positive. The atoms are taken beside the numbers.
-type kind() :: any
	| boolean
	| milliseconds
	| timeout
	| positive_timeout
	| {integer, Least :: integer(), Most :: integer() | unlimited, [atom()]}
	| {size, Of :: string(), [atom()]}
	| {size, Of :: string(), [atom()], Also :: string()}
	| {one_of, [atom()]}
	| {list_of, kind()}
	| {function, arity()}
	| reply_to
	| req_reply_to
	| {Check :: fun((Value :: term()) -> boolean()), Text :: string()}.
-export_type([kind/0]).

-define(MAX_MS, 16#ffffffff).
-define(MAX_SIZE, (1 bsl 62)).

-spec is_valid(kind(), Value :: term()) -> boolean().
is_valid(any, _) -> true;
is_valid(boolean, B) -> is_boolean(B);
is_valid(milliseconds, T) -> is_integer(T) andalso T >= 0 andalso T =< ?MAX_MS;
is_valid(timeout, T) -> T =:= infinity orelse is_valid(milliseconds, T);
is_valid(positive_timeout, T) -> T =/= 0 andalso is_valid(timeout, T);
is_valid({integer, Least, Most, _}, N) when is_integer(N) -> N >= Least andalso (Most =:= unlimited orelse N =< Most);
is_valid({integer, _, _, Atoms}, V) -> lists:member(V, Atoms);
is_valid({size, Of, Atoms, _}, V) -> is_valid({size, Of, Atoms}, V);
is_valid({size, _, _}, N) when is_integer(N) -> N > 0 andalso N =< ?MAX_SIZE;
is_valid({size, _, Atoms}, V) -> lists:member(V, Atoms);
is_valid({one_of, Atoms}, V) -> lists:member(V, Atoms);
is_valid({list_of, Kind}, L) when is_list(L), length(L) >= 0 -> lists:all(fun(V) -> is_valid(Kind, V) end, L);
is_valid({list_of, _}, _) -> false;
is_valid({function, Arity}, F) -> is_function(F, Arity);
is_valid(reply_to, V) -> is_reply_to(V);
is_valid(req_reply_to, V) -> V =:= alias orelse is_reply_to(V);
is_valid({Check, _}, V) -> Check(V).

is_reply_to(Pid) when is_pid(Pid) -> true;
is_reply_to(Alias) when is_reference(Alias) -> true;
is_reply_to(Fun) when is_function(Fun, 1) -> true;
is_reply_to({Fun, Args}) when is_function(Fun, 1 + length(Args)) -> true;
is_reply_to({M, F, Args}) when is_atom(M), is_atom(F), is_list(Args), length(Args) >= 0 -> true;
is_reply_to(_) -> false.

-spec text(kind()) -> string().
text(any) -> "a term";
text(boolean) -> "true or false";
text(milliseconds) -> "an integer of 0 to 4294967295 milliseconds";
text(timeout) -> "an integer of 0 to 4294967295 milliseconds or infinity";
text(positive_timeout) -> "an integer of 1 to 4294967295 milliseconds or infinity";
text({integer, Least, unlimited, Atoms}) -> alternatives([format("an integer of ~b or more", [Least])|names(Atoms)]);
text({integer, Least, Most, Atoms}) -> alternatives([format("an integer of ~b to ~b", [Least, Most])|names(Atoms)]);
text({size, Of, Atoms}) -> alternatives(["a positive number of " ++ Of|names(Atoms)]);
text({size, Of, Atoms, Also}) -> text({size, Of, Atoms}) ++ ", " ++ Also;
text({one_of, Atoms}) -> alternatives(names(Atoms));
text({list_of, Kind}) -> "a list, each element of it " ++ text(Kind);
text({function, 2}) -> "a fun of two arguments";
text({function, Arity}) -> format("a fun of ~b arguments", [Arity]);
text(reply_to) -> "a pid, an alias of one, a fun of one argument, {Fun, Args} or {M, F, Args}";
text(req_reply_to) -> "alias, a pid, an alias of one, a fun of one argument, {Fun, Args} or {M, F, Args}";
text({_, Text}) -> Text.

%% @doc The atoms as they are written.
-spec names([atom()]) -> [string()].
names(Atoms) ->
	[format("~tw", [Atom]) || Atom <- Atoms].

%% @doc "one, two or three".
-spec alternatives([string()]) -> string().
alternatives([Alternative]) -> Alternative;
alternatives(Alternatives) ->
	{First, [Last]} = lists:split(length(Alternatives) - 1, Alternatives),
	lists:flatten([lists:join(", ", First), " or ", Last]).

format(Format, Args) ->
	lists:flatten(io_lib:format(Format, Args)).
