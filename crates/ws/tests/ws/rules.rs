//! What RFC 6455 asks of frames, and at which byte a server says so.

use swapwire_core::{FrameError, FrameFactory as _};
use swapwire_ws::{MessageKind, WsFrames};

use crate::common::{BINARY, CLOSE, FIN, Feed, MASK, PING, PONG, TEXT, close, frame, masked, read};

const MAX: usize = 1 << 20;

/// At which byte `bytes` are refused, and with which words.
fn refused_at(bytes: &[u8]) -> Option<(usize, String)> {
    let mut feed = Feed::server(MAX);
    (1..=bytes.len()).find_map(|len| feed.push(&bytes[len - 1..len]).err().map(|error| (len, error.to_string())))
}

/// RFC 6455, 5.7.
#[test]
fn the_examples_of_the_rfc() {
    let (items, result) = read(MAX, &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    assert_eq!((items, result), (vec![(TEXT, b"Hello".to_vec())], Ok(())));
    let (items, _) = read(MAX, &[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    assert_eq!(items, [(PONG, b"Hello".to_vec())]);

    let of_server = [
        &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f][..],
        &[0x01, 0x03, 0x48, 0x65, 0x6c],
        &[0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
        &[0x80, 0x02, 0x6c, 0x6f],
        &[0x82, 0x7e, 0x01, 0x00],
        &[7; 256],
        &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
        &[7; 65536],
    ];
    let mut feed = Feed::new(WsFrames::client(MessageKind::Auto).reader(MAX));
    feed.push(&of_server.concat()).unwrap();
    let hello = b"Hello".to_vec();
    let expected =
        [(TEXT, hello.clone()), (PING, hello.clone()), (TEXT, hello), (BINARY, vec![7; 256]), (BINARY, vec![7; 65536])];
    assert!(feed.items == expected);
}

#[test]
fn what_is_wrong_is_told_at_its_first_wrong_byte() {
    let mask = MASK;
    let begun = masked(TEXT, b"ab");
    let within = |frame: &[u8]| [&begun, frame].concat();
    let reserved = "a frame has reserved bits set, and no extension was agreed on";
    let unknown = "a frame has an unknown opcode; 0, 1, 2, 8, 9 and 10 are known";
    let unmasked = "a frame of a client is not masked";
    let padded = "the length of a frame is written in more bytes than it needs";
    let cases: &[(Vec<u8>, usize, &str)] = &[
        (masked(FIN | 0x40 | TEXT, b""), 1, reserved),
        (masked(FIN | 0x20 | TEXT, b""), 1, reserved),
        (masked(FIN | 0x10 | PING, b""), 1, reserved),
        (masked(FIN | 3, b""), 1, unknown),
        (masked(FIN | 7, b""), 1, unknown),
        (masked(FIN | 11, b""), 1, unknown),
        (masked(FIN | 15, b""), 1, unknown),
        (frame(FIN | TEXT, b"a", None), 2, unmasked),
        (frame(FIN | PING, b"", None), 2, unmasked),
        (masked(PING, b""), 1, "a control frame is fragmented"),
        (masked(CLOSE, b""), 1, "a control frame is fragmented"),
        (masked(FIN | PING, &[0; 126]), 2, "a control frame has more than 125 bytes"),
        (masked(FIN | CLOSE, &[0; 70000]), 2, "a control frame has more than 125 bytes"),
        (masked(FIN, b"a"), 1, "a frame continues a message that none has begun"),
        (within(&masked(FIN | TEXT, b"a")), begun.len() + 1, "a frame begins a message within another"),
        (within(&masked(BINARY, b"a")), begun.len() + 1, "a frame begins a message within another"),
        (vec![FIN | TEXT, 0x80 | 126, 0, 125], 4, padded),
        (vec![FIN | TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 10, padded),
        (vec![FIN | TEXT, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 10, "the length of a frame has its highest bit set"),
        (masked(FIN | CLOSE, b"\x03"), 7, "a close frame has half a code"),
        (
            [&[FIN | BINARY, 0x80 | 127][..], &(MAX as u64 + 1).to_be_bytes(), &mask].concat(),
            10,
            "a frame of 1048577 bytes or more is longer than the limit of 1048576",
        ),
        // The character that cannot be is told within the frame: 6 bytes of header, then the bad byte.
        (masked(FIN | TEXT, b"ab\xffcdefgh"), 9, "text that is not UTF-8"),
        (masked(FIN | TEXT, b"\xce\xba\xf4\x90\x80\x80rest"), 10, "text that is not UTF-8"),
        // Across fragments.
        ([masked(TEXT, b"\xe2\x82"), masked(FIN, b"zz")].concat(), 8 + 7, "text that is not UTF-8"),
        // An open character at the end.
        (masked(FIN | TEXT, b"ab\xe2\x82"), 10, "text that is not UTF-8"),
        ([masked(TEXT, b"\xe2\x82"), masked(FIN, b"")].concat(), 8 + 6, "text that is not UTF-8"),
        (close(1000, b"\xff"), 9, "text that is not UTF-8"),
    ];
    for (bytes, at, words) in cases {
        let shown = bytes[..bytes.len().min(32)].escape_ascii();
        assert_eq!(refused_at(bytes), Some((*at, (*words).to_owned())), "{shown}");
    }
}

#[test]
fn a_client_refuses_what_is_masked() {
    let mut feed = Feed::new(WsFrames::client(MessageKind::Auto).reader(MAX));
    assert_eq!(feed.push(&[0x81]), Ok(()));
    assert_eq!(feed.push(&[0x85]), Err(FrameError::Malformed("a frame of a server is masked")));
}

#[test]
fn codes_of_close_frames() {
    let mut may = Vec::new();
    for code in 0..=u16::MAX {
        if read(MAX, &close(code, b"")).1.is_ok() {
            may.push(code);
        }
    }
    let expected: Vec<u16> = [1000..=1003, 1007..=1014, 3000..=4999].into_iter().flatten().collect();
    assert_eq!(may, expected);
}

#[test]
fn behind_a_close_frame_nothing_is_read() {
    let bytes = [masked(FIN | TEXT, b"a"), close(1000, b"bye"), vec![0xff; 100]].concat();
    let mut feed = Feed::server(MAX);
    feed.push(&bytes).unwrap();
    feed.push(&[0xff; 10]).unwrap();
    feed.end().unwrap();
    assert_eq!(feed.items, [(TEXT, b"a".to_vec()), (CLOSE, b"\x03\xe8bye".to_vec())]);
    assert!(!feed.partial && feed.most_unread == 0);
}

#[test]
fn an_end_is_an_end_behind_a_close_frame_alone() {
    let ended = |bytes: &[u8]| {
        let mut feed = Feed::server(MAX);
        feed.push(bytes).unwrap();
        feed.end().unwrap_err()
    };
    let without = FrameError::Ended("without a close frame".to_owned());
    assert_eq!(ended(b""), without);
    assert_eq!(ended(&masked(FIN | TEXT, b"a")), without);
    let whole = masked(FIN | TEXT, b"hello");
    for len in 1..whole.len() {
        assert_eq!(ended(&whole[..len]), FrameError::Truncated { have: len });
    }
    assert_eq!(ended(&masked(TEXT, b"hello")), FrameError::Truncated { have: 5 });
    assert_eq!(ended(&[masked(TEXT, b"hello"), vec![0x80]].concat()), FrameError::Truncated { have: 6 });
}

#[test]
fn control_frames_between_fragments_are_given_at_once() {
    let mut feed = Feed::server(MAX);
    feed.push(&masked(TEXT, b"ab")).unwrap();
    assert!(feed.items.is_empty() && feed.partial);
    feed.push(&masked(FIN | PING, b"now")).unwrap();
    assert_eq!(feed.items, [(PING, b"now".to_vec())]);
    assert!(feed.partial);
    feed.push(&[masked(0, b"cd"), masked(FIN | PONG, b""), masked(FIN, b"ef")].concat()).unwrap();
    assert_eq!(feed.items[1..], [(PONG, Vec::new()), (TEXT, b"abcdef".to_vec())]);
    assert!(!feed.partial && feed.reader.memory() == 0);
}
