%% @doc The media types of files, by the ending of their names: what gun_rs_static uses, and
%% what routes ask for by `{mimetypes, cow_mimetypes, web | all}'.
-module(gun_rs_mimetypes).

-export([web/1]).
-export([all/1]).

-type type() :: {Type :: binary(), SubType :: binary(), Params :: [{binary(), binary()}]}.
-export_type([type/0]).

%% @doc The types of a web page and its parts. Everything else is `application/octet-stream'.
-spec web(file:filename_all()) -> type().
web(Path) ->
	to_type(web_type(ending(Path))).

%% @doc The types that web/1 knows, and those of common documents, fonts, media and archives.
-spec all(file:filename_all()) -> type().
all(Path) ->
	Ending = ending(Path),
	case web_type(Ending) of
		unknown -> to_type(other_type(Ending));
		Type -> to_type(Type)
	end.

ending(Path) ->
	case filename:extension(Path) of
		<<".", Ending/binary>> -> gun_rs_req_text:lowercase(Ending);
		[$.|Ending] -> gun_rs_req_text:lowercase(unicode:characters_to_binary(Ending));
		_ -> <<>>
	end.

to_type(unknown) ->
	{<<"application">>, <<"octet-stream">>, []};
to_type(Text) ->
	[Type, SubType] = binary:split(Text, <<"/">>),
	{Type, SubType, []}.

web_type(<<"css">>) -> <<"text/css">>;
web_type(<<"gif">>) -> <<"image/gif">>;
web_type(<<"htm">>) -> <<"text/html">>;
web_type(<<"html">>) -> <<"text/html">>;
web_type(<<"ico">>) -> <<"image/x-icon">>;
web_type(<<"jpeg">>) -> <<"image/jpeg">>;
web_type(<<"jpg">>) -> <<"image/jpeg">>;
web_type(<<"js">>) -> <<"application/javascript">>;
web_type(<<"mp3">>) -> <<"audio/mpeg">>;
web_type(<<"mp4">>) -> <<"video/mp4">>;
web_type(<<"ogg">>) -> <<"audio/ogg">>;
web_type(<<"ogv">>) -> <<"video/ogg">>;
web_type(<<"png">>) -> <<"image/png">>;
web_type(<<"svg">>) -> <<"image/svg+xml">>;
web_type(<<"wav">>) -> <<"audio/x-wav">>;
web_type(<<"webm">>) -> <<"video/webm">>;
web_type(_) -> unknown.

%% Texts and data.
other_type(<<"appcache">>) -> <<"text/cache-manifest">>;
other_type(<<"atom">>) -> <<"application/atom+xml">>;
other_type(<<"csv">>) -> <<"text/csv">>;
other_type(<<"ics">>) -> <<"text/calendar">>;
other_type(<<"json">>) -> <<"application/json">>;
other_type(<<"jsonld">>) -> <<"application/ld+json">>;
other_type(<<"log">>) -> <<"text/plain">>;
other_type(<<"map">>) -> <<"application/json">>;
other_type(<<"md">>) -> <<"text/markdown">>;
other_type(<<"mjs">>) -> <<"application/javascript">>;
other_type(<<"rss">>) -> <<"application/rss+xml">>;
other_type(<<"txt">>) -> <<"text/plain">>;
other_type(<<"vtt">>) -> <<"text/vtt">>;
other_type(<<"wasm">>) -> <<"application/wasm">>;
other_type(<<"webmanifest">>) -> <<"application/manifest+json">>;
other_type(<<"xhtml">>) -> <<"application/xhtml+xml">>;
other_type(<<"xml">>) -> <<"application/xml">>;
other_type(<<"xsl">>) -> <<"application/xml">>;
other_type(<<"xslt">>) -> <<"application/xslt+xml">>;
other_type(<<"yaml">>) -> <<"application/yaml">>;
other_type(<<"yml">>) -> <<"application/yaml">>;
%% Fonts.
other_type(<<"eot">>) -> <<"application/vnd.ms-fontobject">>;
other_type(<<"otf">>) -> <<"font/otf">>;
other_type(<<"ttf">>) -> <<"font/ttf">>;
other_type(<<"woff">>) -> <<"font/woff">>;
other_type(<<"woff2">>) -> <<"font/woff2">>;
%% Pictures, sound, film.
other_type(<<"aac">>) -> <<"audio/aac">>;
other_type(<<"avif">>) -> <<"image/avif">>;
other_type(<<"avi">>) -> <<"video/x-msvideo">>;
other_type(<<"bmp">>) -> <<"image/bmp">>;
other_type(<<"flac">>) -> <<"audio/flac">>;
other_type(<<"m3u8">>) -> <<"application/vnd.apple.mpegurl">>;
other_type(<<"m4a">>) -> <<"audio/mp4">>;
other_type(<<"m4v">>) -> <<"video/x-m4v">>;
other_type(<<"mkv">>) -> <<"video/x-matroska">>;
other_type(<<"mov">>) -> <<"video/quicktime">>;
other_type(<<"mpeg">>) -> <<"video/mpeg">>;
other_type(<<"mpg">>) -> <<"video/mpeg">>;
other_type(<<"oga">>) -> <<"audio/ogg">>;
other_type(<<"opus">>) -> <<"audio/ogg">>;
other_type(<<"tif">>) -> <<"image/tiff">>;
other_type(<<"tiff">>) -> <<"image/tiff">>;
other_type(<<"weba">>) -> <<"audio/webm">>;
other_type(<<"webp">>) -> <<"image/webp">>;
%% Documents.
other_type(<<"doc">>) -> <<"application/msword">>;
other_type(<<"docx">>) -> <<"application/vnd.openxmlformats-officedocument.wordprocessingml.document">>;
other_type(<<"epub">>) -> <<"application/epub+zip">>;
other_type(<<"odp">>) -> <<"application/vnd.oasis.opendocument.presentation">>;
other_type(<<"ods">>) -> <<"application/vnd.oasis.opendocument.spreadsheet">>;
other_type(<<"odt">>) -> <<"application/vnd.oasis.opendocument.text">>;
other_type(<<"pdf">>) -> <<"application/pdf">>;
other_type(<<"ppt">>) -> <<"application/vnd.ms-powerpoint">>;
other_type(<<"pptx">>) -> <<"application/vnd.openxmlformats-officedocument.presentationml.presentation">>;
other_type(<<"ps">>) -> <<"application/postscript">>;
other_type(<<"rtf">>) -> <<"application/rtf">>;
other_type(<<"xls">>) -> <<"application/vnd.ms-excel">>;
other_type(<<"xlsx">>) -> <<"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet">>;
%% Archives.
other_type(<<"7z">>) -> <<"application/x-7z-compressed">>;
other_type(<<"apk">>) -> <<"application/vnd.android.package-archive">>;
other_type(<<"bz2">>) -> <<"application/x-bzip2">>;
other_type(<<"gz">>) -> <<"application/gzip">>;
other_type(<<"jar">>) -> <<"application/java-archive">>;
other_type(<<"tar">>) -> <<"application/x-tar">>;
other_type(<<"xz">>) -> <<"application/x-xz">>;
other_type(<<"zip">>) -> <<"application/zip">>;
other_type(_) -> unknown.
