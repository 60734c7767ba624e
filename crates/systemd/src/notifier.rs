//! What a service manager is told (`sd_notify(3)`).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use swapwire_core::Printable;

/// How long the manager has to take a state, in case its queue is full.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many characters of a status are told at the most.
const LONGEST_STATUS: usize = 1024;

/// Tells the service manager what this process does: `Type=notify` of systemd. Each call opens a socket of its own, so that a
/// manager that has started anew is reached.
///
/// ```no_run
/// use swapwire_systemd::{Notifier, State};
///
/// # fn main() -> std::io::Result<()> {
/// if let Some(manager) = Notifier::from_environment() {
///     manager.notify(&[State::Ready, State::Status("serving")])?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Notifier {
    address: OsString,
}

/// One state, as `sd_notify(3)` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State<'a> {
    /// `READY=1`: it serves, or has finished to reload.
    Ready,
    /// `RELOADING=1`, and `MONOTONIC_USEC` with the time of now. [`State::Ready`] follows it.
    Reloading,
    /// `STOPPING=1`: it drains.
    Stopping,
    /// `STATUS=`: one line for people. What would control a terminal is escaped, and at most 1,024 characters are told.
    Status(&'a str),
    /// `EXTEND_TIMEOUT_USEC=`: it may take so long from now on until the next state.
    ExtendTimeout(Duration),
    /// `WATCHDOG=1`: it works; see [`watchdog`]. Where the manager does not take it at once, it is dropped: the next one comes
    /// soon.
    Watchdog,
}

impl Notifier {
    /// The manager that the environment names (`NOTIFY_SOCKET`), if it names one.
    pub fn from_environment() -> Option<Self> {
        env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()).map(Self::to)
    }

    /// The manager at `address`: a path, or `@name` in Linux's abstract namespace.
    pub fn to(address: impl Into<OsString>) -> Self {
        Self { address: address.into() }
    }

    /// Tells it these states at once.
    ///
    /// It waits for at most 1 s, if the manager's queue is full, and for a [watchdog](State::Watchdog) not at all.
    ///
    /// # Errors
    /// The manager is not there, or does not take them.
    pub fn notify(&self, states: &[State<'_>]) -> io::Result<()> {
        let mut text = String::new();
        states.iter().for_each(|state| writeln!(text, "{state}").unwrap_or_default());
        let told = self.connect().and_then(|socket| {
            if states.iter().all(|state| *state == State::Watchdog) {
                socket.set_nonblocking(true)?;
            }
            socket.send(text.as_bytes())
        });
        let named = |error: io::Error| {
            let text = format!("notify the service manager at {}: {error}", self.address.display());
            io::Error::new(error.kind(), text)
        };
        told.map(drop).map_err(named)
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        match self.address.as_bytes() {
            [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            [b'/', ..] => socket.connect(&self.address)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "NOTIFY_SOCKET is to be a path, or @ with a name",
                ));
            }
        }
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            Self::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
                write!(f, "RELOADING=1\nMONOTONIC_USEC={micros}")
            }
            Self::Stopping => f.write_str("STOPPING=1"),
            Self::Status(text) => {
                let end = text.char_indices().nth(LONGEST_STATUS).map_or(text.len(), |(at, _)| at);
                write!(f, "STATUS={}", Printable::new(&text[..end]))
            }
            Self::ExtendTimeout(time) => write!(f, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            Self::Watchdog => f.write_str("WATCHDOG=1"),
        }
    }
}

/// How long this process may be silent before the service manager takes it for stuck: `WATCHDOG_USEC`, if it is for this process
/// (`WATCHDOG_PID`). Half of it is a good interval for [`State::Watchdog`] (`sd_watchdog_enabled(3)`).
pub fn watchdog() -> Option<Duration> {
    watchdog_of(env::var_os("WATCHDOG_USEC").as_deref(), env::var_os("WATCHDOG_PID").as_deref(), process::id())
}

fn watchdog_of(micros: Option<&OsStr>, of: Option<&OsStr>, process: u32) -> Option<Duration> {
    let micros = micros?.to_str()?.parse().ok().filter(|micros| *micros > 0)?;
    let is_ours = of.is_none_or(|of| of.to_str().and_then(|of| of.parse().ok()) == Some(process));
    is_ours.then_some(Duration::from_micros(micros))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn manager(name: &str) -> (UnixDatagram, Notifier) {
        let name = format!("swapwire-notify-{name}-{}", process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        (socket, Notifier::to(format!("@{name}")))
    }

    fn told(socket: &UnixDatagram) -> String {
        let mut text = [0; 4096];
        let len = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    }

    #[test]
    fn states_are_told_in_one_message() {
        let (socket, notifier) = manager("states");
        notifier.notify(&[State::Ready, State::Status("serving\nMAINPID=1")]).unwrap();
        assert_eq!(told(&socket), "READY=1\nSTATUS=serving\\nMAINPID=1\n");
        notifier.notify(&[State::Stopping, State::ExtendTimeout(Duration::from_millis(1500))]).unwrap();
        assert_eq!(told(&socket), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000\n");
        notifier.notify(&[State::Watchdog]).unwrap();
        assert_eq!(told(&socket), "WATCHDOG=1\n");
        notifier.notify(&[State::Status(&"ä".repeat(2000))]).unwrap();
        assert_eq!(told(&socket), format!("STATUS={}\n", "ä".repeat(1024)));
    }

    #[test]
    fn a_reload_has_the_time_of_the_clock_that_the_manager_reads() {
        let (socket, notifier) = manager("reload");
        let now = || clock_gettime(ClockId::Monotonic).tv_sec;
        let before = now();
        notifier.notify(&[State::Reloading]).unwrap();
        let text = told(&socket);
        let micros: i64 = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end().parse().unwrap();
        assert!((before..=now()).contains(&(micros / 1_000_000)), "{text}");
    }

    #[test]
    fn a_full_queue_drops_a_sign_of_life_and_nobody_there_is_told() {
        let (socket, notifier) = manager("full");
        let mut count = 0;
        let full = loop {
            match notifier.notify(&[State::Watchdog]) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(count > 0 && full.kind() == io::ErrorKind::WouldBlock, "{full}");
        drop(socket);
        let error = notifier.notify(&[State::Ready]).unwrap_err().to_string();
        assert!(error.starts_with("notify the service manager at @swapwire-notify-full-"), "{error}");
        let error = Notifier::to("vsock:2:1").notify(&[State::Ready]).unwrap_err().to_string();
        let reason = "NOTIFY_SOCKET is to be a path, or @ with a name";
        assert_eq!(error, format!("notify the service manager at vsock:2:1: {reason}"));
    }

    #[test]
    fn a_watchdog_is_for_one_process() {
        let of = |micros: &str, of: Option<&str>| watchdog_of(Some(OsStr::new(micros)), of.map(OsStr::new), 7);
        let second = Some(Duration::from_secs(1));
        assert_eq!([of("1000000", None), of("1000000", Some("7")), of("1000000", Some("8"))], [second, second, None]);
        assert_eq!([of("0", None), of("", None), of("-1", None), of("x", Some("7"))], [None; 4]);
        assert_eq!(watchdog_of(None, None, 7), None);
    }
}
