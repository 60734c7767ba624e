//! A configuration as a file.

use std::fmt;

use super::Config;
use super::tables::{Admin, LimitTable, Listen, Log, Server, Table};
use super::value::{Key, Kind};

/// As [`Config::read`] reads it.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        table(&mut text, "[server]", &lines(&self.server, "", &Server::keys()));
        table(&mut text, "[limits]", &lines(&self.limits, "", &LimitTable::keys()));
        table(&mut text, "[log]", &lines(&self.log, "", &Log::keys()));
        if let Some(admin) = &self.admin {
            text += &format!("\n[admin]\n{}", lines(admin, "", &Admin::keys()));
        }
        for listen in &self.listen {
            let own = lines(listen, "", &Listen::keys());
            table(&mut text, "[[listen]]", &(own + &lines(&listen.limits, "limits.", &LimitTable::keys())));
        }
        f.write_str(text.trim_start())
    }
}

/// Adds a table, if there is something in it.
fn table(text: &mut String, title: &str, lines: &str) {
    if !lines.is_empty() {
        *text += &format!("\n{title}\n{lines}");
    }
}

fn lines<T: Table>(table: &T, prefix: &str, keys: &[Key]) -> String {
    let given = keys.iter().filter_map(|key| Some((key, table.get(key.name)?)));
    given.map(|(key, value)| format!("{prefix}{} = {}\n", key.name, literal(key.kind, &value.text))).collect()
}

/// A value in TOML.
fn literal(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Switch => text.to_owned(),
        Kind::Texts if text.is_empty() => "[]".to_owned(),
        Kind::Texts => format!("[{}]", text.split(',').map(quoted).collect::<Vec<_>>().join(", ")),
        Kind::FileOrBuiltIn if text.is_empty() => true.to_string(),
        _ if kind.takes_numbers() && text.parse::<u64>().is_ok_and(|number| number.to_string() == text) => {
            text.to_owned()
        }
        _ => quoted(text),
    }
}

/// A basic string (TOML 1.0): as in JSON, but that DEL must be escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
