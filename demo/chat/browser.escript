#!/usr/bin/env escript
%% Lets a browser open the chat and say a line there, through its DevTools protocol, which gun_rs speaks too. A client
%% beside it has to receive the line, and the page has to show both its own line and the client's.
%%
%% usage: browser.escript DEVTOOLS CHAT PNG      (two URLs, and the file of the screenshot)

-mode(compile).

%% In milliseconds, for each step.
-define(WAIT, 30000).

main([DevTools, Chat, Png]) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Browser = open(page(DevTools)),
	_ = call(Browser, "Page.navigate", ["\"url\":", quote(Chat ++ "#Ann")]),
	shown(Browser, "Ann is here."),
	{Bob, BobRef} = open(Chat ++ "room/Bob"),
	shown(Browser, "Bob is here."),
	ok = gun_rs:ws_send(Bob, BobRef, {text, <<"Hello, Ann!">>}),
	shown(Browser, "Bob: Hello, Ann!"),
	_ = call(Browser, "Input.insertText", ["\"text\":", quote("Hello from a browser!")]),
	_ = call(Browser, "Input.dispatchKeyEvent", "\"type\":\"keyDown\",\"key\":\"Enter\",\"text\":\"\\r\""),
	heard({Bob, BobRef}, <<"Ann: Hello from a browser!">>),
	shown(Browser, "Ann: Hello from a browser!"),
	io:format("The browser speaks ~ts, and its page shows every line.~n", [evaluate(Browser, "navigator.userAgent")]),
	io:format("Extensions of its WebSocket: ~ts~n", [evaluate(Browser, "room.extensions")]),
	ok = file:write_file(Png, base64:decode(field("data", call(Browser, "Page.captureScreenshot", "")))).

%% The WebSocket of the one page that the browser has opened.
page(DevTools) ->
	#{host := Host, port := Port} = uri_string:parse(DevTools),
	{ok, ConnPid} = gun_rs:open(Host, Port, #{retry => 0}),
	StreamRef = gun_rs:get(ConnPid, "/json/list"),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{ok, List} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:close(ConnPid),
	[_, Page] = binary:split(List, <<"\"type\": \"page\"">>),
	field("webSocketDebuggerUrl", Page).

open(Url) ->
	#{host := Host, port := Port, path := Path} = uri_string:parse(unicode:characters_to_list(Url)),
	{ok, ConnPid} = gun_rs:open(Host, Port, #{retry => 0}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path),
	{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{ConnPid, StreamRef}.

%% Waits until the page shows the line.
shown(Browser, Line) ->
	shown(Browser, Line, erlang:monotonic_time(millisecond) + ?WAIT).

shown(Browser, Line, Deadline) ->
	Text = evaluate(Browser, "document.getElementById('said')?.innerText.replaceAll('\\n', '|') ?? ''"),
	case lists:member(Line, string:split(Text, "|", all)) of
		true ->
			ok;
		false ->
			erlang:monotonic_time(millisecond) < Deadline orelse stop("the page does not show ~0p but ~0p", [Line, Text]),
			timer:sleep(50),
			shown(Browser, Line, Deadline)
	end.

heard({ConnPid, StreamRef} = Client, Line) ->
	case gun_rs:await(ConnPid, StreamRef, ?WAIT) of
		{ws, {text, Line}} -> ok;
		{ws, _} -> heard(Client, Line);
		Other -> stop("the other client does not receive ~0p but ~0p", [Line, Other])
	end.

evaluate(Browser, Expression) ->
	Result = call(Browser, "Runtime.evaluate", ["\"expression\":", quote(Expression)]),
	unicode:characters_to_list(field("value", Result)).

%% One at a time: what comes meanwhile and answers nothing are events.
call({ConnPid, StreamRef} = Browser, Method, Params) ->
	Call = ["{\"id\":1,\"method\":\"", Method, "\",\"params\":{", Params, "}}"],
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Call}),
	answer(Browser, Method).

answer({ConnPid, StreamRef} = Browser, Method) ->
	case gun_rs:await(ConnPid, StreamRef, ?WAIT) of
		{ws, {text, <<"{\"id\":1,\"result\":", Result/binary>>}} -> Result;
		{ws, {text, <<"{\"method\":", _/binary>>}} -> answer(Browser, Method);
		Other -> stop("~ts is answered by ~0p", [Method, Other])
	end.

%% Of JSON no more than this is needed: one text without escapes, by its name.
field(Name, Json) ->
	case re:run(Json, ["\"", Name, "\": ?\"([^\"\\\\]*)\""], [{capture, all_but_first, binary}]) of
		{match, [Value]} -> Value;
		nomatch -> stop("there is no ~ts in ~0p", [Name, Json])
	end.

quote(Text) ->
	io_lib:write_string(Text).

stop(Sentence, Args) ->
	io:format(standard_error, "browser: " ++ Sentence ++ ".~n", Args),
	halt(1).
