//! What is said to a broker.

/// The most digits of a length.
pub(crate) const DIGITS: usize = 20;

/// Appends `PUB subject [reply] length`, and the payload.
pub(crate) fn publish(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], payload: &[u8]) {
    let mut digits = [0; DIGITS];
    let length = decimal(payload.len(), &mut digits);
    out.reserve(published_len(subject, reply, payload));
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    out.extend_from_slice(length);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// At most so many bytes are appended by [`publish`].
pub(crate) const fn published_len(subject: &[u8], reply: &[u8], payload: &[u8]) -> usize {
    subject.len() + reply.len() + payload.len() + DIGITS + 10
}

/// The digits of a number.
pub(crate) fn decimal(mut number: usize, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut start = DIGITS;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// The messages among what was to be said, of which `written` bytes were, that a broker cannot have got whole; and how many they
/// are.
pub(crate) fn unwritten(said: &[u8], written: usize) -> (Vec<u8>, u64) {
    let (mut messages, mut count, mut rest) = (Vec::new(), 0, said);
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..=end];
        let is_message = line.starts_with(b"PUB ");
        let digits = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        let payload = digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit.wrapping_sub(b'0')));
        let whole = if is_message { end + 1 + payload + 2 } else { end + 1 };
        let Some((this, behind)) = rest.split_at_checked(whole) else { break };
        if is_message && said.len() - behind.len() > written {
            messages.extend_from_slice(this);
            count += 1;
        }
        rest = behind;
    }
    (messages, count)
}
