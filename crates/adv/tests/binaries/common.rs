//! The binaries, and small servers to drive them against.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// What a run of `adv` gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Run {
    /// The first fault.
    pub(crate) fn fault(&self) -> &str {
        let fault = self.json.pointer("/faults/0").and_then(Value::as_str);
        fault.unwrap_or_else(|| panic!("no fault in {self:?}"))
    }

    /// A number of the object, by its path, as `counts/lost`.
    pub(crate) fn number(&self, path: &str) -> u64 {
        let found = self.json.pointer(&format!("/{path}")).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number {path} in {self:?}"))
    }

    pub(crate) fn assert_ok(&self) {
        assert!(self.code == 0 && self.json["ok"] == true, "{self:?}");
    }

    /// Exactly these faults were counted, at least once each.
    pub(crate) fn assert_faults(&self, faults: &[&str]) {
        let counts = self.json["counts"].as_object().unwrap_or_else(|| panic!("no counts in {self:?}"));
        let counted: Vec<_> =
            counts.iter().filter(|(_, count)| count.as_u64() != Some(0)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(counted, faults, "{self:?}");
        assert_eq!(self.code, 1, "{self:?}");
    }
}

/// Runs `adv`, the words of `line` and then JSON.
pub(crate) fn adv(line: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_adv"))
        .args(line.split_whitespace())
        .args(["--json", "--deadline=100s"])
        .output()
        .unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("adv {line}: no JSON in {output:?}"));
    Run { code: output.status.code().unwrap_or(-1), json }
}

/// Runs either program with arguments that are wrong, and gives what it said.
pub(crate) fn misuse(program: &str, line: &str) -> (i32, String) {
    let program = if program == "adv" { env!("CARGO_BIN_EXE_adv") } else { env!("CARGO_BIN_EXE_faultproxy") };
    let output = Command::new(program).args(line.split_whitespace()).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    child: Child,
}

impl Proxy {
    pub(crate) fn start(listen: &str, connect: &str, flags: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_faultproxy"))
            .args([listen, connect, "--json"])
            .args(flags.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // A byte at a time, so that nothing of what follows is lost.
        let out = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !line.ends_with('\n') {
            out.read_exact(&mut byte).unwrap();
            line.push(char::from(byte[0]));
        }
        let endpoint = line.trim().strip_prefix("listening ").unwrap().to_owned();
        Self { endpoint, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGTERM, and gives what it counted.
    pub(crate) fn stop(mut self) -> Value {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP server that does the same to each connection, whose number it is told, on a thread each.
pub(crate) fn tcp(serve: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            stream.set_nodelay(true).unwrap();
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream));
        }
    });
    endpoint
}

/// The same on a Unix socket.
pub(crate) fn unix(path: &str, serve: impl Fn(UnixStream) -> io::Result<()> + Send + Sync + 'static) -> String {
    let listener = UnixListener::bind(path).unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    format!("unix:{path}")
}

/// A TCP server that replies to each line with whatever it is told: the number of the connection, of the line, and the line.
pub(crate) fn lines(reply: impl Fn(usize, usize, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> String {
    tcp(move |connection, stream| {
        let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
        let mut line = Vec::new();
        for number in 0.. {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            output.write_all(&reply(connection, number, &line))?;
        }
        Ok(())
    })
}

/// Echoes bytes until the peer ends.
pub(crate) fn echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len])?,
        }
    }
}

/// The same in capitals.
pub(crate) fn upper_echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = [0; 65536];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        buffer[..len].make_ascii_uppercase();
        stream.write_all(&buffer[..len])?;
    }
}

pub(crate) fn tcp_echo() -> String {
    tcp(|_, stream| echo(stream))
}

/// A UDP server that replies to each datagram with as many as it is told: its number, and its bytes.
pub(crate) fn udp(reply: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        for number in 0.. {
            let (len, peer) = socket.recv_from(&mut buffer).unwrap();
            for reply in reply(number, &buffer[..len]) {
                let _ = socket.send_to(&reply, peer);
            }
        }
    });
    endpoint
}

pub(crate) fn udp_echo() -> String {
    udp(|_, datagram| vec![datagram.to_vec()])
}

/// An echo of Unix datagrams.
pub(crate) fn unix_dgram_echo(path: &str) -> String {
    let socket = UnixDatagram::bind(path).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer).unwrap();
            let _ = socket.send_to_addr(&buffer[..len], &peer);
        }
    });
    format!("unix-dgram:{path}")
}

/// A place for sockets.
pub(crate) fn dir() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    (dir, move |name: &str| root.join(name).display().to_string())
}
