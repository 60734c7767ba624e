//! How many messages go there and back when more than one is under way: 16 on each connection, or as many as the wire has
//! room for.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]
#![allow(dead_code, reason = "the benches share a module, and none uses all of it")]

mod common;

const DEPTH: usize = 16;

fn main() {
    let mut criterion = common::criterion();
    common::cell::matrix(&mut criterion, "throughput", DEPTH);
    criterion.final_summary();
}
