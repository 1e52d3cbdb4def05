//! From a host name to a byte stream.

mod happy_eyeballs;
mod resolver;
pub mod socket;
pub mod tcp;
pub mod tls;
pub mod unix;

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::error::ConnectError;

/// How much is read at once.
const READ_AT_ONCE: usize = 64 * 1024;

thread_local! {
    /// What is read into, for the time of one read: between reads a connection keeps no buffer.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A byte stream both ways. What stands above is generic over it.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether bytes are best read straight to where they are wanted. If not, they are best taken where
    /// [`ByteStream::poll_read_pieces`] has them: any other read is a copy of that.
    const READS_IN_PLACE: bool = true;

    /// Reads once, no more than `wanted` bytes where it can be helped, and lends them to `take`, piece by piece: how
    /// many there were; none at the end.
    ///
    /// # Errors
    /// Those of a read. What `take` was given before is not affected.
    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|bytes| {
            bytes.resize(READ_AT_ONCE, 0);
            let mut buffer = ReadBuf::new(&mut bytes[..wanted.min(READ_AT_ONCE)]);
            ready!(Pin::new(self).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if !read.is_empty() {
                take(read);
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Whether the peer is known to have closed its side, though bytes that it sent before may wait to be read.
    fn peer_closed(&self) -> bool {
        false
    }

    /// Whether the system holds bytes that were not read yet. Unlike a read it doesn't rely on the runtime's having heard
    /// of them.
    fn has_unread(&self) -> bool {
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

    fn has_unread(&self) -> bool {
        ioctl_fionread(self).is_ok_and(|unread| unread > 0)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

impl ByteStream for UnixStream {
    fn peer_closed(&self) -> bool {
        is_read_closed(self.ready(Interest::READABLE))
    }

    fn has_unread(&self) -> bool {
        ioctl_fionread(self).is_ok_and(|unread| unread > 0)
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
