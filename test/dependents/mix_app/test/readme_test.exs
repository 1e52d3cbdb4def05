defmodule ReadmeTest do
  use ExUnit.Case

  # The example has its one place in the README; here it becomes the body of a test, with the port of a server that runs.
  readme = File.read!(Path.join(System.fetch_env!("GUN_RS"), "README.md"))
  [_, example] = Regex.run(~r/```elixir\n(.*?)```/s, readme)
  true = String.contains?(example, "8080")
  example = String.replace(example, "8080", System.fetch_env!("ECHO_PORT"))

  test "the Elixir example of the README talks to a server" do
    unquote(Code.string_to_quoted!(example))
  end
end
