-module(compare_life).
-export([situations/0]).
situations() -> [].
