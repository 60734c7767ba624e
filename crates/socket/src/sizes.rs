//! What the system gave of the sizes that were asked for.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use socket2::SockRef;

/// So many sizes are remembered as told; more are not told again by sockets that connect.
const MOST_TOLD: usize = 64;

/// A size that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By an option of the endpoint: that there is less is logged as a warning.
    Asked(usize),
    /// By default: that there is less is logged as information.
    Usual(usize),
}

impl Wanted {
    /// In bytes, or connections.
    pub const fn size(self) -> usize {
        match self {
            Self::Asked(size) | Self::Usual(size) => size,
        }
    }
}

/// Logs what the system cut of the receive buffer of a socket bound to `place`. Linux cuts at `net.core.rmem_max`
/// (`socket(7)`).
pub fn tell_recv_buffer(place: &dyn Display, socket: &SockRef<'_>, wanted: Option<Wanted>) {
    let given = || socket.recv_buffer_size().ok().map(halved);
    tell(place, "recv_buffer", wanted, given, "net.core.rmem_max");
}

/// As [`tell_recv_buffer`], of the send buffer and `net.core.wmem_max`.
pub fn tell_send_buffer(place: &dyn Display, socket: &SockRef<'_>, wanted: Option<Wanted>) {
    let given = || socket.send_buffer_size().ok().map(halved);
    tell(place, "send_buffer", wanted, given, "net.core.wmem_max");
}

/// Both, of a socket that connects: the same cut of the same size is logged once in the process, at most 64 of them, since
/// a program may open any number of such sockets.
pub fn tell_buffers_once(place: &dyn Display, socket: &SockRef<'_>, recv: Option<Wanted>, send: Option<Wanted>) {
    static TOLD: Mutex<Vec<(Option<Wanted>, Option<Wanted>)>> = Mutex::new(Vec::new());
    if recv.is_none() && send.is_none() {
        return;
    }
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MOST_TOLD && !told.contains(&(recv, send)) {
        told.push((recv, send));
        drop(told);
        tell_recv_buffer(place, socket, recv);
        tell_send_buffer(place, socket, send);
    }
}

/// Logs what the system cut of the queue of a listener at `place`: Linux cuts at `net.core.somaxconn` (`listen(2)`), and does
/// so silently.
pub fn tell_backlog(place: &dyn Display, wanted: Wanted) {
    let limit = || std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok();
    let given = if cfg!(target_os = "linux") { limit() } else { None };
    tell(place, "backlog", Some(wanted), || given, "net.core.somaxconn");
}

fn tell(
    place: &dyn Display,
    option: &str,
    wanted: Option<Wanted>,
    given: impl Fn() -> Option<usize>,
    limit: &'static str,
) {
    let Some(wanted) = wanted else { return };
    let Some(given) = given().filter(|given| *given < wanted.size()) else { return };
    let limit = if cfg!(target_os = "linux") { limit } else { "the system's limit" };
    let asked = wanted.size();
    match wanted {
        Wanted::Asked(_) => {
            tracing::warn!(endpoint = %place, asked, given, "{option} is smaller than asked for: {limit} caps it");
        }
        Wanted::Usual(_) => {
            tracing::info!(endpoint = %place, usual = asked, given, "{option} is smaller than usual: {limit} caps it");
        }
    }
}

/// Linux doubles a buffer's size for its own bookkeeping, and tells the double (`socket(7)`).
const fn halved(size: usize) -> usize {
    if cfg!(target_os = "linux") { size / 2 } else { size }
}
