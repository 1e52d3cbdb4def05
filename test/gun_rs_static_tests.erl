%% Files are served as by cowboy_static, and nothing outside a directory ever.
-module(gun_rs_static_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/file.hrl").

-export([etag/3]).
-export([weak_etag/3]).
-export([no_etag/3]).
-export([charset/1]).
-export([type/1]).

-define(TIME, {{2020, 2, 29}, {12, 30, 45}}).
-define(DATE, <<"Sat, 29 Feb 2020 12:30:45 GMT">>).
-define(EARLIER, <<"Sat, 29 Feb 2020 12:30:44 GMT">>).

%% A case has a directory `www' beside a secret, and runs in a process of its own.
-define(CASE(Title, Body), {Title, {spawn, ?_test(Body)}}).

static_test_() ->
	{setup,
		fun() ->
			ok = gun_rs_served_stand_in:load(),
			Root = filename:join("/tmp", "gun_rs_static_" ++ os:getpid()),
			_ = file:del_dir_r(Root),
			ok = filelib:ensure_dir(filename:join(Root, "www/sub/x")),
			_ = [write(Root, File, Text) || {File, Text} <- [{"secret.html", "secret"}, {"www/a.html", "0123456789"},
				{"www/sub/b.txt", "text"}, {"www/empty.css", ""}, {"www/closed.html", "closed"}, {"www/a b.js", "js"},
				{"www/.html", "x"}]],
			ok = file:change_mode(filename:join(Root, "www/closed.html"), 8#000),
			Root
		end,
		fun(Root) ->
			ok = file:del_dir_r(Root),
			gun_rs_served_stand_in:unload(ok)
		end,
		fun(Root) ->
			[places(Root), outside(Root), methods(Root), types(Root), validators(Root), conditions(Root), ranges(Root),
				faults(Root), apps()]
		end}.

write(Root, File, Text) ->
	Path = filename:join(Root, File),
	ok = file:write_file(Path, Text),
	ok = file:write_file_info(Path, #file_info{mtime = ?TIME}, [{time, universal}]).

places(Root) -> [?CASE(title(Dialect, Segments), ?assertEqual(Expected, got(Dialect, {dir, www(Root)}, Segments)))
	|| Dialect <- [cowboy_1, cowboy_2], {Segments, Expected} <- [
		{[<<"a.html">>], {200, 0, 10, "a.html"}},
		{[<<"sub">>, <<"b.txt">>], {200, 0, 4, "b.txt"}},
		{[<<"sub">>, <<>>, <<"b.txt">>], {200, 0, 4, "b.txt"}},
		{[<<"a b.js">>], {200, 0, 2, "a b.js"}},
		{[<<"empty.css">>], {200, 0, 0, "empty.css"}},
		{[<<"none.html">>], {404, <<>>}},
		{[<<"a.html">>, <<"x">>], {404, <<>>}},
		{[binary:copy(<<"x">>, 5000)], {404, <<>>}},
		{[], {403, <<>>}},
		{[<<"sub">>], {403, <<>>}}
	]] ++ [
		?CASE("a file", ?assertEqual({200, 0, 10, "a.html"}, got(cowboy_2, {file, filename:join(www(Root), "a.html")}, undefined))),
		?CASE("a binary path", ?assertEqual({200, 0, 10, "a.html"},
			got(cowboy_2, {file, list_to_binary(filename:join(www(Root), "a.html"))}, undefined))),
		?CASE("a binary directory", ?assertEqual({200, 0, 10, "a.html"},
			got(cowboy_2, {dir, list_to_binary(www(Root)), []}, [<<"a.html">>]))),
		?CASE("a missing file", ?assertEqual({404, <<>>}, got(cowboy_1, {file, "/no/such/file"}, undefined))),
		?CASE("a device", ?assertEqual({404, <<>>}, got(cowboy_1, {file, "/dev/null"}, undefined)))
	] ++ [?CASE("a file that may not be read", begin
		%% The superuser may read all.
		{ok, #file_info{access = Access}} = file:read_file_info(filename:join(www(Root), "closed.html")),
		Status = case Access of read_write -> 200; _ -> 403 end,
		?assertEqual(Status, element(1, got(cowboy_2, {dir, www(Root)}, [<<"closed.html">>])))
	end)].

outside(Root) -> [?CASE(title(Dialect, Segments), ?assertEqual({400, <<>>}, got(Dialect, {dir, www(Root)}, Segments)))
	|| Dialect <- [cowboy_1, cowboy_2], Segments <- [
		[<<"..">>, <<"secret.html">>],
		[<<"sub">>, <<"..">>, <<"..">>, <<"secret.html">>],
		[<<".">>, <<"..">>, <<"secret.html">>],
		[<<>>, <<"..">>, <<"secret.html">>],
		[<<"../secret.html">>],
		[<<"/etc/passwd">>],
		[<<"..\\secret.html">>],
		[<<"a.html", 0>>],
		[<<"a.html", 0, ".png">>]
	]] ++ [?CASE(title(Path, Dialect), begin
		Dispatch = gun_rs_router:compile([{'_', [{"/[...]", gun_rs_static, {dir, www(Root)}}]}]),
		Result = case gun_rs_router:match(Dialect, Dispatch, <<"h">>, Path) of
			{ok, gun_rs_static, Opts, _, _, PathInfo} -> got(Dialect, Opts, PathInfo);
			{error, Status} -> {Status, <<>>}
		end,
		?assert(lists:member(element(1, Result), [400, 403, 404]))
	end) || Dialect <- [cowboy_1, cowboy_2], Path <- [<<"/../secret.html">>, <<"/%2e%2e/secret.html">>, <<"/sub/../../secret.html">>,
		<<"/..%2fsecret.html">>, <<"/%2e%2e%2fsecret.html">>, <<"/sub/..%5c..%5csecret.html">>, <<"//etc/passwd">>,
		<<"/%2fetc/passwd">>, <<"/a.html%00">>, <<"/.%2e/secret.html">>]]
	++ [?CASE("inside", ?assertEqual({200, 0, 10, "a.html"}, got(cowboy_1, {dir, www(Root)}, [<<"sub">>, <<"..">>, <<"a.html">>])))].

methods(Root) -> [?CASE(title(Dialect, Method), begin
	{Status, Headers, _} = answer(Dialect, {dir, www(Root)}, [<<"a.html">>], #{method => Method}),
	?assertEqual({Expected, Allow}, {Status, proplists:get_value(<<"allow">>, Headers)})
end) || Dialect <- [cowboy_1, cowboy_2], {Method, Expected, Allow} <- [
	{<<"GET">>, 200, undefined},
	{<<"HEAD">>, 200, undefined},
	{<<"OPTIONS">>, 200, <<"HEAD, GET, OPTIONS">>},
	{<<"POST">>, 405, <<"HEAD, GET, OPTIONS">>},
	{<<"DELETE">>, 405, <<"HEAD, GET, OPTIONS">>},
	{<<"get">>, 405, <<"HEAD, GET, OPTIONS">>}
]].

types(Root) -> [?CASE(title(File, Extra), begin
	{200, Headers, _} = answer(cowboy_2, {dir, www(Root), Extra}, [File], #{}),
	?assertEqual(Expected, proplists:get_value(<<"content-type">>, Headers))
end) || {File, Extra, Expected} <- [
	{<<"a.html">>, [], <<"text/html">>},
	{<<".html">>, [], <<"application/octet-stream">>},
	{<<"a.html">>, [{charset, <<"utf-8">>}], <<"text/html; charset=utf-8">>},
	{<<"a.html">>, [{charset, ?MODULE, charset}], <<"text/html; charset=latin1">>},
	{<<"a.html">>, [{mimetypes, <<"x/y">>}], <<"x/y">>},
	{<<"a.html">>, [{mimetypes, {<<"x">>, <<"y">>, [{<<"a">>, <<"b">>}]}}], <<"x/y; a=b">>},
	{<<"a.html">>, [{mimetypes, ?MODULE, type}], <<"z/a.html">>},
	{<<"a.html">>, [{mimetypes, cow_mimetypes, all}], <<"text/html">>},
	{<<"a.html">>, [{mimetypes, cow_mimetypes, web}, {etag, false}], <<"text/html">>}
]] ++ [?_assertEqual({Web, All}, {text(gun_rs_mimetypes:web(Path)), text(gun_rs_mimetypes:all(Path))})
	|| {Path, Web, All} <- [
		{<<"a.txt">>, "application/octet-stream", "text/plain"},
		{"a.txt", "application/octet-stream", "text/plain"},
		{<<"x/A.HTML">>, "text/html", "text/html"},
		{"a.js", "application/javascript", "application/javascript"},
		{"a.tar.gz", "application/octet-stream", "application/gzip"},
		{"a", "application/octet-stream", "application/octet-stream"},
		{"a.", "application/octet-stream", "application/octet-stream"},
		{"a.b/c", "application/octet-stream", "application/octet-stream"}
	]].

validators(Root) -> [?CASE(title(validators, Extra), begin
	{200, Headers, _} = answer(cowboy_2, {dir, www(Root), Extra}, [<<"a.html">>], #{}),
	?assertEqual({Etag, ?DATE}, {proplists:get_value(<<"etag">>, Headers), proplists:get_value(<<"last-modified">>, Headers)})
end) || {Extra, Etag} <- [
	{[{etag, false}], undefined},
	{[{etag, ?MODULE, etag}], <<"\"a.html-10\"">>},
	{[{etag, ?MODULE, weak_etag}], <<"W/\"weak\"">>},
	{[{etag, ?MODULE, no_etag}], undefined}
]] ++ [?CASE("the etag changes with size and time", begin
	Etag = fun() ->
		{200, Headers, _} = answer(cowboy_2, {dir, www(Root)}, [<<"e.html">>], #{}),
		<<"\"", _/binary>> = proplists:get_value(<<"etag">>, Headers)
	end,
	ok = write(Root, "www/e.html", "one"),
	First = Etag(),
	?assertEqual(First, Etag()),
	ok = write(Root, "www/e.html", "three"),
	Second = Etag(),
	ok = file:write_file_info(filename:join(Root, "www/e.html"), #file_info{mtime = {{2021, 1, 1}, {0, 0, 0}}}, [{time, universal}]),
	?assertEqual(3, length(lists:usort([First, Second, Etag()])))
end)].

conditions(Root) -> [?CASE(title(Name, Value), begin
	{Status, Headers, Body} = answer(Dialect, {dir, www(Root), [{etag, ?MODULE, etag}]}, [<<"a.html">>],
		#{headers => [{<<"host">>, <<"h">>}, {Name, Value}]}),
	?assertEqual(Expected, Status),
	case Status of
		304 ->
			?assertEqual(<<"\"a.html-10\"">>, proplists:get_value(<<"etag">>, Headers)),
			?assertEqual({<<>>, undefined}, {Body, proplists:get_value(<<"content-type">>, Headers)});
		412 -> ?assertEqual(<<>>, Body);
		200 -> ?assertMatch({file, _, 0, 10}, Body)
	end
end) || Dialect <- [cowboy_1, cowboy_2], {Name, Value, Expected} <- [
	{<<"if-none-match">>, <<"\"a.html-10\"">>, 304},
	{<<"if-none-match">>, <<"W/\"a.html-10\"">>, 304},
	{<<"if-none-match">>, <<"\"x\", \"a.html-10\"">>, 304},
	{<<"if-none-match">>, <<"*">>, 304},
	{<<"if-none-match">>, <<"\"x\"">>, 200},
	{<<"if-none-match">>, <<"invalid">>, 200},
	{<<"if-modified-since">>, ?DATE, 304},
	{<<"if-modified-since">>, <<"Sun, 01 Mar 2020 00:00:00 GMT">>, 304},
	{<<"if-modified-since">>, ?EARLIER, 200},
	{<<"if-modified-since">>, <<"invalid">>, 200},
	{<<"if-match">>, <<"\"a.html-10\"">>, 200},
	{<<"if-match">>, <<"*">>, 200},
	{<<"if-match">>, <<"\"x\"">>, 412},
	{<<"if-match">>, <<"W/\"a.html-10\"">>, 412},
	{<<"if-unmodified-since">>, ?DATE, 200},
	{<<"if-unmodified-since">>, ?EARLIER, 412}
]] ++ [?CASE("an etag goes before a date", begin
	{200, _, _} = answer(cowboy_2, {dir, www(Root), [{etag, ?MODULE, etag}]}, [<<"a.html">>],
		#{headers => [{<<"host">>, <<"h">>}, {<<"if-none-match">>, <<"\"x\"">>}, {<<"if-modified-since">>, ?DATE}]})
end), ?CASE("no etag matches none", begin
	[{Status, _, _}, {412, _, _}] = [answer(cowboy_2, {dir, www(Root), [{etag, false}]}, [<<"a.html">>],
		#{headers => [{<<"host">>, <<"h">>}, {Name, <<"\"x\"">>}]}) || Name <- [<<"if-none-match">>, <<"if-match">>]],
	?assertEqual(200, Status)
end)].

ranges(Root) -> [?CASE(title(Dialect, Range), begin
	{Status, Headers, Body} = answer(Dialect, {dir, www(Root), [{etag, ?MODULE, etag}]}, [<<"a.html">>],
		#{method => Method, headers => [{<<"host">>, <<"h">>}, {<<"range">>, Range}|More]}),
	Shape = case Body of
		{file, _, Offset, Length} -> {Offset, Length};
		_ -> Body
	end,
	?assertEqual(Expected, {Status, proplists:get_value(<<"content-range">>, Headers), Shape})
end) || Dialect <- [cowboy_1, cowboy_2], {Method, Range, More, Expected} <- [
	{<<"GET">>, <<"bytes=0-4">>, [], {206, <<"bytes 0-4/10">>, {0, 5}}},
	{<<"GET">>, <<"bytes=5-">>, [], {206, <<"bytes 5-9/10">>, {5, 5}}},
	{<<"GET">>, <<"bytes=-3">>, [], {206, <<"bytes 7-9/10">>, {7, 3}}},
	{<<"GET">>, <<"bytes=-30">>, [], {206, <<"bytes 0-9/10">>, {0, 10}}},
	{<<"GET">>, <<"bytes=9-100">>, [], {206, <<"bytes 9-9/10">>, {9, 1}}},
	{<<"GET">>, <<"bytes=10-">>, [], {416, <<"bytes */10">>, <<>>}},
	{<<"GET">>, <<"bytes=-0">>, [], {416, <<"bytes */10">>, <<>>}},
	{<<"GET">>, <<"bytes=5-4">>, [], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=0-1,3-4">>, [], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=">>, [], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"lines=1-2">>, [], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"invalid">>, [], {200, undefined, {0, 10}}},
	{<<"HEAD">>, <<"bytes=0-4">>, [], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, <<"\"a.html-10\"">>}], {206, <<"bytes 0-4/10">>, {0, 5}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, <<"\"x\"">>}], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, <<"W/\"a.html-10\"">>}], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, ?DATE}], {206, <<"bytes 0-4/10">>, {0, 5}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, ?EARLIER}], {200, undefined, {0, 10}}},
	{<<"GET">>, <<"bytes=0-4">>, [{<<"if-range">>, <<"invalid">>}], {200, undefined, {0, 10}}}
]] ++ [?CASE("ranges are offered", begin
	{200, Headers, _} = answer(cowboy_2, {dir, www(Root)}, [<<"a.html">>], #{}),
	?assertEqual(<<"bytes">>, proplists:get_value(<<"accept-ranges">>, Headers))
end), ?CASE("an empty file has no range", begin
	{416, _, _} = answer(cowboy_2, {dir, www(Root)}, [<<"empty.css">>],
		#{headers => [{<<"host">>, <<"h">>}, {<<"range">>, <<"bytes=0-">>}]})
end)].

%% The fault is that of the route: the client gets 500.
faults(Root) -> [
	?CASE("no rest in the route", ?assertError({no_path_info, _}, got(cowboy_2, {dir, www(Root)}, undefined))),
	?CASE("no application", ?assertError({no_priv_dir, no_such_app}, got(cowboy_2, {priv_dir, no_such_app, ""}, []))),
	?CASE("no options", ?assertError(function_clause, got(cowboy_2, [], []))),
	?CASE("an unknown option", ?assertError({invalid_option, {x, y}}, got(cowboy_2, {dir, www(Root), [{x, y}]}, [<<"a.html">>])))
].

%% Files of an application: any that has a priv directory will do.
apps() -> [?CASE("priv", begin
	Priv = code:priv_dir(crypto),
	[File|_] = [F || F <- filelib:wildcard("**", Priv), filelib:is_regular(filename:join(Priv, F))],
	Segments = [list_to_binary(Part) || Part <- filename:split(File)],
	?assertMatch({200, 0, _, _}, got(cowboy_2, {priv_dir, crypto, ""}, Segments)),
	?assertMatch({200, 0, _, _}, got(cowboy_2, {priv_dir, crypto, "", []}, Segments)),
	?assertMatch({200, 0, _, _}, got(cowboy_1, {priv_file, crypto, File}, undefined)),
	?assertMatch({200, 0, _, _}, got(cowboy_1, {priv_file, crypto, list_to_binary(File), []}, undefined))
end)].

www(Root) -> filename:join(Root, "www").

got(Dialect, Opts, PathInfo) ->
	case answer(Dialect, Opts, PathInfo, #{}) of
		{Status, _, {file, Path, Offset, Length}} -> {Status, Offset, Length, binary_to_list(filename:basename(Path))};
		{Status, _, Body} -> {Status, Body}
	end.

answer(Dialect, Opts, PathInfo, Request) ->
	Req = gun_rs_req_new:with_route(gun_rs_served_stand_in:req(Dialect, Request), [], undefined, PathInfo),
	case Dialect of
		cowboy_2 ->
			{ok, _, Opts} = gun_rs_static:init(Req, Opts);
		cowboy_1 ->
			{ok, Req, Opts} = gun_rs_static:init({tcp, http}, Req, Opts),
			{ok, Replied, Opts} = gun_rs_static:handle(Req, Opts),
			ok = gun_rs_static:terminate({normal, shutdown}, Replied, Opts)
	end,
	[{respond, [Status, <<>>, Headers, Body]}] = gun_rs_served_stand_in:calls(),
	{Status, Headers, Body}.

etag(Path, Size, {{_, _, _}, {_, _, _}}) ->
	{strong, iolist_to_binary([filename:basename(Path), $-, integer_to_binary(Size)])}.

weak_etag(_, _, _) -> {weak, <<"weak">>}.

no_etag(_, _, _) -> undefined.

charset(_) -> <<"latin1">>.

type(Path) -> {<<"z">>, filename:basename(Path), []}.

text({Type, SubType, []}) -> binary_to_list(<<Type/binary, $/, SubType/binary>>).

title(What, Term) ->
	lists:flatten(io_lib:format("~0tp ~0tp", [What, Term])).
