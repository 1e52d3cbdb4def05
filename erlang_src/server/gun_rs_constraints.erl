%% @doc Constraints of bindings, of query strings and of cookies, as Cowboy's
%% `cowboy_constraints'.
%%
%% A constraint is `int', `nonempty', or a fun that takes an operation and a value:
%% `forward' checks and converts what a client sent, `reverse' turns it back, and
%% `format_error' makes a text of `{Reason, Value}'. Routes of Cowboy 1 have
%% `{Name, int}' and `{Name, function, F}'; `F(Value)' returns true, `{true, New}' or false.
-module(gun_rs_constraints).

-export([validate/2]).
-export([reverse/2]).
-export([format_error/1]).
-export([bindings/2]).

-type constraint() :: int | nonempty
	| fun((forward | reverse | format_error, term()) -> {ok, term()} | {error, term()} | iodata()).
-export_type([constraint/0]).

-type reason() :: {constraint(), Reason :: term(), Value :: term()}.
-export_type([reason/0]).

%% What a route says of its bindings. A name alone asks for nothing.
-type field() :: atom() | {Name :: atom(), constraint() | [constraint()]}
	| {Name :: atom(), function, fun((term()) -> boolean() | {true, term()})}.
-export_type([field/0]).

%% @doc Checks and converts a value by one constraint, or by some, each of which takes what
%% the one before it has made.
-spec validate(term(), constraint() | [constraint()]) -> {ok, term()} | {error, reason()}.
validate(Value, Constraints) ->
	run(forward, Value, Constraints).

%% @doc Turns a value back into what a client would send.
-spec reverse(term(), constraint() | [constraint()]) -> {ok, term()} | {error, reason()}.
reverse(Value, Constraints) ->
	run(reverse, Value, Constraints).

%% @doc The text of an error of validate/2 or reverse/2.
-spec format_error(reason()) -> iodata().
format_error({Constraint, Reason, Value}) ->
	apply_one(format_error, {Reason, Value}, Constraint).

%% @doc Checks the bindings of a route; a binding that is not set is not checked.
-spec bindings([field()], #{atom() => term()}) -> {ok, #{atom() => term()}} | error.
bindings([], Bindings) ->
	{ok, Bindings};
bindings([Name|Fields], Bindings) when is_atom(Name) ->
	bindings(Fields, Bindings);
bindings([Field|Fields], Bindings) ->
	Name = element(1, Field),
	case Bindings of
		#{Name := Value} ->
			case binding(Field, Value) of
				{ok, New} -> bindings(Fields, Bindings#{Name := New});
				error -> error
			end;
		#{} ->
			bindings(Fields, Bindings)
	end.

binding({_, function, F}, Value) ->
	case F(Value) of
		true -> {ok, Value};
		{true, New} -> {ok, New};
		false -> error
	end;
binding({_, Constraints}, Value) ->
	case validate(Value, Constraints) of
		{ok, New} -> {ok, New};
		{error, _} -> error
	end.

run(_, Value, []) ->
	{ok, Value};
run(Operation, Value, [Constraint|Constraints]) ->
	case apply_one(Operation, Value, Constraint) of
		{ok, New} -> run(Operation, New, Constraints);
		{error, Reason} -> {error, {Constraint, Reason, Value}}
	end;
run(Operation, Value, Constraint) ->
	run(Operation, Value, [Constraint]).

apply_one(Operation, Value, int) -> int(Operation, Value);
apply_one(Operation, Value, nonempty) -> nonempty(Operation, Value);
apply_one(Operation, Value, F) when is_function(F, 2) -> F(Operation, Value).

int(forward, Value) ->
	try
		{ok, binary_to_integer(Value)}
	catch error:badarg ->
		{error, not_an_integer}
	end;
int(reverse, Value) when is_integer(Value) ->
	{ok, integer_to_binary(Value)};
int(reverse, _) ->
	{error, not_an_integer};
int(format_error, {not_an_integer, Value}) ->
	["The value ", gun_rs_text:term(Value), " is not an integer."].

nonempty(format_error, {empty, Value}) ->
	["The value ", gun_rs_text:term(Value), " is empty."];
nonempty(_, <<>>) ->
	{error, empty};
nonempty(_, Value) ->
	{ok, Value}.
