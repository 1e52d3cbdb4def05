%% A handler of Cowboy 2 that does what its options say: a map with a fun for each callback. What it is
%% called with last, a test learns.
-module(served_2_h).

-export([init/2]).
-export([info/3]).
-export([terminate/3]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

init(Req, Opts) ->
	case Opts of
		#{init := Init} -> Init(Req, Opts);
		#{ws := Ws} -> {cowboy_websocket, Req, Opts, Ws};
		_ -> {cowboy_websocket, Req, Opts}
	end.

info(Message, Req, Opts=#{loop := Loop}) ->
	Loop(Message, Req, Opts).

terminate(Reason, Req, Opts=#{test := Test}) ->
	Test ! {terminate, self(), Reason, Opts, Req},
	ok.

websocket_init(Opts=#{test := Test}) ->
	Test ! {websocket_init, self(), none},
	case Opts of
		#{websocket_init := Init} -> Init(Opts);
		_ -> {ok, Opts}
	end.

websocket_handle(Frame, Opts) ->
	case Opts of
		#{handle := Handle} -> Handle(Frame, Opts);
		_ -> {[Frame], Opts}
	end.

websocket_info(Message, Opts=#{info := Info}) ->
	Info(Message, Opts).
