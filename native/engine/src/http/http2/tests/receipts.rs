//! Whoever waits until a part of a request's body is sent.

use super::*;
use crate::error::BadState;

fn part(stream: u32, data: impl Into<Bytes>, fin: bool, receipt: u32) -> StreamCommand<Recorder> {
    let receipt = Some(receipt);
    StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data: data.into(), fin, receipt }))
}

fn refused(receipt: u32, error: BadState) -> Told {
    Told::NotSent(receipt, Unsent::BadState(error))
}

#[tokio::test(start_paused = true)]
async fn a_receipt_follows_when_the_peer_has_taken_the_part() {
    let (mut client, mut server) = served(http2()).await;
    client.request(request(1, Method::POST, Body::Streamed(None)));
    let (mut seen, _answer) = server.request().await;
    client.handle.send(part(1, "a", false, 1));
    server.settle().await;
    client.expect_only(&[Told::Sent(1)]).await;
    // The window is 65535 bytes, less one.
    client.handle.send(part(1, vec![0; 65_534], false, 2));
    client.handle.send(part(1, "beyond", false, 3));
    client.handle.send(part(1, "", true, 4));
    server.settle().await;
    client.expect_only(&[Told::Sent(2)]).await;
    let body = seen.body_mut();
    for _ in 0..5 {
        let bytes = std::future::poll_fn(|cx| body.poll_data(cx)).await.unwrap().unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    server.settle().await;
    server.settle().await;
    client.expect_only(&[Told::Sent(3), Told::Sent(4)]).await;
    client.handle.send(part(1, "more", true, 5));
    client.handle.send(part(9, "more", true, 6));
    client.handle.send(part(9, "", true, 7));
    server.settle().await;
    let told = [refused(5, BadState::BodyComplete), refused(6, BadState::NoStream), Told::Sent(7)];
    client.expect_only(&told).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_never_sent_says_so() {
    let (mut client, mut server) = served(http2()).await;
    for stream in [1, 2] {
        client.request(request(stream, Method::POST, Body::Streamed(None)));
    }
    let one = server.request().await;
    let two = server.request().await;
    client.handle.send(part(1, vec![0; 100_000], false, 1));
    client.handle.send(part(2, vec![0; 100_000], false, 2));
    server.settle().await;
    client.expect_only(&[]).await;
    client.handle.send(cancel(1));
    server.settle().await;
    client.expect_only(&[refused(1, BadState::NoStream)]).await;
    drop((one, two, server));
    let told = [Told::NotSent(2, Unsent::Down(Reason::Closed)), Told::Closed(2, Reason::Closed)];
    client.expect(&told).await;
    client.expect_only(&[down(Reason::Closed, &[2])]).await;
}
