//! What waits to be sent is accounted for, and limited.

use crate::account::QueueFull;
use crate::command::{COMMAND, ITEM, Item, Outgoing, Reply, StreamCommand};
use crate::error::BadState;
use crate::options::DeflateOptions;
use crate::options::{ConnectOptions, WsOptions};
use crate::testing::*;
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

/// What so many commands count for that wait, with so many items that have so many bytes.
fn cost(commands: usize, items: usize, bytes: usize) -> u64 {
    (commands * COMMAND + items * ITEM + bytes) as u64
}

#[tokio::test(start_paused = true)]
async fn frames_that_pass_the_limit_are_refused_whole_and_there_is_room_again_when_others_are_sent() {
    let (client, mut peer) = open(limited(300 + 2 * COMMAND + 3 * ITEM), 10).await;
    client.send(vec![hundred(), hundred()]);
    assert_eq!(client.try_send(vec![hundred(), text(&"more".repeat(200))]), Err(QueueFull));
    client.send(vec![hundred()]);
    assert_eq!((queued(&client), client.try_send(vec![text("")])), (cost(2, 3, 300), Err(QueueFull)));
    settle().await;
    assert_eq!(queued(&client), cost(0, 3, 300), "the commands are done");
    assert_eq!(client.try_send(vec![text(&"more".repeat(300))]), Err(QueueFull));
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
    assert_eq!(queued(&client), cost(100, 100, 100 << 20));
    assert_eq!(client.try_send(vec![hundred()]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_given_free_piece_by_piece() {
    let (client, mut peer) = open(options(), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 1_000_000])]);
    settle().await;
    assert_eq!(queued(&client), cost(0, 1, 1_000_000));
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
        assert_eq!(queued(&client), cost(3, 5, 13 + 5 + 1_000_000 + 6));
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
        assert_eq!(queued(&client), cost(0, 3, 1_000_200));
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
        let outgoing = Outgoing::new(None, Reply::Caller(CALLER), vec![hundred()]);
        client.handle.send(StreamCommand::Send(Box::new(outgoing)));
    }
    assert_eq!(queued(&client), cost(2, 2, 200));
    peer.expect(Opcode::Binary, [1; 94]).await;
    peer.expect(Opcode::Binary, [1; 94]).await;
    settle().await;
    assert_eq!(queued(&client), 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_bytes_is_limited_too() {
    type Call = fn() -> Vec<Item<Vec<u8>>>;
    const LIMIT: usize = 100 * 1024;
    let calls: [(Call, usize); 3] = [
        (Vec::new, COMMAND),
        (|| vec![Item::Small(Opcode::Text, Vec::new())], COMMAND + ITEM),
        (|| vec![Item::Large(Opcode::Text, Vec::new())], COMMAND + ITEM),
    ];
    for (items, each) in calls {
        let (client, _peer) = open(limited(LIMIT), 10).await;
        // The task does not run in between.
        let sent = (0..1_000_000).take_while(|_| client.try_send(items()).is_ok()).count();
        assert_eq!(sent, LIMIT / each + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_nothing_waiting_needs_room_for_its_bytes_alone() {
    let (client, mut peer) = open(limited(100), BUFFER).await;
    for _ in 0..3 {
        client.send(vec![hundred()]);
        assert_eq!(client.try_send(vec![item(Opcode::Text, b"")]), Err(QueueFull));
        peer.expect(Opcode::Binary, [1; 94]).await;
        settle().await;
        assert_eq!(queued(&client), 0);
    }
    assert_eq!(client.try_send(vec![item(Opcode::Binary, &[1; 95])]), Err(QueueFull));
}

#[tokio::test(start_paused = true)]
async fn frames_that_join_others_count_for_their_bytes_and_whoever_waits_for_a_receipt_for_a_command() {
    let (mut client, mut peer) = open(options(), 10).await;
    let Item::Encoded(1, ping) = item(Opcode::Ping, b"") else { unreachable!() };
    for _ in 0..3 {
        client.handle.try_send_frames(None, CALLER, 1, &ping).unwrap();
    }
    assert_eq!(queued(&client), cost(1, 1, 3 * ping.len()));
    client.send_for(7, vec![hundred()]);
    assert_eq!(queued(&client), cost(2, 2, 3 * ping.len() + 100));
    settle().await;
    assert_eq!(queued(&client), cost(1, 2, 3 * ping.len() + 100), "the receipt still waits");
    for _ in 0..3 {
        peer.any_frame().await;
    }
    peer.expect(Opcode::Binary, [1; 94]).await;
    client.expect(&[Told::Sent(7)]).await;
    assert_eq!(queued(&client), 0);
}
