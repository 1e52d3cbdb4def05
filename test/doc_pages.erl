%% Reads pages of the documentation, runs the examples in them, and follows their links.
-module(doc_pages).

-export([read/1]).
-export([headings/1]).
-export([section/2]).
-export([sections/1]).
-export([table/1]).
-export([matches/2]).

%% Links.
-export([links/1]).
-export([is_there/2]).

%% Examples.
-export([examples/2]).
-export([replace/2]).
-export([eval/1]).
-export([run_erlang/1]).
-export([run_elixir/2]).

-include("gun_rs_test.hrl").

-spec read(file:filename()) -> binary().
read(File) ->
	{ok, Page} = file:read_file(File),
	Page.

-spec headings(iodata()) -> [string()].
headings(Page) ->
	matches("^## (.*)$", Page).

%% Empty where there is none.
-spec section(string(), iodata()) -> string().
section(Heading, Page) ->
	case matches("(?s)^## " ++ Heading ++ "\\n(.*?)(?=^## |\\z)", Page) of
		[Section] -> Section;
		[] -> ""
	end.

%% The head of the page, and then each section.
-spec sections(iodata()) -> [string()].
sections(Page) ->
	[unicode:characters_to_list(Section) || Section <- re:split(Page, "^## .*$", [multiline])].

%% The rows of the tables in a section, without their heads.
-spec table(iodata()) -> [[string()]].
table(Section) ->
	Rows = [[string:trim(Cell) || Cell <- string:split(Row, " | ", all)] || Row <- matches("^\\| (.*) \\|$", Section)],
	tl(Rows).

-spec matches(iodata(), iodata()) -> [string()].
matches(Regexp, Subject) ->
	case re:run(Subject, Regexp, [global, multiline, unicode, {capture, all_but_first, list}]) of
		{match, Matches} -> lists:append(Matches);
		nomatch -> []
	end.

%% Links.

%% Those to other files of the project, and inside of the page. What stands in code is none.
-spec links(iodata()) -> [string()].
links(Page0) ->
	Page = re:replace(Page0, ["(?s)^```.*?^```$|`[^`\\n]*`"], "", [global, multiline, unicode, {return, binary}]),
	[Link || Link <- matches("\\]\\(([^)\\s]+)\\)", Page), string:prefix(Link, "https://") =:= nomatch].

%% Whether a link of the page leads somewhere: to a file or a folder, and to a heading in it where it names one.
-spec is_there(string(), file:filename()) -> boolean().
is_there(Link, Page) ->
	{File, Anchor} = case string:split(Link, "#") of
		[[], A] -> {Page, A};
		[F, A] -> {filename:join(filename:dirname(Page), F), A};
		[F] -> {filename:join(filename:dirname(Page), F), undefined}
	end,
	case Anchor of
		undefined -> filelib:is_file(File);
		_ -> filelib:is_regular(File) andalso lists:member(Anchor, anchors(read(File)))
	end.

anchors(Page) ->
	[anchor(Heading) || Heading <- matches("^#+ (.*)$", Page)].

%% As the usual renderers make it of a heading.
anchor(Heading) ->
	lists:append([case C of
		$\s -> "-";
		_ when C >= $a, C =< $z; C >= $0, C =< $9; C =:= $_; C =:= $- -> [C];
		_ -> ""
	end || C <- string:lowercase(Heading)]).

%% Examples.

-spec examples(string(), iodata()) -> [string()].
examples(Language, Page) ->
	matches("(?s)^```" ++ Language ++ "\\n(.*?)^```$", Page).

%% What stands for something in the page becomes what it is in this run.
-spec replace(string(), [{string(), string()}]) -> string().
replace(Example, Replacements) ->
	lists:foldl(fun({From, To}, Text) -> lists:flatten(string:replace(Text, From, To, all)) end, Example, Replacements).

-spec eval(string()) -> {value, term(), erl_eval:binding_struct()}.
eval(Source) ->
	{value, _, _} = erl_eval:exprs(exprs(Source), #{}).

exprs(Source) ->
	{ok, Tokens, _} = erl_scan:string(Source),
	exprs_of(Tokens).

%% Several statements, each with a period at its end, as one types them in a shell.
exprs_of([]) ->
	[];
exprs_of(Tokens) ->
	{Statement, [Dot|Rest]} = lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Tokens),
	{ok, Exprs} = erl_parse:parse_exprs(Statement ++ [Dot]),
	Exprs ++ exprs_of(Rest).

%% Runs it in a process of its own, whose connections end with it; [] if it ends normally, or else the reason.
-spec run_erlang(string()) -> [term()].
run_erlang(Example) ->
	{Pid, MRef} = spawn_monitor(fun() -> eval(Example) end),
	receive
		{'DOWN', MRef, process, Pid, normal} -> [];
		{'DOWN', MRef, process, Pid, Reason} -> [Reason]
	after ?WAIT ->
		exit(Pid, kill),
		[timeout]
	end.

%% Runs all of them in one VM, each in a process of its own, in the order of their names.
-spec run_elixir([{Name :: string(), Example :: string()}], file:filename()) -> ok | {skip, string()}.
run_elixir(Examples, Dir) ->
	case os:find_executable("elixir") of
		false -> {skip, "there is no elixir"};
		Elixir -> run_elixir(Elixir, Examples, Dir)
	end.

run_elixir(Elixir, Examples, Dir) ->
	%% Suites share the folder that it is in.
	_ = file:del_dir_r(Dir),
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
		"  for {ref, _} <- :gun_rs_server.info(), do: :gun_rs_server.stop_listener(ref)\n"
		"end\n"
		"IO.puts(\"THE END\")\n"
	]),
	_ = [ok = file:write_file(filename:join(Dir, Name ++ ".exs"), Example) || {Name, Example} <- Examples],
	Port = open_port({spawn_executable, Elixir}, [
		{args, ["-pa", filename:dirname(code:which(gun_rs)), filename:join(Dir, "run"), Dir]},
		stream, binary, exit_status, stderr_to_stdout, hide
	]),
	{Status, Output} = output(Port, <<>>),
	ct:log("~ts", [Output]),
	nomatch = re:run(Output, "FAILED.*", [{capture, first, list}]),
	{match, _} = re:run(Output, "THE END"),
	0 = Status,
	ok.

output(Port, Output) ->
	receive
		{Port, {data, Data}} -> output(Port, <<Output/binary, Data/binary>>);
		{Port, {exit_status, Status}} -> {Status, Output}
	end.
