//! What the documents promise: lengths, links, tables that repeat what the code has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use swapwire::core::OptionDoc;

use crate::ROOT;
use crate::source::sources;

pub(crate) fn document(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// The documents that a newcomer reads whole stay short: in bytes.
const LONGEST_GUIDE: usize = 10 * 1024;

#[test]
fn the_guides_are_short() {
    for guide in ["ARCHITECTURE.md", "BENCHMARKING.md"] {
        let length = document(guide).len();
        assert!(length <= LONGEST_GUIDE, "{guide} has {length} bytes, at most {LONGEST_GUIDE}: move details to docs/");
    }
}

#[test]
fn every_decision_has_its_four_parts_and_its_place_in_the_index() {
    let index = document("docs/decisions/README.md");
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        let text = document(&format!("docs/decisions/{name}"));
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(parts, ["## Context", "## Choice", "## Rejected", "## Measured"], "{name}");
        assert!(!text.contains("\n\n\n") && !text.trim_end().ends_with("## Measured"), "{name}: a part is empty");
        assert!((10..=25).contains(&text.lines().count()), "{name} is not short");
        let (number, title) = text.lines().next().and_then(|line| line.strip_prefix("# ")?.split_once(": ")).unwrap();
        assert!(name.starts_with(&format!("{number}-")) && numbers.insert(number.to_owned()), "{name}: {number}");
        let row = format!("| [{number}]({name}) | {title} |");
        assert!(index.contains(&row), "docs/decisions/README.md lacks the row {row}");
    }
    assert!(numbers.len() > 30, "only {} decisions were found", numbers.len());
}

/// The Markdown files of the root and of `docs`: folder, path, text.
fn documents() -> Vec<(PathBuf, PathBuf, String)> {
    let folders =
        ["", "docs", "docs/decisions", "docs/guide", "docs/results"].map(|folder| Path::new(ROOT).join(folder));
    let paths = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.map(|path| (path.parent().unwrap().to_owned(), path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut found = 0;
    let mut dead = Vec::new();
    for (folder, path, text) in documents() {
        let targets = links(&text).into_iter().map(|(_, target)| target);
        for target in targets.filter(|target| !target.contains("://") && !target.contains(' ')) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { path.clone() } else { folder.join(file) };
            found += 1;
            let has = |text: String| heading.is_empty() || text.lines().any(|line| anchor(line) == heading);
            if !(to.is_dir() || fs::read_to_string(&to).is_ok_and(has)) {
                dead.push(format!("{}: {target}", path.strip_prefix(ROOT).unwrap().display()));
            }
        }
    }
    assert!(found > 60 && dead.is_empty(), "{found} links, of which lead nowhere: {dead:#?}");
}

/// The links of a page: what stands in parentheses behind a text, or behind the colon of a definition, which has a name.
pub(crate) fn links(page: &str) -> Vec<(Option<&str>, &str)> {
    let inline = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| (None, target));
    let defined = page.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    inline.chain(defined.map(|(name, target)| (Some(name), target))).collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, (names, after))) = path.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) else {
        return vec![path.to_owned()];
    };
    names.split(',').map(|name| format!("{before}{name}{after}")).collect()
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let root = Path::new(ROOT);
    let mut found = 0;
    let mut missing = Vec::new();
    for (_, page, text) in documents() {
        // The table of faults leaves `crates` out.
        let base = if page.ends_with("faults.md") { root.join("crates") } else { root.to_owned() };
        let words = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_path = |word: &&str| word.ends_with(".rs") && word.contains('/') && !word.contains([' ', '*']);
        for path in words.filter(is_path).flat_map(expanded) {
            found += 1;
            if !base.join(&path).is_file() && !root.join(&path).is_file() {
                missing.push(format!("{}: {path}", page.strip_prefix(ROOT).unwrap().display()));
            }
        }
    }
    assert!(found > 200 && missing.is_empty(), "{found} files, of which do not exist: {missing:#?}");
}

/// What a link to this line says behind its `#`, if it is a heading.
fn anchor(line: &str) -> String {
    let heading = line.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn the_page_of_instructions_is_that_of_the_gate() {
    let gate = document("benches/instructions/limits.rs");
    let page = document("docs/results/instructions.md");
    let measured =
        gate.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.strip_suffix("),")?.split_once("\", "));
    let rows: Vec<_> = measured.map(|(bench, count)| format!("| `{bench}` | {} |", count.replace('_', ","))).collect();
    assert!(rows.len() > 5, "{rows:?}");
    for row in rows {
        assert!(
            page.contains(&row),
            "docs/results/instructions.md lacks {row}: scripts/instructions --renew writes it"
        );
    }
}

/// `docs/faults.md` names a test for each fault: `file`: `function`, `function`; … What it says to "see" may be elsewhere.
#[test]
fn every_test_that_the_table_of_faults_names_exists() {
    let text = document("docs/faults.md");
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

/// The rows of the tables in `docs/options.md`, by their cells.
fn option_rows() -> Vec<Vec<String>> {
    let text = document("docs/options.md");
    let rows = text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|').map(str::to_owned));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The layers of the page. A build may have none of them.
const LAYERS: &[&str] = &["proxy", "tls", "ws"];
/// The transports of the page that a build may lack as well.
const OPTIONAL: &[&str] = &["nats"];

fn has_code(cell: &str, word: &str) -> bool {
    cell.contains(&format!("`{word}`"))
}

/// The options of each scheme, and what each layer adds to those of a transport.
fn known_options() -> BTreeMap<String, BTreeSet<String>> {
    let registry = swapwire::default_registry();
    let names = |options: &[OptionDoc]| options.iter().map(|option| option.name.to_owned()).collect::<BTreeSet<_>>();
    let mut known: BTreeMap<_, _> =
        registry.schemes().map(|(scheme, transport)| (scheme.to_owned(), names(transport.options(scheme)))).collect();
    for layer in registry.layers().filter(|layer| LAYERS.contains(&layer.name())) {
        let stack = format!("{}+mem:x", layer.name()).parse::<swapwire::Endpoint>().unwrap();
        let all = names(registry.transport(&stack).unwrap().options(stack.scheme()));
        known.insert(layer.name().to_owned(), &all - &known["mem"]);
    }
    known
}

#[test]
fn the_page_of_options_names_every_scheme_and_every_option_of_every_transport() {
    let rows = option_rows();
    let mut missing = Vec::new();
    for (scheme, options) in known_options() {
        if !rows.iter().any(|row| has_code(&row[0], &scheme)) {
            missing.push(format!("the scheme {scheme}"));
        }
        for option in options {
            if !rows.iter().any(|row| row.len() > 1 && has_code(&row[0], &option) && has_code(&row[1], &scheme)) {
                missing.push(format!("the option {option} of {scheme}"));
            }
        }
    }
    assert!(missing.is_empty(), "the tables of docs/options.md lack {}", missing.join(", "));
}

#[test]
fn the_page_of_options_promises_none_that_does_not_exist() {
    let known = known_options();
    let table: Vec<_> = option_rows().into_iter().skip_while(|row| row[0] != "option").skip(2).collect();
    let is_option_row = |row: &&Vec<String>| row.len() == 4 && row[1].contains('`');
    for row in table.iter().take_while(is_option_row) {
        let mut judged = 0;
        for word in row[1].split('`').skip(1).step_by(2) {
            if (LAYERS.contains(&word) || OPTIONAL.contains(&word)) && !known.contains_key(word) {
                continue;
            }
            judged += 1;
            let Some(options) = known.get(word) else {
                panic!("docs/options.md names the scheme {word:?}, which does not exist")
            };
            let has = options.iter().any(|option| has_code(&row[0], option));
            assert!(has, "docs/options.md gives {} to {word}", row[0]);
        }
        for word in row[0].split('`').skip(1).step_by(2) {
            let is_known = judged == 0 || known.values().any(|options| options.contains(word));
            assert!(is_known, "docs/options.md names the option {word:?}, which no transport has");
        }
    }
}
