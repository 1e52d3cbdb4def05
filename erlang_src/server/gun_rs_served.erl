%% @doc The side that a process has of the requests of its served connection.
%%
%% What has been answered, and how much of a body may still come, is kept in the dictionary
%% of the connection's process, so that a handler may lose a Req and the process still knows
%% what is left to do. Other processes may answer too: they report it to that process.
-module(gun_rs_served).

-export([new_request/6]).
-export([state/1]).
-export([refuse/3]).
-export([finish/1]).
-export([forget/1]).
-export([respond/5]).
-export([data/3]).
-export([inform/3]).
-export([trailers/2]).
-export([read/2]).
-export([adopted/3]).

%% What both kinds of Req have in them.
-type request() :: #{pid := pid(), streamid := non_neg_integer(),
	gun_rs_conn := gun_rs_native:served(), atom() => term()}.
-export_type([request/0]).

%% none: nothing was sent, or only informational responses. streaming: a body is open.
%% gone: the client is gone, and nothing can be sent.
-type state() :: none | streaming | replied | gone.
-export_type([state/0]).

%% body: whether parts of the request's body may still come; credit: how many were asked for
%% that have not come.
-record(exchange, {
	conn :: gun_rs_native:served(),
	state = none :: state(),
	body :: open | done,
	credit = 0 :: non_neg_integer()
}).

%% How many parts of a body may wait in the mailbox.
-define(PARTS, 8).

%% How long a full send queue may stay full, and how often it is looked at, in ms: a process
%% that the connection does not belong to is not told when there is room again.
-define(SEND_TIMEOUT, 30000).
-define(SEND_PERIOD, 100).

%% In bytes: the queue has room for as much, however small it is.
-define(PIECE, 16#10000).

%% @doc The Req of a request that has come: see gun_rs_req_new:new/3.
%%
%% Called by the process of the connection; forget/1 ends what begins here.
-spec new_request(gun_rs_req_new:dialect(), non_neg_integer(), gun_rs_native:served(),
	gun_rs_req_new:request(), gun_rs_req_new:peer(), Extra :: map()) -> gun_rs_req_new:req() | {error, 400}.
new_request(Dialect, Id, Conn, Request, Peer, Extra) ->
	Body = case Request of
		#{body := none} -> done;
		#{body := 0} -> done;
		#{} -> open
	end,
	store(Id, #exchange{conn = Conn, body = Body}),
	gun_rs_req_new:new(Dialect, Request, maps:merge(maps:merge(Peer, Extra),
		#{pid => self(), streamid => Id, gun_rs_conn => Conn})).

%% @doc What was sent for a request.
-spec state(non_neg_integer()) -> state().
state(Id) ->
	receive
		{gun_rs_served, {state, Id, State}} ->
			update(Id, State),
			state(Id)
	after 0 ->
		case exchanges() of
			#{Id := #exchange{state = State}} -> State;
			#{} -> gone
		end
	end.

%% @doc Answers a request that has no handler, or whose handler has failed before it answered:
%% a status, headers, and no body.
-spec refuse(non_neg_integer(), Status :: 100..999, gun_rs_native:headers()) ->
	ok | gone | {error, already_sent | timeout | {invalid_header, binary()}}.
refuse(Id, Status, Headers) ->
	case exchanges() of
		#{Id := #exchange{conn = Conn}} ->
			respond(#{pid => self(), streamid => Id, gun_rs_conn => Conn}, Status, <<>>,
				[{<<"server">>, <<"gun_rs">>}|Headers], <<>>);
		#{} ->
			gone
	end.

%% @doc Ends the body of a response if it is open, and says what was sent.
-spec finish(non_neg_integer()) -> none | replied | gone.
finish(Id) ->
	case state(Id) of
		streaming ->
			#{Id := #exchange{conn = Conn}} = exchanges(),
			case data(#{pid => self(), streamid => Id, gun_rs_conn => Conn}, fin, <<>>) of
				ok -> replied;
				_ -> gone
			end;
		State ->
			State
	end.

%% @doc Forgets a request, and what has come of its body.
-spec forget(non_neg_integer()) -> ok.
forget(Id) ->
	_ = case maps:remove(Id, exchanges()) of
		Rest when map_size(Rest) =:= 0 -> erase(?MODULE);
		Rest -> put(?MODULE, Rest)
	end,
	flush(Id).

flush(Id) ->
	receive
		{gun_rs_served, {data, Id, _, _}} -> flush(Id);
		{gun_rs_served, {stream_error, Id, _}} -> flush(Id);
		{gun_rs_served, {state, Id, _}} -> flush(Id)
	after 0 ->
		ok
	end.

%% @doc Begins a response, or gives all of it. An answer that nobody gets any more is none.
-spec respond(request(), Status :: 100..999, Reason :: binary(), gun_rs_native:headers(),
	gun_rs_native:response_body()) -> ok | gone | {error, already_sent | timeout | {invalid_header, binary()}}.
respond(Request, Status, Reason, Headers, Body) ->
	case begun(Request) of
		true ->
			{error, already_sent};
		false ->
			ok = gun_rs_server_telemetry:answered(Status),
			respond_all(Request, Status, Reason, Headers, Body)
	end.

respond_all(#{gun_rs_conn := Conn, streamid := Id} = Request, Status, Reason, Headers, Body) ->
	case is_binary(Body) andalso byte_size(Body) > ?PIECE of
		true ->
			Begin = fun() ->
				gun_rs_served_io:respond(Conn, Id, Status, Reason, Headers, {stream, byte_size(Body)})
			end,
			case sent(Request, streaming, Begin) of
				ok -> pieces(Request, Body);
				Error -> Error
			end;
		false ->
			State = case Body of
				{stream, _} -> streaming;
				_ -> replied
			end,
			sent(Request, State, fun() ->
				gun_rs_served_io:respond(Conn, Id, Status, Reason, Headers, Body)
			end)
	end.

%% A body that is much waits in pieces for a client that does not keep up.
pieces(Request, <<Piece:?PIECE/binary, Rest/binary>>) when Rest =/= <<>> ->
	case data(Request, nofin, Piece) of
		ok -> pieces(Request, Rest);
		Error -> Error
	end;
pieces(Request, Last) ->
	data(Request, fin, Last).

%% @doc A piece of the body of a response that respond/5 has begun.
-spec data(request(), fin | nofin, binary()) -> ok | gone | {error, not_open | timeout}.
data(#{gun_rs_conn := Conn, streamid := Id} = Request, Fin, Data) ->
	open(Request, ended(Fin), fun() -> gun_rs_served_io:data(Conn, Id, Fin, Data) end).

ended(fin) -> replied;
ended(nofin) -> streaming.

%% @doc Ends the body of a response with trailers.
-spec trailers(request(), gun_rs_native:headers()) ->
	ok | gone | {error, not_open | timeout | {invalid_header, binary()}}.
trailers(#{gun_rs_conn := Conn, streamid := Id} = Request, Headers) ->
	open(Request, replied, fun() -> gun_rs_served_io:trailers(Conn, Id, Headers) end).

%% @doc An informational response, before the response itself.
-spec inform(request(), Status :: 100..199, gun_rs_native:headers()) ->
	ok | gone | {error, already_sent | timeout | {invalid_header, binary()}}.
inform(#{gun_rs_conn := Conn, streamid := Id} = Request, Status, Headers) ->
	case begun(Request) of
		true -> {error, already_sent};
		false -> sent(Request, none, fun() -> gun_rs_served_io:inform(Conn, Id, Status, Headers) end)
	end.

%% Another process does not know, and leaves it to the native library.
begun(#{pid := Pid, streamid := Id}) when Pid =:= self() ->
	State = state(Id),
	State =:= streaming orelse State =:= replied;
begun(_) ->
	false.

open(#{pid := Pid, streamid := Id} = Request, State, Send) when Pid =:= self() ->
	case state(Id) of
		streaming -> sent(Request, State, Send);
		gone -> gone;
		_ -> {error, not_open}
	end;
open(Request, State, Send) ->
	sent(Request, State, Send).

sent(Request, State, Send) ->
	sent(Request, State, Send, deadline(?SEND_TIMEOUT)).

sent(#{streamid := Id} = Request, State, Send, Deadline) ->
	case Send() of
		ok ->
			reached(Request, State);
		gone ->
			ok = reached(Request, gone),
			gone;
		send_queue_full ->
			case await_room(Id, Deadline) of
				retry ->
					sent(Request, State, Send, Deadline);
				gone ->
					ok = reached(Request, gone),
					gone;
				timeout ->
					{error, timeout}
			end;
		{error, Reason} ->
			{error, Reason}
	end.

await_room(Id, Deadline) ->
	receive
		{gun_rs_served, {queue, low}} -> retry;
		{gun_rs_served, {stream_error, Id, _}} -> gone
	after min(?SEND_PERIOD, left(Deadline)) ->
		case left(Deadline) of
			0 -> timeout;
			_ -> retry
		end
	end.

reached(_, none) ->
	ok;
reached(#{pid := Pid, streamid := Id}, State) when Pid =:= self() ->
	update(Id, State);
reached(#{pid := Pid, streamid := Id}, State) ->
	Pid ! {gun_rs_served, {state, Id, State}},
	ok.

%% @doc The next part of the request's body, which is waited for until a time in
%% milliseconds of erlang:monotonic_time/1. `done' is the answer after its end.
%%
%% Only the process of the connection receives a body.
-spec read(request(), Deadline :: integer() | infinity) ->
	{fin | nofin, binary()} | done | {error, timeout | closed}.
read(#{pid := Pid}, _) when Pid =/= self() ->
	error({not_the_process_of_the_connection, Pid});
read(#{streamid := Id}, Deadline) ->
	case exchanges() of
		#{Id := #exchange{body = done}} -> done;
		#{Id := #exchange{state = gone}} -> {error, closed};
		#{Id := #exchange{credit = 0} = Exchange} -> ask(Id, Exchange, Deadline);
		#{Id := Exchange} -> await_part(Id, Exchange, Deadline);
		#{} -> {error, closed}
	end.

ask(Id, #exchange{conn = Conn} = Exchange, Deadline) ->
	case gun_rs_served_io:read(Conn, Id, ?PARTS) of
		ok -> await_part(Id, Exchange#exchange{credit = ?PARTS}, Deadline);
		gone -> closed(Id, Exchange)
	end.

await_part(Id, #exchange{credit = Credit} = Exchange, Deadline) ->
	receive
		{gun_rs_served, {data, Id, fin, Data}} ->
			store(Id, Exchange#exchange{body = done}),
			{fin, Data};
		{gun_rs_served, {data, Id, nofin, Data}} ->
			store(Id, Exchange#exchange{credit = Credit - 1}),
			{nofin, Data};
		{gun_rs_served, {stream_error, Id, _}} ->
			closed(Id, Exchange)
	after left(Deadline) ->
		store(Id, Exchange),
		{error, timeout}
	end.

closed(Id, Exchange) ->
	store(Id, Exchange#exchange{state = gone}),
	{error, closed}.

%% @doc Another listener is in the place of the one that has accepted the connection: it has it now.
-spec adopted(Listener :: pid(), gun_rs_native:served(), http | websocket) -> ok.
adopted(Listener, Conn, Protocol) ->
	Listener ! {gun_rs_native, {adopted, self(), Conn, Protocol}},
	ok.

%% Time.

deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

%% The dictionary.

exchanges() ->
	case get(?MODULE) of
		undefined -> #{};
		Exchanges -> Exchanges
	end.

store(Id, Exchange) ->
	_ = put(?MODULE, (exchanges())#{Id => Exchange}),
	ok.

%% After a reply or the end only the end counts.
update(Id, State) ->
	case exchanges() of
		#{Id := #exchange{state = gone}} -> ok;
		#{Id := Exchange} -> store(Id, Exchange#exchange{state = State});
		#{} -> ok
	end.
