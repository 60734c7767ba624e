//! What the system gave of the sizes that were asked for.

use std::fmt::Display;
use std::io;
use std::sync::{Mutex, PoisonError};

use socket2::SockRef;

/// So many sizes are remembered as told; more are not told again by sockets that connect.
const MOST_TOLD: usize = 64;

/// The system takes a C int.
const LARGEST: usize = 1 << 30;

/// A size that is wanted.
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

    /// As `listen(2)` takes it.
    pub fn backlog(self) -> i32 {
        i32::try_from(self.size()).unwrap_or(i32::MAX)
    }
}

/// The sizes of a socket's buffers, where they are not the system's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// The receive buffer. Linux cuts at `net.core.rmem_max` (`socket(7)`).
    pub recv: Option<Wanted>,
    /// The send buffer. Linux cuts at `net.core.wmem_max`.
    pub send: Option<Wanted>,
}

impl Buffers {
    /// As options ask for them.
    pub fn asked(recv: Option<usize>, send: Option<usize>) -> Self {
        Self { recv: recv.map(Wanted::Asked), send: send.map(Wanted::Asked) }
    }

    /// Sets them. A usual one is only ever made larger, as far as the system allows: some refuse what Linux cuts.
    ///
    /// # Errors
    /// The system's, about one that was asked for.
    pub fn apply(self, socket: &SockRef<'_>) -> io::Result<()> {
        set(self.recv, || recv_buffer(socket), |size| socket.set_recv_buffer_size(size))?;
        set(self.send, || send_buffer(socket), |size| socket.set_send_buffer_size(size))
    }

    /// Logs what the system cut of them for a socket bound to `place`.
    pub fn tell_bound(self, place: &dyn Display, socket: &SockRef<'_>) {
        tell(place, "recv_buffer", self.recv, || recv_buffer(socket).ok(), "net.core.rmem_max");
        tell(place, "send_buffer", self.send, || send_buffer(socket).ok(), "net.core.wmem_max");
    }

    /// As [`tell_bound`](Self::tell_bound), for a socket that connects: the same cut of the same sizes is logged once in the
    /// process, at most 64 of them, since a program may open any number of such sockets.
    pub fn tell_dialled(self, place: &dyn Display, socket: &SockRef<'_>) {
        static TOLD: Mutex<Vec<Buffers>> = Mutex::new(Vec::new());
        let is_cut = |wanted: Option<Wanted>, given: fn(&SockRef<'_>) -> io::Result<usize>| {
            wanted.is_some_and(|wanted| given(socket).is_ok_and(|given| given < wanted.size()))
        };
        if !is_cut(self.recv, recv_buffer) && !is_cut(self.send, send_buffer) {
            return;
        }
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TOLD && !told.contains(&self) {
            told.push(self);
            drop(told);
            self.tell_bound(place, socket);
        }
    }
}

fn set(
    wanted: Option<Wanted>,
    given: impl Fn() -> io::Result<usize>,
    set: impl Fn(usize) -> io::Result<()>,
) -> io::Result<()> {
    match wanted {
        Some(Wanted::Asked(size)) => set(size.min(LARGEST)),
        Some(Wanted::Usual(size)) if given()? < size => {
            let _ = set(size);
            Ok(())
        }
        _ => Ok(()),
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

/// Counted as it is asked for.
fn recv_buffer(socket: &SockRef<'_>) -> io::Result<usize> {
    socket.recv_buffer_size().map(halved)
}

fn send_buffer(socket: &SockRef<'_>) -> io::Result<usize> {
    socket.send_buffer_size().map(halved)
}

/// Linux doubles a buffer's size for its own bookkeeping, and tells the double (`socket(7)`).
const fn halved(size: usize) -> usize {
    if cfg!(target_os = "linux") { size / 2 } else { size }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use std::fmt::{Debug, Write as _};
    use std::net::UdpSocket;
    use std::sync::Arc;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// What is logged, a line each.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    struct Line<'a>(&'a mut String);

    impl Visit for Line<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut log = self.0.lock().unwrap();
            log.push_str(event.metadata().level().as_str());
            event.record(&mut Line(&mut log));
            log.push('\n');
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// What `tell` logs.
    fn logged(tell: impl FnOnce()) -> String {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), tell);
        let log = log.0.lock().unwrap();
        log.clone()
    }

    #[test]
    fn what_was_cut_is_told_with_what_was_given_and_why() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = SockRef::from(&socket);
        let limit = |name| std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap().trim().to_owned();
        socket.set_recv_buffer_size(1 << 30).unwrap();
        socket.set_send_buffer_size(1 << 30).unwrap();
        let told = logged(|| Buffers::asked(Some(1 << 30), None).tell_bound(&"udp://h:1", &socket));
        let expected = format!(
            "WARN message=recv_buffer is smaller than asked for: net.core.rmem_max caps it endpoint=udp://h:1 \
             asked=1073741824 given={}\n",
            limit("rmem_max")
        );
        assert_eq!(told, expected);
        let usual = Buffers { recv: None, send: Some(Wanted::Usual(1 << 30)) };
        let told = logged(|| usual.tell_bound(&"udp://h:1", &socket));
        assert!(told.starts_with("INFO message=send_buffer is smaller than usual: net.core.wmem_max"), "{told}");
        assert!(told.ends_with(&format!("usual=1073741824 given={}\n", limit("wmem_max"))), "{told}");
        let told = logged(|| tell_backlog(&"tcp://h:1", Wanted::Asked(1 << 31)));
        assert!(told.contains("backlog") && told.ends_with(&format!("given={}\n", limit("somaxconn"))), "{told}");
    }

    #[test]
    fn what_was_given_is_not_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = SockRef::from(&socket);
        let told = logged(|| {
            for wanted in [None, Some(Wanted::Asked(4096)), Some(Wanted::Usual(1))] {
                socket.set_recv_buffer_size(4096).unwrap();
                Buffers { recv: wanted, send: wanted }.tell_bound(&"udp://h:1", &socket);
            }
            tell_backlog(&"tcp://h:1", Wanted::Usual(1));
        });
        assert_eq!(told, "");
    }

    #[test]
    fn sockets_that_connect_tell_the_same_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = SockRef::from(&socket);
        let told = logged(|| {
            // What is given takes no place among those that are told.
            for size in 1..=2 * MOST_TOLD {
                socket.set_recv_buffer_size(1 << 16).unwrap();
                let given = Buffers { recv: Some(Wanted::Asked(size)), send: Some(Wanted::Usual(size)) };
                given.tell_dialled(&"udp://h:1", &socket);
            }
            for more in [0, 0, 1, 0, 1] {
                let cut = Buffers::asked(Some((1 << 30) - more), None);
                cut.apply(&socket).unwrap();
                cut.tell_dialled(&"udp://h:1", &socket);
            }
        });
        assert_eq!(told.lines().count(), 2, "{told}");
    }
}
