use proptest::prelude::*;
use tokio_util::codec::LengthDelimitedCodec;

use super::*;

const MAX: usize = 1000;

/// Feeds `wire` in pieces that end at `cuts` and collects the messages.
fn decode(framing: &Framing, wire: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut decoder = framing.decoder(MAX);
    let (mut unread, mut messages, mut from) = (Vec::new(), Vec::new(), 0);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(wire.len());
    for (i, &to) in cuts.iter().enumerate() {
        unread.extend_from_slice(&wire[from..to]);
        from = to;
        let eof = i + 1 == cuts.len();
        loop {
            let consumed = match decoder.decode(&unread, eof)? {
                Decoded::Frame { message, consumed } => {
                    messages.push(unread[message].to_vec());
                    consumed
                }
                Decoded::Owned { message, consumed } => {
                    messages.push(message.to_vec());
                    consumed
                }
                Decoded::Need { consumed, .. } => {
                    unread.drain(..consumed);
                    break;
                }
            };
            unread.drain(..consumed);
        }
    }
    assert!(unread.is_empty());
    Ok(messages)
}

fn encode(framing: &Framing, messages: &[Vec<u8>]) -> Result<Vec<u8>, FrameError> {
    let mut encoder = framing.encoder(MAX);
    let mut out = Vec::new();
    for message in messages {
        let start = out.len();
        encoder.begin(&mut out);
        out.extend_from_slice(message);
        encoder.finish(&mut out, start)?;
    }
    Ok(out)
}

fn framings() -> Vec<Framing> {
    let mut all: Vec<Framing> =
        ["lines", "length", "length:2", "length:8le", "length:1", "delimiter:ab", "delimiter:aba", "fixed:3"]
            .into_iter()
            .map(|text| text.parse().unwrap())
            .collect();
    all.push(Framing::codec(LengthDelimitedCodec::new));
    all
}

proptest! {
    #[test]
    fn what_is_framed_comes_back_however_it_is_cut(
        messages in proptest::collection::vec(proptest::collection::vec(proptest::sample::select(b"abc\r\n\x00".to_vec()), 0..6), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        for framing in framings() {
            // A message that cannot be framed is refused by itself and leaves the others whole.
            let messages: Vec<Vec<u8>> = messages.iter().filter(|message| encode(&framing, &[(*message).clone()]).is_ok()).cloned().collect();
            let wire = encode(&framing, &messages).unwrap();
            let mut expected = messages.clone();
            if matches!(framing, Framing::Lines) {
                for message in &mut expected {
                    if message.last() == Some(&b'\r') { message.pop(); }
                }
            }
            prop_assert_eq!(decode(&framing, &wire, &cuts).unwrap(), expected, "{}", framing);
        }
    }

    #[test]
    fn any_bytes_are_cut_alike_however_they_arrive(wire in proptest::collection::vec(any::<u8>(), 0..64), cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        for framing in framings() {
            prop_assert_eq!(decode(&framing, &wire, &cuts), decode(&framing, &wire, &[]), "{}", framing);
        }
    }
}

#[test]
fn too_large_is_known_from_the_header() {
    let mut decoder = Framing::length_prefixed().decoder(10);
    assert_eq!(
        decoder.decode(&u32::MAX.to_be_bytes(), false),
        Err(FrameError::TooLarge { len: u64::from(u32::MAX), max: 10 })
    );
    let mut decoder = Framing::Lines.decoder(3);
    assert!(decoder.decode(b"abc\r", false).is_ok());
    assert!(matches!(decoder.decode(b"abcdef", false), Err(FrameError::TooLarge { .. })));
    let mut decoder = Framing::Lines.decoder(3);
    assert_eq!(decoder.decode(b"abc\r\n", false), Ok(Decoded::Frame { message: 0..3, consumed: 5 }));
}

#[test]
fn chunks_move_on_whatever_the_limit() {
    assert_eq!(Framing::Chunks.decoder(0).decode(b"ab", false), Ok(Decoded::Frame { message: 0..1, consumed: 1 }));
}

#[test]
fn a_limit_may_be_as_large_as_there_are() {
    for text in ["lines", "delimiter:ab", "length:8", "fixed:3"] {
        let framing: Framing = text.parse().unwrap();
        for max in [usize::MAX - 1, usize::MAX] {
            assert_eq!(framing.decoder(max).decode(b"\0", false), Ok(Decoded::Need { consumed: 0, partial: false }));
        }
    }
    let mut decoder = Framing::LengthPrefixed { width: 8, little_endian: false }.decoder(usize::MAX);
    assert_eq!(decoder.decode(&[0xff; 20], false), Ok(Decoded::Need { consumed: 0, partial: false }));
}

#[test]
fn a_message_may_not_end_as_its_delimiter_begins_if_that_ends_it_early() {
    let framing: Framing = "delimiter:\\r\\n\\r\\n".parse().unwrap();
    for (message, fits) in
        [("a", true), ("a\r", true), ("a\n", true), ("a\r\n", false), ("\r\n", false), ("a\r\nb", true)]
    {
        let wire = encode(&framing, &[message.into()]);
        assert_eq!(wire.is_ok(), fits, "{message:?}");
        if let Ok(wire) = wire {
            assert_eq!(decode(&framing, &wire, &[]).unwrap(), [message.as_bytes()]);
        }
    }
}

#[test]
fn the_end_inside_a_frame_is_an_error_but_a_last_line_is_a_line() {
    assert_eq!(decode(&Framing::Lines, b"a\nb", &[]).unwrap(), [b"a".to_vec(), b"b".to_vec()]);
    let too_large = Err(FrameError::TooLarge { len: 4, max: 3 });
    assert_eq!(Framing::Lines.decoder(3).decode(b"abcd", true), too_large);
    assert!(matches!(decode(&Framing::length_prefixed(), &[0, 0, 0, 2, 1], &[]), Err(FrameError::Truncated { .. })));
    assert!(matches!(decode(&Framing::Fixed(2), &[1], &[]), Err(FrameError::Truncated { .. })));
}

#[test]
fn a_line_that_drips_in_is_searched_once() {
    let mut decoder = Framing::Lines.decoder(MAX);
    assert_eq!(decoder.decode(b"abcdef", false), Ok(Decoded::Need { consumed: 0, partial: false }));
    assert_eq!(decoder.scanned, 5);
}

#[test]
fn text_forms_round_trip() {
    for text in
        ["chunks", "lines", "length", "length:2", "length:8le", "delimiter:\\r\\n", "delimiter:\\x00;", "fixed:64"]
    {
        assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
    }
    for text in ["", "line", "length:3", "length:", "fixed:0", "fixed", "delimiter:", "delimiter:\\q", "chunks:1"] {
        assert!(text.parse::<Framing>().is_err(), "{text}");
    }
}
