//! What holds back either end.

use super::*;
use crate::options::Flow;
use crate::testing::{Reason as Why, frame, item};

fn flow(messages: i64) -> Setup {
    with(WsOptions { flow: Flow::Messages(messages), ..WsOptions::default() })
}

#[tokio::test(start_paused = true)]
async fn as_many_messages_are_told_as_the_flow_allows_and_the_window_stays_closed() {
    let (mut user, mut peer, _requests) = open(flow(2)).await;
    let message = Told::Text(STREAM, "x".repeat(9_000));
    for _ in 0..20 {
        peer.write(frame(Opcode::Text, &[b'x'; 9_000]));
    }
    user.expect_only(&[message.clone(), message.clone()]).await;
    assert_eq!(peer.room().await, 0);
    for _ in 0..3 {
        user.update_flow(1);
        user.expect_only(std::slice::from_ref(&message)).await;
    }
    user.update_flow(100);
    user.expect_only(&vec![message; 15]).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_together_are_told_one_by_one() {
    let (mut user, mut peer, _requests) = open(flow(1)).await;
    let messages: Vec<u8> =
        ["one", "two", "three"].iter().flat_map(|text| frame(Opcode::Text, text.as_bytes())).collect();
    peer.write(messages);
    for text in ["one", "two", "three"] {
        user.expect_only(&[Told::Text(STREAM, text.into())]).await;
        user.update_flow(1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_seen_though_the_flow_is_spent_and_all_that_came_before_it_is_told() {
    let (user, mut peer, _requests) = open(flow(1)).await;
    for text in ["one", "two", "three"] {
        peer.write(frame(Opcode::Text, text.as_bytes()));
    }
    peer.end();
    let text = |text: &str| Told::Text(STREAM, text.into());
    user.expect_end(&[text("one"), text("two"), text("three"), Told::Closed(STREAM, Why::Closed)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_seen_though_the_flow_is_spent() {
    let (mut user, mut peer, _requests) = open(flow(1)).await;
    peer.write(frame(Opcode::Text, b"one"));
    peer.write(frame(Opcode::Text, b"two"));
    user.expect_only(&[Told::Text(STREAM, "one".into())]).await;
    peer.send.send_reset(Reason::INTERNAL_ERROR);
    user.expect_end(&[Told::Reset(STREAM, Http2Code::InternalError)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_told_when_all_is_written_and_holds_up_what_follows_it_till_then() {
    let (mut user, mut peer, _requests) = open(Setup::default()).await;
    user.send_for(1, vec![]);
    user.expect(&[Told::Sent(1)]).await;
    user.send_for(2, vec![item(Opcode::Text, b"one")]);
    user.send_for(3, vec![item(Opcode::Text, b"two")]);
    peer.expect(Opcode::Text, "one").await;
    user.expect_only(&[Told::Sent(2), Told::Sent(3)]).await;
    peer.expect(Opcode::Text, "two").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_many_times_the_window_arrives_either_way() {
    let setup = Setup { window: 1_000, peer_window: 1_000, ..Setup::default() };
    let (mut user, mut peer, _requests) = open(setup).await;
    let payload: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    peer.write(frame(Opcode::Binary, &payload));
    user.expect_only(&[Told::Binary(STREAM, payload.clone())]).await;
    user.send_for(9, vec![Item::Large(Opcode::Binary, payload.clone())]);
    peer.expect(Opcode::Binary, payload).await;
    user.expect_only(&[Told::Sent(9)]).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_handed_on_than_the_window_has_room_for() {
    let (mut user, mut peer, _requests) = open(Setup { peer_window: 100, ..Setup::default() }).await;
    user.send(vec![item(Opcode::Binary, &[1; 1_000])]);
    user.expect_only(&[]).await;
    user.command(StreamCommand::Info(Box::new((STREAM, 1))));
    let Some(Told::StreamInfo(1, _)) = user.next().await else { panic!("no answer") };
    assert_eq!(peer.recv.flow_control().used_capacity(), 100);
    peer.expect(Opcode::Binary, [1; 1_000]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_pings_is_not_read_while_it_takes_no_pong() {
    let setup = Setup { window: 1 << 20, peer_window: 0, ..Setup::default() };
    let (mut user, mut peer, _requests) = open(setup).await;
    for _ in 0..20_000 {
        peer.write(frame(Opcode::Ping, &[7; 125]));
    }
    user.expect_only(&[]).await;
    // The pings that are not answered hold the window.
    assert_eq!(peer.room().await, 0);
}
