//! Stream sockets that connect.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{SockAddr, SockRef, Socket};
use swapwire_core::{Addr, ConnInfo, Endpoint, Link, Side};
use tokio::time::Instant;

use crate::address::{from_system, resolve, to_system};
use crate::failure::Failure;
use crate::kind::Kind;
use crate::listener::identify;
use crate::options::Options;

/// The first wait for room in the listener's queue; the waits double up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// Short enough that a client gets in soon after room appears, long enough that hundreds of them cost nothing.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

pub(crate) async fn connect(kind: Kind, endpoint: &Endpoint) -> Result<Link, Failure> {
    let options = Options::read(endpoint, kind.options(), Side::Connect)?;
    let addr = resolve(endpoint)?;
    let socket = kind.new_socket()?;
    options.buffers.apply(&SockRef::from(&socket))?;
    options.buffers.tell_dialled(endpoint, &SockRef::from(&socket));
    enter(&socket, &to_system(&addr)?, options.connect_timeout).await?;
    let stream = UnixStream::from(OwnedFd::from(socket));
    let peer = identify(&stream, addr)?;
    let local = from_system(&stream.local_addr()?.into());
    Ok(kind.link(stream, ConnInfo::new(peer, Addr::Unix(local)))?)
}

/// Connects, waiting up to `timeout` for room in the listener's queue: `connect(2)` says `EAGAIN` when it is full, and
/// nothing reports when it no longer is.
async fn enter(socket: &Socket, server: &SockAddr, timeout: Duration) -> io::Result<()> {
    let mut wait = FIRST_WAIT;
    let mut deadline = None;
    loop {
        let full = match socket.connect(server) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => error,
            Err(error) => return Err(error),
        };
        if timeout.is_zero() {
            return Err(full);
        }
        let now = Instant::now();
        // Later than any clock goes: no deadline to miss.
        let left = match deadline.get_or_insert_with(|| now.checked_add(timeout)) {
            Some(deadline) => deadline.saturating_duration_since(now),
            None => timeout,
        };
        if left.is_zero() {
            return Err(full);
        }
        tokio::time::sleep(jittered(wait).min(left)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Between half of `wait` and all of it, so that waiting clients do not come back together.
fn jittered(wait: Duration) -> Duration {
    let half = wait / 2;
    let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(RandomState::new().hash_one(()) % spread)
}
