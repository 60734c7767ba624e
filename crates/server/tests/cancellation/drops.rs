//! Futures that are begun and may be dropped.

use std::future::Future;
use std::time::Duration;

use swapwire_testkit::{Dice, drop_after, drop_after_eager};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_millis(1);

/// Begins futures, drops some, and counts those.
pub(crate) struct Drops {
    pub(crate) dice: Dice,
    pub(crate) dropped: u64,
}

impl Drops {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { dice, dropped: 0 }
    }

    /// Polls `future` a few times, or none: what it gave, if it was done by then.
    pub(crate) async fn begin<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let polls = self.dice.index(4);
        let done = match self.dice.below(8) {
            // Others, and the clock, go on meanwhile. Two that wait for each other must not do so for ever.
            0 => timeout(PATIENCE, future).await.ok(),
            1 => timeout(PATIENCE, drop_after(polls, future)).await.ok().flatten(),
            2..5 => drop_after_eager(polls, future).await,
            _ => drop_after(1, future).await,
        };
        self.dropped += u64::from(done.is_none());
        done
    }

    /// Begins futures until one of them is done.
    pub(crate) async fn insist<T>(&mut self, mut future: impl AsyncFnMut() -> T) -> T {
        loop {
            if let Some(done) = self.begin(future()).await {
                return done;
            }
        }
    }
}
