%% The Cowboy handler that answers requests in the suites, one behaviour a path.
-module(http_echo_h).

-export([routes/0]).
-export([init/2]).
-export([piece/2]).

routes() ->
	[
		{"/request", ?MODULE, request},
		{"/echo", ?MODULE, echo},
		{"/hash", ?MODULE, hash},
		{"/pieces", ?MODULE, pieces},
		{"/trailers", ?MODULE, trailers},
		{"/inform", ?MODULE, inform},
		{"/status", ?MODULE, status},
		{"/repeated", ?MODULE, repeated},
		{"/close", ?MODULE, close},
		{"/die", ?MODULE, die},
		{"/held", ?MODULE, held}
		|ws_echo_h:routes()
	].

%% request: says what the request was, as a term.
init(Req0, request) ->
	{Body, Req} = body(Req0, <<>>),
	Answer = maps:put(body, Body, maps:with([method, path, qs, version, headers, scheme, host, port], Req)),
	{ok, cowboy_req:reply(200, #{}, term_to_binary(Answer), Req), request};
%% echo: the body, with the content-type that it had.
init(Req0, echo) ->
	{Body, Req} = body(Req0, <<>>),
	Type = cowboy_req:header(<<"content-type">>, Req, <<"application/octet-stream">>),
	{ok, cowboy_req:reply(200, #{<<"content-type">> => Type}, Body, Req), echo};
%% hash: how much came, and its SHA-256.
init(Req0, hash) ->
	{Size, Hash, Req} = hash(Req0, 0, crypto:hash_init(sha256)),
	{ok, cowboy_req:reply(200, #{}, term_to_binary({Size, Hash}), Req), hash};
%% pieces?count=N&size=Bytes: that many pieces of a body, each different; with &length= they are not chunked.
init(Req0, pieces) ->
	#{count := Count, size := Size, length := IsSized} =
		cowboy_req:match_qs([{count, int}, {size, int}, {length, [], false}], Req0),
	Req = cowboy_req:stream_reply(200, case IsSized of
		false -> #{};
		_ -> #{<<"content-length">> => integer_to_binary(Count * Size)}
	end, Req0),
	_ = [ok = cowboy_req:stream_body(piece(N, Size), nofin, Req) || N <- lists:seq(1, Count)],
	ok = cowboy_req:stream_body(<<>>, fin, Req),
	{ok, Req, pieces};
%% trailers: Cowboy sends them to those who say `te: trailers', as RFC 9110, 6.5.1 asks.
init(Req0, trailers) ->
	Req = cowboy_req:stream_reply(200, #{<<"trailer">> => <<"x-sum">>}, Req0),
	ok = cowboy_req:stream_body(<<"Hello ">>, nofin, Req),
	ok = cowboy_req:stream_body(<<"world!">>, nofin, Req),
	ok = cowboy_req:stream_trailers(#{<<"x-sum">> => <<"12">>}, Req),
	{ok, Req, trailers};
%% inform?count=N: that many informational responses before the answer.
init(Req, inform) ->
	#{count := Count} = cowboy_req:match_qs([{count, int}], Req),
	_ = [ok = cowboy_req:inform(103, #{<<"link">> => integer_to_binary(N)}, Req) || N <- lists:seq(1, Count)],
	{ok, cowboy_req:reply(200, #{}, <<"Informed.">>, Req), inform};
%% status?code=N
init(Req, status) ->
	#{code := Code} = cowboy_req:match_qs([{code, int}], Req),
	{ok, cowboy_req:reply(Code, Req), status};
%% repeated: one name with two values.
init(Req0, repeated) ->
	Req1 = cowboy_req:set_resp_cookie(<<"one">>, <<"1">>, Req0),
	Req = cowboy_req:set_resp_cookie(<<"two">>, <<"2">>, Req1),
	%% HTTP/2 has no such names.
	Headers = maps:from_list([{<<"X-Case">>, <<"Kept">>} || cowboy_req:version(Req) =/= 'HTTP/2']),
	{ok, cowboy_req:reply(200, Headers, <<"Cookies!">>, Req), repeated};
%% close: the last answer on this connection.
init(Req, close) ->
	{ok, cowboy_req:reply(200, #{<<"connection">> => <<"close">>}, <<"Bye.">>, Req), close};
%% die: the connection, without an answer.
init(#{pid := Pid}, die) ->
	exit(Pid, kill),
	receive after infinity -> ok end;
%% held: tells the process in x-tell, and answers when it says so; with the body that it gives.
init(Req0, held) ->
	{Body, Req} = body(Req0, <<>>),
	Pid = binary_to_term(base64:decode(cowboy_req:header(<<"x-tell">>, Req))),
	Pid ! {held, self(), Body},
	Answer = receive {answer, Given} -> Given end,
	{ok, cowboy_req:reply(200, #{}, Answer, Req), held}.

%% The Nth piece of a body.
piece(N, Size) when Size >= 8 ->
	<<N:64, 0:(8 * (Size - 8))>>.

body(Req0, Body) ->
	case cowboy_req:read_body(Req0) of
		{ok, Data, Req} -> {<<Body/binary, Data/binary>>, Req};
		{more, Data, Req} -> body(Req, <<Body/binary, Data/binary>>)
	end.

hash(Req0, Size, Hash) ->
	case cowboy_req:read_body(Req0) of
		{ok, Data, Req} ->
			{Size + byte_size(Data), crypto:hash_final(crypto:hash_update(Hash, Data)), Req};
		{more, Data, Req} ->
			hash(Req, Size + byte_size(Data), crypto:hash_update(Hash, Data))
	end.
