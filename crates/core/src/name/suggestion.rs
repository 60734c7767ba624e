//! What a misspelt word was meant to be.

/// The one of `known` that `word` is likely to mean: of each three letters of it one may be wrong, missing or too many, or
/// two adjacent ones may be swapped; case does not matter, and the end may be missing behind three letters.
///
/// ```
/// use swapwire_core::did_you_mean;
/// assert_eq!(did_you_mean("tpc", ["mem", "tcp", "udp"]), Some("tcp"));
/// assert_eq!(did_you_mean("http", ["mem", "tcp", "udp"]), None);
/// ```
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // What is longer than any name is none, and comparing takes its length by theirs.
    if word.len() > LONGEST {
        return None;
    }
    let most = word.chars().count() / 3;
    let distance = |name: &str| match name.starts_with(&word) && word.len() >= 3 {
        true => 0,
        false => strsim::osa_distance(&word, name),
    };
    let near = known.into_iter().map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= most);
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// In bytes.
const LONGEST: usize = 64;

/// What follows the unknown `word` in an error: what it may mean, and the `known` ones, with commas.
pub(crate) fn hint(word: &str, known: &str) -> String {
    match did_you_mean(word, known.split(", ").filter(|name| *name != NONE)) {
        Some(meant) => format!("; did you mean {meant:?}? known: {known}"),
        None => format!("; known: {known}"),
    }
}

/// `names` with commas, or `none`.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    match names.collect::<Vec<_>>() {
        names if names.is_empty() => NONE.to_owned(),
        names => names.join(", "),
    }
}

const NONE: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["mem", "mem-dgram", "tcp", "udp", "unix", "unix-dgram", "uppercase-echo", "echo"];
        for (word, meant) in [
            ("tpc", "tcp"),
            ("TCP", "tcp"),
            ("upd", "udp"),
            ("unx", "unix"),
            ("unix-gram", "unix-dgram"),
            ("ecco", "echo"),
            ("upper", "uppercase-echo"),
            ("uppercase_ecko", "uppercase-echo"),
        ] {
            assert_eq!(did_you_mean(word, known), Some(meant), "{word}");
        }
        for word in ["", "x", "http", "tls", "chargen", "ws"] {
            assert_eq!(did_you_mean(word, known), None, "{word}");
        }
        assert_eq!(did_you_mean(&"tcp".repeat(1000), known), None);
        assert_eq!(hint("nome", &listed([].into_iter())), "; known: none");
    }
}
