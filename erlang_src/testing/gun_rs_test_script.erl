%% @private Whether a script of a test server is one: a test that has a mistake in it must not run as something else.
-module(gun_rs_test_script).

-export([check/1]).

-spec check(term()) -> ok | {error, {script, term()}}.
check(stall) -> ok;
check(drop) -> ok;
check({refuse, Status}) when is_integer(Status), Status >= 200, Status =< 599 -> ok;
check(Script={refuse, Status, Headers, Body}) when is_integer(Status), Status >= 200, Status =< 599 ->
	verdict(is_headers(Headers) andalso is_iodata(Body), Script);
check(Script={accept, Headers, Steps}) ->
	case is_headers(Headers) of
		true when is_list(Steps) -> check(Steps);
		_ -> verdict(false, Script)
	end;
check([]) -> ok;
check([Step|Steps]) ->
	case is_step(Step) of
		true when is_list(Steps) -> check(Steps);
		_ -> verdict(false, Step)
	end;
check(Script) -> verdict(false, Script).

verdict(true, _) -> ok;
verdict(false, Script) -> {error, {script, Script}}.

is_headers(Headers) when is_map(Headers) ->
	lists:all(fun({Name, Value}) -> is_binary(Name) andalso is_iodata(Value) end, maps:to_list(Headers));
is_headers(_) -> false.

is_iodata(Data) ->
	try iolist_size(Data) of _ -> true catch error:badarg -> false end.

is_step(echo) -> true;
is_step(drop) -> true;
is_step(await) -> true;
is_step({await, close}) -> true;
is_step({await, {close, Code, Text}}) -> is_integer(Code) andalso is_binary(Text);
is_step({await, {Type, Data}}) -> lists:member(Type, [text, binary, ping, pong]) andalso is_binary(Data);
is_step({close, _, _}=Frame) -> is_frame(Frame);
is_step({send, {text, Text}=Frame}) -> is_frame(Frame) andalso is_utf8(Text);
is_step({send, {Type, _}=Frame}) -> lists:member(Type, [binary, ping, pong]) andalso is_frame(Frame);
is_step({send, Type}) -> lists:member(Type, [ping, pong]);
is_step(_) -> false.

%% What cannot be sent would end the handler.
is_frame(Frame) ->
	try gun_rs_frames:check(Frame) of
		_ -> true
	catch error:{invalid_frame, _, _} ->
		false
	end.

%% Frames are sent without a look at their text.
is_utf8(Text) ->
	is_list(unicode:characters_to_list(iolist_to_binary(Text))).
