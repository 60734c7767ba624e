//! What clients ask, and what they must be answered: both follow from the bytes of the request alone.

use swapwire_core::{Framing, SessionConfig};

/// What a request asks for besides an answer, by its first byte.
pub(crate) const PLAIN: u8 = b'c';
/// The handler gives up; nothing is answered.
pub(crate) const FAIL: u8 = b'f';
/// The session ends behind the answer.
pub(crate) const BYE: u8 = b'b';
/// The handler panics.
pub(crate) const PANIC: u8 = b'p';

/// The call never ends.
pub(crate) const HANG: u8 = b'h';

/// What its panic says.
pub(crate) const AS_ASKED: &str = "as asked";

/// The request `seq` of `client`, about `len` bytes long; exactly, if there is room for its name.
pub(crate) fn request(kind: u8, client: usize, seq: usize, len: usize) -> Vec<u8> {
    let mut bytes = format!("{}{client}.{seq}.", char::from(kind)).into_bytes();
    let mut state = (client * 31 + seq * 7) as u8;
    while bytes.len() < len {
        state = state.wrapping_mul(5).wrapping_add(3);
        bytes.push(b'a' + state % 26);
    }
    bytes
}

/// Whose it is, of a request or a reply.
pub(crate) fn name(message: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(message.get(1..)?).ok()?;
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The replies to a request, in order: none, one, or a few.
pub(crate) fn answers(request: &[u8]) -> Vec<Vec<u8>> {
    let count = match request.first() {
        None => return vec![Vec::new()],
        Some(&FAIL | &PANIC | &HANG) => 0,
        Some(_) => match weight(request) % 8 {
            0 => 0,
            1 => 2,
            2 => 3,
            _ => 1,
        },
    };
    let answer = |number: u8| {
        let mut bytes = request.to_ascii_uppercase();
        bytes[0] = b'0' + number;
        bytes
    };
    (0..count).map(answer).collect()
}

/// Some number that follows from the bytes.
pub(crate) fn weight(message: &[u8]) -> u64 {
    message.iter().take(64).fold(message.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// How many bytes a message takes on the wire.
pub(crate) fn framed_len(message: &[u8], framing: &Framing) -> usize {
    let mut out = Vec::new();
    let mut encoder = framing.encoder(SessionConfig::default().max_message);
    encoder.begin(&mut out);
    out.extend_from_slice(message);
    encoder.finish(&mut out, 0).map_or(message.len(), |()| out.len())
}
