//! Every order in which the threads of a session may meet at its queue.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::sync::{block_on, explore, thread};
use crate::{Addr, Peer, Session};

/// A wire that takes every message, or none, and says nothing.
struct Wire {
    sent: Arc<AtomicUsize>,
    stuck: bool,
}

impl MessageStream for Wire {
    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<(), SendError>> {
        if self.stuck {
            return Poll::Pending;
        }
        self.sent.fetch_add(1, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn max_message(&self) -> usize {
        100
    }
}

/// A session with room for one message.
fn session(stuck: bool) -> (Session, Arc<AtomicUsize>) {
    let (addr, sent) = (Addr::named("test", "x").unwrap(), Arc::<AtomicUsize>::default());
    let link = Link::messages(Wire { sent: Arc::clone(&sent), stuck }, ConnInfo::new(Peer::new(addr), addr));
    (Session::new(link, SessionConfig { out_queue: 1, ..SessionConfig::default() }), sent)
}

#[test]
fn what_others_queue_is_written_and_who_waits_for_room_gets_it() {
    explore(2, || {
        let (session, sent) = session(false);
        let (_reader, mut writer) = session.split();
        let senders = [(); 2].map(|()| {
            let sender = writer.sender();
            thread::spawn(move || block_on(sender.send("x")).unwrap())
        });
        let mut drive = Box::pin(writer.drive());
        block_on(std::future::poll_fn(|cx| {
            assert!(drive.as_mut().poll(cx).is_pending());
            if sent.load(Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn who_waits_for_room_hears_of_the_end() {
    explore(3, || {
        let (session, _) = session(true);
        let senders = [(); 2].map(|()| {
            let sender = session.sender();
            thread::spawn(move || while block_on(sender.send("x")).is_ok() {})
        });
        drop(session);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn who_writes_and_who_reads_hears_of_the_end() {
    explore(3, || {
        let (mut session, _) = session(true);
        session.try_send("x").unwrap();
        let guard = session.guard();
        let (mut reader, mut writer) = session.split();
        let writes = thread::spawn(move || drop(block_on(writer.drive()).unwrap_err()));
        let reads = thread::spawn(move || assert!(block_on(reader.recv()).unwrap().is_none()));
        drop(guard);
        [writes, reads].into_iter().for_each(|half| half.join().unwrap());
    });
}
