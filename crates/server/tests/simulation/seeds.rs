//! Which seeds run, and what is said of those that fail.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::sabotage::Sabotage;
use crate::world::{run, run_told, watch_panics};

/// When no run has ended at so many looks in a row, so far apart on the real clock, one spins. (Looks, not time: a machine
/// may stop the whole process.)
const LOOKS: u32 = 24;
const LOOK: Duration = Duration::from_secs(5);
/// After so many failures it is enough.
const ENOUGH: usize = 10;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: write a number")))
}

pub(crate) fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(watch_panics);
}

/// What replays a seed.
fn replay(seed: u64) -> String {
    format!("SWAPWIRE_SEED={seed} cargo test -p swapwire-server --test simulation every_seed -- --nocapture")
}

/// Runs all seeds from 0 on, as many as the variables say.
pub(crate) fn run_all(count: u64) {
    ready();
    if let Some(seed) = number("SWAPWIRE_SEED") {
        return tell(seed);
    }
    let count = number("SWAPWIRE_SEEDS").unwrap_or(count);
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let (results, verdicts) = sync_channel(64);
    let threads = thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 16));
    let mut failed = Vec::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (results, next) = (results.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= count || results.send((seed, run(seed, Sabotage::None).err())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut under_way: std::collections::BTreeSet<u64> = (0..count).collect();
        let mut looks = 0;
        loop {
            match verdicts.recv_timeout(LOOK) {
                Ok((seed, why)) => {
                    looks = 0;
                    under_way.remove(&seed);
                    failed.extend(why.map(|why| (seed, why)));
                    if failed.len() >= ENOUGH {
                        next.store(count, Relaxed);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if looks < LOOKS => looks += 1,
                Err(RecvTimeoutError::Timeout) => {
                    let seed = under_way.first().copied().unwrap_or_default();
                    eprintln!("seed {seed} spins: nothing ends\n  {}", replay(seed));
                    // A thread that spins cannot be stopped.
                    std::process::exit(101);
                }
            }
        }
    });
    println!("{count} seeds in {:.1} s on {threads} threads", begun.elapsed().as_secs_f64());
    failed.sort_unstable();
    let lines: Vec<_> = failed.iter().map(|(seed, why)| format!("seed {seed}: {why}\n  {}", replay(*seed))).collect();
    assert!(failed.is_empty(), "promises were broken\n{}", lines.join("\n"));
}

/// Runs one seed, and tells what happened.
fn tell(seed: u64) {
    println!("{:#?}", Plan::of(seed));
    let (verdict, story) = run_told(seed, Sabotage::None, true);
    story.iter().for_each(|line| println!("{line}"));
    match verdict {
        Ok(done) => println!("seed {seed} keeps the promises; trace {:016x}", done.trace),
        Err(why) => panic!("seed {seed}: {why}\n  {}", replay(seed)),
    }
}
