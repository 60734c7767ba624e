//! The terminal below the prompt.

use std::io::{self, Write as _};

use rustyline::ExternalPrinter;

/// Prints through the editor, which keeps the edited line below; without one, or after its end, as it is.
pub(crate) fn print(
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    text: String,
) -> Option<Box<dyn ExternalPrinter + Send>> {
    if let Some(mut printer) = printer
        && printer.print(text.clone()).is_ok()
    {
        return Some(printer);
    }
    // A terminal that is gone is noticed where keys are read.
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    None
}

/// The terminal around the prompt. Dropping it gives the terminal back as it was.
///
/// The editor takes the terminal for itself while it reads a line and gives it back in between. What is typed then must
/// wait for the next line: a terminal in its usual mode would eat a Ctrl-D and echo the rest into the output.
#[derive(Debug)]
pub(crate) struct Screen {
    #[cfg(unix)]
    settings: Option<nix::sys::termios::Termios>,
}

impl Screen {
    /// Takes the terminal.
    #[cfg(unix)]
    pub(crate) fn take() -> Self {
        use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
        let settings = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = settings.clone() {
            quiet.local_flags &= !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::IEXTEN | LocalFlags::ISIG);
            quiet.input_flags &= !(InputFlags::ICRNL | InputFlags::IXON);
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &quiet);
        }
        Self { settings }
    }

    #[cfg(not(unix))]
    pub(crate) fn take() -> Self {
        Self {}
    }

    /// Wipes a prompt that is still up.
    pub(crate) fn wipe(&self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(b"\r\x1b[K").and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(settings) = &self.settings {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, settings);
        }
    }
}
