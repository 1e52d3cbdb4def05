//! What waits to be sent is accounted for, and limited.

use crate::command::{Command, Item, Outgoing, Reply};
use crate::connection::QueueFull;
use crate::error::BadState;
use crate::options::{ConnectOptions, WsOptions};
use crate::testing::*;
use crate::websocket::deflate::DeflateOptions;
use crate::websocket::frame::Opcode;

/// An encoded frame of a hundred bytes.
fn hundred() -> Item<Vec<u8>> {
    item(Opcode::Binary, &[1; 94])
}

fn limited(max_send_queue: usize) -> ConnectOptions {
    with_ws(WsOptions { max_send_queue: Some(max_send_queue), ..WsOptions::default() })
}

fn queued(client: &Client) -> u64 {
    client.handle.stats().queued
}

#[tokio::test(start_paused = true)]
async fn frames_that_pass_the_limit_are_refused_whole_and_there_is_room_again_when_others_are_sent() {
    let (client, mut peer) = open(limited(300), 10).await;
    client.send(vec![hundred(), hundred()]);
    assert_eq!(client.try_send(vec![hundred(), text("more")]), Err(QueueFull));
    client.send(vec![hundred()]);
    assert_eq!(client.try_send(vec![text("")]), Err(QueueFull));
    settle().await;
    assert_eq!((queued(&client), client.try_send(vec![text("")])), (300, Err(QueueFull)));
    peer.expect(Opcode::Binary, [1; 94]).await;
    peer.expect(Opcode::Binary, [1; 94]).await;
    settle().await;
    peer.expect(Opcode::Binary, [1; 94]).await;
    settle().await;
    assert_eq!(queued(&client), 0);
    client.send(vec![hundred(), hundred(), hundred()]);
    for _ in 0..3 {
        peer.expect(Opcode::Binary, [1; 94]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_is_refused() {
    let (client, _peer) = open(options(), 10).await;
    for _ in 0..100 {
        client.send(vec![Item::Large(Opcode::Binary, vec![0; 1 << 20])]);
    }
    assert_eq!(queued(&client), 100 << 20);
    assert_eq!(client.try_send(vec![hundred()]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_given_free_piece_by_piece() {
    let (client, mut peer) = open(options(), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 1_000_000])]);
    settle().await;
    assert_eq!(queued(&client), 1_000_000);
    let mut half = vec![0; 500_000];
    tokio::io::AsyncReadExt::read_exact(&mut peer.io, &mut half).await.unwrap();
    settle().await;
    assert!((400_000..600_000).contains(&queued(&client)), "{}", queued(&client));
    let mut rest = vec![0; 500_014];
    tokio::io::AsyncReadExt::read_exact(&mut peer.io, &mut rest).await.unwrap();
    settle().await;
    assert_eq!(queued(&client), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_queued_when_everything_is_sent() {
    for answer in ["", "sec-websocket-extensions: permessage-deflate\r\n"] {
        let ws = WsOptions { compress: Some(DeflateOptions::default()), ..WsOptions::default() };
        let (client, mut peer) = open_with(with_ws(ws), 1000, answer).await;
        client.send(vec![text("encoded"), Item::Small(Opcode::Text, b"small".to_vec())]);
        client.send(vec![Item::Large(Opcode::Binary, vec![1; 1_000_000]), Item::Large(Opcode::Text, Vec::new())]);
        client.send(vec![item(Opcode::Ping, b"")]);
        assert_eq!(queued(&client), 13 + 5 + 1_000_000 + 6);
        for _ in 0..5 {
            peer.any_frame().await;
        }
        settle().await;
        assert_eq!(queued(&client), 0);
        peer.write(frame(Opcode::Ping, b"pongs are not accounted for")).await;
        peer.any_frame().await;
        settle().await;
        assert_eq!(queued(&client), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_queued_of_what_is_refused() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.send(vec![hundred()]);
    client.expect_only(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    assert_eq!(queued(&client), 0);
    client.upgrade(STREAM);
    peer.accept().await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    client.send(vec![close(1000, ""), hundred(), hundred()]);
    client.send(vec![hundred()]);
    client.expect_only(&[Told::BadState(CALLER, BadState::Closing)]).await;
    peer.expect_close(1000).await;
    settle().await;
    assert_eq!(queued(&client), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_queued_once_the_connection_is_down() {
    for _ in 0..2 {
        let (mut client, mut peer) = open(options(), 10).await;
        client.send(vec![hundred(), Item::Large(Opcode::Binary, vec![1; 1_000_000]), hundred()]);
        settle().await;
        assert_eq!(queued(&client), 1_000_200);
        peer.expect(Opcode::Binary, [1; 94]).await;
        drop(peer);
        client.expect(&[Told::Down(Ws, Reason::Closed, vec![STREAM])]).await;
        assert_eq!(queued(&client), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_pass_by_the_limit_are_accounted_for_too() {
    let (client, mut peer) = open(limited(100), 10).await;
    for _ in 0..2 {
        let outgoing = Outgoing::new(Reply::Caller(CALLER), vec![hundred()]);
        client.handle.send(Command::Send(Box::new(outgoing)));
    }
    assert_eq!(queued(&client), 200);
    peer.expect(Opcode::Binary, [1; 94]).await;
    peer.expect(Opcode::Binary, [1; 94]).await;
    settle().await;
    assert_eq!(queued(&client), 0);
}
