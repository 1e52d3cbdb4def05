//! The byte stream below hyper, with what hyper leaves to be done on it.
//!
//! hyper takes a lone LF for the end of a header line. Whoever stands between us and the server may not, and would see
//! other headers than we do, so that one response could be made to look like two: a response's head with a bare CR or
//! LF is an error here. And hyper has no way to send an empty line between requests, which is how gun keeps an idle
//! connection from being forgotten.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const EMPTY_LINE: &[u8] = b"\r\n";

/// What the task that owns the connection knows of the stream, and tells it, while hyper holds it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    expecting: AtomicBool,
    /// How many bytes of an empty line are still to be sent.
    empty_line: AtomicU8,
    /// Whether the peer takes nothing at the moment.
    blocked: AtomicBool,
    written: AtomicU64,
}

impl Control {
    /// A request is about to be sent: what comes next is a response's head.
    pub(crate) fn expect_head(&self) {
        self.expecting.store(true, Ordering::Relaxed);
    }

    /// Has an empty line sent at hyper's next flush.
    pub(crate) fn send_empty_line(&self) {
        self.empty_line.store(2, Ordering::Relaxed);
    }

    /// While the peer takes nothing: how many bytes it has taken so far.
    pub(crate) fn blocked_at(&self) -> Option<u64> {
        self.blocked.load(Ordering::Relaxed).then(|| self.written.load(Ordering::Relaxed))
    }
}

/// The byte stream as hyper has it.
pub(crate) struct Wire<S> {
    io: S,
    control: Arc<Control>,
    head: Head,
}

impl<S> Wire<S> {
    pub(crate) fn new(io: S, control: Arc<Control>) -> Self {
        Self { io, control, head: Head::Done }
    }

    pub(crate) fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.control.blocked.store(result.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(written)) = result {
            self.control.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    /// Sends what is left of an empty line; nothing else may go out before it has.
    fn poll_empty_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let left = usize::from(self.control.empty_line.load(Ordering::Relaxed));
            let Some(rest) = EMPTY_LINE.get(EMPTY_LINE.len().saturating_sub(left)..).filter(|rest| !rest.is_empty())
            else {
                return Poll::Ready(Ok(()));
            };
            let poll = Pin::new(&mut self.io).poll_write(cx, rest);
            match ready!(self.count(poll))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.control.empty_line.fetch_sub(written.min(left) as u8, Ordering::Relaxed),
            };
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if this.control.expecting.swap(false, Ordering::Relaxed) {
            this.head = Head::new();
        }
        let received = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.head.check(received).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count(poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// A line of a response's head ends as only a lenient reader would end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a CR or an LF stands alone in the head of the response")]
pub(crate) struct BareLineEnd;

/// Follows the line ends of a response's head, and of the informational responses before it (RFC 9112, 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Its status line, or the empty lines before it.
    StatusLine {
        /// How many bytes of the line there were, as far as that matters.
        len: u8,
        /// The first and the last digits of the status code.
        status: [u8; 3],
        cr: bool,
    },
    /// A line after it.
    Field { empty: bool, informational: bool, cr: bool },
    /// What follows is none of this one's business.
    Done,
}

/// Where the status code stands, behind `HTTP/1.1 `.
const STATUS_AT: usize = 9;

impl Head {
    fn new() -> Self {
        Self::StatusLine { len: 0, status: [0; 3], cr: false }
    }

    fn check(&mut self, received: &[u8]) -> Result<(), BareLineEnd> {
        for byte in received {
            if *self == Self::Done {
                break;
            }
            self.take(*byte)?;
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) -> Result<(), BareLineEnd> {
        let (Self::StatusLine { cr, .. } | Self::Field { cr, .. }) = *self else { return Ok(()) };
        if cr != (byte == b'\n') {
            return Err(BareLineEnd);
        }
        match self {
            Self::StatusLine { cr, .. } | Self::Field { cr, .. } if byte == b'\r' => *cr = true,
            Self::StatusLine { len: 0, cr, .. } if byte == b'\n' => *cr = false,
            Self::StatusLine { status, .. } if byte == b'\n' => {
                let informational = status[0] == b'1' && status != b"101";
                *self = Self::Field { empty: true, informational, cr: false };
            }
            Self::StatusLine { len, status, .. } => {
                if let Some(digit) = usize::from(*len).checked_sub(STATUS_AT).and_then(|at| status.get_mut(at)) {
                    *digit = byte;
                }
                *len = len.saturating_add(1);
            }
            Self::Field { empty: true, informational, .. } if byte == b'\n' => {
                *self = if *informational { Self::new() } else { Self::Done };
            }
            Self::Field { empty, cr, .. } => (*empty, *cr) = (byte == b'\n', false),
            Self::Done => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of what was received once the head is done, or that it has a bare line end.
    fn rest(received: &str) -> Result<&str, BareLineEnd> {
        let mut head = Head::new();
        for (at, byte) in received.bytes().enumerate() {
            if head == Head::Done {
                return Ok(&received[at..]);
            }
            head.check(&[byte])?;
        }
        Ok(if head == Head::Done { "" } else { "unfinished" })
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\n\r\nbo\ndy"), Ok("bo\ndy"));
        assert_eq!(rest("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n"), Ok("\n"));
        assert_eq!(rest("HTTP/1.1 101 Switching Protocols\r\na: b\r\n\r\n\n"), Ok("\n"));
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\n"), Ok("unfinished"));
    }

    #[test]
    fn the_head_behind_an_informational_one_is_checked_too() {
        let inform = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
        assert_eq!(rest(&format!("{inform}{inform}HTTP/1.1 200 OK\r\n\r\n\n")), Ok("\n"));
        assert_eq!(rest(&format!("{inform}HTTP/1.1 200 OK\n\r\n")), Err(BareLineEnd));
    }

    #[test]
    fn a_cr_or_an_lf_alone_is_an_error_wherever_it_stands() {
        for head in [
            "\n",
            "\rH",
            "HTTP/1.1 200 OK\n",
            "HTTP/1.1 200\r OK\r\n",
            "HTTP/1.1 200 OK\r\na: b\n",
            "HTTP/1.1 200 OK\r\na: b\rc: d\r\n",
            "HTTP/1.1 200 OK\r\n\n",
            "HTTP/1.1 200 OK\r\na: b\r\r\n",
        ] {
            assert_eq!(rest(head), Err(BareLineEnd), "{head:?}");
        }
    }
}
