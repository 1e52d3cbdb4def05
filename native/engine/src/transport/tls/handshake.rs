//! The handshake of TLS, on any byte stream.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::output::Output;
use super::stream::{MAX_PARTIAL, TlsByteStream};
use super::verifier;
use crate::error::{ConnectError, TlsError, is_cut};
use crate::transport::ByteStream;

/// A handshake under way.
struct Handshake {
    connection: UnbufferedClientConnection,
    /// The server's name, which the texts of its errors begin with.
    host: Box<str>,
    /// Received, and not processed yet.
    partial: Vec<u8>,
    /// Data that a server has sent right behind its part of the handshake.
    plain: Vec<u8>,
    outgoing: Output,
}

/// What must be done next.
enum Next {
    /// rustls is asked again: it has more to say.
    Process,
    /// The server's answer is awaited.
    Receive,
    /// Nothing: the handshake is complete.
    Complete,
    /// Nothing: the server has ended the connection.
    Closed,
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
    let mut handshake = Handshake::new(config, name)?;
    loop {
        match handshake.process() {
            Ok(Next::Process) => {}
            Ok(Next::Receive) => {
                handshake.write(&mut io).await?;
                handshake.read(&mut io).await?;
            }
            Ok(Next::Complete) => {
                handshake.write(&mut io).await?;
                let Handshake { connection, host, mut partial, plain, .. } = handshake;
                partial.shrink_to_fit();
                return Ok(TlsByteStream::new(io, connection, host, partial, plain.into()));
            }
            Ok(Next::Closed) => return Err(ConnectError::Closed),
            Err(error) => {
                // The server gets an alert, if it still listens.
                let _ = io.write_all(handshake.outgoing.bytes()).await;
                return Err(error);
            }
        }
    }
}

impl Handshake {
    fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, ConnectError> {
        let host: Box<str> = name.to_str().into();
        let connection = UnbufferedClientConnection::new(config, name).map_err(|error| failed(&error, &host, None))?;
        Ok(Self { connection, host, partial: Vec::new(), plain: Vec::new(), outgoing: Output::new() })
    }

    /// Lets rustls do one step with what has been received.
    fn process(&mut self) -> Result<Next, ConnectError> {
        verifier::take_problem();
        let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.partial);
        let next = match state {
            Ok(ConnectionState::EncodeTlsData(data)) => {
                self.outgoing.encode(data);
                Ok(Next::Process)
            }
            // The bytes are written before the server's answer is awaited.
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
            Err(error) => Err(failed(&error, &self.host, verifier::take_problem())),
        };
        self.partial.drain(..discard);
        next.inspect_err(|_| self.outgoing.encode_last(&mut self.connection))
    }

    async fn write(&mut self, io: &mut impl ByteStream) -> Result<(), ConnectError> {
        let written = async {
            io.write_all(self.outgoing.bytes()).await?;
            io.flush().await
        };
        match written.await {
            Err(error) if !is_cut(&error) => Err(error.into()),
            // A server that refuses the connection has sent an alert before it closed, which is still to be read.
            _ => {
                self.outgoing.clear();
                Ok(())
            }
        }
    }

    async fn read(&mut self, io: &mut impl ByteStream) -> Result<(), ConnectError> {
        if self.partial.len() >= MAX_PARTIAL {
            return Err(failed(&Error::PeerSentOversizedRecord, &self.host, None));
        }
        match io.read_buf(&mut self.partial).await {
            Ok(0) => Err(ConnectError::Closed),
            Ok(_) => Ok(()),
            Err(error) if is_cut(&error) => Err(ConnectError::Closed),
            Err(error) => Err(error.into()),
        }
    }
}

fn failed(error: &Error, host: &str, problem: Option<String>) -> ConnectError {
    TlsError::from(error).during_handshake(host, problem).into()
}
