-module(compare_ws).
-export([situations/0]).
situations() -> [].
