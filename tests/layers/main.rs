//! Wire layers, also against those of other people: one program, as each test program costs a build of everything that it uses.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../crates/server/tests/common/log.rs"]
#[allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "shared with the tests of the server"
)]
mod log;

mod apply;
mod proxy;
mod proxy_interop;
mod tls;
mod tls_interop;
mod ws;
mod ws_interop;
