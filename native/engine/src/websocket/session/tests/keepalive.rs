//! A peer that answers no pings is dead after a while, and no other is.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::command::Command;
use crate::options::{ConnectOptions, Flow, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn dead() -> Told {
    Told::Down(Ws, Reason::KeepaliveTimeout, vec![STREAM])
}

/// A ping every five seconds, of which so many may be unanswered when the next one is due.
fn tolerating(keepalive_tolerance: Option<u32>) -> WsOptions {
    WsOptions { keepalive: Some(5 * SECOND), keepalive_tolerance, ..WsOptions::default() }
}

fn options(tolerance: u32) -> ConnectOptions {
    with_ws(tolerating(Some(tolerance)))
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_dead_when_more_than_the_tolerance_are_unanswered() {
    for tolerance in [0, 1, 3] {
        let (mut client, mut peer) = open(options(tolerance), BUFFER).await;
        let opened = Instant::now();
        client.expect(&[dead()]).await;
        // So many pings and one more have been sent, and one more was due.
        assert_eq!(opened.elapsed().as_secs(), 5 * (u64::from(tolerance) + 2));
        for _ in 0..=tolerance {
            peer.expect(Opcode::Ping, "").await;
        }
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_tolerance_no_peer_is_dead() {
    let (mut client, mut peer) = open(with_ws(tolerating(None)), BUFFER).await;
    for _ in 0..100 {
        peer.expect(Opcode::Ping, "").await;
    }
    client.expect_only(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_makes_up_for_all_pings_before_it() {
    let (mut client, mut peer) = open(options(1), BUFFER).await;
    for _ in 0..10 {
        for _ in 0..2 {
            peer.expect(Opcode::Ping, "").await;
        }
        peer.write(frame(Opcode::Pong, b"")).await;
    }
    let last = Instant::now();
    client.expect(&[dead()]).await;
    assert_eq!(last.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn messages_are_no_answer_to_a_ping() {
    let (mut client, mut peer) = open(options(1), BUFFER).await;
    let opened = Instant::now();
    for _ in 0..14 {
        sleep(SECOND).await;
        peer.write([frame(Opcode::Text, b"x"), frame(Opcode::Ping, b"")].concat()).await;
    }
    client.expect(&vec![Told::Text(STREAM, "x".into()); 14]).await;
    client.expect(&[dead()]).await;
    assert_eq!(opened.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_arriving_excuses_the_peer_as_long_as_it_arrives() {
    let (mut client, mut peer) = open(options(0), BUFFER).await;
    let opened = Instant::now();
    let wire = frame(Opcode::Binary, &[1; 100_000]);
    for part in wire[..99_000].chunks(10_000) {
        peer.write(part).await;
        sleep(4 * SECOND).await;
    }
    client.expect_only(&[]).await;
    // It arrives no more: at the next two pings that are due, no part of it has come since the last.
    client.expect(&[dead()]).await;
    assert_eq!(opened.elapsed().as_secs(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_heard_is_excused_while_reading_is_paused() {
    let ws = WsOptions { flow: Flow::Messages(0), ..tolerating(Some(0)) };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    let opened = Instant::now();
    for _ in 0..10 {
        peer.expect(Opcode::Ping, "").await;
    }
    client.expect_only(&[]).await;
    sleep_until(opened + 51 * SECOND).await;
    client.handle.send(Command::UpdateFlow(None, 1));
    client.expect(&[dead()]).await;
    assert_eq!(opened.elapsed().as_secs(), 60);
}
