//! Who waits for frames to be sent is told when they are, or why they never will be.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, DuplexStream, Join, duplex, join};

use crate::command::{Command, Item};
use crate::error::BadState;
use crate::options::DeflateOptions;
use crate::options::WsOptions;
use crate::task::spawn_on;
use crate::testing::*;
use crate::transport::ByteStream;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn not_sent(receipt: u32, why: Unsent) -> Told {
    Told::NotSent(receipt, why)
}

/// Takes so many bytes from the stream.
async fn take(peer: &mut Peer, bytes: usize) {
    tokio::io::AsyncReadExt::read_exact(&mut peer.io, &mut vec![0; bytes]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn frames_are_sent_once_the_stream_has_taken_the_last_of_their_bytes() {
    let (mut client, mut peer) = open(options(), 1000).await;
    // Each frame of five hundred bytes is eight bytes longer than that.
    let five_hundred = || item(Opcode::Binary, &[1; 500]);
    client.send_for(1, vec![five_hundred()]);
    client.expect_only(&[Told::Sent(1)]).await;
    client.send_for(2, vec![five_hundred(), five_hundred()]);
    client.send_for(3, vec![Item::Large(Opcode::Binary, vec![3; 200_000])]);
    client.send(vec![text("for nobody")]);
    client.send_for(4, vec![text("4")]);
    client.send_for(5, Vec::new());
    client.expect_only(&[]).await;
    // The stream has room for a thousand bytes more than have been taken.
    take(&mut peer, 3 * 508 - 1001).await;
    client.expect_only(&[]).await;
    take(&mut peer, 1).await;
    client.expect_only(&[Told::Sent(2)]).await;
    take(&mut peer, 200_014 - 1).await;
    client.expect_only(&[]).await;
    take(&mut peer, 1).await;
    client.expect_only(&[Told::Sent(3)]).await;
    take(&mut peer, 1000).await;
    client.expect_only(&[Told::Sent(4), Told::Sent(5)]).await;
}

#[tokio::test(start_paused = true)]
async fn compressed_frames_are_sent_as_others_are() {
    let ws = WsOptions { compress: Some(DeflateOptions::default()), ..WsOptions::default() };
    let answer = "sec-websocket-extensions: permessage-deflate\r\n";
    let (mut client, mut peer) = open_with(with_ws(ws), 10, answer).await;
    client.send_for(1, vec![Item::Small(Opcode::Text, vec![b'x'; 1000]), Item::Large(Opcode::Text, vec![b'x'; 1000])]);
    client.expect_only(&[]).await;
    peer.any_frame().await;
    peer.any_frame().await;
    client.expect_only(&[Told::Sent(1)]).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_the_state_does_not_allow_are_not_sent() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.send_for(1, vec![text("too early")]);
    client.expect_only(&[not_sent(1, Unsent::BadState(BadState::NotWebsocket))]).await;
    client.upgrade(STREAM);
    peer.accept().await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    client.send_for(2, vec![close(1000, ""), text("never sent")]);
    client.send_for(3, vec![text("too late")]);
    client.expect_only(&[not_sent(3, Unsent::BadState(BadState::Closing)), Told::Sent(2)]).await;
    peer.expect_close(1000).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_when_the_connection_goes_down_are_not_sent() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), 100).await;
    client.send_for(1, vec![text("sent")]);
    client.send_for(2, vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    client.send_for(3, vec![text("waits")]);
    peer.write(frame(Opcode::Close, b"")).await;
    let events = [
        Told::Sent(1),
        Told::Close(STREAM, None),
        not_sent(2, Unsent::Down(Reason::Normal)),
        not_sent(3, Unsent::Down(Reason::Normal)),
        Told::Down(Ws, Reason::Normal, vec![STREAM]),
    ];
    client.expect_only(&events).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_when_the_server_cuts_the_stream_are_not_sent() {
    let (mut client, peer) = open(options(), 100).await;
    client.send_for(1, vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    client.send_for(2, vec![text("waits")]);
    client.expect_only(&[]).await;
    drop(peer);
    let events = [
        not_sent(1, Unsent::Down(Reason::Closed)),
        not_sent(2, Unsent::Down(Reason::Closed)),
        Told::Down(Ws, Reason::Closed, vec![STREAM]),
    ];
    client.expect_only(&events).await;
}

/// A stream of which each direction can end by itself.
type Halves = Join<DuplexStream, DuplexStream>;

impl ByteStream for Halves {}

#[tokio::test(start_paused = true)]
async fn frames_for_a_server_that_takes_no_more_are_not_sent_while_what_it_sends_is_still_told() {
    let (to_client, from_server) = duplex(BUFFER);
    let (to_server, from_client) = duplex(100);
    let (sink, told) = recorder();
    let near: Halves = join(to_client, to_server);
    let handle = spawn_on(&tokio::runtime::Handle::current(), near, options(), sink);
    let mut client = Client { handle, told };
    let mut peer = Peer::new(join(from_client, from_server));
    client.upgrade(STREAM);
    peer.accept().await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    client.send_for(1, vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    client.expect_only(&[]).await;
    let (from_client, mut from_server) = peer.io.into_inner();
    drop(from_client);
    client.expect_only(&[not_sent(1, Unsent::Down(Reason::Closed))]).await;
    client.send_for(2, vec![text("nobody takes it")]);
    client.expect_only(&[not_sent(2, Unsent::Down(Reason::Closed))]).await;
    assert_eq!(client.handle.stats().queued, 0);
    from_server.write_all(&frame(Opcode::Text, b"last")).await.unwrap();
    client.expect_only(&[Told::Text(STREAM, "last".into())]).await;
    drop(from_server);
    client.expect_only(&[Told::Down(Ws, Reason::Closed, vec![STREAM])]).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_when_a_shutdown_ends_are_not_sent() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), ..WsOptions::default() };
    let (mut client, _peer) = open(with_ws(ws), 100).await;
    client.send_for(1, vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    client.handle.send(Command::Shutdown);
    client.expect_end(&[not_sent(1, Unsent::ShutDown), Told::ShutDown]).await;
}
