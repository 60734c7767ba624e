//! Brokers that go away while a server is asked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::monitor::{MONITORED, clients};
use super::real::Broker;
use super::real::asker::{Asker, Load};
use super::{asking, asking_for_all, group, member, setting, times};
use crate::admin::admin_place;
use crate::common::{PATIENCE, Serving};

/// Looks again and again until it is so; how long that took.
fn until(what: &str, is: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it never came");
        std::thread::yield_now();
    }
    begun.elapsed()
}

fn get(admin: &str, path: &str) -> String {
    let mut io = TcpStream::connect(admin).unwrap();
    write!(io, "GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n").unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

fn resident(server: &Serving) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Many requests at once, each of which is answered.
fn assert_serves(broker: &Broker) {
    let load = Load::Closed { depth: 64, requests: 2000 };
    Asker::start(&broker.address(), "upper", 64, load, PATIENCE).unwrap().join().assert_whole();
}

#[test]
fn a_broker_that_is_restarted_under_load_is_missed_and_served_again() {
    let Some(mut broker) = Broker::start("") else {
        return;
    };
    let admin = ["--admin-listen", "tcp://127.0.0.1:0"];
    let server = Serving::start(1, &[&["--workers", "1", &group(&broker)], &admin[..]].concat());
    let admin = admin_place(&server);
    let is_ready = || get(&admin, "/readyz").starts_with("HTTP/1.1 200");
    until("ready", is_ready);
    assert_serves(&broker);
    let mut memory = 0;
    for round in 0..times().min(10) {
        let asker = asking(&broker, Duration::from_secs(1));
        asker.wait_for(200);
        broker.stop();
        let missed = until("not ready", || !is_ready());
        assert!(get(&admin, "/metrics").contains(" 0\n"), "listener_up");
        assert!(asker.stop().broken.is_some());
        broker.restart();
        let served = until("ready again", is_ready);
        assert_serves(&broker);
        eprintln!("broker restarted: unhealthy after {missed:?}, served {served:?} after it was back");
        if setting("SWAPWIRE_BARS", 0) == 1 {
            assert!(missed < Duration::from_secs(2) && served < Duration::from_secs(5));
        }
        // What is warm after two rounds stays.
        match round {
            1 => memory = resident(&server),
            2.. => assert!(resident(&server) < memory + (4 << 20), "{memory} bytes, then {}", resident(&server)),
            _ => (),
        }
    }
    let metrics = get(&admin, "/metrics");
    let line = metrics.lines().find(|line| line.starts_with("swapwire_reconnects_total{")).unwrap();
    assert!(line.ends_with(&format!(" {}", times().min(10))), "{line}");
    server.stop();
}

#[test]
fn a_lame_duck_is_left_and_each_request_has_one_reply() {
    let config = format!("{MONITORED}lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"10s\"\n");
    let Some([near, far]) = Broker::pair(&config) else {
        return;
    };
    let endpoint = format!("{}&name=member&servers={}", group(&near), far.address());
    let members = [member(&endpoint), member(&endpoint)];
    let asker = asking_for_all(&near);
    asker.wait_for(500);
    near.lame_duck();
    until("all are with the other broker", || {
        clients(&far, "member", "open").len() == members.len() && clients(&near, "member", "open").is_empty()
    });
    asker.wait_for(500);
    asker.stop().assert_whole();
    for member in members {
        member.stop();
    }
}
