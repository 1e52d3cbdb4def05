defmodule GunRs.DocsTest do
  use ExUnit.Case, async: true

  # Of a behaviour, whose documentation is its own.
  @callbacks [init: 1, terminate: 2]

  for module <- [GunRs, GunRs.Client, GunRs.Server] do
    test "each function of #{inspect(module)} has a text and a spec" do
      module = unquote(module)
      {:docs_v1, _, :elixir, "text/markdown", %{"en" => _}, _, entries} = Code.fetch_docs(module)
      {:ok, specs} = Code.Typespec.fetch_specs(module)
      specified = Enum.map(specs, fn {{name, arity}, _} -> {name, arity} end)

      functions =
        for {{:function, name, arity}, _, _, doc, _} <- entries,
            doc != :hidden and {name, arity} not in @callbacks,
            do: {name, arity, doc}

      assert functions != []
      assert [] == for({name, arity, doc} <- functions, not is_map(doc), do: {name, arity})

      assert [] ==
               for(
                 {name, arity, _} <- functions,
                 {name, arity} not in specified,
                 do: {name, arity}
               )
    end
  end
end
