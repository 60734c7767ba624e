//! Where `swapwire bench` puts the sockets of its own servers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Stdio;

use crate::common::bench::QUICK;
use crate::common::{Said, finish, swapwire};

fn bench(wires: &[&str], tmpdir: &Path) -> Said {
    let mut command = swapwire(&[&["bench"], wires, &QUICK].concat());
    command.env("TMPDIR", tmpdir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(crate::common::start(&mut command))
}

#[test]
fn a_directory_that_takes_no_socket_is_passed_over_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    for tmpdir in [&deep, &directory.path().join("missing")] {
        let said = bench(&["unix", "unix-dgram"], tmpdir);
        assert_eq!(said.code, Some(0), "{said:?}");
        let told = format!("swapwire: no directory for sockets: {}: ", tmpdir.display());
        assert_eq!(said.stderr.lines().filter(|line| line.starts_with(&told)).count(), 1, "{said:?}");
        // Whoever needs no socket file needs no place for one.
        let said = bench(&["tcp"], tmpdir);
        assert_eq!((said.code, said.stderr.contains("no place")), (Some(0), false), "{said:?}");
    }
    assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0);
}
