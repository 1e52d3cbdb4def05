%% @doc A term as a part of a sentence: for whoever reads it, in whatever language the
%% program is written.
-module(gun_rs_text).

-export([term/1]).

%% How much of a term is worth repeating: characters in all, and of one text.
-define(MAX_LENGTH, 200).

%% How many elements of a list, a tuple or a map, and how many of them in each other.
-define(MAX_ELEMENTS, 20).
-define(MAX_DEPTH, 8).

%% @doc The term on one line, and cut short: a frame or a header can be of any size. A
%% text stands in quotes, be it a string or a binary; what is only a name on this node
%% (a pid, a fun) is shown by its kind.
-spec term(Term :: term()) -> string().
term(Term) ->
	Text = lists:flatten(shown(Term, ?MAX_DEPTH)),
	case string:length(Text) > ?MAX_LENGTH of
		true -> string:slice(Text, 0, ?MAX_LENGTH) ++ "...";
		false -> Text
	end.

shown(Term, _) when is_atom(Term) -> name(Term);
shown(Term, _) when is_number(Term) -> io_lib:format("~w", [Term]);
shown(Term, _) when is_binary(Term) -> binary(Term);
shown(Term, _) when is_bitstring(Term) -> ["a bitstring of ", count(bit_size(Term), "bit")];
shown(Term, _) when is_pid(Term) -> "a process";
shown(Term, _) when is_port(Term) -> "a port";
shown(Term, _) when is_reference(Term) -> "a reference";
shown(Term, _) when is_function(Term) -> function(Term);
shown([], _) -> "[]";
shown({}, _) -> "{}";
shown(Term, Depth) when is_list(Term) ->
	String = first(Term),
	case io_lib:printable_unicode_list(String) of
		true -> quoted(String);
		false -> list(Term, Depth)
	end;
shown(_, 0) -> "...";
shown(Term, Depth) when is_tuple(Term) ->
	[${, elements(tuple_to_list(Term), Depth), $}];
shown(Term, Depth) when is_map(Term) ->
	Pairs = [[shown(Key, Depth - 1), " => ", shown(Value, Depth - 1)]
		|| {Key, Value} <- lists:sublist(maps:to_list(Term), ?MAX_ELEMENTS)],
	More = ["..." || map_size(Term) > ?MAX_ELEMENTS],
	["#{", lists:join($,, Pairs ++ More), $}].

list(_, 0) -> "...";
list(Term, Depth) -> [$[, elements(Term, Depth), $]].

elements(Terms, Depth) ->
	elements(Terms, Depth, ?MAX_ELEMENTS).

elements(_, _, 0) -> "...";
elements([Term], Depth, _) -> shown(Term, Depth - 1);
elements([Term|Tail], Depth, N) when is_list(Tail) ->
	[shown(Term, Depth - 1), $,, elements(Tail, Depth, N - 1)];
elements([Term|Tail], Depth, _) ->
	[shown(Term, Depth - 1), $|, shown(Tail, Depth - 1)].

%% What may be the beginning of a string, also of a list that ends in no list.
first(List) ->
	first(List, ?MAX_LENGTH + 1).

first([Head|Tail], N) when N > 0 -> [Head|first(Tail, N - 1)];
first([], _) -> [];
first(_, 0) -> [];
first(Tail, _) -> [Tail].

name('') -> "''";
name(Atom) -> printable(atom_to_list(Atom)).

binary(Binary) ->
	Cut = binary:part(Binary, 0, min(byte_size(Binary), 4 * ?MAX_LENGTH)),
	Text = case unicode:characters_to_list(Cut) of
		{incomplete, String, _} when byte_size(Binary) > byte_size(Cut) -> String;
		Result -> Result
	end,
	case is_list(Text) andalso io_lib:printable_unicode_list(Text) of
		true -> quoted(lists:sublist(Text, ?MAX_LENGTH + 1));
		false -> ["a binary of ", count(byte_size(Binary), "byte")]
	end.

count(1, Unit) -> ["1 ", Unit];
count(N, Unit) -> [integer_to_list(N), $\s, Unit, $s].

function(Fun) ->
	case erlang:fun_info(Fun, type) of
		{type, external} ->
			{module, Module} = erlang:fun_info(Fun, module),
			{name, Name} = erlang:fun_info(Fun, name),
			{arity, Arity} = erlang:fun_info(Fun, arity),
			[name(Module), $:, name(Name), $/, integer_to_list(Arity)];
		{type, local} ->
			"a fun"
	end.

quoted(String) ->
	[$", printable(String), $"].

printable(String) ->
	lists:map(fun
		($") -> "\\\"";
		($\\) -> "\\\\";
		($\n) -> "\\n";
		($\r) -> "\\r";
		($\t) -> "\\t";
		(C) when C < $\s; C >= 127, C < 160 -> $?;
		(C) -> C
	end, String).
