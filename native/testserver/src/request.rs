//! Reading one HTTP request, without its body.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::Request;

/// No test sends a longer request head.
const MAX_HEAD: usize = 256 * 1024;

/// Reads a request head and leaves in `buffer` what follows it. `None` is a connection that ended between requests.
///
/// # Errors
///
/// `InvalidData` when the bytes are no HTTP request, `UnexpectedEof` when they end within the head, and those of the
/// system.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Request>> {
    loop {
        match Request::try_parse(buffer).map_err(invalid)? {
            Some((length, request)) => {
                buffer.advance(length);
                return Ok(Some(request));
            }
            None if buffer.len() > MAX_HEAD => return Err(invalid("the request head is too long")),
            None => {}
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Whether bytes of a body follow the head.
pub(crate) fn has_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers.get("content-length");
    headers.contains_key("transfer-encoding") || length.is_some_and(|value| value != "0")
}

fn invalid(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_cut_anywhere_is_read_and_what_follows_is_kept() -> io::Result<()> {
        let wire = b"GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\nfollows";
        for cut in 1..wire.len() {
            let (first, second) = wire.split_at(cut);
            let mut stream = AsyncReadExt::chain(first, second);
            let mut buffer = BytesMut::new();
            let request = read_head(&mut stream, &mut buffer).await?;
            assert_eq!(request.map(|request| request.uri().to_string()).as_deref(), Some("/echo"));
            stream.read_buf(&mut buffer).await?;
            stream.read_buf(&mut buffer).await?;
            assert_eq!(buffer, "follows");
        }
        Ok(())
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_an_error_only_within_a_head() -> io::Result<()> {
        assert!(read_head(&mut &b""[..], &mut BytesMut::new()).await?.is_none());
        let cut = read_head(&mut &b"GET / HT"[..], &mut BytesMut::new()).await;
        assert!(cut.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof));
        Ok(())
    }

    #[tokio::test]
    async fn what_is_no_request_is_invalid_data() {
        let result = read_head(&mut &b"\x00\x01\r\n\r\n"[..], &mut BytesMut::new()).await;
        assert!(result.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData));
    }
}
