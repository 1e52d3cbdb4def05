//! HTTP/2 against a server in memory: one that keeps to the protocol, by h2, and one that sends whatever frames it likes.

mod detours;
mod ends;
mod limits;
mod push;
mod raw;
mod receipts;
mod requests;
mod tunnels;
mod websockets;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request as HttpRequest, Response, Uri};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use crate::command::{Body, Request, RequestData, StreamCommand};
use crate::error::http2::Http2Code;
use crate::event::ProtocolName;
use crate::options::{ConnectOptions, Flow, Http2Options};
use crate::task::spawn_on;
use crate::testing::*;

/// How long a test waits for what it expects: with a paused clock it passes at once when nothing is left to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options to speak HTTP/2 with, and no time limit on what a server that is not awaited may leave undone.
fn http2() -> Http2Options {
    Http2Options { preface_timeout: None, settings_timeout: None, closing_timeout: None, ..Http2Options::default() }
}

fn options_with(http2: Http2Options) -> ConnectOptions {
    ConnectOptions { http1: false, http2: Some(Arc::new(http2)), ..options() }
}

/// A connection that speaks HTTP/2, and the other end of its byte stream.
fn connected(options: ConnectOptions) -> (Client, DuplexStream) {
    let (near, far) = duplex(BUFFER);
    let (sink, told) = recorder();
    let handle = spawn_on(&tokio::runtime::Handle::current(), near, options, sink);
    (Client { handle, told }, far)
}

/// A connection, and a server that keeps to the protocol.
async fn served(options: Http2Options) -> (Client, Server) {
    served_by(options, &Builder::new()).await
}

async fn served_by(options: Http2Options, builder: &Builder) -> (Client, Server) {
    let (client, far) = connected(options_with(options));
    let connection = timeout(PATIENCE, builder.handshake(far)).await.expect("no preface").unwrap();
    (client, Server { connection })
}

/// A server that keeps to the protocol.
struct Server {
    connection: Connection<DuplexStream, Bytes>,
}

impl Server {
    /// The next request.
    async fn request(&mut self) -> (HttpRequest<RecvStream>, SendResponse<Bytes>) {
        timeout(PATIENCE, self.connection.accept()).await.expect("no request").expect("the end").unwrap()
    }

    /// Lets everything happen that needs no time, and is no request.
    async fn settle(&mut self) {
        let request = timeout(Duration::from_millis(1), self.connection.accept()).await;
        assert!(!matches!(request, Ok(Some(Ok(_)))), "a request");
    }
}

fn response(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

/// A request with nothing of its own but its body.
fn request(stream: u32, method: Method, body: Body) -> Request<Recorder> {
    Request {
        stream,
        caller: CALLER,
        method,
        target: Uri::from_static("/"),
        headers: Vec::new(),
        body,
        flow: None,
        response_timeout: None,
        body_timeout: None,
        timeout: None,
    }
}

fn get(stream: u32) -> Request<Recorder> {
    request(stream, Method::GET, Body::Whole(Bytes::new()))
}

fn body(stream: u32, data: &'static str, fin: Fin) -> StreamCommand<Recorder> {
    let data = Bytes::from_static(data.as_bytes());
    StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data, fin: fin == Fin::Fin, receipt: None }))
}

fn cancel(stream: u32) -> StreamCommand<Recorder> {
    StreamCommand::Cancel(Box::new((stream, CALLER)))
}

fn down(reason: Reason, killed: &[u32]) -> Told {
    Told::Down(ProtocolName::Http2, reason, killed.to_vec())
}

fn data(stream: u32, fin: Fin, text: &str) -> Told {
    Told::Data(stream, fin, text.into())
}

impl Client {
    fn request(&self, request: Request<Recorder>) {
        self.handle.send(StreamCommand::Request(Box::new(request)));
    }
}
