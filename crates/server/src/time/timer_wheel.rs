//! The time and the deadlines of one listener's sessions: a coarse clock, and a timer wheel.
//!
//! A session reads the time with one atomic load, and is entered into the wheel once, not for each message: when its
//! entry comes due, it looks at its own times and is entered anew. So a message costs no timer and no clock, and an idle
//! session keeps one entry of 40 bytes.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::PoisonError;
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::tick_control::TickControl;
use crate::Limits;
use crate::sync::{AtomicU64, CancellationToken, Mutex, MutexGuard, Ordering};

/// A point in time: ticks since the wheel was made.
pub(crate) type Tick = u64;

/// When something began, if it did: an `Option` would be twice as large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(Tick);

impl Since {
    pub(crate) const NEVER: Self = Self(Tick::MAX);

    pub(crate) fn at(tick: Tick) -> Self {
        Self(tick)
    }

    /// This one; `other`, if it did not begin.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.has_begun() { self } else { other }
    }

    /// When `timeout` is over; never, if it did not begin.
    pub(crate) fn deadline(self, timeout: Tick) -> Tick {
        self.0.saturating_add(timeout)
    }

    /// As [`TimerWheel::begun`], if it began.
    pub(crate) fn set_right(&mut self, wheel_of: &TimerWheel) {
        self.0 = wheel_of.begun(self.0);
    }

    pub(crate) fn has_begun(self) -> bool {
        self.0 != Tick::MAX
    }

    /// How long ago it began; no time at all, if it did not.
    pub(crate) fn elapsed(mut self, wheel: &TimerWheel) -> Duration {
        self.set_right(wheel);
        let ticks = if self.has_begun() { wheel.now().saturating_sub(self.0) } else { 0 };
        TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// When it began: `now`, unless it had before.
    pub(crate) fn begin(&mut self, now: Tick) -> Tick {
        self.0 = self.0.min(now);
        self.0
    }
}

/// Deadlines are never met early, and at most three of these late, before the [second look](crate::time::deadline_check) at
/// them. Short beside the shortest sensible deadline, long beside what a tick costs: about a microsecond, and only while a
/// session asks for the time.
pub(crate) const TICK: Duration = Duration::from_millis(16);

/// Longer than any clock lives, and short enough to be added to.
const NEVER: Tick = Tick::MAX / 4;

/// When the clock is so late, something held up its thread.
pub(crate) const HELD_UP: Duration = Duration::from_millis(100);

/// A clock that went on by more ticks at once has jumped: the tick that [`ticks`] adds and the second look do not make up
/// for it.
const LEAST_JUMP: Tick = 3;
/// So many jumps are remembered, and of more the longest.
const JUMPS: usize = 16;

/// Buckets of the wheel; an entry that is due later than a lap ahead is looked at once a lap.
const BUCKETS: usize = 512;

#[derive(Debug)]
pub(crate) struct TimerWheel {
    base: Instant,
    now: AtomicU64,
    control: TickControl,
    /// The deadlines of a session, each from its beginning.
    pub(crate) idle: Tick,
    pub(crate) frame: Tick,
    pub(crate) write: Tick,
    /// See [`Limits::drain_grace`].
    pub(crate) grace: Tick,
    /// The shortest deadline: no entry is further ahead, so none has to be moved nearer.
    pub(super) horizon: Tick,
    wheel: Mutex<Wheel>,
    /// At most [`JUMPS`].
    jumps: Mutex<Vec<Jump>>,
}

/// The clock was late, as the process was stopped or its thread was blocked. A session that read the time before it was set
/// right read a tick long over.
#[derive(Clone, Copy, Debug)]
struct Jump {
    from: Tick,
    to: Tick,
}

#[derive(Debug)]
struct Wheel {
    /// One for each session that waits or has waited; as many as there were sessions at once.
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// The entries that may be due at a tick of this remainder.
    buckets: Vec<Vec<u32>>,
    swept: Tick,
}

#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    due: Tick,
}

/// How many ticks a duration takes at least, on a clock that may be a tick late.
pub(crate) fn ticks(duration: Duration) -> Tick {
    let ticks = duration.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    Tick::try_from(ticks).unwrap_or(NEVER).min(NEVER)
}

impl TimerWheel {
    pub(crate) fn new(limits: &Limits) -> Self {
        let of = |timeout: Option<Duration>| timeout.map_or(NEVER, ticks);
        let (idle, frame, write) = (of(limits.idle_timeout), of(limits.frame_timeout), of(limits.write_timeout));
        Self {
            base: Instant::now(),
            now: AtomicU64::new(0),
            control: TickControl::new(),
            idle,
            frame,
            write,
            grace: ticks(limits.drain_grace),
            horizon: idle.min(frame).min(write),
            wheel: Mutex::new(Wheel {
                entries: Vec::new(),
                free: Vec::new(),
                buckets: vec![Vec::new(); BUCKETS],
                swept: 0,
            }),
            jumps: Mutex::new(Vec::new()),
        }
    }

    /// The time, at most a tick old.
    #[inline(always)]
    pub(crate) fn now(&self) -> Tick {
        if self.control.is_used() { self.now.load(Ordering::Relaxed) } else { self.start() }
    }

    #[cold]
    fn start(&self) -> Tick {
        self.control.use_it(|| {
            self.now.fetch_max(self.elapsed(), Ordering::AcqRel);
        });
        self.now.load(Ordering::Acquire)
    }

    fn elapsed(&self) -> Tick {
        Tick::try_from(self.base.elapsed().as_nanos() / TICK.as_nanos()).unwrap_or(Tick::MAX)
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives the clock and wakes the sessions that are due, and all of them at a drain; the sessions of a wheel that is not driven wait for
    /// ever. Tells `late` when the clock was held up, and for how long: on a runtime of one thread, by a call that did not
    /// let others run. While no session reads the time, that is not noticed.
    pub(crate) async fn run(&self, drain: &CancellationToken, mut late: impl FnMut(Duration)) -> Infallible {
        let mut sleep = pin!(sleep_until(self.base));
        let mut drain = pin!(drain.cancelled());
        let mut told = false;
        poll_fn(|cx| {
            if !told && drain.as_mut().poll(cx).is_ready() {
                told = true;
                self.wake_all();
            }
            self.control.register(cx.waker());
            loop {
                let Some(next) = self.next() else { return Poll::Pending };
                if sleep.deadline() != next {
                    sleep.as_mut().reset(next);
                }
                ready!(sleep.as_mut().poll(cx));
                let delay = next.elapsed();
                if delay >= HELD_UP {
                    late(delay);
                }
                self.tick();
            }
        })
        .await
    }

    /// When there is something to do.
    fn next(&self) -> Option<Instant> {
        let tick = if self.control.has_stopped() { self.wheel().next()? } else { self.now.load(Ordering::Relaxed) + 1 };
        self.base.checked_add(Duration::from_millis(tick.saturating_mul(TICK.as_millis() as u64)))
    }

    fn tick(&self) {
        let now = self.elapsed();
        // While it stands still, no session reads an old time.
        let goes = !self.control.has_stopped();
        let before = self.now.load(Ordering::Acquire);
        if goes && now > before + LEAST_JUMP {
            self.jump(before, now);
        }
        self.now.fetch_max(now, Ordering::AcqRel);
        self.control.slow_down();
        let due = self.wheel().sweep(now);
        due.into_iter().for_each(Waker::wake);
    }

    #[cold]
    fn jump(&self, from: Tick, to: Tick) {
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        // By then every session has asked what began when.
        let memory = self.horizon.max(self.grace).saturating_add(LEAST_JUMP);
        jumps.retain(|jump| to < jump.to.saturating_add(memory));
        jumps.push(Jump { from, to });
        if jumps.len() > JUMPS {
            let shortest = (0..jumps.len()).min_by_key(|&index| jumps[index].to - jumps[index].from);
            shortest.map(|index| jumps.swap_remove(index));
        }
    }

    /// The latest time at which something can have begun for which the clock said `tick`: behind a jump, that is not `tick`.
    /// To be asked at the first look at its deadline, and kept.
    #[cold]
    pub(crate) fn begun(&self, tick: Tick) -> Tick {
        let jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        jumps.iter().find(|jump| jump.from == tick).map_or(tick, |jump| jump.to)
    }

    /// Wakes all that wait, due or not.
    fn wake_all(&self) {
        let all: Vec<Waker> = self.wheel().entries.iter().filter_map(|entry| entry.waker.clone()).collect();
        all.into_iter().for_each(Waker::wake);
    }
}

impl Wheel {
    fn enter(&mut self, index: u32, due: Tick) {
        self.entries[index as usize].due = due;
        self.buckets[(due % BUCKETS as Tick) as usize].push(index);
    }

    /// The next tick at which a session may be due.
    fn next(&self) -> Option<Tick> {
        (self.swept + 1..=self.swept + BUCKETS as Tick)
            .find(|tick| !self.buckets[(tick % BUCKETS as Tick) as usize].is_empty())
    }

    /// Takes the sessions that are due by `now`.
    fn sweep(&mut self, now: Tick) -> Vec<Waker> {
        let mut due = Vec::new();
        for tick in self.swept.max(now.saturating_sub(BUCKETS as Tick)) + 1..=now {
            let bucket = (tick % BUCKETS as Tick) as usize;
            let entries = &self.entries;
            self.buckets[bucket].retain(|&index| {
                let entry = &entries[index as usize];
                let later = entry.waker.is_some() && entry.due > now;
                if !later {
                    due.extend(entry.waker.clone());
                }
                later && entry.due % BUCKETS as Tick == bucket as Tick
            });
        }
        self.swept = self.swept.max(now);
        due
    }
}

impl TimerWheel {
    /// Enters a waker at `due` or the next tick, into the place `index` or a free one. Gives the place, and when it is due.
    #[cold]
    pub(super) fn enter(&self, index: Option<u32>, waker: &Waker, due: Tick) -> (u32, Tick) {
        let mut wheel = self.wheel();
        let index = index.or_else(|| wheel.free.pop()).unwrap_or_else(|| {
            wheel.entries.push(Entry { waker: None, due: 0 });
            u32::try_from(wheel.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut wheel.entries[index as usize];
        if entry.waker.is_none() {
            entry.waker = Some(waker.clone());
        }
        // Another thread may have swept since the caller asked for the time.
        let due = due.max(wheel.swept + 1);
        wheel.enter(index, due);
        drop(wheel);
        self.control.wake_if_stopped();
        (index, due)
    }

    /// Frees a place.
    pub(super) fn leave(&self, index: u32) {
        let mut wheel = self.wheel();
        wheel.entries[index as usize].waker = None;
        wheel.free.push(index);
    }
}

#[cfg(test)]
mod tests;
