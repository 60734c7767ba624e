//! Sources, and the code in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ROOT;

/// Every Rust source of the repository.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, all: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                walk(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    walk(Path::new(ROOT), &mut all);
    assert!(all.len() > 50, "only {} sources were found", all.len());
    all
}

/// A file of a crate without its comments, texts and tests.
pub(crate) struct Source {
    /// Below the crate's `src`.
    pub(crate) path: PathBuf,
    /// The words and signs of the code. `::` is one, a text none.
    pub(crate) tokens: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        Self { path: path.into(), tokens: without_tests(tokens(text)) }
    }

    /// The module that the file is, from the crate's root.
    pub(crate) fn module(&self) -> Vec<String> {
        let parts = self.path.with_extension("");
        let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
        parts.filter(|part| !matches!(&**part, "mod" | "lib" | "main")).collect()
    }
}

/// Whether a file has tests or models alone.
pub(crate) fn is_test(path: &Path) -> bool {
    path.with_extension("").iter().any(|part| {
        let part = part.to_str().unwrap();
        matches!(part, "tests" | "models") || part.ends_with("_tests")
    })
}

/// The sources of a crate that are not tests.
pub(crate) fn sources_of(name: &str) -> Vec<Source> {
    let root = Path::new(ROOT).join("crates").join(name).join("src");
    let all = sources().into_iter().filter_map(|(path, text)| {
        let path = path.strip_prefix(&root).ok()?;
        (!is_test(path)).then(|| Source::new(path, &text))
    });
    let all: Vec<_> = all.collect();
    assert!(!all.is_empty(), "no sources of {name} in {}", root.display());
    all
}

fn tokens(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (taken, token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), false)
        } else if let Some(len) = raw_text(rest) {
            (len, false)
        } else if c == '"' {
            (quoted(rest, '"'), false)
        } else if c == '\'' {
            // A lifetime has no second quote behind one character.
            let character = rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'');
            (if character { quoted(rest, '\'') } else { 1 }, false)
        } else if is_word(c) {
            (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (c.len_utf8(), !c.is_whitespace())
        };
        if token {
            tokens.push(rest[..taken].to_owned());
        }
        rest = &rest[taken..];
    }
    tokens
}

/// The length of a raw text that begins here.
fn raw_text(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix("r").or_else(|| text.strip_prefix("br"))?;
    let body = hashes.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(hashes.len() - body.len()));
    let inside = body.strip_prefix('"')?;
    Some(text.len() - inside.len() + inside.find(&end)? + end.len())
}

/// The length of a text or a character, quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Leaves out every item that is compiled for tests alone.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = attribute(&tokens, at) {
            let words = &tokens[at..end];
            let test = words.iter().position(|word| word == "test");
            if words[2] == "cfg" && test.is_some_and(|test| words[test - 2] != "not") {
                at = item(&tokens, end);
                continue;
            }
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

/// Where the attribute ends that begins at `at`.
fn attribute(tokens: &[String], at: usize) -> Option<usize> {
    (tokens[at] == "#" && tokens.get(at + 1)? == "[").then(|| closing(tokens, at + 1))
}

/// Where the item ends that begins at `at`: behind its `;` or its braces.
fn item(tokens: &[String], mut at: usize) -> usize {
    while at < tokens.len() {
        match &*tokens[at] {
            ";" => return at + 1,
            "{" => return closing(tokens, at),
            "(" | "[" => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Behind the bracket that closes the one at `at`.
pub(crate) fn closing(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match &**token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

#[test]
fn comments_texts_and_tests_are_left_out() {
    let text = r###"
        //! crate::one
        use a::b; /* crate::two */
        const C: &str = "crate::\"three\""; const R: &str = r#"crate::"four""#;
        fn f<'a>(x: &'a str) -> char { '"' }
        #[cfg(test)]
        #[path = "x.rs"]
        mod tests { use crate::five; fn g() { {} } }
        #[cfg(all(test, other))]
        mod models;
        #[cfg(not(test))]
        use six::seven;
    "###;
    let source = Source::new("a/mod.rs", text);
    let code = source.tokens.join(" ");
    for word in ["crate", "five", "g", "models", "three"] {
        assert!(!source.tokens.iter().any(|token| token == word), "{word} in {code}");
    }
    assert!(code.starts_with("use a :: b ; const C : & str = ;"), "{code}");
    assert!(code.contains("fn f < a > ( x : & a str ) - > char { }"), "{code}");
    assert!(code.ends_with("use six :: seven ;"), "{code}");
    assert_eq!(source.module(), ["a"]);
    assert!(is_test(Path::new("a/tests/b.rs")) && is_test(Path::new("a/models.rs")) && !is_test(Path::new("a/b.rs")));
}
