defmodule ChatTest do
  use ExUnit.Case

  test "a library that needs gun talks to a server" do
    assert Application.spec(:gun, :vsn) |> to_string() |> Version.match?("~> 2.1")
    assert Application.spec(:gun_rs, :vsn)
    port = String.to_integer(System.fetch_env!("ECHO_PORT"))
    {:ok, client} = :chat_lib.connect(~c"localhost", port, "/subprotocol")
    :ok = :chat_lib.say(client, "Hello!")
    assert_receive {:chat, ^client, "Hello!"}, 30_000
    :ok = :chat_lib.leave(client)
    assert_receive {:chat, ^client, {:closed, 1000}}, 30_000
  end
end
