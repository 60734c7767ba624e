//! The same streams through `tungstenite`, which others wrote.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use swapwire_core::FrameFactory as _;
use swapwire_ws::{MessageKind, WsFrames};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::common::{BINARY, CLOSE, FIN, Feed, Item, PING, PONG, TEXT, frame};

/// Reads from the front, and keeps what is written.
struct Wire(Cursor<Vec<u8>>, Vec<u8>);

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What it makes of what `role` receives: messages, and whether an error ends them other than an end.
fn theirs(role: Role, bytes: &[u8]) -> (Vec<Item>, bool) {
    let config = WebSocketConfig::default().accept_unmasked_frames(false);
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes.to_vec()), Vec::new()), role, Some(config));
    let mut items = Vec::new();
    loop {
        let (tag, payload) = match socket.read() {
            Ok(Message::Text(text)) => (TEXT, text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => (BINARY, bytes.to_vec()),
            Ok(Message::Ping(bytes)) => (PING, bytes.to_vec()),
            Ok(Message::Pong(bytes)) => (PONG, bytes.to_vec()),
            Ok(Message::Close(close)) => {
                let payload =
                    close.map(|close| [&u16::from(close.code).to_be_bytes(), close.reason.as_bytes()].concat());
                items.push((CLOSE, payload.unwrap_or_default()));
                return (items, false);
            }
            Ok(Message::Frame(_)) => panic!("it gives no frames"),
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (items, false);
            }
            Err(_) => return (items, true),
        };
        items.push((tag, payload));
    }
}

/// Some bytes of a message in frames, with control frames among them.
fn message() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let control = (prop_oneof![Just(PING), Just(PONG)], prop::collection::vec(any::<u8>(), 0..=125))
        .prop_map(|(opcode, payload)| (FIN | opcode, payload));
    let payload = prop_oneof![
        4 => "[a-zäß€🙂]{0,60}".prop_map(|text| (TEXT, text.into_bytes())),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| (TEXT, bytes)),
        4 => prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| (BINARY, bytes)),
        1 => prop::collection::vec(any::<u8>(), 65530..65550).prop_map(|bytes| (BINARY, bytes)),
    ];
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(control)), 0..4);
    (payload, cuts).prop_map(|((opcode, payload), cuts)| {
        let mut cuts: Vec<_> = cuts.into_iter().map(|(at, control)| (at.index(payload.len() + 1), control)).collect();
        cuts.sort_by_key(|(at, _)| *at);
        let (mut frames, mut from, mut first) = (Vec::new(), 0, opcode);
        for (at, control) in cuts {
            frames.push((first, payload[from..at].to_vec()));
            frames.extend(control);
            (from, first) = (at, 0);
        }
        frames.push((FIN | first, payload[from..].to_vec()));
        frames
    })
}

fn stream() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let close = prop_oneof![
        Just(Vec::new()),
        (any::<u16>(), "[a-zä]{0,20}").prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
        (1000..1016_u16).prop_map(|code| code.to_be_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
    ];
    let close = prop::option::of(close.prop_map(|payload| (FIN | CLOSE, payload)));
    let stray = prop::option::weighted(0.2, (any::<u8>(), prop::collection::vec(any::<u8>(), 0..130)));
    (prop::collection::vec(message(), 0..5), stray, close)
        .prop_map(|(messages, stray, close)| messages.into_iter().flatten().chain(stray).chain(close).collect())
}

/// A code that no close frame may have: there, it ends the connection as any, and is told in place of what was said. So it does
/// with 1014, which the registry has and `tungstenite` does not know.
fn tells_another_code((first, payload): &(u8, Vec<u8>)) -> bool {
    let known = |code| matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
    *first == FIN | CLOSE && payload.len() >= 2 && !known(u16::from_be_bytes([payload[0], payload[1]]))
}

proptest! {
    #[test]
    fn a_server_reads_what_tungstenite_reads(frames in stream(), mask: [u8; 4]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, payload, Some(mask))).collect();
        let mut feed = Feed::server(1 << 20);
        let failed = feed.push(&bytes).is_err();
        let (items, theirs_failed) = theirs(Role::Server, &bytes);
        if !theirs_failed && frames.iter().any(tells_another_code) && items.last().is_some_and(|(tag, _)| *tag == CLOSE) {
            let ours = feed.items.len() - usize::from(!failed);
            prop_assert_eq!(&feed.items[..ours], &items[..items.len() - 1]);
        } else {
            prop_assert_eq!((feed.items, failed), (items, theirs_failed));
        }
    }

    #[test]
    fn tungstenite_reads_what_is_written(
        messages in prop::collection::vec((any::<bool>(), prop_oneof![
            "[a-zäß€🙂]{0,60}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..300),
            (65530..65550_usize).prop_map(|len| vec![7; len]),
        ]), 0..8),
        is_client: bool,
    ) {
        let (frames, role) = match is_client {
            true => (WsFrames::client(MessageKind::Auto), Role::Server),
            false => (WsFrames::server(MessageKind::Auto), Role::Client),
        };
        let mut writer = frames.writer(1 << 20);
        let (mut out, mut expected, mut changed) = (Vec::new(), Vec::new(), 0);
        for (is_text, message) in &messages {
            writer.follow(if *is_text { TEXT } else { BINARY });
            let start = out.len();
            writer.begin(&mut out);
            out.extend_from_slice(message);
            writer.finish(&mut out, start).unwrap();
            let leaves_as_text = *is_text && std::str::from_utf8(message).is_ok();
            changed += u64::from(*is_text && !leaves_as_text);
            expected.push((if leaves_as_text { TEXT } else { BINARY }, message.clone()));
        }
        prop_assert_eq!(theirs(role, &out), (expected, false));
        prop_assert_eq!((writer.take_changed(), writer.take_changed()), (changed, 0));
    }
}
