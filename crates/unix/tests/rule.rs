//! Who may connect to a stream listener.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use bytes::BytesMut;
use common::{SCHEMES, connect, endpoint, listen};
use nix::unistd::{getegid, geteuid};
use swapwire_core::{Endpoint, Link, Listener, Place};
use tokio::io::AsyncReadExt as _;

/// Whether the next one that comes is let in.
async fn is_let_in(listener: &mut Box<dyn Listener>) -> bool {
    match listener.accept().await.unwrap().establish().await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(" may not connect"), "{error}");
            false
        }
    }
}

#[tokio::test]
async fn a_rule_lets_in_whom_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let (other, another) = (uid.wrapping_add(1), gid.wrapping_add(1));
    for (i, (uids, gids, expected)) in [
        (None, None, true),
        (Some("self".to_owned()), None, true),
        (Some(format!("{other},{uid}")), None, true),
        (None, Some("self".to_owned()), true),
        (Some(other.to_string()), Some(format!("{gid}")), true),
        (Some(other.to_string()), None, false),
        (None, Some(another.to_string()), false),
        (Some(other.to_string()), Some(another.to_string()), false),
    ]
    .into_iter()
    .enumerate()
    {
        for scheme in SCHEMES.into_iter().filter(|scheme| *scheme != "unix-dgram") {
            let mut place = endpoint(scheme, &dir.path().join(i.to_string()));
            if let Some(uids) = &uids {
                place = place.with_option("allow_uid", uids);
            }
            if let Some(gids) = &gids {
                place = place.with_option("allow_gid", gids);
            }
            let mut listener = listen(&place).await;
            let client = connect(&listener.local()).await.unwrap();
            assert_eq!(is_let_in(&mut listener).await, expected, "{place}");
            if !expected {
                let closed = match client {
                    Link::Bytes { mut io, .. } => matches!(io.read(&mut [0]).await, Ok(0)),
                    Link::Messages { mut io, .. } => {
                        matches!(poll_fn(|cx| io.poll_recv(cx, &mut BytesMut::new())).await, Ok(None))
                    }
                    other => panic!("{other:?}"),
                };
                assert!(closed);
            }
        }
    }
}

/// Nobody's processes, where this test may start them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_user_is_told_apart_at_an_abstract_name() {
    const NOBODY: u32 = 65_534;
    if !geteuid().is_root() {
        eprintln!("skipped: only root starts a process as nobody");
        return;
    }
    for (rule, expected) in [("self", false), ("65534", true), ("0,65534", true), ("1", false)] {
        let name = format!("swapwire-rule-{}-{rule}", std::process::id());
        let place = Endpoint::new("unix", Place::Abstract(name.clone().into_bytes())).unwrap();
        let mut listener = listen(&place.with_option("allow_uid", rule)).await;
        let script = "import socket, sys\n\
                      for _ in range(100):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('\\0' + sys.argv[1])\n    s.recv(1)\n";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script, &name]).current_dir("/").uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
        let Ok(mut child) = python.spawn() else {
            eprintln!("skipped: no /usr/bin/python3 that nobody may run");
            return;
        };
        for i in 0..100 {
            assert_eq!(is_let_in(&mut listener).await, expected, "{i} with {rule}");
        }
        assert!(child.wait().unwrap().success());
    }
}
