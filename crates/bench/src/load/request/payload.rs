//! What requests hold, and whether replies are right.

use crate::{Expect, Message};

/// A request begins with a tag: four hexadecimal digits of a slot and twelve of a number, which upper case leaves alone. A
/// shorter request has the last digits of the number alone.
pub(crate) const TAG: usize = 16;
/// Digits of the slot.
const SLOT: usize = 4;
/// Requests that are shorter do not tell their slot.
pub(crate) const IDENTIFIED: usize = 8;

/// The bytes of all requests, but for their tags; those of one's own have none. Memory: twice the largest request.
#[derive(Debug)]
pub(crate) struct Payload {
    request: Box<[u8]>,
    reply: Box<[u8]>,
    expect: Expect,
    tagged: bool,
}

/// What a reply is to be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) slot: u16,
    pub(crate) number: u64,
    pub(crate) size: usize,
}

impl Payload {
    /// Requests of at most `largest` bytes: letters and digits, so that they are one line and one word.
    pub(crate) fn new(expect: Expect, largest: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let request = std::iter::repeat_with(|| random.alphanumeric() as u8).take(largest).collect();
        Self { tagged: true, ..Self::around(expect, request) }
    }

    /// Requests that are all the same.
    pub(crate) fn of(message: &Message, expect: Expect) -> Self {
        Self::around(expect, message.bytes().into())
    }

    fn around(expect: Expect, request: Box<[u8]>) -> Self {
        let reply = match expect {
            Expect::Uppercase => request.to_ascii_uppercase().into(),
            _ => request.clone(),
        };
        Self { request, reply, expect, tagged: false }
    }

    /// Whether a reply tells which request it answers, on a wire that may lose some.
    pub(crate) fn identifies(&self) -> bool {
        self.tagged && self.expect.identifies()
    }

    fn tag(&self, asked: Asked) -> ([u8; TAG], usize) {
        if self.tagged { tag(asked) } else { ([0; TAG], 0) }
    }

    /// Appends the request to `out`.
    pub(crate) fn write(&self, asked: Asked, out: &mut Vec<u8>) {
        let (tag, len) = self.tag(asked);
        out.extend_from_slice(&tag[..len]);
        out.extend_from_slice(&self.request[len..asked.size]);
    }

    /// The length of the right reply, where that is known.
    pub(crate) fn reply_len(&self, asked: Asked) -> Option<usize> {
        self.expect.reply_len(asked.size)
    }

    /// The length of the longest right reply, where that is known.
    pub(crate) fn longest_reply(&self) -> Option<usize> {
        self.expect.reply_len(self.request.len())
    }

    /// Whether a whole reply is right.
    pub(crate) fn is_right(&self, asked: Asked, reply: &[u8]) -> bool {
        match &self.expect {
            Expect::Regex(regex) => regex.is_match(reply),
            expect => expect.reply_len(asked.size).is_none_or(|len| len == reply.len()) && self.fits(asked, 0, reply),
        }
    }

    /// Whether a part of a reply, from `offset` on, is right as far as one can tell.
    pub(crate) fn fits(&self, asked: Asked, offset: usize, part: &[u8]) -> bool {
        if !self.expect.identifies() {
            return true;
        }
        let (tag, len) = self.tag(asked);
        let split = len.saturating_sub(offset).min(part.len());
        let (head, body) = part.split_at(split);
        let from = offset + split;
        tag[offset.min(len)..offset.min(len) + split] == *head
            && self.reply.get(from..from + body.len()).is_some_and(|reply| reply == body)
    }

    /// The slot and the last digits of the number that a reply says it answers, with how many digits that are.
    pub(crate) fn answers(reply: &[u8]) -> Option<(u16, u64, u32)> {
        let tag = &reply[..reply.len().min(TAG)];
        if tag.len() < IDENTIFIED {
            return None;
        }
        let (slot, number) = tag.split_at(SLOT);
        Some((u16::try_from(value(slot)?).ok()?, value(number)?, number.len() as u32))
    }
}

/// The tag and its length.
fn tag(asked: Asked) -> ([u8; TAG], usize) {
    let len = asked.size.min(TAG);
    let mut tag = [0; TAG];
    if len >= IDENTIFIED {
        digits(u64::from(asked.slot), &mut tag[..SLOT]);
        digits(asked.number, &mut tag[SLOT..len]);
    } else {
        digits(asked.number, &mut tag[..len]);
    }
    (tag, len)
}

/// The last digits of `value`.
fn digits(mut value: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789ABCDEF"[(value & 15) as usize];
        value >>= 4;
    }
}

fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(payload: &Payload, asked: Asked) -> Vec<u8> {
        let mut out = Vec::new();
        payload.write(asked, &mut out);
        assert_eq!(out.len(), asked.size);
        out
    }

    #[test]
    fn a_reply_tells_what_it_answers_and_any_other_byte_is_wrong() {
        for size in [1, 7, 8, 15, 16, 17, 100] {
            let payload = Payload::new(Expect::Uppercase, 100, 1);
            let asked = Asked { slot: 0xABC, number: 0x1234_5678_9ABC, size };
            let mut reply = request(&payload, asked).to_ascii_uppercase();
            assert!(payload.is_right(asked, &reply), "{size}");
            for cut in 0..size {
                let (head, tail) = reply.split_at(cut);
                assert!(payload.fits(asked, 0, head) && payload.fits(asked, cut, tail), "{size} at {cut}");
            }
            match Payload::answers(&reply) {
                None => assert!(size < IDENTIFIED),
                Some((slot, number, digits)) => {
                    assert_eq!(slot, 0xABC);
                    assert_eq!(number, 0x1234_5678_9ABC & ((1 << (4 * digits)) - 1));
                }
            }
            for at in 0..size {
                reply[at] ^= 1;
                assert!(!payload.is_right(asked, &reply), "{size} with byte {at} wrong");
                reply[at] ^= 1;
            }
            reply.push(b'X');
            assert!(!payload.is_right(asked, &reply), "{size} and one more");
        }
    }

    #[test]
    fn an_echo_is_not_upper_case() {
        let asked = Asked { slot: 0, number: 1, size: 64 };
        let payload = Payload::new(Expect::Echo, 64, 1);
        let request = request(&payload, asked);
        assert!(payload.is_right(asked, &request));
        assert!(!payload.is_right(asked, &request.to_ascii_uppercase()));
    }

    #[test]
    fn a_message_of_ones_own_is_sent_as_it_is() {
        let message: Message = "ping\\r\\n".parse().unwrap();
        let asked = Asked { slot: 1, number: 2, size: 6 };
        for (expect, reply) in [(Expect::Echo, b"ping\r\n"), (Expect::Uppercase, b"PING\r\n")] {
            let payload = Payload::of(&message, expect);
            assert_eq!(request(&payload, asked), b"ping\r\n");
            assert!(payload.is_right(asked, reply) && !payload.is_right(asked, b"pong\r\n"));
            assert!(payload.fits(asked, 2, &reply[2..]) && !payload.identifies());
        }
    }

    #[test]
    fn other_expectations_look_at_what_they_name() {
        let asked = Asked { slot: 0, number: 1, size: 64 };
        assert!(Payload::new("any".parse().unwrap(), 64, 1).is_right(asked, b"?"));
        let bytes = Payload::new("bytes:3".parse().unwrap(), 64, 1);
        assert!(bytes.is_right(asked, b"abc") && !bytes.is_right(asked, b"ab"));
        let regex = Payload::new("regex:^ok".parse().unwrap(), 64, 1);
        assert!(regex.is_right(asked, b"ok then") && !regex.is_right(asked, b"not ok"));
    }
}
