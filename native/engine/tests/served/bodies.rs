//! Bodies, in both directions.

use std::io::Write;

use bytes::Bytes;
use gun_rs_engine::command::COMMAND;
use gun_rs_engine::{RequestBody, RequestData, ResponseBody, ServeOptions, StreamCommand};

use crate::harness::*;

#[test]
fn nothing_of_a_body_is_reported_before_it_is_allowed() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
    let asked = conn.request();
    assert_eq!(asked.body, RequestBody::Length(6));
    // A round trip through the task.
    conn.page(9, "");
    assert_eq!(conn.next(), Told::NoStream(9));
    conn.allow(asked.id, 1);
    assert_eq!(conn.next(), Told::Data(asked.id, false, b"abc".to_vec()));
    client.write("def");
    conn.page(9, "");
    assert_eq!(conn.next(), Told::NoStream(9));
    conn.allow(asked.id, 1);
    assert_eq!(conn.next(), Told::Data(asked.id, true, b"def".to_vec()));
    conn.page(asked.id, "done");
    assert_eq!(client.response().1, "done");
}

#[test]
fn a_chunked_body_is_reported_without_its_chunks() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(format!("{head}3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\n"));
    let asked = conn.request();
    assert_eq!(asked.body, RequestBody::Chunked);
    assert_eq!(conn.body(asked.id), b"abc0123456789");
    conn.page(asked.id, "done");
    client.get("/next");
    assert_eq!(conn.request().target, "/next");
}

#[test]
fn a_large_body_comes_as_it_is_taken() {
    const LEN: usize = 20_000_000;
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let bytes: Vec<u8> = (0..LEN).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let expected = bytes.clone();
    let mut stream = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        stream.write_all(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {LEN}\r\n\r\n").as_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let asked = conn.request();
    assert!(conn.body(asked.id) == expected);
    sender.join().unwrap();
    conn.page(asked.id, "done");
    assert_eq!(client.response().1, "done");
}

#[test]
fn a_100_is_sent_when_the_body_is_first_asked_for_and_only_then() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\n";
    client.write(head);
    let asked = conn.request();
    conn.allow(asked.id, 1);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.write("abc");
    assert_eq!(conn.next(), Told::Data(asked.id, true, b"abc".to_vec()));
    conn.page(asked.id, "done");
    assert_eq!(client.response().1, "done");
    // What is not asked for need not be sent, so that the connection cannot be used again.
    client.write(head);
    conn.page(conn.request().id, "no");
    assert!(client.rest_in_order().ends_with("\r\n\r\nno"));
    assert!(matches!(conn.next(), Told::Down(_)));
}

#[test]
fn a_body_that_nobody_reads_is_skipped_up_to_a_limit() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    conn.page(conn.request().id, "early");
    assert_eq!(client.response().1, "early");
    client.write(vec![b'a'; 1_000_000]);
    client.get("/next");
    let asked = conn.request();
    assert_eq!(asked.target, "/next");
    conn.page(asked.id, "next");
    assert_eq!(client.response().1, "next");
    // The client is not done when the connection closes: it has the response all the same.
    for coding in ["content-length: 1000001", "transfer-encoding: chunked"] {
        let (mut client, conn) = server.connect();
        client.write(format!("POST / HTTP/1.1\r\nhost: a\r\n{coding}\r\n\r\n"));
        let chunk = format!("{:x}\r\n{}\r\n", 1_000_001, "a".repeat(1_000_001));
        client.write(chunk);
        conn.page(conn.request().id, "early");
        assert!(client.rest_in_order().ends_with("\r\n\r\nearly"));
        drop(client);
        assert!(matches!(conn.next(), Told::Down(_)));
        conn.expect_end();
    }
}

#[test]
fn a_body_with_trailers_that_nobody_reads_is_skipped_to_its_end() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for parts in 0..3 {
        for cut in 0..20 {
            let body = "5;x\r\n01234\r\n0\r\nx: y\r\n\r\n";
            client.write(format!("{head}{}", &body[..cut]));
            let asked = loop {
                // What was allowed of the body before may still be reported.
                if let Told::Request(asked) = conn.next() {
                    break asked;
                }
            };
            conn.allow(asked.id, parts);
            conn.page(asked.id, "page");
            assert_eq!(client.response().1, "page");
            client.write(&body[cut..]);
        }
    }
}

#[test]
fn a_response_in_parts_has_chunks_or_the_length_that_was_announced() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.get("/");
    let id = conn.request().id;
    conn.respond(id, 200, &[], ResponseBody::Streamed(None));
    assert!(client.head().contains("\r\ntransfer-encoding: chunked\r\n"));
    conn.data(id, "abc", false);
    assert_eq!(client.until("abc\r\n"), "3\r\nabc\r\n");
    conn.data(id, "", false);
    conn.data(id, "defg", true);
    assert_eq!(client.until("0\r\n\r\n"), "4\r\ndefg\r\n0\r\n\r\n");
    client.get("/");
    let id = conn.request().id;
    conn.respond(id, 200, &[], ResponseBody::Streamed(Some(5)));
    conn.data(id, "abc", false);
    conn.data(id, "too long", false);
    assert!(matches!(conn.next(), Told::StreamError(of, _) if of == id));
    conn.data(id, "de", true);
    let (head, body) = client.response();
    assert!(head.contains("\r\ncontent-length: 5\r\n") && body == "abcde");
    client.get("/");
    let id = conn.request().id;
    conn.respond(id, 200, &[], ResponseBody::Streamed(Some(5)));
    conn.data(id, "abc", true);
    assert!(matches!(conn.next(), Told::StreamError(of, _) if of == id));
    assert!(matches!(conn.next(), Told::Down(_)));
    assert!(!client.rest().ends_with(b"abcde"));
}

#[test]
fn trailers_end_a_response_to_who_wants_them() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    for (te, end) in [("te: trailers\r\n", "x-sum: 1\r\n\r\n"), ("", "\r\n")] {
        client.write(format!("GET / HTTP/1.1\r\nhost: a\r\n{te}\r\n"));
        let id = conn.request().id;
        conn.respond(id, 200, &[("trailer", "x-sum")], ResponseBody::Streamed(None));
        conn.data(id, "abc", false);
        let fields = fields(&[("x-sum", "1")]);
        conn.handle.send(StreamCommand::ResponseTrailers(Box::new((id, fields))));
        client.head();
        assert_eq!(client.until("0\r\n"), "3\r\nabc\r\n0\r\n");
        assert_eq!(client.bytes(end.len()), end.as_bytes());
    }
}

#[test]
fn what_waits_to_be_sent_is_limited_and_counted_until_it_is_taken() {
    const LIMIT: usize = 4_000_000;
    let server = Server::start(ServeOptions { max_send_queue: Some(LIMIT), ..serve_options() });
    let (mut client, conn) = server.connect();
    client.get("/");
    let id = conn.request().id;
    conn.respond(id, 200, &[], ResponseBody::Streamed(None));
    let part = Bytes::from(vec![b'a'; 100_000]);
    let data = || RequestData { stream: id, caller: (), data: part.clone(), fin: false, receipt: None };
    let mut parts = 0;
    while conn.handle.try_send(StreamCommand::Data(Box::new(data()))).is_ok() {
        parts += 1;
        assert!(parts < 1000, "nothing limits what waits");
    }
    assert!(parts >= LIMIT / (100_000 + COMMAND));
    conn.data(id, "", true);
    client.until("0\r\n\r\n");
    client.get("/next");
    conn.request();
    assert_eq!(conn.handle.stats().queued, 0);
}

#[test]
fn a_file_is_sent_in_pieces_from_where_it_is_asked_for() {
    let path = std::env::temp_dir().join(format!("gun_rs-served-{}", std::process::id()));
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &bytes).unwrap();
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    for (offset, length) in [(0, 4_000_000), (12_345, 1_000_000), (3_999_999, 1), (5, 0)] {
        client.get("/");
        let file = ResponseBody::File { path: path.clone(), offset: offset as u64, length: length as u64 };
        conn.respond(conn.request().id, 200, &[], file);
        assert!(client.head().contains(&format!("\r\ncontent-length: {length}\r\n")));
        assert!(client.bytes(length) == bytes[offset..offset + length]);
    }
    // A file that has become shorter cannot be sent: the client learns it by the end of the connection.
    client.get("/");
    conn.respond(conn.request().id, 200, &[], ResponseBody::File { path: path.clone(), offset: 1, length: 4_000_000 });
    assert!(client.head().contains("\r\ncontent-length: 4000000\r\n"));
    assert!(client.rest().len() < 4_000_000);
    assert!(matches!(conn.next(), Told::StreamError(..)));
    assert!(matches!(conn.next(), Told::Down(_)));
    std::fs::remove_file(&path).unwrap();
    for path in [path, std::env::temp_dir()] {
        let (mut client, conn) = server.connect();
        client.get("/");
        conn.respond(conn.request().id, 200, &[], ResponseBody::File { path, offset: 0, length: 1 });
        assert!(client.rest_in_order().starts_with("HTTP/1.1 500 "));
    }
}
