%% A client of a chat gateway, as programs that use gun are written: a gen_server that owns the connection, upgrades it,
%% identifies itself, sends heartbeats, and resumes after a disconnect. It tells its observer all that it is told.
%%
%% GUN is the client's module.
-module(compare_gateway).
-behaviour(gen_server).

-export([start_link/2]).
-export([stop/1]).

-export([init/1]).
-export([handle_continue/2]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).

-ifndef(GUN).
-define(GUN, gun_rs).
-endif.

-record(state, {
	observer,
	host,
	port,
	opts,
	conn_pid,
	conn_ref,
	stream_ref,
	session = none,
	heartbeat
}).

start_link(Observer, Config) ->
	gen_server:start_link(?MODULE, {Observer, Config}, []).

stop(Pid) ->
	gen_server:stop(Pid).

init({Observer, #{host := Host, port := Port, tls_opts := TlsOpts}}) ->
	Opts = #{
		transport => tls,
		protocols => [http2, http],
		retry => 5,
		retry_timeout => 10,
		connect_timeout => 5000,
		tcp_opts => [{nodelay, true}, {keepalive, true}],
		tls_opts => TlsOpts,
		http_opts => #{keepalive => infinity},
		ws_opts => #{silence_pings => false}
	},
	{ok, #state{observer=Observer, host=Host, port=Port, opts=Opts}, {continue, connect}}.

handle_continue(connect, State=#state{host=Host, port=Port, opts=Opts}) ->
	{ok, ConnPid} = ?GUN:open(Host, Port, Opts),
	ConnRef = monitor(process, ConnPid),
	{noreply, State#state{conn_pid=ConnPid, conn_ref=ConnRef}}.

handle_call(_, _, State) ->
	{reply, ok, State}.

handle_cast(_, State) ->
	{noreply, State}.

handle_info(Message, State=#state{observer=Observer}) ->
	Observer ! {gateway, Message},
	handle(Message, State).

handle({gun_up, ConnPid, http}, State=#state{conn_pid=ConnPid}) ->
	StreamRef = ?GUN:ws_upgrade(ConnPid, "/gateway?v=10", [{<<"user-agent">>, <<"gateway/1">>}]),
	{noreply, State#state{stream_ref=StreamRef}};
handle({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}, State=#state{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	{noreply, State};
handle({gun_ws, ConnPid, StreamRef, {text, <<"hello">>}},
		State=#state{conn_pid=ConnPid, stream_ref=StreamRef, session=Session}) ->
	ok = ?GUN:ws_send(ConnPid, StreamRef, {text, case Session of
		none -> <<"identify">>;
		_ -> [<<"resume ">>, Session]
	end}),
	{noreply, State};
handle({gun_ws, _, _, {text, <<"ready ", Session/binary>>}}, State) ->
	{noreply, State#state{session=Session, heartbeat=erlang:send_after(1, self(), heartbeat)}};
handle({gun_ws, _, _, {text, <<"resumed">>}}, State) ->
	{noreply, State#state{heartbeat=erlang:send_after(1, self(), heartbeat)}};
handle({gun_ws, _, _, {text, _}}, State) ->
	{noreply, State};
handle({gun_ws, _, _, {ping, _}}, State) ->
	{noreply, State};
handle({gun_ws, _, _, {close, 4000, _}}, State) ->
	{noreply, State};
handle({gun_ws, _, _, {close, 4004, _}}, State) ->
	{stop, {shutdown, authentication_failed}, State};
handle(heartbeat, State=#state{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	ok = ?GUN:ws_send(ConnPid, StreamRef, {text, <<"heartbeat">>}),
	{noreply, State#state{heartbeat=undefined}};
%% The connection comes back by itself: gun_up follows.
handle({gun_down, ConnPid, ws, closed, [StreamRef]}, State=#state{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	{noreply, no_heartbeat(State#state{stream_ref=undefined})};
handle({gun_down, ConnPid, ws, normal, [StreamRef]}, State=#state{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	{noreply, no_heartbeat(State#state{stream_ref=undefined})};
handle({gun_down, ConnPid, http, _, _}, State=#state{conn_pid=ConnPid}) ->
	{noreply, State};
%% The gateway sends clients away for a while.
handle({gun_response, ConnPid, StreamRef, _, 503, _}, State=#state{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	ok = ?GUN:flush(StreamRef),
	NewRef = ?GUN:ws_upgrade(ConnPid, "/gateway?v=10", [{<<"user-agent">>, <<"gateway/1">>}]),
	{noreply, State#state{stream_ref=NewRef}};
handle({'DOWN', ConnRef, process, ConnPid, Reason}, State=#state{conn_pid=ConnPid, conn_ref=ConnRef}) ->
	{stop, {shutdown, {gun, Reason}}, State}.

terminate(_, #state{conn_pid=ConnPid}) ->
	?GUN:close(ConnPid).

no_heartbeat(State=#state{heartbeat=undefined}) ->
	State;
no_heartbeat(State=#state{heartbeat=Timer}) ->
	_ = erlang:cancel_timer(Timer),
	State#state{heartbeat=undefined}.
