//! What the reactor is told of a descriptor, and that nobody waits for a registration that is gone.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use swapwire_socket::{Descriptor, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, split};

const EPOLLOUT: u32 = 0x4;

fn pair() -> (Descriptor<UnixStream>, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (Descriptor::new(one), other)
}

/// Whether an epoll instance of this process waits for room to write at `socket`; `None` if none watches it
/// (`proc_pid_fdinfo(5)`).
fn watched_for_room(socket: &UnixStream) -> Option<bool> {
    let tfd = socket.as_raw_fd().to_string();
    let infos =
        fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let lines: Vec<String> = infos.flat_map(|info| info.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut words = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let events = words.find(|words| words.len() > 3 && words[0] == "tfd:" && words[1] == tfd)?[3].to_owned();
    Some(u32::from_str_radix(&events, 16).unwrap() & EPOLLOUT != 0)
}

/// Writes until there is no room, and waits for it; once `Pending`, the peer reads all there is.
async fn fill_and_wait(one: &mut Descriptor<UnixStream>, other: &mut UnixStream) {
    while one.try_write(|mut socket| socket.write(&[0; 4096])).is_ok() {}
    let mut waited = false;
    poll_fn(|cx| match one.poll_write_ready(cx) {
        // What the reactor found when it was told to look: the socket is still full.
        Poll::Ready(Ok(())) if !waited => {
            let full = one.try_write(|mut socket| socket.write(&[0; 4096]));
            assert_eq!(full.unwrap_err().kind(), ErrorKind::WouldBlock);
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending if !waited => {
            waited = true;
            let mut sink = [0; 65_536];
            while other.read(&mut sink).is_ok() {}
            Poll::Pending
        }
        done => done,
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_reactor_looks_for_room_only_while_a_write_needs_it() {
    let (mut one, mut other) = pair();
    assert_eq!(watched_for_room(one.get_ref()), None, "it was not polled yet");
    other.write_all(b"x").unwrap();
    poll_fn(|cx| one.poll_read_ready(cx)).await.unwrap();
    assert_eq!(watched_for_room(one.get_ref()), Some(false));
    one.try_write(|mut socket| socket.write(b"y")).unwrap();
    assert_eq!(watched_for_room(one.get_ref()), Some(false));

    fill_and_wait(&mut one, &mut other).await;
    assert_eq!(watched_for_room(one.get_ref()), Some(true));
    let mut byte = [0];
    for turn in 0..1024 {
        assert_eq!(watched_for_room(one.get_ref()), Some(true), "after {turn} writes");
        one.try_write(|mut socket| socket.write(b"z")).unwrap();
        while other.read(&mut byte).is_ok() {}
    }
    assert_eq!(watched_for_room(one.get_ref()), Some(false));
    // What had arrived before is still known.
    poll_fn(|cx| one.poll_read_ready(cx)).await.unwrap();
}

#[tokio::test]
async fn a_reader_in_a_task_of_its_own_hears_what_comes_behind_a_write_that_waited() {
    let (one, mut other) = pair();
    let (mut reader, mut writer) = split(Stream::new(one));
    let reading = tokio::spawn(async move {
        let mut byte = [0];
        reader.read_exact(&mut byte).await.map(|_| byte[0])
    });
    // It waits, at the first registration.
    tokio::task::yield_now().await;
    poll_fn(|cx| {
        while Pin::new(&mut writer).poll_write(cx, &[0; 65_536]).is_ready() {}
        Poll::Ready(())
    })
    .await;
    other.write_all(b"!").unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it hears it");
    assert_eq!(heard.unwrap().unwrap(), b'!');
}
