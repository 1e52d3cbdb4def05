//! WebSockets beside a connection whose server has none on its streams, each on a connection of its own.

use tokio::net::{TcpListener, TcpStream};

use super::websockets::{Busy, dialing, dialing_with, repeated};
use super::*;
use crate::command::{Command, Outgoing, Reply};
use crate::error::{BadState, ProtocolError, Wait};
use crate::options::{DeflateOptions, WsOptions};
use crate::status::State;
use crate::websocket::frame::Opcode;

fn fallback() -> WsOptions {
    WsOptions { http1_fallback: true, ..WsOptions::default() }
}

/// The next connection that is made.
async fn next(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("no connection").unwrap().0
}

/// The same, which speaks HTTP/1.1.
async fn next_peer(listener: &TcpListener) -> Peer<TcpStream> {
    Peer::new(next(listener).await)
}

/// The connection's own is made, to a server without extended CONNECT.
async fn up(client: &mut Client, listener: &TcpListener) -> Busy {
    client.handle.send(Command::Connect(None));
    let server = Busy::new(Builder::new().handshake(next(listener).await).await.unwrap());
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    server
}

async fn connected_beside() -> (Client, Busy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = dialing(listener.local_addr().unwrap());
    let server = up(&mut client, &listener).await;
    (client, server, listener)
}

/// Opens one more, with these options.
async fn open_beside(client: &mut Client, listener: &TcpListener, stream: u32, ws: WsOptions) -> Peer<TcpStream> {
    client.upgrade_with(stream, "/", ws);
    let mut peer = next_peer(listener).await;
    peer.accept().await;
    client.expect(&[Told::Upgraded(stream)]).await;
    peer
}

/// The connection answers requests.
async fn expect_alive(client: &mut Client, server: &mut Busy) {
    client.request(get(9));
    server.request().await.1.send_response(response(204), true).unwrap();
    client.expect(&[Told::Response(9, Fin::Fin, 204)]).await;
}

async fn expect_known(client: &mut Client, stream: u32, known: Known) {
    client.handle.send(StreamCommand::Info(Box::new((stream, 20))));
    client.expect(&[Told::StreamInfo(20, known)]).await;
}

#[tokio::test]
async fn frames_go_both_ways_beside_requests_and_the_end_of_one_is_its_own() {
    let (mut client, mut server, listener) = connected_beside().await;
    let mut one = open_beside(&mut client, &listener, 1, fallback()).await;
    client.send_on(None, vec![text("to the only one")]);
    one.expect(Opcode::Text, "to the only one").await;
    let mut two = open_beside(&mut client, &listener, 2, fallback()).await;
    client.send_on(None, vec![text("never")]);
    client.expect(&[Told::BadState(CALLER, BadState::WhichWebsocket)]).await;
    client.sync_on(Some(2), 5, vec![text("to two")]);
    client.expect(&[Told::Sent(5)]).await;
    two.expect(Opcode::Text, "to two").await;
    one.write(frame(Opcode::Text, b"from one")).await;
    client.expect(&[Told::Text(1, "from one".into())]).await;
    expect_known(&mut client, 1, Known::Websocket(1, 1, 1)).await;
    client.handle.send(body(1, "data", Fin::Fin));
    client.expect(&[Told::Refused(1, CALLER, BadState::WebsocketStream)]).await;
    expect_alive(&mut client, &mut server).await;
    one.write(frame(Opcode::Close, &close_payload(1000, ""))).await;
    client.expect(&[Told::Close(1, Some((1000, String::new())))]).await;
    one.expect(Opcode::Close, close_payload(1000, "")).await;
    one.expect_end().await;
    expect_known(&mut client, 1, Known::Nothing).await;
    client.send_on(Some(1), vec![text("never")]);
    client.expect(&[Told::Refused(1, CALLER, BadState::NoStream)]).await;
    client.send_on(Some(2), vec![text("still there")]);
    two.expect(Opcode::Text, "still there").await;
    let stats = client.handle.stats();
    assert_eq!((stats.frames_in, stats.frames_out, stats.queued), (2, 4, 0));
    assert_eq!(client.handle.state(), State::Http2);
}

#[tokio::test]
async fn it_has_its_own_queue_and_compression() {
    let (mut client, _server, listener) = connected_beside().await;
    let ws = WsOptions { compress: Some(DeflateOptions::default()), max_send_queue: Some(2000), ..fallback() };
    client.upgrade_with(1, "/", ws);
    let mut peer = next_peer(&listener).await;
    let request = peer.request().await;
    assert!(!client.handle.compresses(Some(&1)));
    peer.write(switching_with(&request, "sec-websocket-extensions: permessage-deflate\r\n")).await;
    client.expect(&[Told::Upgraded(1)]).await;
    assert!(client.handle.compresses(Some(&1)) && !client.handle.compresses(Some(&2)));
    let large = || vec![item(Opcode::Binary, &[0; 1000]), item(Opcode::Binary, &[0; 1500])];
    let outgoing = Outgoing::new(Some(1), Reply::Caller(CALLER), large());
    assert!(client.handle.try_send(StreamCommand::Send(Box::new(outgoing))).is_err());
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn a_cut_ends_the_websocket_alone() {
    let (mut client, mut server, listener) = connected_beside().await;
    drop(open_beside(&mut client, &listener, 1, fallback()).await);
    client.expect(&[Told::Closed(1, Reason::Closed)]).await;
    expect_known(&mut client, 1, Known::Nothing).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_fault_is_told_once() {
    let (mut client, mut server, listener) = connected_beside().await;
    let mut peer = open_beside(&mut client, &listener, 1, fallback()).await;
    peer.write([0x83, 0]).await;
    client.expect(&[Told::Settle(1)]).await;
    client.settled();
    peer.expect_close(1002).await;
    client.expect(&[Told::Protocol(1, ProtocolError::Opcode(3))]).await;
    drop(peer);
    expect_alive(&mut client, &mut server).await;
    expect_known(&mut client, 1, Known::Nothing).await;
}

#[tokio::test]
async fn a_refusal_is_a_response_and_closes_the_connection_that_was_made_for_it() {
    let (mut client, mut server, listener) = connected_beside().await;
    client.upgrade_with(1, "/", fallback());
    let mut peer = next_peer(&listener).await;
    peer.request().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    client.expect(&[Told::Response(1, Fin::NoFin, 403), data(1, Fin::Fin, "no")]).await;
    peer.expect_end().await;
    expect_known(&mut client, 1, Known::Nothing).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test]
async fn what_does_not_come_about_is_told_with_its_reason() {
    let (mut client, mut server, listener) = connected_beside().await;
    client.upgrade_with(1, "/", WsOptions { upgrade_timeout: Some(Duration::from_millis(50)), ..fallback() });
    client.expect(&[Told::TimedOut(1, Wait::Upgrade)]).await;
    let mut silent = next_peer(&listener).await;
    silent.request().await;
    silent.expect_end().await;
    client.upgrade_with(2, "/", fallback());
    drop(next(&listener).await);
    // The request may have been on its way.
    let told = client.next().await;
    assert!(matches!(told, Some(Told::Closed(2, _))), "{told:?}");
    drop(listener);
    client.upgrade_with(3, "/", fallback());
    client.expect(&[Told::Closed(3, Reason::Io(std::io::ErrorKind::ConnectionRefused))]).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test]
async fn until_it_is_open_it_takes_no_frames_and_can_be_cancelled() {
    let (mut client, mut server, listener) = connected_beside().await;
    client.upgrade_with(1, "/", fallback());
    let mut peer = next_peer(&listener).await;
    peer.request().await;
    expect_known(&mut client, 1, Known::Stream(1, true)).await;
    client.send_on(Some(1), vec![text("never")]);
    client.expect(&[Told::Refused(1, CALLER, BadState::NotWebsocket)]).await;
    client.send_on(None, vec![text("never")]);
    client.expect(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    client.handle.send(cancel(1));
    peer.expect_end().await;
    expect_known(&mut client, 1, Known::Nothing).await;
    let mut peer = open_beside(&mut client, &listener, 2, fallback()).await;
    client.handle.send(cancel(2));
    peer.expect_end().await;
    client.handle.send(cancel(2));
    client.expect(&[Told::NoStream(2, CALLER)]).await;
    expect_alive(&mut client, &mut server).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn a_shutdown_closes_them_and_waits_for_their_answers() {
    let (mut client, _server, listener) = connected_beside().await;
    let mut open = open_beside(&mut client, &listener, 1, fallback()).await;
    client.upgrade_with(2, "/", fallback());
    let mut asked = next_peer(&listener).await;
    let request = asked.request().await;
    client.handle.send(Command::Shutdown);
    open.expect_close(1001).await;
    open.write(frame(Opcode::Close, &close_payload(1001, ""))).await;
    client.expect(&[Told::Close(1, Some((1001, String::new())))]).await;
    asked.write(switching(&request)).await;
    client.expect(&[Told::Upgraded(2)]).await;
    asked.expect_close(1001).await;
    asked.write(frame(Opcode::Close, &close_payload(1001, ""))).await;
    client.expect_end(&[Told::Close(2, Some((1001, String::new()))), Told::ShutDown]).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limited = Http2Options { closing_timeout: Some(Duration::from_millis(50)), ..http2() };
    let mut client = dialing_with(listener.local_addr().unwrap(), limited);
    let _server = up(&mut client, &listener).await;
    let _open = open_beside(&mut client, &listener, 1, fallback()).await;
    client.upgrade_with(2, "/", fallback());
    let mut asked = next_peer(&listener).await;
    asked.request().await;
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::CutShort(1), Told::CutShort(2), Told::ShutDown]).await;
}

#[tokio::test]
async fn they_end_with_the_connection_and_those_that_are_to_be_repeated_are_on_the_next() {
    let (mut client, server, listener) = connected_beside().await;
    let mut one = open_beside(&mut client, &listener, 1, fallback()).await;
    client.upgrade_with(2, "/", fallback());
    let mut two = next_peer(&listener).await;
    two.request().await;
    let repeated = || WsOptions { http1_fallback: true, ..repeated(1000) };
    let mut three = open_beside(&mut client, &listener, 3, repeated()).await;
    server.task.abort();
    drop(server);
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect(&[closed(1), closed(2), down(Reason::Closed, &[1, 2, 3])]).await;
    for peer in [&mut one, &mut two, &mut three] {
        peer.expect_end().await;
    }
    client.send_on(Some(3), vec![text("for three")]);
    let mut server = up(&mut client, &listener).await;
    let mut three = next_peer(&listener).await;
    three.accept().await;
    client.expect(&[Told::Upgraded(3)]).await;
    three.expect(Opcode::Text, "for three").await;
    expect_alive(&mut client, &mut server).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn one_that_is_lost_alone_is_opened_again_where_that_is_wanted() {
    let (mut client, mut server, listener) = connected_beside().await;
    let ws = WsOptions { http1_fallback: true, ..repeated(1000) };
    drop(open_beside(&mut client, &listener, 1, ws).await);
    client.expect(&[Told::Closed(1, Reason::Closed)]).await;
    client.send_on(Some(1), vec![text("waits")]);
    let mut peer = next_peer(&listener).await;
    peer.request().await;
    peer.write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    peer.expect_end().await;
    expect_alive(&mut client, &mut server).await;
    let mut peer = next_peer(&listener).await;
    peer.accept().await;
    client.expect(&[Told::Upgraded(1)]).await;
    peer.expect(Opcode::Text, "waits").await;
    assert_eq!(client.handle.stats().queued, 0);
    drop(peer);
    client.expect(&[Told::Closed(1, Reason::Closed)]).await;
    client.send_on(Some(1), vec![text("never")]);
    client.handle.send(cancel(1));
    client.expect(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    expect_known(&mut client, 1, Known::Nothing).await;
    assert_eq!(client.handle.stats().queued, 0);
}
