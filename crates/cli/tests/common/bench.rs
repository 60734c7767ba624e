//! For the tests of `bench`: short runs, their JSON, and servers that are not ours.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use swapwire_bench::Run;

use super::{Said, run};

/// One quick round after another, of one connection. Their end is a number of requests, since a machine that is busy with
/// other tests may do nothing at all for a while.
pub(crate) const QUICK: [&str; 8] = ["-c", "1", "-n", "500", "--warmup", "5ms", "--rounds", "2"];

/// `swapwire bench`, quick unless `args` say otherwise.
pub(crate) fn bench(args: &[&str]) -> Said {
    let given = |flag: &str| match flag {
        "-n" => args.contains(&"-n") || args.contains(&"-d"),
        "--rounds" => args.contains(&"--rounds") || args.contains(&"--find-max"),
        flag => args.contains(&flag),
    };
    let quick = QUICK.chunks(2).filter(|flag| !given(flag[0])).flatten().copied();
    let args: Vec<_> = ["bench"].into_iter().chain(quick).chain(args.iter().copied()).collect();
    run(&args, "")
}

/// The run in a file.
pub(crate) fn read(path: &Path) -> Run {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Looks again and again until it is so.
pub(crate) fn wait_until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: it never came");
        thread::yield_now();
    }
}

/// A server of another kind: answers what it reads with itself, from a thread for each connection.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) endpoint: String,
    /// Bytes that came, on all connections together.
    pub(crate) bytes: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Foreign {
    /// Echoes for ever.
    pub(crate) fn echo() -> Self {
        Self::start(usize::MAX, |_| ())
    }

    /// Echoes to so many connections; then it is gone.
    pub(crate) fn dying_after(connections: usize) -> Self {
        Self::start(connections, |_| ())
    }

    /// Echoes for ever, and tells the number of each new connection.
    pub(crate) fn watched(accepted: impl FnMut(usize) + Send + 'static) -> Self {
        Self::start(usize::MAX, accepted)
    }

    /// Echoes for ever, and shows the number and the stream of each new connection.
    pub(crate) fn watched_by(accepted: impl FnMut(usize, &TcpStream) + Send + 'static) -> Self {
        Self::serve(usize::MAX, accepted, echo)
    }

    /// Answers each line.
    pub(crate) fn answering(answer: fn(&[u8]) -> &'static [u8]) -> Self {
        Self::serve(usize::MAX, |_, _| (), move |stream, _| answer_lines(&stream, answer))
    }

    fn start(connections: usize, mut accepted: impl FnMut(usize) + Send + 'static) -> Self {
        Self::serve(connections, move |number, _| accepted(number), echo)
    }

    fn serve(
        connections: usize,
        mut accepted: impl FnMut(usize, &TcpStream) + Send + 'static,
        handle: impl Fn(TcpStream, &AtomicU64) + Copy + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&ended);
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if number >= connections || is_ended.load(SeqCst) {
                    return;
                }
                accepted(number + 1, &stream);
                let count = Arc::clone(&count);
                thread::spawn(move || handle(stream, &count));
            }
        });
        Self { endpoint, bytes, ended }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.endpoint.trim_start_matches("tcp://"));
    }
}

fn answer_lines(mut stream: &TcpStream, answer: fn(&[u8]) -> &'static [u8]) {
    let (mut reader, mut line) = (BufReader::new(stream), Vec::new());
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        if stream.write_all(answer(&line)).is_err() {
            return;
        }
        line.clear();
    }
}

fn echo(mut stream: TcpStream, count: &AtomicU64) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        count.fetch_add(read as u64, SeqCst);
        if stream.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}
