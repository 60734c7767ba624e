//! Datagrams that are sent together.

use std::net::IpAddr;

use crate::Addr;
use crate::server::Replies;

/// Datagrams to send, their bytes one behind the other, so that adjacent ones to one peer can leave as one segmented send.
#[derive(Debug, Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    entries: Vec<Stored>,
    /// Neighbours that go the same way share one. The first `used` count, the others are written over.
    ways: Vec<Way>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    end: usize,
    way: usize,
}

#[derive(Debug)]
struct Way {
    to: Addr,
    local: Option<IpAddr>,
}

/// One datagram of a [`SendBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendEntry<'a> {
    /// Its bytes.
    pub message: &'a [u8],
    /// Where it goes.
    pub to: &'a Addr,
    /// The local IP address it should leave from, if that is not the system's choice.
    pub local: Option<IpAddr>,
}

impl SendBatch {
    /// No datagrams.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), ways: Vec::new(), used: 0 }
    }

    /// Appends a datagram. The caller bounds the batch by [`SendBatch::len`] and [`SendBatch::bytes`].
    #[inline]
    pub fn push(&mut self, message: &[u8], to: Addr, local: Option<IpAddr>) {
        self.bytes.extend_from_slice(message);
        self.direct(&to, local);
        self.entries.push(Stored { end: self.bytes.len(), way: self.used - 1 });
    }

    /// Says where the replies go that [`push_kept`](SendBatch::push_kept) appends from now on.
    #[inline(always)]
    pub fn direct(&mut self, to: &Addr, local: Option<IpAddr>) {
        // Neighbours that go the same way share it, and so can leave as a train.
        if self.ways[..self.used].last().is_some_and(|way| way.to.is(to) && way.local == local) {
            return;
        }
        match self.ways.get_mut(self.used) {
            Some(way) => {
                way.to.become_copy(to);
                way.local = local;
            }
            None => self.add_way(to, local),
        }
        self.used += 1;
    }

    #[cold]
    fn add_way(&mut self, to: &Addr, local: Option<IpAddr>) {
        self.ways.push(Way { to: *to, local });
    }

    /// Appends a call's replies, which go where was [said](SendBatch::direct) last, and whose bytes stay in `replies` until
    /// [`take_bytes`](SendBatch::take_bytes). Either all datagrams of a batch are gathered so, from one [`Replies`] that
    /// [keeps](Replies::keep) them, or none.
    ///
    /// # Panics
    /// If it was not said.
    #[inline]
    pub fn push_kept(&mut self, replies: &Replies) {
        let way = self.used.checked_sub(1).expect("replies go somewhere");
        match replies.len() {
            0 => {}
            1 => self.entries.push(Stored { end: replies.bytes(), way }),
            _ => self.entries.extend(replies.ends().map(|end| Stored { end, way })),
        }
    }

    /// Appends copies of a call's replies, which go where was [said](SendBatch::direct) last.
    ///
    /// # Panics
    /// If it was not said.
    pub fn push_replies(&mut self, replies: &Replies) {
        let way = self.used.checked_sub(1).expect("replies go somewhere");
        for message in replies.messages() {
            self.bytes.extend_from_slice(message);
            self.entries.push(Stored { end: self.bytes.len(), way });
        }
    }

    /// Takes the bytes of all datagrams out of `replies`, without a copy. What it holds besides is lost.
    ///
    /// # Panics
    /// If it has fewer than the datagrams need.
    pub fn take_bytes(&mut self, replies: &mut Replies) {
        self.bytes.clear();
        replies.drain_into(&mut self.bytes);
        assert!(self.entries.last().is_none_or(|last| last.end <= self.bytes.len()), "datagrams without bytes");
    }

    /// Appends all datagrams of `other`.
    pub fn append(&mut self, other: &Self) {
        other.iter_from(0).for_each(|entry| self.push(entry.message, *entry.to, entry.local));
    }

    /// How many datagrams it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all its datagrams.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of the datagrams before `index`.
    #[inline]
    pub fn bytes_before(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|last| self.entries.get(last)).map_or(0, |last| last.end)
    }

    /// What it takes in memory, in bytes.
    pub fn memory(&self) -> usize {
        let (entries, ways) = (self.entries.capacity(), self.ways.capacity());
        self.bytes.capacity() + entries * size_of::<Stored>() + ways * size_of::<Way>()
    }

    /// Copies of the datagrams from `index` on, in no more memory than they take; this one is empty then.
    #[must_use]
    pub fn take_from(&mut self, index: usize) -> Self {
        let rest = self.entries.len().saturating_sub(index);
        let mut taken = Self { entries: Vec::with_capacity(rest), ..Self::new() };
        taken.bytes.reserve_exact(self.iter_from(index).map(|entry| entry.message.len()).sum());
        self.iter_from(index).for_each(|entry| taken.push(entry.message, *entry.to, entry.local));
        self.clear();
        taken
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.used = 0;
    }

    /// The datagram `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<SendEntry<'_>> {
        self.iter_from(index).next()
    }

    /// The datagrams from `index` on.
    #[inline]
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = SendEntry<'_>> {
        let trains = self.trains(index, TrainLimits { segments: 1, ..TrainLimits::default() });
        trains.map(|train| SendEntry { message: train.bytes, to: train.to, local: *train.local })
    }

    /// The datagrams from `index` on, adjacent ones that can leave as one segmented send together: all go the same way and
    /// have the size of the first, only the last may be shorter, and none is empty.
    #[inline]
    pub fn trains(&self, index: usize, limits: TrainLimits) -> impl Iterator<Item = Train<'_>> {
        Trains {
            start: self.bytes_before(index),
            rest: self.entries.get(index..).unwrap_or_default(),
            bytes: &self.bytes,
            ways: &self.ways,
            limits,
        }
    }
}

/// How long a [`Train`] may be.
#[derive(Clone, Copy, Debug)]
pub struct TrainLimits {
    /// How many datagrams it has at most, at least 1.
    pub segments: usize,
    /// How long the datagrams are of which it has more than one.
    pub segment: usize,
    /// How many bytes it has, if it has more than one datagram.
    pub bytes: usize,
}

impl Default for TrainLimits {
    /// None.
    fn default() -> Self {
        Self { segments: usize::MAX, segment: usize::MAX, bytes: usize::MAX }
    }
}

/// Datagrams of a [`SendBatch`] that can leave together; one at least.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Train<'a> {
    /// Their bytes, one behind the other.
    pub bytes: &'a [u8],
    /// How many there are.
    pub count: usize,
    /// How long each is; the last may be shorter.
    pub segment: usize,
    /// Where they go.
    pub to: &'a Addr,
    /// The local IP address they should leave from, if that is not the system's choice.
    pub local: &'a Option<IpAddr>,
}

struct Trains<'a> {
    /// Where in `bytes` the first of the `rest` begins.
    start: usize,
    rest: &'a [Stored],
    bytes: &'a [u8],
    ways: &'a [Way],
    limits: TrainLimits,
}

impl<'a> Iterator for Trains<'a> {
    type Item = Train<'a>;

    #[inline]
    fn next(&mut self) -> Option<Train<'a>> {
        let (first, mut rest) = self.rest.split_first()?;
        let (start, limits) = (self.start, self.limits);
        let segment = first.end - start;
        let (mut count, mut end) = (1, first.end);
        if (1..=limits.segment).contains(&segment) {
            while let Some((stored, behind)) = rest.split_first() {
                let len = stored.end - end;
                let fits = count < limits.segments && stored.end - start <= limits.bytes;
                if stored.way != first.way || !fits || len == 0 || len > segment {
                    break;
                }
                (count, end, rest) = (count + 1, stored.end, behind);
                if len < segment {
                    break;
                }
            }
        }
        (self.start, self.rest) = (end, rest);
        let way = &self.ways[first.way];
        Some(Train { bytes: &self.bytes[start..end], count, segment, to: &way.to, local: &way.local })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_apart() {
        let to = Addr::named("mem", "x").unwrap();
        let mut send = SendBatch::new();
        for message in ["a", "", "bc"] {
            send.push(message.as_bytes(), to, None);
        }
        let messages: Vec<_> = send.iter_from(1).map(|entry| entry.message).collect();
        assert_eq!(messages, [b"".as_slice(), b"bc"]);
        assert_eq!(send.iter_from(4).count(), 0);
        assert!(send.get(3).is_none());
    }

    #[test]
    fn what_is_taken_is_what_was_behind_and_takes_no_more_than_that() {
        let to = Addr::named("mem", "x").unwrap();
        let mut replies = Replies::new(crate::Framing::Chunks.encoder(100));
        let mut send = SendBatch::new();
        send.bytes.reserve(10_000);
        for messages in [&["a", "", "bc"][..], &["d"]] {
            let mut call = replies.call(100, true);
            messages.iter().try_for_each(|message| call.reply().send(message)).unwrap();
            call.end(Ok(())).unwrap();
            send.direct(&to, None);
            send.push_replies(&replies);
        }
        let taken = send.take_from(1);
        assert!(send.is_empty() && send.bytes() == 0);
        assert_eq!(taken.iter_from(0).map(|entry| entry.message).collect::<Vec<_>>(), [b"".as_slice(), b"bc", b"d"]);
        assert!(taken.memory() < 1000 && send.memory() > 10_000, "{} and {}", taken.memory(), send.memory());
        assert!(send.take_from(5).is_empty());
    }

    #[test]
    fn neighbours_of_one_size_that_go_the_same_way_are_a_train() {
        let (one, two) = (Addr::named("mem", "1").unwrap(), Addr::named("mem", "2").unwrap());
        let local = Some("127.0.0.1".parse().unwrap());
        let entries = [
            (2, one, None),
            (2, one, None),
            (1, one, None),
            (1, one, None),
            (1, one, local),
            (1, two, local),
            (0, two, local),
            (0, two, local),
            (3, one, None),
            (4, one, None),
        ];
        let mut batch = SendBatch::new();
        for _ in 0..2 {
            batch.clear();
            for (size, to, local) in entries {
                batch.push(&[7; 4][..size], to, local);
            }
            for (entry, (size, to, local)) in batch.iter_from(0).zip(entries) {
                assert_eq!((entry.message.len(), *entry.to, entry.local), (size, to, local));
            }
            let train = |index, segments, segment, bytes| {
                let limits = TrainLimits { segments, segment, bytes };
                batch.trains(index, limits).next().map_or(0, |train| train.count)
            };
            let trains: Vec<_> = (0..11).map(|index| train(index, 64, 9, 100)).collect();
            assert_eq!(trains, [3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0]);
            assert_eq!((train(0, 2, 9, 100), train(0, 1, 9, 100), train(0, 64, 1, 100)), (2, 1, 1));
            assert_eq!((train(0, 64, 2, 5), train(0, 64, 2, 4), train(0, 64, 2, 3)), (3, 2, 1));
            let each: Vec<_> = batch.trains(0, TrainLimits::default()).map(|train| train.bytes.len()).collect();
            assert_eq!(each, [5, 1, 1, 1, 0, 0, 3, 4]);
        }
    }
}
