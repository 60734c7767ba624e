//! How many sockets this process may have open.

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the runtime and the standard streams take.
const OTHERS: u64 = 16;

/// Raises the soft limit on descriptors to the hard one, and looks whether `sockets` fit.
pub(crate) fn make_room_for(sockets: u64) -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("read the limit on descriptors")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the limit on descriptors")?;
    }
    ensure!(
        sockets.saturating_add(OTHERS) <= hard,
        "{sockets} sockets at once: the limit on descriptors is {hard}; raise it with ulimit -Hn, or open fewer"
    );
    Ok(())
}
