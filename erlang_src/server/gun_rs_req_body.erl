%% @doc Reads the body of a request, for both dialects.
%%
%% Takes and gives the map of a Req; what is read is remembered by gun_rs_served, so that the
%% end of a body stays its end also where an older Req is used.
-module(gun_rs_req_body).

-export([read_1/3]).
-export([read_2/3]).
-export([read_all_1/2]).
-export([form_1/2]).
-export([form_2/2]).

%% length and read_length are in bytes, read_timeout in ms: that many bytes, or the end, must
%% come within it. The native library sends `100 Continue' at the first read, whatever the
%% option continue says; content_decode gets what was read.
-type opts_1() :: [{length, non_neg_integer() | infinity} | {read_length, pos_integer()} | {read_timeout, timeout()}
	| {continue, boolean()} | {content_decode, fun((binary()) -> {ok, binary()} | {error, term()})}].
-export_type([opts_1/0]).

%% length is in bytes; auto takes what has come. period and timeout are in ms: after the
%% period the answer is what has come until then, after the timeout it is an exit.
-type opts_2() :: #{length => non_neg_integer() | infinity | auto, period => timeout(), timeout => timeout()}.
-export_type([opts_2/0]).

%% RFC 1866: what a form of some size needs, and no more.
-define(FORM_LENGTH, 64000).
-define(FORM_PERIOD, 5000).

%% @doc As body/2 of Cowboy 1; the defaults stand for options that are not given.
-spec read_1(map(), opts_1(), Defaults :: opts_1()) ->
	{ok | more, binary(), map()} | {error, timeout | closed | term()}.
read_1(Map, Given, Defaults) ->
	Opts = maps:merge(
		#{length => 8000000, read_length => 1000000, read_timeout => 15000,
			content_decode => fun(Data) -> {ok, Data} end},
		maps:from_list(lists:map(fun check_1/1, Defaults) ++ lists:map(fun check_1/1, Given))),
	#{read_timeout := Timeout, content_decode := Decode} = Opts,
	case collect(Map, Opts#{period => Timeout}, deadline(Timeout), 0, []) of
		{error, Reason} ->
			{error, Reason};
		{timeout, _} ->
			{error, timeout};
		{Result, Data} ->
			case Decode(Data) of
				{ok, Decoded} -> {Result, Decoded, counted(Map, Result, Data)};
				{error, Reason} -> {error, Reason}
			end
	end.

check_1({length, Length} = Opt) when is_integer(Length), Length >= 0; Length =:= infinity -> Opt;
check_1({read_length, Length} = Opt) when is_integer(Length), Length > 0 -> Opt;
check_1({read_timeout, Timeout} = Opt) when is_integer(Timeout), Timeout >= 0; Timeout =:= infinity -> Opt;
check_1({continue, Continue} = Opt) when is_boolean(Continue) -> Opt;
check_1({content_decode, Decode} = Opt) when is_function(Decode, 1) -> Opt;
check_1(Opt) -> error({invalid_option, Opt}).

%% @doc All of a body, or `badlength' if there is more than so many bytes of it: as body/2 of
%% Cowboy 0.9, which takes the length first.
-spec read_all_1(map(), non_neg_integer() | infinity) -> {ok, binary(), map()} | {error, badlength | term()}.
read_all_1(Map, MaxLength) ->
	case read_1(Map, [{length, MaxLength}], []) of
		{ok, Data, _} when byte_size(Data) > MaxLength -> {error, badlength};
		{ok, Data, Read} -> {ok, Data, Read};
		{more, _, _} -> {error, badlength};
		{error, Reason} -> {error, Reason}
	end.

%% @doc As read_body/2 of Cowboy 2.
-spec read_2(map(), opts_2(), Defaults :: opts_2()) -> {ok | more, binary(), map()}.
read_2(Map, Given, Defaults) ->
	_ = maps:map(fun check_2/2, Given),
	Opts = maps:merge(maps:merge(#{length => 8000000, period => 15000}, Defaults), Given),
	#{period := Period} = Opts,
	Timeout = maps:get(timeout, Opts, later(Period, 1000)),
	case collect(Map, Opts, deadline(min(Period, Timeout)), 0, []) of
		%% infinity is more than any number.
		{timeout, _} when Timeout < Period -> exit(timeout);
		{timeout, Data} -> {more, Data, counted(Map, more, Data)};
		{error, Reason} -> exit({shutdown, {request_body, Reason}});
		{Result, Data} -> {Result, Data, counted(Map, Result, Data)}
	end.

check_2(length, Length) when is_integer(Length), Length >= 0; Length =:= infinity; Length =:= auto -> ok;
check_2(Key, Timeout) when Key =:= period orelse Key =:= timeout, is_integer(Timeout) andalso Timeout >= 0
	orelse Timeout =:= infinity -> ok;
check_2(Key, Value) -> error({invalid_option, {Key, Value}}).

%% Parts until there are as many bytes as asked for, or the body ends, or the time is over.
%% With read_length, each so many bytes have the whole time.
collect(Map, #{length := Length} = Opts, Deadline, Size, Parts) ->
	case gun_rs_served:read(Map, Deadline) of
		done ->
			{ok, joined(Parts)};
		{fin, Data} ->
			{ok, joined([Data|Parts])};
		{nofin, Data} ->
			Total = Size + byte_size(Data),
			case Length =:= auto andalso Total > 0 orelse Total >= Length of
				true -> {more, joined([Data|Parts])};
				false -> collect(Map, Opts, renewed(Opts, Deadline, Size, Total), Total, [Data|Parts])
			end;
		{error, timeout} ->
			{timeout, joined(Parts)};
		{error, Reason} ->
			{error, Reason}
	end.

renewed(#{read_length := Length, period := Period}, _, Size, Total) when Size div Length < Total div Length ->
	deadline(Period);
renewed(_, Deadline, _, _) ->
	Deadline.

joined([Part]) -> Part;
joined(Parts) -> iolist_to_binary(lists:reverse(Parts)).

%% At the end of the body its length is known, and put where a client would have put it.
counted(Map, Result, Data) ->
	Total = maps:get(gun_rs_body_read, Map, 0) + byte_size(Data),
	case Map of
		#{has_read_body := true} -> Map;
		#{has_body := false} -> Map;
		#{} when Result =:= more -> Map#{gun_rs_body_read => Total};
		#{headers := Headers} ->
			Map#{gun_rs_body_read => Total, has_read_body => true, body_length => Total,
				headers => with_length(Headers, integer_to_binary(Total))}
	end.

with_length(Headers, Length) when is_map(Headers) ->
	Headers#{<<"content-length">> => Length};
with_length(Headers, Length) ->
	lists:keystore(<<"content-length">>, 1, lists:keydelete(<<"transfer-encoding">>, 1, Headers),
		{<<"content-length">>, Length}).

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

later(infinity, _) -> infinity;
later(Period, Time) -> Period + Time.

%% @doc A form, as body_qs/2 of Cowboy 1.
-spec form_1(map(), opts_1()) ->
	{ok, [{binary(), binary() | true}], map()} | {badlength, map()} | {error, badarg | term()}.
form_1(Map, Opts) ->
	case read_1(Map, Opts, [{length, ?FORM_LENGTH}, {read_length, ?FORM_LENGTH}, {read_timeout, ?FORM_PERIOD}]) of
		{ok, Data, Read} ->
			case gun_rs_req_text:parse_qs(Data) of
				{ok, List} -> {ok, List, Read};
				error -> {error, badarg}
			end;
		{more, _, Read} ->
			{badlength, Read};
		{error, Reason} ->
			{error, Reason}
	end.

%% @doc A form, as read_urlencoded_body/2 of Cowboy 2.
-spec form_2(map(), opts_2()) -> {ok, [{binary(), binary() | true}], map()}.
form_2(Map, Opts) ->
	case read_2(Map, Opts, #{length => ?FORM_LENGTH, period => ?FORM_PERIOD}) of
		{ok, Data, Read} ->
			case gun_rs_req_text:parse_qs(Data) of
				{ok, List} ->
					{ok, List, Read};
				error ->
					exit({request_error, urlencoded_body,
						'The body is no form: application/x-www-form-urlencoded is expected.'})
			end;
		{more, _, #{gun_rs_body_read := Read}} ->
			Length = maps:get(length, Opts, ?FORM_LENGTH),
			case Length =:= auto orelse Read < Length of
				true -> exit({request_error, timeout, 'The form has not come in time.'});
				false -> exit({request_error, payload_too_large, 'The form is larger than allowed.'})
			end
	end.
