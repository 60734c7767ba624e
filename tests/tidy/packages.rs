//! What is needed to publish the packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::ROOT;
use crate::crates::packages;
use crate::documents::{document, links};

/// The packages that are published: all but those whose manifest says otherwise.
fn published() -> Vec<Value> {
    let mut packages = packages();
    packages.retain(|package| package["publish"].is_null());
    assert!(packages.len() >= 18, "only {} packages are published", packages.len());
    packages
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// What is wrong with a dependency on a package of ours. With a version, a development dependency has to be published first,
/// and some depend on those whose tests they help; without one, cargo leaves it out of the package.
fn fault(dependency: &Value) -> Option<String> {
    let (versioned, dev) = (text(dependency, "req") != "*", text(dependency, "kind") == "dev");
    match (dev, versioned) {
        (true, true) => Some(format!("{}: write a path alone, without a version", text(dependency, "name"))),
        (false, false) => Some(format!("{}: has no version", text(dependency, "name"))),
        _ => None,
    }
}

#[test]
fn packages_depend_on_one_another_in_an_order_in_which_they_can_be_published() {
    let mut wrong = Vec::new();
    let mut found = 0;
    for package in published() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if text(dependency, "name").starts_with("swapwire") {
                found += 1;
                wrong.extend(fault(dependency).map(|fault| format!("{} -> {fault}", text(&package, "name"))));
            }
        }
    }
    assert!(found > 50 && wrong.is_empty(), "{found} dependencies, of which are wrong: {wrong:#?}");
}

#[test]
fn every_package_says_what_registries_ask_for() {
    for package in published() {
        let (name, folder) = (text(&package, "name"), Path::new(text(&package, "manifest_path")).parent().unwrap());
        let limits = [("description", 1_000), ("license", 100), ("documentation", 100), ("rust_version", 100)];
        for (key, longest) in limits {
            let length = text(&package, key).len();
            assert!((1..=longest).contains(&length), "{name}: {key} has {length} bytes, 1 to {longest} are taken");
        }
        assert_eq!(text(&package, "documentation"), format!("https://docs.rs/{name}"));
        let keywords = package["keywords"].as_array().unwrap();
        let short = |keyword: &Value| keyword.as_str().is_some_and(|keyword| keyword.len() <= 20);
        assert!((1..=5).contains(&keywords.len()) && keywords.iter().all(short), "{name}: {keywords:?}");
        let args = &package["metadata"]["docs"]["rs"]["rustdoc-args"];
        assert_eq!(*args, serde_json::json!(["--cfg", "docsrs"]), "{name}: [package.metadata.docs.rs]");
        let library = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        assert!(library.contains("#![cfg_attr(docsrs, feature(doc_cfg))]"), "{name}: src/lib.rs lacks doc_cfg");
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let same = fs::read(folder.join(file)).ok() == fs::read(Path::new(ROOT).join(file)).ok();
            assert!(same, "{name}: {file} is not that of the root: ln -s ../../{file}");
        }
    }
}

/// A registry shows a README without the files beside it.
#[test]
fn the_links_of_every_readme_lead_somewhere_without_the_repository() {
    let names: BTreeSet<_> = published().iter().map(|package| text(package, "name").to_owned()).collect();
    let guide = document("src/guide.rs");
    let mut found = 0;
    for package in published() {
        let name = text(&package, "name");
        let folder = Path::new(text(&package, "manifest_path")).parent().unwrap();
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(name == "swapwire" || page.contains("(https://docs.rs/swapwire)"), "{name}: does not name the facade");
        for (_, link) in links(&page) {
            found += 1;
            assert!(
                link.starts_with("https://") || link.starts_with('#'),
                "{name}: {link} is a file of the repository"
            );
            if let Some(file) = link.strip_prefix("https://docs.rs/crate/swapwire/latest/source/") {
                let is_packed = file.ends_with(".md") && Path::new(ROOT).join(file).is_file();
                assert!(is_packed, "{name}: {link}: the package has no such file");
            } else if let Some(page) = link.strip_prefix("https://docs.rs/swapwire/latest/swapwire/guide/") {
                let module = page.split('/').next().unwrap();
                let is_there = module.is_empty() || guide.contains(&format!("page!({module}, "));
                assert!(is_there, "{name}: {link}: src/guide.rs has no such page");
            } else if let Some(package) = link.strip_prefix("https://docs.rs/swapwire") {
                let known = names.contains(format!("swapwire{package}").trim_end_matches('/'));
                assert!(known, "{name}: {link}: no such package");
            }
        }
    }
    assert!(found > 40, "only {found} links");
}

/// On docs.rs a link between pages leads to a module, by its name.
#[test]
fn the_links_between_pages_of_the_guide_lead_to_modules() {
    let (guide, names) = (document("src/guide.rs"), document("src/guide/links.md"));
    let names: Vec<_> = links(&names).into_iter().filter_map(|(name, _)| name).collect();
    let pages: Vec<_> = guide.split("include_str!(\"../").chain(guide.split(", \"../")).collect();
    let paths = pages.iter().filter_map(|rest| rest.split('"').next()).filter(|path| path.ends_with(".md"));
    let mut found = 0;
    for path in paths {
        found += 1;
        for (name, target) in links(&document(path)) {
            let leads = target.starts_with("https://") || target.starts_with('#');
            assert!(
                leads || name.is_some_and(|name| names.contains(&name)),
                "{path}: {target}: see src/guide/links.md"
            );
        }
    }
    assert!(found >= 12, "only {found} pages");
}

/// A source that includes what lies outside its package cannot be built from the package.
#[test]
fn no_source_of_a_package_includes_a_file_of_another() {
    let mut wrong = Vec::new();
    for (path, text) in crate::source::sources() {
        let below = path.strip_prefix(ROOT).unwrap();
        let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
        let inside = match parts[..] {
            ["src", ..] => parts.len() - 1,
            ["crates", of, "src", ..] if !["adv", "guide"].contains(&of) => parts.len() - 3,
            _ => continue,
        };
        for included in text.split("include_").skip(1).filter_map(|rest| rest.split_once("!(\"")?.1.split('"').next()) {
            if included.matches("../").count() > inside {
                wrong.push(format!("{}: {included}", below.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rules_for_packages_find_what_is_wrong() {
    let dependency =
        |kind: Option<&str>, req: &str| serde_json::json!({ "name": "swapwire-x", "kind": kind, "req": req });
    assert!(fault(&dependency(Some("dev"), "^0.1.0")).is_some() && fault(&dependency(None, "*")).is_some());
    assert!(fault(&dependency(Some("dev"), "*")).is_none() && fault(&dependency(None, "^0.1.0")).is_none());
    assert_eq!(links("[a](b) [c]\n\n[c]: d\n"), [(None, "b"), (Some("c"), "d")]);
}
