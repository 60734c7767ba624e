//! The binaries against small servers: right ones pass, and each wrong one is caught.
#![cfg(target_os = "linux")]

mod common;
mod modes;
mod proxy;
mod usage;
mod verify;
