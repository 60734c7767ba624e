//! What a run of the suite found.

use std::fmt;

use crate::Stop;

/// What became of one law.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It holds.
    Kept,
    /// It does not apply, or the author asked to leave it out: why.
    Skipped(String),
    /// It does not hold: why.
    Broken(String),
}

impl From<Result<(), Stop>> for Verdict {
    fn from(outcome: Result<(), Stop>) -> Self {
        match outcome {
            Ok(()) => Self::Kept,
            Err(Stop::Skipped(reason)) => Self::Skipped(reason),
            Err(Stop::Broken(why)) => Self::Broken(why),
        }
    }
}

/// The verdicts of a whole run, in the order of the laws. Its text is a line for each law and a summary.
#[derive(Clone, Debug)]
pub struct Report {
    scheme: String,
    verdicts: Vec<(String, Verdict)>,
}

impl Report {
    pub(crate) const fn new(scheme: String) -> Self {
        Self { scheme, verdicts: Vec::new() }
    }

    pub(crate) fn push(&mut self, law: &str, verdict: Verdict) -> String {
        let line = line(law, &verdict);
        self.verdicts.push((law.to_owned(), verdict));
        line
    }

    /// The laws with their verdicts.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        self.verdicts.iter().map(|(law, verdict)| (law.as_str(), verdict))
    }

    /// The verdict on one law; `None` if it was not run.
    pub fn verdict(&self, law: &str) -> Option<&Verdict> {
        self.verdicts().find(|(name, _)| *name == law).map(|(_, verdict)| verdict)
    }

    /// The laws that hold.
    pub fn kept(&self) -> Vec<&str> {
        self.verdicts().filter(|(_, verdict)| matches!(verdict, Verdict::Kept)).map(|(law, _)| law).collect()
    }

    /// The laws that were left out.
    pub fn skipped(&self) -> Vec<&str> {
        self.verdicts().filter(|(_, verdict)| matches!(verdict, Verdict::Skipped(_))).map(|(law, _)| law).collect()
    }

    /// The laws that do not hold.
    pub fn broken(&self) -> Vec<&str> {
        self.verdicts().filter(|(_, verdict)| matches!(verdict, Verdict::Broken(_))).map(|(law, _)| law).collect()
    }

    /// `unix: 24 laws kept, 3 skipped, 0 broken`
    pub fn summary(&self) -> String {
        let (kept, skipped, broken) = (self.kept().len(), self.skipped().len(), self.broken().len());
        format!("{}: {kept} laws kept, {skipped} skipped, {broken} broken", self.scheme)
    }
}

fn line(law: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Kept => format!("ok   {law}"),
        Verdict::Skipped(reason) => format!("skip {law}: {reason}"),
        Verdict::Broken(why) => format!("FAIL {law}: {why}"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (law, verdict) in self.verdicts() {
            writeln!(f, "{}", line(law, verdict))?;
        }
        f.write_str(&self.summary())
    }
}
