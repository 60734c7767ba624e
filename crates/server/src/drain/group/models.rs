//! Every order in which members may become quiet and leave.

use super::*;
use crate::sync::{block_on, explore, thread};

#[test]
fn when_all_have_become_quiet_all_hear_of_it() {
    explore(3, || {
        let mut members = Member::group(3);
        let (mut stays, leaves, mut hesitates) = (members.remove(0), members.remove(0), members.remove(0));
        let others = [
            thread::spawn(move || drop(leaves)),
            thread::spawn(move || {
                [true, false, true].into_iter().for_each(|quiet| hesitates.set_quiet(quiet));
                block_on(hesitates.all_quiet());
            }),
        ];
        stays.set_quiet(true);
        block_on(stays.all_quiet());
        others.into_iter().for_each(|other| other.join().expect("it hears of it"));
    });
}

#[test]
fn nobody_ends_while_something_comes_to_one() {
    explore(3, || {
        let mut members = Member::group(3);
        let mut busy = members.remove(0);
        let others = members.into_iter().map(|mut member| {
            thread::spawn(move || {
                [true, false].into_iter().for_each(|quiet| member.set_quiet(quiet));
                drop(member);
            })
        });
        others.collect::<Vec<_>>().into_iter().for_each(|other| other.join().expect("it leaves"));
        assert!(!busy.group.all_quiet.is_cancelled());
        busy.set_quiet(true);
        assert!(busy.group.all_quiet.is_cancelled());
    });
}
