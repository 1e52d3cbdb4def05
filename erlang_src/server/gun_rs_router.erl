%% @doc Finds the handler of a request by its host and path, as Cowboy's `cowboy_router'.
%%
%% A pattern is written as for Cowboy: `:name' binds one segment, `:_' matches any one,
%% `[/:name]' is optional, `[...]' takes the rest. The first route that matches wins.
-module(gun_rs_router).

-export([compile/1]).
-export([match/4]).

%% `_' matches anything. Of the path "*", which is that of `OPTIONS *', only Cowboy 2 knows.
-type pattern() :: '_' | iodata().

-type path() :: {pattern(), Handler :: module(), Opts :: term()}
	| {pattern(), [gun_rs_constraints:field()], Handler :: module(), Opts :: term()}.
-type route() :: {Host :: pattern(), [path()]}
	| {Host :: pattern(), [gun_rs_constraints:field()], [path()]}.
-type routes() :: [route()].
-export_type([routes/0]).

%% A segment that is an atom is bound to that name; '_' matches any segment, and '...' all
%% that are left. Of a host the segments are in reverse order.
-type segments() :: [binary() | atom()].

-type path_rule() :: {'_' | '*' | segments(), [gun_rs_constraints:field()], Handler :: module(), Opts :: term()}.

-type dispatch() :: [{'_' | segments(), [gun_rs_constraints:field()], [path_rule()]}].
-export_type([dispatch/0]).

-type dialect() :: cowboy_1 | cowboy_2.
-export_type([dialect/0]).

%% Cowboy 1 has its bindings in a list, the last of the path first.
-type bindings() :: #{atom() => term()} | [{atom(), term()}].
-export_type([bindings/0]).

%% The segments that `[...]' has taken.
-type rest() :: [binary()] | undefined.
-export_type([rest/0]).

-type match() :: {ok, Handler :: module(), Opts :: term(), bindings(), HostInfo :: rest(), PathInfo :: rest()}.
-export_type([match/0]).

%% @doc Prepares routes for match/4.
%%
%% Raises badarg where brackets are not in pairs or begin inside a segment, and where a
%% name is empty; `{badarg, Text}' where a path does not begin with a slash.
-spec compile(routes()) -> dispatch().
compile(Routes) ->
	lists:append([route(Route) || Route <- Routes]).

route({Host, Paths}) ->
	route({Host, [], Paths});
route({Host, Fields, Paths}) ->
	Rules = lists:append([path(Path) || Path <- Paths]),
	[{Segments, Fields, Rules} || Segments <- host_patterns(Host)].

path({Path, Handler, Opts}) ->
	path({Path, [], Handler, Opts});
path({Path, Fields, Handler, Opts}) ->
	[{Segments, Fields, Handler, Opts} || Segments <- path_patterns(Path)].

host_patterns('_') ->
	['_'];
host_patterns(Host) ->
	[lists:reverse([lowercase(Segment) || Segment <- segments(Text, <<".">>)])
		|| Text <- expand(to_binary(Host), $.)].

path_patterns('_') ->
	['_'];
path_patterns(Path) ->
	case to_binary(Path) of
		<<"*">> -> ['*'];
		<<$/, _/bits>> = Binary -> [segments(Text, <<"/">>) || Text <- expand(Binary, $/)];
		Binary -> error({badarg, "The following route MUST begin with a slash: " ++ binary_to_list(Binary)})
	end.

%% Characters above 255 are meant as UTF-8, others are bytes already.
to_binary(Pattern) ->
	try
		iolist_to_binary(Pattern)
	catch error:badarg ->
		case unicode:characters_to_binary(Pattern) of
			Binary when is_binary(Binary) -> Binary;
			_ -> error(badarg)
		end
	end.

lowercase(Segment) when is_atom(Segment) -> Segment;
lowercase(Segment) -> gun_rs_req_text:lowercase(Segment).

%% All texts that a pattern stands for, those with fewer of its optional parts first. A null
%% character stands for `[...]', which is a segment of its own wherever it is written.
expand(Pattern, Separator) ->
	Text = binary:replace(Pattern, <<"[...]">>, <<Separator, 0, Separator>>, [global]),
	expand(<<>>, Text, Separator).

expand(Before, Text, Separator) ->
	case binary:match(Text, [<<"[">>, <<"]">>]) of
		nomatch ->
			[<<Before/binary, Text/binary>>];
		{Pos, 1} ->
			<<Head:Pos/binary, Bracket, Tail/binary>> = Text,
			Begun = <<Before/binary, Head/binary>>,
			_ = Bracket =:= $[ andalso may_open(Begun, Tail, Separator) orelse error(badarg),
			{Optional, Rest} = closing(Tail, 0, 1),
			expand(Begun, Rest, Separator) ++ expand(Begun, <<Optional/binary, Rest/binary>>, Separator)
	end.

%% An optional part begins where a segment does, or with the separator.
may_open(Begun, Tail, Separator) ->
	Begun =:= <<>> orelse binary:last(Begun) =:= Separator
		orelse (Tail =/= <<>> andalso binary:first(Tail) =:= Separator).

closing(Text, Pos, Depth) ->
	case Text of
		<<Optional:Pos/binary, $], Rest/binary>> when Depth =:= 1 -> {Optional, Rest};
		<<_:Pos/binary, $], _/binary>> -> closing(Text, Pos + 1, Depth - 1);
		<<_:Pos/binary, $[, _/binary>> -> closing(Text, Pos + 1, Depth + 1);
		<<_:Pos/binary, _, _/binary>> -> closing(Text, Pos + 1, Depth);
		_ -> error(badarg)
	end.

segments(Text, Separator) ->
	[segment(Segment) || Segment <- binary:split(Text, Separator, [global]), Segment =/= <<>>].

segment(<<0>>) -> '...';
segment(<<":">>) -> error(badarg);
segment(<<$:, Name/binary>>) -> binary_to_atom(Name, utf8);
segment(Segment) -> Segment.

%% @doc The handler of a request: 400 if there is none for its host, or if its path is
%% invalid; 404 if there is none for its path.
%%
%% The host is in lower case and without its port, the path as it was sent.
-spec match(dialect(), dispatch() | {persistent_term, term()}, Host :: binary(), Path :: binary()) ->
	match() | {error, 400 | 404}.
match(Dialect, {persistent_term, Key}, Host, Path) ->
	match(Dialect, persistent_term:get(Key), Host, Path);
match(Dialect, Dispatch, Host, Path) ->
	match_host(Dialect, Dispatch, host_segments(Host), Path).

%% As below, a route for all takes an invalid host too.
match_host(Dialect, [{'_', [], Rules}|_], _, Path) ->
	routed(Dialect, match_path(Rules, path_segments(Dialect, Path), Path, #{}, []), undefined);
match_host(_, [], _, _) ->
	{error, 400};
match_host(_, _, error, _) ->
	{error, 400};
match_host(Dialect, [{Pattern, Fields, Rules}|Dispatch], Segments, Path) ->
	case match_fields(Pattern, Segments, Fields, #{}, []) of
		{ok, Bindings, Names, Rest} ->
			routed(Dialect, match_path(Rules, path_segments(Dialect, Path), Path, Bindings, Names), Rest);
		nomatch ->
			match_host(Dialect, Dispatch, Segments, Path)
	end.

routed(Dialect, {ok, Handler, Opts, Bindings, Names, PathInfo}, Rest) ->
	{ok, Handler, Opts, bindings(Dialect, Bindings, Names), reversed(Rest), PathInfo};
routed(_, Error, _) ->
	Error.

%% A route for all takes an invalid path too; no other one is tried with it.
match_path([{'_', [], Handler, Opts}|_], _, _, Bindings, Names) ->
	{ok, Handler, Opts, Bindings, Names, undefined};
match_path([_|_], error, _, _, _) ->
	{error, 400};
match_path([], _, _, _, _) ->
	{error, 404};
match_path([{'*', _, Handler, Opts}|_], _, <<"*">>, Bindings, Names) ->
	{ok, Handler, Opts, Bindings, Names, undefined};
match_path([{Pattern, Fields, Handler, Opts}|Rules], Path, Raw, Bindings0, Names0) ->
	case match_fields(Pattern, Path, Fields, Bindings0, Names0) of
		{ok, Bindings, Names, PathInfo} -> {ok, Handler, Opts, Bindings, Names, PathInfo};
		nomatch -> match_path(Rules, Path, Raw, Bindings0, Names0)
	end.

match_fields(Pattern, Segments, Fields, Bindings0, Names0) ->
	case match_segments(Pattern, Segments, Bindings0, Names0) of
		{ok, Bindings1, Names, Rest} ->
			case gun_rs_constraints:bindings(Fields, Bindings1) of
				{ok, Bindings} -> {ok, Bindings, Names, Rest};
				error -> nomatch
			end;
		nomatch ->
			nomatch
	end.

match_segments('_', _, Bindings, Names) ->
	{ok, Bindings, Names, undefined};
match_segments(['...'], Segments, Bindings, Names) when is_list(Segments) ->
	{ok, Bindings, Names, Segments};
match_segments([], [], Bindings, Names) ->
	{ok, Bindings, Names, undefined};
match_segments(['_'|Pattern], [_|Segments], Bindings, Names) ->
	match_segments(Pattern, Segments, Bindings, Names);
match_segments(['...'|_], _, _, _) ->
	nomatch;
match_segments([Name|Pattern], [Segment|Segments], Bindings, Names) when is_atom(Name) ->
	case Bindings of
		#{Name := Segment} -> match_segments(Pattern, Segments, Bindings, Names);
		#{Name := _} -> nomatch;
		#{} -> match_segments(Pattern, Segments, Bindings#{Name => Segment}, [Name|Names])
	end;
match_segments([Segment|Pattern], [Segment|Segments], Bindings, Names) ->
	match_segments(Pattern, Segments, Bindings, Names);
match_segments(_, _, _, _) ->
	nomatch.

bindings(cowboy_2, Bindings, _) -> Bindings;
bindings(cowboy_1, Bindings, Names) -> [{Name, maps:get(Name, Bindings)} || Name <- Names].

reversed(undefined) -> undefined;
reversed(Segments) -> lists:reverse(Segments).

%% In reverse order; one dot at the end is that of a full name.
host_segments(<<>>) ->
	[];
host_segments(Host) ->
	case lists:reverse(binary:split(Host, <<".">>, [global])) of
		[<<>>|Segments] -> host_checked(Segments);
		Segments -> host_checked(Segments)
	end.

host_checked(Segments) ->
	case lists:member(<<>>, Segments) of
		true -> error;
		false -> Segments
	end.

%% Only a route for all or for "*" matches "*".
path_segments(cowboy_2, <<"*">>) ->
	'*';
path_segments(Dialect, <<$/, Path/binary>>) ->
	case decode(Dialect, without_last(binary:split(Path, <<"/">>, [global]))) of
		{ok, Segments} when Dialect =:= cowboy_2 -> without_dots(Segments, []);
		{ok, Segments} -> Segments;
		error -> error
	end;
path_segments(_, _) ->
	error.

%% A slash at the end means nothing.
without_last([<<>>]) -> [];
without_last([Segment]) -> [Segment];
without_last([Segment|Segments]) -> [Segment|without_last(Segments)].

decode(_, []) ->
	{ok, []};
decode(Dialect, [Segment|Segments]) ->
	case {gun_rs_req_text:decode(Segment, Dialect =:= cowboy_1), decode(Dialect, Segments)} of
		{{ok, Decoded}, {ok, Tail}} -> {ok, [Decoded|Tail]};
		_ -> error
	end.

without_dots([], Done) -> lists:reverse(Done);
without_dots([<<".">>|Segments], Done) -> without_dots(Segments, Done);
without_dots([<<"..">>|Segments], [_|Done]) -> without_dots(Segments, Done);
without_dots([<<"..">>|Segments], []) -> without_dots(Segments, []);
without_dots([Segment|Segments], Done) -> without_dots(Segments, [Segment|Done]).
