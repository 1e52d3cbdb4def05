defmodule Cowboy.MixProject do
  use Mix.Project

  # What cowboy.app.src says has its one place there.
  {:ok, [{:application, :cowboy, app}]} = :file.consult(Path.join(__DIR__, "src/cowboy.app.src"))
  @app app

  def project do
    [
      app: :cowboy,
      version: to_string(@app[:vsn]),
      description: to_string(@app[:description]),
      language: :erlang,
      deps: [{:gun_rs, path: "../..", manager: :rebar3}]
    ]
  end

  def application do
    [
      registered: @app[:registered],
      extra_applications: @app[:applications] -- [:kernel, :stdlib, :gun_rs]
    ]
  end
end
