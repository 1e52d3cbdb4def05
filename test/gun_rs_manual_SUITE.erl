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
		{dir, do_manual_dir(filename:dirname(code:which(?MODULE)))}, {listeners, [Listener, UnixListener]}, {port, Port},
		{path, Path}, {refused, Refused}, {refused_port, RefusedPort}
		|Config
	].

end_per_suite(Config) ->
	_ = [gun_rs_test:stop_cowboy(Listener) || Listener <- config(listeners, Config)],
	proxies:stop(config(proxy, Config)),
	_ = file:delete(config(path, Config)),
	gun_rs_test:release_port(config(refused, Config)).

%% The root is where the manual is; the compiled suite is somewhere below it.
do_manual_dir(Dir) ->
	Manual = filename:join(Dir, "doc/manual"),
	case {filelib:is_dir(Manual), filename:dirname(Dir)} of
		{true, _} -> Manual;
		{false, Dir} -> error(no_manual);
		{false, Parent} -> do_manual_dir(Parent)
	end.

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
		{Name, Headings} = {Name, do_headings(Page)},
		Headings = ["Name", "Description", "Arguments", "Return value", "Changelog", "Examples", "See also"],
		Title = iolist_to_binary(["# gun_rs:", atom_to_list(Name), "\n\n## Name\n\ngun_rs:", atom_to_list(Name), " - "]),
		{Name, match} = {Name, do_begins(Page, Title)},
		Arities = lists:sort([Arity || {N, Arity} <- Exports, N =:= Name]),
		{Name, Arities} = {Name, do_arities(Name, do_section("Description", Page))}
	end || Name <- Names].

page_of_each_message(Config) ->
	doc("Each message has its page, with the headings, and a shape or a word for each dialect."),
	%% What flush/1 knows is every message of every dialect.
	Names = lists:sort(do_flushed()),
	Names = lists:sort([list_to_atom(Name) || Name <- do_pages("gun_*", Config) -- ["gun_rs_pool"|do_pages("gun_rs.*", Config)]]),
	_ = [begin
		Page = do_page(atom_to_list(Name), Config),
		{Name, Headings} = {Name, do_headings(Page)},
		Headings = ["Name", "Description", "Elements", "Shapes in each dialect", "Changelog", "Examples", "See also"],
		Title = iolist_to_binary(["# ", atom_to_list(Name), "\n\n## Name\n\n", atom_to_list(Name), " - "]),
		{Name, match} = {Name, do_begins(Page, Title)},
		{Name, ?DIALECTS} = {Name, [Dialect || {Dialect, _} <- do_shapes(Page)]}
	end || Name <- Names].

index(Config) ->
	doc("The index links to each page."),
	Index = do_page("index", Config),
	Linked = lists:usort([hd(string:split(Link, "#")) || Link <- do_links(Index)]),
	[] = (filelib:wildcard("*.md", config(dir, Config)) -- ["index.md"]) -- Linked.

versions(Config) ->
	doc("The index names the release that the manual describes, and each page those that have changed what it describes."),
	{ok, Changes} = file:read_file(filename:join(config(dir, Config), "../../CHANGELOG.md")),
	[Latest|_] = Releases = do_matches("^## (\\d.*)$", Changes),
	{ok, Latest} = application:get_key(gun_rs, vsn),
	{ok, Cargo} = file:read_file(filename:join(config(dir, Config), "../../Cargo.toml")),
	[Latest] = do_matches("^version = \"(.*)\"$", Cargo),
	[Latest] = do_matches("^This manual describes gun_rs ([\\d.]+\\d), ", do_page("index", Config)),
	_ = [begin
		Told = do_matches("^- \\*\\*(.*)\\*\\*: ", do_section("Changelog", do_page(Page, Config))),
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
		Link <- do_links(do_read(Name, Dir)),
		not do_is_there(Link, Name, Dir)].

options(Config) ->
	doc("Each option of each map stands in its table, with the default that it has."),
	Page = do_page("opts", Config),
	{ok, Open = #{http_opts := Http, http2_opts := Http2, raw_opts := Raw, ws_opts := Ws}} = gun_rs_options:open("localhost", 80, #{}),
	_ = [begin
		Rows = [{do_atom(Option), Default} || [Option, _, Default, _] <- do_table(do_section(atom_to_list(Map), Page))],
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
	{value, Matcher, _} = do_eval("fun(" ++ Shape ++ ") -> true; (_) -> false end."),
	Matcher.

%% Examples.

erlang_examples(Config) ->
	doc("The Erlang examples run."),
	Examples = do_examples("erlang", Config),
	Failed = [{Name, Reason} || {Name, Example} <- Examples, Reason <- do_run_erlang(Example)],
	[] = Failed,
	ct:comment("~b examples", [length(Examples)]).

%% An end is normal where the example ends; a connection that it leaves ends with it.
do_run_erlang(Example) ->
	{Pid, MRef} = spawn_monitor(fun() -> do_eval(Example) end),
	receive
		{'DOWN', MRef, process, Pid, normal} -> [];
		{'DOWN', MRef, process, Pid, Reason} -> [Reason]
	after ?WAIT ->
		exit(Pid, kill),
		[timeout]
	end.

elixir_examples(Config) ->
	doc("The Elixir examples run, and each has an Erlang one beside it."),
	Examples = do_examples("elixir", Config),
	Names = [Name || {Name, _} <- do_examples("erlang", Config)],
	Names = [Name || {Name, _} <- Examples],
	case os:find_executable("elixir") of
		false -> {skip, "there is no elixir"};
		Elixir -> do_run_elixir(Elixir, Examples, Config)
	end.

%% All of them in one VM, each in a process of its own.
do_run_elixir(Elixir, Examples, Config) ->
	Dir = filename:join(config(priv_dir, Config), "elixir"),
	ok = filelib:ensure_dir(filename:join(Dir, "file")),
	ok = file:write_file(filename:join(Dir, "run"), [
		"{:ok, _} = Application.ensure_all_started(:gun_rs)\n"
		"for file <- Enum.sort(Path.wildcard(Path.join(hd(System.argv()), \"*.exs\"))) do\n"
		"  task = Task.async(fn ->\n"
		"    try do\n"
		"      Code.eval_file(file)\n"
		"    catch\n"
		"      kind, reason -> IO.puts(\"FAILED #{Path.basename(file)}: #{kind} #{inspect(reason)}\")\n"
		"    end\n"
		"  end)\n"
		"  Task.await(task, 30_000)\n"
		"end\n"
		"IO.puts(\"THE END\")\n"
	]),
	_ = [ok = file:write_file(filename:join(Dir, Name ++ ".exs"), Example) || {Name, Example} <- Examples],
	Port = open_port({spawn_executable, Elixir}, [
		{args, ["-pa", filename:dirname(code:which(gun_rs)), filename:join(Dir, "run"), Dir]},
		stream, binary, exit_status, stderr_to_stdout, hide
	]),
	{Status, Output} = do_output(Port, <<>>),
	ct:log("~ts", [Output]),
	nomatch = re:run(Output, "FAILED.*", [{capture, first, list}]),
	{match, _} = re:run(Output, "THE END"),
	0 = Status,
	ct:comment("~b examples", [length(Examples)]).

do_output(Port, Output) ->
	receive
		{Port, {data, Data}} -> do_output(Port, <<Output/binary, Data/binary>>);
		{Port, {exit_status, Status}} -> {Status, Output}
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
		Examples = [lists:foldl(fun({From, To}, Example) ->
			lists:flatten(string:replace(Example, From, To, all))
		end, Found, Addresses) || Found <- do_matches("(?s)```" ++ Language ++ "\\n(.*?)```", Page)],
		%% None stands outside of its section.
		{File, Count} = {File, length(Examples)},
		Count = length(do_matches("(?s)```" ++ Language ++ "\\n(.*?)```", do_section("Examples", Page))),
		{File, true} = {File, Count > 0 orelse lists:member(File, ["index.md", "opts.md"])},
		[{lists:concat([filename:rootname(File), "-", N]), lists:nth(N, Examples)} || N <- lists:seq(1, Count)]
	end || File <- filelib:wildcard("*.md", config(dir, Config))]).

do_eval(Source) ->
	{ok, Tokens, _} = erl_scan:string(Source),
	{ok, Exprs} = erl_parse:parse_exprs(Tokens),
	{value, _, _} = erl_eval:exprs(Exprs, #{}).

%% Reading pages.

do_page(Name, Config) ->
	do_read(Name ++ ".md", config(dir, Config)).

do_read(File, Dir) ->
	{ok, Page} = file:read_file(filename:join(Dir, File)),
	Page.

do_pages(Wildcard, Config) ->
	[filename:rootname(File) || File <- filelib:wildcard(Wildcard ++ ".md", config(dir, Config))].

do_headings(Page) ->
	do_matches("^## (.*)$", Page).

%% Empty where there is none.
do_section(Heading, Page) ->
	case do_matches("(?s)^## " ++ Heading ++ "\\n(.*?)(?=^## |\\z)", Page) of
		[Section] -> Section;
		[] -> ""
	end.

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
	end || Call <- do_matches("^    (.*)$", Section)]).

%% Each dialect, as they stand there, with its shapes.
do_shapes(Page) ->
	Rows = do_table(do_section("Shapes in each dialect", Page)),
	[{list_to_atom(Dialect), do_matches("`({.*?})`", Shape)} ||
		[Dialects, Shape] <- Rows,
		Dialect <- string:lexemes(Dialects, ", ")].

%% The rows of the tables in a section, without their heads.
do_table(Section) ->
	Rows = [[string:trim(Cell) || Cell <- string:split(Row, " | ", all)] || Row <- do_matches("^\\| (.*) \\|$", Section)],
	tl(Rows).

do_links(Page) ->
	Links = do_matches("\\]\\(([^)\\s]+)\\)", Page),
	[Link || Link <- Links, string:prefix(Link, "https://") =:= nomatch].

do_is_there(Link, Name, Dir) ->
	{File, Anchor} = case string:split(Link, "#") of
		[[], A] -> {Name, A};
		[F, A] -> {F, A};
		[F] -> {F, undefined}
	end,
	case file:read_file(filename:join(Dir, File)) of
		{ok, _} when Anchor =:= undefined -> true;
		{ok, Page} -> lists:member(Anchor, [do_anchor(Heading) || Heading <- do_matches("^#+ (.*)$", Page)]);
		{error, _} -> false
	end.

%% As the usual renderers make it of a heading.
do_anchor(Heading) ->
	lists:append([case C of
		$\s -> "-";
		_ when C >= $a, C =< $z; C >= $0, C =< $9; C =:= $_; C =:= $- -> [C];
		_ -> ""
	end || C <- string:lowercase(Heading)]).

do_atom("`" ++ Quoted) ->
	list_to_atom(lists:droplast(Quoted)).

do_term(Cell) ->
	[Term] = do_matches("^`(.*)`$", Cell),
	{value, Value, _} = do_eval(Term ++ "."),
	Value.

do_matches(Regexp, Subject) ->
	case re:run(Subject, Regexp, [global, multiline, {capture, all_but_first, list}]) of
		{match, Matches} -> lists:append(Matches);
		nomatch -> []
	end.

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
