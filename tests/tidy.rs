//! The shape of the house, checked by machine: who depends on whom, how long files are, what is nowhere used, what the
//! README promises.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Reviewed exceptions belong here with a reason; none are known.
const LONGEST_FILE: usize = 500;

/// The packages of the workspace, and on which of them each depends: name, kind.
fn arrows() -> BTreeMap<String, BTreeSet<(String, &'static str)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let arrow = |dependency: &Value| {
        let kind = match dependency["kind"].as_str() {
            None => "normal",
            Some("dev") => "dev",
            Some(_) => "build",
        };
        (name(dependency), kind)
    };
    let arrows = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter().map(arrow);
        all.filter(|(to, _)| ours.contains(to)).collect()
    };
    packages.iter().map(|package| (name(package), arrows(package))).collect()
}

/// Whether `from` may depend on `to`.
fn allowed(from: &str, to: &str, kind: &str) -> bool {
    let dev = kind == "dev";
    match (from, to) {
        // The facade joins all; the testkit and the load generator are for its tests and benches only.
        ("swapwire", "swapwire-testkit" | "swapwire-bench") => dev,
        ("swapwire", "swapwire-adv" | "swapwire-cli" | "swapwire-limit") => false,
        ("swapwire", _) => true,
        // The command depends on the facade and the load generator alone.
        ("swapwire-cli", to) => matches!(to, "swapwire" | "swapwire-bench"),
        // The adversary knows endpoints, and nothing else of ours: it must not share our mistakes.
        ("swapwire-adv", to) => to == "swapwire-core" && kind == "normal",
        ("swapwire-core", "swapwire-core") => false,
        ("swapwire-core", to) => dev && matches!(to, "swapwire-mem" | "swapwire-testkit"),
        // The transports whose messages have boundaries move many by one call of the system.
        ("swapwire-udp" | "swapwire-unix", "swapwire-mmsg") => kind == "normal",
        ("swapwire-tcp" | "swapwire-udp" | "swapwire-unix", "swapwire-socket") => kind == "normal",
        // Everything else points to the core; in tests, to the memory network and the testkit as well.
        ("swapwire-socket", _) => false,
        (_, "swapwire-core") => kind != "build",
        (_, "swapwire-mem" | "swapwire-testkit") => dev,
        _ => false,
    }
}

#[test]
fn every_arrow_points_to_the_core() {
    let arrows = arrows();
    let expected = [
        "adv", "bench", "cli", "core", "handlers", "layers", "mem", "mmsg", "server", "socket", "tcp", "testkit",
        "udp", "unix",
    ]
    .map(|name| format!("swapwire-{name}"));
    for name in &expected {
        assert!(arrows.contains_key(name), "{name} is missing from {:?}", arrows.keys());
    }
    let mut wrong = Vec::new();
    for (from, dependencies) in &arrows {
        for (to, kind) in dependencies {
            if !allowed(from, to, kind) {
                wrong.push(format!("{from} -> {to} ({kind})"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way: {}", wrong.join(", "));
}

#[test]
fn the_rules_for_arrows_refuse_what_they_should() {
    for (from, to, kind, expected) in [
        ("swapwire-tcp", "swapwire-core", "normal", true),
        ("swapwire-tcp", "swapwire-mem", "dev", true),
        ("swapwire-tcp", "swapwire-mem", "normal", false),
        ("swapwire-tcp", "swapwire-udp", "dev", false),
        ("swapwire-udp", "swapwire-mmsg", "normal", true),
        ("swapwire-unix", "swapwire-mmsg", "normal", true),
        ("swapwire-mmsg", "swapwire-core", "normal", true),
        ("swapwire-mmsg", "swapwire-udp", "dev", false),
        ("swapwire-tcp", "swapwire-mmsg", "normal", false),
        ("swapwire-server", "swapwire-mmsg", "normal", false),
        ("swapwire-core", "swapwire-mmsg", "normal", false),
        ("swapwire-server", "swapwire-layers", "normal", false),
        ("swapwire-server", "swapwire", "dev", false),
        ("swapwire-layers", "swapwire-testkit", "normal", false),
        ("swapwire-core", "swapwire-tcp", "dev", false),
        ("swapwire-cli", "swapwire", "normal", true),
        ("swapwire-cli", "swapwire-bench", "normal", true),
        ("swapwire-cli", "swapwire-core", "normal", false),
        ("swapwire", "swapwire-limit", "dev", false),
        ("swapwire", "swapwire-adv", "dev", false),
        ("swapwire-adv", "swapwire-core", "normal", true),
        ("swapwire-adv", "swapwire-testkit", "dev", false),
        ("swapwire-server", "swapwire-adv", "dev", false),
        ("swapwire-bench", "swapwire-core", "normal", true),
        ("swapwire-bench", "swapwire-mem", "dev", true),
        ("swapwire-bench", "swapwire-server", "dev", false),
        ("swapwire-bench", "swapwire", "normal", false),
        ("swapwire", "swapwire-testkit", "normal", false),
        ("swapwire", "swapwire-bench", "normal", false),
    ] {
        assert_eq!(allowed(from, to, kind), expected, "{from} -> {to} ({kind})");
    }
}

/// Every Rust source of the repository.
fn sources() -> Vec<(PathBuf, String)> {
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

/// `docs/faults.md` names a test for each fault: `file`: `function`, `function`; … What it says to "see" may be elsewhere.
#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/faults.md")).unwrap();
    let sources = sources();
    let laws: String =
        sources.iter().filter(|(path, _)| path.ends_with("laws/mod.rs")).map(|(_, text)| &**text).collect();
    let mut missing = Vec::new();
    let mut found = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains(" `")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for part in cell.split("; ").filter(|part| !part.starts_with("see ")) {
            let words: Vec<_> = part.split('`').skip(1).step_by(2).collect();
            let (files, names): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| word.contains('/'));
            for name in names {
                let exists = if part.starts_with("law") {
                    laws.contains(name)
                } else {
                    let here = |path: &Path| files.iter().any(|file| path.ends_with(file));
                    !files.is_empty()
                        && sources.iter().any(|(path, text)| here(path) && text.contains(&format!("fn {name}(")))
                };
                found += 1;
                if !exists {
                    missing.push(format!("{name} ({part})"));
                }
            }
        }
    }
    assert!(found > 100 && missing.is_empty(), "{found} tests, of which docs/faults.md invents {missing:#?}");
}

/// A row of a table in the README, by its cells.
fn readme_rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|').map(str::to_owned));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_readme_names_every_scheme_and_every_option_of_every_transport() {
    let rows = readme_rows();
    let code = |cell: &str, word: &str| cell.contains(&format!("`{word}`"));
    let mut missing = Vec::new();
    for (scheme, transport) in swapwire::default_registry().schemes() {
        if !rows.iter().any(|row| code(&row[0], scheme)) {
            missing.push(format!("the scheme {scheme}"));
        }
        for option in transport.options(scheme) {
            if !rows.iter().any(|row| row.len() > 1 && code(&row[0], option.name) && code(&row[1], scheme)) {
                missing.push(format!("the option {} of {scheme}", option.name));
            }
        }
    }
    assert!(missing.is_empty(), "the tables of README.md lack {}", missing.join(", "));
}

#[test]
fn the_readme_promises_no_option_that_does_not_exist() {
    let registry = swapwire::default_registry();
    let known: BTreeSet<&str> = registry
        .schemes()
        .flat_map(|(scheme, transport)| transport.options(scheme))
        .map(|option| option.name)
        .collect();
    let table: Vec<_> = readme_rows().into_iter().skip_while(|row| row[0] != "option").skip(2).collect();
    let schemes: BTreeSet<&str> = registry.schemes().map(|(scheme, _)| scheme).collect();
    let is_option_row = |row: &&Vec<String>| row.len() == 4 && row[1].contains('`');
    for row in table.iter().take_while(is_option_row) {
        for word in row[0].split('`').skip(1).step_by(2) {
            assert!(known.contains(word), "README.md names the option {word:?}, which no transport has");
        }
        for word in row[1].split('`').skip(1).step_by(2) {
            assert!(schemes.contains(word), "README.md names the scheme {word:?}, which does not exist");
            let has = registry.schemes().any(|(scheme, transport)| {
                scheme == word
                    && transport.options(scheme).iter().any(|option| row[0].contains(&format!("`{}`", option.name)))
            });
            assert!(has, "README.md gives {} to {word}", row[0]);
        }
    }
}
