//! Byte streams under TLS: rustls by hand, with what one reads and writes at once for all connections.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nix::errno::Errno;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::streams::Echo;

/// What is deciphered at once.
const PLAIN: usize = 64 * 1024;

/// The certificate and the key of all connections.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads both from PEM files. No tickets are sent.
    ///
    /// # Errors
    /// A file cannot be read, or the two do not belong together.
    pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
        let chain = chain.with_context(|| format!("read {}", cert.display()))?;
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("read {}", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions.with_no_client_auth().with_single_cert(chain, key)?;
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn echo(&self) -> anyhow::Result<impl Echo + use<>> {
        let mut connection = ServerConnection::new(Arc::clone(&self.0))?;
        connection.set_buffer_limit(None);
        Ok(Session(Box::new(connection)))
    }
}

struct Session(Box<ServerConnection>);

impl Echo for Session {
    fn answer<'a>(&mut self, bytes: &'a mut [u8], scratch: &'a mut Vec<u8>) -> nix::Result<&'a [u8]> {
        let Self(tls) = self;
        let mut left = &*bytes;
        let mut plain = [0; PLAIN];
        while !left.is_empty() {
            tls.read_tls(&mut left).map_err(|_| Errno::EPROTO)?;
            let mut deciphered = tls.process_new_packets().map_err(|_| Errno::EPROTO)?.plaintext_bytes_to_read();
            while deciphered > 0 {
                let len = tls.reader().read(&mut plain).map_err(|_| Errno::EPROTO)?;
                plain[..len].make_ascii_uppercase();
                tls.writer().write_all(&plain[..len]).map_err(|_| Errno::EPROTO)?;
                deciphered -= len;
            }
        }
        scratch.clear();
        while tls.wants_write() {
            tls.write_tls(scratch).map_err(|_| Errno::EPROTO)?;
        }
        Ok(scratch)
    }
}
