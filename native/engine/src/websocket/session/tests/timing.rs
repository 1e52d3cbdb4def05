//! What a session does by the clock.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::command::Item;
use crate::options::{ConnectOptions, TcpOptions, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);

fn with_send_timeout(limit: Duration) -> ConnectOptions {
    ConnectOptions { tcp: TcpOptions { send_timeout: Some(limit), ..TcpOptions::default() }, ..options() }
}

#[tokio::test(start_paused = true)]
async fn keepalive_pings_at_its_interval_whatever_else_is_sent() {
    let ws = WsOptions { keepalive: Some(5 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    let opened = Instant::now();
    for n in 1..=3 {
        sleep(SECOND).await;
        client.send(vec![text("busy")]);
        peer.expect(Opcode::Text, "busy").await;
        peer.expect(Opcode::Ping, "").await;
        assert_eq!(opened.elapsed().as_secs(), 5 * n);
        peer.write(frame(Opcode::Pong, b"")).await;
    }
    client.expect_only(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn keepalive_ends_with_a_close() {
    let ws = WsOptions { keepalive: Some(5 * SECOND), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    client.send(vec![close(1000, "")]);
    peer.expect_close(1000).await;
    client.expect_only(&[Told::Down(Ws, Reason::Normal, vec![STREAM])]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_for_send_timeout_loses_the_connection() {
    let (mut client, mut peer) = open(with_send_timeout(10 * SECOND), 1000).await;
    let opened = Instant::now();
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 1 << 20])]);
    client.expect(&[Told::Down(Ws, Reason::SendTimeout, vec![STREAM])]).await;
    assert_eq!(opened.elapsed().as_secs(), 10);
    // What was on its way can still be read, then the stream ends.
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut peer.io, &mut rest).await.unwrap();
    assert_eq!(rest.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_in_time_keeps_the_connection() {
    let (mut client, mut peer) = open(with_send_timeout(10 * SECOND), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 10_000])]);
    let mut taken = 0;
    while taken < 10_014 - 1000 {
        sleep(9 * SECOND).await;
        let mut some = [0; 1000];
        let now = tokio::io::AsyncReadExt::read(&mut peer.io, &mut some).await.unwrap();
        assert!(now > 0, "the connection is lost");
        taken += now;
    }
    // What is left is on its way already: nothing waits to be taken, so that no time is counted.
    sleep(30 * SECOND).await;
    client.expect_only(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_may_be_idle_longer_than_send_timeout() {
    let (mut client, mut peer) = open(with_send_timeout(10 * SECOND), 1000).await;
    client.send(vec![text("taken at once")]);
    sleep(100 * SECOND).await;
    peer.expect(Opcode::Text, "taken at once").await;
    client.expect_only(&[]).await;
}
