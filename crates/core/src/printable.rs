//! Text from elsewhere in a message for people.

/// The same text with control characters, and those that change the direction of writing, as escapes: in a log or on a
/// terminal they would do something.
pub(crate) fn printable(text: &str) -> String {
    let does_something = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if does_something(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    #[test]
    fn what_was_written_is_told_without_its_effects() {
        let all: String = (0..=0x2100).filter_map(char::from_u32).collect();
        let shown = printable(&all);
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown}");
        assert!(
            shown.contains("\\u{1b}") && shown.contains("\\r") && shown.contains('é') && shown.contains('"'),
            "{shown}"
        );
        let error = ".\u{1b}[2J\n".parse::<Endpoint>().unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}
