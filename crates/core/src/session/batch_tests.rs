//! How a session's queued messages leave on a wire with boundaries.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use futures::FutureExt as _;

use super::*;
use crate::{MessageStream, SendBatch};

#[derive(Default)]
struct Seen {
    /// What each call took.
    calls: Vec<Vec<Vec<u8>>>,
    /// How many messages a call takes.
    most: usize,
    full: bool,
}

struct Wire(Arc<Mutex<Seen>>);

impl Wire {
    fn take<'a>(&self, messages: impl Iterator<Item = &'a [u8]>) -> Poll<Result<usize, SendError>> {
        let mut seen = self.0.lock().unwrap();
        if seen.full {
            return Poll::Pending;
        }
        let taken: Vec<_> = messages.take(seen.most).map(<[u8]>::to_vec).collect();
        seen.calls.push(taken.clone());
        Poll::Ready(Ok(taken.len()))
    }
}

impl MessageStream for Wire {
    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.take([message].into_iter()).map_ok(drop)
    }

    fn poll_send_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        self.take(batch.iter_from(from).map(|entry| entry.message))
    }

    fn max_message(&self) -> usize {
        1 << 20
    }
}

fn session(most: usize, out_queue: usize) -> (Session, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen { most, ..Seen::default() }));
    let addr = Addr::named("test", "x").unwrap();
    let link = Link::messages(Wire(Arc::clone(&seen)), ConnInfo::new(Peer::new(addr), addr));
    (Session::new(link, SessionConfig { out_queue, ..SessionConfig::default() }), seen)
}

fn text(i: usize) -> Vec<u8> {
    vec![b'a' + (i % 26) as u8; i % 5]
}

#[tokio::test]
async fn queued_messages_leave_together_whole_and_in_order() {
    for most in [1, 7, 64, usize::MAX] {
        let (mut session, seen) = session(most, 1 << 20);
        seen.lock().unwrap().full = true;
        for i in 0..200 {
            session.send(text(i)).await.unwrap();
        }
        assert!(session.flush().now_or_never().is_none());
        seen.lock().unwrap().full = false;
        session.flush().await.unwrap();
        let calls = std::mem::take(&mut seen.lock().unwrap().calls);
        assert_eq!(calls.concat(), (0..200).map(text).collect::<Vec<_>>());
        assert_eq!(calls.len(), 200_usize.div_ceil(most.min(64)), "at most {most} at a time");
    }
}

/// Whether it is dropped before it is queued or behind that, a message is there once or not at all.
#[tokio::test]
async fn a_cancelled_send_is_whole_or_not_there() {
    let (mut session, seen) = session(3, 10_000);
    let mut queued = Vec::new();
    for i in 0..2000 {
        seen.lock().unwrap().full = i % 100 < 95;
        let message = vec![i as u8; 1000];
        if session.send(message.clone()).now_or_never().is_some() {
            queued.push(message);
        }
        let _ = session.flush().now_or_never();
    }
    seen.lock().unwrap().full = false;
    session.flush().await.unwrap();
    assert!((100..1900).contains(&queued.len()), "{} were queued", queued.len());
    assert!(seen.lock().unwrap().calls.concat() == queued);
}
