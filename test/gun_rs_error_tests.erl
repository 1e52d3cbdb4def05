%% Every reason has one English sentence, whatever is in it.
-module(gun_rs_error_tests).

-include_lib("eunit/include/eunit.hrl").
-include("gun_rs_test.hrl").

-import(gun_rs_test, [title/1]).

every_reason_has_a_sentence_of_its_own_test_() ->
	[{title(Reason), fun() ->
		Text = sentence(Reason),
		?assertEqual(nomatch, string:find(Text, "has no words")),
		_ = [?assertNotEqual({Word, nomatch}, {Word, string:find(Text, Word)}) || Word <- Words]
	end} || {Reason, Words} <- reasons()].

no_sentence_has_the_syntax_of_a_language_in_it_test_() ->
	[{title(Reason), fun() ->
		?assertEqual([], gun_rs_test:debris(sentence(Reason))),
		_ = [?assertEqual([], gun_rs_test:debris(sentence(setelement(N, Reason, Term))))
			|| is_tuple(Reason), N <- lists:seq(2, tuple_size(Reason)), Term <- [
				<<"chat">>, <<0, 255>>, [<<"chat">>], {text, <<"chat">>}, #{a => [<<"b">>, self()]}, make_ref(),
				fun(_) -> ok end, fun lists:map/2, <<1:3>>, 'Elixir.My.Module', "a\nb", [a|<<"b">>],
				{tls_alert, {<<"a">>, <<"b">>}}, {tls_opts, {verify_fun, {fun lists:map/2, [<<"a">>]}}}
			]]
	end} || {Reason, _} <- reasons()].

a_term_is_shown_for_any_reader_test_() ->
	[?_assertEqual({Term, Shown}, {Term, gun_rs_text:term(Term)}) || {Term, Shown} <- [
		{<<"chat">>, "\"chat\""},
		{"chat", "\"chat\""},
		{<<"b\x{fc}cher"/utf8>>, "\"b\x{fc}cher\""},
		{<<"a\"b\r\n">>, "\"a\\\"b\\r\\n\""},
		{<<>>, "\"\""},
		{[], "[]"},
		{<<255>>, "a binary of 1 byte"},
		{{text, <<"hi">>}, "{text,\"hi\"}"},
		{[a, {b, 1.5}, -3], "[a,{b,1.5},-3]"},
		{[a|b], "[a|b]"},
		{[<<"a">>, $b|<<"c">>], "[\"a\",98|\"c\"]"},
		{#{level => 10}, "#{level => 10}"},
		{fun lists:map/2, "lists:map/2"},
		{fun(_) -> ok end, "a fun"},
		{self(), "a process"},
		{'', "''"},
		{lists:seq(-1000, -970), "[-1000,-999,-998,-997,-996,-995,-994,-993,-992,-991,-990,-989,-988,-987,-986,-985,"
			"-984,-983,-982,-981,...]"},
		{binary:copy(<<"a">>, 300), [$"|lists:duplicate(199, $a)] ++ "..."}
	]].

no_two_reasons_share_a_sentence_test() ->
	Own = [sentence(Reason) || {Reason, _} <- reasons(), not is_wrapped(Reason)],
	?assertEqual([], Own -- lists:usort(Own)).

a_wrapper_says_what_it_wraps_test_() ->
	[?_assertEqual(sentence(econnrefused), sentence(Wrapped)) || Wrapped <- [
		{shutdown, econnrefused}, {error, econnrefused}, {shutdown, {error, econnrefused}}]] ++
	[?_assertNotEqual(nomatch, string:find(sentence({Tag, {error, econnrefused}}),
		"the connection was refused (econnrefused)"))
	|| Tag <- [closed, closing, down, stream_error, connection_error]].

every_option_is_named_in_its_sentence_test_() ->
	[{title(Reason), fun() ->
		{ok, Name} = option_name(Reason),
		?assertNotEqual(nomatch, string:find(sentence(Reason), Name))
	end} || Reason <- option_errors()].

a_planned_option_is_told_from_an_unknown_one_test() ->
	?assertNotEqual(nomatch, string:find(sentence({options, {http3_opts, #{}}}), "not built yet")),
	?assertNotEqual(nomatch, string:find(sentence({options, {tsl_opts, []}}), "unknown")),
	?assertNotEqual(nomatch, string:find(sentence({options, {http, {flwo, 1}}}), "unknown")),
	?assertNotEqual(nomatch, string:find(sentence({options, {ws, {tunel, 1}}}), "unknown")).

an_option_of_compress_is_named_with_the_map_that_it_stands_in_test() ->
	?assertEqual("In compress, the option level must be an integer of 0 to 9 and not 10; "
		"correct the call.", sentence({options, {ws, {compress, {level, 10}}}})),
	?assertEqual("In compress, the option levle is unknown; correct the call.",
		sentence({options, {ws, {compress, {levle, 1}}}})),
	?assertEqual("The WebSocket option compress must be true, false, compat or a map and not 9; "
		"correct the call.", sentence({options, {ws, {compress, 9}}})).

an_option_of_ws_upgrade_alone_is_called_that_test() ->
	?assertEqual("The WebSocket option invalid_request_headers must be raise or ignore and not foo; correct the call.",
		sentence({options, {ws, {invalid_request_headers, foo}}})),
	?assertEqual("The option transport_opts must be a list, and in the dialects of gun 1 and before alone, where it stands for "
		"tcp_opts and tls_opts; correct the call.", sentence({options, {transport_opts, hidden}})),
	?assertEqual("The WebSocket option invalid_request_headers belongs to ws_upgrade/4 and "
		"not to the ws_opts of open; correct the call.",
		sentence({options, {ws, {invalid_request_headers, ignore}}})).

every_name_that_native_code_gives_to_a_reason_is_among_these_test() ->
	Known = lists:usort(atoms([Reason || {Reason, _} <- reasons()])),
	?assertEqual([], lists:usort(native_names()) -- Known).

whatever_open_refuses_gets_a_sentence_that_blames_the_call_test_() ->
	[{title(Args), fun() ->
		{error, Reason} = apply(gun_rs_options, open, Args),
		Text = sentence(Reason),
		?assert(string:find(Text, "correct the call") =/= nomatch
			orelse string:find(Text, "not built yet") =/= nomatch)
	end} || Args <- [
		["bad host", 80, #{}], ["localhost", 0, #{}], ["localhost", 80, []],
		["localhost", 80, #{retry => -1}], ["localhost", 80, #{raw_opts => #{flow => 0}}],
		["localhost", 80, #{tls_opts => [{verify_fun, {fun lists:foldl/3, []}}]}], ["localhost", 80, #{tls_opts => #{}}],
		["localhost", 80, #{unknown => 1}],
		["localhost", 80, #{tcp_opts => [list]}], ["localhost", 80, #{tcp_opts => undefined}],
		["localhost", 80, #{ws_opts => #{keepalive => 0}}],
		["localhost", 80, #{ws_opts => #{compress => #{level => 10}}}],
		["localhost", 80, #{ws_opts => #{compress => #{levle => 1}}}],
		["localhost", 80, #{ws_opts => #{default_protocol => no_such_module}}],
		["localhost", 80, #{ws_opts => #{protocols => [{"a", lists}]}}],
		["localhost", 80, #{ws_opts => #{reupgrade => #{queue => 0}}}],
		["localhost", 80, #{ws_opts => #{invalid_request_headers => ignore}}],
		["localhost", 80, #{http_opts => #{keepalive => 0}}]
	]].

what_a_request_raises_gets_a_sentence_with_its_text_test() ->
	{'EXIT', {Header, _}} = ?CATCH(gun_rs_request:headers([{"X", "a\r\n"}], error)),
	?assertEqual("The request header \"x\" cannot be sent: the value contains a line break "
		"or another control character; correct the call.", sentence(Header)),
	{'EXIT', {Target, _}} = ?CATCH(gun_rs_request:path("/a b")),
	?assertEqual("The request target \"/a b\" cannot be sent: the path contains a space; "
		"write it as %20; correct the call.", sentence(Target)).

a_posix_error_without_words_of_ours_has_those_of_otp_test() ->
	?assertEqual("The operating system or the network failed: protocol not supported "
		"(eprotonosupport).", sentence(eprotonosupport)).

a_text_may_be_a_string_a_binary_or_neither_test_() ->
	[{title(Text), fun() ->
		?assertEqual("The server broke the HTTP protocol, or speaks another one: "
			++ Expected ++ ".", sentence({http_protocol, Text}))
	end} || {Text, Expected} <- [
		{"Invalid header.", "invalid header"},
		{<<"Invalid header.">>, "invalid header"},
		{<<"invalid header">>, "invalid header"},
		{["Invalid ", <<"header">>], "invalid header"},
		{"HTTP/9 is unknown", "HTTP/9 is unknown"},
		{"A header is bad.", "a header is bad"},
		{"two\r\nlines\n", "two  lines"},
		{"", "no reason is known"},
		{<<>>, "no reason is known"},
		{<<"b\x{fc}cher"/utf8>>, "b\x{fc}cher"},
		{<<0, 255>>, "a binary of 2 bytes"},
		{[0, 1], "[0,1]"},
		{[a|b], "[a|b]"},
		{econnreset, "the other side reset the connection (econnreset); its log may say why"}
	]].

an_unknown_term_is_shown_and_never_crashes_test_() ->
	[{title(Term), fun() ->
		?assertNotEqual(nomatch, string:find(sentence(Term), "has no words")),
		%% Nor does it inside of any reason.
		_ = [sentence(setelement(N, Reason, Term))
			|| {Reason, _} <- reasons(), is_tuple(Reason),
				N <- lists:seq(1, tuple_size(Reason))]
	end} || Term <- [
		no_such_reason, '', 'b\x{20ac}', 0, -1.5, "", "text", [8364], [a|b], <<>>, <<0, 255>>,
		<<1:3>>, {}, {a}, {a, b, c, d}, #{}, #{a => [b]}, self(), make_ref(), fun() -> ok end,
		{options}, {ws_protocol}, {badarg, [{gun_rs, open, 3, []}]}
	]].

a_huge_term_makes_a_short_sentence_test_() ->
	[{timeout, 30, fun() -> ?assert(length(sentence({invalid_frame, Frame, "Too big."})) < 1000) end}
	|| Frame <- [{text, binary:copy(<<"a">>, 16 bsl 20)}, {text, lists:duplicate(1 bsl 20, $a)},
		{binary, binary:copy(<<255>>, 16 bsl 20)}, lists:duplicate(100000, ping)]].

%% Helpers.

%% One line, from a capital to its only final period, as an iolist.
sentence(Reason) ->
	Text = gun_rs_error:format(Reason),
	Bin = iolist_to_binary(Text),
	String = unicode:characters_to_list(Bin),
	?assert(is_list(String)),
	?assertEqual(String, lists:flatten(io_lib:format("~ts", [Text]))),
	?assert(hd(String) >= $A andalso hd(String) =< $Z),
	?assertEqual($., lists:last(String)),
	?assertNotEqual("..", string:slice(String, length(String) - 2)),
	?assertEqual(nomatch, string:find(String, "\n")),
	String.

reasons() ->
	[{Reason, []} || Reason <- option_errors()] ++ [
		{{options, []}, ["map"]},
		{{options, {host, "a b"}}, ["host", "\"a b\""]},
		{{options, {port, 0}}, ["port", "65535", "0"]},
		{{options, {ws, []}}, ["map"]},
		{{options, {req, []}}, ["map"]},
		{{badmatch, {error, {options, {req, {flow, 0}}}}}, ["flow", "parts"]},
		{{options, {path, ""}}, ["107"]},
		{{invalid_request_method, "a b", "Bad."}, ["\"a b\"", "bad"]},
		{{invalid_request_body, [a], "Bad."}, ["[a]", "bad"]},
		{{badmatch, {error, {options, {ws, {keepalive, -2}}}}}, ["keepalive", "-2"]},
		{{invalid_frame, {text, foo}, "The payload must be iodata."},
			["{text,foo}", "the payload must be iodata; correct the call"]},
		{{invalid_request_header, <<"x">>, "Bad."}, ["header \"x\" cannot", "bad"]},
		{{invalid_request_target, <<"y">>, <<"Bad.">>}, ["target \"y\" cannot", "bad"]},
		{{badstate, "This connection only accepts Websocket frames."},
			["this connection only accepts Websocket frames"]},
		{send_queue_full, ["max_send_queue"]},
		{calling_self, ["ws_send"]},
		{{not_started, gun_rs}, ["gun_rs", "ensure_all_started"]},
		{not_started, ["stopped"]},
		{{node_too_old, 'a@b'}, ["a@b", "this release"]},
		{{options, {req, {reply_to, alias}}}, ["connect/4", "ping/2"]},
		{{options, {conn_opts, {protocols, [raw]}}}, ["pool", "raw or SOCKS"]},
		{{options, {conn_opts, {socks_opts, hidden}}}, ["socks_opts"]},
		{{nif_not_loaded, {load_failed, "Failed to load NIF library: 'x.so'"}},
			["load_failed", "x.so", "rebar3 compile"]},
		{{nif_not_loaded, "No such file"}, ["no such file"]},
		{{nif_not_loaded, enoent}, ["enoent"]},
		{native_reloaded, ["native library", "open the connection again"]},
		{{panic, <<"index out of bounds">>}, ["index out of bounds", "bug in gun_rs"]},
		{nxdomain, ["host name"]},
		{resolver_busy, ["resolver", "domain_lookup_timeout"]},
		{timeout, ["in time"]}
	] ++ [{Posix, [atom_to_list(Posix)]} || Posix <- [econnrefused, econnreset, econnaborted,
		ehostunreach, ehostdown, enetunreach, enetdown, etimedout, eaddrnotavail, eaddrinuse,
		eafnosupport, eacces, eperm, epipe, emfile, enfile, enobufs, enomem, einval, eio, eisconn, enetreset,
		enotconn, eproto, enoent, enametoolong, enotdir, enotsock, eprototype]
		++ [eagain, ealready, ebadf, ebusy, edestaddrreq, efault, einprogress, eintr, eisdir, eloop, emsgsize, enodev,
		enoprotoopt, enospc, enosys, enxio, eopnotsupp, epfnosupport, eprotonosupport, erofs, eshutdown, esocktnosupport, estale, etoomanyrefs]
	] ++ [
		{{posix, 4242}, ["4242"]},
		{{tls_alert, {unknown_ca, "Unknown CA"}}, ["unknown_ca", "unknown CA"]},
		{{tls_alert, {certificate_required, "a: it wants a certificate."}},
			["a: it wants a certificate; give", "certfile and keyfile"]},
		{truncated, ["close_notify"]},
		{normal, ["normally"]},
		{closed, ["closed", "other side"]},
		{shutdown, ["shut down"]},
		{closing, ["closing"]},
		{killed, ["killed"]},
		{noproc, ["does not exist"]},
		{{noproc, {sys, get_state, [self()]}}, ["does not exist"]},
		{noconnection, ["node"]},
		{not_found, ["supervise => false"]},
		{{options, {socket, {timeout, -1}}}, ["gun_rs_socket", "timeout", "milliseconds", "-1"]},
		{{options, {socket, {supervise, false}}}, ["gun_rs_socket", "supervise", "false", "leave"]},
		{not_owner, ["process that connected"]},
		{{unsupported_protocol, http2}, ["http2", "gun_rs_socket", "HTTP/1.1", "protocols => [http]"]},
		{{upgrade_refused, 404, [], <<>>}, ["status 404;"]},
		{{upgrade_refused, 403, [], <<"Members only.\n">>}, ["status 403 (Members only);"]},
		{{upgrade_refused, 400, [], binary:copy(<<"a">>, 1000)}, ["status 400;"]},
		{{close, 1005, <<>>}, ["closed", "no code"]},
		{{close, 1001, <<>>}, ["code 1001."]},
		{{close, 4000, <<"bye">>}, ["code 4000 (bye)"]},
		{{close_failed, timeout, {ok, secret}}, ["fun is done", "did not answer"]},
		{{timeout, upgrade}, ["upgrade", "upgrade_timeout"]},
		{{timeout, response}, ["response_timeout"]},
		{{timeout, body}, ["body_timeout"]},
		{{upgrade_refused, 503}, ["503", "retry_statuses"]},
		{keepalive_timeout, ["pings", "keepalive_tolerance"]},
		{idle_timeout, ["client", "idle_timeout"]},
		{{ping_unsupported_by_protocol, make_ref()}, ["gun_rs:ping", "HTTP/1.1"]},
		{request_too_short, ["content-length"]},
		{{closed, {error, request_too_short}}, ["content-length"]},
		{not_connected, ["not up"]},
		{{owner_down, some_crash}, ["owner", "some_crash"]},
		{{closed, normal}, ["normally"]},
		{{closed, {error, econnreset}}, ["econnreset"]},
		{{closed, {error, keepalive_timeout}}, ["pings"]},
		{{closed, shutdown}, ["shut down"]},
		{{closing, shutdown}, ["shut down"]},
		{{closed, owner_down}, ["owner"]},
		{{closing, owner_down}, ["owner"]},
		{{shutdown, econnrefused}, ["econnrefused"]},
		{{shutdown, {owner_down, some_crash}}, ["some_crash"]},
		{{error, econnreset}, ["econnreset"]},
		{{error, {connection_error, limit_reached, "Too much."}}, ["too much"]},
		{{down, noproc}, ["does not exist"]},
		{{down, {shutdown, nxdomain}}, ["host name"]},
		{{stream_error, closed}, ["stream failed", "closed"]},
		{{connection_error, {badstate, "Not now."}}, ["not now"]},
		{{connection_error, limit_reached, "Too many headers."}, ["limit", "too many headers"]},
		{{http_protocol, "Invalid status."}, ["HTTP", "invalid status"]},
		{{proxy, {status, 407}}, ["407", "password"]},
		{{proxy, {status, 403}}, ["403", "rules"]},
		{{proxy, invalid_response}, ["not HTTP", "scheme"]},
		{{proxy, response_too_large}, ["headers"]},
		{{proxy, closed}, ["closed"]},
		{{proxy, timeout}, ["in time"]},
		{{proxy, nxdomain}, ["proxy", "no address"]},
		{{proxy, {tls_alert, {unknown_ca, "The certificate is not trusted."}}}, ["proxy", "unknown_ca", "not trusted"]},
		{{proxy, {socks5, username_password_auth_failure}}, ["password", "URL"]},
		{{proxy, {socks5, no_acceptable_method}}, ["URL"]},
		{{proxy, {socks5, ttl_expired}}, ["proxy", "time to live"]},
		{{socks5, general_socks_server_failure}, ["SOCKS server", "failed"]},
		{{socks5, connection_not_allowed_by_ruleset}, ["rules"]},
		{{socks5, network_unreachable}, ["network"]},
		{{socks5, host_unreachable}, ["host"]},
		{{socks5, connection_refused}, ["refused"]},
		{{socks5, ttl_expired}, ["time to live"]},
		{{socks5, command_not_supported}, ["no connections"]},
		{{socks5, address_type_not_supported}, ["type of address"]},
		{{socks5, {unknown_error, 99}}, ["99"]},
		{{socks5, username_password_auth_failure}, ["password", "auth"]},
		{{socks5, no_acceptable_method}, ["methods", "auth"]},
		{{socks5, invalid_reply}, ["SOCKS 5"]},
		{{stream_error, cancel, 'Stream reset by server.'}, ["stream", "code cancel", "stream reset by server."]},
		{{stream_error, refused_stream, 'Stream reset by server.'}, ["refused_stream", "can be repeated"]},
		{{stream_error, http_1_1_required, 'Stream reset by server.'}, ["protocols => [http]"]},
		{{stream_error, {error, timeout}, 'Tunnel closed unexpectedly.'}, ["tunnel"]},
		{{stream_error, too_many_streams, 'Maximum concurrency limit has been reached.'}, ["too_many_streams => error", "wait"]},
		{{goaway, no_error, 'The connection is going away.'}, ["no_error", "not begun", "repeat"]},
		{{error, {connection_error, settings_timeout, 'No answer.'}}, ["connection", "settings_timeout", "no answer."]},
		{{closed, {error, {connection_error, protocol_error, 'Bad frame.'}}}, ["protocol_error", "bad frame."]},
		{{protocol_error, 'Bad frame.'}, ["connection", "protocol_error", "bad frame."]},
		{{stream_error, {stream_error, cancel, 'Stream reset by server.'}}, ["code cancel"]},
		{{stream_error, {goaway, no_error, 'The connection is going away.'}}, ["repeat"]},
		{{connection_error, {enhance_your_calm, 'Too much.'}}, ["enhance_your_calm", "too much"]},
		{{sse_event_too_big, 1000}, ["1000", "max_event_size", "gun_rs_sse_h"]}
	] ++ [{{ws_handshake, What}, ["upgrade"|Words]} || {What, Words} <- [
		{not_upgrade, ["Upgrade header"]},
		{connection, ["Connection header"]},
		{missing_accept, ["Sec-WebSocket-Accept", "missing"]},
		{wrong_accept, ["Sec-WebSocket-Accept", "match"]},
		{{extension, <<"x-zip">>}, ["extension", "x-zip"]},
		{{extension_parameter, <<"server_max_window_bits=16">>},
			["parameter", "server_max_window_bits=16"]},
		{{subprotocol, <<"mychat">>}, ["subprotocol", "mychat"]}
	]] ++ [{{ws_protocol, What}, Words} || {What, Words} <- [
		{reserved_bits, ["reserved bits"]},
		{{opcode, 11}, ["opcode", "11"]},
		{masked, ["masked"]},
		{unmasked, ["not masked"]},
		{length_encoding, ["length"]},
		{control_fragmented, ["fragmented"]},
		{control_too_long, ["125"]},
		{unexpected_continuation, ["continuation"]},
		{expected_continuation, ["complete"]},
		{invalid_utf8, ["UTF-8"]},
		{compressed_data, ["compressed"]},
		{close_payload, ["close frame"]},
		{{close_code, 1005}, ["close frame", "1005"]},
		{frame_too_big, ["max_frame_size"]},
		{message_too_big, ["max_message_size"]}
	]].

option_errors() ->
	[{options, {Key, bad}} || Key <- [connect_timeout, cookie_store, dialect, domain_lookup_timeout,
		http_opts, notify_retries, protocols, retry, retry_backoff, retry_fun, retry_timeout, supervise,
		tls_handshake_timeout, trace, transport, ws_opts, unknown, <<"retry">>, "retry", {a, b}
		|element(2, gun_rs_option_table:keys(open))]] ++
	[{options, {tcp_opts, Element}} || Element <- [undefined, list, {packet, 4}, inet, {nodelay, true}, {nodelay, 1}, {raw, 1, 2, <<>>},
		{bind_to_device, 1}, {send_timeout_close, false}]] ++
	[{options, {http, {Key, bad}}} || Key <- [content_handlers, cookie_ignore_informational, max_informs, version,
		unknown|element(2, gun_rs_option_table:keys(http))]] ++
	[{options, {http2, {Key, bad}}} || Key <- [unknown|element(1, gun_rs_option_table:keys(http2))]] ++
	[{options, {cookies_list, {Key, bad}}} || Key <- [max_cookies, max_cookies_per_domain, unknown]] ++
	[{options, {ws, {Key, bad}}} || Key <- [closing_timeout, compress, default_protocol, flow, http1_fallback,
		invalid_request_headers, keepalive, keepalive_tolerance, max_frame_size,
		max_message_size, max_send_queue, protocols, reply_to, reupgrade, silence_pings,
		upgrade_timeout, unknown|element(2, gun_rs_option_table:keys(ws))]] ++
	[{options, {ws, {compress, {Key, bad}}}} || Key <- [client_max_window_bits,
		client_no_context_takeover, level, mem_level, server_max_window_bits,
		server_no_context_takeover, unknown]].

option_name({options, {ws, {compress, {Key, bad}}}}) ->
	{ok, title(Key)};
option_name({options, {Tag, {Key, bad}}}) when Tag =:= ws; Tag =:= http; Tag =:= http2; Tag =:= cookies_list ->
	{ok, title(Key)};
option_name({options, {Key, _}}) when is_binary(Key) ->
	{ok, binary_to_list(Key)};
option_name({options, {Key, _}}) ->
	{ok, title(Key)}.

%% The atoms of the one place where native code makes reasons, the POSIX names included.
native_names() ->
	Texts = maps:from_list([{Name, Text} || [Name, Text] <- matches("name.rs", "^    (\\w+) \"(.*?)\"$")]),
	Names = [maps:get(Name, Texts) || File <- ["reasons.rs", "posix.rs"], [Name] <- matches(File, "\\bName::(\\w+)")],
	Posix = [Name || [Name] <- matches("posix.rs", "\"(e[a-z]+)\"")],
	?assert(length(lists:usort(Names)) > 45),
	?assert(length(lists:usort(Posix)) > 45),
	[list_to_atom(Name) || Name <- lists:usort(Names ++ Posix)].

matches(File, Pattern) ->
	{ok, Source} = file:read_file(filename:join([gun_rs_test:root(), "native/terms/src", File])),
	{match, Matches} = re:run(Source, Pattern, [global, multiline, {capture, all_but_first, list}]),
	Matches.

atoms(Term) when is_atom(Term) -> [Term];
atoms(Term) when is_tuple(Term) -> atoms(tuple_to_list(Term));
atoms(Term) when is_list(Term) -> lists:flatmap(fun atoms/1, Term);
atoms(_) -> [].

%% These say what they wrap, and nothing else.
is_wrapped({shutdown, _}) -> true;
is_wrapped({error, _}) -> true;
is_wrapped({badmatch, _}) -> true;
is_wrapped({noproc, _}) -> true;
is_wrapped(_) -> false.
