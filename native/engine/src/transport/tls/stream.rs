//! A byte stream that is encrypted on the way.
//!
//! rustls leaves its input and output to us here: what is read is decrypted in a buffer that all connections of a thread
//! share, as much at a time as the socket has, and an idle connection holds no buffer at all.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;

use bytes::{Buf, Bytes};
use rustls::Error;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::output::Output;
use super::side::Side;
use crate::error::{TlsError, Truncated};
use crate::transport::ByteStream;

/// How much is read, or encrypted, at once, but for what comes in large records.
const CHUNK: usize = 64 * 1024;

/// How much is read at once while large records come: a few of them are soon decrypted, and each read has a price. Of
/// small ones as many bytes would keep the other connections of the thread waiting.
const LARGE_CHUNK: usize = 128 * 1024;

/// How much data a large record holds at least.
const LARGE_RECORD: usize = 4 * 1024;

/// The most bytes that are kept between two reads because they cannot be decrypted yet: a record, or in a handshake a
/// message in several records, of which rustls accepts 64 KiB.
pub(super) const MAX_PARTIAL: usize = 128 * 1024;

thread_local! {
    /// The input of the reads under way: the bytes kept from the read before, then the new ones. There are several where
    /// TLS is spoken inside of TLS.
    static INPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// The output of the writes under way.
    static OUTPUT: RefCell<Vec<Output>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer that nobody else on this thread has just now.
fn with_buffer<T: Default, R>(buffers: &'static LocalKey<RefCell<Vec<T>>>, work: impl FnOnce(&mut T) -> R) -> R {
    let mut buffer = buffers.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = work(&mut buffer);
    buffers.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// A TLS connection. When it is dropped, it sends a close_notify (RFC 8446, 6.1), if the stream below takes that at
/// once. Its errors are those of the stream below, [`TlsError`] and [`Truncated`].
pub struct TlsByteStream<S: ByteStream, C: Side = UnbufferedClientConnection> {
    io: S,
    /// In a box, because the stream moves from one stage of a connection to the next.
    tls: Box<Tls<C>>,
}

struct Tls<C> {
    side: C,
    /// The server's name at a client, which the texts of its errors begin with.
    host: Box<str>,
    /// Received, and not decrypted yet.
    partial: Vec<u8>,
    /// Whether the last records were large.
    large: bool,
    /// Decrypted, and not read yet.
    plain: Bytes,
    /// Encrypted, and not written yet.
    outgoing: Bytes,
    /// How many bytes of data `outgoing` holds that the caller will give to poll_write again, because the last call is
    /// still pending.
    accepted: usize,
    /// The peer's fault. The data before it is read first.
    failed: Option<TlsError>,
    /// The peer has sent a close_notify.
    ended: bool,
    /// This side has sent a close_notify.
    closed: bool,
}

fn close_notify<D>(traffic: &mut WriteTraffic<'_, D>, room: &mut [u8]) -> Result<usize, EncryptError> {
    traffic.queue_close_notify(room)
}

impl<C: Side> Tls<C> {
    /// Appends to `output` what `write` encrypts.
    ///
    /// # Errors
    /// The connection's keys must not be used any more, or it has ended.
    fn encrypt(
        &mut self,
        output: &mut Output,
        write: impl FnMut(&mut WriteTraffic<'_, C::Data>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        if self.failed.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            // It holds no whole record, but rustls may have begun with a message in it.
            match self.side.process(&mut self.partial).state {
                Ok(ConnectionState::EncodeTlsData(data)) => output.encode(data),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return output
                        .encrypt(&mut traffic, write)
                        .map_err(|_| io::Error::other(TlsError::exhausted().with_host(&self.host)));
                }
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Decrypts `input` and lends the data to `take`. Returns how many bytes of the input are used up, and how many bytes
    /// of data they held.
    fn decrypt(&mut self, input: &mut [u8], take: &mut dyn FnMut(&[u8])) -> (usize, usize) {
        let (mut done, mut plain, mut records) = (0, 0, 0);
        let mut outgoing = Output::new();
        loop {
            let UnbufferedStatus { discard, state } = self.side.process(&mut input[done..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        plain += record.payload.len();
                        records += 1;
                        take(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    outgoing.encode(data);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    false
                }
                Ok(_) => false,
                Err(error) => {
                    self.failed = Some(C::fault(&error, &self.host, None));
                    outgoing.encode_last(&mut self.side);
                    false
                }
            };
            done += discard;
            if !more {
                break;
            }
        }
        if !outgoing.is_empty() {
            self.outgoing = [&self.outgoing, outgoing.bytes()].concat().into();
        }
        if done > 0 {
            // rustls does not report empty records, so that there may be none.
            self.large = plain >= LARGE_RECORD * records.max(1);
        }
        (done, plain)
    }
}

impl<S: ByteStream, C: Side> TlsByteStream<S, C> {
    /// The stream after its handshake: `partial` has been received and not decrypted yet, `plain` has been decrypted.
    pub(super) fn new(io: S, side: C, host: Box<str>, partial: Vec<u8>, plain: Bytes) -> Self {
        let tls = Tls {
            side,
            host,
            partial,
            large: false,
            plain,
            outgoing: Bytes::new(),
            accepted: 0,
            failed: None,
            ended: false,
            closed: false,
        };
        Self { io, tls: Box::new(tls) }
    }

    pub(super) fn side_mut(&mut self) -> &mut C {
        &mut self.tls.side
    }

    /// The protocol that the server has chosen, if it has chosen one (ALPN, RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.side.common().alpn_protocol()
    }

    /// Writes what has been encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.tls.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.tls.outgoing))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.tls.outgoing.advance(n),
            }
        }
        // It would hold what it was cut from.
        self.tls.outgoing = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Encrypts and writes as much as can be written at once.
    fn poll_encrypt(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnMut(&mut WriteTraffic<'_, C::Data>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Poll<io::Result<()>> {
        with_buffer(&OUTPUT, |output| {
            output.clear();
            self.tls.encrypt(output, write)?;
            let output = output.bytes();
            let mut written = 0;
            while written < output.len() {
                match Pin::new(&mut self.io).poll_write(cx, &output[written..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => written += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.tls.outgoing = Bytes::copy_from_slice(&output[written..]);
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Reads once and lends the decrypted data to `take`. Returns how many bytes of data there were.
    fn poll_decrypt(&mut self, cx: &mut Context<'_>, take: &mut dyn FnMut(&[u8])) -> Poll<io::Result<usize>> {
        with_buffer(&INPUT, |input| {
            let chunk = if self.tls.large { LARGE_CHUNK } else { CHUNK };
            let kept = self.tls.partial.len();
            if kept > MAX_PARTIAL {
                let error = C::fault(&Error::PeerSentOversizedRecord, &self.tls.host, None);
                return Poll::Ready(Err(io::Error::other(error)));
            }
            if input.len() < kept + chunk {
                input.resize(kept + chunk, 0);
            }
            input[..kept].copy_from_slice(&self.tls.partial);
            let mut read = ReadBuf::new(&mut input[kept..kept + chunk]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            let n = read.filled().len();
            if n == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, Truncated)));
            }
            let input = &mut input[..kept + n];
            let (done, plain) = self.tls.decrypt(input, take);
            // An idle connection holds no buffer.
            self.tls.partial = input[done..].to_vec();
            Poll::Ready(Ok(plain))
        })
    }
}

impl<S: ByteStream, C: Side> ByteStream for TlsByteStream<S, C> {
    fn reads_in_place(&self) -> bool {
        false
    }

    fn poll_read_pieces(
        &mut self,
        _wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.tls.plain.is_empty() {
                let plain = std::mem::take(&mut self.tls.plain);
                take(&plain);
                return Poll::Ready(Ok(plain.len()));
            }
            if let Some(error) = &self.tls.failed {
                return Poll::Ready(Err(io::Error::other(error.clone())));
            }
            if self.tls.ended {
                return Poll::Ready(Ok(0));
            }
            let read = ready!(self.poll_decrypt(cx, take))?;
            // rustls may have answered, with new keys or an alert for example: the answer goes out as soon as it can.
            if !self.tls.outgoing.is_empty() && self.tls.accepted == 0 {
                let _ = self.poll_send(cx);
            }
            if read > 0 {
                return Poll::Ready(Ok(read));
            }
        }
    }

    fn peer_closed(&self) -> bool {
        self.io.peer_closed()
    }

    fn has_unread(&self) -> bool {
        self.io.has_unread()
    }
}

impl<S: ByteStream, C: Side> AsyncRead for TlsByteStream<S, C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.tls.plain.is_empty() {
            let mut rest = Vec::new();
            let mut take = |piece: &[u8]| {
                let (now, later) = piece.split_at(piece.len().min(buf.remaining()));
                buf.put_slice(now);
                rest.extend_from_slice(later);
            };
            ready!(this.poll_read_pieces(usize::MAX, cx, &mut take))?;
            this.tls.plain = rest.into();
            return Poll::Ready(Ok(()));
        }
        let n = this.tls.plain.len().min(buf.remaining());
        buf.put_slice(&this.tls.plain[..n]);
        this.tls.plain.advance(n);
        if this.tls.plain.is_empty() {
            this.tls.plain = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Bytes count as written when the stream below has taken all of their encrypted form, so that a caller may rely on it.
/// Until then the write is pending, and must be repeated with the same bytes.
impl<S: ByteStream, C: Side> AsyncWrite for TlsByteStream<S, C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let accepted = std::mem::take(&mut this.tls.accepted);
        if accepted > 0 {
            return Poll::Ready(Ok(accepted.min(bytes.len())));
        }
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        if chunk.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match this.poll_encrypt(cx, |traffic, output| traffic.encrypt(chunk, output)) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| chunk.len())),
            Poll::Pending => {
                this.tls.accepted = chunk.len();
                Poll::Pending
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if !std::mem::replace(&mut this.tls.closed, true) {
            ready!(this.poll_encrypt(cx, close_notify))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S: ByteStream, C: Side> Drop for TlsByteStream<S, C> {
    fn drop(&mut self) {
        let mut notify = Output::new();
        if !self.tls.closed {
            // It fails if the connection has ended already.
            let _ = self.tls.encrypt(&mut notify, close_notify);
        }
        let last = [&self.tls.outgoing, notify.bytes()].concat();
        // A drop cannot wait for a peer that takes nothing now.
        let mut rest = &last[..];
        while let Ok(written @ 1..) = self.io.try_write(rest) {
            rest = &rest[written..];
        }
    }
}
