//! How a connection ends: by the peer's word or without it, by the user's, and by silence.

use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::raw::{Frame, Raw, answer, asked, begun, begun_with, fault, frame, head};
use super::*;
use crate::command::{Command, Ping};
use crate::error::BadState;
use crate::event::PeerSettings;
use crate::http::http2::frames::{ACK, DATA, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use crate::options::Endpoint;
use crate::status::State;
use crate::task::spawn;

fn go_away(last: u32, code: u32, debug: &str) -> Frame {
    frame(GOAWAY, 0, 0, [&last.to_be_bytes()[..], &code.to_be_bytes(), debug.as_bytes()].concat())
}

fn with_options(http2: Http2Options, change: impl FnOnce(&mut ConnectOptions)) -> ConnectOptions {
    let mut options = options_with(http2);
    change(&mut options);
    options
}

fn ping(name: u32) -> Command<Recorder> {
    Command::Ping(Box::new(Ping { tunnel: None, caller: CALLER, name }))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_finishes_what_it_has_begun_and_the_rest_waits_for_the_next_connection() {
    let (mut client, mut raw) = asked(http2(), &[1, 2, 3]).await;
    raw.send(&[go_away(3, 0, "")]).await;
    client.expect_only(&[Told::StreamGoAway(3, Http2Code::NoError)]).await;
    assert_eq!(raw.next().await, Some(go_away(0, 0, "")));
    client.request(get(4));
    raw.send(&[head(1, &[])]).await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200)]).await;
    raw.send(&[frame(DATA, END_STREAM, 1, "end"), answer(3)]).await;
    client.expect_only(&[data(1, Fin::Fin, "end"), Told::Response(2, Fin::Fin, 200), down(Reason::Normal, &[])]).await;
    raw.expect_end().await;
    assert_eq!(client.handle.state(), State::Idle);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_has_said_before_it_went_is_read_though_nothing_can_be_written() {
    for goes_away in [true, false] {
        let (mut client, mut raw) = asked(http2(), &[1]).await;
        // Its answer is written before the rest is read.
        raw.send(&[frame(PING, 0, 0, [0; 8]), answer(1)]).await;
        if goes_away {
            raw.send(&[go_away(1, 0, "")]).await;
        }
        drop(raw);
        let reason = if goes_away { Reason::Normal } else { Reason::Closed };
        client.expect_only(&[Told::Response(1, Fin::Fin, 200), down(reason, &[])]).await;
    }
}

#[tokio::test]
async fn a_request_that_comes_while_the_server_goes_away_is_made_on_the_next_connection() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port };
    let (sink, told) = recorder();
    let handle = spawn(&Handle::current(), with_options(http2(), |options| options.endpoint = endpoint), sink);
    let mut client = Client { handle, told };
    client.handle.send(Command::Connect(None));
    let mut raw = Raw::new(listener.accept().await.unwrap().0);
    raw.preface().await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    client.request(get(1));
    raw.expect(HEADERS).await;
    raw.send(&[frame(SETTINGS, 0, 0, []), go_away(1, 0, "")]).await;
    raw.expect(GOAWAY).await;
    client.request(get(2));
    settle().await;
    raw.send(&[answer(1)]).await;
    client.expect(&[Told::Response(1, Fin::Fin, 200), down(Reason::Normal, &[])]).await;
    client.handle.send(Command::Connect(None));
    let mut raw = Raw::new(listener.accept().await.unwrap().0);
    raw.preface().await;
    raw.expect(HEADERS).await;
    raw.send(&[frame(SETTINGS, 0, 0, []), answer(1)]).await;
    client.expect(&[Told::Up(ProtocolName::Http2), Told::Response(2, Fin::Fin, 200)]).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_next_connection_a_request_is_refused() {
    let options = with_options(http2(), |options| options.reconnects = false);
    let (mut client, mut raw) = begun_with(options).await;
    client.request(get(1));
    raw.expect(HEADERS).await;
    raw.send(&[go_away(1, 11, "too much")]).await;
    client.expect_only(&[Told::GoAway(Http2Code::EnhanceYourCalm, "too much".into())]).await;
    client.request(get(2));
    client.expect_only(&[Told::ConnectionCloses(2)]).await;
    raw.send(&[answer(1)]).await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 200), down(Reason::Normal, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_while_nothing_is_under_way_is_left_at_once() {
    let (mut client, mut raw) = begun(http2()).await;
    raw.send(&[go_away(0, 0, "")]).await;
    client.expect_only(&[down(Reason::Normal, &[])]).await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::NoError));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_has_closing_timeout_for_what_it_has_begun() {
    let options = Http2Options { closing_timeout: Some(Duration::from_secs(3)), ..http2() };
    let (mut client, mut raw) = asked(options, &[1, 2]).await;
    raw.send(&[go_away(9, 0, ""), go_away(1, 0, "")]).await;
    client.expect_only(&[Told::StreamGoAway(2, Http2Code::NoError)]).await;
    client.expect_only(&[Told::Closed(1, Reason::Normal), down(Reason::Normal, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_so_and_awaits_what_is_under_way() {
    let (mut client, mut raw) = asked(http2(), &[1]).await;
    client.handle.send(Command::Shutdown);
    assert_eq!(raw.next().await, Some(go_away(0, 0, "")));
    client.request(get(2));
    client.expect_only(&[Told::ConnectionCloses(2)]).await;
    client.handle.send(ping(5));
    client.expect_only(&[Told::BadState(CALLER, BadState::Ping)]).await;
    raw.send(&[answer(1)]).await;
    client.expect_end(&[Told::Response(1, Fin::Fin, 200), Told::ShutDown]).await;
    assert_eq!(raw.expect_end().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_request_before_the_shutdown_is_answered_though_it_had_no_turn_yet() {
    let (mut client, mut raw) = begun(http2()).await;
    client.request(get(1));
    client.handle.send(Command::Shutdown);
    raw.expect(HEADERS).await;
    raw.send(&[answer(1)]).await;
    client.expect_end(&[Told::Response(1, Fin::Fin, 200), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_nothing_is_under_way_ends_at_once() {
    let (mut client, mut raw) = begun(http2()).await;
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::NoError));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaits_nothing_longer_than_closing_timeout() {
    let options = Http2Options { closing_timeout: Some(Duration::from_secs(3)), ..http2() };
    let (mut client, mut raw) = asked(options, &[1]).await;
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::CutShort(1), Told::ShutDown]).await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::NoError));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_ends_every_stream() {
    let cut = frame(DATA, END_STREAM, 1, "four").bytes();
    for last in [&[][..], &cut[..3], &cut[..11]] {
        let (mut client, mut raw) = asked(http2(), &[1, 2]).await;
        raw.send(&[head(1, &[])]).await;
        raw.write(last).await;
        drop(raw);
        let told = [
            Told::Response(1, Fin::NoFin, 200),
            Told::Closed(1, Reason::Closed),
            Told::Closed(2, Reason::Closed),
            down(Reason::Closed, &[1, 2]),
        ];
        client.expect_only(&told).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_up_is_told_before_the_end() {
    let (mut client, mut raw) = begun(Http2Options { flow: Flow::Messages(1), ..http2() }).await;
    client.request(get(1));
    raw.expect(HEADERS).await;
    raw.send(&[head(1, &[]), frame(DATA, 0, 1, "one"), frame(DATA, END_STREAM, 1, "two")]).await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), data(1, Fin::NoFin, "one")]).await;
    drop(raw);
    client.expect_only(&[data(1, Fin::Fin, "two"), down(Reason::Closed, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_drops_the_handle_closes_the_connection_without_a_word() {
    let (client, mut raw) = asked(http2(), &[1]).await;
    let (handle, mut told) = (client.handle, client.told);
    drop(handle);
    assert_eq!(told.recv().await, None);
    assert_eq!(raw.expect_end().await, None);
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_by_name_in_any_order_and_those_of_the_peer_silently() {
    let (mut client, mut raw) = begun(http2()).await;
    for name in 1..=3 {
        client.handle.send(ping(name));
    }
    let mut pings = Vec::new();
    for _ in 1..=3 {
        pings.push(raw.expect(PING).await.payload);
    }
    let pong = |payload: &[u8]| frame(PING, ACK, 0, payload);
    raw.send(&[pong(b"who asks"), pong(&pings[2]), pong(&pings[0]), pong(&pings[0]), pong(&pings[1])]).await;
    client.expect_only(&[Told::PingAck(CALLER, 3), Told::PingAck(CALLER, 1), Told::PingAck(CALLER, 2)]).await;
    raw.send(&[frame(PING, 0, 0, b"are you?")]).await;
    assert_eq!(raw.next().await, Some(pong(b"are you?")));
    client.handle.send(ping(4));
    raw.expect(PING).await;
    drop(raw);
    client.expect_only(&[down(Reason::Closed, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_pings_is_left() {
    let keepalive = Some(Duration::from_secs(1));
    let (mut client, mut raw) = begun(Http2Options { keepalive, keepalive_tolerance: Some(2), ..http2() }).await;
    client.request(get(1));
    raw.expect(HEADERS).await;
    for _ in 0..5 {
        let ping = raw.expect(PING).await;
        raw.send(&[frame(PING, ACK, 0, ping.payload)]).await;
    }
    let began = tokio::time::Instant::now();
    let (first, second) = (raw.expect(PING).await, raw.expect(PING).await);
    assert_ne!(first.payload, second.payload);
    client.expect_only(&fault(Http2Code::NoError, &[1])).await;
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(raw.expect_end().await, Some(Http2Code::NoError));

    let options = Http2Options { keepalive, keepalive_tolerance: Some(0), ..http2() };
    let (mut client, _raw) = begun(options).await;
    client.expect_only(&fault(Http2Code::NoError, &[])).await;
}

#[tokio::test(start_paused = true)]
async fn the_peers_settings_are_told_each_time() {
    let (mut client, mut raw) = begun(Http2Options { notify_settings_changed: true, ..http2() }).await;
    client.expect_only(&[Told::Settings(PeerSettings::default())]).await;
    let setting = |id: u8, value: u32| [&[0, id][..], &value.to_be_bytes()].concat();
    let some = [setting(3, 7), setting(8, 1), setting(200, 1)].concat();
    raw.send(&[frame(SETTINGS, 0, 0, some), frame(SETTINGS, 0, 0, [])]).await;
    let enabled = Some(true);
    let settings =
        PeerSettings { max_concurrent_streams: Some(7), enable_connect_protocol: enabled, ..PeerSettings::default() };
    client.expect_only(&[Told::Settings(settings), Told::Settings(settings)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_left_after_send_timeout() {
    let options = with_options(http2(), |options| options.tcp.send_timeout = Some(Duration::from_secs(4)));
    let (mut client, mut raw) = begun_with(options).await;
    raw.send(&[frame(WINDOW_UPDATE, 0, 0, 1_000_000_u32.to_be_bytes())]).await;
    client.request(request(1, Method::POST, Body::Whole(Bytes::from(vec![0; 65_535]))));
    client.request(request(2, Method::POST, Body::Whole(Bytes::from(vec![0; 65_535]))));
    let told = [
        Told::Closed(1, Reason::SendTimeout),
        Told::Closed(2, Reason::SendTimeout),
        down(Reason::SendTimeout, &[1, 2]),
    ];
    client.expect_only(&told).await;
    drop(raw);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cut_short_resets_its_stream_when_the_peer_has_taken_its_head() {
    let (client, mut raw) = asked(http2(), &[1]).await;
    client.handle.send(cancel(1));
    assert_eq!(raw.next().await, Some(frame(RST_STREAM, 0, 1, 8_u32.to_be_bytes())));
}
