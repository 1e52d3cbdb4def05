-module(chat).

-export([echo/2]).

%% What the server at the port answers to a text, and with which code it closes.
-spec echo(inet:port_number(), binary()) -> {binary(), 1000..4999}.
echo(Port, Text) ->
	{ok, Client} = chat_lib:connect("localhost", Port, "/subprotocol"),
	ok = chat_lib:say(Client, Text),
	Echo = receive {chat, Client, E} -> E end,
	ok = chat_lib:leave(Client),
	Code = receive {chat, Client, {closed, C}} -> C end,
	{Echo, Code}.
