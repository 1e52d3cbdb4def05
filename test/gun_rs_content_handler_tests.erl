%% Content handlers form a chain: each is given what the one before it has made of the
%% body, until one is done with it.
-module(gun_rs_content_handler_tests).

-include_lib("eunit/include/eunit.hrl").

-export([init/5]).
-export([handle/3]).
-export([tell/2]).

-import(gun_rs_test, [title/1]).

%% The option.

modules_that_can_be_loaded_and_have_both_functions_pass_test_() ->
	[{title(Handlers), ?_assertEqual(ok, gun_rs_content_handler:check_option(Handlers))}
	|| Handlers <- [
		[gun_rs_data_h],
		[gun_rs_sse_h],
		[gun_data_h],
		[gun_sse_h, gun_data_h],
		[{gun_data_h, #{}}, {gun_rs_data_h, #{}}],
		[{gun_rs_sse_h, #{max_event_size => 1000}}, gun_rs_data_h],
		[{gun_sse_h, #{max_event_size => infinity}}],
		[?MODULE],
		[{?MODULE, #{whatever => "it likes"}}, ?MODULE, gun_rs_data_h],
		[content_lower_h, content_lower_h]
	]].

everything_else_is_refused_test_() ->
	[{title(Handlers), ?_assertEqual(error, gun_rs_content_handler:check_option(Handlers))}
	|| Handlers <- [
		[], gun_rs_data_h, {gun_rs_data_h, #{}}, #{}, undefined, "gun_rs_data_h", <<>>, 1,
		[gun_rs_data_h|gun_rs_data_h],
		[no_such_module],
		[gun_rs_data_h, no_such_module],
		[lists],
		[gun_rs_ws_h],
		[<<"gun_rs_data_h">>],
		["gun_rs_data_h"],
		[undefined],
		[''],
		[1],
		[fun init/5],
		[{no_such_module, #{}}],
		[{gun_rs_data_h, []}],
		[{?MODULE, []}],
		[{?MODULE, undefined}],
		[{?MODULE, #{}, #{}}],
		[{<<"gun_rs_data_h">>, #{}}],
		[{gun_rs_data_h, #{flow => 1}}],
		[{gun_data_h, #{flow => 1}}],
		[{gun_rs_sse_h, #{max_event_size => 0}}],
		[{gun_sse_h, #{max_size => 1}}]
	]].

%% The chain.

gun_rs_data_h_tells_every_piece_and_costs_one_test_() ->
	[{title(Handler), fun() ->
		StreamRef = make_ref(),
		State0 = init([Handler], StreamRef),
		{ok, 1, State1} = gun_rs_content_handler:handle(nofin, <<"one">>, State0),
		{ok, 1, State2} = gun_rs_content_handler:handle(nofin, <<"two">>, State1),
		{ok, 1, _} = gun_rs_content_handler:handle(fin, <<>>, State2),
		Self = self(),
		?assertEqual([{gun_data, Self, StreamRef, nofin, <<"one">>},
			{gun_data, Self, StreamRef, nofin, <<"two">>},
			{gun_data, Self, StreamRef, fin, <<>>}], messages())
	end} || Handler <- [gun_rs_data_h, {gun_rs_data_h, #{}}, gun_data_h, {gun_data_h, #{}}]].

gun_rs_data_h_tells_every_kind_of_reply_to_test_() ->
	[{title(ReplyTo), fun() ->
		StreamRef = make_ref(),
		State = gun_rs_content_handler:init(ReplyTo, StreamRef, 200, [], [gun_data_h]),
		{ok, 1, _} = gun_rs_content_handler:handle(fin, <<"one">>, State),
		?assertEqual([{gun_data, self(), StreamRef, fin, <<"one">>}], messages())
	end} || ReplyTo <- [
		fun(Message) -> self() ! Message end,
		{fun(Message, a) -> self() ! Message end, [a]},
		{?MODULE, tell, [b]}
	]].

a_module_is_started_with_the_response_and_its_options_test() ->
	StreamRef = make_ref(),
	Headers = [{<<"a">>, <<"b">>}],
	[{content_lower_h, _}] = gun_rs_content_handler:init(self(), StreamRef, 201, Headers,
		[{content_lower_h, #{tell => self()}}]),
	?assertEqual([{content_lower_h, {init, self(), StreamRef, 201, Headers}}], messages()).

a_module_without_options_is_started_with_an_empty_map_test() ->
	?assertEqual([{?MODULE, {[], #{}}}, {?MODULE, {[], #{a => 1}}}],
		init([?MODULE, {?MODULE, #{a => 1}}], make_ref())).

each_module_is_given_what_the_one_before_has_made_and_the_flow_is_the_sum_test() ->
	StreamRef = make_ref(),
	State0 = init([{content_lower_h, #{cost => 2}},
		{content_lower_h, #{tell => self(), cost => 3}}, gun_rs_data_h], StreamRef),
	[{content_lower_h, {init, _, _, _, _}}] = messages(),
	{ok, 6, State1} = gun_rs_content_handler:handle(nofin, <<"ONE">>, State0),
	{ok, 6, _} = gun_rs_content_handler:handle(fin, <<"TWO">>, State1),
	?assertEqual([
		{content_lower_h, {handle, nofin, <<"one">>, 0}},
		{gun_data, self(), StreamRef, nofin, <<"one">>},
		{content_lower_h, {handle, fin, <<"two">>, 1}},
		{gun_data, self(), StreamRef, fin, <<"two">>}
	], messages()).

data_need_not_stay_a_binary_between_modules_test() ->
	StreamRef = make_ref(),
	State = init([{?MODULE, #{answer => {ok, #{any => term}, 0}}}, gun_rs_data_h], StreamRef),
	{ok, 1, _} = gun_rs_content_handler:handle(nofin, <<"one">>, State),
	?assertEqual([{gun_data, self(), StreamRef, nofin, #{any => term}}], messages()).

a_module_that_is_done_keeps_the_piece_from_the_others_test() ->
	State0 = init([{?MODULE, #{answer => {done, 0}}}, {content_lower_h, #{tell => self()}},
		gun_rs_data_h], make_ref()),
	[{content_lower_h, {init, _, _, _, _}}] = messages(),
	{ok, 0, State1} = gun_rs_content_handler:handle(nofin, <<"one">>, State0),
	{ok, 0, State2} = gun_rs_content_handler:handle(fin, <<"two">>, State1),
	?assertEqual([], messages()),
	%% The states of all are kept, in their order.
	?assertMatch([{?MODULE, {[{fin, <<"two">>}, {nofin, <<"one">>}], _}},
		{content_lower_h, #{pieces := 0}}, {gun_rs_data_h, _}], State2).

a_module_that_disables_itself_is_not_called_test() ->
	StreamRef = make_ref(),
	State0 = gun_rs_content_handler:init(self(), StreamRef, 404, [],
		[content_lower_h, gun_sse_h, gun_data_h]),
	?assertMatch([{gun_rs_data_h, _}], State0),
	{ok, 1, _} = gun_rs_content_handler:handle(fin, <<"one">>, State0),
	?assertEqual([{gun_data, self(), StreamRef, fin, <<"one">>}], messages()).

a_body_that_no_module_takes_is_dropped_and_costs_nothing_test() ->
	?assertEqual([], init([gun_sse_h], make_ref())),
	?assertEqual({ok, 0, []}, gun_rs_content_handler:handle(nofin, <<"one">>, [])),
	?assertEqual({ok, 0, []}, gun_rs_content_handler:handle(fin, <<>>, [])),
	?assertEqual([], messages()).

a_body_that_the_last_module_passes_on_is_dropped_test() ->
	State = init([{content_lower_h, #{cost => 1}}], make_ref()),
	?assertMatch({ok, 1, [_]}, gun_rs_content_handler:handle(fin, <<"one">>, State)),
	?assertEqual([], messages()).

events_go_through_a_module_before_gun_rs_sse_h_and_not_after_it_test() ->
	StreamRef = make_ref(),
	State0 = gun_rs_content_handler:init(self(), StreamRef, 200,
		[{<<"content-type">>, <<"text/event-stream">>}],
		[{content_lower_h, #{cost => 1}}, {gun_sse_h, #{max_event_size => 1000}}, gun_data_h]),
	{ok, 2, State1} = gun_rs_content_handler:handle(nofin, <<"DATA: ONE\n\nDATA: TWO\n">>, State0),
	{ok, 3, _} = gun_rs_content_handler:handle(fin, <<"\n">>, State1),
	Event = #{last_event_id => <<>>, event_type => <<"message">>},
	Self = self(),
	?assertEqual([{gun_sse, Self, StreamRef, Event#{data => [<<"one">>]}},
		{gun_sse, Self, StreamRef, Event#{data => [<<"two">>]}},
		{gun_sse, Self, StreamRef, fin}], messages()).

a_module_that_crashes_or_answers_anything_else_takes_the_process_down_test_() ->
	[{title(Opts), ?_assertError(_, gun_rs_content_handler:handle(nofin, <<"one">>,
		init([{?MODULE, Opts}, gun_rs_data_h], make_ref())))}
	|| Opts <- [#{}, #{answer => {ok, <<>>}}, #{answer => {error, oops}}, #{answer => {done}}]].

%% Helpers.

%% This module may stand where a content handler does: it answers with the option answer,
%% and its state is what it was given.
init(_, _, _, _, Opts) ->
	{ok, {[], Opts}}.

handle(IsFin, Data, {Given, Opts=#{answer := Answer}}) ->
	erlang:append_element(Answer, {[{IsFin, Data}|Given], Opts}).

tell(Message, b) ->
	self() ! Message.

init(Handlers, StreamRef) ->
	ok = gun_rs_content_handler:check_option(Handlers),
	gun_rs_content_handler:init(self(), StreamRef, 200, [], Handlers).

messages() ->
	receive
		Message -> [Message|messages()]
	after 0 ->
		[]
	end.
