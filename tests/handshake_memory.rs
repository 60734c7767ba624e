//! TLS handshakes whose peers send most of a long message, and stop, take no more memory than `SECURITY.md` says.
#![allow(clippy::unwrap_used, reason = "the helpers of a test")]

use std::io::Write as _;
use std::net::TcpStream;

use dhat::{HeapStats, Profiler};
use swapwire::core::Place;
use swapwire::handlers::UppercaseEcho;
use swapwire::{Framing, Limits};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const CLIENTS: usize = 100;
/// Of a message that is 65,520 bytes long by its header.
const SENT: usize = 65_000;
/// The server's part and the layer's.
const MOST: usize = (2 + 98) << 10;

/// The records of a ClientHello (RFC 8446, section 4.1.2) whose end is missing, in pieces of so many bytes.
fn endless_hello(piece: usize) -> Vec<u8> {
    let mut message = vec![0; SENT];
    message[..4].copy_from_slice(&[1, 0, 0xff, 0xf0]);
    let record = |piece: &[u8]| {
        let len = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[22, 3, 1, len[0], len[1]], piece].concat()
    };
    message.chunks(piece).flat_map(record).collect()
}

/// One test: the heap is counted for the whole process, in which the clients keep nothing.
#[tokio::test]
async fn a_handshake_that_stalls_keeps_no_more_than_it_may() {
    for piece in [16_384, 100] {
        let _profiler = Profiler::builder().testing().build();
        let limits = Limits::default().handshake_timeout(None);
        let server = swapwire::server().listen("tls+tcp://127.0.0.1:0?self_signed=true").handler(UppercaseEcho);
        let server = server.framing(Framing::Lines).limits(limits).bind().await.unwrap().start();
        let Place::Host { port, .. } = *server.local_endpoints()[0].place() else { panic!("it is on TCP") };
        let hello = endless_hello(piece);
        let before = HeapStats::get().curr_bytes;
        let send = move || {
            let mut clients = Vec::with_capacity(CLIENTS);
            for _ in 0..CLIENTS {
                let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                client.write_all(&hello).unwrap();
                clients.push(client);
            }
            clients
        };
        let clients = tokio::task::spawn_blocking(send).await.unwrap();
        // All of it has arrived when the server keeps as much.
        let kept = || HeapStats::get().curr_bytes - before;
        while server.snapshot().sessions < CLIENTS as u64 || kept() < CLIENTS * SENT {
            tokio::task::yield_now().await;
        }
        let each = (HeapStats::get().max_bytes - before) / CLIENTS;
        println!("{each} bytes for each handshake, in pieces of {piece}");
        assert!(each <= MOST, "{each} bytes");
        assert_eq!(server.snapshot().handshakes_failed, 0);
        let report = server.stop();
        drop(clients);
        assert_eq!(report.await.cut, 0);
    }
}
