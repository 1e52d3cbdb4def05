//! The requests of one connection, until one of them takes it over.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response, create_response, write_response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::conversation;
use crate::deflate::Compressed;
use crate::mode::{Conversation, Mode, Unknown};
use crate::request::{has_body, read_head};

const GARBAGE: &[u8] = b"\x00\x01\x02 these bytes are no HTTP response \xff\xfe\r\n\r\n";

/// The key of the example in RFC 6455, 1.3: no client can have drawn it.
const ANOTHER_KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// Serves a connection to its end. How it ended is the client's to judge: that is what the tests look at. `tls` is what
/// `/tls` tells; with `deflate`, messages are compressed where the client offers it.
pub(crate) async fn serve<S>(stream: S, tls: Option<String>, deflate: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = answer_requests(stream, tls, deflate).await;
}

async fn answer_requests<S>(mut stream: S, tls: Option<String>, deflate: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::new();
    while let Some(request) = read_head(&mut stream, &mut buffer).await? {
        match Mode::parse(request.uri().path(), request.uri().query().unwrap_or_default()) {
            Ok(Mode::Upgrade(conversation)) => match accept(&request) {
                Ok(response) => {
                    let compressed =
                        if deflate { Compressed::accept(request.headers(), &conversation).await? } else { None };
                    return match compressed {
                        Some(compressed) => upgrade_compressed(stream, &buffer, response, compressed).await,
                        None => upgrade(stream, buffer, &response, &conversation).await,
                    };
                }
                Err(complaint) => answer(&mut stream, 400, &complaint).await?,
            },
            Ok(Mode::Subprotocol) => match accept_subprotocol(&request) {
                Ok(response) => {
                    return upgrade(stream, buffer, &response, &Conversation::Echo).await;
                }
                Err(complaint) => answer(&mut stream, 400, &complaint).await?,
            },
            Ok(Mode::BadAccept) => match accept_badly(&request) {
                Ok(response) => {
                    return upgrade(stream, buffer, &response, &Conversation::Echo).await;
                }
                Err(complaint) => answer(&mut stream, 400, &complaint).await?,
            },
            Ok(Mode::Refuse(status)) => answer(&mut stream, status, "The upgrade is refused.").await?,
            Ok(Mode::Garbage) => {
                stream.write_all(GARBAGE).await?;
                break;
            }
            Ok(Mode::Tls) => match &tls {
                Some(told) => answer(&mut stream, 200, told).await?,
                None => answer(&mut stream, 404, "This connection has no TLS.").await?,
            },
            Err(Unknown::Path) => answer(&mut stream, 404, "This server does not have that path.").await?,
            Err(Unknown::Parameter(complaint)) => answer(&mut stream, 400, &complaint).await?,
        }
        // Nothing here reads bodies, so what follows one cannot be told from it.
        if has_body(&request) {
            break;
        }
    }
    stream.shutdown().await
}

fn accept(request: &Request) -> Result<Response, String> {
    create_response(request).map_err(|error| error.to_string())
}

fn accept_subprotocol(request: &Request) -> Result<Response, String> {
    let mut response = accept(request)?;
    response.headers_mut().insert("sec-websocket-protocol", first_subprotocol(request.headers())?);
    Ok(response)
}

/// The first of the subprotocols that the client offers.
///
/// # Errors
///
/// It offers none.
pub(crate) fn first_subprotocol(headers: &HeaderMap) -> Result<HeaderValue, String> {
    let offer = headers.get("sec-websocket-protocol");
    let offer = offer.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = offer.split(',').next().unwrap_or_default().trim();
    if first.is_empty() {
        return Err("No subprotocol is offered.".to_owned());
    }
    HeaderValue::from_str(first).map_err(|error| error.to_string())
}

fn accept_badly(request: &Request) -> Result<Response, String> {
    let mut response = accept(request)?;
    let value = HeaderValue::from_str(&derive_accept_key(ANOTHER_KEY)).map_err(|error| error.to_string())?;
    response.headers_mut().insert("sec-websocket-accept", value);
    Ok(response)
}

async fn upgrade<S>(mut stream: S, buffer: BytesMut, response: &Response, conversation: &Conversation) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    switch(&mut stream, response).await?;
    // The tests send messages of any size; the limits under test are the client's.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let socket = WebSocketStream::from_partially_read(stream, buffer.to_vec(), Role::Server, Some(config)).await;
    conversation::hold(socket, conversation).await.map_err(io::Error::other)
}

async fn upgrade_compressed<S>(
    mut stream: S,
    buffer: &[u8],
    mut response: Response,
    compressed: Compressed,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // No client sends frames before it has the answer (RFC 6455, 4.1).
    if !buffer.is_empty() {
        return answer(&mut stream, 400, "The request is followed by what does not belong to it.").await;
    }
    let agreed = HeaderValue::from_str(compressed.agreed()).map_err(io::Error::other)?;
    response.headers_mut().insert("sec-websocket-extensions", agreed);
    switch(&mut stream, &response).await?;
    compressed.hold(stream).await.map_err(io::Error::other)
}

async fn switch(stream: &mut (impl AsyncWrite + Unpin), response: &Response) -> io::Result<()> {
    let mut head = Vec::new();
    write_response(&mut head, response).map_err(io::Error::other)?;
    stream.write_all(&head).await?;
    stream.flush().await
}

async fn answer<S>(stream: &mut S, status: u16, text: &str) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let status = StatusCode::from_u16(status).map_err(io::Error::other)?;
    let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if bodyless { String::new() } else { format!("{text}\n") };
    let length = if bodyless { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n{length}\r\n");
    stream.write_all((head + &body).as_bytes()).await?;
    // TLS keeps what the socket did not take at once.
    stream.flush().await
}
