//! Both ends of TLS in the tests of whole connections.

use std::error::Error;
use std::sync::Arc;

use gun_rs_engine::transport::tls::{Name, Roots, TlsClient, TlsOptions};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Offers these protocols and accepts any certificate.
pub(crate) fn client(alpn: &[&str]) -> Fallible<Option<Arc<TlsClient>>> {
    let options = TlsOptions {
        verify: false,
        roots: Roots::System,
        name: Name::Host,
        further_names: Vec::new(),
        identities: Vec::new(),
        tls12: true,
        tls13: true,
        ciphers: None,
        signature_schemes: None,
        groups: None,
        alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        depth: 10,
        resume: true,
    };
    Ok(Some(TlsClient::new(options)?))
}

/// A server that chooses among these protocols.
pub(crate) fn acceptor(alpn: &[&str]) -> Fallible<TlsAcceptor> {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let chain = vec![certified.cert.der().clone()];
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
