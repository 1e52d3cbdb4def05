%% @private The options of a `gun_rs_socket': its own, and those of open.
-module(gun_rs_socket_options).

-export([split/2]).

%% @doc What to upgrade and to open with. The path and the headers are checked here too, before
%% anything is connected.
-spec split(Path :: iodata(), Opts :: term())
	-> {ok, gun_rs_request:headers(), timeout(), gun_rs_options:opts()} | {error, Reason :: term()}.
split(Path, Opts) when is_map(Opts) ->
	case lists:sort([Opt || Opt <- own(Opts), not is_valid(Opt)]) of
		[] ->
			Headers = maps:get(headers, Opts, []),
			try
				_ = gun_rs_request:path(Path),
				_ = gun_rs_request:upgrade_headers(Headers, raise),
				#{timeout := Timeout} = maps:merge(gun_rs_option_table:defaults(socket), Opts),
				OpenOpts = maps:without([headers, timeout], Opts),
				{ok, Headers, Timeout,
					maps:merge(#{protocols => [http], retry => 0}, OpenOpts#{notify_retries => true})}
			catch error:Reason={_, _, _} ->
				{error, Reason}
			end;
		[Bad|_] ->
			{error, {options, {socket, Bad}}}
	end;
split(_, Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}}.

%% Those that are the socket's own, or that open would take and the socket cannot.
own(Opts=#{ws_opts := #{reply_to := ReplyTo}}) ->
	[{reply_to, ReplyTo}|own(maps:remove(ws_opts, Opts))];
own(Opts) ->
	maps:to_list(maps:with([notify_retries, supervise, timeout], Opts)).

is_valid({timeout, T}) -> gun_rs_option_table:check(socket, #{timeout => T}) =:= ok;
is_valid({supervise, true}) -> true;
is_valid(_) -> false.
