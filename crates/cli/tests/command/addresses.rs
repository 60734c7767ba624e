//! `swapwire serve` and what the system makes of its endpoints.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::common::{Serving, run};

/// Once for each endpoint, though each worker has sockets of its own.
#[test]
fn what_the_system_cut_is_told_once_for_each_endpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let endpoints = [
        "tcp://127.0.0.1:0?backlog=2147483647&recv_buffer=1GiB&send_buffer=1GiB".to_owned(),
        "udp://127.0.0.1:0?recv_buffer=1GiB&send_buffer=1GiB".to_owned(),
        format!("unix:{}?backlog=2147483647&recv_buffer=1GiB&send_buffer=1GiB", path("s")),
        format!("unix-dgram:{}?recv_buffer=1GiB&send_buffer=1GiB", path("d")),
    ];
    let mut args: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    args.extend(["--workers", "3"]);
    let server = Serving::start(4, &args);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, said) = server.end();
    for endpoint in &endpoints {
        for option in ["backlog", "recv_buffer", "send_buffer"] {
            let told = |line: &&String| line.contains(&format!("{option} is smaller")) && line.contains(endpoint);
            let expected = usize::from(endpoint.contains(option));
            assert_eq!(said.iter().filter(told).count(), expected, "{endpoint}: {option}: {said:#?}");
        }
    }
}

#[test]
fn what_cannot_be_an_address_of_a_server_is_an_error_of_usage() {
    for (endpoint, reason) in [
        ("tcp://239.1.2.3:0", "239.1.2.3 is a multicast address, and TCP connects two hosts"),
        ("tcp://255.255.255.255:0", "255.255.255.255 is a broadcast address, and TCP connects two hosts"),
    ] {
        let said = run(&["serve", endpoint], "");
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(reason) && said.stderr.lines().count() == 1, "{}", said.stderr);
    }
}
