//! A server under a seeded scheduler of faults: latency, slices, stalls, resets, early ends, loss, doubles and reordering on
//! the wires, clients that leave, futures that are dropped, and a drain at a moment of its own. The clock is paused.
//!
//! 10,000 seeds by default. `SWAPWIRE_SEEDS=100000` runs more, `SWAPWIRE_SEED=42` runs one and says what it was.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod clients;
mod datagrams;
mod handlers;
mod judge;
mod judge_datagrams;
mod mask;
mod message;
mod plan;
mod recorder;
mod sabotage;
mod seeds;
mod streams;
mod world;

use plan::Plan;
use sabotage::Sabotage;

/// Seeds of the ordinary run.
const SEEDS: u64 = 10_000;

#[test]
fn every_seed_keeps_the_promises() {
    seeds::run_all(SEEDS);
}

#[test]
fn equal_seeds_leave_equal_traces() {
    seeds::ready();
    let traces = |seeds: std::ops::Range<u64>| -> Vec<u64> {
        seeds.map(|seed| world::run(seed, Sabotage::None).unwrap().trace).collect()
    };
    let first = traces(0..100);
    assert_eq!(traces(0..100), first);
    // On a thread that has run nothing before, as a replay does.
    assert_eq!(std::thread::spawn(move || traces(50..100)).join().unwrap(), first[50..]);
    let mut different = first.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), first.len());
}

/// A judge that cannot condemn is none: each sabotage, and what must be said of it.
#[test]
fn every_sabotage_is_found() {
    seeds::ready();
    for (sabotage, words) in sabotage::FOUND {
        let found = (0..400).find_map(|seed| world::run(seed, *sabotage).err().map(|why| (seed, why)));
        let (seed, why) = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
        assert!(
            words.iter().any(|word| why.contains(word)),
            "{sabotage:?}, seed {seed}: found for another reason: {why}"
        );
        assert!(world::run(seed, Sabotage::None).is_ok());
    }
}

#[test]
fn seeds_differ_in_all_that_they_decide() {
    let plans: Vec<Plan> = (0..1000).map(Plan::of).collect();
    let some = |what: &dyn Fn(&Plan) -> bool| {
        let count = plans.iter().filter(|plan| what(plan)).count();
        (20..980).contains(&count)
    };
    assert!(
        some(&|plan| plan.is_datagram())
            && some(&|plan| plan.scheme == "mem-seq")
            && some(&|plan| plan.scheme == "mask+mem")
            && some(&|plan| plan.scheme == "ws+mem")
    );
    assert!(some(&|plan| plan.end_at.is_some()) && some(&|plan| plan.can_break()));
    assert!(some(&|plan| plan.client_faults.is_some()) && some(&|plan| plan.is_tight));
    assert!(some(&|plan| plan.chunks()) && some(&|plan| plan.clients.len() > 3));
}
