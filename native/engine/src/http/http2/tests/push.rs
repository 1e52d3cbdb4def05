//! Responses that the server pushes.

use super::raw::{OK, Raw, asked, field, frame};
use super::*;
use crate::http::http2::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, RST_STREAM};

/// A promise on the first stream of a response on this stream, with these pseudo headers.
fn promise(stream: u32, fields: &[(&str, &str)]) -> raw::Frame {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(PUSH_PROMISE, END_HEADERS, 1, [&stream.to_be_bytes()[..], &block].concat())
}

const PROMISED: [(&str, &str); 5] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/pushed?q"), ("x-one", "1")];

/// A connection with a request on it, whose sink takes promises.
async fn connection(options: Http2Options) -> (Client, Raw) {
    asked(options, &[PROMISING]).await
}

#[tokio::test(start_paused = true)]
async fn a_promise_is_told_and_its_response_follows() {
    let (mut client, mut raw) = connection(http2()).await;
    raw.send(&[promise(2, &PROMISED), frame(HEADERS, END_HEADERS, 1, OK)]).await;
    let name = PROMISED_FROM + PROMISING;
    let promised =
        Told::Promise(PROMISING, "GET".into(), "http://localhost/pushed?q".into(), vec![("x-one".into(), "1".into())]);
    client.expect_only(&[promised, Told::Response(PROMISING, Fin::NoFin, 200)]).await;
    raw.send(&[
        frame(HEADERS, END_HEADERS, 2, OK),
        frame(DATA, END_STREAM, 2, "pushed"),
        frame(DATA, END_STREAM, 1, ""),
    ])
    .await;
    let told = [Told::Response(name, Fin::NoFin, 200), data(name, Fin::Fin, "pushed"), data(PROMISING, Fin::Fin, "")];
    let mut seen = Vec::new();
    for _ in 0..told.len() {
        seen.push(client.next().await.unwrap());
    }
    assert!(told.iter().all(|told| seen.contains(told)), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pushed_response_can_be_cancelled() {
    let (mut client, mut raw) = connection(http2()).await;
    raw.send(&[promise(2, &PROMISED)]).await;
    assert!(matches!(client.next().await, Some(Told::Promise(..))));
    let name = PROMISED_FROM + PROMISING;
    client.handle.send(cancel(name));
    let reset = raw.expect(RST_STREAM).await;
    assert_eq!(reset, frame(RST_STREAM, 0, 2, 8_u32.to_be_bytes()));
    raw.send(&[frame(HEADERS, END_HEADERS | END_STREAM, 2, OK), frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)]).await;
    client.expect_only(&[Told::Response(PROMISING, Fin::Fin, 200)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_promise_for_another_origin_or_that_nobody_takes_is_reset_and_not_told() {
    let other = |at: usize, value: &'static str| {
        let mut fields = PROMISED;
        fields[at].1 = value;
        fields
    };
    for fields in [other(1, "https"), other(2, "example.org")] {
        let (mut client, mut raw) = connection(http2()).await;
        raw.send(&[promise(2, &fields)]).await;
        assert_eq!(raw.expect(RST_STREAM).await.stream, 2);
        client.expect_only(&[]).await;
    }
    let (mut client, mut raw) = asked(http2(), &[1]).await;
    raw.send(&[promise(2, &PROMISED)]).await;
    assert_eq!(raw.expect(RST_STREAM).await.stream, 2);
    client.expect_only(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn promises_beyond_the_limit_are_refused_and_without_push_they_are_a_fault() {
    let (mut client, mut raw) = connection(Http2Options { max_concurrent_streams: Some(1), ..http2() }).await;
    raw.send(&[promise(2, &PROMISED), promise(4, &PROMISED)]).await;
    assert!(matches!(client.next().await, Some(Told::Promise(..))));
    assert_eq!(raw.expect(RST_STREAM).await, frame(RST_STREAM, 0, 4, 7_u32.to_be_bytes()));
    client.expect_only(&[]).await;

    let (mut client, mut raw) = connection(Http2Options { push: false, ..http2() }).await;
    raw.send(&[promise(2, &PROMISED)]).await;
    client.expect_only(&raw::fault(Http2Code::ProtocolError, &[PROMISING])).await;
}
