//! Servers that answer something else than an echo.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use swapwire_bench::{Conditions, Load, PlanError};
use tokio::io::AsyncWriteExt as _;

use crate::bench::{assert_flawless, echoes, load, plan, round, run, target};
use crate::common::Places;
use crate::servers::{self, SIZE, answer};

/// What a server counted, for the test to see.
type Count = Arc<AtomicU64>;

/// Counts one more and gives how many there were before.
fn one_more(count: &Count) -> u64 {
    count.fetch_add(1, Relaxed)
}

/// As HTTP/1.0: one request, one reply, and the connection is over. Every tenth reply is an error of the server.
async fn http() -> String {
    let requests = Count::default();
    servers::tcp(move |wire| {
        let mut number = Some(one_more(&requests));
        answer(wire, move |_| {
            let status = if number.take()? % 10 == 9 { "500 Sorry" } else { "200 OK" };
            Some(format!("HTTP/1.0 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes())
        })
    })
    .await
}

#[tokio::test]
async fn a_server_that_closes_after_each_reply() {
    let endpoint = http().await;
    let load = Load { connections: 4, ..load("64") };
    let conditions = || Conditions {
        expect: r"regex:^HTTP/1\.[01] \d{3} ".parse().unwrap(),
        reconnect_every: Some(1),
        ..echoes(300)
    };
    let any = round(plan(&endpoint, load.clone(), conditions())).await;
    assert_flawless(&any, 300, "any status");
    // Each was the first of its connection, and all but the first four of the round opened one anew.
    assert_eq!((any.latency.count(), any.first_reply.count()), (0, 300));
    assert!(any.reconnects >= 296 && any.connect.count() >= 300, "{any:?}");

    // Without being told to, it opens a connection anew when the server closed it, and says why.
    let closed = round(plan(&endpoint, load, Conditions { reconnect_every: None, ..conditions() })).await;
    let faults = &closed.faults;
    assert_eq!((closed.requests, closed.answered + faults.broken, faults.wrong), (300, 300, 0), "{faults:?}");
    assert!(faults.broken > 0 && closed.reconnects > 0, "{closed:?}");
    let known = |kind: &String| kind.starts_with("recv: ") || kind.starts_with("send: ");
    assert!(!faults.errors.is_empty() && faults.errors.keys().all(known), "{faults:?}");
}

#[tokio::test]
async fn errors_of_a_server_that_closes_after_each_reply() {
    let endpoint = http().await;
    let ok = Conditions { expect: "regex:^HTTP/1.[01] 200".parse().unwrap(), reconnect_every: Some(1), ..echoes(300) };
    // With a rate, nothing is asked before the measured part, so that it has the first 300 of the server's replies.
    let load = Load { rate: Some(2000.0), ..load("64") };
    let run = run(plan(&endpoint, load, ok)).await.unwrap();
    let round = &run.cells[0].rounds[0];
    assert_eq!((round.requests, round.answered, round.faults.wrong), (300, 270, 30), "{round:?}");
    let words = "wrong replies, where regex:^HTTP/1.[01] 200 was expected (--expect); at 64 B, 1 connection, 2,000 per second: it (30 \
         of 300)";
    assert!(run.warnings.iter().any(|line| line == words), "{:?}", run.warnings);
}

#[tokio::test]
async fn a_server_with_a_reply_of_fixed_length() {
    let places = Places::new();
    let serve = |wire| answer(wire, |_| Some(b"0123456789".to_vec()));
    for endpoint in [servers::tcp(serve).await, servers::unix(&places, serve)] {
        let load = Load { connections: 2, pipeline: 4, ..load("64") };
        let right = Conditions { expect: "bytes:10".parse().unwrap(), ..echoes(500) };
        let round = round(plan(&endpoint, load, right)).await;
        assert_flawless(&round, 500, &endpoint);
        assert_eq!(round.bytes_received, 10 * round.messages, "{endpoint}");
        assert_eq!(round.bytes_sent, 64 * 500, "{endpoint}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_first() {
    let endpoint = servers::tcp(|mut wire| async move {
        let _ = wire
            .write_all(b"220 a greeting that nobody asked for, and that is longer than any of the requests\r\n")
            .await;
        servers::echo(wire).await;
    })
    .await;
    // With a rate, nothing is asked before all connections are open, and the second is to be opened after seconds: long
    // before, the first has given up.
    let patient = Conditions { ramp: Duration::from_secs(16), ..echoes(100) };
    let load = Load { connections: 2, rate: Some(1000.0), ..load("64") };
    match run(plan(&endpoint, load, patient)).await {
        Err(PlanError::Failed(lines)) => {
            assert_eq!(
                lines,
                [format!(
                    "it, 64 B, 2 connections, 1000/s: given up in round 1 of 1: \
                 {endpoint}: recv: bytes without a request, 5 times in a row"
                )]
            );
        }
        other => panic!("{other:?}"),
    }
    // In a closed loop the greeting is taken for a reply, which is wrong, or, if it is quicker than the request, was not asked
    // for either; that is up to the scheduler.
    match run(plan(&endpoint, crate::bench::load("64"), echoes(20))).await {
        Ok(closed) => {
            let round = &closed.cells[0].rounds[0];
            assert!(round.faults.wrong > 0 && round.answered == 0, "{:?}", round.faults);
            assert!(closed.warnings.iter().any(|line| line.starts_with("wrong replies, ")), "{:?}", closed.warnings);
        }
        Err(PlanError::Failed(lines)) => {
            assert!(lines[0].ends_with("recv: bytes without a request, 5 times in a row"), "{lines:?}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_replies_are_counted_to_the_last_one() {
    let (places, garbled) = (Places::new(), Count::default());
    let reply = {
        let (asked, garbled) = (Count::default(), Arc::clone(&garbled));
        move |request: &mut [u8]| {
            if one_more(&asked) % 7 == 3 {
                one_more(&garbled);
                request[SIZE - 1] ^= 1;
            }
            request.to_vec()
        }
    };
    let serve = {
        let reply = reply.clone();
        move |wire| {
            let reply = reply.clone();
            answer(wire, move |request| Some(reply(request)))
        }
    };
    let datagrams = reply.clone();
    let endpoints = [
        servers::tcp(serve.clone()).await,
        servers::unix(&places, serve),
        servers::udp(move |request| vec![datagrams(request)]).await,
    ];
    for endpoint in endpoints {
        garbled.store(0, Relaxed);
        let load = Load { connections: 3, pipeline: 16, rate: Some(2000.0), ..load("64") };
        let run = run(plan(&endpoint, load, echoes(500))).await.unwrap();
        let (round, truth) = (&run.cells[0].rounds[0], garbled.load(Relaxed));
        assert!(truth >= 70, "{truth}");
        assert_eq!((round.faults.wrong, round.answered), (truth, 500 - truth), "{endpoint}: {round:?}");
        let words = format!(": it ({truth} of 500)");
        assert!(
            run.warnings
                .iter()
                .any(|line| line.starts_with("wrong replies, where echo was expected") && line.ends_with(&words)),
            "{run:?}"
        );
    }
}

#[tokio::test]
async fn another_reply_than_expected_is_no_success() {
    let endpoint = servers::tcp(servers::echo).await;
    let mut plan = plan(&endpoint, load("64"), Conditions { expect: "uppercase".parse().unwrap(), ..echoes(50) });
    plan.targets.push(target("the same", &endpoint));
    let run = run(plan).await.unwrap();
    for cell in &run.cells {
        assert_eq!((cell.rounds[0].answered, cell.rounds[0].faults.wrong), (0, 50));
    }
    let words = "wrong replies, where uppercase was expected (--expect); at 64 B, 1 connection: it (50 of 50), the same (50 of 50)";
    assert!(run.warnings.iter().any(|line| line == words), "{:?}", run.warnings);
}
