//! `swapwire serve` as a process that is stopped for longer than its deadlines (`SIGSTOP`, as a shell, a debugger or a frozen
//! container does): what came meanwhile is answered.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Serving;
use nix::sys::signal::Signal;

/// The deadline that is missed.
const DEADLINE: Duration = Duration::from_secs(1);
const PEERS: usize = 8;
/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whether somebody is in the room yet is asked this often.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// A peer of one session, and what it has heard of a line.
struct Peer(Wire, Vec<u8>);

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Udp(UdpSocket),
    UnixDgram(UnixDatagram),
}

impl Peer {
    /// With a place of its own, where that needs one.
    fn dial(endpoint: &str, own: &Path) -> Self {
        let (scheme, place) = endpoint.split_once(':').unwrap();
        let place = place.trim_start_matches("//");
        let wire = match scheme {
            "tcp" => Wire::Tcp(TcpStream::connect(place).unwrap()),
            "unix" => Wire::Unix(UnixStream::connect(place).unwrap()),
            "udp" => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(place).unwrap();
                Wire::Udp(socket)
            }
            _ => {
                let socket = UnixDatagram::bind(own).unwrap();
                socket.connect(place).unwrap();
                Wire::UnixDgram(socket)
            }
        };
        Self(wire, Vec::new())
    }

    fn say(&mut self, message: &str) -> io::Result<()> {
        let bytes = message.as_bytes();
        match &mut self.0 {
            Wire::Tcp(stream) => stream.write_all(bytes),
            Wire::Unix(stream) => stream.write_all(bytes),
            Wire::Udp(socket) => socket.send(bytes).map(drop),
            Wire::UnixDgram(socket) => socket.send(bytes).map(drop),
        }
    }

    fn receive(&mut self, within: Duration, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Wire::Tcp(stream) => stream.set_read_timeout(Some(within)).and_then(|()| stream.read(into)),
            Wire::Unix(stream) => stream.set_read_timeout(Some(within)).and_then(|()| stream.read(into)),
            Wire::Udp(socket) => socket.set_read_timeout(Some(within)).and_then(|()| socket.recv(into)),
            Wire::UnixDgram(socket) => socket.set_read_timeout(Some(within)).and_then(|()| socket.recv(into)),
        }
    }

    /// The next line, or datagram, without its end.
    fn hear(&mut self, within: Duration) -> io::Result<String> {
        let datagrams = matches!(self.0, Wire::Udp(_) | Wire::UnixDgram(_));
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut bytes = [0; 1024];
            match self.receive(within, &mut bytes)? {
                0 if !datagrams => return Err(ErrorKind::UnexpectedEof.into()),
                len => self.1.extend_from_slice(&bytes[..len]),
            }
            if datagrams && !self.1.ends_with(b"\n") {
                self.1.push(b'\n');
            }
        }
    }

    /// Waits for a line that ends so.
    fn hears(&mut self, end: &str, within: Duration) -> io::Result<()> {
        while !self.hear(within)?.ends_with(end) {}
        Ok(())
    }
}

/// A server with the deadline that `which` says, and its peers.
struct Trial {
    server: Serving,
    peers: Vec<Peer>,
    /// Before the first of them was there.
    begun: Instant,
    how: String,
    _directory: tempfile::TempDir,
}

impl Trial {
    fn new(scheme: &str, handler: &str, workers: &str, which: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let place = match scheme {
            "tcp" | "udp" => format!("{scheme}://127.0.0.1:0"),
            _ => format!("{scheme}:{}", at("s").display()),
        };
        let deadline = format!("{}ms", DEADLINE.as_millis());
        let args = [&place, "--handler", handler, "--framing", "lines", "--workers", workers, which, &deadline];
        let server = Serving::start(1, &args);
        let begun = Instant::now();
        let peers = (0..PEERS).map(|i| Peer::dial(server.endpoint(), &at(&i.to_string()))).collect();
        let how = format!("{scheme}, {handler}, {workers} workers, {which}");
        Self { server, peers, begun, how, _directory: directory }
    }

    /// Stops the process for longer than its deadlines; everybody says something meanwhile. Gives since when it goes on;
    /// nothing, unless it was stopped so soon that nobody had missed a deadline.
    fn is_stopped_while_all_say(&mut self, what: &str) -> Option<Instant> {
        self.server.signal(Signal::SIGSTOP);
        while !is_stopped(self.server.pid()) {
            assert!(self.begun.elapsed() < PATIENCE, "it does not stop");
            thread::yield_now();
        }
        if self.begun.elapsed() > DEADLINE / 2 {
            return None;
        }
        self.peers.iter_mut().for_each(|peer| peer.say(what).unwrap());
        // It is time that must pass: nothing is waited for.
        thread::sleep(2 * DEADLINE);
        let resumed = Instant::now();
        self.server.signal(Signal::SIGCONT);
        Some(resumed)
    }

    /// Everybody leaves. Whether that was so soon that nobody had missed another deadline.
    fn end(self, resumed: Instant) -> bool {
        drop(self.peers);
        if resumed.elapsed() > DEADLINE / 2 {
            return false;
        }
        let report = self.server.stop();
        let late = ["idle", "took too long to arrive", "not read"];
        assert!(!late.iter().any(|late| report.contains(late)), "{}: {report}", self.how);
        true
    }
}

/// Whether all threads of a process are: state `T` (`proc_pid_stat(5)`).
fn is_stopped(pid: u32) -> bool {
    let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, state)| state.chars().next());
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten()
        .all(|task| fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| state(stat) == Some('T')))
}

/// Everybody is answered once, says `first`, and while the process is stopped `second`. Whether it came to that.
fn answers(scheme: &str, workers: &str, which: &str, first: &str, second: &str) -> bool {
    let mut trial = Trial::new(scheme, "uppercase-echo", workers, which);
    for peer in &mut trial.peers {
        let answered = peer.say("before\n").and_then(|()| peer.hear(PATIENCE)).and_then(|_| peer.say(first));
        assert!(answered.is_ok() || trial.begun.elapsed() > DEADLINE / 2, "{}: {answered:?}", trial.how);
    }
    let Some(resumed) = trial.is_stopped_while_all_say(second) else { return false };
    for peer in &mut trial.peers {
        assert_eq!(peer.hear(PATIENCE).ok().as_deref(), Some("MEANWHILE"), "{}", trial.how);
    }
    trial.end(resumed)
}

/// Everybody is in a room, whose first member hears what all others say while the process is stopped. Whether it came to
/// that.
fn is_heard_in_the_room(scheme: &str, workers: &str) -> bool {
    let mut trial = Trial::new(scheme, "chat", workers, "--idle-timeout");
    let (first, others) = trial.peers.split_first_mut().unwrap();
    for (i, other) in others.iter_mut().enumerate() {
        let hello = format!("hello of {i}");
        let mut enters = || {
            // On a datagram socket, that is how one enters.
            first.say("\n")?;
            other.say(&format!("{hello}\n"))?;
            first.hears(&hello, ASK_AGAIN)
        };
        while let Err(error) = enters() {
            if trial.begun.elapsed() > DEADLINE / 2 {
                return false;
            }
            assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{}: {error}", trial.how);
        }
    }
    let Some(resumed) = trial.is_stopped_while_all_say("meanwhile\n") else { return false };
    for _ in 1..PEERS {
        let heard = trial.peers[0].hears("meanwhile", PATIENCE);
        heard.unwrap_or_else(|error| panic!("{}: {error}", trial.how));
    }
    trial.end(resumed)
}

/// A trial of each of `schemes`, with one worker and with two; anew where the machine was too busy to stop it in time.
fn try_all(schemes: [&str; 2], trial: impl Fn(&str, &str) -> bool) {
    for scheme in schemes {
        for workers in ["1", "2"] {
            assert!((0..50).any(|_| trial(scheme, workers)), "the machine is too busy");
        }
    }
}

#[test]
fn streams_are_not_idle() {
    try_all(["tcp", "unix"], |scheme, workers| answers(scheme, workers, "--idle-timeout", "", "meanwhile\n"));
}

#[test]
fn frames_came_in_time() {
    try_all(["tcp", "unix"], |scheme, workers| answers(scheme, workers, "--frame-timeout", "mean", "while\n"));
}

#[test]
fn sessions_of_streams_are_not_idle() {
    try_all(["tcp", "unix"], is_heard_in_the_room);
}

#[test]
fn sessions_of_datagram_sockets_are_not_idle() {
    try_all(["udp", "unix-dgram"], is_heard_in_the_room);
}
