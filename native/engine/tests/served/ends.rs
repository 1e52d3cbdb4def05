//! Connections that end with a request under way, or with none.

use std::time::Duration;

use bytes::Bytes;
use gun_rs_engine::{Command, ResponseBody, ServeOptions, StreamCommand};

use crate::harness::*;

#[test]
fn whoever_serves_a_request_learns_that_the_client_is_gone() {
    let server = Server::start(serve_options());
    let gone = Told::StreamError(1, "the connection was closed by the peer".into());
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    drop(client);
    assert_eq!(conn.next(), gone);
    assert_eq!(conn.next(), Told::Down("the connection was closed by the peer".into()));
    conn.expect_end();
    // In the midst of a response.
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    conn.respond(1, 200, &[], ResponseBody::Streamed(None));
    conn.data(1, "a part", false);
    client.until("a part");
    drop(client);
    let part = Bytes::from(vec![b'a'; 100_000]);
    conn.data(1, part, false);
    assert!(matches!(conn.next(), Told::StreamError(1, _)));
    assert!(matches!(conn.next(), Told::Down(_)));
    conn.expect_end();
    // In the midst of a request.
    let (mut client, conn) = server.connect();
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc");
    conn.request();
    conn.allow(1, 9);
    assert_eq!(conn.next(), Told::Data(1, false, b"abc".to_vec()));
    client.shut();
    assert_eq!(conn.next(), gone);
    assert!(matches!(conn.next(), Told::Down(_)));
    server.await_counts(|counts| counts.active == 0);
}

#[test]
fn a_response_under_way_is_cut_when_who_gives_it_is_gone() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    conn.respond(1, 200, &[], ResponseBody::Streamed(None));
    conn.data(1, "a part", false);
    client.until("a part\r\n");
    conn.handle.send(StreamCommand::CloseWith(Box::new((None, 1011))));
    assert_eq!(client.rest(), b"");
    assert_eq!(conn.next(), Told::Down("the connection ended normally".into()));
    conn.expect_end();
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    drop(conn);
    assert_eq!(client.rest(), b"");
    server.await_counts(|counts| counts.active == 0);
}

#[test]
fn a_shutdown_finishes_the_response_under_way_and_takes_no_further_request() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    client.get("/never");
    conn.request();
    conn.handle.send(Command::Shutdown);
    conn.respond(1, 200, &[], ResponseBody::Streamed(Some(6)));
    conn.data(1, "abc", false);
    conn.data(1, "def", true);
    let (head, body) = client.response();
    assert!(head.contains("\r\nconnection: close\r\n") && body == "abcdef", "{head}");
    assert_eq!(client.rest_in_order(), "");
    drop(client);
    assert_eq!(conn.next(), Told::ShutDown);
    conn.expect_end();
    // One that has begun to answer, and one that has nothing to do.
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    conn.respond(1, 200, &[], ResponseBody::Streamed(Some(6)));
    client.head();
    conn.handle.send(Command::Shutdown);
    conn.data(1, "abcdef", true);
    assert_eq!(client.rest_in_order(), "abcdef");
    assert_eq!(conn.next(), Told::ShutDown);
    let (mut client, conn) = server.connect();
    conn.handle.send(Command::Shutdown);
    assert_eq!(client.rest_in_order(), "");
    assert_eq!(conn.next(), Told::ShutDown);
    conn.expect_end();
}

#[test]
fn a_shutdown_waits_for_a_response_only_so_long() {
    let closing_timeout = Some(Duration::from_millis(50));
    let server = Server::start(ServeOptions { closing_timeout, ..serve_options() });
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.request();
    conn.handle.send(Command::Shutdown);
    assert_eq!(conn.next(), Told::StreamError(1, "ShutDown".into()));
    assert_eq!(conn.next(), Told::ShutDown);
    conn.expect_end();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_client_that_goes_on_sending_is_left_after_a_while() {
    let linger_timeout = Duration::from_millis(50);
    let server = Server::start(ServeOptions { linger_timeout, ..serve_options() });
    let (mut client, conn) = server.connect();
    client.write("nonsense\r\n\r\n");
    assert!(client.rest_in_order().starts_with("HTTP/1.1 400 "));
    // It is still open on this side.
    assert!(matches!(conn.next(), Told::Down(_)));
    conn.expect_end();
}
