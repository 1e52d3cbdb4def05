%% @doc A content handler for server-sent events (the HTML standard, 9.2). It takes the
%% bodies whose content-type is text/event-stream, whatever its parameters and the
%% response's status, and leaves the others to the next handler.
%%
%% Each event is sent as `{gun_sse, ConnPid, StreamRef, Event}', Event being
%% `#{last_event_id := binary(), event_type := binary(), data := iolist()}'. The data are
%% the event's data lines, and `<<"\n">>' between two of them, as the bytes that the
%% server has sent; the standard says that they are UTF-8. An event without data that
%% sets an id is `#{last_event_id := binary()}'; another one without data is none. At the
%% end of the body comes `{gun_sse, ConnPid, StreamRef, fin}'; what has no blank line
%% after it by then is no event. Each message costs 1 of the flow.
%%
%% Comments are ignored. So is retry, for nothing here reconnects a stream.
%%
%% The one option is max_event_size, `{gun_rs_sse_h, #{max_event_size => Bytes}}': a
%% positive integer (default: 16777216, which is 16 MiB) or infinity. It limits the lines
%% of one event together, complete or not: the bytes of each with its field name and one
%% for its end, but 64 for a shorter one, since it takes as much memory. Comments do not
%% count. When an event is bigger, ReplyTo is sent
%% `{gun_error, ConnPid, StreamRef, {sse_event_too_big, MaxEventSize}}', and ConnPid exits
%% with `{shutdown, {sse_event_too_big, MaxEventSize}}'.
-module(gun_rs_sse_h).
-behaviour(gun_rs_content_handler).

-export([init/5]).
-export([handle/3]).
-export([check_options/1]).

-type event() :: #{last_event_id := binary(), event_type => binary(), data => iolist()}.
-export_type([event/0]).

%% In bytes: room for an image in Base64.
-define(MAX_EVENT_SIZE, 16777216).

%% In bytes: what a line counts at least. Kept in a list, a line of five bytes takes 48.
-define(MIN_LINE_SIZE, 64).

-record(state, {
	reply_to :: gun_rs_options:reply_to(),
	stream_ref :: reference(),
	max_event_size :: pos_integer() | infinity,
	%% CR and LF.
	line_ends :: binary:cp(),
	%% What the next byte belongs to. At the start it may be of a byte order mark; after
	%% a CR, it may be the LF of the same line end.
	at = start :: start | line | comment | cr,
	%% The bytes so far of a line that is not complete.
	line = <<>> :: binary(),
	%% What the event's complete lines count.
	size = 0 :: non_neg_integer(),
	%% The id outlives its event.
	id = <<>> :: binary(),
	has_id = false :: boolean(),
	type = <<>> :: binary(),
	%% The last line first.
	data = [] :: [binary()]
}).

-spec init(gun_rs_options:reply_to(), reference(), 100..999, [{binary(), binary()}], map())
	-> {ok, #state{}} | disable.
init(ReplyTo, StreamRef, _Status, Headers, Opts) ->
	case is_event_stream(Headers) of
		true ->
			{ok, #state{reply_to=ReplyTo, stream_ref=StreamRef,
				max_event_size=maps:get(max_event_size, Opts, ?MAX_EVENT_SIZE),
				line_ends=binary:compile_pattern([<<"\r">>, <<"\n">>])}};
		false ->
			disable
	end.

is_event_stream(Headers) ->
	case lists:keyfind(<<"content-type">>, 1, Headers) of
		{_, ContentType} ->
			match =:= re:run(ContentType, "^[ \t]*text/event-stream[ \t]*(;|$)",
				[caseless, dollar_endonly, {capture, none}]);
		false ->
			false
	end.

-spec handle(fin | nofin, binary(), #state{}) -> {done, non_neg_integer(), #state{}}.
handle(nofin, Data, State0) ->
	{Flow, State} = parse(Data, State0, 0),
	{done, Flow, State};
handle(fin, Data, State0) ->
	{Flow, State} = parse(Data, State0, 0),
	ok = send(fin, State),
	{done, Flow + 1, State}.

%% @private
-spec check_options(map()) -> ok | error.
check_options(Opts) ->
	case maps:to_list(Opts) of
		[] -> ok;
		[{max_event_size, infinity}] -> ok;
		[{max_event_size, N}] when is_integer(N), N > 0 -> ok;
		_ -> error
	end.

%% The HTML standard, 9.2.5. No byte is looked at twice, however the body is cut.

parse(<<>>, State, Flow) ->
	{Flow, State};
parse(Data, State=#state{at=start, line=Line}, Flow) ->
	case <<Line/binary, Data/binary>> of
		<<16#ef, 16#bb, 16#bf, Rest/binary>> ->
			parse(Rest, State#state{at=line, line= <<>>}, Flow);
		Start when Start =:= <<16#ef>>; Start =:= <<16#ef, 16#bb>> ->
			{Flow, State#state{line=Start}};
		Start ->
			parse(Start, State#state{at=line, line= <<>>}, Flow)
	end;
parse(<<$\n, Rest/binary>>, State=#state{at=cr}, Flow) ->
	parse(Rest, State#state{at=line}, Flow);
parse(Data, State0=#state{at=At, line=Line, line_ends=LineEnds}, Flow) ->
	case binary:match(Data, LineEnds) of
		{Length, 1} ->
			<<Bytes:Length/binary, End, Rest/binary>> = Data,
			{Cost, State} = case At of
				comment -> {0, State0};
				_ -> line(join(Line, Bytes), State0)
			end,
			parse(Rest, State#state{at=after_line(End), line= <<>>}, Flow + Cost);
		nomatch ->
			{Flow, begin_line(Data, State0)}
	end.

after_line($\r) -> cr;
after_line($\n) -> line.

join(<<>>, Bytes) -> Bytes;
join(Line, Bytes) -> <<Line/binary, Bytes/binary>>.

%% A comment is not kept: it may be as long as it likes.
begin_line(_, State=#state{at=comment}) ->
	State;
begin_line(<<$:, _/binary>>, State=#state{line= <<>>}) ->
	State#state{at=comment};
begin_line(Data, State=#state{line=Line, size=Size}) ->
	ok = check_size(Size + byte_size(Line) + byte_size(Data), State),
	%% Appended to in place, and no part of Data that would keep all of it.
	State#state{at=line, line= <<Line/binary, Data/binary>>}.

%% The HTML standard, 9.2.6.

line(<<>>, State) ->
	blank_line(State);
line(<<$:, _/binary>>, State) ->
	{0, State};
line(Line, State=#state{size=Size0}) ->
	Size = Size0 + max(byte_size(Line) + 1, ?MIN_LINE_SIZE),
	ok = check_size(Size, State),
	{Field, Value} = case binary:split(Line, <<":">>) of
		[F, <<$\s, V/binary>>] -> {F, V};
		[F, V] -> {F, V};
		[F] -> {F, <<>>}
	end,
	{0, field(Field, Value, State#state{size=Size})}.

%% What is kept is copied: of a buffer that holds mostly comments, it would keep all.
field(<<"data">>, Value, State=#state{data=[]}) ->
	State#state{data=[binary:copy(Value)]};
field(<<"data">>, Value, State=#state{data=Data}) ->
	State#state{data=[binary:copy(Value), <<"\n">>|Data]};
field(<<"event">>, Value, State) ->
	State#state{type=binary:copy(Value)};
field(<<"id">>, Value, State) ->
	case binary:match(Value, <<0>>) of
		nomatch -> State#state{id=binary:copy(Value), has_id=true};
		_ -> State
	end;
field(_, _, State) ->
	State.

blank_line(State=#state{data=[], has_id=false}) ->
	{0, State#state{size=0, type= <<>>}};
blank_line(State=#state{data=[], id=Id}) ->
	event(#{last_event_id => Id}, State);
blank_line(State=#state{data=Data, id=Id, type=Type}) ->
	event(#{
		last_event_id => Id,
		event_type => case Type of <<>> -> <<"message">>; _ -> Type end,
		data => lists:reverse(Data)
	}, State).

event(Event, State) ->
	ok = send(Event, State),
	{1, State#state{size=0, has_id=false, type= <<>>, data=[]}}.

send(Event, #state{reply_to=ReplyTo, stream_ref=StreamRef}) ->
	_ = gun_rs_delivery:deliver(ReplyTo, {gun_sse, self(), StreamRef, Event}),
	ok.

%% Every number is less than infinity, in the order of terms.
check_size(Size, #state{max_event_size=Max}) when Size =< Max ->
	ok;
check_size(_, #state{max_event_size=Max, reply_to=ReplyTo, stream_ref=StreamRef}) ->
	%% A fault of the server's, or a limit too low: an end, and not a crash with a report.
	Reason = {sse_event_too_big, Max},
	_ = gun_rs_delivery:deliver(ReplyTo, {gun_error, self(), StreamRef, Reason}),
	exit({shutdown, Reason}).
