%% @doc English for every reason that gun_rs gives.
-module(gun_rs_error).

-export([format/1]).

%% @doc One sentence for a reason: what `gun_rs:open' returned, what `gun_rs' raised,
%% what a `gun_error' or `gun_down' message carried, or what ConnPid exited with. It
%% ends with a period and says who can mend the matter where that is known. A term
%% that is none of these is shown in a sentence too. The text is UTF-8: print it with
%% `~ts'.
-spec format(Reason :: term()) -> iolist().
format(Reason) ->
	[unicode:characters_to_binary(english(Reason))].

%% The first topic that knows the reason has the word.
english(Reason) ->
	english(Reason, [fun option_reason/1, fun call_reason/1, fun installation_reason/1, fun connect_reason/1,
		fun end_reason/1, fun socket_reason/1, fun server_reason/1, fun http2_reason/1, fun posix_reason/1]).

english(Reason, []) ->
	sentence("The reason is ~ts, for which gun_rs has no words", [term(Reason)]);
english(Reason, [Topic|Topics]) ->
	case Topic(Reason) of
		none -> english(Reason, Topics);
		Sentence -> Sentence
	end.

%% Options.
option_reason({options, {ws, {invalid_request_headers, V}}}) when V =:= raise; V =:= error; V =:= ignore ->
	"The WebSocket option invalid_request_headers belongs to ws_upgrade/4 and not to the "
	"ws_opts of open; correct the call.";
option_reason({options, {ws, {compress, {Key, Value}}}}) ->
	option("In compress, the option", compress, Key, Value);
option_reason({options, {ws, {Key, Value}}}) ->
	option("The WebSocket option", ws_upgrade, Key, Value);
option_reason({options, {ws, WsOpts}}) ->
	sentence("The WebSocket options must be a map and not ~ts; correct the call", [term(WsOpts)]);
option_reason({options, {http, {Key, Value}}}) ->
	option("The HTTP option", http, Key, Value);
option_reason({options, {http2, {Key, Value}}}) ->
	option("The HTTP/2 option", http2, Key, Value);
option_reason({options, {socks, {Key, Value}}}) ->
	option("The option of SOCKS", socks, Key, Value);
option_reason({options, {proxy, Bad}}) ->
	gun_rs_proxy_error:option(Bad);
option_reason({options, {proxy_opts, no_proxy}}) ->
	gun_rs_proxy_error:option(no_proxy);
option_reason({options, {proxy_opts, Bad={tls_opts, _}}}) ->
	["In proxy_opts: ", english({options, Bad})];
option_reason({options, {proxy_opts, {Key, Value}}}) ->
	option("Of the proxy, the option", proxy_opts, Key, Value);
option_reason({options, {connect, {host, undefined}}}) ->
	"The destination of connect has no host; correct the call.";
option_reason({options, {connect, {port, undefined}}}) ->
	"The destination of connect has no port; correct the call.";
option_reason({options, {connect, {Key, Value}}}) ->
	option("Of connect's destination, the option", connect, Key, Value);
option_reason({options, {connect, Destination}}) ->
	sentence("The destination of connect must be a map and not ~ts; correct the call", [term(Destination)]);
option_reason({error, options, {socks, Key}}) ->
	sentence("The options of SOCKS have no ~ts; correct the call", [term(Key)]);
option_reason({badmatch, Error={error, options, {socks, _}}}) ->
	english(Error);
option_reason({options, {raw, {Key, Value}}}) ->
	option("The option of raw", raw, Key, Value);
option_reason({options, {pool, {Key, Value}}}) ->
	option("The option of the pool", pool, Key, Value);
option_reason({options, {pool, Opts}}) ->
	sentence("The options of a pool must be a map and not ~ts; correct the call", [term(Opts)]);
option_reason({options, {pool_req, {Key, Value}}}) ->
	option("The option of the request to a pool", pool_req, Key, Value);
option_reason({options, {pool_ws, {Key, Value}}}) ->
	option("The option of the frames for a pool", pool_ws, Key, Value);
option_reason({options, {conn_opts, {Key, Given}}}) when Key =:= socks_opts; Given =:= [raw]; Given =:= [socks] ->
	sentence("In conn_opts of the pool, ~ts asks for raw or SOCKS, but a pool speaks HTTP with its server; correct the call",
		[term(Key)]);
option_reason({options, {conn_opts, Bad}}) ->
	["In conn_opts of the pool: ", english({options, Bad})];
option_reason({options, {req, {reply_to, alias}}}) ->
	"No alias is made for the reply_to of connect/4 or ping/2, since no await would end it; make one and correct the call.";
option_reason({options, {req, {redirects, {connect, _}}}}) ->
	"A tunnel, and a ping, follow no redirects; leave the option out.";
option_reason({options, {redirects, Dialect}}) when is_atom(Dialect) ->
	sentence("In the dialect ~ts upgrades follow no redirects; leave the option out", [term(Dialect)]);
option_reason({options, {redirect_opts, Bad}}) ->
	["In redirect_opts of the request: ", english({options, Bad})];
option_reason({options, {req, {Key, Value}}}) ->
	option("The request option", req, Key, Value);
option_reason({options, {req, ReqOpts}}) ->
	sentence("The options of a request must be a map and not ~ts; correct the call", [term(ReqOpts)]);
option_reason({options, {path, Path}}) ->
	sentence("The path of a Unix domain socket must have 1 to 107 bytes and no NUL, unlike ~ts; "
		"correct the call", [term(Path)]);
option_reason({options, {socket, {timeout, Value}}}) ->
	option("Of gun_rs_socket, the option", socket, timeout, Value);
option_reason({options, {socket, {Key, Value}}}) ->
	sentence("A socket of gun_rs_socket chooses ~ts itself, and not ~ts; leave the option out",
		[term(Key), term(Value)]);
option_reason({options, {cookies_list, {Key, Value}}}) ->
	option("Of gun_rs_cookies_list, the option", cookies_list, Key, Value);
option_reason({options, {host, Host}}) ->
	sentence("The host ~ts is neither a domain name in ASCII nor an IP address; "
		"correct the call", [term(Host)]);
option_reason({options, {port, Port}}) ->
	sentence("The port must be an integer from 1 to 65535 and not ~ts; correct the call", [term(Port)]);
option_reason({options, {tcp_opts, Element={Key, {hidden, _}}}}) ->
	sentence("In tcp_opts, ~ts ~ts; correct the call", [term(Key), gun_rs_tcp_options:refusal(Element)]);
option_reason({options, {tcp_opts, Element}}) ->
	sentence("In tcp_opts, ~ts ~ts; correct the call", [term(Element), gun_rs_tcp_options:refusal(Element)]);
option_reason({options, {tls_opts, Element}}) ->
	sentence("~ts; correct the call", [gun_rs_tls_options:refusal(Element)]);
option_reason({options, {transport_opts, Element}}) when Element =/= hidden ->
	english({options, {case gun_rs_tls_option_check:is_socket_option(Element) of
		true -> tcp_opts;
		false -> tls_opts
	end, Element}});
option_reason({options, {url, Url}}) ->
	sentence("The URL ~ts cannot be opened: ~ts; correct the call", [term(Url), gun_rs_url:refusal(Url)]);
option_reason({options, {Key, Value}}) ->
	option("The option", open, Key, Value);
option_reason({options, Opts}) ->
	sentence("The options must be a map and not ~ts; correct the call", [term(Opts)]);
option_reason({badmatch, {error, Reason={options, _}}}) ->
	english(Reason);
option_reason(_) ->
	none.

%% What the caller gave.
call_reason({invalid_frame, Frame, Text}) ->
	sentence("The frame ~ts cannot be sent: ~ts; correct the call", [term(Frame), clause(Text)]);
call_reason({invalid_request_header, Name, Text}) ->
	sentence("The request header ~ts cannot be sent: ~ts; correct the call", [term(Name), clause(Text)]);
call_reason({invalid_request_target, Path, Text}) ->
	sentence("The request target ~ts cannot be sent: ~ts; correct the call", [term(Path), clause(Text)]);
call_reason({invalid_request_method, Method, Text}) ->
	sentence("The request method ~ts cannot be sent: ~ts; correct the call", [term(Method), clause(Text)]);
call_reason({invalid_request_body, Body, Text}) ->
	sentence("The request body ~ts cannot be sent: ~ts; correct the call", [term(Body), clause(Text)]);
call_reason(pool_not_found) ->
	"There is no pool for this scope and authority; start one, and check the host header and the scope.";
call_reason(no_connection_available) ->
	"No connection of the pool has room for another stream; raise its size, or let callers wait with checkout_queue.";
call_reason(checkout_queue_full) ->
	"As many callers wait for a connection of the pool as the max of checkout_queue allows; raise the size of the pool.";
call_reason(checkout_timeout) ->
	"No connection of the pool was free in time; raise its size, or the timeout of checkout_queue.";
call_reason(pool_stopped) ->
	"The pool was stopped while the caller waited for one of its connections.";
call_reason(missing_host_header) ->
	"The request has no host header, by which its pool is found; correct the call.";
call_reason({already_started, Pid}) when is_pid(Pid) ->
	sentence("There is a pool for this scope and authority already: ~ts", [term(Pid)]);
call_reason(not_connected) ->
	"The connection is not up, so that it has no streams.";
call_reason(request_too_short) ->
	"The data of the request ended before its content-length; send as much as it announces.";
call_reason({badstate, Text}) ->
	sentence("The connection is in no state for this operation: ~ts", [clause(Text)]);
call_reason(send_queue_full) ->
	"Too much waits to be sent, so that nothing of this call is sent; wait until the "
	"server has taken some, or raise max_send_queue in ws_opts, http_opts or http2_opts.";
call_reason(calling_self) ->
	"The connection process cannot wait for itself; a module that runs in it sends with "
	"ws_send.";
call_reason(_) ->
	none.

%% The installation.
installation_reason({not_started, Application}) ->
	sentence("The application ~ts is not started; call application:ensure_all_started(~ts)",
		[term(Application), term(Application)]);
installation_reason(not_started) ->
	"The application gun_rs was stopped while the connection was opened; start it.";
installation_reason({node_too_old, Node}) ->
	sentence("The node ~ts runs no gun_rs of this release, which the call needs on both nodes, or does not answer; update it",
		[term(Node)]);
installation_reason({nif_not_loaded, Reason}) ->
	sentence("The native library of gun_rs could not be loaded (~ts); build it again on "
		"this machine with rebar3 compile, and start the node anew", [reason(Reason)]);
installation_reason(native_reloaded) ->
	"The native library was replaced by another one while the connection was open; open the connection again.";
installation_reason({panic, Text}) ->
	sentence("The native library of gun_rs failed, which is a bug in gun_rs and not in "
		"the program that uses it: ~ts; please report it", [clause(Text)]);
installation_reason(_) ->
	none.

%% Connecting.
connect_reason(nxdomain) ->
	"The host name has no address; check its spelling and the resolver.";
connect_reason(resolver_busy) ->
	"Too many host names wait for the resolver, so that this one is not looked up; check "
	"that the resolver answers, and give domain_lookup_timeout a limit.";
connect_reason(timeout) ->
	"The other side did not answer in time; check that it runs and can be reached, or "
	"allow more time.";
connect_reason({timeout, upgrade}) ->
	"The server did not answer the upgrade to WebSocket within upgrade_timeout; check that it "
	"runs and speaks WebSocket there, or allow more time.";
connect_reason({timeout, response}) ->
	"The server did not begin with its response within response_timeout; check that it runs, or "
	"allow more time.";
connect_reason({timeout, body}) ->
	"The server stopped in the midst of its response for longer than body_timeout; check that "
	"it runs, or allow more time.";
connect_reason({upgrade_refused, Status}) ->
	sentence("The server refused the repeated upgrade to WebSocket with the status ~ts, after which it is tried "
		"again (retry_statuses in the option reupgrade); check that the server behind its proxy runs", [term(Status)]);
connect_reason({socks5, Reason}) ->
	sentence("The SOCKS server has not led to its destination: ~ts", [gun_rs_socks_error:clause(Reason)]);
connect_reason({proxy, Reason}) ->
	gun_rs_proxy_error:sentence(Reason, fun clause/1);
connect_reason({redirect, Url, Reason}) ->
	sentence("The redirect to ~ts could not be followed: ~ts", [term(Url), clause(Reason)]);
connect_reason(truncated) ->
	"The other side, or somebody on the way, cut the TLS connection without a close_notify, so that "
	"what it had to send may be incomplete.";
connect_reason({posix, Number}) ->
	sentence("The operating system or the network failed with the error number ~ts (errno)", [term(Number)]);
connect_reason({tls_alert, {certificate_required, Text}}) ->
	sentence("TLS failed with the alert certificate_required: ~ts; give it one with certfile and keyfile in tls_opts",
		[clause(Text)]);
connect_reason({tls_alert, {Name, Text}}) ->
	sentence("TLS failed with the alert ~ts: ~ts", [term(Name), clause(Text)]);
connect_reason(_) ->
	none.

%% What the operating system says.
posix_reason(econnrefused) ->
	"The connection was refused (econnrefused); check that a server listens on this "
	"host and port.";
posix_reason(econnreset) ->
	"The other side reset the connection (econnreset); its log may say why.";
posix_reason(econnaborted) ->
	"The connection was aborted (econnaborted) by this machine or by the network.";
posix_reason(ehostunreach) ->
	"The host is unreachable (ehostunreach); check the address, the routes and the "
	"firewall.";
posix_reason(ehostdown) ->
	"The host is down (ehostdown); check the address and that the machine runs.";
posix_reason(enetunreach) ->
	"The network is unreachable (enetunreach); check this machine's network and routes.";
posix_reason(enetdown) ->
	"The network is down (enetdown); check this machine's network.";
posix_reason(etimedout) ->
	"The other side stopped answering and the operating system gave up (etimedout); "
	"check that the server runs and that no firewall drops its packets.";
posix_reason(eaddrnotavail) ->
	"The local address is not available (eaddrnotavail); check the ip of tcp_opts, and "
	"whether this machine has run out of ports.";
posix_reason(eaddrinuse) ->
	"The local address is in use (eaddrinuse); check the ip of tcp_opts, and whether "
	"this machine has run out of ports.";
posix_reason(eafnosupport) ->
	"The address family is not supported (eafnosupport); check inet, inet6 and ip in "
	"tcp_opts, and whether this machine has IPv6.";
posix_reason(Reason) when Reason =:= eacces; Reason =:= eperm ->
	sentence("The operating system forbids this connection (~ts); check its firewall and sandbox rules", [term(Reason)]);
posix_reason(epipe) ->
	"The other side had closed the connection before everything was sent (epipe).";
posix_reason(emfile) ->
	"The node has no file descriptor left (emfile); raise its limit (ulimit -n) or open "
	"fewer connections.";
posix_reason(enfile) ->
	"The operating system has no file descriptor left (enfile); raise its limit or open "
	"fewer connections.";
posix_reason(eagain) ->
	"There is no room just now (eagain): the backlog of the server's socket is full, or this machine can "
	"start no more threads; try again later.";
posix_reason(enobufs) ->
	"The operating system has no buffer space left (enobufs); open fewer connections.";
posix_reason(enomem) ->
	"There is no memory left (enomem); lower max_message_size and max_send_queue in ws_opts, "
	"or open fewer connections.";
posix_reason(Reason) when is_atom(Reason) ->
	case inet:format_error(Reason) of
		"unknown POSIX error" ++ _ -> none;
		Text -> sentence("The operating system or the network failed: ~ts (~ts)", [Text, term(Reason)])
	end;
posix_reason(_) ->
	none.

%% The end of a connection, of a stream, of the process.
end_reason(normal) ->
	"The connection ended normally.";
end_reason(closed) ->
	"The connection is closed: the other side has ended it, unless this side had before. A TLS connection that was "
	"cut under a WebSocket without a close_notify is counted as truncated in the stats of info/1.";
end_reason(shutdown) ->
	"The connection was shut down by this side.";
end_reason(closing) ->
	"The connection is closing and takes no more requests.";
end_reason(killed) ->
	"The connection process was killed.";
end_reason(noproc) ->
	"The connection process does not exist or has ended.";
end_reason({noproc, _}) ->
	english(noproc);
end_reason(noconnection) ->
	"The node of the process is not connected to this one any more; check that it runs and "
	"that the network between the nodes works.";
end_reason(not_found) ->
	"The process is no connection that gun_rs supervises; one opened with supervise => "
	"false ends with its parent or by gun_rs:shutdown/1.";
end_reason({ping_unsupported_by_protocol, _}) ->
	"The connection was pinged with gun_rs:ping, and HTTP/1.1 has no ping: as in gun, it ends by that; leave the call out.";
end_reason(keepalive_timeout) ->
	"The server gave no sign of life for more keepalive pings than keepalive_tolerance allows; it is "
	"overloaded, or it or the network is gone.";
end_reason(idle_timeout) ->
	"The client sent nothing for longer than idle_timeout allows.";
end_reason(owner_down) ->
	"The owner of the connection exited.";
end_reason({owner_down, Reason}) ->
	sentence("The owner of the connection exited (~ts)", [reason(Reason)]);
end_reason({closed, Reason}) ->
	sentence("The connection closed before the stream was done: ~ts", [clause(Reason)]);
end_reason({closing, Reason}) ->
	sentence("The connection was closing before the stream was done: ~ts", [clause(Reason)]);
end_reason({shutdown, Reason}) ->
	english(Reason);
end_reason({error, Reason}) ->
	english(Reason);
end_reason({down, Reason}) ->
	sentence("The connection process has ended: ~ts", [clause(Reason)]);
end_reason({stream_error, Reason}) ->
	sentence("The stream failed: ~ts", [clause(Reason)]);
end_reason({connection_error, Reason}) ->
	sentence("The connection failed: ~ts", [clause(Reason)]);
end_reason(_) ->
	none.

%% Of gun_rs_socket.
socket_reason(not_owner) ->
	"The socket belongs to the process that connected it; only that one can receive and close.";
socket_reason({unsupported_protocol, Protocol}) ->
	sentence("The connection speaks ~ts, and gun_rs_socket upgrades to WebSocket from HTTP/1.1 alone; open it "
		"with protocols => [http]", [term(Protocol)]);
socket_reason({upgrade_refused, Status, _Headers, Body}) ->
	sentence("The server refused the upgrade to WebSocket with the status ~ts~ts; check the host, "
		"the path and the headers", [term(Status), said(Body)]);
socket_reason({close, 1005, _}) ->
	"The server closed the WebSocket, and gave no code.";
socket_reason({close, Code, Text}) ->
	sentence("The server closed the WebSocket with the code ~ts~ts", [term(Code), said(Text)]);
socket_reason({close_failed, Reason, _Result}) ->
	sentence("The fun is done, but its WebSocket could not be closed: ~ts", [clause(Reason)]);
socket_reason(_) ->
	none.

%% What the server did.
server_reason({connection_error, limit_reached, Text}) ->
	sentence("The server sent more than a limit of this side allows: ~ts", [clause(Text)]);
server_reason({http_protocol, Text}) ->
	sentence("The server broke the HTTP protocol, or speaks another one: ~ts", [clause(Text)]);
server_reason({ws_handshake, Fault}) ->
	sentence("The server answered the WebSocket upgrade wrongly: ~ts", [handshake(Fault)]);
server_reason({ws_protocol, Fault}) ->
	sentence("The server broke the WebSocket protocol: ~ts", [protocol(Fault)]);
server_reason({sse_event_too_big, Max}) ->
	sentence("A server-sent event is bigger than the ~ts bytes of max_event_size, which the "
		"options of gun_rs_sse_h in content_handlers can raise", [term(Max)]);
server_reason(_) ->
	none.

%% Of HTTP/2. The texts are atoms, as in gun.
http2_reason({stream_error, too_many_streams, _}) ->
	"The server takes no more streams on this connection at a time; wait until one has ended, open another "
	"connection, or leave out too_many_streams => error, so that the request waits.";
http2_reason({stream_error, Reason, 'Tunnel closed unexpectedly.'}) ->
	sentence("The tunnel leads nowhere any more: ~ts", [clause(Reason)]);
http2_reason({stream_error, Code, Text}) when is_atom(Code), is_atom(Text) ->
	sentence("The HTTP/2 stream failed with the code ~ts: ~ts~ts",
		[term(Code), clause(atom_to_binary(Text)), advice(Code)]);
http2_reason({goaway, Code, _}) when is_atom(Code) ->
	sentence("The server closes the connection, with the code ~ts, and has not begun with this request; repeat it on "
		"another connection", [term(Code)]);
http2_reason({connection_error, Code, Text}) when is_atom(Code), is_atom(Text) ->
	sentence("The HTTP/2 connection failed with the code ~ts: ~ts", [term(Code), clause(atom_to_binary(Text))]);
http2_reason({Code, Text}) when is_atom(Code), is_atom(Text) ->
	http2_reason({connection_error, Code, Text});
http2_reason(_) ->
	none.

%% RFC 9113, 8.7 and 7.
advice(refused_stream) -> "; the server has done nothing with the request, which can be repeated";
advice(http_1_1_required) -> "; open the connection with protocols => [http]";
advice(_) -> "".

%% Options.

option(Subject, _, Key, _) when not is_atom(Key) ->
	sentence("~ts ~ts is ~ts, and the names of options are atoms; correct the call", [Subject, term(Key), kind(Key)]);
option(Subject, Table, Key, Value) ->
	case gun_rs_option_table:expected(Table, Key) of
		planned ->
			sentence("~ts ~ts is not built yet in this release; leave it out",
				[Subject, term(Key)]);
		unknown ->
			sentence("~ts ~ts is unknown; correct the call", [Subject, term(Key)]);
		%% A sentence that could show a secret.
		{text, Text} when Value =:= hidden ->
			sentence("~ts ~ts must be ~ts; correct the call", [Subject, term(Key), string:trim(Text, trailing, ",")]);
		{text, Text} ->
			sentence("~ts ~ts must be ~ts and not ~ts; correct the call",
				[Subject, term(Key), Text, term(Value)])
	end.

kind(Key) when is_binary(Key) -> "a binary";
kind(Key) when is_list(Key) -> "a string";
kind(_) -> "neither an atom nor a text".

%% RFC 6455, 4.1 (the client's checks) and 9.1.
handshake(not_upgrade) -> "its Upgrade header is missing or is not websocket";
handshake(connection) -> "its Connection header does not contain upgrade";
handshake(missing_accept) -> "its Sec-WebSocket-Accept header is missing";
handshake(wrong_accept) -> "its Sec-WebSocket-Accept header does not match the key";
handshake({extension, Name}) -> ["it chose the extension ", term(Name),
	", which was not offered"];
handshake({extension_parameter, Parameter}) -> ["the parameter ", term(Parameter),
	" of its extension is not what was offered, or is missing"];
handshake({subprotocol, Name}) -> ["it chose the subprotocol ", term(Name),
	", which was not offered"];
handshake(Fault) -> term(Fault).

%% RFC 6455, 5, 7.4 and 8.1.
protocol(reserved_bits) -> "a frame has reserved bits set that no extension uses";
protocol({opcode, Opcode}) -> ["a frame has the reserved opcode ", term(Opcode)];
protocol(masked) -> "a frame is masked, which only a client may do";
protocol(unmasked) -> "a frame is not masked, which only a server may do";
protocol(length_encoding) -> "a frame's length is not encoded in the shortest form";
protocol(control_fragmented) -> "a control frame is fragmented";
protocol(control_too_long) -> "a control frame has more than 125 bytes";
protocol(unexpected_continuation) -> "a continuation frame has no message to continue";
protocol(expected_continuation) -> "a new message begins before the fragmented one is complete";
protocol(invalid_utf8) -> "a text is not valid UTF-8";
protocol(compressed_data) -> "a compressed message cannot be decompressed";
protocol(close_payload) -> "a close frame has a payload of one byte";
protocol({close_code, Code}) -> ["a close frame has the code ", term(Code),
	", which may not be sent"];
protocol(frame_too_big) -> "a frame is bigger than max_frame_size, which the ws_opts of this side can raise";
protocol(message_too_big) -> "a message is bigger than max_message_size, which the ws_opts of this side can raise";
protocol(Fault) -> term(Fault).

%% Text.

sentence(Format, Args) ->
	io_lib:format(Format ++ ".", Args).

term(Term) ->
	gun_rs_text:term(Term).

%% A text as it is, another reason by its own sentence.
reason(Reason) when is_list(Reason); is_binary(Reason) ->
	clause(Reason);
reason({Tag, Text}) when is_atom(Tag), is_list(Text); is_atom(Tag), is_binary(Text) ->
	[term(Tag), ": ", clause(Text)];
reason(Reason) ->
	term(Reason).

%% The words of the server, if they are words and few.
said(Text) when is_binary(Text), byte_size(Text) > 0, byte_size(Text) =< 200 ->
	case text(Text) of
		"" -> "";
		String -> [" (", String, ")"]
	end;
said(_) ->
	"".

%% To stand inside of another sentence: without the capital and the period.
clause(Text) when is_list(Text); is_binary(Text) ->
	case text(Text) of
		"" -> "no reason is known";
		String -> uncapitalise(String)
	end;
clause(Reason) ->
	clause(english(Reason)).

text(Text) ->
	try unicode:characters_to_list(Text) of
		String when is_list(String) ->
			case io_lib:printable_unicode_list(String) of
				true -> one_line(String);
				false -> term(Text)
			end;
		_ ->
			term(Text)
	catch error:badarg ->
		term(Text)
	end.

one_line(String) ->
	Line = string:trim([max(C, $\s) || C <- String]),
	string:trim(Line, trailing, ".").

uncapitalise([A, B|Tail]) when A >= $A, A =< $Z, B >= $a, B =< $z; A =:= $A, B =:= $\s ->
	[A + 32, B|Tail];
uncapitalise(String) ->
	String.
