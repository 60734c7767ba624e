//! The keys that `docs/config.md` names, and the configurations that the documents show.

use serde_json::Value;

use super::common::run;
use super::texts::{configurations, document, help};

/// The keys of a table of the schema, without those of a table in it.
fn keys(table: &Value) -> Vec<&str> {
    let keys = table["properties"].as_object().unwrap().iter();
    keys.filter(|(_, key)| key["type"] != "object").map(|(name, _)| &**name).collect()
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_flag() {
    let schema: Value = serde_json::from_str(run(&["serve", "--print-schema"], "").text()).unwrap();
    let (page, limits, help) = (document("docs/config.md"), document("docs/limits.md"), help("serve", "--help"));
    let listener = &schema["properties"]["listen"]["items"];
    let of = |name: &str| keys(&schema["properties"][name]);
    let is_limit = |key: &str| limits.contains(&format!("| `{key}` |"));
    let own: Vec<_> = of("limits").into_iter().filter(|key| !is_limit(key)).collect();
    let titles = [
        ("`[server]`", of("server")),
        ("`[limits]`", own),
        ("`[log]`", of("log")),
        ("`[admin]`", of("admin")),
        ("`[[listen]]`", keys(listener)),
    ];
    for (title, mut keys) in titles {
        let section = page.split("\n## ").find(|section| section.starts_with(title)).unwrap();
        let rows: Vec<Vec<_>> =
            section.lines().filter(|line| line.starts_with("| `")).map(|row| row.split(" | ").collect()).collect();
        let mut named: Vec<_> = rows.iter().map(|row| row[0].trim_start_matches("| ").trim_matches('`')).collect();
        keys.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, keys, "{title}");
        for row in rows {
            let flag = row[3].trim_end_matches(" |").trim_matches('`');
            let is_flag = help.contains(&format!("\n      {flag} ")) || help.contains(&format!("\n      {flag}["));
            assert!(row.len() == 4 && (flag == "–" || is_flag), "{row:?}");
        }
    }
    // What a listener cannot have of its own.
    let limits_of_one = keys(&listener["properties"]["limits"]);
    let section = page.split("\n## ").find(|section| section.starts_with("`[[listen]]`")).unwrap();
    for key in of("limits").into_iter().filter(|key| !limits_of_one.contains(key)) {
        assert!(section.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn configurations_of_the_documents_are_right() {
    let found = configurations();
    assert!(found.len() >= 2, "only {} found", found.len());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("swapwire.toml");
    for (source, text) in found {
        std::fs::write(&path, &text).unwrap();
        let said = run(&["serve", "--config", path.to_str().unwrap(), "--check"], "");
        assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{source}:\n{text}");
    }
}
