//! Whether a server is who it is asked for.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::alert::describe;
use super::name::{distinguished_name, rsa_bits};
use super::path;
use super::roots::Anchors;

thread_local! {
    /// What is wrong with the certificate that was looked at last. rustls has no place for it in its errors.
    static PROBLEM: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What the verifier has found on this thread since this was asked last.
pub(super) fn take_problem() -> Option<String> {
    PROBLEM.take()
}

/// Checks certificates by webpki, as rustls's own verifier does, with a limit on the chain's length.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Nobody is asked where there are none.
    pub(super) anchors: Option<Anchors>,
    /// Whether the certificate must be for the server's name.
    pub(super) checks_name: bool,
    /// The most certificates between the server's and the root's.
    pub(super) depth: u8,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) schemes: Vec<SignatureScheme>,
}

/// What rustls has no word for in a certificate that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Objection {
    #[error("is signed with its own key alone, and is not among the roots that are trusted here")]
    SelfSigned,
    #[error("has an RSA key, or stands on one, that is too weak: it has fewer than {MIN_RSA_BITS} bits")]
    WeakKey,
    #[error("stands too many certificates away from its root: there may be as many as the option depth says")]
    PathTooLong,
    #[error("comes with others that may vouch for each other in too many ways, more than are tried")]
    TooManyPaths,
}

impl From<Objection> for CertificateError {
    fn from(objection: Objection) -> Self {
        Self::Other(OtherError(Arc::new(objection)))
    }
}

/// The shortest modulus that ring verifies signatures with.
const MIN_RSA_BITS: usize = 2048;

impl Verifier {
    fn check(
        &self,
        anchors: &Anchors,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(certificate_error)?;
        let result = path::candidates(&certificate, intermediates, anchors).and_then(|candidates| {
            let result = self.check_path(anchors, &certificate, &candidates, server_name, now);
            match result.map_err(certificate_error) {
                Ok(()) if has_weak_key(end_entity) => Err(Objection::WeakKey.into()),
                Err(CertificateError::BadSignature) if stands_on_weak_key(anchors, end_entity, &candidates) => {
                    Err(Objection::WeakKey.into())
                }
                Err(CertificateError::UnknownIssuer) if certificate.subject() == certificate.issuer() => {
                    Err(Objection::SelfSigned.into())
                }
                result => result,
            }
        });
        result.inspect_err(|error| {
            let (subject, issuer) =
                (distinguished_name(certificate.subject()), distinguished_name(certificate.issuer()));
            PROBLEM.set(Some(describe(error, &subject, &issuer)));
        })
    }

    fn check_path(
        &self,
        anchors: &Anchors,
        certificate: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let check = |path: &webpki::VerifiedPath<'_>| {
            if path.intermediate_certificates().count() > usize::from(self.depth) {
                return Err(webpki::Error::MaximumPathDepthExceeded);
            }
            Ok(())
        };
        let usage = KeyUsage::server_auth();
        let algorithms = self.algorithms.all;
        certificate.verify_for_usage(algorithms, anchors, intermediates, now, usage, None, Some(&check))?;
        match self.checks_name {
            true => certificate.verify_is_valid_for_subject_name(server_name),
            false => Ok(()),
        }
    }
}

fn stands_on_weak_key(
    anchors: &Anchors,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> bool {
    let stands_on_weak_root = |der: &CertificateDer<'_>| {
        let Ok(issued) = EndEntityCert::try_from(der) else { return false };
        anchors
            .iter()
            .any(|anchor| issued.issuer() == anchor.subject.as_ref() && is_weak(&anchor.subject_public_key_info))
    };
    let mut path = std::iter::once(end_entity).chain(intermediates);
    path.clone().any(has_weak_key) || path.any(stands_on_weak_root)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(anchors) = &self.anchors {
            self.check(anchors, end_entity, intermediates, server_name, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
            .map_err(|error| signature_error(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
            .map_err(|error| signature_error(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// A server that need not prove who it is must still have a key that can be used.
fn signature_error(error: Error, certificate: &CertificateDer<'_>) -> Error {
    if has_weak_key(certificate) {
        PROBLEM.set(Some(format!("the server's certificate {}", Objection::WeakKey)));
        return CertificateError::from(Objection::WeakKey).into();
    }
    error
}

fn has_weak_key(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate).is_ok_and(|certificate| is_weak(&certificate.subject_public_key_info()))
}

fn is_weak(key: &[u8]) -> bool {
    rsa_bits(key).is_some_and(|bits| bits < MIN_RSA_BITS)
}

/// webpki's error in rustls's terms, which name the alert that the server is sent.
fn certificate_error(error: webpki::Error) -> CertificateError {
    use webpki::Error as E;
    match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions => CertificateError::BadEncoding,
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::CertNotValidForName(context) => CertificateError::NotValidForNameContext {
            expected: context.expected.to_owned(),
            presented: context.presented,
        },
        E::CertRevoked => CertificateError::Revoked,
        // A certificate that vouches for itself is its own unknown issuer.
        E::UnknownIssuer | E::CaUsedAsEndEntity => CertificateError::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::UnsupportedCriticalExtension => CertificateError::UnhandledCriticalExtension,
        E::UnsupportedSignatureAlgorithmContext(context) => CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: context.signature_algorithm_id,
            supported_algorithms: context.supported_algorithms,
        },
        E::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
        }
        E::MaximumPathDepthExceeded => Objection::PathTooLong.into(),
        error => CertificateError::Other(OtherError(Arc::new(error))),
    }
}
