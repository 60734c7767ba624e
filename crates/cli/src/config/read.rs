//! Reading a file: every mistake with its line and column.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use swapwire::core::{Printable, did_you_mean};
use swapwire::{Limits, Settings as _};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Config;
use super::tables::{Admin, LimitTable, Listen, Log, Server, Table};
use super::value::{Key, Kind, Value};
use crate::exit::cause;
use crate::values::{count, time};

/// Bytes of a file at most: no configuration is larger, and what is larger is another file.
const LARGEST: u64 = 1 << 20;
/// Mistakes that are told of one file.
const MOST_PROBLEMS: usize = 20;

const SERVER: &str = "[server]";
const LIMITS: &str = "[limits]";
const LOG: &str = "[log]";
const ADMIN: &str = "[admin]";
const LISTEN: &str = "[[listen]]";
/// The table in a listener.
const OWN_LIMITS: &str = "limits";

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no configuration: a line for each mistake, in the order of the file, at most 21.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let shown = Printable::new(path.display()).to_string();
        let bytes = load(path).map_err(|error| vec![format!("read {shown}: {}", cause(&error))])?;
        Self::parse(&shown, &bytes)
    }

    /// Reads what stands in the file that is called `file`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self, Vec<String>> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            vec![format!("{}: no text in UTF-8", place(file, &valid, valid.len()))]
        })?;
        let mut reader = Reader { file, text, problems: Vec::new() };
        let config = match DeTable::parse(text) {
            Ok(table) => reader.file(table.get_ref()),
            Err(error) => {
                let at = error.span().map_or(text.len(), |span| span.start);
                reader.complain(at, Printable::new(error.message()));
                Self::default()
            }
        };
        reader.end()?;
        if config.listen.is_empty() {
            return Err(vec![format!("{file}: no {LISTEN}; write one with an endpoint")]);
        }
        Ok(config)
    }
}

fn load(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("longer than {LARGEST} bytes, the most of a configuration")));
    }
    Ok(bytes)
}

/// File, line and column of a byte. Lines and columns count from 1, columns in characters.
fn place(file: &str, text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    format!("{file}:{line}:{column}")
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    /// With the byte that each is about.
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (key, value) in table {
            match &**key.get_ref() {
                "server" => self.table(&mut config.server, SERVER, &Server::keys(), value),
                "limits" => self.table(&mut config.limits, LIMITS, &LimitTable::keys(), value),
                "log" => self.table(&mut config.log, LOG, &Log::keys(), value),
                "admin" => self.table(config.admin.get_or_insert_default(), ADMIN, &Admin::keys(), value),
                "listen" => config.listen = self.listeners(value),
                name => {
                    let what = if matches!(value.get_ref(), DeValue::Table(_)) { "table" } else { "key" };
                    let known = ["server", "limits", "log", "admin", "listen"];
                    self.unknown(what, key.span().start, name, "", &known);
                }
            }
        }
        config
    }

    fn listeners(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Listen> {
        let DeValue::Array(tables) = value.get_ref() else {
            self.complain(value.span().start, format_args!("listen is {}; write {LISTEN}", kind_of(value)));
            return Vec::new();
        };
        tables.iter().map(|table| self.listener(table)).collect()
    }

    fn listener(&mut self, value: &Spanned<DeValue<'_>>) -> Listen {
        let mut listen = Listen::default();
        let at = value.span().start;
        let DeValue::Table(table) = value.get_ref() else {
            self.complain(at, format_args!("listen has {}; write {LISTEN}", kind_of(value)));
            return listen;
        };
        let (limits, others): (Vec<_>, Vec<_>) = table.iter().partition(|(key, _)| &**key.get_ref() == OWN_LIMITS);
        let keys = Listen::keys();
        for (key, value) in others {
            self.key(&mut listen, LISTEN, &keys, key, value);
        }
        for (_, value) in limits {
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                let kind = kind_of(value);
                self.complain(
                    value.span().start,
                    format_args!("{OWN_LIMITS} is {kind}; write {OWN_LIMITS}.NAME = VALUE"),
                );
                continue;
            }
            self.table(&mut listen.limits, "limits of [[listen]]", &LimitTable::keys_of_listener(), value);
        }
        if !table.contains_key("endpoint") {
            self.complain(at, format_args!("{LISTEN} has no endpoint; write endpoint = \"tcp://127.0.0.1:8888\""));
        }
        listen
    }

    fn table<T: Table>(&mut self, into: &mut T, title: &str, keys: &[Key], value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            self.complain(value.span().start, format_args!("{} instead of a table; write {title}", kind_of(value)));
            return;
        };
        for (key, value) in table {
            self.key(into, title, keys, key, value);
        }
    }

    fn key<T: Table>(
        &mut self,
        into: &mut T,
        title: &str,
        keys: &[Key],
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let Some(key) = keys.iter().find(|key| key.name == &**name.get_ref()) else {
            let nested = (title == LISTEN).then_some(OWN_LIMITS);
            let known: Vec<_> = keys.iter().map(|key| key.name).chain(nested).collect();
            return self.unknown("key", name.span().start, name.get_ref(), title, &known);
        };
        let at = value.span().start;
        match text_of(*key, value.get_ref()).and_then(|text| check(*key, &text).map(|()| text)) {
            Ok(text) => into.set(key.name, Value::written(text, place(self.file, self.text, at))),
            Err(problem) => self.complain(at, problem),
        }
    }

    fn unknown(&mut self, what: &str, at: usize, name: &str, title: &str, known: &[&str]) {
        let place = if title.is_empty() { String::new() } else { format!(" in {title}") };
        let hint = match (elsewhere(name, title), did_you_mean(name, known.iter().copied())) {
            (Some(right), _) => format!("; {right}"),
            (None, Some(meant)) => format!("; did you mean {meant:?}? known: {}", known.join(", ")),
            (None, None) => format!("; known: {}", known.join(", ")),
        };
        self.complain(at, format_args!("unknown {what} {name:?}{place}{hint}"));
    }

    fn complain(&mut self, at: usize, problem: impl Display) {
        self.problems.push((at, problem.to_string()));
    }

    fn end(mut self) -> Result<(), Vec<String>> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|(at, _)| *at);
        let lines =
            self.problems.iter().map(|(at, problem)| format!("{}: {problem}", place(self.file, self.text, *at)));
        let mut lines: Vec<_> = lines.take(MOST_PROBLEMS).collect();
        if let more @ 1.. = self.problems.len() - lines.len() {
            lines.push(format!("{}: {more} more mistakes", self.file));
        }
        Err(lines)
    }
}

/// Where the key belongs that stands in the wrong table.
fn elsewhere(name: &str, title: &str) -> Option<String> {
    let has = |keys: &[Key]| keys.iter().any(|key| key.name == name);
    if title == LISTEN && has(&LimitTable::keys_of_listener()) {
        return Some(format!("write limits.{name}"));
    }
    let tables = [
        (SERVER, Server::keys()),
        (LIMITS, LimitTable::keys()),
        (LOG, Log::keys()),
        (ADMIN, Admin::keys()),
        (LISTEN, Listen::keys()),
    ];
    let right = tables.iter().find(|(_, keys)| has(keys));
    right.map(|(right, _)| format!("it is a key of {right}"))
}

/// A value as its flag takes it.
fn text_of(key: Key, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if key.kind.takes_texts() => Ok(text.clone().into_owned()),
        DeValue::Boolean(switch) if key.kind == Kind::Switch => Ok(switch.to_string()),
        DeValue::Boolean(true) if key.kind == Kind::FileOrBuiltIn => Ok(String::new()),
        DeValue::Array(texts) if key.kind == Kind::Texts => {
            let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(text) if !text.contains(',') => Ok(text.clone().into_owned()),
                _ => Err(format!("{} has {}; write {}", key.name, kind_of(value), key.kind.expected())),
            };
            Ok(texts.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(","))
        }
        DeValue::Integer(number) if key.kind.takes_numbers() => {
            let number = i128::from_str_radix(number.as_str(), number.radix()).map_err(|error| error.to_string())?;
            Ok(number.to_string())
        }
        _ => Err(format!("{} is {}; write {}", key.name, kind_of_value(value), key.kind.expected())),
    }
}

/// Whether the value of a limit, a number or a word makes sense; others are read later.
fn check(key: Key, text: &str) -> Result<(), String> {
    match key.kind {
        Kind::Limit(_) => {
            let mut limits = Limits::default();
            limits.set(key.name, text).map_err(|error| error.to_string())?;
            match limits.problems().into_iter().find(|(name, _)| *name == key.name) {
                Some((name, reason)) => Err(format!("{name} {reason}")),
                None => Ok(()),
            }
        }
        Kind::Count => count::<usize>(text)
            .map(drop)
            .map_err(|problem| format!("{}={}: {problem}", key.name, Printable::new(text))),
        Kind::Time => {
            time(text).map(drop).map_err(|problem| format!("{}={}: {problem}", key.name, Printable::new(text)))
        }
        Kind::Word(words) if !words.contains(&text) => {
            Err(format!("{} {text:?}; write {}", key.name, key.kind.expected()))
        }
        _ => Ok(()),
    }
}

fn kind_of(value: &Spanned<DeValue<'_>>) -> &'static str {
    kind_of_value(value.get_ref())
}

fn kind_of_value(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or a time of day",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
