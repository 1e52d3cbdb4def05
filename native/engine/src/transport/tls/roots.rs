//! The roots that a server's certificate may lead to.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls_native_certs::ErrorKind;

use super::client::{TlsClientError, TlsOptionError};
use crate::error::is_exhaustion;

/// The roots, each reduced to what a check of its signatures needs.
pub(super) type Anchors = Arc<[TrustAnchor<'static>]>;

/// How long the system's roots are taken as unchanged.
const SYSTEM_ROOTS_LIFETIME: Duration = Duration::from_secs(10);

struct SystemRoots {
    looked_at: Instant,
    certificates: Vec<CertificateDer<'static>>,
    anchors: Anchors,
}

static SYSTEM_ROOTS: Mutex<Option<SystemRoots>> = Mutex::new(None);

/// The roots that the operating system trusts: the same ones as long as the system's certificates are the same.
///
/// # Errors
/// The system trusts none, or its certificates cannot be read now.
pub(super) fn system() -> Result<Anchors, TlsClientError> {
    let mut known = SYSTEM_ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.as_ref().filter(|known| known.looked_at.elapsed() < SYSTEM_ROOTS_LIFETIME) {
        return Ok(Arc::clone(&known.anchors));
    }
    let found = rustls_native_certs::load_native_certs();
    // With some of them only, a server under one of the others would be refused.
    if let Some(error) = found.errors.iter().find_map(exhausted) {
        return Err(error.into());
    }
    if let Some(known) = known.as_mut().filter(|known| known.certificates == found.certs) {
        known.looked_at = Instant::now();
        return Ok(Arc::clone(&known.anchors));
    }
    // A certificate of the system's that cannot be decoded is left out.
    let anchors: Anchors = found.certs.iter().filter_map(|certificate| anchor(certificate)).collect();
    if anchors.is_empty() {
        let text = found.errors.first().map_or_else(|| "there are none".into(), ToString::to_string);
        return Err(TlsOptionError { option: "roots", text }.into());
    }
    let looked_at = Instant::now();
    *known = Some(SystemRoots { looked_at, certificates: found.certs, anchors: Arc::clone(&anchors) });
    Ok(anchors)
}

fn exhausted(error: &rustls_native_certs::Error) -> Option<io::Error> {
    match &error.kind {
        ErrorKind::Io { inner, .. } => {
            inner.raw_os_error().filter(|number| is_exhaustion(*number)).map(io::Error::from_raw_os_error)
        }
        _ => None,
    }
}

/// The roots in these certificates.
///
/// # Errors
/// One of them cannot be decoded.
pub(super) fn these(certificates: &[Vec<u8>]) -> Result<Anchors, TlsOptionError> {
    let anchors = certificates.iter().map(|certificate| {
        let bad = || TlsOptionError { option: "roots", text: "a certificate cannot be decoded".into() };
        anchor(&CertificateDer::from_slice(certificate)).ok_or_else(bad)
    });
    anchors.collect()
}

fn anchor(certificate: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    webpki::anchor_from_trusted_cert(certificate).ok().map(|anchor| anchor.to_owned())
}
