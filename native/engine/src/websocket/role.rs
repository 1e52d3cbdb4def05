//! Which end of a WebSocket this is, and what follows for masks.

use crate::error::ProtocolError;

/// Which end of a WebSocket this is: a client masks what it sends, a server does not (RFC 6455, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has asked for the WebSocket.
    Client,
    /// It has granted it.
    Server,
}

impl Role {
    /// The other end.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The key of the next frame that this end sends, if it masks.
    pub(crate) fn next_key(self) -> Option<[u8; 4]> {
        match self {
            Self::Client => Some(masking_key()),
            Self::Server => None,
        }
    }

    /// Checks the key of a frame that this end has received.
    pub(crate) fn check_key(self, key: Option<[u8; 4]>) -> Result<(), ProtocolError> {
        match (self, key) {
            (Self::Client, Some(_)) => Err(ProtocolError::Masked),
            (Self::Server, None) => Err(ProtocolError::Unmasked),
            _ => Ok(()),
        }
    }
}

/// A masking key: unpredictable, as RFC 6455, 5.3 and 10.3 demand.
fn masking_key() -> [u8; 4] {
    rand::random()
}
