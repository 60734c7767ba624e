//! What counts as a right reply.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;
use swapwire_core::OptionValue;

/// What a server should answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Expect {
    /// The request with its ASCII letters in upper case.
    Uppercase,
    /// The request.
    Echo,
    /// Anything.
    Any,
    /// Anything of so many bytes.
    Bytes(usize),
    /// What matches; anywhere in the reply, unless it is anchored.
    Regex(Regex),
}

impl Expect {
    /// The length of the right reply to a request of `size` bytes, where that is known.
    pub fn reply_len(&self, size: usize) -> Option<usize> {
        match self {
            Self::Uppercase | Self::Echo => Some(size),
            Self::Bytes(len) => Some(*len),
            Self::Any | Self::Regex(_) => None,
        }
    }

    /// Whether a reply tells which request it answers.
    pub fn identifies(&self) -> bool {
        matches!(self, Self::Uppercase | Self::Echo)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uppercase => f.write_str("uppercase"),
            Self::Echo => f.write_str("echo"),
            Self::Any => f.write_str("any"),
            Self::Bytes(len) => write!(f, "bytes:{len}"),
            Self::Regex(regex) => write!(f, "regex:{regex}"),
        }
    }
}

/// A text that does not say what to expect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expect {text:?}: {problem}")]
pub struct ExpectParseError {
    text: String,
    problem: String,
}

impl FromStr for Expect {
    type Err = ExpectParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| ExpectParseError { text: text.to_owned(), problem };
        match text.split_once(':') {
            None if text == "uppercase" => Ok(Self::Uppercase),
            None if text == "echo" => Ok(Self::Echo),
            None if text == "any" => Ok(Self::Any),
            Some(("bytes", len)) => match usize::parse_option(len) {
                Ok(0) => Err(wrong("a reply has at least 1 byte".to_owned())),
                Ok(len) => Ok(Self::Bytes(len)),
                Err(problem) => Err(wrong(problem.to_string())),
            },
            Some(("regex", pattern)) => Regex::new(pattern).map(Self::Regex).map_err(|error| {
                // The last line tells what is wrong; those before draw it.
                let text = error.to_string();
                wrong(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
            }),
            _ => Err(wrong("write uppercase, echo, any, bytes:N or regex:PATTERN".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_are_written() {
        for text in ["uppercase", "echo", "any", "bytes:12", "regex:^HTTP/1\\.[01] 200"] {
            assert_eq!(text.parse::<Expect>().unwrap().to_string(), text);
        }
        for text in ["", "upper", "bytes", "bytes:0", "bytes:x", "regex:("] {
            let error = text.parse::<Expect>().unwrap_err().to_string();
            assert!(error.starts_with("expect ") && !error.contains('\n'), "{error}");
        }
    }
}
