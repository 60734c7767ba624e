//! Local ports that are used up.

use std::io::ErrorKind;

use swapwire_core::{ConnectError, Place};

use crate::load::usage::{self, LocalPorts};

/// Whether `error` says that this machine has no local port left, as far as `ports` tell: TCP says
/// `EADDRNOTAVAIL` (`connect(2)`), from an address that was chosen `EADDRINUSE` (`bind(2)`), and UDP `EAGAIN`. The first of
/// them may also mean that the machine has no address of the server's family.
pub(crate) fn are_used_up(error: &ConnectError, ports: Option<LocalPorts>) -> bool {
    let kind = match error {
        ConnectError::Busy { endpoint, .. } if matches!(endpoint.place(), Place::Host { .. }) => return true,
        ConnectError::Io { source, .. } if source.raw_os_error().is_some() => source.kind(),
        _ => return false,
    };
    match kind {
        ErrorKind::AddrInUse => true,
        ErrorKind::AddrNotAvailable => ports.is_none_or(|ports| 2 * ports.used >= ports.all),
        _ => false,
    }
}

/// What has happened and what to do about it, without the endpoint; `anew`: connections are opened again and again.
pub(crate) fn explained(anew: bool) -> String {
    let ports = usage::local_ports();
    let known = ports.map_or_else(String::new, |ports| {
        let ((first, last), open) = (ports.range, ports.used - ports.waiting);
        format!(" (of {}, {first} to {last}; {open} sockets are open and {} in TIME_WAIT)", ports.all, ports.waiting)
    });
    let again = if ports.is_some_and(|ports| ports.waiting > 0) { "try again in a minute, " } else { "" };
    let fewer = if anew { "reconnect less often (--reconnect-every)" } else { "open fewer --connections" };
    format!(
        "the client's machine has no local ports left{known}: {again}come from more addresses (--source \
         127.0.0.2,127.0.0.3), {fewer}, or widen net.ipv4.ip_local_port_range"
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_system_says_it_in_several_ways() {
        let failed = |endpoint: &str, errno: nix::errno::Errno| {
            ConnectError::from_io(&endpoint.parse().unwrap(), io::Error::from_raw_os_error(errno as i32))
        };
        use nix::errno::Errno::{EADDRINUSE, EADDRNOTAVAIL, EAGAIN, ECONNREFUSED};
        let ports = LocalPorts { range: (1, 200), all: 200, used: 200, waiting: 190 };
        let (full, free) = (Some(ports), Some(LocalPorts { used: 9, waiting: 0, ..ports }));
        assert!(are_used_up(&failed("tcp://h:1", EADDRNOTAVAIL), full));
        assert!(are_used_up(&failed("tcp://h:1", EADDRNOTAVAIL), None));
        assert!(!are_used_up(&failed("tcp://[::1]:1", EADDRNOTAVAIL), free), "there is no IPv6");
        assert!(are_used_up(&failed("udp://h:1?source=127.0.0.2", EADDRINUSE), full));
        assert!(are_used_up(&failed("udp://h:1", EAGAIN), full));
        assert!(!are_used_up(&failed("unix:/x", EAGAIN), full), "its server's queue is full");
        assert!(!are_used_up(&failed("tcp://h:1", ECONNREFUSED), full));
    }
}
