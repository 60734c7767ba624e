//! A handle watches and stops a server from anywhere.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, ask, limits, until};
use swapwire_core::{Framing, handler_fn, handler_fn_async};
use swapwire_server::{DrainReport, Server};
use tokio::sync::Semaphore;

/// A server of an echo, and of calls that never end, which `begun` counts.
async fn bound(net: &Net, workers: Option<usize>, begun: &Arc<Semaphore>) -> Server {
    let begun = Arc::clone(begun);
    let handler = handler_fn_async(move |message| {
        let begun = Arc::clone(&begun);
        async move {
            if message == "stay" {
                begun.add_permits(1);
                pending::<()>().await;
            }
            Ok(message)
        }
    });
    let builder = net.server().listen("mem:a").handler(handler).framing(Framing::Lines);
    let builder = builder.limits(limits(|l| l.drain_timeout = Duration::MAX));
    match workers {
        Some(workers) => builder.workers(workers),
        None => builder,
    }
    .bind()
    .await
    .unwrap()
}

fn is_clean(report: &DrainReport, messages: u64) {
    assert!(report.is_clean() && report.stats.messages == messages, "{report}");
}

#[tokio::test]
async fn a_handle_shows_a_server_that_runs_and_stops_it() {
    for workers in [None, Some(1)] {
        let net = Net::new();
        let server = bound(&net, workers, &Arc::new(Semaphore::new(0))).await;
        let handle = server.handle();
        assert_eq!(handle.local_endpoints(), server.local_endpoints());
        let client = async {
            let mut session = net.connect("mem:a").await;
            assert_eq!(ask(&mut session, "x").await, "x");
            let handle = handle.clone();
            assert_eq!((handle.snapshot().messages, handle.worker_snapshots()[0].messages), (1, 1));
            assert_eq!((handle.is_draining(), handle.unhealthy().len()), (false, 0));
            handle.stop();
            handle.stop();
        };
        let (report, ()) = tokio::join!(server.run_until(pending()), client);
        is_clean(&report, 1);
        // It outlives its server.
        assert_eq!((handle.snapshot(), handle.is_draining()), (report.stats, true));
        handle.abort();
    }
}

#[tokio::test]
async fn a_server_that_was_stopped_before_it_ran_serves_what_waits_and_ends() {
    let net = Net::new();
    let server = bound(&net, None, &Arc::new(Semaphore::new(0))).await;
    let mut session = net.connect("mem:a").await;
    session.send("x").await.unwrap();
    session.flush().await.unwrap();
    server.handle().stop();
    let (report, answer) = tokio::join!(server.run_until(pending()), session.recv());
    assert_eq!(answer.unwrap().unwrap(), "x");
    is_clean(&report, 1);
}

#[tokio::test]
async fn abort_cuts_what_a_drain_would_wait_for() {
    for (workers, drains) in [(None, false), (None, true), (Some(2), false)] {
        let (net, begun) = (Net::new(), Arc::new(Semaphore::new(0)));
        let server = bound(&net, workers, &begun).await;
        let handle = server.handle();
        let client = async {
            let mut session = net.connect("mem:a").await;
            session.send("stay").await.unwrap();
            session.flush().await.unwrap();
            begun.acquire().await.unwrap().forget();
            if drains {
                handle.stop();
                tokio::task::yield_now().await;
            }
            handle.abort();
            assert!(!matches!(session.recv().await, Ok(Some(_))));
        };
        let (report, ()) = tokio::join!(server.run_until(pending()), client);
        assert_eq!((report.cut, report.stats.cut), (1, 1), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_knows_of_a_drain_that_another_began() {
    let net = Net::new();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = net.start("mem:a", echo).await;
    let handle = server.handle();
    let mut session = net.connect("mem:a").await;
    assert_eq!(ask(&mut session, "x").await, "x");
    until(&server, |stats| stats.messages == 1).await;
    assert!(!handle.is_draining());
    assert!(server.stop().await.is_clean());
    assert!(handle.is_draining());

    let server = bound(&net, None, &Arc::new(Semaphore::new(0))).await;
    let handle = server.handle();
    server.run_until(std::future::ready(())).await;
    assert!(handle.is_draining());
}
