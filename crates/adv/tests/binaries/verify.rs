//! The judge: right servers pass, and each wrong one is caught for what it does.

use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::common::{Proxy, adv, dir, echo, lines, tcp, tcp_echo, udp, udp_echo, unix, unix_dgram_echo, upper_echo};

#[test]
fn right_servers_pass_on_every_wire() {
    let (_dir, path) = dir();
    let streams = [tcp_echo(), unix(&path("streams"), echo)];
    let datagrams = [udp_echo(), unix_dgram_echo(&path("datagrams"))];
    for endpoint in streams.iter().chain(&datagrams) {
        for flags in ["", "--pipeline 4 --churn 7 --size 40..2k", "--expect echo"] {
            let run = adv(&format!("verify {endpoint} -n 500 -c 5 {flags}"));
            run.assert_ok();
            assert_eq!(run.number("answered"), 500, "{run:?}");
        }
    }
    for endpoint in &streams {
        for framing in ["raw", "length"] {
            let run = adv(&format!("verify {endpoint} -n 300 --framing {framing} --size 40..20k --pipeline 3"));
            run.assert_ok();
            assert_eq!((run.number("requests"), run.number("answered")), (300, 300), "{run:?}");
        }
    }
}

#[test]
fn what_is_expected_can_be_told() {
    let upper = tcp(|_, stream| upper_echo(stream));
    adv(&format!("verify {upper} -n 100")).assert_ok();
    adv(&format!("verify {upper} -n 100 --expect upper")).assert_ok();
    adv(&format!("verify {upper} -n 100 --expect echo")).assert_faults(&["corrupt"]);
    adv(&format!("verify {} -n 100 --expect upper", tcp_echo())).assert_faults(&["corrupt"]);
}

#[test]
fn a_server_that_swallows_replies_is_caught() {
    let endpoint = lines(|_, number, line| if number % 10 == 3 { Vec::new() } else { line.to_vec() });
    let run = adv(&format!("verify {endpoint} -n 400 -c 1 --pipeline 4"));
    run.assert_faults(&["lost"]);
    assert_eq!((run.number("answered"), run.number("counts/lost")), (360, 40), "{run:?}");
}

#[test]
fn a_server_that_falls_silent_is_caught() {
    let endpoint = lines(|_, number, line| if number < 3 { line.to_vec() } else { Vec::new() });
    let run = adv(&format!("verify {endpoint} -n 4 -c 1 --timeout 2s"));
    run.assert_faults(&["lost"]);
}

#[test]
fn a_server_that_replies_twice_is_caught() {
    let endpoint = lines(|_, number, line| if number % 10 == 3 { line.repeat(2) } else { line.to_vec() });
    let run = adv(&format!("verify {endpoint} -n 400 -c 1"));
    run.assert_faults(&["duplicated"]);
    assert_eq!((run.number("answered"), run.number("counts/duplicated")), (400, 40), "{run:?}");
}

#[test]
fn a_server_that_mixes_clients_up_is_caught() {
    let last = Mutex::new(Vec::new());
    let endpoint = lines(move |_, number, line| {
        let before = std::mem::replace(&mut *last.lock().unwrap(), line.to_vec());
        if number % 10 == 3 { [before, line.to_vec()].concat() } else { line.to_vec() }
    });
    let run = adv(&format!("verify {endpoint} -n 4000 -c 8"));
    assert!(run.number("counts/crossed") > 10, "{run:?}");
    assert_eq!(run.code, 1);
}

#[test]
fn a_server_that_spoils_bytes_is_caught() {
    for at in [0, 20, 62] {
        let endpoint = lines(move |_, number, line| {
            let mut reply = line.to_vec();
            reply[at] ^= u8::from(number % 10 == 3) << 5;
            reply
        });
        let run = adv(&format!("verify {endpoint} -n 400 -c 1 --pipeline 2"));
        run.assert_faults(&["corrupt"]);
        assert_eq!(run.number("counts/corrupt"), 40, "byte {at}: {run:?}");
    }
}

#[test]
fn a_server_that_changes_the_order_is_caught() {
    let kept = Mutex::new(Vec::new());
    let endpoint = lines(move |_, number, line| {
        if number % 2 == 0 {
            *kept.lock().unwrap() = line.to_vec();
            return Vec::new();
        }
        [line, &kept.lock().unwrap()].concat()
    });
    let run = adv(&format!("verify {endpoint} -n 100 -c 1 --pipeline 2"));
    run.assert_faults(&["reordered"]);
    assert_eq!(run.number("answered"), 100, "{run:?}");
}

#[test]
fn a_server_that_is_slow_is_caught() {
    let endpoint = lines(|_, number, line| {
        if number == 3 {
            thread::sleep(Duration::from_millis(2500));
        }
        line.to_vec()
    });
    let run = adv(&format!("verify {endpoint} -n 20 -c 1 --late 1500ms"));
    run.assert_faults(&["late"]);
    assert_eq!(run.number("counts/late"), 1, "{run:?}");
}

/// Echoes ten requests of 64 bytes, reads another, and closes.
fn closes_after_ten() -> String {
    tcp(|_, mut stream| {
        let mut buffer = [0; 64];
        for _ in 0..10 {
            stream.read_exact(&mut buffer)?;
            stream.write_all(&buffer)?;
        }
        stream.read_exact(&mut buffer)
    })
}

#[test]
fn a_server_that_closes_is_caught_and_one_that_cuts_is_worse() {
    let run = adv(&format!("verify {} -n 20 -c 1", closes_after_ten()));
    run.assert_faults(&["closed", "lost"]);
    assert_eq!((run.number("counts/closed"), run.number("answered")), (1, 19), "{run:?}");
    let cut = tcp(|_, mut stream| {
        let mut buffer = [0; 64];
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer[..40])
    });
    let run = adv(&format!("verify {cut} -n 1 -c 1"));
    run.assert_faults(&["closed", "cut", "lost"]);
}

#[test]
fn a_server_that_resets_is_caught() {
    let endpoint = tcp(|_, mut stream| stream.read_exact(&mut [0; 10])); // what is unread makes it a reset
    let run = adv(&format!("verify {endpoint} -n 1 -c 1"));
    run.assert_faults(&["lost", "reset"]);
    let run = adv(&format!("verify {endpoint} -n 1 -c 1 --allow lost,reset"));
    assert_eq!(run.fault(), "no reply at all");
}

#[test]
fn a_server_that_is_not_there_is_refused() {
    let run = adv("verify unix:/no/such/socket -n 1 -c 1");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.number("counts/refused") > 0 && run.number("connect_failures/refused") > 0, "{run:?}");
}

#[test]
fn a_clean_end_is_no_fault_until_closed() {
    let run = adv(&format!("verify {} --until-closed -c 3", closes_after_ten()));
    run.assert_ok();
    assert_eq!((run.number("answered"), run.number("unanswered")), (30, 3), "{run:?}");
}

#[test]
fn what_a_drain_leaves_without_a_reply_is_lost_if_it_was_early_enough() {
    // Reads one request more than it replies to, and closes 150 ms later.
    let endpoint = tcp(|_, mut stream| {
        let mut buffer = [0; 640];
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer[..576])?;
        thread::sleep(Duration::from_millis(150));
        stream.set_nonblocking(true)?;
        while stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
        Ok(())
    });
    let drain = |margin| adv(&format!("verify {endpoint} --until-closed -c 1 --pipeline 10 --margin {margin}"));
    drain("50ms").assert_faults(&["lost"]);
    let run = drain("10s");
    run.assert_ok();
    assert!(run.number("unanswered") >= 1, "{run:?}");
}

#[test]
fn a_signal_begins_the_drain() {
    let proxy = Proxy::start("tcp://127.0.0.1:0", &tcp_echo(), "");
    let flags = format!("--until-closed --signal {} --signal-after 100ms --allow cut,reset,turned-away", proxy.pid());
    let run = adv(&format!("verify {} -c 4 --pause 1ms {flags}", proxy.endpoint));
    run.assert_ok();
    assert!(run.json["drained_s"].as_f64().unwrap() < 20.0, "{run:?}");
    let run = adv(&format!("verify {} -n 10 --until-closed --signal {}", tcp_echo(), std::process::id()));
    assert!(run.code == 1 && run.fault().contains("before the signal"), "{run:?}");
}

#[test]
fn wrong_datagrams_are_caught_and_lost_ones_allowed() {
    let silent = |number| number % 10 == 3;
    let lossy = udp(move |number, datagram| if silent(number) { Vec::new() } else { vec![datagram.to_vec()] });
    let run = adv(&format!("verify {lossy} -n 50 -c 1 --timeout 1s --pipeline 5"));
    run.assert_ok();
    assert_eq!((run.number("answered"), run.number("counts/lost")), (45, 5), "{run:?}");

    let twice = udp(move |number, datagram| vec![datagram.to_vec(); 1 + usize::from(silent(number))]);
    adv(&format!("verify {twice} -n 51 -c 1")).assert_faults(&["duplicated"]);

    let spoilt = udp(move |number, datagram| {
        let mut reply = datagram.to_vec();
        reply[50] ^= u8::from(silent(number));
        vec![reply]
    });
    adv(&format!("verify {spoilt} -n 50 -c 1 --timeout 1s --pipeline 5")).assert_faults(&["corrupt", "lost"]);

    let last = Mutex::new(Vec::new());
    let crossed = udp(move |_, datagram| vec![std::mem::replace(&mut *last.lock().unwrap(), datagram.to_vec())]);
    let run = adv(&format!("verify {crossed} -n 100 -c 2 --timeout 100ms"));
    assert!(run.code == 1 && run.number("counts/crossed") > 0, "{run:?}");
}

#[test]
fn a_datagram_that_comes_too_late_is_not_lost() {
    let endpoint = udp(|number, datagram| {
        if number == 3 {
            thread::sleep(Duration::from_millis(600));
        }
        vec![datagram.to_vec()]
    });
    // The late reply comes while the next ones are waited for.
    let run = adv(&format!("verify {endpoint} -n 20 -c 1 --timeout 400ms --pause 30ms"));
    run.assert_ok();
    assert_eq!((run.number("answered"), run.number("counts/lost")), (20, 0), "{run:?}");
    assert!(run.number("counts/late") >= 1, "{run:?}");
}
