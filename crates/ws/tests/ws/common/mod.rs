//! Frames by hand, and a driver of a reader.

use swapwire_core::{Addr, ConnInfo, Decoded, FrameError, FrameFactory as _, FrameReader, Peer};
use swapwire_ws::{MessageKind, WsFrames};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The mask of the example of RFC 6455, 5.7.
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame whose first byte is `first`.
pub(crate) fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let has_mask = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(has_mask | len as u8),
        len @ 126..=0xffff => {
            frame.push(has_mask | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(has_mask | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask.map_or(0, |mask| mask[at % 4])));
    frame
}

/// One of a client.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, Some(MASK))
}

pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A message of this tag, whole, or a control frame.
pub(crate) type Item = (u8, Vec<u8>);

/// A reader, and what it has not consumed.
pub(crate) struct Feed {
    pub(crate) reader: Box<dyn FrameReader>,
    unread: Vec<u8>,
    pub(crate) items: Vec<Item>,
    /// How much of the unread bytes was left at the most.
    pub(crate) most_unread: usize,
    pub(crate) most_memory: usize,
    /// Whether a message is open, by the last call.
    pub(crate) partial: bool,
}

impl Feed {
    pub(crate) fn server(max: usize) -> Self {
        Self::new(WsFrames::server(MessageKind::Auto).reader(max))
    }

    pub(crate) fn new(reader: Box<dyn FrameReader>) -> Self {
        Self { reader, unread: Vec::new(), items: Vec::new(), most_unread: 0, most_memory: 0, partial: false }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), FrameError> {
        self.unread.extend_from_slice(piece);
        self.drain(false)
    }

    pub(crate) fn end(&mut self) -> Result<(), FrameError> {
        self.drain(true)
    }

    fn drain(&mut self, eof: bool) -> Result<(), FrameError> {
        loop {
            let decoded = self.reader.decode(&mut self.unread, eof)?;
            let (tag, unread) = (self.reader.tag(), &mut self.unread);
            let consumed = match decoded {
                Decoded::Frame { message, consumed } | Decoded::Control { payload: message, consumed } => {
                    assert!(message.end <= consumed);
                    self.items.push((tag, unread[message].to_vec()));
                    consumed
                }
                Decoded::Owned { message, consumed } => {
                    self.items.push((tag, message.to_vec()));
                    consumed
                }
                Decoded::Need { consumed, partial } => {
                    unread.drain(..consumed);
                    self.partial = partial || !unread.is_empty();
                    self.most_unread = self.most_unread.max(unread.len());
                    self.most_memory = self.most_memory.max(self.reader.memory());
                    return Ok(());
                }
            };
            unread.drain(..consumed);
            self.most_memory = self.most_memory.max(self.reader.memory());
        }
    }
}

/// What a server makes of bytes that come at once, and of their end.
pub(crate) fn read(max: usize, bytes: &[u8]) -> (Vec<Item>, Result<(), FrameError>) {
    let mut feed = Feed::server(max);
    let read = feed.push(bytes);
    (feed.items, read)
}

/// The two ends of a link that is not there.
pub(crate) fn nowhere() -> ConnInfo {
    let here = Addr::named("mem", "here").unwrap();
    ConnInfo::new(Peer::new(here), here)
}
