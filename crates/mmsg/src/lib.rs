//! Many datagrams per system call: `recvmmsg(2)` into a [`RecvBatch`](swapwire_core::RecvBatch), `sendmmsg(2)` from a
//! [`SendBatch`](swapwire_core::SendBatch), with trains (`UDP_GRO`, `UDP_SEGMENT`, `udp(7)`) and local addresses
//! (`IP_PKTINFO`, `ip(7)`; `IPV6_PKTINFO`, `ipv6(7)`). Linux and Android; on other systems the crate is empty.
//!
//! Descriptors that a peer sends over a Unix socket (`SCM_RIGHTS`) never stay open: there is no buffer that the system
//! could put them into. It reports that there were some (`MSG_CTRUNC`, `recvmsg(2)`), and they are counted
//! ([`RecvBatch::with_descriptors`](swapwire_core::RecvBatch::with_descriptors)), but for those of seqpacket sockets, where the same
//! report tells an empty message from the end ([`Receiver::recv_messages`]).
//!
//! For the transports of this project: servers and clients need no more than those. It opens no socket, sets no option and
//! knows no runtime. The headers of the calls are made once and kept; a call costs no more than the datagrams that it
//! moves, and touches the heap only to grow for more of them than ever before.
//!
//! It is the one place of swapwire's libraries with `unsafe`, all of it in one file. nix's wrappers do not fit: its receiving
//! headers keep the length of the last sender's name, which differ on Unix sockets, and its result of sending reads
//! names that only receiving fills in.
//!
//! ```
//! # #[cfg(any(target_os = "linux", target_os = "android"))]
//! # fn main() -> std::io::Result<()> {
//! use std::net::UdpSocket;
//! use std::os::fd::AsFd as _;
//! use swapwire_core::{Addr, RecvBatch, SendBatch};
//! use swapwire_mmsg::{Merging, Peers, Receiver, Sender};
//!
//! let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
//! let mut batch = SendBatch::new();
//! for message in ["one", "two", "three"] {
//!     batch.push(message.as_bytes(), Addr::inet(b.local_addr()?), None);
//! }
//! let mut sender = Sender::new(Peers::Inet, 65_507);
//! assert_eq!(sender.send(a.as_fd(), &batch, 0, &mut Merging::new(true))?, 3);
//!
//! let mut received = RecvBatch::new(8, 1500);
//! let drained = Receiver::new(Peers::Inet, 65_507).recv(b.as_fd(), &mut received, 8)?;
//! assert!(drained);
//! let (meta, message) = received.get(2).expect("three were sent");
//! assert_eq!((meta.peer, message), (Some(Addr::inet(a.local_addr()?)), b"three".as_slice()));
//! # Ok(())
//! # }
//! # #[cfg(not(any(target_os = "linux", target_os = "android")))]
//! # fn main() {}
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg(any(target_os = "linux", target_os = "android"))]

mod again;
mod control;
mod headers;
mod merging;
mod name;
mod receiver;
mod sender;

#[cfg(test)]
mod tests;

pub use headers::drops;
pub use merging::Merging;
pub use receiver::{Behind, Receiver};
pub use sender::Sender;

/// The most datagrams, or trains of them, that one system call moves.
pub const BATCH: usize = 64;

/// Whom a socket talks to, and so what their addresses look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// The one that it is connected to, by IP: no address is read or written.
    One,
    /// Any, by IPv4.
    Inet,
    /// Any, by IPv6, or by IPv4 under mapped addresses.
    Inet6,
    /// Any, by Unix sockets.
    Unix,
    /// The one that a Unix socket is connected to.
    OneUnix,
    /// The one that a Unix socket of the kind seqpacket is connected to, which has the option `SO_PASSCRED`: see
    /// [`Receiver::recv_messages`].
    SeqUnix,
}

impl Peers {
    /// Whether they are told by address.
    const fn have_names(self) -> bool {
        !matches!(self, Self::One | Self::OneUnix | Self::SeqUnix)
    }

    /// Whether their datagrams come with control messages that are of use. Those of Unix sockets carry descriptors,
    /// which are of no use here: without a buffer for them the system closes them (`unix(7)`, `SCM_RIGHTS`).
    const fn have_control(self) -> bool {
        !matches!(self, Self::Unix | Self::OneUnix | Self::SeqUnix)
    }
}
