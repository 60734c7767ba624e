//! Framings as text.

use std::fmt;
use std::str::FromStr;

use super::Framing;

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Framing({self})")
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunks => f.write_str("chunks"),
            Self::Lines => f.write_str("lines"),
            Self::LengthPrefixed { width: 4, little_endian: false } => f.write_str("length"),
            Self::LengthPrefixed { width, little_endian } => {
                write!(f, "length:{width}{}", if *little_endian { "le" } else { "" })
            }
            Self::Varint => f.write_str("varint"),
            Self::Delimited(delimiter) => write!(f, "delimiter:{}", delimiter.escape_ascii()),
            Self::Fixed(len) => write!(f, "fixed:{len}"),
            Self::Codec(_) => f.write_str("codec"),
        }
    }
}

debug_as_text!(FramingParseError);

/// Why a text is not a framing.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "framing {0:?}: write chunks, lines, length, length:N or length:Nle (N from 1 to 8 bytes), varint, delimiter:TEXT (escapes \\n \\r \\t \\0 \\xNN) or fixed:N"
)]
pub struct FramingParseError(String);

impl FromStr for Framing {
    type Err = FramingParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FramingParseError(text.to_owned());
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        match (name, argument) {
            ("chunks", None) => Ok(Self::Chunks),
            ("lines", None) => Ok(Self::Lines),
            ("length", None) => Ok(Self::length_prefixed()),
            ("varint", None) | ("length", Some("varint")) => Ok(Self::Varint),
            ("length", Some(argument)) => {
                let (width, little_endian) = match argument.strip_suffix("le") {
                    Some(width) => (width, true),
                    None => (argument.strip_suffix("be").unwrap_or(argument), false),
                };
                let width = width.parse().ok().filter(|width| (1..=8).contains(width)).ok_or_else(wrong)?;
                Ok(Self::LengthPrefixed { width, little_endian })
            }
            ("delimiter", Some(argument)) => {
                let delimiter = unescape(argument).filter(|delimiter| !delimiter.is_empty()).ok_or_else(wrong)?;
                Ok(Self::Delimited(delimiter.into()))
            }
            ("fixed", Some(argument)) => {
                argument.parse().ok().filter(|len| *len > 0).map(Self::Fixed).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// The bytes of a text in which a backslash begins an escape: `\n`, `\r`, `\t`, `\0`, `\\`, `\"`, `\'`, and `\x` with two
/// hexadecimal digits. `None` if one is none of these. What [`slice::escape_ascii`] writes is read again.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&code, tail) = rest.split_first()?;
        rest = tail;
        out.push(match code {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'"' | b'\'' => code,
            b'x' => {
                let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
                let byte = (digit(0)? << 4) | digit(1)?;
                rest = &rest[2..];
                byte as u8
            }
            _ => return None,
        });
    }
    Some(out)
}
