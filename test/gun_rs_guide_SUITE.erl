%% The README, the guide, and the pages for those who come from another library: their examples run, their links lead
%% somewhere, and the functions that they name exist.
%%
%% The blocks of one section are one program, as typed into a shell; modules are compiled before it. 8080 becomes the
%% port of a Cowboy, 8443 that of one with TLS, 8081 a port where nobody listens, and files of /etc/my_app are those of
%% this run. Where a block listens itself, by `{port, 8080}', it listens on any port.
-module(gun_rs_guide_SUITE).

-define(NEEDS, [gun_rs, cowboy, ssl, certs]).
-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}, root := #{der := Root}} = config(certs, Config),
	RootFile = filename:join(config(priv_dir, Config), "root.pem"),
	ok = file:write_file(RootFile, public_key:pem_encode([{'Certificate', Root, not_encrypted}])),
	Routes = [{"/" ++ atom_to_list(Path), ?MODULE, Path} || Path <- [echo, items, large, slow, events, moved, 'moved-ws']] ++
		[{"/", ?MODULE, front}, {"/private", ?MODULE, private}],
	{Tcp, TcpPort} = gun_rs_test:start_cowboy(Routes, [{port, 0}]),
	Tls = make_ref(),
	{ok, _} = cowboy:start_tls(Tls, #{
		shutdown => brutal_kill,
		socket_opts => [{port, 0}, {log_level, none}, {certfile, CertFile}, {keyfile, KeyFile}]
	}, #{env => #{dispatch => cowboy_router:compile([{'_', Routes}])}, idle_timeout => infinity, request_timeout => infinity}),
	{Refused, RefusedPort} = gun_rs_test:refused_port(),
	[
		{listeners, [Tcp, Tls]}, {refused, Refused}, {root, gun_rs_test:root()},
		{replacements, [
			{"{port, 8080}", "{port, 0}"}, {"port: 8080", "port: 0"}, {"{port, 8443}", "{port, 0}"}, {"port: 8443", "port: 0"},
			{"8080", integer_to_list(TcpPort)}, {"8443", integer_to_list(ranch:get_port(Tls))},
			{"8081", integer_to_list(RefusedPort)},
			{"/etc/my_app/root.pem", RootFile}, {"/etc/my_app/server.pem", CertFile}, {"/etc/my_app/server.key", KeyFile}
		]}
		|Config
	].

end_per_suite(Config) ->
	_ = [gun_rs_test:stop_cowboy(Listener) || Listener <- config(listeners, Config)],
	gun_rs_test:release_port(config(refused, Config)).

end_per_testcase(_, _) ->
	do_stop().

%% The handler of Cowboy's.

init(Req, echo) ->
	{cowboy_websocket, Req, echo, #{idle_timeout => infinity}};
init(Req0, items) ->
	{ok, Body, Req} = cowboy_req:read_body(Req0),
	Answer = [integer_to_binary(byte_size(Body)), " bytes"],
	{ok, cowboy_req:reply(201, #{<<"content-type">> => <<"text/plain">>}, Answer, Req), items};
init(Req0, large) ->
	Req = cowboy_req:stream_reply(200, #{}, Req0),
	_ = [ok = cowboy_req:stream_body(binary:copy(<<"a">>, 10000), nofin, Req) || _ <- lists:seq(1, 100)],
	ok = cowboy_req:stream_body(<<>>, fin, Req),
	{ok, Req, large};
%% It never answers.
init(_, slow) ->
	receive never -> ok end;
init(Req, 'moved-ws') ->
	{ok, cowboy_req:reply(302, #{<<"location">> => <<"/echo">>}, Req), 'moved-ws'};
init(Req, moved) ->
	{ok, cowboy_req:reply(302, #{<<"location">> => <<"/">>}, Req), moved};
init(Req, private) ->
	{ok, cowboy_req:reply(403, #{}, <<"Members only.">>, Req), private};
init(Req, front) ->
	{ok, cowboy_req:reply(200, #{<<"content-type">> => <<"text/plain">>}, <<"Hello!">>, Req), front}.

websocket_handle({Kind, Data}, State) when Kind =:= text; Kind =:= binary ->
	{[{Kind, Data}], State};
websocket_handle(_, State) ->
	{[], State}.

websocket_info(_, State) ->
	{[], State}.

%% Pages.

links(Config) ->
	doc("No link of any page leads nowhere, and the index of the documentation leads to each page."),
	Root = config(root, Config),
	Pages = [filename:join(Root, File) || Wildcard <- ["*.md", "doc/*.md", "doc/guide/*.md", "examples/*.md"],
		File <- filelib:wildcard(Wildcard, Root)],
	[] = [{Page, Link} || Page <- Pages, Link <- doc_pages:links(doc_pages:read(Page)), not doc_pages:is_there(Link, Page)],
	Index = doc_pages:links(doc_pages:read(filename:join(Root, "doc/README.md"))),
	Doc = filename:join(Root, "doc"),
	[] = (filelib:wildcard("*.md", Doc) ++ filelib:wildcard("guide/*.md", Doc)) -- ["README.md"|Index].

functions(Config) ->
	doc("Each function and type that a page names is exported, with that arity if it names one."),
	Root = config(root, Config),
	Named = [{Page, list_to_atom(Module), list_to_atom(Function), Arity} ||
		Wildcard <- ["*.md", "doc/*.md", "doc/guide/*.md"],
		Page <- filelib:wildcard(Wildcard, Root) -- ["CHANGELOG.md"],
		Code <- doc_pages:matches("`([^`\\n]+)`", doc_pages:read(filename:join(Root, Page))),
		[Module, Function, Arity] <- do_triples(doc_pages:matches("\\b(gun_rs\\w*):([a-z]\\w*)((?:/\\d)?)", Code))],
	true = length(Named) > 30,
	[] = lists:usort([Name || Name = {_, Module, Function, Arity} <- Named, not do_is_exported(Module, Function, Arity)]),
	ct:comment("~b names", [length(Named)]).

do_triples([]) -> [];
do_triples([A, B, C|Rest]) -> [[A, B, C]|do_triples(Rest)].

do_is_exported(Module, Function, Arity) ->
	{module, Module} = code:ensure_loaded(Module),
	Exported = Module:module_info(exports) ++
		[Type || {attribute, _, export_type, Types} <- do_abstract(Module), Type <- Types],
	lists:any(fun({F, A}) -> F =:= Function andalso (Arity =:= "" orelse Arity =:= "/" ++ integer_to_list(A)) end, Exported).

do_abstract(Module) ->
	{ok, {Module, [{abstract_code, {raw_abstract_v1, Forms}}]}} = beam_lib:chunks(code:which(Module), [abstract_code]),
	Forms.

modules(Config) ->
	doc("Each module that doc/modules.md names is there, its page names it, and a page of functions names each of them."),
	Doc = filename:join(config(root, Config), "doc"),
	Page = doc_pages:read(filename:join(Doc, "modules.md")),
	Rows = [{Heading, list_to_atom(Module), doc_pages:read(filename:join(Doc, File))} ||
		Heading <- doc_pages:headings(Page),
		[Modules, _, Link] <- doc_pages:table(doc_pages:section(Heading, Page)),
		Module <- doc_pages:matches("`(gun_rs\\w*)`", Modules),
		[File] <- [doc_pages:matches("\\((.*)\\)", Link)]],
	26 = length(lists:usort([Module || {_, Module, _} <- Rows])),
	[] = [Module || {_, Module, Text} <- Rows, nomatch =:= string:find(Text, atom_to_list(Module))],
	%% gun_rs itself has a page for each function, which its manual's suite checks.
	[] = [{Module, Function} || {"Modules to call", Module, Text} <- Rows, Module =/= gun_rs,
		Function <- do_functions(Module),
		[] =:= doc_pages:matches(["\\b(", atom_to_list(Function), ")\\b"], do_code(Text))],
	[] = [Module || {_, Module, _} <- Rows, not do_has_documentation(Module)].

%% What stands in backticks, in blocks, and indented.
do_code(Text) ->
	lists:join($\n, doc_pages:matches("`([^`\\n]+)`|^    (.*)$", Text) ++ doc_pages:examples("erlang", Text)).

%% Without those that OTP calls, and those that are marked as private.
do_functions(Module) ->
	Called = [behaviour_info, module_info, init, format_status, handle_call, handle_cast, handle_continue, handle_info,
		terminate],
	{ok, {docs_v1, _, _, _, _, _, Entries}} = code:get_doc(Module),
	Private = [{F, A} || {{function, F, A}, _, _, hidden, _} <- Entries],
	lists:usort([F || {F, _} <- Module:module_info(exports) -- Private]) -- Called.

do_has_documentation(Module) ->
	{ok, {docs_v1, _, _, _, ModuleDoc, _, _}} = code:get_doc(Module),
	is_map(ModuleDoc).

targets(Config) ->
	doc("Each target of make that a page names is one of the Makefile's, and each script is there."),
	Root = config(root, Config),
	[Targets] = [string:lexemes(Line, " ") || Line <- doc_pages:matches("^\\.PHONY: (.*)$",
		doc_pages:read(filename:join(Root, "Makefile")))],
	Pages = [{Page, doc_pages:read(filename:join(Root, Page))} || Wildcard <- ["*.md", "doc/*.md", "doc/guide/*.md"],
		Page <- filelib:wildcard(Wildcard, Root)],
	[] = [{Page, Target} || {Page, Text} <- Pages,
		Target <- doc_pages:matches("(?:`|^    )make ([a-z-]+)", Text), not lists:member(Target, Targets)],
	[] = [{Page, Script} || {Page, Text} <- Pages,
		Script <- doc_pages:matches("\\b(scripts/[a-z-]+\\.(?:sh|escript))", Text),
		not filelib:is_regular(filename:join(Root, Script))].

figures(Config) ->
	doc("The figures of the README are those of doc/performance.md."),
	Root = config(root, Config),
	Told = [{Name, string:split(Cells, " | ", all)} || Row <- doc_pages:matches("^\\| .*\\(`(.*) \\|$",
		doc_pages:read(filename:join(Root, "README.md"))), [Name, Cells] <- [string:split(Row, "`) | ")]],
	true = length(Told) > 15,
	Performance = doc_pages:read(filename:join(Root, "doc/performance.md")),
	Rows = [[string:trim(Cell, both, "`| ") || Cell <- string:split(Row, " | ", all)]
		|| Row <- doc_pages:matches("^\\| (.*) \\|$", Performance)],
	%% Of the server, OTP 25 stands first there.
	[] = [{Name, Cells} || {Name, Cells = [_, Ours, Theirs, Ratio]} <- Told,
		[] =:= [Row || Row = [N|_] <- Rows, N =:= Name,
			lists:sublist(Row, 3, 3) =:= [Ours, Theirs, Ratio] orelse lists:sublist(Row, 5, 3) =:= [Ours, Theirs, Ratio]]].

reasons(Config) ->
	doc("For each reason that troubleshooting names, gun_rs has a sentence."),
	Page = doc_pages:read(filename:join(config(root, Config), "doc/guide/troubleshooting.md")),
	Cells = [Cell || [Cell = "`" ++ _|_] <- do_rows(Page)],
	Reasons = [Reason || Cell <- Cells, Code <- doc_pages:matches("`([^`]+)`", Cell), Reason <- do_reason(Code)],
	true = length(Reasons) > 30,
	[] = [Reason || Reason <- Reasons,
		nomatch =/= string:find(unicode:characters_to_list(gun_rs:format_error(Reason)), "no words")].

do_rows(Page) ->
	[[string:trim(Cell) || Cell <- string:split(Row, " | ", all)] || Row <- doc_pages:matches("^\\| (.*) \\|$", Page)].

%% A term whose variables stand for something; what is no reason is a message, or a word of a page.
do_reason("{gun_" ++ _) -> [];
do_reason(Code) ->
	Term = re:replace(Code, "\\b[A-Z]\\w*|\\b_\\b", "\"Some text\"", [global, {return, list}]),
	case erl_scan:string(Term ++ ".") of
		{ok, Tokens, _} ->
			case erl_parse:parse_term(Tokens) of
				{ok, Reason} -> [Reason];
				{error, _} -> []
			end;
		_ ->
			[]
	end.

%% Examples.

erlang_examples(Config) ->
	doc("The Erlang examples run."),
	Pages = do_pages(Config),
	Failed = [{Page, N, Reason} || Page <- Pages, {N, Reason} <- do_run_erlang(Page, Config)],
	[] = Failed,
	ct:comment("~b pages", [length(Pages)]).

do_run_erlang(Page, Config) ->
	Sections = do_blocks("erlang", Page, Config),
	_ = [do_load(Block) || {_, Blocks} <- Sections, Block <- Blocks, do_is_module(Block)],
	[{N, Reason} || {N, Blocks} <- Sections,
		Reason <- [R || Program <- [lists:append([Block || Block <- Blocks, not do_is_module(Block)])], Program =/= "",
			R <- do_run(Program)]].

do_run(Program) ->
	Failed = doc_pages:run_erlang(Program),
	do_stop(),
	Failed.

do_is_module(Block) ->
	string:prefix(string:trim(Block), "-module(") =/= nomatch.

do_load(Source) ->
	{ok, Tokens, _} = erl_scan:string(Source),
	{ok, Module, Beam} = compile:forms([begin
		{ok, Form} = erl_parse:parse_form(Tokens1),
		Form
	end || Tokens1 <- do_forms(Tokens)], [return_errors, warnings_as_errors]),
	{module, Module} = code:load_binary(Module, "guide", Beam).

do_forms([]) -> [];
do_forms(Tokens) ->
	{Form, [Dot|Rest]} = lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Tokens),
	[Form ++ [Dot]|do_forms(Rest)].

elixir_examples(Config) ->
	doc("The Elixir examples run."),
	Programs = [{lists:flatten(io_lib:format("~s-~2..0b", [filename:basename(Page, ".md"), N])), lists:append(Blocks)} ||
		Page <- do_pages(Config), {N, Blocks} <- do_blocks("elixir", Page, Config)],
	case doc_pages:run_elixir(Programs, filename:join(config(priv_dir, Config), "elixir")) of
		ok -> ct:comment("~b programs", [length(Programs)]);
		Skip -> Skip
	end.

languages(Config) ->
	doc("A block of code is Erlang or Elixir, so that it runs; commands are indented."),
	[] = [{Page, Language} || Page <- do_pages(Config),
		{N, Language} <- lists:enumerate(doc_pages:matches("^```(.*)$", doc_pages:read(Page))),
		N rem 2 =:= 1, not lists:member(Language, ["erlang", "elixir"])].

do_pages(Config) ->
	Root = config(root, Config),
	[filename:join(Root, Page) || Wildcard <- ["README.md", "doc/handlers.md", "doc/redirects.md", "doc/guide/*.md", "doc/moving-from-*.md"],
		Page <- filelib:wildcard(Wildcard, Root)].

%% Of each section that has some.
do_blocks(Language, Page, Config) ->
	[{N, [do_patient(doc_pages:replace(Block, config(replacements, Config))) || Block <- Blocks]} ||
		{N, Section} <- lists:enumerate(doc_pages:sections(doc_pages:read(Page))),
		Blocks <- [doc_pages:examples(Language, Section)],
		Blocks =/= []].

%% Readers wait for 5 seconds, which a busy machine can miss: these programs wait for as long as any case does.
do_patient(Block) ->
	lists:foldl(fun({Pattern, Patient}, Text) ->
		re:replace(Text, Pattern, Patient, [global, unicode, {return, list}])
	end, Block, [
		{"(gun_rs[:.]await_up)\\((\\w+)\\)", "\\1(\\2, 30000)"},
		{"(gun_rs[:.]await(?:_body)?)\\((\\w+), (\\w+)\\)", "\\1(\\2, \\3, 30000)"},
		{"(gun_rs_pool[:.]await(?:_body)?)\\((\\w+)\\)", "\\1(\\2, 30000)"},
		{"after 5000\\b", "after 30000"},
		{"\\b5000 -> exit", "30000 -> exit"},
		{"#{timeout => 10000}", "#{timeout => 30000, checkout_call_timeout => 30000}"},
		{"%{timeout: 10_000}", "%{timeout: 30_000, checkout_call_timeout: 30_000}"},
		{"timeout => 5000}", "timeout => 30000}"},
		{"timeout: 5000}", "timeout: 30000}"}
	]).

%% What the programs have left.
do_stop() ->
	_ = [gun_rs_server:stop_listener(Ref) || Ref <- maps:keys(gun_rs_server:info())],
	ok.
