//! What is observed of requests.

use http::Method;

use super::requests::{body, get, request};
use super::*;
use crate::command::{Body, StreamCommand};
use crate::options::Steps;

fn observing() -> ConnectOptions {
    ConnectOptions { observed: Steps::ALL, ..options() }
}

fn step(text: &str) -> Told {
    Told::Step(text.into())
}

#[tokio::test(start_paused = true)]
async fn a_request_is_told_as_it_is_sent_and_a_cancelled_one_as_it_is_answered() {
    let (mut client, mut peer) = connected(observing(), BUFFER);
    client.handle.send(get(1));
    client.expect_only(&[step("1 Request GET localhost /"), step("1 request end")]).await;
    peer.request().await;
    client.handle.send(StreamCommand::Cancel(Box::new((1, CALLER))));
    client.expect_only(&[step("1 cancelled by 7")]).await;
    peer.write("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    client.expect_only(&[step("1 response"), step("1 response"), step("1 response end")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_body_follows_ends_with_the_last_part_of_it() {
    let (mut client, _peer) = connected(observing(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    client.expect_only(&[step("1 Headers POST localhost /")]).await;
    client.handle.send(body(1, "Hello", Fin::NoFin));
    client.expect_only(&[]).await;
    client.handle.send(body(1, "", Fin::Fin));
    client.expect_only(&[step("1 request end")]).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_told_before_its_request() {
    let (mut client, _peer) = connected(observing(), BUFFER);
    client.upgrade(1);
    client.expect_only(&["1 upgrade", "1 WsUpgrade GET localhost /", "1 request end"].map(step)).await;
}

#[tokio::test(start_paused = true)]
async fn only_what_is_observed_is_told() {
    let (mut client, mut peer) = connected(ConnectOptions { observed: Steps::REQUEST_END, ..options() }, BUFFER);
    client.upgrade(1);
    peer.accept().await;
    client.expect_only(&[step("1 request end"), Told::Upgraded(1)]).await;
}
