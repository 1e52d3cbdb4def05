%% @private What the native side asks about the mailboxes of receivers, and what it is answered.
%%
%% It asks whether the receiver of a stream keeps up (flow_check: flow => auto), and whether
%% the receiver has had its chance to answer (settle). A mailbox that is not ready is looked
%% into again later.
-module(gun_rs_mailbox).

-export([flow_check/5]).
-export([settle/3]).
-export([look/2]).
-export([seen/4]).

-type question() :: {flow_check | settle, StreamRef :: gun_rs_native:stream_ref() | undefined}.
-export_type([question/0]).

%% The questions that are not answered yet: whose mailbox to look into, and how many messages
%% in it are few.
-type questions() :: #{question() => {gun_rs_options:reply_to(), Few :: non_neg_integer()}}.
-export_type([questions/0]).

%% The number of the receiver's messages, and what it does; undefined when there is no such
%% process, unknown when its node does not answer in time.
-type mailbox() :: [{message_queue_len | status, term()}] | undefined | unknown.
-export_type([mailbox/0]).

%% How long to wait until a mailbox is looked into again, in ms.
-define(POLL, 2).
-define(REMOTE_POLL, 10).

%% In ms: how long another node may take to answer.
-define(CALL_TIMEOUT, 5000).

%% @doc Messages of so many bytes have been sent since the last look. The actions are those of
%% gen_statem. What they bring is for look/2, `{timeout, {mailbox, Question}}', and for seen/4,
%% `{mailbox, Question, Mailbox}'.
-spec flow_check(StreamRef :: gun_rs_native:stream_ref() | undefined, gun_rs_options:reply_to(), Messages :: non_neg_integer(),
	Bytes :: non_neg_integer(), questions()) -> {questions(), [gen_statem:action()]}.
flow_check(StreamRef, ReplyTo, Messages, Bytes, Questions) ->
	ask({flow_check, StreamRef}, ReplyTo, few(Messages, Bytes), Questions).

-spec settle(StreamRef :: gun_rs_native:stream_ref(), gun_rs_options:reply_to(), questions()) -> {questions(), [gen_statem:action()]}.
settle(StreamRef, ReplyTo, Questions) ->
	ask({settle, StreamRef}, ReplyTo, 0, Questions).

%% A question about another stream is of one that has ended: one stream is reported at a time.
%% Whoever polled for all of them would have nothing else to do.
ask(Question={_, StreamRef}, ReplyTo, Few, Questions0) ->
	Questions = maps:filter(fun({_, Other}, _) -> Other =:= StreamRef end, Questions0),
	{Questions#{Question => {ReplyTo, Few}}, look_into(ReplyTo, Question)}.

%% A mailbox is short when it holds no more than half of the messages that were sent since
%% the last look, or than so few that they do not matter: few enough for 8 MiB of them, 16 at
%% most, but one in any case.
few(Messages, Bytes) ->
	Average = max(1, Bytes div max(1, Messages)),
	max(Messages div 2, max(1, min(16, 8 * 1024 * 1024 div Average))).

%% @doc Looks into the mailbox again, if the question still stands.
-spec look(question(), questions()) -> [gen_statem:action()].
look(Question, Questions) ->
	case Questions of
		#{Question := {ReplyTo, _}} -> look_into(ReplyTo, Question);
		_ -> []
	end.

%% A fun is run by this process, before it looks. Another node is asked by a process of its
%% own, so that a slow one delays nobody else.
look_into(Pid, Question) when is_pid(Pid), node(Pid) =/= node() ->
	Self = self(),
	_ = spawn(fun() -> Self ! {mailbox, Question, remote_mailbox(Pid)} end),
	[];
look_into(Pid, Question) when is_pid(Pid) ->
	Mailbox = process_info(Pid, [message_queue_len, status]),
	[{next_event, info, {mailbox, Question, Mailbox}}];
look_into(_Fun, Question) ->
	[{next_event, info, {mailbox, Question, undefined}}].

remote_mailbox(Pid) ->
	try
		erpc:call(node(Pid), erlang, process_info, [Pid, [message_queue_len, status]], ?CALL_TIMEOUT)
	catch
		error:{erpc, timeout} -> unknown;
		_:_ -> undefined
	end.

%% @doc Answers the question, if it still stands and the mailbox is ready.
-spec seen(question(), mailbox(), gun_rs_native:conn(), questions()) -> {questions(), [gen_statem:action()]}.
seen(Question, Mailbox, Conn, Questions) ->
	case Questions of
		#{Question := {ReplyTo, Few}} ->
			case is_ready(Question, Mailbox, Few) of
				true ->
					ok = answer(Question, Conn),
					{maps:remove(Question, Questions), []};
				false ->
					{Questions, [{{timeout, {mailbox, Question}}, poll(ReplyTo), look}]}
			end;
		_ ->
			{Questions, []}
	end.

is_ready({flow_check, _}, [{message_queue_len, Length}|_], Few) ->
	Length =< Few;
%% A node that takes nothing is waited for until it is known to be away.
is_ready({flow_check, _}, unknown, _) ->
	false;
%% The server has broken the protocol. Its last messages are in the receiver's mailbox;
%% when the receiver waits for others it has sent what it had to say to them.
is_ready({settle, _}, [{message_queue_len, Length}, {status, Status}], Few) ->
	Length =< Few andalso Status =:= waiting;
is_ready(_, _, _) ->
	true.

answer({flow_check, StreamRef}, Conn) -> gun_rs_native:flow_grant(Conn, StreamRef);
answer({settle, StreamRef}, Conn) -> gun_rs_native:ws_settled(Conn, StreamRef).

poll(Pid) when is_pid(Pid), node(Pid) =/= node() -> ?REMOTE_POLL;
poll(_) -> ?POLL.
