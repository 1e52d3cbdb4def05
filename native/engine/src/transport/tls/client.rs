//! One configuration of rustls for each set of options, shared by all connections that have it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, KeyLog, KeyLogFile, SignatureScheme, SupportedProtocolVersion, version};

use super::roots::{self, Anchors};
use super::signatures;
use super::verifier::Verifier;
use super::x509::{Certificate, Purpose};
use super::{Identity, Key, Name, Roots, TlsOptions};

/// How many configurations are kept though no connection uses them, so that their sessions can be resumed.
const MAX_KEPT: usize = 64;

/// How many servers' sessions a configuration remembers.
const MAX_SESSIONS: usize = 256;

/// An option has an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {text}")]
pub struct TlsOptionError {
    /// The option's name.
    pub option: &'static str,
    /// What is wrong with it, in English.
    pub text: String,
}

/// There is no configuration for the options.
#[derive(Debug, thiserror::Error)]
pub enum TlsClientError {
    /// The caller: an option cannot be honoured.
    #[error(transparent)]
    Option(#[from] TlsOptionError),
    /// This machine: the system's certificates could not be read, because it has no descriptor or no memory left.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A configuration.
#[derive(Debug)]
pub struct TlsClient {
    options: TlsOptions,
    /// The system's roots at the time when it was made, if the options name them.
    anchors: Option<Anchors>,
    config: Arc<ClientConfig>,
}

static CLIENTS: Mutex<VecDeque<Arc<TlsClient>>> = Mutex::new(VecDeque::new());

/// Writes to the file that the environment variable SSLKEYLOGFILE names, if it is set.
pub(super) static KEY_LOG: LazyLock<Arc<dyn KeyLog>> = LazyLock::new(|| Arc::new(KeyLogFile::new()));

/// How many configurations are kept.
#[cfg(test)]
pub(super) fn clients() -> usize {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner).len()
}

impl TlsClient {
    /// The configuration for these options, which other connections may share.
    ///
    /// It may read the system's certificates from files.
    ///
    /// # Errors
    /// See [`TlsClientError`].
    pub fn new(options: TlsOptions) -> Result<Arc<Self>, TlsClientError> {
        let anchors = match &options.roots {
            _ if !options.verify => None,
            Roots::System => Some(roots::system()?),
            Roots::These(_) => None,
        };
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |client: &Arc<Self>| {
            let roots = match (&client.anchors, &anchors) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                _ => false,
            };
            roots && client.options == options
        };
        if let Some(client) = clients.iter().find(|client| same(client)) {
            return Ok(Arc::clone(client));
        }
        let config = Arc::new(config(&options, anchors.clone())?);
        let client = Arc::new(Self { options, anchors, config });
        clients.push_back(Arc::clone(&client));
        if clients.len() > MAX_KEPT {
            clients.pop_front();
        }
        Ok(client)
    }

    /// The same, but that this is the one protocol to be offered (ALPN, RFC 7301). It shares what can be resumed.
    #[must_use]
    pub fn with_alpn(&self, protocol: &[u8]) -> Arc<Self> {
        let (mut options, mut config) = (self.options.clone(), ClientConfig::clone(&self.config));
        options.alpn = vec![protocol.to_vec()];
        config.alpn_protocols.clone_from(&options.alpn);
        Arc::new(Self { options, anchors: self.anchors.clone(), config: Arc::new(config) })
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(super) fn name(&self) -> &Name {
        &self.options.name
    }
}

fn config(options: &TlsOptions, system: Option<Anchors>) -> Result<ClientConfig, TlsOptionError> {
    let provider = provider(options.ciphers.as_deref(), options.groups.as_deref())?;
    let algorithms = signatures::algorithms();
    let anchors = match &options.roots {
        _ if !options.verify => None,
        Roots::System => system,
        Roots::These(certificates) => Some(roots::these(certificates)?),
    };
    let verifier = Verifier {
        anchors,
        checks_name: options.name != Name::Disabled,
        further_names: options.further_names.iter().map(further_name).collect::<Result<_, _>>()?,
        depth: options.depth,
        purpose: Purpose::Server,
        schemes: schemes(options, &algorithms)?,
        algorithms,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions(options.tls12, options.tls13))
        .map_err(|error| TlsOptionError { option: "versions", text: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = if options.identities.is_empty() {
        builder.with_no_client_auth()
    } else {
        builder.with_client_cert_resolver(Arc::new(Identities::new(&options.identities)?))
    };
    config.alpn_protocols.clone_from(&options.alpn);
    config.enable_sni = options.name != Name::Disabled;
    config.key_log = Arc::clone(&KEY_LOG);
    config.resumption = if options.resume {
        Resumption::store(Arc::new(ClientSessionMemoryCache::new(MAX_SESSIONS)))
    } else {
        Resumption::disabled()
    };
    Ok(config)
}

fn further_name(name: &String) -> Result<ServerName<'static>, TlsOptionError> {
    let bad = |_| TlsOptionError { option: "further_names", text: format!("{name} is no name that a server can have") };
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name)).map(|name| name.to_owned()).map_err(bad)
}

pub(super) fn versions(tls12: bool, tls13: bool) -> Vec<&'static SupportedProtocolVersion> {
    let versions = [(tls13, &version::TLS13), (tls12, &version::TLS12)];
    versions.into_iter().filter(|(wanted, _)| *wanted).map(|(_, version)| version).collect()
}

/// Those of ring's algorithms that are named, in their order.
pub(super) fn provider(
    ciphers: Option<&[String]>,
    groups: Option<&[String]>,
) -> Result<CryptoProvider, TlsOptionError> {
    let mut provider = ring::default_provider();
    if let Some(names) = ciphers {
        // rustls puts a prefix of its own before the names of RFC 8446.
        provider.cipher_suites = pick("ciphers", names, &provider.cipher_suites, |suite| {
            format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
        })?;
    }
    if let Some(names) = groups {
        provider.kx_groups =
            pick("groups", names, &provider.kx_groups, |group| format!("{:?}", group.name()).to_lowercase())?;
    }
    Ok(provider)
}

fn schemes(
    options: &TlsOptions,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<Vec<SignatureScheme>, TlsOptionError> {
    let all = algorithms.supported_schemes();
    let Some(names) = &options.signature_schemes else { return Ok(all) };
    pick("signature_algs", names, &all, |scheme| scheme_name(*scheme).to_owned())
}

/// RFC 8446, 4.2.3, as far as ring can verify it.
fn scheme_name(scheme: SignatureScheme) -> &'static str {
    match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => "rsa_pkcs1_sha256",
        SignatureScheme::RSA_PKCS1_SHA384 => "rsa_pkcs1_sha384",
        SignatureScheme::RSA_PKCS1_SHA512 => "rsa_pkcs1_sha512",
        SignatureScheme::ECDSA_NISTP256_SHA256 => "ecdsa_secp256r1_sha256",
        SignatureScheme::ECDSA_NISTP384_SHA384 => "ecdsa_secp384r1_sha384",
        SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256",
        SignatureScheme::RSA_PSS_SHA384 => "rsa_pss_rsae_sha384",
        SignatureScheme::RSA_PSS_SHA512 => "rsa_pss_rsae_sha512",
        SignatureScheme::ED25519 => "ed25519",
        _ => "",
    }
}

/// Those of `all` that have one of the names, in the order of the names.
fn pick<T: Copy>(
    option: &'static str,
    names: &[String],
    all: &[T],
    name: impl Fn(&T) -> String,
) -> Result<Vec<T>, TlsOptionError> {
    let picked: Vec<T> =
        names.iter().filter_map(|wanted| all.iter().find(|one| name(one) == *wanted)).copied().collect();
    if picked.is_empty() {
        return Err(TlsOptionError { option, text: "none of them is supported".into() });
    }
    Ok(picked)
}

/// The client's certificates. The server gets the first one that can sign with an algorithm it accepts.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl Identities {
    fn new(identities: &[Identity]) -> Result<Self, TlsOptionError> {
        let certified = identities.iter().map(|Identity { chain, key }| {
            let key = match key {
                Key::Pkcs1(der) => PrivateKeyDer::Pkcs1(der.clone().into()),
                Key::Sec1(der) => PrivateKeyDer::Sec1(der.clone().into()),
                Key::Pkcs8(der) => PrivateKeyDer::Pkcs8(der.clone().into()),
            };
            certified_key("identities", chain, &key)
        });
        certified.collect::<Result<_, _>>().map(Self)
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|identity| identity.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A certificate of this side's, with its key, which the option names.
pub(super) fn certified_key(
    option: &'static str,
    chain: &[Vec<u8>],
    key: &PrivateKeyDer<'_>,
) -> Result<Arc<CertifiedKey>, TlsOptionError> {
    let bad = |text: &str| TlsOptionError { option, text: text.into() };
    let key = ring::sign::any_supported_type(key).map_err(|_| bad("a key cannot be used"))?;
    // Whoever gets the certificate decides whether to trust it: here it need only have a key.
    let first = chain.first().and_then(|certificate| Certificate::read(certificate));
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
    let public = first.and_then(|certificate| certificate.public_key());
    match (key.public_key(), public) {
        (_, None) => Err(bad("a certificate cannot be decoded")),
        (Some(one), Some(other)) if one != other => Err(bad("a key is not the one of its certificate")),
        _ => Ok(Arc::new(CertifiedKey::new(chain, key))),
    }
}
