//! What the documents promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::source::sources;

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
