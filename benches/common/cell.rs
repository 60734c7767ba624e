//! One load on one wire, and what the wires cannot carry.

use criterion::Criterion;
use swapwire::Framing;

use super::{Kind, Wire, compare, group};

/// Message sizes in bytes: a line, a packet, as much as a small read buffer, and more than one read takes.
const SIZES: [usize; 4] = [64, 1024, 16 * 1024, 64 * 1024];
/// The connections of the matrix.
const CONNECTIONS: [usize; 2] = [1, 64];

/// The largest datagram: 65,535 less the headers (`udp(7)`, `ip(7)`).
const LARGEST_UDP: usize = 65_507;
/// What waits in a socket of Linux by default (`net.core.rmem_default`).
const UDP_QUEUE: usize = 212_992;
/// A Unix socket queues 10 datagrams (`unix(7)`, `max_dgram_qlen`), so neither server has to wait for a client of so many.
const UNIX_DGRAM_DEPTH: usize = 8;
/// What clients leave unread counts against the server's send buffer, which we set to this.
const UNIX_DGRAM_QUEUE: usize = 1 << 20;
/// Replies that wait beside it, in bytes (`Limits`); what is more is dropped.
const UNIX_DGRAM_ASIDE: usize = 1 << 20;

/// How many datagrams have room: each takes a power of two with its headers, and a description of 256 bytes.
fn room(queue: usize, size: usize) -> usize {
    queue / ((size + 320).next_power_of_two() + 256)
}

#[derive(Clone, Debug)]
pub struct Cell {
    pub wire: Wire,
    pub framing: Framing,
    pub size: usize,
    pub connections: usize,
    /// Messages under way on each connection.
    pub depth: usize,
}

impl Cell {
    pub fn new(wire: Wire, size: usize, connections: usize, depth: usize) -> Self {
        Self { wire, framing: Framing::Chunks, size, connections, depth }
    }

    /// As much of it as the wire carries without loss; `Err` says why there is nothing.
    fn possible(self) -> Result<Self, String> {
        let clients = self.connections;
        match self.wire {
            Wire::Udp => {
                let size = self.size.min(LARGEST_UDP);
                let room = room(UDP_QUEUE, size);
                if room < clients {
                    return Err(format!("the server's socket holds {room}, and {clients} come at once"));
                }
                // Half of it: what is counted against the queue is only freed now and then (`udp_rmem_release`).
                Ok(Self { size, depth: self.depth.min((room / 2 / clients).max(1)), ..self })
            }
            Wire::UnixDgram => {
                let room = room(UNIX_DGRAM_QUEUE, self.size);
                let all = room + UNIX_DGRAM_ASIDE / self.size;
                if all < clients {
                    return Err(format!("the server has room for {all} replies, and {clients} clients may read late"));
                }
                Ok(Self { depth: self.depth.min((room / clients).clamp(1, UNIX_DGRAM_DEPTH)), ..self })
            }
            _ => Ok(self),
        }
    }
}

/// The matrix for one depth: every wire, number of connections and size, on both servers.
pub fn matrix(criterion: &mut Criterion, bench: &str, depth: usize) {
    for wire in Wire::ALL {
        for connections in CONNECTIONS {
            let mut group = group(criterion, format!("{bench}/{}/{connections}", wire.name()));
            for size in SIZES {
                let name = format!("{bench}/{}/{connections}, {size} bytes", wire.name());
                match Cell::new(wire, size, connections, depth).possible() {
                    Ok(cell) if depth > 1 && cell.depth == 1 => {
                        eprintln!("{name}: skipped: only one at a time has room, as in `round_trip`");
                    }
                    Ok(cell) => {
                        if (cell.size, cell.depth) != (size, depth) {
                            eprintln!("{name}: what has room is {} of {} bytes", cell.depth, cell.size);
                        }
                        compare(&mut group, &cell, &[Kind::Swapwire, Kind::ByHand][..1 + usize::from(wire.is_plain())]);
                    }
                    Err(why) => eprintln!("{name}: skipped: {why}"),
                }
            }
            group.finish();
        }
    }
}
