//! Driving the real command.
//!
//! Nothing here sleeps to synchronise: a server is ready when it said so, and every wait has an end.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) mod bench;

/// Nothing here takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The command under test, with nothing of the developer's environment that changes it.
pub(crate) fn swapwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapwire"));
    let theirs = [
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "NO_COLOR",
        "NOTIFY_SOCKET",
        "RUST_BACKTRACE",
        "WATCHDOG_USEC",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ];
    for name in theirs {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SWAPWIRE_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// What a finished command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The one line of the standard error.
    pub(crate) fn line(&self) -> &str {
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {self:?}"));
        assert!(!line.contains('\n'), "more than one line: {self:?}");
        assert!(line.starts_with("swapwire: "), "{self:?}");
        line
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "exit code {:?}, stdout {stdout:?}, stderr {:?}", self.code, self.stderr)
    }
}

/// Runs a command with `input` to its end.
pub(crate) fn run(args: &[&str], input: impl Into<Vec<u8>>) -> Said {
    let mut child = start(swapwire(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.into();
    // It may leave before it has read everything.
    thread::spawn(move || stdin.write_all(&input));
    finish(child)
}

/// Talks to `endpoint` from a pipe.
pub(crate) fn connect(endpoint: &str, input: impl Into<Vec<u8>>) -> Said {
    run(&["connect", endpoint], input)
}

/// A process that does not outlive a test that fails.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command.
pub(crate) fn start(command: &mut Command) -> Running {
    Running::start(command).unwrap()
}

/// Waits for the end of a command whose outputs are pipes (or taken).
pub(crate) fn finish(mut child: Running) -> Said {
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let status = wait(&mut child);
    let stderr = String::from_utf8(stderr.recv().unwrap()).unwrap();
    Said { code: status.code(), stdout: stdout.recv().unwrap(), stderr }
}

/// Waits for the end of a process; kills one that hangs.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let pid = pid(child);
    let (done, is_done) = sync_channel::<()>(1);
    let watchdog = thread::spawn(move || {
        let hangs = is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            let _ = kill(pid, Signal::SIGKILL);
        }
        hangs
    });
    let status = child.wait().unwrap();
    drop(done);
    assert!(!watchdog.join().unwrap(), "the command did not end");
    status
}

/// Sends a signal.
pub(crate) fn kill_with(child: &Child, signal: Signal) {
    kill(pid(child), signal).unwrap();
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn collect(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (to, all) = sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            from.read_to_end(&mut bytes).unwrap();
        }
        to.send(bytes)
    });
    all
}

/// The lines of a pipe as they come; the channel ends with the pipe.
pub(crate) fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = sync_channel(1000);
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if to.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

/// Without what is said on a busy machine alone: that a drain takes more than a moment, that a thread did not run.
pub(crate) fn on_any_machine(mut lines: Vec<String>) -> Vec<String> {
    let busy = ["swapwire: draining for ", "a call blocked its thread, or the machine is too busy"];
    lines.retain(|line| !busy.iter().any(|busy| line.contains(busy)));
    lines
}

/// The first client of what is about to listen.
pub(crate) fn until_dialled<T>(mut dial: impl FnMut() -> io::Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match dial() {
            Ok(client) => return client,
            Err(error) if begun.elapsed() > PATIENCE => panic!("nobody listens: {error}"),
            Err(_) => thread::yield_now(),
        }
    }
}

/// Waits for the next line.
pub(crate) fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).expect("a line")
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Serving {
    child: Running,
    pub(crate) endpoints: Vec<String>,
    pub(crate) stderr: Receiver<String>,
    pub(crate) stdout: Receiver<String>,
}

impl Serving {
    /// Starts `swapwire serve` and waits until it listens on `count` endpoints.
    pub(crate) fn start(count: usize, args: &[&str]) -> Self {
        Self::spawn(count, swapwire(&["serve"]).args(args))
    }

    pub(crate) fn spawn(count: usize, command: &mut Command) -> Self {
        Self::watch(count, start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())))
    }

    /// Waits until a process, whose outputs are pipes, listens on `count` endpoints.
    pub(crate) fn watch(count: usize, mut child: Running) -> Self {
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let mut serving = Self { child, endpoints: Vec::new(), stderr, stdout };
        for _ in 0..count {
            let Ok(line) = serving.stdout.recv_timeout(PATIENCE) else {
                let why: Vec<_> = serving.stderr.try_iter().collect();
                panic!("it does not listen: {why:?}");
            };
            serving.endpoints.push(line.strip_prefix("listening ").unwrap().to_owned());
        }
        serving
    }

    /// The first endpoint.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoints[0]
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_with(&self.child, signal);
    }

    /// Waits for its end; gives the exit code and the rest of the standard error, as [on any machine](on_any_machine).
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        let status = wait(&mut self.child);
        (status.code(), on_any_machine(self.stderr.iter().collect()))
    }

    /// Waits until it says this line on the standard error.
    pub(crate) fn says(&self, line: &str) {
        while next(&self.stderr) != line {}
    }

    /// Ends it with SIGTERM and expects that nothing was cut. Gives the report.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        let (code, stderr) = self.end();
        assert_eq!(code, Some(0), "{stderr:?}");
        stderr.into_iter().next_back().unwrap()
    }
}

/// A server that cannot finish: its peer does not read the replies.
pub(crate) struct Busy {
    pub(crate) server: Serving,
    pub(crate) peer: UnixStream,
    pub(crate) directory: TempDir,
}

impl Busy {
    /// What the peer has sent, and not read. More than the server's socket takes, and less than its own.
    pub(crate) const SENT: usize = 128 << 10;

    pub(crate) fn start(drain_timeout: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let endpoint = format!("unix:{}?send_buffer=4096", path.display());
        let server = Serving::start(1, &[&endpoint, "--handler", "echo", "--drain-timeout", drain_timeout]);
        let mut peer = UnixStream::connect(path).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(&[b'x'; Self::SENT]).unwrap();
        Self { server, peer, directory }
    }
}

/// The two ends of a pipe that has room for one page, and that waits for nobody at the end which the command gets.
#[cfg(target_os = "linux")]
pub(crate) mod narrow {
    use std::fs::File;
    use std::io::{PipeReader, PipeWriter, Write as _, pipe};
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    /// A pipe of 4 KiB.
    pub(crate) fn page() -> (PipeReader, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        (reader, writer)
    }

    /// Somebody sets `O_NONBLOCK` on this end, for all who share it.
    pub(crate) fn unblock(end: &impl AsFd) {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    }

    /// A pipe in which there is no room, whose writer waits.
    pub(crate) fn full() -> (PipeReader, PipeWriter) {
        let (reader, mut writer) = page();
        unblock(&writer);
        while writer.write(b"0123456789").is_ok() {}
        while writer.write(b"x").is_ok() {}
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        (reader, writer)
    }

    /// Whether a write would not have to wait.
    pub(crate) fn has_room(writer: &PipeWriter) -> bool {
        let mut polled = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
        poll(&mut polled, PollTimeout::ZERO).unwrap() > 0
    }

    /// What stands in a file of its own.
    pub(crate) fn file_of(bytes: &[u8]) -> File {
        use std::io::{Seek as _, SeekFrom};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }
}
