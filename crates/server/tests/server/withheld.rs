//! Replies that a call was not let send are counted and told, whatever its handler makes of it.
#![allow(clippy::unwrap_used, reason = "a test")]

use crate::common::forged::Forged;
use crate::common::log::Log;
use crate::common::{limits, script};
use swapwire_core::{Handler, HandlerError, HandlerProperties, Reply, Request};
use swapwire_server::{Limits, Running, Server};

const PEER: &str = "192.0.2.1:7000";

/// On an address where a sender may be forged.
async fn start(wire: &Forged, handler: Heedless, limits: Limits) -> Running {
    let builder = Server::builder().transport(wire.clone()).listen("forged://192.0.2.200:7");
    builder.handler(handler).limits(limits).bind().await.unwrap().start()
}

/// Takes what it is told of a refusal in its own way.
#[derive(Clone, Copy)]
struct Heedless {
    at_once: bool,
}

impl Handler for Heedless {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let long = [b'!'; 65];
        match request.message() {
            b"ignore" => {
                let _ = reply.send(long);
                Ok(())
            }
            b"shorter" => Ok(reply.send(long).or_else(|_| reply.send("short"))?),
            b"twice" => {
                let _ = reply.send(long);
                Ok(reply.send(long)?)
            }
            b"other" => {
                let _ = reply.send(long);
                Err("of its own".into())
            }
            b"fork" => {
                let mut inner = reply.fork();
                inner.send(long)?;
                Ok(reply.append(&inner)?)
            }
            // Not what it was lent.
            b"own" => Ok(Reply::new(10).send(long)?),
            message => Ok(reply.send(message)?),
        }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_withheld_is_counted_whatever_its_handler_makes_of_it() {
    for (at_once, (message, withheld, errors, replied)) in [true, false].into_iter().flat_map(|at_once| {
        [
            ("ignore", 1, 0, 0),
            ("shorter", 1, 0, 1),
            ("twice", 2, 0, 0),
            ("other", 1, 1, 0),
            ("fork", 1, 0, 0),
            ("own", 0, 1, 0),
        ]
        .map(|case| (at_once, case))
    }) {
        let (log, _heard) = Log::hear();
        let wire = Forged::default();
        let server = start(&wire, Heedless { at_once }, Limits::default()).await;
        for (peer, message) in [("192.0.2.2:7000", "before"), (PEER, message), ("192.0.2.3:7000", "behind")] {
            wire.send(peer, message);
        }
        let what = format!("{message}, at once {at_once}");
        assert_eq!(wire.replies().await.len(), 2 + replied, "{what}");
        let lines = log.lines();
        assert_eq!(lines.len(), usize::from(withheld > 0) + errors, "{what}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains(" peer=192.0.2.1:7000")), "{what}: {lines:?}");
        if withheld > 0 {
            let told = "reply withheld: 65 bytes, where this call may reply 64 in all";
            assert!(lines[0].starts_with(told), "{what}: {lines:?}");
        }
        let stats = server.stop().await.stats;
        assert_eq!((stats.withheld_replies, stats.handler_errors), (withheld, errors as u64), "{what}");
    }
}

/// Who has no address is not answered, whether its handler notices or not.
#[tokio::test(start_paused = true)]
async fn a_reply_to_nobody_is_counted_whatever_its_handler_makes_of_it() {
    for at_once in [true, false] {
        for (message, count) in [("ignore", 1), ("twice", 2), ("fork", 1), ("plain", 1)] {
            let (log, _heard) = Log::hear();
            let slot = script::Slot::train(None, &[message.as_bytes().to_vec()]);
            let builder = Server::builder().transport(script::Script::new([vec![slot]])).listen(script::HERE);
            let report = builder.handler(Heedless { at_once }).bind().await.unwrap().start().stop().await;
            let counted = (report.stats.failed_replies, report.stats.handler_errors);
            assert_eq!(counted, (count, 0), "{message}, at once {at_once}: {report}");
            assert!(log.line().starts_with("reply dropped: the sender has no address"));
        }
    }
}

/// Above `max_reply` it is the handler's own matter, as it is told.
#[tokio::test(start_paused = true)]
async fn what_is_above_max_reply_is_for_the_handler_to_notice() {
    for at_once in [true, false] {
        let (log, _heard) = Log::hear();
        let wire = Forged::default();
        let server = start(&wire, Heedless { at_once }, limits(|l| l.max_reply = 10)).await;
        for message in ["ignore", "ignore", "x"] {
            wire.send(PEER, message);
        }
        assert_eq!(wire.replies().await.len(), 1);
        let stats = server.stop().await.stats;
        assert_eq!((stats.withheld_replies, stats.handler_errors), (0, 0));
        assert_eq!(log.line(), "");
    }
}
