//! What can go wrong with the proxy that every connection leads through.

use super::ConnectError;

/// Why the proxy has not led to the origin.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy, or the network before it: it cannot be reached, its TLS fails, it says nothing in time, or it refuses in
    /// the words of SOCKS.
    #[error("the proxy: {0}")]
    Connect(ConnectError),
    /// The proxy: it refuses a CONNECT with this status.
    #[error("the proxy refuses the tunnel with the status {0}")]
    Status(u16),
    /// The proxy: what it answers is not HTTP/1.x.
    #[error("the answer of the proxy is not HTTP")]
    InvalidResponse,
    /// The proxy: its answer has more bytes, or more headers, than it may have.
    #[error("the answer of the proxy is too large")]
    ResponseTooLarge,
}

impl From<ProxyError> for ConnectError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(Box::new(error))
    }
}
