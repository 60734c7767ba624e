//! What goes out.

use swapwire_core::{Answer, FrameError, FrameWriter, Goodbye, Printable};

use super::header::{FIN, Header, LONGEST, LONGEST_CONTROL, MASK, len_end, opcode};
use super::mask::{self, Random};
use super::{MessageKind, Role, close};

pub(super) struct Writer {
    max: usize,
    /// Of a client.
    masks: Option<Box<Random>>,
    changed: u16,
    kind: MessageKind,
    /// That of the last message that was received.
    received: u8,
    /// What `begin` makes room for: the header that the last message needed.
    reserved: u8,
    /// The code of the peer's close frame, [`WITHOUT_CODE`] or, before there was one, 0.
    answers: u16,
    is_closed: bool,
}

/// No code: those that are sent begin at 1000.
const WITHOUT_CODE: u16 = 1;

impl Writer {
    pub(super) fn new(role: Role, kind: MessageKind, max: usize) -> Self {
        let masks = (role == Role::Client).then(|| Box::new(Random::new()));
        let reserved = 2 + if masks.is_some() { MASK as u8 } else { 0 };
        Self { max, masks, changed: 0, kind, received: opcode::TEXT, reserved, answers: 0, is_closed: false }
    }

    fn opcode(&mut self, message: &[u8]) -> u8 {
        let is_text = match self.kind {
            MessageKind::Auto => self.received == opcode::TEXT,
            MessageKind::Text => true,
            MessageKind::Binary => false,
        };
        if is_text && std::str::from_utf8(message).is_ok() {
            return opcode::TEXT;
        }
        self.changed = self.changed.saturating_add(u16::from(is_text));
        opcode::BINARY
    }

    /// Makes the frame at `start` from its payload, which stands behind `header` bytes.
    fn frame(&mut self, opcode: u8, out: &mut [u8], header: usize) {
        let (header, payload) = out.split_at_mut(header);
        Header::write(header, opcode, payload.len(), self.masks.is_some());
        if let (Some(masks), Some(mask)) = (&mut self.masks, header.last_chunk_mut::<MASK>()) {
            *mask = masks.mask();
            mask::apply(payload, *mask, 0);
        }
    }

    fn control(&mut self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let header = 2 + if self.masks.is_some() { MASK } else { 0 };
        out.extend_from_slice(&[0; LONGEST][..header]);
        out.extend_from_slice(payload);
        self.frame(opcode, &mut out[start..], header);
    }
}

impl FrameWriter for Writer {
    #[inline]
    fn begin(&self, out: &mut Vec<u8>) {
        // What a server's short messages need has a length that is known here.
        match self.reserved {
            2 => out.extend_from_slice(&[0; 2]),
            len => out.extend_from_slice(&[0; LONGEST][..usize::from(len)]),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let payload = start + usize::from(self.reserved);
        let len = out.len() - payload;
        if self.is_closed {
            return Err(FrameError::Unframeable("a close frame was sent, and no message may follow it"));
        }
        if len > self.max {
            return Err(FrameError::TooLarge { len: len as u64, max: self.max });
        }
        // A server's short message.
        if len <= LONGEST_CONTROL && self.reserved == 2 && self.masks.is_none() {
            out[start] = FIN | self.opcode(&out[payload..]);
            out[start + 1] = len as u8;
            return Ok(());
        }
        let header = len_end(len as u64) + if self.masks.is_some() { MASK } else { 0 };
        if start + header != payload {
            let end = out.len();
            out.resize(end.max(start + header + len), 0);
            out.copy_within(payload..end, start + header);
            out.truncate(start + header + len);
            self.reserved = header as u8;
        }
        let opcode = self.opcode(&out[start + header..]);
        self.frame(opcode, &mut out[start..], header);
        Ok(())
    }

    #[inline]
    fn follow(&mut self, tag: u8) {
        if matches!(tag, opcode::TEXT | opcode::BINARY) {
            self.received = tag;
        }
    }

    fn answer(&mut self, tag: u8, payload: &[u8], out: &mut Vec<u8>) -> Answer {
        match tag {
            opcode::PING if !self.is_closed => self.control(opcode::PONG, payload, out),
            opcode::CLOSE => {
                let code = payload.first_chunk().copied().map(u16::from_be_bytes);
                self.answers = code.unwrap_or(WITHOUT_CODE);
                return code.map_or(Answer::Ends, |code| ended(code, &payload[2..]));
            }
            _ => {}
        }
        Answer::GoesOn
    }

    fn goodbye(&mut self, why: Goodbye<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        match self.answers {
            0 => {}
            WITHOUT_CODE => return self.control(opcode::CLOSE, &[], out),
            code => return self.control(opcode::CLOSE, &code.to_be_bytes(), out),
        }
        let (code, reason) = match why {
            Goodbye::Done => (close::NORMAL, None),
            Goodbye::GoingAway => (close::GOING_AWAY, None),
            Goodbye::Bad(error @ FrameError::TooLarge { .. }) => (close::TOO_LARGE, Some(error)),
            Goodbye::Bad(error @ FrameError::NotText) => (close::NOT_TEXT, Some(error)),
            Goodbye::Bad(error) => (close::PROTOCOL, Some(error)),
            // `Goodbye::Failed`, and what is added to it.
            _ => (close::FAILED, None),
        };
        let reason = reason.map(FrameError::to_string).unwrap_or_default();
        let mut end = reason.len().min(LONGEST_CONTROL - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.control(opcode::CLOSE, &[&code.to_be_bytes(), &reason.as_bytes()[..end]].concat(), out);
    }

    fn take_changed(&mut self) -> u64 {
        std::mem::take(&mut self.changed).into()
    }
}

/// What a close frame with a code means. Codes of applications mean nothing here.
fn ended(code: u16, reason: &[u8]) -> Answer {
    if matches!(code, close::NORMAL | close::GOING_AWAY | 3000..) {
        return Answer::Ends;
    }
    let because = if reason.is_empty() { String::new() } else { format!(": {}", Printable::bytes(reason)) };
    Answer::Breaks(FrameError::Ended(format!("with close code {code}{because}")))
}
