//! Sockets that another program opened, and where they come from.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Place;

/// Where sockets come from that another program opened: a service manager (`sd_listen_fds(3)`), or whoever started this process.
///
/// An endpoint of its schemes names sockets. Which [`Transport`](crate::Transport) serves them depends on what they are
/// ([`Transport::adopts`](crate::Transport::adopts)), and that transport's capabilities and options are the endpoint's. Such an
/// endpoint can be bound, alone or below layers (`tls+systemd:https`), and cannot be connected.
pub trait SocketSource: Send + Sync + 'static {
    /// Its schemes, in lower case.
    fn schemes(&self) -> Vec<Cow<'static, str>>;

    /// The sockets that `place` names under `scheme`, at least one: those that are bound to one address together. Asked for each
    /// endpoint, before its capabilities are, and again when it is bound.
    ///
    /// # Errors
    /// No socket is there, or none that can be served: what is wrong and what would be right.
    fn sockets(&self, scheme: &str, place: &Place) -> Result<Vec<Vec<PassedSocket>>, String>;
}

/// A socket that another program opened and passed to this process. Clones are the same socket.
///
/// It is served once at a time, by a duplicate of its descriptor. It stays open as long as a clone is kept, so that it can be
/// served again. What serves it never shuts it down.
#[derive(Clone)]
pub struct PassedSocket(Arc<Passed>);

struct Passed {
    name: String,
    descriptor: OwnedFd,
    in_use: AtomicBool,
}

impl PassedSocket {
    /// The socket of `descriptor`, called `name` in errors: `descriptor 3`.
    pub fn new(name: impl Into<String>, descriptor: OwnedFd) -> Self {
        Self(Arc::new(Passed { name: name.into(), descriptor, in_use: AtomicBool::new(false) }))
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it is being served.
    pub fn is_served(&self) -> bool {
        self.0.in_use.load(Ordering::Relaxed)
    }

    /// Takes it, unless it is in use, until what this gives is dropped.
    pub(super) fn take(&self) -> Option<Arc<TakenSocket>> {
        let free = !self.0.in_use.swap(true, Ordering::Relaxed);
        free.then(|| Arc::new(TakenSocket(self.clone())))
    }
}

impl AsFd for PassedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor.as_fd()
    }
}

impl fmt::Debug for PassedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PassedSocket").field(&self.name()).finish()
    }
}

/// A socket that nobody else can take.
pub(super) struct TakenSocket(PassedSocket);

impl TakenSocket {
    /// A descriptor of the same socket, closed on exec.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl Drop for TakenSocket {
    fn drop(&mut self) {
        self.0.0.in_use.store(false, Ordering::Relaxed);
    }
}
