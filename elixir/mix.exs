defmodule GunRs.MixProject do
  use Mix.Project

  # The version has its one place in the application that this one stands for.
  {:ok, [{:application, :gun_rs, app}]} =
    System.get_env("GUN_RS", Path.expand("..", __DIR__))
    |> Path.join("erlang_src/gun_rs.app.src")
    |> :file.consult()

  @app app

  def project do
    [
      app: :gun_rs_elixir,
      version: to_string(@app[:vsn]),
      elixir: "~> 1.14",
      description: "gun_rs for Elixir: WebSocket and HTTP client and server",
      package: [licenses: ["MIT"], links: %{}],
      deps: deps(),
      docs: [main: "GunRs"]
    ]
  end

  def application do
    [extra_applications: [:logger]]
  end

  # GUN_RS names the folder of gun_rs, if it is not the one around this.
  defp deps do
    [{:gun_rs, path: System.get_env("GUN_RS", ".."), manager: :rebar3}]
  end
end
