%% Compares gun_rs with gun: runs each situation once with either, over the same servers, and prints where they differ.
%%
%% What differs must stand in doc/differences.md, and the situation beside that line in test/differences.config. The
%% comparison fails on a difference that does not, and on a situation that stands there and no longer differs.
-module(compare).

-export([main/1]).
-export([modules/0]).

%% How often a situation runs before its result counts: a busy machine may let a client see less, or more, at once.
-define(ATTEMPTS, 2).

%% How many situations run at once.
-define(WORKERS, 24).

%% Situations that differ until what they need is built.
-define(PENDING, []).

-spec main([string()]) -> no_return().
main([File|Names]) ->
	ok = logger:set_primary_config(level, none),
	{ok, _} = application:ensure_all_started(cowboy),
	{ok, _} = application:ensure_all_started(gun),
	{ok, _} = application:ensure_all_started(gun_rs),
	ok = compare_tls:prepare(),
	All = situations(),
	[] = [Name || {Name, _} <- All, length([Name || {N, _} <- All, N =:= Name]) > 1],
	Listed = listed(File),
	Chosen = [Situation || Situation={Name, _} <- All, Names =:= [] orelse lists:member(atom_to_list(Name), Names)],
	Results = in_parallel(fun(Situation={Name, _}) -> result(Situation, lists:member(Name, Listed)) end, Chosen),
	Unlisted = [Name || {Name, differs} <- Results, not lists:member(Name, Listed), not lists:member(Name, ?PENDING)],
	Same = [Name || {Name, same} <- Results, lists:member(Name, Listed ++ ?PENDING)],
	Unknown = [Name || Name <- Listed ++ ?PENDING, not lists:keymember(Name, 1, All)],
	Broken = [Name || {Name, broken} <- Results, not lists:member(Name, ?PENDING)],
	io:format("~ncompare: ~b situations, ~b the same, ~b differ~n", [length(Results),
		length([same || {_, same} <- Results]), length([differs || {_, differs} <- Results])]),
	_ = [io:format("compare: ~ts: ~tp~n", [What, Found]) || {What, Found=[_|_]} <- [
		{"they differ, and no line of the document says so", Unlisted},
		{"they are listed, and do not differ", Same},
		{"they are listed, and there is no such situation", Unknown},
		{"the comparison itself is broken", Broken},
		{"differ for now", [Name || {Name, differs} <- Results, lists:member(Name, ?PENDING)]}]],
	halt(case {Unlisted, Same, Unknown, Broken} of
		{[], [], [], []} -> 0;
		_ -> 1
	end).

situations() ->
	lists:append([Module:situations() || Module <- modules()]).

%% Those that have situations.
-spec modules() -> [module()].
modules() ->
	[compare_open, compare_http, compare_ws, compare_life, compare_events, compare_tls, compare_programs].

%% Most of them wait most of the time.
in_parallel(Fun, Situations) ->
	{First, Others} = lists:split(min(?WORKERS, length(Situations)), Situations),
	Self = self(),
	Start = fun(Situation) -> _ = spawn_link(fun() -> Self ! {done, Fun(Situation)} end), element(1, Situation) end,
	in_parallel(Start, Others, [Start(Situation) || Situation <- First], []).

in_parallel(_, [], [], Results) ->
	lists:sort(Results);
in_parallel(Start, Waiting, Running0, Results) ->
	receive
		{done, Result={Name, _}} ->
			Running = lists:delete(Name, Running0),
			case Waiting of
				[] -> in_parallel(Start, [], Running, [Result|Results]);
				[Next|Others] -> in_parallel(Start, Others, [Start(Next)|Running], [Result|Results])
			end
	after 20000 ->
		io:format("~nstill running: ~tp~n", [Running0]),
		in_parallel(Start, Waiting, Running0, Results)
	end.

result({Name, Situation}, IsListed) ->
	result({Name, Situation}, IsListed, ?ATTEMPTS).

result({Name, Situation}, IsListed, Attempts) ->
	Gun = compare_record:run(gun, Situation),
	GunRs = compare_record:run(gun_rs, Situation),
	case is_broken(Gun) orelse is_broken(GunRs) of
		true when Attempts =:= 1 ->
			print(Name, "broken", Gun, GunRs),
			{Name, broken};
		true ->
			result({Name, Situation}, IsListed, Attempts - 1);
		false when Gun =:= GunRs, not IsListed; Gun =:= GunRs, Attempts =:= 1 ->
			{Name, same};
		false when Gun =/= GunRs, IsListed; Gun =/= GunRs, Attempts =:= 1 ->
			print(Name, "differs", Gun, GunRs),
			{Name, differs};
		false ->
			result({Name, Situation}, IsListed, Attempts - 1)
	end.

is_broken(Record) ->
	lists:any(fun(Entry) -> element(1, Entry) =:= broken orelse element(1, Entry) =:= stuck end, Record).

print(Name, What, Gun, GunRs) ->
	Lines = [io_lib:format("~ts ~0tp~n", [Sign, Entry]) || {Sign, Entry} <- diff(Gun, GunRs)],
	io:format("~n== ~ts ~ts~n~ts", [Name, What, Lines]).

%% The entries of both, those that only gun has with a minus, those that only gun_rs has with a plus.
diff(Old, New) ->
	{_, Lines} = diff(Old, New, #{}),
	Lines.

%% Longest common subsequence; the records are short.
diff([], [], Memo) -> {Memo, []};
diff(Old, [], Memo) -> {Memo, [{"-", Entry} || Entry <- Old]};
diff([], New, Memo) -> {Memo, [{"+", Entry} || Entry <- New]};
diff([Same|Old], [Same|New], Memo0) ->
	{Memo, Lines} = diff(Old, New, Memo0),
	{Memo, [{" ", Same}|Lines]};
diff(Old=[O|OldTail], New=[N|NewTail], Memo0) ->
	Key = {length(Old), length(New)},
	case Memo0 of
		#{Key := Lines} ->
			{Memo0, Lines};
		_ ->
			{Memo1, A} = diff(OldTail, New, Memo0),
			{Memo2, B} = diff(Old, NewTail, Memo1),
			Lines = case common(A) >= common(B) of
				true -> [{"-", O}|A];
				false -> [{"+", N}|B]
			end,
			{Memo2#{Key => Lines}, Lines}
	end.

common(Lines) ->
	length([same || {" ", _} <- Lines]).

%% The situations that stand beside a line of the document.
listed(File) ->
	{ok, Lines} = file:consult(File),
	lists:usort([Name || {_, Tests} <- Lines, {compare, Name} <- Tests]).
