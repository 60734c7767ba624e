//! `swapwire bench` tells at which side the system dropped what was lost.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::common::bench::{bench, read};
use crate::common::{Serving, run};
use swapwire_bench::{Faults, Run};

/// The least buffer that the system gives holds a handful of datagrams; the usual one holds all that are under way here. A
/// train that the system drops counts as one, so there are none.
fn measured(server: &str, client: &str) -> Run {
    let server = Serving::start(1, &[&format!("udp://127.0.0.1:0{server}"), "--workers", "1"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json");
    let endpoint = format!("{}{client}", server.endpoint());
    let pid = server.pid().to_string();
    let load = ["-c", "4", "--pipeline", "64", "--size", "500", "-n", "2000", "--warmup", "0s", "--rounds", "1"];
    let how = ["--timeout", "5s", "--threads", "1", "--server-pid", &pid, "--json", file.to_str().unwrap()];
    let said = bench(&[&[endpoint.as_str()][..], &load, &how].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    server.stop();
    let run = read(&file);
    let faults = &run.cells[0].summary.as_ref().unwrap().faults;
    for (drops, whose) in [(faults.client_drops, "client's"), (faults.server_drops, "server's")] {
        let told =
            said.text().contains(&format!("dropped at the {whose} sockets (in the whole round, warm-up included)"));
        assert_eq!(told, drops.unwrap() > 0, "{faults:?}: {}", said.text());
    }
    run
}

fn faults_of(run: &Run) -> &Faults {
    &run.cells[0].rounds[0].faults
}

/// What came late was not dropped.
#[test]
fn what_is_dropped_is_told_of_the_side_that_dropped_it() {
    let run = measured("?recv_buffer=1", "?gso=false");
    let faults = faults_of(&run);
    let never = faults.lost - faults.late;
    assert!(never > 0 && faults.client_drops == Some(0) && faults.server_drops >= Some(never), "{faults:?}");
    let run = measured("?gso=false", "?recv_buffer=1&gro=false&gso=false");
    let faults = faults_of(&run);
    let never = faults.lost - faults.late;
    assert!(never > 0 && faults.server_drops == Some(0) && faults.client_drops >= Some(never), "{faults:?}");
}

#[test]
fn where_nothing_is_dropped_nothing_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json");
    let load = ["-c", "4", "-n", "2000", "--warmup", "0s", "--rounds", "1"];
    let how = ["--json", file.to_str().unwrap()];
    let said = run(&[&["bench", "tcp", "udp"][..], &load, &how].concat(), "");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(!said.text().contains("dropped"), "{}", said.text());
    let run = read(&file);
    let drops = |at: usize| {
        let faults = &run.cells[at].rounds[0].faults;
        (faults.client_drops, faults.server_drops)
    };
    assert_eq!((drops(0), drops(1)), ((None, None), (Some(0), Some(0))));
}
