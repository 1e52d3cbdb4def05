//! The algorithms that verify the signatures of certificates: ring's, extended to RSA keys in another common encoding.

use std::sync::LazyLock;

use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// rsaEncryption without its parameters, as OTP 28 and later write it. They should be there, and be NULL (RFC 3279,
/// 2.3.1).
const RSA_WITHOUT_NULL: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");

static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let provided = ring::default_provider().signature_verification_algorithms;
    let rsa = provided.all.iter().filter(|algorithm| algorithm.public_key_alg_id() == alg_id::RSA_ENCRYPTION);
    let mut all = provided.all.to_vec();
    all.extend(rsa.map(|algorithm| {
        let algorithm: &'static dyn SignatureVerificationAlgorithm = Box::leak(Box::new(WithoutNull(*algorithm)));
        algorithm
    }));
    // It leaks once, and lives as long as the library.
    WebPkiSupportedAlgorithms { all: Vec::leak(all), mapping: provided.mapping }
});

/// All of them.
pub(super) fn algorithms() -> WebPkiSupportedAlgorithms {
    *ALGORITHMS
}

/// An algorithm with RSA for keys in that encoding, which webpki does not recognise.
#[derive(Debug)]
struct WithoutNull(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for WithoutNull {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.0.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        RSA_WITHOUT_NULL
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}
