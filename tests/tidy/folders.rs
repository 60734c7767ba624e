//! Which folder of a crate knows which, and how many files it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::source::{Source, closing, sources_of};

/// Files in one folder at most, beside `mod.rs`, tests and models.
const MOST_FILES: usize = 7;

/// A top module, be it a folder or a file, and all others that it knows.
type Known = (&'static str, &'static [&'static str]);

/// The crates that are sorted into folders, each with its top modules, from those that know no other to those that know most.
/// So a circle cannot be written down.
const CRATES: &[(&str, &[Known])] = &[
    (
        "core",
        &[
            ("debug_as_text", &[]),
            ("sync", &[]),
            ("name", &[]),
            ("framing", &[]),
            ("error", &["framing", "name"]),
            ("reply", &["error", "framing"]),
            ("wire", &["error", "framing", "name", "reply"]),
            ("registry", &["error", "name", "wire"]),
            ("settings", &["name"]),
            ("session", &["error", "framing", "name", "settings", "sync", "wire"]),
            ("handler", &["error", "name", "reply", "session"]),
            ("testing", &["error", "framing", "handler", "name", "reply", "session", "wire"]),
        ],
    ),
    (
        "server",
        &[
            ("sync", &[]),
            ("limits", &["sync"]),
            ("metrics", &["limits"]),
            ("time", &["limits", "metrics", "sync"]),
            ("memory", &["limits", "metrics"]),
            ("drain", &["limits", "metrics", "sync", "time"]),
            ("tasks", &["metrics", "sync"]),
            ("context", &["drain", "limits", "memory", "metrics", "sync", "time"]),
            ("session_record", &["context", "metrics", "time"]),
            ("stream", &["context", "drain", "memory", "metrics", "session_record", "tasks", "time"]),
            ("datagram", &["context", "drain", "limits", "metrics", "tasks", "time"]),
            ("peers", &["context", "datagram", "drain", "limits", "metrics", "stream", "tasks"]),
            ("service", &["context", "datagram", "drain", "metrics", "peers", "stream"]),
            (
                "accept",
                &["context", "drain", "limits", "metrics", "service", "session_record", "sync", "tasks", "time"],
            ),
            ("compose", &["accept", "datagram", "limits", "memory", "metrics", "peers", "service"]),
            (
                "runtime",
                &[
                    "accept", "compose", "context", "drain", "limits", "memory", "metrics", "service", "sync", "tasks",
                    "time",
                ],
            ),
            ("builder", &["compose", "limits", "runtime", "service"]),
        ],
    ),
    (
        "bench",
        &[
            ("result", &[]),
            ("plan", &["result"]),
            ("analysis", &["result"]),
            ("report", &["analysis", "result"]),
            ("load", &["analysis", "plan", "result"]),
        ],
    ),
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What each top module of a crate knows of the others.
fn arrows(sources: &[Source]) -> Arrows {
    let root = sources.iter().find(|source| source.module().is_empty()).unwrap();
    let tops = root.tokens.windows(2).filter(|words| words[0] == "mod").map(|words| words[1].clone());
    let mut arrows: Arrows = tops.map(|top| (top, BTreeSet::new())).collect();
    let shown = shown(root, &arrows);
    for source in sources {
        let module = source.module();
        let Some(from) = module.first() else { continue };
        let known = roots(source, module.len()).into_iter();
        let known =
            known.filter_map(|word| if arrows.contains_key(word) { Some(word) } else { Some(&**shown.get(word)?) });
        let known: Vec<_> = known.filter(|to| to != from).map(str::to_owned).collect();
        arrows.get_mut(from).unwrap_or_else(|| panic!("the root has no module {from}")).extend(known);
    }
    arrows
}

/// What the root shows of its modules: name, module.
fn shown(root: &Source, tops: &Arrows) -> BTreeMap<String, String> {
    let tokens = &root.tokens;
    let mut shown = BTreeMap::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at] == "use" && tops.contains_key(&tokens[at + 1])) {
        let list = tokens[at..].iter().take_while(|token| *token != ";").map(|token| &**token);
        for words in list.chain([";"]).collect::<Vec<_>>().windows(2) {
            if matches!(words[1], "," | "}" | ";") {
                shown.insert(words[0].to_owned(), tokens[at + 1].clone());
            }
        }
    }
    shown
}

/// The first words of all paths that begin at the root, in a module that lies `depth` below it.
fn roots(source: &Source, depth: usize) -> Vec<&str> {
    let tokens = &source.tokens;
    let mut roots = Vec::new();
    for at in 0..tokens.len() {
        let path = if tokens[at] == "crate" && tokens.get(at + 1).is_some_and(|next| next == "::") {
            at + 2
        } else {
            let ups = tokens[at..].chunks(2).take_while(|words| words == &["super", "::"]).count();
            let follows = at > 1 && tokens[at - 2] == "super";
            if ups < depth || follows {
                continue;
            }
            at + 2 * ups
        };
        if tokens[path] != "{" {
            assert!(
                tokens[path] != "*",
                "{} takes all of the root, so it does not say what it knows",
                source.path.display()
            );
            roots.push(&*tokens[path]);
            continue;
        }
        let (mut next, end) = (path + 1, closing(tokens, path));
        while next < end - 1 {
            roots.push(&*tokens[next]);
            while next < end - 1 && tokens[next] != "," {
                next = if tokens[next] == "{" { closing(tokens, next) } else { next + 1 };
            }
            next += 1;
        }
    }
    roots
}

#[test]
fn every_folder_knows_what_it_should_and_there_is_no_circle() {
    for (name, allowed) in CRATES {
        let found = arrows(&sources_of(name));
        let mut below = BTreeSet::new();
        for (folder, known) in *allowed {
            assert!(known.iter().all(|to| below.contains(to)), "{name}: {folder} knows one that stands behind it");
            let found = found.get(*folder).unwrap_or_else(|| panic!("{name} has no module {folder}"));
            assert!(found.iter().eq(known.iter()), "{name}: {folder} should know {known:?} and knows {found:?}");
            below.insert(folder);
        }
        assert_eq!(below.len(), found.len(), "{name}: a module is missing here: {:?}", found.keys());
    }
}

#[test]
fn no_folder_has_too_many_files() {
    for (name, _) in CRATES {
        let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for source in sources_of(name).iter().filter(|source| !source.path.ends_with("mod.rs")) {
            *folders.entry(source.path.parent().unwrap().to_owned()).or_default() += 1;
        }
        folders.retain(|_, files| *files > MOST_FILES);
        assert!(folders.is_empty(), "{name}: more than {MOST_FILES} files in {folders:?}");
    }
}

#[test]
fn every_way_to_name_another_folder_is_seen() {
    let file = |path: &str, text: &str| Source::new(path, text);
    let sources = [
        file("lib.rs", "mod a; pub mod b; mod c; mod d; pub use b::{One, inner::{Two as Three}}; pub use c::four;"),
        file("a/mod.rs", "mod x; use x::y; use super::b; use crate::{four, outside::thing};"),
        file("a/x.rs", "use super::near; use super::super::d::{e, f};"),
        file("b.rs", "use std::sync::Arc; use tokio::d::e; fn f() -> crate::d::G { crate::a! {} }"),
        file("c/x/y.rs", "use crate::{One, x::{d, e}, Three}; use super::super::super::a; use super::super::b;"),
        file("d.rs", "use crate::unknown;"),
    ];
    let found = arrows(&sources);
    let expected = [("a", &["b", "c", "d"][..]), ("b", &["a", "d"]), ("c", &["a", "b"]), ("d", &[])];
    for (from, to) in expected {
        assert!(found[from].iter().eq(to), "{from}: {:?}", found[from]);
    }
}
