//! One value of the file.

use std::fmt;

use swapwire::{SettingUnit, core::Printable};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A limit of the library.
    Limit(SettingUnit),
    /// A whole number from 1 on.
    Count,
    /// `true` or `false`.
    Switch,
    Text,
    /// Several texts, as an array; with commas between them for the flag.
    Texts,
    /// A time that is no limit of the library.
    Time,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// The path of a file, or `true` for what is built in, which is the empty text here and for the flag.
    FileOrBuiltIn,
}

impl Kind {
    /// What would be right.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Limit(SettingUnit::Bytes) => "a size, as \"64KiB\"".to_owned(),
            Self::Limit(SettingUnit::Time) | Self::Time => "a time, as \"30s\"".to_owned(),
            Self::Limit(SettingUnit::Count) | Self::Count => "a whole number, as 64 or \"10k\"".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Word(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or "),
            Self::FileOrBuiltIn => "a path in quotes, or true".to_owned(),
            Self::Texts => "an array of texts, as [\"a.example\", \"b.example\"]".to_owned(),
            _ => "a text in quotes".to_owned(),
        }
    }

    pub(super) fn takes_numbers(self) -> bool {
        matches!(
            self,
            Self::Limit(SettingUnit::Count | SettingUnit::Bytes | SettingUnit::Time) | Self::Count | Self::Time
        )
    }

    pub(super) fn takes_texts(self) -> bool {
        !matches!(self, Self::Switch | Self::Texts)
    }
}

/// A key and what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// In Markdown, on one line.
    pub(crate) help: &'static str,
}

/// A value, as its flag takes it, and where it was written: nowhere, if a flag or the environment gave it.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    at: Option<String>,
}

impl Value {
    /// Of a flag or the environment.
    pub(crate) fn given(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: None }
    }

    /// From a file: `at` is its path, the line and the column.
    pub(super) fn written(text: String, at: String) -> Self {
        Self { text, at: Some(at) }
    }

    /// What is wrong with it, behind the place where it was written.
    pub(crate) fn problem(&self, problem: impl fmt::Display) -> String {
        match &self.at {
            Some(at) => format!("{at}: {problem}"),
            None => problem.to_string(),
        }
    }

    /// Whether it stands in a file.
    #[cfg(feature = "ws")]
    pub(crate) fn is_written(&self) -> bool {
        self.at.is_some()
    }
}

/// Where they were written does not matter.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable::new(&self.text).fmt(f)
    }
}
