//! The answers to requests.

use std::fmt::Write;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::route::Route;
use super::{End, Request, Shared};
use crate::mode::Unknown;

type Result<T> = std::result::Result<T, h2::Error>;

/// The body of an answer is given to the connection in pieces of so many bytes at most.
const PIECE: usize = 64 * 1024;

/// Answers a request.
///
/// # Errors
///
/// The client has reset the stream, or is gone.
pub(super) async fn request(request: Request, respond: SendResponse<Bytes>, shared: &Shared) -> Result<()> {
    match Route::parse(request.uri().path(), request.uri().query().unwrap_or_default()) {
        Ok(Route::Bytes(n)) => bytes(respond, n).await,
        Ok(Route::Stream { n, size }) => stream(respond, n, size).await,
        Ok(Route::Echo) => echo(request, respond).await,
        Ok(Route::Sink) => sink(request.into_body(), respond).await,
        Ok(Route::Headers) => text(respond, 200, &fields(&request)).await,
        Ok(Route::Trailers) => trailers(respond).await,
        Ok(Route::Inform(n)) => inform(respond, n).await,
        Ok(Route::Status(code)) => head(respond, code, true).map(drop),
        Ok(Route::Push(n)) => push(&request, respond, n).await,
        Ok(Route::Reset { code, after }) => reset(respond, code.into(), after).await,
        Ok(Route::Slow(ms)) => slow(respond, ms).await,
        Ok(Route::GoAway(code)) => go_away(respond, code, shared).await,
        Ok(Route::Tls) => match &shared.tls {
            Some(told) => text(respond, 200, told).await,
            None => text(respond, 404, "This connection has no TLS.").await,
        },
        Err(Unknown::Path) => text(respond, 404, "This server does not have that path.").await,
        Err(Unknown::Parameter(complaint)) => text(respond, 400, &complaint).await,
    }
}

/// Answers with a text that is announced.
///
/// # Errors
///
/// The client has reset the stream, or is gone.
pub(super) async fn text(mut respond: SendResponse<Bytes>, status: u16, text: &str) -> Result<()> {
    let mut response = response(status);
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    response.headers_mut().insert("content-length", text.len().into());
    let mut body = respond.send_response(response, false)?;
    send(&mut body, Bytes::copy_from_slice(text.as_bytes()), true).await
}

fn response(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn head(mut respond: SendResponse<Bytes>, status: u16, fin: bool) -> Result<SendStream<Bytes>> {
    respond.send_response(response(status), fin)
}

/// Gives bytes to the connection as the client's windows open.
async fn send(body: &mut SendStream<Bytes>, mut data: Bytes, fin: bool) -> Result<()> {
    while !data.is_empty() {
        body.reserve_capacity(data.len().min(PIECE));
        let Some(room) = poll_fn(|cx| body.poll_capacity(cx)).await else {
            return Err(Reason::STREAM_CLOSED.into());
        };
        let piece = data.split_to(room?.min(data.len()));
        if piece.is_empty() {
            continue;
        }
        let last = fin && data.is_empty();
        body.send_data(piece, last)?;
        if last {
            return Ok(());
        }
    }
    if fin { body.send_data(Bytes::new(), true) } else { Ok(()) }
}

async fn bytes(mut respond: SendResponse<Bytes>, n: u64) -> Result<()> {
    let mut response = response(200);
    response.headers_mut().insert("content-length", n.into());
    let mut body = respond.send_response(response, n == 0)?;
    if n > 0 { fill(&mut body, n, true).await } else { Ok(()) }
}

/// Sends so many bytes of a body.
async fn fill(body: &mut SendStream<Bytes>, n: u64, fin: bool) -> Result<()> {
    let piece = Bytes::from(vec![b'x'; usize::try_from(n).map_or(PIECE, |n| n.min(PIECE))]);
    let mut left = n;
    while left > 0 {
        let size = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        left -= size as u64;
        send(body, piece.slice(..size), fin && left == 0).await?;
    }
    Ok(())
}

async fn stream(respond: SendResponse<Bytes>, n: u64, size: usize) -> Result<()> {
    let mut body = head(respond, 200, false)?;
    let frame = Bytes::from(vec![b'x'; size]);
    for _ in 0..n {
        if size == 0 {
            body.send_data(Bytes::new(), false)?;
            tokio::task::yield_now().await;
        } else {
            send(&mut body, frame.clone(), false).await?;
        }
    }
    body.send_data(Bytes::new(), true)
}

async fn echo(request: Request, mut respond: SendResponse<Bytes>) -> Result<()> {
    let mut response = response(200);
    if let Some(kind) = request.headers().get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    let mut received = request.into_body();
    let fin = received.is_end_stream();
    let mut body = respond.send_response(response, fin)?;
    if fin {
        return Ok(());
    }
    while let Some(data) = received.data().await {
        let data = data?;
        let size = data.len();
        send(&mut body, data, false).await?;
        received.flow_control().release_capacity(size)?;
    }
    match received.trailers().await? {
        Some(trailers) => body.send_trailers(trailers),
        None => body.send_data(Bytes::new(), true),
    }
}

async fn sink(mut received: RecvStream, respond: SendResponse<Bytes>) -> Result<()> {
    let mut count = 0;
    while let Some(data) = received.data().await {
        let data = data?;
        count += data.len();
        received.flow_control().release_capacity(data.len())?;
    }
    text(respond, 200, &count.to_string()).await
}

/// The pseudo-header fields, then the others.
fn fields(request: &Request) -> String {
    let uri = request.uri();
    let mut lines = String::new();
    let mut line = |name: &str, value: &str| {
        // A String takes everything.
        let _ = writeln!(lines, "{name} {value}");
    };
    line(":method", request.method().as_str());
    line(":scheme", uri.scheme_str().unwrap_or_default());
    line(":authority", uri.authority().map_or("", |authority| authority.as_str()));
    line(":path", uri.path_and_query().map_or("", |path| path.as_str()));
    for (name, value) in request.headers() {
        line(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    lines
}

async fn trailers(respond: SendResponse<Bytes>) -> Result<()> {
    let mut body = head(respond, 200, false)?;
    send(&mut body, Bytes::from_static(b"Hello "), false).await?;
    send(&mut body, Bytes::from_static(b"world!"), false).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("12"));
    trailers.insert("a-last", HeaderValue::from_static("yes"));
    body.send_trailers(trailers)
}

async fn inform(mut respond: SendResponse<Bytes>, n: u64) -> Result<()> {
    for number in 1..=n {
        let mut response = response(103);
        response.headers_mut().insert("link", number.into());
        respond.send_informational(response)?;
    }
    text(respond, 200, "Informed.").await
}

async fn push(request: &Request, mut respond: SendResponse<Bytes>, n: u64) -> Result<()> {
    let mut pushed = Vec::new();
    for number in 1..=n {
        let mut promised = http::Request::new(());
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("/pushed?n={number}").parse().ok();
        *promised.uri_mut() = http::Uri::from_parts(parts).unwrap_or_default();
        promised.headers_mut().insert("x-number", number.into());
        // A client may have turned it off: it has the answer to its own request all the same.
        let Ok(promise) = respond.push_request(promised) else { break };
        pushed.push((promise, number));
    }
    let answered = text(respond, 200, "Pushed.").await;
    for (mut promise, number) in pushed {
        let mut body = promise.send_response(response(200), false)?;
        // One that the client has cancelled is none for the others to end by.
        let _ = send(&mut body, Bytes::from(format!("Number {number}.")), true).await;
    }
    answered
}

async fn reset(mut respond: SendResponse<Bytes>, code: Reason, after: Option<u64>) -> Result<()> {
    match after {
        None => respond.send_reset(code),
        Some(n) => {
            let mut body = respond.send_response(response(200), false)?;
            fill(&mut body, n, false).await?;
            // A reset takes away what is not written yet.
            tokio::time::sleep(Duration::from_millis(50)).await;
            body.send_reset(code);
        }
    }
    Ok(())
}

async fn go_away(respond: SendResponse<Bytes>, code: Option<u32>, shared: &Shared) -> Result<()> {
    // What has the other end of the channel is what this stream's answer is sent by.
    let _ = shared.ends.send(code.map_or(End::Graceful, |code| End::Abrupt(code.into())));
    match code {
        None => text(respond, 200, "The connection is going away.").await,
        Some(_) => slow(respond, None).await,
    }
}

async fn slow(mut respond: SendResponse<Bytes>, ms: Option<u64>) -> Result<()> {
    match ms {
        Some(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            text(respond, 200, "At last.").await
        }
        None => poll_fn(|cx| respond.poll_reset(cx)).await.map(drop),
    }
}
