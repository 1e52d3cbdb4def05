//! Which of a server's certificates may lead from its own to a root, and how many paths there are to try.
//!
//! webpki tries every order of them that their names allow, in up to 200,000 steps with up to 100 signatures, on the
//! thread that serves all of its connections. A server can make it do so by certificates that share a name. So the
//! steps are counted first, by the names alone.

use rustls::pki_types::{CertificateDer, TrustAnchor};
use webpki::EndEntityCert;

use super::verifier::Objection;

/// How many steps may be taken for one server. A step is to try a certificate as the issuer of another one, or to check
/// a signature. An orderly chain takes two for each certificate.
const MAX_STEPS: usize = 100;

/// How many certificates webpki takes between a server's and a root's.
const MAX_BETWEEN: usize = 6;

/// Those of the certificates that may be on a path to a root, in their order.
///
/// # Errors
/// The search takes too many steps.
pub(super) fn candidates<'a>(
    end_entity: &EndEntityCert<'_>,
    certificates: &[CertificateDer<'a>],
    anchors: &[TrustAnchor<'_>],
) -> Result<Vec<CertificateDer<'a>>, Objection> {
    // A certificate that cannot be decoded is on no path.
    let (ders, read): (Vec<_>, Vec<_>) =
        certificates.iter().filter_map(|der| Some((der, EndEntityCert::try_from(der).ok()?))).unzip();
    let mut search = Search {
        certificates: std::iter::once(end_entity).chain(&read).map(Named::new).collect(),
        anchors: anchors.iter().map(|anchor| anchor.subject.as_ref()).collect(),
        is_candidate: vec![false; read.len() + 1],
        steps: 0,
    };
    if !search.try_issuers(&mut vec![0]) {
        return Err(Objection::TooManyPaths);
    }
    let candidates = ders.into_iter().zip(&search.is_candidate[1..]).filter(|(_, is_candidate)| **is_candidate);
    Ok(candidates.map(|(der, _)| der.clone()).collect())
}

/// The names and the key of a certificate.
struct Named<'a> {
    subject: &'a [u8],
    issuer: &'a [u8],
    key: Vec<u8>,
}

impl<'a> Named<'a> {
    fn new(certificate: &'a EndEntityCert<'_>) -> Self {
        let key = certificate.subject_public_key_info().as_ref().to_vec();
        Self { subject: certificate.subject(), issuer: certificate.issuer(), key }
    }
}

/// The search that webpki would make, if no signature were good.
struct Search<'a> {
    /// The server's own certificate, then the others.
    certificates: Vec<Named<'a>>,
    /// The names of the roots.
    anchors: Vec<&'a [u8]>,
    /// For each certificate, whether it may be on a path.
    is_candidate: Vec<bool>,
    steps: usize,
}

impl Search<'_> {
    /// Tries the possible issuers of the path's last certificate. The path consists of indices into `certificates`.
    /// Returns false when the search takes too many steps.
    fn try_issuers(&mut self, path: &mut Vec<usize>) -> bool {
        let Some(last) = path.last().map(|last| &self.certificates[*last]) else { return true };
        let issuer = last.issuer;
        let roots = self.anchors.iter().filter(|name| **name == issuer).count();
        // webpki checks the root's signature first, and the others if that is valid.
        self.steps += roots * path.len();
        for next in 1..self.certificates.len() {
            let candidate = &self.certificates[next];
            let is_on_path = |one: &usize| {
                let one = &self.certificates[*one];
                one.subject == candidate.subject && one.key == candidate.key
            };
            if candidate.subject != issuer || path.iter().any(is_on_path) {
                continue;
            }
            self.steps += 1;
            self.is_candidate[next] = true;
            if self.steps > MAX_STEPS {
                return false;
            }
            if path.len() <= MAX_BETWEEN {
                path.push(next);
                let within = self.try_issuers(path);
                path.pop();
                if !within {
                    return false;
                }
            }
        }
        self.steps <= MAX_STEPS
    }
}
