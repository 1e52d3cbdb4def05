%% @private Reports that the native library has been loaded.
-module(gun_rs_reload).

-export([loaded/0]).

%% @doc It may be another copy of the library, which knows nothing of the connections that there
%% are: each sees for itself. Those that are not supervised monitor the supervisor.
-spec loaded() -> ok.
loaded() ->
	ok = gun_rs_tls_cache:forget(),
	Supervised = try
		[Pid || {_, Pid, _, _} <- supervisor:which_children(gun_rs_conns_sup), is_pid(Pid)]
	catch exit:_ ->
		[]
	end,
	Monitors = case [process_info(Sup, monitored_by) || Sup <- [whereis(gun_rs_sup)], is_pid(Sup)] of
		[{monitored_by, Pids}] -> Pids;
		_ -> []
	end,
	_ = [Pid ! {gun_rs_native, loaded} || Pid <- Supervised ++ Monitors, is_pid(Pid), node(Pid) =:= node(),
		proc_lib:translate_initial_call(Pid) =:= {gun_rs_conn, init, 1}],
	ok.
