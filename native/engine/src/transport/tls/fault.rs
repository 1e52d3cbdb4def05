//! Which of the certificates that a server has sent is at fault, and what is wrong with it, in English.
//!
//! webpki reports that a path is invalid, but not where. So this module follows the path again, by the names and by the
//! signatures, and looks for the fault on it.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use webpki::{EndEntityCert, Error};

use super::alert::words;
use super::verifier::{MIN_RSA_BITS, Objection, Refusal};
use super::x509::{self, Certificate, Purpose, date, distinguished_name, rsa_bits};

/// How many certificates are followed: one more than webpki takes.
const MAX_PATH: usize = 8;

/// How many signatures are checked in all to find the way.
const MAX_CHECKS: usize = 16;

/// How many hosts of a certificate are worth repeating.
const MAX_HOSTS: usize = 10;

/// The certificates that a server has sent, and the roots that are trusted.
pub(super) struct Presented<'a> {
    pub(super) end_entity: &'a CertificateDer<'a>,
    pub(super) others: &'a [CertificateDer<'a>],
    pub(super) anchors: &'a [TrustAnchor<'a>],
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
}

/// One of the certificates on the way from the server's up to a root.
struct Link<'a> {
    der: &'a CertificateDer<'a>,
    certificate: Certificate<'a>,
}

impl Presented<'_> {
    /// Why the server is refused.
    pub(super) fn describe(&self, refusal: &Refusal) -> String {
        let path = self.path();
        match (path.first(), refusal) {
            (None, _) => "the server's certificate cannot be decoded".into(),
            (Some(_), Refusal::Webpki(error)) => self.describe_error(error, &path),
            (Some(_), Refusal::Objection(Objection::WeakKey)) => self.describe_weak_key(&path),
            (Some(link), Refusal::Objection(objection)) => format!("{} {objection}", label(0, link)),
        }
    }

    /// The way up to a root, as far as the server's certificates lead there.
    fn path(&self) -> Vec<Link<'_>> {
        let link = |der| Some(Link { der, certificate: Certificate::read(der)? });
        let mut path: Vec<_> = link(self.end_entity).into_iter().collect();
        let mut checks = 0;
        while let Some(Link { certificate: last, .. }) = path.last()
            && path.len() < MAX_PATH
        {
            let is_on_path = |one: &Certificate<'_>| {
                path.iter().any(|link| link.certificate.subject == one.subject && link.certificate.key == one.key)
            };
            let issuers = self.others.iter().filter_map(link);
            let mut issuers =
                issuers.filter(|one| one.certificate.subject == last.issuer && !is_on_path(&one.certificate));
            let Some(first) = issuers.next() else { break };
            let has_signed = |one: &Link<'_>| {
                checks += 1;
                checks <= MAX_CHECKS && last.is_signed_by(one.certificate.key, self.algorithms)
            };
            // If none has signed, the first one is as good as any.
            let next = std::iter::once(first).chain(issuers).map(Some).collect::<Vec<_>>();
            let signer = next.iter().flatten().position(has_signed).unwrap_or(0);
            match next.into_iter().nth(signer).flatten() {
                Some(next) => path.push(next),
                None => break,
            }
        }
        path
    }

    fn describe_error(&self, error: &Error, path: &[Link<'_>]) -> String {
        let is_at_fault = |test: &dyn Fn(usize, &Certificate<'_>) -> bool| first_at_fault(path, test);
        let (at, what) = match error {
            Error::CertExpired { not_after, .. } => expired(path, not_after.as_secs()),
            Error::CertNotValidYet { not_before, .. } => not_valid_yet(path, not_before.as_secs()),
            Error::InvalidCertValidity => (
                is_at_fault(&|_, one| one.not_before > one.not_after),
                "ends to be valid before it begins to be".into(),
            ),
            Error::CertNotValidForName(context) => {
                (Some(0), for_others(&context.expected.to_str(), &path[0].certificate.hosts()))
            }
            Error::CaUsedAsEndEntity => (Some(0), "is an authority's (CA), and not a server's".into()),
            Error::EndEntityUsedAsCa => (
                is_at_fault(&|at, one| at > 0 && !one.is_authority()),
                "has signed another one, and is not an authority's (CA)".into(),
            ),
            Error::PathLenConstraintViolated => too_many_authorities(path),
            Error::NameConstraintViolation => (Some(0), self.beyond_constraints(path)),
            Error::InvalidSignatureForPublicKey => self.wrong_signature(path),
            Error::UnsupportedSignatureAlgorithmContext(context) => {
                let id = context.signature_algorithm_id.as_slice();
                (is_at_fault(&|_, one| one.signature_algorithm == id), unsupported_signature(id))
            }
            Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
                let id = context.signature_algorithm_id.as_slice();
                let at = is_at_fault(&|_, one| one.signature_algorithm == id);
                let how = x509::algorithm_name(id);
                (
                    at,
                    format!(
                        "is signed with {how}, which does not fit the key of its issuer, or that is of no accepted kind"
                    ),
                )
            }
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
                (is_at_fault(&|_, one| !one.is_for(Purpose::Server)), "is not meant for servers".into())
            }
            Error::UnknownIssuer => self.unknown_issuer(path),
            Error::BadDerTime => {
                let at = is_at_fault(&|_, one| one.not_before.is_none() || one.not_after.is_none());
                (at.or(Some(0)), "has a date that cannot be read".into())
            }
            error => (Some(0), unreadable(error, &path[0].certificate)),
        };
        match at {
            Some(at) => format!("{} {what}", label(at, &path[at])),
            None => format!("a certificate that vouches for the server's ({}) {what}", names(&path[0].certificate)),
        }
    }

    /// The last certificate of the path leads no further.
    fn unknown_issuer(&self, path: &[Link<'_>]) -> (Option<usize>, String) {
        for (at, link) in path.iter().enumerate().skip(1) {
            if let Err(error) = EndEntityCert::try_from(link.der) {
                return (Some(at), unreadable(&error, &link.certificate));
            }
        }
        let at = path.len() - 1;
        let last = &path[at].certificate;
        let what = if last.is_self_issued() {
            "is not among the roots that are trusted here".into()
        } else {
            let issuer = distinguished_name(last.issuer);
            format!(
                "is not vouched for by any root that is trusted here: the certificate of its issuer ({issuer}) is \
                 neither one of them, nor has the server sent it"
            )
        };
        (Some(at), what)
    }

    fn wrong_signature(&self, path: &[Link<'_>]) -> (Option<usize>, String) {
        let wrong = path.iter().enumerate().position(|(at, link)| {
            let above = path.get(at + 1).map(|issuer| issuer.certificate.key);
            let is_issuer = |anchor: &&TrustAnchor<'_>| anchor.subject.as_ref() == link.certificate.issuer;
            let roots = self.anchors.iter().filter(is_issuer).map(|anchor| anchor.subject_public_key_info.as_ref());
            let mut keys = roots.chain(above).take(MAX_CHECKS).peekable();
            keys.peek().is_some() && !keys.any(|key| link.certificate.is_signed_by(key, self.algorithms))
        });
        let what = wrong.map_or_else(String::new, |at| {
            let issuer = distinguished_name(path[at].certificate.issuer);
            format!(": it is not by the key that {issuer} has in its own certificate")
        });
        (wrong, format!("has a signature that is wrong{what}"))
    }

    fn beyond_constraints(&self, path: &[Link<'_>]) -> String {
        let on_path = path.iter().skip(1).map(|link| &link.certificate).filter(|one| one.has_name_constraints());
        let issuers: Vec<_> = path.iter().map(|link| link.certificate.issuer).collect();
        let roots = self.anchors.iter().filter(|anchor| anchor.name_constraints.is_some());
        let roots = roots.map(|anchor| anchor.subject.as_ref()).filter(|subject| issuers.contains(subject));
        let mut who: Vec<_> = on_path.map(|one| one.subject).chain(roots).map(distinguished_name).collect();
        who.dedup();
        let hosts = listed(&path[0].certificate.hosts());
        format!("is for {hosts}, for which {} may not vouch (name constraints)", who.join(" or "))
    }

    fn describe_weak_key(&self, path: &[Link<'_>]) -> String {
        let what = |bits| format!("has an RSA key of {bits} bits, which is too weak: it needs {MIN_RSA_BITS}");
        let weak = |key| rsa_bits(key).filter(|bits| *bits < MIN_RSA_BITS);
        for (at, link) in path.iter().enumerate() {
            if let Some(bits) = weak(link.certificate.key) {
                return format!("{} {}", label(at, link), what(bits));
            }
            let issuer = link.certificate.issuer;
            for anchor in self.anchors.iter().filter(|anchor| anchor.subject.as_ref() == issuer) {
                if let Some(bits) = weak(&anchor.subject_public_key_info) {
                    return format!("the root certificate ({}) {}", distinguished_name(issuer), what(bits));
                }
            }
        }
        format!("{} has an RSA key, or stands on one, that is too weak", label(0, &path[0]))
    }
}

/// The first certificate of the path that the test finds at fault. The test gets its place on the path, too.
fn first_at_fault(path: &[Link<'_>], test: &dyn Fn(usize, &Certificate<'_>) -> bool) -> Option<usize> {
    path.iter().enumerate().position(|(at, link)| test(at, &link.certificate))
}

fn expired(path: &[Link<'_>], until: u64) -> (Option<usize>, String) {
    let at = first_at_fault(path, &|_, one| one.not_after == Some(until));
    let from = at.and_then(|at| path[at].certificate.not_before).map(date);
    let from = from.map_or_else(String::new, |from| format!("from {from} "));
    (at, format!("has expired: it was valid {from}until {}", date(until)))
}

fn not_valid_yet(path: &[Link<'_>], from: u64) -> (Option<usize>, String) {
    let at = first_at_fault(path, &|_, one| one.not_before == Some(from));
    let until = at.and_then(|at| path[at].certificate.not_after).map(date);
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    (at, format!("is not valid yet: it will be valid from {}{until}", date(from)))
}

fn too_many_authorities(path: &[Link<'_>]) -> (Option<usize>, String) {
    let is_exceeded = |at: usize, max: usize| at > max + 1;
    let at = first_at_fault(path, &|at, one| one.max_authorities_below().is_some_and(|max| is_exceeded(at, max)));
    let max = at.and_then(|at| path[at].certificate.max_authorities_below());
    let max = max.map_or_else(|| "fewer".into(), |max| max.to_string());
    (at, format!("stands above more authorities than it may: it allows {max}"))
}

/// Which certificate it is.
fn label(at: usize, link: &Link<'_>) -> String {
    let kind = match at {
        0 => "the server's certificate",
        _ if link.certificate.is_self_issued() => "the root certificate that the server sent",
        _ => "the intermediate certificate",
    };
    format!("{kind} ({})", names(&link.certificate))
}

fn names(certificate: &Certificate<'_>) -> String {
    let subject = distinguished_name(certificate.subject);
    if certificate.is_self_issued() {
        return format!("{subject}, issued by itself");
    }
    format!("{subject}, issued by {}", distinguished_name(certificate.issuer))
}

fn for_others(wanted: &str, hosts: &[String]) -> String {
    if hosts.is_empty() {
        return "is for no host: it has no subject alternative names, and its common name is not one".into();
    }
    format!("is for another host than {wanted}: it is valid for {}", listed(hosts))
}

fn listed(hosts: &[String]) -> String {
    let (first, others) = hosts.split_at(hosts.len().min(MAX_HOSTS));
    match (first, others.len()) {
        ([], _) => "no host".into(),
        (first, 0) => first.join(", "),
        (first, others) => format!("{} and {others} others", first.join(", ")),
    }
}

fn unsupported_signature(algorithm: &[u8]) -> String {
    format!("is signed with {}, which is not accepted", x509::algorithm_name(algorithm))
}

/// Why webpki cannot read a certificate.
fn unreadable(error: &Error, certificate: &Certificate<'_>) -> String {
    match error {
        Error::UnsupportedCertVersion if certificate.version != 3 => {
            format!("is of version {}, and no other than version 3 can be verified", certificate.version)
        }
        Error::UnsupportedCriticalExtension => "has a critical extension that is not known here".into(),
        Error::SignatureAlgorithmMismatch => "names two algorithms for its one signature".into(),
        Error::BadDerTime => "has a date that cannot be read".into(),
        Error::MalformedExtensions | Error::ExtensionValueInvalid => "has an extension that cannot be read".into(),
        Error::MalformedDnsIdentifier | Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            "has a name that cannot be read".into()
        }
        Error::CertRevoked => "has been revoked".into(),
        Error::BadDer | Error::TrailingData(_) | Error::UnsupportedCertVersion => "cannot be decoded".into(),
        error => format!("is not accepted ({})", words(error)),
    }
}
