//! Requests, and what is told of them.

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST};

use super::*;
use crate::command::COMMAND;
use crate::error::{BadState, Wait};
use crate::options::TooManyStreams;

#[tokio::test(start_paused = true)]
async fn requests_go_side_by_side_and_are_answered_in_any_order() {
    let (mut client, mut server) = served(http2()).await;
    for stream in 1..=3 {
        client.request(get(stream));
    }
    let mut answers = Vec::new();
    for _ in 1..=3 {
        let (request, answer) = server.request().await;
        assert_eq!(request.uri(), "http://localhost/");
        assert_eq!(request.headers()["content-length"], "0");
        assert!(request.body().is_end_stream());
        answers.push(answer);
    }
    for (at, stream) in [(2, 3), (0, 1), (1, 2)] {
        answers[at].send_response(response(204), true).unwrap();
        server.settle().await;
        client.expect_only(&[Told::Response(stream, Fin::Fin, 204)]).await;
    }
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_the_users_host_and_a_head_ends_at_once() {
    let (client, mut server) = served(http2()).await;
    let mut get = get(1);
    get.headers.push((HOST, HeaderValue::from_static("example.org")));
    client.request(get);
    let (seen, _) = server.request().await;
    assert_eq!(seen.uri(), "http://example.org/");
    assert!(!seen.headers().contains_key(HOST));
    for (stream, content) in [(2, Body::Whole(Bytes::from_static(b"body"))), (3, Body::Streamed(Some(4)))] {
        client.request(request(stream, Method::HEAD, content));
        let (seen, _) = server.request().await;
        assert!(seen.body().is_end_stream());
        assert_ne!(seen.headers().get(CONTENT_LENGTH), Some(&HeaderValue::from_static("4")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_no_request() {
    let (mut client, mut server) = served(http2()).await;
    client.request(request(1, Method::CONNECT, Body::Whole(Bytes::new())));
    client.expect_only(&[Told::StreamBadState(1, BadState::Tunnel)]).await;
    let mut bad = get(2);
    bad.headers.push((HOST, HeaderValue::from_static("two words")));
    client.request(bad);
    client.expect_only(&[Told::StreamBadState(2, BadState::InvalidHeader)]).await;
    server.settle().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_body_as_much_is_sent_as_fits_and_the_rest_counts_until_it_has_left() {
    let mut builder = Builder::new();
    builder.initial_window_size(10);
    let (mut client, mut server) = served_by(http2(), &builder).await;
    client.request(request(1, Method::POST, Body::Whole(Bytes::from(vec![b'a'; 25]))));
    let (seen, mut answer) = server.request().await;
    assert_eq!(seen.headers()[CONTENT_LENGTH], "25");
    let mut recv = seen.into_body();
    for (len, left) in [(10, 15), (10, 5), (5, 0)] {
        server.settle().await;
        assert_eq!(client.handle.stats().queued, left);
        let part = recv.data().await.unwrap().unwrap();
        assert_eq!(part.len(), len);
        recv.flow_control().release_capacity(len).unwrap();
    }
    assert!(recv.is_end_stream());
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_parts_ends_with_its_last_part() {
    let (mut client, mut server) = served(http2()).await;
    client.request(request(1, Method::POST, Body::Streamed(None)));
    let (seen, mut answer) = server.request().await;
    assert!(!seen.headers().contains_key(CONTENT_LENGTH));
    let mut recv = seen.into_body();
    client.handle.send(body(1, "hel", Fin::NoFin));
    server.settle().await;
    assert_eq!(recv.data().await.unwrap().unwrap(), "hel");
    // The response does not end the request.
    answer.send_response(response(200), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 200)]).await;
    client.handle.send(body(1, "lo", Fin::Fin));
    server.settle().await;
    assert_eq!(recv.data().await.unwrap().unwrap(), "lo");
    assert!(recv.is_end_stream());
    client.handle.send(body(1, "more", Fin::NoFin));
    client.expect_only(&[Told::NoStream(1, CALLER)]).await;

    client.request(request(2, Method::POST, Body::Streamed(Some(3))));
    let (seen, _answer) = server.request().await;
    assert_eq!(seen.headers()[CONTENT_LENGTH], "3");
    client.handle.send(body(2, "four", Fin::NoFin));
    client.handle.send(body(2, "two", Fin::NoFin));
    client.handle.send(body(2, "more", Fin::NoFin));
    client
        .expect_only(&[Told::StreamBadState(2, BadState::BodyTooLong), Told::StreamBadState(2, BadState::BodyTooLong)])
        .await;
    client.handle.send(body(2, "", Fin::Fin));
    client.handle.send(body(2, "", Fin::Fin));
    client.expect_only(&[Told::StreamBadState(2, BadState::BodyComplete)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_before_its_length_resets_its_stream_alone() {
    let (mut client, mut server) = served(http2()).await;
    client.request(request(1, Method::POST, Body::Streamed(Some(7))));
    let (seen, _answer) = server.request().await;
    client.handle.send(body(1, "hell", Fin::Fin));
    client.expect_only(&[Told::StreamBadState(1, BadState::BodyTooShort)]).await;
    server.settle().await;
    let error = seen.into_body().data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    client.request(get(2));
    let (_, mut answer) = server.request().await;
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_is_told_frame_by_frame() {
    let (mut client, mut server) = served(http2()).await;
    client.request(get(1));
    let (_, mut answer) = server.request().await;
    answer.send_informational(response(103)).unwrap();
    let mut send = answer.send_response(response(200), false).unwrap();
    for text in ["one", "two"] {
        send.send_data(text.into(), false).unwrap();
        server.settle().await;
    }
    let told = [
        Told::Inform(1, 103),
        Told::Response(1, Fin::NoFin, 200),
        data(1, Fin::NoFin, "one"),
        data(1, Fin::NoFin, "two"),
    ];
    client.expect_only(&told).await;
    send.send_trailers(HeaderMap::from_iter([(HOST, HeaderValue::from_static("x"))])).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Trailers(1, vec![("host".into(), "x".into())])]).await;

    client.request(get(2));
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(304), false).unwrap();
    send.send_data("last".into(), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(2, Fin::NoFin, 304), data(2, Fin::Fin, "last")]).await;

    client.request(get(3));
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(200), false).unwrap();
    send.send_data(Bytes::new(), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(3, Fin::NoFin, 200), data(3, Fin::Fin, "")]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_is_reset_and_nothing_more_is_told_of_it() {
    let (mut client, mut server) = served(http2()).await;
    client.request(get(1));
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(200), false).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200)]).await;
    let info = |stream, receipt| StreamCommand::Info(Box::new((stream, receipt)));
    client.handle.send(info(1, 9));
    client.expect_only(&[Told::StreamInfo(9, Known::Stream(1, true))]).await;
    send.send_data("late".into(), false).unwrap();
    client.handle.send(cancel(1));
    client.handle.send(cancel(1));
    client.handle.send(info(1, 9));
    client.expect_only(&[Told::NoStream(1, CALLER), Told::StreamInfo(9, Known::Nothing)]).await;
    server.settle().await;
    let reset = std::future::poll_fn(|cx| send.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, h2::Reason::CANCEL);
    client.request(get(2));
    server.request().await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_too_many_wait_or_fail() {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(1);
    let (mut client, mut server) = served_by(http2(), &builder).await;
    server.settle().await;
    for stream in 1..=3 {
        client.request(get(stream));
    }
    let (_, mut answer) = server.request().await;
    server.settle().await;
    client.handle.send(cancel(2));
    server.settle().await;
    answer.send_response(response(204), true).unwrap();
    let (_, mut answer) = server.request().await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204)]).await;
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(3, Fin::Fin, 204)]).await;

    let options = Http2Options { too_many_streams: TooManyStreams::Error, ..http2() };
    let (mut client, mut server) = served_by(options, &builder).await;
    server.settle().await;
    client.request(get(1));
    client.request(get(2));
    client.expect_only(&[Told::TooManyStreams(2)]).await;
    let (_, mut answer) = server.request().await;
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204)]).await;
    client.request(get(3));
    server.request().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_is_limited() {
    let mut builder = Builder::new();
    builder.initial_window_size(0);
    let options = Http2Options { max_send_queue: Some(10 + COMMAND), ..http2() };
    let (client, mut server) = served_by(options, &builder).await;
    server.settle().await;
    client.request(request(1, Method::POST, Body::Streamed(None)));
    let _request = server.request().await;
    client.handle.try_send(body(1, "12345678", Fin::NoFin)).unwrap();
    server.settle().await;
    assert_eq!(client.handle.stats().queued, 8 + COMMAND as u64);
    assert!(client.handle.try_send(body(1, "a lot more than that", Fin::Fin)).is_err());
    client.handle.send(cancel(1));
    settle().await;
    assert_eq!(client.handle.stats().queued, 0);
}

/// The server's half of a response that has so many bytes more to send than its window has room for.
async fn held_back(server: &mut Server, len: usize) -> SendStream<Bytes> {
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(200), false).unwrap();
    for _ in 0..len {
        send.send_data(Bytes::from_static(b"a"), false).unwrap();
    }
    server.settle().await;
    send
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_flow_holds_back_what_is_told_and_closes_the_window() {
    let options = Http2Options { initial_stream_window_size: 100, ..http2() };
    let (mut client, mut server) = served(options).await;
    client.request(Request { flow: Some(Flow::Messages(2)), ..get(1) });
    let mut send = held_back(&mut server, 150).await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), data(1, Fin::NoFin, "a"), data(1, Fin::NoFin, "a")]).await;
    // What h2 has not sent yet waits for the window.
    send.reserve_capacity(1);
    server.settle().await;
    assert_eq!(send.capacity(), 0);
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 1000));
    let mut bytes = 2;
    send.send_data(Bytes::new(), true).unwrap();
    loop {
        server.settle().await;
        let Ok(Told::Data(1, fin, text)) = client.told.try_recv() else { continue };
        bytes += text.len();
        if fin == Fin::Fin {
            break;
        }
    }
    assert_eq!(bytes, 150);
}

#[tokio::test(start_paused = true)]
async fn the_response_of_a_stream_that_is_held_up_holds_no_other_up() {
    let (mut client, mut server) = served(Http2Options { flow: Flow::Messages(1), ..http2() }).await;
    client.request(get(1));
    let _send = held_back(&mut server, 100_000).await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), data(1, Fin::NoFin, "a")]).await;
    client.request(get(2));
    let (_, mut answer) = server.request().await;
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 204)]).await;
    client.handle.send(cancel(1));
    server.settle().await;
    assert_eq!(client.told.try_recv().ok(), None);
}

#[tokio::test(start_paused = true)]
async fn what_one_stream_holds_up_takes_no_window_from_the_others() {
    let window = 65_535;
    let options =
        Http2Options { initial_stream_window_size: window, initial_connection_window_size: window, ..http2() };
    let (mut client, mut server) = served(options).await;
    client.request(Request { flow: Some(Flow::Messages(1)), ..get(1) });
    let mut held = held_back(&mut server, 1).await;
    held.send_data(vec![b'a'; 65_534].into(), false).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), data(1, Fin::NoFin, "a")]).await;
    client.request(get(2));
    let (_, mut answer) = server.request().await;
    answer.send_response(response(200), false).unwrap().send_data(vec![b'b'; 60_000].into(), true).unwrap();
    let mut bytes = 0;
    while bytes < 60_000 {
        server.settle().await;
        match client.told.try_recv() {
            Ok(Told::Data(2, _, text)) => bytes += text.len(),
            other => assert!(matches!(other, Err(_) | Ok(Told::Response(..))), "{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_come_in_time_is_reset_and_the_connection_lives() {
    let (mut client, mut server) = served(http2()).await;
    let limit = Some(Duration::from_secs(2));
    client.request(Request { response_timeout: limit, ..get(1) });
    let (_, mut first) = server.request().await;
    let began = tokio::time::Instant::now();
    client.expect_only(&[Told::TimedOut(1, Wait::Response)]).await;
    assert_eq!(began.elapsed().as_secs(), 2);
    server.settle().await;
    let reset = std::future::poll_fn(|cx| first.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, h2::Reason::CANCEL);

    client.request(Request { body_timeout: limit, ..get(2) });
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(200), false).unwrap();
    send.send_data("one".into(), false).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(2, Fin::NoFin, 200), data(2, Fin::NoFin, "one")]).await;
    client.expect_only(&[Told::TimedOut(2, Wait::Body)]).await;

    // It is the user who takes long.
    client.request(Request { response_timeout: limit, ..request(3, Method::POST, Body::Streamed(None)) });
    let (_, mut answer) = server.request().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    client.handle.send(body(3, "", Fin::Fin));
    server.settle().await;
    answer.send_response(response(204), true).unwrap();
    server.settle().await;
    client.expect_only(&[Told::Response(3, Fin::Fin, 204)]).await;
}
