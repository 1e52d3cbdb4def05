%% @private What modules of the user's have to do with the streams of a connection: cookie
%% stores and content handlers. It runs in the process behind ConnPid, through which every
%% request and every message of such a connection goes.
-module(gun_rs_streams).

-export([is_needed/1]).
-export([init/1]).
-export([up/2]).
-export([tunnel_up/2]).
-export([tunnel_over/2]).
-export([cookie_store/1]).
-export([request/4]).
-export([message/3]).
-export([forget/2]).
-export([down/2]).

-record(stream, {
	%% Where it was sent, for the cookies that come back.
	authority :: binary(),
	path :: binary(),
	%% Once there is a response with a body.
	content :: undefined | gun_rs_content_handler:state()
}).

-record(state, {
	%% Those that each connection begins with: of the origin that it is for, which the SOCKS options name if it leads
	%% through such proxies.
	first :: {Scheme :: binary(), Authority :: binary()},
	scheme :: binary(),
	authority :: binary(),
	cookie_store :: gun_rs_cookies:store() | undefined,
	%% Those of each protocol that may be spoken.
	opts :: #{http | http2 => opts()},
	%% Which one is.
	protocol = http :: gun_rs_native:protocol(),
	%% The same of the tunnels on its streams.
	tunnels = #{} :: #{gun_rs_native:stream_ref() => place()},
	streams = #{} :: #{gun_rs_native:stream_ref() => #stream{}}
}).
-type place() :: {Scheme :: binary(), Authority :: binary(), gun_rs_native:protocol()}.
-type opts() :: #{content_handlers := gun_rs_content_handler:handlers(), cookie_ignore_informational := boolean()}.
-opaque state() :: #state{}.
-export_type([state/0]).

%% @doc Whether there are such modules. The default content handler does nothing that the
%% native side doesn't do.
-spec is_needed(gun_rs_options:config()) -> boolean().
is_needed(Config=#{cookie_store := undefined}) ->
	lists:any(fun(#{content_handlers := Handlers}) -> not is_default(Handlers) end, maps:values(opts(Config)));
is_needed(_) ->
	true.

is_default([Handler]) -> lists:member(Handler, [gun_rs_data_h, {gun_rs_data_h, #{}}, gun_data_h, {gun_data_h, #{}}]);
is_default(_) -> false.

%% Of both: a tunnel may lead to the other one.
opts(#{http_opts := HttpOpts, http2_opts := Http2Opts}) ->
	maps:map(fun(_, Opts) -> maps:with([content_handlers, cookie_ignore_informational], Opts) end,
		#{http => HttpOpts, http2 => Http2Opts}).

-spec init(gun_rs_options:config()) -> state() | undefined.
init(Config=#{cookie_store := CookieStore}) ->
	case is_needed(Config) of
		true ->
			Origin = gun_rs_connect_options:origin(Config),
			Scheme = gun_rs_options:scheme(Origin),
			Authority = gun_rs_options:authority(Origin),
			#state{first={Scheme, Authority}, scheme=Scheme, authority=Authority, cookie_store=CookieStore, opts=opts(Config)};
		false -> undefined
	end.

%% @doc The connection is up and speaks this protocol.
-spec up(gun_rs_native:protocol(), State) -> State when State :: state() | undefined.
up(_, undefined) -> undefined;
up(Protocol, State) -> (first(State))#state{protocol=Protocol}.

first(State=#state{first={Scheme, Authority}}) ->
	State#state{scheme=Scheme, authority=Authority, tunnels=#{}}.

%% @doc The connection, or a stream of it, leads there now.
-spec tunnel_up({gun_rs_tunnels:place(), gun_rs_tunnels:origin()}, State) -> State when State :: state() | undefined.
tunnel_up(_, undefined) ->
	undefined;
%% A proxy on the way, which no request is for.
tunnel_up({_, #{protocol := socks}}, State) ->
	State;
tunnel_up({Place, Origin=#{protocol := Protocol}}, State=#state{scheme=Scheme, tunnels=Tunnels}) ->
	%% What is no HTTP has no requests.
	NewScheme = case gun_rs_tunnels:scheme(Origin) of
		undefined -> Scheme;
		Known -> Known
	end,
	Authority = gun_rs_options:authority(Origin),
	case Place of
		connection -> State#state{protocol=Protocol, scheme=NewScheme, authority=Authority};
		{stream, StreamRef} -> State#state{tunnels=Tunnels#{StreamRef => {NewScheme, Authority, Protocol}}}
	end.

%% @doc A stream of the connection leads nowhere any more.
-spec tunnel_over(gun_rs_native:stream_ref(), State) -> State when State :: state() | undefined.
tunnel_over(_, undefined) -> undefined;
tunnel_over(StreamRef, State=#state{tunnels=Tunnels}) -> State#state{tunnels=maps:remove(StreamRef, Tunnels)}.

%% Where a stream leads, and what is spoken there.
place(StreamRef, #state{scheme=Scheme, authority=Authority, protocol=Protocol, tunnels=Tunnels}) ->
	maps:get(tunnel(StreamRef), Tunnels, {Scheme, Authority, Protocol}).

tunnel([Tunnel, _]) -> Tunnel;
tunnel(Refs=[_|_]) -> lists:droplast(Refs);
tunnel(_) -> none.

-spec cookie_store(state() | undefined) -> gun_rs_cookies:store() | undefined.
cookie_store(#state{cookie_store=CookieStore}) -> CookieStore;
cookie_store(undefined) -> undefined.

%% @doc The headers of a request, with its cookies.
-spec request(gun_rs_native:stream_ref(), Path :: binary(), Headers, State) -> {Headers, State}
	when Headers :: [{binary(), binary()}], State :: state() | undefined.
request(_, _, Headers, undefined) ->
	{Headers, undefined};
request(StreamRef, Path, Headers0, State=#state{cookie_store=CookieStore0, streams=Streams}) ->
	{Scheme, Default, _} = place(StreamRef, State),
	Authority = case lists:keyfind(<<"host">>, 1, Headers0) of
		{_, Host} -> Host;
		false -> Default
	end,
	{Headers, CookieStore} = gun_rs_cookies:cookie_header(Scheme, Authority, Path, Headers0, CookieStore0),
	{Headers, State#state{cookie_store=CookieStore,
		streams=Streams#{StreamRef => #stream{authority=Authority, path=Path}}}}.

%% @doc Delivers a message of a stream, after the cookies in it have been stored; the
%% pieces of a body are the content handlers' to deliver.
-spec message(gun_rs_options:reply_to(), Message :: tuple(), State) -> State
	when State :: state() | undefined.
message(ReplyTo, Message={gun_data, _, StreamRef, IsFin, Data}, State=#state{streams=Streams}) ->
	case Streams of
		%% The body of a refusal, which the oldest dialect does not report by gun_response.
		#{StreamRef := #stream{content=undefined}} when IsFin =:= nofin ->
			_ = gun_rs_delivery:deliver(ReplyTo, Message),
			State;
		#{StreamRef := #stream{content=undefined}} ->
			_ = gun_rs_delivery:deliver(ReplyTo, Message),
			forget(StreamRef, State);
		#{StreamRef := _} ->
			data(StreamRef, IsFin, Data, State);
		_ ->
			_ = gun_rs_delivery:deliver(ReplyTo, Message),
			State
	end;
message(ReplyTo, Message, State) ->
	Stored = store_cookies(Message, State),
	_ = gun_rs_delivery:deliver(ReplyTo, Message),
	delivered(ReplyTo, Message, Stored).

store_cookies({gun_inform, _, StreamRef, Status, Headers}, State) ->
	store_cookies(StreamRef, Status, Headers, State);
store_cookies({gun_response, _, StreamRef, _, Status, Headers}, State) ->
	store_cookies(StreamRef, Status, Headers, State);
store_cookies({gun_upgrade, _, StreamRef, _, Headers}, State=#state{}) ->
	Status = case place(StreamRef, State) of
		{_, _, http2} -> 200;
		_ -> 101
	end,
	store_cookies(StreamRef, Status, Headers, State);
store_cookies(_, State) ->
	State.

store_cookies(StreamRef, Status, Headers, State=#state{cookie_store=CookieStore0, opts=Opts, streams=Streams}) ->
	case Streams of
		#{StreamRef := #stream{authority=Authority, path=Path}} ->
			{Scheme, _, Protocol} = place(StreamRef, State),
			CookieOpts = maps:with([cookie_ignore_informational], map_get(Protocol, Opts)),
			CookieStore = gun_rs_cookies:set_cookie_headers(Scheme, Authority, Path, Status, Headers,
				CookieStore0, CookieOpts),
			State#state{cookie_store=CookieStore};
		_ ->
			State
	end;
store_cookies(_, _, _, undefined) ->
	undefined.

delivered(_, _, undefined) ->
	undefined;
delivered(ReplyTo, {gun_response, _, StreamRef, nofin, Status, Headers},
		State=#state{opts=Opts, streams=Streams}) ->
	case Streams of
		#{StreamRef := Stream} ->
			{_, _, Protocol} = place(StreamRef, State),
			#{content_handlers := Handlers} = map_get(Protocol, Opts),
			Content = gun_rs_content_handler:init(ReplyTo, StreamRef, Status, Headers, Handlers),
			State#state{streams=Streams#{StreamRef := Stream#stream{content=Content}}};
		_ ->
			State
	end;
delivered(_, {gun_response, _, StreamRef, fin, _, _}, State) ->
	forget(StreamRef, State);
%% As if the user had asked for it.
delivered(_, {gun_push, _, _, StreamRef, _, Uri, _}, State=#state{streams=Streams}) ->
	{Authority, Path} = pushed(Uri),
	State#state{streams=Streams#{StreamRef => #stream{authority=Authority, path=Path}}};
delivered(_, {gun_upgrade, _, StreamRef, _, _}, State) ->
	forget(StreamRef, State);
delivered(_, {gun_trailers, _, StreamRef, _}, State) ->
	forget(StreamRef, State);
%% What was wrong with one part of a request's body need not be the end of the stream; the
%% native side reports where it is.
delivered(_, {gun_error, _, _, {badstate, _}}, State) ->
	State;
delivered(_, {gun_error, _, StreamRef, _}, State) ->
	forget(StreamRef, State);
delivered(_, _, State) ->
	State.

%% The native side has made it of its parts, and each is what it must be.
pushed(Uri) ->
	[_, AfterScheme] = binary:split(Uri, <<"://">>),
	case binary:split(AfterScheme, <<"/">>) of
		[Authority, Path] -> {Authority, <<"/", Path/binary>>};
		[Authority] -> {Authority, <<"/">>}
	end.

data(StreamRef, IsFin, Data, State=#state{streams=Streams}) ->
	#{StreamRef := Stream=#stream{content=Content0}} = Streams,
	{ok, Flow, Content} = gun_rs_content_handler:handle(IsFin, Data, Content0),
	%% The native side has counted the piece as one.
	_ = [gun_rs_native:update_flow(self(), StreamRef, 1 - Flow) || Flow =/= 1],
	case IsFin of
		nofin -> State#state{streams=Streams#{StreamRef := Stream#stream{content=Content}}};
		fin -> forget(StreamRef, State)
	end.

%% @doc Nothing more of the stream will come.
-spec forget(gun_rs_native:stream_ref() | undefined, State) -> State when State :: state() | undefined.
forget(_, undefined) ->
	undefined;
forget(StreamRef, State=#state{streams=Streams}) ->
	State#state{streams=maps:remove(StreamRef, Streams)}.

%% @doc Nothing more of these streams will. Others wait for the next connection, which leads through no tunnel of this one.
-spec down([gun_rs_native:stream_ref()], State) -> State when State :: state() | undefined.
down(_, undefined) -> undefined;
down(Killed, State=#state{streams=Streams}) -> (first(State))#state{protocol=http, streams=maps:without(Killed, Streams)}.
