//! Models that loom runs in every order in which threads can take their steps: `scripts/loom`.
#![allow(clippy::unwrap_used, reason = "models")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::future::block_on;
use loom::thread;

use crate::drain::BusyCount;
use crate::limits::{Source, SourceQuota};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::tasks::{ReadyQueue, TaskWaker};
use crate::time::TickControl;

/// Two events, each told by a thread that wakes a slot of its own or a common one: the task that polls sees both, however
/// the wake-ups fall; if one were lost, it would wait for ever.
fn ready_queue(slots: usize) {
    loom::model(move || {
        let ready_queue = Arc::new(ReadyQueue::<()>::default());
        let wakers: Arc<Vec<_>> =
            Arc::new((0..slots).map(|slot| TaskWaker::new(Arc::clone(&ready_queue), slot as u32)).collect());
        let events = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let tellers: Vec<_> = (0..2)
            .map(|which| {
                let (waker, events) = (Arc::clone(&wakers[which % slots]), Arc::clone(&events));
                thread::spawn(move || {
                    events[which].store(true, Ordering::Release);
                    Waker::from(waker).wake();
                })
            })
            .collect();
        let (mut ready, mut seen) = (VecDeque::new(), [false; 2]);
        block_on(poll_fn(|task| {
            ready_queue.task.register(task.waker());
            loop {
                let new = ready_queue.take(&mut ready);
                assert!(new.is_empty() && ready.len() <= slots, "each is woken at most once");
                if ready.is_empty() {
                    return Poll::Pending;
                }
                for index in ready.drain(..) {
                    wakers[index as usize].rearm();
                    for which in (0..2).filter(|which| which % slots == index as usize) {
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
fn no_wake_up_is_lost_between_two_slots() {
    ready_queue(2);
}

#[test]
fn no_wake_up_is_lost_on_one_slot() {
    ready_queue(1);
}

/// A new session is begun, and a cut is seen, while a slot is woken.
#[test]
fn who_is_new_and_a_cut_are_noticed() {
    loom::model(|| {
        let ready_queue = Arc::new(ReadyQueue::<u32>::default());
        let bringer = {
            let ready_queue = Arc::clone(&ready_queue);
            thread::spawn(move || {
                ready_queue.live.fetch_add(1, Ordering::Relaxed);
                ready_queue.add(7);
            })
        };
        let cutter = {
            let ready_queue = Arc::clone(&ready_queue);
            thread::spawn(move || {
                ready_queue.cut.store(true, Ordering::Release);
                ready_queue.task.wake();
            })
        };
        let (mut ready, mut begun, mut cut) = (VecDeque::new(), Vec::new(), false);
        block_on(poll_fn(|task| {
            ready_queue.task.register(task.waker());
            cut |= ready_queue.cut.load(Ordering::Acquire);
            begun.extend(ready_queue.take(&mut ready));
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
        let (control, wheel) = (Arc::new(TickControl::new()), Arc::new(Mutex::new(0)));
        let users: Vec<_> = (0..2)
            .map(|_| {
                let (control, wheel) = (Arc::clone(&control), Arc::clone(&wheel));
                thread::spawn(move || {
                    if !control.is_used() {
                        control.use_it(|| {});
                    }
                    *wheel.lock().unwrap() += 1;
                    control.wake_if_stopped();
                })
            })
            .collect();
        let mut ticks = 0;
        block_on(poll_fn(|task| {
            control.register(task.waker());
            while !control.has_stopped() {
                control.slow_down();
                ticks += 1;
                assert!(ticks <= 6, "it does not stop");
            }
            if *wheel.lock().unwrap() == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        users.into_iter().for_each(|user| user.join().unwrap());
    });
}

/// A thread that finds the clock going, or has set it going, sees the time that it was set to, not that at which it had
/// stopped.
#[test]
fn nobody_is_told_when_a_clock_stopped() {
    loom::model(|| {
        let (control, time) = (Arc::new(TickControl::new()), Arc::new(AtomicUsize::new(0)));
        let users: Vec<_> = (0..2)
            .map(|_| {
                let (control, time) = (Arc::clone(&control), Arc::clone(&time));
                thread::spawn(move || {
                    if !control.is_used() {
                        control.use_it(|| {
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

/// The end of a group: reported by one of the members that become quiet for good, once, and never while another is busy for good.
#[test]
fn a_group_is_quiet_when_its_last_member_is() {
    loom::model(|| {
        let (busy, told) = (Arc::new(BusyCount::new(2)), Arc::new(AtomicUsize::new(0)));
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
        let (quota, inside) = (SourceQuota::new(1), Arc::new(AtomicUsize::new(0)));
        let comers: Vec<_> = (0..2)
            .map(|_| {
                let (quota, inside) = (Arc::clone(&quota), Arc::clone(&inside));
                thread::spawn(move || {
                    let Some(taken) = quota.take(Source::V4(1)) else { return };
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two at once");
                    inside.fetch_sub(1, Ordering::AcqRel);
                    drop(taken);
                })
            })
            .collect();
        comers.into_iter().for_each(|comer| comer.join().unwrap());
        drop(quota.take(Source::V4(1)).expect("there is room again"));
        assert_eq!(format!("{quota:?}"), "SourceQuota(0 sources, at most 1 each)");
    });
}
