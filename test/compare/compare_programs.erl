%% Two programs as people write them for gun, each compiled for a client and run unchanged.
-module(compare_programs).

-export([situations/0]).

-import(compare_record, [note/2, server/2, until/1, served/1]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	[{program_gateway, fun gateway/0}, {program_bridge, fun bridge/0}].

%% One client at a time has the module's name: a situation runs with one after the other.
with_program(Module, Fun) ->
	File = filename:join("test/compare", atom_to_list(Module) ++ ".erl"),
	{ok, Module, Beam} = compile:file(File, [binary, report, {d, 'GUN', get(client)}]),
	_ = code:purge(Module),
	{module, Module} = code:load_binary(Module, File, Beam),
	Fun().

%% The server drops the first connection, sends the second away, and refuses the third for good.
gateway() ->
	with_program(compare_gateway, fun() ->
		Connections = counters:new(1, []),
		Text = fun(Text) -> {send, lying_server:frame(text, Text)} end,
		By = fun(Answers) -> {send_each, fun(1) -> lists:nth(counters:get(Connections, 1), Answers) end, 1} end,
		Frame = fun(Data) -> lying_server:frame(text, Data) end,
		Close = fun(Code) -> lying_server:frame(close, <<Code:16, "bye">>) end,
		{_, Port} = server([
			{answer, fun(Key) -> counters:add(Connections, 1, 1), lying_server:response(Key) end},
			Text("hello"),
			frame,
			By([Frame("ready s1"), Frame("resumed"), Frame("resumed")]),
			frame,
			Text("ack"),
			{send, lying_server:frame(ping, "p")},
			frame,
			By(["", Close(4000), Close(4004)]),
			By([Frame("last"), "", ""]),
			close
		], compare_tls:server_opts(good, [{alpn_preferred_protocols, [<<"http/1.1">>]}])),
		_ = process_flag(trap_exit, true),
		{ok, Gateway} = compare_gateway:start_link(self(),
			#{host => "localhost", port => Port, tls_opts => compare_tls:roots()}),
		_ = until({'EXIT', Gateway, '_'}),
		_ = [served({frame, text, <<"heartbeat">>}) || _ <- [1, 2, 3]],
		note(connections, counters:get(Connections, 1))
	end).

bridge() ->
	with_program(compare_bridge, fun() ->
		Ref = make_ref(),
		{ok, _} = cowboy:start_clear(Ref, #{socket_opts => [{port, 0}, {ip, {127, 0, 0, 1}}]},
			#{env => #{dispatch => cowboy_router:compile([{'_', http_echo_h:routes()}])}}),
		Port = ranch:get_port(Ref),
		_ = put({port, Port}, 'PORT'),
		Held = base64:encode(term_to_binary(spawn_link(fun() -> receive stop -> ok end end))),
		Self = self(),
		Pool = lists:foldl(fun({Name, Fun}, Pool0) ->
			{Result, Pool} = Fun(Pool0),
			note(Name, Result),
			Pool
		end, compare_bridge:start({"127.0.0.1", Port}, 2), [
			{get, fun(P) -> compare_bridge:request(P, <<"GET">>, "/echo", [], <<>>) end},
			{post, fun(P) -> compare_bridge:request(P, <<"POST">>, "/echo", [{<<"content-type">>, <<"text/plain">>}], <<"body">>) end},
			{head, fun(P) -> compare_bridge:request(P, <<"HEAD">>, "/echo", #{}, <<>>) end},
			{no_content, fun(P) -> compare_bridge:request(P, <<"GET">>, "/status?code=204", [], <<>>) end},
			{server_error, fun(P) -> compare_bridge:request(P, <<"GET">>, "/status?code=500", [], <<>>) end},
			{not_found, fun(P) -> compare_bridge:request(P, <<"GET">>, "/nowhere", [], <<>>) end},
			{informs, fun(P) -> compare_bridge:request(P, <<"GET">>, "/inform?count=2", [], <<>>) end},
			{trailers, fun(P) -> compare_bridge:request(P, <<"GET">>, "/trailers", [{<<"te">>, <<"trailers">>}], <<>>) end},
			{bad_header, fun(P) -> compare_bridge:request(P, <<"GET">>, "/echo", [{<<"x-a">>, <<"1\r\nx-b: 2">>}], <<>>) end},
			{upload, fun(P) -> compare_bridge:upload(P, "/echo", [], [<<"Hello ">>, <<"World">>]) end},
			{upload_sized, fun(P) -> compare_bridge:upload(P, "/hash", [{<<"content-length">>, <<"100000">>}],
				[binary:copy(<<"a">>, 50000), binary:copy(<<"b">>, 50000)]) end},
			{timeout, fun(P) -> compare_bridge:request(P, <<"GET">>, "/held", [{<<"x-tell">>, Held}], <<>>) end},
			{died, fun(P) -> compare_bridge:request(P, <<"GET">>, "/die", [], <<>>) end},
			{after_died, fun(P) -> compare_bridge:request(P, <<"GET">>, "/echo", [], <<>>) end},
			{download, fun(P) ->
				{Result, Next} = compare_bridge:download(P, "/pieces?count=5&size=1000", fun(Data) -> Self ! {part, Data} end),
				{{Result, erlang:md5(parts())}, Next}
			end},
			{closes, fun(P) -> compare_bridge:request(P, <<"GET">>, "/close", [], <<>>) end},
			{after_close_1, fun(P) -> compare_bridge:request(P, <<"GET">>, "/echo", [], <<>>) end}
		]),
		_ = compare_bridge:stop(Pool),
		cowboy:stop_listener(Ref)
	end).

parts() ->
	receive {part, Data} -> [Data|parts()] after 0 -> [] end.
