//! When requests of an open loop are due.

use std::time::Duration;

/// The intended times of one connection's requests: all connections together send at even distances, in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Seconds from the epoch to the first request.
    first: f64,
    /// Seconds from one request to the next.
    interval: f64,
}

impl Schedule {
    /// Of connection `index` of `connections` that send `rate` requests per second together.
    pub(crate) fn new(rate: f64, index: usize, connections: usize) -> Self {
        Self { first: index as f64 / rate, interval: connections as f64 / rate }
    }

    /// When request `number` is due, after the epoch.
    pub(crate) fn at(&self, number: u64) -> Duration {
        Duration::try_from_secs_f64(self.first + number as f64 * self.interval).unwrap_or(Duration::MAX)
    }

    /// How many requests are due before `end`, after the epoch.
    pub(crate) fn before(&self, end: Duration) -> u64 {
        let guess = ((end.as_secs_f64() - self.first) / self.interval).ceil().max(0.0) as u64;
        // The guess is off by rounding at most.
        (guess.saturating_sub(2)..=guess + 2).find(|number| self.at(*number) >= end).unwrap_or(guess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_turns_at_even_distances() {
        let schedules = [0, 1, 2].map(|index| Schedule::new(1000.0, index, 3));
        let mut due: Vec<_> = schedules.iter().flat_map(|schedule| (0..4).map(|number| schedule.at(number))).collect();
        due.sort();
        let expected: Vec<_> = (0..12).map(Duration::from_millis).collect();
        assert!(due.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) < Duration::from_nanos(10)), "{due:?}");
    }

    #[test]
    fn before_counts_what_at_says() {
        for rate in [0.1, 7.0, 1000.0, 123_456.7] {
            let schedule = Schedule::new(rate, 3, 64);
            for millis in [0, 1, 999, 1000, 60_000] {
                let end = Duration::from_millis(millis);
                let count = schedule.before(end);
                assert!(schedule.at(count) >= end, "{rate} {millis}");
                assert!(count == 0 || schedule.at(count - 1) < end, "{rate} {millis}");
            }
        }
    }
}
