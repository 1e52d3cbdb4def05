//! HTTP/2 over sockets: what TLS agrees on is spoken, and many bodies cross at once.

mod tls_ends;

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use gun_rs_engine::options::{Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions};
use gun_rs_engine::transport::tls::TlsClient;
use gun_rs_engine::{
    Body, Command, ConnectOptions, Event, Handle, Http2Options, ProtocolName, Request, RequestData, Sink,
    StreamCommand, WsOptions, spawn,
};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use tls_ends::{acceptor, client};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long a test waits for what it expects.
const LIMIT: Duration = Duration::from_secs(60);

/// What a test is told of.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Up(ProtocolName),
    Status(u32, u16),
    Data(u32, usize, bool),
    Other(String),
}

struct Telling(Sender<Told>);

impl Sink for Telling {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let told = match event {
            Event::Up { protocol, .. } => Told::Up(protocol),
            Event::Response { stream, status, .. } => Told::Status(*stream, status.as_u16()),
            Event::Data { stream, fin, data } => Told::Data(*stream, data.len(), fin),
            Event::Down { reason, .. } => Told::Other(reason.to_string()),
            Event::StreamError { error, .. } => Told::Other(format!("{error:?}")),
            _ => return,
        };
        let _ = self.0.send(told);
    }

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

/// Answers each request with its own body, and its scheme in the status.
async fn echo(io: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        let status = if request.uri().scheme_str() == Some("https") { 201 } else { 200 };
        tokio::spawn(echo_body(request.into_body(), answer, status));
    }
}

/// Ends early where the client does not take it, which the test sees.
async fn echo_body(mut body: RecvStream, mut answer: SendResponse<Bytes>, status: u16) -> Option<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).ok()?;
    let mut send = answer.send_response(head, false).ok()?;
    while let Some(Ok(mut data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).ok()?;
        while !data.is_empty() {
            send.reserve_capacity(data.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await?.ok()?;
            send.send_data(data.split_to(room.min(data.len())), false).ok()?;
        }
    }
    send.send_data(Bytes::new(), true).ok()
}

/// A server over TLS that chooses among these protocols; its port.
async fn tls_server(alpn: &[&str]) -> Fallible<u16> {
    let acceptor = acceptor(alpn)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let Ok(io) = acceptor.accept(io).await else { continue };
            match io.get_ref().1.alpn_protocol() {
                Some(b"h2") => drop(tokio::spawn(echo(io))),
                // It is kept open.
                _ => std::mem::forget(io),
            }
        }
    });
    Ok(port)
}

async fn tcp_server() -> Fallible<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(echo(io));
        }
    });
    Ok(port)
}

fn connect(port: u16, http1: bool, tls: Option<Arc<TlsClient>>) -> (Handle<Telling>, Receiver<Told>) {
    let (sender, told) = channel();
    let options = ConnectOptions {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port },
        authority: format!("localhost:{port}"),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed: Steps::NONE,
        first: First::Http,
        raw: RawOptions::default(),
        http2_inside: Default::default(),
        reconnects: false,
        tcp: TcpOptions::default(),
        http1,
        http: HttpOptions::default(),
        http2: Some(Arc::new(Http2Options::default())),
        ws: WsOptions::default(),
    };
    let handle = spawn(&tokio::runtime::Handle::current(), options, Telling(sender));
    handle.send(Command::Connect(tls));
    (handle, told)
}

fn post(stream: u32, body: Body) -> StreamCommand<Telling> {
    StreamCommand::Request(Box::new(Request {
        stream,
        caller: (),
        method: Method::POST,
        target: Uri::from_static("/"),
        headers: Vec::new(),
        body,
        flow: None,
        response_timeout: None,
        body_timeout: None,
        timeout: None,
    }))
}

/// Awaits the ends of so many responses of this status: how many bytes each of them had.
fn responses(told: &Receiver<Told>, count: usize, expected: u16) -> Fallible<HashMap<u32, usize>> {
    let (mut bytes, mut ended) = (HashMap::new(), 0);
    while ended < count {
        match told.recv_timeout(LIMIT)? {
            Told::Status(_, status) => assert_eq!(status, expected),
            Told::Data(stream, len, fin) => {
                *bytes.entry(stream).or_insert(0) += len;
                ended += usize::from(fin);
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tls_has_chosen_is_spoken() -> Fallible<()> {
    let both = ["h2", "http/1.1"];
    for (server, http1, protocol) in [
        (&both[..], true, ProtocolName::Http2),
        (&both[1..], true, ProtocolName::Http),
        (&[], true, ProtocolName::Http),
    ] {
        let (handle, told) = connect(tls_server(server).await?, http1, client(&both)?);
        assert_eq!(told.recv_timeout(LIMIT)?, Told::Up(protocol));
        if protocol == ProtocolName::Http2 {
            handle.send(post(1, Body::Whole(Bytes::from_static(b"hello"))));
            assert_eq!(responses(&told, 1, 201)?[&1], 5);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bodies_larger_than_any_window_cross_at_once() -> Fallible<()> {
    let (over_tcp, over_tls) = (tcp_server().await?, tls_server(&["h2"]).await?);
    for (port, tls, status) in [(over_tcp, None, 200), (over_tls, client(&["h2"])?, 201)] {
        let (handle, told) = connect(port, false, tls);
        assert_eq!(told.recv_timeout(LIMIT)?, Told::Up(ProtocolName::Http2));
        let part = Bytes::from(vec![b'a'; 20_000]);
        for stream in 1..=20 {
            handle.send(post(stream, Body::Whole(Bytes::from(vec![b'a'; 200_000]))));
            handle.send(post(100 + stream, Body::Streamed(None)));
            for n in 1..=10 {
                let (data, fin) = (part.clone(), n == 10);
                handle.send(StreamCommand::Data(Box::new(RequestData {
                    stream: 100 + stream,
                    caller: (),
                    data,
                    fin,
                    receipt: None,
                })));
            }
        }
        let bytes = responses(&told, 40, status)?;
        assert!(bytes.len() == 40 && bytes.values().all(|len| *len == 200_000), "{bytes:?}");
        assert_eq!(handle.stats().queued, 0);
    }
    Ok(())
}
