//! The schema of the file, for editors (JSON Schema, draft 7).

use serde_json::{Map, Value, json};
use swapwire::SettingUnit;

use super::tables::{Admin, LimitTable, Listen, Log, Server, Table as _};
use super::value::{Key, Kind};

/// The schema, with a line feed at its end.
pub(crate) fn schema() -> String {
    let mut listen = properties(&Listen::keys());
    listen.insert("limits".to_owned(), table(properties(&LimitTable::keys_of_listener())));
    let mut listener = table(listen);
    listener["required"] = json!(["endpoint"]);
    let tables = Map::from_iter([
        ("server".to_owned(), table(properties(&Server::keys()))),
        ("limits".to_owned(), table(properties(&LimitTable::keys()))),
        ("log".to_owned(), table(properties(&Log::keys()))),
        ("admin".to_owned(), table(properties(&Admin::keys()))),
        ("listen".to_owned(), json!({ "type": "array", "minItems": 1, "items": listener })),
    ]);
    let mut schema = table(tables);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("The configuration file of `swapwire serve`");
    schema["required"] = json!(["listen"]);
    format!("{schema:#}\n")
}

fn table(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn properties(keys: &[Key]) -> Map<String, Value> {
    keys.iter().map(|key| (key.name.to_owned(), property(key))).collect()
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Limit(SettingUnit::Text) | Kind::Text => json!({ "type": "string" }),
        Kind::Limit(_) | Kind::Time => json!({ "type": ["integer", "string"], "minimum": 0 }),
        Kind::Count => json!({ "type": ["integer", "string"], "minimum": 1 }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::FileOrBuiltIn => json!({ "anyOf": [{ "type": "string" }, { "const": true }] }),
    };
    property["description"] = json!(plain(key.help));
    property
}

/// Markdown without its links: the text of each stays.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, behind)) = link.split_once(']') else { break };
        text.extend([before, label]);
        rest = behind.strip_prefix('(').and_then(|target| Some(target.split_once(')')?.1)).unwrap_or(behind);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_key_and_no_other() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let tables = &schema["properties"];
        let listener = &tables["listen"]["items"];
        let names = |table: &Value| -> Vec<String> {
            assert_eq!(table["additionalProperties"], json!(false));
            table["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let sorted = |keys: Vec<Key>, more: Option<&'static str>| {
            let mut names: Vec<_> = keys.iter().map(|key| key.name).chain(more).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&schema), ["admin", "limits", "listen", "log", "server"]);
        assert_eq!(names(&tables["server"]), sorted(Server::keys(), None));
        assert_eq!(names(&tables["limits"]), sorted(LimitTable::keys(), None));
        assert_eq!(names(&tables["log"]), sorted(Log::keys(), None));
        assert_eq!(names(&tables["admin"]), sorted(Admin::keys(), None));
        assert_eq!(names(listener), sorted(Listen::keys(), Some("limits")));
        assert_eq!(names(&listener["properties"]["limits"]), sorted(LimitTable::keys_of_listener(), None));
        assert_eq!(tables["log"]["properties"]["format"]["enum"], json!(["text", "json"]));
        assert_eq!(tables["limits"]["properties"]["refuse"]["type"], json!("string"));
    }

    #[test]
    fn descriptions_have_no_links() {
        assert_eq!(plain("not [trusted](a::b), as [`x`] is [y](z)."), "not trusted, as `x` is y.");
        assert_eq!(plain("an [open one"), "an [open one");
        assert!(!schema().contains("](") && !schema().contains("\"description\": \"\""));
    }
}
