//! What one thread of the generator counts.

use std::time::Duration;

use tokio::time::Instant;

use crate::Round;

/// Steps of a timeline at most; longer ones get coarser.
const STEPS: usize = 2048;
/// Kinds of errors that are told apart at most.
const KINDS: usize = 64;

/// The measured part of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// From when on requests of an open loop are due.
    pub(crate) epoch: Instant,
    /// The measured part begins.
    pub(crate) begin: Instant,
    /// It ends; `None`: with the last request.
    pub(crate) end: Option<Instant>,
}

impl Window {
    /// Whether `at` is in the measured part.
    pub(crate) fn holds(&self, at: Instant) -> bool {
        at >= self.begin && self.end.is_none_or(|end| at < end)
    }
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// When it was handed over; in an open loop, when it was due.
    pub(crate) at: Instant,
    /// Whether it belongs to the measured part.
    pub(crate) measured: bool,
    /// Whether it is the first of its connection.
    pub(crate) first: bool,
}

/// Counters and histograms.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What is added up over all threads.
    pub(crate) round: Round,
    /// When the first measured request was begun, or due.
    pub(crate) first: Option<Instant>,
    /// Right replies, measured or not.
    pub(crate) replies: u64,
    /// When the last right reply of the measured part came.
    pub(crate) last: Option<Instant>,
    /// Of the timeline.
    step: Duration,
    /// The step of the last mark: where it begins and ends, and its place in the timeline.
    marked: (Duration, Duration, usize),
}

impl Tally {
    pub(crate) fn new(step: Duration) -> Self {
        let marked = (Duration::ZERO, Duration::ZERO, 0);
        Self { round: Round::default(), first: None, replies: 0, last: None, step, marked }
    }

    /// A right reply of `len` bytes came at `now`.
    pub(crate) fn right(&mut self, begun: Begun, len: usize, now: Instant, window: Option<&Window>) {
        self.replies += 1;
        if begun.measured {
            self.round.answered += 1;
            let spectrum = if begun.first { &mut self.round.first_reply } else { &mut self.round.latency };
            spectrum.record(now.saturating_duration_since(begun.at));
        }
        if let Some(window) = window
            && window.holds(now)
        {
            self.round.messages += 1;
            self.round.bytes_received += len as u64;
            self.last = Some(now);
            self.mark(now - window.begin);
        }
    }

    fn mark(&mut self, at: Duration) {
        let (begin, end, place) = self.marked;
        if at >= begin && at < end {
            self.round.timeline[place] += 1;
            return;
        }
        let mut step = (at.as_nanos() / self.step.as_nanos().max(1)) as usize;
        while step >= STEPS {
            self.coarsen();
            step /= 2;
        }
        if step >= self.round.timeline.len() {
            self.round.timeline.resize(step + 1, 0);
        }
        self.round.timeline[step] += 1;
        let begin = self.step * u32::try_from(step).unwrap_or(u32::MAX);
        self.marked = (begin, begin + self.step, step);
    }

    /// Makes one step of each two.
    fn coarsen(&mut self) {
        self.round.timeline = self.round.timeline.chunks(2).map(|pair| pair.iter().sum()).collect();
        self.step *= 2;
    }

    /// Counts an error by its kind.
    pub(crate) fn error(&mut self, kind: String) {
        let errors = &mut self.round.faults.errors;
        let kind = if errors.len() >= KINDS && !errors.contains_key(&kind) { "others".to_owned() } else { kind };
        *errors.entry(kind).or_default() += 1;
    }

    /// Adds the counts of another thread to `round`.
    pub(crate) fn add_to(mut self, round: &mut Round) {
        round.add(&self.round);
        let step = Duration::from_secs_f64(round.timeline_step_s);
        while self.step < step {
            self.coarsen();
        }
        if round.timeline.len() < self.round.timeline.len() {
            round.timeline.resize(self.round.timeline.len(), 0);
        }
        for (sum, count) in round.timeline.iter_mut().zip(&self.round.timeline) {
            *sum += count;
        }
    }

    /// The step of the timeline.
    pub(crate) fn step(&self) -> Duration {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeline_gets_coarser_and_keeps_its_sum() {
        let begin = Instant::now();
        let window = Window { epoch: begin, begin, end: None };
        let begun = Begun { at: begin, measured: true, first: false };
        let mut tally = Tally::new(Duration::from_millis(1));
        for second in 0..10 {
            tally.right(begun, 1, begin + Duration::from_secs(second), Some(&window));
        }
        assert!(tally.step > Duration::from_millis(1));
        let mut round = Round { timeline_step_s: tally.step.as_secs_f64(), ..Round::default() };
        tally.add_to(&mut round);
        assert_eq!((round.timeline.iter().sum::<u64>(), round.messages), (10, 10));
        assert!(round.timeline.len() <= STEPS);
    }

    #[test]
    fn endless_kinds_of_errors_are_bounded() {
        let mut tally = Tally::new(Duration::from_secs(1));
        (0..1000).for_each(|n| tally.error(n.to_string()));
        assert_eq!(tally.round.faults.errors.len(), KINDS + 1);
        assert_eq!(tally.round.faults.errors.values().sum::<u64>(), 1000);
    }
}
