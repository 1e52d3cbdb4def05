//! After a fault, what answers the messages before it still goes out, and then the close frame.

use std::time::Duration;

use tokio::time::Instant;

use crate::command::{Command, Item};
use crate::error::{BadState, ProtocolError};
use crate::options::WsOptions;
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

/// A text message, and an empty one with a reserved bit behind it.
const MESSAGE_AND_FAULT: &[u8] = &[0x81, 1, b'?', 0xc1, 0];

fn down() -> Told {
    Told::Down(Ws, Reason::Protocol(ProtocolError::ReservedBits), vec![STREAM])
}

fn fault() -> Told {
    Told::Protocol(STREAM, ProtocolError::ReservedBits)
}

/// Fiftieths of a second, the one under way included: the tests look a little after it happens.
fn ticks_since(then: Instant) -> u128 {
    then.elapsed().as_millis().div_ceil(20)
}

/// A session that has told a message, and has come upon the fault behind it.
async fn broken(closing_timeout: Option<Duration>) -> (Client, Peer) {
    let ws = WsOptions { closing_timeout, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    peer.write(MESSAGE_AND_FAULT).await;
    client.expect_only(&[Told::Text(STREAM, "?".into()), Told::Settle(STREAM)]).await;
    (client, peer)
}

#[tokio::test(start_paused = true)]
async fn frames_sent_before_it_is_settled_go_out_before_the_close_frame() {
    let (mut client, mut peer) = broken(None).await;
    client.send(vec![text("answer"), Item::Large(Opcode::Binary, vec![1; 200_000])]);
    client.settled();
    client.send(vec![text("too late")]);
    peer.expect(Opcode::Text, "answer").await;
    assert!(peer.frame().await == (Opcode::Binary, vec![1; 200_000]));
    peer.expect_close(1002).await;
    peer.expect_nothing().await;
    // The fault is told once the close frame is written, behind what was sent before it.
    client.expect_only(&[Told::BadState(CALLER, BadState::Closing), fault()]).await;
    drop(peer);
    client.expect_only(&[down()]).await;
}

#[tokio::test(start_paused = true)]
async fn pings_before_the_fault_are_answered_before_the_close_frame() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write([frame(Opcode::Ping, b"p"), vec![0xc1, 0], frame(Opcode::Ping, b"q")].concat()).await;
    peer.expect(Opcode::Pong, "p").await;
    peer.expect_nothing().await;
    client.settled();
    peer.expect_close(1002).await;
    peer.expect_nothing().await;
    client.expect_only(&[Told::Settle(STREAM), fault()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_settles_delays_the_close_frame_by_fifty_milliseconds() {
    let (mut client, mut peer) = broken(Some(30 * SECOND)).await;
    let told = Instant::now();
    peer.expect_close(1002).await;
    assert_eq!(ticks_since(told), 3);
    client.expect(&[fault()]).await;
    client.send(vec![text("too late")]);
    client.settled();
    client.expect(&[Told::BadState(CALLER, BadState::Closing), down()]).await;
    // closing_timeout runs anew from the close frame.
    assert_eq!(ticks_since(told), 30 * 50 + 3);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn without_closing_timeout_too_the_close_frame_waits_fifty_milliseconds_at_most() {
    let (mut client, mut peer) = broken(None).await;
    let told = Instant::now();
    peer.expect_close(1002).await;
    assert_eq!(ticks_since(told), 3);
    tokio::time::sleep(1_000_000 * SECOND).await;
    client.expect_only(&[fault()]).await;
    drop(peer);
    client.expect_only(&[down()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_closing_timeout_bounds_the_wait_for_the_receiver_too() {
    let (mut client, mut peer) = broken(Some(SECOND / 50)).await;
    let told = Instant::now();
    peer.expect_close(1002).await;
    assert_eq!(ticks_since(told), 1);
    client.expect(&[fault(), down()]).await;
    assert_eq!(ticks_since(told), 2);
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_users_takes_the_place_of_ours() {
    let (mut client, mut peer) = broken(Some(3 * SECOND)).await;
    let closed = Instant::now();
    client.send(vec![text("answer"), close(4000, "done"), text("never sent")]);
    client.settled();
    peer.expect(Opcode::Text, "answer").await;
    peer.expect(Opcode::Close, close_payload(4000, "done")).await;
    peer.expect_nothing().await;
    client.expect(&[fault(), down()]).await;
    assert_eq!(closed.elapsed().as_secs(), 3);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_it_is_settled_sends_no_close_of_its_own() {
    let (mut client, mut peer) = broken(Some(3 * SECOND)).await;
    client.handle.send(Command::Shutdown);
    client.send(vec![text("answer")]);
    peer.expect(Opcode::Text, "answer").await;
    client.settled();
    peer.expect_close(1002).await;
    peer.expect_nothing().await;
    client.expect_end(&[fault(), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_sends_before_it_is_settled_means_nothing() {
    let (mut client, mut peer) = broken(None).await;
    peer.write([frame(Opcode::Text, b"later"), frame(Opcode::Close, b"")].concat()).await;
    client.expect_only(&[]).await;
    client.settled();
    peer.expect_close(1002).await;
    client.expect_only(&[fault()]).await;
    drop(peer);
    client.expect_only(&[down()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cuts_the_stream_before_it_is_settled_gets_what_it_can_and_is_told_after() {
    let (mut client, peer) = broken(None).await;
    drop(peer);
    client.expect_only(&[]).await;
    client.send(vec![text("answer")]);
    client.settled();
    client.expect_only(&[fault(), down()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_told_before_the_end_when_the_server_takes_no_close_frame() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 200_000])]);
    let broken = Instant::now();
    peer.write(MESSAGE_AND_FAULT).await;
    client.expect(&[Told::Text(STREAM, "?".into()), Told::Settle(STREAM)]).await;
    client.expect_only(&[]).await;
    client.settled();
    client.expect_only(&[]).await;
    client.expect(&[fault(), down()]).await;
    assert_eq!(broken.elapsed().as_secs(), 3);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn settled_means_nothing_without_a_fault() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.settled();
    client.send(vec![text("still here")]);
    peer.expect(Opcode::Text, "still here").await;
    client.send(vec![close(1000, "")]);
    client.settled();
    peer.expect_close(1000).await;
    peer.expect_nothing().await;
    peer.write(frame(Opcode::Text, b"too")).await;
    client.expect_only(&[Told::Text(STREAM, "too".into())]).await;
}
