-module(chat_tests).

-include_lib("eunit/include/eunit.hrl").

%% The application starts gun, which is gun_rs, and its library talks to the server at the port ECHO_PORT.
echo_test() ->
	{ok, Started} = application:ensure_all_started(chat),
	?assert(lists:member(gun_rs, Started)),
	Port = list_to_integer(os:getenv("ECHO_PORT")),
	?assertEqual({<<"Hello!">>, 1000}, chat:echo(Port, <<"Hello!">>)).

page_test() ->
	Port = list_to_integer(os:getenv("ECHO_PORT")),
	?assertMatch({Status, _} when Status >= 400, chat_lib:status("localhost", Port, "/nothing")).
