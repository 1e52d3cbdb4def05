use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

use super::connect::MAX_HEAD;
use super::*;
use crate::command::Command;
use crate::error::SocksError;
use crate::event::ProtocolName;
use crate::options::Endpoint;
use crate::task::spawn;
use crate::testing::{Client, Failure, Peer, Reason, Told, options, recorder};

const CONNECT: &[u8] = b"CONNECT origin:80 HTTP/1.1\r\nhost: origin:80\r\n\r\n";

fn http(authorization: Option<&str>) -> Speaks {
    Speaks::Http { authorization: authorization.map(Into::into) }
}

fn proxy(speaks: Speaks, timeout: Option<Duration>) -> Proxy {
    Proxy { host: "proxy".into(), port: 1, tls: None, timeout, speaks }
}

/// What comes of a proxy that is asked for this host, is expected to receive the one, and says the other in pieces.
async fn asked(
    proxy: &Proxy,
    origin: (&str, u16),
    expected: &[u8],
    answer: &[u8],
    piece: usize,
) -> (Result<Io, String>, DuplexStream) {
    let (near, mut far) = duplex(64 * 1024);
    let (expected, answer) = (expected.to_vec(), answer.to_vec());
    let peer = tokio::spawn(async move {
        let mut received = vec![0; expected.len()];
        far.read_exact(&mut received).await.unwrap();
        assert_eq!(received, expected);
        for piece in answer.chunks(piece) {
            if far.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        far
    });
    let result = lead(Box::new(near), proxy, origin, &options()).await.map_err(|error| error.to_string());
    (result, peer.await.unwrap())
}

async fn answered(answer: &[u8], piece: usize) -> Result<Io, String> {
    asked(&proxy(http(None), None), ("origin", 80), CONNECT, answer, piece).await.0
}

#[tokio::test]
async fn a_proxy_is_asked_for_names_and_addresses_and_told_who_asks() {
    let expected =
        b"CONNECT [fe80::1]:8443 HTTP/1.1\r\nhost: [fe80::1]:8443\r\nproxy-authorization: Basic eA==\r\n\r\n";
    let with_user = proxy(http(Some("Basic eA==")), None);
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let (led, _far) = asked(&with_user, ("fe80::1%eth0", 8443), expected, answer, 1000).await;
    led.unwrap();
    assert_eq!(format!("{with_user:?}"), "Proxy { host: \"proxy\", port: 1, .. }");
}

#[tokio::test]
async fn what_stands_behind_the_answer_is_the_origins_in_whatever_pieces_it_comes() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
    ] {
        for piece in [1, 2, 7, 1000] {
            let answer = [head.as_bytes(), b"early"].concat();
            let mut io = answered(&answer, piece).await.unwrap();
            let mut early = [0; 5];
            io.read_exact(&mut early).await.unwrap();
            assert_eq!(&early, b"early");
        }
    }
}

#[tokio::test]
async fn what_is_no_success_has_a_name() {
    let large = [b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'a'; MAX_HEAD]].concat();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HEAD / 25 + 2);
    let status = |status| ProxyError::Status(status).to_string();
    for (answer, expected) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 3\r\n\r\nno!"[..], status(407)),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", status(101)),
        (b"HTTP/1.1 302 Found\r\n\r\n", status(302)),
        (b"SSH-2.0-OpenSSH\r\n", ProxyError::InvalidResponse.to_string()),
        (b"HTTP/2 200\r\n\r\n", ProxyError::InvalidResponse.to_string()),
        (b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n", ProxyError::InvalidResponse.to_string()),
        (b"\x05\x00", ProxyError::InvalidResponse.to_string()),
        (&large, ProxyError::ResponseTooLarge.to_string()),
        (many.as_bytes(), ProxyError::ResponseTooLarge.to_string()),
        (endless.as_bytes(), ProxyError::ResponseTooLarge.to_string()),
    ] {
        for piece in [1, 4096] {
            assert_eq!(answered(answer, piece).await.err(), Some(expected.clone()));
        }
    }
}

#[tokio::test]
async fn a_proxy_that_closes_and_one_that_says_nothing_are_told_apart() {
    let closed = ProxyError::Connect(ConnectError::Closed).to_string();
    for answer in [&b""[..], b"HTTP/1.1 200"] {
        let (near, mut far) = duplex(1024);
        far.write_all(answer).await.unwrap();
        let led = tokio::spawn(async move {
            let result = lead(Box::new(near), &proxy(http(None), None), ("origin", 80), &options()).await;
            result.map_err(|error| error.to_string()).err()
        });
        far.read_exact(&mut [0; CONNECT.len()]).await.unwrap();
        drop(far);
        assert_eq!(led.await.unwrap(), Some(closed.clone()));
    }
    tokio::time::pause();
    let (near, _far) = duplex(1024);
    let slow = proxy(http(None), Some(Duration::from_secs(30)));
    let error = lead(Box::new(near), &slow, ("origin", 80), &options()).await.err().map(|error| error.to_string());
    assert_eq!(error, Some(ProxyError::Connect(ConnectError::Timeout).to_string()));
}

#[tokio::test]
async fn socks_is_asked_for_a_name_or_for_the_address_that_this_machine_finds() {
    let auth = Some((b"me".to_vec(), b"x".to_vec()));
    let greeting = b"\x05\x01\x00";
    let named = [&greeting[..], b"\x05\x01\x00\x03\x09localhost\x00\x50"].concat();
    let v6 = [&greeting[..], b"\x05\x01\x00\x04\xfe\x80", &[0; 13], b"\x01\x00\x50"].concat();
    let address = [&greeting[..], b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"].concat();
    let with_password = b"\x05\x02\x02\x00\x01\x02me\x01x\x05\x01\x00\x03\x01a\x00\x50";
    let up = b"\x05\x00\x00\x01\x01\x02\x03\x04\x05\x06";
    let options = ConnectOptions {
        tcp: crate::options::TcpOptions { family: crate::options::Family::Inet, ..Default::default() },
        ..options()
    };
    for (speaks, host, expected, chosen) in [
        (Speaks::Socks5 { auth: None, resolves: true }, "localhost", &named[..], &b"\x05\x00"[..]),
        (Speaks::Socks5 { auth: None, resolves: false }, "localhost", &address, b"\x05\x00"),
        (Speaks::Socks5 { auth: None, resolves: true }, "127.0.0.1", &address, b"\x05\x00"),
        (Speaks::Socks5 { auth: None, resolves: true }, "fe80::1%eth0", &v6, b"\x05\x00"),
        (Speaks::Socks5 { auth, resolves: true }, "a", with_password, b"\x05\x02\x01\x00"),
    ] {
        let (near, mut far) = duplex(1024);
        far.write_all(&[chosen, up].concat()).await.unwrap();
        drop(lead(Box::new(near), &proxy(speaks, None), (host, 80), &options).await.unwrap());
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, expected);
    }
    let speaks = Speaks::Socks5 { auth: None, resolves: true };
    let (result, _far) = asked(&proxy(speaks, None), ("a", 80), greeting, b"\x05\xff", 2).await;
    let refused = ProxyError::Connect(SocksError::NoAcceptableMethod.into());
    assert_eq!(result.err(), Some(refused.to_string()));
}

#[test]
fn the_rules_except_names_with_what_is_below_them_and_addresses() {
    let rules = "example.org, .internal ,10.0.0.0/8,192.168.1.7,::1,fe80::/10";
    for host in [
        "example.org",
        "a.example.org",
        "x.internal",
        "EXAMPLE.ORG",
        "10.255.0.1",
        "192.168.1.7",
        "::1",
        "fe80::7%eth0",
    ] {
        assert!(is_excepted(rules, host), "{host}");
    }
    for host in ["notexample.org", "example.org.evil", "11.0.0.1", "192.168.1.8", "::2", "localhost"] {
        assert!(!is_excepted(rules, host), "{host}");
    }
    assert!(is_excepted("*", "anything"));
    assert!(!is_excepted("", "anything"));
}

/// A connection to an origin through a proxy that listens here.
async fn through(listener: &TcpListener) -> Client {
    let (sink, told) = recorder();
    let options = ConnectOptions { endpoint: Endpoint::Tcp { host: "origin".into(), port: 80 }, ..options() };
    let client = Client { handle: spawn(&tokio::runtime::Handle::current(), options, sink), told };
    let port = listener.local_addr().unwrap().port();
    let proxy = Proxy { host: "127.0.0.1".into(), port, ..proxy(http(None), None) };
    client.handle.send(Command::Proxy(Arc::new(proxy)));
    client.handle.send(Command::Connect(None));
    client
}

#[tokio::test]
async fn a_connection_is_up_behind_the_proxy_and_is_led_there_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut client = through(&listener).await;
    for _ in 0..2 {
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        peer.take_received(CONNECT).await;
        peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
        client.expect(&[Told::Up(ProtocolName::Http)]).await;
        drop(peer);
        client.expect(&[Told::Down(ProtocolName::Http, Reason::Closed, vec![])]).await;
        client.handle.send(Command::Connect(None));
    }
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    peer.take_received(CONNECT).await;
    peer.write("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    client.expect(&[Told::ConnectFailed(Failure::Proxy(ProxyError::Status(403).to_string()))]).await;
    drop(listener);
    client.handle.send(Command::Connect(None));
    match client.next().await {
        Some(Told::ConnectFailed(Failure::Proxy(text))) => assert!(text.contains("refused"), "{text}"),
        other => panic!("{other:?}"),
    }
}
