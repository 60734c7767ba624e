//! What happens where, decided by the seed and never by the time.

use std::time::Duration;

use super::Args;
use crate::tagged::mix;
use crate::values::Times;

/// The faults of a run.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    seed: u64,
    latency: Times,
    slice: u64,
    stall: f64,
    stall_for: Duration,
    reset: f64,
    close: f64,
    corrupt: f64,
    drop: f64,
    duplicate: f64,
    reorder: f64,
    reorder_by: Duration,
}

/// From whom to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// What happens to a slice of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) len: usize,
    pub(super) delay: Duration,
    /// Before it is passed on.
    pub(super) stall: Option<Duration>,
    /// Behind so many bytes of it the connection ends.
    pub(super) end: Option<(usize, End)>,
    /// The byte at this place is combined with this other (exclusive or).
    pub(super) corrupt: Option<(usize, u8)>,
}

/// How the proxy ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Reset,
    Close,
}

/// What happens to a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// When each copy of it is passed on: none, one or two.
    pub(super) delays: Vec<Duration>,
    pub(super) reordered: bool,
    /// The byte at this place, modulo the length, is combined with this other.
    pub(super) corrupt: Option<(usize, u8)>,
}

/// The slices of one direction of one connection, one after the other.
#[derive(Debug)]
pub(super) struct Slices {
    faults: Faults,
    random: fastrand::Rng,
}

impl Faults {
    pub(super) fn new(args: &Args, seed: u64) -> Self {
        let &Args {
            latency, slice, stall, stall_for, reset, close, corrupt, drop, duplicate, reorder, reorder_by, ..
        } = args;
        Self { seed, latency, slice, stall, stall_for, reset, close, corrupt, drop, duplicate, reorder, reorder_by }
    }

    pub(super) fn slices(&self, session: u64, direction: Direction) -> Slices {
        Slices { faults: self.clone(), random: self.random(session, direction) }
    }

    /// What happens to the datagram number `index` of a session and direction.
    pub(super) fn fate(&self, session: u64, direction: Direction, index: u64) -> Fate {
        let mut random = fastrand::Rng::with_seed(mix(self.random(session, direction).u64(..), index));
        // All are drawn, so that one chance does not change what another decides.
        let (dropped, duplicated) = (random.f64() < self.drop, random.f64() < self.duplicate);
        let (reordered, corrupted) = (random.f64() < self.reorder, random.f64() < self.corrupt);
        let first = self.latency.draw(&mut random) + if reordered { self.reorder_by } else { Duration::ZERO };
        let second = self.latency.draw(&mut random);
        let corrupt = (random.usize(..), random.u8(1..));
        let mut delays = if dropped { Vec::new() } else { vec![first] };
        if duplicated && !dropped {
            delays.push(second);
        }
        Fate { delays, reordered: reordered && !dropped, corrupt: corrupted.then_some(corrupt) }
    }

    fn random(&self, session: u64, direction: Direction) -> fastrand::Rng {
        fastrand::Rng::with_seed(mix(mix(self.seed, session), direction as u64))
    }
}

impl Iterator for Slices {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        let Self { faults, random } = self;
        let len = usize::try_from(random.u64(1..=faults.slice)).unwrap_or(usize::MAX);
        let delay = faults.latency.draw(random);
        let (stalled, reset) = (random.f64() < faults.stall, random.f64() < faults.reset);
        let (closed, corrupted) = (random.f64() < faults.close, random.f64() < faults.corrupt);
        let (end, corrupt) = (random.usize(..len), (random.usize(..len), random.u8(1..)));
        let how = if reset { Some(End::Reset) } else { closed.then_some(End::Close) };
        Some(Slice {
            len,
            delay,
            stall: stalled.then_some(faults.stall_for),
            end: how.map(|how| (end, how)),
            corrupt: corrupted.then_some(corrupt),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn faults(flags: &[&str], seed: u64) -> Faults {
        let args = ["faultproxy", "udp://127.0.0.1:1", "udp://127.0.0.1:2"].iter().chain(flags);
        Faults::new(&Args::try_parse_from(args).unwrap(), seed)
    }

    const ALL: [&str; 12] = [
        "--slice=64",
        "--latency=1ms..9ms",
        "--stall=10%",
        "--reset=10%",
        "--close=10%",
        "--corrupt=10%",
        "--drop=10%",
        "--duplicate=10%",
        "--reorder=10%",
        "--reorder-by=50ms",
        "--stall-for=1s",
        "--queue=1",
    ];

    #[test]
    fn the_same_seed_decides_the_same() {
        let slices =
            |seed, session, direction| faults(&ALL, seed).slices(session, direction).take(500).collect::<Vec<_>>();
        let first = slices(1, 1, Direction::ToServer);
        assert_eq!(first, slices(1, 1, Direction::ToServer));
        assert_ne!(first, slices(2, 1, Direction::ToServer));
        assert_ne!(first, slices(1, 2, Direction::ToServer));
        assert_ne!(first, slices(1, 1, Direction::ToClient));
        let fates = |seed| {
            let faults = faults(&ALL, seed);
            (0..500).map(|index| faults.fate(3, Direction::ToClient, index)).collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn every_fault_happens_about_as_often_as_its_chance() {
        let faults = faults(&ALL, 5);
        let slices: Vec<_> = faults.slices(0, Direction::ToServer).take(10_000).collect();
        let about = |count: usize, what| assert!((800..1200).contains(&count), "{count} {what}");
        about(slices.iter().filter(|slice| slice.stall.is_some()).count(), "stalls");
        about(slices.iter().filter(|slice| slice.corrupt.is_some()).count(), "corrupt slices");
        about(slices.iter().filter(|slice| matches!(slice.end, Some((_, End::Reset)))).count(), "resets");
        about(slices.iter().filter(|slice| matches!(slice.end, Some((_, End::Close)))).count(), "closes");
        let within = |slice: &Slice| slice.end.is_none_or(|(at, _)| at < slice.len) && (1..=64).contains(&slice.len);
        assert!(slices.iter().all(within));
        let fates: Vec<_> = (0..10_000).map(|index| faults.fate(0, Direction::ToServer, index)).collect();
        about(fates.iter().filter(|fate| fate.delays.is_empty()).count(), "drops");
        about(fates.iter().filter(|fate| fate.delays.len() == 2).count(), "duplicates");
        about(fates.iter().filter(|fate| fate.reordered).count(), "reordered");
        about(
            fates.iter().filter(|fate| fate.corrupt.is_some_and(|(_, other)| other != 0)).count(),
            "corrupt datagrams",
        );
    }

    #[test]
    fn without_faults_nothing_happens() {
        let faults = faults(&[], 9);
        let nothing = |slice: &Slice| slice.delay.is_zero() && slice.end.is_none() && slice.corrupt.is_none();
        assert!(faults.slices(0, Direction::ToServer).take(1000).all(|slice| nothing(&slice) && slice.stall.is_none()));
        let fate = |index| faults.fate(0, Direction::ToServer, index);
        assert!((0..1000).all(|index| fate(index).delays == [Duration::ZERO] && fate(index).corrupt.is_none()));
    }
}
