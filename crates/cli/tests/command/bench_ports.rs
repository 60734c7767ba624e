//! `swapwire bench` where local ports are few: in a network namespace of its own (`network_namespaces(7)`).

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Command, Stdio};

use crate::common::{Running, Said, finish};

/// `swapwire` where 200 local ports are left, and no port in `TIME_WAIT` is used again; `None`, aloud, where that cannot be
/// had.
fn among_few_ports(args: &[&str]) -> Option<Said> {
    let script = "echo 40000 40199 > /proc/sys/net/ipv4/ip_local_port_range && echo 0 > /proc/sys/net/ipv4/tcp_tw_reuse || \
                  exit 77; ip link set lo up || exit 77; exec \"$0\" bench --warmup 0 --rounds 1 \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", script, env!("CARGO_BIN_EXE_swapwire")]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = Running::start(&mut command)
        .ok()
        .map(finish)
        .filter(|said| said.code != Some(77) && !said.stderr.contains("unshare: "));
    if said.is_none() {
        eprintln!("SKIPPED: no network namespaces here");
    }
    said
}

#[test]
fn what_is_missing_is_named_and_more_addresses_help() {
    let often = ["tcp", "-c", "4", "-n", "500", "--reconnect-every", "1"];
    let Some(said) = among_few_ports(&often) else { return };
    assert_eq!((said.code, said.text()), (Some(1), ""), "{said:?}");
    let told = said.stderr.lines().last().unwrap();
    for words in [
        ": the client's machine has no local ports left (of 200, 40000 to 40199; ",
        "in TIME_WAIT): try again in a minute, come from more addresses (--source 127.0.0.2,127.0.0.3), reconnect less",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let source = ["--source", "127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5"];
    let said = among_few_ports(&[&often[..], &source].concat()).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn datagrams_need_local_ports_too() {
    for wire in ["tcp", "udp"] {
        for source in [&[][..], &["--source", "127.0.0.2"]] {
            let Some(said) = among_few_ports(&[&[wire, "-c", "300", "-n", "300"], source].concat()) else { return };
            assert_eq!(said.code, Some(1), "{wire} {source:?}: {said:?}");
            let told = said.stderr.lines().last().unwrap();
            assert!(told.contains("the client's machine has no local ports left"), "{wire} {source:?}: {told}");
            assert!(told.contains("open fewer --connections"), "{wire} {source:?}: {told}");
        }
        let said = among_few_ports(&[wire, "-c", "300", "-n", "300", "--source", "127.0.0.2,127.0.0.3"]).unwrap();
        assert_eq!(said.code, Some(0), "{wire}: {said:?}");
    }
}
