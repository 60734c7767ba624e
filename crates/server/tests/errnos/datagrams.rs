//! `recv_from` and `send_to`.

use std::time::Duration;

use swapwire_core::{ErrorClass, Handler, HandlerError, HandlerProperties, Reply, Request, classify_datagram};
use swapwire_server::{DrainReport, IntoService};
use tokio::time::{Instant, sleep};

use crate::common::Net;
use crate::common::script::{HERE, Script, Slot, addr};
use crate::{ALL, EchoSession};

#[derive(Clone, Copy)]
struct Echo {
    at_once: bool,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        Ok(reply.send(request.message())?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

/// Serves two datagrams of two peers on a socket that first fails. What was sent, the report, and how long it took.
async fn serve<K>(script: &Script, handler: impl IntoService<K>) -> (Vec<Vec<u8>>, DrainReport, Duration) {
    let begun = Instant::now();
    let builder = Net::new().server().transport(script.clone()).listen(HERE).handler(handler);
    let server = builder.bind().await.unwrap().start();
    let mut took = begun.elapsed();
    // Nobody tells when all is done; what would spin would never let the clock move.
    for _ in 0..1000 {
        if script.state().sent.len() == 2 {
            break;
        }
        took = begun.elapsed();
        sleep(Duration::from_millis(1)).await;
    }
    let report = server.stop().await;
    let mut sent: Vec<_> = script.state().sent.iter().map(|(message, ..)| message.clone()).collect();
    sent.sort();
    (sent, report, took)
}

fn script() -> Script {
    let slot = |peer, message: &str| Slot::train(Some(addr(peer)), &[message.as_bytes().to_vec()]);
    Script::new([vec![slot("a", "one")], vec![slot("b", "two")]])
}

async fn each_kind(script: impl Fn() -> Script, check: impl Fn(&str, Vec<Vec<u8>>, DrainReport, Duration)) {
    for at_once in [true, false] {
        let (sent, report, took) = serve(&script(), Echo { at_once }).await;
        check(if at_once { "at once" } else { "may wait" }, sent, report, took);
    }
    let (sent, report, took) = serve(&script(), EchoSession).await;
    check("session", sent, report, took);
}

#[tokio::test(start_paused = true)]
async fn every_error_of_receiving_is_survived_or_reported() {
    for errno in ALL {
        let class = classify_datagram(&std::io::Error::from_raw_os_error(errno));
        let failing = || {
            let script = script();
            script.state().recv_errors.extend([errno; 3]);
            script
        };
        each_kind(failing, |kind, sent, report, _| {
            if class == ErrorClass::ListenerFatal {
                assert_eq!((sent.len(), report.failed.len()), (0, 1), "{kind}, {errno}: {report}");
                return;
            }
            assert_eq!(sent, [b"one", b"two"], "{kind}, {errno}: {report}");
            let stats = &report.stats;
            assert_eq!((report.failed.len(), stats.peer_errors, stats.panics), (0, 3, 0), "{kind}, {errno}: {report}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn errors_without_end_do_not_spin() {
    let failing = || {
        let script = script();
        script.state().recv_errors.extend([libc::ENOMEM; 100]);
        script
    };
    each_kind(failing, |kind, sent, report, took| {
        assert_eq!(sent, [b"one", b"two"], "{kind}: {report}");
        assert_eq!(report.stats.peer_errors, 100, "{kind}: {report}");
        // A pause of 5 ms before each but the first 64.
        assert!(took >= Duration::from_millis(36 * 5), "{kind}: {took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_error_of_sending_costs_one_reply_or_none() {
    for errno in ALL {
        let class = classify_datagram(&std::io::Error::from_raw_os_error(errno));
        let failing = || {
            let script = script();
            script.state().send_errors.push_back(errno);
            script
        };
        each_kind(failing, |kind, sent, report, _| {
            let stats = &report.stats;
            let lost = u64::from(class != ErrorClass::Retryable);
            assert_eq!(sent.len() as u64, 2 - lost, "{kind}, {errno}: {report}");
            assert_eq!((stats.failed_replies, stats.dropped_replies), (lost, 0), "{kind}, {errno}: {report}");
            assert_eq!((report.failed.len(), stats.panics, report.cut), (0, 0, 0), "{kind}, {errno}: {report}");
        })
        .await;
    }
}
