%% @doc The functions of cowboy_req in Cowboy 2, where a Req is a map: see gun_rs_req.
-module(gun_rs_req_2).

-export([parse_qs/1]).
-export([match_qs/2]).
-export([uri/2]).
-export([header/3]).
-export([parse_header/2]).
-export([parse_header/3]).
-export([parse_cookies/1]).
-export([match_cookies/2]).
-export([filter_cookies/2]).
-export([read_and_match_form/3]).
-export([read_part/2]).
-export([read_part_body/2]).
-export([set_resp_header/3]).
-export([set_resp_headers/2]).
-export([set_resp_cookie/4]).
-export([has_resp_body/1]).
-export([reply/4]).
-export([stream_reply/3]).
-export([stream_body/3]).
-export([inform/3]).
-export([stream_trailers/2]).

-type req() :: map().

%% A name, its constraints, and the value where there is none.
-type fields() :: [atom() | {atom(), [gun_rs_constraints:constraint()] | gun_rs_constraints:constraint()}
	| {atom(), [gun_rs_constraints:constraint()] | gun_rs_constraints:constraint(), Default :: term()}].
-export_type([fields/0]).

-type headers() :: #{binary() => iodata()}.
-export_type([headers/0]).

%% The query string, and fields.

-spec parse_qs(req()) -> [{binary(), binary() | true}].
parse_qs(#{qs := Qs}) ->
	case gun_rs_req_text:parse_qs(Qs) of
		{ok, List} -> List;
		error -> exit({request_error, qs, 'Malformed query string; application/x-www-form-urlencoded expected.'})
	end.

-spec match_qs(fields(), req()) -> #{atom() => term()}.
match_qs(Fields, Req) ->
	case match(Fields, parse_qs(Req)) of
		{ok, Map} ->
			Map;
		{error, Errors} ->
			exit({request_error, {match_qs, Errors},
				'Query string validation constraints failed for the reasons provided.'})
	end.

%% Values of the same name are in a list, the last first.
match(Fields, Pairs) ->
	Values = lists:foldl(fun({Name, Value}, Acc) ->
		case Acc of
			#{Name := List} when is_list(List) -> Acc#{Name := [Value|List]};
			#{Name := First} -> Acc#{Name := [Value, First]};
			#{} -> Acc#{Name => Value}
		end
	end, #{}, Pairs),
	case lists:foldl(fun(Field, Found) -> field(Field, Values, Found) end, {#{}, #{}}, Fields) of
		{Map, Errors} when map_size(Errors) =:= 0 -> {ok, Map};
		{_, Errors} -> {error, Errors}
	end.

field(Name, Values, Found) when is_atom(Name) ->
	field({Name, []}, Values, Found);
field(Field, Values, {Map, Errors}) ->
	Name = element(1, Field),
	case {Values, Field} of
		{#{}, _} when is_map_key(Name, Map) ->
			{Map, Errors};
		_ ->
			case {maps:find(atom_to_binary(Name, utf8), Values), Field} of
				{{ok, Value}, _} -> constrained(Name, Value, element(2, Field), Map, Errors);
				{error, {_, _, Default}} -> {Map#{Name => Default}, Errors};
				{error, _} -> {Map, Errors#{Name => required}}
			end
	end.

constrained(Name, Value, Constraints, Map, Errors) ->
	case gun_rs_constraints:validate(Value, Constraints) of
		{ok, New} -> {Map#{Name => New}, Errors};
		{error, Reason} -> {Map, Errors#{Name => Reason}}
	end.

%% @doc The URI of the request. An option that is undefined leaves its part out.
-spec uri(req(), map()) -> iodata().
uri(Req, Opts) ->
	[Scheme, Host, Port, Path, Qs, Fragment] = [uri_part(maps:get(Key, Opts, maps:get(Key, Req, undefined)))
		|| Key <- [scheme, host, port, path, qs, fragment]],
	[uri_authority(Scheme, Host, Port), Path, [[$?, Qs] || Qs =/= <<>>], [[$#, Fragment] || Fragment =/= <<>>]].

uri_part(undefined) -> <<>>;
uri_part(Port) when is_integer(Port) -> Port;
uri_part(Part) -> iolist_to_binary(Part).

uri_authority(_, <<>>, _) -> <<>>;
uri_authority(<<>>, Host, Port) -> [<<"//">>, Host, uri_port(<<>>, Port)];
uri_authority(Scheme, Host, Port) -> [Scheme, <<"://">>, Host, uri_port(Scheme, Port)].

uri_port(_, <<>>) -> <<>>;
uri_port(Scheme, 80) when Scheme =:= <<"http">>; Scheme =:= <<"ws">> -> <<>>;
uri_port(Scheme, 443) when Scheme =:= <<"https">>; Scheme =:= <<"wss">> -> <<>>;
uri_port(_, Port) -> [$:, integer_to_binary(Port)].

%% Headers and cookies of the request.

-spec header(binary(), req(), Default) -> binary() | Default.
header(Name, #{headers := Headers}, Default) ->
	maps:get(Name, Headers, Default).

-spec parse_header(binary(), req()) -> term().
parse_header(<<"content-length">> = Name, Req) -> parse_header(Name, Req, 0);
parse_header(<<"cookie">> = Name, Req) -> parse_header(Name, Req, []);
parse_header(Name, Req) -> parse_header(Name, Req, undefined).

-spec parse_header(binary(), req(), Default :: term()) -> term().
parse_header(Name, #{headers := Headers}, Default) ->
	Result = case Headers of
		#{Name := Value} ->
			gun_rs_req_headers:parse(cowboy_2, Name, Value);
		#{} ->
			%% An unknown name is an error also where there is no such header.
			case gun_rs_req_headers:parse(cowboy_2, Name, <<>>) of
				unknown -> unknown;
				_ -> {ok, Default}
			end
	end,
	case Result of
		{ok, Parsed} ->
			Parsed;
		_ ->
			exit({request_error, {header, Name}, 'Malformed header. Please consult the relevant specification.'})
	end.

-spec parse_cookies(req()) -> [{binary(), binary()}].
parse_cookies(Req) ->
	parse_header(<<"cookie">>, Req).

-spec match_cookies(fields(), req()) -> #{atom() => term()}.
match_cookies(Fields, Req) ->
	case match(Fields, parse_cookies(Req)) of
		{ok, Map} ->
			Map;
		{error, Errors} ->
			exit({request_error, {match_cookies, Errors},
				'Cookie validation constraints failed for the reasons provided.'})
	end.

%% @doc Keeps the cookies of these names alone.
-spec filter_cookies([atom() | binary()], req()) -> req().
filter_cookies(Names0, #{headers := #{<<"cookie">> := Value} = Headers} = Req) ->
	Names = [case is_atom(Name) of
		true -> atom_to_binary(Name, utf8);
		false -> Name
	end || Name <- Names0],
	Cookies = [Cookie || {Name, _} = Cookie <- gun_rs_req_cookies:parse(Value), lists:member(Name, Names)],
	Req#{headers := Headers#{<<"cookie">> := gun_rs_req_cookies:format(Cookies)}};
filter_cookies(_, Req) ->
	Req.

%% The body of the request.

-spec read_and_match_form(fields(), req(), gun_rs_req_body:opts_2()) -> {ok, #{atom() => term()}, req()}.
read_and_match_form(Fields, Req, Opts) ->
	{ok, List, Read} = gun_rs_req_body:form_2(Req, Opts),
	case match(Fields, List) of
		{ok, Map} ->
			{ok, Map, Read};
		{error, Errors} ->
			exit({request_error, {read_and_match_urlencoded_body, Errors},
				'Urlencoded request body validation constraints failed for the reasons provided.'})
	end.

-spec read_part(req(), gun_rs_req_body:opts_2()) -> {ok, #{binary() => binary()}, req()} | {done, req()}.
read_part(Req, Opts) ->
	case gun_rs_req_multipart:part(Req, fun(R) -> gun_rs_req_body:read_2(R, Opts, #{length => 64000, period => 5000}) end) of
		{ok, Headers, Read} -> {ok, maps:from_list(Headers), Read};
		{done, Read} -> {done, Read}
	end.

-spec read_part_body(req(), gun_rs_req_body:opts_2()) -> {ok | more, binary(), req()}.
read_part_body(Req, Opts) ->
	Length = case maps:get(length, Opts, 8000000) of
		auto -> 1;
		Number -> Number
	end,
	gun_rs_req_multipart:body(Req, fun(R) -> gun_rs_req_body:read_2(R, Opts, #{}) end, Length).

%% The response.

-define(NO_COOKIES, 'Response cookies are set by set_resp_cookie/3,4.').

-spec set_resp_header(binary(), iodata(), req()) -> req().
set_resp_header(Name, Value, Req) ->
	ok = no_cookies(#{Name => Value}),
	Req#{resp_headers => (maps:get(resp_headers, Req, #{}))#{Name => Value}}.

%% @doc Several headers. Of a list those of one name are joined, and cookies are taken.
-spec set_resp_headers(headers() | [{binary(), iodata()}], req()) -> req().
set_resp_headers(Headers, Req) when is_map(Headers) ->
	ok = no_cookies(Headers),
	Req#{resp_headers => maps:merge(maps:get(resp_headers, Req, #{}), Headers)};
set_resp_headers(List, Req) ->
	{Cookies, Others} = lists:partition(fun({Name, _}) -> Name =:= <<"set-cookie">> end, List),
	Headers = lists:foldl(fun({Name, Value}, Acc) ->
		case Acc of
			#{Name := Before} -> Acc#{Name := [Before, <<", ">>, Value]};
			#{} -> Acc#{Name => Value}
		end
	end, #{}, Others),
	Set = maps:from_list([{hd(binary:split(iolist_to_binary(Value), <<"=">>)), Value} || {_, Value} <- Cookies]),
	set_resp_headers(Headers, case map_size(Set) of
		0 -> Req;
		_ -> Req#{resp_cookies => maps:merge(maps:get(resp_cookies, Req, #{}), Set)}
	end).

-spec set_resp_cookie(iodata(), iodata(), req(), gun_rs_req_cookies:options()) -> req().
set_resp_cookie(Name, Value, Req, Opts) ->
	Cookies = maps:get(resp_cookies, Req, #{}),
	Req#{resp_cookies => Cookies#{iolist_to_binary(Name) => gun_rs_req_cookies:set(Name, Value, Opts)}}.

-spec has_resp_body(req()) -> boolean().
has_resp_body(#{resp_body := {sendfile, _, _, _}}) -> true;
has_resp_body(#{resp_body := Body}) -> iolist_size(Body) > 0;
has_resp_body(_) -> false.

-spec reply(gun_rs_req_reply:status(), headers(), gun_rs_req_reply:body(), req()) -> req().
reply(Status, Headers, Body, Req) ->
	ok = not_sent(Req),
	ok = no_cookies(Headers),
	_ = may_have_body(Status) orelse body_size(Body) =:= 0
		orelse exit({response_error, body_not_allowed, 'A response of status 204 or 304 has no body.'}),
	ok = gun_rs_req_reply:whole(Req, Status, maps:to_list(Headers), Body),
	Req#{has_sent_resp => true}.

%% A file may stand for what an unchanged response would have, as in Cowboy.
body_size({sendfile, _, _, _}) -> 0;
body_size(Body) -> iolist_size(Body).

may_have_body(204) -> false;
may_have_body(304) -> false;
may_have_body(<<"204", _/binary>>) -> false;
may_have_body(<<"304", _/binary>>) -> false;
may_have_body(_) -> true.

-spec stream_reply(gun_rs_req_reply:status(), headers(), req()) -> req().
stream_reply(Status, Headers, Req) ->
	case may_have_body(Status) of
		true ->
			ok = not_sent(Req),
			ok = no_cookies(Headers),
			ok = gun_rs_req_reply:stream(Req, Status, maps:to_list(Headers)),
			Req#{has_sent_resp => headers};
		false ->
			reply(Status, Headers, <<>>, Req)
	end.

-spec stream_body(gun_rs_req_reply:body(), fin | nofin, req()) -> ok.
stream_body(Data, Fin, #{has_sent_resp := headers} = Req) ->
	%% The client may be gone: the handler is told by other ways.
	_ = gun_rs_req_reply:data(Req, Fin, Data),
	ok.

-spec inform(gun_rs_req_reply:status(), headers(), req()) -> ok.
inform(Status, Headers, Req) ->
	ok = not_sent(Req),
	ok = no_cookies(Headers),
	gun_rs_req_reply:inform(Req, Status, maps:to_list(Headers)).

-spec stream_trailers(headers(), req()) -> ok.
stream_trailers(Trailers, #{has_sent_resp := headers} = Req) ->
	ok = no_cookies(Trailers),
	gun_rs_req_reply:trailers(Req, maps:to_list(Trailers)).

not_sent(#{has_sent_resp := _}) ->
	exit({response_error, response_already_sent, 'The response was sent already.'});
not_sent(_) ->
	ok.

no_cookies(#{<<"set-cookie">> := _}) -> exit({response_error, invalid_header, ?NO_COOKIES});
no_cookies(Headers) when is_map(Headers) -> ok.
