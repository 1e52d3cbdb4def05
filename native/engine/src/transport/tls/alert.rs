//! The errors of TLS, by the names of its alerts (RFC 8446, 6).

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::verifier::Objection;
use crate::error::TlsError;

impl TlsError {
    /// The connection's keys have been used as often as they may be.
    pub(super) fn exhausted() -> Self {
        Self { alert: "internal_error", text: "the keys must not be used any more, and TLS 1.2 has no others".into() }
    }

    /// The fault of a client behind an error. Few read it, so that it has no sentences of its own.
    pub(super) fn of_client(error: &Error) -> Self {
        let Self { alert, text } = Self::from(error);
        let text = match error {
            Error::AlertReceived(_) => format!("the client sent the alert {alert}"),
            _ => text.replace("the server", "the client"),
        };
        let alert = if let Error::NoCertificatesPresented = error { "certificate_required" } else { alert };
        Self { alert, text }
    }

    /// The host's name cannot be a server's.
    pub(super) fn bad_name(host: &str) -> Self {
        Self { alert: "unrecognized_name", text: format!("{host} is no name that a server can have a certificate for") }
    }

    /// The same with the name of the server.
    pub(super) fn with_host(self, host: &str) -> Self {
        Self { text: format!("{host}: {}", self.text), ..self }
    }

    /// The same for a handshake: with the name of the server, and what is wrong with its certificate.
    pub(super) fn during_handshake(self, host: &str, problem: Option<String>) -> Self {
        Self { text: problem.unwrap_or(self.text), ..self }.with_host(host)
    }
}

impl From<&Error> for TlsError {
    fn from(error: &Error) -> Self {
        let alert = match error {
            Error::AlertReceived(alert) => {
                let alert = name(*alert);
                return Self { alert, text: received(alert) };
            }
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. } => "unexpected_message",
            Error::NoApplicationProtocol => "no_application_protocol",
            Error::PeerIncompatible(incompatible) => of_incompatible(incompatible),
            Error::PeerSentOversizedRecord => "record_overflow",
            Error::DecryptError => "bad_record_mac",
            Error::PeerMisbehaved(_) => "illegal_parameter",
            Error::NoCertificatesPresented => "bad_certificate",
            _ => "internal_error",
        };
        Self { alert, text: describe(error) }
    }
}

/// The sentence for an alert of the server's, with its usual cause (RFC 8446, 6.2).
fn received(alert: &str) -> String {
    let why = match alert {
        "certificate_required" => "it wants a certificate of this side, and has got none",
        "handshake_failure" => "it has no algorithms in common with this side, or wants a certificate of it",
        "protocol_version" => "it has none of the versions of TLS that are offered",
        "insufficient_security" => "it wants stronger algorithms than those that are offered",
        "unknown_ca" => "it does not trust the issuer of this side's certificate",
        "bad_certificate" | "unsupported_certificate" | "certificate_unknown" | "access_denied" => {
            "it does not accept this side's certificate, or wants one"
        }
        "certificate_expired" | "certificate_revoked" => "this side's certificate is not valid any more",
        "unrecognized_name" => "it has no certificate for this host",
        "no_application_protocol" => "it speaks none of the protocols that are offered",
        "internal_error" => "it failed, and its log may say why",
        _ => return format!("the server sent the alert {alert}"),
    };
    format!("the server sent the alert {alert}: {why}")
}

/// The sentence for an error. rustls's own texts consist of its identifiers.
fn describe(error: &Error) -> String {
    match error {
        Error::InvalidMessage(what) => {
            format!("the server sent what is no TLS, or no TLS that is expected there ({})", words(what))
        }
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent what is no TLS, or no TLS that is expected there".into()
        }
        Error::NoApplicationProtocol => "the server speaks none of the protocols that are advertised".into(),
        Error::PeerIncompatible(incompatible) => describe_incompatible(incompatible),
        Error::PeerSentOversizedRecord => "the server sent a record that is too long".into(),
        Error::DecryptError => {
            "what the server sent cannot be decrypted: it was changed on the way, or the keys differ".into()
        }
        Error::PeerMisbehaved(what) => format!("the server broke the TLS protocol ({})", words(what)),
        Error::NoCertificatesPresented => "the server sent no certificate".into(),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the server's signature of the handshake is not by the key of its certificate".into()
        }
        Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => "the server's key, or its signature of the handshake, is of a kind that is not accepted".into(),
        Error::InvalidCertificate(_) => "the server's certificate is not accepted".into(),
        error => format!("this side failed ({})", words(error)),
    }
}

fn describe_incompatible(incompatible: &PeerIncompatible) -> String {
    match incompatible {
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => "the server has neither TLS 1.2 nor TLS 1.3".into(),
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "the server has none of the versions that the option versions names".into()
        }
        PeerIncompatible::NoCipherSuitesInCommon => "the server has no cipher suite that is offered".into(),
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NoEcPointFormatsInCommon => {
            "the server has no group for the key exchange that is offered".into()
        }
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "the two sides have no signature algorithm in common".into()
        }
        incompatible => format!("the server has TLS that does not fit ({})", words(incompatible)),
    }
}

/// OTP's names: an expired certificate and one that is not valid yet share one, and so do all faults in the handshake's
/// sense of it, a wrong name among them.
fn of_certificate(error: &CertificateError) -> &'static str {
    use CertificateError::{
        ApplicationVerificationFailure, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Other, Revoked, UnknownIssuer,
        UnsupportedSignatureAlgorithmContext, UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    match error {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => "certificate_expired",
        NotValidForName | NotValidForNameContext { .. } => "handshake_failure",
        Revoked => "certificate_revoked",
        UnknownIssuer => "unknown_ca",
        InvalidPurpose | InvalidPurposeContext { .. } => "unsupported_certificate",
        UnsupportedSignatureAlgorithmContext { .. } | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "insufficient_security"
        }
        ApplicationVerificationFailure => "access_denied",
        Other(other) if matches!(other.0.downcast_ref(), Some(Objection::WeakKey)) => "insufficient_security",
        _ => "bad_certificate",
    }
}

fn of_incompatible(error: &PeerIncompatible) -> &'static str {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "protocol_version",
        _ => "handshake_failure",
    }
}

/// The name of an error of rustls's or webpki's in separate words, for those without a sentence here. Its fields are
/// left out.
pub(super) fn words(error: &impl std::fmt::Debug) -> String {
    let debug = format!("{error:?}");
    let name = debug.split(|char: char| !char.is_alphanumeric()).next().unwrap_or_default();
    let mut words = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !words.is_empty() && !words.ends_with(char::is_uppercase) {
            words.push(' ');
        }
        words.extend(char.to_lowercase());
    }
    words
}

/// The name of an alert, as OTP's `ssl` has it.
fn name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CloseNotify => "close_notify",
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::DecryptionFailed => "decryption_failed_reserved",
        AlertDescription::RecordOverflow => "record_overflow",
        AlertDescription::DecompressionFailure => "decompression_failure",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::NoCertificate => "no_certificate_reserved",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::ExportRestriction => "export_restriction",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InsufficientSecurity => "insufficient_security",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::InappropriateFallback => "inappropriate_fallback",
        AlertDescription::UserCanceled => "user_canceled",
        AlertDescription::NoRenegotiation => "no_renegotiation",
        AlertDescription::MissingExtension => "missing_extension",
        AlertDescription::UnsupportedExtension => "unsupported_extension",
        AlertDescription::CertificateUnobtainable => "certificate_unobtainable",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::BadCertificateStatusResponse => "bad_certificate_status_response",
        AlertDescription::BadCertificateHashValue => "bad_certificate_hash_value",
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity",
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::NoApplicationProtocol => "no_application_protocol",
        _ => "unknown_alert",
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ContentType, HandshakeType, InvalidMessage, PeerMisbehaved};

    use super::*;

    #[test]
    fn no_text_is_made_of_identifiers() {
        for error in [
            Error::AlertReceived(AlertDescription::UnrecognisedName),
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::InvalidMessage(InvalidMessage::MissingData("ServerHello")),
            Error::InappropriateMessage { expect_types: vec![ContentType::Alert], got_type: ContentType::Handshake },
            Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::ClientHello],
                got_type: HandshakeType::ServerHello,
            },
            Error::NoApplicationProtocol,
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Error::PeerIncompatible(PeerIncompatible::ExtendedMasterSecretExtensionRequired),
            Error::PeerSentOversizedRecord,
            Error::DecryptError,
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            Error::NoCertificatesPresented,
            Error::InvalidCertificate(CertificateError::BadSignature),
            Error::General("a FooBar(\"x\")".into()),
        ] {
            let TlsError { alert, text } = TlsError::from(&error);
            assert_ne!(alert, "unknown_alert");
            for word in text.split_whitespace() {
                let capitals = word.chars().skip(1).filter(|char| char.is_uppercase()).count();
                assert!(capitals == 0 || word.starts_with("TLS"), "{text}");
            }
            assert!(!text.contains(['"', '{']) && !text.contains("::"), "{text}");
        }
        assert_eq!(words(&PeerMisbehaved::SelectedUnofferedCipherSuite), "selected unoffered cipher suite");
        assert_eq!(words(&InvalidMessage::MissingData("ServerHello")), "missing data");
    }
}
