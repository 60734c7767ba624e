//! Lines that run scripts and cargo: what they name must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Flags of cargo itself that the documents may use.
const CARGO_FLAGS: &[&str] = &[
    "--release",
    "--locked",
    "--workspace",
    "--all",
    "--no-run",
    "--all-targets",
    "--all-features",
    "--debug",
    "--timings",
];
/// Tools of their own, installed by hand.
const CARGO_TOOLS: &[&str] = &["deny", "fuzz", "add"];

/// The packages and their targets.
pub(crate) struct Known {
    root: PathBuf,
    packages: BTreeSet<String>,
    targets: BTreeSet<(String, String)>,
}

impl Known {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(&root);
        let metadata: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (mut packages, mut targets) = (BTreeSet::new(), BTreeSet::new());
        for package in metadata["packages"].as_array().unwrap() {
            packages.insert(text(&package["name"]));
            for target in package["targets"].as_array().unwrap() {
                targets.insert((text(&target["kind"][0]), text(&target["name"])));
            }
        }
        Self { root, packages, targets }
    }

    /// What a line names that is not there.
    pub(crate) fn fault(&self, line: &str) -> Option<String> {
        let code = line.split_once(" #").map_or(line, |(code, _)| code);
        let commands = code.split(['(', ')', '|', ';']).flat_map(|part| part.split("&&")).map(str::trim);
        commands.filter_map(|command| self.fault_of(command)).next().map(|fault| format!("`{line}`: {fault}"))
    }

    fn fault_of(&self, command: &str) -> Option<String> {
        let words: Vec<&str> =
            command.split(' ').map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty()).collect();
        match words.split_first()? {
            (script, flags) if script.starts_with("scripts/") => self.fault_of_script(script, flags),
            (&"cargo", rest) => self.fault_of_cargo(rest),
            _ => None,
        }
    }

    fn fault_of_script(&self, script: &str, words: &[&str]) -> Option<String> {
        let Ok(text) = fs::read_to_string(self.root.join(script)) else { return Some(format!("no script {script}")) };
        let unknown = words.iter().filter(|word| word.starts_with("--")).find(|flag| !text.contains(**flag));
        unknown.map(|flag| format!("{script} has no flag {flag}"))
    }

    fn fault_of_cargo(&self, words: &[&str]) -> Option<String> {
        let (command, rest) = words.split_first()?;
        if CARGO_TOOLS.contains(command) {
            return None;
        }
        let mut rest = rest.iter().take_while(|word| **word != "--");
        while let Some(word) = rest.next() {
            let mut named = |kind: &str| {
                let name = rest.next()?;
                let is_there = match kind {
                    "package" => self.packages.contains(*name),
                    "path" => self.root.join(name).join("Cargo.toml").exists(),
                    "version" => true,
                    kind => self.targets.contains(&(kind.to_owned(), (*name).to_owned())),
                };
                (!is_there).then(|| format!("no {kind} {name}"))
            };
            let fault = match *word {
                "-p" => named("package"),
                "--example" => named("example"),
                "--bench" => named("bench"),
                "--test" => named("test"),
                "--bin" => named("bin"),
                "--path" => named("path"),
                "--version" => named("version"),
                flag if flag.starts_with('-') && !CARGO_FLAGS.contains(&flag) => {
                    Some(format!("cargo {command} {flag}: not known here"))
                }
                _ => None,
            };
            if fault.is_some() {
                return fault;
            }
        }
        None
    }
}
