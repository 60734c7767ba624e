//! Answers by hand: a queue member over a plain socket that is wrong when it is told to be.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

/// Ends when it is dropped.
pub struct Responder {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Subscribes to `subject` in the queue group `g`; sends for each text the replies that `answer` makes of it.
    pub fn start(address: &str, subject: &str, mut answer: impl FnMut(&str) -> Vec<String> + Send + 'static) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        write!(stream, "CONNECT {{\"verbose\":false}}\r\nSUB {subject} g 1\r\nPING\r\n").unwrap();
        let (mut reader, mut line) = (BufReader::new(stream.try_clone().unwrap()), String::new());
        while line != "PONG\r\n" {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the broker ended the connection");
        }
        line.clear();
        let mut writer = stream.try_clone().unwrap();
        let thread = thread::spawn(move || {
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                let said = std::mem::take(&mut line);
                let words: Vec<_> = said.split_whitespace().collect();
                let ["MSG", _, _, inbox, length] = words[..] else {
                    continue;
                };
                let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut text).unwrap();
                for reply in answer(std::str::from_utf8(&text[..text.len() - 2]).unwrap()) {
                    // It may have been ended meanwhile.
                    let _ = writer.write_all(format!("PUB {inbox} {}\r\n{reply}\r\n", reply.len()).as_bytes());
                }
            }
        });
        Self { stream, thread: Some(thread) }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.thread.take().unwrap().join().unwrap();
    }
}
