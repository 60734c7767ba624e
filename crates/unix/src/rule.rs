//! The users and groups that may connect: a rule about the credentials of peers.

use std::io;

use nix::unistd::{getegid, geteuid};
use swapwire_core::Credentials;

use crate::options::Allowed;

/// Users and groups, of which a peer has to be one; all may connect where none are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    uids: Option<Vec<u32>>,
    gids: Option<Vec<u32>>,
}

impl Rule {
    pub(crate) fn new(allowed: &Allowed) -> Self {
        let ids = |ids: &Option<Vec<Option<u32>>>, own: u32| {
            ids.as_ref().map(|ids| ids.iter().map(|id| id.unwrap_or(own)).collect())
        };
        Self { uids: ids(&allowed.uids, geteuid().as_raw()), gids: ids(&allowed.gids, getegid().as_raw()) }
    }

    pub(crate) fn exists(&self) -> bool {
        self.uids.is_some() || self.gids.is_some()
    }

    fn allows(&self, peer: &Credentials) -> bool {
        let has = |ids: &Option<Vec<u32>>, id| ids.as_ref().is_some_and(|ids| ids.contains(&id));
        !self.exists() || has(&self.uids, peer.uid) || has(&self.gids, peer.gid)
    }

    /// # Errors
    /// The peer is none of those.
    pub(crate) fn check(&self, peer: Option<&Credentials>) -> io::Result<()> {
        let Some(peer) = peer else {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the system does not report the user of a peer",
            ));
        };
        if self.allows(peer) {
            return Ok(());
        }
        let refused = format!("user {}, group {} may not connect", peer.uid, peer.gid);
        Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
    }
}
