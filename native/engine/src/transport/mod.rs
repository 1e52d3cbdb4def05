//! From a host name to a byte stream.

mod happy_eyeballs;
pub mod socket;
pub mod tcp;
pub mod tls;
pub mod unix;

use std::error::Error;
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
    /// Whether a read takes no more from below than it has room for, so that what is asked for in small pieces is not
    /// copied more than once.
    const READS_IN_PLACE: bool = true;

    /// Whether the peer is known to have closed its side, though bytes that it sent before may wait to be read.
    fn peer_closed(&self) -> bool {
        false
    }

    /// Writes as much as can be written at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where that is nothing, and what the operating system says.
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl ByteStream for TcpStream {
    fn peer_closed(&self) -> bool {
        is_read_closed(self.ready(Interest::READABLE))
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

impl ByteStream for UnixStream {
    fn peer_closed(&self) -> bool {
        is_read_closed(self.ready(Interest::READABLE))
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
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

/// The error that a byte stream of ours has put into this one.
pub(crate) fn inner<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref().and_then(|error| error.downcast_ref())
}
