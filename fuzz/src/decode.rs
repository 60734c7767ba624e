//! Each framing's decoder and encoder, against a decoder that is too simple to be wrong.

mod feed;
mod rule;

use swapwire_core::Framing;
use tokio_util::codec::length_delimited;

use self::feed::{End, Pieces, feed, outcome};
pub(crate) use self::rule::{Next, Rule};
use super::source::Source;

/// As many messages as are framed at once.
const MESSAGES: usize = 16;

/// Bytes as they arrive.
pub fn chunks(data: &[u8]) {
    run(data, |_| Rule::Chunks);
}

/// Lines.
pub fn lines(data: &[u8]) {
    run(data, |_| Rule::Lines);
}

/// Messages behind their lengths, of every width and order of bytes.
pub fn length(data: &[u8]) {
    run(data, |source| Rule::length(source.byte()));
}

/// Messages before a delimiter.
pub fn delimited(data: &[u8]) {
    run(data, |source| {
        let len = 1 + source.below(8);
        let delimiter = source.take(len);
        Rule::Delimited(if delimiter.is_empty() { vec![0] } else { delimiter.to_vec() })
    });
}

/// Messages of one size.
pub fn fixed(data: &[u8]) {
    run(data, |source| Rule::Fixed(source.limit().max(1)));
}

fn run(data: &[u8], rule: impl FnOnce(&mut Source<'_>) -> Rule) {
    let mut source = Source::new(data);
    let rule = rule(&mut source);
    let max = source.limit();
    // A framing without messages has no limit on them.
    let max = if matches!(rule, Rule::Chunks) { max.max(1) } else { max };
    let pieces = Pieces::read(&mut source);
    let wire = source.rest();
    let framing = rule.framing();

    let expected = outcome(&rule, max, wire, pieces.end);
    let found = feed(&framing, &rule, max, wire, &pieces);
    assert_eq!(rule.joined(found), rule.joined(expected), "{framing} of at most {max}: {pieces:?}");

    there_and_back(&rule, &framing, max, wire, &pieces);
}

/// What is framed comes back, and what cannot be framed is refused without a trace.
fn there_and_back(rule: &Rule, framing: &Framing, max: usize, bytes: &[u8], pieces: &Pieces) {
    let mut encoder = framing.encoder(max);
    let (mut out, mut expected, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for message in pieces.cut(bytes).take(MESSAGES) {
        let start = out.len();
        encoder.begin(&mut out);
        out.extend_from_slice(message);
        let taken = encoder.finish(&mut out, start).is_ok();
        assert_eq!(taken, rule.encode(message, max, &mut expected), "{framing} of at most {max}: {message:?}");
        assert_eq!(out.len(), expected.len(), "{framing} of at most {max}: {message:?}");
        if taken {
            sent.push(rule.received(message));
        }
    }
    assert_eq!(out, expected, "{framing} of at most {max}");
    let found = feed(framing, rule, max, &out, pieces);
    assert_eq!(found.end, End::Clean, "{framing} of at most {max}: {out:?}");
    if !matches!(rule, Rule::Chunks) {
        let received: Vec<&[u8]> = found.messages.iter().map(|range| &out[range.clone()]).collect();
        assert_eq!(received, sent, "{framing} of at most {max}");
    }
}

/// A codec of `tokio_util`, which reads what [`Rule::Length`] reads.
pub fn codec(data: &[u8]) {
    let mut source = Source::new(data);
    let how = source.byte();
    let (width, little_endian) = (1 << (how & 3), how & 4 != 0);
    let rule = Rule::Length { width, little_endian };
    // The codec makes room for as much as a header says.
    let (own, max) = (source.limit().min(4096), source.limit());
    let pieces = Pieces::read(&mut source);
    let wire = source.rest();
    let framing = Framing::codec(move || {
        let mut builder = length_delimited::Builder::new();
        builder.length_field_length(width).max_frame_length(own);
        if little_endian {
            builder.little_endian()
        } else {
            builder.big_endian()
        };
        builder.new_codec()
    });
    let mut expected = outcome(&rule, own, wire, pieces.end);
    if let Some(large) = expected.messages.iter().position(|message| message.len() > max) {
        expected.messages.truncate(large);
        expected.end = End::TooLarge;
    }
    let mut found = feed(&framing, &rule, max, wire, &pieces);
    // A codec that has read a header and nothing behind it does not say so.
    if found.end == End::Clean && matches!(expected.end, End::Open { have } | End::Truncated { have } if have == width)
    {
        found.end = expected.end;
    }
    assert_eq!(found.classes(), expected.classes(), "{pieces:?}");
}
