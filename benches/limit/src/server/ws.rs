//! WebSocket (RFC 6455): the upgrade, then messages of one frame, which are unmasked and answered where they lie.

use std::str::from_utf8;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::errno::Errno;
use sha1_smol::Sha1;

use super::streams::{BUFFER, Echo};

/// The parts of a header's first two bytes: the last frame of a message, and a payload that is masked.
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What switches a client to frames, if `head` is its request, whole.
pub fn switch(head: &[u8]) -> Option<Vec<u8>> {
    let head = from_utf8(head.strip_suffix(b"\r\n\r\n")?).ok()?;
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, key) = fields.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    let hash = Sha1::from(format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key.trim())).digest();
    let accept = STANDARD.encode(hash.bytes());
    let lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    Some(format!("{}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n", lines.join("\r\n")).into_bytes())
}

/// One connection.
#[derive(Default)]
pub(super) struct Session {
    open: bool,
    /// The beginning of a request or of a frame, at most [`BUFFER`].
    left: Vec<u8>,
}

impl Echo for Session {
    fn left(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.left.len()].copy_from_slice(&self.left);
        self.left.len()
    }

    fn answer<'a>(&mut self, bytes: &'a mut [u8], scratch: &'a mut Vec<u8>) -> nix::Result<&'a [u8]> {
        self.left.clear();
        if self.open {
            return self.frames(bytes);
        }
        // A client sends nothing behind its request before it is answered.
        scratch.clear();
        match switch(bytes) {
            Some(answer) => {
                self.open = true;
                scratch.extend_from_slice(&answer);
            }
            None if bytes.len() == BUFFER => return Err(Errno::EMSGSIZE),
            None => self.left.extend_from_slice(bytes),
        }
        Ok(scratch)
    }
}

impl Session {
    /// The replies, one behind the other: each is at least 4 bytes shorter than its request, which has a mask.
    fn frames<'a>(&mut self, bytes: &'a mut [u8]) -> nix::Result<&'a [u8]> {
        let (mut at, mut reply) = (0, 0..0);
        while let Some(Header { len: header, payload: size }) = Header::read(&bytes[at..])? {
            if size > BUFFER - header {
                return Err(Errno::EMSGSIZE);
            }
            let payload = at + header..at + header + size;
            if bytes.len() < payload.end {
                break;
            }
            let opcode = bytes[at] & 0xf;
            let mask = [0, 1, 2, 3].map(|i| bytes[payload.start - 4 + i]);
            let message = &mut bytes[payload.clone()];
            unmask(message, mask);
            match opcode {
                TEXT if from_utf8(message).is_err() => return Err(Errno::EILSEQ),
                TEXT | BINARY => message.make_ascii_uppercase(),
                _ => {}
            }
            // The first reply stays where its request lies.
            let header = header - 4;
            if reply.is_empty() {
                reply = payload.start - header..payload.start - header;
            }
            bytes.copy_within(at..at + header, reply.end);
            bytes[reply.end] = FIN | if opcode == PING { PONG } else { opcode };
            bytes[reply.end + 1] &= !MASKED;
            let to = reply.end + header;
            if to != payload.start {
                bytes.copy_within(payload.clone(), to);
            }
            reply.end = to + size;
            at = payload.end;
        }
        self.left.extend_from_slice(&bytes[at..]);
        Ok(&bytes[reply])
    }
}

/// A client's header: its length with the mask, and that of the payload.
struct Header {
    len: usize,
    payload: usize,
}

impl Header {
    /// `None` if it is not whole.
    fn read(bytes: &[u8]) -> nix::Result<Option<Self>> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let known = matches!(first & !FIN, TEXT | BINARY | CLOSE | PING | PONG);
        if first & FIN == 0 || second & MASKED == 0 || !known {
            return Err(Errno::EPROTO);
        }
        let (extra, payload) = match second & !MASKED {
            126 => (2, rest.first_chunk().map(|len| u16::from_be_bytes(*len).into())),
            127 => (8, rest.first_chunk().map(|len| u64::from_be_bytes(*len) as usize)),
            len => (0, Some(len.into())),
        };
        Ok(payload.filter(|_| rest.len() >= extra + 4).map(|payload| Self { len: 2 + extra + 4, payload }))
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(mask));
    let word = word << 32 | word;
    let mut words = payload.chunks_exact_mut(8);
    for chunk in &mut words {
        let bytes: &mut [u8; 8] = chunk.try_into().expect("chunks of 8");
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    words.into_remainder().iter_mut().zip(mask.into_iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}
