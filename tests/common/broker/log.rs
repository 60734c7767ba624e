//! What a process says, line by line, as it says it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// More than a broker says of itself in any test; of what is more, the oldest is forgotten.
const LINES: usize = 10_000;
/// Nothing takes so long: a guard against hanging, never a way to wait for something.
const GUARD: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Said {
    lines: VecDeque<String>,
    ended: bool,
}

/// The lines of a pipe.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Said>, Condvar)>);

impl Log {
    pub fn of(from: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let to = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                to.change(|said| {
                    said.lines.push_back(line);
                    if said.lines.len() > LINES {
                        said.lines.pop_front();
                    }
                });
            }
            to.change(|said| said.ended = true);
        });
        log
    }

    fn change(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Waits for a line with `text`, since the beginning, and gives the last one. Panics when none comes.
    pub fn wait_for(&self, text: &str) -> String {
        let (said, news) = &*self.0;
        let missing = |said: &mut Said| !said.ended && !said.lines.iter().any(|line| line.contains(text));
        let (said, _) = news.wait_timeout_while(said.lock().unwrap(), GUARD, missing).unwrap();
        let line = said.lines.iter().rfind(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no line with {text:?}: {:#?}", said.lines)).clone()
    }
}
