use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Uri};
use tokio::io::AsyncReadExt;

use crate::command::{Body, Command, Outgoing, Ping, Reply, Request, RequestData, StreamCommand};
use crate::error::BadState;
use crate::event::ProtocolName;
use crate::options::{ConnectOptions, First, Flow, RawOptions};
use crate::testing::{
    BUFFER, CALLER, Client, Fin, Known, OWNER, Peer, Reason, Recorder, STREAM, Told, UNNAMED_FROM, connected, options,
    text, upgrade,
};

fn raw() -> ConnectOptions {
    ConnectOptions { first: First::Raw, ..options() }
}

fn data(stream: u32, data: &'static str, fin: bool) -> StreamCommand<Recorder> {
    let data = Bytes::from_static(data.as_bytes());
    StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data, fin, receipt: None }))
}

fn told(stream: u32, data: &str) -> Told {
    Told::Data(stream, Fin::NoFin, data.into())
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways_as_they_are() {
    let (mut client, mut peer) = connected(raw(), BUFFER);
    client.handle.try_send(data(OWNER, "GET me\n", false)).unwrap();
    peer.take_received(b"GET me\n").await;
    peer.write("anything").await;
    client.expect(&[told(OWNER, "anything")]).await;
    drop(peer);
    client.expect(&[Told::Down(ProtocolName::Raw, Reason::Closed, vec![])]).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_is_sent_leaves_the_other_direction_open() {
    let (mut client, mut peer) = connected(raw(), 4);
    client.handle.try_send(data(OWNER, "a long question", false)).unwrap();
    client.handle.try_send(data(OWNER, "!", true)).unwrap();
    let mut question = String::new();
    peer.io.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "a long question!");
    peer.write("yes").await;
    client.expect(&[told(OWNER, "yes")]).await;
    client.handle.try_send(data(OWNER, "more", false)).unwrap();
    client.expect(&[Told::Refused(OWNER, CALLER, BadState::BodyComplete)]).await;
    drop(peer);
    client.expect(&[Told::Down(ProtocolName::Raw, Reason::Closed, vec![])]).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_the_flow_allows() {
    let options = RawOptions { flow: Flow::Messages(1), max_send_queue: None };
    let (mut client, mut peer) = connected(ConnectOptions { raw: options, ..raw() }, BUFFER);
    peer.write("one").await;
    client.expect_only(&[told(OWNER, "one")]).await;
    peer.write("two").await;
    client.expect_only(&[]).await;
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(STREAM)), 2));
    client.expect(&[told(OWNER, "two")]).await;
    peer.write("three").await;
    client.expect_only(&[told(OWNER, "three")]).await;
}

#[tokio::test(start_paused = true)]
async fn what_needs_streams_is_refused() {
    let (mut client, _peer) = connected(raw(), BUFFER);
    client.handle.send(upgrade(STREAM));
    client.handle.try_send(data(STREAM, "x", false)).unwrap();
    client.handle.send(StreamCommand::Cancel(Box::new((STREAM, CALLER))));
    client.handle.send(StreamCommand::Info(Box::new((STREAM, 5))));
    client.handle.send(Command::Ping(Box::new(Ping { tunnel: None, caller: CALLER, name: 9 })));
    let frames = Outgoing::new(None, Reply::Caller(CALLER), vec![text("a")]);
    client.handle.try_send(StreamCommand::Send(Box::new(frames))).unwrap();
    client
        .expect(&[
            Told::BadState(CALLER, BadState::OnlyRaw),
            Told::NoStream(STREAM, CALLER),
            Told::NoStream(STREAM, CALLER),
            Told::StreamInfo(5, Known::Nothing),
            Told::BadState(CALLER, BadState::NoPing),
            Told::BadState(CALLER, BadState::OnlyRaw),
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_at_once() {
    let (mut client, _peer) = connected(raw(), BUFFER);
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
}

/// A request that asks for another protocol, and the server's answer.
async fn asked(offer: &'static str, answer: &str) -> (Client, Peer) {
    let (client, mut peer) = connected(options(), BUFFER);
    let headers = vec![(CONNECTION, HeaderValue::from_static("upgrade")), (UPGRADE, HeaderValue::from_static(offer))];
    client.handle.send(StreamCommand::Request(Box::new(Request {
        stream: STREAM,
        caller: CALLER,
        method: Method::GET,
        target: Uri::from_static("/"),
        headers,
        body: Body::Whole(Bytes::new()),
        flow: None,
        response_timeout: None,
        body_timeout: None,
        timeout: None,
    })));
    peer.request().await;
    peer.write(format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{answer}\r\nearly")).await;
    (client, peer)
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_was_asked_for_goes_on_with_bytes() {
    let (mut client, mut peer) = asked("foo, bar/2", "upgrade: BAR/2\r\n").await;
    let stream = UNNAMED_FROM + STREAM;
    client.expect(&[Told::Switched(STREAM), told(stream, "early")]).await;
    client.handle.try_send(data(stream, "hi", true)).unwrap();
    peer.take_received(b"hi").await;
    peer.expect_end().await;
    drop(peer);
    client.expect(&[Told::Down(ProtocolName::Raw, Reason::Closed, vec![])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_was_not_asked_for_ends_the_connection() {
    for answer in ["", "upgrade: baz\r\n", "upgrade: \r\n"] {
        let (mut client, _peer) = asked("foo, bar/2", answer).await;
        client
            .expect(&[Told::Closed(STREAM, Reason::Http), Told::Down(ProtocolName::Http, Reason::Http, vec![STREAM])])
            .await;
    }
}
