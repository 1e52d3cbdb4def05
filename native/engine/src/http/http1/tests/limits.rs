//! What a server may do before it answers, and how long it may take.

use bytes::Bytes;
use http::{Method, Uri};

use super::requests::{body, get, request};
use super::*;
use crate::command::{Body, COMMAND, Request, StreamCommand};
use crate::error::Wait;
use crate::options::Flow;

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// A request that its server has ten seconds to answer, and as long for each part of the answer's body.
fn limited(stream: u32, body: Body) -> StreamCommand<Recorder> {
    StreamCommand::Request(Box::new(Request {
        stream,
        caller: CALLER,
        method: Method::POST,
        target: Uri::from_static("/"),
        headers: Vec::new(),
        body,
        flow: None,
        response_timeout: Some(TEN_SECONDS),
        body_timeout: Some(TEN_SECONDS),
        timeout: None,
    }))
}

fn empty() -> Body {
    Body::Whole(Bytes::new())
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_limited_in_number() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    peer.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(101)).await;
    client.expect(&vec![Told::Inform(1, 102); 100]).await;
    let limit = Reason::LimitReached;
    client
        .expect_only(&[Told::ConnectionError(limit.clone()), Told::Closed(1, limit.clone()), down(limit, &[1])])
        .await;
    // They are counted for each request.
    let (mut client, mut peer) = connected(options(), BUFFER);
    for stream in 1..=2 {
        client.handle.send(get(stream));
        peer.request().await;
        peer.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)).await;
        client.expect(&vec![Told::Inform(stream, 102); 100]).await;
        peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.expect(&[Told::Response(stream, Fin::Fin, 204)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_limited_in_bytes() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "a".repeat(49_000));
    for _ in 0..2 {
        peer.write(&hint).await;
        client.expect(&[Told::Inform(1, 103)]).await;
    }
    peer.write(&hint).await;
    let limit = Reason::LimitReached;
    client
        .expect_only(&[Told::ConnectionError(limit.clone()), Told::Closed(1, limit.clone()), down(limit, &[1])])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_however_much_there_is_to_be_received() {
    let informs = HttpOptions { max_informs: u32::MAX, max_header_block_size: usize::MAX, ..HttpOptions::default() };
    let body = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "1\r\na\r\n".repeat(200_000));
    for (http, flood) in [(informs, "HTTP/1.1 102 Processing\r\n\r\n".repeat(40_000)), (HttpOptions::default(), body)] {
        let (client, mut peer) = connected(with_http(http), 2 * 1024 * 1024);
        client.handle.send(get(1));
        peer.request().await;
        let (mut told, mut turns) = (0, 0);
        // The parts of the body are told read by read.
        let all = if flood.starts_with("HTTP/1.1 102") { 40_000 } else { 4 };
        peer.write(flood).await;
        while told < all {
            tokio::task::yield_now().await;
            let before = std::mem::replace(&mut told, client.told.len());
            // A read of 256 KiB may be followed by another of as many; of these responses they hold 20,164.
            assert!(told - before <= 25_000, "{} in one turn", told - before);
            turns += usize::from(told > before);
        }
        assert!(turns > 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_first_request_is_no_answer_to_it() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    client.handle.send(get(1));
    let Some(Told::Closed(1, _) | Told::Down(Http, Reason::Normal, _)) = client.next().await else {
        panic!("taken for an answer")
    };
}

#[tokio::test(start_paused = true)]
async fn a_content_length_that_cannot_be_counted_is_told_as_such() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX)).await;
    client.expect_only(&[Told::Closed(1, Reason::Http), down(Reason::Http, &[1])]).await;
    let (mut client, mut peer) = connected(options(), 1024 * 1024);
    client.handle.send(get(1));
    peer.request().await;
    peer.write(format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "a".repeat(100_000))).await;
    client.expect(&[Told::ConnectionError(Reason::LimitReached)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_ends_the_connection_once_it_is_late() {
    let late = |wait| [Told::TimedOut(1, wait), down(Reason::Timeout(wait), &[1])];
    let (mut client, mut peer) = connected(options(), BUFFER);
    let began = Instant::now();
    client.upgrade(1);
    peer.request().await;
    client.expect_only(&late(Wait::Upgrade)).await;
    assert_eq!(began.elapsed().as_secs(), 30);

    // What waits behind it goes down with the connection.
    let (mut client, mut peer) = connected(options(), BUFFER);
    let began = Instant::now();
    client.handle.send(limited(1, empty()));
    client.handle.send(get(2));
    peer.request().await;
    peer.write("HTTP/1.1 102 Processing\r\n\r\n").await;
    let reason = Reason::Timeout(Wait::Response);
    let told = [Told::Inform(1, 102), Told::TimedOut(1, Wait::Response), Told::Closed(2, reason.clone())];
    client.expect(&told).await;
    client.expect_only(&[down(reason, &[1, 2])]).await;
    assert_eq!(began.elapsed().as_secs(), 10);

    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(limited(1, empty()));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await;
    client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
    let began = Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(TEN_SECONDS * 4 / 5).await;
        peer.write("a").await;
        client.expect(&[Told::Data(1, Fin::NoFin, "a".into())]).await;
    }
    client.expect_only(&late(Wait::Body)).await;
    assert_eq!(began.elapsed().as_secs(), 42);
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_not_late_while_it_takes_the_request_or_is_not_read_or_waits_for_the_caller() {
    // It takes the request slowly.
    let (mut client, mut peer) = connected(options(), 1000);
    client.handle.send(limited(1, Body::Whole(vec![0; 100_000].into())));
    for _ in 0..20 {
        tokio::time::sleep(TEN_SECONDS * 4 / 5).await;
        peer.take(1000).await;
    }
    assert!(client.told.try_recv().is_err());
    let began = Instant::now();
    client.expect(&[Told::TimedOut(1, Wait::Response)]).await;
    assert_eq!(began.elapsed().as_secs(), 10);

    // The caller takes its time to give the body.
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(limited(1, Body::Streamed(None)));
    peer.request().await;
    tokio::time::sleep(TEN_SECONDS * 5).await;
    client.handle.send(body(1, "end", Fin::Fin));
    tokio::time::sleep(TEN_SECONDS / 2).await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200)]).await;

    // Nobody reads what it sends.
    let (mut client, mut peer) = connected(options(), BUFFER);
    let StreamCommand::Request(mut request) = limited(1, empty()) else { unreachable!() };
    request.flow = Some(Flow::Messages(1));
    client.handle.send(StreamCommand::Request(request));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
    client.expect(&[Told::Response(1, Fin::NoFin, 200), Told::Data(1, Fin::NoFin, "a".into())]).await;
    tokio::time::sleep(TEN_SECONDS * 5).await;
    assert!(client.told.try_recv().is_err());
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 1));
    tokio::time::sleep(TEN_SECONDS / 2).await;
    peer.write("b").await;
    client.expect_only(&[Told::Data(1, Fin::Fin, "b".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_for_the_next_part_of_a_body_begins_when_the_receiver_allows_it() {
    /// What a receiver that is asked may be given before it has answered.
    const WINDOW: usize = 4 * 1024 * 1024;
    let (mut client, mut peer) = connected(options(), BUFFER);
    let StreamCommand::Request(mut request) = limited(1, empty()) else { unreachable!() };
    request.flow = Some(Flow::Auto);
    client.handle.send(StreamCommand::Request(request));
    peer.request().await;
    peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", WINDOW + 1)).await;
    peer.write("a".repeat(WINDOW)).await;
    let mut left = WINDOW;
    while left > 0 {
        if let Some(Told::Data(1, Fin::NoFin, data)) = client.next().await {
            left -= data.len();
        }
    }
    tokio::time::sleep(TEN_SECONDS * 9 / 10).await;
    client.handle.send(StreamCommand::FlowGrant(Box::new(1)));
    tokio::time::sleep(TEN_SECONDS / 2).await;
    peer.write("b").await;
    client.expect_only(&[Told::Data(1, Fin::Fin, "b".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn to_allow_more_than_is_needed_gives_the_peer_no_more_time() {
    for answered in [false, true] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        let StreamCommand::Request(mut request) = limited(1, empty()) else { unreachable!() };
        request.flow = Some(Flow::Messages(1));
        client.handle.send(StreamCommand::Request(request));
        peer.request().await;
        if answered {
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
        }
        let began = Instant::now();
        tokio::time::sleep(TEN_SECONDS / 2).await;
        client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 1));
        let wait = if answered { Wait::Body } else { Wait::Response };
        client.expect(&[Told::TimedOut(1, wait)]).await;
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_behind_the_last_response_are_refused_and_new_ones_are_for_the_next_connection() {
    for reconnects in [true, false] {
        let (mut client, mut peer) = connected(ConnectOptions { reconnects, ..options() }, BUFFER);
        client.handle.send(get(1));
        client.handle.send(get(2));
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\na").await;
        let part = |fin, data: &str| Told::Data(1, fin, data.into());
        client.expect(&[Told::Response(1, Fin::NoFin, 200), Told::ConnectionCloses(2), part(Fin::NoFin, "a")]).await;
        client.handle.send(request(3, Method::POST, Body::Streamed(None)));
        client.handle.send(body(3, "early", Fin::NoFin));
        client.handle.send(StreamCommand::Info(Box::new((3, 9))));
        if reconnects {
            client.expect_only(&[Told::StreamInfo(9, Known::Stream(3, true))]).await;
        } else {
            let told = [Told::ConnectionCloses(3), Told::NoStream(3, CALLER), Told::StreamInfo(9, Known::Nothing)];
            client.expect_only(&told).await;
        }
        peer.write("b").await;
        client.expect_only(&[part(Fin::Fin, "b"), down(Reason::Normal, &[])]).await;
        assert_eq!(client.handle.stats().queued, if reconnects { 2 * COMMAND as u64 + 6 } else { 0 });
    }
}
