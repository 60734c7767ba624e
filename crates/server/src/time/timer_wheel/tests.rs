#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::time::TimerEntry;

async fn wait(wheel: &TimerWheel, deadline: Tick) {
    let mut entry = TimerEntry::new(wheel);
    poll_fn(|task| entry.poll_time(task.waker(), wheel.now(), deadline)).await;
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_met_within_two_ticks_and_never_early() {
    let wheel = Arc::new(TimerWheel::new(&Limits { idle_timeout: None, ..Limits::default() }));
    let drive = tokio::spawn({
        let wheel = Arc::clone(&wheel);
        async move { wheel.run(&CancellationToken::new(), |_| {}).await }
    });
    let mut waits = tokio::task::JoinSet::new();
    // Within a lap of the wheel, several laps ahead, and many at once.
    for millis in [1, 16, 17, 500, 8_191, 8_192, 30_000, 100_000].into_iter().chain(2_000..2_100) {
        let wheel = Arc::clone(&wheel);
        waits.spawn(async move {
            let (begun, after) = (Instant::now(), Duration::from_millis(millis));
            wait(&wheel, wheel.now() + ticks(after)).await;
            let late = begun.elapsed().checked_sub(after).expect("not early");
            assert!(late <= 3 * TICK, "{late:?} after {after:?}");
        });
    }
    while let Some(done) = waits.join_next().await {
        done.unwrap();
    }
    let wheel = wheel.wheel();
    assert_eq!(wheel.free.len(), wheel.entries.len());
    drive.abort();
}

#[tokio::test(start_paused = true)]
async fn everybody_is_woken_by_a_drain_and_nobody_waits_for_no_deadline() {
    let limits = Limits { idle_timeout: None, frame_timeout: None, write_timeout: None, ..Limits::default() };
    let wheel = Arc::new(TimerWheel::new(&limits));
    let drain = CancellationToken::new();
    let drive = tokio::spawn({
        let (wheel, drain) = (Arc::clone(&wheel), drain.clone());
        async move { wheel.run(&drain, |_| {}).await }
    });
    let woken = tokio::spawn({
        let (wheel, drain) = (Arc::clone(&wheel), drain.clone());
        async move {
            let mut entry = TimerEntry::new(&wheel);
            poll_fn(|task| {
                assert!(entry.poll_time(task.waker(), wheel.now(), wheel.now() + wheel.idle).is_pending());
                if drain.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    });
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(!woken.is_finished());
    drain.cancel();
    woken.await.unwrap();
    drive.abort();
}

/// A wheel that is driven until it is dropped, and how often its driver was polled.
struct Driven {
    wheel: Arc<TimerWheel>,
    polls: Arc<AtomicUsize>,
    drive: tokio::task::JoinHandle<()>,
}

impl Driven {
    async fn new(limits: &Limits) -> Self {
        let (wheel, polls) = (Arc::new(TimerWheel::new(limits)), Arc::<AtomicUsize>::default());
        let drive = tokio::spawn({
            let (wheel, polls) = (Arc::clone(&wheel), Arc::clone(&polls));
            async move {
                let drain = CancellationToken::new();
                let mut run = pin!(wheel.run(&drain, |_| {}));
                poll_fn(|task| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    run.as_mut().poll(task).map(|never| match never {})
                })
                .await
            }
        });
        tokio::task::yield_now().await;
        Self { wheel, polls, drive }
    }

    fn polls(&self) -> usize {
        self.polls.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.drive.abort();
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn the_clock_stops_when_nobody_asks_and_is_right_when_somebody_does() {
    let driven = Driven::new(&Limits::default()).await;
    assert_eq!(driven.polls(), 1);
    for hours in 1..4_u32 {
        tokio::time::sleep(HOUR).await;
        assert_eq!(driven.polls(), 0, "nobody asked for an hour");
        let now = driven.wheel.now();
        let exact = u64::try_from((hours * HOUR).as_millis() / TICK.as_millis()).unwrap();
        // A sleep takes a millisecond more.
        assert!((exact..=exact + 10).contains(&now), "{now} in the place of {exact}");
        // Woken, and two ticks.
        tokio::time::sleep(3 * TICK).await;
        assert!((2..=4).contains(&driven.polls()));
    }
    // While the time is read at every tick, it does not stop.
    let begun = driven.wheel.now();
    for _ in 0..100 {
        tokio::time::sleep(TICK).await;
        let _ = driven.wheel.now();
    }
    let asked = driven.wheel.now() - begun;
    assert!((99..=107).contains(&asked), "{asked} ticks");
    assert!(driven.polls() >= 100);
    // An entry costs a look at each lap, at most.
    let wheel = Arc::clone(&driven.wheel);
    let waiting = tokio::spawn(async move { wait(&wheel, wheel.now() + ticks(Duration::from_secs(100))).await });
    tokio::time::sleep(Duration::from_secs(90)).await;
    let polls = driven.polls();
    assert!(polls < 60, "{polls} polls for one who waits");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(waiting.is_finished());
}

/// A clock that is late jumps; what it told last began no sooner than it was set right. One that stood still does not.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_late_says_what_began_when() {
    let limits = Limits { idle_timeout: Some(HOUR), frame_timeout: None, write_timeout: None, ..Limits::default() };
    let driven = Driven::new(&limits).await;
    let wheel = &driven.wheel;
    let stood = wheel.now();
    tokio::time::sleep(HOUR / 4).await;
    assert!(wheel.now() > stood + 1000);
    assert_eq!(wheel.begun(stood), stood, "it stood still, and was right when it was asked");
    let mut jumps = Vec::new();
    for millis in (0..20).map(|i| 1000 + 100 * i) {
        let told = wheel.now();
        tokio::time::advance(Duration::from_millis(millis)).await;
        let told_behind = wheel.now();
        tokio::time::sleep(TICK).await;
        jumps.push((told, wheel.begun(told_behind)));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The longest are remembered.
    for (i, &(from, to)) in jumps.iter().enumerate() {
        assert!(to >= from + 1000 / 16, "{i}: {from} to {to}");
        assert_eq!(wheel.begun(from), if i < 20 - JUMPS { from } else { to }, "{i}");
    }
    // When nothing can have begun at them, they are forgotten.
    for _ in 0..2 {
        tokio::time::sleep(2 * HOUR).await;
        let told = wheel.now();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::sleep(TICK).await;
        assert!(wheel.begun(told) > told);
    }
    assert_eq!(wheel.jumps.lock().unwrap().len(), 1);
}

/// The successor in an entry is looked at when its predecessor was due, at most, and not woken for good.
#[tokio::test(start_paused = true)]
async fn a_seat_that_is_used_again_has_its_own_deadline() {
    let limits = Limits { idle_timeout: None, write_timeout: None, frame_timeout: None, ..Limits::default() };
    let driven = Driven::new(&limits).await;
    // In one bucket of the wheel and in others, nearer and further than the successor's.
    for first in [1, 10, 600, 20_000] {
        for second in [first + BUCKETS as Tick, 5, 7_000] {
            let wheel = &driven.wheel;
            let waker = futures::task::noop_waker();
            let mut entries: Vec<_> = (0..10).map(|_| TimerEntry::new(wheel)).collect();
            for entry in &mut entries {
                assert!(entry.poll_time(&waker, wheel.now(), wheel.now() + first).is_pending());
            }
            let known = wheel.wheel().entries.len();
            drop(entries);
            let begun = Instant::now();
            let mut polls = 0;
            let deadline = wheel.now() + second;
            let mut entry = TimerEntry::new(wheel);
            poll_fn(|task| {
                polls += 1;
                entry.poll_time(task.waker(), wheel.now(), deadline)
            })
            .await;
            let ticks = begun.elapsed().as_millis() / TICK.as_millis();
            let second = u128::from(second);
            // The clock may be a tick late when it is asked.
            assert!((second - 1..=second + 2).contains(&ticks), "{first} {second}: {ticks}");
            assert!(polls <= 4, "{first} {second}: {polls} polls");
            assert_eq!(wheel.wheel().entries.len(), known, "entries are used again");
        }
    }
    assert_eq!(driven.wheel.wheel().entries.len(), 10);
}

/// A deadline that is nearer than the one that was entered counts.
#[tokio::test(start_paused = true)]
async fn a_seat_can_be_moved_nearer() {
    let driven = Driven::new(&Limits::default()).await;
    let wheel = &driven.wheel;
    let (begun, mut near) = (Instant::now(), false);
    let mut entry = TimerEntry::new(wheel);
    poll_fn(|task| {
        let now = wheel.now();
        let deadline = if std::mem::replace(&mut near, true) { 10 } else { 1000 };
        let polled = entry.poll_time(task.waker(), now, deadline);
        if deadline == 1000 {
            task.waker().wake_by_ref();
        }
        polled
    })
    .await;
    let ticks = begun.elapsed().as_millis() / TICK.as_millis();
    assert!((10..=12).contains(&ticks), "{ticks}");
}
