//! A server in a process of its own.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use swapwire::Endpoint;

use super::servers::Spec;
use crate::cli::VARIABLES;
use crate::cpus;
use crate::exit::{self, Failure};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);
/// Lines of its output that wait to be read; it says no more than one.
const LINES: usize = 16;

/// `swapwire serve`, started by this process. It ends when this process does, however that ends: its standard input is a
/// pipe from here, and it serves until that ends. Dropping this kills it.
#[derive(Debug)]
pub(super) struct Process {
    endpoint: Endpoint,
    child: Child,
    stdin: Option<ChildStdin>,
    /// The lines of its standard output; ends with the process.
    stdout: Receiver<String>,
    /// The last line of its standard error, when it has ended.
    last_words: Option<JoinHandle<Option<String>>>,
}

impl Process {
    /// Starts it; when this returns, it listens.
    ///
    /// # Errors
    /// It could not be started, or ended early; what it said then, as one line.
    pub(super) fn start(endpoint: &Endpoint, spec: &Spec) -> Result<Self, Failure> {
        let failed = |problem: &dyn std::fmt::Display| {
            Failure::failed(format_args!("start a server on {}: {problem}", endpoint.scheme()))
        };
        let program = std::env::current_exe().map_err(|error| failed(&format_args!("find this program: {error}")))?;
        let mut command = Command::new(program);
        command
            .args(["serve", &endpoint.to_string(), "--until-eof", "--drain-timeout", "2s", "--log", "error"])
            .args(["--workers", &spec.workers.to_string()])
            .args(["--handler", &spec.handler, "--framing", &spec.framing.to_string()])
            .args(["--max-message", &spec.max_message.max(1 << 20).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(max) = spec.max_connections {
            command.args(["--max-connections", &max.to_string()]);
        }
        // What the environment says of `serve` is for other servers.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(VARIABLES)) {
            command.env_remove(name);
        }
        // Ctrl-C at the terminal is for this process, which then ends its servers.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = cpus::run_on(&spec.cpus, || command.spawn()).map_err(|error| failed(&error))?;
        let mut process = Self {
            endpoint: endpoint.clone(),
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take()),
            last_words: Some(last_line(child.stderr.take())),
            child,
        };
        match process.stdout.recv_timeout(START) {
            Ok(line) => {
                let place = line.strip_prefix("listening ").and_then(|place| place.parse().ok());
                process.endpoint = place.ok_or_else(|| failed(&format_args!("it printed {line:?}")))?;
                Ok(process)
            }
            Err(RecvTimeoutError::Timeout) => Err(failed(&format_args!("it did not listen within {START:?}"))),
            Err(RecvTimeoutError::Disconnected) => {
                let code = process.child.wait().ok().and_then(|status| status.code());
                let why = process.last_words().unwrap_or_else(|| "it ended without a message".to_owned());
                Err(if code == Some(exit::USAGE.into()) { Failure::usage(why) } else { failed(&why) })
            }
        }
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Why it has ended by itself, if it has.
    pub(super) fn death(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let why = self.last_words().map_or_else(String::new, |line| format!("; it printed: {line}"));
        Some(format!("the server on {} ended during the measurement ({status}){why}", self.endpoint))
    }

    /// Tells it to end.
    pub(super) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end until `deadline`, then kills it.
    pub(super) fn wait(&mut self, deadline: Instant) {
        while self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        self.kill();
    }

    /// Without an effect on one that has ended.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_words(&mut self) -> Option<String> {
        let line = self.last_words.take()?.join().ok()??;
        Some(line.strip_prefix("swapwire: ").unwrap_or(&line).to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lines(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (to, lines) = sync_channel(LINES);
    thread::spawn(move || {
        for line in from.into_iter().flat_map(|from| BufReader::new(from).lines()).map_while(Result::ok) {
            let _ = to.try_send(line);
        }
    });
    lines
}

fn last_line(from: Option<impl Read + Send + 'static>) -> JoinHandle<Option<String>> {
    thread::spawn(move || from.into_iter().flat_map(|from| BufReader::new(from).lines()).map_while(Result::ok).last())
}
