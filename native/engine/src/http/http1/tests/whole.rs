//! Requests whose time is limited from the call to the end of the response.

use bytes::Bytes;
use http::Method;

use super::requests::{body, get, request};
use super::*;
use crate::command::{Body, StreamCommand, TimeLimit};
use crate::error::Wait;
use crate::options::Flow;

const TWO_SECONDS: Duration = Duration::from_secs(2);

/// A request that has two seconds.
fn limited(stream: u32, body: Body) -> StreamCommand<Recorder> {
    let StreamCommand::Request(mut limited) = request(stream, Method::POST, body) else { unreachable!() };
    limited.timeout = Some(TimeLimit::from_now(TWO_SECONDS));
    StreamCommand::Request(limited)
}

fn empty() -> Body {
    Body::Whole(Bytes::new())
}

fn late(stream: u32) -> Told {
    Told::TimedOut(stream, Wait::Whole)
}

const REASON: Reason = Reason::Timeout(Wait::Whole);

fn pipelined() -> ConnectOptions {
    with_http(HttpOptions { pipeline: None, ..HttpOptions::default() })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_and_one_that_is_slow_end_the_connection_once_the_time_is_over() {
    for answer in [None, Some("HTTP/1.1 102 Processing\r\n\r\n"), Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")]
    {
        let (mut client, mut peer) = connected(options(), BUFFER);
        let began = Instant::now();
        client.handle.send(limited(1, empty()));
        client.handle.send(get(2));
        peer.request().await;
        if let Some(answer) = answer {
            peer.write(answer).await;
            client.next().await.unwrap();
        }
        client.expect_only(&[late(1), Told::Closed(2, REASON), down(REASON, &[1, 2])]).await;
        assert_eq!(began.elapsed().as_secs(), 2);
        peer.expect_end().await;
    }
    // Each part of the body comes soon, the last one too late.
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(limited(1, empty()));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
    for _ in 0..3 {
        tokio::time::sleep(TWO_SECONDS / 4).await;
        peer.write("a").await;
        client.expect(&[data(Fin::NoFin, "a")]).await;
    }
    client.expect_only(&[late(1), down(REASON, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_while_the_receiver_holds_the_response_up_and_while_the_body_is_given() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    let StreamCommand::Request(mut held_up) = limited(1, empty()) else { unreachable!() };
    held_up.flow = Some(Flow::Messages(1));
    client.handle.send(StreamCommand::Request(held_up));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
    client.expect(&[Told::Response(1, Fin::NoFin, 200), data(Fin::NoFin, "a")]).await;
    client.expect_only(&[late(1), down(REASON, &[1])]).await;

    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(limited(1, Body::Streamed(None)));
    peer.request().await;
    client.handle.send(body(1, "part", Fin::NoFin));
    client.expect_only(&[late(1), down(REASON, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_turn_ends_alone() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(limited(2, empty()));
    client.handle.send(limited(3, Body::Streamed(None)));
    client.handle.send(get(4));
    peer.request().await;
    client.expect_only(&[late(2), late(3)]).await;
    assert_eq!(client.handle.stats().queued, crate::command::COMMAND as u64 + 1);
    client.handle.send(body(3, "late", Fin::Fin));
    client.expect_only(&[Told::NoStream(3, CALLER)]).await;
    for stream in [1, 4] {
        peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.expect_only(&[Told::Response(stream, Fin::Fin, 204)]).await;
        if stream == 1 {
            peer.request().await;
        }
    }
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_one_that_is_under_way_behind_others_is_thrown_away() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(limited(2, empty()));
    client.handle.send(get(3));
    for _ in 1..=3 {
        peer.request().await;
    }
    client.expect_only(&[late(2)]).await;
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
    peer.write(ok.repeat(3)).await;
    for stream in [1, 3] {
        client.expect(&[Told::Response(stream, Fin::NoFin, 200), Told::Data(stream, Fin::Fin, "a".into())]).await;
    }
    // The answer holds those behind it up no longer than the same time once more.
    client.handle.send(get(4));
    client.handle.send(limited(5, empty()));
    client.handle.send(get(6));
    for _ in 4..=6 {
        peer.request().await;
    }
    client.expect_only(&[late(5)]).await;
    tokio::time::sleep(TWO_SECONDS * 5).await;
    peer.write(ok).await;
    client.expect(&[Told::Response(4, Fin::NoFin, 200), Told::Data(4, Fin::Fin, "a".into())]).await;
    let began = Instant::now();
    client.expect_only(&[Told::Closed(6, REASON), down(REASON, &[5, 6])]).await;
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_response_in_time_leaves_no_timer_that_matters() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    for stream in 1..=3 {
        client.handle.send(limited(stream, empty()));
        peer.request().await;
        tokio::time::sleep(TWO_SECONDS * 3 / 4).await;
        peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.expect_only(&[Told::Response(stream, Fin::Fin, 204)]).await;
    }
    tokio::time::sleep(TWO_SECONDS * 5).await;
    client.handle.send(get(4));
    peer.request().await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(4, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_uses_up_each_turn_does_not_outlast_the_time() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(limited(1, empty()));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let flood = tokio::spawn(async move {
        let chunk = format!("{:X}\r\n{}\r\n", 32_768, "a".repeat(32_768));
        while tokio::io::AsyncWriteExt::write_all(&mut peer.io, chunk.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    loop {
        match client.next().await {
            Some(Told::Response(..) | Told::Data(..)) => {}
            other => break assert_eq!(other, Some(late(1))),
        }
    }
    client.expect_only(&[down(REASON, &[1])]).await;
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_is_late_before_its_turn_is_not_begun() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    let StreamCommand::Request(mut request) = limited(1, empty()) else { unreachable!() };
    request.timeout = Some(TimeLimit::from_now(Duration::ZERO));
    client.handle.send(StreamCommand::Request(request));
    client.expect_only(&[late(1)]).await;
    client.handle.send(get(2));
    assert_eq!(peer.line().await, "GET / HTTP/1.1");
}
