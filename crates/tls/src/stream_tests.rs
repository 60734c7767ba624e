//! The stream over a wire that does as it is told.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Wake;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::engine::{ClientConfig, ClientSettings, KeyPin, Name, ServerConfig, ServerSettings, Trust};
use crate::{Identity, handshake};

/// One direction of a wire.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// All that went this way.
    sent: Vec<u8>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// What it takes now; unlimited without.
    room: Option<usize>,
    reads: usize,
    writes: usize,
}

#[derive(Clone)]
struct Wire {
    input: Arc<Mutex<Way>>,
    output: Arc<Mutex<Way>>,
    /// The longest piece that is moved at once.
    piece: usize,
}

impl Wire {
    fn pair(piece: usize) -> (Self, Self) {
        let (one, other) = (Arc::default(), Arc::default());
        let first = Self { input: Arc::clone(&one), output: Arc::clone(&other), piece };
        (first, Self { input: other, output: one, piece })
    }

    fn output(&self) -> MutexGuard<'_, Way> {
        self.output.lock().unwrap()
    }

    fn input(&self) -> MutexGuard<'_, Way> {
        self.input.lock().unwrap()
    }

    /// Ends what the peer reads, behind what it has of it.
    fn end(&self) {
        let mut way = self.output();
        way.ended = true;
        way.reader.take().inspect(|reader| reader.wake_by_ref());
    }

    fn set_room(&self, room: Option<usize>) {
        let mut way = self.output();
        way.room = room;
        way.writer.take().inspect(|writer| writer.wake_by_ref());
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut way = self.input();
        if way.bytes.is_empty() && !way.ended {
            way.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.reads += 1;
        let len = way.bytes.len().min(into.remaining()).min(self.piece);
        let bytes: Vec<u8> = way.bytes.drain(..len).collect();
        into.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.output();
        let len = bytes.len().min(self.piece).min(way.room.unwrap_or(usize::MAX));
        if len == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.writes += 1;
        way.room = way.room.map(|room| room - len);
        way.bytes.extend(&bytes[..len]);
        way.sent.extend_from_slice(&bytes[..len]);
        way.reader.take().inspect(|reader| reader.wake_by_ref());
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

/// Both configurations, of a version.
#[derive(Clone)]
struct Configs {
    client: ClientConfig,
    server: ServerConfig,
}

impl Configs {
    fn new() -> Self {
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        let client = ClientConfig::new(ClientSettings {
            trust: Trust::Pins(vec![KeyPin::parse(&identity.pin()).unwrap()]),
            identity: None,
            alpn: &[],
            tickets: false,
        });
        let server = ServerConfig::new(ServerSettings {
            identities: vec![identity],
            client_ca: None,
            client_auth: crate::engine::ClientAuth::None,
            alpn: &[],
            only_tls13: false,
            ticketer: None,
        });
        Self { client: client.unwrap(), server: server.unwrap() }
    }

    /// A client and a server behind their handshake, and the wires of each.
    async fn meet(&self, piece: usize, lax: bool) -> (TlsStream, TlsStream, Wire, Wire) {
        let (client_wire, server_wire) = Wire::pair(piece);
        let session = Session::client(&self.client, &Name::parse("localhost").unwrap()).unwrap();
        let mut client = TlsStream::new(Box::new(client_wire.clone()), session, lax);
        client.begin().unwrap();
        let server = TlsStream::new(Box::new(server_wire.clone()), Session::server(&self.server).unwrap(), lax);
        let (client, server) = tokio::try_join!(handshake::run(client), handshake::run(server)).unwrap();
        (client.0, server.0, client_wire, server_wire)
    }
}

async fn pair(piece: usize) -> (TlsStream, TlsStream, Wire, Wire) {
    Configs::new().meet(piece, false).await
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_wire_of_one_byte_at_a_time_is_as_good_as_another() {
    let (mut client, mut server, ..) = pair(1).await;
    let sent = payload(40_000);
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        async {
            client.write_all(&sent).await?;
            client.flush().await
        },
        server.read_exact(&mut got)
    );
    written.unwrap();
    read.unwrap();
    assert!(got == sent);
}

#[tokio::test]
async fn what_is_cut_anywhere_is_never_a_clean_end() {
    let configs = Configs::new();
    let (mut client, _server, wire, _) = configs.meet(usize::MAX, false).await;
    let before = wire.output().sent.len();
    client.write_all(b"one message").await.unwrap();
    client.flush().await.unwrap();
    let message = wire.output().sent.len() - before;
    client.shutdown().await.unwrap();
    let all = wire.output().sent.len() - before;
    for cut in 0..=all {
        for lax in [false, true] {
            let (mut client, mut server, wire, server_wire) = configs.meet(usize::MAX, lax).await;
            client.write_all(b"one message").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(server_wire.input().bytes.len(), all);
            server_wire.input().bytes.truncate(cut);
            wire.end();
            let mut got = Vec::new();
            let ended = server.read_to_end(&mut got).await;
            let whole: &[u8] = if cut >= message { b"one message" } else { b"" };
            assert_eq!(got, whole, "cut after {cut} of {all}");
            let at_border = [0, message].contains(&cut);
            match ended {
                Ok(_) => assert!(cut == all || lax && at_border, "cut after {cut} of {all}, lax {lax}: a clean end"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
                    assert!(error.to_string().contains("without close_notify"), "{error}");
                    assert!(cut < all && !(lax && at_border), "cut after {cut} of {all}, lax {lax}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_changed_byte_is_an_error_behind_what_came_before_it() {
    let (mut client, mut server, wire, server_wire) = pair(usize::MAX).await;
    client.write_all(b"good").await.unwrap();
    client.write_all(b"bad").await.unwrap();
    *server_wire.input().bytes.back_mut().unwrap() ^= 1;
    let mut got = [0; 64];
    assert_eq!(server.read(&mut got).await.unwrap(), 4);
    let error = server.read(&mut got).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().contains("changed on its way")),
        (ErrorKind::InvalidData, true),
        "{error}"
    );
    server.read(&mut got).await.unwrap_err();
    // The client is told why.
    let error = client.read(&mut got).await.unwrap_err();
    assert!(error.to_string().contains("alert bad_record_mac"), "{error}");
    drop(wire);
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (mut client, mut server, ..) = pair(usize::MAX).await;
    client.shutdown().await.unwrap();
    // Once, however often it is asked for.
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut got = [0; 64];
    assert_eq!(server.read(&mut got).await.unwrap(), 0);
    server.write_all(b"still here").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.read(&mut got).await.unwrap(), 10);
    server.shutdown().await.unwrap();
    assert_eq!(client.read(&mut got).await.unwrap(), 0);
    assert_eq!(client.read(&mut got).await.unwrap(), 0);
}

#[tokio::test]
async fn a_drop_says_no_goodbye() {
    let (client, mut server, wire, _) = pair(usize::MAX).await;
    let before = wire.output().sent.len();
    drop(client);
    assert_eq!(wire.output().sent.len(), before);
    wire.end();
    let mut got = [0; 64];
    assert_eq!(server.read(&mut got).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn small_buffers_read_all_and_in_order() {
    let (mut client, mut server, ..) = pair(usize::MAX).await;
    let sent = payload(50_000);
    client.write_all(&sent).await.unwrap();
    let mut got = Vec::new();
    let mut small = [0; 7];
    while got.len() < sent.len() {
        let len = server.read(&mut small).await.unwrap();
        assert!(len > 0);
        got.extend_from_slice(&small[..len]);
    }
    assert!(got == sent);
    assert_eq!(server.plain.capacity(), 0);
}

#[tokio::test]
async fn new_keys_are_taken_and_answered_with_the_next_write() {
    let (mut client, mut server, wire, _) = pair(usize::MAX).await;
    let mut got = [0; 64];
    for _ in 0..100 {
        client.session.update_keys(&mut client.unsent);
        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.read(&mut got).await.unwrap(), 4);
        server.write_all(b"pong").await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(client.read(&mut got).await.unwrap(), 4);
    }
    drop(wire);
}

#[tokio::test]
async fn a_flood_of_new_keys_ends_and_takes_no_memory() {
    let (mut client, mut server, wire, server_wire) = pair(usize::MAX).await;
    // The peer does not read.
    server_wire.set_room(Some(0));
    let mut got = [0; 64];
    let reading = async {
        let error = server.read(&mut got).await.unwrap_err();
        (error, server)
    };
    let flooding = async {
        for _ in 0..1000 {
            client.session.update_keys(&mut client.unsent);
            client.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let ((error, server), ()) = tokio::join!(reading, flooding);
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert!(server.unsent.len() <= MOST_UNSENT, "{} bytes", server.unsent.len());
    drop(wire);
}

#[tokio::test]
async fn an_idle_connection_keeps_no_buffer() {
    let (mut client, mut server, ..) = pair(usize::MAX).await;
    let sent = payload(200_000);
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        async {
            client.write_all(&sent).await?;
            client.flush().await
        },
        server.read_exact(&mut got)
    );
    written.unwrap();
    read.unwrap();
    for stream in [&client, &server] {
        let kept = [stream.partial.capacity(), stream.plain.capacity(), stream.unsent.capacity()];
        assert_eq!(kept, [0; 3]);
    }
    let size = size_of::<TlsStream>();
    assert!(size <= 192, "{size} bytes");
}

#[tokio::test]
async fn a_write_takes_64_kib_and_writes_once_below() {
    let (mut client, mut server, wire, server_wire) = pair(usize::MAX).await;
    let before = wire.output().writes;
    let sent = payload(100_000);
    let len = client.write(&sent).await.unwrap();
    assert_eq!((len, wire.output().writes - before), (WRITE, 1));
    client.write_all(&sent[len..]).await.unwrap();
    assert_eq!(wire.output().writes - before, 2);

    let before = server_wire.input().reads;
    let mut got = vec![0; sent.len()];
    server.read_exact(&mut got).await.unwrap();
    let (reads, records) = (server_wire.input().reads - before, sent.len().div_ceil(16 << 10));
    assert!(got == sent && reads * 10 <= records * 12, "{reads} reads for {records} records");
}

#[tokio::test]
async fn what_the_wire_does_not_take_is_kept_and_bounded() {
    let (mut client, mut server, wire, _) = pair(usize::MAX).await;
    let sent = payload(WRITE);
    wire.set_room(Some(1000));
    assert_eq!(client.write(&sent).await.unwrap(), WRITE);
    let waker = Waker::noop();
    let mut cx = Context::from_waker(waker);
    for _ in 0..3 {
        assert!(Pin::new(&mut client).poll_write(&mut cx, &sent).is_pending());
        assert!(client.unsent.len() <= MOST_UNSENT);
    }
    wire.set_room(None);
    client.flush().await.unwrap();
    assert_eq!(client.unsent.capacity(), 0);
    let mut got = vec![0; WRITE];
    server.read_exact(&mut got).await.unwrap();
    assert!(got == sent);
}

#[tokio::test]
async fn reading_does_not_take_the_place_of_the_writer() {
    let (mut client, _server, wire, _) = pair(usize::MAX).await;
    wire.set_room(Some(0));
    let (writer, reader) = (Arc::<Woken>::default(), Arc::<Woken>::default());
    let woken = |by: &Arc<Woken>| by.0.load(std::sync::atomic::Ordering::Relaxed);
    let (write_waker, read_waker) = (Waker::from(Arc::clone(&writer)), Waker::from(Arc::clone(&reader)));

    // It is taken, and then there is no room.
    assert!(Pin::new(&mut client).poll_write(&mut Context::from_waker(&write_waker), b"one").is_ready());
    assert!(Pin::new(&mut client).poll_flush(&mut Context::from_waker(&write_waker)).is_pending());
    let mut got = [0; 16];
    let mut into = ReadBuf::new(&mut got);
    assert!(Pin::new(&mut client).poll_read(&mut Context::from_waker(&read_waker), &mut into).is_pending());
    wire.set_room(Some(0));
    assert_eq!((woken(&writer), woken(&reader)), (1, 0));

    // Nobody waits to write: the reader is woken for what it has to.
    client.writer = None;
    assert!(Pin::new(&mut client).poll_read(&mut Context::from_waker(&read_waker), &mut into).is_pending());
    wire.set_room(None);
    assert_eq!((woken(&writer), woken(&reader)), (1, 1));
    assert!(Pin::new(&mut client).poll_read(&mut Context::from_waker(&read_waker), &mut into).is_pending());
    assert!(client.unsent.is_empty());
}

#[tokio::test]
async fn a_handshake_message_without_end_is_refused() {
    let (client_wire, server_wire) = Wire::pair(usize::MAX);
    let server = TlsStream::new(Box::new(server_wire), Session::server(&Configs::new().server).unwrap(), false);
    {
        let mut way = client_wire.output();
        // A ClientHello of 60,000 bytes, of which each record has one.
        let hello = [1, 0, 0xea, 0x60].into_iter().chain(std::iter::repeat(0));
        way.bytes = hello.take(60_000).flat_map(|byte| [22, 3, 3, 0, 1, byte]).collect();
    }
    client_wire.end();
    let error = handshake::run(server).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("longer")), (ErrorKind::InvalidData, true), "{error}");
}
