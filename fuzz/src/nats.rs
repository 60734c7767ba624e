//! What a broker of NATS says once it has accepted, whole and in pieces.
//!
//! Pieces change nothing, what was published comes out, what is told is one line, and nothing panics.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, DatagramSocket, Endpoint, Link, Peer, RecvBatch,
    Transport, async_trait,
};
use swapwire_nats::Nats;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::endpoint::is_one_line;
use super::handshake::{Pieces, here};
use super::source::Source;

const INFO: &[u8] = b"INFO {\"max_payload\":256,\"headers\":true}\r\nPONG\r\nPONG\r\n";
/// Room for what we say, which is not read.
const OURS: usize = 4096;
/// What was received: where a reply goes to, the message, and whether it was cut off.
type Received = Vec<(Option<Addr>, Vec<u8>, bool)>;

/// Connects to one broker, by pieces of these lengths, and to none behind it.
#[derive(Clone)]
struct Once(Arc<Mutex<Option<DuplexStream>>>, Vec<u8>);

#[async_trait]
impl Transport for Once {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["once".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Err(BindError::invalid(endpoint, "it only connects"))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(io) => Ok(Link::bytes(Pieces::new(io, &self.1, None), ConnInfo::new(Peer::new(here()), here()))),
            None => {
                let source = io::ErrorKind::ConnectionRefused.into();
                Err(ConnectError::Io { endpoint: endpoint.clone(), source })
            }
        }
    }
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Whether messages follow or anything, the lengths of the pieces, and what the broker says.
pub fn nats(data: &[u8]) {
    let mut source = Source::new(data);
    let is_rubbish = source.flag();
    let count = source.below(16);
    let pieces = source.take(count);
    let (mut said, mut published) = (Vec::new(), None);
    if is_rubbish {
        said.extend_from_slice(source.rest());
    } else {
        published = Some(publish(&mut source, &mut said));
    }
    RUNTIME.with(|runtime| {
        let (whole, cut) = (runtime.block_on(receive(&said, &[])), runtime.block_on(receive(&said, pieces)));
        assert_eq!(whole, cut, "{}", said.escape_ascii());
        assert!(published.is_none_or(|published| published == whole), "{}", said.escape_ascii());
    });
}

/// Says messages, and what brokers say between them.
fn publish(source: &mut Source<'_>, said: &mut Vec<u8>) -> Received {
    let mut published = Vec::new();
    while !source.is_empty() && published.len() < 64 {
        let between: [&[u8]; 5] = [b"", b"PING\r\n", b"+OK\r\n", b"PONG\r\n", b"INFO {}\r\n"];
        said.extend_from_slice(between[source.below(between.len())]);
        let (has_headers, reply, len) = (source.flag(), source.below(120), source.below(300));
        let headers: &[u8] = if has_headers { b"NATS/1.0\r\n\r\n" } else { b"" };
        let (payload, all) = (source.take(len), headers.len());
        let (name, of_headers) = if has_headers { ("HMSG", format!("{all} ")) } else { ("MSG", String::new()) };
        let to = "r".repeat(reply);
        let line = format!("{name} s 1 {to} {of_headers}{}\r\n", all + payload.len());
        said.extend_from_slice(line.as_bytes());
        said.extend_from_slice(headers);
        said.extend_from_slice(payload);
        said.extend_from_slice(b"\r\n");
        let peer = Addr::named("nats", &to).filter(|_| reply > 0);
        published.push((peer, payload.to_vec(), false));
    }
    published
}

/// What is received until the broker has said all.
async fn receive(said: &[u8], pieces: &[u8]) -> Received {
    let (mut broker, io) = duplex(INFO.len() + said.len() + OURS);
    broker.write_all(INFO).await.expect("room");
    let once = Once(Arc::new(Mutex::new(Some(io))), pieces.to_vec());
    let endpoint: Endpoint = "nats:here?path=/s".parse().expect("an endpoint");
    let Ok(Bound::Socket(mut socket)) = Nats::over(once).bind(&endpoint).await else { panic!("no socket") };
    broker.write_all(said).await.expect("room");
    broker.shutdown().await.expect("a shutdown");
    let mut received = Vec::new();
    loop {
        let is_over = !socket.upkeep().is_none_or(|found| {
            found.news.iter().for_each(is_one_line);
            found.reachable
        });
        take(&mut *socket, &mut received).await;
        if is_over {
            return received;
        }
        yield_now().await;
    }
}

/// Takes what waits.
async fn take(socket: &mut dyn DatagramSocket, received: &mut Received) {
    let mut batch = RecvBatch::new(4, socket.slot_size());
    loop {
        batch.clear();
        let polled = poll_fn(|cx| Poll::Ready(socket.poll_recv(cx, &mut batch))).await;
        if polled.is_pending() {
            return;
        }
        received.extend(batch.iter().map(|(meta, bytes)| (meta.peer, bytes.to_vec(), meta.truncated)));
    }
}
