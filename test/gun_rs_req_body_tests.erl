%% Bodies are read as in Cowboy: whole, in pieces, as forms, and part by part.
-module(gun_rs_req_body_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_served_stand_in, [req/2, part/2, calls/0]).

-define(FORM, [{<<"a">>, <<"1">>}, {<<"b">>, true}]).

%% Each case runs in a process of its own, with nothing else in its mailbox.
-define(CASE(Body), {spawn, ?_test(Body)}).

body_test_() ->
	{setup, fun gun_rs_served_stand_in:load/0, fun gun_rs_served_stand_in:unload/1,
		[whole(), pieces(), timeouts(), ends(), options(), forms(), old_names(), multipart(), multipart_faults()]}.

whole() -> [
	?CASE(begin
		Req0 = req(cowboy_2, #{body => chunked}),
		?assert(gun_rs_req:has_body(Req0)),
		?assertEqual(undefined, gun_rs_req:body_length(Req0)),
		ok = part(nofin, <<"abc">>), ok = part(fin, <<"de">>),
		{ok, <<"abcde">>, Req} = gun_rs_req:read_body(Req0),
		?assertEqual([{read, [8]}], calls()),
		?assertEqual(5, gun_rs_req:body_length(Req)),
		?assertEqual(<<"5">>, gun_rs_req:header(<<"content-length">>, Req)),
		%% Again, also with the Req from before.
		?assertEqual({ok, <<>>, Req}, gun_rs_req:read_body(Req)),
		?assertMatch({ok, <<>>, _}, gun_rs_req:read_body(Req0)),
		?assertEqual([], calls())
	end),
	?CASE(begin
		Headers = [{<<"host">>, <<"h">>}, {<<"transfer-encoding">>, <<"chunked">>}],
		Req0 = req(cowboy_1, #{body => chunked, headers => Headers}),
		?assert(gun_rs_req:has_body(Req0)),
		?assertEqual({undefined, Req0}, gun_rs_req:body_length(Req0)),
		ok = part(nofin, <<"abc">>), ok = part(fin, <<"de">>),
		{ok, <<"abcde">>, Req} = gun_rs_req:body(Req0),
		?assertMatch({5, _}, gun_rs_req:body_length(Req)),
		?assertMatch({<<"5">>, _}, gun_rs_req:header(<<"content-length">>, Req)),
		?assertMatch({undefined, _}, gun_rs_req:header(<<"transfer-encoding">>, Req)),
		?assertMatch({ok, <<>>, _}, gun_rs_req:body(Req))
	end)
	|[?CASE(begin
		Req = req(cowboy_2, #{body => Body}),
		?assertNot(gun_rs_req:has_body(Req)),
		?assertEqual(0, gun_rs_req:body_length(Req)),
		?assertEqual({ok, <<>>, Req}, gun_rs_req:read_body(Req)),
		Req1 = req(cowboy_1, #{body => Body}),
		?assertNot(gun_rs_req:has_body(Req1)),
		?assertEqual({0, Req1}, gun_rs_req:body_length(Req1)),
		?assertEqual({ok, <<>>, Req1}, gun_rs_req:body(Req1)),
		?assertEqual([], calls())
	end) || Body <- [none, 0]]].

pieces() -> [
	?CASE(begin
		Req0 = req(cowboy_2, #{body => 8}),
		_ = [ok = part(nofin, Data) || Data <- [<<"ab">>, <<"cd">>, <<"ef">>]],
		{more, <<"abcd">>, Req1} = gun_rs_req:read_body(Req0, #{length => 3}),
		{more, <<"ef">>, Req2} = gun_rs_req:read_body(Req1, #{length => auto}),
		ok = part(fin, <<"gh">>),
		{ok, <<"gh">>, Req3} = gun_rs_req:read_body(Req2, #{length => infinity, period => infinity}),
		?assertEqual(8, gun_rs_req:body_length(Req3)),
		?assertEqual([{read, [8]}], calls())
	end),
	?CASE(begin
		Req0 = req(cowboy_1, #{body => 6}),
		_ = [ok = part(nofin, Data) || Data <- [<<"ab">>, <<"cd">>]],
		{more, <<"abcd">>, Req1} = gun_rs_req:body(Req0, [{length, 3}]),
		ok = part(fin, <<"ef">>),
		?assertMatch({ok, <<"ef">>, _}, gun_rs_req:body(Req1, [{content_decode, fun(D) -> {ok, D} end}]))
	end),
	?CASE(begin
		%% Credit is asked for again when what was asked for has come.
		Req = req(cowboy_2, #{body => chunked}),
		_ = [ok = part(nofin, <<"x">>) || _ <- lists:seq(1, 17)],
		ok = part(fin, <<>>),
		?assertMatch({ok, <<"xxxxxxxxxxxxxxxxx">>, _}, gun_rs_req:read_body(Req)),
		?assertEqual(lists:duplicate(3, {read, [8]}), calls())
	end),
	?CASE(begin
		%% What is not ours stays.
		Req = req(cowboy_2, #{body => 1}),
		self() ! first, ok = part(fin, <<"x">>), self() ! {gun_rs_served, {data, other, fin, <<"y">>}},
		?assertMatch({ok, <<"x">>, _}, gun_rs_req:read_body(Req)),
		_ = calls(),
		?assertEqual({messages, [first, {gun_rs_served, {data, other, fin, <<"y">>}}]}, process_info(self(), messages))
	end)
].

timeouts() -> [
	?CASE(begin
		Req0 = req(cowboy_2, #{body => 4}),
		ok = part(nofin, <<"ab">>),
		{more, <<"ab">>, Req1} = gun_rs_req:read_body(Req0, #{period => 10}),
		{more, <<>>, Req2} = gun_rs_req:read_body(Req1, #{period => 0}),
		?assertExit(timeout, gun_rs_req:read_body(Req2, #{timeout => 10})),
		ok = part(fin, <<"cd">>),
		?assertMatch({ok, <<"cd">>, _}, gun_rs_req:read_body(Req2))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 4}),
		?assertEqual({error, timeout}, gun_rs_req:body(Req, [{read_timeout, 10}])),
		?assertExit({request_error, timeout, _}, gun_rs_req:read_urlencoded_body(req(cowboy_2, #{body => 4}), #{period => 10}))
	end)
].

ends() -> [
	?CASE(begin
		Req = req(cowboy_2, #{body => 4}),
		self() ! {gun_rs_served, {stream_error, 7, closed}},
		?assertExit({shutdown, {request_body, closed}}, gun_rs_req:read_body(Req)),
		?assertEqual(gone, gun_rs_served:state(7)),
		?assertExit({shutdown, {request_body, closed}}, gun_rs_req:read_body(Req))
	end),
	?CASE(begin
		put(read, gone),
		?assertEqual({error, closed}, gun_rs_req:body(req(cowboy_1, #{body => 4})))
	end),
	?CASE(begin
		%% What is left of a body is forgotten with its request.
		_ = req(cowboy_2, #{body => 4}),
		ok = part(nofin, <<"ab">>), self() ! {gun_rs_served, {stream_error, 7, closed}}, self() ! other,
		ok = gun_rs_served:forget(7),
		?assertEqual({messages, [other]}, process_info(self(), messages))
	end),
	?CASE(begin
		%% A body belongs to the process of its connection.
		Req = req(cowboy_2, #{body => 4}),
		{Pid, Monitor} = spawn_monitor(fun() ->
			?assertError({not_the_process_of_the_connection, _}, gun_rs_req:read_body(Req))
		end),
		receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason) end
	end)
].

options() ->
	[?CASE(?assertError({invalid_option, _}, gun_rs_req:read_body(req(cowboy_2, #{body => 1}), Opts)))
		|| Opts <- [#{length => -1}, #{length => a}, #{period => -1}, #{timeout => 1.0}, #{other => 1}]]
	++ [?CASE(?assertError({invalid_option, Opt}, gun_rs_req:body(req(cowboy_1, #{body => 1}), [Opt])))
		|| Opt <- [{length, -1}, {read_length, 0}, {read_timeout, a}, {continue, 1}, {content_decode, a},
			{transfer_decode, fun(_, _) -> ok end, []}, {other, 1}]]
	++ [?CASE(begin
		Req = req(cowboy_1, #{body => 1}), ok = part(fin, <<"x">>),
		?assertEqual({error, bad}, gun_rs_req:body(Req, [{continue, false}, {content_decode, fun(_) -> {error, bad} end}]))
	end)].

forms() -> [
	?CASE(begin
		Req = req(cowboy_2, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertMatch({ok, ?FORM, _}, gun_rs_req:read_urlencoded_body(Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertMatch({ok, #{a := 1, b := true, c := d}, _},
			gun_rs_req:read_and_match_urlencoded_body([{a, int}, b, {c, [], d}], Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertExit({request_error, {read_and_match_urlencoded_body, #{c := required}}, _},
			gun_rs_req:read_and_match_urlencoded_body([c], Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{body => 3}), ok = part(fin, <<"a=%">>),
		?assertExit({request_error, urlencoded_body, _}, gun_rs_req:read_urlencoded_body(Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{body => 70000}), ok = part(nofin, binary:copy(<<"a">>, 64000)),
		?assertExit({request_error, payload_too_large, _}, gun_rs_req:read_urlencoded_body(Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{body => 5}), ok = part(nofin, <<"a=1">>),
		?assertExit({request_error, payload_too_large, _}, gun_rs_req:read_urlencoded_body(Req, #{length => 3}))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertMatch({ok, ?FORM, _}, gun_rs_req:body_qs(Req))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 70000}), ok = part(nofin, binary:copy(<<"a">>, 64000)),
		?assertMatch({badlength, _}, gun_rs_req:body_qs(Req))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 3}), ok = part(fin, <<"a=%">>),
		?assertEqual({error, badarg}, gun_rs_req:body_qs(Req))
	end)
].

old_names() -> [
	?CASE(begin
		Req = req(cowboy_1, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertMatch({ok, <<"a=1&b">>, _}, gun_rs_req:body(8, Req))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertEqual({error, badlength}, gun_rs_req:body(4, Req))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 5}), ok = part(fin, <<"a=1&b">>),
		?assertMatch({ok, ?FORM, _}, gun_rs_req:body_qs(infinity, Req))
	end),
	?CASE(begin
		Req = req(cowboy_1, #{body => 9}), ok = part(nofin, <<"a=1&b">>),
		?assertEqual({error, badlength}, gun_rs_req:body_qs(4, Req))
	end),
	?CASE(begin
		Req0 = req(cowboy_1, #{body => 4}), ok = part(nofin, <<"ab">>), ok = part(fin, <<"cd">>),
		{ok, <<"ab">>, Req1} = gun_rs_req:stream_body(1, Req0),
		{ok, <<"cd">>, Req2} = gun_rs_req:stream_body(Req1),
		?assertMatch({done, _}, gun_rs_req:stream_body(Req2))
	end),
	?CASE(begin
		Req0 = req(cowboy_1, #{body => 4}), ok = part(nofin, <<"ab">>), ok = part(fin, <<"cd">>),
		{ok, Req} = gun_rs_req:skip_body(Req0),
		?assertMatch({ok, <<>>, _}, gun_rs_req:body(Req))
	end),
	?CASE(begin
		Req0 = multipart_req(cowboy_1), parts(2, form()),
		?assertEqual([headers, {body, <<"one">>}, end_of_part, headers, headers, end_of_part, eof], data(Req0))
	end)
].

%% The second part is skipped.
data(Req0) ->
	case gun_rs_req:multipart_data(Req0) of
		{headers, [{_, <<"form-data; name=\"b\"">>}|_], Req1} ->
			{ok, Req} = gun_rs_req:multipart_skip(Req1),
			[headers|data(Req)];
		{headers, _, Req} -> [headers|data(Req)];
		{body, Data, Req} -> [{body, Data}|data(Req)];
		{end_of_part, Req} -> [end_of_part|data(Req)];
		{eof, _} -> [eof]
	end.

%% However a body is cut into parts.
multipart() ->
	[?CASE(begin
		Req = multipart_req(Dialect), parts(Size, form()),
		?assertEqual([
			{[{<<"content-disposition">>, <<"form-data; name=\"a\"">>}], <<"one">>},
			{[{<<"content-disposition">>, <<"form-data; name=\"b\"">>}, {<<"content-type">>, <<"text/plain; x=y">>}],
				<<"two\r\n--bound\r\n\r\n--">>},
			{[], <<>>}
		], all_parts(Dialect, Req, 8000000))
	end) || Dialect <- [cowboy_1, cowboy_2], Size <- [1, 2, 3, 5, 7, 11, 13, 50, 1000]]
	++ [?CASE(begin
		Req = multipart_req(cowboy_2), parts(3, form()),
		[{_, <<"one">>}, {_, <<"two\r\n--bound\r\n\r\n--">>}, {_, <<>>}] = all_parts(cowboy_2, Req, Length)
	end) || Length <- [1, 4, infinity]]
	++ [?CASE(begin
		%% Bodies that nobody reads are skipped.
		Req0 = multipart_req(cowboy_2), parts(4, form()),
		{ok, _, Req1} = gun_rs_req:read_part(Req0),
		{ok, #{<<"content-type">> := _}, Req2} = gun_rs_req:read_part(Req1),
		{ok, Headers, Req3} = gun_rs_req:read_part(Req2),
		?assertEqual(#{}, Headers),
		{done, Req4} = gun_rs_req:read_part(Req3),
		?assertMatch({done, _}, gun_rs_req:read_part(Req4)),
		?assertMatch({ok, <<>>, _}, gun_rs_req:read_part_body(Req4))
	end),
	?CASE(begin
		Req = multipart_req(cowboy_2), parts(1000, <<"--boundary \t\r\n\r\nx\r\n--boundary--">>),
		?assertEqual([{[], <<"x">>}], all_parts(cowboy_2, Req, 10))
	end),
	?CASE(begin
		Req = multipart_req(cowboy_2), parts(1000, <<"--boundary--">>),
		?assertEqual([], all_parts(cowboy_2, Req, 10))
	end),
	?CASE(begin
		%% A large part comes in pieces, and all of it.
		Req = multipart_req(cowboy_2), Large = binary:copy(<<"0123456789\r\n-">>, 20000),
		parts(65536, [<<"--boundary\r\n\r\n">>, Large, <<"\r\n--boundary--">>]),
		?assertEqual([{[], Large}], all_parts(cowboy_2, Req, 70000))
	end)].

multipart_faults() ->
	[?CASE(begin
		Req = multipart_req(cowboy_2), parts(1000, Body),
		?assertExit({request_error, {multipart, _}, _}, all_parts(cowboy_2, Req, 1000)),
		Req1 = multipart_req(cowboy_1), parts(1000, Body),
		?assertExit({request_error, {multipart, _}, _}, all_parts(cowboy_1, Req1, 1000))
	end) || Body <- [
		<<>>,
		<<"no delimiter">>,
		<<"--boundary">>,
		<<"--boundary\r\n">>,
		<<"--boundary\r\nname: value\r\n">>,
		<<"--boundary\r\nname\r\n\r\n\r\n--boundary--">>,
		<<"--boundary\r\nna me: x\r\n\r\n\r\n--boundary--">>,
		<<"--boundary\r\n: x\r\n\r\n\r\n--boundary--">>,
		<<"--boundary\r\n\r\nbody without an end">>,
		<<"--boundaryx\r\n\r\nbody\r\n--boundary--">>,
		[<<"--boundary\r\nname: ">>, binary:copy(<<"x">>, 70000)]
	]] ++ [?CASE(begin
		Req = req(cowboy_2, #{body => 5, headers => [{<<"host">>, <<"h">>}|Type]}),
		?assertExit({request_error, {header, <<"content-type">>}, _}, gun_rs_req:read_part(Req))
	end) || Type <- [
		[],
		[{<<"content-type">>, <<"text/plain">>}],
		[{<<"content-type">>, <<"multipart/form-data">>}],
		[{<<"content-type">>, <<"multipart/form-data; boundary=\"\"">>}],
		[{<<"content-type">>, <<"multipart/form-data; boundary=", (binary:copy(<<"a">>, 71))/binary>>}]
	]] ++ [?CASE(begin
		Req = multipart_req(cowboy_1),
		?assertExit({request_error, {multipart, timeout}, _}, gun_rs_req:part(Req, [{read_timeout, 10}]))
	end)].

form() ->
	<<"preamble\r\n--boundary\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--boundary\r\n"
		"Content-Disposition: form-data; name=\"b\"\r\nContent-Type: text/plain;\r\n x=y\r\n\r\n"
		"two\r\n--bound\r\n\r\n--\r\n--boundary\r\n\r\n\r\n--boundary--\r\nepilogue">>.

multipart_req(Dialect) ->
	req(Dialect, #{body => chunked, headers => [{<<"host">>, <<"h">>},
		{<<"content-type">>, <<"multipart/form-data; boundary=boundary">>}]}).

%% The body comes in parts of so many bytes.
parts(Size, Body) ->
	case iolist_to_binary(Body) of
		<<Part:Size/binary, Rest/binary>> -> ok = part(nofin, Part), parts(Size, Rest);
		Rest -> part(fin, Rest)
	end.

all_parts(Dialect, Req0, Length) ->
	{Read, ReadBody} = case Dialect of
		cowboy_1 -> {fun gun_rs_req:part/1, fun(Req) -> gun_rs_req:part_body(Req, [{length, Length}]) end};
		cowboy_2 -> {fun gun_rs_req:read_part/1, fun(Req) -> gun_rs_req:read_part_body(Req, #{length => Length}) end}
	end,
	case Read(Req0) of
		{ok, Headers, Req1} ->
			{Body, Req} = whole_part(ReadBody, Req1, <<>>),
			[{lists:sort(pairs(Headers)), Body}|all_parts(Dialect, Req, Length)];
		{done, _} ->
			[]
	end.

pairs(Headers) when is_map(Headers) -> maps:to_list(Headers);
pairs(Headers) -> Headers.

whole_part(ReadBody, Req0, Before) ->
	case ReadBody(Req0) of
		{ok, Data, Req} -> {<<Before/binary, Data/binary>>, Req};
		{more, Data, Req} -> whole_part(ReadBody, Req, <<Before/binary, Data/binary>>)
	end.
