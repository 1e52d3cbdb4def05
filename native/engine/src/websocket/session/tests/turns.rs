//! However much a connection has to do, the others of its thread have their turn.

use tokio::task::yield_now;

use super::super::MESSAGES as MOST;
use crate::command::Item;
use crate::testing::*;
use crate::turn::LONG;
use crate::websocket::frame::Opcode;

/// Room for all that a test has under way.
const ROOM: usize = 16 << 20;

#[tokio::test(start_paused = true)]
async fn a_flood_of_small_messages_is_told_turn_by_turn() {
    const MESSAGES: usize = 20_000;
    let (client, mut peer) = open(options(), ROOM).await;
    peer.write(frame(Opcode::Binary, b"small").repeat(MESSAGES)).await;
    let (mut told, mut turns) = (client.told.len(), 0);
    while told < MESSAGES {
        yield_now().await;
        let before = std::mem::replace(&mut told, client.told.len());
        assert!(told - before <= MOST, "{} in one turn", told - before);
        turns += 1;
    }
    assert!(turns >= MESSAGES / MOST);
}

#[tokio::test(start_paused = true)]
async fn a_large_queue_is_written_turn_by_turn() {
    const LEN: usize = ROOM / 2;
    let (client, mut peer) = open(options(), ROOM).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![7; LEN])]);
    let (mut sent, mut turns) = (0, 0);
    while sent < LEN as u64 {
        yield_now().await;
        let before = std::mem::replace(&mut sent, client.handle.stats().bytes_out);
        assert!(sent - before <= 2 * LONG as u64, "{} bytes in one turn", sent - before);
        turns += 1;
    }
    assert!(turns >= LEN / (2 * LONG));
    assert!(peer.frame().await == (Opcode::Binary, vec![7; LEN]));
}

#[tokio::test(start_paused = true)]
async fn what_is_received_is_told_in_the_midst_of_what_is_sent() {
    const LEN: usize = ROOM / 2;
    let (client, mut peer) = open(options(), ROOM).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![7; LEN])]);
    peer.write(frame(Opcode::Binary, b"small")).await;
    while client.told.is_empty() {
        yield_now().await;
    }
    let sent = client.handle.stats().bytes_out;
    assert!(sent < LEN as u64 / 2, "told after {sent} bytes");
    assert!(peer.frame().await == (Opcode::Binary, vec![7; LEN]));
}
