//! The file of a socket goes while it is bound: the path is bound again, or given up.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::pin::pin;

use common::{SCHEMES, accept, bind, connect, endpoint, listen, once, receive, socket};
use swapwire_core::{Bound, DatagramSocket, Endpoint, Link, Listener, SendBatch, Transport as _, Upkeep};
use swapwire_unix::{MAX_MESSAGE, Unix};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const AGAIN: &str = "the socket's file was removed: the path was bound again";

fn upkeep(bound: &mut Bound) -> Upkeep {
    let found = match bound {
        Bound::Listener(listener) => listener.upkeep(),
        Bound::Socket(socket) => socket.upkeep(),
        other => panic!("{other:?}"),
    };
    found.unwrap()
}

fn again() -> Upkeep {
    Upkeep::changed(true, AGAIN)
}

async fn group(place: &Endpoint, members: usize) -> Vec<Box<dyn Listener>> {
    let group = Unix::new().bind_group(place, members).await.unwrap();
    let listener = |bound| match bound {
        Bound::Listener(listener) => listener,
        other => panic!("{other:?}"),
    };
    group.into_iter().map(listener).collect()
}

/// Whether somebody can be accepted without asking the reactor, as from a socket whose file has gone.
async fn accepts_at_once(listener: &mut Box<dyn Listener>) -> bool {
    once(pin!(listener.accept())).await.is_some_and(|accepted| accepted.is_ok())
}

#[tokio::test]
async fn a_path_is_bound_again_as_it_was_and_goes_in_the_end() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut bound = bind(&endpoint(scheme, &path).with_option("mode", 622)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(upkeep(&mut bound), Upkeep::unchanged(true));
            fs::remove_file(&path).unwrap();
            assert_eq!(upkeep(&mut bound), again());
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!((found.file_type().is_socket(), found.mode() & 0o777), (true, 0o622));
            // The lock is held all the time.
            assert!(bind(&endpoint(scheme, &path)).await.unwrap_err().is_addr_in_use());
            connect(&bound.local()).await.unwrap();
            // Who waits where the file has gone comes first, and then another socket can be taken up.
            if let Bound::Listener(listener) = &mut bound {
                accept(listener).await;
            }
        }
        drop(bound);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn connections_stay_and_whoever_waited_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut listener = listen(&endpoint("unix", &path)).await;
    let mut before = UnixStream::connect(&path).unwrap();
    let Link::Bytes { mut io, .. } = accept(&mut listener).await else { panic!() };
    let _waiting = [UnixStream::connect(&path).unwrap(), UnixStream::connect(&path).unwrap()];
    fs::remove_file(&path).unwrap();
    assert_eq!(listener.upkeep(), Some(again()));
    // Two more go before anybody was accepted: one is bound again, and of the other it is told.
    fs::remove_file(&path).unwrap();
    assert_eq!(listener.upkeep(), Some(again()));
    let _waits_longer = UnixStream::connect(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(listener.upkeep(), Some(Upkeep::unchanged(false)));
    for _ in 0..2 {
        assert!(accepts_at_once(&mut listener).await);
    }
    assert!(!accepts_at_once(&mut listener).await);
    assert_eq!(listener.upkeep(), Some(Upkeep::unchanged(false)), "it takes up the one that was bound again");
    assert_eq!(listener.upkeep(), Some(again()));
    accept(&mut listener).await;
    assert_eq!(listener.upkeep(), Some(Upkeep::unchanged(true)));
    let after = UnixStream::connect(&path).unwrap();
    assert_eq!(after.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
    accept(&mut listener).await;

    use std::io::{Read as _, Write as _};
    before.write_all(b"ping").unwrap();
    let mut got = [0; 4];
    io.read_exact(&mut got).await.unwrap();
    io.write_all(b"pong").await.unwrap();
    before.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"pong");
}

#[tokio::test]
async fn one_member_of_a_group_tells_and_all_accept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut members = group(&endpoint("unix", &path), 3).await;
    let _waiting = UnixStream::connect(&path).unwrap();
    // So that two of them belong to the reactor.
    accept(&mut members[0]).await;
    assert!(!accepts_at_once(&mut members[1]).await);
    fs::remove_file(&path).unwrap();
    let found: Vec<_> = members.iter_mut().map(|member| member.upkeep().unwrap()).collect();
    assert_eq!(found, [again(), Upkeep::unchanged(true), Upkeep::unchanged(true)]);
    for member in &mut members {
        let _client = UnixStream::connect(&path).unwrap();
        accept(member).await;
        assert_eq!(member.upkeep(), Some(Upkeep::unchanged(true)));
    }
    for last in [false, false, true] {
        drop(members.pop());
        assert_eq!(path.exists(), !last);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test]
async fn nobody_is_let_in_where_a_member_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut members = group(&endpoint("unix", &path), 2).await;
    fs::remove_file(&path).unwrap();
    assert_eq!(members[0].upkeep(), Some(again()));
    let _waiting = UnixStream::connect(&path).unwrap();
    // It has not taken up the other socket yet.
    members[1].refuse_arrivals().unwrap();
    assert!(UnixStream::connect(&path).is_err());
    accept(&mut members[1]).await;
    fs::remove_file(&path).unwrap();
    assert!(members.iter_mut().all(|member| member.upkeep() == Some(Upkeep::unchanged(true))));
    assert!(!path.exists(), "nothing is bound during a drain");
}

/// Puts something at a path.
type Put = fn(&Path) -> Option<UnixListener>;

#[tokio::test]
async fn a_path_that_somebody_took_is_given_up() {
    let takers: [(Put, &str); 3] = [
        (|path| UnixListener::bind(path).ok(), "another server is listening there"),
        (|path| fs::write(path, "precious").err().map(|error| panic!("{error}")), "a regular file is there"),
        (|path| fs::create_dir(path).err().map(|error| panic!("{error}")), "a directory is there"),
    ];
    for scheme in SCHEMES {
        for (put, reason) in takers {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            let mut bound = bind(&endpoint(scheme, &path)).await.unwrap();
            fs::remove_file(&path).unwrap();
            let _taker = put(&path);
            let inode = fs::symlink_metadata(&path).unwrap().ino();
            let Upkeep { reachable: false, news: Some(news), .. } = upkeep(&mut bound) else { panic!("{reason}") };
            assert!(news.starts_with("another program uses the path; it is no longer served here: "), "{news}");
            assert!(news.contains(reason), "{news}");
            assert!(!dir.path().join("s.lock").exists());
            // For good, also when it is free again.
            assert_eq!(upkeep(&mut bound), Upkeep::unchanged(false));
            drop(bound);
            assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), inode, "it is not ours to remove");
        }
    }
}

#[tokio::test]
async fn a_dead_socket_at_the_path_is_replaced() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let mut bound = bind(&endpoint(scheme, &path)).await.unwrap();
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(upkeep(&mut bound), again());
        connect(&bound.local()).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_bound_again_is_tried_until_it_can() {
    for scheme in SCHEMES {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("d");
        fs::create_dir(&inner).unwrap();
        let mut bound = bind(&endpoint(scheme, &inner.join("s"))).await.unwrap();
        fs::remove_dir_all(&inner).unwrap();
        let Upkeep { reachable: false, news: Some(news), .. } = upkeep(&mut bound) else { panic!() };
        let wanted = format!("binding the path again fails: the directory {} does not exist", inner.display());
        assert!(news.ends_with(&wanted), "{news}");
        assert_eq!(upkeep(&mut bound), Upkeep::unchanged(false));
        // The lock's file has gone too: it is taken anew.
        fs::create_dir(&inner).unwrap();
        assert_eq!(upkeep(&mut bound), again());
        assert!(inner.join("s.lock").exists());
        connect(&bound.local()).await.unwrap();
        drop(bound);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_file_that_was_moved_away_and_back_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (inner, other) = (dir.path().join("d"), dir.path().join("e"));
    fs::create_dir(&inner).unwrap();
    let mut bound = bind(&endpoint("unix", &inner.join("s"))).await.unwrap();
    fs::rename(&inner, &other).unwrap();
    assert!(!upkeep(&mut bound).reachable);
    fs::rename(&other, &inner).unwrap();
    assert_eq!(upkeep(&mut bound), Upkeep::changed(true, "the socket's file is back"));
    connect(&bound.local()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_abstract_name_cannot_go() {
    let place = |scheme: &str| format!("{scheme}:@swapwire-upkeep-{}", std::process::id()).parse::<Endpoint>().unwrap();
    assert_eq!(listen(&place("unix").with_option("allow_uid", "self")).await.upkeep(), None);
    assert_eq!(socket(&place("unix-dgram")).await.upkeep(), None);
}

/// Answers what waits, and gives how much that was.
async fn answer(server: &mut Box<dyn DatagramSocket>, count: usize) {
    let mut got = Vec::new();
    while got.len() < count {
        got.extend(receive(server, 8, MAX_MESSAGE + 1).await);
    }
    let mut replies = SendBatch::new();
    got.iter().for_each(|(meta, bytes)| replies.push(&bytes.to_ascii_uppercase(), meta.peer.unwrap(), None));
    let mut sent = 0;
    while sent < count {
        sent += poll_fn(|cx| server.poll_send(cx, &replies, sent)).await.unwrap();
    }
}

#[tokio::test]
async fn clients_of_a_datagram_socket_go_on_and_new_ones_come() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = socket(&endpoint("unix-dgram", &path)).await;
    let client = |name: &str| UnixDatagram::bind(dir.path().join(name)).unwrap();
    let (connected, loose) = (client("connected"), client("loose"));
    connected.connect(&path).unwrap();
    loose.send_to(b"waits", &path).unwrap();
    connected.send(b"waits").unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(server.upkeep(), Some(again()));
    let newcomer = client("newcomer");
    newcomer.connect(&path).unwrap();
    newcomer.send(b"comes").unwrap();
    answer(&mut server, 3).await;
    let heard = |socket: &UnixDatagram| {
        let mut reply = [0; 9];
        let len = socket.recv(&mut reply).unwrap();
        String::from_utf8(reply[..len].to_vec()).unwrap()
    };
    assert_eq!([&connected, &loose, &newcomer].map(heard), ["WAITS", "WAITS", "COMES"]);
    for round in 0..20 {
        connected.send(format!("old {round}").as_bytes()).unwrap();
        newcomer.send(format!("new {round}").as_bytes()).unwrap();
        loose.send_to(format!("any {round}").as_bytes(), &path).unwrap();
        answer(&mut server, 3).await;
        let expected = ["OLD", "ANY", "NEW"].map(|who| format!("{who} {round}"));
        assert_eq!([&connected, &loose, &newcomer].map(heard), expected);
    }
    // Neither keeps the other from being heard: once a queue is empty the reactor is asked.
    let mut queue = 0;
    for socket in [&connected, &newcomer] {
        socket.set_nonblocking(true).unwrap();
        queue = (0..).take_while(|_| socket.send(b"x").is_ok()).count();
    }
    let mut heard = Vec::new();
    for _ in 0..=queue {
        heard.push(receive(&mut server, 1, 9).await[0].0.peer);
    }
    assert!(heard.iter().any(|peer| *peer != heard[0]), "{queue} of {:?} alone", heard[0]);
}
