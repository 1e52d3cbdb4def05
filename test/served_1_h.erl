%% A handler of Cowboy 1 that does what its options say: a map with a fun for each callback. What it is
%% called with last, a test learns.
-module(served_1_h).

-export([init/3]).
-export([handle/2]).
-export([info/3]).
-export([terminate/3]).
-export([websocket_init/3]).
-export([websocket_handle/3]).
-export([websocket_info/3]).
-export([websocket_terminate/3]).

init(Transport, Req, Opts) ->
	case Opts of
		#{init := Init} -> Init(Transport, Req, Opts);
		_ -> {upgrade, protocol, cowboy_websocket}
	end.

handle(Req, Opts=#{page := Page}) ->
	Page(Req, Opts).

info(Message, Req, Opts=#{loop := Loop}) ->
	Loop(Message, Req, Opts).

terminate(Reason, Req, Opts=#{test := Test}) ->
	Test ! {terminate, self(), Reason, Opts, Req},
	ok.

websocket_init(Transport, Req, Opts=#{test := Test}) ->
	Test ! {websocket_init, self(), Transport},
	case Opts of
		#{websocket_init := Init} -> Init(Req, Opts);
		_ -> {ok, Req, Opts}
	end.

websocket_handle(Frame, Req, Opts) ->
	case Opts of
		#{handle := Handle} -> Handle(Frame, Req, Opts);
		_ -> {reply, Frame, Req, Opts}
	end.

websocket_info(Message, Req, Opts=#{info := Info}) ->
	Info(Message, Req, Opts).

websocket_terminate(Reason, Req, Opts=#{test := Test}) ->
	Test ! {terminate, self(), Reason, Opts, Req},
	ok.
