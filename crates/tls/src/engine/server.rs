//! What servers speak.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::identity::roots_from_pem;
use super::provider::{provider, ticketer};
use super::session::note_asked_for;
use crate::{Identity, TlsError};

/// For all handshakes until it is replaced.
#[derive(Clone)]
pub(crate) struct ServerConfig(pub(super) Arc<rustls::ServerConfig>);

/// Makes the tickets by which sessions are resumed, with keys that it changes every few hours.
#[derive(Clone)]
pub(crate) struct Ticketer(Arc<dyn ProducesTickets>);

impl Ticketer {
    pub(crate) fn new() -> Result<Self, TlsError> {
        ticketer().map(Self).map_err(|error| TlsError::new(format!("tickets cannot be made: {error}")))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    None,
    /// One that is shown is checked.
    Request,
    Require,
}

pub(crate) struct ServerSettings<'a> {
    /// The first is for clients whose name no other is for.
    pub(crate) identities: Vec<Identity>,
    /// PEM of those who sign the certificates of clients.
    pub(crate) client_ca: Option<&'a [u8]>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) alpn: &'a [String],
    pub(crate) only_tls13: bool,
    /// Without, sessions are not resumed.
    pub(crate) ticketer: Option<&'a Ticketer>,
}

impl ServerConfig {
    pub(crate) fn new(settings: ServerSettings<'_>) -> Result<Self, TlsError> {
        let refused = |error: &dyn fmt::Display| TlsError::new(format!("it cannot be served: {error}"));
        let versions: &[_] = if settings.only_tls13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let builder = rustls::ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(versions).map_err(|error| refused(&error))?;
        let builder = match (settings.client_auth, settings.client_ca) {
            (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
            (auth, Some(pem)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots_from_pem(pem)?, provider());
                let verifier = if auth == ClientAuth::Request { verifier.allow_unauthenticated() } else { verifier };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(&error))?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName(settings.identities)));
        config.alpn_protocols = settings.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match settings.ticketer {
            Some(ticketer) => config.ticketer = Arc::clone(&ticketer.0),
            // A client that only writes would be reset by tickets that it does not read.
            None => config.send_tls13_tickets = 0,
        }
        Ok(Self(Arc::new(config)))
    }
}

/// Chooses the certificate that is for the name that the client asks for.
#[derive(Debug)]
struct ByName(Vec<Identity>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked_for = hello.server_name();
        note_asked_for(asked_for);
        let first = self.0.first()?;
        let named = || {
            let name = ServerName::DnsName(DnsName::try_from(asked_for?).ok()?);
            self.0.iter().find(|identity| identity.is_for(&name))
        };
        let chosen = if self.0.len() == 1 { first } else { named().unwrap_or(first) };
        Some(Arc::clone(&chosen.key))
    }
}
