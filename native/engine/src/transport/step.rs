//! The steps of a dial, for whoever observes them.

use std::net::SocketAddr;

use crate::error::ConnectError;
use crate::options::Steps;

/// One step of a dial. What it borrows is valid during the call only.
#[derive(Debug)]
pub enum DialStep<'a> {
    /// The resolver is asked for the addresses of this host. An address in its usual notation is looked up too, which
    /// takes no time. A Unix domain socket has no such step.
    DomainLookupStart {
        /// The host.
        host: &'a str,
        /// The port, which the resolver is not asked for.
        port: u16,
    },
    /// The usable addresses, in the order in which they will be tried.
    DomainLookupEnd(Result<&'a [SocketAddr], &'a ConnectError>),
    /// A socket is being connected.
    ConnectStart {
        /// The addresses to try, in this order. A Unix domain socket has none.
        addresses: &'a [SocketAddr],
    },
    /// The socket is connected, and has this local address if it is not a Unix domain socket.
    ConnectEnd(Result<Option<SocketAddr>, &'a ConnectError>),
    /// A TLS handshake begins.
    TlsHandshakeStart {
        /// The server's name.
        host: &'a str,
    },
    /// TLS is up, and the server has chosen this protocol if it has chosen any (ALPN, RFC 7301).
    TlsHandshakeEnd(Result<Option<&'a [u8]>, &'a ConnectError>),
}

impl DialStep<'_> {
    /// The step as a member of a set.
    #[must_use]
    pub fn kind(&self) -> Steps {
        match self {
            Self::DomainLookupStart { .. } => Steps::DOMAIN_LOOKUP_START,
            Self::DomainLookupEnd(_) => Steps::DOMAIN_LOOKUP_END,
            Self::ConnectStart { .. } => Steps::CONNECT_START,
            Self::ConnectEnd(_) => Steps::CONNECT_END,
            Self::TlsHandshakeStart { .. } => Steps::TLS_HANDSHAKE_START,
            Self::TlsHandshakeEnd(_) => Steps::TLS_HANDSHAKE_END,
        }
    }
}
