//! Requests, and the responses to them.

use bytes::Bytes;
use gun_rs_engine::command::Inform;
use gun_rs_engine::{RequestBody, Respond, ResponseBody, StreamCommand};
use http::StatusCode;

use crate::harness::*;

#[test]
fn a_request_is_given_as_it_was_sent_and_answered_with_a_page() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    assert_eq!(conn.peer.local, Some(server.address()));
    assert_eq!(conn.peer.remote, client.stream.local_addr().ok());
    client.write("GET /a%20b//c?d=e&f HTTP/1.1\r\nHost: Example.org:80\r\nX-One: 1\r\nx-one: 2\r\n\r\n");
    let asked = conn.request();
    assert_eq!((&asked.method[..], &asked.target[..], asked.body), ("GET", "/a%20b//c?d=e&f", RequestBody::None));
    let headers: Vec<_> = asked.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [("host", "Example.org:80"), ("x-one", "1"), ("x-one", "2")]);
    let hello = ResponseBody::Whole(Bytes::from_static(b"hello"));
    conn.respond(asked.id, 203, &[("server", "me"), ("content-length", "99"), ("x-one", "1")], hello);
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 203 Non Authoritative Information\r\n"), "{head}");
    assert!(head.contains("\r\nserver: me\r\n") && head.contains("\r\nx-one: 1\r\n") && head.contains("\r\ndate: "));
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert_eq!(body, "hello");
}

#[test]
fn a_reason_phrase_is_sent_and_one_that_cannot_be_is_left_out() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    for (reason, line) in [("Fine", "HTTP/1.1 299 Fine\r\n"), ("No\r\nway", "HTTP/1.1 299 <none>\r\n")] {
        client.get("/");
        let respond = Respond {
            stream: conn.request().id,
            caller: (),
            status: StatusCode::from_u16(299).unwrap(),
            reason: Some(Bytes::copy_from_slice(reason.as_bytes())),
            headers: Vec::new(),
            body: ResponseBody::Whole(Bytes::new()),
        };
        conn.handle.send(StreamCommand::Respond(Box::new(respond)));
        assert!(client.response().0.starts_with(line));
    }
}

#[test]
fn a_connection_is_kept_alive_and_each_request_has_a_stream_of_its_own() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    for n in 1..=5 {
        client.get(&format!("/{n}"));
        let asked = conn.request();
        assert_eq!((asked.id, &asked.target[..]), (n, &format!("/{n}")[..]));
        conn.page(n, &format!("page {n}"));
        let (head, body) = client.response();
        assert_eq!(body, format!("page {n}"));
        assert!(!head.contains("connection:"), "{head}");
    }
    drop(client);
    assert_eq!(conn.next(), Told::Down("the connection was closed by the peer".into()));
    conn.expect_end();
}

#[test]
fn pipelined_requests_are_given_one_after_the_other_and_answered_in_order() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let requests: Vec<_> = (0..100)
        .map(|n| match n % 3 {
            0 => format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n"),
            1 => format!("\r\nPOST /{n} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
            _ => format!("POST /{n} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        })
        .collect();
    client.write(requests.concat());
    for n in 0..100 {
        let asked = conn.request();
        assert_eq!(asked.target, format!("/{n}"));
        assert!(conn.is_told_nothing());
        if n % 3 > 0 && n % 2 == 0 {
            assert_eq!(conn.body(asked.id), b"abc");
        }
        conn.page(asked.id, &n.to_string());
    }
    for n in 0..100 {
        assert_eq!(client.response().1, n.to_string());
    }
}

#[test]
fn a_response_to_head_and_a_204_and_a_304_have_no_body() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let head = |client: &mut Client, method: &str| {
        client.write(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
        conn.request().id
    };
    let hello = || ResponseBody::Whole(Bytes::from_static(b"hello"));
    let id = head(&mut client, "HEAD");
    conn.respond(id, 200, &[("content-length", "7")], hello());
    assert!(client.head().contains("\r\ncontent-length: 5\r\n"));
    let id = head(&mut client, "HEAD");
    conn.respond(id, 200, &[("content-length", "7")], ResponseBody::Whole(Bytes::new()));
    assert!(client.head().contains("\r\ncontent-length: 7\r\n"));
    let id = head(&mut client, "HEAD");
    conn.respond(id, 200, &[], ResponseBody::File { path: "/nowhere".into(), offset: 0, length: 77 });
    assert!(client.head().contains("\r\ncontent-length: 77\r\n"));
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 304)] {
        let id = head(&mut client, method);
        conn.respond(id, status, &[("content-length", "7")], hello());
        assert!(client.head().starts_with(&format!("HTTP/1.1 {status} ")));
    }
    // A body that is given in parts is thrown away, and the next request waits until it has been.
    for (method, status, length) in [("HEAD", 200, Some(3)), ("HEAD", 200, None), ("GET", 204, None)] {
        let id = head(&mut client, method);
        conn.respond(id, status, &[], ResponseBody::Streamed(length));
        let answer = client.head();
        assert_eq!(answer.contains("\r\ncontent-length: 3\r\n"), length.is_some(), "{answer}");
        client.get("/next");
        conn.data(id, "ab", false);
        conn.data(id, "c", true);
        let next = conn.request();
        assert_eq!(next.target, "/next");
        conn.page(next.id, "next");
        assert_eq!(client.response().1, "next");
    }
}

#[test]
fn informational_responses_come_before_the_response() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    client.get("/");
    for _ in 0..2 {
        let stream = conn.request().id;
        for link in ["</a>", "</b>"] {
            let status = StatusCode::EARLY_HINTS;
            let inform = Inform { stream, caller: (), status, headers: fields(&[("link", link)]) };
            conn.handle.send(StreamCommand::Inform(Box::new(inform)));
        }
        conn.page(stream, "page");
    }
    for _ in 0..2 {
        assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n");
        assert_eq!(client.response().1, "page");
    }
}

#[test]
fn http_1_0_is_answered_and_closed_unless_the_client_keeps_it_alive() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    conn.page(conn.request().id, "one");
    assert!(client.response().0.starts_with("HTTP/1.0 200 OK\r\n"));
    client.write("GET / HTTP/1.0\r\n\r\n");
    let asked = conn.request();
    conn.respond(asked.id, 200, &[], ResponseBody::Streamed(None));
    conn.data(asked.id, "two", true);
    let rest = client.rest_in_order();
    assert!(rest.ends_with("\r\n\r\ntwo") && !rest.contains("transfer-encoding"), "{rest}");
    assert_eq!(conn.next(), Told::Down("the connection ended normally".into()));
}

#[test]
fn a_response_to_no_request_and_a_second_one_are_refused() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    conn.page(7, "early");
    assert_eq!(conn.next(), Told::NoStream(7));
    client.get("/");
    let asked = conn.request();
    conn.page(asked.id, "once");
    conn.page(asked.id, "twice");
    assert_eq!(conn.next(), Told::NoStream(asked.id));
    conn.data(asked.id, "more", true);
    assert_eq!(conn.next(), Told::NoStream(asked.id));
    assert_eq!(client.response().1, "once");
    client.get("/");
    let asked = conn.request();
    conn.respond(asked.id, 100, &[], ResponseBody::Whole(Bytes::new()));
    assert!(matches!(conn.next(), Told::StreamError(id, _) if id == asked.id));
    conn.page(asked.id, "still here");
    assert_eq!(client.response().1, "still here");
}

#[test]
fn a_request_that_nobody_serves_is_answered_with_503() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/nobody");
    let rest = client.rest_in_order();
    assert!(rest.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && rest.contains("\r\nconnection: close\r\n"));
    assert!(matches!(conn.next(), Told::Down(_)));
    conn.expect_end();
}

#[test]
fn the_response_and_the_client_can_close_the_connection() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    client.get("/never");
    conn.respond(conn.request().id, 200, &[("connection", "Close")], ResponseBody::Whole(Bytes::from_static(b"bye")));
    assert!(client.rest_in_order().ends_with("\r\n\r\nbye"));
    assert!(matches!(conn.next(), Told::Down(_)));
    let (mut client, conn) = server.connect();
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    conn.page(conn.request().id, "bye");
    let rest = client.rest_in_order();
    assert!(rest.contains("\r\nconnection: close\r\n") && rest.ends_with("\r\n\r\nbye"), "{rest}");
    assert!(matches!(conn.next(), Told::Down(_)));
}
