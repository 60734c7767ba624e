//! An echoed message costs no allocation once its connection is warm, with all limits and deadlines on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "the helpers of a test")]

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use dhat::{HeapStats, Profiler};
use swapwire::core::Place;
use swapwire::handlers::UppercaseEcho;
use swapwire::{Endpoint, Framing};
use tempfile::TempDir;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const WARM_UP: usize = 200;
const MESSAGES: usize = 2_000;
const SIZES: [usize; 2] = [64, 1024];
/// Nothing takes so long; a lost datagram fails the test.
const PATIENCE: Duration = Duration::from_secs(10);

/// One test: the heap is counted for the whole process.
#[test]
fn an_echoed_message_allocates_nothing() {
    let _profiler = Profiler::builder().testing().build();
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let cases = [
        ("tcp://127.0.0.1:0".to_owned(), Framing::Chunks),
        ("tcp://127.0.0.1:0".to_owned(), Framing::Lines),
        (format!("unix:{}", at("stream")), Framing::Chunks),
        ("udp://127.0.0.1:0".to_owned(), Framing::Chunks),
        (format!("unix-dgram:{}", at("datagram")), Framing::Chunks),
    ];
    let mut found = Vec::new();
    for (endpoint, framing) in cases {
        serve(&endpoint, framing.clone(), |endpoint| {
            for size in SIZES {
                let mut client = Client::connect(endpoint, dir.path());
                // The harness has a thread of its own, which allocates to tell of a test that takes long, and does so once.
                let count = (0..3).map(|_| count(&mut client, size)).min().unwrap();
                println!("{endpoint} {framing:?} {size} B: {count} allocations in {MESSAGES} messages");
                if count > 0 {
                    found.push(format!("{endpoint} {framing:?} {size} B: {count}"));
                }
            }
        });
    }
    assert!(found.is_empty(), "allocations in {MESSAGES} messages: {found:#?}");
}

/// Runs `client` beside a server with one thread of its own.
fn serve(endpoint: &str, framing: Framing, client: impl FnOnce(&Endpoint)) {
    let builder = swapwire::server().listen(endpoint).handler(UppercaseEcho).framing(framing);
    let (bound, listening) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = builder.bind().await.unwrap();
            bound.send(server.local_endpoints()[0].clone()).unwrap();
            server.run_until(async { stopped.await.unwrap_or(()) }).await
        })
    });
    client(&listening.blocking_recv().unwrap());
    drop(stop);
    let report = server.join().unwrap();
    assert!(report.stats.messages >= (SIZES.len() * (WARM_UP + MESSAGES)) as u64, "{report}");
}

/// The blocks that were allocated while [`MESSAGES`] messages of `size` bytes went there and back.
fn count(client: &mut Client, size: usize) -> u64 {
    let mut request: Vec<u8> = (b'A'..=b'z').cycle().take(size).collect();
    request[size - 1] = b'\n';
    let expected = request.to_ascii_uppercase();
    let mut reply = vec![0; size];
    let mut echo = |messages| {
        for _ in 0..messages {
            client.exchange(&request, &mut reply);
            assert!(reply == expected, "a wrong reply");
        }
    };
    echo(WARM_UP);
    let before = HeapStats::get().total_blocks;
    echo(MESSAGES);
    HeapStats::get().total_blocks - before
}

/// A plain socket.
enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
    UnixDgram(UnixDatagram),
}

impl Client {
    fn connect(endpoint: &Endpoint, dir: &Path) -> Self {
        match (endpoint.scheme(), endpoint.place()) {
            ("tcp", Place::Host { host, port }) => {
                let stream = TcpStream::connect((host.as_str(), *port)).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Tcp(stream)
            }
            ("udp", Place::Host { host, port }) => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect((host.as_str(), *port)).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Udp(socket)
            }
            ("unix", Place::Path(path)) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Unix(stream)
            }
            ("unix-dgram", Place::Path(path)) => {
                let own = TempDir::new_in(dir).unwrap().keep().join("client");
                let socket = UnixDatagram::bind(own).unwrap();
                socket.connect(path).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::UnixDgram(socket)
            }
            _ => panic!("no client for {endpoint}"),
        }
    }

    fn exchange(&mut self, request: &[u8], reply: &mut [u8]) {
        match self {
            Self::Tcp(stream) => exchange(stream, request, reply),
            Self::Unix(stream) => exchange(stream, request, reply),
            Self::Udp(socket) => {
                socket.send(request).unwrap();
                assert_eq!(socket.recv(reply).unwrap(), request.len());
            }
            Self::UnixDgram(socket) => {
                socket.send(request).unwrap();
                assert_eq!(socket.recv(reply).unwrap(), request.len());
            }
        }
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8], reply: &mut [u8]) {
    stream.write_all(request).unwrap();
    stream.read_exact(reply).unwrap();
}
