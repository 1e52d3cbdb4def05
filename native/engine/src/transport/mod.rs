//! From a host name to a byte stream.

mod happy_eyeballs;
pub mod tcp;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream both ways. What stands above is generic over it.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for T {}

/// Whether the error says no more than that the peer has closed.
pub(crate) fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof, WriteZero};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof | WriteZero)
}
