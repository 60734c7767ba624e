//! Random decisions that can be made again.

use std::ops::Range;
use std::time::Duration;

use crate::payload::splitmix;

/// Random decisions from a seed: equal seeds decide equally, on every machine.
///
/// Not for secrets: whoever has seen one decision can work out the next.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as `seed` says.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice, which fall independently of these from now on.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(splitmix(&mut self.0))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        splitmix(&mut self.0)
    }

    /// A number below `end`, or 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        // The remainder favours small numbers by less than one in 2^32 for all ends that tests have.
        splitmix(&mut self.0).checked_rem(end).unwrap_or(0)
    }

    /// As [`below`](Self::below), as an index.
    pub fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// One of `all`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }

    /// Whether something happens that has this chance, from 0 to 1.
    pub fn chance(&mut self, chance: f64) -> bool {
        const STEPS: u64 = 1 << 53;
        // Nothing is rolled for what never happens, so that switching one fault on leaves the others as they were.
        chance > 0.0 && ((self.below(STEPS)) as f64) < chance * STEPS as f64
    }

    /// A time in `range`, in whole microseconds from its start; its start if it is empty.
    pub fn time(&mut self, range: &Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start).as_micros();
        range.start + Duration::from_micros(self.below(u64::try_from(width).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_as_the_seed_says() {
        let fall = |seed| (0..100).map(move |_| 0).scan(Dice::new(seed), |dice, _| Some(dice.number()));
        assert!(fall(1).eq(fall(1)));
        assert!(fall(1).ne(fall(2)));
        let mut dice = Dice::new(3);
        let hits = (0..10_000).filter(|_| dice.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!((0..100).all(|_| dice.chance(1.0) && !dice.chance(0.0)));
        assert!((0..100).all(|_| dice.below(3) < 3));
        assert_eq!(dice.below(0), 0);
        let (from, to) = (Duration::from_millis(2), Duration::from_millis(3));
        assert!((0..100).all(|_| (from..to).contains(&dice.time(&(from..to)))));
        assert_eq!(dice.time(&(to..from)), to);
        assert_ne!(dice.fork().number(), dice.number());
    }
}
