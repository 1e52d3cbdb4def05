//! TLS on a byte stream, by rustls, from either end. A client verifies the server before any data is sent.

mod alert;
mod client;
mod fault;
mod handshake;
mod output;
mod path;
mod roots;
mod server;
mod side;
mod signatures;
mod stream;
mod verifier;
mod x509;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;

#[cfg(test)]
use self::client::clients;
pub use self::client::{TlsClient, TlsClientError, TlsOptionError};
pub use self::server::{ClientAuth, ServerCertificate, ServerSide, TlsPeer, TlsServer, TlsServerOptions, accept};
use self::side::Side;
pub use self::stream::TlsByteStream;
use super::{ByteStream, within};
use crate::error::ConnectError;
pub use crate::error::{TlsError, Truncated};

/// The options of TLS. Equal options share one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Whether the server must prove its name.
    pub verify: bool,
    /// Who may vouch for it.
    pub roots: Roots,
    /// The server's name.
    pub name: Name,
    /// Other names that the server must prove as well.
    pub further_names: Vec<String>,
    /// The client's certificates for a server that asks for one, in order of preference.
    pub identities: Vec<Identity>,
    /// Whether TLS 1.2 may be spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 may be spoken.
    pub tls13: bool,
    /// The cipher suites, by their IANA names, in order of preference; all where there is no list.
    pub ciphers: Option<Vec<String>>,
    /// The signature schemes, by their names in RFC 8446, 4.2.3, in order of preference; all where there is no list.
    pub signature_schemes: Option<Vec<String>>,
    /// The groups, by their names in RFC 8446, 4.2.7, in order of preference; all where there is no list.
    pub groups: Option<Vec<String>>,
    /// The protocols to offer (RFC 7301), in order of preference.
    pub alpn: Vec<Vec<u8>>,
    /// The most certificates that may stand between the server's and the root's.
    pub depth: u8,
    /// Whether sessions are resumed.
    pub resume: bool,
}

/// Who may vouch for a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Roots {
    /// Whom the operating system trusts.
    System,
    /// These certificates, in DER.
    These(Vec<Vec<u8>>),
}

/// The name that the client sends and the server must prove.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// The host's.
    Host,
    /// Another one.
    Other(String),
    /// No name is sent, and a certificate for any name is accepted.
    Disabled,
}

/// A certificate of the client's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The certificate, then those of its issuers, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key.
    pub key: Key,
}

/// It keeps the key out of logs.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// A private key, in DER.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// RFC 8017, A.1.2.
    Pkcs1(Vec<u8>),
    /// RFC 5915.
    Sec1(Vec<u8>),
    /// RFC 5958.
    Pkcs8(Vec<u8>),
}

/// Shakes hands with the server behind `io`, whose name is `host` unless the options name another.
///
/// # Errors
/// See [`ConnectError`]; the server's faults and its alerts are [`ConnectError::Tls`].
pub async fn connect<S: ByteStream>(
    io: S,
    host: &str,
    client: &TlsClient,
    timeout: Option<Duration>,
) -> Result<TlsByteStream<S>, ConnectError> {
    let name = server_name(host, client.name())?;
    let host: Box<str> = name.to_str().into();
    let side = UnbufferedClientConnection::new(client.config(), name);
    let side = side.map_err(|error| UnbufferedClientConnection::fault(&error, &host, None))?;
    within(timeout, handshake::shake_hands(io, side, host)).await
}

/// A name without its final dot (RFC 6066, 3), or an address, for which no name is sent.
fn server_name(host: &str, name: &Name) -> Result<ServerName<'static>, ConnectError> {
    let asked_for = match name {
        Name::Other(name) => name,
        Name::Host | Name::Disabled => host,
    };
    // The zone of an address has a meaning on this machine only.
    let asked_for = asked_for.split('%').next().unwrap_or(asked_for);
    let asked_for = asked_for.strip_suffix('.').unwrap_or(asked_for);
    match (ServerName::try_from(asked_for), name) {
        (Ok(name), _) => Ok(name.to_owned()),
        (Err(_), Name::Disabled) => stand_in(host),
        (Err(_), _) => Err(TlsError::bad_name(asked_for).into()),
    }
}

/// rustls keeps sessions by the server's name, even if the name is neither sent nor checked. Each host gets one, though
/// what it is called cannot be a server's name.
fn stand_in(host: &str) -> Result<ServerName<'static>, ConnectError> {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    let name = format!("host-{:x}.invalid", hasher.finish());
    ServerName::try_from(name).map_err(|_| TlsError::bad_name(host).into())
}

#[cfg(test)]
mod tests;
