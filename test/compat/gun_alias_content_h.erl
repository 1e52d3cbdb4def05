%% Gives the body in capitals to gun's own module.
-module(gun_alias_content_h).
-behaviour(gun_content_handler).

-export([init/5]).
-export([handle/3]).

init(ReplyTo, StreamRef, Status, Headers, Opts) ->
	gun_data_h:init(ReplyTo, StreamRef, Status, Headers, Opts).

handle(IsFin, Data, State) ->
	gun_data_h:handle(IsFin, string:uppercase(Data), State).
