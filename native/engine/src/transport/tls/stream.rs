//! A byte stream that is encrypted on the way.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::alert::TlsError;
use crate::transport::ByteStream;

/// The byte stream below ended without the peer's word that it is the end (RFC 8446, 6.1): whoever is on the way may have
/// cut it.
#[derive(Debug, thiserror::Error)]
#[error("the TLS connection was cut without a close_notify")]
pub struct Truncated;

/// A TLS connection. When it is dropped, the peer is told that nothing follows (RFC 8446, 6.1), if it takes as much at
/// once. Its errors are those of the byte stream below, [`TlsError`] and [`Truncated`].
pub struct TlsByteStream<S: ByteStream> {
    /// In a box, because it is large and moved from one stage of a connection to the next.
    stream: Box<TlsStream<S>>,
    /// Who is at the other end, for what is said of its faults.
    host: Box<str>,
}

impl<S: ByteStream> TlsByteStream<S> {
    pub(super) fn new(stream: TlsStream<S>, host: &str) -> Self {
        Self { stream: Box::new(stream), host: host.into() }
    }

    /// Where tokio-rustls has an error of rustls's, or its own word for an end without close_notify.
    fn told(&self, error: io::Error) -> io::Error {
        match TlsError::from_io(&error) {
            Some(error) => io::Error::other(error.with_host(&self.host)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), Truncated),
            None => error,
        }
    }
}

impl<S: ByteStream> ByteStream for TlsByteStream<S> {
    fn peer_closed(&self) -> bool {
        self.stream.get_ref().0.peer_closed()
    }
}

impl<S: ByteStream> AsyncRead for TlsByteStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut *this.stream).poll_read(cx, buf).map_err(|error| this.told(error))
    }
}

impl<S: ByteStream> AsyncWrite for TlsByteStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        Pin::new(&mut *this.stream).poll_write(cx, buf).map_err(|error| this.told(error))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        Pin::new(&mut *this.stream).poll_write_vectored(cx, bufs).map_err(|error| this.told(error))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut *this.stream).poll_flush(cx).map_err(|error| this.told(error))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut *this.stream).poll_shutdown(cx).map_err(|error| this.told(error))
    }
}

impl<S: ByteStream> Drop for TlsByteStream<S> {
    fn drop(&mut self) {
        let (io, session) = self.stream.get_mut();
        session.send_close_notify();
        // A peer that takes nothing now is not waited for.
        while session.wants_write() && session.write_tls(&mut TryWrite(io)).is_ok_and(|written| written > 0) {}
    }
}

/// Writes what can be written at once.
struct TryWrite<'a, S>(&'a S);

impl<S: ByteStream> Write for TryWrite<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
