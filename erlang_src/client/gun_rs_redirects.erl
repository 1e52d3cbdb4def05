%% @private Requests that follow redirects. A process of its own makes such a request, and those that follow it, and hands
%% the messages on by the name of the first. It ends with the last message, with the connection, and with the receiver.
%%
%% What leads to the origin of the connection is asked for on that connection. What leads to another one is asked for on a
%% connection that is opened for it by the options redirect_opts, and closed behind it: nothing that was given for the first
%% origin, such as a certificate of the client's, a cookie or a proxy, goes to another.
-module(gun_rs_redirects).

-export([request/5]).
-export([request/6]).
-export([upgrade/7]).

-record(follow, {
	%% As the user knows them.
	conn :: pid(),
	conn_ref :: reference() | undefined,
	stream :: gun_rs_native:stream_ref(),
	reply_to :: gun_rs_options:reply_to(),
	reply_ref :: reference() | undefined,
	%% Where the request is that was made last, and its URL.
	place :: gun_rs_redirected:place(),
	url :: string() | undefined,
	request :: gun_rs_native:request(),
	%% What it is an upgrade with, if it is one.
	upgrade :: {Options :: map(), gun_rs_native:handler()} | undefined,
	%% How much of the body of a redirect may come yet, before which the stream's name is not free; and until when.
	body :: {Bytes :: integer(), Until :: integer()} | undefined,
	limits :: gun_rs_native:limits(),
	%% In ms of monotonic time, when the time of all of them is over.
	until :: integer() | infinity,
	%% The origin that the connection is for.
	first :: gun_rs_redirect:origin() | none | undefined,
	opts :: gun_rs_options:req_opts(),
	%% How many may be followed yet.
	left :: non_neg_integer(),
	%% The connection to another origin.
	other :: {gun_rs_redirect:origin(), pid(), reference()} | undefined,
	%% What the server pushes beside the response.
	pushed = [] :: [gun_rs_native:stream_ref()],
	%% Whether the response is over; those that are pushed may not be.
	is_over = false :: boolean()
}).

%% A connection to another origin is for one request. These are for where redirect_opts have none.
-define(DEFAULTS, #{retry => 0, connect_timeout => 15000, domain_lookup_timeout => 15000, tls_handshake_timeout => 15000}).

%% In ms, how soon a receiver that does not keep up is looked at again, and how many messages it may have.
-define(POLL, 2).
-define(MAX_WAITING, 64).

%% Of the body of a redirect that answers an upgrade, in bytes, and in ms.
-define(MAX_BODY, 16#100000).
-define(BODY_TIMEOUT, 30000).

%% @doc Makes a request, whose redirects are followed if its options say so.
-spec request(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_native:request(), gun_rs_options:req_opts())
	-> gun_rs_relay:done().
request(ConnPid, StreamRef, ReplyTo, Request, ReqOpts) ->
	request(ConnPid, StreamRef, ReplyTo, Request, gun_rs_request:limits(ReqOpts), ReqOpts).

%% @doc The same with these limits. A body that is streamed cannot be sent again: what answers it is handed on.
-spec request(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_native:request(), gun_rs_native:limits(),
	gun_rs_options:req_opts()) -> gun_rs_relay:done().
request(ConnPid, StreamRef, ReplyTo, Request={_, _, _, Body}, Limits, ReqOpts=#{redirects := Max}) when Max > 0, is_binary(Body) ->
	ok = check(ReqOpts),
	begin_with(#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, place={ConnPid, StreamRef}, request=Request,
		limits=Limits, until=until(Limits), opts=ReqOpts, left=Max}, fun(Follower) ->
			gun_rs_caller:request(ConnPid, StreamRef, Follower, Request, Limits)
		end);
request(ConnPid, StreamRef, ReplyTo, Request, Limits, ReqOpts) ->
	ok = check(ReqOpts),
	gun_rs_caller:request(ConnPid, StreamRef, ReplyTo, Request, Limits).

%% @doc Makes an upgrade, whose redirects are followed if its options say so. The WebSocket is one of the connection: what
%% leads to another origin is handed on.
-spec upgrade(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), Path :: binary(), [{binary(), binary()}],
	{Options :: map(), gun_rs_native:handler()} | undefined, gun_rs_options:ws_opts() | undefined) -> gun_rs_relay:done().
upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, {Options, Handler}, WsOpts=#{redirects := Max}) when Max > 0 ->
	_ = [error({badmatch, {error, {options, {redirects, Dialect}}}})
		|| Dialect <- [gun_rs_caller:dialect(ConnPid)], Dialect =:= gun_1_pre orelse Dialect =:= gun_0],
	begin_with(#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, place={ConnPid, StreamRef},
		request={<<"GET">>, Path, Headers, <<>>}, upgrade={Options, Handler}, limits={undefined, infinity, infinity},
		until=infinity, opts=WsOpts, left=Max}, fun(Follower) ->
			gun_rs_caller:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, {Options#{follower => Follower}, Handler})
		end);
upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options, _) ->
	gun_rs_caller:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options).

begin_with(Follow=#follow{stream=StreamRef, reply_to=ReplyTo, place=Place}, Make) ->
	Follower = spawn(fun() -> follow(Follow) end),
	ok = gun_rs_redirected:put(StreamRef, Follower, Place, ReplyTo),
	_ = Follower ! {?MODULE, go},
	try Make(Follower) of
		ok ->
			ok;
		no_conn ->
			ok = gun_rs_redirected:cancel(Follower),
			no_conn
	catch Class:Reason:Stacktrace ->
		ok = gun_rs_redirected:cancel(Follower),
		erlang:raise(Class, Reason, Stacktrace)
	end.

check(#{redirect_opts := Opts}) ->
	case gun_rs_options:open("localhost", 443, Opts) of
		{ok, _} -> ok;
		{error, {options, Bad}} -> {error, {options, {redirect_opts, Bad}}};
		Error -> Error
	end;
check(_) ->
	ok.

until({_, _, _}) -> infinity;
until(Limits) when element(4, Limits) =:= infinity -> infinity;
until(Limits) -> now_ms() + element(4, Limits).

now_ms() ->
	erlang:monotonic_time(millisecond).

%% What it was called with, and what it is sent, is nobody's to see.
follow(Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo}) ->
	_ = process_flag(sensitive, true),
	try
		%% Its place is known before it ends.
		receive {?MODULE, go} -> ok end,
		loop(Follow#follow{conn_ref=monitor(process, ConnPid), reply_ref=monitor_receiver(ReplyTo)})
	catch Class:Reason:Stacktrace ->
		erlang:raise(Class, Reason, gun_rs_secrets:without_arguments(Stacktrace))
	after
		ok = gun_rs_redirected:delete(StreamRef)
	end.

%% Of an alias nobody knows whether it still is one.
monitor_receiver(Pid) when is_pid(Pid) -> monitor(process, Pid);
monitor_receiver(_) -> undefined.

loop(Follow=#follow{pushed=[], is_over=true}) ->
	close_other(Follow);
loop(Follow) ->
	%% Before what waits to be handed on.
	receive
		{?MODULE, cancel} -> cancelled(Follow)
	after 0 ->
		next(Follow)
	end.

next(Follow=#follow{conn_ref=ConnRef, reply_ref=ReplyRef, place={Conn, _}, other=Other}) ->
	receive
		{?MODULE, cancel} ->
			cancelled(Follow);
		%% Whoever waits for the stream monitors the connection too.
		{'DOWN', ConnRef, process, _, _} ->
			close_other(Follow);
		{'DOWN', ReplyRef, process, _, _} ->
			cancelled(Follow);
		{'DOWN', MRef, process, Conn, Reason} when MRef =:= element(3, Other) ->
			loop(failed(reason(Reason), Follow#follow{other=undefined}));
		Message when element(2, Message) =:= Conn, tuple_size(Message) > 2 ->
			loop(message(Message, Follow));
		%% Of a connection that it has left.
		Message when is_tuple(Message) ->
			loop(Follow)
	after body_left(Follow) ->
		{Conn, Ref} = Follow#follow.place,
		_ = gun_rs_caller:cancel(Conn, self(), Ref),
		loop(failed(timeout, Follow))
	end.

body_left(#follow{body=undefined}) -> infinity;
body_left(#follow{body={_, Until}}) -> max(0, Until - now_ms()).

cancelled(Follow=#follow{place={Conn, Ref}, pushed=Pushed}) ->
	_ = [gun_rs_caller:cancel(Conn, self(), Name) || Name <- [Ref|Pushed]],
	close_other(Follow).

close_other(#follow{other={_, Conn, MRef}}) ->
	true = demonitor(MRef, [flush]),
	_ = gun_rs_opener:close(Conn),
	ok;
close_other(_) ->
	ok.

%% What has happened, as the attempt to connect and the connection say it.
reason({shutdown, Reason}) -> Reason;
reason(Reason) -> Reason.

%% Messages.

message({gun_response, Conn, Ref, IsFin, Status, Headers}=Message, Follow0=#follow{place={Conn, Ref}, left=Left}) when Left > 0 ->
	case target(Status, Headers, Follow0) of
		{{ok, Target}, Follow=#follow{upgrade={_, _}}} ->
			upgrade_again(IsFin, Target, Message, Follow);
		{{ok, Target}, Follow} ->
			%% Its body is nobody's to read.
			_ = [gun_rs_caller:cancel(Conn, self(), Ref) || IsFin =:= nofin],
			redirected(Status, Target, Follow#follow{left=Left - 1});
		{none, Follow} ->
			hand_on(Message, Follow)
	end;
%% The user has it too, and all that follows.
message({gun_upgrade, Conn, Ref, _, _}, Follow=#follow{place={Conn, Ref}, upgrade={_, _}}) ->
	Follow#follow{is_over=true};
message({gun_data, Conn, Ref, IsFin, Data}, Follow=#follow{place={Conn, Ref}, body={Left, Until}}) ->
	body(IsFin, Follow#follow{body={Left - byte_size(Data), Until}});
message(Message, Follow) ->
	hand_on(Message, Follow).

%% The receiver knows one connection and one name.
hand_on(Message, Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, place={_, Ref}, pushed=Pushed}) ->
	Renamed = setelement(2, Message, ConnPid),
	case {element(1, Message), element(3, Message)} of
		{_, Ref} ->
			ok = deliver(ReplyTo, setelement(3, Renamed, StreamRef)),
			over(Message, Follow);
		%% The connection's, which ends the stream.
		{gun_error, _} when tuple_size(Message) =:= 3 ->
			ok = deliver(ReplyTo, Renamed),
			Follow#follow{pushed=[], is_over=true};
		{_, Name} ->
			case lists:member(Name, Pushed) of
				true ->
					ok = deliver(ReplyTo, Renamed),
					Follow#follow{pushed=[Other || Other <- Pushed, Other =/= Name orelse not is_last(Message)]};
				%% Of a stream that was left, or for the owner of a connection to another origin.
				false ->
					Follow
			end
	end.

over({gun_push, _, _, Promised, _, _, _}, Follow=#follow{pushed=Pushed}) -> Follow#follow{pushed=[Promised|Pushed]};
over(Message, Follow=#follow{is_over=IsOver}) -> Follow#follow{is_over=IsOver orelse is_last(Message)}.

is_last({gun_response, _, _, fin, _, _}) -> true;
is_last({gun_data, _, _, fin, _}) -> true;
is_last({gun_trailers, _, _, _}) -> true;
is_last({gun_sse, _, _, fin}) -> true;
is_last({gun_error, _, _, _}) -> true;
is_last(_) -> false.

%% A receiver that does not keep up is waited for: what has come meanwhile stays here, where the native side looks.
deliver(ReplyTo, Message) ->
	_ = gun_rs_delivery:deliver(ReplyTo, Message),
	wait_for(ReplyTo).

wait_for(ReplyTo) ->
	case keeps_up(ReplyTo) of
		true -> ok;
		false -> receive after ?POLL -> wait_for(ReplyTo) end
	end.

%% One that waits has looked at all that it has, and wants what is not there yet.
keeps_up(Pid) when is_pid(Pid), node(Pid) =:= node() ->
	case process_info(Pid, [message_queue_len, status]) of
		[{_, Length}, {_, Status}] -> Length < ?MAX_WAITING orelse Status =:= waiting;
		undefined -> true
	end;
keeps_up(_) ->
	true.

%% Redirects.

target(Status, Headers, Follow0) ->
	case gun_rs_redirect:is_redirect(Status) andalso with_url(Follow0) of
		Follow=#follow{url=Url} -> {gun_rs_redirect:target(kind(Follow), Status, Headers, Url), Follow};
		_ -> {none, Follow0}
	end.

kind(#follow{upgrade=undefined}) -> request;
kind(_) -> upgrade.

%% Of the first request only the connection knows where it went.
with_url(Follow=#follow{url=undefined, conn=ConnPid, stream=StreamRef, request={_, Path, Headers, _}}) ->
	try origin(ConnPid, StreamRef) of
		#{origin_scheme := Scheme, origin_host := Host, origin_port := Port} ->
			{ok, Name} = gun_rs_host:to_binary(Host),
			Transport = case Scheme of <<"https">> -> tls; <<"http">> -> tcp end,
			Authority = gun_rs_host:authority(Name, Port, Transport),
			Asked = case lists:keyfind(<<"host">>, 1, Headers) of
				{_, Given} -> Given;
				false -> Authority
			end,
			Follow#follow{first=gun_rs_redirect:origin(url(Scheme, Authority, <<"/">>)), url=url(Scheme, Asked, Path)};
		_ ->
			false
	%% It is gone, or leads elsewhere by now.
	catch _:_ ->
		false
	end;
with_url(Follow) ->
	Follow.

origin(ConnPid, StreamRef) when is_list(StreamRef) ->
	{ok, #{tunnel := Tunnel}} = gun_rs_caller:stream_info(ConnPid, tunnel(StreamRef)),
	Tunnel;
origin(ConnPid, _) ->
	gun_rs_caller:info(ConnPid).

tunnel([Tunnel, _]) -> Tunnel;
tunnel(Refs) -> lists:droplast(Refs).

url(Scheme, Authority, <<"*">>) -> url(Scheme, Authority, <<"/">>);
url(Scheme, Authority, Path) -> binary_to_list(iolist_to_binary([Scheme, "://", Authority, Path])).

redirected(Status, Target=#{origin := Origin, location := Url}, Follow0=#follow{request=Request0, url=Before, place={Conn, _}}) ->
	IsOther = Origin =/= gun_rs_redirect:origin(Before),
	Follow = Follow0#follow{url=Url, request=gun_rs_redirect:next(Status, Request0, {Target, IsOther})},
	case Follow of
		_ when not IsOther -> make(Conn, Follow);
		#follow{first=Origin, conn=ConnPid} -> make(ConnPid, Follow);
		#follow{other={Origin, Other, _}} -> make(Other, Follow);
		_ -> open(Target, Follow)
	end.

%% The name of the stream is that of its frames too, so that it must be free again.
upgrade_again(IsFin, #{origin := Origin, location := Url, path := Path}, Message, Follow=#follow{url=Before, left=Left}) ->
	{Method, _, Headers, Body} = Follow#follow.request,
	case gun_rs_redirect:origin(Before) of
		Origin ->
			body(IsFin, Follow#follow{url=Url, request={Method, Path, Headers, Body}, left=Left - 1,
				body={?MAX_BODY, now_ms() + ?BODY_TIMEOUT}});
		_ ->
			hand_on(Message, Follow)
	end.

body(fin, Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, request={_, Path, Headers, _}, upgrade={Options, Handler}}) ->
	try gun_rs_caller:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, {Options#{follower => self()}, Handler}) of
		ok -> Follow#follow{body=undefined};
		no_conn -> failed(noproc, Follow)
	catch error:Reason ->
		failed(Reason, Follow)
	end;
body(nofin, Follow=#follow{conn=ConnPid, stream=StreamRef, body={Left, _}}) when Left < 0 ->
	_ = gun_rs_caller:cancel(ConnPid, self(), StreamRef),
	failed(response_too_large, Follow);
body(nofin, Follow) ->
	Follow.

make(Conn, Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, request=Request}) ->
	Ref = case StreamRef of
		[_|_] when Conn =:= ConnPid -> lists:droplast(StreamRef) ++ [make_ref()];
		_ -> make_ref()
	end,
	ok = gun_rs_redirected:put(StreamRef, self(), {Conn, Ref}, ReplyTo),
	try gun_rs_caller:request(Conn, Ref, self(), Request, limits(Follow)) of
		ok -> Follow#follow{place={Conn, Ref}};
		no_conn -> failed(noproc, Follow)
	catch error:Reason ->
		failed(Reason, Follow)
	end.

%% The lease of a pool is of the first request alone.
limits(#follow{limits=Limits, until=infinity}) ->
	{element(1, Limits), element(2, Limits), element(3, Limits)};
limits(Follow=#follow{limits=Limits}) ->
	{element(1, Limits), element(2, Limits), element(3, Limits), max(1, left(Follow))}.

left(#follow{until=infinity}) -> infinity;
left(#follow{until=Until}) -> max(0, Until - now_ms()).

open(#{origin := Origin, url := Url}, Follow0=#follow{conn=ConnPid, opts=ReqOpts}) ->
	ok = close_other(Follow0),
	Follow = Follow0#follow{other=undefined},
	Given = maps:remove(transport, maps:get(redirect_opts, ReqOpts, #{})),
	Opts = maps:merge(?DEFAULTS#{dialect => gun_rs_caller:dialect(ConnPid)}, Given),
	{ok, Host, Port, _, WithTransport} = gun_rs_options:url(Url, Opts),
	case gun_rs_options:open(Host, Port, WithTransport) of
		{ok, Config} ->
			case gun_rs_opener:open(Config) of
				{ok, Conn} -> await_up(Conn, Follow#follow{other={Origin, Conn, monitor(process, Conn)}});
				{error, Reason} -> failed(Reason, Follow)
			end;
		{error, Reason} ->
			failed(Reason, Follow)
	end.

await_up(Conn, Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, conn_ref=ConnRef, reply_ref=ReplyRef, other={_, _, MRef}}) ->
	receive
		{gun_up, Conn, _} ->
			make(Conn, Follow);
		{'DOWN', MRef, process, _, Reason} ->
			failed(reason(Reason), Follow#follow{other=undefined});
		{?MODULE, cancel} ->
			Follow#follow{is_over=true, pushed=[]};
		{'DOWN', Ref, process, _, _} when Ref =:= ConnRef; Ref =:= ReplyRef ->
			Follow#follow{is_over=true, pushed=[]}
	after left(Follow) ->
		_ = gun_rs_delivery:deliver(ReplyTo, {gun_error, ConnPid, StreamRef, timeout}),
		Follow#follow{is_over=true, pushed=[]}
	end.

%% What follows the path of a URL may be a secret.
failed(_, Follow=#follow{is_over=true}) ->
	Follow#follow{pushed=[]};
failed(Reason, Follow=#follow{conn=ConnPid, stream=StreamRef, reply_to=ReplyTo, url=Url}) ->
	_ = gun_rs_delivery:deliver(ReplyTo, {gun_error, ConnPid, StreamRef, {redirect, gun_rs_redirect:without_path(Url), Reason}}),
	Follow#follow{is_over=true, pushed=[]}.
