//! Requests and replies over a wire with boundaries.

use std::task::{Context, Poll};

use swapwire_core::{Addr, ConnInfo, MessageStream, RecvBatch, RecvError, SendBatch, SendError};
use tokio::time::Instant;

use super::bytes::End;
use super::flights::Flights;
use super::requester::Requester;
use crate::load::worker::alarm::Alarm;
use crate::load::worker::shared::{Inner, Shared, State};

/// Messages that are sent at once.
const BATCH: usize = 64;
/// Bytes of them, unless one alone is larger.
const BATCH_BYTES: usize = 256 * 1024;
/// Errors in a row after which a poll yields to other connections.
const ERRORS: usize = 16;

/// A message stream under load.
pub(crate) struct MessageExchange<'a> {
    io: Box<dyn MessageStream>,
    peer: Addr,
    requester: &'a mut Requester,
    flights: Flights,
    out: SendBatch,
    sent: usize,
    request: Vec<u8>,
    alarm: Alarm,
}

impl<'a> MessageExchange<'a> {
    pub(crate) fn new(io: Box<dyn MessageStream>, info: &ConnInfo, requester: &'a mut Requester) -> Self {
        let job = &requester.job;
        Self {
            io,
            peer: *info.peer.addr(),
            flights: Flights::new(job.identified, job.pipeline),
            out: SendBatch::new(),
            sent: 0,
            request: Vec::new(),
            alarm: Alarm::new(job.timeout),
            requester,
        }
    }

    /// Sends and receives what can be, and counts it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<End> {
        let Inner { state, batch, .. } = &mut *shared.lock();
        let mut first = true;
        let mut errors = 0;
        loop {
            let received = match self.receive(cx, batch, state, &mut errors) {
                Ok(received) => received,
                Err(kind) => return Poll::Ready(self.broken(kind, state)),
            };
            if errors > ERRORS {
                cx.waker().wake_by_ref();
            }
            if !received && !first {
                return Poll::Pending;
            }
            first = false;
            let now = Instant::now();
            for (meta, reply) in batch.iter() {
                self.flights.reply(reply, meta.truncated, now, self.requester, state);
            }
            if self.alarm.rings(cx) {
                self.check(now, state);
            }
            if let Err(kind) = self.send(cx, now, state) {
                return Poll::Ready(self.broken(kind, state));
            }
            let idle = self.flights.len() == 0 && self.sent == self.out.len();
            if state.failed.is_some() || idle && self.requester.over(now, state) {
                return Poll::Ready(End::Done);
            }
            if idle && self.requester.used_up() {
                return Poll::Ready(End::UsedUp);
            }
            state.tell(&self.requester.job.monitor, false);
            if !received {
                return Poll::Pending;
            }
        }
    }

    /// Counts what the system dropped of what was sent here, at the end of the connection.
    pub(crate) fn note_drops(&self, shared: &Shared) {
        if let Some(drops) = self.io.drops() {
            *shared.lock().state.tally.round.faults.client_drops.get_or_insert(0) += u64::from(drops);
        }
    }

    /// Receives into the thread's batch; whether there is something.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
        state: &mut State,
        errors: &mut usize,
    ) -> Result<bool, String> {
        batch.clear();
        batch.expect(self.flights.len());
        loop {
            match self.io.poll_recv_batch(cx, batch) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(Some(_))) => return Ok(true),
                Poll::Ready(Ok(None)) => return Err("recv: closed by the server".to_owned()),
                Poll::Ready(Err(RecvError::PeerNoise(error))) => {
                    state.tally.error(format!("recv: {}", error.kind()));
                    *errors += 1;
                    if *errors > ERRORS {
                        return Ok(false);
                    }
                }
                Poll::Ready(Err(RecvError::Io(error))) => return Err(format!("recv: {}", error.kind())),
                Poll::Ready(Err(error)) => return Err(format!("recv: {error}")),
            }
        }
    }

    /// After the alarm: gives up what waited for too long, and sets it for the next.
    fn check(&mut self, now: Instant, state: &mut State) {
        let timeout = self.requester.job.timeout;
        let expired = now.checked_sub(timeout);
        let oldest = expired.and_then(|before| self.flights.expire(before, self.requester, state));
        self.alarm.set(oldest.unwrap_or(now) + timeout);
    }

    /// Begins what is to be begun, and sends it.
    fn send(&mut self, cx: &mut Context<'_>, now: Instant, state: &mut State) -> Result<(), String> {
        loop {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                self.begin(now, state);
                if self.out.is_empty() {
                    return Ok(());
                }
            }
            match self.io.poll_send_batch(cx, &self.out, self.sent) {
                Poll::Pending => {
                    // What becomes due meanwhile is late because of the wire.
                    let _ = self.requester.next(now, false, 0, state);
                    return Ok(());
                }
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(SendError::Io(error))) => return Err(format!("send: {}", error.kind())),
                Poll::Ready(Err(SendError::PeerNoise(error))) => self.skip(format!("send: {}", error.kind()), state),
                Poll::Ready(Err(SendError::Congested)) => self.skip("send: congested".to_owned(), state),
                Poll::Ready(Err(error)) => return Err(format!("send: {error}")),
            }
        }
    }

    /// A request that could not be sent is lost when its time is over.
    fn skip(&mut self, kind: String, state: &mut State) {
        state.tally.error(kind);
        self.sent += 1;
    }

    fn begin(&mut self, now: Instant, state: &mut State) {
        while self.out.len() < BATCH && self.out.bytes() < BATCH_BYTES {
            let slot = self.flights.free_slot();
            let next = self.requester.next(now, slot.is_some(), slot.unwrap_or_default(), state);
            let Some((begun, asked)) = next else { return };
            self.request.clear();
            self.requester.job.payload.write(asked, &mut self.request);
            self.out.push(&self.request, self.peer, None);
            self.flights.push(begun, asked);
        }
    }

    fn broken(&mut self, kind: String, state: &mut State) -> End {
        state.tally.round.faults.broken += self.flights.drop_all();
        End::Broken(kind)
    }
}
