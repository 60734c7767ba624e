//! What the server logs on this thread, from warnings on, as a test hears it.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Lines of the message and its fields: `reply withheld: … endpoint=udp://… peer=…`.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    /// The ends of sessions, and nothing else.
    of_sessions: bool,
}

impl Log {
    /// Hears until the guard is dropped.
    pub fn hear() -> (Self, DefaultGuard) {
        let log = Self::default();
        (log.clone(), set_default(log))
    }

    /// The same, of the events that tell of sessions which have ended.
    pub fn hear_sessions() -> (Self, DefaultGuard) {
        let log = Self { of_sessions: true, ..Self::default() };
        (log.clone(), set_default(log))
    }

    /// What was logged since it was last asked.
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// The only line, or an empty text.
    pub fn line(&self) -> String {
        let mut lines = self.lines();
        assert!(lines.len() < 2, "{lines:#?}");
        lines.pop().unwrap_or_default()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if self.of_sessions {
            return *metadata.level() <= Level::DEBUG && metadata.target() == "swapwire_server::session";
        }
        *metadata.level() <= Level::WARN && metadata.target().starts_with("swapwire_server")
    }

    fn event(&self, event: &Event<'_>) {
        // As one that writes while it is told: nothing may stop it half-way.
        self.lines.lock().unwrap().push("half a line".to_owned());
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.lines.lock().unwrap();
        lines.pop();
        lines.push(line.message + &line.fields);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
