//! What an attempt to connect reports: its steps to who observes them, and the protocol that TLS has agreed on.

mod tls_ends;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gun_rs_engine::event::step::Step;
use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
use gun_rs_engine::transport::step::DialStep;
use gun_rs_engine::transport::tls::TlsClient;
use gun_rs_engine::{Command, ConnectOptions, Event, Handle, Sink, WsOptions, spawn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use tls_ends::{acceptor, client};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long a test waits for what it expects.
const LIMIT: Duration = Duration::from_secs(30);

/// Reports each step and the end of the attempt as a line.
struct Lines(Sender<String>);

impl Sink for Lines {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let line = match event {
            Event::Up { local, alpn, .. } => {
                format!("up, local {}, alpn {:?}", local.is_some(), alpn.map(String::from_utf8_lossy))
            }
            Event::ConnectFailed(error) => format!("failed: {error}"),
            _ => return,
        };
        let _ = self.0.send(line);
    }

    fn step(&mut self, step: Step<'_, Self>) {
        let Step::Dial(step) = step else { return };
        let failed = |error| format!("failed: {error}");
        let line = match step {
            DialStep::DomainLookupStart { host, port } => format!("look up {host}, port {}", port != 0),
            DialStep::DomainLookupEnd(result) => {
                format!("looked up: {}", result.map_or_else(failed, |addresses| addresses.len().to_string()))
            }
            DialStep::ConnectStart { addresses } => format!("connect to {}", addresses.len()),
            DialStep::ConnectEnd(result) => {
                format!("connected: {}", result.map_or_else(failed, |local| format!("local {}", local.is_some())))
            }
            DialStep::TlsHandshakeStart { host } => format!("shake hands with {host}"),
            DialStep::TlsHandshakeEnd(result) => {
                let alpn = |alpn: Option<&[u8]>| format!("{:?}", alpn.map(String::from_utf8_lossy));
                format!("shaken: {}", result.map_or_else(failed, alpn))
            }
        };
        let _ = self.0.send(line);
    }

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

/// Makes one attempt to connect, which ends when the handle is dropped.
fn dial(endpoint: Endpoint, observed: Steps, tls: Option<Arc<TlsClient>>) -> (Handle<Lines>, Receiver<String>) {
    let (sender, lines) = channel();
    let options = ConnectOptions {
        endpoint,
        authority: "localhost".into(),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed,
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
    let handle = spawn(&tokio::runtime::Handle::current(), options, Lines(sender));
    handle.send(Command::Connect(tls));
    (handle, lines)
}

/// The next line, or as many as are expected.
fn expect(lines: &Receiver<String>, expected: &[&str]) {
    for line in expected {
        assert_eq!(lines.recv_timeout(LIMIT).as_deref(), Ok(*line));
    }
}

/// No line but these is reported.
fn expect_end(dialed: (Handle<Lines>, Receiver<String>), expected: &[&str]) {
    let (handle, lines) = dialed;
    expect(&lines, expected);
    drop(handle);
    assert!(lines.recv_timeout(LIMIT).is_err(), "nothing else is reported");
}

/// Shakes hands, and keeps the connection open.
async fn keep_open(acceptor: &TlsAcceptor, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let stream = acceptor.accept(stream).await;
    tokio::time::sleep(LIMIT).await;
    drop(stream);
}

/// A TLS server, which keeps its one connection open.
async fn tls_server(alpn: &[&str]) -> Fallible<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let acceptor = acceptor(alpn)?;
    tokio::spawn(async move {
        if let Ok((stream, _)) = listener.accept().await {
            keep_open(&acceptor, stream).await;
        }
    });
    Ok(Endpoint::Tcp { host: "127.0.0.1".into(), port })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_reported_in_its_order_and_with_what_the_server_has_chosen() {
    let server = tls_server(&["h2", "http/1.1"]).await.unwrap();
    let lines = [
        "look up 127.0.0.1, port true",
        "looked up: 1",
        "connect to 1",
        "connected: local true",
        "shake hands with 127.0.0.1",
        "shaken: Some(\"http/1.1\")",
        "up, local true, alpn Some(\"http/1.1\")",
    ];
    expect_end(dial(server, Steps::ALL, client(&["http/1.1"]).unwrap()), &lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reported_that_is_not_observed() {
    let server = tls_server(&["http/1.1"]).await.unwrap();
    let up = "up, local true, alpn Some(\"http/1.1\")";
    expect_end(dial(server, Steps::NONE, client(&["http/1.1"]).unwrap()), &[up]);
    let server = tls_server(&["http/1.1"]).await.unwrap();
    let observed = Steps::DOMAIN_LOOKUP_END.with(Steps::TLS_HANDSHAKE_START);
    let lines = ["looked up: 1", "shake hands with 127.0.0.1", up];
    expect_end(dial(server, observed, client(&["http/1.1"]).unwrap()), &lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_choose_no_protocol() {
    let ends = Steps::TLS_HANDSHAKE_END;
    let lines = ["shaken: None", "up, local true, alpn None"];
    expect_end(dial(tls_server(&[]).await.unwrap(), ends, client(&["h2", "http/1.1"]).unwrap()), &lines);
    expect_end(dial(tls_server(&["http/1.1"]).await.unwrap(), ends, client(&[]).unwrap()), &lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_is_the_last() {
    let nowhere = Endpoint::Tcp { host: "no address".into(), port: 1 };
    let error = "the host name has no usable address";
    let lines = ["look up no address, port true", &format!("looked up: failed: {error}"), &format!("failed: {error}")];
    expect_end(dial(nowhere, Steps::ALL, client(&[]).unwrap()), &lines);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed = Endpoint::Tcp { host: "127.0.0.1".into(), port };
    let observed = Steps::CONNECT_END.with(Steps::TLS_HANDSHAKE_START);
    let error = io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
    let lines = [&*format!("connected: failed: {error}"), &format!("failed: {error}")];
    expect_end(dial(closed, observed, client(&[]).unwrap()), &lines);

    let server = tls_server(&["h2"]).await.unwrap();
    let (handle, lines) = dial(server, Steps::TLS_HANDSHAKE_END, client(&["http/1.1"]).unwrap());
    let step = lines.recv_timeout(LIMIT).unwrap();
    let failed = lines.recv_timeout(LIMIT).unwrap();
    assert!(step.contains("no_application_protocol"), "{step}");
    assert_eq!(step, format!("shaken: {failed}"));
    drop(handle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_domain_socket_takes_the_same_hops() {
    let path = std::env::temp_dir().join(format!("gun_rs-dial-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let acceptor = acceptor(&["http/1.1"]).unwrap();
    tokio::spawn(async move { keep_open(&acceptor, listener.accept().await.unwrap().0).await });
    let lines = [
        "connect to 0",
        "connected: local false",
        "shake hands with localhost",
        "shaken: Some(\"http/1.1\")",
        "up, local false, alpn Some(\"http/1.1\")",
    ];
    expect_end(dial(Endpoint::Unix(path.clone()), Steps::ALL, client(&["http/1.1"]).unwrap()), &lines);
    std::fs::remove_file(&path).unwrap();
}
