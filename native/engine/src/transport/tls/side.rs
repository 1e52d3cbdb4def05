//! The two ends of a TLS connection, which rustls has apart.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::unbuffered::UnbufferedStatus;
use rustls::{CommonState, Error};

use crate::error::TlsError;

/// One end of a TLS connection, without its input and output.
pub trait Side: Send + Unpin + 'static {
    /// What rustls keeps for it.
    type Data;

    /// Processes what has been received, as far as rustls does at once.
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// What both ends have in common.
    fn common(&self) -> &CommonState;

    /// A step of the handshake is done: takes note of what is known of the peer from then on.
    fn learn(&mut self) {}

    /// The fault behind an error. `host` is the peer's name, if it has one, and `problem` what is wrong with its
    /// certificate.
    fn fault(error: &Error, host: &str, problem: Option<String>) -> TlsError;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(input)
    }

    fn common(&self) -> &CommonState {
        self
    }

    fn fault(error: &Error, host: &str, problem: Option<String>) -> TlsError {
        TlsError::from(error).during_handshake(host, problem)
    }
}
