%% What every suite begins with. A suite may say before it includes this:
%%
%%     -define(NEEDS, [...]).      what gun_rs_suite starts for it; the application alone unless it says so
%%     -define(TIMETRAP, ...).     how long a case may take
%%
%% Every function of one argument is a case, unless its name begins with do_. When the suite has groups(), the groups
%% run, and name the cases themselves.

-include("gun_rs_test.hrl").

-compile([export_all, nowarn_export_all]).

%% No suite uses all of them: that is why rebar.config has warn_unused_import among the static checks alone.
-import(gun_rs_test, [answer/2, config/2, doc/1, eventually/1, open/1, open/2, open_ws/2, open_ws/3, refused_port/0,
	release_port/1, upgrade/2, upgrade/4, watch/1]).

-ifndef(NEEDS).
-define(NEEDS, [gun_rs]).
-endif.

%% Far beyond what the slowest case takes: for what would never end.
-ifndef(TIMETRAP).
-define(TIMETRAP, {minutes, 5}).
-endif.

suite() ->
	[{timetrap, ?TIMETRAP}, {ct_hooks, [{gun_rs_suite, ?NEEDS}]}].

all() ->
	gun_rs_suite:all(?MODULE).
