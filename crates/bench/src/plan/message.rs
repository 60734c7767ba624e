//! Requests of one's own.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use swapwire_core::unescape;

use super::sizes::LARGEST;

/// What every request holds: the bytes of a text or of a file, at most 64 MiB.
///
/// A text has the escapes of a delimiter ([`unescape`]): `PING\r\n`. It is written as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    bytes: Arc<[u8]>,
    /// The file that it came from.
    path: Option<String>,
}

/// Why there is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {name:?}: {problem}")]
pub struct MessageError {
    name: String,
    problem: String,
}

impl Message {
    /// All bytes of a file.
    ///
    /// # Errors
    /// It cannot be read, or is too large.
    pub fn read(path: &Path) -> Result<Self, MessageError> {
        let name = path.display().to_string();
        let wrong = |problem: String| MessageError { name: name.clone(), problem };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| wrong(format!("read it: {error}")))?;
        if bytes.len() > LARGEST {
            return Err(wrong(format!("it holds more than {LARGEST} bytes, which are the most")));
        }
        Ok(Self { bytes: bytes.into(), path: Some(name) })
    }

    /// What a request holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "file:{path}"),
            None => write!(f, "{}", self.bytes.escape_ascii()),
        }
    }
}

impl FromStr for Message {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MessageError {
            name: text.to_owned(),
            problem: "escapes are \\n, \\r, \\t, \\0, \\\\, \\\" and \\x with two digits".to_owned(),
        };
        Ok(Self { bytes: unescape(text).ok_or_else(wrong)?.into(), path: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_it_is_read() {
        let message: Message = "SET \\\"k\\\" \\\\ \\x00\\xff\\r\\n".parse().unwrap();
        assert_eq!(message.bytes(), b"SET \"k\" \\ \0\xff\r\n");
        assert_eq!(message.to_string().parse::<Message>().unwrap(), message);
        assert_eq!("gr\u{fc}n".parse::<Message>().unwrap().bytes(), "gr\u{fc}n".as_bytes());
        let error = "a\\q".parse::<Message>().unwrap_err().to_string();
        assert!(error.starts_with("message \"a\\\\q\": escapes are "), "{error}");
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"GET \\n\n\0").unwrap();
        let message = Message::read(file.path()).unwrap();
        assert_eq!(message.bytes(), b"GET \\n\n\0");
        assert_eq!(message.to_string(), format!("file:{}", file.path().display()));
        let error = Message::read(Path::new("/no/such")).unwrap_err().to_string();
        assert!(error.starts_with("message \"/no/such\": read it: No such file"), "{error}");
        file.as_file().set_len(LARGEST as u64 + 1).unwrap();
        let error = Message::read(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("it holds more than 67108864 bytes, which are the most"), "{error}");
    }
}
