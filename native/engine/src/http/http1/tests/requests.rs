//! Requests, and what is told of them.

use bytes::Bytes;
use http::{Method, Uri};

use super::*;
use crate::command::{Body, COMMAND, Request, RequestData, StreamCommand};
use crate::options::Flow;

/// A request with nothing of its own but its body.
pub(super) fn request(stream: u32, method: Method, body: Body) -> StreamCommand<Recorder> {
    let target = Uri::from_static("/");
    StreamCommand::Request(Box::new(Request {
        stream,
        caller: CALLER,
        method,
        target,
        headers: Vec::new(),
        body,
        flow: None,
        response_timeout: None,
        body_timeout: None,
        timeout: None,
    }))
}

pub(super) fn get(stream: u32) -> StreamCommand<Recorder> {
    request(stream, Method::GET, Body::Whole(Bytes::new()))
}

pub(super) fn body(stream: u32, data: &'static str, fin: Fin) -> StreamCommand<Recorder> {
    let data = Bytes::from_static(data.as_bytes());
    StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data, fin: fin == Fin::Fin, receipt: None }))
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_their_turn_and_are_answered_in_order() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    for stream in 1..=3 {
        client.handle.send(get(stream));
    }
    for stream in 1..=3 {
        assert_eq!(peer.request().await["content-length"], "0");
        peer.expect_nothing().await;
        peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        client.expect_only(&[Told::Response(stream, Fin::Fin, 204)]).await;
    }
    peer.expect_nothing().await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_in_chunks_unless_its_length_is_announced() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    let headers = peer.request().await;
    assert_eq!(headers["transfer-encoding"], "chunked");
    assert!(!headers.contains_key("content-length"));
    client.handle.send(body(1, "hello", Fin::NoFin));
    client.handle.send(body(1, "", Fin::Fin));
    assert_eq!(peer.line().await, "5");
    assert_eq!(peer.line().await, "hello");
    assert_eq!((peer.line().await, peer.line().await), ("0".into(), String::new()));
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204)]).await;

    client.handle.send(request(2, Method::PUT, Body::Streamed(Some(7))));
    assert_eq!(peer.request().await["content-length"], "7");
    client.handle.send(body(2, "hell", Fin::NoFin));
    client.handle.send(body(2, "too long", Fin::NoFin));
    client.expect_only(&[Told::StreamBadState(2, BadState::BodyTooLong)]).await;
    client.handle.send(body(2, "o\r\n", Fin::NoFin));
    assert_eq!(peer.line().await, "hello");
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 204)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_before_its_length_takes_the_connection_down() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(Some(7))));
    peer.request().await;
    client.handle.send(body(1, "hell", Fin::Fin));
    let error = Told::StreamBadState(1, BadState::BodyTooShort);
    client.expect_only(&[error, down(Reason::RequestTooShort, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_is_limited_and_accounted_for() {
    let http = HttpOptions { max_send_queue: Some(10 + 3 * COMMAND), ..HttpOptions::default() };
    let (mut client, mut peer) = connected(with_http(http), BUFFER);
    client.handle.try_send(request(1, Method::POST, Body::Streamed(None))).unwrap();
    client.handle.try_send(get(2)).unwrap();
    client.handle.try_send(request(3, Method::POST, Body::Streamed(Some(8)))).unwrap();
    peer.request().await;
    client.handle.try_send(body(3, "12345678", Fin::NoFin)).unwrap();
    settle().await;
    // The targets of the two that wait count as well.
    assert_eq!(client.handle.stats().queued, 10 + 3 * COMMAND as u64);
    assert!(client.handle.try_send(body(3, "9", Fin::Fin)).is_err());
    client.handle.send(StreamCommand::Cancel(Box::new((3, CALLER))));
    settle().await;
    assert_eq!(client.handle.stats().queued, 1 + COMMAND as u64);
    drop(peer);
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect_only(&[closed(1), closed(2), down(Reason::Closed, &[1, 2])]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_flow_holds_the_server_back() {
    let (mut client, mut peer) = connected(options(), 1000);
    let StreamCommand::Request(mut request) = get(1) else { unreachable!() };
    request.flow = Some(Flow::Messages(1));
    client.handle.send(StreamCommand::Request(request));
    peer.request().await;
    let flood = tokio::spawn(async move {
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n").await;
        peer.write(vec![b'a'; 10_000_000]).await;
        peer
    });
    client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
    let mut received = 0;
    while received < 10_000_000 {
        let Some(Told::Data(1, _, data)) = client.next().await else { panic!("no data") };
        received += data.len();
        settle().await;
        assert!(client.told.try_recv().is_err());
        client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 1));
    }
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_a_cancelled_stream_nothing_is_told_and_the_next_one_has_its_turn() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    for stream in 1..=3 {
        client.handle.send(get(stream));
    }
    peer.request().await;
    for stream in [1, 2, 4] {
        client.handle.send(StreamCommand::Cancel(Box::new((stream, CALLER))));
    }
    client.expect_only(&[Told::NoStream(4, CALLER)]).await;
    for stream in 1..=3 {
        client.handle.send(StreamCommand::Info(Box::new((stream, 70 + stream))));
    }
    client.expect(&[Told::StreamInfo(71, Known::Stream(1, false)), Told::StreamInfo(72, Known::Nothing)]).await;
    client.expect_only(&[Told::StreamInfo(73, Known::Stream(3, true))]).await;
    peer.write("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    peer.request().await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(3, Fin::Fin, 204)]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_cancelled_or_answered_too_early_takes_the_connection_down() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    peer.request().await;
    client.handle.send(StreamCommand::Cancel(Box::new((1, CALLER))));
    client.expect_only(&[down(Reason::Normal, &[1])]).await;
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    peer.request().await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204), down(Reason::Normal, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_last_response_it_is_ends_normally() {
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0",
        "HTTP/1.0 200 OK\r\ncontent-length: 0",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked",
    ] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.handle.send(get(1));
        client.handle.send(get(2));
        peer.request().await;
        let fin = if head.contains("chunked") { Fin::NoFin } else { Fin::Fin };
        let body = if fin == Fin::NoFin { "0\r\n\r\n" } else { "" };
        // What follows the body is no answer to the second request.
        peer.write(format!("{head}\r\n\r\n{body}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
        client.expect(&[Told::Response(1, fin, 200)]).await;
        if fin == Fin::NoFin {
            client.expect(&[Told::ConnectionCloses(2), Told::Data(1, Fin::Fin, String::new())]).await;
        } else {
            client.expect(&[Told::ConnectionCloses(2)]).await;
        }
        client.expect_only(&[down(Reason::Normal, &[])]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_response_is_no_answer_to_the_next_request() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    client.handle.send(get(2));
    peer.request().await;
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    peer.write(format!("{response}{response}")).await;
    client.expect(&[Told::Response(1, Fin::Fin, 200)]).await;
    client.expect_only(&[Told::Closed(2, Reason::Normal), down(Reason::Normal, &[2])]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_asked_to_switch_protocols() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    let request = peer.request().await;
    assert!(!request.contains_key("upgrade"));
    peer.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n").await;
    client.expect_only(&[Told::Closed(1, Reason::Http), down(Reason::Http, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bare_line_feed_in_the_head_is_an_error() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\na: b\ncontent-length: 0\r\n\r\n").await;
    client.expect_only(&[Told::Closed(1, Reason::Http), down(Reason::Http, &[1])]).await;
}

#[tokio::test(start_paused = true)]
async fn trailers_over_their_limit_are_an_error() {
    for len in [9_990, 10_000, 100_001] {
        let (mut client, mut peer) = connected(options(), 1 << 20);
        client.handle.send(get(1));
        peer.request().await;
        let trailer = "a".repeat(len);
        let write =
            peer.write(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: {trailer}\r\n\r\n"));
        let told = async {
            client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
            if len < 10_000 {
                return client.expect_only(&[Told::Trailers(1, vec![("a".into(), trailer.clone())])]).await;
            }
            client.expect(&[Told::ConnectionError(Reason::LimitReached)]).await;
            client.expect(&[Told::Closed(1, Reason::LimitReached), down(Reason::LimitReached, &[1])]).await;
        };
        tokio::join!(write, told);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_alive_by_empty_lines() {
    let http = HttpOptions { keepalive: Some(Duration::from_secs(5)), ..HttpOptions::default() };
    let (mut client, mut peer) = connected(with_http(http), BUFFER);
    assert_eq!(peer.line().await, "");
    assert_eq!(peer.line().await, "");
    client.handle.send(get(1));
    peer.request().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    // Not while a response is awaited.
    peer.expect_nothing().await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.expect_only(&[Told::Response(1, Fin::Fin, 204)]).await;
    assert_eq!(peer.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_ends_the_connection_after_send_timeout() {
    let mut options = options();
    options.tcp.send_timeout = Some(Duration::from_secs(15));
    let (mut client, mut peer) = connected(options, 1000);
    client.handle.send(request(1, Method::POST, Body::Whole(vec![0; 1_000_000].into())));
    // As long as it takes a little, it takes enough.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        peer.take(100).await;
    }
    let began = Instant::now();
    client.expect_only(&[Told::Closed(1, Reason::SendTimeout), down(Reason::SendTimeout, &[1])]).await;
    assert!((15..=30).contains(&began.elapsed().as_secs()));
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn http_1_0_is_spoken_where_it_is_asked_for() {
    let http = HttpOptions { version: HttpVersion::Http10, title_case_headers: true, ..HttpOptions::default() };
    let (mut client, mut peer) = connected(with_http(http), BUFFER);
    client.handle.send(request(1, Method::POST, Body::Streamed(None)));
    client.expect_only(&[Told::StreamBadState(1, BadState::ChunkedOverHttp10)]).await;
    client.handle.send(get(2));
    assert_eq!(peer.line().await, "GET / HTTP/1.0");
    assert_eq!(peer.line().await, "Host: localhost");
    assert_eq!(peer.line().await, "Content-Length: 0");
    peer.write("HTTP/1.0 200 OK\r\n\r\nhello").await;
    drop(peer);
    client.expect(&[Told::Response(2, Fin::NoFin, 200), Told::Data(2, Fin::NoFin, "hello".into())]).await;
    client.expect_only(&[Told::Data(2, Fin::Fin, String::new()), down(Reason::Closed, &[])]).await;
}

/// A response in chunks of a byte, as many as that.
/// A response in so many chunks, each of which is read by itself where nothing holds that up.
async fn respond_in_chunks(peer: &mut Peer, count: usize) {
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..count {
        peer.write("1\r\nx\r\n").await;
        settle().await;
    }
    peer.write("0\r\n\r\n").await;
}

/// Everything that is told until nothing more is: the parts of bodies are counted, and their bytes.
async fn parts(client: &mut Client) -> (usize, usize, Vec<Told>) {
    let (mut parts, mut bytes, mut others) = (0, 0, Vec::new());
    // The clock is paused: it goes on when nothing is left to happen meanwhile.
    let mut quiet = 0;
    while quiet < 50 {
        settle().await;
        quiet += 1;
        while let Ok(told) = client.told.try_recv() {
            quiet = 0;
            match told {
                Told::Data(_, fin, data) => {
                    parts += 1;
                    bytes += data.len();
                    others.extend((fin == Fin::Fin).then(|| Told::Data(0, fin, String::new())));
                }
                other => others.push(other),
            }
        }
    }
    (parts, bytes, others)
}

#[tokio::test(start_paused = true)]
async fn whoever_hands_responses_on_is_waited_for_all_streams_together() {
    let (mut client, mut peer) = connected(options(), 1 << 20);
    for _ in 0..3 {
        client.handle.send(request(RELAYED, Method::GET, Body::Whole(Bytes::new())));
    }
    let respond = tokio::spawn(async move {
        for _ in 0..3 {
            respond_in_chunks(&mut peer, 100).await;
        }
        peer
    });
    let response = Told::Response(RELAYED, Fin::NoFin, 200);
    // The head of a response is told too.
    let (told, mut all, others) = parts(&mut client).await;
    assert_eq!(others.iter().filter(|told| **told == Told::RelayCheck).count(), 1);
    let heads = others.iter().filter(|told| **told == response).count();
    assert_eq!(told + heads, 128, "{others:?}");
    for _ in 0..2 {
        client.handle.send(Command::RelayGrant);
        all += parts(&mut client).await.1;
    }
    assert_eq!(all, 300);
    respond.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_of_a_response_is_asked_under_auto_and_cancelled_streams_are_not() {
    let (mut client, mut peer) = connected(options(), 1 << 20);
    for stream in [1, 2] {
        let StreamCommand::Request(mut request) = get(stream) else { unreachable!() };
        request.flow = Some(Flow::Auto);
        client.handle.send(StreamCommand::Request(request));
    }
    respond_in_chunks(&mut peer, 5000).await;
    let asked = [Told::Response(1, Fin::NoFin, 200), Told::FlowCheck(1, 2048)];
    let (told, bytes, others) = parts(&mut client).await;
    assert_eq!((told, bytes, &others[..]), (4096, 4096, &asked[..]));
    // That is another's.
    client.handle.send(StreamCommand::FlowGrant(Box::new(2)));
    assert_eq!(parts(&mut client).await, (0, 0, vec![]));
    client.handle.send(StreamCommand::FlowGrant(Box::new(1)));
    // The second one is asked for by now.
    let (told, bytes, others) = parts(&mut client).await;
    assert_eq!((bytes, others), (904, vec![Told::Data(0, Fin::Fin, String::new())]));
    assert!(told <= 4, "what has piled up came in {told} parts");
    client.handle.send(StreamCommand::Cancel(Box::new((2, CALLER))));
    respond_in_chunks(&mut peer, 5000).await;
    assert_eq!(parts(&mut client).await, (0, 0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_one_read_brings_of_a_body_is_told_at_once() {
    let (mut client, mut peer) = connected(options(), 1 << 20);
    for stream in 1..=2 {
        client.handle.send(get(stream));
    }
    peer.request().await;
    let part = |stream, fin, text: &str| Told::Data(stream, fin, text.into());
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3\r\nd").await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), part(1, Fin::NoFin, "abcd")]).await;
    peer.write("ef\r\n1;x=y\r\ng\r\n").await;
    client.expect_only(&[part(1, Fin::NoFin, "efg")]).await;
    peer.write("1\r\nh\r\n1\r\ni\r\n0\r\n\r\n").await;
    client.expect_only(&[part(1, Fin::Fin, "hi")]).await;
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.expect_only(&[Told::Response(2, Fin::NoFin, 200)]).await;
    peer.write("1\r\na\r\n1\r\nb\r\n0\r\nx: y\r\n\r\n").await;
    client.expect_only(&[part(2, Fin::NoFin, "ab"), Told::Trailers(2, vec![("x".into(), "y".into())])]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_read_brought_before_a_fault_or_the_end_is_told_before_it() {
    for (rest, reason) in [("1\r\nb\r\nX", Reason::Http), ("1\r\nb\r\n", Reason::Closed)] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.handle.send(get(1));
        peer.request().await;
        peer.write(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n{rest}")).await;
        drop(peer);
        let (told, bytes, others) = parts(&mut client).await;
        assert_eq!((told, bytes), (1, 2), "{rest}");
        assert_eq!(others.last(), Some(&Told::Down(Http, reason, vec![1])), "{rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_ends_http_and_is_refused_where_it_would_mean_nothing() {
    let ping = || Command::Ping(Box::new(crate::command::Ping { tunnel: None, caller: CALLER, name: 9 }));
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    client.handle.send(ping());
    let reason = Reason::PingUnsupported;
    client.expect_only(&[Told::PingEnds(9), Told::Closed(1, reason.clone()), Told::Down(Http, reason, vec![1])]).await;
    let refused = Told::BadState(CALLER, crate::error::BadState::Ping);
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(1));
    peer.request().await;
    client.handle.send(Command::Shutdown);
    client.handle.send(ping());
    client.expect_only(std::slice::from_ref(&refused)).await;
    let (mut client, _peer) = open(options(), BUFFER).await;
    client.handle.send(ping());
    client.expect_only(&[refused]).await;
}
