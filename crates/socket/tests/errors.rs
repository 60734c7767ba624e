//! Errors of the system that may pass are waited out, all others are the end. On a paused clock.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{self, Error, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use swapwire_socket::{Registered, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

/// A socket whose calls fail with `errno` so many times, and then work.
#[derive(Clone, Debug)]
struct Failing {
    errno: i32,
    left: Arc<AtomicU32>,
}

impl Failing {
    fn times(errno: i32, times: u32) -> Self {
        Self { errno, left: Arc::new(AtomicU32::new(times)) }
    }

    fn call(&self) -> io::Result<usize> {
        match self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::from_raw_os_error(self.errno)),
            Err(_) => Ok(1),
        }
    }
}

impl Registered for Failing {
    fn try_recv(&mut self, into: &mut [u8]) -> io::Result<usize> {
        into[0] = b'x';
        self.call()
    }

    fn try_write_vectored(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        self.call()
    }

    fn try_write(&mut self, _: &[u8]) -> io::Result<usize> {
        self.call()
    }

    fn poll_read_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `recv(2)`, `send(2)`; `EAGAIN` is no error of a socket that does not block.
const PASS: [i32; 3] = [libc::ENOBUFS, libc::ENOMEM, libc::EINTR];

#[tokio::test(start_paused = true)]
async fn each_number_is_waited_out_or_the_end() {
    for errno in (1..=133).filter(|errno| *errno != libc::EAGAIN) {
        let fake = Failing::times(errno, 5);
        let (begun, mut buf) = (Instant::now(), [0; 8]);
        let passes = PASS.contains(&errno);
        let (mut reads, mut writes) = (Stream::new(fake.clone()), Stream::new(Failing::times(errno, 5)));
        let [read, write] = [reads.read(&mut buf).await, writes.write(b"x").await];
        for (what, result) in [("recv", read), ("send", write)] {
            match result {
                Ok(len) => assert!(passes && len == 1, "{what}, {errno}"),
                Err(error) => assert!(!passes && error.raw_os_error() == Some(errno), "{what}: {error}"),
            }
        }
        // Five pauses each, or none; and no call between.
        let expected = if passes { Duration::from_millis(100) } else { Duration::ZERO };
        assert_eq!(begun.elapsed(), expected, "{errno}");
        assert_eq!(fake.left.load(Relaxed), if passes { 0 } else { 4 }, "{errno}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_direction_wakes_its_own_task() {
    let (mut reading, mut writing) = tokio::io::split(Stream::new(Failing::times(libc::ENOBUFS, 2)));
    let read = tokio::spawn(async move { reading.read(&mut [0; 8]).await.unwrap() });
    let write = tokio::spawn(async move { writing.write(b"x").await.unwrap() });
    assert_eq!((read.await.unwrap(), write.await.unwrap()), (1, 1));
}
