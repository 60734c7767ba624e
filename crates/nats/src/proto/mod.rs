//! The protocol of a broker's clients, as <https://docs.nats.io/reference/reference-protocols/nats-protocol> has it.

mod encode;

use std::fmt;

use swapwire_core::Printable;

pub(crate) use encode::{DIGITS, decimal, publish, published_len, unwritten};

/// The longest line that a broker may say, in bytes: `INFO` of a large cluster.
const LONGEST_LINE: usize = 64 << 10;

/// One thing that a broker says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Message(Message<'a>),
    /// A message that is longer than the parser's bound, of which the payload is passed over.
    TooLarge {
        sid: u64,
        reply: &'a [u8],
    },
    /// The JSON of `INFO`.
    Info(&'a [u8]),
    /// What `-ERR` says, without quotes.
    Error(&'a [u8]),
    Ping,
    Pong,
    Ok,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The subscription.
    pub(crate) sid: u64,
    /// The reply subject; empty without one.
    pub(crate) reply: &'a [u8],
    /// With the line of the version and the empty line at the end; empty without any.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// Whether it says that nobody subscribes to the subject of a request.
    pub(crate) fn says_no_responders(&self) -> bool {
        self.payload.is_empty() && self.headers.starts_with(b"NATS/1.0 503")
    }
}

/// Cuts what a broker says into events.
#[derive(Debug)]
pub(crate) struct Parser {
    /// The longest message, headers included, in bytes.
    most: usize,
    /// Bytes of a message to be passed over.
    skip: usize,
    needed: usize,
}

impl Parser {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, skip: 0, needed: 0 }
    }

    /// How many bytes have to be there for the next event, as far as that is known.
    pub(crate) const fn needed(&self) -> usize {
        self.needed
    }

    /// The next event of what was not read yet, if it is whole, and how many bytes are used up; `None` if there have to be more.
    pub(crate) fn next<'a>(&mut self, unread: &'a [u8]) -> Result<Option<(usize, Option<Event<'a>>)>, ProtocolError> {
        self.needed = 0;
        if self.skip > 0 {
            let used = self.skip.min(unread.len());
            self.skip -= used;
            return Ok((used > 0).then_some((used, None)));
        }
        let Some(end) = memchr::memchr(b'\n', &unread[..unread.len().min(LONGEST_LINE)]) else {
            let is_endless = unread.len() >= LONGEST_LINE;
            return if is_endless { Err(ProtocolError::of("a line without an end", unread)) } else { Ok(None) };
        };
        let (line, behind) = (&unread[..end], end + 1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let event = match line.first().map(u8::to_ascii_uppercase) {
            Some(b'M') => return self.message(line, unread, behind, false),
            Some(b'H') => return self.message(line, unread, behind, true),
            Some(b'P') if line.eq_ignore_ascii_case(b"PING") => Event::Ping,
            Some(b'P') if line.eq_ignore_ascii_case(b"PONG") => Event::Pong,
            Some(b'+') if line.eq_ignore_ascii_case(b"+OK") => Event::Ok,
            Some(b'-') if is_word(line, b"-ERR") => Event::Error(unquoted(&line[4..])),
            Some(b'I') if is_word(line, b"INFO") => Event::Info(line[4..].trim_ascii()),
            _ => return Err(ProtocolError::of("what is no message", line)),
        };
        Ok(Some((behind, Some(event))))
    }

    /// `MSG subject sid [reply] size`, or `HMSG subject sid [reply] header-size size`.
    fn message<'a>(
        &mut self,
        line: &'a [u8],
        unread: &'a [u8],
        start: usize,
        has_headers: bool,
    ) -> Result<Option<(usize, Option<Event<'a>>)>, ProtocolError> {
        let wrong = || ProtocolError::of("a wrong line of a message", line);
        let (fields, count) = fields(line);
        let sizes = if has_headers { 2 } else { 1 };
        let name: &[u8] = if has_headers { b"HMSG" } else { b"MSG" };
        let has_reply = count == 4 + sizes;
        if !fields[0].eq_ignore_ascii_case(name) || !(has_reply || count == 3 + sizes) {
            return Err(wrong());
        }
        let sid = number(fields[2]).ok_or_else(wrong)?;
        let reply = if has_reply { fields[3] } else { b"" };
        let len = number(fields[count - 1]).and_then(|len| usize::try_from(len).ok()).ok_or_else(wrong)?;
        let of_headers = if has_headers { number(fields[count - 2]).ok_or_else(wrong)? } else { 0 };
        let of_headers = usize::try_from(of_headers).ok().filter(|of_headers| *of_headers <= len).ok_or_else(wrong)?;
        if len > self.most {
            self.skip = len + 2;
            return Ok(Some((start, Some(Event::TooLarge { sid, reply }))));
        }
        let Some(bytes) = unread.get(start..start + len + 2) else {
            self.needed = start + len + 2;
            return Ok(None);
        };
        let Some(bytes) = bytes.strip_suffix(b"\r\n") else {
            return Err(ProtocolError::of("a message that is longer than its line says", line));
        };
        let (headers, payload) = bytes.split_at(of_headers);
        Ok(Some((start + len + 2, Some(Event::Message(Message { sid, reply, headers, payload })))))
    }
}

/// Whether the line begins with the word and a blank, or is the word.
fn is_word(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        && line.get(word.len()).is_none_or(u8::is_ascii_whitespace)
}

fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text)
}

/// What stands between blanks, and how many there are: at most six are kept, and more are counted as seven.
fn fields(line: &[u8]) -> ([&[u8]; 6], usize) {
    let (mut fields, mut count) = ([&line[..0]; 6], 0);
    for field in line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|field| !field.is_empty()) {
        let Some(slot) = fields.get_mut(count) else { return (fields, count + 1) };
        *slot = field;
        count += 1;
    }
    (fields, count)
}

/// A number of at most 12 digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 12 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// A broker said what the protocol does not have: the connection is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError(String);

impl ProtocolError {
    fn of(what: &str, bytes: &[u8]) -> Self {
        Self(format!("the broker said {what}: {:?}", Printable::bytes(bytes).at_most(64).to_string()))
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
