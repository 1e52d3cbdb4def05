#!/usr/bin/env escript
%% Puts the documentation of each module into its beam (EEP-48), for h/1,2,3 in the shell and for editors. rebar3 runs this
%% after it has compiled, also when gun_rs is a dependency of another project. It makes what edoc finds in the sources a
%% chunk of the beam, and leaves alone what has one. It never breaks a build: without edoc there is one line, and no
%% documentation.

main([]) ->
	case code:ensure_loaded(edoc_doclet_chunks) of
		{module, _} -> _ = [document(Ebin) || Ebin <- ebins()], ok;
		{error, _} -> io:format("gun_rs: edoc is not installed, so that h(gun_rs) has no documentation.~n")
	end.

%% Where rebar3 may have put the beams: of the project itself, of one in _checkouts, of a dependency.
ebins() ->
	BuildDir = os:getenv("REBAR_BUILD_DIR", "_build/default"),
	lists:usort([Dir || Dir <- [
		filename:join(BuildDir, "lib/gun_rs/ebin"),
		filename:join(BuildDir, "checkouts/gun_rs/ebin"),
		"ebin"
	], filelib:is_regular(filename:join(Dir, "gun_rs.beam"))]).

document(Ebin) ->
	case [Beam || Beam <- filelib:wildcard(filename:join(Ebin, "gun_rs*.beam")), not has_docs(Beam)] of
		[] ->
			ok;
		Beams ->
			Dir = filename:join(Ebin, ".chunks"),
			try
				document(Beams, Dir)
			catch _:Reason ->
				io:format("gun_rs: the documentation for h(gun_rs) could not be made: ~0tp~n", [Reason])
			after
				_ = file:del_dir_r(Dir)
			end
	end.

has_docs(Beam) ->
	case beam_lib:chunks(Beam, ["Docs"]) of
		{ok, _} -> true;
		{error, _, _} -> false
	end.

document(Beams, Dir) ->
	Sources = [Source || Beam <- Beams, Source <- sources(Beam)],
	ok = edoc:files(Sources, [{doclet, edoc_doclet_chunks}, {layout, edoc_layout_chunks}, {dir, Dir}, {preprocess, true},
		{includes, ["include"]}]),
	_ = [put_docs(Beam, Dir) || Beam <- Beams],
	ok.

%% None where the module is gone and its beam is not yet.
sources(Beam) ->
	filelib:wildcard("erlang_src/**/" ++ filename:basename(Beam, ".beam") ++ ".erl").

%% Another compiler may be at work on the same file: it is replaced, and never written into.
put_docs(Beam, Dir) ->
	Docs = case file:read_file(filename:join([Dir, "chunks", filename:basename(Beam, ".beam") ++ ".chunk"])) of
		{ok, Chunk} -> Chunk;
		{error, enoent} -> term_to_binary({docs_v1, 0, erlang, <<"application/erlang+html">>, hidden, #{}, []})
	end,
	{ok, _, Chunks} = beam_lib:all_chunks(Beam),
	{ok, New} = beam_lib:build_module(Chunks ++ [{"Docs", Docs}]),
	ok = file:write_file(Beam ++ ".new", New),
	ok = file:rename(Beam ++ ".new", Beam).
