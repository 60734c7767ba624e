//! Who an end is: certificates and a private key.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::pin::KeyPin;
use super::provider::provider;
use crate::TlsError;
use crate::der::{Day, Validity, validity};

/// Who an end of a connection is: its certificate, those that lead to one that is trusted, and its private key. Cloning is
/// cheap.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(crate) validity: Validity,
}

impl Identity {
    /// That of two PEM files (RFC 7468): `chain` has the certificate and then those that lead from it to a trusted one, `key`
    /// the private key, as PKCS #8, PKCS #1 or SEC 1, not encrypted.
    ///
    /// # Errors
    /// One has nothing of that kind, or the key is of another certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::new(certificates(chain)?, private_key(key)?)
    }

    /// The same of DER: the certificate first, and the private key.
    ///
    /// # Errors
    /// As of [`Identity::from_pem`].
    pub fn from_der(chain: impl IntoIterator<Item = Vec<u8>>, key: Vec<u8>) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::try_from(key).map_err(|_| TlsError::new("there is no private key in it"))?;
        Self::new(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| TlsError::new(format!("the private key cannot be used: {error}")))?;
        let Some(first) = chain.first() else { return Err(TlsError::new("there is no certificate in it")) };
        let broken = || TlsError::new("its certificate cannot be read: it is no certificate of X.509");
        ParsedCertificate::try_from(first).map_err(|_| broken())?;
        let validity = validity(first).ok_or_else(broken)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key: Arc::new(key), validity })
            }
            Err(_) => Err(TlsError::new("the private key is of another certificate")),
        }
    }

    /// One of its own making, for `names`, that nobody has signed: for trying out. Clients that have its
    /// [pin](Identity::pin) are safe.
    ///
    /// # Errors
    /// A name is neither a DNS name nor an IP address.
    #[cfg(feature = "self-signed")]
    pub fn self_signed(names: &[&str]) -> Result<Self, TlsError> {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names);
        let made = made.map_err(|error| TlsError::new(format!("no certificate can be made: {error}")))?;
        Self::new(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()))
    }

    /// Its public key's hash, by which a client can know it: what the option `pin` takes.
    pub fn pin(&self) -> String {
        // It was parsed when it was made.
        KeyPin::of(&self.key.cert[0]).map(|pin| pin.to_string()).unwrap_or_default()
    }

    /// Whether its certificate is for `name`.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = ParsedCertificate::try_from(&self.key.cert[0]);
        parsed.is_ok_and(|certificate| rustls::client::verify_server_name(&certificate, name).is_ok())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("pin", &self.pin())
            .field("until", &Day(self.validity.until).to_string())
            .finish()
    }
}

pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::new("there is no certificate in it: PEM has -----BEGIN CERTIFICATE----- before each")),
        Err(error) => Err(TlsError::new(format!("it is not PEM: {error}"))),
    }
}

pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
            return TlsError::new("the private key is encrypted: `openssl pkey -in FILE -out PLAIN` decrypts it");
        }
        match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                TlsError::new("there is no private key in it: PEM has -----BEGIN PRIVATE KEY----- before it")
            }
            error => TlsError::new(format!("it is not PEM: {error}")),
        }
    })
}

/// Certificates that are trusted to sign others.
pub(super) fn roots_from_pem(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::new(format!("a certificate in it cannot be read: {error}")))?;
    }
    Ok(Arc::new(roots))
}
