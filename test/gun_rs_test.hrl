%% What every suite says: wait for one message, or fail with the pattern and the mailbox.
%%
%% The wait is far longer than anything these cases do, so that a loaded machine fails none of them.
%% The fun keeps the variables of a pattern out of the case's own scope.

-define(WAIT, 30000).

-define(EXPECT(Pattern), ?EXPECT(Pattern, ok)).
-define(EXPECT(Pattern, Result),
	(fun() ->
		receive
			Pattern -> Result
		after ?WAIT ->
			gun_rs_test:missing(??Pattern)
		end
	end)()).

%% Nothing of that shape is in the mailbox, nor comes in a short while.
-define(REFUTE(Pattern),
	(fun() ->
		receive
			Unwanted = Pattern -> error({unwanted, Unwanted})
		after 200 ->
			ok
		end
	end)()).

%% What the old `catch Expr' gives, which OTP 29 warns about.
-define(CATCH(Expr), gun_rs_test:caught(fun() -> Expr end)).
