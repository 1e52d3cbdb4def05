//! How a WebSocket on a stream ends: the connection goes on.

use super::*;
use crate::command::RequestData;
use crate::error::ProtocolError;
use crate::testing::{Known, Reason as Why, Unsent, close, close_payload, frame, text};

fn closing(seconds: u64) -> Setup {
    with(WsOptions { closing_timeout: Some(Duration::from_secs(seconds)), ..WsOptions::default() })
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways() {
    let (mut user, mut peer, _requests) = open(Setup::default()).await;
    user.send(vec![text("one"), text("two")]);
    peer.expect(Opcode::Text, "one").await;
    peer.expect(Opcode::Text, "two").await;
    peer.write(frame(Opcode::Text, b"three"));
    peer.write(frame(Opcode::Ping, b"ping"));
    user.expect_only(&[Told::Text(STREAM, "three".into())]).await;
    peer.expect(Opcode::Pong, "ping").await;
    user.send_for(9, vec![text("four")]);
    user.expect_only(&[Told::Sent(9)]).await;
    user.command(StreamCommand::Info(Box::new((STREAM, 10))));
    user.expect_only(&[Told::StreamInfo(10, Known::Websocket(STREAM, 2, 4))]).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_peers_is_answered_before_the_stream_ends() {
    for ends_at_once in [false, true] {
        let (user, mut peer, mut requests) = open(Setup::default()).await;
        peer.write(frame(Opcode::Close, &close_payload(1001, "bye")));
        if ends_at_once {
            peer.end();
        }
        peer.expect(Opcode::Close, close_payload(1000, "")).await;
        peer.expect_end().await;
        user.expect_end(&[Told::Close(STREAM, Some((1001, "bye".into())))]).await;
        if !ends_at_once {
            peer.end();
        }
        expect_alive(&mut requests).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_peer_leaves_open_after_the_close_is_reset() {
    let (user, mut peer, mut requests) = open(Setup::default()).await;
    peer.write(frame(Opcode::Close, &close_payload(1000, "")));
    user.expect_end(&[Told::Close(STREAM, Some((1000, String::new())))]).await;
    peer.expect(Opcode::Close, close_payload(1000, "")).await;
    peer.expect_end().await;
    peer.expect_reset(Reason::CANCEL).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_users_ends_with_the_answer() {
    let (mut user, mut peer, mut requests) = open(closing(15)).await;
    user.send(vec![close(3000, "enough"), text("never")]);
    peer.expect(Opcode::Close, close_payload(3000, "enough")).await;
    user.send(vec![text("late")]);
    user.expect_only(&[Told::Refused(STREAM, CALLER, BadState::Closing)]).await;
    peer.write(frame(Opcode::Close, &close_payload(3000, "")));
    peer.expect_end().await;
    user.expect_end(&[Told::Close(STREAM, Some((3000, String::new())))]).await;
    peer.end();
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_in_time_resets_the_stream() {
    let (user, mut peer, mut requests) = open(closing(15)).await;
    user.send(vec![close(1000, "")]);
    peer.expect(Opcode::Close, close_payload(1000, "")).await;
    peer.expect_reset(Reason::CANCEL).await;
    user.expect_end(&[Told::Closed(STREAM, Why::Normal)]).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_without_a_close_frame_is_told_and_answered() {
    let (user, mut peer, mut requests) = open(Setup::default()).await;
    peer.write(frame(Opcode::Text, b"last"));
    peer.end();
    peer.expect_end().await;
    user.expect_end(&[Told::Text(STREAM, "last".into()), Told::Closed(STREAM, Why::Closed)]).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_told_with_its_code_and_what_is_not_sent_never_will_be() {
    let (user, mut peer, mut requests) = open(Setup { peer_window: 10, ..Setup::default() }).await;
    user.send_for(9, vec![text("more than the window has room for")]);
    settle().await;
    peer.send.send_reset(Reason::ENHANCE_YOUR_CALM);
    let unsent = Told::NotSent(9, Unsent::Down(Why::Closed));
    user.expect_end(&[unsent, Told::Reset(STREAM, Http2Code::EnhanceYourCalm)]).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_does_not_wait_for_ever_for_its_receiver() {
    let (mut user, mut peer, _requests) = open(closing(15)).await;
    peer.write([0xf1, 0x00]);
    user.expect(&[Told::Settle(STREAM)]).await;
    peer.expect(Opcode::Close, close_payload(1002, "")).await;
    user.expect_only(&[Told::Protocol(STREAM, ProtocolError::ReservedBits)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_answered_by_a_close_frame_and_then_told() {
    for then in ["end", "reset", "nothing"] {
        let (mut user, mut peer, mut requests) = open(closing(15)).await;
        peer.write(frame(Opcode::Text, b"before"));
        peer.write([0xf1, 0x00]);
        user.expect_only(&[Told::Text(STREAM, "before".into()), Told::Settle(STREAM)]).await;
        user.settled();
        peer.expect(Opcode::Close, close_payload(1002, "")).await;
        user.expect_only(&[Told::Protocol(STREAM, ProtocolError::ReservedBits)]).await;
        match then {
            "end" => {
                peer.end();
                peer.expect_end().await;
            }
            // The fault has been told: the rest is no news.
            "reset" => peer.send.send_reset(Reason::INTERNAL_ERROR),
            _ => peer.expect_reset(Reason::CANCEL).await,
        }
        user.expect_end(&[]).await;
        expect_alive(&mut requests).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_with_1001_and_awaits_the_answer() {
    for answers in [true, false] {
        let (user, mut peer, _requests) = open(closing(15)).await;
        user.shut_down();
        peer.expect(Opcode::Close, close_payload(1001, "")).await;
        if answers {
            peer.write(frame(Opcode::Close, &close_payload(1001, "")));
            peer.expect_end().await;
            user.expect_end(&[Told::Close(STREAM, Some((1001, String::new())))]).await;
        } else {
            peer.expect_reset(Reason::CANCEL).await;
            user.expect_end(&[Told::CutShort(STREAM)]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_is_reset_and_nothing_more_is_told_of_it() {
    let (mut user, mut peer, mut requests) = open(Setup::default()).await;
    peer.write(frame(Opcode::Text, b"one"));
    user.expect_only(&[Told::Text(STREAM, "one".into())]).await;
    user.cancel();
    peer.write(frame(Opcode::Text, b"two"));
    peer.expect_reset(Reason::CANCEL).await;
    user.expect_end(&[]).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_the_streams_own_and_a_peer_that_answers_none_loses_it_alone() {
    let keepalive = Some(Duration::from_secs(5));
    let ws = WsOptions { keepalive, keepalive_tolerance: Some(1), ..WsOptions::default() };
    let (user, mut peer, mut requests) = open(with(ws)).await;
    peer.expect(Opcode::Ping, "").await;
    peer.write(frame(Opcode::Pong, b""));
    for _ in 0..2 {
        peer.expect(Opcode::Ping, "").await;
    }
    let answered = tokio::spawn(async move {
        while !matches!(timeout(PATIENCE, poll_fn(|cx| peer.send.poll_reset(cx))).await, Ok(Ok(Reason::CANCEL))) {}
    });
    user.expect_end(&[Told::Closed(STREAM, Why::KeepaliveTimeout)]).await;
    answered.await.unwrap();
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_comes_is_closed_after_the_idle_timeout() {
    let ws = WsOptions { idle_timeout: Some(Duration::from_secs(5)), ..WsOptions::default() };
    let (user, mut peer, mut requests) = open(with(ws)).await;
    peer.expect(Opcode::Close, close_payload(1000, "")).await;
    peer.write(frame(Opcode::Close, &close_payload(1000, "")));
    peer.expect_end().await;
    let told = [Told::Close(STREAM, Some((1000, String::new()))), Told::Closed(STREAM, Why::IdleTimeout)];
    user.expect_end(&told).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_stays_closed_is_not_awaited_for_ever() {
    let setup = Setup { peer_window: 10, send_timeout: Some(Duration::from_secs(5)), ..Setup::default() };
    let (user, mut peer, mut requests) = open(setup).await;
    user.send(vec![text("more than the window has room for")]);
    peer.expect_reset(Reason::CANCEL).await;
    user.expect_end(&[Told::Closed(STREAM, Why::SendTimeout)]).await;
    expect_alive(&mut requests).await;
}

#[tokio::test(start_paused = true)]
async fn data_is_refused_by_the_name_of_the_stream() {
    let (mut user, _peer, _requests) = open(Setup::default()).await;
    let data = RequestData { stream: STREAM, caller: CALLER, data: Bytes::from_static(b"x"), fin: true, receipt: None };
    user.command(StreamCommand::Data(Box::new(data)));
    user.expect_only(&[Told::Refused(STREAM, CALLER, BadState::WebsocketStream)]).await;
}
