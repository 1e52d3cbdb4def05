//! The handshake of TLS, on any byte stream.

use rustls::Error;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::output::Output;
use super::side::Side;
use super::stream::{MAX_PARTIAL, TlsByteStream};
use super::verifier;
use crate::error::{ConnectError, is_cut};
use crate::transport::ByteStream;

/// A handshake under way.
struct Handshake<C> {
    side: C,
    /// The server's name at a client, which the texts of its errors begin with.
    host: Box<str>,
    /// Received, and not processed yet.
    partial: Vec<u8>,
    /// Data that the peer has sent right behind its part of the handshake.
    plain: Vec<u8>,
    outgoing: Output,
}

/// What must be done next.
enum Next {
    /// rustls is asked again: it has more to say.
    Process,
    /// The peer's answer is awaited.
    Receive,
    /// Nothing: the handshake is complete.
    Complete,
    /// Nothing: the peer has ended the connection.
    Closed,
}

/// Shakes hands with the peer behind `io`.
///
/// # Errors
/// See [`ConnectError`].
pub(super) async fn shake_hands<S: ByteStream, C: Side>(
    mut io: S,
    side: C,
    host: Box<str>,
) -> Result<TlsByteStream<S, C>, ConnectError> {
    let mut handshake = Handshake { side, host, partial: Vec::new(), plain: Vec::new(), outgoing: Output::new() };
    loop {
        match handshake.process() {
            Ok(Next::Process) => {}
            Ok(Next::Receive) => {
                handshake.write(&mut io).await?;
                handshake.read(&mut io).await?;
            }
            Ok(Next::Complete) => {
                handshake.write(&mut io).await?;
                let Handshake { side, host, mut partial, plain, .. } = handshake;
                partial.shrink_to_fit();
                return Ok(TlsByteStream::new(io, side, host, partial, plain.into()));
            }
            Ok(Next::Closed) => return Err(ConnectError::Closed),
            Err(error) => {
                // The peer gets an alert, if it still listens.
                let _ = io.write_all(handshake.outgoing.bytes()).await;
                return Err(error);
            }
        }
    }
}

impl<C: Side> Handshake<C> {
    /// Lets rustls do one step with what has been received.
    fn process(&mut self) -> Result<Next, ConnectError> {
        verifier::take_problem();
        let UnbufferedStatus { discard, state } = self.side.process(&mut self.partial);
        let next = match state {
            Ok(ConnectionState::EncodeTlsData(data)) => {
                self.outgoing.encode(data);
                Ok(Next::Process)
            }
            // The bytes are written before the peer's answer is awaited.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Next::Process)
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    self.plain.extend_from_slice(record.payload);
                }
                Ok(Next::Process)
            }
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Next::Complete),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Next::Closed),
            Ok(_) => Ok(Next::Receive),
            Err(error) => Err(self.failed(&error, verifier::take_problem())),
        };
        self.partial.drain(..discard);
        self.side.learn();
        next.inspect_err(|_| self.outgoing.encode_last(&mut self.side))
    }

    async fn write(&mut self, io: &mut impl ByteStream) -> Result<(), ConnectError> {
        let written = async {
            io.write_all(self.outgoing.bytes()).await?;
            io.flush().await
        };
        match written.await {
            Err(error) if !is_cut(&error) => Err(error.into()),
            // A peer that refuses the connection has sent an alert before it closed, which is still to be read.
            _ => {
                self.outgoing.clear();
                Ok(())
            }
        }
    }

    async fn read(&mut self, io: &mut impl ByteStream) -> Result<(), ConnectError> {
        if self.partial.len() >= MAX_PARTIAL {
            return Err(self.failed(&Error::PeerSentOversizedRecord, None));
        }
        match io.read_buf(&mut self.partial).await {
            Ok(0) => Err(ConnectError::Closed),
            Ok(_) => Ok(()),
            Err(error) if is_cut(&error) => Err(ConnectError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    fn failed(&self, error: &Error, problem: Option<String>) -> ConnectError {
        C::fault(error, &self.host, problem).into()
    }
}
