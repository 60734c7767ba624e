//! What several forms of a report show: a run's cells by load, tables, numbers and words.

pub(crate) mod loads;
pub(crate) mod table;
pub(crate) mod tables;
pub(crate) mod units;
pub(crate) mod words;
