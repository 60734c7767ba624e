//! Every order in which connections may come, wait for room, and go.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::sync::{AtomicUsize, Ordering::AcqRel, block_on, explore, thread};

fn room(max_connections: usize, max_per_source: Option<usize>) -> Arc<Room> {
    Arc::new(Room::new(&Limits { max_connections, max_handshakes: 1, max_per_source, ..Limits::default() }))
}

fn peer() -> Peer {
    Peer::new(swapwire_core::Addr::Inet(([192, 0, 2, 1], 7).into()))
}

#[test]
fn who_waits_for_room_gets_it_and_nobody_too_much() {
    explore(2, || {
        let (room, inside) = (room(1, None), Arc::new(AtomicUsize::new(0)));
        let guests = [(); 2].map(|()| {
            let (room, inside) = (Arc::clone(&room), Arc::clone(&inside));
            thread::spawn(move || {
                let (place, handshake) = block_on(room.wait(&peer())).unwrap();
                drop(handshake);
                assert_eq!(inside.fetch_add(1, AcqRel), 0);
                inside.fetch_sub(1, AcqRel);
                drop(place);
            })
        });
        block_on(room.free());
        guests.into_iter().for_each(|guest| guest.join().unwrap());
        assert!(room.is_free());
    });
}

#[test]
fn a_source_has_its_share_and_nothing_is_left_of_it() {
    explore(3, || {
        let (room, inside) = (room(2, Some(1)), Arc::new(AtomicUsize::new(0)));
        let guests = [(); 2].map(|()| {
            let (room, inside) = (Arc::clone(&room), Arc::clone(&inside));
            thread::spawn(move || {
                let Ok(taken) = room.try_take(&peer()) else { return 0 };
                assert_eq!(inside.fetch_add(1, AcqRel), 0);
                inside.fetch_sub(1, AcqRel);
                drop(taken);
                1
            })
        });
        let served: usize = guests.into_iter().map(|guest| guest.join().unwrap()).sum();
        assert!(served > 0 && room.is_free());
        assert_eq!(format!("{:?}", room.sources.as_ref().unwrap()), "Shares(0 sources, at most 1 each)");
    });
}

/// Whoever has no descriptor left tries again then.
#[test]
fn when_a_connection_has_closed_there_is_room() {
    explore(3, || {
        let room = room(1, Some(1));
        let (place, handshake) = room.try_take(&peer()).unwrap();
        drop(handshake);
        let closes = thread::spawn(move || drop(place));
        block_on(room.closed.notified());
        assert!(room.try_take(&peer()).is_ok());
        closes.join().unwrap();
    });
}
