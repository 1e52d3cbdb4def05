//! A peer that shows no life is dead after a while, and no other is.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::command::{Item, StreamCommand};
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
async fn whatever_comes_is_life() {
    let (mut client, mut peer) = open(options(1), BUFFER).await;
    for _ in 0..40 {
        sleep(4 * SECOND).await;
        peer.write(frame(Opcode::Text, b"x")).await;
    }
    let last = Instant::now();
    client.expect(&vec![Told::Text(STREAM, "x".into()); 40]).await;
    client.expect(&[dead()]).await;
    assert_eq!(last.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_arriving_is_life_as_long_as_it_arrives() {
    let (mut client, mut peer) = open(options(0), BUFFER).await;
    let opened = Instant::now();
    let wire = frame(Opcode::Binary, &[1; 100_000]);
    for part in wire[..99_000].chunks(10_000) {
        peer.write(part).await;
        sleep(4 * SECOND).await;
    }
    client.expect_only(&[]).await;
    // It arrives no more: the ping after its last part is left unanswered.
    client.expect(&[dead()]).await;
    assert_eq!(opened.elapsed().as_secs(), 45);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_taken_is_life_as_long_as_it_is_taken() {
    let (mut client, mut peer) = open(options(0), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    let mut buffer = [0; 1000];
    for _ in 0..50 {
        sleep(4 * SECOND).await;
        tokio::io::AsyncReadExt::read_exact(&mut peer.io, &mut buffer).await.unwrap();
    }
    client.expect_only(&[]).await;
    // It is taken no more.
    let last = Instant::now();
    client.expect(&[dead()]).await;
    assert!(last.elapsed() <= 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn messages_that_only_the_system_takes_are_life_for_a_while() {
    let (mut client, _peer) = open(options(1), BUFFER).await;
    let opened = Instant::now();
    loop {
        sleep(4 * SECOND).await;
        match client.told.try_recv() {
            Ok(told) => break assert_eq!(told, dead()),
            Err(_) => client.send(vec![text("x")]),
        }
    }
    // Eight pings in vain, where silence would have had two.
    assert!((45..49).contains(&opened.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn messages_that_nobody_takes_are_no_life_however_many_they_are() {
    let (mut client, _peer) = open(options(1), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    for _ in 0..100 {
        sleep(SECOND).await;
        if let Ok(told) = client.told.try_recv() {
            return assert_eq!(told, dead());
        }
        // More than the session takes in one turn.
        for _ in 0..1000 {
            client.send(vec![text("x")]);
        }
    }
    panic!("it lives");
}

#[tokio::test(start_paused = true)]
async fn a_ping_and_a_pong_of_ours_go_out_ahead_of_messages_that_wait() {
    let ws = WsOptions { keepalive: Some(5 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), 1000).await;
    client.send((0..3).map(|n| Item::Large(Opcode::Binary, vec![n; 100_000])).collect());
    // A ping of the user's keeps its place.
    client.send(vec![item(Opcode::Ping, b"user's")]);
    peer.write(frame(Opcode::Ping, b"peer's")).await;
    sleep(26 * SECOND).await;
    let mut opcodes = Vec::new();
    for _ in 0..6 {
        opcodes.push(peer.frame().await.0);
    }
    let [binary, ping, pong] = [Opcode::Binary, Opcode::Ping, Opcode::Pong];
    // Of pings, one alone waits at a time; a frame that has begun is not interrupted.
    assert_eq!(opcodes, [binary, pong, ping, binary, binary, ping]);
    client.expect_only(&[]).await;
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
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect(&[dead()]).await;
    assert_eq!(opened.elapsed().as_secs(), 60);
}
