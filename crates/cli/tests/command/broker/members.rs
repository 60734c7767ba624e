//! Members of a queue group that come and go while they are asked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::monitor::{MONITORED, clients};
use super::real::Broker;
use super::{asking, asking_for_all, group, member, times};
use crate::common::PATIENCE;

#[test]
fn members_are_drained_and_replaced_and_each_request_has_one_reply() {
    let Some(broker) = Broker::start("") else {
        return;
    };
    let mut members: VecDeque<_> = (0..3).map(|_| member(&group(&broker))).collect();
    let asker = asking_for_all(&broker);
    for _ in 0..times() {
        asker.wait_for(200);
        members.push_back(member(&group(&broker)));
        members.pop_front().unwrap().stop();
    }
    asker.stop().assert_whole();
}

#[test]
fn a_member_that_is_killed_takes_with_it_what_it_held_and_no_more() {
    let Some(broker) = Broker::start(MONITORED) else {
        return;
    };
    let (_others, victim) =
        ([member(&group(&broker)), member(&group(&broker))], member(&(group(&broker) + "&name=victim")));
    let asker = asking(&broker, Duration::from_secs(1));
    asker.wait_for(600);
    victim.signal(Signal::SIGKILL);
    asker.wait_for(600);
    let outcome = asker.stop();
    let begun = Instant::now();
    let victims = loop {
        match clients(&broker, "victim", "closed") {
            none if none.is_empty() => assert!(begun.elapsed() < PATIENCE, "the broker keeps it"),
            victims => break victims,
        }
    };
    let held = |what: &str| victims.iter().map(|client| client[what].as_u64().unwrap()).sum::<u64>();
    // What was sent to it, without what it answered.
    assert_eq!(outcome.lost(), held("out_msgs") - held("in_msgs"), "{outcome:?}, {victims:?}");
    assert_eq!((outcome.doubled, outcome.wrong, outcome.nobody, &outcome.broken), (0, 0, 0, &None), "{outcome:?}");
}
