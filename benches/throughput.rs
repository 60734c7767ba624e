//! How many messages a server takes when they come faster than it answers: a few connections, each with many messages
//! under way, from one thread; the server has another one.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]

mod common;

use common::Wire;

const CONNECTIONS: usize = 4;

/// How many messages a connection keeps under way. A datagram socket's queue in the system decides what is possible
/// without loss: on Linux 10 datagrams of a Unix socket (`unix(7)`, `max_dgram_qlen`), and about 6 of 16 KiB in the
/// 208 KiB of a UDP socket (`net.core.rmem_default`).
const fn depth(wire: Wire, size: usize) -> usize {
    match wire {
        Wire::Udp if size > 8 * 1024 => 1,
        Wire::UnixDgram => 8,
        _ => 16,
    }
}

fn main() {
    let mut criterion = common::criterion();
    common::servers(&mut criterion, "throughput", CONNECTIONS, depth);
    criterion.final_summary();
}
