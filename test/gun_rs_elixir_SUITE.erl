%% The Elixir project in elixir/: its tests, and those that its documentation has, by mix, from a copy and without network.
-module(gun_rs_elixir_SUITE).

-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	case {os:find_executable("mix"), os:find_executable("rebar3")} of
		{Mix, Rebar3} when is_list(Mix), is_list(Rebar3) ->
			Root = gun_rs_test:root(),
			Dir = filename:join(config(priv_dir, Config), "gun_rs_elixir"),
			_ = [begin
				To = filename:join(Dir, File),
				ok = filelib:ensure_dir(To),
				{ok, _} = file:copy(filename:join([Root, "elixir", File]), To)
			end || File <- [".formatter.exs", "mix.exs"] ++ filelib:wildcard("{lib,test}/**/*.{ex,exs}", filename:join(Root, "elixir"))],
			[{dir, Dir}, {env, [
				{"GUN_RS", Root}, {"MIX_REBAR3", Rebar3}, {"MIX_HOME", filename:join(Dir, "mix_home")}, {"MIX_ENV", "test"}
			]}|Config];
		_ ->
			{skip, "there is no mix, or no rebar3"}
	end.

end_per_suite(_) ->
	ok.

tests(Config) ->
	doc("It compiles without a warning, and its tests pass."),
	_ = do_mix(["compile", "--warnings-as-errors"], Config),
	Output = do_mix(["test", "--warnings-as-errors"], Config),
	%% Elixir 1.20 says it in other words.
	{match, [Summary]} = re:run(Output, "^(?:[0-9]+ doctests, ([0-9]+) tests, 0 failures|Result: ([0-9]+) passed.*)$",
		[multiline, {capture, first, binary}]),
	ct:comment("~ts", [Summary]).

formatted(Config) ->
	doc("It is as `mix format` writes it."),
	_ = do_mix(["format", "--check-formatted"], Config).

do_mix(Args, Config) ->
	{0, Output} = gun_rs_build_SUITE:do_run("mix", Args, config(dir, Config), config(env, Config)),
	Output.
