//! What is written.

use swapwire_core::{Answer, FrameError, FrameFactory as _, FrameWriter, Goodbye};
use swapwire_ws::{MessageKind, WsFrames};

use crate::common::{BINARY, CLOSE, FIN, Feed, PING, PONG, TEXT, frame};

const MAX: usize = 1 << 20;

fn server(kind: MessageKind) -> Box<dyn FrameWriter> {
    WsFrames::server(kind).writer(MAX)
}

fn send(writer: &mut dyn FrameWriter, message: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    writer.begin(out);
    out.extend_from_slice(message);
    let sent = writer.finish(out, start);
    if sent.is_err() {
        out.truncate(start);
    }
    sent
}

/// The room that was left is that of the last message, so that each length follows each.
#[test]
fn headers_have_the_length_that_they_need() {
    let lengths = [0, 125, 126, 65535, 65536, 1];
    for kind in [MessageKind::Binary, MessageKind::Auto] {
        let (mut writer, mut out, mut expected) = (server(kind), b"before".to_vec(), b"before".to_vec());
        let opcode = if kind == MessageKind::Binary { BINARY } else { TEXT };
        for first in lengths {
            for second in lengths {
                for len in [first, second] {
                    send(&mut *writer, &vec![b'x'; len], &mut out).unwrap();
                    expected.extend(frame(FIN | opcode, &vec![b'x'; len], None));
                }
            }
        }
        assert!(out == expected);
    }
}

#[test]
fn a_client_masks_each_frame_with_another_mask() {
    let mut writer = WsFrames::client(MessageKind::Binary).writer(MAX);
    let (mut out, mut masks) = (Vec::new(), Vec::new());
    let messages: Vec<Vec<u8>> = (0..300).map(|len| vec![9; len * 3]).collect();
    for message in &messages {
        let start = out.len();
        send(&mut *writer, message, &mut out).unwrap();
        let header = if message.len() <= 125 { 2 } else { 4 };
        masks.push(out[start + header..start + header + 4].to_vec());
    }
    assert_eq!(writer.answer(PING, b"ping", &mut out), Answer::GoesOn);
    masks.push(out[out.len() - 8..out.len() - 4].to_vec());
    let mut feed = Feed::server(MAX);
    feed.push(&out).unwrap();
    let expected: Vec<_> =
        messages.into_iter().map(|message| (BINARY, message)).chain([(PONG, b"ping".to_vec())]).collect();
    assert_eq!(feed.items, expected);
    masks.sort_unstable();
    masks.dedup();
    assert!(masks.len() > 298, "of 301 masks, {} differ", masks.len());
}

#[test]
fn the_kind_is_that_of_what_was_received() {
    let kinds = |kind, tags: &[u8], message: &[u8]| {
        let (mut writer, mut out) = (server(kind), Vec::new());
        send(&mut *writer, message, &mut out).unwrap();
        for tag in tags {
            writer.follow(*tag);
            let start = out.len();
            send(&mut *writer, message, &mut out).unwrap();
            assert_eq!(out[start] & 0xf0, FIN);
        }
        let frame_len = out.len() / (tags.len() + 1);
        (out.chunks(frame_len).map(|frame| frame[0] & 0xf).collect::<Vec<_>>(), writer.take_changed())
    };
    let tags = [BINARY, TEXT, PING, BINARY, PONG];
    assert_eq!(kinds(MessageKind::Auto, &tags, b"m"), (vec![TEXT, BINARY, TEXT, TEXT, BINARY, BINARY], 0));
    assert_eq!(kinds(MessageKind::Text, &tags, b"m"), (vec![TEXT; 6], 0));
    assert_eq!(kinds(MessageKind::Binary, &tags, b"m"), (vec![BINARY; 6], 0));
    // What is no text leaves as bytes, and is counted.
    assert_eq!(kinds(MessageKind::Auto, &tags, b"\xff"), (vec![BINARY; 6], 3));
    assert_eq!(kinds(MessageKind::Text, &[], b"\xff"), (vec![BINARY], 1));
    assert_eq!(kinds(MessageKind::Binary, &[], b"\xff"), (vec![BINARY], 0));
}

#[test]
fn a_message_that_is_too_large_leaves_no_trace() {
    let mut writer = WsFrames::server(MessageKind::Auto).writer(10);
    let mut out = Vec::new();
    send(&mut *writer, b"0123456789", &mut out).unwrap();
    let error = send(&mut *writer, b"0123456789a", &mut out).unwrap_err();
    assert_eq!(error, FrameError::TooLarge { len: 11, max: 10 });
    send(&mut *writer, b"b", &mut out).unwrap();
    assert_eq!(out, [frame(FIN | TEXT, b"0123456789", None), frame(FIN | TEXT, b"b", None)].concat());
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    let (mut writer, mut out) = (server(MessageKind::Auto), Vec::new());
    assert_eq!(writer.answer(PING, &[7; 125], &mut out), Answer::GoesOn);
    assert_eq!(out, frame(FIN | PONG, &[7; 125], None));
    assert_eq!(writer.answer(PONG, b"unasked", &mut out), Answer::GoesOn);
    assert_eq!(out.len(), 127);
}

#[test]
fn a_close_frame_is_answered_once_with_its_code() {
    for (payload, answered, follows) in [
        (&b""[..], &b""[..], Answer::Ends),
        (b"\x03\xe8bye", b"\x03\xe8", Answer::Ends),
        (b"\x03\xe9", b"\x03\xe9", Answer::Ends),
        (b"\x0b\xb8", b"\x0b\xb8", Answer::Ends),
        (b"\x13\x87x", b"\x13\x87", Answer::Ends),
        (
            b"\x03\xf3no\nroom",
            b"\x03\xf3",
            Answer::Breaks(FrameError::Ended("with close code 1011: no\\nroom".to_owned())),
        ),
        (b"\x03\xea", b"\x03\xea", Answer::Breaks(FrameError::Ended("with close code 1002".to_owned()))),
    ] {
        let (mut writer, mut out) = (server(MessageKind::Auto), Vec::new());
        assert_eq!(writer.answer(CLOSE, payload, &mut out), follows);
        // Behind what was said before.
        assert!(out.is_empty());
        send(&mut *writer, b"reply", &mut out).unwrap();
        out.clear();
        writer.goodbye(Goodbye::Failed, &mut out);
        assert_eq!(out, frame(FIN | CLOSE, answered, None));
        nothing_follows(&mut *writer);
    }
}

#[test]
fn a_goodbye_says_why() {
    let too_large = FrameError::TooLarge { len: 2, max: 1 };
    let malformed = FrameError::Malformed("a control frame is fragmented");
    let long = FrameError::Ended("ä".repeat(200));
    for (why, code, reason) in [
        (Goodbye::Done, 1000_u16, ""),
        (Goodbye::GoingAway, 1001, ""),
        (Goodbye::Failed, 1011, ""),
        (Goodbye::Bad(&too_large), 1009, "a frame of 2 bytes or more is longer than the limit of 1"),
        (Goodbye::Bad(&FrameError::NotText), 1007, "text that is not UTF-8"),
        (Goodbye::Bad(&malformed), 1002, "a control frame is fragmented"),
        (
            Goodbye::Bad(&FrameError::Truncated { have: 1 }),
            1002,
            "the stream ended inside a frame, after 1 bytes of it",
        ),
        (Goodbye::Bad(&long), 1002, &long.to_string()[..122]),
    ] {
        let (mut writer, mut out) = (server(MessageKind::Auto), Vec::new());
        writer.goodbye(why, &mut out);
        let expected = frame(FIN | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat(), None);
        assert_eq!(out, expected, "{why:?}");
        nothing_follows(&mut *writer);
    }
}

/// Also not when the peer's answer comes.
fn nothing_follows(writer: &mut dyn FrameWriter) {
    let mut out = Vec::new();
    let error = send(writer, b"late", &mut out).unwrap_err();
    assert_eq!(error, FrameError::Unframeable("a close frame was sent, and no message may follow it"));
    assert_eq!(writer.answer(PING, b"", &mut out), Answer::GoesOn);
    writer.goodbye(Goodbye::Done, &mut out);
    assert_eq!(writer.answer(CLOSE, b"\x03\xe8", &mut out), Answer::Ends);
    assert!(out.is_empty());
}
