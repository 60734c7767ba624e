//! Models that loom runs in every order in which threads can take their steps: `scripts/loom`.
#![allow(clippy::unwrap_used, reason = "models")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::future::block_on;
use loom::thread;

use crate::pace::Pace;
use crate::quiet::Busy;
use crate::source::{Shares, Source};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::wakes::{Bell, Wakes};

/// Two events, each told by a thread that rings the bell of its own seat or of a common one: whoever polls sees both, however
/// the wake-ups fall; if one were lost, it would wait for ever.
fn wakes(seats: usize) {
    loom::model(move || {
        let wakes = Arc::new(Wakes::<()>::default());
        let bells: Arc<Vec<_>> = Arc::new((0..seats).map(|seat| Bell::new(Arc::clone(&wakes), seat as u32)).collect());
        let events = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let tellers: Vec<_> = (0..2)
            .map(|which| {
                let (bell, events) = (Arc::clone(&bells[which % seats]), Arc::clone(&events));
                thread::spawn(move || {
                    events[which].store(true, Ordering::Release);
                    Waker::from(bell).wake();
                })
            })
            .collect();
        let (mut turn, mut seen) = (VecDeque::new(), [false; 2]);
        block_on(poll_fn(|task| {
            wakes.task.register(task.waker());
            loop {
                let new = wakes.take(&mut turn);
                assert!(new.is_empty() && turn.len() <= seats, "each is woken at most once");
                if turn.is_empty() {
                    return Poll::Pending;
                }
                for index in turn.drain(..) {
                    bells[index as usize].silence();
                    for which in (0..2).filter(|which| which % seats == index as usize) {
                        seen[which] |= events[which].load(Ordering::Acquire);
                    }
                }
                if seen == [true; 2] {
                    return Poll::Ready(());
                }
            }
        }));
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
    });
}

#[test]
fn no_wake_up_is_lost_between_two_seats() {
    wakes(2);
}

#[test]
fn no_wake_up_is_lost_on_one_seat() {
    wakes(1);
}

/// Who is brought is begun, and who is cut is heard, while a seat is woken.
#[test]
fn who_is_new_and_a_cut_are_noticed() {
    loom::model(|| {
        let wakes = Arc::new(Wakes::<u32>::default());
        let bringer = {
            let wakes = Arc::clone(&wakes);
            thread::spawn(move || {
                wakes.live.fetch_add(1, Ordering::Relaxed);
                wakes.add(7);
            })
        };
        let cutter = {
            let wakes = Arc::clone(&wakes);
            thread::spawn(move || {
                wakes.cut.store(true, Ordering::Release);
                wakes.task.wake();
            })
        };
        let (mut turn, mut begun, mut cut) = (VecDeque::new(), Vec::new(), false);
        block_on(poll_fn(|task| {
            wakes.task.register(task.waker());
            cut |= wakes.cut.load(Ordering::Acquire);
            begun.extend(wakes.take(&mut turn));
            if cut && begun == [7] { Poll::Ready(()) } else { Poll::Pending }
        }));
        bringer.join().unwrap();
        cutter.join().unwrap();
    });
}

/// What is entered for later is found, though the clock may have stopped since the time was asked; and it stops.
#[test]
fn a_clock_finds_who_waits_and_stops() {
    loom::model(|| {
        let (pace, wheel) = (Arc::new(Pace::new()), Arc::new(Mutex::new(0)));
        let users: Vec<_> = (0..2)
            .map(|_| {
                let (pace, wheel) = (Arc::clone(&pace), Arc::clone(&wheel));
                thread::spawn(move || {
                    if !pace.is_used() {
                        pace.use_it(|| {});
                    }
                    *wheel.lock().unwrap() += 1;
                    pace.wake_if_stopped();
                })
            })
            .collect();
        let mut ticks = 0;
        block_on(poll_fn(|task| {
            pace.register(task.waker());
            while !pace.has_stopped() {
                pace.slow_down();
                ticks += 1;
                assert!(ticks <= 6, "it does not stop");
            }
            if *wheel.lock().unwrap() == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        users.into_iter().for_each(|user| user.join().unwrap());
    });
}

/// Whoever finds a clock going, or has set it going, sees the time that it was set to, and not that at which it had stopped.
#[test]
fn nobody_is_told_when_a_clock_stopped() {
    loom::model(|| {
        let (pace, time) = (Arc::new(Pace::new()), Arc::new(AtomicUsize::new(0)));
        let users: Vec<_> = (0..2)
            .map(|_| {
                let (pace, time) = (Arc::clone(&pace), Arc::clone(&time));
                thread::spawn(move || {
                    if !pace.is_used() {
                        pace.use_it(|| {
                            time.fetch_max(1, Ordering::AcqRel);
                        });
                    }
                    assert_eq!(time.load(Ordering::Relaxed), 1, "an old time");
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.join().unwrap());
    });
}

/// The end of a group: told by one of those who become quiet for good, once, and never while another is busy for good.
#[test]
fn a_group_is_quiet_when_its_last_member_is() {
    loom::model(|| {
        let (busy, told) = (Arc::new(Busy::new(2)), Arc::new(AtomicUsize::new(0)));
        let gone = Arc::new(AtomicBool::new(false));
        let members: Vec<_> = (0..2)
            .map(|which| {
                let (busy, told, gone) = (Arc::clone(&busy), Arc::clone(&told), Arc::clone(&gone));
                thread::spawn(move || {
                    // The first hears something once more after it was quiet.
                    if which == 0 {
                        told.fetch_add(usize::from(busy.one_less()), Ordering::AcqRel);
                        busy.one_more();
                    } else {
                        gone.store(true, Ordering::Release);
                    }
                    if busy.one_less() {
                        assert!(gone.load(Ordering::Acquire), "the other is still busy");
                        told.fetch_add(1, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        members.into_iter().for_each(|member| member.join().unwrap());
        assert!((1..=2).contains(&told.load(Ordering::Acquire)));
    });
}

/// A source of which one may be there: never two at once, and nothing is left.
#[test]
fn a_source_never_has_more_than_its_share() {
    loom::model(|| {
        let (shares, inside) = (Shares::new(1), Arc::new(AtomicUsize::new(0)));
        let comers: Vec<_> = (0..2)
            .map(|_| {
                let (shares, inside) = (Arc::clone(&shares), Arc::clone(&inside));
                thread::spawn(move || {
                    let Some(taken) = shares.take(Source::V4(1)) else { return };
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two at once");
                    inside.fetch_sub(1, Ordering::AcqRel);
                    drop(taken);
                })
            })
            .collect();
        comers.into_iter().for_each(|comer| comer.join().unwrap());
        drop(shares.take(Source::V4(1)).expect("there is room again"));
        assert_eq!(format!("{shares:?}"), "Shares(0 sources, at most 1 each)");
    });
}
