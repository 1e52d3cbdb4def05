//! A connection's task: from one attempt to the next, and to its end.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::command::{COMMAND, ITEM};
use crate::error::{BadState, Wait};
use crate::options::{Endpoint, ReupgradeOptions, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

/// For the tests with real sockets, which have a real clock.
const LIMIT: Duration = Duration::from_secs(30);

/// A listener, and a connection to it that waits to be told to connect.
async fn with_listener() -> (Client, TcpListener) {
    listening(options()).await
}

/// The same with these options.
async fn listening(options: ConnectOptions) -> (Client, TcpListener) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sink, told) = recorder();
    let options = ConnectOptions { endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port }, ..options };
    (Client { handle: spawn(&runtime::Handle::current(), options, sink), told }, listener)
}

/// An upgrade is repeated, and so many bytes of frames may wait for it.
fn reupgrade(queue: usize) -> ReupgradeOptions {
    ReupgradeOptions { queue, retry_statuses: vec![502, 503], max_retry_after: Duration::from_secs(60) }
}

async fn accepted(listener: &TcpListener) -> Peer<TcpStream> {
    Peer::new(timeout(LIMIT, listener.accept()).await.unwrap().unwrap().0)
}

#[tokio::test]
async fn commands_given_before_the_connection_are_kept_and_done_in_order_once_it_is_up() {
    let (mut client, listener) = with_listener().await;
    assert_eq!(client.handle.state(), State::Idle);
    client.send(vec![text("no websocket yet")]);
    client.upgrade(1);
    client.upgrade(2);
    client.handle.send(Command::Connect(None));
    client.upgrade(3);
    let mut peer = accepted(&listener).await;
    client.expect(&[Told::Up(Http), Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    for stream in [1, 2] {
        peer.request().await;
        peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
        client.expect(&[Told::Response(stream, Fin::Fin, 403)]).await;
    }
    peer.accept().await;
    client.expect(&[Told::Upgraded(3)]).await;
    client.send(vec![text("now")]);
    peer.expect(Opcode::Text, "now").await;
    drop(peer);
    client.expect(&[Told::Down(Ws, Reason::Closed, vec![3])]).await;
}

#[tokio::test]
async fn a_connection_that_went_down_connects_again_when_told_and_does_what_was_kept() {
    let (mut client, listener) = with_listener().await;
    client.handle.send(Command::Connect(None));
    drop(accepted(&listener).await);
    client.expect(&[Told::Up(Http), Told::Down(Http, Reason::Closed, Vec::new())]).await;
    client.upgrade(1);
    assert_eq!(client.handle.state(), State::Idle);
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.accept().await;
    client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect(&[Told::Close(1, None), Told::Down(Ws, Reason::Normal, vec![1])]).await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test]
async fn a_failed_attempt_is_told_and_may_be_followed_by_another() {
    let (mut client, listener) = with_listener().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    client.upgrade(1);
    client.handle.send(Command::Connect(None));
    client.expect(&[Told::ConnectFailed(Failure::Io(io::ErrorKind::ConnectionRefused))]).await;
    assert_eq!(client.handle.state(), State::Idle);
    let listener = TcpListener::bind(address).await.unwrap();
    client.handle.send(Command::Connect(None));
    accepted(&listener).await.accept().await;
    client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
}

// The resolver's threads do not hold a paused clock up.
#[tokio::test]
async fn a_name_without_an_address_is_told_as_such() {
    let (sink, told) = recorder();
    let options = ConnectOptions { endpoint: Endpoint::Tcp { host: "no address".into(), port: 0 }, ..options() };
    let mut client = Client { handle: spawn(&runtime::Handle::current(), options, sink), told };
    client.handle.send(Command::Connect(None));
    let event = timeout(LIMIT, client.told.recv()).await;
    assert_eq!(event.unwrap(), Some(Told::ConnectFailed(Failure::NameNotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_command_to_the_sink_keeps_its_place_among_the_others() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(Command::Control(Box::new(10)));
    client.send(vec![text("too early")]);
    client.handle.send(Command::Control(Box::new(11)));
    let bad_state = Told::BadState(CALLER, BadState::NotWebsocket);
    client.expect_only(&[Told::Control(10), bad_state, Told::Control(11)]).await;
    client.upgrade(1);
    peer.accept().await;
    client.expect_only(&[Told::Upgraded(1)]).await;
    client.handle.send(Command::Control(Box::new(12)));
    client.upgrade(2);
    client.handle.send(Command::Control(Box::new(13)));
    let bad_state = Told::BadState(CALLER, BadState::OnlyWebsocket);
    client.expect_only(&[Told::Control(12), bad_state, Told::Control(13)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_once_for_each_call_whose_frames_come_too_early() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    for _ in 0..3 {
        client.handle.try_send_frames(None, CALLER, 1, b"never looked at").unwrap();
    }
    client.expect_only(&[const { Told::BadState(CALLER, BadState::NotWebsocket) }; 3]).await;
    assert_eq!(client.handle.stats().queued, 0);
    client.upgrade(1);
    peer.accept().await;
    client.expect_only(&[Told::Upgraded(1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_up_obeys_a_shutdown_and_serves_its_sink() {
    let (sink, told) = recorder();
    let mut client = Client { handle: spawn(&runtime::Handle::current(), options(), sink), told };
    client.upgrade(1);
    client.handle.send(Command::Control(Box::new(10)));
    client.expect_only(&[Told::Control(10)]).await;
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
    // Nobody is there to do it, and nothing comes of it.
    client.upgrade(2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_up_ends_with_its_handle() {
    let (sink, mut told) = recorder();
    let handle = spawn(&runtime::Handle::current(), options(), sink);
    handle.send(upgrade(1));
    settle().await;
    drop(handle);
    assert_eq!(told.recv().await, None);
}

fn panicked(protocol: Option<ProtocolName>) -> Told {
    let killed = if protocol == Some(Ws) { vec![STREAM] } else { Vec::new() };
    Told::Panicked(protocol, "a panic was asked for".into(), killed)
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_through_the_sink_with_what_the_connection_spoke_and_its_websocket_and_closes_it() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(Command::Panic);
    client.expect_end(&[panicked(Some(Http))]).await;
    assert_eq!(client.handle.state(), State::Idle);
    peer.expect_end().await;

    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.handle.send(Command::Panic);
    client.expect_end(&[panicked(Some(Ws))]).await;
    assert_eq!(client.handle.state(), State::Idle);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_there_is_no_connection_is_told_too() {
    let (sink, told) = recorder();
    let mut client = Client { handle: spawn(&runtime::Handle::current(), options(), sink), told };
    client.handle.send(Command::Panic);
    client.expect_end(&[panicked(None)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_one_connection_leaves_the_others_of_its_thread_alone() {
    let (mut broken, _peer) = open(options(), BUFFER).await;
    let (mut client, mut peer) = open(options(), BUFFER).await;
    broken.handle.send(Command::Panic);
    broken.expect_end(&[panicked(Some(Ws))]).await;
    peer.write(frame(Opcode::Text, b"hello")).await;
    client.expect_only(&[Told::Text(STREAM, "hello".into())]).await;
}

/// A WebSocket that is upgraded again, whose frames may wait for that; its first connection is gone.
async fn to_be_repeated(queue: usize) -> (Client, TcpListener) {
    let ws = WsOptions { reupgrade: Some(reupgrade(queue)), ..WsOptions::default() };
    let (mut client, listener) = listening(with_ws(ws)).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    client.upgrade(1);
    peer.accept().await;
    client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
    drop(peer);
    client.expect(&[Told::Down(Ws, Reason::Closed, vec![1])]).await;
    (client, listener)
}

#[tokio::test]
async fn an_upgrade_is_repeated_under_its_stream_until_it_is_refused() {
    let (mut client, listener) = to_be_repeated(0).await;
    for _ in 0..2 {
        client.handle.send(Command::Connect(None));
        let mut peer = accepted(&listener).await;
        peer.accept().await;
        client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
        client.send(vec![text("again")]);
        peer.expect(Opcode::Text, "again").await;
        drop(peer);
        client.expect(&[Told::Down(Ws, Reason::Closed, vec![1])]).await;
    }
    // A connection that ends before the answer is not the server's word.
    client.handle.send(Command::Connect(None));
    accepted(&listener).await.request().await;
    client.expect(&[Told::Up(Http), Told::Down(Http, Reason::Closed, Vec::new())]).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.request().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    client.expect(&[Told::Up(Http), Told::Response(1, Fin::Fin, 403)]).await;
    drop(peer);
    client.expect(&[Told::Down(Http, Reason::Closed, Vec::new())]).await;
    client.handle.send(Command::Connect(None));
    client.expect(&[Told::Up(Http)]).await;
    let mut peer = accepted(&listener).await;
    client.upgrade(2);
    peer.accept().await;
    client.expect(&[Told::Upgraded(2)]).await;
}

#[tokio::test]
async fn frames_are_refused_until_the_upgrade_is_repeated() {
    let (mut client, listener) = to_be_repeated(0).await;
    let refused = || Told::BadState(CALLER, BadState::Reconnecting);
    client.send(vec![text("while it is down")]);
    client.expect(&[refused()]).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    client.expect(&[Told::Up(Http)]).await;
    let request = peer.request().await;
    client.send(vec![text("while it is asked for")]);
    client.expect(&[refused()]).await;
    peer.write(switching(&request)).await;
    client.expect(&[Told::Upgraded(1)]).await;
    client.send(vec![text("now")]);
    peer.expect(Opcode::Text, "now").await;
}

#[tokio::test]
async fn frames_wait_for_the_repeated_upgrade_within_their_bound_and_keep_their_order() {
    let (mut client, listener) = to_be_repeated(64 + 2 * (COMMAND + ITEM)).await;
    client.send(vec![text("one")]);
    client.handle.send(Command::Connect(None));
    accepted(&listener).await.request().await;
    client.expect(&[Told::Up(Http), Told::Down(Http, Reason::Closed, Vec::new())]).await;
    client.send(vec![text("two")]);
    assert!(client.try_send(vec![text(&"x".repeat(64 + COMMAND + ITEM))]).is_err());
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    client.expect(&[Told::Up(Http)]).await;
    let request = peer.request().await;
    client.send_for(7, vec![text("three")]);
    peer.write(switching(&request)).await;
    client.expect(&[Told::Upgraded(1)]).await;
    for expected in ["one", "two", "three"] {
        peer.expect(Opcode::Text, expected).await;
    }
    client.expect(&[Told::Sent(7)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn frames_that_wait_for_an_upgrade_that_is_refused_are_refused_too() {
    let (mut client, listener) = to_be_repeated(64 + 2 * (COMMAND + ITEM)).await;
    client.send(vec![text("one")]);
    client.send_for(7, vec![text("two")]);
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.request().await;
    client.expect(&[Told::Up(Http)]).await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let refused = BadState::NotWebsocket;
    let not_sent = Told::NotSent(7, Unsent::BadState(refused));
    client.expect(&[Told::Response(1, Fin::Fin, 403), Told::BadState(CALLER, refused), not_sent]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn an_upgrade_that_is_refused_for_now_or_not_answered_is_repeated_and_frames_wait_on() {
    let (mut client, listener) = to_be_repeated(64).await;
    client.send(vec![text("one")]);
    for status in [503, 502] {
        client.handle.send(Command::Connect(None));
        let mut peer = accepted(&listener).await;
        peer.request().await;
        peer.write(format!("HTTP/1.1 {status} Not Now\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")).await;
        client.expect(&[Told::Up(Http), Told::Down(Http, Reason::Refused(status), Vec::new())]).await;
    }
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.accept().await;
    peer.expect(Opcode::Text, "one").await;
    client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn a_repeated_upgrade_that_is_not_answered_in_time_is_repeated_again() {
    let upgrade_timeout = Some(Duration::from_millis(100));
    let ws = WsOptions { reupgrade: Some(reupgrade(0)), upgrade_timeout, ..WsOptions::default() };
    let (mut client, listener) = listening(with_ws(ws)).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    client.upgrade(1);
    peer.accept().await;
    drop(peer);
    client.expect(&[Told::Up(Http), Told::Upgraded(1), Told::Down(Ws, Reason::Closed, vec![1])]).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.request().await;
    client.expect(&[Told::Up(Http), Told::Down(Http, Reason::Timeout(Wait::Upgrade), Vec::new())]).await;
}

#[tokio::test]
async fn requests_that_come_while_a_connection_ends_are_made_on_the_next() {
    let (mut client, listener) = with_listener().await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    client.upgrade(1);
    peer.request().await;
    peer.write("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 1\r\n\r\n").await;
    client.expect(&[Told::Up(Http), Told::Response(1, Fin::NoFin, 403)]).await;
    client.upgrade(2);
    client.upgrade(3);
    client.handle.send(StreamCommand::Cancel(Box::new((2, CALLER))));
    client.handle.send(StreamCommand::Info(Box::new((3, 9))));
    client.expect(&[Told::StreamInfo(9, Known::Stream(3, true))]).await;
    peer.write("!").await;
    client.expect(&[Told::Data(1, Fin::Fin, "!".into()), Told::Down(Http, Reason::Normal, Vec::new())]).await;
    client.handle.send(Command::Connect(None));
    let mut peer = accepted(&listener).await;
    peer.accept().await;
    client.expect(&[Told::Up(Http), Told::Upgraded(3)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn what_the_system_has_before_the_request_is_no_answer_though_the_runtime_has_not_heard_of_it() {
    let (mut client, listener) = with_listener().await;
    client.handle.send(Command::Connect(None));
    let peer = accepted(&listener).await;
    client.expect(&[Told::Up(Http)]).await;
    // Between these two, nothing is awaited: the runtime looks at no socket.
    peer.io.try_write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    client.upgrade(1);
    client.expect(&[Told::Closed(1, Reason::Http), Told::Down(Http, Reason::Http, vec![1])]).await;
}

#[tokio::test]
async fn an_upgrade_is_not_repeated_when_the_user_has_closed_or_the_server_answers_wrongly() {
    let ws = WsOptions { reupgrade: Some(reupgrade(0)), ..WsOptions::default() };
    for by_user in [true, false] {
        let (mut client, listener) = listening(with_ws(ws.clone())).await;
        client.handle.send(Command::Connect(None));
        let mut peer = accepted(&listener).await;
        client.upgrade(1);
        peer.accept().await;
        client.expect(&[Told::Up(Http), Told::Upgraded(1)]).await;
        if by_user {
            client.send(vec![close(1000, "")]);
            peer.expect_close(1000).await;
            drop(peer);
            client.expect(&[Told::Down(Ws, Reason::Closed, vec![1])]).await;
        } else {
            drop(peer);
            client.expect(&[Told::Down(Ws, Reason::Closed, vec![1])]).await;
            client.handle.send(Command::Connect(None));
            let mut peer = accepted(&listener).await;
            peer.request().await;
            let wrong = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: wrong\r\n\r\n";
            peer.write(format!("HTTP/1.1 101 Switching Protocols\r\n{wrong}")).await;
            let error = crate::error::HandshakeError::WrongAccept;
            client.expect(&[Told::Up(Http), Told::Handshake(1, error.clone())]).await;
            client.expect(&[Told::Down(Http, Reason::Handshake(error), vec![1])]).await;
        }
        client.handle.send(Command::Connect(None));
        let mut peer = accepted(&listener).await;
        client.expect(&[Told::Up(Http)]).await;
        client.upgrade(2);
        peer.accept().await;
        client.expect(&[Told::Upgraded(2)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn commands_that_are_only_refused_are_refused_turn_by_turn() {
    // Each of another caller, and all of one.
    for callers in [5000, 1] {
        let (client, _peer) = connected(options(), BUFFER);
        for n in 0..5000 {
            client.handle.try_send_frames(None, n % callers, 1, b"never looked at").unwrap();
        }
        let (mut told, mut turns) = (0, 0);
        while told < 5000 {
            yield_now().await;
            let before = std::mem::replace(&mut told, client.told.len());
            assert!(told - before <= 2000, "{} in one turn", told - before);
            turns += 1;
        }
        assert!(turns >= 3);
    }
}

#[test]
fn what_tls_has_chosen_is_spoken_or_else_what_is_wanted() {
    let both = ConnectOptions { http2: Some(Arc::default()), ..options() };
    let only2 = ConnectOptions { http1: false, ..both.clone() };
    let spoken = |options: &ConnectOptions, alpn: Option<&[u8]>| Spoken::choose(options, alpn, Route::default()).name();
    assert_eq!(spoken(&both, Some(b"h2")), ProtocolName::Http2);
    assert_eq!(spoken(&both, Some(b"http/1.1")), ProtocolName::Http);
    assert_eq!(spoken(&both, None), ProtocolName::Http);
    assert_eq!(spoken(&only2, None), ProtocolName::Http2);
    assert_eq!(spoken(&options(), Some(b"h2")), ProtocolName::Http);
}
