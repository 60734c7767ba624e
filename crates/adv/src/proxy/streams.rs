//! Streams: a session for each connection.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};

use super::counters::add;
use super::listen::Listener;
use super::plan::{Direction, End, Slice, Slices};
use super::{Proxy, pause};
use crate::stream::Stream;

/// Read at once, and the most of one piece in a queue.
const READ: usize = 4096;
/// Pieces that wait in one direction of a connection: so at most 256 KiB.
const WAITING: usize = 64;

/// How long the rest of a connection that the proxy closes is read and forgotten.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts connections for ever; beyond the most sessions they wait in the system's queue.
pub(super) async fn accept(proxy: &Rc<Proxy>, listener: &Listener) {
    let mut sessions = FuturesUnordered::new();
    let mut number = 0;
    loop {
        let room = sessions.len() < proxy.sessions;
        tokio::select! {
            accepted = listener.accept(), if room => match accepted {
                Ok(stream) => {
                    sessions.push(session(proxy, stream, number));
                    number += 1;
                }
                Err(_) => pause().await,
            },
            Some(()) = sessions.next() => {}
        }
    }
}

/// Why one direction has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The sender has ended its half, and so has the other side been told.
    Ended,
    /// Both sides are to be reset: by a fault, or because one of them was.
    Reset,
    /// Both sides are to be closed.
    Closed,
}

async fn session(proxy: &Rc<Proxy>, client: Stream, number: u64) {
    add(&proxy.counters.sessions, 1);
    let Ok(server) = proxy.dial.stream(number).await else {
        add(&proxy.counters.unreachable, 1);
        let _ = client.reset_at_close();
        return;
    };
    let to_server = pass(proxy, number, Direction::ToServer, &client, &server);
    let to_client = pass(proxy, number, Direction::ToClient, &server, &client);
    let (mut to_server, mut to_client) = (std::pin::pin!(to_server), std::pin::pin!(to_client));
    let over = tokio::select! {
        over = &mut to_server => match over { Over::Ended => to_client.await, over => over },
        over = &mut to_client => match over { Over::Ended => to_server.await, over => over },
    };
    match over {
        Over::Ended => {}
        Over::Reset => {
            let _ = client.reset_at_close();
            let _ = server.reset_at_close();
        }
        Over::Closed => {
            let _ = tokio::join!(close(&client), close(&server));
        }
    }
}

/// Closes without a reset, which bytes that nobody read would cause.
async fn close(stream: &Stream) {
    if stream.end().is_ok() {
        let mut buffer = [0; READ];
        let rest = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
        let _ = timeout(LINGER, rest).await;
    }
}

/// A piece on its way, at most as long as the slice it belongs to.
#[derive(Debug)]
struct Piece {
    due: Instant,
    stall: Option<Duration>,
    bytes: Vec<u8>,
    end: Option<End>,
}

/// Passes one direction on, until it is over.
async fn pass(proxy: &Proxy, number: u64, direction: Direction, from: &Stream, to: &Stream) -> Over {
    let (queue, pieces) = mpsc::channel(WAITING);
    let slices = proxy.faults.slices(number, direction);
    // A sender that was reset is told to the other side behind what it had sent.
    let (read, over) = tokio::join!(read(proxy, slices, from, queue), write(pieces, to));
    match (over, read) {
        (Over::Ended, Err(_)) => Over::Reset,
        (Over::Ended, Ok(())) if to.end().is_err() => Over::Closed,
        (over, _) => over,
    }
}

/// Reads and decides, until the sender ends, or the writer has.
async fn read(proxy: &Proxy, slices: Slices, from: &Stream, queue: mpsc::Sender<Piece>) -> io::Result<()> {
    let mut cutter = Cutter::new(slices);
    let mut buffer = [0; READ];
    loop {
        let len = tokio::select! {
            len = from.read(&mut buffer) => len?,
            () = queue.closed() => return Ok(()),
        };
        if len == 0 {
            return Ok(());
        }
        let mut rest = &mut buffer[..len];
        while !rest.is_empty() {
            let (piece, len) = cutter.cut(proxy, rest);
            let end = piece.end;
            if queue.send(piece).await.is_err() || end.is_some() {
                return Ok(());
            }
            rest = &mut rest[len..];
        }
    }
}

/// Cuts what was read along slices, whose bounds depend on nothing but the seed.
#[derive(Debug)]
struct Cutter {
    slices: Slices,
    slice: Option<Slice>,
    /// How much of the slice has come.
    come: usize,
    /// When the last piece was due: the next one is not before.
    due: Instant,
}

impl Cutter {
    fn new(slices: Slices) -> Self {
        Self { slices, slice: None, come: 0, due: Instant::now() }
    }

    /// The next piece, and how many bytes of `rest` it takes.
    fn cut(&mut self, proxy: &Proxy, rest: &mut [u8]) -> (Piece, usize) {
        let counters = &proxy.counters;
        let begins = self.slice.is_none();
        let slice = self.slice.take().or_else(|| self.slices.next());
        let Some(slice) = slice else { unreachable!("there are slices without end") };
        let come = if begins { 0 } else { self.come };
        let mut len = rest.len().min(slice.len - come);
        let end = slice.end.filter(|(at, _)| *at < come + len);
        if let Some((at, how)) = end {
            len = at - come;
            add(if how == End::Reset { &counters.reset } else { &counters.closed }, 1);
        }
        if let Some((at, other)) = slice.corrupt
            && (come..come + len).contains(&at)
        {
            rest[at - come] ^= other;
            add(&counters.corrupted, 1);
        }
        add(&counters.bytes, len as u64);
        self.due = self.due.max(Instant::now() + slice.delay);
        let stall = slice.stall.filter(|_| begins);
        if begins {
            add(&counters.slices, 1);
            add(&counters.delayed, u64::from(!slice.delay.is_zero()));
            add(&counters.stalled, u64::from(stall.is_some()));
        }
        let piece = Piece { due: self.due, stall, bytes: rest[..len].to_vec(), end: end.map(|(_, how)| how) };
        self.come = come + len;
        if self.come < slice.len {
            self.slice = Some(slice);
        }
        (piece, len)
    }
}

/// Writes each piece when it is due, by calls of its own.
async fn write(mut pieces: mpsc::Receiver<Piece>, to: &Stream) -> Over {
    while let Some(piece) = pieces.recv().await {
        // Even a time that has passed takes a timer up to a millisecond.
        if piece.due > Instant::now() {
            sleep_until(piece.due.into()).await;
        }
        if let Some(stall) = piece.stall {
            sleep(stall).await;
        }
        if to.write_all(&piece.bytes).await.is_err() {
            return Over::Reset;
        }
        match piece.end {
            Some(End::Reset) => return Over::Reset,
            Some(End::Close) => return Over::Closed,
            None => {}
        }
    }
    Over::Ended
}
