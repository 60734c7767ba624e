//! Dialling: the addresses of a name, one after the other; groups.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::SockRef;
use swapwire_core::{ConnectError, Endpoint};
use swapwire_socket::{Reach, bind_source, reach, reachable_from, read_to_dial, resolve};

use crate::options::Options;

/// A socket that talks to one address of a name.
#[derive(Debug)]
pub(crate) struct Dialled {
    /// Connected, if `to` is one host.
    pub(crate) socket: UdpSocket,
    pub(crate) to: SocketAddr,
    pub(crate) is_one: bool,
    /// The hosts behind it that are to be tried if it refuses.
    pub(crate) others: Vec<SocketAddr>,
    pub(crate) options: Options,
}

pub(crate) async fn dial(endpoint: &Endpoint) -> Result<Dialled, ConnectError> {
    let (host, port, options) = read_to_dial::<Options>(endpoint)?;
    let failed = |error| ConnectError::from_io(endpoint, error);
    let addrs = resolve(host, port).await.and_then(|addrs| reachable_from(options.source, addrs)).map_err(failed)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (at, to) in addrs.iter().enumerate() {
        let is_one = !(to.ip().is_multicast() || options.broadcast && reach(*to) == Reach::Everybody);
        match if is_one { connect(*to, &options) } else { open_to_all(*to, &options) } {
            Ok(socket) => {
                options.buffers.tell_dialled(endpoint, &SockRef::from(&socket));
                let others = if is_one { addrs[at + 1..].to_vec() } else { Vec::new() };
                return Ok(Dialled { socket, to: *to, is_one, others, options });
            }
            Err(error) => last = error,
        }
    }
    let broadcast = |addr: &SocketAddr| !options.broadcast && reach(*addr) == Reach::Everybody;
    Err(match addrs.iter().find(|addr| broadcast(addr)) {
        Some(addr) => {
            let reason = format!("{} is a broadcast address; broadcast=true allows sending there", addr.ip());
            ConnectError::invalid(endpoint, reason)
        }
        None => failed(last),
    })
}

/// `connect(2)` of a datagram socket sends nothing and never waits; it also picks the local address and port.
pub(crate) fn connect(to: SocketAddr, options: &Options) -> io::Result<UdpSocket> {
    let socket = options.socket(to)?;
    if let Some(source) = options.source {
        bind_source(&socket, source)?;
    }
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// A socket that receives from any address: a connected one would receive only from the address that it sends to, from which
/// no host answers.
fn open_to_all(to: SocketAddr, options: &Options) -> io::Result<UdpSocket> {
    let socket = options.socket(to)?;
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    bind_source(&socket, options.source.unwrap_or(any))?;
    Ok(socket.into())
}
