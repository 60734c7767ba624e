//! Which typed lines are remembered, and where.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Lines that are remembered.
const LINES: usize = 1000;
/// Longer ones are not.
const LONGEST: usize = 64 << 10;
/// What is read of a file, from its end.
const READ: u64 = 4 << 20;
/// The first line of the file: line feeds and backslashes are escaped in the others.
const HEADER: &[u8] = b"#V2\n";

/// The lines before, the latest last, and the one that is shown.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<Vec<u8>>,
    file: Option<PathBuf>,
    /// Which line is shown; `None`: one that is new.
    at: Option<usize>,
    /// The new line, while an older one is shown.
    draft: Vec<u8>,
}

impl History {
    /// That of this user. It is a comfort and not a need: without a file it begins empty.
    pub(super) fn of_user() -> Self {
        let file = file();
        let lines = file.as_deref().and_then(|file| load(file).ok()).unwrap_or_default();
        Self { lines, file, ..Self::default() }
    }

    /// Remembers a line, in the file only if `lasting`. One that begins with a space, or was the last one, is not.
    pub(super) fn add(&mut self, line: &[u8], lasting: bool) {
        self.leave();
        let unwanted = line.is_empty() || line.starts_with(b" ") || line.len() > LONGEST;
        if unwanted || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.remove(0);
        }
        self.lines.push(line.to_vec());
        if let Some(file) = self.file.as_deref().filter(|_| lasting) {
            let _ = append(file, &[line]);
        }
    }

    /// Shows no older line any more.
    pub(super) fn leave(&mut self) {
        (self.at, self.draft) = (None, Vec::new());
    }

    /// The line before the one that is shown, if there is one.
    pub(super) fn older(&mut self, shown: &[u8]) -> Option<&[u8]> {
        let at = self.at.unwrap_or(self.lines.len()).checked_sub(1)?;
        self.show(at, shown)
    }

    /// The next older line that contains what was typed.
    pub(super) fn search(&mut self, shown: &[u8]) -> Option<&[u8]> {
        let wanted = if self.at.is_some() { &self.draft } else { shown };
        let before = &self.lines[..self.at.unwrap_or(self.lines.len())];
        let contains =
            |line: &Vec<u8>| line.windows(wanted.len().max(1)).any(|part| part == wanted) || wanted.is_empty();
        let at = before.iter().rposition(contains)?;
        self.show(at, shown)
    }

    fn show(&mut self, at: usize, shown: &[u8]) -> Option<&[u8]> {
        if self.at.is_none() {
            self.draft = shown.to_vec();
        }
        self.at = Some(at);
        self.lines.get(at).map(Vec::as_slice)
    }

    /// The line after the one that is shown; at last the new one.
    pub(super) fn newer(&mut self) -> Option<Vec<u8>> {
        let at = self.at? + 1;
        if let Some(line) = self.lines.get(at) {
            self.at = Some(at);
            return Some(line.clone());
        }
        self.at = None;
        Some(std::mem::take(&mut self.draft))
    }
}

/// The history's file, whose directory exists.
fn file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let directory = state.join("swapwire");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory).ok()?;
    Some(directory.join("history"))
}

fn load(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(READ)))?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes)?;
    // The first is the header, or the rest of a line.
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').skip(1).filter_map(|line| line.strip_suffix(b"\n"));
    let mut lines: Vec<_> = lines.map(read).filter(|line| !line.is_empty()).collect();
    if lines.len() > 2 * LINES || len > READ {
        lines.drain(..lines.len().saturating_sub(LINES));
        shorten(path, &lines)?;
    }
    lines.drain(..lines.len().saturating_sub(LINES));
    Ok(lines)
}

fn append(path: &Path, lines: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut bytes = if file.metadata()?.len() == 0 { HEADER.to_vec() } else { Vec::new() };
    lines.iter().for_each(|line| write(line, &mut bytes));
    // In one piece, because another prompt may write there too.
    file.write_all(&bytes)
}

/// Puts a file with these lines alone in its place.
fn shorten(path: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    let mut bytes = HEADER.to_vec();
    lines.iter().for_each(|line| write(line, &mut bytes));
    file.write_all(&bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn write(line: &[u8], to: &mut Vec<u8>) {
    for byte in line {
        match byte {
            b'\n' => to.extend(b"\\n"),
            b'\\' => to.extend(b"\\\\"),
            byte => to.push(*byte),
        }
    }
    to.push(b'\n');
}

fn read(line: &[u8]) -> Vec<u8> {
    let mut bytes = line.iter();
    let mut out = Vec::with_capacity(line.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(other) => *other,
                None => b'\\',
            },
            byte => *byte,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(file: &Path) -> History {
        History { lines: load(file).unwrap_or_default(), file: Some(file.to_owned()), ..History::default() }
    }

    #[test]
    fn lines_come_back_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history");
        let lines = [&b"plain"[..], b"back\\slash \\n", b"line\nfeed", b"caf\xe9\ttab"];
        let mut history = in_file(&file);
        lines.iter().for_each(|line| history.add(line, true));
        assert_eq!(in_file(&file).lines, lines);
        assert!(std::fs::read(&file).unwrap().starts_with(HEADER));
    }

    #[test]
    fn what_is_not_wanted_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history");
        let mut history = in_file(&file);
        for (line, lasting) in [(&b"a"[..], true), (b"a", true), (b" b", true), (b"", true), (b"c", false)] {
            history.add(line, lasting);
        }
        assert_eq!(history.lines, [b"a", b"c"]);
        assert_eq!(in_file(&file).lines, [b"a"]);
    }

    #[test]
    fn a_file_that_has_grown_is_shortened() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history");
        let lines: Vec<_> = (0..2 * LINES + 1).map(|n| n.to_string().into_bytes()).collect();
        append(&file, &lines.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        assert_eq!(in_file(&file).lines, lines[LINES + 1..]);
        assert_eq!(std::fs::read(&file).unwrap().split(|byte| *byte == b'\n').count(), LINES + 2);
    }

    #[test]
    fn one_goes_back_and_forth_and_searches() {
        let mut history = History::default();
        ["one", "two", "three"].iter().for_each(|line| history.add(line.as_bytes(), false));
        assert_eq!(history.older(b"draft"), Some(&b"three"[..]));
        assert_eq!(history.older(b"three"), Some(&b"two"[..]));
        assert_eq!(history.older(b"two"), Some(&b"one"[..]));
        assert_eq!(history.older(b"one"), None);
        assert_eq!(history.newer().as_deref(), Some(&b"two"[..]));
        history.newer();
        assert_eq!(history.newer().as_deref(), Some(&b"draft"[..]));
        assert_eq!(history.newer(), None);
        assert_eq!(history.search(b"o"), Some(&b"two"[..]));
        assert_eq!(history.search(b"two"), Some(&b"one"[..]));
        assert_eq!(history.search(b"one"), None);
        history.leave();
        assert_eq!(history.search(b"nothing"), None);
        assert_eq!(history.search(b""), Some(&b"three"[..]));
    }
}
