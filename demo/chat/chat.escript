#!/usr/bin/env escript
%% Serves the chat of this folder.
%%
%% usage: chat.escript PORT      (0 is any port that is free)

main([Port]) ->
	Folder = filename:dirname(escript:script_name()),
	{ok, chat_h, Handler} = compile:file(filename:join(Folder, "chat_h"), [binary]),
	{module, chat_h} = code:load_binary(chat_h, "chat_h", Handler),
	{ok, _} = application:ensure_all_started(gun_rs),
	{ok, _} = pg:start(chat),
	Dispatch = gun_rs_router:compile([{'_', [
		{"/", gun_rs_static, {file, filename:join(Folder, "index.html")}},
		{"/room/:name", chat_h, []}
	]}]),
	case gun_rs_server:start_clear(chat, [{port, list_to_integer(Port)}], #{env => #{dispatch => Dispatch}}) of
		{ok, _} ->
			io:format("The chat is at http://localhost:~b/~n", [gun_rs_server:get_port(chat)]),
			receive after infinity -> ok end;
		Error ->
			io:format(standard_error, "~ts~n", [gun_rs_server:format_error(Error)]),
			halt(1)
	end.
