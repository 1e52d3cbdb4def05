%% @doc The handler of files, as Cowboy's `cowboy_static', for both dialects.
%%
%% A route has it as `{"/[...]", gun_rs_static, {priv_dir, my_app, "www"}}', or with
%% `{file, Path}', `{dir, Path}', `{priv_file, App, Path}', each with a list of extra options
%% behind it or not. What a request names is looked for below the directory and nowhere else;
%% a symbolic link in it is followed.
-module(gun_rs_static).

-export([init/2]).
-export([init/3]).
-export([handle/2]).
-export([terminate/3]).

-include_lib("kernel/include/file.hrl").

-type path() :: string() | binary().

%% mimetypes: the type of a path; of cow_mimetypes this application has its own where there is
%% no cowlib. etag: from the path, its size in bytes and its time, without a tag if false.
-type extra() :: {mimetypes, module(), atom()} | {mimetypes, binary() | gun_rs_mimetypes:type()}
	| {etag, module(), atom()} | {etag, false}
	| {charset, module(), atom()} | {charset, binary()}.

-type opts() :: {file | dir, path()} | {file | dir, path(), [extra()]}
	| {priv_file | priv_dir, App :: atom(), path()} | {priv_file | priv_dir, App :: atom(), path(), [extra()]}.
-export_type([opts/0, extra/0]).

%% What the answer to a request is made of.
-record(found, {
	path :: binary(),
	size :: non_neg_integer(),
	time :: calendar:datetime(),
	etag :: gun_rs_req_headers:etag() | undefined,
	extra :: [extra()]
}).

-type answer() :: {Status :: 200..499, [{binary(), iodata()}], gun_rs_req_reply:body()}.

%% @doc Answers a request of Cowboy 2.
-spec init(map(), opts()) -> {ok, map(), opts()}.
init(Req, Opts) ->
	{Status, Headers, Body} = answer(Req, Opts),
	{ok, gun_rs_req:reply(Status, maps:from_list(Headers), Body, Req), Opts}.

%% @doc Goes on to handle/2 with a request of Cowboy 1.
-spec init({tcp | ssl, http}, gun_rs_req_new:req_1(), opts()) -> {ok, gun_rs_req_new:req_1(), opts()}.
init(_, Req, Opts) ->
	{ok, Req, Opts}.

%% @doc Answers a request of Cowboy 1.
-spec handle(gun_rs_req_new:req_1(), opts()) -> {ok, gun_rs_req_new:req_1(), opts()}.
handle(Req, Opts) ->
	{Status, Headers, Body} = answer(Req, Opts),
	{ok, Replied} = gun_rs_req:reply(Status, Headers, Body, Req),
	{ok, Replied, Opts}.

-spec terminate(term(), term(), term()) -> ok.
terminate(_, _, _) ->
	ok.

-spec answer(gun_rs_req:req(), opts()) -> answer().
answer(Req, Opts) ->
	case value(method, Req) of
		Method when Method =:= <<"GET">>; Method =:= <<"HEAD">> -> located(locate(Opts, value(path_info, Req)), Method, Req);
		<<"OPTIONS">> -> {200, allow(), <<>>};
		_ -> {405, allow(), <<>>}
	end.

allow() ->
	[{<<"allow">>, <<"HEAD, GET, OPTIONS">>}].

%% The two kinds of Req.

value(Function, Req) when is_map(Req) -> gun_rs_req:Function(Req);
value(Function, Req) -> element(1, gun_rs_req:Function(Req)).

%% A header that is not there or is invalid asks for nothing.
parsed(Name, Req) ->
	Value = case gun_rs_req:header(Name, Req) of
		{Found, _} -> Found;
		Found -> Found
	end,
	case Value =/= undefined andalso gun_rs_req_headers:parse(cowboy_2, Name, Value) of
		{ok, Parsed} -> Parsed;
		_ -> undefined
	end.

%% From options to a path.

locate({file, Path}, _) -> {ok, to_binary(Path), []};
locate({file, Path, Extra}, _) -> {ok, to_binary(Path), Extra};
locate({priv_file, App, Path}, _) when is_atom(App) -> {ok, priv_path(App, Path), []};
locate({priv_file, App, Path, Extra}, _) -> {ok, priv_path(App, Path), Extra};
locate({dir, Path}, Segments) -> below(to_binary(Path), Segments, []);
locate({dir, Path, Extra}, Segments) -> below(to_binary(Path), Segments, Extra);
locate({priv_dir, App, Path}, Segments) when is_atom(App) -> below(priv_path(App, Path), Segments, []);
locate({priv_dir, App, Path, Extra}, Segments) -> below(priv_path(App, Path), Segments, Extra).

priv_path(App, Path) ->
	case code:priv_dir(App) of
		{error, bad_name} -> error({no_priv_dir, App});
		Dir -> to_binary(filename:join(Dir, Path))
	end.

to_binary(Path) when is_binary(Path) -> Path;
to_binary(Path) -> unicode:characters_to_binary(Path, unicode, file:native_name_encoding()).

below(_, undefined, _) ->
	error({no_path_info, "A route to the files of a directory ends with [...]."});
below(Dir, Segments, Extra) ->
	case inside(Segments, []) of
		{ok, Names} -> {ok, filename:join([Dir|Names]), Extra};
		error -> error
	end.

%% Cowboy 1 leaves dots in a path. They may go up, but never above the directory.
inside([], Done) -> {ok, lists:reverse(Done)};
inside([<<>>|Segments], Done) -> inside(Segments, Done);
inside([<<".">>|Segments], Done) -> inside(Segments, Done);
inside([<<"..">>|_], []) -> error;
inside([<<"..">>|Segments], [_|Done]) -> inside(Segments, Done);
inside([Segment|Segments], Done) ->
	case binary:match(Segment, [<<"/">>, <<"\\">>, <<0>>]) of
		nomatch -> inside(Segments, [Segment|Done]);
		_ -> error
	end.

%% From a path to a file.

located(error, _, _) ->
	{400, [], <<>>};
located({ok, Path, Extra}, Method, Req) ->
	ok = check(Extra),
	case file:read_file_info(Path, [{time, universal}]) of
		{ok, #file_info{type = directory}} ->
			{403, [], <<>>};
		{ok, #file_info{type = regular, access = Access, size = Size, mtime = Time}}
				when Access =:= read; Access =:= read_write ->
			Etag = etag(lists:keyfind(etag, 1, Extra), Path, Size, Time),
			found(#found{path = Path, size = Size, time = Time, etag = Etag, extra = Extra}, Method, Req);
		{ok, #file_info{type = regular}} ->
			{403, [], <<>>};
		{error, eacces} ->
			{403, [], <<>>};
		_ ->
			{404, [], <<>>}
	end.

check(Extra) ->
	lists:foreach(fun
		({mimetypes, M, F}) when is_atom(M), is_atom(F) -> ok;
		({mimetypes, Type}) when is_binary(Type) -> ok;
		({mimetypes, {_, _, _}}) -> ok;
		({etag, M, F}) when is_atom(M), is_atom(F) -> ok;
		({etag, false}) -> ok;
		({charset, M, F}) when is_atom(M), is_atom(F) -> ok;
		({charset, Charset}) when is_binary(Charset) -> ok;
		(Option) -> error({invalid_option, Option})
	end, Extra).

etag({etag, false}, _, _, _) -> undefined;
etag({etag, Module, Function}, Path, Size, Time) -> Module:Function(Path, Size, Time);
etag(false, _, Size, Time) ->
	Seconds = calendar:datetime_to_gregorian_seconds(Time),
	{strong, <<(integer_to_binary(Size, 16))/binary, $-, (integer_to_binary(Seconds, 16))/binary>>}.

%% Conditions, in the order of RFC 9110, 13.2.2.

found(Found, Method, Req) ->
	case unmet(Found, Req) of
		true -> {412, [], <<>>};
		false ->
			case unchanged(Found, Req) of
				true -> {304, validators(Found), <<>>};
				false -> content(Found, Method, Req)
			end
	end.

unmet(#found{etag = Etag, time = Time}, Req) ->
	case parsed(<<"if-match">>, Req) of
		undefined ->
			case parsed(<<"if-unmodified-since">>, Req) of
				undefined -> false;
				Since -> Time > Since
			end;
		'*' -> false;
		Etags -> not (is_strong(Etag) andalso lists:member(Etag, Etags))
	end.

unchanged(#found{etag = Etag, time = Time}, Req) ->
	case parsed(<<"if-none-match">>, Req) of
		undefined ->
			case parsed(<<"if-modified-since">>, Req) of
				undefined -> false;
				Since -> Time =< Since
			end;
		'*' -> true;
		Etags -> is_tuple(Etag) andalso lists:keymember(element(2, Etag), 2, Etags)
	end.

is_strong({strong, _}) -> true;
is_strong(_) -> false.

validators(#found{etag = Etag, time = Time}) ->
	[{<<"etag">>, etag_text(Etag)} || Etag =/= undefined] ++ [{<<"last-modified">>, gun_rs_req_text:date(Time)}].

etag_text({strong, Tag}) -> [$", Tag, $"];
etag_text({weak, Tag}) -> [<<"W/\"">>, Tag, $"].

%% The content, or a range of it.

content(#found{path = Path, size = Size} = Found, Method, Req) ->
	Headers = [{<<"content-type">>, content_type(Found)}, {<<"accept-ranges">>, <<"bytes">>}|validators(Found)],
	case Method =:= <<"GET">> andalso range(Found, Req) of
		{First, Last} ->
			Range = io_lib:format("bytes ~b-~b/~b", [First, Last, Size]),
			{206, [{<<"content-range">>, Range}|Headers], {sendfile, First, Last - First + 1, Path}};
		unsatisfiable ->
			{416, [{<<"content-range">>, [<<"bytes */">>, integer_to_binary(Size)]}], <<>>};
		_ ->
			{200, Headers, {sendfile, 0, Size, Path}}
	end.

%% One range; a request for several gets all, which RFC 9110, 14.2 allows.
range(#found{size = Size} = Found, Req) ->
	case parsed(<<"range">>, Req) of
		{bytes, [Range]} ->
			case is_current(Found, Req) of
				true -> bounds(Range, Size);
				false -> all
			end;
		_ ->
			all
	end.

%% A range of another version than the client has is of no use to it.
is_current(#found{etag = Etag, time = Time}, Req) ->
	case parsed(<<"if-range">>, Req) of
		undefined -> not has_header(<<"if-range">>, Req);
		{strong, _} = Strong -> Strong =:= Etag;
		{weak, _} -> false;
		Date -> Date =:= Time
	end.

has_header(Name, Req) ->
	case gun_rs_req:header(Name, Req) of
		undefined -> false;
		{undefined, _} -> false;
		_ -> true
	end.

bounds({First, Last}, _) when Last =/= infinity, Last < First -> all;
bounds({First, _}, Size) when First >= Size -> unsatisfiable;
bounds({First, Last}, Size) -> {First, min(Last, Size - 1)};
bounds(0, _) -> unsatisfiable;
bounds(_, 0) -> unsatisfiable;
bounds(Suffix, Size) -> {max(0, Size + Suffix), Size - 1}.

%% Types.

content_type(#found{path = Path, extra = Extra}) ->
	[type(lists:keyfind(mimetypes, 1, Extra), Path), charset(lists:keyfind(charset, 1, Extra), Path)].

type(false, Path) -> type_text(gun_rs_mimetypes:web(Path));
type({mimetypes, Type}, _) -> type_text(Type);
type({mimetypes, Module, Function}, Path) -> type_text(mimetype(Module, Function, Path)).

charset(false, _) -> [];
charset({charset, Charset}, _) -> [<<"; charset=">>, Charset];
charset({charset, Module, Function}, Path) -> [<<"; charset=">>, Module:Function(Path)].

%% cowlib may not be there, which routes for Cowboy name.
mimetype(cow_mimetypes, Function, Path) when Function =:= web; Function =:= all ->
	case code:ensure_loaded(cow_mimetypes) of
		{module, _} -> cow_mimetypes:Function(Path);
		{error, _} -> gun_rs_mimetypes:Function(Path)
	end;
mimetype(Module, Function, Path) ->
	Module:Function(Path).

type_text(Type) when is_binary(Type) -> Type;
type_text({Type, SubType, Params}) ->
	[Type, $/, SubType, [[<<"; ">>, Key, $=, Value] || {Key, Value} <- Params]].
