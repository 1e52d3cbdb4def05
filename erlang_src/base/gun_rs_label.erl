%% @private The label of a process, which observer, crash reports and proc_lib:get_label/1 show from OTP 27 on.
-module(gun_rs_label).

-export([set/1]).

%% @doc Labels the calling process by what the fun returns, which is not called where the OTP has no labels.
-spec set(fun(() -> Label :: term())) -> ok.
set(Make) ->
	Module = proc_lib,
	_ = [Module:set_label(Make()) || erlang:function_exported(Module, set_label, 1)],
	ok.
