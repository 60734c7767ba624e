//! What is wrong with the composition of a server, in words and with its cure.

use std::fmt;
use std::io;

use swapwire_core::{BindError, Endpoint, EndpointError, ErrorClass, FrameError, debug_as_text};

/// More workers than this are a mistake.
pub(crate) const MOST_WORKERS: usize = 1024;

/// Why a server could not be made: every mistake of the composition, or the binds that failed.
///
/// Its text names for each problem the method of [`ServerBuilder`](crate::ServerBuilder) that cures it: `Display` on one
/// line, `Debug`, which is what a `main` that returns it prints, on a line for each. The texts of [`problems`](Self::problems)
/// are for operators, who do not know methods.
pub struct BuildError {
    problems: Vec<BuildProblem>,
}

/// One problem of a [`BuildError`]. Its text is one line, in the terms of the operator.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// The server listens nowhere.
    #[error("no endpoint to listen on")]
    NoEndpoint,
    /// A limit contradicts itself.
    #[error("limits: {name} {reason}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// What would be right.
        reason: String,
    },
    /// A limit of one [listener](crate::Listen::limits) contradicts itself, or is one of the whole server.
    #[error("limits of {endpoint}: {name} {reason}")]
    ListenerLimit {
        /// What should be served.
        endpoint: Endpoint,
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// What would be right.
        reason: String,
    },
    /// A [listener](crate::Listen::named) cannot be called so.
    #[error("name {name:?}: each listener has one of its own, of 1 to 255 bytes without control characters")]
    Name {
        /// What it was called.
        name: String,
    },
    /// A running server cannot take over what is bound for a listener; everything goes on as before.
    #[error("serve {endpoint}: {reason}: name another place, or start the server anew")]
    Bound {
        /// What should be served.
        endpoint: Endpoint,
        /// What cannot change.
        reason: String,
    },
    /// The server drains or has ended, so that it takes no other listeners.
    #[error("the server drains or has ended: it takes no other listeners")]
    Draining,
    /// There cannot be so many [workers](crate::ServerBuilder::workers).
    #[error("limits: workers must be from 1 to {MOST_WORKERS}")]
    Workers {
        /// How many were asked for.
        workers: usize,
    },
    /// A text is not an endpoint.
    #[error(transparent)]
    Endpoint(EndpointError),
    /// Neither the endpoint nor the server has a handler.
    #[error("serve {endpoint}: no handler")]
    NoHandler {
        /// What should be served.
        endpoint: Endpoint,
    },
    /// The handler needs whole messages, and the byte stream has no framing that gives any.
    #[error("serve {endpoint}: {reason}")]
    NoFraming {
        /// What should be served.
        endpoint: Endpoint,
        /// What the handler needs.
        reason: String,
    },
    /// The handler cannot serve these wires for another reason.
    #[error("serve {endpoint}: {reason}")]
    Handler {
        /// What should be served.
        endpoint: Endpoint,
        /// Why it cannot.
        reason: String,
    },
    /// The framing cannot carry the text for connections that are refused
    /// ([`WhenFull::Refuse`](crate::WhenFull::Refuse)).
    #[error("serve {endpoint}: the text for connections that are refused: {source}")]
    Refusal {
        /// What should be served.
        endpoint: Endpoint,
        /// Why the framing cannot.
        source: FrameError,
    },
    /// The handler [amplifies](swapwire_core::HandlerProperties::amplifies), and forged senders reach the endpoint.
    #[error(
        "serve {endpoint}: this handler answers with more than it is asked, and forged senders could turn it against \
         others: bind it to a loopback address, or allow amplification"
    )]
    Amplification {
        /// What should be served.
        endpoint: Endpoint,
    },
    /// No transport has the scheme, or the endpoint cannot be bound.
    #[error(transparent)]
    Bind(BindError),
    /// The runtime of a worker cannot be made.
    #[error(transparent)]
    Worker(io::Error),
}

debug_as_text!(BuildProblem);

impl BuildProblem {
    /// The endpoint that it is about; none, where it is about the whole server or a text that is no endpoint.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::NoHandler { endpoint }
            | Self::NoFraming { endpoint, .. }
            | Self::Handler { endpoint, .. }
            | Self::Refusal { endpoint, .. }
            | Self::ListenerLimit { endpoint, .. }
            | Self::Bound { endpoint, .. }
            | Self::Amplification { endpoint } => Some(endpoint),
            Self::Bind(error) => Some(error.endpoint()),
            Self::NoEndpoint
            | Self::Limit { .. }
            | Self::Name { .. }
            | Self::Draining
            | Self::Workers { .. }
            | Self::Endpoint(_)
            | Self::Worker(_) => None,
        }
    }

    /// Whether the composition is at fault ([`ErrorClass::Configuration`]), or the system refused a bind or a worker
    /// ([`ErrorClass::ListenerFatal`]).
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Bind(error) => error.class(),
            Self::Worker(_) | Self::Draining => ErrorClass::ListenerFatal,
            _ => ErrorClass::Configuration,
        }
    }

    /// The builder's method that cures it, as far as there is one.
    fn cure(&self) -> Option<String> {
        let cure = match self {
            Self::NoEndpoint => ".listen(\"tcp://127.0.0.1:8888\")",
            Self::Limit { name, .. } => return Some(format!(".limits(Limits::default().{name}(…))")),
            Self::ListenerLimit { .. } => ".listen(Listen::on(endpoint).limits(…))",
            Self::Name { .. } => ".listen(Listen::on(endpoint).named(…))",
            Self::Workers { .. } | Self::Worker(_) => ".workers(n)",
            Self::NoHandler { .. } => {
                ".handler(…) gives one to every endpoint, .listen(Listen::on(endpoint).handler(…)) to this one"
            }
            Self::NoFraming { .. } => {
                ".framing(Framing::Lines) sets one for every byte stream, .listen(Listen::on(endpoint).framing(…)) for \
                 this one"
            }
            Self::Refusal { .. } => ".limits(Limits::default().when_full(WhenFull::refuse(…))) sets another",
            Self::Amplification { .. } => ".allow_amplification(true)",
            Self::Bind(BindError::Registry { .. }) => ".transport(…) adds one, .registry(…) has many",
            Self::Endpoint(_) | Self::Handler { .. } | Self::Bind(_) | Self::Bound { .. } | Self::Draining => {
                return None;
            }
        };
        Some(cure.to_owned())
    }
}

impl BuildError {
    /// At least one problem.
    pub(crate) fn new(problems: Vec<BuildProblem>) -> Self {
        Self { problems }
    }

    /// What is wrong: at least one problem.
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }

    /// Whether the composition is at fault ([`ErrorClass::Configuration`]), or the system refused all that it refused
    /// ([`ErrorClass::ListenerFatal`]).
    pub fn class(&self) -> ErrorClass {
        let refused = |problem: &BuildProblem| problem.class() == ErrorClass::ListenerFatal;
        if self.problems.iter().all(refused) { ErrorClass::ListenerFatal } else { ErrorClass::Configuration }
    }

    fn lines(&self) -> Vec<String> {
        let line = |problem: &BuildProblem| match problem.cure() {
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
