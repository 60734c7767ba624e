//! Runs seeds until as many futures were dropped as were asked for.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Of the paused clock: a seed that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(3600);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: write a number")))
}

/// Runs seeds from 0 on until `count` futures were dropped, as `test` says how many each dropped.
pub(crate) fn run<F: Future<Output = u64>>(name: &str, count: u64, test: impl Fn(u64) -> F) {
    let begun = Instant::now();
    let only = number("SWAPWIRE_SEED");
    let count = count * number("SWAPWIRE_CASES").unwrap_or(1);
    let (mut dropped, mut seed) = (0, only.unwrap_or(0));
    while dropped < count {
        let one = catch_unwind(AssertUnwindSafe(|| one(test(seed))));
        let Ok(Some(more)) = one else {
            let how = if one.is_ok() { "hangs" } else { "fails" };
            panic!(
                "seed {seed} {how}\n  SWAPWIRE_SEED={seed} cargo test -p swapwire-server --test cancellation {name}"
            );
        };
        dropped += more;
        seed += 1;
        if only.is_some() {
            break;
        }
    }
    println!("{name}: {dropped} futures dropped, {seed} seeds, {:.1} s", begun.elapsed().as_secs_f64());
}

/// Runs one on a runtime of its own, on which no task may be left; `None` if it hangs.
fn one(test: impl Future<Output = u64>) -> Option<u64> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let dropped = timeout(LONGEST, test).await.ok()?;
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
        Some(dropped)
    })
}
