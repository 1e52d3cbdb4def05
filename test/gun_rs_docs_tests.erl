%% What h/1,2,3 show in the shell.
-module(gun_rs_docs_tests).

-include_lib("eunit/include/eunit.hrl").

%% A machine without edoc builds gun_rs without its documentation.
documentation_test_() ->
	case code:ensure_loaded(edoc_doclet_chunks) of
		{module, _} -> [fun open_has_its_documentation/0, fun every_function_of_the_api_is_there/0];
		{error, _} -> []
	end.

open_has_its_documentation() ->
	{ok, {docs_v1, _, erlang, _, _, _, Entries}} = code:get_doc(gun_rs),
	[Docs] = [Docs || {{function, open, 3}, _, _, #{<<"en">> := Docs}, _} <- Entries],
	Text = unicode:characters_to_binary(io_lib:format("~tp", [Docs])),
	?assertNotEqual(nomatch, binary:match(Text, <<"Opens a connection to a host and a port">>)).

every_function_of_the_api_is_there() ->
	{ok, {docs_v1, _, _, _, _, _, Entries}} = code:get_doc(gun_rs),
	Documented = [{F, A} || {{function, F, A}, _, _, _, _} <- Entries],
	?assertEqual([], gun_rs:module_info(exports) -- [{module_info, 0}, {module_info, 1}|Documented]).
