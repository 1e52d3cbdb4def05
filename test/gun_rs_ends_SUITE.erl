%% A connection ends as its owner does, or is told to, in whatever state it is; and an owner that gives it away gives
%% all of it.
-module(gun_rs_ends_SUITE).

-import(lying_server, [frame/2]).

-include("gun_rs_suite.hrl").

-define(STATES, [waiting, connecting, tls_handshake, http, request, upgrading, ws, closing, shutting_down]).

groups() ->
	[{State, [owner_exits, shutdown, close, kill, info, new_owner]} || State <- ?STATES]
	++ [{owners, [owners_in_a_chain, owners_beside_a_stream, owners_beside_senders, dead_new_owner]}].

init_per_suite(Config) ->
	%% The queue of a listener that doesn't accept holds one connection; the system leaves others unanswered.
	{ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {backlog, 0}, {active, false}]),
	{ok, Port} = inet:port(Listener),
	Self = self(),
	Holder = spawn(fun() ->
		Fillers = do_fill(Port),
		Self ! {self(), filled},
		receive stop -> [gen_tcp:close(Filler) || Filler <- Fillers] end
	end),
	ok = gen_tcp:controlling_process(Listener, Holder),
	?EXPECT({Holder, filled}),
	[{holder, Holder}, {silent_port, Port}|Config].

do_fill(Port) ->
	case gen_tcp:connect({127, 0, 0, 1}, Port, [], 500) of
		{ok, Filler} -> [Filler|do_fill(Port)];
		{error, timeout} -> []
	end.

end_per_suite(Config) ->
	config(holder, Config) ! stop,
	ok.

init_per_group(State, Config) ->
	[{state, State}|Config].

end_per_group(_, _) ->
	ok.

%% A connection in the group's state, with an owner that tells us what it gets: {Owner, Msg}. The server, where there is
%% one, says on go/1 what the end of a connection in that state waits for.
do_conn(Config) ->
	do_conn(config(state, Config), Config).

do_conn(waiting, _) ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{Owner, ConnPid} = do_owner(Port, #{retry => 1000, retry_timeout => 100 * ?WAIT, notify_retries => true}),
	?EXPECT({Owner, {gun_notify, ConnPid, retry, #{timeout := 100 * ?WAIT}}}),
	gun_rs_test:release_port(Socket),
	{Owner, ConnPid, none};
do_conn(connecting, Config) ->
	{Owner, ConnPid} = do_owner(config(silent_port, Config), #{connect_timeout => infinity}),
	%% The attempt begins a moment after open has returned.
	true = eventually(fun() -> maps:get(state_name, gun_rs:info(ConnPid)) =:= connecting end),
	{Owner, ConnPid, none};
do_conn(tls_handshake, _) ->
	{Server, Port} = lying_server:start([]),
	{Owner, ConnPid} = do_owner(Port, #{transport => tls, tls_handshake_timeout => infinity}),
	?EXPECT({lying_server, Server, accepted}),
	{Owner, ConnPid, Server};
do_conn(http, _) ->
	{Server, Port} = lying_server:start([]),
	{Owner, ConnPid} = do_owner(Port, #{}),
	?EXPECT({Owner, {gun_up, ConnPid, http}}),
	?EXPECT({lying_server, Server, accepted}),
	{Owner, ConnPid, Server};
do_conn(request, _) ->
	{Server, Port} = lying_server:start([request, wait, {send, lying_server:ok("Hello!")}]),
	{Owner, ConnPid} = do_owner(Port, #{http_opts => #{closing_timeout => infinity}}),
	_ = gun_rs:get(ConnPid, "/", [], #{reply_to => Owner}),
	?EXPECT({lying_server, Server, {request, _}}),
	{Owner, ConnPid, Server};
do_conn(upgrading, _) ->
	{Server, Port} = lying_server:start([
		{answer, fun(Key) -> receive go -> lying_server:response(Key) end end},
		frame, {send, frame(close, <<>>)}
	]),
	{Owner, ConnPid} = do_owner(Port, #{http_opts => #{closing_timeout => infinity}}),
	_ = gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => Owner}),
	?EXPECT({lying_server, Server, {request, _}}),
	{Owner, ConnPid, Server};
do_conn(ws, _) ->
	{Server, Port} = lying_server:start([upgrade, frame, wait, {send, frame(close, <<>>)}]),
	{Owner, ConnPid} = do_upgraded(Port),
	{Owner, ConnPid, Server};
do_conn(closing, _) ->
	{Server, Port} = lying_server:start([upgrade, frame, wait, {send, frame(close, <<>>)}]),
	{Owner, ConnPid} = do_upgraded(Port),
	ok = gun_rs:ws_send(ConnPid, {close, 1000, <<"bye">>}),
	?EXPECT({lying_server, Server, {frame, close, <<1000:16, "bye">>}}),
	{Owner, ConnPid, Server};
do_conn(shutting_down, _) ->
	{Server, Port} = lying_server:start([upgrade, frame, wait, {send, frame(close, <<>>)}]),
	{Owner, ConnPid} = do_upgraded(Port),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
	{Owner, ConnPid, Server}.

do_upgraded(Port) ->
	{Owner, ConnPid} = do_owner(Port, #{}),
	_ = gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => Owner, closing_timeout => infinity}),
	?EXPECT({Owner, {gun_upgrade, ConnPid, _, _, _}}),
	{Owner, ConnPid}.

%% It exits with any reason that it's told; normal can't be sent from outside.
do_owner(Port, Opts) ->
	Self = self(),
	Owner = spawn(fun() ->
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Opts),
		Self ! {self(), opened, ConnPid},
		do_owner_loop(Self)
	end),
	{Owner, ?EXPECT({Owner, opened, ConnPid}, ConnPid)}.

do_owner_loop(Self) ->
	receive
		{exit, Reason} -> exit(Reason);
		{run, Fun} -> ok = Fun(), Self ! {self(), ran}, do_owner_loop(Self);
		Msg -> Self ! {self(), Msg}, do_owner_loop(Self)
	end.

%% What the end waits for comes, and the server is left alone.
do_go(none) -> ok;
do_go(Server) -> lying_server:go(Server).

do_stop(none) ->
	ok;
do_stop(Server) ->
	?EXPECT({lying_server, Server, closed}),
	ok = lying_server:stop(Server),
	do_forget(Server).

do_forget(Server) ->
	receive {lying_server, Server, _} -> do_forget(Server) after 0 -> ok end.

%% The ends.

owner_exits(Config) ->
	doc("The owner's exit ends the connection, with a reason of the owner's; a WebSocket says 1001 first."),
	_ = [begin
		{Owner, ConnPid, Server} = do_conn(Config),
		MRef = watch(ConnPid),
		case Exit of
			kill -> exit(Owner, kill);
			_ -> Owner ! {exit, Exit}
		end,
		case config(state, Config) of
			ws -> ?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}});
			%% The close frame has been sent: the exit of the owner must be known before the server answers.
			_ -> ok = do_owner_is_gone(ConnPid, Owner)
		end,
		do_go(Server),
		?EXPECT({'DOWN', MRef, process, ConnPid, Reason}),
		do_stop(Server)
	end || {Exit, Reason} <- [
		{normal, normal},
		{shutdown, shutdown},
		{{shutdown, because}, {shutdown, because}},
		{oops, {shutdown, {owner_down, oops}}},
		{kill, {shutdown, {owner_down, killed}}}
	]],
	ok.

%% Signals between two processes come in order, and those of a third may overtake: the owner is dead when we hear of
%% it, and the connection has heard of it when it has answered twice, or is gone.
do_owner_is_gone(ConnPid, Owner) ->
	MRef = monitor(process, Owner),
	?EXPECT({'DOWN', MRef, process, Owner, _}),
	_ = [?CATCH(gun_rs:info(ConnPid)) || _ <- [1, 2]],
	ok.

shutdown(Config) ->
	doc("shutdown/1 ends it with shutdown; a response or a closing handshake under way is awaited. No gun_down is sent."),
	{Owner, ConnPid, Server} = do_conn(Config),
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	State = config(state, Config),
	case State of
		ws ->
			?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}});
		_ when State =:= request; State =:= upgrading; State =:= closing; State =:= shutting_down ->
			%% It waits, and says so.
			#{owner := Owner} = gun_rs:info(ConnPid),
			?REFUTE({'DOWN', MRef, process, ConnPid, _});
		_ ->
			ok
	end,
	do_go(Server),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	case State of
		request ->
			?EXPECT({Owner, {gun_response, ConnPid, _, nofin, 200, _}}),
			?EXPECT({Owner, {gun_data, ConnPid, _, fin, <<"Hello!">>}});
		upgrading ->
			?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}});
		_ ->
			ok
	end,
	do_stop(Server),
	?REFUTE({Owner, {gun_down, _, _, _, _}}),
	exit(Owner, kill),
	ok = gun_rs:shutdown(ConnPid).

close(Config) ->
	doc("close/1 ends it before it returns, with shutdown, without a gun_down, and without waiting for anything."),
	{Owner, ConnPid, Server} = do_conn(Config),
	MRef = watch(ConnPid),
	ok = gun_rs:close(ConnPid),
	false = is_process_alive(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	do_go(Server),
	do_stop(Server),
	?REFUTE({Owner, {gun_down, _, _, _, _}}),
	ok = gun_rs:close(ConnPid),
	exit(Owner, kill),
	ok.

kill(Config) ->
	doc("When ConnPid is killed its socket closes, and its connection is forgotten."),
	true = eventually(fun() -> maps:get(connections, gun_rs_native:stats()) =:= 0 end),
	{Owner, ConnPid, Server} = do_conn(Config),
	MRef = watch(ConnPid),
	exit(ConnPid, kill),
	?EXPECT({'DOWN', MRef, process, ConnPid, killed}),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	do_go(Server),
	do_stop(Server),
	exit(Owner, kill),
	ok.

info(Config) ->
	doc("info/1 answers at once, and says what the connection does."),
	{Owner, ConnPid, Server} = do_conn(Config),
	Expected = case config(state, Config) of
		waiting -> {domain_lookup, none};
		connecting -> {connecting, none};
		tls_handshake -> {connecting, none};
		http -> {connected, http};
		request -> {connected, http};
		upgrading -> {connected, http};
		ws -> {connected_ws_only, ws};
		closing -> {closing, ws};
		shutting_down -> {closing, ws}
	end,
	%% None of these states ends by itself: an answer that waited for its end would never come.
	_ = [begin
		Info = #{owner := Owner, state_name := Name, transport := _, origin_host := "127.0.0.1", origin_port := _,
			origin_scheme := _, intermediaries := [], stats := #{send_queue := _}} = gun_rs:info(ConnPid),
		Expected = {Name, maps:get(protocol, Info, none)},
		true = is_map_key(sock_ip, Info) =:= (element(2, Expected) =/= none)
	end || _ <- lists:seq(1, 100)],
	ok = gun_rs:close(ConnPid),
	{'EXIT', {noproc, {sys, get_state, [ConnPid]}}} = ?CATCH(gun_rs:info(ConnPid)),
	do_go(Server),
	do_stop(Server),
	exit(Owner, kill),
	ok.

new_owner(Config) ->
	doc("set_owner in this state counts, unless the connection is being shut down, when it is refused with badstate."),
	{Owner, ConnPid, Server} = do_conn(Config),
	{NewOwner, _} = spawn_monitor(fun() -> receive {exit, Reason} -> exit(Reason) end end),
	Self = self(),
	Owner ! {run, fun() -> gun_rs:set_owner(ConnPid, NewOwner) end},
	?EXPECT({Owner, ran}),
	case config(state, Config) of
		shutting_down ->
			?EXPECT({Owner, {gun_error, ConnPid, {badstate, [_|_]}}}),
			#{owner := Owner} = gun_rs:info(ConnPid),
			exit(NewOwner, kill),
			ok = gun_rs:close(ConnPid),
			do_go(Server);
		_ ->
			#{owner := NewOwner} = gun_rs:info(ConnPid),
			%% The first owner has nothing to do with it any more.
			exit(Owner, kill),
			MRef = watch(ConnPid),
			?REFUTE({'DOWN', MRef, process, ConnPid, _}),
			NewOwner ! {exit, {shutdown, Self}},
			?EXPECT({'DOWN', _, process, NewOwner, _}),
			_ = [?CATCH(gun_rs:info(ConnPid)) || _ <- [1, 2]],
			do_go(Server),
			case config(state, Config) of
				ws ->
					?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
					do_go(Server);
				_ ->
					ok
			end,
			?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, Self}})
	end,
	do_stop(Server),
	exit(Owner, kill),
	ok.

%% Owners.

%% One owner after another. Each keeps what it gets; where there is something to wait for, every second one waits until
%% it has got something, and the others are owners for a moment only.
do_chain(ConnPid, _, 0, Self) ->
	Self ! {last, ConnPid, self()},
	do_kept([]);
do_chain(ConnPid, Wait, Left, Self) ->
	Next = spawn_link(fun() -> receive yours -> do_chain(ConnPid, Wait, Left - 1, Self) end end),
	Self ! {owner, Left, self()},
	Kept = do_first(Wait andalso Left rem 2 =:= 0),
	ok = gun_rs:set_owner(ConnPid, Next),
	%% Only the owner can: before the next does, this must have come.
	#{owner := Next} = gun_rs:info(ConnPid),
	Next ! yours,
	do_kept(Kept).

do_first(false) -> [];
do_first(true) -> [?EXPECT(Msg when element(1, Msg) =/= tell, Msg)].

%% Its own messages, in the order in which they came.
do_kept(Kept) ->
	receive
		{tell, From} -> From ! {self(), lists:reverse(Kept)};
		yours -> do_kept(Kept);
		Msg -> do_kept([Msg|Kept])
	end.

do_tell(Pid) ->
	Pid ! {tell, self()},
	?EXPECT({Pid, Kept}, Kept).

owners_in_a_chain(_) ->
	doc("500 owners, one after the other, of a connection that comes and goes: together they hear each gun_up and "
		"gun_down once, and in order."),
	{Server, Port} = lying_server:start([reset]),
	Self = self(),
	First = spawn_link(fun() ->
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry_fun => fun(_, _) -> #{retries => 1, timeout => 1} end}),
		do_chain(ConnPid, true, 500, Self)
	end),
	{ConnPid, Last} = ?EXPECT({last, Pid, L}, {Pid, L}),
	First = ?EXPECT({owner, 500, F}, F),
	Owners = [First|[?EXPECT({owner, N, O}, O) || N <- lists:seq(499, 1, -1)]] ++ [Last],
	ok = gun_rs:close(ConnPid),
	Told = [do_tell(Owner) || Owner <- Owners],
	Messages = lists:append(Told),
	Ups = length([up || {gun_up, Pid, http} <- Messages, Pid =:= ConnPid]),
	Downs = length([down || {gun_down, Pid, http, _, []} <- Messages, Pid =:= ConnPid]),
	ct:log("~b gun_up and ~b gun_down for ~b owners, ~b of whom had any",
		[Ups, Downs, length(Owners), length([T || T <- Told, T =/= []])]),
	true = Ups + Downs =:= length(Messages),
	true = Ups + Downs >= 250,
	ok = do_alternate(Messages),
	ok = lying_server:stop(Server),
	%% The server knows of each; it may have reset some before they were up, and not have had the last one yet.
	Accepted = do_count_accepted(Server, 0),
	{true, _, _} = {Ups =< Accepted + 1, Accepted, Ups},
	ok.

do_alternate([{gun_up, _, _}]) -> ok;
do_alternate([{gun_up, _, _}, {gun_down, _, _, _, _}|Messages]) -> do_alternate(Messages);
do_alternate([]) -> ok;
do_alternate(Messages) -> error({out_of_order, lists:sublist(Messages, 5)}).

do_count_accepted(Server, N) ->
	receive
		{lying_server, Server, accepted} -> do_count_accepted(Server, N + 1)
	after 0 ->
		N
	end.

owners_beside_a_stream(_) ->
	doc("While the owner changes 500 times, the stream's receiver gets each of 50,000 frames once, and in order."),
	Count = 50000,
	{Server, Port} = lying_server:start([upgrade, wait, {send_each, fun(N) -> frame(binary, <<N:32>>) end, Count}]),
	Self = self(),
	First = spawn_link(fun() ->
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port),
		_ = gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => Self}),
		receive start -> do_chain(ConnPid, false, 500, Self) end
	end),
	{ConnPid, StreamRef} = ?EXPECT({gun_upgrade, Pid, Ref, _, _}, {Pid, Ref}),
	lying_server:go(Server),
	First ! start,
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<M:32>>}}, M = N) || N <- lists:seq(1, Count)],
	Last = ?EXPECT({last, ConnPid, L}, L),
	#{owner := Last} = gun_rs:info(ConnPid),
	?REFUTE({gun_ws, _, _, _}),
	Owners = [?EXPECT({owner, N, O}, O) || N <- lists:seq(500, 1, -1)],
	%% The stream is none of the owners' business.
	[{gun_up, ConnPid, http}] = lists:append([do_tell(Owner) || Owner <- Owners ++ [Last]]),
	lying_server:stop(Server).

owners_beside_senders(_) ->
	doc("While the owner changes, what others send is sent once and in order, and nobody's answers go astray."),
	{Listener, Port} = gun_rs_test:start_cowboy(),
	Self = self(),
	First = spawn_link(fun() ->
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port),
		_ = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => Self}),
		receive start -> do_chain(ConnPid, false, 500, Self) end
	end),
	{ConnPid, StreamRef} = ?EXPECT({gun_upgrade, Pid, Ref, _, _}, {Pid, Ref}),
	First ! start,
	Senders = [spawn_link(fun() ->
		_ = [case N rem 2 of
			0 -> ok = gun_rs:ws_send(ConnPid, StreamRef, {text, [integer_to_list(Sender), $:, integer_to_list(N)]});
			1 -> ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, [integer_to_list(Sender), $:, integer_to_list(N)]},
				infinity)
		end || N <- lists:seq(1, 1000)],
		Self ! {self(), sent}
	end) || Sender <- [1, 2, 3, 4]],
	_ = [?EXPECT({Sender, sent}) || Sender <- Senders],
	Last = ?EXPECT({last, ConnPid, L}, L),
	Echoes = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}}, list_to_tuple(
		[binary_to_integer(Part) || Part <- binary:split(Text, <<":">>)])) || _ <- lists:seq(1, 4000)],
	_ = [begin
		Expected = lists:seq(1, 1000),
		Expected = [N || {Of, N} <- Echoes, Of =:= Sender]
	end || Sender <- [1, 2, 3, 4]],
	?REFUTE({gun_ws, _, _, _}),
	Owners = [?EXPECT({owner, N, O}, O) || N <- lists:seq(500, 1, -1)],
	[{gun_up, ConnPid, http}] = lists:append([do_tell(Owner) || Owner <- Owners ++ [Last]]),
	ok = gun_rs:close(ConnPid),
	gun_rs_test:stop_cowboy(Listener).

dead_new_owner(_) ->
	doc("A new owner that is dead already ends the connection as one that dies."),
	{Server, Port} = lying_server:start([upgrade, frame, {send, frame(close, <<>>)}]),
	{Dead, MRef0} = spawn_monitor(fun() -> ok end),
	?EXPECT({'DOWN', MRef0, process, Dead, normal}),
	{ConnPid, _} = gun_rs_test:open_ws(Port, "/"),
	MRef = watch(ConnPid),
	ok = gun_rs:set_owner(ConnPid, Dead),
	?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, noproc}}}),
	lying_server:stop(Server).
