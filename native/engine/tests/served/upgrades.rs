//! Requests that become WebSockets.

use std::sync::mpsc::channel;

use gun_rs_engine::command::{Item, Reply};
use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
use gun_rs_engine::websocket::frame::{Opcode, encode, encode_as, encode_close};
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::{
    Command, ConnectOptions, Event, Message, Outgoing, ResponseBody, Sink, StreamCommand, Upgrade, WsOptions, spawn,
};

use crate::harness::*;

/// The example of RFC 6455, 1.3.
const REQUEST: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// A text frame of a client's.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, Opcode::Text, text.as_bytes());
    bytes
}

/// The same of a server's.
fn served_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_as(Role::Server, &mut bytes, Opcode::Text, false, text.as_bytes());
    bytes
}

fn close(code: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_close(&mut bytes, code, b"");
    bytes
}

/// A WebSocket, by hand.
fn open(server: &Server) -> (Client, Conn) {
    let (mut client, conn) = server.connect();
    client.write(REQUEST);
    let asked = conn.request();
    conn.accept(&asked, WsOptions::default());
    client.head();
    assert_eq!(conn.next(), Told::Upgraded(asked.id));
    (client, conn)
}

#[test]
fn an_upgrade_is_answered_with_101_and_frames_in_the_same_packet_are_received() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write([REQUEST.as_bytes(), &text("one"), &text("two")].concat());
    let asked = conn.request();
    assert_eq!(asked.target, "/chat");
    conn.accept(&asked, WsOptions::default());
    conn.send_text("first");
    assert_eq!(conn.next(), Told::Upgraded(asked.id));
    assert_eq!([conn.next(), conn.next()], [Told::Text("one".into()), Told::Text("two".into())]);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    for line in ["connection: Upgrade", "upgrade: websocket", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(head.contains("\r\nx-one: 1\r\n") && !head.contains("content-length"), "{head}");
    assert_eq!(client.bytes(7), served_text("first"));
    assert_eq!(server.listener.counts().upgraded, 1);
    assert_eq!(server.listener.counts().active, 0);
    client.write(close(1000));
    assert_eq!(client.bytes(4), [0x88, 2, 3, 0xe8]);
    assert_eq!(conn.next(), Told::Close(Some(1000)));
    assert_eq!(conn.next(), Told::Down("the connection ended normally".into()));
    conn.expect_end();
    server.await_counts(|counts| counts.upgraded == 0);
}

#[test]
fn what_is_asked_of_a_websocket_right_behind_its_101_is_done() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write(REQUEST);
    let asked = conn.request();
    conn.accept(&asked, WsOptions::default());
    conn.send_text("last");
    conn.handle.send(StreamCommand::CloseWith(Box::new((None, 1011))));
    client.head();
    assert_eq!(client.bytes(6), served_text("last"));
    assert_eq!(client.bytes(4), [0x88, 2, 0x03, 0xf3]);
}

#[test]
fn a_response_that_is_given_to_its_end_leaves_before_the_connection_ends() {
    for _ in 0..20 {
        let server = Server::start(serve_options());
        let (mut client, conn) = server.connect();
        client.write(REQUEST);
        let asked = conn.request();
        conn.respond(asked.id, 500, &[], ResponseBody::Whole("crashed".into()));
        conn.handle.send(StreamCommand::CloseWith(Box::new((None, 1011))));
        assert!(client.head().starts_with("HTTP/1.1 500 "));
        assert_eq!(client.rest(), b"crashed");
    }
}

#[test]
fn a_refused_upgrade_leaves_the_connection_usable() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write(REQUEST);
    client.get("/next");
    conn.respond(conn.request().id, 426, &[("connection", "upgrade")], gun_rs_engine::ResponseBody::Whole("no".into()));
    assert!(client.response().0.starts_with("HTTP/1.1 426 "));
    let asked = conn.request();
    assert_eq!(asked.target, "/next");
    conn.page(asked.id, "page");
    assert_eq!(client.response().1, "page");
    client.write(REQUEST);
    conn.accept(&conn.request(), WsOptions::default());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
}

#[test]
fn an_upgrade_with_a_body_is_a_bad_request() {
    let server = Server::start(serve_options());
    let (mut client, conn) = server.connect();
    client.write(REQUEST.replace("host: a", "host: a\r\ncontent-length: 3"));
    conn.accept(&conn.request(), WsOptions::default());
    assert!(client.rest_in_order().starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_frame_that_is_not_masked_ends_the_websocket() {
    let server = Server::start(serve_options());
    let (mut client, conn) = open(&server);
    client.write(served_text("not masked"));
    assert_eq!(client.bytes(4), [0x88, 2, 3, 0xea]);
    drop(client);
    while conn.next() != Told::Down("a frame from the client is not masked".into()) {}
}

#[test]
fn what_serves_a_websocket_can_end_it_with_a_code_or_gracefully() {
    let server = Server::start(serve_options());
    let (mut client, conn) = open(&server);
    conn.handle.send(StreamCommand::CloseWith(Box::new((None, 1011))));
    assert_eq!(client.bytes(4), [0x88, 2, 3, 0xf3]);
    client.write(close(1011));
    while !matches!(conn.next(), Told::Down(_)) {}
    conn.expect_end();
    let (mut client, conn) = open(&server);
    conn.handle.send(Command::Shutdown);
    assert_eq!(client.bytes(4), [0x88, 2, 3, 0xe9]);
    client.write(close(1001));
    while conn.next() != Told::ShutDown {}
    conn.expect_end();
    let (mut client, conn) = open(&server);
    // Nobody serves it any more.
    drop(conn);
    assert!(client.rest().is_empty());
    server.await_counts(|counts| counts.upgraded == 0);
}

/// A client of this engine, whose messages come by a channel.
struct Messages(std::sync::mpsc::Sender<String>);

impl Sink for Messages {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = std::convert::Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let told = match event {
            Event::Upgraded { headers, .. } => format!("upgraded {:?}", headers["x-one"]),
            Event::Message { message: Message::Text(text), .. } => String::from_utf8_lossy(text.bytes()).into_owned(),
            Event::Down { reason, .. } => format!("down: {reason}"),
            _ => return,
        };
        let _ = self.0.send(told);
    }

    fn control(&mut self, control: std::convert::Infallible) {
        match control {}
    }
}

#[test]
fn the_client_of_this_engine_is_echoed() {
    let server = Server::start(serve_options());
    let options = ConnectOptions {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port: server.address().port() },
        authority: "a".into(),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed: Steps::NONE,
        first: First::Http,
        raw: RawOptions::default(),
        http2_inside: Default::default(),
        reconnects: false,
        tcp: TcpOptions::default(),
        http1: true,
        http: HttpOptions::default(),
        http2: None,
        ws: WsOptions::default(),
    };
    let (sender, told) = channel();
    let client = spawn(&runtimes()[0], options, Messages(sender));
    client.send(Command::Connect(None));
    let (target, caller) = ("/".parse().unwrap(), ());
    let upgrade = Upgrade { stream: 1, caller, target, headers: Vec::new(), options: None };
    client.send(StreamCommand::Upgrade(Box::new(upgrade)));
    let conn = server.accepted();
    conn.accept(&conn.request(), WsOptions::default());
    assert_eq!(conn.next(), Told::Upgraded(1));
    assert_eq!(told.recv_timeout(LONG).unwrap(), "upgraded \"1\"");
    for len in [0, 5, 200, 70_000, 3_000_000] {
        let message = "a".repeat(len);
        let outgoing = Outgoing::new(None, Reply::Caller(()), vec![Item::Encoded(1, text(&message))]);
        client.try_send(StreamCommand::Send(Box::new(outgoing))).unwrap();
        assert!(conn.next() == Told::Text(message.clone()));
        conn.send_text(&message);
        assert!(told.recv_timeout(LONG).unwrap() == message);
    }
    conn.handle.send(Command::Shutdown);
    while conn.next() != Told::ShutDown {}
    assert_eq!(told.recv_timeout(LONG).unwrap(), "down: the connection ended normally");
}
