//! Whose reply is it, and is it right? On a byte stream, without a socket.

use std::collections::BTreeSet;
use std::mem;

use crate::tagged::{Framing, MARK, TAG, Tag, Tagged};

/// What a piece of the replies is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The right reply to this request, which is the next.
    Right(u32),
    /// The right reply to this request, behind the one to a later request. It had been called lost.
    Reordered(u32),
    /// Nothing: a reply to a later request came instead of the one to this.
    Lost(u32),
    /// A right reply to this request, which has had one.
    Duplicated(u32),
    /// A right reply to another client's request.
    Crossed,
    /// A reply to this request, but wrong.
    Corrupt(u32),
    /// Bytes that are nobody's reply.
    Garbled,
}

/// Skipped requests that are remembered, in case that their replies come after all.
const SKIPPED: usize = 4096;

/// Compares the replies on one connection with what they should be.
#[derive(Debug)]
pub(crate) struct Judge {
    tagged: Tagged,
    client: u32,
    /// The request whose reply is next, and how many were begun.
    next: u32,
    begun: u32,
    /// The right reply to `next`, and how much of it has come.
    expected: Vec<u8>,
    come: usize,
    /// Bytes that are not as expected, until a whole piece is there to be judged. Then `come` is 0.
    odd: Vec<u8>,
    skipped: BTreeSet<u32>,
    /// Garbled pieces that were not yet taken for the reply to a request.
    garbled: u32,
}

impl Judge {
    pub(crate) fn new(tagged: Tagged, client: u32) -> Self {
        let (expected, odd, skipped) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { tagged, client, next: 0, begun: 0, expected, come: 0, odd, skipped, garbled: 0 }
    }

    /// The number of the next request, which is appended.
    pub(crate) fn begin(&mut self, into: &mut Vec<u8>) -> u32 {
        let seq = self.begun;
        self.tagged.request(Tag { client: self.client, seq }, into);
        self.begun += 1;
        if seq == self.next {
            self.expect_next();
        }
        seq
    }

    /// Requests that were begun and wait for a reply.
    pub(crate) fn waiting(&self) -> u32 {
        self.begun - self.next
    }

    /// How many were begun.
    pub(crate) fn begun(&self) -> u32 {
        self.begun
    }

    /// Whether the replies end within one.
    pub(crate) fn is_cut(&self) -> bool {
        self.come > 0 || !self.odd.is_empty()
    }

    /// Of those that wait, how many have had a garbled reply, so far as one can tell.
    pub(crate) fn garbled(&self) -> u32 {
        self.garbled.min(self.waiting())
    }

    /// Takes bytes of replies, and tells of each piece what it is.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(Verdict)) {
        if self.odd.is_empty() {
            bytes = self.compare(bytes, tell);
            if bytes.is_empty() {
                return;
            }
            self.odd.extend_from_slice(&self.expected[..mem::take(&mut self.come)]);
        }
        self.odd.extend_from_slice(bytes);
        while let Some(len) = self.piece() {
            let rest = self.odd.split_off(len);
            let piece = mem::replace(&mut self.odd, rest);
            self.judge(&piece, tell);
            let rest = mem::take(&mut self.odd);
            let odd = self.compare(&rest, tell);
            if odd.is_empty() {
                return;
            }
            self.odd.extend_from_slice(&self.expected[..mem::take(&mut self.come)]);
            self.odd.extend_from_slice(odd);
        }
    }

    /// Takes as many bytes as are right, and gives the rest.
    fn compare<'a>(&mut self, mut bytes: &'a [u8], tell: &mut impl FnMut(Verdict)) -> &'a [u8] {
        while self.next < self.begun && !bytes.is_empty() {
            let due = &self.expected[self.come..];
            let len = due.len().min(bytes.len());
            if due[..len] != bytes[..len] {
                break;
            }
            self.come += len;
            bytes = &bytes[len..];
            if self.come == self.expected.len() {
                tell(Verdict::Right(self.next));
                self.advance(self.next + 1);
            }
        }
        bytes
    }

    /// The length of the first whole piece of `odd`.
    fn piece(&self) -> Option<usize> {
        let odd = &self.odd;
        if odd.is_empty() {
            return None;
        }
        match self.tagged.framing() {
            Framing::Lines => {
                let end = odd.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                end.or((odd.len() > 2 * self.tagged.longest()).then_some(odd.len()))
            }
            Framing::Length => {
                let header: [u8; 4] = odd.get(..4)?.try_into().ok()?;
                let len = u32::from_be_bytes(header) as usize;
                // Behind a length that is no reply's, nothing can be told apart.
                if len > 2 * self.tagged.longest() {
                    return Some(odd.len());
                }
                (odd.len() >= 4 + len).then_some(4 + len)
            }
            Framing::Raw => {
                let next_mark = || odd[1..].iter().position(|byte| *byte == MARK).map(|at| at + 1);
                // What is nobody's is as long as the reply that was to come: so it is one piece, however it was cut.
                let due = if self.waiting() > 0 { self.expected.len() } else { TAG };
                let len = self.tagged.tag(odd).map_or(due, |tag| self.tagged.size(tag));
                next_mark().filter(|at| *at < len).or((odd.len() >= len).then_some(len))
            }
        }
    }

    fn judge(&mut self, piece: &[u8], tell: &mut impl FnMut(Verdict)) {
        let Some(tag) = self.tagged.tag(piece) else {
            return self.take_for_a_reply(tell);
        };
        let mut right = Vec::new();
        self.tagged.reply(tag, &mut right);
        let is_right = right == piece;
        let Tag { client, seq } = tag;
        if client != self.client {
            return tell(if is_right { Verdict::Crossed } else { Verdict::Garbled });
        }
        if seq >= self.begun {
            return tell(Verdict::Garbled); // A reply to what was not asked.
        }
        if seq < self.next {
            let reordered = is_right && self.skipped.remove(&seq);
            let verdict = if reordered { Verdict::Reordered(seq) } else { Verdict::Duplicated(seq) };
            return tell(if is_right { verdict } else { Verdict::Corrupt(seq) });
        }
        for skipped in self.next..seq {
            if self.garbled > 0 {
                self.garbled -= 1;
                continue;
            }
            tell(Verdict::Lost(skipped));
            if self.skipped.len() < SKIPPED {
                self.skipped.insert(skipped);
            }
        }
        tell(if is_right { Verdict::Right(seq) } else { Verdict::Corrupt(seq) });
        self.advance(seq + 1);
    }

    /// Bytes that are nobody's reply came instead of one. If they can only be the reply to the last request, nothing more is to
    /// be waited for.
    fn take_for_a_reply(&mut self, tell: &mut impl FnMut(Verdict)) {
        let waiting = self.waiting();
        self.garbled = (self.garbled + 1).min(waiting);
        if waiting > 0 && self.garbled == waiting {
            self.garbled = 0;
            tell(Verdict::Corrupt(self.begun - 1));
            return self.advance(self.begun);
        }
        tell(Verdict::Garbled);
    }

    fn advance(&mut self, next: u32) {
        self.next = next;
        self.come = 0;
        if self.next < self.begun {
            self.expect_next();
        }
    }

    fn expect_next(&mut self) {
        self.expected.clear();
        self.tagged.reply(Tag { client: self.client, seq: self.next }, &mut self.expected);
    }
}

#[cfg(test)]
mod tests;
