//! A byte stream that is encrypted on the way.
//!
//! rustls leaves its input and output to us here: what is read is decrypted in a buffer that all connections of a thread
//! share, as much at a time as the socket has, and an idle connection holds no buffer at all.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::alert::TlsError;
use super::verifier;
use crate::error::ConnectError;
use crate::transport::{ByteStream, is_cut};

/// How much is read, or encrypted, at once, but for what comes in large records.
const CHUNK: usize = 64 * 1024;

/// How much is read at once while large records come: a few of them are soon decrypted, and each read has a price. Of
/// small ones as many bytes would keep the other connections of the thread waiting.
const LARGE_CHUNK: usize = 128 * 1024;

/// How much data a large record holds at least.
const LARGE_RECORD: usize = 4 * 1024;

/// The most that is kept of what has been received and cannot be decrypted yet: a record, or in a handshake a message in
/// several of them, of which rustls takes 64 KiB.
const MAX_PARTIAL: usize = 128 * 1024;

thread_local! {
    /// What is being read, behind what was kept of the read before.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// What is being encrypted.
    static OUTPUT: RefCell<Output> = const { RefCell::new(Output::new()) };
}

/// The byte stream below ended without the peer's word that it is the end (RFC 8446, 6.1): whoever is on the way may have
/// cut it.
#[derive(Debug, thiserror::Error)]
#[error("the TLS connection was cut without a close_notify")]
pub struct Truncated;

/// A TLS connection. When it is dropped, the peer is told that nothing follows (RFC 8446, 6.1), if it takes as much at
/// once. Its errors are those of the byte stream below, [`TlsError`] and [`Truncated`].
pub struct TlsByteStream<S: ByteStream> {
    io: S,
    /// In a box, because the stream is moved from one stage of a connection to the next.
    tls: Box<Tls>,
}

struct Tls {
    connection: UnbufferedClientConnection,
    /// Who is at the other end, for what is said of its faults.
    host: Box<str>,
    /// Received, and not decrypted yet.
    partial: Vec<u8>,
    /// Whether what was decrypted last came in large records.
    large: bool,
    /// Decrypted, and not read yet.
    plain: Bytes,
    /// Encrypted, and not written yet.
    outgoing: Bytes,
    /// How much of what `outgoing` holds was given to the poll_write that is pending; it will be given again.
    accepted: usize,
    /// What the peer did wrong, once what came before it has been read.
    failed: Option<TlsError>,
    /// The peer has said that nothing follows.
    ended: bool,
    /// So have we.
    closed: bool,
}

/// Shakes hands with the server behind `io`.
///
/// # Errors
/// See [`ConnectError`].
pub(super) async fn shake_hands<S: ByteStream>(
    mut io: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsByteStream<S>, ConnectError> {
    let host: Box<str> = name.to_str().into();
    let failed = |error: &Error, problem| ConnectError::from(TlsError::from(error).during_handshake(&host, problem));
    let mut connection = UnbufferedClientConnection::new(config, name).map_err(|error| failed(&error, None))?;
    let (mut partial, mut plain, mut outgoing) = (Vec::new(), Vec::new(), Output::new());
    loop {
        let (mut up, mut blocked, mut error) = (false, false, None);
        verifier::take_problem();
        let UnbufferedStatus { discard, state } = connection.process_tls_records(&mut partial);
        match state {
            Ok(ConnectionState::EncodeTlsData(data)) => outgoing.encode(data),
            // It is written below, before rustls is asked again.
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    plain.extend_from_slice(record.payload);
                }
            }
            Ok(ConnectionState::WriteTraffic(_)) => up = true,
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => return Err(ConnectError::Closed),
            Ok(_) => blocked = true,
            Err(fault) => error = Some(failed(&fault, verifier::take_problem())),
        }
        partial.drain(..discard);
        if let Some(error) = error {
            // The server is told why, if it still listens.
            outgoing.encode_last(&mut connection);
            let _ = io.write_all(outgoing.bytes()).await;
            return Err(error);
        }
        if up || blocked {
            let written = async {
                io.write_all(outgoing.bytes()).await?;
                io.flush().await
            };
            // A server that refuses us has said why before it closed.
            match written.await {
                Err(error) if !is_cut(&error) => return Err(error.into()),
                _ => outgoing.used = 0,
            }
        }
        if up {
            let plain = Bytes::from(plain);
            let outgoing = Bytes::new();
            partial.shrink_to_fit();
            let tls = Tls {
                connection,
                host,
                partial,
                large: false,
                plain,
                outgoing,
                accepted: 0,
                failed: None,
                ended: false,
                closed: false,
            };
            return Ok(TlsByteStream { io, tls: Box::new(tls) });
        }
        if blocked {
            if partial.len() >= MAX_PARTIAL {
                return Err(failed(&Error::PeerSentOversizedRecord, None));
            }
            match io.read_buf(&mut partial).await {
                Ok(0) => return Err(ConnectError::Closed),
                Ok(_) => {}
                Err(error) if is_cut(&error) => return Err(ConnectError::Closed),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Bytes to be written. The buffer is longer than what is used of it, so that it need not be cleared each time.
#[derive(Default)]
struct Output {
    buffer: Vec<u8>,
    used: usize,
}

impl Output {
    const fn new() -> Self {
        Self { buffer: Vec::new(), used: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    /// Appends what `write` puts into the room that it is given, which it is given more of if it wants it.
    ///
    /// # Errors
    /// What is not for want of room.
    fn append<E>(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
        required: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), E> {
        loop {
            match write(&mut self.buffer[self.used..]) {
                Ok(written) => {
                    self.used += written;
                    return Ok(());
                }
                Err(error) => match required(&error) {
                    Some(size) => self.buffer.resize(self.used + size, 0),
                    None => return Err(error),
                },
            }
        }
    }

    /// Appends what rustls wants to say.
    fn encode(&mut self, mut data: EncodeTlsData<'_, ClientConnectionData>) {
        let required = |error: &EncodeError| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        };
        // It is encoded once.
        let _ = self.append(|room| data.encode(room), required);
    }

    /// Appends what rustls wants to say of a fault: nothing is received any more.
    fn encode_last(&mut self, connection: &mut UnbufferedClientConnection) {
        while connection.wants_write() {
            match connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => self.encode(data),
                _ => return,
            }
        }
    }
}

type Traffic<'a> = WriteTraffic<'a, ClientConnectionData>;

fn close_notify(traffic: &mut Traffic<'_>, room: &mut [u8]) -> Result<usize, EncryptError> {
    traffic.queue_close_notify(room)
}

impl Tls {
    /// Appends to `output` what `write` encrypts.
    ///
    /// # Errors
    /// The connection's keys must not be used any more, or it has ended.
    fn encrypt(
        &mut self,
        output: &mut Output,
        mut write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        let required = |error: &EncryptError| match error {
            EncryptError::InsufficientSize(size) => Some(size.required_size),
            EncryptError::EncryptExhausted => None,
        };
        if self.failed.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            // Nothing in it is whole, but rustls may have begun with a message in it.
            match self.connection.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::EncodeTlsData(data)) => output.encode(data),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let appended = output.append(|room| write(&mut traffic, room), required);
                    return appended.map_err(|_| io::Error::other(TlsError::exhausted().with_host(&self.host)));
                }
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Decrypts what has been received, and lends it to `take`. Gives back how much of the input is done with, and how
    /// many bytes it came to.
    fn decrypt(&mut self, input: &mut [u8], take: &mut dyn FnMut(&[u8])) -> (usize, usize) {
        let (mut done, mut plain, mut records) = (0, 0, 0);
        let mut outgoing = Output::new();
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut input[done..]);
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
                    self.failed = Some(TlsError::from(&error).with_host(&self.host));
                    outgoing.encode_last(&mut self.connection);
                    false
                }
            };
            done += discard;
            if !more {
                break;
            }
        }
        if outgoing.used > 0 {
            self.outgoing = [&self.outgoing, outgoing.bytes()].concat().into();
        }
        if done > 0 {
            // Empty records are not told.
            self.large = plain >= LARGE_RECORD * records.max(1);
        }
        (done, plain)
    }
}

impl<S: ByteStream> TlsByteStream<S> {
    /// The protocol that the server has chosen, if it has chosen one (ALPN, RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.connection.alpn_protocol()
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
        write: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Poll<io::Result<()>> {
        OUTPUT.with_borrow_mut(|output| {
            output.used = 0;
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

    /// Reads once, and lends what that decrypts to: how many bytes.
    fn poll_decrypt(&mut self, cx: &mut Context<'_>, take: &mut dyn FnMut(&[u8])) -> Poll<io::Result<usize>> {
        INPUT.with_borrow_mut(|input| {
            let chunk = if self.tls.large { LARGE_CHUNK } else { CHUNK };
            let kept = self.tls.partial.len();
            if kept > MAX_PARTIAL {
                let error = TlsError::from(&Error::PeerSentOversizedRecord).with_host(&self.tls.host);
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

impl<S: ByteStream> ByteStream for TlsByteStream<S> {
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
            // An answer to what was received, such as new keys or an alert, goes out as soon as it can.
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

impl<S: ByteStream> AsyncRead for TlsByteStream<S> {
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

/// Bytes count as written when the stream below has taken all that they were encrypted to: whoever waits for that may
/// rely on it. Until then the write is pending, and is to be repeated with the same bytes.
impl<S: ByteStream> AsyncWrite for TlsByteStream<S> {
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

impl<S: ByteStream> Drop for TlsByteStream<S> {
    fn drop(&mut self) {
        let mut notify = Output::new();
        if !self.tls.closed {
            // Where it can't be said, the connection has ended already.
            let _ = self.tls.encrypt(&mut notify, close_notify);
        }
        let last = [&self.tls.outgoing, notify.bytes()].concat();
        // A peer that takes nothing now is not waited for.
        let mut rest = &last[..];
        while let Ok(written @ 1..) = self.io.try_write(rest) {
            rest = &rest[written..];
        }
    }
}
