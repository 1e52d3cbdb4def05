%% Whatever a Set-Cookie header says, it is read as RFC 6265bis says.
-module(gun_rs_cookie_parser_tests).

-include_lib("eunit/include/eunit.hrl").

-import(cookie_client, [random_date/0]).
-import(cookie_client, [seconds/1]).
-import(gun_rs_test, [title/1]).

what_has_a_control_character_anywhere_is_no_cookie_test_() ->
	[{integer_to_list(C), [?_assertEqual(ignore, gun_rs_cookie_parser:set_cookie(iolist_to_binary(SetCookie)))
		|| SetCookie <- [[C, "a=b"], ["a", C, "=b"], ["a=b", C, "c"], ["a=b", C],
			["a=b; Path=/", C], ["a=b; x=", C, "y; Path=/"], [C]]]}
	|| C <- [127|lists:seq(0, 31)], C =/= $\t].

name_and_value_have_4096_bytes_at_most_test() ->
	?assertMatch({ok, _, _, _}, gun_rs_cookie_parser:set_cookie(<<"a=", (x(4095))/binary>>)),
	?assertEqual(ignore, gun_rs_cookie_parser:set_cookie(<<"a=", (x(4096))/binary>>)).

a_cookie_keeps_nothing_else_of_the_headers_alive_test() ->
	Bin = iolist_to_binary(["a=", x(100), "; Path=/", x(100), "; Domain=", x(100), "; ", x(100000)]),
	{ok, _, Value, #{path := Path, domain := Domain}} = gun_rs_cookie_parser:set_cookie(Bin),
	_ = [?assert(binary:referenced_byte_size(B) < 1000) || B <- [Value, Path, Domain]],
	ok.

%% Attributes: RFC 6265bis, 5.6.

attributes_are_found_in_any_writing_and_the_last_one_counts_test_() ->
	[{title(Text), fun() ->
		{ok, <<"a">>, <<"b">>, Found} = gun_rs_cookie_parser:set_cookie(<<"a=b;", Text/binary>>),
		?assertEqual(Attrs, Found)
	end} || {Text, Attrs} <- [
		{<<>>, #{}},
		{<<" Secure">>, #{secure => true}},
		{<<"seCURe">>, #{secure => true}},
		{<<"\t Secure \t= no">>, #{secure => true}},
		{<<"Secure; x">>, #{secure => true}},
		{<<"\"Secure\"">>, #{}},
		{<<"Secure x">>, #{}},
		{<<" HttpOnly">>, #{http_only => true}},
		{<<"httponly=false">>, #{http_only => true}},
		{<<"Domain=example.org">>, #{domain => <<"example.org">>}},
		{<<"DOMAIN=.Example.BIZ">>, #{domain => <<"example.biz">>}},
		{<<"Domain=..example.org">>, #{domain => <<".example.org">>}},
		{<<"Domain=a.org; Domain=b.org">>, #{domain => <<"b.org">>}},
		{<<"Domain=a.org; Domain=">>, #{domain => <<>>}},
		{<<"Domain=a.org; Domain">>, #{domain => <<>>}},
		{<<"Path=/a">>, #{path => <<"/a">>}},
		{<<"path =  /A b/%2f\"; Path">>, #{}},
		{<<"path =  /A b/%2f\"">>, #{path => <<"/A b/%2f\"">>}},
		{<<"Path=a">>, #{}},
		{<<"Path=/a; Path=/b">>, #{path => <<"/b">>}},
		{<<"Path=/a; Path=b">>, #{}},
		{<<"SameSite=Strict">>, #{same_site => strict}},
		{<<"samesite=LAX">>, #{same_site => lax}},
		{<<"SameSite=none">>, #{same_site => none}},
		{<<"SameSite">>, #{same_site => default}},
		{<<"SameSite=Lax; SameSite=x">>, #{same_site => default}},
		{<<"Expires=never; Max-Age=soon">>, #{}},
		{<<"Secure;HttpOnly;Path=/;Domain=a.org;SameSite=Lax">>, #{secure => true,
			http_only => true, path => <<"/">>, domain => <<"a.org">>, same_site => lax}}
	]].

an_attribute_value_has_1024_bytes_at_most_test_() ->
	[{title({Name, Size}), fun() ->
		Value = x(Size - 1),
		{ok, _, _, Attrs} = gun_rs_cookie_parser:set_cookie(
			iolist_to_binary(["a=b; Path=/before; ", Name, "= /", Value, " "])),
		?assertEqual(Expected, Attrs)
	end} || {Name, Size, Expected} <- [
		{"Path", 1024, #{path => <<"/", (x(1023))/binary>>}},
		{"Path", 1025, #{path => <<"/before">>}},
		{"Domain", 1024, #{path => <<"/before">>, domain => <<"/", (x(1023))/binary>>}},
		{"Domain", 1025, #{path => <<"/before">>}},
		{"Secure", 1024, #{path => <<"/before">>, secure => true}},
		{"Secure", 1025, #{path => <<"/before">>}},
		{"SameSite", 1025, #{path => <<"/before">>}}
	]].

max_age_is_a_number_of_seconds_test_() ->
	[{title(Text), fun() ->
		Before = seconds(erlang:universaltime()),
		{ok, _, _, Attrs} = gun_rs_cookie_parser:set_cookie(<<"a=b; Max-Age=", Text/binary>>),
		After = seconds(erlang:universaltime()),
		case {Expected, Attrs} of
			{ignored, _} ->
				?assertEqual(#{}, Attrs);
			{past, #{max_age := Time}} ->
				?assert(seconds(Time) < Before);
			{N, #{max_age := Time}} ->
				?assert(seconds(Time) >= Before + N andalso seconds(Time) =< After + N)
		end
	end} || {Text, Expected} <- [
		{<<"1">>, 1}, {<<"0060">>, 60}, {<<" 3600 ">>, 3600}, {<<"34560000">>, 34560000},
		{<<"34560001">>, 34560000}, {binary:copy(<<"9">>, 1024), 34560000},
		{<<"0">>, past}, {<<"-0">>, past}, {<<"-1">>, past},
		{iolist_to_binary([$-, binary:copy(<<"9">>, 1023)]), past},
		{binary:copy(<<"9">>, 1025), ignored}, {<<>>, ignored}, {<<"-">>, ignored},
		{<<"--1">>, ignored}, {<<"+1">>, ignored}, {<<"1.5">>, ignored}, {<<"50,399">>, ignored},
		{<<"1e3">>, ignored}, {<<"\"60\"">>, ignored}, {<<"60 s">>, ignored}, {<<"0x10">>, ignored},
		{<<"16#10">>, ignored}, {<<"1_000">>, ignored}
	]].

no_cookie_lives_longer_than_400_days_test() ->
	{ok, _, _, #{expires := Time}} = gun_rs_cookie_parser:set_cookie(
		<<"a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT">>),
	?assert(abs(seconds(Time) - seconds(erlang:universaltime()) - 400 * 86400) =< 2).

%% Dates: RFC 6265bis, 5.1.1.

a_date_is_read_in_every_form_test_() ->
	Time = {{2031, 3, 9}, {7, 5, 4}},
	[{Text, ?_assertEqual({ok, Time}, gun_rs_cookie_parser:date(list_to_binary(Text)))} || Text <- [
		"Sun, 09 Mar 2031 07:05:04 GMT",
		"Sunday, 09-Mar-31 07:05:04 GMT",
		"Sun Mar  9 07:05:04 2031",
		"Sun, 9-Mar-2031 07:05:04 GMT",
		"Sun, 09 MAR 2031 07:05:04",
		"sun, 09 march 2031 7:5:4",
		"9 March 31 7:05:4 GMT",
		"2031 Mar 9 07:05:04",
		"07:05:04 2031 9 Mar",
		"Mar 07:05:04 9 31",
		"9th Marchember 2031ad 07:05:04pm",
		"Sun,09/Mar\\2031,07:05:04",
		"9~Mar{2031}07:05:04",
		"Sun, 09 Mar 7 2031 07:05:04",
		"\"Sun, 09-Mar-31\\\"07:05:04\\\"GMT\"",
		"  ;<=>?@[]^_`{|}~Sun,09-Mar-2031 \t 07:05:04~",
		"Sun, 09 Mar 2031 07:05:04 GMT-0500 (EST)",
		"Sun, 09 Mar 2031 07:05:04 -0400",
		"Sun, 09 Mar 2031 07:05:04 99:99:99 32 Feb 1600",
		"Sun, 09 Mar 2031 ::00 a:b:c 07:05:04",
		"Sun, 09 Mar 2031 07:05 07:05:04",
		"Sun, 020311 09 Mar 2031 07:05:04",
		"Foo, 09 Ma Mar 2031 07:05:004 07:05:04"
	]].

a_year_of_two_digits_is_completed_test_() ->
	[{Text, ?_assertEqual({ok, {{Year, 1, 1}, {0, 0, 0}}},
		gun_rs_cookie_parser:date(iolist_to_binary(["1 Jan ", Text, " 00:00:00"])))}
	|| {Text, Year} <- [{"00", 2000}, {"10", 2010}, {"69", 2069}, {"70", 1970}, {"99", 1999},
		{"069", 2069}, {"099", 1999}, {"1601", 1601}, {"9999", 9999}, {"0070", 1970}]].

what_is_no_date_is_no_date_test_() ->
	[{Text, ?_assertEqual(error, gun_rs_cookie_parser:date(list_to_binary(Text)))} || Text <- [
		"", " ", "never", "0", "-1", "1", "99999999999", ":::", "::",
		"Sun, 09 Mar 2031", "09 2031 07:05:04", "Mar 2031 07:05:04", "09 Mar 07:05:04",
		"Sun, 00 Mar 2031 07:05:04", "Sun, 32 Mar 2031 07:05:04", "Sun, 31 Apr 2031 07:05:04",
		"Sat, 29 Feb 2031 07:05:04", "Sun, 29 Feb 1900 07:05:04",
		"Sun, 09 Mar 1600 07:05:04", "Sun, 09 Mar 100 07:05:04", "Sun, 09 Mar 20311 07:05:04",
		"Sun, 009 Mar 2031 07:05:04", "98 Mar 17 07:05:04",
		"Sun, 09 Mar 2031 24:00:00", "Sun, 09 Mar 2031 07:60:00", "Sun, 09 Mar 2031 07:05:60",
		"Sun, 09 Mar 2031 91:05:04 07:05:04", "Sun, 09 Mar 2031 07:05:004",
		"Sun, 09 Mar 2031 07 05 04", "Sun, 09 Mar 2031 07:05", "Sun, 09 M\x{e4}r 2031 07:05:04",
		"2031-03-09T07:05:04Z"
	]].

the_29th_of_february_exists_in_leap_years_test_() ->
	[?_assertEqual({ok, {{Year, 2, 29}, {1, 2, 3}}}, gun_rs_cookie_parser:date(
		iolist_to_binary(["29 Feb ", integer_to_list(Year), " 1:2:3"]))) || Year <- [2000, 2024, 2032]].

random_dates_never_crash_test() ->
	_ = rand:seed(exsss, {6265, 5, 1}),
	_ = [case gun_rs_cookie_parser:date(iolist_to_binary(random_date())) of
		error -> ok;
		{ok, {Date, {H, M, S}}} ->
			?assert(calendar:valid_date(Date)),
			?assert(element(1, Date) >= 1601 andalso H < 24 andalso M < 60 andalso S < 60)
	end || _ <- lists:seq(1, 20000)],
	ok.

a_header_of_any_size_takes_no_long_time_test_() ->
	[{title(Text), {timeout, 60, fun() ->
		%% Ten times the size takes ten times the work, not a hundred times.
		?assert(work(Text, 200000) < 30 * work(Text, 20000))
	end}} || Text <- [<<";">>, <<"=">>, <<" ">>, <<"a">>, <<"a=b;">>, <<";Path=/">>, <<".">>, <<"; Domain=">>,
		<<"; Expires=1 1 1 1:1:1">>, <<"1:">>, <<255>>]].

%% In reductions.
work(Text, Size) ->
	SetCookie = binary:copy(Text, Size div byte_size(Text)),
	{Pid, MRef} = spawn_monitor(fun() ->
		_ = gun_rs_cookie_parser:set_cookie(SetCookie),
		_ = gun_rs_cookie_parser:set_cookie(<<"a=b;", SetCookie/binary>>),
		exit(process_info(self(), reductions))
	end),
	receive {'DOWN', MRef, process, Pid, {reductions, Reductions}} -> Reductions end.

%% Helpers.

x(Size) ->
	binary:copy(<<"x">>, Size).
