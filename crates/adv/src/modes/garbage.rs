//! `garbage`: messages that are none.

mod mutate;

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;
use tokio::io::Interest;
use tokio::time::timeout;

use super::rst::judge_alive;
use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::datagram::{Datagram, LONGEST};
use crate::failures::{Failures, meaning};
use crate::limits;
use crate::report::Report;
use crate::stream::Stream;
use crate::tagged::{Framing, Tag, mix};
use crate::values::{count, size};

/// The arguments of `garbage`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GarbageArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    asking: AskArgs,
    /// Frames, or datagrams
    #[arg(short, value_name = "N", default_value = "10k", value_parser = count)]
    n: u64,
    /// How many connections are open at once
    #[arg(long, value_name = "C", default_value = "16", value_parser = count)]
    concurrency: u64,
    /// Frames on each connection, or from each source
    #[arg(long, value_name = "N", default_value = "10", value_parser = count)]
    per_connection: u64,
    /// Send so many empty frames, and as many on each of --concurrency connections, instead of spoilt ones
    #[arg(long, value_name = "N", value_parser = count, conflicts_with_all = ["n", "per_connection"])]
    empty_frames: Option<u64>,
    /// On each of -n connections, claim a frame of so many bytes and send none of them; the server must close
    #[arg(long, value_name = "BYTES", value_parser = size, conflicts_with_all = ["empty_frames", "per_connection"])]
    claim: Option<usize>,
    /// Send right messages of so many bytes, instead of spoilt ones: longer than the server takes. To a datagram, a reply of
    /// another length is a fault, for the server took a part of it for the whole
    #[arg(long, value_name = "BYTES", value_parser = size, conflicts_with_all = ["empty_frames", "claim"])]
    long: Option<usize>,
}

/// A run of `garbage`.
#[derive(Debug)]
pub(crate) struct Garbage {
    args: GarbageArgs,
    asker: Asker,
    frames: Cell<u64>,
    written: Cell<u64>,
    heard: Cell<u64>,
    connections: Cell<u64>,
    /// That the server closed before the client was done.
    closed: Cell<u64>,
    /// That it did not close when the client was done.
    open: Cell<u64>,
    /// Replies to long datagrams that had another length.
    short: Cell<u64>,
    failures: RefCell<Failures>,
    alive: RefCell<Option<io::Result<()>>>,
}

/// Empty frames are written in pieces of so many bytes.
const PIECE: u64 = 16 << 10;
/// How long the last replies to datagrams are waited for.
const LAST: Duration = Duration::from_millis(20);
/// How long a Unix datagram waits for room.
const ROOM: Duration = Duration::from_secs(1);

impl Garbage {
    /// # Errors
    /// More connections than descriptors; sizes that have no room for a tag; a claim that the framing does not know; empty
    /// frames on a stream without any.
    pub(crate) fn new(args: GarbageArgs) -> anyhow::Result<Self> {
        limits::make_room_for(args.concurrency)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        let (framing, datagrams) = (asker.tagged.framing(), args.common.target.has_datagrams());
        anyhow::ensure!(args.claim.is_none() || framing == Framing::Length, "--claim: write --framing length as well");
        anyhow::ensure!(args.claim.is_none_or(|claim| u32::try_from(claim).is_ok()), "--claim: write less than 4GiB");
        let empty = args.empty_frames.is_none() || framing != Framing::Raw || datagrams;
        anyhow::ensure!(empty, "--empty-frames: raw bytes have no frames");
        let [frames, written, heard, connections, closed, open, short] = std::array::from_fn(|_| Cell::new(0));
        let (failures, alive) = (RefCell::default(), RefCell::default());
        Ok(Self { args, asker, frames, written, heard, connections, closed, open, short, failures, alive })
    }

    /// How many frames in all, and on each connection.
    fn amounts(&self) -> (u64, u64) {
        match (self.args.empty_frames, self.args.claim) {
            (Some(empty), _) => (empty, empty.div_ceil(self.args.concurrency)),
            (None, Some(_)) => (self.args.n, 1),
            (None, None) => (self.args.n, self.args.per_connection),
        }
    }

    /// What is sent as one piece on connection `index`, of which `left` frames are left, and how many frames that is.
    fn piece(&self, index: u64, left: u64, random: &mut fastrand::Rng) -> (Vec<u8>, u64) {
        if let Some(claim) = self.args.claim {
            return ((claim as u32).to_be_bytes().to_vec(), 1);
        }
        if let Some(long) = self.args.long {
            let mut message = vec![b'L'; long];
            match self.asker.tagged.framing() {
                Framing::Lines => message.push(b'\n'),
                Framing::Length => drop(message.splice(..0, (long as u32).to_be_bytes())),
                Framing::Raw => {}
            }
            return (message, 1);
        }
        let empty: &[u8] = match self.asker.tagged.framing() {
            _ if self.args.empty_frames.is_none() => {
                let tag = Tag { client: index as u32, seq: left as u32 };
                return (mutate::frame(&self.asker.tagged, tag, random), 1);
            }
            Framing::Lines => b"\n",
            Framing::Length => &[0; 4],
            Framing::Raw => b"",
        };
        let frames = left.min(PIECE.checked_div(empty.len() as u64).unwrap_or(1));
        (empty.repeat(frames as usize), frames)
    }

    async fn on_stream(&self, index: u64, frames: u64) -> io::Result<()> {
        let stream = self.asker.dial.stream(index).await?;
        add(&self.connections, 1);
        let mut random = fastrand::Rng::with_seed(mix(self.asker.seed, index));
        let write = async {
            let mut left = frames;
            while left > 0 {
                let (piece, frames) = self.piece(index, left, &mut random);
                stream.write_all(&piece).await?;
                add(&self.written, piece.len() as u64);
                add(&self.frames, frames);
                left -= frames;
            }
            if self.args.claim.is_none() { stream.end() } else { Ok(()) }
        };
        // Whoever is closed upon has heard all that there is to hear.
        let hear = self.hear(&stream);
        let (mut write, mut hear) = (std::pin::pin!(write), std::pin::pin!(hear));
        tokio::select! {
            result = &mut write => {
                let claimed = self.args.claim.is_some();
                if result.is_err() {
                    add(&self.closed, 1);
                } else if timeout(self.args.asking.timeout, hear).await.is_err() {
                    add(&self.open, 1);
                } else if claimed {
                    add(&self.closed, 1);
                }
            }
            () = &mut hear => add(&self.closed, 1),
        }
        Ok(())
    }

    /// Reads until the server closes or resets.
    async fn hear(&self, stream: &Stream) {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            add(&self.heard, len as u64);
        }
    }

    async fn by_datagrams(&self, index: u64, frames: u64) -> io::Result<()> {
        let socket = self.asker.dial.datagrams(index)?;
        add(&self.connections, 1);
        let mut random = fastrand::Rng::with_seed(mix(self.asker.seed, index));
        let mut buffer = vec![0; LONGEST];
        for left in (1..=frames).rev() {
            let (piece, _) = self.piece(index, left, &mut random);
            let sent = timeout(ROOM, self.send(&socket, &piece, &mut buffer)).await;
            match sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Err(error) if matches!(meaning(&error), "refused" | "timeout") => return Err(error),
                // Longer than a datagram can be.
                Err(_) => {}
                Ok(()) => {
                    add(&self.written, piece.len() as u64);
                    add(&self.frames, 1);
                }
            }
        }
        while let Ok(result) = timeout(LAST, socket.recv(&mut buffer)).await {
            self.reply(result?);
        }
        Ok(())
    }

    fn reply(&self, len: usize) {
        add(&self.heard, len as u64);
        add(&self.short, u64::from(self.args.long.is_some_and(|long| long != len)));
    }

    /// Sends, and reads what comes meanwhile: a server that waits for room to reply would not make room otherwise.
    async fn send(&self, socket: &Datagram, datagram: &[u8], buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let sent = socket.try_send(datagram);
            while let Ok(len) = socket.try_recv(buffer) {
                self.reply(len);
            }
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(drop),
            }
            socket.ready(Interest::READABLE | Interest::WRITABLE).await?;
        }
    }
}

fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Mode for Garbage {
    const NAME: &'static str = "garbage";

    async fn drive(&self) -> anyhow::Result<()> {
        let (all, each) = self.amounts();
        let datagrams = self.args.common.target.has_datagrams();
        let one = async |index: u64| {
            let frames = each.min(all - index * each);
            let result =
                if datagrams { self.by_datagrams(index, frames).await } else { self.on_stream(index, frames).await };
            if let Err(error) = result {
                self.failures.borrow_mut().add(&error);
            }
        };
        let concurrency = usize::try_from(self.args.concurrency).unwrap_or(usize::MAX);
        stream::iter(0..all.div_ceil(each)).for_each_concurrent(concurrency, one).await;
        let alive = self.asker.is_alive().await;
        self.alive.replace(Some(alive));
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (frames, written, heard) = (self.frames.get(), self.written.get(), self.heard.get());
        let (connections, closed, open) = (self.connections.get(), self.closed.get(), self.open.get());
        let failures = self.failures.borrow();
        report.line(format!("{frames} frames, {written} bytes written, {heard} heard, on {connections} connections"));
        report.line(format!("{closed} were closed early, {open} not at the end; {failures}"));
        report.set("frames", frames);
        report.set("written_bytes", written);
        report.set("heard_bytes", heard);
        report.set("connections", connections);
        report.set("closed_early", closed);
        report.set("open_at_the_end", open);
        report.set("failures", failures.json());
        report.set("seed", self.asker.seed);
        judge_alive(&self.alive, report);
        if open > 0 {
            report.fault(format!("{open} connections were not closed at the end"));
        }
        if self.short.get() > 0 {
            report.fault(format!("{} long datagrams were taken for shorter ones", self.short.get()));
        }
        if failures.total() > 0 {
            report.fault(format!("{} connections could not be used: {failures}", failures.total()));
        }
    }
}
