%% A module for WebSocket frames that tells each of them, as it comes, to the receiver of messages.
-module(compare_tell_h).

-export([init/4]).
-export([handle/2]).

init(ReplyTo, StreamRef, Headers, Opts) ->
	ReplyTo ! {init, StreamRef, proplists:get_keys(Headers), maps:get(user_opts, Opts, none)},
	{ok, ReplyTo}.

handle(Frame, ReplyTo) ->
	ReplyTo ! {handle, Frame},
	{ok, 1, ReplyTo}.
