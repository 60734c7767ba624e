//! What a faulty transport tells its watcher.

use std::time::Duration;

use swapwire_core::{Addr, Side};

/// Something that passed a [`Faulty`](crate::Faulty) transport, or a fault that it made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FaultEvent {
    /// Whether it was on a wire that was bound (or accepted), or one that was connected.
    pub side: Side,
    /// This end of the wire; `None` where it has no address.
    pub local: Option<Addr>,
    /// The other end; `None` where there is none, or where it has no address.
    pub peer: Option<Addr>,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// A read gave so many bytes.
    Read(usize),
    /// A write took so many bytes.
    Wrote(usize),
    /// A message of so many bytes was handed out.
    Received(usize),
    /// A message of so many bytes was sent.
    Sent(usize),
    /// The peer has ended its sending.
    PeerEnded,
    /// Fault: not ready for so long.
    Stalled(Duration),
    /// Fault: the connection was reset, or its handshake failed.
    Reset,
    /// Fault: the input ended before the peer had ended it.
    EndedEarly,
    /// Fault: a datagram that arrived was lost.
    LostIn,
    /// Fault: a datagram that left was lost.
    LostOut,
    /// Fault: a datagram that arrived came twice.
    DoubledIn,
    /// Fault: a datagram that left went twice.
    DoubledOut,
    /// Fault: an accept failed.
    AcceptFailed,
}

impl FaultKind {
    /// Whether it ends a connection.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Reset | Self::EndedEarly)
    }
}
