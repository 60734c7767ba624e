//! Byte streams over Unix sockets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{SCHEMES, accept, bind, connect, endpoint, listen};
use swapwire_core::{Addr, ConnectError, Credentials, Endpoint, Link, UnixAddr};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

fn bytes(link: Link) -> Box<dyn swapwire_core::ByteStream> {
    match link {
        Link::Bytes { io, .. } => io,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_name_the_path_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix", &path).with_option("backlog", 3)).await;
    assert_eq!(listener.local(), endpoint("unix", &path));
    let client = connect(&listener.local()).await.unwrap();
    let incoming = listener.accept().await.unwrap();
    assert_eq!(incoming.peer().addr(), &Addr::Unix(UnixAddr::UNNAMED));
    let server = incoming.establish().await.unwrap();
    let addr = Addr::Unix(UnixAddr::from_path(&path).unwrap());
    assert_eq!(client.info().peer.addr(), &addr);
    assert_eq!(server.info().local, addr);
    assert_eq!(client.info().local, *server.info().peer.addr());
}

#[tokio::test]
async fn both_ends_know_who_runs_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut listener = listen(&endpoint("unix", &dir.path().join("s"))).await;
    let client = connect(&listener.local()).await.unwrap();
    let server = accept(&mut listener).await;
    let pid = i32::try_from(std::process::id()).unwrap();
    for link in [client, server] {
        let credentials: &Credentials = link.info().peer.get().unwrap();
        assert_eq!(credentials.uid, nix_uid());
        assert_eq!(credentials.pid, Some(pid));
    }
}

fn nix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    tempfile::tempfile().unwrap().metadata().unwrap().uid()
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let place = endpoint("unix", &path);
    let missing = connect(&place).await.unwrap_err();
    assert!(matches!(missing, ConnectError::Missing { .. }));
    assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    assert!(missing.to_string().contains("no such file"), "{missing}");

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let stale = connect(&place).await.unwrap_err();
    assert!(matches!(stale, ConnectError::Refused { .. }), "{stale:?}");

    std::fs::remove_file(&path).unwrap();
    let _datagrams = bind(&endpoint("unix-dgram", &path)).await.unwrap();
    assert_eq!(connect(&place).await.unwrap_err().raw_os_error(), Some(libc::EPROTOTYPE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_get_through_a_backlog_of_four() {
    const CLIENTS: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let mut listener = listen(&endpoint("unix", &dir.path().join("s")).with_option("backlog", 4)).await;
    let local = listener.local();
    // As long as it takes where the machine is busy.
    let dialled = local.clone().with_option("connect_timeout", "60s");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let dialled = dialled.clone();
            tokio::spawn(async move {
                let mut io = bytes(connect(&dialled).await.unwrap());
                io.write_all(&n.to_be_bytes()).await.unwrap();
                let mut echoed = [0; size_of::<usize>()];
                io.read_exact(&mut echoed).await.unwrap();
                assert_eq!(usize::from_be_bytes(echoed), n);
            })
        })
        .collect();
    for _ in 0..CLIENTS {
        let mut io = bytes(accept(&mut listener).await);
        tokio::spawn(async move {
            let mut message = [0; size_of::<usize>()];
            io.read_exact(&mut message).await.unwrap();
            io.write_all(&message).await.unwrap();
        });
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_queue_is_busy_at_once_or_after_the_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listen(&endpoint("unix", &dir.path().join("s")).with_option("backlog", 1)).await;
    let at_once = listener.local().with_option("connect_timeout", 0);
    let mut waiting = Vec::new();
    let error = loop {
        match connect(&at_once).await {
            Ok(link) => waiting.push(link),
            Err(error) => break error,
        }
    };
    // The kernel's queue holds one more than the backlog.
    assert_eq!(waiting.len(), 2);
    assert!(matches!(error, ConnectError::Busy { .. }), "{error:?}");

    let started = Instant::now();
    let error = connect(&listener.local().with_option("connect_timeout", "80ms")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Busy { .. }), "{error:?}");
    assert!(started.elapsed() >= Duration::from_millis(80));
    // A time that no clock reaches is no reason to fail.
    let forever = listener.local().with_option("connect_timeout", "18446744073709551615s");
    let waited = tokio::time::timeout(Duration::from_millis(20), connect(&forever)).await;
    assert!(
        waited.is_err() || waited.is_ok_and(|result| result.is_err_and(|e| matches!(e, ConnectError::Option { .. })))
    );
}

#[tokio::test]
async fn accepted_connections_get_the_listeners_send_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let unread = |endpoint: Endpoint| async move {
        let mut listener = listen(&endpoint).await;
        let _client = connect(&listener.local()).await.unwrap();
        let mut io = bytes(accept(&mut listener).await);
        // It may be not ready only because the task has had its turn.
        let (mut total, mut refused) = (0, 0);
        while refused < 10 {
            match poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_write(cx, &[0; 1024]))).await {
                Poll::Ready(written) => (total, refused) = (total + written.unwrap(), 0),
                Poll::Pending => refused += 1,
            }
            tokio::task::yield_now().await;
        }
        total
    };
    let small = unread(endpoint("unix", &dir.path().join("a")).with_option("send_buffer", "8k")).await;
    let large = unread(endpoint("unix", &dir.path().join("b")).with_option("send_buffer", "128k")).await;
    assert!(small > 0 && small * 4 < large, "{small} and {large}");
}

#[tokio::test]
async fn misplaced_and_unknown_options_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = endpoint("unix", &dir.path().join("s"));
    let error = bind(&place.clone().with_option("nodelay", true)).await.unwrap_err();
    let wanted =
        "unknown option \"nodelay\"; known: backlog, mode, group, allow_uid, allow_gid, recv_buffer, send_buffer";
    assert!(error.to_string().ends_with(wanted), "{error}");
    let error = connect(&place.with_option("mode", 600)).await.unwrap_err();
    assert!(error.to_string().ends_with("option \"mode\" is for binding only"), "{error}");
    let error = bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("write one of unix, unix-dgram"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn abstract_names_are_exclusive_and_vanish() {
    for scheme in SCHEMES {
        let place: Endpoint = format!("{scheme}:@swapwire-test-{}%00%ff", std::process::id()).parse().unwrap();
        let bound = bind(&place).await.unwrap();
        assert_eq!(bound.local(), place);
        let error = bind(&place).await.unwrap_err();
        assert!(error.is_addr_in_use(), "{error}");
        let link = connect(&place).await.unwrap();
        assert_eq!(link.info().peer.addr(), &Addr::of_endpoint(&place).unwrap());
        drop(bound);
        let error = connect(&place).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
        bind(&place).await.unwrap();
        assert!(
            bind(&place.with_option("mode", 600)).await.unwrap_err().to_string().contains("only a path has a mode")
        );
    }
}

#[tokio::test]
async fn a_listener_outlives_a_change_of_directory() {
    // The directory itself is not changed, for the sake of the other tests: what matters is that the path is absolute.
    let dir = tempfile::tempdir_in(".").unwrap();
    let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let place: Endpoint = format!("unix:./{name}/s").parse().unwrap();
    let listener = listen(&place).await;
    let wanted = std::env::current_dir().unwrap().join(&name).join("s");
    assert_eq!(listener.local(), endpoint("unix", &wanted));
    connect(&place).await.unwrap();
    drop(listener);
    assert!(!wanted.exists());
}
