//! Connections over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gun_rs_engine::WsOptions;
use gun_rs_engine::server::{ListenOptions, Times};
use gun_rs_engine::transport::tls::{ClientAuth, ServerCertificate, TlsServer, TlsServerOptions};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::*;

/// A server's configuration, and what its clients trust.
fn certified(name: &str) -> (Arc<TlsServer>, CertificateDer<'static>) {
    let certified = rcgen::generate_simple_self_signed(vec![name.into()]).unwrap();
    let certificate = certified.cert.der().clone();
    let options = TlsServerOptions {
        certificates: vec![ServerCertificate {
            names: None,
            chain: vec![certificate.to_vec()],
            key: certified.signing_key.serialize_der(),
        }],
        client_auth: ClientAuth::None,
        client_roots: None,
        depth: 10,
        tls12: true,
        tls13: true,
        ciphers: None,
        honor_cipher_order: false,
        alpn: vec![b"http/1.1".to_vec()],
        resume: false,
    };
    (TlsServer::new(&options).unwrap(), certificate)
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: &Server, name: &'static str, root: &CertificateDer<'static>) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connection = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
    StreamOwned::new(connection, Client::connect(server.address()).stream)
}

fn read(tls: &mut Tls, len: usize) -> String {
    let mut bytes = vec![0; len];
    tls.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn until(tls: &mut Tls, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push_str(&read(tls, 1));
    }
    text
}

#[test]
fn a_client_that_has_shaken_hands_is_served_and_what_it_said_is_known() {
    let (tls, root) = certified("one.test");
    let server = Server::over(listen_options(serve_options()), Some(tls)).unwrap();
    let mut client = connect(&server, "one.test", &root);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let conn = server.accepted();
    let peer = conn.peer.tls.clone().unwrap();
    assert_eq!(peer.server_name.as_deref(), Some("one.test"));
    assert_eq!((peer.alpn.as_deref(), peer.certificate), (Some(&b"http/1.1"[..]), None));
    let Times { accepted, begun, up } = conn.peer.times;
    assert!(accepted <= begun && begun < up);
    let page = "a".repeat(1_000_000);
    conn.page(conn.request().id, &page);
    until(&mut client, "\r\n\r\n");
    assert!(read(&mut client, page.len()) == page);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    conn.page(conn.request().id, "bye");
    // It ends with a close_notify: the client would else be told that it was cut.
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("\r\n\r\nbye"));
    assert!(matches!(conn.next(), Told::Down(_)));
}

#[test]
fn a_websocket_over_tls_receives_what_came_with_its_request() {
    let (tls, root) = certified("one.test");
    let server = Server::over(listen_options(serve_options()), Some(tls)).unwrap();
    let mut client = connect(&server, "one.test", &root);
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: a\r\n\r\n";
    client.write_all(&[request.as_bytes(), &[0x81, 0x82, 0, 0, 0, 0], b"hi"].concat()).unwrap();
    let conn = server.accepted();
    conn.accept(&conn.request(), WsOptions::default());
    assert_eq!([conn.next(), conn.next()], [Told::Upgraded(1), Told::Text("hi".into())]);
    conn.send_text("ho");
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101 "));
    assert!(read(&mut client, 4).ends_with("ho"));
}

#[test]
fn a_handshake_that_fails_or_takes_too_long_is_counted_and_nobody_serves_it() {
    let (tls, _) = certified("one.test");
    let handshake_timeout = Some(Duration::from_millis(200));
    let options = ListenOptions { handshake_timeout, ..listen_options(serve_options()) };
    let server = Server::over(options, Some(tls)).unwrap();
    let mut client = Client::connect(server.address());
    client.get("/");
    client.rest();
    server.await_counts(|counts| counts.handshake_failures == 1 && counts.active == 0);
    let begin = Instant::now();
    let mut client = Client::connect(server.address());
    client.rest();
    assert!(begin.elapsed() >= Duration::from_millis(200));
    let counts = server.await_counts(|counts| counts.handshake_failures == 2 && counts.active == 0);
    assert_eq!(counts.accepted, 2);
    assert!(server.has_accepted().is_none());
}

#[test]
fn a_new_certificate_is_for_connections_that_are_accepted_later() {
    let (tls, root) = certified("one.test");
    let server = Server::over(listen_options(serve_options()), Some(tls)).unwrap();
    let ask = |client: &mut Tls| client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut first = connect(&server, "one.test", &root);
    ask(&mut first).unwrap();
    let conn = server.accepted();
    conn.page(conn.request().id, "page");
    until(&mut first, "\r\n\r\npage");
    let (tls, new_root) = certified("one.test");
    server.listener.set_tls(tls);
    assert!(ask(&mut connect(&server, "one.test", &root)).is_err());
    ask(&mut connect(&server, "one.test", &new_root)).unwrap();
    ask(&mut first).unwrap();
    conn.page(conn.request().id, "still here");
    until(&mut first, "\r\n\r\nstill here");
}
