//! Feeding a decoder bytes in pieces.

use std::ops::Range;

use swapwire_core::{Decoded, FrameError, Framing};

use super::super::source::Source;
use super::rule::{Next, Rule};

/// How bytes arrive.
#[derive(Debug)]
pub(super) struct Pieces {
    /// The lengths of pieces, again and again.
    lens: Vec<usize>,
    pub(super) end: Ending,
}

/// How the decoder learns that the bytes are over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    Never,
    WithTheLast,
    BehindTheLast,
}

impl Pieces {
    pub(super) fn read(source: &mut Source<'_>) -> Self {
        let how = source.byte();
        let end = [Ending::Never, Ending::WithTheLast, Ending::BehindTheLast][usize::from(how >> 4) % 3];
        Self { lens: source.take(usize::from(how & 15)).iter().map(|len| usize::from(*len)).collect(), end }
    }

    /// `bytes` in pieces, of which some may be empty.
    pub(super) fn cut<'a>(&self, mut bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let stuck = self.lens.iter().all(|len| *len == 0);
        let mut lens = self.lens.iter().copied().cycle();
        std::iter::from_fn(move || {
            let len = if stuck { bytes.len() } else { lens.next()?.min(bytes.len()) };
            let piece;
            (piece, bytes) = bytes.split_at(len);
            (!piece.is_empty() || !bytes.is_empty()).then_some(piece)
        })
    }
}

/// What became of bytes: messages by their place, and how it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) messages: Vec<Range<usize>>,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Clean,
    Open { have: usize },
    Truncated { have: usize },
    TooLarge,
    Malformed,
    Codec,
}

impl Outcome {
    /// What is compared of a codec, whose errors are its own.
    pub(super) fn classes(&self) -> (&[Range<usize>], &'static str) {
        let class = match self.end {
            End::Clean => "clean",
            End::Open { .. } => "open",
            End::Truncated { .. } | End::TooLarge | End::Malformed | End::Codec => "refused",
        };
        (&self.messages, class)
    }
}

impl Rule {
    /// Where a framing has no messages, only the bytes count.
    pub(super) fn joined(&self, mut outcome: Outcome) -> Outcome {
        if let (Self::Chunks, Some(first), Some(last)) = (self, outcome.messages.first(), outcome.messages.last()) {
            assert!(outcome.messages.is_sorted_by(|one, next| one.end == next.start), "a gap between chunks");
            let whole = first.start..last.end;
            outcome.messages.clear();
            outcome.messages.push(whole);
        }
        outcome
    }
}

/// What must become of `wire`.
pub(super) fn outcome(rule: &Rule, max: usize, wire: &[u8], end: Ending) -> Outcome {
    let (mut messages, mut at) = (Vec::new(), 0);
    let end = loop {
        let have = wire.len() - at;
        match rule.next(&wire[at..], max, end != Ending::Never) {
            Next::Frame { message, consumed } => {
                messages.push(at + message.start..at + message.end);
                at += consumed;
            }
            Next::Need if have == 0 => break End::Clean,
            Next::Need => break End::Open { have },
            Next::TooLarge => break End::TooLarge,
            Next::Malformed => break End::Malformed,
            Next::Truncated => break End::Truncated { have },
        }
    };
    Outcome { messages, end }
}

/// What becomes of `wire`.
pub(super) fn feed(framing: &Framing, rule: &Rule, max: usize, wire: &[u8], pieces: &Pieces) -> Outcome {
    let mut decoder = framing.decoder(max);
    let mut bytes = wire.to_vec();
    let (mut messages, mut at, mut to, mut partial) = (Vec::<Range<usize>>::new(), 0, 0, false);
    let last = (pieces.end == Ending::BehindTheLast || wire.is_empty()).then_some(&wire[..0]);
    for piece in pieces.cut(wire).chain(last) {
        to += piece.len();
        let eof = match pieces.end {
            Ending::Never => false,
            Ending::WithTheLast => to == wire.len(),
            Ending::BehindTheLast => piece.is_empty() && to == wire.len(),
        };
        loop {
            let unread = &mut bytes[at..to];
            match decoder.decode(unread, eof) {
                Ok(Decoded::Frame { message, consumed }) => {
                    assert!((1..=unread.len()).contains(&consumed), "{consumed} of {} bytes", unread.len());
                    messages.push(at + message.start..at + message.end);
                    at += consumed;
                }
                Ok(Decoded::Owned { message, consumed }) => {
                    at += consumed;
                    let start = messages.last().map_or(0, |last| last.end) + rule.overhead();
                    let place = start..start + message.len();
                    assert_eq!(message, wire[place.clone()], "a message that did not arrive");
                    messages.push(place);
                }
                Ok(Decoded::Control { .. }) => unreachable!("no framing of ours has control frames"),
                Ok(Decoded::Need { consumed, partial: keeps }) => {
                    at += consumed;
                    partial = keeps;
                    break;
                }
                Err(error) => return Outcome { messages, end: End::of(&error, unread.len(), max) },
            }
        }
        let left = to - at;
        assert!(left <= max.saturating_add(rule.overhead()), "{left} bytes are kept with messages of at most {max}");
    }
    let have = wire.len() - at;
    Outcome { messages, end: if have > 0 || partial { End::Open { have } } else { End::Clean } }
}

impl End {
    fn of(error: &FrameError, unread: usize, max: usize) -> Self {
        match *error {
            FrameError::TooLarge { len, max: said } => {
                assert!(len > max as u64 && said == max, "{error}");
                Self::TooLarge
            }
            FrameError::Truncated { have } => {
                assert_eq!(have, unread, "{error}");
                Self::Truncated { have }
            }
            FrameError::Malformed(_) => Self::Malformed,
            FrameError::Codec(_) => Self::Codec,
            ref error => panic!("{error}"),
        }
    }
}
