//! What no file may have.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ROOT;
use crate::source::sources;

/// Reviewed exceptions belong here with a reason; none are known.
const LONGEST_FILE: usize = 500;

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .iter()
        .map(|(path, text)| (path.strip_prefix(ROOT).unwrap().display().to_string(), text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("{path} ({lines})"))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines: {}", long.join(", "));
}

#[test]
fn every_channel_is_bounded() {
    // In two parts, so that this file does not find itself.
    let words =
        [concat!("unbounded", "_channel"), concat!("mpsc::", "unbounded("), concat!("std::sync::mpsc::", "channel")];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
    let clippy = fs::read_to_string(Path::new(ROOT).join("clippy.toml")).unwrap();
    assert!(clippy.contains(words[0]), "clippy.toml no longer forbids {}", words[0]);
}

/// The one crate with `unsafe`, and the one file of it.
const UNSAFE: (&str, &str) = ("mmsg", "crates/mmsg/src/headers.rs");

#[test]
fn unsafe_code_is_forbidden_everywhere_but_in_one_file() {
    let manifest = |dir: &Path| fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    let section = |text: &str, name: &str| {
        let lines = text.lines().skip_while(|line| line.trim() != name).skip(1);
        lines.take_while(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n")
    };
    let root = manifest(Path::new(ROOT));
    assert!(section(&root, "[workspace.lints.rust]").contains("unsafe_code = \"forbid\""));
    let crates = fs::read_dir(Path::new(ROOT).join("crates")).unwrap().flatten().map(|entry| entry.path());
    for dir in crates.chain([PathBuf::from(ROOT)]) {
        let text = manifest(&dir);
        if dir.file_name().is_some_and(|name| name == UNSAFE.0) {
            assert!(section(&text, "[lints.rust]").contains("unsafe_code = \"deny\""));
        } else {
            assert!(
                section(&text, "[lints]").contains("workspace = true"),
                "{} does not take the lints",
                dir.display()
            );
        }
    }
    // In two parts, so that this file does not find itself.
    let exception = concat!("expect(", "unsafe_code");
    let crates = Path::new(ROOT).join("crates");
    let exceptions: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with(&crates) && text.contains(exception))
        .map(|(path, _)| path.strip_prefix(ROOT).unwrap().display().to_string())
        .collect();
    assert_eq!(exceptions, [UNSAFE.1]);
}
