//! Frames in pieces of every size around the limits of the buffers, more replies than are queued, calls that wait, and
//! more of them than buffers are lent: what comes back is what was sent. Random, from fixed seeds.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::common::numbered::numbered;
use crate::common::{Net, limits};
use fastrand::Rng;
use swapwire_core::{ByteStream, Framing, Handler, HandlerError, HandlerProperties, Link, Reply, Request};
use swapwire_server::Running;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

/// More than are lent to calls that wait.
const HOLDERS: usize = 20;

/// One whose reads are bounded by the wire, and one whose reads are bounded by the buffer.
const ENDPOINTS: [&str; 2] = ["mem:a", "wide:here"];

type Reader = ReadHalf<Box<dyn ByteStream>>;
type Writer = WriteHalf<Box<dyn ByteStream>>;

/// An echo that is held up by some messages, whatever it says about itself.
struct Echo {
    at_once: bool,
    gate: Arc<Semaphore>,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"hold" => self.gate.acquire().await?.forget(),
            [b'w', ..] => yield_now().await,
            _ => {}
        }
        Ok(reply.send(request.message())?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

struct House {
    net: Net,
    gate: Arc<Semaphore>,
    server: Running,
    endpoint: &'static str,
    framing: Framing,
    holders: Vec<(Reader, Writer)>,
}

impl House {
    async fn new(endpoint: &'static str, framing: Framing, at_once: bool, out_queue: usize, holders: usize) -> Self {
        let (net, gate) = (Net::new(), Arc::new(Semaphore::new(0)));
        let limits = limits(|l| l.out_queue = out_queue);
        let handler = Echo { at_once, gate: Arc::clone(&gate) };
        let builder = net.server().listen(endpoint).handler(handler).framing(framing.clone()).limits(limits);
        let server = builder.bind().await.unwrap().start();
        let mut this = Self { net, gate, server, endpoint, framing, holders: Vec::new() };
        for _ in 0..holders {
            let (reader, mut writer) = this.connect().await;
            writer.write_all(&this.frames(&[b"hold".to_vec()])).await.unwrap();
            this.holders.push((reader, writer));
        }
        sleep(Duration::from_millis(1)).await;
        this
    }

    async fn connect(&self) -> (Reader, Writer) {
        match self.net.registry.connect(&self.endpoint.parse().unwrap()).await.unwrap() {
            Link::Bytes { io, .. } => split(io),
            _ => panic!("a byte stream"),
        }
    }

    /// All of them as one connection sends them.
    fn frames(&self, messages: &[Vec<u8>]) -> Vec<u8> {
        let mut encoder = self.framing.encoder(usize::MAX);
        let mut bytes = Vec::new();
        for message in messages {
            let start = bytes.len();
            encoder.begin(&mut bytes);
            bytes.extend_from_slice(message);
            encoder.finish(&mut bytes, start).unwrap();
        }
        bytes
    }

    /// Lets the calls that hold go on, which got their bytes and their replies for themselves.
    async fn end(mut self) {
        self.gate.add_permits(self.holders.len());
        let expected = self.frames(&[b"hold".to_vec()]);
        for (mut reader, mut writer) in self.holders.drain(..) {
            writer.shutdown().await.unwrap();
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, expected);
        }
        let report = self.server.stop().await;
        assert!(report.is_clean(), "{report}");
    }
}

/// The place of the first difference is told, rather than all bytes.
fn compare(got: &[u8], expected: &[u8], what: &str) {
    let same = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
    assert!(got == expected, "{what}: {} bytes of {}, the same up to {same}", got.len(), expected.len());
}

fn message(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut message = vec![rng.lowercase() as u8; len];
    for byte in message.iter_mut().skip(1).step_by(97) {
        *byte = rng.alphanumeric() as u8;
    }
    if let Some(first) = message.first_mut() {
        *first = *rng.choice(b"wwxyz").unwrap();
    }
    message
}

/// Where a read, and what a connection keeps of one, meets a limit.
fn near_a_limit(rng: &mut Rng) -> usize {
    let limit = *rng.choice(&[64 << 10, 128 << 10]).unwrap();
    limit + rng.usize(0..24) - 12
}

fn some_length(rng: &mut Rng) -> usize {
    let range: Range<usize> = match rng.u8(0..10) {
        0 => 0..2,
        1..6 => 1..200,
        6 | 7 => 1000..10_000,
        8 => 20_000..70_000,
        _ => return near_a_limit(rng),
    };
    rng.usize(range)
}

/// Writes in pieces; behind some of them it waits until the server has taken all.
async fn write_in_pieces(mut writer: Writer, bytes: Vec<u8>, mut rng: Rng) {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let len = some_length(&mut rng).clamp(1, rest.len());
        let (piece, others) = rest.split_at(len);
        writer.write_all(piece).await.unwrap();
        rest = others;
        match rng.u8(0..4) {
            0 => sleep(Duration::from_millis(1)).await,
            1 => yield_now().await,
            _ => {}
        }
    }
    writer.shutdown().await.unwrap();
}

/// Reads everything, and takes its time now and then.
async fn read_slowly(mut reader: Reader, mut rng: Rng) -> Vec<u8> {
    let mut got = Vec::new();
    let mut part = vec![0; 70_000];
    loop {
        let most = some_length(&mut rng).clamp(1, part.len());
        match reader.read(&mut part[..most]).await.unwrap() {
            0 => return got,
            len => got.extend_from_slice(&part[..len]),
        }
        if rng.u8(0..8) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_pieces_come_back_whole() {
    for seed in 0..48_u64 {
        let mut rng = Rng::with_seed(seed);
        let framing = [Framing::Lines, Framing::length_prefixed(), numbered()][seed as usize % 3].clone();
        let (at_once, holders) = (rng.bool(), if rng.bool() { HOLDERS } else { 0 });
        let out_queue = *rng.choice(&[1, 1000, 256 << 10]).unwrap();
        let endpoint = *rng.choice(&ENDPOINTS).unwrap();
        let what =
            format!("seed {seed}: {endpoint} {framing}, at once {at_once}, {holders} hold, {out_queue} are queued");
        let house = House::new(endpoint, framing, at_once, out_queue, holders).await;
        let mut clients = JoinSet::new();
        for _ in 0..6 {
            let count = rng.usize(1..25);
            let messages: Vec<_> = (0..count)
                .map(|_| {
                    let len = some_length(&mut rng);
                    message(&mut rng, len)
                })
                .collect();
            let expected = house.frames(&messages);
            let (reader, writer) = house.connect().await;
            let (mine, theirs, what) = (rng.fork(), rng.fork(), what.clone());
            clients.spawn(async move {
                let (got, ()) =
                    tokio::join!(read_slowly(reader, mine), write_in_pieces(writer, expected.clone(), theirs));
                compare(&got, &expected, &what);
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        house.end().await;
    }
}

/// Each partial frame is kept with exactly so many bytes, by connections that take turns with one set of buffers.
#[tokio::test(start_paused = true)]
async fn a_partial_frame_of_every_size_around_the_limits_is_kept_whole() {
    for (holders, endpoint) in [0, HOLDERS].into_iter().zip(ENDPOINTS).chain([(0, ENDPOINTS[1])]) {
        for framing in [Framing::Lines, Framing::length_prefixed(), numbered()] {
            let house = House::new(endpoint, framing, false, 256 << 10, holders).await;
            let mut rng = Rng::with_seed(7);
            for limit in [64 << 10, 128 << 10] {
                let mut partial = Vec::new();
                for kept in limit - 9..=limit + 9 {
                    // The frame ends a few bytes behind what is kept, or far behind it.
                    for more in [1, 70_000] {
                        // Behind it is another that is as large.
                        let behind = message(&mut rng, kept);
                        let whole = house.frames(&[message(&mut rng, kept + more), behind, b"w".to_vec()]);
                        let (reader, mut writer) = house.connect().await;
                        // All of it is read before the next one writes.
                        writer.write_all(&whole[..kept]).await.unwrap();
                        sleep(Duration::from_millis(1)).await;
                        partial.push((kept, more, whole, reader, writer));
                    }
                }
                for (kept, more, whole, reader, mut writer) in partial {
                    let rest = async {
                        writer.write_all(&whole[kept..]).await.unwrap();
                        writer.shutdown().await.unwrap();
                    };
                    let (got, ()) = tokio::join!(read_slowly(reader, rng.fork()), rest);
                    compare(&got, &whole, &format!("{} {holders} {kept} {more}", house.framing));
                }
            }
            house.end().await;
        }
    }
}

/// The peer takes nothing until all its requests are there, and others are served meanwhile with the same buffers.
#[tokio::test(start_paused = true)]
async fn more_replies_than_are_queued_wait_for_room_and_come_in_order() {
    for framing in [Framing::Lines, Framing::length_prefixed(), numbered()] {
        for (at_once, out_queue) in
            [(false, 1), (true, 1), (false, 5000), (true, 5000), (false, 1 << 20), (true, 1 << 20)]
        {
            let house = House::new(ENDPOINTS[0], framing.clone(), at_once, out_queue, 0).await;
            let mut rng = Rng::with_seed(out_queue as u64);
            // More than the wire takes each way, and the queue.
            let messages: Vec<_> = (0..2000).map(|i| message(&mut rng, i % 200)).collect();
            let expected = house.frames(&messages);
            let (reader, mut writer) = house.connect().await;
            let all = expected.clone();
            let writing = tokio::spawn(async move {
                writer.write_all(&all).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            sleep(Duration::from_millis(1)).await;
            for i in 0..3 {
                let other = house.frames(&[format!("other {i}").into_bytes(), vec![b'z'; 3000]]);
                let (reader, mut writer) = house.connect().await;
                writer.write_all(&other).await.unwrap();
                writer.shutdown().await.unwrap();
                compare(&read_slowly(reader, rng.fork()).await, &other, "other");
            }
            let got = read_slowly(reader, rng.fork()).await;
            compare(&got, &expected, &format!("{framing} {at_once} {out_queue}"));
            writing.await.unwrap();
            house.end().await;
        }
    }
}
