%% @doc The functions of cowboy_req in Cowboy 1, where a Req is a tuple and every answer has
%% one: see gun_rs_req.
-module(gun_rs_req_1).

-export([get/2]).
-export([qs_val/3]).
-export([qs_vals/1]).
-export([url/1]).
-export([host_url/1]).
-export([binding/3]).
-export([header/3]).
-export([parse_header/2]).
-export([parse_header/3]).
-export([cookie/3]).
-export([cookies/1]).
-export([meta/3]).
-export([set_meta/3]).
-export([body/2]).
-export([body_within/2]).
-export([stream_body/2]).
-export([skip_body/1]).
-export([body_qs/2]).
-export([body_qs_within/2]).
-export([part/2]).
-export([part_body/2]).
-export([multipart_data/1]).
-export([multipart_skip/1]).
-export([set_resp_header/3]).
-export([delete_resp_header/2]).
-export([has_resp_header/2]).
-export([set_resp_cookie/4]).
-export([set_resp_body/2]).
-export([has_resp_body/1]).
-export([reply/3]).
-export([reply/4]).
-export([chunked_reply/3]).
-export([chunk/2]).
-export([continue/1]).
-export([compact/1]).

-type req() :: gun_rs_req_new:req_1().

-type headers() :: [{iodata(), iodata()}].
-export_type([headers/0]).

%% @doc What the map has under a key: method, path and others.
-spec get(atom(), req()) -> {term(), req()}.
get(Key, {_, Map} = Req) ->
	{maps:get(Key, Map), Req}.

%% The query string and the URL.

-spec qs_val(binary(), req(), Default) -> {binary() | true | Default, req()}.
qs_val(Name, Req, Default) ->
	{Values, _} = qs_vals(Req),
	{value(Name, Values, Default), Req}.

-spec qs_vals(req()) -> {[{binary(), binary() | true}], req()}.
qs_vals({_, #{qs := Qs}} = Req) ->
	case gun_rs_req_text:parse_qs(Qs) of
		{ok, Values} -> {Values, Req};
		error -> exit({request_error, qs, 'Malformed query string; application/x-www-form-urlencoded expected.'})
	end.

-spec url(req()) -> {binary(), req()}.
url({_, #{path := Path, qs := Qs}} = Req) ->
	{HostUrl, _} = host_url(Req),
	case Qs of
		<<>> -> {<<HostUrl/binary, Path/binary>>, Req};
		_ -> {<<HostUrl/binary, Path/binary, $?, Qs/binary>>, Req}
	end.

-spec host_url(req()) -> {binary(), req()}.
host_url({_, #{scheme := Scheme, host := Host, port := Port}} = Req) ->
	Suffix = case {Scheme, Port} of
		{<<"http">>, 80} -> <<>>;
		{<<"https">>, 443} -> <<>>;
		_ -> <<":", (integer_to_binary(Port))/binary>>
	end,
	{<<Scheme/binary, "://", Host/binary, Suffix/binary>>, Req}.

value(Name, List, Default) ->
	case lists:keyfind(Name, 1, List) of
		{_, Value} -> Value;
		false -> Default
	end.

%% What a request has by name.

-spec binding(atom(), req(), Default) -> {term() | Default, req()}.
binding(Name, {_, #{bindings := Bindings}} = Req, Default) ->
	{value(Name, Bindings, Default), Req}.

-spec header(binary(), req(), Default) -> {binary() | Default, req()}.
header(Name, {_, #{headers := Headers}} = Req, Default) ->
	{value(Name, Headers, Default), Req}.

-spec parse_header(binary(), req()) -> {ok, term(), req()} | {undefined, binary() | undefined, req()} | {error, badarg}.
parse_header(<<"transfer-encoding">> = Name, Req) -> parse_header(Name, Req, [<<"identity">>]);
parse_header(Name, Req) -> parse_header(Name, Req, undefined).

-spec parse_header(binary(), req(), Default :: term()) ->
	{ok, term(), req()} | {undefined, term(), req()} | {error, badarg}.
parse_header(Name, Req, Default) ->
	case header(Name, Req, undefined) of
		{undefined, _} ->
			case gun_rs_req_headers:parse(cowboy_1, Name, <<>>) of
				unknown -> {undefined, Default, Req};
				_ -> {ok, Default, Req}
			end;
		{Value, _} ->
			case gun_rs_req_headers:parse(cowboy_1, Name, Value) of
				{ok, Parsed} -> {ok, Parsed, Req};
				error -> {error, badarg};
				unknown -> {undefined, Value, Req}
			end
	end.

-spec cookie(binary(), req(), Default) -> {binary() | Default, req()}.
cookie(Name, Req, Default) ->
	{Cookies, _} = cookies(Req),
	{value(Name, Cookies, Default), Req}.

%% @doc The cookies of all Cookie headers, in order.
-spec cookies(req()) -> {[{binary(), binary()}], req()}.
cookies({_, #{headers := Headers}} = Req) ->
	{lists:append([gun_rs_req_cookies:parse(Value) || {<<"cookie">>, Value} <- Headers]), Req}.

-spec meta(atom(), req(), Default) -> {term() | Default, req()}.
meta(Name, {_, #{meta := Meta}} = Req, Default) ->
	{value(Name, Meta, Default), Req}.

-spec set_meta(atom(), term(), req()) -> req().
set_meta(Name, Value, {Tag, #{meta := Meta} = Map}) ->
	{Tag, Map#{meta := lists:keystore(Name, 1, Meta, {Name, Value})}}.

%% The body of the request.

-spec body(req(), gun_rs_req_body:opts_1()) -> {ok | more, binary(), req()} | {error, term()}.
body({_, Map}, Opts) ->
	tagged(gun_rs_req_body:read_1(Map, Opts, [])).

%% @doc As body/2 of Cowboy 0.9.
-spec body_within(non_neg_integer() | infinity, req()) -> {ok, binary(), req()} | {error, term()}.
body_within(MaxLength, {_, Map}) ->
	tagged(gun_rs_req_body:read_all_1(Map, MaxLength)).

%% @doc As stream_body/2 of Cowboy 0.9: a part of at least one byte, and of about so many.
-spec stream_body(pos_integer(), req()) -> {ok, binary(), req()} | {done, req()} | {error, term()}.
stream_body(Length, {_, Map}) ->
	case gun_rs_req_body:read_1(Map, [{length, Length}], []) of
		{ok, <<>>, Read} -> {done, {gun_rs_req_1, Read}};
		{error, Reason} -> {error, Reason};
		{_, Data, Read} -> {ok, Data, {gun_rs_req_1, Read}}
	end.

%% @doc As skip_body/1 of Cowboy 0.9.
-spec skip_body(req()) -> {ok, req()} | {error, term()}.
skip_body(Req) ->
	case stream_body(1000000, Req) of
		{ok, _, Read} -> skip_body(Read);
		{done, Read} -> {ok, Read};
		{error, Reason} -> {error, Reason}
	end.

-spec body_qs(req(), gun_rs_req_body:opts_1()) ->
	{ok, [{binary(), binary() | true}], req()} | {badlength, req()} | {error, term()}.
body_qs({_, Map}, Opts) ->
	tagged(gun_rs_req_body:form_1(Map, Opts)).

%% @doc As body_qs/2 of Cowboy 0.9.
-spec body_qs_within(non_neg_integer() | infinity, req()) ->
	{ok, [{binary(), binary() | true}], req()} | {error, term()}.
body_qs_within(MaxLength, Req) ->
	case body_qs(Req, [{length, MaxLength}]) of
		{badlength, _} -> {error, badlength};
		Result -> Result
	end.

-spec part(req(), gun_rs_req_body:opts_1()) -> {ok, [{binary(), binary()}], req()} | {done, req()}.
part({_, Map}, Opts) ->
	Defaults = [{length, 64000}, {read_length, 64000}, {read_timeout, 5000}],
	tagged(gun_rs_req_multipart:part(Map, fun(M) -> gun_rs_req_body:read_1(M, Opts, Defaults) end)).

-spec part_body(req(), gun_rs_req_body:opts_1()) -> {ok | more, binary(), req()}.
part_body({_, Map}, Opts) ->
	Length = proplists:get_value(length, Opts, 8000000),
	tagged(gun_rs_req_multipart:body(Map, fun(M) -> gun_rs_req_body:read_1(M, Opts, []) end, Length)).

%% @doc As multipart_data/1 of Cowboy 0.9: one after the other the headers, the body and the
%% end of each part.
-spec multipart_data(req()) ->
	{headers, [{binary(), binary()}], req()} | {body, binary(), req()} | {end_of_part, req()} | {eof, req()}.
multipart_data({Tag, #{multipart_data := ended} = Map}) ->
	{end_of_part, {Tag, Map#{multipart_data := none}}};
multipart_data({_, #{multipart_data := body}} = Req) ->
	case part_body(Req, []) of
		{more, Data, {Tag, Read}} -> {body, Data, {Tag, Read}};
		{ok, <<>>, {Tag, Read}} -> {end_of_part, {Tag, Read#{multipart_data := none}}};
		{ok, Data, {Tag, Read}} -> {body, Data, {Tag, Read#{multipart_data := ended}}}
	end;
multipart_data(Req) ->
	case part(Req, []) of
		{ok, Headers, {Tag, Read}} -> {headers, Headers, {Tag, Read#{multipart_data => body}}};
		{done, Read} -> {eof, Read}
	end.

%% @doc As multipart_skip/1 of Cowboy 0.9: the rest of a part.
-spec multipart_skip(req()) -> {ok, req()}.
multipart_skip({Tag, Map}) ->
	{ok, {Tag, Map#{multipart_data => none}}}.

tagged({Result, Map}) when is_map(Map) -> {Result, {gun_rs_req_1, Map}};
tagged({error, Reason}) -> {error, Reason};
tagged({Result, Value, Map}) -> {Result, Value, {gun_rs_req_1, Map}}.

%% The response. The newest header is the first of the list.

-spec set_resp_header(iodata(), iodata(), req()) -> req().
set_resp_header(Name, Value, {Tag, #{resp_headers := Headers} = Map}) ->
	{Tag, Map#{resp_headers := [{Name, Value}|Headers]}}.

-spec delete_resp_header(binary(), req()) -> req().
delete_resp_header(Name, {Tag, #{resp_headers := Headers} = Map}) ->
	{Tag, Map#{resp_headers := [Header || {Key, _} = Header <- Headers, Key =/= Name]}}.

-spec has_resp_header(binary(), req()) -> boolean().
has_resp_header(Name, {_, #{resp_headers := Headers}}) ->
	lists:keymember(Name, 1, Headers).

-spec set_resp_cookie(iodata(), iodata(), [{atom(), term()}], req()) -> req().
set_resp_cookie(Name, Value, Opts, Req) ->
	set_resp_header(<<"set-cookie">>, gun_rs_req_cookies:set(Name, Value, maps:from_list(Opts)), Req).

%% @doc A body for reply/2,3: bytes, or `{chunked, Fun}', which calls a fun with each chunk.
-spec set_resp_body(iodata() | {chunked, fun((fun((iodata()) -> ok | {error, atom()})) -> term())}, req()) -> req().
set_resp_body(Body, {Tag, Map}) ->
	{Tag, Map#{resp_body => Body}}.

-spec has_resp_body(req()) -> boolean().
has_resp_body({_, #{resp_body := {chunked, _}}}) -> true;
has_resp_body({_, #{resp_body := Body}}) -> iolist_size(Body) > 0;
has_resp_body(_) -> false.

-spec reply(gun_rs_req_reply:status(), headers(), req()) -> {ok, req()}.
reply(Status, Headers, {_, #{resp_body := {chunked, Fun}}} = Req) ->
	{ok, Begun} = chunked_reply(Status, Headers, Req),
	_ = Fun(fun(Data) -> chunk(Data, Begun) end),
	{_, Map} = Begun,
	_ = gun_rs_req_reply:data(Map, fin, <<>>),
	{ok, Begun};
reply(Status, Headers, {_, Map} = Req) ->
	reply(Status, Headers, maps:get(resp_body, Map, <<>>), Req).

-spec reply(gun_rs_req_reply:status(), headers(), iodata() | {sendfile, _, _, _}, req()) -> {ok, req()}.
reply(Status, Headers, Body, {Tag, Map}) ->
	ok = gun_rs_req_reply:whole(Map, Status, Headers, Body),
	{ok, {Tag, sent(Map)}}.

-spec chunked_reply(gun_rs_req_reply:status(), headers(), req()) -> {ok, req()}.
chunked_reply(Status, Headers, {Tag, Map}) ->
	%% Its length is not known, whatever a header says.
	Chunked = [Header || {Name, _} = Header <- Headers, Name =/= <<"content-length">>],
	ok = gun_rs_req_reply:stream(Map, Status, Chunked),
	{ok, {Tag, sent(Map)}}.

-spec chunk(iodata(), req()) -> ok | {error, closed}.
chunk(Data, {_, Map}) ->
	gun_rs_req_reply:data(Map, nofin, Data).

%% @doc Sends `100 Continue', where the client waits for it.
-spec continue(req()) -> ok.
continue({_, Map}) ->
	gun_rs_req_reply:inform(Map, 100, []).

%% What was set for the response is used up.
sent(Map) ->
	maps:remove(resp_body, Map#{resp_headers := []}).

%% @doc Keeps what a long-lived connection needs: as in Cowboy, binding/2 fails after it.
-spec compact(req()) -> req().
compact({Tag, Map}) ->
	{Tag, maps:without([bindings, multipart, resp_body],
		Map#{headers := [], host_info := undefined, path_info := undefined, resp_headers := []})}.
