%% A content handler that changes the body for the next one, and leaves failures alone.
%% Its options: cost, what each piece costs of the flow; tell, who is told of each call.
-module(content_lower_h).
-behaviour(gun_rs_content_handler).

-export([init/5]).
-export([handle/3]).

init(_, _, Status, _, _) when Status >= 400 ->
	disable;
init(ReplyTo, StreamRef, Status, Headers, Opts) ->
	tell({init, ReplyTo, StreamRef, Status, Headers}, Opts),
	{ok, Opts#{pieces => 0}}.

handle(IsFin, Data, State=#{pieces := N}) ->
	tell({handle, IsFin, Data, N}, State),
	{ok, string:lowercase(Data), maps:get(cost, State, 0), State#{pieces := N + 1}}.

tell(What, #{tell := Pid}) -> Pid ! {?MODULE, What};
tell(_, _) -> ok.
