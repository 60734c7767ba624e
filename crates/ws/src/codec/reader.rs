//! What comes in.

use swapwire_core::{Bytes, Decoded, FrameError, FrameReader};

use super::header::{FIN, Header, LONGEST_CONTROL, MASK, is_control, opcode};
use super::utf8::Utf8;
use super::{Role, close, mask};

/// What a fragment counts in memory beside its payload, in bytes: else those without a payload would be endless.
const FRAGMENT: u64 = 16;
/// What fragments of one message may take where messages are short, in bytes.
const FRAGMENTS: u64 = 1024;

pub(super) struct Reader {
    max: usize,
    /// Of the payload in front, the bytes that are unmasked and, if they are text, checked.
    seen: usize,
    open: Option<Box<Open>>,
    utf8: Utf8,
    role: Role,
    tag: u8,
    is_closed: bool,
}

/// A message of which fragments have come.
struct Open {
    payload: Vec<u8>,
    fragments: u64,
    opcode: u8,
}

impl Reader {
    pub(super) fn new(role: Role, max: usize) -> Self {
        Self { max, seen: 0, open: None, utf8: Utf8::default(), role, tag: 0, is_closed: false }
    }

    /// Whether a frame may stand here.
    fn check_order(&self, opcode: u8) -> Result<(), FrameError> {
        match (opcode, &self.open) {
            (opcode::CONTINUATION, None) => {
                Err(FrameError::Malformed("a frame continues a message that none has begun"))
            }
            (opcode::TEXT | opcode::BINARY, Some(_)) => {
                Err(FrameError::Malformed("a frame begins a message within another"))
            }
            _ => Ok(()),
        }
    }

    /// The length of the payload, if there may be so much.
    fn check_length(&self, header: &Header) -> Result<usize, FrameError> {
        if !is_control(header.opcode) {
            let (before, fragments) = self.open.as_ref().map_or((0, 0), |open| (open.payload.len(), open.fragments));
            let total = header.len.saturating_add(before as u64);
            if total > self.max as u64 {
                return Err(FrameError::TooLarge { len: total, max: self.max });
            }
            let most = (self.max as u64).saturating_mul(2).max(FRAGMENTS);
            let taken = total.saturating_add(FRAGMENT * (fragments + 1));
            let is_fragment = self.open.is_some() || !header.is_final;
            if is_fragment && taken > most {
                return Err(FrameError::TooLarge { len: taken, max: usize::try_from(most).unwrap_or(usize::MAX) });
            }
        }
        usize::try_from(header.len).map_err(|_| FrameError::TooLarge { len: header.len, max: self.max })
    }

    /// No more frame is whole; `rest` is what there is of the next one, behind `consumed` bytes.
    fn need(&self, consumed: usize, rest: usize, eof: bool) -> Result<Decoded, FrameError> {
        match &self.open {
            _ if !eof => Ok(Decoded::Need { consumed, partial: self.open.is_some() }),
            None if rest == 0 => Err(FrameError::Ended("without a close frame".to_owned())),
            open => {
                let before = open.as_ref().map_or(0, |open| open.payload.len());
                Err(FrameError::Truncated { have: before + rest })
            }
        }
    }

    /// Takes the payload of a frame of data, whole.
    fn take(&mut self, header: &Header, payload: &[u8]) -> Result<Taken, FrameError> {
        self.seen = 0;
        let Some(open) = &mut self.open else {
            if header.is_final {
                self.utf8.end()?;
                self.tag = header.opcode;
                return Ok(Taken::Whole);
            }
            self.open = Some(Box::new(Open { payload: payload.to_vec(), fragments: 1, opcode: header.opcode }));
            return Ok(Taken::Part);
        };
        let (len, capacity) = (open.payload.len() + payload.len(), open.payload.capacity());
        if len > capacity {
            // Twice as much, as a vector grows, and no more than a message may have.
            let grown = capacity.saturating_mul(2).min(self.max).max(len);
            open.payload.reserve_exact(grown - open.payload.len());
        }
        open.payload.extend_from_slice(payload);
        open.fragments += 1;
        if !header.is_final {
            return Ok(Taken::Part);
        }
        self.utf8.end()?;
        self.tag = open.opcode;
        Ok(Taken::Last(Bytes::from(std::mem::take(&mut open.payload))))
    }
}

enum Taken {
    /// It is a message.
    Whole,
    Part,
    Last(Bytes),
}

impl Reader {
    /// A short message that is whole, in one frame, which most are: what [`decode`](FrameReader::decode) would give.
    #[inline]
    fn decode_short(&mut self, unread: &mut [u8]) -> Option<Result<Decoded, FrameError>> {
        let (&[first @ (FINAL_TEXT | FINAL_BINARY), second, ..], None, 0) = (&*unread, &self.open, self.seen) else {
            return None;
        };
        let has_mask = self.role == Role::Server;
        let (masked, len) = (second & 0x80 != 0, usize::from(second & 0x7f));
        let start = if has_mask { 2 + MASK } else { 2 };
        let end = start + len;
        if masked != has_mask || len > LONGEST_CONTROL || len > self.max || end > unread.len() || self.is_closed {
            return None;
        }
        let (front, payload) = unread[..end].split_at_mut(start);
        if let (true, Some(mask)) = (has_mask, front.last_chunk::<MASK>()) {
            mask::apply(payload, *mask, 0);
        }
        self.tag = first & 0x0f;
        if self.tag == opcode::TEXT && std::str::from_utf8(payload).is_err() {
            return Some(Err(FrameError::NotText));
        }
        Some(Ok(Decoded::Frame { message: start..end, consumed: end }))
    }
}

/// The first byte of a message in one frame.
const FINAL_TEXT: u8 = FIN | opcode::TEXT;
const FINAL_BINARY: u8 = FIN | opcode::BINARY;

impl FrameReader for Reader {
    fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        if let Some(decoded) = self.decode_short(unread) {
            return decoded;
        }
        if self.is_closed {
            return Ok(Decoded::Need { consumed: unread.len(), partial: false });
        }
        let has_mask = self.role == Role::Server;
        // Behind fragments that are taken.
        let mut at = 0;
        loop {
            let rest = &mut unread[at..];
            let Some(first) = rest.first() else { return self.need(at, 0, eof) };
            let opcode = Header::opcode(*first)?;
            self.check_order(opcode)?;
            let Some(header) = Header::read(opcode, rest, has_mask)? else { return self.need(at, rest.len(), eof) };
            let len = self.check_length(&header)?;
            let Some((front, payload)) = rest.split_at_mut_checked(header.payload) else {
                return self.need(at, rest.len(), eof);
            };
            let mask = if has_mask { front.last_chunk::<MASK>().copied() } else { None };
            let is_whole = payload.len() >= len;
            let payload_at = at + header.payload;
            if is_control(header.opcode) {
                if !is_whole {
                    return self.need(at, rest.len(), eof);
                }
                let payload = &mut payload[..len];
                if let Some(mask) = mask {
                    mask::apply(payload, mask, 0);
                }
                self.tag = header.opcode;
                if header.opcode == opcode::CLOSE {
                    close::check(payload)?;
                    self.is_closed = true;
                }
                let end = payload_at + len;
                return Ok(Decoded::Control { payload: payload_at..end, consumed: end });
            }
            let have = payload.len().min(len);
            let fresh = &mut payload[self.seen..have];
            if let Some(mask) = mask {
                mask::apply(fresh, mask, self.seen);
            }
            if self.open.as_ref().map_or(header.opcode, |open| open.opcode) == opcode::TEXT {
                self.utf8.check(fresh)?;
            }
            if !is_whole {
                self.seen = have;
                return self.need(at, rest.len(), eof);
            }
            let end = payload_at + len;
            match self.take(&header, &payload[..len])? {
                Taken::Whole => return Ok(Decoded::Frame { message: payload_at..end, consumed: end }),
                Taken::Part => at = end,
                Taken::Last(message) => {
                    self.open = None;
                    return Ok(Decoded::Owned { message, consumed: end });
                }
            }
        }
    }

    fn tag(&self) -> u8 {
        self.tag
    }

    fn memory(&self) -> usize {
        self.open.as_ref().map_or(0, |open| size_of::<Open>() + open.payload.capacity())
    }
}
