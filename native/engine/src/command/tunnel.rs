//! Where tunnels lead, and what is spoken at their ends.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::options::{Http2Options, HttpOptions, RawOptions};
use crate::transport::tls::TlsClient;

/// Where a tunnel leads, and what is spoken there.
pub struct Destination {
    /// The host, which the proxy resolves: a name, or an address in its usual notation.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The value of the host header of requests that are made there.
    pub authority: String,
    /// TLS with the destination, where there is a configuration for it.
    pub tls: Option<Arc<TlsClient>>,
    /// How long the handshake of TLS may take; `None` is unlimited.
    pub tls_handshake_timeout: Option<Duration>,
    /// What is spoken there.
    pub speaks: Speaks,
    /// What the sink knows it by, which nobody else looks at.
    pub label: Box<[u8]>,
}

/// What is spoken at the end of a tunnel. What has no options of its own has those of the connection.
pub enum Speaks {
    /// HTTP, of the version that TLS and the options choose.
    Http {
        /// HTTP/1.x, where it may be spoken.
        http1: Option<Option<HttpOptions>>,
        /// HTTP/2, where it may be: where TLS has chosen it, or where HTTP/1.x may not be spoken.
        http2: Option<Option<Arc<Http2Options>>>,
    },
    /// Nothing: bytes are carried as they are.
    Raw(Option<RawOptions>),
    /// SOCKS: it is another proxy.
    Socks(Arc<Socks>),
}

/// A proxy that speaks SOCKS 5 (RFC 1928).
pub struct Socks {
    /// How we may prove who we are, the best first.
    pub auth: Vec<Auth>,
    /// How long the proxy may take; `None` is unlimited.
    pub timeout: Option<Duration>,
    /// Where it is to lead.
    pub destination: Arc<Destination>,
}

/// A method of authentication.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// None.
    None,
    /// A user's name, and the password (RFC 1929).
    Password(Vec<u8>, Vec<u8>),
}

impl Destination {
    /// The host as an address, if it is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Without what is secret.
impl fmt::Debug for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Destination")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
