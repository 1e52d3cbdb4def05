//! Whoever waits until a part of a request's body is sent.

use bytes::Bytes;
use http::Method;

use super::requests::{get, request};
use super::*;
use crate::command::{Body, RequestData, StreamCommand};

fn part(stream: u32, data: impl Into<Bytes>, fin: bool, receipt: u32) -> StreamCommand<Recorder> {
    let receipt = Some(receipt);
    StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data: data.into(), fin, receipt }))
}

fn refused(receipt: u32, error: BadState) -> Told {
    Told::NotSent(receipt, Unsent::BadState(error))
}

#[tokio::test(start_paused = true)]
async fn a_receipt_follows_when_the_peer_has_taken_the_part() {
    for length in [None, Some(200_001)] {
        let (mut client, mut peer) = connected(options(), 1000);
        client.handle.send(request(1, Method::POST, Body::Streamed(length)));
        client.handle.send(part(1, vec![b'a'; 100_000], false, 1));
        client.handle.send(part(1, "b", false, 2));
        client.handle.send(part(1, vec![b'c'; 100_000], true, 3));
        client.expect_only(&[]).await;
        peer.take(90_000).await;
        client.expect_only(&[]).await;
        peer.take(10_500).await;
        client.expect_only(&[Told::Sent(1), Told::Sent(2)]).await;
        peer.take(99_400).await;
        client.expect_only(&[Told::Sent(3)]).await;
        assert_eq!(client.handle.stats().queued, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_has_a_receipt_too_and_what_cannot_be_sent_says_why() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    client.handle.send(part(1, "", true, 1));
    client.expect_only(&[Told::Sent(1)]).await;
    client.handle.send(part(1, "more", true, 2));
    client.handle.send(part(9, "more", true, 3));
    // Nothing is lost with these.
    client.handle.send(part(1, "", true, 4));
    client.handle.send(part(9, "", true, 5));
    let told = [refused(2, BadState::BodyComplete), refused(3, BadState::NoStream), Told::Sent(4), Told::Sent(5)];
    client.expect_only(&told).await;
    peer.request().await;
    client.handle.send(request(2, Method::POST, Body::Streamed(Some(3))));
    client.handle.send(part(2, "long", false, 6));
    client.expect_only(&[refused(6, BadState::BodyTooLong)]).await;
    // Its sender is told, and whoever waits for the response.
    client.handle.send(part(2, "s", true, 7));
    client.expect_only(&[refused(7, BadState::BodyTooShort), Told::StreamBadState(2, BadState::BodyTooShort)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_never_sent_says_so() {
    // It waits behind another request, and is cancelled.
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(request(2, Method::POST, Body::Streamed(None)));
    client.handle.send(part(2, "never", false, 1));
    peer.request().await;
    client.expect_only(&[]).await;
    client.handle.send(StreamCommand::Cancel(Box::new((2, CALLER))));
    client.expect_only(&[refused(1, BadState::NoStream)]).await;
    // The connection is lost.
    let (mut client, peer) = connected(options(), 1000);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    client.handle.send(part(1, vec![0; 100_000], false, 2));
    client.expect_only(&[]).await;
    drop(peer);
    let Some(Told::NotSent(2, Unsent::Down(_))) = client.next().await else { panic!("not told") };
    while !matches!(client.next().await, Some(Told::Down(..))) {}
    // There is none.
    client.handle.send(part(1, "late", false, 3));
    client.expect_only(&[refused(3, BadState::NoStream)]).await;
}

/// A request that may switch to another protocol.
fn switching(stream: u32, body: Body) -> StreamCommand<Recorder> {
    let StreamCommand::Request(mut asked) = request(stream, Method::POST, body) else { unreachable!() };
    let field = |name: &'static str, value| (name.parse().unwrap(), http::HeaderValue::from_static(value));
    asked.headers = vec![field("connection", "upgrade"), field("upgrade", "other")];
    StreamCommand::Request(asked)
}

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_part_of_a_request_behind_a_switch_says_that_it_is_never_sent() {
    for pipeline in [Some(1), None] {
        let options = with_http(HttpOptions { pipeline, ..HttpOptions::default() });
        let (mut client, mut peer) = connected(options, BUFFER);
        client.handle.send(switching(1, Body::Whole("all".into())));
        client.handle.send(request(2, Method::POST, Body::Streamed(None)));
        client.handle.send(part(2, "never", false, 1));
        peer.request().await;
        peer.write(SWITCHED).await;
        let mut told = Vec::new();
        while told.len() < 3 {
            told.extend(client.next().await);
        }
        assert!(told.contains(&refused(1, BadState::OnlyRaw)), "{told:?}");
        assert!(told.contains(&Told::BadState(CALLER, BadState::OnlyRaw)), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_amidst_a_request_is_none() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(switching(1, Body::Streamed(None)));
    client.handle.send(part(1, "half", false, 1));
    client.expect_only(&[Told::Sent(1)]).await;
    peer.request().await;
    peer.write(SWITCHED).await;
    while !matches!(client.next().await, Some(Told::Down(..))) {}
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_told_as_lost_is_not_sent_on_the_next_connection() {
    let (mut client, mut peer) = connected(ConnectOptions { reconnects: true, ..options() }, BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\na").await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), Told::Data(1, Fin::NoFin, "a".into())]).await;
    client.handle.send(request(2, Method::POST, Body::Streamed(None)));
    client.handle.send(part(2, "once", false, 1));
    client.expect_only(&[]).await;
    peer.write("b").await;
    let told = [
        Told::Data(1, Fin::Fin, "b".into()),
        Told::NotSent(1, Unsent::Down(Reason::Normal)),
        Told::Closed(2, Reason::Normal),
        down(Reason::Normal, &[2]),
    ];
    client.expect_only(&told).await;
}
