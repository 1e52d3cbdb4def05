-module(talker_tests).

-include_lib("eunit/include/eunit.hrl").

%% The application starts gun_rs, finds its native library, and talks to the server at the port ECHO_PORT.
echo_test() ->
	{ok, _} = application:ensure_all_started(talker),
	Port = list_to_integer(os:getenv("ECHO_PORT")),
	?assertEqual(<<"Hello!">>, talker:echo(Port, <<"Hello!">>)).
