//! From a host name to a byte stream.

mod happy_eyeballs;
pub mod tcp;
pub mod unix;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::error::ConnectError;

/// A byte stream both ways. What stands above is generic over it.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether the peer is known to have closed its side, though bytes that it sent before may wait to be read.
    fn peer_closed(&self) -> bool {
        false
    }
}

impl ByteStream for TcpStream {
    fn peer_closed(&self) -> bool {
        is_read_closed(self.ready(Interest::READABLE))
    }
}

impl ByteStream for UnixStream {
    fn peer_closed(&self) -> bool {
        is_read_closed(self.ready(Interest::READABLE))
    }
}

fn is_read_closed(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    let ready = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

/// A stream in memory, for tests.
impl ByteStream for DuplexStream {}

async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(ConnectError::Timeout)),
    }
}

/// Whether the error says no more than that the peer has closed.
pub(crate) fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof, WriteZero};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof | WriteZero)
}
