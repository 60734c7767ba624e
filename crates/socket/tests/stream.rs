//! What a stream promises, over both kinds of socket: no byte is lost or waits for news that has come, an end is an end, a
//! reset is an error, and a task that never has to wait lets others run.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use swapwire_socket::{Descriptor, Registered, Stream};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (one, other) = tokio::join!(connect, listener.accept());
    (one.unwrap(), other.unwrap().0)
}

fn unix() -> (Descriptor<std::os::unix::net::UnixStream>, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    (Descriptor::new(one.into_std().unwrap()), other)
}

/// Runs a test over TCP and over a Unix socket.
macro_rules! over_both {
    ($($name:ident => $test:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let (one, other) = tcp().await;
            timeout(PATIENCE, $test(Stream::new(one), other)).await.expect("it goes on");
            let (one, other) = unix();
            timeout(PATIENCE, $test(Stream::new(one), other)).await.expect("it goes on");
        }
    )+};
}

over_both! {
    bytes_that_come_whenever_are_all_read => come_whenever,
    an_end_behind_bytes_is_an_end_and_the_other_way_stays_open => half_close,
    what_does_not_fit_is_written_when_there_is_room => too_much,
    a_task_that_never_waits_lets_others_run => fairness,
}

trait Raw: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static> Raw for T {}

/// In pieces that just fill the buffer, leave room in it, or come between a read and its next.
async fn come_whenever(mut stream: Stream<impl Registered>, mut peer: impl Raw) {
    let sent: Vec<u8> = (0..200_000_u32).map(|at| (at * 31 % 251) as u8).collect();
    let bytes = sent.clone();
    let writer = tokio::spawn(async move {
        let mut at = 0;
        for (turn, len) in [1, 64, 63, 65, 128, 4096, 7].into_iter().cycle().enumerate() {
            let end = bytes.len().min(at + len);
            peer.write_all(&bytes[at..end]).await.unwrap();
            at = end;
            if at == bytes.len() {
                return peer;
            }
            if turn % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
        peer
    });
    let (mut got, mut buf) = (Vec::new(), [0; 64]);
    while got.len() < sent.len() {
        let len = stream.read(&mut buf).await.unwrap();
        assert!(len > 0, "the end after {} bytes", got.len());
        got.extend_from_slice(&buf[..len]);
    }
    assert!(got == sent, "other bytes");
    drop(writer.await.unwrap());
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
}

async fn half_close(mut stream: Stream<impl Registered>, mut peer: impl Raw) {
    // The end arrives with the last bytes: a read that leaves room must not wait for more news.
    peer.write_all(b"last").await.unwrap();
    peer.shutdown().await.unwrap();
    let mut buf = [0; 64];
    assert_eq!(stream.read(&mut buf).await.unwrap(), 4);
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
    stream.write_all(b"still here").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    peer.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "still here");
}

async fn too_much(mut stream: Stream<impl Registered>, mut peer: impl Raw) {
    let sent: Vec<u8> = (0..4_000_000_u32).map(|at| (at * 7 % 253) as u8).collect();
    let bytes = sent.clone();
    let writer = tokio::spawn(async move {
        let mut at = 0;
        while at < bytes.len() {
            let (head, tail) = bytes[at..].split_at((bytes.len() - at) / 3);
            let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]).await.unwrap();
            assert!(written > 0);
            at += written;
        }
        stream.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    peer.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == sent, "other bytes");
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Neither reading nor writing goes on for ever where the other end keeps up; the task is woken at once.
async fn fairness(mut stream: Stream<impl Registered>, mut peer: impl Raw) {
    peer.write_all(&[7; 1000]).await.unwrap();
    // The reactor has heard of it.
    stream.read_exact(&mut [0]).await.unwrap();
    let wakes = Arc::new(Counts::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut row = |stream: &mut Stream<_>, reads: bool| {
        let before = wakes.0.load(SeqCst);
        for calls in 0..500 {
            let mut byte = [0];
            let polled = if reads {
                Pin::new(&mut *stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).map_ok(|()| 1)
            } else {
                Pin::new(&mut *stream).poll_write(&mut cx, &byte)
            };
            match polled {
                Poll::Ready(result) => assert_eq!(result.unwrap(), 1),
                Poll::Pending => {
                    assert_eq!(wakes.0.load(SeqCst), before + 1, "it is not woken");
                    return calls;
                }
            }
        }
        500
    };
    assert!(row(&mut stream, true) <= 128);
    assert_eq!(row(&mut stream, true), 128);
    assert!(row(&mut stream, false) <= 128);
    assert_eq!(row(&mut stream, false), 128);
}

#[tokio::test]
async fn a_reset_is_an_error_and_not_an_end() {
    let (one, other) = tcp().await;
    let mut stream = Stream::new(one);
    other.set_zero_linger().unwrap();
    drop(other);
    let error = timeout(PATIENCE, stream.read(&mut [0; 64])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = timeout(PATIENCE, poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, b"x"))).await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
}
