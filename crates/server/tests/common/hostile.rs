//! A handler that replaces the `Reply` it is lent.
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "helpers of tests")]

use std::sync::{Mutex, PoisonError};

use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request};
use tokio::sync::Notify;

pub const TRICKS: [&str; 7] = ["replace", "swap", "empty", "close", "flood", "panic", "keep"];

/// Answers in capitals, but for a message that names a trick.
#[derive(Default)]
pub struct Hostile {
    waits: bool,
    /// A reply that a call left for another one.
    left: Mutex<Option<Reply<'static>>>,
    met: Notify,
}

impl Hostile {
    pub fn new(waits: bool) -> Self {
        Self { waits, ..Self::default() }
    }

    fn exchange(&self, reply: Option<Reply<'static>>) -> Option<Reply<'static>> {
        std::mem::replace(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner), reply)
    }

    /// Gives another call that waits a reply of this one's, and takes that one's in its place.
    async fn meet(&self, own: Reply<'static>) -> Reply<'static> {
        match self.exchange(None) {
            None => {
                self.exchange(Some(own));
                self.met.notified().await;
                self.exchange(None).expect("the other's")
            }
            Some(theirs) => {
                self.exchange(Some(own));
                self.met.notify_one();
                theirs
            }
        }
    }
}

/// With more room than any limit.
fn loot() -> Reply<'static> {
    let mut own = Reply::new(2 << 20);
    own.send(b"loot").expect("there is room");
    own
}

impl Handler for Hostile {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let message = request.message();
        if self.waits {
            tokio::task::yield_now().await;
        }
        reply.send(message.to_ascii_uppercase())?;
        match message {
            b"replace" => *reply = loot(),
            b"swap" => {
                let mut own = loot();
                std::mem::swap(reply, &mut own);
                own.send(b"more")?;
                own.close();
            }
            b"empty" => *reply = Reply::new(0),
            b"close" => {
                *reply = loot();
                reply.close();
            }
            b"flood" => {
                *reply = loot();
                while reply.send([b'!'; 1000]).is_ok() {}
            }
            b"panic" => {
                *reply = loot();
                panic!("as asked");
            }
            b"keep" => {
                self.exchange(Some(loot()));
                *reply = self.exchange(None).expect("just left");
            }
            b"meet" => *reply = self.meet(loot()).await,
            _ => {}
        }
        if self.waits {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(!self.waits)
    }
}
