%% @private Delivers messages to whoever a `reply_to' names.
-module(gun_rs_delivery).

-export([deliver/2]).

%% @doc Sends the message, or calls the fun or the function with it.
-spec deliver(gun_rs_options:reply_to(), Message :: term()) -> term().
deliver(Pid, Message) when is_pid(Pid) -> gun_rs_remote:send(Pid, Message);
deliver(Alias, Message) when is_reference(Alias) -> gun_rs_remote:send(Alias, Message);
deliver(Fun, Message) when is_function(Fun, 1) -> Fun(Message);
deliver({Fun, Args}, Message) when is_function(Fun) -> apply(Fun, [Message|Args]);
deliver({Module, Function, Args}, Message) -> apply(Module, Function, [Message|Args]).
