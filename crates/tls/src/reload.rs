//! New certificates for what is served.

use std::fmt;
use std::sync::{Arc, Weak};

use swapwire_core::UpgradeServer as _;

use crate::server::Server;
use crate::{Identity, Shared, TlsError, lock};

/// Replaces the certificates of the servers of a [`Tls`](crate::Tls) while they serve: all workers have the new ones for the
/// next handshake, and connections that exist keep theirs.
#[derive(Clone)]
pub struct TlsReload(Arc<Shared>);

impl TlsReload {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Gives servers that have no `cert` and are not `self_signed`, now and later, these in place of those that they had. The
    /// first is for clients whose name no other is for. Where an endpoint has `client_ca`, that file is read again, by the caller.
    ///
    /// # Errors
    /// There is none, one has expired, or that file cannot be read.
    pub fn replace(&self, identities: impl IntoIterator<Item = Identity>) -> Result<(), TlsError> {
        let identities: Vec<_> = identities.into_iter().collect();
        if identities.is_empty() {
            return Err(TlsError::new("no certificate was given"));
        }
        for server in self.servers() {
            server.replace(&identities)?;
        }
        *lock(&self.0.identities) = identities;
        Ok(())
    }

    /// Has the files of servers read again, within half a second, whether they have changed or not; the server's log tells what
    /// came of it. Returns whether there are any.
    pub fn reload(&self) -> bool {
        let servers = self.servers();
        servers.iter().for_each(|server| server.reload());
        servers.iter().any(|server| server.reloads())
    }

    fn servers(&self) -> Vec<Arc<Server>> {
        lock(&self.0.servers).iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for TlsReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReload").field("servers", &self.servers().len()).finish()
    }
}
