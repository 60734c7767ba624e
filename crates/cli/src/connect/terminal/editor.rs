//! The prompt, on a thread of its own: reading keys blocks.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use super::{REPLY, history};
use crate::connect::input::Item;

const PROMPT: &str = "> ";
/// Lines that were typed and not yet sent.
const TYPED: usize = 16;

type Printer = Option<Box<dyn ExternalPrinter + Send>>;

/// Tells the editor that replies were printed, or, when it is dropped, that the talk is over.
#[derive(Debug)]
pub(crate) struct Turn(SyncSender<()>);

impl Turn {
    pub(crate) fn done(&self) {
        // Full: it was told already. Disconnected: there is no prompt any more.
        let _ = self.0.try_send(());
    }
}

/// Starts the prompt. Gives the typed lines, and a printer where the terminal can edit lines at all.
pub(crate) fn start() -> io::Result<(mpsc::Receiver<Item>, Turn, Printer)> {
    let config = Config::builder()
        // Each pasted line is a message of its own.
        .bracketed_paste(false)
        .history_ignore_space(true)
        .auto_add_history(true)
        .build();
    let mut editor: Editor<(), FileHistory> = Editor::with_config(config).map_err(io::Error::other)?;
    let _ = editor.set_max_history_size(1000);
    let printer = editor.create_external_printer().ok().map(|printer| Box::new(printer) as _);
    let (lines, typed) = mpsc::channel(TYPED);
    let (turn, turns) = sync_channel(1);
    thread::Builder::new().name("prompt".to_owned()).spawn(move || edit(editor, &lines, &turns))?;
    Ok((typed, Turn(turn), printer))
}

fn edit(mut editor: Editor<(), FileHistory>, lines: &mpsc::Sender<Item>, turns: &Receiver<()>) {
    let file = history::file();
    if let Some(file) = &file {
        let _ = editor.load_history(file);
    }
    loop {
        let item = match editor.readline(PROMPT) {
            Ok(line) if line.is_empty() => continue,
            Ok(line) => Item::Message(line.into_bytes()),
            Err(ReadlineError::Interrupted) => Item::Leave,
            Err(_) => Item::End,
        };
        let last = !matches!(item, Item::Message(_));
        while turns.try_recv().is_ok() {}
        if lines.blocking_send(item).is_err() || last {
            return;
        }
        // At once, because this thread may never come to an end.
        if let Some(file) = &file {
            let _ = editor.append_history(file);
        }
        if turns.recv_timeout(REPLY) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}
