//! The opening handshake (RFC 6455, 4): a request and an answer of HTTP/1.1.

mod client;
mod head;
mod refusal;
mod request;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

pub(crate) use client::Client;
pub(crate) use head::LONGEST as LONGEST_HEAD;
pub(crate) use refusal::page;
pub(crate) use request::Policy;
pub(crate) use server::Server;

/// What both ends know, and no page of another protocol (1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The version of the protocol.
const VERSION: &str = "13";
/// The bytes of a key.
const KEY: usize = 16;

/// What a server answers to a key (4.2.2).
fn accept_of(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.digest().bytes())
}

fn is_key(text: &[u8]) -> bool {
    STANDARD.decode(text).is_ok_and(|key| key.len() == KEY)
}

/// The words of a list, in one header or several.
fn words<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = all(headers, name).filter_map(|value| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).map(|word| word.trim_matches([' ', '\t'])).filter(|word| !word.is_empty())
}

fn has_word(headers: &[httparse::Header<'_>], name: &str, word: &str) -> bool {
    words(headers, name).any(|known| known.eq_ignore_ascii_case(word))
}

fn all<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The value of a header that may be there once.
fn once<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> Result<Option<&'a str>, &'static str> {
    let mut values = all(headers, name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err("more than once"),
        (Some(value), None) => std::str::from_utf8(value).map(Some).map_err(|_| "and is not text"),
        (None, None) => Ok(None),
    }
}

/// Whether `text` may be the name of a header or of a subprotocol (RFC 9110, 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether `text` may be the value of a header.
pub(crate) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 1.3.
    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_have_16_bytes() {
        for wrong in ["", "AAAA", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub25jZ!=="] {
            assert!(!is_key(wrong.as_bytes()), "{wrong}");
        }
    }
}
