//! What is wrong with the composition of a server, in words and with its cure.

use std::fmt;
use std::io;

use swapwire_core::{BindError, Endpoint, EndpointError, ErrorClass, debug_as_text};

use crate::runtime::MOST_WORKERS;

/// Why a server could not be made: every mistake of the composition, or the binds that failed.
///
/// Its text names for each problem the method of [`ServerBuilder`](crate::ServerBuilder) that cures it: `Display` on one
/// line, `Debug`, which is what a `main` that returns it prints, on a line for each. [`problems`](Self::problems) are for
/// operators, who do not know methods.
pub struct BuildError {
    problems: Vec<Problem>,
}

#[derive(thiserror::Error)]
pub(crate) enum Problem {
    #[error("no endpoint to listen on")]
    NoEndpoint,
    #[error("limits: {name} {reason}")]
    Limits { name: &'static str, reason: String },
    #[error("limits: workers must be from 1 to {MOST_WORKERS}")]
    Workers,
    #[error(transparent)]
    Endpoint(EndpointError),
    #[error("serve {endpoint}: {reason}")]
    Composition { endpoint: Endpoint, reason: String, cure: &'static str },
    #[error(transparent)]
    Bind(BindError),
    #[error(transparent)]
    Worker(io::Error),
}

debug_as_text!(Problem);

pub(crate) const HANDLER: &str = ".handler(…) gives one to every endpoint, .listen_with(endpoint, …) to this one";
pub(crate) const FRAMING: &str =
    ".framing(Framing::Lines) sets one for every byte stream, .framed(…) behind .listen(…) for this one";
pub(crate) const REFUSAL: &str = ".limits(Limits::default().when_full(WhenFull::refuse(…))) sets another";
pub(crate) const AMPLIFICATION: &str = ".allow_amplification(true)";

impl Problem {
    /// The builder's method that cures it, as far as there is one.
    fn cure(&self) -> Option<String> {
        match self {
            Self::NoEndpoint => Some(".listen(\"tcp://127.0.0.1:8888\")".to_owned()),
            Self::Limits { name, .. } => Some(format!(".limits(Limits::default().{name}(…))")),
            Self::Workers | Self::Worker(_) => Some(".workers(n)".to_owned()),
            Self::Bind(BindError::Registry { .. }) => Some(".transport(…) adds one, .registry(…) has many".to_owned()),
            Self::Composition { cure, .. } if !cure.is_empty() => Some((*cure).to_owned()),
            Self::Endpoint(_) | Self::Composition { .. } | Self::Bind(_) => None,
        }
    }
}

impl BuildError {
    /// At least one problem.
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// One line for each problem, at least one, in the terms of the operator.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(ToString::to_string)
    }

    /// Whether the composition is at fault ([`ErrorClass::Configuration`]), or the system refused a bind or a worker
    /// ([`ErrorClass::ListenerFatal`]).
    pub fn class(&self) -> ErrorClass {
        let refused = |problem: &Problem| match problem {
            Problem::Bind(error) => error.class() == ErrorClass::ListenerFatal,
            Problem::Worker(_) => true,
            _ => false,
        };
        if self.problems.iter().all(refused) { ErrorClass::ListenerFatal } else { ErrorClass::Configuration }
    }

    fn lines(&self) -> Vec<String> {
        let line = |problem: &Problem| match problem.cure() {
            Some(cure) => format!("{problem}: {cure}"),
            None => problem.to_string(),
        };
        self.problems.iter().map(line).collect()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problems.first().map(|problem| problem as _)
    }
}
