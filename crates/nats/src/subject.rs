//! Subjects: what brokers route messages by.

use std::fmt;

use swapwire_core::{Printable, needs_escape};

/// The longest subject or queue of an endpoint, in bytes: far below a broker's longest line, which is 4 KiB.
const LONGEST: usize = 256;

/// A subject without wildcards, as an endpoint names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject(String);

impl Subject {
    /// # Errors
    /// What is wrong with it and what would be right.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let wrong =
            |reason: &str| Err(format!("subject {:?}: {reason}", Printable::new(text).at_most(LONGEST).to_string()));
        if text.contains(['*', '>']) {
            return wrong(
                "no wildcards (* and >): a handler is not told which subject a message came by; name one subject, and bind \
                 one endpoint for each",
            );
        }
        if text.split('.').any(str::is_empty) {
            return wrong("an empty token; write words with a dot between them, as in orders.new");
        }
        is_word(text).map_or_else(wrong, |()| Ok(Self(text.to_owned())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can stand between two blanks of a line of the protocol.
///
/// # Errors
/// Why not.
pub(crate) fn is_word(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LONGEST {
        return Err("it is too long; the limit is 256 bytes");
    }
    if text.contains(|c: char| c.is_whitespace() || needs_escape(c)) {
        return Err("no blanks and no control characters; write dots, dashes or underscores between words");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_takes_as_one_subject_is_one() {
        for text in ["upper", "orders.new", "a/b", "$SRV.PING", "größe.日本", "a-b_c", &"x".repeat(256)] {
            assert_eq!(Subject::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_none_is_told_with_what_would_be_right() {
        for (text, part) in [
            ("", "empty token"),
            (".", "empty token"),
            ("a..b", "empty token"),
            ("a.", "empty token"),
            ("a b", "no blanks"),
            ("a\tb", "no blanks"),
            ("a\r\nPUB x 1", "no blanks"),
            ("a\u{a0}b", "no blanks"),
            ("a\u{202e}b", "no control characters"),
            ("a.*", "no wildcards"),
            (">", "no wildcards"),
            ("a.b>", "no wildcards"),
            (&"x".repeat(257), "the limit is 256 bytes"),
        ] {
            let error = Subject::new(text).unwrap_err();
            assert!(error.contains(part) && !error.contains(char::is_control), "{text:?}: {error}");
        }
    }
}
