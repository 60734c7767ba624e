//! What a connection that waits keeps.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use dhat::{HeapStats, Profiler};
use swapwire_core::{Addr, ConnInfo, FrameDecoder, FrameEncoder, Framing, Link, Peer, Upgrade as _};
use swapwire_ws::Ws;
use tokio::io::{Join, Sink, join, sink};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const CONNECTIONS: usize = 100;
const MAX: usize = 1 << 20;
/// What an allocator adds to each block (glibc's).
const OF_A_BLOCK: usize = 8;

/// What Chromium 130 sends.
const CHROMIUM: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    HeadlessChrome/130.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://127.0.0.1:8080\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// Gives the request, and keeps nothing.
type Stream = Join<&'static [u8], Sink>;
type Connection = (Link, FrameDecoder, FrameEncoder);

fn info() -> ConnInfo {
    let here = Addr::named("mem", "here").unwrap();
    ConnInfo::new(Peer::new(here), here)
}

/// Bytes and blocks of each connection of a server, by what it makes of an accepted stream.
async fn kept(make: impl AsyncFn(Stream) -> Connection) -> (usize, usize) {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    let before = HeapStats::get();
    for _ in 0..CONNECTIONS {
        connections.push(make(join(CHROMIUM, sink())).await);
    }
    let after = HeapStats::get();
    ((after.curr_bytes - before.curr_bytes) / CONNECTIONS, (after.curr_blocks - before.curr_blocks) / CONNECTIONS)
}

#[tokio::test]
async fn behind_a_browsers_request_it_is_at_most_256_bytes_more_than_a_stream() {
    let _profiler = Profiler::builder().testing().build();
    let framing = Framing::length_prefixed();
    let plain = kept(async |stream| (Link::bytes(stream, info()), framing.decoder(MAX), framing.encoder(MAX)));
    let (plain_bytes, plain_blocks) = plain.await;

    let server = Ws::new().server(&"ws+mem:x?path=/chat".parse().unwrap()).await.unwrap();
    let framed = kept(async |stream| {
        let link = server.accept(Box::new(stream), info()).await.unwrap();
        let Link::Framed { framing, .. } = &link else { panic!("no frames") };
        let (decoder, encoder) = (framing.decoder(MAX), framing.encoder(MAX));
        (link, decoder, encoder)
    });
    let (bytes, blocks) = framed.await;
    let more = bytes - plain_bytes + OF_A_BLOCK * (blocks - plain_blocks);
    println!("{more} B more: {bytes} B in {blocks} blocks, without ws {plain_bytes} B in {plain_blocks}");
    assert!(more <= 256, "{more} B: {bytes} B in {blocks} blocks, without ws {plain_bytes} B in {plain_blocks}");
}
