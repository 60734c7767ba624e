//! `docs/limits.md` and the limits.

use swapwire::{Limits, Settings as _};

use crate::documents::document;

#[test]
fn the_page_of_limits_has_every_field_with_its_default() {
    let page = document("docs/limits.md");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let mut rows: Vec<_> = cells.map(|(field, row)| (field, row.split(" | ").nth(1).unwrap().trim())).collect();
    let defaults = Limits::default();
    for field in Limits::FIELDS {
        let at = rows.iter().position(|(name, _)| *name == field.name);
        let (_, default) = rows.remove(at.unwrap_or_else(|| panic!("docs/limits.md lacks {}", field.name)));
        // It depends on the machine.
        if field.name == "max_connections" {
            continue;
        }
        let (mut written, text) = (Limits::default(), default.replace([',', ' '], ""));
        written.set(field.name, &text).unwrap();
        assert_eq!(
            written.get(field.name),
            defaults.get(field.name),
            "the default of {} in docs/limits.md",
            field.name
        );
        assert_eq!(written, defaults);
    }
    assert!(rows.is_empty(), "docs/limits.md invents {rows:?}");
}
