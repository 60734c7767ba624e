//! Laws about a message wire's calls for batches.

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::BytesMut;
use futures::FutureExt as _;
use futures::future::try_join;
use swapwire_core::{
    Addr, UnixAddr, ErrorClass, Link, MessageStream, RecvBatch, RecvError, RecvMeta, SendBatch, SendError,
};
use tokio::task::yield_now;

use crate::context::spawn;
use crate::payload::compare;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::expect;
use crate::{Context, Outcome, Stop, payload};

/// Bytes in a slot. The wires' largest messages are longer.
const SLOT: usize = 1000;

/// Receiving by batches gives the same messages in the same order as receiving one by one, also where both take turns
/// and where a receive that waits is dropped; a message that is longer than a slot is marked, and leaves the others alone.
///
/// # Errors
/// The law is broken.
pub async fn batched_recv(ctx: &Context) -> Outcome {
    needs_boundaries(ctx)?;
    let lens = [100, 100, 0, 40, SLOT, SLOT + 1, 1, 0, 0, 33, 500];
    for slots in [1, 8] {
        let sent = messages(ctx, slots as u64, lens.into_iter().cycle().take(32));
        let mut receiver = Receiver { batch: RecvBatch::new(slots, SLOT), calls: 0 };
        ctx.step(format!("receive {} messages by {slots} slots", sent.len()));
        if ctx.is_datagram() {
            let local = ctx.echo().await?;
            let mut io = wire(ctx.connect(&local).await?)?;
            receiver.refuses_to_overflow(&mut io).await?;
            loop {
                for message in &sent {
                    let result = poll_fn(|cx| io.poll_send(cx, message)).await;
                    result.or_else(|error| noise(error.class(), error)).or_broken("send")?;
                }
                if receiver.hear(ctx, &mut io, &sent).await? {
                    break;
                }
            }
            continue;
        }
        let (client, server) = ctx.links().await?;
        let (mut io, mut server) = (wire(client)?, ctx.session(server));
        receiver.refuses_to_overflow(&mut io).await?;
        // In one task, so that bursts are there before they are received, however many threads there are.
        let sender = async {
            for (number, message) in sent.iter().enumerate() {
                server.send(message.clone()).await.or_broken("send")?;
                server.flush().await.or_broken("flush")?;
                if number % 3 == 2 {
                    yield_now().await;
                }
            }
            Ok(())
        };
        try_join(sender, receiver.hear(ctx, &mut io, &sent)).await?;
        drop(server);
        ctx.step("receive by a batch after the other end was dropped");
        receiver.batch.clear();
        let end = poll_fn(|cx| io.poll_recv_batch(cx, &mut receiver.batch)).await;
        ensure!(!matches!(end, Ok(Some(_))), "a message arrived that nobody sent");
    }
    Ok(())
}

/// A batch is sent in order, what is too large in it is refused alone, and each call says truly how much of it went out.
///
/// # Errors
/// The law is broken.
pub async fn batched_send(ctx: &Context) -> Outcome {
    needs_boundaries(ctx)?;
    let sent = messages(ctx, 1, [200, 200, 200, 33, 0, 200, 5, 0, 0, 700].into_iter());
    if ctx.is_datagram() {
        let local = ctx.echo().await?;
        let mut receiver = Receiver { batch: RecvBatch::new(8, SLOT), calls: 0 };
        let mut io = wire(ctx.connect(&local).await?)?;
        loop {
            ctx.step("send a batch and receive its echo");
            send_in_batches(ctx, &mut io, &sent).await?;
            if receiver.hear(ctx, &mut io, &sent).await? {
                return Ok(());
            }
        }
    }
    let (client, server) = ctx.links().await?;
    let (mut io, mut server) = (wire(client)?, ctx.session(server));
    let expected = sent.clone();
    let receiver = spawn("the receiver", async move {
        for (number, message) in expected.iter().enumerate() {
            let got = expect(&mut server).await.or_broken(format_args!("message {number}"))?;
            compare(message, &got).or_broken(format_args!("message {number} of a batch came as"))?;
        }
        Ok(server)
    });
    ctx.step("send a batch");
    send_in_batches(ctx, &mut io, &sent).await?;
    receiver.join().await.map(drop)
}

fn needs_boundaries(ctx: &Context) -> Outcome {
    ctx.needs(ctx.capabilities().boundaries(), "a byte stream has no messages")
}

fn messages(ctx: &Context, seed: u64, lens: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let max = ctx.config().max_message;
    lens.enumerate().map(|(number, len)| payload(seed << 32 | number as u64, len.min(max))).collect()
}

fn wire(link: Link) -> Result<Box<dyn MessageStream>, Stop> {
    match link {
        Link::Messages { io, .. } => Ok(io),
        Link::Framed { .. } => Err(Stop::skipped("its messages are frames of a byte stream")),
        other => Err(Stop::broken(format!("{other:?}, though the capabilities say messages"))),
    }
}

/// Lets pass what the network says about single datagrams.
fn noise<E>(class: ErrorClass, error: E) -> Result<(), E> {
    if matches!(class, ErrorClass::PeerNoise | ErrorClass::Retryable) { Ok(()) } else { Err(error) }
}

/// Sends all but the last as a batch, with a message in the middle that is too large, and the last one alone.
async fn send_in_batches(ctx: &Context, io: &mut Box<dyn MessageStream>, messages: &[Vec<u8>]) -> Outcome {
    const BAD: usize = 3;
    let Some((last, messages)) = messages.split_last() else { return Ok(()) };
    let nobody = Addr::Unix(UnixAddr::UNNAMED);
    let large = vec![0; io.max_message() + 1];
    let mut batch = SendBatch::new();
    let (before, behind) = messages.split_at(BAD.min(messages.len()));
    let middle = std::iter::once(&large);
    before.iter().chain(middle).chain(behind).for_each(|message| batch.push(message, nobody, None));
    let (mut from, mut refused) = (0, Vec::new());
    while from < batch.len() {
        let left = batch.len() - from;
        match poll_fn(|cx| io.poll_send_batch(cx, &batch, from)).await {
            Ok(sent) => {
                ensure!((1..=left).contains(&sent), "poll_send_batch said that it sent {sent} of {left} messages");
                let whole = !(from..from + sent).contains(&BAD);
                ensure!(whole, "a message of {} bytes in a batch was sent", large.len());
                from += sent;
            }
            Err(SendError::TooLarge { .. }) => {
                refused.push(from);
                from += 1;
            }
            Err(error) if ctx.is_datagram() => {
                noise(error.class(), error).or_broken("send a batch")?;
                from += 1;
            }
            Err(error) => return Err(error).or_broken("send a batch"),
        }
    }
    ensure!(refused == [BAD], "message {BAD} of a batch is too large, and messages {refused:?} were refused");
    let beyond = poll_fn(|cx| io.poll_send_batch(cx, &batch, from)).await;
    ensure!(matches!(beyond, Ok(0)), "sending from behind the end of a batch gave {beyond:?}");
    let result = poll_fn(|cx| io.poll_send(cx, last)).await;
    result.or_broken("send one message after a batch")?;
    poll_fn(|cx| io.poll_flush(cx)).await.or_broken("flush after a batch")
}

/// Receives by batches, now and then one by one, and now and then gives up waiting.
struct Receiver {
    batch: RecvBatch,
    calls: usize,
}

impl Receiver {
    /// Receives what was sent; `false` if some of it may be lost.
    async fn hear(
        &mut self,
        ctx: &Context,
        io: &mut Box<dyn MessageStream>,
        sent: &[Vec<u8>],
    ) -> Result<bool, Stop> {
        let strict = ctx.capabilities().ordered && ctx.capabilities().reliable;
        let mut due: VecDeque<_> = sent.iter().enumerate().collect();
        while !due.is_empty() {
            let Some(got) = ctx.kind().patiently(self.next(io)).await else { return Ok(false) };
            for (truncated, bytes) in got? {
                let fits = |message: &Vec<u8>| match truncated {
                    false => *message == bytes,
                    true => message.len() > SLOT && message.starts_with(&bytes),
                };
                let place = due.iter().position(|(_, message)| fits(message));
                let first = due.front().map_or(sent.len(), |(number, _)| *number);
                match place.and_then(|place| Some((place, due.remove(place)?.0))) {
                    Some((place, number)) => {
                        ensure!(place == 0 || !strict, "message {number} came where message {first} was due");
                    }
                    // An answer to what was sent again.
                    None if !strict && sent.iter().any(fits) => {}
                    None => {
                        let cut = if truncated { "cut-off " } else { "" };
                        let text = format!("{} {cut}bytes came where message {first} was due", bytes.len());
                        return Err(Stop::broken(text));
                    }
                }
            }
        }
        Ok(true)
    }

    /// The next messages, at least one, and whether each was cut off.
    async fn next(&mut self, io: &mut Box<dyn MessageStream>) -> Result<Vec<(bool, Vec<u8>)>, Stop> {
        loop {
            self.calls += 1;
            self.batch.clear();
            let mut single = BytesMut::new();
            let received = match self.calls % 4 {
                0 => poll_fn(|cx| io.poll_recv(cx, &mut single)).await.map(|got| got.map(|_| 0)),
                1 => poll_fn(|cx| io.poll_recv_batch(cx, &mut self.batch)).await,
                _ => match poll_fn(|cx| io.poll_recv_batch(cx, &mut self.batch)).now_or_never() {
                    Some(received) => received,
                    None => {
                        ensure!(self.batch.is_empty(), "a batch receive that is pending has taken something");
                        yield_now().await;
                        continue;
                    }
                },
            };
            match received {
                Ok(Some(0)) if self.calls.is_multiple_of(4) => return Ok(vec![(false, single.to_vec())]),
                Ok(Some(count)) => {
                    let len = self.batch.len();
                    ensure!(count > 0 && count == len, "poll_recv_batch said {count} and filled {len} slots");
                    let trains = self.batch.iter().any(|(meta, _)| meta.segment.is_some());
                    ensure!(!trains, "a slot holds more than one message");
                    return Ok(self.batch.iter().map(|(meta, bytes)| (meta.truncated, bytes.to_vec())).collect());
                }
                Ok(None) => return Err(Stop::broken("the wire ended where a message was due")),
                Err(error @ RecvError::PeerNoise(_)) => noise(error.class(), error).or_broken("receive a batch")?,
                Err(error) => return Err(error).or_broken("receive a batch"),
            }
            yield_now().await;
        }
    }

    /// A batch without a free slot takes nothing, and does not wait.
    async fn refuses_to_overflow(&mut self, io: &mut Box<dyn MessageStream>) -> Outcome {
        let mut full = RecvBatch::new(1, SLOT);
        full.push(RecvMeta::new(None, 0));
        let received = poll_fn(|cx| io.poll_recv_batch(cx, &mut full)).now_or_never();
        ensure!(matches!(received, Some(Ok(Some(0)))), "a batch without a free slot gave {received:?}");
        Ok(())
    }
}
