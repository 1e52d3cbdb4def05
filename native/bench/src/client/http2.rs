//! The workloads of HTTP/2: each is what bench/bench_http2.erl does with gun and gun_rs.

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::carrier::Carrier;
use crate::connection::{Socket, Stream, Target};
use crate::process::Clock;
use crate::workloads::payload;
use crate::{Amount, Result, Told};

/// As large as those of gun and gun_rs.
const WINDOW: u32 = 8_000_000;

/// A request to the sink has a body of so many parts at most.
const PARTS: usize = 64;

/// What a stream is given at a time.
const PIECE: usize = 64 * 1024;

/// Bodies of `size` bytes, with so many requests under way at once.
pub(crate) async fn get(target: &Target, amount: Amount, ahead: usize) -> Result<Told> {
    let mut client = connect(target).await?;
    let path = format!("/bytes?n={}", amount.size);
    let clock = Clock::start();
    let mut under_way: VecDeque<ResponseFuture> = VecDeque::new();
    let mut sent = 0;
    for _ in 0..amount.count {
        while under_way.len() < ahead && sent < amount.count {
            client = client.ready().await?;
            under_way.push_back(client.send_request(request(&path)?, true)?.0);
            sent += 1;
        }
        let response = under_way.pop_front().ok_or("no request is under way")?.await?;
        read(response.into_body(), amount.size).await?;
    }
    Ok(clock.stop())
}

/// One body of `count` parts of `size` bytes.
pub(crate) async fn down(target: &Target, amount: Amount) -> Result<Told> {
    let mut client = connect(target).await?;
    let whole = amount.count * amount.size;
    let clock = Clock::start();
    let response = client.send_request(request(&format!("/bytes?n={whole}"))?, true)?.0.await?;
    read(response.into_body(), whole).await?;
    Ok(clock.stop())
}

/// Bodies of `count` parts of `size` bytes together, one request after the other.
pub(crate) async fn up(target: &Target, amount: Amount) -> Result<Told> {
    let mut client = connect(target).await?;
    let mut left = amount.count;
    let clock = Clock::start();
    while left > 0 {
        let parts = left.min(PARTS);
        left -= parts;
        client = client.ready().await?;
        let (response, mut body) = client.send_request(request("/sink")?, false)?;
        give(&mut body, vec![b'x'; parts * amount.size].into()).await?;
        let expected = (parts * amount.size).to_string();
        read(response.await?.into_body(), expected.len()).await?;
    }
    Ok(clock.stop())
}

/// Messages on a WebSocket that is a stream (RFC 8441), with so many under way at once.
pub(crate) async fn echo(target: &Target, amount: Amount, ahead: usize) -> Result<Told> {
    let mut client = connect(target).await?;
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
        client = client.ready().await?;
    }
    let mut request = request("/echo")?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, sent) = client.send_request(request, false)?;
    let stream: Box<dyn Stream> = Box::new(Carrier::new(response.await?.into_body(), sent));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let mut socket = Socket::Plain(Box::new(socket));
    let payloads = payload(amount.size);
    let clock = Clock::start();
    socket.echo(&payloads, amount.count, ahead).await?;
    Ok(clock.stop())
}

async fn connect(target: &Target) -> Result<SendRequest<Bytes>> {
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
    let (client, connection) = builder.handshake(target.stream().await?).await?;
    tokio::spawn(connection);
    Ok(client.ready().await?)
}

fn request(path: &str) -> Result<Request<()>> {
    Ok(Request::get(format!("http://localhost{path}")).body(())?)
}

async fn read(mut body: RecvStream, expected: usize) -> Result<()> {
    let mut size = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        size += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    if size == expected { Ok(()) } else { Err(format!("the body has {size} bytes").into()) }
}

async fn give(body: &mut SendStream<Bytes>, mut data: Bytes) -> Result<()> {
    while !data.is_empty() {
        body.reserve_capacity(data.len().min(PIECE));
        let room = poll_fn(|cx| body.poll_capacity(cx)).await.ok_or("the stream has ended")??;
        let piece = data.split_to(room.min(data.len()));
        if !piece.is_empty() {
            body.send_data(piece, data.is_empty())?;
        }
    }
    Ok(())
}
