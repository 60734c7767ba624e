//! Every order in which one handshake may have to make room while it gets on.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::poll_fn;
use std::task::Poll;

use super::*;
use crate::sync::{Notify, block_on, explore, thread};

#[test]
fn one_that_has_to_make_room_hears_of_it() {
    explore(3, || {
        let (handshakes, begun) = (Handshakes::new(1), Arc::new(Notify::new()));
        let victim = {
            let (handshakes, begun) = (Arc::clone(&handshakes), Arc::clone(&begun));
            let mut permit: Option<HandshakePermit> = None;
            thread::spawn(move || {
                block_on(poll_fn(|task| {
                    if let Some(permit) = &mut permit {
                        return if permit.advance(task.waker()) { Poll::Pending } else { Poll::Ready(()) };
                    }
                    permit = Some(handshakes.begin(task.waker()));
                    begun.notify_one();
                    // Its peer says something at once.
                    task.waker().wake_by_ref();
                    Poll::Pending
                }));
            })
        };
        block_on(begun.notified());
        let next = handshakes.begin(Waker::noop());
        victim.join().unwrap();
        assert_eq!(handshakes.table().len(), 1);
        drop(next);
        assert_eq!(handshakes.table().len(), 0);
    });
}
