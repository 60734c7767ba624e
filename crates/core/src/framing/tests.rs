use proptest::prelude::*;
use tokio_util::codec::{AnyDelimiterCodec, BytesCodec, LengthDelimitedCodec, LinesCodec};

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
            let consumed = match decoder.decode(&mut unread, eof)? {
                Decoded::Frame { message, consumed } => {
                    messages.push(unread[message].to_vec());
                    consumed
                }
                Decoded::Owned { message, consumed } => {
                    messages.push(message.to_vec());
                    consumed
                }
                Decoded::Control { .. } => unreachable!("no protocol"),
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
    const TEXTS: &[&str] = &[
        "lines",
        "length",
        "length:2",
        "length:3",
        "length:3le",
        "length:8le",
        "length:1",
        "varint",
        "delimiter:ab",
        "delimiter:aba",
        "fixed:3",
    ];
    let mut all: Vec<Framing> = TEXTS.iter().map(|text| text.parse().unwrap()).collect();
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
        decoder.decode(&mut u32::MAX.to_be_bytes(), false),
        Err(FrameError::TooLarge { len: u64::from(u32::MAX), max: 10 })
    );
    let mut decoder = Framing::Lines.decoder(3);
    assert!(decoder.decode(&mut b"abc\r".to_owned(), false).is_ok());
    assert!(matches!(decoder.decode(&mut b"abcdef".to_owned(), false), Err(FrameError::TooLarge { .. })));
    let mut decoder = Framing::Lines.decoder(3);
    assert_eq!(decoder.decode(&mut b"abc\r\n".to_owned(), false), Ok(Decoded::Frame { message: 0..3, consumed: 5 }));
}

#[test]
fn chunks_move_on_whatever_the_limit() {
    assert_eq!(
        Framing::Chunks.decoder(0).decode(&mut b"ab".to_owned(), false),
        Ok(Decoded::Frame { message: 0..1, consumed: 1 })
    );
}

#[test]
fn a_limit_may_be_as_large_as_there_are() {
    for text in ["lines", "delimiter:ab", "length:8", "fixed:3"] {
        let framing: Framing = text.parse().unwrap();
        for max in [usize::MAX - 1, usize::MAX] {
            assert_eq!(
                framing.decoder(max).decode(&mut b"\0".to_owned(), false),
                Ok(Decoded::Need { consumed: 0, partial: false })
            );
        }
    }
    let mut decoder = Framing::LengthPrefixed { width: 8, little_endian: false }.decoder(usize::MAX);
    assert_eq!(decoder.decode(&mut [0xff; 20], false), Ok(Decoded::Need { consumed: 0, partial: false }));
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
    assert_eq!(Framing::Lines.decoder(3).decode(&mut b"abcd".to_owned(), true), too_large);
    assert!(matches!(decode(&Framing::length_prefixed(), &[0, 0, 0, 2, 1], &[]), Err(FrameError::Truncated { .. })));
    assert!(matches!(decode(&Framing::Fixed(2), &[1], &[]), Err(FrameError::Truncated { .. })));
}

#[test]
fn a_line_that_drips_in_is_searched_once() {
    let mut decoder = Framing::Lines.decoder(MAX);
    assert_eq!(decoder.decode(&mut b"abcdef".to_owned(), false), Ok(Decoded::Need { consumed: 0, partial: false }));
    assert_eq!(decoder.scanned, 5);
}

#[test]
fn lengths_of_three_bytes_have_either_order() {
    for (text, frame) in
        [("length:3", b"\x00\x00\x02ab"), ("length:3be", b"\x00\x00\x02ab"), ("length:3le", b"\x02\x00\x00ab")]
    {
        let framing: Framing = text.parse().unwrap();
        assert_eq!(encode(&framing, &[b"ab".to_vec()]).unwrap(), frame, "{text}");
        assert_eq!(decode(&framing, frame, &[4]).unwrap(), [b"ab"], "{text}");
    }
    let framing = Framing::LengthPrefixed { width: 3, little_endian: false };
    let too_long = vec![0; 1 << 24];
    let mut out = too_long.clone();
    out.extend([0; 3]);
    let refused = framing.encoder(usize::MAX).finish(&mut out, 0);
    assert!(matches!(refused, Err(FrameError::Unframeable(_))), "{refused:?}");
    // Widths that no text form has are as near as can be.
    for (width, header) in [(0, 1), (99, 8)] {
        let framing = Framing::LengthPrefixed { width, little_endian: true };
        assert_eq!(encode(&framing, &[b"ab".to_vec()]).unwrap().len(), header + 2);
    }
}

#[test]
fn a_varint_is_as_long_as_it_must_be() {
    // The example of protobuf.dev, "Encoding": 150 is 96 01.
    for (len, header) in [
        (0, &b"\0"[..]),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (150, b"\x96\x01"),
        (16_384, b"\x80\x80\x01"),
    ] {
        let message = vec![b'x'; len];
        let mut out = b"before".to_vec();
        let mut encoder = Framing::Varint.encoder(20_000);
        encoder.begin(&mut out);
        out.extend_from_slice(&message);
        encoder.finish(&mut out, 6).unwrap();
        assert_eq!(out, [&b"before"[..], header, &message].concat(), "{len}");
        let mut decoder = Framing::Varint.decoder(20_000);
        for short in 1..header.len() {
            assert_eq!(
                decoder.decode(&mut out[6..6 + short], false),
                Ok(Decoded::Need { consumed: 0, partial: false })
            );
        }
        let end = header.len() + len;
        assert_eq!(
            decoder.decode(&mut out[6..], true),
            Ok(Decoded::Frame { message: header.len()..end, consumed: end })
        );
    }
}

#[test]
fn a_varint_has_at_most_ten_bytes_and_64_bits() {
    let padded = Framing::Varint.decoder(10).decode(&mut b"\x81\x80\x80\x00x".to_owned(), false);
    assert_eq!(padded, Ok(Decoded::Frame { message: 4..5, consumed: 5 }));
    let largest =
        Framing::Varint.decoder(10).decode(&mut b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_owned(), false);
    assert_eq!(largest, Err(FrameError::TooLarge { len: u64::MAX, max: 10 }));
    for header in [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"] {
        let wrong = Framing::Varint.decoder(10).decode(&mut header.to_vec(), false);
        assert!(matches!(wrong, Err(FrameError::Malformed(_))), "{wrong:?}");
    }
    assert_eq!(
        Framing::Varint.decoder(10).decode(&mut b"\x80".to_owned(), true),
        Err(FrameError::Truncated { have: 1 })
    );
}

#[test]
fn every_codec_of_tokio_util_is_a_framing() {
    let messages = [b"ab".to_vec(), b"cd".to_vec()];
    for (framing, wire) in [
        (Framing::codec(LengthDelimitedCodec::new), &b"\0\0\0\x02ab\0\0\0\x02cd"[..]),
        (Framing::codec(LinesCodec::new), b"ab\ncd\n"),
        (Framing::codec(|| AnyDelimiterCodec::new(b";".to_vec(), b";".to_vec())), b"ab;cd;"),
    ] {
        assert_eq!(encode(&framing, &messages).unwrap(), wire);
        assert_eq!(decode(&framing, wire, &[1, 3, 9]).unwrap(), messages);
    }
    let bytes = Framing::codec(BytesCodec::new);
    assert_eq!(encode(&bytes, &messages).unwrap(), b"abcd");
    assert_eq!(decode(&bytes, b"abcd", &[2]).unwrap(), messages);
    let no_text = encode(&Framing::codec(LinesCodec::new), &[vec![0xff]]);
    assert!(matches!(no_text, Err(FrameError::Unframeable(_))), "{no_text:?}");
}

#[test]
fn text_forms_round_trip() {
    for text in [
        "chunks",
        "lines",
        "length",
        "length:2",
        "length:3",
        "length:3le",
        "length:8le",
        "varint",
        "delimiter:\\r\\n",
        "delimiter:\\x00;",
        "fixed:64",
    ] {
        assert_eq!(text.parse::<Framing>().unwrap().to_string(), text);
    }
    assert_eq!("length:varint".parse::<Framing>().unwrap().to_string(), "varint");
    for text in [
        "",
        "line",
        "length:0",
        "length:9",
        "length:varintle",
        "varint:1",
        "length:",
        "fixed:0",
        "fixed",
        "delimiter:",
        "delimiter:\\q",
        "delimiter:\\x+f",
        "delimiter:\\x1",
        "chunks:1",
    ] {
        assert!(text.parse::<Framing>().is_err(), "{text}");
    }
}
