//! The closing handshake, from either side, and the ends that come without one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::command::{Command, Item};
use crate::error::BadState;
use crate::options::WsOptions;
use crate::status::State;
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn closing_timeout(limit: Option<Duration>) -> crate::options::ConnectOptions {
    with_ws(WsOptions { closing_timeout: limit, ..WsOptions::default() })
}

fn down(reason: Reason) -> Told {
    Told::Down(Ws, reason, vec![STREAM])
}

#[tokio::test(start_paused = true)]
async fn the_servers_close_is_shown_and_answered_with_1000_and_nothing_after_it_is_delivered() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    let wire = [
        frame(Opcode::Text, b"before"),
        frame(Opcode::Close, &close_payload(4321, "bye")),
        frame(Opcode::Text, b"after"),
        vec![0xff; 100],
    ];
    peer.write(wire.concat()).await;
    let shown =
        [Told::Text(STREAM, "before".into()), Told::Close(STREAM, Some((4321, "bye".into()))), down(Reason::Normal)];
    client.expect_only(&shown).await;
    assert_eq!(client.handle.state(), State::Idle);
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_shown_as_such_and_answered_with_1000() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None), down(Reason::Normal)]).await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_to_be_sent_leaves_before_the_answer_to_the_servers_close() {
    let (mut client, mut peer) = open(options(), 100).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 100_000]), text("small")]);
    settle().await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None)]).await;
    client.send(vec![text("too late")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::Closing)]).await;
    peer.expect(Opcode::Binary, vec![1; 100_000]).await;
    peer.expect(Opcode::Text, "small").await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
    client.expect_only(&[down(Reason::Normal)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_many_turns_to_write_leaves_before_the_answer_to_the_servers_close() {
    const LEN: usize = 8 << 20;
    let (mut client, mut peer) = open(options(), 2 * LEN).await;
    client.send_for(1, vec![Item::Large(Opcode::Binary, vec![1; LEN])]);
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None), Told::Sent(1), down(Reason::Normal)]).await;
    assert!(peer.frame().await == (Opcode::Binary, vec![1; LEN]));
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_and_then_takes_nothing_is_left_after_closing_timeout() {
    let (mut client, mut peer) = open(closing_timeout(Some(3 * SECOND)), 100).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![1; 100_000])]);
    settle().await;
    let closed = Instant::now();
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None), down(Reason::Normal)]).await;
    assert_eq!(closed.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_the_users_close_frames_and_the_servers_close_are_still_delivered() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![text("last"), close(4000, "done"), text("never sent")]);
    peer.expect(Opcode::Text, "last").await;
    peer.expect(Opcode::Close, close_payload(4000, "done")).await;
    assert_eq!(client.handle.state(), State::Closing);
    peer.write([frame(Opcode::Text, b"late"), frame(Opcode::Ping, b"")].concat()).await;
    client.expect_only(&[Told::Text(STREAM, "late".into())]).await;
    peer.write(frame(Opcode::Close, &close_payload(4000, "done"))).await;
    client.expect_only(&[Told::Close(STREAM, Some((4000, "done".into()))), down(Reason::Normal)]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn frames_after_the_users_close_are_refused() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![close(1000, "")]);
    client.send(vec![text("too late")]);
    client.send(vec![close(1000, "")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::Closing), Told::BadState(CALLER, BadState::Closing)]).await;
    peer.expect_close(1000).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_the_users_close_is_left_after_closing_timeout() {
    let (mut client, mut peer) = open(closing_timeout(Some(3 * SECOND)), BUFFER).await;
    let closed = Instant::now();
    client.send(vec![close(1000, "")]);
    sleep(2 * SECOND).await;
    peer.write(frame(Opcode::Text, b"not yet")).await;
    client.expect_only(&[Told::Text(STREAM, "not yet".into()), down(Reason::Normal)]).await;
    assert_eq!(closed.elapsed().as_secs(), 3);
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn without_closing_timeout_the_servers_answer_is_awaited_for_ever() {
    let (mut client, mut peer) = open(closing_timeout(None), BUFFER).await;
    client.send(vec![close(1000, "")]);
    sleep(1_000_000 * SECOND).await;
    client.expect_only(&[]).await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None), down(Reason::Normal)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cuts_the_stream_without_a_close_is_told_as_closed() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(frame(Opcode::Text, b"last")).await;
    peer.write(&frame(Opcode::Text, b"unfinished")[..5]).await;
    drop(peer);
    client.expect_only(&[Told::Text(STREAM, "last".into()), down(Reason::Closed)]).await;
    assert_eq!(client.handle.state(), State::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cuts_the_stream_instead_of_answering_the_users_close_is_told_as_closed() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![close(1000, "")]);
    peer.expect_close(1000).await;
    drop(peer);
    client.expect_only(&[down(Reason::Closed)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_server_sent_before_it_cut_the_stream_is_delivered_though_it_takes_nothing_more() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    let wire = [frame(Opcode::Ping, b"unanswered"), vec![], frame(Opcode::Text, b"last")];
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 1 << 20])]);
    settle().await;
    peer.write(wire.concat()).await;
    drop(peer);
    client.expect_only(&[Told::Text(STREAM, "last".into()), down(Reason::Closed)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_with_1001_and_tells_of_its_end_rather_than_down() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![text("last")]);
    client.handle.send(Command::Shutdown);
    client.send(vec![text("too late")]);
    peer.expect(Opcode::Text, "last").await;
    peer.expect_close(1001).await;
    peer.write([frame(Opcode::Text, b"late"), frame(Opcode::Close, &close_payload(1001, ""))].concat()).await;
    let events = [
        Told::BadState(CALLER, BadState::Closing),
        Told::Text(STREAM, "late".into()),
        Told::Close(STREAM, Some((1001, String::new()))),
        Told::ShutDown,
    ];
    client.expect_end(&events).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_the_server_does_not_answer_ends_after_closing_timeout() {
    let (mut client, mut peer) = open(closing_timeout(Some(3 * SECOND)), BUFFER).await;
    let asked = Instant::now();
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
    assert_eq!(asked.elapsed().as_secs(), 3);
    peer.expect_close(1001).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_when_the_server_cuts_the_stream() {
    let (mut client, peer) = open(options(), BUFFER).await;
    client.handle.send(Command::Shutdown);
    settle().await;
    drop(peer);
    client.expect_end(&[Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_users_close_sends_no_second_close() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![close(1000, "")]);
    client.handle.send(Command::Shutdown);
    peer.expect_close(1000).await;
    peer.expect_nothing().await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_end(&[Told::Close(STREAM, None), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_upgrade_closes_the_websocket_as_soon_as_it_is_open() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    let request = peer.request().await;
    client.handle.send(Command::Shutdown);
    client.upgrade(2);
    client.expect_only(&[Told::ConnectionCloses(2)]).await;
    peer.write([switching(&request), frame(Opcode::Text, b"early")].concat()).await;
    client.expect_only(&[Told::Upgraded(STREAM), Told::Text(STREAM, "early".into())]).await;
    peer.expect_close(1001).await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_end(&[Told::Close(STREAM, None), Told::ShutDown]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_drops_the_handle_closes_the_connection_and_is_told_nothing() {
    let (client, mut peer) = open(options(), BUFFER).await;
    let (handle, mut told) = (client.handle, client.told);
    drop(handle);
    assert_eq!(told.recv().await, None);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_closes_the_stream_without_a_word() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.handle.abort();
    client.expect_end(&[]).await;
    peer.expect_end().await;
}
