%% Records what a client of HTTP and WebSocket does in one situation: what its functions return or raise, what its
%% process sends and how it ends, and what the server sees. It runs in the process that is the connections' owner.
%%
%% Messages to the owner and to the server are kept apart, since nothing orders them. Pids, references, ports and keys
%% are named by the order in which they come up, so that the records of two clients can be compared.
-module(compare_record).

-export([run/2]).
-export([call/2]).
-export([quietly/2]).
-export([note/2]).
-export([open/1]).
-export([open/2]).
-export([watch/1]).
-export([server/1]).
-export([server/2]).
-export([until/1]).
-export([until/2]).
-export([answer/2]).
-export([exit_of/1]).
-export([close/1]).
-export([served/1]).
-export([ordered/0]).
-export([texts/0]).
-export([unjoined/0]).
-export([normal/1]).

-include("../gun_rs_test.hrl").

%% In ms: how long what should come is waited for.
-define(PATIENCE, 4000).

%% Runs a situation for a client, which is a module, and gives its record. A situation that ends too late, or crashes, is
%% a fault of the comparison's own.
-spec run(module(), fun(() -> term())) -> [term()].
run(Client, Situation) ->
	Self = self(),
	{Pid, MRef} = spawn_monitor(fun() ->
		_ = put(client, Client),
		_ = put(log, []),
		_ = put(served, []),
		_ = put(pending, []),
		_ = Situation(),
		Self ! {self(), {join(lists:reverse(get(log))), lists:reverse(get(served))}}
	end),
	receive
		{Pid, {Log, Served}} ->
			demonitor(MRef, [flush]),
			Log ++ Served;
		{'DOWN', MRef, process, Pid, Reason} ->
			[{broken, Reason}]
	after ?WAIT ->
		Where = process_info(Pid, [current_stacktrace, messages, dictionary]),
		exit(Pid, kill),
		demonitor(MRef, [flush]),
		[{stuck, Where}]
	end.

%% Calls a function of the client and records what it returns or raises.
call(Function, Args) ->
	Result = do_call(Function, Args),
	record({Function, normal(Result)}),
	Result.

%% The same, with nothing to record but an exception.
quietly(Function, Args) ->
	Result = do_call(Function, Args),
	_ = [record({Function, normal(Result)}) || is_tuple(Result), element(1, Result) =:= raised],
	Result.

do_call(Function, Args) ->
	try
		apply(get(client), Function, Args)
	catch
		Class:Reason -> {raised, Class, Reason}
	end.

note(Name, Value) ->
	record({Name, normal(Value)}).

%% Opens a connection to a port of this machine's and waits for gun_up. There are no retries unless the options say so.
open(Port) ->
	open(Port, #{}).

open(Port, Opts) ->
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, maps:merge(#{retry => 0}, Opts)]),
	_ = watch(ConnPid),
	_ = until({gun_up, ConnPid, '_'}),
	ConnPid.

watch(ConnPid) ->
	_ = monitor(process, ConnPid),
	receive after 1 -> ConnPid end.

%% A server that plays a script of lying_server's.
server(Script) ->
	server(Script, []).

server(Script, Opts) ->
	{Server, Port} = lying_server:start(Script, [{ip, {127, 0, 0, 1}}|Opts]),
	_ = put({port, Port}, 'PORT'),
	{Server, Port}.

%% Records messages until one has come that matches: a pattern of match specifications, or a fun that says so.
until(Pattern) ->
	until(Pattern, ?PATIENCE).

until(Pattern, Wait) ->
	until_match(matcher(Pattern), Wait, Pattern).

until_match(Matches, Wait, Pattern) ->
	receive
		{lying_server, _, Event} ->
			_ = put(pending, get(pending) ++ [Event]),
			until_match(Matches, Wait, Pattern);
		{tcp_middle, _, _} ->
			until_match(Matches, Wait, Pattern);
		Message ->
			record(normal(Message)),
			_ = [put({down, element(4, Message)}, true) || element(1, Message) =:= 'DOWN'],
			case Matches(Message) of
				true -> Message;
				false -> until_match(Matches, Wait, Pattern)
			end
	after Wait ->
		record({nothing, normal(Pattern)}),
		none
	end.

matcher(Fun) when is_function(Fun) ->
	Fun;
matcher(Pattern) ->
	Spec = ets:match_spec_compile([{Pattern, [], [true]}]),
	fun(Message) -> ets:match_spec_run([Message], Spec) =:= [true] end.

%% Records everything until a stream has ended, or the connection has.
answer(_, {raised, _, _}) ->
	none;
answer(ConnPid, StreamRef) ->
	until(fun
		({gun_response, P, S, fin, _, _}) -> P =:= ConnPid andalso S =:= StreamRef;
		({gun_data, P, S, fin, _}) -> P =:= ConnPid andalso S =:= StreamRef;
		({gun_trailers, P, S, _}) -> P =:= ConnPid andalso S =:= StreamRef;
		({gun_error, P, S, _}) -> P =:= ConnPid andalso S =:= StreamRef;
		({gun_error, P, _}) -> P =:= ConnPid;
		({gun_upgrade, P, S, _, _}) -> P =:= ConnPid andalso S =:= StreamRef;
		({'DOWN', _, process, P, _}) -> P =:= ConnPid;
		(_) -> false
	end).

%% Records everything until the connection's process ends.
exit_of(ConnPid) ->
	case get({down, ConnPid}) of
		undefined -> until({'DOWN', '_', process, ConnPid, '_'});
		true -> ok
	end.

close(ConnPid) ->
	_ = call(close, [ConnPid]),
	exit_of(ConnPid).

%% Waits until the server has seen what matches, and records all that it saw up to there. What it sees after the last
%% such wait is not recorded: it may or may not come before the situation ends.
served(Pattern) ->
	served(matcher(Pattern), Pattern, get(pending)).

served(Matches, Pattern, [Event|Pending]) ->
	_ = put(served, [{server, normal(Event)}|get(served)]),
	case Matches(Event) of
		true -> put(pending, Pending), Event;
		false -> served(Matches, Pattern, Pending)
	end;
served(Matches, Pattern, []) ->
	receive
		{lying_server, _, Event} -> served(Matches, Pattern, [Event])
	after ?PATIENCE ->
		_ = put(served, [{server, nothing, Pattern}|get(served)]),
		none
	end.

record(Entry) ->
	put(log, [Entry|get(log)]).

%% From here on the order of a request's headers counts.
ordered() ->
	put(ordered, true).

%% From here on the texts of errors count, which are each client's own sentences.
texts() ->
	put(texts, true).

%% From here on the pieces of a body are compared one by one. Otherwise how the network cuts it does not count.
unjoined() ->
	put(unjoined, true).

join(Log) ->
	case get(unjoined) of
		true -> Log;
		_ -> join_data(Log)
	end.

join_data([{gun_data, P, S, nofin, A}, {gun_data, P, S, Fin, B}|Tail]) ->
	join_data([{gun_data, P, S, Fin, <<A/binary, B/binary>>}|Tail]);
join_data([Entry|Tail]) ->
	[Entry|join_data(Tail)];
join_data([]) ->
	[].

%% What differs from run to run gets a name.
normal(Pid) when is_pid(Pid), Pid =:= self() -> owner;
normal(Pid) when is_pid(Pid) -> name(pid, Pid);
normal(Ref) when is_reference(Ref) -> name(ref, Ref);
normal(Port) when is_port(Port) -> port;
normal(Fun) when is_function(Fun) -> {'fun', erlang:fun_info(Fun, arity)};
normal(Atom) when is_atom(Atom) -> name_of_gun(Atom);
normal(Number) when is_integer(Number) ->
	case get({port, Number}) of
		undefined -> Number;
		Name -> Name
	end;
normal({request, Request}) when is_binary(Request) -> {request, headers_of(Request, get(ordered))};
normal({badstate, Text=[_|_]}) -> {badstate, text(Text)};
normal({connection_error, Name, Text=[_|_]}) -> {connection_error, Name, text(Text)};
normal({tls_alert, {Name, Text=[_|_]}}) -> {tls_alert, {Name, text(Text)}};
normal({invalid_request_header, Name, Text=[_|_]}) -> {invalid_request_header, normal(Name), text(Text)};
normal({<<"date">>, _}) -> {<<"date">>, date};
normal({<<"sec-websocket-accept">>, _}) -> {<<"sec-websocket-accept">>, key};
normal({'DOWN', _, process, Pid, Reason}) -> {'DOWN', normal(Pid), normal(without_stack(Reason))};
normal({Reason, Stack=[{M, F, _, L}|_]}) when is_atom(M), is_atom(F), is_list(L), is_list(Stack) ->
	{normal(Reason), stack};
normal(Tuple) when is_tuple(Tuple) -> list_to_tuple([normal(Element) || Element <- tuple_to_list(Tuple)]);
normal([Head|Tail]) -> [normal(Head)|normal(Tail)];
normal(Map) when is_map(Map) -> maps:from_list([{normal(K), normal(V)} || {K, V} <- maps:to_list(Map)]);
normal(Bin) when is_binary(Bin) -> normal_text(Bin);
normal(Other) -> Other.

text(Text) ->
	case get(texts) of
		true -> Text;
		undefined -> text
	end.

headers_of(Request, true) ->
	normal_text(Request);
headers_of(Request, undefined) ->
	[Line|Headers] = binary:split(Request, <<"\r\n">>, [global]),
	[normal_text(Line)|lists:sort([normal_text(Header) || Header <- Headers])].

without_stack({Reason, Stack=[{M, F, _, L}|_]}) when is_atom(M), is_atom(F), is_list(L), is_list(Stack) ->
	{crash, Reason};
without_stack(Reason) ->
	Reason.

normal_text(Bin0) ->
	Bin = lists:foldl(fun
		({{port, Port}, Name}, Acc) ->
			binary:replace(Acc, <<":", (integer_to_binary(Port))/binary>>, <<":", (atom_to_binary(Name))/binary>>, [global]);
		(_, Acc) ->
			Acc
	end, Bin0, get()),
	re:replace(Bin, "(sec-websocket-key: )[A-Za-z0-9+/=]+", "\\1KEY", [caseless, {return, binary}]).

name(Kind, Term) ->
	case get({name, Term}) of
		undefined ->
			Number = case get({count, Kind}) of
				undefined -> 1;
				Count -> Count + 1
			end,
			_ = put({count, Kind}, Number),
			_ = put({name, Term}, {Kind, Number}),
			{Kind, Number};
		Name ->
			Name
	end.

name_of_gun(Atom) ->
	case atom_to_list(Atom) of
		"gun_rs" ++ Rest -> list_to_atom("gun" ++ Rest);
		_ -> Atom
	end.
