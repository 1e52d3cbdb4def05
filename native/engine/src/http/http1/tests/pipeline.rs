//! Several requests under way at a time.

use bytes::Bytes;
use http::{Method, Uri};

use super::requests::{body, get, request};
use super::*;
use crate::command::{Body, COMMAND, StreamCommand};
use crate::error::Wait;
use crate::options::Flow;

/// Options with as many requests under way as come.
fn pipelined() -> ConnectOptions {
    with_http(HttpOptions { pipeline: None, ..HttpOptions::default() })
}

/// A response with this body.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// What is told of it.
fn answered(stream: u32, body: &str) -> [Told; 2] {
    [Told::Response(stream, Fin::NoFin, 200), Told::Data(stream, Fin::Fin, body.into())]
}

/// A connection on which these were asked for, and its peer, which has them all.
async fn asked(options: ConnectOptions, streams: impl Iterator<Item = u32>) -> (Client, Peer) {
    let (client, mut peer) = connected(options, BUFFER);
    let mut count = 0;
    for stream in streams {
        client.handle.send(get(stream));
        count += 1;
    }
    for _ in 0..count {
        peer.request().await;
    }
    (client, peer)
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_as_they_come_and_their_responses_are_matched_in_order() {
    let (mut client, mut peer) = asked(pipelined(), 1..=100).await;
    let responses: Vec<_> = (1..=100).map(|stream: u32| ok(&stream.to_string())).collect();
    // In pieces that are no response's.
    for piece in responses.concat().as_bytes().chunks(1000) {
        peer.write(piece).await;
        settle().await;
    }
    let mut bodies = vec![String::new(); 101];
    let mut last = 0;
    while last < 100 {
        match client.next().await {
            Some(Told::Response(stream, Fin::NoFin, 200)) => assert_eq!(stream, last + 1),
            Some(Told::Data(stream, fin, data)) => {
                assert_eq!(stream, last + 1);
                bodies[stream as usize].push_str(&data);
                last += u32::from(fin == Fin::Fin);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=100).all(|stream| bodies[stream] == stream.to_string()));
    // The connection goes on.
    client.handle.send(get(101));
    peer.request().await;
    peer.write(ok("more")).await;
    client.expect_only(&answered(101, "more")).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_the_bound() {
    let (mut client, mut peer) =
        connected(with_http(HttpOptions { pipeline: Some(2), ..HttpOptions::default() }), BUFFER);
    for stream in 1..=4 {
        client.handle.send(get(stream));
    }
    for _ in 0..2 {
        peer.request().await;
    }
    peer.expect_nothing().await;
    for stream in 1..=4 {
        peer.write(ok("x")).await;
        client.expect_only(&answered(stream, "x")).await;
        if stream <= 2 {
            peer.request().await;
        }
        peer.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_but_the_oldest_count_as_waiting_until_those_before_them_are_answered() {
    let http = HttpOptions { pipeline: None, max_send_queue: Some(2 * COMMAND + 2), ..HttpOptions::default() };
    let (mut client, mut peer) = asked(with_http(http), 1..=3).await;
    assert_eq!(client.handle.stats().queued, 2 * (COMMAND as u64 + 1));
    assert!(client.handle.try_send(get(4)).is_err());
    peer.write(ok("x")).await;
    client.expect_only(&answered(1, "x")).await;
    assert_eq!(client.handle.stats().queued, COMMAND as u64 + 1);
    client.handle.try_send(get(4)).unwrap();
    peer.request().await;
    drop(peer);
    let closed = [2, 3, 4].map(|stream| Told::Closed(stream, Reason::Closed));
    client.expect(&closed).await;
    client.expect_only(&[down(Reason::Closed, &[2, 3, 4])]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_until_the_body_before_it_is_sent_whole() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    client.handle.send(request(2, Method::POST, Body::Streamed(Some(2))));
    client.handle.send(get(3));
    client.handle.send(body(2, "a", Fin::NoFin));
    peer.request().await;
    peer.expect_nothing().await;
    client.handle.send(body(1, "z", Fin::Fin));
    for line in ["1", "z", "0", ""] {
        assert_eq!(peer.line().await, line);
    }
    assert_eq!(peer.request().await["content-length"], "2");
    client.handle.send(body(2, "\r", Fin::NoFin));
    // Two bytes are whole.
    peer.take_received(b"a\r").await;
    assert_eq!(peer.request().await["content-length"], "0");
    for stream in 1..=3 {
        peer.write(ok("x")).await;
        client.expect_only(&answered(stream, "x")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_ends_with_the_connection_takes_the_others_with_it() {
    let (mut client, mut peer) = asked(pipelined(), 1..=3).await;
    peer.write(format!("{}HTTP/1.1 200 OK\r\n\r\nthe ", ok("x"))).await;
    client.expect(&answered(1, "x")).await;
    client.expect_only(&[Told::Response(2, Fin::NoFin, 200), Told::Data(2, Fin::NoFin, "the ".into())]).await;
    // It is not sent: no answer could follow.
    client.handle.send(get(4));
    peer.expect_nothing().await;
    peer.write(ok("end")).await;
    drop(peer);
    let text = Told::Data(2, Fin::NoFin, ok("end"));
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect(&[text, Told::Data(2, Fin::Fin, String::new()), closed(3), closed(4)]).await;
    client.expect_only(&[down(Reason::Closed, &[3, 4])]).await;
}

#[tokio::test(start_paused = true)]
async fn those_behind_the_last_response_are_refused_with_its_head() {
    for (head, told) in [
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n", Told::Response(2, Fin::NoFin, 200)),
        ("HTTP/1.0 200 OK\r\n", Told::Response(2, Fin::NoFin, 200)),
    ] {
        let (mut client, mut peer) = asked(pipelined(), 1..=4).await;
        client.handle.send(StreamCommand::Cancel(Box::new((3, CALLER))));
        peer.write(format!("{}{head}content-length: 2\r\n\r\na", ok("x"))).await;
        client.expect(&answered(1, "x")).await;
        let part = |fin, data: &str| Told::Data(2, fin, data.into());
        client.expect_only(&[told, Told::ConnectionCloses(4), part(Fin::NoFin, "a")]).await;
        client.handle.send(get(5));
        peer.write(format!("b{}", ok("not asked for"))).await;
        client.expect_only(&[part(Fin::Fin, "b"), down(Reason::Normal, &[])]).await;
        // That one is for the next connection.
        assert!(client.handle.stats().queued > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_closes_is_the_last_one_and_those_before_it_are_answered() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    let StreamCommand::Request(mut last) = get(2) else { unreachable!() };
    last.headers = vec![("connection".parse().unwrap(), "close".parse().unwrap())];
    client.handle.send(StreamCommand::Request(last));
    client.handle.send(get(3));
    client.expect_only(&[Told::ConnectionCloses(3)]).await;
    peer.request().await;
    assert_eq!(peer.request().await["connection"], "close");
    peer.write(ok("x")).await;
    client.expect_only(&answered(1, "x")).await;
    peer.write(ok("y")).await;
    client.expect(&answered(2, "y")).await;
    client.expect_only(&[down(Reason::Normal, &[])]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_waits_for_those_before_it_and_nothing_is_sent_behind_it() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(get(2));
    client.upgrade(3);
    client.handle.send(get(4));
    for stream in 1..=2 {
        assert!(!peer.request().await.contains_key("upgrade"), "{stream}");
    }
    peer.expect_nothing().await;
    peer.write(ok("x")).await;
    client.expect_only(&answered(1, "x")).await;
    peer.expect_nothing().await;
    peer.write(ok("y")).await;
    client.expect(&answered(2, "y")).await;
    assert!(peer.request().await.contains_key("upgrade"));
    peer.expect_nothing().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    client.expect(&[Told::Response(3, Fin::Fin, 403)]).await;
    peer.request().await;
    client.upgrade(5);
    client.handle.send(get(6));
    peer.write(ok("z")).await;
    client.expect(&answered(4, "z")).await;
    peer.accept().await;
    client.expect_only(&[Told::BadState(CALLER, BadState::OnlyWebsocket), Told::Upgraded(5)]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn connect_has_the_connection_for_itself() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    let StreamCommand::Request(mut connect) = request(2, Method::CONNECT, Body::Whole(Bytes::new())) else {
        unreachable!()
    };
    connect.target = Uri::from_static("example.org:443");
    client.handle.send(get(1));
    client.handle.send(StreamCommand::Request(connect));
    client.handle.send(get(3));
    peer.request().await;
    peer.expect_nothing().await;
    peer.write(ok("x")).await;
    client.expect(&answered(1, "x")).await;
    assert_eq!(peer.line().await, "CONNECT example.org:443 HTTP/1.1");
    peer.request().await;
    peer.expect_nothing().await;
    peer.write("HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n").await;
    client.expect(&[Told::Response(2, Fin::Fin, 407)]).await;
    peer.request().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_cancelled_request_that_was_sent_the_response_is_swallowed() {
    let (mut client, mut peer) = asked(pipelined(), 1..=3).await;
    for stream in [2, 1] {
        client.handle.send(StreamCommand::Cancel(Box::new((stream, CALLER))));
    }
    client.handle.send(StreamCommand::Info(Box::new((2, 9))));
    client.expect_only(&[Told::StreamInfo(9, Known::Stream(2, false))]).await;
    peer.write("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    for text in ["one", "two", "three"] {
        peer.write(ok(text)).await;
    }
    client.expect_only(&answered(3, "three")).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_cancelled_ends_the_connection_once_those_before_it_are_answered() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(request(2, Method::POST, Body::Streamed(None)));
    client.handle.send(get(3));
    peer.request().await;
    peer.request().await;
    client.handle.send(StreamCommand::Cancel(Box::new((2, CALLER))));
    client.expect_only(&[Told::ConnectionCloses(3)]).await;
    peer.write(ok("x")).await;
    client.expect(&answered(1, "x")).await;
    client.expect_only(&[down(Reason::Normal, &[2])]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_short_is_told_once_and_the_others_go_down_with_it() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(request(2, Method::POST, Body::Streamed(Some(7))));
    peer.request().await;
    peer.request().await;
    client.handle.send(body(2, "hell", Fin::Fin));
    let reason = Reason::RequestTooShort;
    let told =
        [Told::StreamBadState(2, BadState::BodyTooShort), Told::Closed(1, reason.clone()), down(reason, &[1, 2])];
    client.expect_only(&told).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_to_what_was_not_sent_yet_is_no_answer() {
    // The third one is not sent: the bound is two. Its response has come before.
    let (mut client, mut peer) =
        connected(with_http(HttpOptions { pipeline: Some(2), ..HttpOptions::default() }), BUFFER);
    for stream in 1..=3 {
        client.handle.send(get(stream));
    }
    peer.request().await;
    peer.request().await;
    peer.write([ok("one"), ok("two"), ok("three")].concat()).await;
    client.expect(&answered(1, "one")).await;
    client.expect(&answered(2, "two")).await;
    let Some(Told::Closed(3, Reason::Http | Reason::Normal)) = client.next().await else {
        panic!("taken for an answer")
    };
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaits_the_oldest_and_the_others_are_closing() {
    let (mut client, mut peer) = asked(pipelined(), 1..=3).await;
    client.handle.send(Command::Shutdown);
    client.expect_only(&[Told::Closing(2), Told::Closing(3)]).await;
    peer.write([ok("one"), ok("two")].concat()).await;
    client.expect(&answered(1, "one")).await;
    client.expect_end(&[Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_before_the_shutdown_is_answered_though_it_had_no_turn_yet() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(get(2));
    client.handle.send(Command::Shutdown);
    client.expect_only(&[Told::Closing(2)]).await;
    peer.request().await;
    peer.write(ok("one")).await;
    client.expect(&answered(1, "one")).await;
    client.expect_end(&[Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_to_answer_begins_when_those_before_are_answered() {
    let limited = |stream| {
        let StreamCommand::Request(mut request) = get(stream) else { unreachable!() };
        request.response_timeout = Some(Duration::from_secs(10));
        StreamCommand::Request(request)
    };
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    let began = Instant::now();
    for stream in 1..=3 {
        client.handle.send(limited(stream));
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    peer.write(ok("x")).await;
    client.expect(&answered(1, "x")).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    peer.write(ok("y")).await;
    client.expect(&answered(2, "y")).await;
    // More requests give the server no more time for those before.
    tokio::time::sleep(Duration::from_secs(8)).await;
    client.handle.send(get(4));
    let reason = Reason::Timeout(Wait::Response);
    client.expect(&[Told::TimedOut(3, Wait::Response), Told::Closed(4, reason.clone())]).await;
    client.expect_only(&[down(reason, &[3, 4])]).await;
    assert_eq!(began.elapsed().as_secs(), 26);
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_told_to_all_behind_it() {
    let (mut client, mut peer) = asked(pipelined(), 1..=3).await;
    peer.write(format!("{}no HTTP", ok("x"))).await;
    client.expect(&answered(1, "x")).await;
    let closed = |stream| Told::Closed(stream, Reason::Http);
    client.expect_only(&[closed(2), closed(3), down(Reason::Http, &[2, 3])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_behind_holds_up_the_responses_behind_its_own() {
    let (mut client, mut peer) = connected(pipelined(), 1000);
    let StreamCommand::Request(mut first) = get(1) else { unreachable!() };
    first.flow = Some(Flow::Messages(1));
    client.handle.send(StreamCommand::Request(first));
    client.handle.send(get(2));
    peer.request().await;
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), Told::Data(1, Fin::NoFin, "a".into())]).await;
    peer.write(format!("b{}", ok("x"))).await;
    client.expect_only(&[]).await;
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 1));
    client.expect(&[Told::Data(1, Fin::Fin, "b".into())]).await;
    client.expect_only(&answered(2, "x")).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pipelined_to_a_server_of_http_1_0() {
    let (mut client, mut peer) = connected(pipelined(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    peer.write("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n").await;
    client.expect(&[Told::Response(1, Fin::Fin, 200)]).await;
    client.handle.send(get(2));
    client.handle.send(get(3));
    assert_eq!(peer.line().await, "GET / HTTP/1.0");
    assert_eq!(peer.request().await["connection"], "keep-alive");
    peer.expect_nothing().await;
    client.handle.send(request(4, Method::POST, Body::Streamed(None)));
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect(&[Told::Response(2, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_before_the_request_could_be_sent_whole_is_told() {
    let (mut client, mut peer) = connected(pipelined(), 1000);
    client.handle.send(request(1, Method::POST, Body::Whole(vec![0; 1_000_000].into())));
    peer.take(500).await;
    peer.write("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno").await;
    drop(peer);
    client.expect(&[Told::Response(1, Fin::NoFin, 413), Told::Data(1, Fin::Fin, "no".into())]).await;
    client.expect_only(&[down(Reason::Normal, &[])]).await;
}
