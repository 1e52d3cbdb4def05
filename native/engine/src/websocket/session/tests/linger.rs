//! Without linger a session ends as soon as its own close frame is written.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::command::{Command, Item};
use crate::error::ProtocolError;
use crate::options::{ConnectOptions, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn options() -> ConnectOptions {
    with_ws(WsOptions { closing_timeout: Some(3 * SECOND), linger: false, ..WsOptions::default() })
}

fn down(reason: Reason) -> Told {
    Told::Down(Ws, reason, vec![STREAM])
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_users_is_the_end_and_nothing_is_received_after_it() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    let closed = Instant::now();
    client.send(vec![text("last"), close(4000, "done")]);
    peer.expect(Opcode::Text, "last").await;
    peer.expect(Opcode::Close, close_payload(4000, "done")).await;
    peer.expect_end().await;
    client.expect_only(&[down(Reason::Normal)]).await;
    assert!(closed.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_sends_behind_our_close_frame_is_taken_for_a_while() {
    let (mut client, mut peer) = open(options(), 1000).await;
    client.send(vec![close(1000, "")]);
    client.expect_only(&[down(Reason::Normal)]).await;
    for _ in 0..10 {
        peer.write([0; 1000]).await;
    }
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn all_that_waits_leaves_before_the_end_however_long_it_takes_within_closing_timeout() {
    let (mut client, mut peer) = open(options(), 1000).await;
    client.send_for(1, vec![Item::Large(Opcode::Binary, vec![1; 500_000]), close(1000, "")]);
    sleep(2 * SECOND).await;
    assert!(peer.frame().await == (Opcode::Binary, vec![1; 500_000]));
    peer.expect_close(1000).await;
    peer.expect_end().await;
    client.expect_only(&[Told::Sent(1), down(Reason::Normal)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_left_after_closing_timeout() {
    let (mut client, _peer) = open(options(), 1000).await;
    let closed = Instant::now();
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 500_000]), close(1000, "")]);
    client.expect_only(&[down(Reason::Normal)]).await;
    assert_eq!(closed.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_it_when_the_close_frame_is_written() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    let opened = Instant::now();
    peer.write([0x83, 0]).await;
    client.expect_only(&[Told::Settle(STREAM)]).await;
    client.settled();
    let fault = ProtocolError::Opcode(3);
    client.expect_only(&[Told::Protocol(STREAM, fault.clone()), down(Reason::Protocol(fault))]).await;
    peer.expect_close(1002).await;
    peer.expect_end().await;
    assert!(opened.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_peers_is_answered_as_ever() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(frame(Opcode::Close, &close_payload(1001, "bye"))).await;
    client.expect_only(&[Told::Close(STREAM, Some((1001, "bye".into()))), down(Reason::Normal)]).await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaits_the_peers_close_all_the_same() {
    for answers in [true, false] {
        let (mut client, mut peer) = open(options(), BUFFER).await;
        let asked = Instant::now();
        client.handle.send(Command::Shutdown);
        peer.expect_close(1001).await;
        sleep(2 * SECOND).await;
        if answers {
            peer.write([frame(Opcode::Text, b"late"), frame(Opcode::Close, b"")].concat()).await;
            client.expect(&[Told::Text(STREAM, "late".into()), Told::Close(STREAM, None)]).await;
        }
        client.expect_end(&[Told::ShutDown]).await;
        assert_eq!(asked.elapsed().as_secs(), if answers { 2 } else { 3 });
    }
}
