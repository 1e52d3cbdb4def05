%% @private Events of the application telemetry, which is no dependency: they are executed where its module is loaded, and
%% nobody has attached a handler where it is not.
-module(gun_rs_telemetry).

-export([is_on/0]).
-export([execute/3]).
-export([cause/1]).

-type name() :: [atom()].
-type measurements() :: #{atom() => number()}.
-type metadata() :: map().
-export_type([name/0, measurements/0, metadata/0]).

%% @doc Whether events are executed. Nothing is loaded to know it.
-spec is_on() -> boolean().
is_on() ->
	erlang:function_exported(telemetry, execute, 3).

%% @doc Executes an event, if events are executed.
-spec execute(name(), measurements(), metadata()) -> ok.
execute(Name, Measurements, Metadata) ->
	Module = telemetry,
	_ = [Module:execute(Name, Measurements, Metadata) || is_on()],
	ok.

%% @doc What the metadata of an exception say about its cause, which may be the exit reason of a process that has crashed.
-spec cause(Reason :: term()) -> #{kind := error | exit, reason := term(), stacktrace := list()}.
cause({Reason, Stacktrace=[{Module, Function, _, _}|_]}) when is_atom(Module), is_atom(Function) ->
	#{kind => error, reason => Reason, stacktrace => gun_rs_secrets:without_arguments(Stacktrace)};
cause(Reason) ->
	#{kind => exit, reason => Reason, stacktrace => []}.
