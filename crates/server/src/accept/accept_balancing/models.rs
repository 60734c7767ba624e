//! Every order in which connections may be passed on and members leave.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::sync::{block_on, explore, thread};

#[test]
fn what_is_passed_to_one_who_leaves_is_served_by_one_of_the_two() {
    explore(3, || {
        let mut members = balance(2);
        let (mut leaves, takes) = (members.remove(1), members.remove(0));
        let mut served: Vec<_> = (0..SLACK).filter_map(|_| takes.pass_on(())).collect();
        let loads = Arc::clone(&takes.loads);
        let passes = thread::spawn(move || {
            served.extend(takes.pass_on(()));
            served
        });
        leaves.leave();
        let mut left = Vec::new();
        while let Some(arrival) = block_on(leaves.passed_here()) {
            left.push(arrival);
        }
        let served = passes.join().unwrap();
        assert_eq!(served.len() + left.len(), SLACK + 1);
        assert_eq!(loads[0].0.load(Relaxed), served.len());
        assert_eq!(loads[1].0.load(Relaxed), left.len());
        drop((served, left));
        assert!(loads.iter().all(|load| load.0.load(Relaxed) == 0));
    });
}
