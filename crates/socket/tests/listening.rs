//! A descriptor at which connections arrive: where it is watched, and what it does once it was shut down.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};

use socket2::SockRef;
use swapwire_socket::Listening;
use tokio::io::unix::AsyncFd;

type Socket = Listening<AsyncFd<UnixListener>>;

/// Under an abstract name, which leaves no file behind (`unix(7)`).
fn bound(name: &str) -> (UnixListener, impl Fn() -> io::Result<UnixStream>) {
    let addr = SocketAddr::from_abstract_name(format!("listening-{name}-{}", std::process::id())).unwrap();
    let socket = UnixListener::bind_addr(&addr).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, move || UnixStream::connect_addr(&addr))
}

/// On a runtime of its own, which is gone afterwards.
fn elsewhere<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// How often `accept` wakes its task, where nobody comes.
async fn wakes<R>(accept: impl Future<Output = io::Result<R>>) -> usize {
    /// A runtime asks its reactor for news each 61 turns.
    const TURNS: usize = 1000;
    let wakes = Arc::new(Wakes(AtomicUsize::new(1)));
    let waker = Waker::from(Arc::clone(&wakes));
    let (mut accept, mut seen) = (pin!(accept), 0);
    for _ in 0..TURNS {
        if wakes.0.load(Relaxed) > seen {
            seen = wakes.0.load(Relaxed);
            assert!(accept.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "nobody came");
        }
        tokio::task::yield_now().await;
    }
    seen
}

async fn take(listening: &mut Socket) {
    listening.accept(UnixListener::accept).await.unwrap();
}

#[test]
fn it_belongs_to_the_runtime_that_polls_it() {
    let (socket, dial) = bound("polled");
    let mut listening: Socket = Listening::new(socket);
    let _client = dial().unwrap();
    elsewhere(take(&mut listening));
    // Only once: that runtime is gone.
    let _client = dial().unwrap();
    assert!(elsewhere(listening.accept(UnixListener::accept)).is_err());
}

#[tokio::test]
async fn all_who_wait_are_taken_after_a_shutdown_and_then_it_is_quiet() {
    for polled_before in [true, false] {
        let (socket, dial) = bound("refuses");
        let shared: Socket = Listening::new(socket.try_clone().unwrap());
        let mut listening: Socket = Listening::new(socket);
        if polled_before {
            assert!(wakes(listening.accept(UnixListener::accept)).await < 8);
        }
        let _waiting = [dial().unwrap(), dial().unwrap()];
        // By whoever has a descriptor of the same socket.
        SockRef::from(shared.get_ref()).shutdown(Shutdown::Read).unwrap();
        assert!(dial().is_err());
        take(&mut listening).await;
        take(&mut listening).await;
        for mut listening in [listening, shared] {
            assert!(wakes(listening.accept(UnixListener::accept)).await < 8);
        }
    }
}

#[tokio::test]
async fn a_socket_that_calls_its_shutdown_an_error_is_quiet_as_well() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    SockRef::from(&socket).shutdown(Shutdown::Read).unwrap();
    assert_eq!(socket.accept().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let mut listening: Listening<AsyncFd<std::net::TcpListener>> = Listening::new(socket);
    assert!(wakes(listening.accept(std::net::TcpListener::accept)).await < 8);
}

#[tokio::test]
async fn other_errors_are_given() {
    let (socket, dial) = bound("errors");
    let mut listening: Socket = Listening::new(socket);
    let _client = dial().unwrap();
    let failed = listening.accept(|_| Err::<(), _>(io::Error::from_raw_os_error(24))).await;
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(24));
    take(&mut listening).await;
    let descriptor = listening.get_ref().as_raw_fd();
    assert_eq!(listening.into_inner().as_raw_fd(), descriptor);
}
