//! Clients that keep so many messages under way: they send all, take all replies, and send the next. They hold the link
//! itself, so that they cost little, and look at every reply.

use std::future::poll_fn;
use std::task::{Poll, ready};

use swapwire::core::RecvBatch;
use swapwire::mem::MemNetwork;
use swapwire::{ByteStream, Framing, IntoService, Link, MessageStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::handlers::Server;
use super::{SIZE, WARM_UP};

/// One message: a line.
fn request() -> [u8; SIZE] {
    let mut request = [b'a'; SIZE];
    request[SIZE - 1] = b'\n';
    request
}

/// Of a byte stream in memory.
pub struct Bytes {
    io: Box<dyn ByteStream>,
    server: Server,
    depth: usize,
    requests: Vec<u8>,
    expected: Vec<u8>,
    buf: Vec<u8>,
}

impl Bytes {
    pub fn new<K>(handler: impl IntoService<K>, framing: Framing, depth: usize) -> Self {
        let server = Server::start(MemNetwork::new(), "mem:bench", handler, framing);
        let connect = async { server.registry.connect(&"mem:bench".parse().unwrap()).await.unwrap() };
        let Link::Bytes { io, .. } = server.runtime.block_on(connect) else { unreachable!("mem is a byte stream") };
        let requests = request().repeat(depth);
        let (expected, buf) = (requests.to_ascii_uppercase(), vec![0; requests.len()]);
        let mut this = Self { io, server, depth, requests, expected, buf };
        this.run(WARM_UP);
        this
    }

    pub fn run(&mut self, messages: usize) {
        let Self { io, server, depth, requests, expected, buf } = self;
        server.runtime.block_on(async {
            for _ in 0..messages / *depth {
                io.write_all(requests).await.unwrap();
                io.read_exact(buf).await.unwrap();
                assert!(buf == expected, "a wrong reply");
            }
        });
    }
}

/// Of a wire in memory that keeps boundaries.
pub struct Messages {
    io: Box<dyn MessageStream>,
    server: Server,
    depth: usize,
    request: [u8; SIZE],
    expected: Vec<u8>,
    batch: RecvBatch,
}

impl Messages {
    pub fn new<K>(endpoint: &str, handler: impl IntoService<K>, depth: usize) -> Self {
        let server = Server::start(MemNetwork::new(), endpoint, handler, Framing::Chunks);
        let connect = async { server.registry.connect(&endpoint.parse().unwrap()).await.unwrap() };
        let Link::Messages { io, .. } = server.runtime.block_on(connect) else { unreachable!("not a byte stream") };
        let expected = request().to_ascii_uppercase();
        let mut this = Self { io, server, depth, request: request(), expected, batch: RecvBatch::new(depth, SIZE + 1) };
        this.run(WARM_UP);
        this
    }

    pub fn run(&mut self, messages: usize) {
        let Self { io, server, depth, request, expected, batch } = self;
        server.runtime.block_on(async {
            for _ in 0..messages / *depth {
                let mut unsent = *depth;
                let sent = poll_fn(|cx| {
                    while unsent > 0 {
                        match ready!(io.poll_send(cx, request)) {
                            Ok(()) => unsent -= 1,
                            Err(error) => return Poll::Ready(Err(error)),
                        }
                    }
                    io.poll_flush(cx)
                });
                sent.await.unwrap();
                let mut missing = *depth;
                while missing > 0 {
                    batch.clear();
                    missing -= poll_fn(|cx| io.poll_recv_batch(cx, batch)).await.unwrap().expect("the server closed");
                    assert!(batch.iter().all(|(_, reply)| reply == &expected[..]), "a wrong reply");
                }
            }
        });
    }
}
