//! What clients speak, and whom they trust.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::identity::roots_from_pem;
use super::pin::KeyPin;
use super::provider::provider;
use crate::{Identity, TlsError};

/// The most sessions that are remembered to be resumed, for each configuration.
const SESSIONS: usize = 64;

/// For all connections with the same options.
#[derive(Clone)]
pub(crate) struct ClientConfig(pub(super) Arc<rustls::ClientConfig>);

/// Those who are trusted to sign certificates.
#[derive(Clone, Debug)]
pub(crate) struct Roots(Arc<RootCertStore>);

impl Roots {
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        roots_from_pem(pem).map(Self)
    }

    /// Those that the system trusts. Reads files.
    #[cfg(feature = "platform-roots")]
    pub(crate) fn of_platform() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::new(format!("the system has no certificates that it trusts{why}; add ca= or pin=")));
        }
        Ok(Self(Arc::new(roots)))
    }

    #[cfg(not(feature = "platform-roots"))]
    pub(crate) fn of_platform() -> Result<Self, TlsError> {
        Err(TlsError::new("whom to trust is missing: ca= or pin=; this build does not know whom the system trusts"))
    }
}

/// Whom a client expects.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(super) ServerName<'static>);

impl Name {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        ServerName::try_from(text.to_owned()).ok().map(Self)
    }

    /// Unless it is an IP address.
    pub(crate) fn dns(&self) -> Option<&str> {
        if let ServerName::DnsName(name) = &self.0 { Some(name.as_ref()) } else { None }
    }
}

pub(crate) enum Trust {
    Roots(Roots),
    /// Any of these keys, whatever its certificate says.
    Pins(Vec<KeyPin>),
}

pub(crate) struct ClientSettings<'a> {
    pub(crate) trust: Trust,
    pub(crate) identity: Option<Identity>,
    pub(crate) alpn: &'a [String],
    pub(crate) tickets: bool,
}

impl ClientConfig {
    pub(crate) fn new(settings: ClientSettings<'_>) -> Result<Self, TlsError> {
        let refused = |error: &dyn fmt::Display| TlsError::new(format!("it cannot be connected: {error}"));
        let check = match settings.trust {
            Trust::Pins(pins) => Check::Pins(pins),
            Trust::Roots(roots) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.0, provider()).build();
                Check::Chain(verifier.map_err(|error| refused(&error))?)
            }
        };
        let builder = rustls::ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|error| refused(&error))?;
        let verifier = Arc::new(Verifier { check, provider: provider() });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match settings.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.resumption = match settings.tickets {
            true => Resumption::in_memory_sessions(SESSIONS),
            false => Resumption::disabled(),
        };
        Ok(Self(Arc::new(config)))
    }
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    Chain(Arc<WebPkiServerVerifier>),
    Pins(Vec<KeyPin>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pin = KeyPin::of(certificate)?;
        match &self.check {
            Check::Pins(pins) if pins.contains(&pin) => Ok(ServerCertVerified::assertion()),
            Check::Pins(_) => Err(unknown(format!("its key is none of pin=; if it is right, write pin={pin}"))),
            Check::Chain(verifier) => {
                let verified = verifier.verify_server_cert(certificate, chain, name, ocsp, now);
                verified.map_err(|error| match error {
                    // The latter is of one whose name is trusted, and has another key.
                    Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => unknown(format!(
                        "its certificate is signed by nobody that is trusted here; ca= names who signed it, or, if it is \
                         right, write pin={pin}"
                    )),
                    Error::InvalidCertificate(CertificateError::Other(other)) => unknown(format!(
                        "its certificate is not accepted ({other}); if it is right, write pin={pin}"
                    )),
                    error => error,
                })
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn unknown(text: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(TlsError::new(text)))))
}
