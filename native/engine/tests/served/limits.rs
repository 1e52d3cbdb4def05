//! Requests that are none, or too large, and clients that take too long.

use std::time::{Duration, Instant};

use gun_rs_engine::ServeOptions;

use crate::harness::*;

/// Long enough for a loaded machine to answer within it.
const SHORT: Duration = Duration::from_millis(300);

/// What a client is answered that sends this, when nobody sees a request of it.
fn answer(options: ServeOptions, sent: &str) -> String {
    let server = Server::start(options);
    let (mut client, conn) = server.connect();
    client.write(sent);
    let answer = client.rest_in_order();
    drop(client);
    assert!(matches!(conn.next(), Told::Down(_)), "{sent:?}");
    conn.expect_end();
    answer
}

#[test]
fn each_limit_on_a_head_has_its_status() {
    let options = ServeOptions {
        max_request_line: 100,
        max_head_size: 500,
        max_headers: 5,
        max_header_name: 20,
        max_header_value: 50,
        ..serve_options()
    };
    let long = "a".repeat(101);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"), "414 URI Too Long"),
        (format!("{long}{long}"), "414 URI Too Long"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{long}: x\r\n\r\n"), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(5)), "431 Request Header Fields Too Large"),
        ("GET / HTTP/1.1\r\n".to_owned() + &"x: y\r\n".repeat(10_000), "431 Request Header Fields Too Large"),
    ] {
        let answer = answer(options.clone(), &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\nconnection: close\r\n")), "{request:?}: {answer}");
    }
}

#[test]
fn the_status_of_a_head_that_is_too_large_may_be_another() {
    let options = ServeOptions { head_too_large: 400, max_headers: 2, ..serve_options() };
    let answer = answer(options, &format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(5)));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_head_within_the_limits_is_served() {
    let options = ServeOptions { max_request_line: 20, max_head_size: 100, max_headers: 2, ..serve_options() };
    let server = Server::start(options);
    let (mut client, conn) = server.connect();
    let line = "GET /123456 HTTP/1.1";
    assert_eq!(line.len(), 20);
    let value = "x".repeat(100 - line.len() - 18);
    client.write(format!("{line}\r\nhost: a\r\nx: {value}\r\n\r\n"));
    conn.page(conn.request().id, "page");
    assert_eq!(client.response().1, "page");
    let (mut client, conn) = server.connect();
    client.write(format!("{line}\r\nhost: a\r\nx: {value}x\r\n\r\n"));
    assert!(client.rest_in_order().starts_with("HTTP/1.1 431 "));
    drop(client);
    assert!(matches!(conn.next(), Told::Down(_)));
}

#[test]
fn what_is_no_request_is_answered_with_400_and_closed() {
    for request in [
        "nonsense\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/3.7\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx : z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n x\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}hello in TLS",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = answer(serve_options(), request);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n") && answer.contains("\r\ndate: "), "{answer}");
    }
    assert!(answer(serve_options(), "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n").starts_with("HTTP/1.1 501 "));
}

#[test]
fn a_bad_chunk_is_answered_with_400_while_the_response_is_awaited() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n");
    let asked = conn.request();
    conn.allow(asked.id, 5);
    assert_eq!(conn.next(), Told::Data(asked.id, false, b"abc".to_vec()));
    assert!(matches!(conn.next(), Told::StreamError(of, _) if of == asked.id));
    conn.page(asked.id, "late");
    let answer = client.rest_in_order();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    drop(client);
    // The end may come first.
    assert!(matches!(conn.next(), Told::NoStream(_) | Told::Down(_)));
}

#[test]
fn a_fault_behind_a_request_does_not_cut_the_response_to_it() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    client.write("nonsense\n");
    let asked = conn.request();
    let page = "a".repeat(1_000_000);
    conn.page(asked.id, &page);
    assert!(client.response().1 == page);
    assert!(client.rest_in_order().starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_client_that_sends_no_request_in_time_is_told_only_if_it_has_begun() {
    let server = Server::start(ServeOptions { request_timeout: Some(SHORT), ..serve_options() });
    let begin = Instant::now();
    let (mut client, conn) = server.connect();
    assert_eq!(client.rest_in_order(), "");
    assert!(begin.elapsed() >= SHORT);
    assert!(matches!(conn.next(), Told::Down(_)));
    let (mut client, conn) = server.connect();
    client.write("GET / HTT");
    assert!(client.rest_in_order().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    drop(client);
    assert!(matches!(conn.next(), Told::Down(_)));
}

#[test]
fn the_time_for_a_request_does_not_run_while_another_is_served() {
    let server = Server::start(ServeOptions { request_timeout: Some(SHORT), ..serve_options() });
    let (mut client, conn) = server.connect();
    client.get("/");
    let asked = conn.request();
    std::thread::sleep(2 * SHORT);
    let begin = Instant::now();
    conn.page(asked.id, "page");
    assert_eq!(client.response().1, "page");
    assert_eq!(client.rest_in_order(), "");
    assert!(begin.elapsed() >= SHORT);
    assert!(matches!(conn.next(), Told::Down(_)));
}

#[test]
fn a_client_that_sends_nothing_of_its_body_is_given_up() {
    let server = Server::start(ServeOptions { idle_timeout: Some(SHORT), ..serve_options() });
    let (mut client, conn) = server.connect();
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na");
    let asked = conn.request();
    // Nobody wants it yet.
    std::thread::sleep(2 * SHORT);
    conn.allow(asked.id, 3);
    assert_eq!(conn.next(), Told::Data(asked.id, false, b"a".to_vec()));
    assert_eq!(conn.next(), Told::StreamError(asked.id, "Timeout(Body)".into()));
    assert!(client.rest_in_order().starts_with("HTTP/1.1 408 "));
    drop(client);
    assert_eq!(conn.next(), Told::Down("the next part of the body did not come in time".into()));
}

#[test]
fn a_client_that_takes_nothing_of_a_response_is_given_up() {
    for (send_timeout, idle_timeout) in [(Some(SHORT), None), (None, Some(SHORT))] {
        let server = Server::start(ServeOptions { send_timeout, idle_timeout, ..serve_options() });
        let (mut client, conn) = server.connect();
        client.get("/");
        let asked = conn.request();
        conn.page(asked.id, &"a".repeat(100_000_000));
        assert!(matches!(conn.next(), Told::StreamError(of, _) if of == asked.id));
        assert_eq!(conn.next(), Told::Down("the peer took no data for the send timeout".into()));
        conn.expect_end();
        assert!(client.rest().len() < 100_000_000);
    }
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let server = Server::start(ServeOptions { max_keepalive: Some(3), ..serve_options() });
    let (mut client, conn) = server.connect();
    for n in 1..=3 {
        client.get("/");
        conn.page(conn.request().id, "page");
        assert_eq!(client.response().0.contains("\r\nconnection: close\r\n"), n == 3);
    }
    assert_eq!(client.rest_in_order(), "");
    assert_eq!(conn.next(), Told::Down("the connection ended normally".into()));
}
