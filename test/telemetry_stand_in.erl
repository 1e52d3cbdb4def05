%% A module telemetry for tests, which sends the events to one process as `{telemetry, Name, Measurements, Metadata}'.
-module(telemetry_stand_in).

-export([load/0]).
-export([attach/1]).
-export([detach/0]).
-export([unload/0]).

%% In the place of the application's module, which is not in the code path of the tests.
load() ->
	Source = "-module(telemetry). -export([execute/3]). execute(Name, Measurements, Metadata) -> "
		"case whereis(telemetry_stand_in) of undefined -> ok; "
		"Pid -> Pid ! {telemetry, Name, Measurements, Metadata}, ok end.",
	{ok, Tokens, _} = erl_scan:string(Source),
	{ok, telemetry, Beam} = compile:forms(forms(Tokens, []), [binary]),
	{module, telemetry} = code:load_binary(telemetry, "telemetry.erl", Beam),
	ok.

forms([], _) -> [];
forms([Dot={dot, _}|Tokens], Form) ->
	{ok, Parsed} = erl_parse:parse_form(lists:reverse([Dot|Form])),
	[Parsed|forms(Tokens, [])];
forms([Token|Tokens], Form) -> forms(Tokens, [Token|Form]).

attach(Pid) ->
	_ = detach(),
	true = register(?MODULE, Pid),
	ok.

detach() ->
	try unregister(?MODULE) catch error:badarg -> false end.

unload() ->
	_ = detach(),
	true = code:delete(telemetry),
	_ = code:purge(telemetry),
	ok.
