%% What the suites of libraries that use gun begin with. Every function of one argument is a case, unless its name begins
%% with do_.

-compile([export_all, nowarn_export_all]).

-import(gun_rs_test, [config/2]).

%% Far longer than anything these cases do, so that a loaded machine fails none of them.
-define(WAIT, 30000).

-define(EXPECT(Pattern), ?EXPECT(Pattern, ok)).
-define(EXPECT(Pattern, Result),
	(fun() ->
		receive
			Pattern -> Result
		after ?WAIT ->
			error({no_message, ??Pattern, process_info(self(), messages)})
		end
	end)()).

suite() ->
	[{timetrap, {minutes, 5}}].

all() ->
	dependents:all(?MODULE).
