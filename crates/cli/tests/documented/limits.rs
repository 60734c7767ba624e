//! The flags that `docs/limits.md` names.

use std::collections::BTreeSet;

use super::texts::{document, help};

#[test]
fn the_page_of_limits_names_the_flag_of_each() {
    let help = help("serve", "--help");
    let written = help.lines().filter_map(|line| line.strip_prefix("      --")?.split([' ', '[']).next());
    let flags: BTreeSet<_> = written.collect();
    let page = document("docs/limits.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut found = 0;
    for (field, row) in rows {
        let flag = row.split(" | ").nth(2).unwrap().trim_matches('`');
        let name = field.replace('_', "-");
        if field == "when_full" {
            assert_eq!(flag, "--refuse");
        } else if flags.contains(&*name) {
            found += 1;
            assert_eq!(flag, format!("--{name}"));
        } else {
            assert_eq!(flag, "–", "{field}");
        }
    }
    assert!(found >= 11 && flags.contains("refuse"), "{found} of {flags:?}");
}
