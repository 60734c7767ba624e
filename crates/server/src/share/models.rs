//! Every order in which connections may be passed on and members leave.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::pending;

use swapwire_core::{Addr, Incoming, Peer};

use super::*;
use crate::sync::{block_on, explore, thread};

fn arrival() -> Arrival {
    let peer = Peer::new(Addr::named("mem", "x").unwrap());
    Arrival::for_test(Incoming::pending(peer, pending()))
}

#[test]
fn what_is_passed_to_one_who_leaves_is_served_by_one_of_the_two() {
    explore(3, || {
        let mut members = shares(2);
        let (mut leaves, takes) = (members.remove(1), members.remove(0));
        let mut served: Vec<_> = (0..SLACK).filter_map(|_| takes.pass_on(arrival())).collect();
        let accounts = Arc::clone(&takes.members);
        let passes = thread::spawn(move || {
            served.extend(takes.pass_on(arrival()));
            served
        });
        leaves.leave();
        let mut left = Vec::new();
        while let Some(arrival) = block_on(leaves.passed_here()) {
            left.push(arrival);
        }
        let served = passes.join().unwrap();
        assert_eq!(served.len() + left.len(), SLACK + 1);
        assert_eq!(accounts[0].held.load(Relaxed), served.len());
        assert_eq!(accounts[1].held.load(Relaxed), left.len());
        drop((served, left));
        assert!(accounts.iter().all(|account| account.held.load(Relaxed) == 0));
    });
}
