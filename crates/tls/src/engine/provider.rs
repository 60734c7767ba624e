//! Who does the cryptography.

use std::sync::{Arc, LazyLock};

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::HashAlgorithm;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs as back;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use rustls::crypto::ring as back;

#[cfg(not(any(feature = "ring", feature = "aws-lc")))]
compile_error!("swapwire-tls needs one of the features `ring` and `aws-lc`, for its cryptography");

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(back::default_provider()));

/// Always named where a configuration is made, so that no program has to install one for its process.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    back::Ticketer::new()
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hashes = PROVIDER.cipher_suites.iter().map(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    });
    let sha256 = hashes.filter(|hash| hash.algorithm() == HashAlgorithm::SHA256).map(|hash| hash.hash(bytes)).next();
    let hash = sha256.and_then(|hash| hash.as_ref().try_into().ok());
    hash.expect("a provider has the mandatory suite of RFC 8446, TLS_AES_128_GCM_SHA256")
}
