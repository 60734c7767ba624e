//! Every public future, dropped at every await, at random: a million times in all. Nothing is lost, doubled or torn, and
//! what was taken is given back.
//!
//! A failing seed is printed with what replays it. `SWAPWIRE_CASES=10` makes ten times as many cases.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cases;
mod datagrams;
mod drops;
mod ends;
mod halves;
mod links;
mod servers;
mod talk;
mod wires;

#[test]
fn sessions_lose_nothing() {
    cases::run("sessions_lose_nothing", 700_000, talk::on_memory);
}

#[test]
fn halves_and_senders_lose_nothing() {
    cases::run("halves_and_senders_lose_nothing", 1_000_000, halves::on_memory);
}

#[test]
fn ends_are_ends() {
    cases::run("ends_are_ends", 100_000, ends::on_memory);
}

#[test]
fn listeners_and_connects_lose_nobody() {
    cases::run("listeners_and_connects_lose_nobody", 100_000, wires::on_memory);
}

#[test]
fn datagram_sockets_lose_nothing() {
    cases::run("datagram_sockets_lose_nothing", 100_000, datagrams::on_memory);
}

#[test]
fn servers_leave_nothing_behind() {
    cases::run("servers_leave_nothing_behind", 5_000, servers::on_memory);
}
