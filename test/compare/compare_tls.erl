-module(compare_tls).
-export([situations/0]).
situations() -> [].
