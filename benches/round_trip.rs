//! How long one message takes there and back: one under way on each connection. And what our client costs beside a plain
//! socket, both against our server.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]
#![allow(dead_code, reason = "the benches share a module, and none uses all of it")]

mod common;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Kind, Server, Wire};
use criterion::{BenchmarkId, Criterion};
use swapwire::core::Place;
use swapwire::{ByteStream, Framing, Link, Session, SessionConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;

fn main() {
    let mut criterion = common::criterion();
    common::cell::matrix(&mut criterion, "round-trip", 1);
    for wire in Wire::ALL {
        clients(&mut criterion, wire);
    }
    criterion.final_summary();
}

/// What every wire carries.
const CLIENT_SIZES: [usize; 3] = [64, 1024, 16 * 1024];

/// Both clients against the same server. What is measured is the client's own code, so it is not the load generator's.
fn clients(criterion: &mut Criterion, wire: Wire) {
    let mut group = common::group(criterion, format!("client/{}", wire.name()));
    for size in CLIENT_SIZES {
        group.throughput(common::throughput(1, size));
        for name in &["session", "raw"][..1 + usize::from(wire.is_plain())] {
            group.bench_function(BenchmarkId::new(*name, size), |bencher| {
                let (server, mut message) = (Server::start(Kind::Swapwire, wire, &Framing::Chunks), Message::new(size));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let mut client = runtime.block_on(async {
                    if *name == "session" { Client::session(&server).await } else { Client::raw(&server).await }
                });
                bencher.iter_custom(|messages| {
                    let begun = Instant::now();
                    let all = async {
                        for _ in 0..messages {
                            message.renew();
                            client.exchange(&mut message).await;
                        }
                    };
                    // With one message under way no queue is ever full.
                    runtime.block_on(async { timeout(PATIENCE, all).await }).expect("a message was lost");
                    begun.elapsed()
                });
            });
        }
    }
    group.finish();
}

/// No sample takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A message begins with its number, so that each differs from the one before.
const TAG: usize = 16;

struct Message {
    number: u64,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// What a plain socket receives.
    buf: Vec<u8>,
}

impl Message {
    fn new(size: usize) -> Self {
        let request: Vec<u8> = (0..size).map(|at| (at * 31) as u8).collect();
        Self { number: 0, reply: request.to_ascii_uppercase(), request, buf: vec![0; size] }
    }

    fn renew(&mut self) {
        self.number += 1;
        for part in [&mut self.request, &mut self.reply] {
            write!(&mut part[..TAG], "{:0TAG$}", self.number).unwrap();
        }
    }
}

enum Client {
    Session(Session),
    Stream(Box<dyn ByteStream>),
    Udp(UdpSocket),
    UnixDgram(UnixDatagram),
}

impl Client {
    async fn session(server: &Server) -> Self {
        let connect = swapwire::connect_with(&server.registry, server.endpoint.clone(), SessionConfig::default());
        Self::Session(connect.await.unwrap())
    }

    /// Without anything of ours in it, but for memory, where the wire itself is ours.
    async fn raw(server: &Server) -> Self {
        match (server.endpoint.scheme(), server.endpoint.place()) {
            ("tcp", Place::Host { host, port }) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Self::Stream(Box::new(stream))
            }
            ("udp", Place::Host { host, port }) => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect((host.as_str(), *port)).await.unwrap();
                Self::Udp(socket)
            }
            ("unix", Place::Path(path)) => Self::Stream(Box::new(UnixStream::connect(path).await.unwrap())),
            ("unix-dgram", Place::Path(path)) => {
                // Linux chooses a name for an empty one, as for ours (`unix(7)`, "Autobind feature").
                let own = if cfg!(target_os = "linux") { PathBuf::new() } else { path.with_extension("client") };
                let socket = UnixDatagram::bind(own).unwrap();
                socket.connect(path).unwrap();
                Self::UnixDgram(socket)
            }
            _ => match server.registry.connect(&server.endpoint).await.unwrap() {
                Link::Bytes { io, .. } => Self::Stream(io),
                link => panic!("{link:?} is not a byte stream"),
            },
        }
    }

    /// Sends the message, and takes and checks its reply.
    async fn exchange(&mut self, Message { request, reply, buf, .. }: &mut Message) {
        match self {
            Self::Session(session) => {
                session.send(&*request).await.unwrap();
                let mut missing = &reply[..];
                while !missing.is_empty() {
                    let chunk = session.recv().await.unwrap().expect("the server closed");
                    missing = missing.strip_prefix(&chunk[..]).expect("a wrong reply");
                }
                return;
            }
            Self::Stream(stream) => {
                stream.write_all(request).await.unwrap();
                stream.read_exact(buf).await.unwrap();
            }
            Self::Udp(socket) => {
                socket.send(request).await.unwrap();
                assert_eq!(socket.recv(buf).await.unwrap(), buf.len(), "a wrong reply");
            }
            Self::UnixDgram(socket) => {
                socket.send(request).await.unwrap();
                assert_eq!(socket.recv(buf).await.unwrap(), buf.len(), "a wrong reply");
            }
        }
        assert!(buf == reply, "a wrong reply");
    }
}
