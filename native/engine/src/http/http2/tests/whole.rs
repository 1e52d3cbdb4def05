//! Requests whose time is limited from the call to the end of the response.

use super::*;
use crate::command::{COMMAND, TimeLimit};
use crate::error::Wait;
use crate::options::TooManyStreams;

const TWO_SECONDS: Duration = Duration::from_secs(2);

fn limited(request: Request<Recorder>) -> Request<Recorder> {
    Request { timeout: Some(TimeLimit::from_now(TWO_SECONDS)), ..request }
}

fn late(stream: u32) -> Told {
    Told::TimedOut(stream, Wait::Whole)
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_time_is_over_is_reset_and_the_connection_lives() {
    let (mut client, mut server) = served(http2()).await;
    let began = tokio::time::Instant::now();
    client.request(limited(get(1)));
    client.request(get(2));
    let (_, mut silent) = server.request().await;
    let (_, mut other) = server.request().await;
    client.expect_only(&[late(1)]).await;
    assert_eq!(began.elapsed().as_secs(), 2);
    server.settle().await;
    assert_eq!(std::future::poll_fn(|cx| silent.poll_reset(cx)).await.unwrap(), h2::Reason::CANCEL);

    // Each part of the body comes soon, the last one too late.
    client.request(limited(get(3)));
    let (_, mut slow) = server.request().await;
    let mut send = slow.send_response(response(200), false).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(3, Fin::NoFin, 200)]).await;
    for _ in 0..3 {
        tokio::time::sleep(TWO_SECONDS / 4).await;
        send.send_data("a".into(), false).unwrap();
        server.settle().await;
        client.expect_only(&[data(3, Fin::NoFin, "a")]).await;
    }
    client.expect_only(&[late(3)]).await;
    client.handle.send(cancel(3));
    client.expect_only(&[Told::NoStream(3, CALLER)]).await;

    other.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_room_ends_alone() {
    let options = Http2Options { too_many_streams: TooManyStreams::Wait, ..http2() };
    let (mut client, mut server) = served_by(options, Builder::new().max_concurrent_streams(1)).await;
    server.settle().await;
    client.request(get(1));
    client.request(limited(get(2)));
    client.request(get(3));
    let (_, mut first) = server.request().await;
    client.expect_only(&[late(2)]).await;
    assert_eq!(client.handle.stats().queued, COMMAND as u64 + 1);
    first.send_response(response(204), true).unwrap();
    let (_, mut third) = server.request().await;
    client.expect(&[Told::Response(1, Fin::Fin, 204)]).await;
    third.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(3, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_in_time_is_the_end_though_the_request_goes_on() {
    let (mut client, mut server) = served(http2()).await;
    client.request(limited(request(1, Method::POST, Body::Streamed(None))));
    let (mut seen, mut answer) = server.request().await;
    answer.send_response(response(200), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 200)]).await;
    tokio::time::sleep(TWO_SECONDS * 2).await;
    client.handle.send(body(1, "all the same", Fin::Fin));
    server.settle().await;
    let part = std::future::poll_fn(|cx| seen.body_mut().poll_data(cx)).await;
    assert_eq!(part.unwrap().unwrap(), "all the same");
    client.expect_only(&[]).await;
}
