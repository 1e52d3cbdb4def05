%% @private What modules of the user's have to do with the streams of a connection: cookie
%% stores and content handlers. It runs in the process behind ConnPid, through which every
%% request and every message of such a connection goes.
-module(gun_rs_streams).

-export([is_needed/1]).
-export([init/1]).
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
	scheme :: binary(),
	authority :: binary(),
	cookie_store :: gun_rs_cookies:store() | undefined,
	cookie_opts :: map(),
	content_handlers :: gun_rs_content_handler:handlers(),
	streams = #{} :: #{reference() => #stream{}}
}).
-opaque state() :: #state{}.
-export_type([state/0]).

%% @doc Whether there are such modules. The default content handler does nothing that the
%% native side doesn't do.
-spec is_needed(gun_rs_options:config()) -> boolean().
is_needed(#{cookie_store := undefined, http_opts := #{content_handlers := [Handler]}}) ->
	not lists:member(Handler, [gun_rs_data_h, {gun_rs_data_h, #{}}, gun_data_h, {gun_data_h, #{}}]);
is_needed(_) ->
	true.

-spec init(gun_rs_options:config()) -> state() | undefined.
init(Config=#{cookie_store := CookieStore, http_opts := HttpOpts=#{content_handlers := Handlers}}) ->
	case is_needed(Config) of
		true -> #state{scheme=gun_rs_options:scheme(Config), authority=gun_rs_options:authority(Config),
			cookie_store=CookieStore, cookie_opts=maps:with([cookie_ignore_informational], HttpOpts),
			content_handlers=Handlers};
		false -> undefined
	end.

-spec cookie_store(state() | undefined) -> gun_rs_cookies:store() | undefined.
cookie_store(#state{cookie_store=CookieStore}) -> CookieStore;
cookie_store(undefined) -> undefined.

%% @doc The headers of a request, with its cookies.
-spec request(reference(), Path :: binary(), Headers, State) -> {Headers, State}
	when Headers :: [{binary(), binary()}], State :: state() | undefined.
request(_, _, Headers, undefined) ->
	{Headers, undefined};
request(StreamRef, Path, Headers0, State=#state{scheme=Scheme, authority=Default, cookie_store=CookieStore0,
		streams=Streams}) ->
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
store_cookies({gun_upgrade, _, StreamRef, _, Headers}, State) ->
	store_cookies(StreamRef, 101, Headers, State);
store_cookies(_, State) ->
	State.

store_cookies(StreamRef, Status, Headers, State=#state{scheme=Scheme, cookie_store=CookieStore0,
		cookie_opts=CookieOpts, streams=Streams}) ->
	case Streams of
		#{StreamRef := #stream{authority=Authority, path=Path}} ->
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
		State=#state{content_handlers=Handlers, streams=Streams}) ->
	case Streams of
		#{StreamRef := Stream} ->
			Content = gun_rs_content_handler:init(ReplyTo, StreamRef, Status, Headers, Handlers),
			State#state{streams=Streams#{StreamRef := Stream#stream{content=Content}}};
		_ ->
			State
	end;
delivered(_, {gun_response, _, StreamRef, fin, _, _}, State) ->
	forget(StreamRef, State);
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
-spec forget(reference(), State) -> State when State :: state() | undefined.
forget(_, undefined) ->
	undefined;
forget(StreamRef, State=#state{streams=Streams}) ->
	State#state{streams=maps:remove(StreamRef, Streams)}.

%% @doc Nothing more of these streams will. Others wait for the next connection.
-spec down([reference()], State) -> State when State :: state() | undefined.
down(_, undefined) -> undefined;
down(Killed, State=#state{streams=Streams}) -> State#state{streams=maps:without(Killed, Streams)}.
