//! Requests and replies over a byte stream: replies come in the order of the requests.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::{ByteStream, Framing};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;

use super::cut::{Cut, Mismatch};
use super::outgoing::Outgoing;
use super::requester::Requester;
use crate::load::request::payload::Asked;
use crate::load::request::tally::Begun;
use crate::load::worker::alarm::Alarm;
use crate::load::worker::shared::{Inner, Shared, State};

/// How a wire ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is nothing more to do.
    Done,
    /// It has answered its number of requests.
    UsedUp,
    /// It broke: the kind of error.
    Broken(String),
}

/// A byte stream under load.
pub(crate) struct ByteExchange<'a> {
    io: Box<dyn ByteStream>,
    requester: &'a mut Requester,
    cut: Cut,
    under_way: VecDeque<(Begun, Asked)>,
    out: Outgoing,
    alarm: Alarm,
}

impl<'a> ByteExchange<'a> {
    /// Over messages in `framing`; the job's, if the wire brings none.
    pub(crate) fn new(io: Box<dyn ByteStream>, framing: Option<&Framing>, requester: &'a mut Requester) -> Self {
        let job = &requester.job;
        let framing = framing.unwrap_or(&job.framing);
        Self {
            io,
            cut: Cut::new(framing),
            under_way: VecDeque::with_capacity(job.pipeline.min(1024)),
            out: Outgoing::new(framing),
            alarm: Alarm::new(job.timeout),
            requester,
        }
    }

    /// Sends and receives what can be, and counts it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<End> {
        let Inner { state, read_buffer, .. } = &mut *shared.lock();
        let mut first = true;
        loop {
            let received = match self.receive(cx, read_buffer) {
                Ok(received) => received,
                Err(kind) => return Poll::Ready(self.broken(kind, state)),
            };
            if received == 0 && !first {
                return Poll::Pending;
            }
            first = false;
            let now = Instant::now();
            if let Err(Mismatch(kind)) = self.take(&mut read_buffer[..received], now, state) {
                return Poll::Ready(self.broken(kind, state));
            }
            if self.alarm.rings(cx)
                && let Some(kind) = self.check(now)
            {
                return Poll::Ready(self.given_up(kind, now, state));
            }
            self.begin(now, state);
            if let Err(error) = self.out.write(&mut *self.io, cx) {
                return Poll::Ready(self.broken(format!("send: {}", error.kind()), state));
            }
            if state.failed.is_some()
                || self.under_way.is_empty() && self.out.is_empty() && self.requester.over(now, state)
            {
                return Poll::Ready(self.part(End::Done, cx));
            }
            if self.requester.used_up() {
                return Poll::Ready(self.part(End::UsedUp, cx));
            }
            state.tell(&self.requester.job.monitor, false);
            if received == 0 {
                return Poll::Pending;
            }
        }
    }

    /// Reads into the thread's read buffer; 0 if nothing is there.
    fn receive(&mut self, cx: &mut Context<'_>, read_buffer: &mut [u8]) -> Result<usize, String> {
        let mut buf = ReadBuf::new(read_buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Pending => Ok(0),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => Err("recv: closed by the server".to_owned()),
            Poll::Ready(Ok(())) => Ok(buf.filled().len()),
            Poll::Ready(Err(error)) => Err(format!("recv: {}", error.kind())),
        }
    }

    /// Matches what was received with the requests under way.
    fn take(&mut self, mut received: &mut [u8], now: Instant, state: &mut State) -> Result<(), Mismatch> {
        let Self { requester, cut, under_way, out, .. } = self;
        while !received.is_empty() {
            let front = under_way.front().map(|(_, asked)| *asked);
            let found = cut.next(&requester.job.payload, front, received, out)?;
            received = &mut received[found.consumed..];
            if let Some((len, right)) = found.reply
                && let Some((begun, _)) = under_way.pop_front()
            {
                requester.reply(begun, right, len, now, state);
            }
        }
        Ok(())
    }

    /// After the alarm: whether the oldest request has waited for too long. Sets the alarm for the next.
    fn check(&mut self, now: Instant) -> Option<String> {
        let timeout = self.requester.job.timeout;
        let oldest = self.under_way.front().map_or(now, |(begun, _)| begun.at);
        if oldest + timeout <= now {
            return Some(format!("no reply within {timeout:?}"));
        }
        self.alarm.set(oldest + timeout);
        None
    }

    fn begin(&mut self, now: Instant, state: &mut State) {
        loop {
            let can_send = self.under_way.len() < self.requester.job.pipeline && !self.out.is_full();
            let Some((begun, asked)) = self.requester.next(now, can_send, 0, state) else { return };
            let payload = &self.requester.job.payload;
            if let Err(error) = self.out.push(|message| payload.write(asked, message)) {
                // The plan has tried its framing with its sizes.
                state.fail(format!("frame a request of {} bytes: {error}", asked.size));
                return;
            }
            self.under_way.push_back((begun, asked));
        }
    }

    /// Says good-bye, if the wire has words for it and room for them.
    fn part(&mut self, end: End, cx: &mut Context<'_>) -> End {
        self.out.goodbye();
        let _ = self.out.write(&mut *self.io, cx);
        end
    }

    /// The wire is gone, and with it the requests under way.
    fn broken(&mut self, kind: String, state: &mut State) -> End {
        let lost = self.under_way.drain(..).filter(|(begun, _)| begun.measured).count();
        state.tally.round.faults.broken += lost as u64;
        End::Broken(kind)
    }

    /// The server does not answer: what waited for too long is lost, the rest goes with the wire.
    fn given_up(&mut self, kind: String, now: Instant, state: &mut State) -> End {
        let timeout = self.requester.job.timeout;
        while let Some((begun, _)) = self.under_way.front().filter(|(begun, _)| begun.at + timeout <= now) {
            self.requester.lost(*begun, state);
            self.under_way.pop_front();
        }
        self.broken(kind, state)
    }
}
