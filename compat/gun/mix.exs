defmodule Gun.MixProject do
  use Mix.Project

  # What gun.app.src says has its one place there.
  {:ok, [{:application, :gun, app}]} = :file.consult(Path.join(__DIR__, "src/gun.app.src"))
  @app app

  def project do
    [
      app: :gun,
      version: to_string(@app[:vsn]),
      description: to_string(@app[:description]),
      language: :erlang,
      deps: [{:gun_rs, path: "../..", manager: :rebar3}]
    ]
  end

  def application do
    [
      mod: @app[:mod],
      registered: @app[:registered],
      extra_applications: @app[:applications] -- [:kernel, :stdlib, :gun_rs]
    ]
  end
end
