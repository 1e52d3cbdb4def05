%% A stream of server-sent events becomes the messages that the HTML standard asks for,
%% however it is cut, and no server makes the parser keep more than its limit.
-module(gun_rs_sse_tests).

-include_lib("eunit/include/eunit.hrl").

-export([tell/2]).

-import(gun_rs_test, [title/1]).

%% Events.

streams_become_events_test_() ->
	[{title(Stream), fun() ->
		?assertEqual(Events, events([iolist_to_binary(Stream)]))
	end} || {Stream, Events} <- streams()].

streams_become_the_same_events_in_every_two_pieces_and_byte_by_byte_test_() ->
	[{title(Stream0), fun() ->
		Stream = iolist_to_binary(Stream0),
		_ = [?assertEqual({N, Events}, {N, events([binary:part(Stream, 0, N),
			binary:part(Stream, N, byte_size(Stream) - N)])})
			|| N <- lists:seq(0, byte_size(Stream))],
		?assertEqual(Events, events([<<B>> || <<B>> <= Stream]))
	end} || {Stream0, Events} <- streams()].

streams() -> [
	%% What makes an event.
	{"", []},
	{"\n\n\n", []},
	{"data: one\n\n", [message(<<>>, [<<"one">>])]},
	{"data: one\n\ndata: two\n\n", [message(<<>>, [<<"one">>]), message(<<>>, [<<"two">>])]},
	{"data: one\ndata: two\ndata: three\n\n",
		[message(<<>>, [<<"one">>, <<"\n">>, <<"two">>, <<"\n">>, <<"three">>])]},
	{"data\n\n", [message(<<>>, [<<>>])]},
	{"data:\n\n", [message(<<>>, [<<>>])]},
	{"data: \n\n", [message(<<>>, [<<>>])]},
	{"data\ndata\n\n", [message(<<>>, [<<>>, <<"\n">>, <<>>])]},
	%% What has no blank line after it is no event.
	{"data: one\n", []},
	{"data: one", []},
	{"data: one\n\ndata: two\n", [message(<<>>, [<<"one">>])]},
	{"id: 1\n", []},
	%% One space after the colon is no part of the value.
	{"data:one\n\n", [message(<<>>, [<<"one">>])]},
	{"data:  one \n\n", [message(<<>>, [<<" one ">>])]},
	{"data:\tone\n\n", [message(<<>>, [<<"\tone">>])]},
	{"data:a: b:c\n\n", [message(<<>>, [<<"a: b:c">>])]},
	{"data::\n\n", [message(<<>>, [<<":">>])]},
	%% Types.
	{"event: add\ndata: one\n\ndata: two\n\n",
		[event(<<>>, <<"add">>, [<<"one">>]), message(<<>>, [<<"two">>])]},
	{"data: one\nevent: a\nevent: b\n\n", [event(<<>>, <<"b">>, [<<"one">>])]},
	{"event: a\nevent\ndata: one\n\n", [message(<<>>, [<<"one">>])]},
	{"event: add\n\ndata: one\n\n", [message(<<>>, [<<"one">>])]},
	%% An id stays until another one is set.
	{"id: 1\ndata: one\n\ndata: two\n\nid\ndata: three\n\n", [message(<<"1">>, [<<"one">>]),
		message(<<"1">>, [<<"two">>]), message(<<>>, [<<"three">>])]},
	{"id: 1\nid: 2\ndata: one\n\n", [message(<<"2">>, [<<"one">>])]},
	{"id: 1\n\n", [#{last_event_id => <<"1">>}]},
	{"id\n\n", [#{last_event_id => <<>>}]},
	{"id: 1\n\nevent: a\n\ndata: one\n\nid: 1\n\n", [#{last_event_id => <<"1">>},
		message(<<"1">>, [<<"one">>]), #{last_event_id => <<"1">>}]},
	{"id: 1\nevent: a\n\ndata: one\n\n",
		[#{last_event_id => <<"1">>}, message(<<"1">>, [<<"one">>])]},
	{["id: 1\nid: 2", 0, "3\ndata: one\n\n"], [message(<<"1">>, [<<"one">>])]},
	{["id: ", 0, "\n\n"], []},
	%% What is ignored.
	{": comment\n\n", []},
	{":\n:\n\n", []},
	{"data: one\n: comment\ndata: two\n\n", [message(<<>>, [<<"one">>, <<"\n">>, <<"two">>])]},
	{":data: one\n\n", []},
	{"retry: 1000\n\n", []},
	{"retry: 1000\ndata: one\n\n", [message(<<>>, [<<"one">>])]},
	{"Data: one\n data: two\ndata : three\ndatas: four\ndat: five\n\n", []},
	{"unknown: one\nunknown\ndata: two\n\n", [message(<<>>, [<<"two">>])]},
	%% Line ends.
	{"data: one\r\n\r\n", [message(<<>>, [<<"one">>])]},
	{"data: one\r\r", [message(<<>>, [<<"one">>])]},
	{"data: one\r\n\n", [message(<<>>, [<<"one">>])]},
	{"data: one\n\r", [message(<<>>, [<<"one">>])]},
	{"data: one\r\ndata: two\rdata: three\ndata: four\r\n\r\ndata: five\r\rdata: six\n\n",
		[message(<<>>, [<<"one">>, <<"\n">>, <<"two">>, <<"\n">>, <<"three">>, <<"\n">>, <<"four">>]),
		message(<<>>, [<<"five">>]), message(<<>>, [<<"six">>])]},
	{"data\r\n\r\n\r\n\r\ndata\r\n\r\n", [message(<<>>, [<<>>]), message(<<>>, [<<>>])]},
	{"id\r\n\r\n", [#{last_event_id => <<>>}]},
	{": comment\r\ndata: one\r\n\r\n", [message(<<>>, [<<"one">>])]},
	{": comment\rdata: one\r\r", [message(<<>>, [<<"one">>])]},
	%% A byte order mark, once and whole.
	{[16#ef, 16#bb, 16#bf, "data: one\n\n"], [message(<<>>, [<<"one">>])]},
	{[16#ef, 16#bb, 16#bf, 16#ef, 16#bb, 16#bf, "data: one\n\n"], []},
	{[16#ef, 16#bb, 16#bf, "\n\ndata\n\n"], [message(<<>>, [<<>>])]},
	{[16#ef, 16#bb, "data: one\ndata: two\n\n"], [message(<<>>, [<<"two">>])]},
	{[16#ef, "\ndata: two\n\n"], [message(<<>>, [<<"two">>])]},
	{[16#fe, 16#ff, "data: one\n\n"], []},
	{["data: one\n", 16#ef, 16#bb, 16#bf, "data: two\n\n"], [message(<<>>, [<<"one">>])]},
	{[16#ef, 16#bb, 16#bf], []},
	{[16#ef, 16#bb], []},
	%% Bytes are left as they are.
	{["data: ", 0, 255, 16#c3, 16#28, "\n\n"], [message(<<>>, [<<0, 255, 16#c3, 16#28>>])]},
	{<<"data: \x{2028}\x{85}\v\f\n\n"/utf8>>, [message(<<>>, [<<"\x{2028}\x{85}\v\f"/utf8>>])]}
].

random_streams_become_what_a_plain_reading_says_however_they_are_cut_test_() ->
	{timeout, 60, fun() ->
		_ = rand:seed(exsss, {1, 2, 3}),
		_ = [begin
			Stream = iolist_to_binary([random_piece() || _ <- lists:seq(1, rand:uniform(40))]),
			Expected = plain_reading(Stream),
			?assertEqual({Stream, Expected}, {Stream, events([Stream])}),
			Pieces = cut(Stream),
			?assertEqual({Pieces, Expected}, {Pieces, events(Pieces)})
		end || _ <- lists:seq(1, 5000)],
		ok
	end}.

random_piece() ->
	lists:nth(rand:uniform(24), ["data", "data: ", "data:", "id", "id: ", "event: ", "event",
		"retry: 10", ":", " ", "\n", "\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", "data: x\n\n",
		[0], [16#ef, 16#bb, 16#bf], [16#ef], "x", <<"\x{e9}"/utf8>>, rand:bytes(rand:uniform(4))]).

cut(<<>>) ->
	[];
cut(Stream) ->
	Length = min(byte_size(Stream), rand:uniform(8)),
	<<Piece:Length/binary, Rest/binary>> = Stream,
	[Piece|cut(Rest)].

%% The standard's own words, one after the other, for a stream that is there as a whole.
plain_reading(<<16#ef, 16#bb, 16#bf, Stream/binary>>) ->
	plain_lines(Stream);
plain_reading(Stream) ->
	plain_lines(Stream).

plain_lines(Stream) ->
	Lines = lists:droplast(binary:split(Stream, [<<"\r\n">>, <<"\r">>, <<"\n">>], [global])),
	{Events, _} = lists:foldl(fun plain_line/2, {[], #{id => <<>>}}, Lines),
	lists:reverse(Events).

plain_line(<<>>, {Events, Event=#{id := Id, data := Data}}) ->
	Type = maps:get(type, Event, <<"message">>),
	{[event(Id, Type, lists:join(<<"\n">>, Data))|Events], #{id => Id}};
plain_line(<<>>, {Events, #{id := Id, has_id := true}}) ->
	{[#{last_event_id => Id}|Events], #{id => Id}};
plain_line(<<>>, {Events, #{id := Id}}) ->
	{Events, #{id => Id}};
plain_line(Line, {Events, Event}) ->
	{match, [Field, Value]} = re:run(Line, "^([^:]*)(?:: ?(.*))?$",
		[dotall, dollar_endonly, {capture, [1, 2], binary}]),
	{Events, case Field of
		<<"data">> -> Event#{data => maps:get(data, Event, []) ++ [Value]};
		<<"event">> when Value =:= <<>> -> maps:remove(type, Event);
		<<"event">> -> Event#{type => Value};
		<<"id">> ->
			case lists:member(0, binary_to_list(Value)) of
				true -> Event;
				false -> Event#{id := Value, has_id => true}
			end;
		_ -> Event
	end}.

an_event_is_told_as_soon_as_its_last_line_end_begins_test() ->
	{done, 1, State} = handle(nofin, <<"data: one\r\n\r">>, init(#{})),
	?assertEqual([message(<<>>, [<<"one">>])], told()),
	{done, 0, _} = handle(nofin, <<"\n">>, State),
	?assertEqual([], told()).

%% Messages.

every_message_costs_one_of_the_flow_test() ->
	{done, 0, State0} = handle(nofin, <<"data: one\nid: 1\n">>, init(#{})),
	{done, 3, State1} = handle(nofin, <<"\nid: 2\n\n: c\n\ndata\n\ndata">>, State0),
	{done, 0, State2} = handle(nofin, <<>>, State1),
	{done, 2, _} = handle(fin, <<"\n\ndata: lost\n">>, State2),
	?assertEqual([message(<<"1">>, [<<"one">>]), #{last_event_id => <<"2">>},
		message(<<"2">>, [<<>>]), message(<<"2">>, [<<>>]), fin], told()).

the_end_of_the_body_is_told_after_its_events_test_() ->
	[{title(Last), fun() ->
		{done, Flow, _} = handle(fin, Last, init(#{})),
		?assertEqual(Told, told()),
		?assertEqual(Flow, length(Told))
	end} || {Last, Told} <- [
		{<<>>, [fin]},
		{<<"data: one\n\n">>, [message(<<>>, [<<"one">>]), fin]},
		{<<"data: one\n">>, [fin]},
		{<<16#ef, 16#bb>>, [fin]}
	]].

messages_reach_every_kind_of_reply_to_test_() ->
	Self = self(),
	[{title(ReplyTo), fun() ->
		StreamRef = make_ref(),
		{ok, State} = gun_rs_sse_h:init(ReplyTo, StreamRef, 200, headers("text/event-stream"), #{}),
		{done, 2, _} = gun_rs_sse_h:handle(fin, <<"data: one\n\n">>, State),
		Pid = self(),
		_ = [receive Message ->
			?assertEqual({gun_sse, Pid, StreamRef, Event}, Message)
		after 1000 ->
			error(timeout)
		end || Event <- [message(<<>>, [<<"one">>]), fin]]
	end} || ReplyTo <- [
		fun(Message) -> self() ! Message end,
		{fun(Message, a) -> self() ! Message end, [a]},
		{?MODULE, tell, [b]}
	]] ++ [fun() ->
		{ok, State} = gun_rs_sse_h:init(Self, make_ref(), 200, headers("text/event-stream"), #{}),
		?assertMatch({done, 1, _}, gun_rs_sse_h:handle(fin, <<>>, State))
	end].

tell(Message, b) ->
	self() ! Message.

%% The response.

event_streams_are_taken_whatever_the_status_and_the_parameters_test_() ->
	[{title({Status, Type}), fun() ->
		?assertMatch({ok, _}, gun_rs_sse_h:init(self(), make_ref(), Status, headers(Type), #{}))
	end} || Status <- [200, 201, 404, 503], Type <- ["text/event-stream", "Text/Event-Stream",
		"text/event-stream;charset=utf-8", "text/event-stream ; charset=\"UTF-8\"; a=b",
		"text/event-stream;", " text/event-stream\t", "text/event-stream;;=\"", [
			"text/event-stream;", 255]]].

other_bodies_are_left_to_the_next_handler_test_() ->
	[{title(Headers), fun() ->
		?assertEqual(disable, gun_rs_sse_h:init(self(), make_ref(), 200, Headers, #{}))
	end} || Headers <- [[], [{<<"content-length">>, <<"0">>}]] ++ [headers(Type) || Type <- [
		"", ";", "text/plain", "text/event-streams", "xtext/event-stream", "text/event-stream2",
		"text/event-stream, text/plain", "text / event-stream", "text/event-stream\n",
		"application/json; a=text/event-stream", "text/plain\ntext/event-stream", [255, 254]]]].

the_first_content_type_counts_test() ->
	?assertEqual(disable, gun_rs_sse_h:init(self(), make_ref(), 200,
		headers("text/plain") ++ headers("text/event-stream"), #{})).

%% Limits.

options_are_checked_test_() ->
	[?_assertEqual(ok, gun_rs_sse_h:check_options(Opts)) || Opts <- [#{},
		#{max_event_size => 1}, #{max_event_size => 1 bsl 70}, #{max_event_size => infinity}]] ++
	[?_assertEqual(error, gun_rs_sse_h:check_options(Opts)) || Opts <- [
		#{max_event_size => 0}, #{max_event_size => -1}, #{max_event_size => 1.0},
		#{max_event_size => undefined}, #{max_event_size => "1"}, #{max_size => 1},
		#{max_event_size => 1, unknown => 1}, #{<<"max_event_size">> => 1}]].

an_event_of_the_limit_passes_and_one_byte_more_does_not_test_() ->
	[{title(Stream), fun() ->
		_ = [begin
			?assertMatch([#{last_event_id := _}|_], run(Pieces, #{max_event_size => Size})),
			?assertEqual(too_big(Size - 1), run(Pieces, #{max_event_size => Size - 1}))
		end || Pieces <- [[Stream], [<<B>> || <<B>> <= Stream]]]
	end} || {Size, Stream} <- [
		{1006, <<"data:", (binary:copy(<<"a">>, 1000))/binary, "\n\n">>},
		{1006, <<"data:", (binary:copy(<<"a">>, 1000))/binary, "\r\n\r\n">>},
		{1006 + 64, <<"data:", (binary:copy(<<"a">>, 1000))/binary, "\nid\n\n">>},
		{64, <<"id:1\n\n">>},
		{3 * 64, <<"event:a\nunknown\nid:1\r\n\r\n">>},
		{64 + 69, <<": comment\nid:1\nevent:", (binary:copy(<<"a">>, 62))/binary, "\n\n">>}
	]].

an_endless_line_an_endless_event_and_an_endless_name_are_cut_off_test_() ->
	[{title(Piece), fun() ->
		?assertEqual(too_big(1000),
			run([First|lists:duplicate(1001, Piece)], #{max_event_size => 1000}))
	end} || {First, Piece} <- [
		{<<"data: ">>, <<"aaaa">>},
		{<<>>, <<"data: aaaa\n">>},
		{<<>>, <<"d">>},
		{<<>>, <<"data\n">>},
		{<<"id: 1\n">>, <<"unknown\r\n">>},
		{<<"data: one\n">>, <<0>>}
	]].

the_events_before_one_that_is_too_big_are_told_test_() ->
	Stream = <<"data: one\n\ndata: two\n\ndata: ", (binary:copy(<<"a">>, 1001))/binary, "\n\n">>,
	[fun() ->
		?assertEqual([message(<<>>, [<<"one">>]), message(<<>>, [<<"two">>])|too_big(1000)],
			run(Pieces, #{max_event_size => 1000}))
	end || Pieces <- [[Stream], [<<B>> || <<B>> <= Stream]]].

many_events_are_not_taken_for_a_big_one_test() ->
	Stream = binary:copy(<<"id: 1\nevent: a\ndata: one\n\n">>, 1000),
	?assertEqual(1000, length(run([Stream], #{max_event_size => 3 * 64}))).

comments_and_blank_lines_have_no_limit_test() ->
	Comments = [<<":">>, binary:copy(<<"a">>, 5000), <<"\n\n">>, binary:copy(<<": hi\r\n">>, 500),
		<<": ">>|lists:duplicate(5000, <<"a">>)],
	?assertEqual([message(<<>>, [<<"x">>])],
		run(Comments ++ [<<"\n\n\ndata: x\n\n">>], #{max_event_size => 64})).

infinity_is_no_limit_test_() ->
	{timeout, 60, fun() ->
		Value = binary:copy(<<"a">>, 20 bsl 20),
		?assertEqual([message(<<>>, [Value])],
			run([<<"data: ">>, Value, <<"\n\n">>], #{max_event_size => infinity}))
	end}.

the_limit_is_16_mib_without_the_option_test_() ->
	{timeout, 60, fun() ->
		Value = binary:copy(<<"a">>, (16 bsl 20) - 6),
		?assertEqual([message(<<>>, [Value])], run([<<"data:">>, Value, <<"\n\n">>], #{})),
		?assertEqual(too_big(16 bsl 20), run([<<"data:">>, Value, <<"a\n\n">>], #{}))
	end}.

%% Were a line copied or looked at again with each piece, this would take hours.
a_long_line_in_small_pieces_takes_linear_time_test_() ->
	{timeout, 60, fun() ->
		Piece = binary:copy(<<"a">>, 64),
		[#{data := [Value]}] = run([<<"data:">>] ++ lists:duplicate(1 bsl 17, Piece) ++ [<<"\n\n">>], #{}),
		?assertEqual(8 bsl 20, byte_size(Value))
	end}.

many_events_in_one_piece_take_linear_time_test_() ->
	{timeout, 60, fun() ->
		Events = run([binary:copy(<<"data: a\n\n">>, 200000)], #{}),
		?assertEqual(200000, length(Events))
	end}.

nothing_is_kept_of_the_buffers_around_an_event_test() ->
	Comment = <<":", (binary:copy(<<"c">>, 16 bsl 10))/binary, "\n">>,
	Stream = lists:append([[<<Comment/binary, "data: 0123456789\n", Comment/binary>>,
		<<Comment/binary, "id: 1\nevent: a\nda">>, <<"ta: x\n">>] || _ <- lists:seq(1, 500)]),
	{Kept, Events} = run_alone(fun(State0) ->
		State = feed(Stream, State0),
		true = garbage_collect(),
		{binary, Binaries} = process_info(self(), binary),
		Sizes = [Size || {_, Size, _} <- Binaries],
		_ = feed([<<"\n">>], State),
		lists:sum(Sizes)
	end, #{}),
	?assert(Kept < 100 * 1024),
	[#{data := Data, event_type := <<"a">>, last_event_id := <<"1">>}] = Events,
	?assertEqual(1999, length(Data)),
	_ = [?assert(binary:referenced_byte_size(Value) < 100) || Value <- Data].

%% Helpers.

message(Id, Data) ->
	event(Id, <<"message">>, Data).

event(Id, Type, Data) ->
	#{last_event_id => Id, event_type => Type, data => Data}.

too_big(Max) ->
	[{gun_error, {sse_event_too_big, Max}}, {exit, {shutdown, {sse_event_too_big, Max}}}].

headers(ContentType) ->
	[{<<"date">>, <<"today">>}, {<<"content-type">>, iolist_to_binary(ContentType)}].

init(Opts) ->
	{ok, State} = gun_rs_sse_h:init(self(), make_ref(), 200, headers("text/event-stream"), Opts),
	State.

handle(IsFin, Data, State) ->
	gun_rs_sse_h:handle(IsFin, Data, State).

%% What has been told so far, here.
told() ->
	Self = self(),
	receive
		{gun_sse, Self, _, Event} -> [Event|told()]
	after 0 ->
		[]
	end.

%% The events of a whole body; each costs one.
events(Pieces) ->
	{State, Flow} = lists:foldl(fun(Piece, {State0, Flow0}) ->
		{done, Flow1, State1} = handle(nofin, Piece, State0),
		{State1, Flow0 + Flow1}
	end, {init(#{}), 0}, Pieces),
	{done, 1, _} = handle(fin, <<>>, State),
	Told = told(),
	?assertEqual(Flow + 1, length(Told)),
	?assertEqual(fin, lists:last(Told)),
	lists:droplast(Told).

%% What a body that goes on leads to, the exit of the process with it.
run(Pieces, Opts) ->
	{_, Told} = run_alone(fun(State) -> _ = feed(Pieces, State), ok end, Opts),
	Told.

feed(Pieces, State) ->
	lists:foldl(fun(Piece, State0) ->
		{done, _, State1} = handle(nofin, Piece, State0),
		State1
	end, State, Pieces).

run_alone(Fun, Opts) ->
	Self = self(),
	StreamRef = make_ref(),
	{Pid, MRef} = spawn_monitor(fun() ->
		{ok, State} = gun_rs_sse_h:init(Self, StreamRef, 200, headers("text/event-stream"), Opts),
		exit({done, Fun(State)})
	end),
	collect(Pid, MRef, StreamRef, []).

collect(Pid, MRef, StreamRef, Told) ->
	receive
		{gun_sse, Pid, StreamRef, Event} ->
			collect(Pid, MRef, StreamRef, [Event|Told]);
		{gun_error, Pid, StreamRef, Reason} ->
			collect(Pid, MRef, StreamRef, [{gun_error, Reason}|Told]);
		{'DOWN', MRef, process, Pid, {done, Result}} ->
			{Result, lists:reverse(Told)};
		{'DOWN', MRef, process, Pid, Reason} ->
			{undefined, lists:reverse(Told, [{exit, Reason}])}
	after 50000 ->
		error(timeout)
	end.
