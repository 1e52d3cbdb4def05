//! A peer that sends nothing for idle_timeout is left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::command::StreamCommand;
use crate::options::{ConnectOptions, Flow, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn options(linger: bool) -> ConnectOptions {
    let (idle_timeout, closing_timeout) = (Some(10 * SECOND), Some(3 * SECOND));
    with_ws(WsOptions { idle_timeout, closing_timeout, linger, silence_pings: false, ..WsOptions::default() })
}

fn idle() -> Told {
    Told::Down(Ws, Reason::IdleTimeout, vec![STREAM])
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_nothing_is_sent_1000_and_left() {
    let (mut client, mut peer) = open(options(false), BUFFER).await;
    let opened = Instant::now();
    client.expect(&[idle()]).await;
    assert_eq!(opened.elapsed().as_secs(), 10);
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn where_it_lingers_the_peers_answer_is_awaited_for_closing_timeout() {
    for answers in [true, false] {
        let (mut client, mut peer) = open(options(true), BUFFER).await;
        let opened = Instant::now();
        peer.expect_close(1000).await;
        sleep(2 * SECOND).await;
        if answers {
            peer.write(frame(Opcode::Close, &close_payload(1000, ""))).await;
            client.expect(&[Told::Close(STREAM, Some((1000, String::new())))]).await;
        }
        client.expect(&[idle()]).await;
        assert_eq!(opened.elapsed().as_secs(), if answers { 12 } else { 13 });
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn any_byte_of_the_peers_begins_the_time_anew_and_what_it_is_sent_does_not() {
    let (mut client, mut peer) = open(options(false), BUFFER).await;
    let mut wire = frame(Opcode::Text, b"slow");
    let last = wire.split_off(2);
    peer.write([wire, Vec::new()].concat()).await;
    sleep(9 * SECOND).await;
    for byte in last {
        peer.write([byte]).await;
        client.send(vec![text("to keep it awake")]);
        sleep(9 * SECOND).await;
    }
    peer.write(frame(Opcode::Ping, b"")).await;
    let pinged = Instant::now();
    client.expect(&[Told::Text(STREAM, "slow".into()), Told::Ping(STREAM, String::new())]).await;
    sleep(5 * SECOND).await;
    client.send(vec![text("to keep it awake")]);
    client.expect(&[idle()]).await;
    assert_eq!(pinged.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_the_receiver_does_not_want_yet_does_not_count_against_the_peer() {
    let mut options = options(false);
    options.ws.flow = Flow::Messages(1);
    let (mut client, mut peer) = open(options, BUFFER).await;
    for message in ["one", "two"] {
        peer.write(frame(Opcode::Text, message.as_bytes())).await;
        client.expect_only(&[Told::Text(STREAM, message.into())]).await;
        sleep(95 * SECOND).await;
        client.expect_only(&[]).await;
        peer.expect_nothing().await;
        client.handle.send(StreamCommand::UpdateFlow(None, 1));
    }
    client.expect(&[idle()]).await;
    peer.expect_close(1000).await;
}
