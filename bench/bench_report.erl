%% How the benchmarks tell what they have measured: a line for each workload, tables in Markdown, and a file in JSON. A
%% result is {Workload, #{Client => Figures}}.
-module(bench_report).

-export([heading/0]).
-export([tell/1]).
-export([tables/1]).
-export([write/2]).

heading() ->
	io_lib:format("OTP ~s, gun ~s, Cowboy ~s, ~b schedulers, ~s, ~s", [erlang:system_info(otp_release),
		version(gun), version(cowboy), erlang:system_info(schedulers_online), congestion_control(),
		calendar:system_time_to_rfc3339(erlang:system_time(second))]).

version(App) ->
	_ = application:load(App),
	{ok, Version} = application:get_key(App, vsn),
	Version.

%% TCP's, which has a say in how fast a flood is.
congestion_control() ->
	case file:read_file("/proc/sys/net/ipv4/tcp_congestion_control") of
		{ok, Name} -> string:trim(Name);
		{error, _} -> "the system's congestion control"
	end.

tell(Result = {Workload = #{beside := cowboy}, _}) ->
	#{gun_rs := Ours, cowboy := Cowboys, ratio := Ratio} = compared(Result),
	io:format("bench ~s gun_rs=~s cowboy=~s ratio=~.2f~s~n", [name(Workload), show(Ours), show(Cowboys), Ratio,
		[io_lib:format(" ~s_~s=~s", [Key, Server, show(Figure)]) || {Key, Server, Figure} <- besides(Result)]]);
tell(Result = {Workload, _}) ->
	Compared = #{gun_rs := Ours, gun := Guns, vs_gun := VsGun} = compared(Result),
	{Limit, ToLimit} = case Compared of
		#{limit := L, vs_limit := VsLimit} -> {[" limit=", show(L)], io_lib:format(" vs_limit=~.2f", [VsLimit])};
		_ -> {"", ""}
	end,
	io:format("bench ~s gun_rs=~s gun=~s~s vs_gun=~.2f~s~s~n",
		[name(Workload), show(Ours), show(Guns), Limit, VsGun, ToLimit,
			[io_lib:format(" ~s_~s=~s", [Key, Client, show(Figure)]) || {Key, Client, Figure} <- besides(Result)]]).

tables(Results) ->
	{Servers, Clients} = lists:partition(fun({#{beside := Other}, _}) -> Other =:= cowboy end, Results),
	[client_tables(Clients) || Clients =/= []] ++ ["\n" || Clients =/= [], Servers =/= []]
		++ [server_table(Servers) || Servers =/= []].

server_table(Results) ->
	["| workload | unit | gun_rs | Cowboy | ratio | CPU us, gun_rs | CPU us, Cowboy | CPU us, clients |\n"
		"|---|---|---:|---:|---:|---:|---:|---:|\n",
	[begin
		#{gun_rs := Ours, cowboy := Cowboys, ratio := Ratio} = compared(Result),
		Cpus = [cell(cpu, Figures), cell(cpu, Others), cell(clients_cpu, Figures)],
		io_lib:format("| ~s | ~s | ~s | ~s | ~.1f x | ~s |~n",
			[name(Workload), unit(Workload), show(Ours), show(Cowboys), Ratio, lists:join(" | ", Cpus)])
	end || Result = {Workload, #{gun_rs := Figures, cowboy := Others}} <- Results]].

client_tables(Results) ->
	["| workload | unit | gun_rs | gun | limit | to gun | to the limit | CPU us, gun_rs | CPU us, gun | CPU us, limit |\n"
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
	[begin
		Compared = #{gun_rs := Ours, gun := Guns, vs_gun := VsGun} = compared(Result),
		ToLimit = case Compared of
			#{vs_limit := VsLimit} -> io_lib:format("~.2f x", [VsLimit]);
			_ -> "-"
		end,
		Cpus = cells(cpu, Result),
		io_lib:format("| ~s | ~s | ~s | ~s | ~s | ~.1f x | ~s | ~s |~n", [name(Workload), unit(Workload), show(Ours),
			show(Guns), cell(limit, Compared), VsGun, ToLimit, lists:join(" | ", Cpus)])
	end || Result = {Workload, _} <- Results],
	"\n| workload | besides | gun_rs | gun | limit |\n|---|---|---:|---:|---:|\n",
	[io_lib:format("| ~s | ~s | ~s |~n", [name(Workload), Key,
			lists:join(" | ", cells(Key, Result))])
		|| Result = {Workload, _} <- Results, Key <- keys(Result) -- [cpu]]].

write(File, Results) ->
	Rows = [begin
		Compared = compared(Result),
		io_lib:format("  {\"workload\": \"~s\", \"unit\": \"~s\"~s}", [name(Workload), unit(Workload),
			[io_lib:format(", \"~s\": ~.4f", [Key, float(maps:get(Key, Compared))])
				|| Key <- [gun_rs, gun, limit, vs_gun, vs_limit, cowboy, ratio], is_map_key(Key, Compared)] ++
			[io_lib:format(", \"~s_~s\": ~.4f", [Key, Client, float(Figure)])
				|| {Key, Client, Figure} <- besides(Result)]])
	end || Result = {Workload, _} <- Results],
	ok = filelib:ensure_dir(File),
	Text = io_lib:format("{\"about\": \"~s\", \"results\": [~n~s~n]}~n", [heading(), lists:join(",\n", Rows)]),
	file:write_file(File, Text).

name(#{prefix := Prefix, name := Name}) -> Prefix ++ Name.

unit(#{unit := Unit}) -> Unit.

%% Ratios above 1 are better for gun_rs.
compared({Workload, #{gun_rs := #{figure := Ours}, cowboy := #{figure := Cowboys}}}) ->
	#{gun_rs => Ours, cowboy => Cowboys, ratio => ratio(Workload, Ours, Cowboys)};
compared(Result = {Workload, _}) ->
	[Ours, Guns|Limits] = [Figure || #{figure := Figure} <- clients(Result)],
	Compared = #{gun_rs => Ours, gun => Guns, vs_gun => ratio(Workload, Ours, Guns)},
	case Limits of
		[Limit] -> Compared#{limit => Limit, vs_limit => ratio(Workload, Ours, Limit)};
		[] -> Compared
	end.

ratio(#{do := Do}, Ours, Theirs) when Do =:= connect; Do =:= load_upgrades -> Ours / max(0.001, Theirs);
ratio(_, Ours, Theirs) -> Theirs / max(0.001, Ours).

%% Those of gun_rs, of gun, and of what is the limit, where there is one.
clients({_, #{gun_rs := Ours, cowboy := Cowboys}}) ->
	[Ours, Cowboys];
clients({_, #{gun_rs := Ours, gun := Guns, rust := Rust, vm := Vm}}) ->
	Slower = case {Rust, Vm} of
		{#{figure := R}, #{figure := V}} when R >= V -> Rust;
		_ -> Vm
	end,
	[Ours, Guns, Slower];
clients({_, #{gun_rs := Ours, gun := Guns, rust := Rust}}) ->
	[Ours, Guns, Rust];
clients({_, #{gun_rs := Ours, gun := Guns}}) ->
	[Ours, Guns].

%% What else is known of them.
besides(Result) ->
	Names = case Result of
		{#{beside := cowboy}, _} -> [gun_rs, cowboy];
		_ -> [gun_rs, gun, limit]
	end,
	Found = clients(Result),
	Clients = lists:zip(lists:sublist(Names, length(Found)), Found),
	[{Key, Client, Figure} || Key <- keys(Result), {Client, #{Key := Figure}} <- Clients].

keys(Result) ->
	lists:usort([Key || Figures <- clients(Result), Key <- maps:keys(Figures), Key =/= figure]).

%% In the columns of gun_rs, gun, and the limit.
cells(Key, Result) ->
	Found = [cell(Key, Figures) || Figures <- clients(Result)],
	Found ++ ["-" || _ <- lists:seq(length(Found) + 1, 3)].

cell(Key, Figures) ->
	case Figures of
		#{Key := Figure} -> show(Figure);
		_ -> "-"
	end.

show(Figure) when Figure >= 100 -> integer_to_list(round(Figure));
show(Figure) when Figure >= 10 -> io_lib:format("~.1f", [float(Figure)]);
show(Figure) -> io_lib:format("~.2f", [float(Figure)]).
