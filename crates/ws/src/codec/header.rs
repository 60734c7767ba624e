//! The beginning of a frame (RFC 6455, 5.2).

use swapwire_core::FrameError;

/// What a frame is, in its low four bits.
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

pub(crate) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// In place of a length: it follows in 2 or 8 bytes.
const IN_TWO: u8 = 126;
const IN_EIGHT: u8 = 127;
/// The longest payload of a control frame, in bytes (5.5).
pub(crate) const LONGEST_CONTROL: usize = 125;

/// The bytes of a masking key.
pub(crate) const MASK: usize = 4;
/// The longest header, in bytes: with a length of 8 bytes and a mask.
pub(crate) const LONGEST: usize = 2 + 8 + MASK;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) opcode: u8,
    pub(crate) len: u64,
    /// Where the payload begins.
    pub(crate) payload: usize,
}

impl Header {
    /// The opcode in the first byte of a frame, if that is right by itself.
    #[inline]
    pub(crate) fn opcode(first: u8) -> Result<u8, FrameError> {
        let opcode = first & OPCODE;
        if first & RESERVED != 0 {
            return Err(FrameError::Malformed("a frame has reserved bits set, and no extension was agreed on"));
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(FrameError::Malformed("a frame has an unknown opcode; 0, 1, 2, 8, 9 and 10 are known"));
        }
        if is_control(opcode) && first & FIN == 0 {
            return Err(FrameError::Malformed("a control frame is fragmented"));
        }
        Ok(opcode)
    }

    /// Reads as much of a header as is there, and tells at the first byte that cannot be right behind the first one, whose
    /// opcode is known. `None`: the length is not known yet. The mask may not be there yet.
    #[inline]
    pub(crate) fn read(opcode: u8, bytes: &[u8], has_mask: bool) -> Result<Option<Self>, FrameError> {
        let &[first, second, ..] = bytes else { return Ok(None) };
        let is_final = first & FIN != 0;
        if (second & MASKED != 0) != has_mask {
            return Err(FrameError::Malformed(match has_mask {
                true => "a frame of a client is not masked",
                false => "a frame of a server is masked",
            }));
        }
        let short = second & LENGTH;
        if is_control(opcode) && usize::from(short) > LONGEST_CONTROL {
            return Err(FrameError::Malformed("a control frame has more than 125 bytes"));
        }
        let (len, at) = match short {
            IN_TWO => match bytes.get(2..4) {
                Some(&[high, low]) => (u64::from(u16::from_be_bytes([high, low])), 4),
                _ => return Ok(None),
            },
            IN_EIGHT => match bytes.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
                Some(bytes) => (u64::from_be_bytes(bytes), 10),
                None => return Ok(None),
            },
            len => (u64::from(len), 2),
        };
        if len >> 63 != 0 {
            return Err(FrameError::Malformed("the length of a frame has its highest bit set"));
        }
        if at != len_end(len) {
            return Err(FrameError::Malformed("the length of a frame is written in more bytes than it needs"));
        }
        Ok(Some(Self { is_final, opcode, len, payload: at + if has_mask { MASK } else { 0 } }))
    }

    /// Writes a final frame's header, without its mask, to the front of `bytes`.
    #[inline]
    pub(crate) fn write(bytes: &mut [u8], opcode: u8, len: usize, has_mask: bool) {
        let mask = if has_mask { MASKED } else { 0 };
        bytes[0] = FIN | opcode;
        match (len_end(len as u64), len as u64) {
            (2, len) => bytes[1] = mask | (len & u64::from(LENGTH)) as u8,
            (4, len) => {
                bytes[1] = mask | IN_TWO;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            }
            (_, len) => {
                bytes[1] = mask | IN_EIGHT;
                bytes[2..10].copy_from_slice(&len.to_be_bytes());
            }
        }
    }
}

/// Control frames have the opcodes from 8 on (5.5).
pub(crate) const fn is_control(opcode: u8) -> bool {
    opcode >= 8
}

/// Where the length of a frame ends, written in as few bytes as it needs.
#[inline]
pub(crate) const fn len_end(len: u64) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}
