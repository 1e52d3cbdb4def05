//! The server's end: its configuration, the choice among its certificates, and its handshake.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::Ticketer;
use rustls::pki_types::{DnsName, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConnectionData, UnbufferedServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::UnbufferedStatus;
use rustls::{CommonState, Error, ServerConfig};

use super::client::{KEY_LOG, TlsClientError, TlsOptionError, certified_key, provider, versions};
use super::side::Side;
use super::stream::TlsByteStream;
use super::verifier::{ClientVerifier, Verifier};
use super::{handshake, roots, signatures};
use crate::error::{ConnectError, TlsError};
use crate::transport::{ByteStream, within};

/// The options of a server's TLS.
#[derive(Debug, Clone)]
pub struct TlsServerOptions {
    /// The server's certificates. A client gets the first one for its name whose key it can use.
    pub certificates: Vec<ServerCertificate>,
    /// Whether clients must have a certificate.
    pub client_auth: ClientAuth,
    /// Who may vouch for clients, in DER. Not looked at where they need no certificate.
    pub client_roots: Option<Vec<Vec<u8>>>,
    /// The most certificates that may stand between a client's and the root's.
    pub depth: u8,
    /// Whether TLS 1.2 may be spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 may be spoken.
    pub tls13: bool,
    /// The cipher suites, by their IANA names, in order of preference; all where there is no list.
    pub ciphers: Option<Vec<String>>,
    /// Whether that order counts, rather than the client's.
    pub honor_cipher_order: bool,
    /// The protocols (RFC 7301), in order of preference. A client that names others alone is refused.
    pub alpn: Vec<Vec<u8>>,
    /// Whether sessions are resumed.
    pub resume: bool,
}

/// A certificate of a server's.
#[derive(Clone)]
pub struct ServerCertificate {
    /// The names that it is for; `*.` before one stands for any first label. Without names it is for clients that ask for a
    /// name that no other is for, or for none.
    pub names: Option<Vec<String>>,
    /// The certificate, then those of its issuers, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, in DER: PKCS #1, SEC1 or PKCS #8.
    pub key: Vec<u8>,
}

/// It keeps the key out of logs.
impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Whether a server asks for a certificate of the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// It does not.
    None,
    /// It does, and takes a client without one.
    Optional,
    /// It does, and takes no client without one.
    Required,
}

/// A server's configuration, which all of its connections share.
#[derive(Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
}

/// What a server knows of a client by the handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsPeer {
    /// The client's certificate, in DER.
    pub certificate: Option<Vec<u8>>,
    /// The name that it asked for, in lower case (RFC 6066, 3).
    pub server_name: Option<String>,
    /// The protocol that was agreed on (RFC 7301).
    pub alpn: Option<Vec<u8>>,
}

impl TlsServer {
    /// The configuration for these options.
    ///
    /// # Errors
    /// See [`TlsClientError`].
    pub fn new(options: &TlsServerOptions) -> Result<Arc<Self>, TlsClientError> {
        Ok(Arc::new(Self { config: Arc::new(config(options)?) }))
    }
}

/// Shakes hands with the client behind `io`.
///
/// # Errors
/// See [`ConnectError`]; the client's faults and its alerts are [`ConnectError::Tls`].
pub async fn accept<S: ByteStream>(
    io: S,
    server: &TlsServer,
    timeout: Option<Duration>,
) -> Result<(TlsByteStream<S, ServerSide>, TlsPeer), ConnectError> {
    let side = ServerSide::new(Arc::clone(&server.config))?;
    let mut stream = within(timeout, handshake::shake_hands(io, side, "".into())).await?;
    let server_name = stream.side_mut().name.take().map(Into::into);
    let common = stream.side_mut().common();
    let certificate =
        common.peer_certificates().and_then(|chain| chain.first()).map(|certificate| certificate.to_vec());
    let alpn = common.alpn_protocol().map(<[u8]>::to_vec);
    Ok((stream, TlsPeer { certificate, server_name, alpn }))
}

/// The server's end of a connection.
pub struct ServerSide {
    connection: UnbufferedServerConnection,
    /// The name that the client asks for, until it is reported.
    name: Option<Box<str>>,
}

impl ServerSide {
    fn new(config: Arc<ServerConfig>) -> Result<Self, ConnectError> {
        let connection = UnbufferedServerConnection::new(config).map_err(|error| TlsError::of_client(&error))?;
        Ok(Self { connection, name: None })
    }
}

impl Side for ServerSide {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.connection.process_tls_records(input)
    }

    fn common(&self) -> &CommonState {
        &self.connection
    }

    fn learn(&mut self) {
        if let Some(name) = ASKED_FOR.take() {
            self.name = Some(name);
        }
    }

    fn fault(error: &Error, _host: &str, _problem: Option<String>) -> TlsError {
        TlsError::of_client(error)
    }
}

fn config(options: &TlsServerOptions) -> Result<ServerConfig, TlsOptionError> {
    let provider = Arc::new(provider(options.ciphers.as_deref(), None)?);
    let certificates = Certificates::new(&options.certificates)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(options.tls12, options.tls13))
        .map_err(|error| TlsOptionError { option: "versions", text: error.to_string() })?;
    let verifier = match options.client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Optional => client_verifier(options, false)?,
        ClientAuth::Required => client_verifier(options, true)?,
    };
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols.clone_from(&options.alpn);
    config.ignore_client_order = options.honor_cipher_order;
    config.key_log = Arc::clone(&KEY_LOG);
    if options.resume {
        let bad = |error: Error| TlsOptionError { option: "resume", text: error.to_string() };
        config.ticketer = Ticketer::new().map_err(bad)?;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn client_verifier(options: &TlsServerOptions, mandatory: bool) -> Result<Arc<ClientVerifier>, TlsOptionError> {
    let Some(roots) = &options.client_roots else {
        return Err(TlsOptionError { option: "client_roots", text: "nobody may vouch for a client".into() });
    };
    let anchors = roots::these(roots).map_err(|error| TlsOptionError { option: "client_roots", ..error })?;
    let algorithms = signatures::algorithms();
    let schemes = algorithms.supported_schemes();
    Ok(Arc::new(ClientVerifier::new(Verifier::of_clients(anchors, options.depth, algorithms, schemes), mandatory)))
}

thread_local! {
    /// The name that the last client of this thread asked for. rustls shows it to whoever chooses the certificate alone.
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// A server's certificates, by the names that they are for: the empty one stands for all others.
#[derive(Debug)]
struct Certificates(HashMap<Box<str>, Vec<Arc<CertifiedKey>>>);

impl Certificates {
    fn new(certificates: &[ServerCertificate]) -> Result<Self, TlsOptionError> {
        let bad = |text: String| TlsOptionError { option: "certificates", text };
        let mut by_name = HashMap::<Box<str>, Vec<_>>::new();
        for certificate in certificates {
            let key = PrivateKeyDer::try_from(&certificate.key[..]).map_err(|_| bad("a key cannot be used".into()))?;
            let key = certified_key("certificates", &certificate.chain, &key)?;
            let Some(names) = &certificate.names else {
                by_name.entry("".into()).or_default().push(key);
                continue;
            };
            for name in names {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                if DnsName::try_from(name.strip_prefix("*.").unwrap_or(&name)).is_err() {
                    return Err(bad(format!("{name} is no name that a server can have")));
                }
                by_name.entry(name.into()).or_default().push(Arc::clone(&key));
            }
        }
        if by_name.is_empty() {
            return Err(bad("there is none".into()));
        }
        Ok(Self(by_name))
    }

    /// Those for a name, or for none.
    fn of(&self, name: Option<&str>) -> Option<&Vec<Arc<CertifiedKey>>> {
        let exact = name.and_then(|name| self.0.get(name));
        let any_label =
            || name.and_then(|name| name.split_once('.')).and_then(|(_, rest)| self.0.get(&*format!("*.{rest}")));
        exact.or_else(any_label).or_else(|| self.0.get(""))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let certificates = self.of(name.as_deref());
        ASKED_FOR.set(name.map(Into::into));
        let certificates = certificates?;
        let schemes = hello.signature_schemes();
        let fitting = certificates.iter().find(|certificate| certificate.key.choose_scheme(schemes).is_some());
        fitting.or(certificates.first()).cloned()
    }
}

#[cfg(test)]
mod tests;
