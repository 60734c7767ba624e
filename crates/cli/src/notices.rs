//! Logs, notices and progress on the standard error. Writing them never waits: a reader that is slow, or does not read at
//! all, loses lines and gets a count of them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::log::{self, Severity};
use crate::stdio::Output;

/// Bytes that may wait to be written. A line counts its length, and [`LINE`] more.
const CAPACITY: usize = 1 << 20;
const LINE: usize = 64;
/// How long the end of the process waits for what was told.
const FAREWELL: Duration = Duration::from_secs(1);

static NOTICES: LazyLock<Notices> = LazyLock::new(|| Notices::new(Output::Stderr));

/// How much a text matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// What is drawn over soon and may be lost.
    Drawn,
    /// A line, counted when it is lost.
    Line,
    /// Why the command ends: one of few, kept although there is no room.
    Last,
}

/// Tells one line, which ends with a line feed.
pub(crate) fn tell(line: impl Into<Vec<u8>>) {
    NOTICES.push(line.into(), Weight::Line);
}

/// Tells why the command ends.
pub(crate) fn tell_last(line: impl Into<Vec<u8>>) {
    NOTICES.push(line.into(), Weight::Last);
}

/// Draws: without a line feed, and for a moment.
pub(crate) fn draw(text: impl Into<Vec<u8>>) {
    NOTICES.push(text.into(), Weight::Drawn);
}

/// Tells of a panic, wherever that was: the thread may be telling something, and would wait for itself.
pub(crate) fn tell_panic(line: String) {
    if let Some(state) = NOTICES.lock_within(FAREWELL) {
        NOTICES.push_locked(state, line.into(), Weight::Line);
    } else {
        let _ = Output::Stderr.write_all(line.as_bytes());
    }
}

/// Waits, when it is dropped, until all notices are written; no longer than a second, when no process reads them.
pub(crate) fn settling() -> Settling {
    Settling(&NOTICES, FAREWELL)
}

/// Ends what is told.
pub(crate) struct Settling(&'static Notices, Duration);

impl Drop for Settling {
    fn drop(&mut self) {
        self.0.settle(self.1);
    }
}

/// Each write is a line that is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        tell(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines on their way to a writer, on a thread that is started with the first of them: a server that has nothing to tell
/// stays a process of one thread.
struct Notices {
    state: Mutex<State>,
    /// Something is to be written, or all is written.
    changed: Condvar,
}

struct State {
    lines: VecDeque<Vec<u8>>,
    /// What the lines count.
    kept: usize,
    dropped: u64,
    stage: Stage,
}

enum Stage {
    /// No thread yet.
    New(Box<dyn Write + Send>),
    Waiting,
    Writing,
    /// The reader is gone: nothing is told any more.
    Over,
}

impl Notices {
    fn new(to: impl Write + Send + 'static) -> Self {
        let state = State { lines: VecDeque::new(), kept: 0, dropped: 0, stage: Stage::New(Box::new(to)) };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `lock`; nothing, if that takes too long.
    fn lock_within(&self, patience: Duration) -> Option<MutexGuard<'_, State>> {
        let until = Instant::now() + patience;
        loop {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(state)) => return Some(state.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() > until => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }

    fn push(&'static self, line: Vec<u8>, weight: Weight) {
        self.push_locked(self.lock(), line, weight);
    }

    fn push_locked(&'static self, mut state: MutexGuard<'_, State>, line: Vec<u8>, weight: Weight) {
        if line.is_empty() || matches!(state.stage, Stage::Over) {
            return;
        }
        if state.kept + line.len() + LINE > CAPACITY && weight != Weight::Last {
            state.dropped += u64::from(weight == Weight::Line);
            return;
        }
        if state.dropped > 0 {
            let told = state.told_dropped();
            state.keep(told);
        }
        state.keep(line);
        if let Stage::New(_) = state.stage
            && let Stage::New(to) = std::mem::replace(&mut state.stage, Stage::Writing)
            && thread::Builder::new().name("notices".to_owned()).spawn(move || self.write(to)).is_err()
        {
            // Without threads nothing is told.
            state.stage = Stage::Over;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Writes what is told, for ever.
    fn write(&self, mut to: Box<dyn Write + Send>) {
        let mut state = self.lock();
        loop {
            let line = match state.lines.pop_front() {
                Some(line) => {
                    state.kept -= line.len() + LINE;
                    line
                }
                None if state.dropped > 0 => state.told_dropped(),
                None => {
                    state.stage = Stage::Waiting;
                    self.changed.notify_all();
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            state.stage = Stage::Writing;
            drop(state);
            let written = to.write_all(&line);
            state = self.lock();
            if written.is_err() {
                (state.stage, state.lines, state.kept) = (Stage::Over, VecDeque::new(), 0);
                self.changed.notify_all();
                return;
            }
        }
    }

    fn settle(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !state.lines.is_empty() || matches!(state.stage, Stage::Writing) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn keep(&mut self, line: Vec<u8>) {
        self.kept += line.len() + LINE;
        self.lines.push_back(line);
    }

    fn told_dropped(&mut self) -> Vec<u8> {
        let count = std::mem::take(&mut self.dropped);
        let lines = if count == 1 { "line was" } else { "lines were" };
        let told = format_args!("{count} {lines} dropped here: the standard error was not read fast enough");
        log::line(Severity::Warn, told).into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A pipe without room: a write ends when it is read.
    struct Narrow(SyncSender<String>);

    impl Write for Narrow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(line).into_owned();
            self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn narrow() -> (&'static Notices, Receiver<String>) {
        let (to, lines) = sync_channel(0);
        (Box::leak(Box::new(Notices::new(Narrow(to)))), lines)
    }

    #[test]
    fn lines_come_in_order() {
        let (notices, lines) = narrow();
        for n in 0..100 {
            notices.push(format!("{n}\n").into(), Weight::Line);
        }
        for n in 0..100 {
            assert_eq!(lines.recv().unwrap(), format!("{n}\n"));
        }
        notices.settle(Duration::from_secs(60));
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_is_lost_is_counted() {
        let (notices, lines) = narrow();
        let long = vec![b'x'; CAPACITY / 10];
        notices.push(long.clone(), Weight::Line);
        // From here on the thread waits for the reader.
        while notices.lock().kept > 0 {
            thread::yield_now();
        }
        for _ in 0..30 {
            notices.push(long.clone(), Weight::Line);
            notices.push(long.clone(), Weight::Drawn);
        }
        notices.push(b"why\n".to_vec(), Weight::Last);
        notices.settle(Duration::ZERO);
        let (mut whole, mut rest) = (0, Vec::new());
        while rest.last().is_none_or(|line| line != "why\n") {
            match lines.recv().unwrap() {
                line if line.len() == long.len() => whole += 1,
                line => rest.push(line),
            }
        }
        // One was on its way out and nine had room; every second was drawn and is not counted.
        assert_eq!(whole, 10);
        assert!(rest[0].starts_with("swapwire: 25 lines were dropped here"), "{rest:?}");
        assert_eq!(rest.len(), 2);
        notices.settle(Duration::from_secs(60));
    }

    #[test]
    fn what_was_lost_last_is_told_without_another_line() {
        let (notices, lines) = narrow();
        notices.push(vec![b'x'; CAPACITY - LINE], Weight::Line);
        while notices.lock().kept > 0 {
            thread::yield_now();
        }
        notices.push(vec![b'y'; CAPACITY - LINE], Weight::Line);
        notices.push(b"lost\n".to_vec(), Weight::Line);
        assert_eq!([lines.recv().unwrap().as_bytes()[0], lines.recv().unwrap().as_bytes()[0]], *b"xy");
        assert!(lines.recv().unwrap().starts_with("swapwire: 1 line was dropped here"));
    }

    #[test]
    fn what_a_panic_said_is_written_before_its_thread_ends() {
        let (notices, lines) = narrow();
        let reader = thread::spawn(move || lines.recv().unwrap());
        let panicked = std::panic::catch_unwind(|| {
            let _told = Settling(notices, Duration::from_secs(60));
            notices.push(b"why\n".to_vec(), Weight::Line);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert!(matches!(notices.lock().stage, Stage::Waiting), "nobody waited for the writer");
        assert_eq!(reader.join().unwrap(), "why\n");
    }

    #[test]
    fn a_panic_of_who_is_telling_something_waits_for_nobody() {
        let (notices, _lines) = narrow();
        let telling = notices.lock();
        assert!(notices.lock_within(Duration::ZERO).is_none());
        drop(telling);
        assert!(notices.lock_within(Duration::from_secs(60)).is_some());
    }

    #[test]
    fn a_reader_that_is_gone_is_not_told() {
        let (notices, lines) = narrow();
        drop(lines);
        for _ in 0..3 {
            notices.push(b"line\n".to_vec(), Weight::Last);
            notices.settle(Duration::from_secs(60));
        }
        assert_eq!(notices.lock().kept, 0);
    }
}
