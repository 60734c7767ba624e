//! What it costs how a handler is written and how it comes to the server: by its type, out of the registry, in a loop by
//! hand; for messages or for sessions.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]
#![allow(dead_code, reason = "the benches share a module, and none uses all of it")]

mod common;

use common::{Cell, Kind, Wire};

const DEPTHS: [usize; 2] = [1, 16];
const SIZES: [usize; 2] = [64, 16 * 1024];
const SIZE: usize = 64;

fn main() {
    let mut criterion = common::criterion();
    for depth in DEPTHS {
        let mut group = common::group(&mut criterion, format!("erasure/mem/{depth}"));
        for size in SIZES {
            let kinds = [Kind::Registry, Kind::Swapwire, Kind::ByHand, Kind::Direct];
            common::compare(&mut group, &Cell::new(Wire::Mem, size, 1, depth), &kinds);
        }
        group.finish();
    }
    for wire in [Wire::Tcp, Wire::Udp, Wire::Mem] {
        for depth in DEPTHS {
            let mut group = common::group(&mut criterion, format!("sessions/{}/{depth}", wire.name()));
            let kinds = [Kind::Session, Kind::ByHand, Kind::Swapwire];
            common::compare(&mut group, &Cell::new(wire, SIZE, 1, depth), &kinds);
            group.finish();
        }
    }
    criterion.final_summary();
}
