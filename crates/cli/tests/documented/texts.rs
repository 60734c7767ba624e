//! What the help texts and the Markdown files show.

use std::fs;
use std::path::{Path, PathBuf};

/// A command line, without its comment.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The file, or the command whose help it is.
    pub(crate) source: String,
    pub(crate) line: String,
    /// What the comment behind it says that it prints: a word in capitals.
    pub(crate) result: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The Markdown files, and what is in them.
fn documents() -> Vec<(String, String)> {
    let root = root();
    let mut folders =
        ["", "docs", "docs/decisions", "docs/guide", "docs/results"].map(|folder| root.join(folder)).to_vec();
    folders.extend(fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path()));
    let mut found = Vec::new();
    for path in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|end| end == "md") {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(found.len() >= 8, "only {} documents found", found.len());
    found.sort();
    found
}

/// The blocks of code: what stands behind the opening fence, and the lines.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            blocks.push((kind, lines.by_ref().take_while(|line| !line.starts_with("```")).collect()));
        }
    }
    blocks
}

/// All lines of the shell blocks, and where they stand.
pub(crate) fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (source, text) in documents() {
        for (_, lines) in blocks(&text).into_iter().filter(|(kind, _)| *kind == "sh") {
            found.extend(lines.iter().map(|line| (source.clone(), (*line).to_owned())));
        }
    }
    found
}

/// All blocks of TOML that are configurations of `serve`, and where they stand.
pub(crate) fn configurations() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (source, text) in documents() {
        let blocks = blocks(&text).into_iter().filter(|(kind, _)| *kind == "toml").map(|(_, lines)| lines.join("\n"));
        found.extend(blocks.filter(|text| text.contains("[[listen]]")).map(|text| (source.clone(), text)));
    }
    found
}

/// What a command says of itself.
pub(crate) fn help(command: &str, flag: &str) -> String {
    let args: Vec<&str> = [command, flag].into_iter().filter(|word| !word.is_empty()).collect();
    let mut unwrapped = super::common::swapwire(&args);
    String::from_utf8(unwrapped.env("COLUMNS", "1000").output().unwrap().stdout).unwrap()
}

/// The examples of each command's help, the short one and the long one.
fn helps() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for command in ["", "serve", "connect", "bench", "compare", "report", "handlers", "transports", "completions"] {
        let text = [help(command, "-h"), help(command, "--help")].concat();
        let groups = text.split("Examples:\n").skip(1);
        let lines = groups.flat_map(|examples| examples.lines().take_while(|line| line.starts_with("  ")));
        let before = found.len();
        found.extend(lines.map(|line| (format!("{command} --help"), line.trim().to_owned())));
        assert!(found.len() > before, "{command}: no examples");
    }
    found
}

/// The lines that run the command, or talk to it.
pub(crate) fn shown() -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    for (source, text) in helps().into_iter().chain(commands()) {
        let (line, comment) = text.split_once(" #").unwrap_or((&text, ""));
        let line = super::here::as_command(line.trim());
        let ours = line.starts_with("swapwire ") || line.contains("| swapwire ");
        let talks = line.contains("| nc ") || line.contains("| socat ");
        if (ours || talks) && !found.iter().any(|other| other.line == line) {
            let comment = comment.trim();
            let is_result = !comment.is_empty() && comment.chars().all(|letter| letter.is_ascii_uppercase());
            found.push(Shown { source, line, result: is_result.then(|| comment.to_owned()) });
        }
    }
    found
}

/// Blocks of Rust that no test compiles.
pub(crate) fn uncompiled() -> Vec<String> {
    let mut wrong = Vec::new();
    let guide = document("crates/guide/src/lib.rs");
    for (source, text) in documents() {
        let blocks = blocks(&text);
        let rust: Vec<&str> = blocks.iter().map(|(kind, _)| *kind).filter(|kind| kind.starts_with("rust")).collect();
        if rust.iter().any(|kind| kind.contains("ignore") || kind.contains("compile_fail")) {
            wrong.push(format!("{source}: a block of Rust that is not compiled"));
        }
        // The library whose documentation the file is.
        let library = root().join(&source).with_file_name("src").join("lib.rs");
        let included =
            fs::read_to_string(library).is_ok_and(|library| library.contains("include_str!(\"../README.md\")"));
        let readme = source.ends_with("README.md") && included;
        let page = guide.contains(&format!("\"../../../{source}\""));
        let compiled = readme || page;
        if !rust.is_empty() && !compiled {
            wrong.push(format!("{source}: its blocks of Rust belong to no library's documentation"));
        }
    }
    wrong
}
