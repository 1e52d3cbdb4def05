%% The manual has a page for each function and each message, and what stands in it is so.
%%
%% Examples run as they stand, each in a process of its own, but for the addresses: 8080 becomes the port of Cowboy,
%% 8081 one where nobody listens, 8082 that of a proxy, and /run/my_app.sock the path of Cowboy's other socket.
-module(gun_rs_manual_SUITE).

-include("gun_rs_suite.hrl").

-define(DIALECTS, [gun_2, gun_1, gun_1_pre, gun_0]).

init_per_suite(Config) ->
	{Listener, Port} = gun_rs_test:start_cowboy(routes(), [{port, 0}]),
	%% A socket's path is short, and that of priv_dir may not be.
	Path = string:trim(os:cmd("mktemp -u")),
	{UnixListener, _} = gun_rs_test:start_cowboy(routes(), [{ip, {local, Path}}, {port, 0}]),
	{Refused, RefusedPort} = gun_rs_test:refused_port(),
	Proxy = {ProxyPid, _} = proxies:start(connect, #{}),
	%% This process ends before the cases.
	true = unlink(ProxyPid),
	[
		{proxy, Proxy},
		{dir, filename:join(gun_rs_test:root(), "doc/manual")}, {listeners, [Listener, UnixListener]}, {port, Port},
		{path, Path}, {refused, Refused}, {refused_port, RefusedPort}
		|Config
	].

end_per_suite(Config) ->
	_ = [gun_rs_test:stop_cowboy(Listener) || Listener <- config(listeners, Config)],
	proxies:stop(config(proxy, Config)),
	_ = file:delete(config(path, Config)),
	gun_rs_test:release_port(config(refused, Config)).

%% Beside what the other suites ask for, the front page, and one event.
routes() ->
	[{"/", ?MODULE, hello}, {"/events", ?MODULE, events}, {"/push", ?MODULE, push}|http_echo_h:routes()].

init(Req, hello) ->
	{ok, cowboy_req:reply(200, #{<<"content-type">> => <<"text/plain">>}, <<"Hello!">>, Req), hello};
init(Req, push) ->
	ok = cowboy_req:push("/", #{}, Req),
	{ok, cowboy_req:reply(200, #{}, <<"Pushed.">>, Req), push};
init(Req0, events) ->
	Req = cowboy_req:reply(200, #{<<"content-type">> => <<"text/event-stream">>}, <<"data: Hello!\n\n">>, Req0),
	{ok, Req, events}.

%% Pages.

page_of_each_function(Config) ->
	doc("Each exported function has its page, with the headings and with each of its arities."),
	Exports = [Export || Export = {Name, _} <- gun_rs:module_info(exports), Name =/= module_info],
	Names = lists:usort([Name || {Name, _} <- Exports]),
	Names = lists:sort([list_to_atom(Name) || "gun_rs." ++ Name <- do_pages("gun_rs.*", Config)]),
	_ = [begin
		Page = do_page("gun_rs." ++ atom_to_list(Name), Config),
		{Name, Headings} = {Name, doc_pages:headings(Page)},
		Headings = ["Name", "Description", "Arguments", "Return value", "Changelog", "Examples", "See also"],
		Title = iolist_to_binary(["# gun_rs:", atom_to_list(Name), "\n\n## Name\n\ngun_rs:", atom_to_list(Name), " - "]),
		{Name, match} = {Name, do_begins(Page, Title)},
		Arities = lists:sort([Arity || {N, Arity} <- Exports, N =:= Name]),
		{Name, Arities} = {Name, do_arities(Name, doc_pages:section("Description", Page))}
	end || Name <- Names].

page_of_each_message(Config) ->
	doc("Each message has its page, with the headings, and a shape or a word for each dialect."),
	%% What flush/1 knows is every message of every dialect.
	Names = lists:sort(do_flushed()),
	Names = lists:sort([list_to_atom(Name) || Name <- do_pages("gun_*", Config) -- ["gun_rs_pool"|do_pages("gun_rs.*", Config)]]),
	_ = [begin
		Page = do_page(atom_to_list(Name), Config),
		{Name, Headings} = {Name, doc_pages:headings(Page)},
		Headings = ["Name", "Description", "Elements", "Shapes in each dialect", "Changelog", "Examples", "See also"],
		Title = iolist_to_binary(["# ", atom_to_list(Name), "\n\n## Name\n\n", atom_to_list(Name), " - "]),
		{Name, match} = {Name, do_begins(Page, Title)},
		{Name, ?DIALECTS} = {Name, [Dialect || {Dialect, _} <- do_shapes(Page)]}
	end || Name <- Names].

index(Config) ->
	doc("The index links to each page."),
	Index = do_page("index", Config),
	Linked = lists:usort([hd(string:split(Link, "#")) || Link <- doc_pages:links(Index)]),
	[] = (filelib:wildcard("*.md", config(dir, Config)) -- ["index.md"]) -- Linked.

versions(Config) ->
	doc("The index names the release that the manual describes, and each page those that have changed what it describes."),
	{ok, Changes} = file:read_file(filename:join(config(dir, Config), "../../CHANGELOG.md")),
	[Latest|_] = Releases = doc_pages:matches("^## (\\d.*)$", Changes),
	{ok, Latest} = application:get_key(gun_rs, vsn),
	{ok, Cargo} = file:read_file(filename:join(config(dir, Config), "../../Cargo.toml")),
	[Latest] = doc_pages:matches("^version = \"(.*)\"$", Cargo),
	[Latest] = doc_pages:matches("^This manual describes gun_rs ([\\d.]+\\d), ", do_page("index", Config)),
	_ = [begin
		Told = doc_pages:matches("^- \\*\\*(.*)\\*\\*: ", doc_pages:section("Changelog", do_page(Page, Config))),
		{Page, [_|_]} = {Page, Told},
		%% The oldest first; what no release has yet comes last.
		{Page, Told} = {Page, [Release || Release <- lists:reverse(["Unreleased"|Releases]), lists:member(Release, Told)]}
	end || Page <- do_pages("*", Config) -- ["index"]],
	ok.

links(Config) ->
	doc("No link of the manual leads nowhere."),
	Dir = config(dir, Config),
	[] = [{Name, Link} ||
		Name <- filelib:wildcard("*.md", Dir),
		Link <- doc_pages:links(do_read(Name, Dir)),
		not doc_pages:is_there(Link, filename:join(Dir, Name))].

options(Config) ->
	doc("Each option of each map stands in its table, with the default that it has."),
	Page = do_page("opts", Config),
	{ok, Open = #{http_opts := Http, http2_opts := Http2, raw_opts := Raw, ws_opts := Ws}} = gun_rs_options:open("localhost", 80, #{}),
	_ = [begin
		Rows = [{do_atom(Option), Default} ||
			[Option, _, Default, _] <- doc_pages:table(doc_pages:section(atom_to_list(Map), Page))],
		{Map, Keys} = {Map, lists:sort([Option || {Option, _} <- Rows])},
		Keys = do_keys_of_type(Map),
		Keys = lists:sort(element(1, gun_rs_option_table:keys(Table))),
		%% What is a map or a list of its own is not kept as it was given, and the transport depends on the port.
		_ = [{Option, Value} = {Option, do_term(Default)} ||
			{Option, Default} <- Rows,
			not lists:member(Option, [http_opts, http2_opts, protocols, raw_opts, tcp_opts, transport, ws_opts]),
			Value <- [maps:get(Option, Defaults, undefined)],
			Value =/= undefined]
	end || {Map, Table, Defaults} <- [{opts, open, Open}, {http_opts, http, Http}, {http2_opts, http2, Http2}, {ws_opts, ws_upgrade, Ws}, {req_opts, req, #{}}, {raw_opts, raw, Raw}]].

%% Shapes.

shapes(Config) ->
	doc("What is received in each dialect has one of the shapes of its page, and each shape is received."),
	Names = do_flushed(),
	Pages = [{Name, do_shapes(do_page(atom_to_list(Name), Config))} || Name <- Names],
	_ = [begin
		Messages = do_conversation(Dialect, Config),
		Shapes = [{Name, Shape, do_matcher(Shape)} ||
			{Name, ShapesOf} <- Pages,
			Shape <- proplists:get_value(Dialect, ShapesOf)],
		[] = [{Dialect, undocumented, Message} ||
			Message <- Messages,
			[] =:= [Shape || {Name, Shape, Matches} <- Shapes, Name =:= element(1, Message), Matches(Message)]],
		[] = [{Dialect, not_received, Shape} ||
			{_, Shape, Matches} <- Shapes,
			not lists:any(Matches, Messages)]
	end || Dialect <- ?DIALECTS].

%% Everything that can be received, in one dialect.
do_conversation(Dialect, Config) ->
	Opts = #{dialect => Dialect, retry => 0},
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config), Opts),
	MRef = gun_rs_test:watch(ConnPid),
	ok = gun_rs:ws_send(ConnPid, {text, "There is no WebSocket yet."}),
	_ = gun_rs:get(ConnPid, "/inform?count=1"),
	_ = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, "trailers"}]),
	_ = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	ok = gun_rs:cancel(ConnPid, make_ref()),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	ok = do_upgraded(ConnPid),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "Hello!"}, {close, 1000, "bye"}]),
	ok = ?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
	{ok, SseConn} = gun_rs:open("localhost", config(port, Config), Opts#{
		http_opts => #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]}
	}),
	EventsRef = gun_rs:get(SseConn, "/events"),
	ok = do_events(SseConn, EventsRef),
	ok = gun_rs:close(SseConn),
	{ok, Http2Conn} = gun_rs:open("localhost", config(port, Config), Opts#{
		protocols => [http2], http2_opts => #{notify_settings_changed => true}}),
	PushRef = gun_rs:get(Http2Conn, "/push"),
	PingRef = gun_rs:ping(Http2Conn),
	ok = do_received(fun(Messages) ->
		lists:member({gun_notify, Http2Conn, ping_ack, PingRef}, Messages) andalso
			[] =/= [New || {gun_push, _, Ref, New, _, _, _} <- Messages, Ref =:= PushRef,
				{gun_data, _, Data, fin, _} <- Messages, Data =:= New]
	end),
	ok = gun_rs:close(Http2Conn),
	{ok, ProxyConn} = gun_rs:open("localhost", element(2, config(proxy, Config)), Opts),
	TunnelRef = gun_rs:connect(ProxyConn, #{host => "localhost", port => config(port, Config)}),
	ok = do_received(fun(Messages) -> lists:keymember(gun_tunnel_up, 1, Messages) end),
	true = is_reference(TunnelRef),
	ok = gun_rs:close(ProxyConn),
	{GoingAway, Port} = http2_liar:start([open, {send, http2_liar:goaway(0, no_error, <<"Maintenance.">>)}]),
	{ok, LeftConn} = gun_rs:open("localhost", Port, Opts#{protocols => [http2]}),
	_ = gun_rs_test:await_exit(LeftConn),
	http2_liar:stop(GoingAway),
	{ok, RefusedConn} = gun_rs:open("localhost", config(refused_port, Config), Opts#{notify_retries => true}),
	_ = gun_rs_test:await_exit(RefusedConn),
	do_mailbox().

%% Not by its message, whose shape is what is asked.
do_upgraded(ConnPid) ->
	true = gun_rs_test:eventually(fun() ->
		maps:get(state_name, gun_rs:info(ConnPid)) =:= connected_ws_only
	end),
	ok.

do_events(ConnPid, StreamRef) ->
	do_received(fun(Messages) -> lists:member({gun_sse, ConnPid, StreamRef, fin}, Messages) end).

do_received(Has) ->
	true = gun_rs_test:eventually(fun() ->
		{messages, Messages} = process_info(self(), messages),
		Has(Messages)
	end),
	ok.

do_mailbox() ->
	receive
		Message when element(1, Message) =/= 'DOWN', element(1, Message) =/= http2_liar -> [Message|do_mailbox()];
		_ -> do_mailbox()
	after 0 ->
		[]
	end.

%% The variables of a shape stand for anything.
do_matcher(Shape) ->
	{value, Matcher, _} = doc_pages:eval("fun(" ++ Shape ++ ") -> true; (_) -> false end."),
	Matcher.

%% Examples.

erlang_examples(Config) ->
	doc("The Erlang examples run."),
	Examples = do_examples("erlang", Config),
	Failed = [{Name, Reason} || {Name, Example} <- Examples, Reason <- doc_pages:run_erlang(Example)],
	[] = Failed,
	ct:comment("~b examples", [length(Examples)]).

elixir_examples(Config) ->
	doc("The Elixir examples run, and each has an Erlang one beside it."),
	Examples = do_examples("elixir", Config),
	Names = [Name || {Name, _} <- do_examples("erlang", Config)],
	Names = [Name || {Name, _} <- Examples],
	case doc_pages:run_elixir(Examples, filename:join(config(priv_dir, Config), "elixir")) of
		ok -> ct:comment("~b examples", [length(Examples)]);
		Skip -> Skip
	end.

%% Every page's, with the addresses of this run.
do_examples(Language, Config) ->
	Addresses = [
		{"8080", integer_to_list(config(port, Config))},
		{"8081", integer_to_list(config(refused_port, Config))},
		{"8082", integer_to_list(element(2, config(proxy, Config)))},
		{"/run/my_app.sock", config(path, Config)}
	],
	lists:append([begin
		Page = do_read(File, config(dir, Config)),
		Examples = [doc_pages:replace(Found, Addresses) || Found <- doc_pages:examples(Language, Page)],
		%% None stands outside of its section.
		{File, Count} = {File, length(Examples)},
		Count = length(doc_pages:examples(Language, doc_pages:section("Examples", Page))),
		{File, true} = {File, Count > 0 orelse lists:member(File, ["index.md", "opts.md"])},
		[{lists:concat([filename:rootname(File), "-", N]), lists:nth(N, Examples)} || N <- lists:seq(1, Count)]
	end || File <- filelib:wildcard("*.md", config(dir, Config))]).

%% Reading pages.

do_page(Name, Config) ->
	do_read(Name ++ ".md", config(dir, Config)).

do_read(File, Dir) ->
	{ok, Page} = file:read_file(filename:join(Dir, File)),
	Page.

do_pages(Wildcard, Config) ->
	[filename:rootname(File) || File <- filelib:wildcard(Wildcard ++ ".md", config(dir, Config))].

do_begins(Page, Prefix) ->
	case string:prefix(Page, Prefix) of
		nomatch -> nomatch;
		_ -> match
	end.

%% Of the calls that stand in an indented block.
do_arities(Name, Section) ->
	lists:usort([begin
		{ok, Tokens, _} = erl_scan:string(Call ++ "."),
		{ok, [{call, _, {atom, _, Name}, Args}]} = erl_parse:parse_exprs(Tokens),
		length(Args)
	end || Call <- doc_pages:matches("^    (.*)$", Section)]).

%% Each dialect, as they stand there, with its shapes.
do_shapes(Page) ->
	Rows = doc_pages:table(doc_pages:section("Shapes in each dialect", Page)),
	[{list_to_atom(Dialect), doc_pages:matches("`({.*?})`", Shape)} ||
		[Dialects, Shape] <- Rows,
		Dialect <- string:lexemes(Dialects, ", ")].

do_atom("`" ++ Quoted) ->
	list_to_atom(lists:droplast(Quoted)).

do_term(Cell) ->
	[Term] = doc_pages:matches("^`(.*)`$", Cell),
	{value, Value, _} = doc_pages:eval(Term ++ "."),
	Value.

%% Reading code.

%% The tags that clauses of gun_rs_await:flush/1 take from the mailbox.
do_flushed() ->
	[Clauses] = [Clauses || {function, _, flush, 1, Clauses} <- do_forms(gun_rs_await)],
	Tags = [Tag || {clause, _, _, _, Body} <- Clauses, {'receive', _, Received, _, _} <- Body,
		{clause, _, [{tuple, _, [{atom, _, Tag}|_]}], _, _} <- Received],
	lists:usort(Tags) -- ['DOWN'].

do_keys_of_type(Name) ->
	[Fields] = [Fields || {attribute, _, type, {N, {type, _, map, Fields}, []}} <- do_forms(gun_rs_options), N =:= Name],
	lists:sort([Key || {type, _, _, [{atom, _, Key}, _]} <- Fields]).

do_forms(Module) ->
	{ok, {Module, [{abstract_code, {raw_abstract_v1, Forms}}]}} = beam_lib:chunks(code:which(Module), [abstract_code]),
	Forms.
