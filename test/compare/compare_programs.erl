-module(compare_programs).
-export([situations/0]).
situations() -> [].
