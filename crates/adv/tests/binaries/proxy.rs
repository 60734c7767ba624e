//! The proxy: without faults it is not noticed, and each fault is.

use serde_json::Value;

use crate::common::{Proxy, adv, dir, echo, tcp_echo, udp_echo, unix, unix_dgram_echo};

fn count(counters: &Value, name: &str) -> u64 {
    counters[name].as_u64().unwrap_or_else(|| panic!("no {name} in {counters}"))
}

/// What the judge sees through a proxy with these faults, and what the proxy counted.
fn through(connect: &str, faults: &str, verify: &str) -> (crate::common::Run, Value) {
    let proxy = Proxy::start("tcp://127.0.0.1:0", connect, &format!("--seed 1 {faults}"));
    let run = adv(&format!("verify {} --seed 1 {verify}", proxy.endpoint));
    (run, proxy.stop())
}

#[test]
fn without_faults_every_wire_is_passed_on() {
    let (_dir, path) = dir();
    let (unix_listen, dgram_listen) = (format!("unix:{}", path("a")), format!("unix-dgram:{}", path("b")));
    for (listen, connect) in [
        ("tcp://127.0.0.1:0", tcp_echo()),
        (&unix_listen, unix(&path("c"), echo)),
        ("udp://127.0.0.1:0", udp_echo()),
        (&dgram_listen, unix_dgram_echo(&path("d"))),
        ("tcp://127.0.0.1:0", unix(&path("e"), echo)),
        ("udp://127.0.0.1:0", unix_dgram_echo(&path("f"))),
    ] {
        let proxy = Proxy::start(listen, &connect, "");
        let run = adv(&format!("verify {} -n 300 -c 4 --pipeline 3 --churn 20", proxy.endpoint));
        run.assert_ok();
        assert_eq!(run.number("answered"), 300, "{listen}: {run:?}");
        let counters = proxy.stop();
        assert_eq!(count(&counters, "bytes"), 2 * 300 * 64, "{listen}: {counters}");
        assert_eq!(count(&counters, "sessions"), run.number("connections"), "{listen}: {counters}");
    }
    assert!(!std::path::Path::new(&path("a")).exists(), "a socket's file outlived the proxy");
}

#[test]
fn ends_are_passed_on_in_both_directions() {
    let proxy = Proxy::start("tcp://127.0.0.1:0", &tcp_echo(), "--slice 100");
    adv(&format!("halfclose {} -n 20 --bytes 5k", proxy.endpoint)).assert_ok();
}

#[test]
fn slices_and_latency_change_no_byte() {
    let (run, counters) = through(&tcp_echo(), "--slice 7 --latency 0ms..3ms", "-n 100 -c 4 --pipeline 3");
    run.assert_ok();
    assert!(count(&counters, "slices") > 2 * 100 * 64 / 7 && count(&counters, "delayed") > 1000, "{counters}");
    assert!(run.json["latency"]["p50_ms"].as_f64().unwrap() > 2.0, "{run:?}");
}

#[test]
fn a_wrong_byte_in_a_stream_is_seen() {
    let (run, counters) = through(&tcp_echo(), "--corrupt 2% --slice 64", "-n 500 -c 1 --framing raw --timeout 300ms");
    assert!(count(&counters, "corrupted") > 0 && run.number("counts/corrupt") > 0, "{run:?} {counters}");
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn resets_and_closes_are_seen_as_often_as_they_were() {
    let (run, counters) = through(&tcp_echo(), "--reset 1% --slice 64", "-n 500 -c 1");
    assert_eq!(count(&counters, "reset"), run.number("counts/reset"), "{run:?} {counters}");
    assert!(run.code == 1 && run.number("counts/reset") > 0, "{run:?}");
    let (run, counters) = through(&tcp_echo(), "--close 1% --slice 64", "-n 500 -c 1");
    assert_eq!(count(&counters, "closed"), run.number("counts/closed"), "{run:?} {counters}");
    assert!(run.code == 1 && run.number("counts/closed") > 0 && run.number("counts/reset") == 0, "{run:?}");
}

#[test]
fn a_stall_makes_a_reply_late() {
    let flags = "-n 100 -c 1 --late 150ms";
    let (run, counters) = through(&tcp_echo(), "--stall 3% --stall-for 200ms --slice 64", flags);
    assert!(count(&counters, "stalled") > 0 && run.number("counts/late") > 0, "{run:?} {counters}");
    run.assert_faults(&["late"]);
}

#[test]
fn the_same_seed_does_the_same() {
    let once = || {
        let (run, counters) = through(&tcp_echo(), "--reset 1% --corrupt 1% --slice 64", "-n 300 -c 1 --framing raw");
        (run.json["counts"].clone(), count(&counters, "reset"), count(&counters, "corrupted"))
    };
    let first = once();
    assert!(first.1 > 0 && first.2 > 0, "{first:?}");
    assert_eq!(first, once());
}

#[test]
fn every_fault_of_datagrams_is_seen_as_often_as_it_was() {
    let (_dir, path) = dir();
    let server = unix_dgram_echo(&path("server"));
    // What the wire does not lose, the proxy does.
    let through = |faults: &str, allow: &str| {
        let listen = format!("unix-dgram:{}", path("proxy"));
        let proxy = Proxy::start(&listen, &server, &format!("--seed 1 {faults}"));
        let flags = "-n 150 -c 1 --pipeline 8 --timeout 2s";
        let run = adv(&format!("verify {listen} --seed 1 {flags} {allow}"));
        (run, proxy.stop())
    };
    let (run, counters) = through("--drop 3%", "");
    run.assert_faults(&["lost"]);
    assert_eq!(count(&counters, "dropped"), run.number("counts/lost"), "{run:?} {counters}");
    through("--drop 3%", "--lossy").0.assert_ok();

    let (run, counters) = through("--duplicate 3%", "");
    run.assert_faults(&["duplicated"]);
    // A doubled request is answered twice, so is a doubled reply.
    assert!(count(&counters, "duplicated") >= run.number("counts/duplicated"), "{run:?} {counters}");

    let (run, _) = through("--corrupt 3%", "");
    run.assert_faults(&["corrupt", "lost"]);

    let (run, counters) = through("--reorder 3% --reorder-by 20ms", "--late 10s");
    run.assert_faults(&["reordered"]);
    assert!(count(&counters, "reordered") > 0, "{counters}");
}

#[test]
fn what_is_bounded_makes_way_or_waits() {
    let proxy = Proxy::start("udp://127.0.0.1:0", &udp_echo(), "--sessions 2");
    adv(&format!("verify {} -n 60 -c 1 --churn 10", proxy.endpoint)).assert_ok();
    assert_eq!(count(&proxy.stop(), "forgotten"), 4);
    let proxy = Proxy::start("udp://127.0.0.1:0", &udp_echo(), "--queue 2 --latency 30ms");
    let run = adv(&format!("verify {} -n 20 -c 1 --pipeline 20 --timeout 200ms", proxy.endpoint));
    assert!(run.number("counts/lost") > 0, "{run:?}");
    assert!(count(&proxy.stop(), "overflowed") > 0);
    let proxy = Proxy::start("tcp://127.0.0.1:0", &tcp_echo(), "--sessions 2");
    adv(&format!("verify {} -n 200 -c 4 --churn 10", proxy.endpoint)).assert_ok();
}

#[test]
fn a_server_that_is_not_there_resets() {
    let (_dir, path) = dir();
    let proxy = Proxy::start("tcp://127.0.0.1:0", &format!("unix:{}", path("nobody")), "");
    let run = adv(&format!("churn {} -n 3 --timeout 1s", proxy.endpoint));
    assert_eq!((run.code, run.number("good")), (1, 0), "{run:?}");
    assert_eq!(count(&proxy.stop(), "unreachable"), 3);
}
