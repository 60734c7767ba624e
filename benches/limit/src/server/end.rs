//! When to end: beside the serving thread, which need not ask.

use std::io::{self, Read as _};
use std::process::exit;
use std::{fs, thread};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};

use crate::Wire;

/// Ends the program when its input does, or at SIGTERM or SIGINT; a Unix path is removed.
///
/// Must be called before other threads start: they inherit what this one blocks.
///
/// # Errors
/// The system gives no thread.
pub fn until_the_end(wire: &Wire) -> anyhow::Result<()> {
    let end = {
        let wire = wire.clone();
        move || -> ! {
            if let Wire::Unix(path) | Wire::UnixDgram(path) | Wire::UnixSeq(path) = &wire {
                let _ = fs::remove_file(path);
            }
            exit(0)
        }
    };
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("block signals")?;
    let at_a_signal = {
        let end = end.clone();
        move || match signals.wait() {
            Ok(_) => end(),
            Err(error) => eprintln!("wait for a signal: {error}"),
        }
    };
    let at_the_end_of_input = move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        end()
    };
    thread::Builder::new().spawn(at_a_signal).context("start a thread")?;
    thread::Builder::new().spawn(at_the_end_of_input).context("start a thread")?;
    Ok(())
}
