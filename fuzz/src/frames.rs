//! Frames of WebSockets, against a reader that others wrote.
//!
//! However the bytes are cut, the messages and the error are the same; they are those of `tungstenite`, but for codes of close
//! frames, which a rule by hand judges. What was read comes back when it is written and read again.

use std::io::{self, Cursor, Read, Write};

use swapwire_core::{Decoded, FrameError, FrameFactory as _, Goodbye};
use swapwire_ws::{MessageKind, WsFrames};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::endpoint::is_one_line;
use super::source::Source;

/// What the oracle takes at most.
const LARGEST: usize = 1 << 20;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What kind of message, and what it says.
type Item = (u8, Vec<u8>);

/// The end that reads, a limit, where the pieces end, and bytes.
pub fn frames(data: &[u8]) {
    let mut source = Source::new(data);
    let is_server = source.flag();
    let max = source.limit();
    let count = source.below(16);
    let cuts: Vec<_> = source.take(count).iter().map(|step| usize::from(*step)).collect();
    let bytes = source.rest();

    let whole = read(is_server, max, bytes, &[]);
    assert_eq!(read(is_server, max, bytes, &cuts), whole, "cut by {cuts:?}");
    assert_eq!(read(is_server, max, bytes, &vec![1; bytes.len()]), whole, "byte by byte");
    let (items, error) = &whole;
    if let Some(error) = error {
        is_one_line(error);
    }
    for (tag, message) in items {
        assert!(message.len() <= if *tag >= CLOSE { 125 } else { max });
        assert!(*tag != TEXT || std::str::from_utf8(message).is_ok());
        assert!(*tag != CLOSE || may_close(message), "{}", message.escape_ascii());
    }
    there_and_back(is_server, items);
    compare(is_server, bytes, &read(is_server, LARGEST, bytes, &[]));
}

/// All that is given of `bytes`, and the error; their end is not told.
fn read(is_server: bool, max: usize, bytes: &[u8], steps: &[usize]) -> (Vec<Item>, Option<FrameError>) {
    let kind = MessageKind::Auto;
    let mut reader = if is_server { WsFrames::server(kind) } else { WsFrames::client(kind) }.reader(max);
    let (mut items, mut unread, mut from) = (Vec::new(), Vec::new(), 0_usize);
    for step in steps.iter().copied().chain([bytes.len()]) {
        let to = from.saturating_add(step).min(bytes.len());
        unread.extend_from_slice(&bytes[from..to]);
        from = to;
        loop {
            let consumed = match reader.decode(&mut unread, false) {
                Ok(Decoded::Frame { message, consumed } | Decoded::Control { payload: message, consumed }) => {
                    items.push((reader.tag(), unread[message].to_vec()));
                    consumed
                }
                Ok(Decoded::Owned { message, consumed }) => {
                    items.push((reader.tag(), message.to_vec()));
                    consumed
                }
                Ok(Decoded::Need { consumed, .. }) => {
                    unread.drain(..consumed);
                    break;
                }
                Err(error) => return (items, Some(error)),
            };
            unread.drain(..consumed);
        }
        assert!(reader.memory() <= 2 * bytes.len() + 64, "{} B of {}", reader.memory(), bytes.len());
    }
    (items, None)
}

/// The rule of RFC 6455, 7.4, by hand.
fn may_close(payload: &[u8]) -> bool {
    let Some((code, reason)) = payload.split_at_checked(2) else { return payload.is_empty() };
    let code = u16::from_be_bytes([code[0], code[1]]);
    let is_registered = (1000..1015).contains(&code) && ![1004, 1005, 1006].contains(&code);
    (is_registered || (3000..5000).contains(&code)) && std::str::from_utf8(reason).is_ok()
}

fn there_and_back(is_server: bool, items: &[Item]) {
    let kind = MessageKind::Auto;
    // What this end writes, the other reads.
    let mut writer = if is_server { WsFrames::server(kind) } else { WsFrames::client(kind) }.writer(usize::MAX);
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for (tag, message) in items {
        match *tag {
            TEXT | BINARY => {
                writer.follow(*tag);
                let start = wire.len();
                writer.begin(&mut wire);
                wire.extend_from_slice(message);
                writer.finish(&mut wire, start).expect("no limit is so high");
                expected.push((*tag, message.clone()));
            }
            control => {
                writer.answer(control, message, &mut wire);
                match control {
                    PING => expected.push((PONG, message.clone())),
                    CLOSE => {
                        writer.goodbye(Goodbye::Done, &mut wire);
                        expected.push((CLOSE, message[..message.len().min(2)].to_vec()));
                    }
                    _ => {}
                }
            }
        }
    }
    if !items.iter().any(|(tag, _)| *tag == CLOSE) {
        writer.goodbye(Goodbye::Done, &mut wire);
        expected.push((CLOSE, 1000_u16.to_be_bytes().to_vec()));
    }
    assert_eq!(writer.take_changed(), 0);
    assert_eq!(read(!is_server, usize::MAX, &wire, &[]), (expected, None));
}

fn compare(is_server: bool, bytes: &[u8], ours: &(Vec<Item>, Option<FrameError>)) {
    let (theirs, failed) = with_tungstenite(is_server, bytes);
    let shown = bytes.escape_ascii();
    let (items, error) = ours;
    let common = &theirs[..items.len().min(theirs.len())];
    let is_1014 = items.last().is_some_and(|(tag, says)| *tag == CLOSE && says.starts_with(&1014_u16.to_be_bytes()));
    match error {
        // The registry has this code, they do not know it, and tell another in its place.
        None if is_1014 => assert_eq!(items[..items.len() - 1], theirs[..theirs.len() - 1], "{shown}"),
        None => assert_eq!((items, false), (&theirs, failed), "{shown}"),
        Some(error) => {
            assert_eq!(items, common, "{shown}");
            assert!(failed || they_go_on(error, bytes), "{error}: {shown}");
        }
    }
}

/// Why they have not failed where we have: they look at a frame when it is whole. Nor do they look at how a length is written, and
/// they answer a code that none may have as any other.
fn they_go_on(error: &FrameError, bytes: &[u8]) -> bool {
    let text = error.to_string();
    ["code that none may have", "more bytes than it needs", "control frame has more than 125 bytes"]
        .iter()
        .any(|other| text.contains(other))
        || !ends_with_a_frame(bytes)
}

fn ends_with_a_frame(mut bytes: &[u8]) -> bool {
    while let [_, second, rest @ ..] = bytes {
        let width = [0, 2, 8][usize::from(second & 0x7f).saturating_sub(125)];
        let Some((wide, rest)) = rest.split_at_checked(width) else { return false };
        let len = wide.iter().fold(0_usize, |len, byte| len.saturating_mul(256).saturating_add(usize::from(*byte)));
        let len = if width == 0 { usize::from(second & 0x7f) } else { len };
        let mask = usize::from(second >> 7) * 4;
        let Some(next) = rest.get(len.saturating_add(mask)..) else { return false };
        bytes = next;
    }
    bytes.is_empty()
}

/// Reads from the front, and throws away what is written.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What it gives, and whether it fails but for the end.
fn with_tungstenite(is_server: bool, bytes: &[u8]) -> (Vec<Item>, bool) {
    let role = if is_server { Role::Server } else { Role::Client };
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes.to_vec())), role, Some(config));
    let mut items = Vec::new();
    loop {
        items.push(match socket.read() {
            Ok(Message::Text(text)) => (TEXT, text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => (BINARY, bytes.to_vec()),
            Ok(Message::Ping(bytes)) => (PING, bytes.to_vec()),
            Ok(Message::Pong(bytes)) => (PONG, bytes.to_vec()),
            Ok(Message::Close(close)) => {
                let says = |close: tungstenite::protocol::CloseFrame| {
                    [&u16::from(close.code).to_be_bytes(), close.reason.as_bytes()].concat()
                };
                items.push((CLOSE, close.map(says).unwrap_or_default()));
                return (items, false);
            }
            Ok(Message::Frame(_)) => unreachable!("it gives no frames"),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (items, false),
            Err(_) => return (items, true),
        });
    }
}
