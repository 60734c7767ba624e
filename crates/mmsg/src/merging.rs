//! Whether adjacent datagrams may leave as one segmented send.

use std::io;

use swapwire_core::TrainLimits;

/// Longer ones are not merged: a segment must fit into one packet, and this fits an Ethernet frame with IPv6.
const LONGEST_SEGMENT: usize = 1452;

/// Segments of a train, of which every Linux that segments takes so many (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;

/// Bytes of a train: what fits into an IPv4 packet.
const LONGEST_TRAIN: usize = 65_507;

/// After a merged send failed, so many datagrams leave one by one: a route with a smaller MTU, or a device without
/// checksum offload, would fail again.
const PAUSE: usize = 1024;

/// Whether a socket's adjacent datagrams of equal size leave as one segmented send (`UDP_SEGMENT`, `udp(7)`), and for how
/// long not after the system refused that. Each socket has its own.
#[derive(Clone, Debug)]
pub struct Merging {
    on: bool,
    pause: usize,
}

impl Merging {
    /// `on` is for UDP on a system that segments; without, every datagram leaves alone. A Linux before 4.18 would send a
    /// train as one long datagram.
    pub const fn new(on: bool) -> Self {
        Self { on, pause: 0 }
    }

    /// Whether adjacent datagrams leave together at present.
    pub fn is_on(&self) -> bool {
        self.on && self.pause == 0
    }

    /// How many leave together at present.
    pub(crate) fn limits(&self) -> TrainLimits {
        let segments = if self.is_on() { SEGMENTS } else { 1 };
        TrainLimits { segments, segment: LONGEST_SEGMENT, bytes: LONGEST_TRAIN }
    }

    pub(crate) fn pause(&mut self) {
        self.pause = PAUSE;
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.pause = self.pause.saturating_sub(count);
    }
}

/// Whether the error may be about the merged send alone; other ones meet single datagrams too, or were told once.
pub(crate) fn forbids(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP))
}
