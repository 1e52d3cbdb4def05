//! From a host name to a byte stream.

pub mod dial;
mod happy_eyeballs;
pub(crate) mod listen;
pub(crate) mod prefixed;
pub mod proxy;
mod resolver;
mod socket;
pub(crate) mod socks5;
pub mod step;
mod tcp;
pub mod tls;
mod unix;

use std::cell::RefCell;
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

/// How many bytes one read takes at most.
const READ_AT_ONCE: usize = 64 * 1024;

thread_local! {
    /// The buffer of the read under way. All connections of a thread share it: a connection holds none between reads.
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A byte stream whose layers are known only when it is made.
pub type Io = Box<dyn ByteStream>;

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether a read writes straight into the buffer that it is given. If not, it copies what
    /// [`ByteStream::poll_read_pieces`] lends without a copy, so that the latter is cheaper.
    fn reads_in_place(&self) -> bool {
        true
    }

    /// Reads once and lends the bytes to `take`, piece by piece. Returns how many there were, which is 0 at the end of
    /// the stream. It reads no more than `wanted` bytes, unless the stream cannot tell beforehand how many will come.
    ///
    /// # Errors
    /// Those of a read. The pieces that `take` was given before the error remain valid.
    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
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

    /// Whether the runtime knows that the peer has closed its side. Bytes that it sent before may still wait to be
    /// read.
    fn peer_closed(&self) -> bool {
        false
    }

    /// Whether the operating system holds bytes that were not read yet. It asks the system itself, where a read waits
    /// for the runtime to notice them.
    fn has_unread(&self) -> bool {
        false
    }

    /// Writes as much as can be written at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it can write nothing now, and the errors of a write.
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The stream as one whose layers are not known any more.
    fn boxed(self) -> Io
    where
        Self: Sized,
    {
        Box::new(self)
    }
}

impl ByteStream for Io {
    /// It is one already.
    fn boxed(self) -> Io {
        self
    }

    fn reads_in_place(&self) -> bool {
        (**self).reads_in_place()
    }

    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        (**self).poll_read_pieces(wanted, cx, take)
    }

    fn peer_closed(&self) -> bool {
        (**self).peer_closed()
    }

    fn has_unread(&self) -> bool {
        (**self).has_unread()
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).try_write(bytes)
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

/// For tests: a stream in memory.
impl ByteStream for DuplexStream {}

/// Does the work within a limit.
///
/// # Errors
/// Those of the work, and [`ConnectError::Timeout`].
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or(Err(ConnectError::Timeout)),
    }
}
