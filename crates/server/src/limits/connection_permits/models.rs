//! Every order in which connections may come, wait for a permit, and go.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::sync::{AtomicUsize, Ordering::AcqRel, block_on, explore, thread};

fn permits(max_connections: usize, max_per_source: Option<usize>) -> Arc<ConnectionPermits> {
    Arc::new(ConnectionPermits::new(&Limits {
        max_connections,
        max_handshakes: 1,
        max_per_source,
        ..Limits::default()
    }))
}

fn peer() -> Peer {
    Peer::new(swapwire_core::Addr::Inet(([192, 0, 2, 1], 7).into()))
}

#[test]
fn who_waits_for_room_gets_it_and_nobody_too_much() {
    explore(2, || {
        let (permits, inside) = (permits(1, None), Arc::new(AtomicUsize::new(0)));
        let threads = [(); 2].map(|()| {
            let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
            thread::spawn(move || {
                let permit = block_on(permits.wait(Some(&peer()))).unwrap();
                assert_eq!(inside.fetch_add(1, AcqRel), 0);
                inside.fetch_sub(1, AcqRel);
                drop(permit);
            })
        });
        block_on(permits.free());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(permits.is_free());
    });
}

#[test]
fn a_source_has_its_share_and_nothing_is_left_of_it() {
    explore(3, || {
        let (permits, inside) = (permits(2, Some(1)), Arc::new(AtomicUsize::new(0)));
        let threads = [(); 2].map(|()| {
            let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
            thread::spawn(move || {
                let Ok(taken) = permits.try_take(Some(&peer())) else { return 0 };
                assert_eq!(inside.fetch_add(1, AcqRel), 0);
                inside.fetch_sub(1, AcqRel);
                drop(taken);
                1
            })
        });
        let served: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(served > 0 && permits.is_free());
        assert_eq!(format!("{:?}", permits.sources.as_ref().unwrap()), "SourceQuota(0 sources, at most 1 each)");
    });
}

/// A listener without a descriptor left tries again then.
#[test]
fn when_a_connection_has_closed_there_is_room() {
    explore(3, || {
        let permits = permits(1, Some(1));
        let permit = permits.try_take(Some(&peer())).unwrap();
        let closes = thread::spawn(move || drop(permit));
        block_on(permits.closed.notified());
        assert!(permits.try_take(Some(&peer())).is_ok());
        closes.join().unwrap();
    });
}
