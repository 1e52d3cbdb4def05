//! Whether a server's certificate proves its name, and whether a client's is trusted.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity};

use super::fault::Presented;
use super::path;
use super::roots::Anchors;
use super::x509::{Certificate, Purpose, rsa_bits};

thread_local! {
    /// The sentence for the last certificate that was refused. rustls's errors have no place for it.
    static PROBLEM: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the sentence for the last certificate that was refused on this thread.
pub(super) fn take_problem() -> Option<String> {
    PROBLEM.take()
}

/// Checks certificates with webpki, as rustls's own verifier does, and limits the chain's length.
#[derive(Debug)]
pub(super) struct Verifier {
    /// The roots. Without them any certificate is accepted.
    pub(super) anchors: Option<Anchors>,
    /// Whether the certificate must be for the server's name.
    pub(super) checks_name: bool,
    /// Other names that it must be for as well.
    pub(super) further_names: Vec<ServerName<'static>>,
    /// The most certificates between the peer's and the root's.
    pub(super) depth: u8,
    /// Whose certificates they are.
    pub(super) purpose: Purpose,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) schemes: Vec<SignatureScheme>,
}

/// Why a certificate is not accepted.
#[derive(Debug)]
pub(super) enum Refusal {
    Webpki(webpki::Error),
    Objection(Objection),
}

impl From<webpki::Error> for Refusal {
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::MaximumPathDepthExceeded => Self::Objection(Objection::PathTooLong),
            webpki::Error::MaximumSignatureChecksExceeded
            | webpki::Error::MaximumPathBuildCallsExceeded
            | webpki::Error::MaximumNameConstraintComparisonsExceeded => Self::Objection(Objection::TooManyPaths),
            error => Self::Webpki(error),
        }
    }
}

impl From<Objection> for Refusal {
    fn from(objection: Objection) -> Self {
        Self::Objection(objection)
    }
}

impl From<Refusal> for CertificateError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Webpki(error) => certificate_error(error),
            Refusal::Objection(objection) => objection.into(),
        }
    }
}

/// A reason to refuse a certificate that webpki has no error for.
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

/// The most bytes of the roots' names that a client is sent.
const MAX_HINTS: usize = 16 * 1024;

/// The shortest modulus that ring verifies signatures with.
pub(super) const MIN_RSA_BITS: usize = 2048;

impl Verifier {
    /// For clients, which have no names to prove.
    pub(super) fn of_clients(
        anchors: Anchors,
        depth: u8,
        algorithms: WebPkiSupportedAlgorithms,
        schemes: Vec<SignatureScheme>,
    ) -> Self {
        let (purpose, further_names) = (Purpose::Client, Vec::new());
        Self { anchors: Some(anchors), checks_name: false, further_names, depth, purpose, algorithms, schemes }
    }

    fn check(
        &self,
        anchors: &Anchors,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let result = match EndEntityCert::try_from(end_entity) {
            Ok(certificate) if is_trusted_itself(end_entity, anchors) => {
                self.check_itself(end_entity, &certificate, server_name, now)
            }
            Ok(certificate) => self.check_issuers(anchors, end_entity, &certificate, intermediates, server_name, now),
            Err(error) => Err(error.into()),
        };
        result.map_err(|refusal| {
            // To describe it takes signatures more, which a server does not check for strangers.
            if let Purpose::Server = self.purpose {
                let presented = Presented { end_entity, others: intermediates, anchors, algorithms: &self.algorithms };
                PROBLEM.set(Some(presented.describe(&refusal)));
            }
            refusal.into()
        })
    }

    /// Checks a certificate that is a root itself: neither its issuer nor its right to issue others matters.
    fn check_itself(
        &self,
        end_entity: &CertificateDer<'_>,
        certificate: &EndEntityCert<'_>,
        server_name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let read = Certificate::read(end_entity).ok_or(webpki::Error::BadDer)?;
        let (Some(not_before), Some(not_after)) = (read.not_before, read.not_after) else {
            return Err(webpki::Error::BadDerTime.into());
        };
        let since_1970 = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        if now.as_secs() < not_before {
            return Err(webpki::Error::CertNotValidYet { time: now, not_before: since_1970(not_before) }.into());
        }
        if now.as_secs() > not_after {
            return Err(webpki::Error::CertExpired { time: now, not_after: since_1970(not_after) }.into());
        }
        if !read.is_for(self.purpose) {
            return Err(webpki::Error::EmptyEkuExtension.into());
        }
        if has_weak_key(end_entity) {
            return Err(Objection::WeakKey.into());
        }
        self.check_name(certificate, server_name).map_err(Refusal::from)
    }

    fn check_issuers(
        &self,
        anchors: &Anchors,
        end_entity: &CertificateDer<'_>,
        certificate: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let candidates = path::candidates(certificate, intermediates, anchors)?;
        let is_self_issued = certificate.subject() == certificate.issuer();
        match self.check_path(anchors, certificate, &candidates, server_name, now) {
            Ok(()) if has_weak_key(end_entity) => Err(Objection::WeakKey.into()),
            Err(webpki::Error::InvalidSignatureForPublicKey)
                if stands_on_weak_key(anchors, end_entity, &candidates) =>
            {
                Err(Objection::WeakKey.into())
            }
            // A certificate that vouches for itself is its own unknown issuer.
            Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity) if is_self_issued => {
                Err(Objection::SelfSigned.into())
            }
            result => result.map_err(Refusal::from),
        }
    }

    fn check_path(
        &self,
        anchors: &Anchors,
        certificate: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: Option<&ServerName<'_>>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let check = |path: &webpki::VerifiedPath<'_>| {
            if path.intermediate_certificates().count() > usize::from(self.depth) {
                return Err(webpki::Error::MaximumPathDepthExceeded);
            }
            Ok(())
        };
        let usage = match self.purpose {
            Purpose::Server => KeyUsage::server_auth(),
            Purpose::Client => KeyUsage::client_auth(),
        };
        let algorithms = self.algorithms.all;
        certificate.verify_for_usage(algorithms, anchors, intermediates, now, usage, None, Some(&check))?;
        self.check_name(certificate, server_name)
    }

    fn check_name(
        &self,
        certificate: &EndEntityCert<'_>,
        server_name: Option<&ServerName<'_>>,
    ) -> Result<(), webpki::Error> {
        let mut names = server_name.filter(|_| self.checks_name).into_iter().chain(&self.further_names);
        names.try_for_each(|name| certificate.verify_is_valid_for_subject_name(name))
    }

    /// Checks the signature of a handshake with the certificate's key. The rest of the certificate has been checked
    /// already, or need not be.
    fn check_signature(
        &self,
        certificate: &CertificateDer<'_>,
        check: impl FnOnce(&SubjectPublicKeyInfoDer<'_>) -> Result<(), Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(key) = Certificate::read(certificate).and_then(|certificate| certificate.public_key()) else {
            PROBLEM.set(Some("the server's certificate cannot be decoded: it has no key that can be found".into()));
            return Err(CertificateError::BadEncoding.into());
        };
        match check(&key) {
            // A server that need not prove its name must still have a usable key.
            Err(_) if has_weak_key(certificate) => {
                let presented =
                    Presented { end_entity: certificate, others: &[], anchors: &[], algorithms: &self.algorithms };
                PROBLEM.set(Some(presented.describe(&Objection::WeakKey.into())));
                Err(CertificateError::from(Objection::WeakKey).into())
            }
            result => result.map(|()| HandshakeSignatureValid::assertion()),
        }
    }
}

/// Whether a root has the name and the key of the certificate, which is then as good as the root.
fn is_trusted_itself(certificate: &CertificateDer<'_>, anchors: &Anchors) -> bool {
    let Some(certificate) = Certificate::read(certificate) else { return false };
    // A root that is limited to some names is limited to them for itself, too.
    let is_same = |anchor: &TrustAnchor<'_>| {
        anchor.name_constraints.is_none()
            && anchor.subject.as_ref() == certificate.subject
            && anchor.subject_public_key_info.as_ref() == certificate.key
    };
    anchors.iter().any(is_same)
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
            self.check(anchors, end_entity, intermediates, Some(server_name), now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(certificate, |key| {
            let key = RawPublicKeyEntity::try_from(key).map_err(certificate_error)?;
            let fitting = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
            let mut result = Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
            // The scheme does not say which curve it is (RFC 8422, 5.1.1).
            for algorithm in fitting.flat_map(|(_, algorithms)| *algorithms) {
                let checked = key.verify_signature(*algorithm, message, signature.signature());
                let fits = !matches!(checked, Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)));
                result = checked.map_err(|error| certificate_error(error).into());
                if fits {
                    break;
                }
            }
            result
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(certificate, |key| {
            verify_tls13_signature_with_raw_key(message, key, signature, &self.algorithms).map(|_| ())
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// What of a client's certificate is checked, and whether there must be one.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    verifier: Verifier,
    mandatory: bool,
    /// The names of the roots, which help a client to choose a certificate.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(super) fn new(verifier: Verifier, mandatory: bool) -> Self {
        let names = verifier.anchors.iter().flat_map(|anchors| anchors.iter());
        let hints: Vec<_> = names.map(|anchor| DistinguishedName::in_sequence(&anchor.subject)).collect();
        // More than this would not fit into their message, and any client can do without.
        let fit = hints.iter().map(|hint| hint.as_ref().len()).sum::<usize>() <= MAX_HINTS;
        Self { verifier, mandatory, hints: if fit { hints } else { Vec::new() } }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(anchors) = &self.verifier.anchors {
            self.verifier.check(anchors, end_entity, intermediates, None, now)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(&self.verifier, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(&self.verifier, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.schemes.clone()
    }
}

fn has_weak_key(certificate: &CertificateDer<'_>) -> bool {
    Certificate::read(certificate).is_some_and(|certificate| is_weak(certificate.key))
}

fn is_weak(key: &[u8]) -> bool {
    rsa_bits(key).is_some_and(|bits| bits < MIN_RSA_BITS)
}

/// webpki's error as one of rustls's, which decides which alert the server gets.
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
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => CertificateError::InvalidPurpose,
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
        error => CertificateError::Other(OtherError(Arc::new(error))),
    }
}
