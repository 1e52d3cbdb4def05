//! What can be changed of a session that is under way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ends::{Pair, Seen, chosen};
use crate::command::{Command, Item, StreamCommand, Tune};
use crate::error::ProtocolError;
use crate::options::{DeflateOptions, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;
use crate::websocket::role::Role;

const SECOND: Duration = Duration::from_secs(1);

fn down(reason: Reason) -> Told {
    Told::Down(Ws, reason, vec![STREAM])
}

fn tune(client: &Client, tune: Tune<Recorder>) {
    client.handle.send(StreamCommand::Tune(Box::new(tune)));
}

fn active(client: &Client, active: bool) {
    tune(client, Tune { active: Some(active), ..Tune::default() });
}

fn deflate(client: &Client, deflate: bool) {
    tune(client, Tune { stream: Some(STREAM), deflate: Some(deflate), ..Tune::default() });
}

fn close_with(client: &Client, code: u16) {
    client.handle.send(StreamCommand::CloseWith(Box::new((Some(STREAM), code))));
}

async fn open_compressed() -> (Client, Peer) {
    let ws = WsOptions { compress: Some(DeflateOptions::default()), ..WsOptions::default() };
    open_with(with_ws(ws), BUFFER, "sec-websocket-extensions: permessage-deflate\r\n").await
}

fn small(payload: &[u8]) -> Item<Vec<u8>> {
    Item::Small(Opcode::Text, payload.to_vec())
}

#[tokio::test(start_paused = true)]
async fn an_inactive_session_receives_nothing_and_sends_on() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    active(&client, false);
    settle().await;
    peer.write(frame(Opcode::Text, b"later")).await;
    client.send(vec![text("now")]);
    peer.expect(Opcode::Text, "now").await;
    sleep(100 * SECOND).await;
    client.expect_only(&[]).await;
    active(&client, true);
    client.expect_only(&[Told::Text(STREAM, "later".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn the_peers_answer_to_a_close_is_received_by_an_inactive_session_too() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    active(&client, false);
    client.send(vec![close(1000, "")]);
    peer.expect_close(1000).await;
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect_only(&[Told::Close(STREAM, None), down(Reason::Normal)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_begins_anew_when_it_is_set_and_never_ends_where_it_is_cleared() {
    let ws = WsOptions { idle_timeout: Some(10 * SECOND), linger: false, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    sleep(9 * SECOND).await;
    tune(&client, Tune { idle_timeout: Some(None), ..Tune::default() });
    sleep(1000 * SECOND).await;
    client.expect_only(&[]).await;
    active(&client, false);
    let limit = Some(20 * SECOND);
    tune(&client, Tune { idle_timeout: Some(limit), ..Tune::default() });
    let tuned = Instant::now();
    // Whether messages are wanted is the user's matter, and the peer's to keep alive.
    client.expect(&[down(Reason::IdleTimeout)]).await;
    assert_eq!(tuned.elapsed().as_secs(), 20);
    peer.expect_close(1000).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_timeout_that_is_set_while_it_closes_means_nothing() {
    let ws = WsOptions { closing_timeout: Some(30 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    client.send(vec![close(1000, "")]);
    tune(&client, Tune { idle_timeout: Some(Some(SECOND)), ..Tune::default() });
    sleep(20 * SECOND).await;
    peer.expect_close(1000).await;
    client.expect_only(&[]).await;
    client.expect(&[down(Reason::Normal)]).await;
}

#[tokio::test(start_paused = true)]
async fn limits_count_from_the_next_frame_on() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(&frame(Opcode::Binary, &[1; 1000])[..500]).await;
    settle().await;
    tune(&client, Tune { max_frame_size: Some(Some(10)), ..Tune::default() });
    settle().await;
    peer.write(&frame(Opcode::Binary, &[1; 1000])[500..]).await;
    client.expect_only(&[Told::Binary(STREAM, vec![1; 1000])]).await;
    tune(&client, Tune { max_frame_size: Some(None), max_message_size: Some(Some(20)), ..Tune::default() });
    settle().await;
    peer.write(frame(Opcode::Binary, &[2; 20])).await;
    client.expect_only(&[Told::Binary(STREAM, vec![2; 20])]).await;
    tune(&client, Tune { max_frame_size: Some(Some(10)), ..Tune::default() });
    settle().await;
    peer.write(frame(Opcode::Binary, &[3; 11])).await;
    client.expect_fault(ProtocolError::FrameTooBig).await;
    peer.expect_close(1009).await;
}

#[tokio::test(start_paused = true)]
async fn later_messages_are_compressed_or_not_and_the_handle_says_so_at_once() {
    let (client, mut peer) = open_compressed().await;
    assert!(client.handle.compresses(None));
    client.send(vec![small(b"one")]);
    deflate(&client, false);
    assert!(!client.handle.compresses(None));
    // They were handed over before the sender knew.
    client.send(vec![small(b"two"), Item::Large(Opcode::Binary, vec![3; 100_000])]);
    deflate(&client, true);
    assert!(client.handle.compresses(None));
    client.send(vec![small(b"four"), Item::Large(Opcode::Binary, vec![5; 100_000])]);
    assert!(peer.any_frame().await.0);
    assert_eq!(peer.frame().await, (Opcode::Text, b"two".to_vec()));
    assert!(peer.frame().await == (Opcode::Binary, vec![3; 100_000]));
    for _ in 0..2 {
        assert!(peer.any_frame().await.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_agreed_on_cannot_be_switched_on() {
    let (client, mut peer) = open(options(), BUFFER).await;
    deflate(&client, true);
    assert!(!client.handle.compresses(None));
    client.send(vec![small(b"plain")]);
    peer.expect(Opcode::Text, "plain").await;
}

#[test]
fn a_message_that_is_half_compressed_is_compressed_to_its_end() {
    let mut pair = Pair::new(&chosen(Some("")));
    let (server, lender, _) = pair.side(Role::Server);
    let messages = [vec![b'x'; 300_000], b"xxxxxxxxxx".to_vec(), b"xxxxxxxxxx".to_vec()];
    let mut items = messages.iter().map(|message| Item::Large(Opcode::Binary, message.clone()));
    server.send(None, items.by_ref().take(1).collect(), lender);
    let session = server.session.as_mut().unwrap();
    session.stage(&mut lender.lend()).unwrap();
    assert!(session.staged().is_empty());
    for on in [false, true] {
        server.session.as_mut().unwrap().tune(&Tune { deflate: Some(on), ..Tune::default() });
        server.send(None, items.by_ref().take(1).collect(), lender);
    }
    server.write(usize::MAX, lender);
    assert!(server.wire.len() < 1000);
    pair.settle();
    assert_eq!(pair.of_client.sink().of(1), messages.map(Seen::Binary));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_asked_for_follows_what_waits_and_is_the_users() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), linger: false, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    client.send_for(1, vec![text("last")]);
    close_with(&client, 1011);
    close_with(&client, 1001);
    client.expect_only(&[Told::Sent(1), down(Reason::Normal)]).await;
    peer.expect(Opcode::Text, "last").await;
    peer.expect_close(1011).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_asked_for_lingers_as_others_do() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    let closed = Instant::now();
    close_with(&client, 1001);
    client.expect_only(&[down(Reason::Normal)]).await;
    assert_eq!(closed.elapsed().as_secs(), 3);
    peer.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_asked_for_takes_the_place_of_the_answer_to_a_fault() {
    let ws = WsOptions { closing_timeout: Some(3 * SECOND), linger: false, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    peer.write([0x83, 0]).await;
    client.expect(&[Told::Settle(STREAM)]).await;
    close_with(&client, 1011);
    let fault = ProtocolError::Opcode(3);
    client.expect_only(&[Told::Protocol(STREAM, fault.clone()), down(Reason::Protocol(fault))]).await;
    peer.expect_close(1011).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_for_another_stream_or_comes_without_a_websocket_means_nothing() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    active(&client, false);
    client.upgrade(STREAM);
    peer.accept().await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    client.handle.send(StreamCommand::CloseWith(Box::new((Some(STREAM + 1), 1001))));
    tune(&client, Tune { stream: Some(STREAM + 1), active: Some(false), ..Tune::default() });
    settle().await;
    peer.write(frame(Opcode::Text, b"received")).await;
    client.expect_only(&[Told::Text(STREAM, "received".into())]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_speaks_http_ends_by_a_close() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(StreamCommand::CloseWith(Box::new((None, 1001))));
    client.expect_only(&[Told::Down(Http, Reason::Normal, vec![])]).await;
    peer.expect_end().await;
    close_with(&client, 1001);
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
}
