//! CONNECT of HTTP/1.1 (RFC 9110, 9.3.6), on any byte stream.

use bytes::{Buf, BytesMut};
use httparse::{Response, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::in_url;
use crate::error::proxy::ProxyError;
use crate::error::{ConnectError, is_cut};
use crate::transport::Io;
use crate::transport::prefixed::prefixed;

/// The most bytes of the answer's head, with the informational ones before it.
pub(super) const MAX_HEAD: usize = 32 * 1024;

/// The most headers of a head.
const MAX_HEADERS: usize = 128;

/// What an answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Has the proxy behind `io` connect to this host and port. What the proxy sends behind its answer is theirs, and stays on
/// the stream.
///
/// # Errors
/// See [`ProxyError`].
pub(super) async fn connect(mut io: Io, host: &str, port: u16, authorization: Option<&[u8]>) -> Result<Io, ProxyError> {
    let authority = format!("{}:{port}", in_url(host));
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    io.write_all(&request).await.map_err(broken)?;
    io.flush().await.map_err(broken)?;
    let rest = answer(&mut io).await?;
    Ok(prefixed(rest.freeze(), io))
}

/// Reads the answer: what stands behind it, if it is a success.
async fn answer(io: &mut Io) -> Result<BytesMut, ProxyError> {
    let mut received = BytesMut::with_capacity(1024);
    let mut heads = 0;
    // Where the end of the head may begin, so that no byte is looked at for each read.
    let mut searched = 0;
    loop {
        let Some(len) = head_len(&received, searched) else {
            let begins = received.iter().zip(BEGINNING).all(|(byte, expected)| byte == expected);
            if !begins {
                return Err(ProxyError::InvalidResponse);
            }
            if heads + received.len() >= MAX_HEAD {
                return Err(ProxyError::ResponseTooLarge);
            }
            searched = received.len().saturating_sub(3);
            if io.read_buf(&mut received).await.map_err(broken)? == 0 {
                return Err(ProxyError::Connect(ConnectError::Closed));
            }
            continue;
        };
        heads += len;
        if heads > MAX_HEAD {
            return Err(ProxyError::ResponseTooLarge);
        }
        let status = status(&received[..len])?;
        received.advance(len);
        searched = 0;
        match status {
            // It was not asked to switch.
            101 => return Err(ProxyError::Status(status)),
            100..=199 => {}
            // What says how long a body is counts for nothing.
            200..=299 => return Ok(received),
            _ => return Err(ProxyError::Status(status)),
        }
    }
}

/// The length of the head with the empty line, if that has come.
fn head_len(received: &[u8], searched: usize) -> Option<usize> {
    let rest = received.get(searched..)?;
    let mut lines = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let end = |at| match rest.get(at..)? {
        [b'\n', ..] => Some(searched + at + 1),
        [b'\r', b'\n', ..] => Some(searched + at + 2),
        _ => None,
    };
    lines.find_map(end)
}

fn status(head: &[u8]) -> Result<u16, ProxyError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    match response.parse(head) {
        Ok(Status::Complete(_)) => response.code.ok_or(ProxyError::InvalidResponse),
        Err(httparse::Error::TooManyHeaders) => Err(ProxyError::ResponseTooLarge),
        Ok(Status::Partial) | Err(_) => Err(ProxyError::InvalidResponse),
    }
}

fn broken(error: std::io::Error) -> ProxyError {
    ProxyError::Connect(if is_cut(&error) { ConnectError::Closed } else { tls_or_io(error) })
}

/// An alert that comes behind the handshake of TLS, such as one that a certificate is missing, keeps its name.
fn tls_or_io(error: std::io::Error) -> ConnectError {
    match crate::error::inner::<crate::error::TlsError>(&error) {
        Some(error) => ConnectError::Tls(error.clone()),
        None => ConnectError::Io(error),
    }
}
